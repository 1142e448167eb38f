// SPDX-License-Identifier: Apache-2.0
/* docker commit: an image of another one's layers and one more. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "core/when.h"
#include "image/image_impl.h"
#include "loop/loop.h"

static int run_commit(struct image_job *job)
{
	_cleanup_free_ char *tmp = xasprintf("%s/image/tmp/commit.XXXXXX", job->root), *text = NULL;
	_cleanup_close_ int fd = mkostemp(tmp, O_CLOEXEC);
	struct imported im = {.size = json_integer_value(json_object_get(job->build, "size"))};
	char diff_id[DIGEST_SIZE], chunk[65536];
	int64_t size = 0;
	ssize_t n;
	int rc = 0;

	if (fd < 0)
		return err_errno(&job->err, -errno, "cannot create %s", tmp);
	while (!rc && (n = read(job->fd, chunk, sizeof(chunk))) > 0)
		if (write(fd, chunk, n) != n)
			rc = err_errno(&job->err, -errno, "cannot write %s", tmp);
	if (!rc)
		rc = layer_import(job->root, tmp, NULL, diff_id, &size, &job->err);
	unlink(tmp);
	if (rc)
		return rc;
	im.size += size;
	json_array_append_new(json_object_get(json_object_get(job->config, "rootfs"), "diff_ids"),
			      json_string(diff_id));
	text = json_dumps(job->config, JSON_COMPACT);
	rc = blob_write(job->root, text, strlen(text), im.id, &job->err);
	if (rc)
		return rc;
	im.refs = job->ref ? json_pack("[s]", job->ref) : json_array();
	job->found = xmemdup(&im, sizeof(im));
	job->n_found = 1;
	return 0;
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
