// SPDX-License-Identifier: Apache-2.0
/* docker commit: an image of another one's layers and one more. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "core/when.h"
#include "disk/file.h"
#include "image/image_impl.h"
#include "loop/loop.h"

int image_job_layer(struct image_job *job, char ret_diff_id[DIGEST_SIZE], int64_t *ret_size)
{
	_cleanup_free_ char *tmp = xasprintf("%s/image/tmp/layer.XXXXXX", job->root);
	_cleanup_close_ int fd = mkostemp(tmp, O_CLOEXEC);
	char chunk[65536];
	ssize_t n;
	int rc = 0;

	if (fd < 0)
		return err_errno(&job->err, -errno, "cannot create %s", tmp);
	while (!rc && (n = read(job->fd, chunk, sizeof(chunk))) > 0)
		rc = file_write_all(fd, chunk, n);
	if (!rc && n < 0)
		rc = err_errno(&job->err, -errno, "cannot read the layer");
	else if (rc)
		err_errno(&job->err, rc, "cannot write %s", tmp);
	else
		rc = layer_import(job->root, tmp, NULL, ret_diff_id, ret_size, &job->err);
	unlink(tmp);
	return rc;
}

int image_job_made(struct image_job *job, json_t *config, int64_t size)
{
	_cleanup_free_ char *text = json_dumps(config, JSON_COMPACT);
	struct imported im = {.size = size};
	int rc = blob_write(job->root, text, strlen(text), im.id, &job->err);

	if (rc)
		return rc;
	im.refs = job->ref ? json_pack("[s]", job->ref) : json_array();
	job->found = xmemdup(&im, sizeof(im));
	job->n_found = 1;
	return 0;
}

static int run_commit(struct image_job *job)
{
	int64_t below = json_integer_value(json_object_get(job->build, "size")), size;
	char diff_id[DIGEST_SIZE];
	int rc = image_job_layer(job, diff_id, &size);

	if (rc)
		return rc;
	json_array_append_new(json_object_get(json_object_get(job->config, "rootfs"), "diff_ids"),
			      json_string(diff_id));
	return image_job_made(job, job->config, below + size);
}

void images_commit(struct images *images, struct image *parent, int fd,
		   const struct image_commit *c, image_done done, void *arg)
{
	struct image_job *job = xcalloc(1, sizeof(*job));
	json_t *doc = json_deep_copy(parent->config), *history;
	struct reference r;
	char now[40];

	*job = (struct image_job){.images = images,
				  .fd = fd,
				  .done = done,
				  .arg = arg,
				  .run = run_commit,
				  .config = doc,
				  .image = parent,
				  .build = json_pack("{s:I}", "size", (json_int_t)parent->size)};
	image_get(parent);
	if (c->ref && !reference_parse(c->ref, &r, NULL))
		job->ref = xasprintf("%s:%s", r.name, r.tag);
	time_format(loop_wall_ns(), now);
	json_object_set_new(doc, "created", json_string(now));
	json_object_set(doc, "config", c->config);
	json_object_del(doc, "container_config");
	if (c->author && *c->author)
		json_object_set_new(doc, "author", json_string(c->author));
	history = json_object_get(doc, "history");
	if (!json_is_array(history))
		json_object_set_new(doc, "history", history = json_array());
	json_array_append_new(history,
			      json_pack("{s:s, s:s, s:s*, s:s*}", "created", now, "created_by",
					c->created_by, "author", c->author, "comment", c->comment));
	image_job_start(job);
}
