// SPDX-License-Identifier: Apache-2.0
/* docker import: an image of one layer, from a tar of the client's or of an address. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#include "core/when.h"
#include "image/image_impl.h"

static int run_import(struct image_job *job)
{
	_cleanup_free_ char *tmp = xasprintf("%s/image/tmp/import.XXXXXX", job->root), *text = NULL;
	const char *url = json_string_value(json_object_get(job->build, "url"));
	_cleanup_close_ int fd = mkostemp(tmp, O_CLOEXEC);
	char diff_id[DIGEST_SIZE], created[40], chunk[65536], type[FETCH_TYPE_SIZE];
	struct imported im = {0};
	json_t *doc;
	ssize_t n;
	int rc = 0;

	if (fd < 0)
		return err_errno(&job->err, -errno, "cannot create %s", tmp);
	if (url) {
		image_job_line(job, json_pack("{s:o}", "status",
					      json_sprintf("Downloading from %s", url)));
		rc = image_fetch(job, url, "Importing", type);
	}
	while (!rc && (n = read(job->fd, chunk, sizeof(chunk))) > 0)
		if (write(fd, chunk, n) != n)
			rc = err_errno(&job->err, -errno, "cannot write %s", tmp);
	if (!rc)
		rc = layer_import(job->root, tmp, NULL, diff_id, &im.size, &job->err);
	unlink(tmp);
	if (rc)
		return rc;
	time_format((int64_t)time(NULL) * 1000000000, created);
	doc = json_pack("{s:s, s:s, s:s, s:O, s:[{s:s, s:o}], s:{s:s, s:[s]}}", "architecture",
			"amd64", "os", "linux", "created", created, "config", job->config,
			"history", "created", created, "comment",
			str_empty(job->text) ? json_sprintf("Imported from %s", url ? url : "-")
					     : json_string(job->text),
			"rootfs", "type", "layers", "diff_ids", diff_id);
	text = json_dumps(doc, JSON_COMPACT);
	json_decref(doc);
	rc = blob_write(job->root, text, strlen(text), im.id, &job->err);
	if (rc)
		return rc;
	im.refs = job->ref ? json_pack("[s]", job->ref) : json_array();
	job->found = xmemdup(&im, sizeof(im));
	job->n_found = 1;
	return 0;
}

void images_import(struct images *images, const struct image_import *im, int fd,
		   image_progress progress, image_done done, void *arg)
{
	struct image_job *job = xcalloc(1, sizeof(*job));
	struct reference r;

	*job = (struct image_job){.images = images,
				  .fd = fd,
				  .progress = progress,
				  .done = done,
				  .arg = arg,
				  .run = run_import,
				  .config = json_deep_copy(im->config)};
	if (im->ref && !reference_parse(im->ref, &r, NULL))
		job->ref = xasprintf("%s:%s", r.name, r.tag);
	job->text = xstrdup(im->message);
	/* "host/file" without a scheme, as dockerd takes it */
	if (im->url)
		job->build = json_pack(
			"{s:o}", "url",
			json_sprintf("%s%s", strstr(im->url, "://") ? "" : "http://", im->url));
	image_job_start(job);
}
