// SPDX-License-Identifier: Apache-2.0
/* docker import: an image of one layer, from a tar of the client's or of an address. */
#include <stdio.h>
#include <time.h>

#include "core/arch.h"
#include "core/when.h"
#include "image/image_impl.h"

static int run_import(struct image_job *job)
{
	const char *url = json_string_value(json_object_get(job->build, "url"));
	char diff_id[DIGEST_SIZE], created[40], type[FETCH_TYPE_SIZE];
	int64_t size;
	json_t *doc;
	int rc = 0;

	if (url) {
		image_job_line(job, json_pack("{s:o}", "status",
					      json_sprintf("Downloading from %s", url)));
		rc = image_fetch(job, url, "Importing", type);
	}
	if (!rc)
		rc = image_job_layer(job, diff_id, &size);
	if (rc)
		return rc;
	time_format((int64_t)time(NULL) * 1000000000, created);
	doc = json_pack("{s:s, s:s, s:s, s:O, s:[{s:s, s:o}], s:{s:s, s:[s]}}", "architecture",
			ARCH_NAME, "os", "linux", "created", created, "config", job->config,
			"history", "created", created, "comment",
			str_empty(job->text) ? json_sprintf("Imported from %s", url ? url : "-")
					     : json_string(job->text),
			"rootfs", "type", "layers", "diff_ids", diff_id);
	rc = image_job_made(job, doc, size);
	json_decref(doc);
	return rc;
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
