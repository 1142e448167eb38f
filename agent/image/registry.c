// SPDX-License-Identifier: Apache-2.0
/* docker pull and push: skopeo talks to the registry, an OCI layout is what passes between. */
#include <errno.h>
#include <stdio.h>

#include "disk/file.h"
#include "image/image_impl.h"
#include "image/skopeo.h"
#include "loop/loop.h"

char *image_credentials(const char *auth)
{
	json_t *doc = auth ? json_loads(auth, 0, NULL) : NULL;
	const char *user = json_string_value(json_object_get(doc, "username")),
		   *password = json_string_value(json_object_get(doc, "password"));
	char *out = !str_empty(user) ? xasprintf("%s:%s", user, password ? password : "") : NULL;

	json_decref(doc);
	return out;
}

bool images_insecure(struct images *images, const char *name)
{
	size_t n = strcspn(name, "/");

	if (!strncmp(name, "localhost", 9) || !strncmp(name, "127.", 4))
		return true;
	for (char **r = images->insecure_registries; r && *r; r++)
		if (strlen(*r) == n && !strncmp(*r, name, n))
			return true;
	return false;
}

/* The reason that skopeo gave, as dockerd would put it. */
static int registry_error(struct image_job *job, const struct buf *text)
{
	_cleanup_free_ char *why = NULL;
	struct reference r;

	reference_parse(job->ref, &r, NULL);
	switch (skopeo_reason(text, &why)) {
	case SKOPEO_UNKNOWN:
		return err_set(&job->err, -ENOENT,
			       "manifest for %s not found: manifest unknown: manifest unknown",
			       job->text);
	case SKOPEO_DENIED:
		return err_set(&job->err, -ENOENT,
			       "pull access denied for %s, repository does not exist or may "
			       "require 'docker login': denied: requested access to the resource "
			       "is denied",
			       reference_familiar(&r));
	default:
		return err_set(&job->err, -EIO, "the registry of %s cannot be used: %s", job->text,
			       why);
	}
}

static void status(struct image_job *job, const char *id, const char *fmt, const char *arg)
{
	json_t *line = json_object();

	json_object_set_new(line, "status", json_sprintf(fmt, arg));
	if (id)
		json_object_set_new(line, "id", json_string(id));
	image_job_line(job, line);
}

/* The digest under which the registry has it; "" when it does not say. */
static void registry_digest(struct image_job *job, const char *url, const char *creds,
			    char ret[DIGEST_SIZE])
{
	_cleanup_buf_ struct buf out = BUF_INIT;
	const char *argv[12];
	struct reference r;
	int n = 0;

	ret[0] = 0;
	reference_parse(job->ref, &r, NULL);
	argv[n++] = "skopeo";
	argv[n++] = "--override-os=linux";
	argv[n++] = "inspect";
	argv[n++] = "--no-tags";
	argv[n++] = "--format={{.Digest}}";
	if (images_insecure(job->images, r.name))
		argv[n++] = "--tls-verify=false";
	if (creds) {
		argv[n++] = "--creds";
		argv[n++] = creds;
	}
	argv[n++] = url;
	argv[n] = NULL;
	if (run_program(argv, NULL, &out, NULL))
		return;
	out.data[strcspn(out.data, "\n")] = 0;
	if (digest_valid(out.data))
		strcpy(ret, out.data);
}

/* Take an image from a registry or to one: side is "src" or "dest", the registry's. */
static int copy(struct image_job *job, const char *side, const char *creds, const char *from,
		const char *to)
{
	_cleanup_free_ char *verify = xasprintf("--%s-tls-verify=false", side),
			    *with = xasprintf("--%s-creds", side);
	_cleanup_buf_ struct buf errors = BUF_INIT;
	const char *argv[16];
	struct reference r;
	int n = 0, rc;

	reference_parse(job->ref, &r, NULL);
	argv[n++] = "skopeo";
	argv[n++] = "--override-os=linux";
	argv[n++] = "--insecure-policy";
	argv[n++] = "copy";
	argv[n++] = "--quiet";
	if (streq(side, "dest"))
		argv[n++] = "--format=v2s2";
	if (images_insecure(job->images, r.name))
		argv[n++] = verify;
	if (creds) {
		argv[n++] = with;
		argv[n++] = creds;
	}
	argv[n++] = from;
	argv[n++] = to;
	argv[n] = NULL;
	rc = run_program(argv, NULL, NULL, &errors);
	if (rc < 0)
		return err_errno(&job->err, rc, "cannot run skopeo");
	return rc ? registry_error(job, &errors) : 0;
}

static int run_pull(struct image_job *job)
{
	_cleanup_free_ char *creds = image_credentials(job->auth),
			    *from = xasprintf("docker://%s", job->ref), *to = NULL;
	char *dir = tmp_dir(job->root, "pull", &job->err), digest[DIGEST_SIZE] = "";
	struct reference r;
	int rc;

	if (!dir)
		return job->err.code;
	reference_parse(job->ref, &r, NULL);
	status(job, r.tag[0] ? r.tag : r.digest, "Pulling from %s", strchr(r.name, '/') + 1);
	to = xasprintf("dir:%s", dir);
	rc = copy(job, "src", creds, from, to);
	if (!rc)
		rc = import_dir(job->root, dir, &job->found, &job->n_found, &job->err);
	if (!rc) {
		struct imported *im = &job->found[0];
		_cleanup_free_ char *manifest = xasprintf("%s/manifest.json", dir);

		/* the registry's is of a list where there is one for several platforms */
		if (r.digest[0])
			strcpy(digest, r.digest);
		else
			registry_digest(job, from, creds, digest);
		if (!digest[0])
			blob_digest(manifest, digest, NULL);
		json_decref(im->refs);
		im->refs = r.tag[0] ? json_pack("[o]", json_sprintf("%s:%s", r.name, r.tag))
				    : json_array();
		im->repo_digest = digest[0] ? xasprintf("%s@%s", r.name, digest) : NULL;
		status(job, NULL, "Digest: %s", digest);
		status(job, NULL,
		       job->image && !strcmp(job->image->id, im->id)
			       ? "Status: Image is up to date for %s"
			       : "Status: Downloaded newer image for %s",
		       job->text);
	}
	dir_remove_tree(dir, NULL);
	free(dir);
	return rc;
}

/* Both ways begin with a name that must be whole. */
static struct image_job *new_job(struct images *images, const char *ref, const char *auth,
				 image_progress progress, image_done done, void *arg,
				 int (*run)(struct image_job *))
{
	struct image_job *job = xcalloc(1, sizeof(*job));
	struct reference r;

	*job = (struct image_job){.images = images,
				  .fd = -1,
				  .progress = progress,
				  .done = done,
				  .arg = arg,
				  .run = run};
	job->auth = xstrdup(auth);
	if (!reference_parse(ref, &r, &job->err)) {
		job->ref = xasprintf("%s%s%s", r.name, r.digest[0] ? "@" : ":",
				     r.digest[0] ? r.digest : r.tag);
		job->text = xasprintf("%s%s%s", reference_familiar(&r), r.digest[0] ? "@" : ":",
				      r.digest[0] ? r.digest : r.tag);
	}
	return job;
}

static int run_refused(struct image_job *job)
{
	return job->err.code;
}

void images_pull(struct images *images, const char *ref, const char *auth, image_progress progress,
		 image_done done, void *arg)
{
	struct image_job *job = new_job(images, ref, auth, progress, done, arg, run_pull);

	if (!job->ref) {
		job->run = run_refused;
	} else {
		job->image = images_find(images, job->text, NULL);
		if (job->image)
			image_get(job->image);
	}
	image_job_start(job);
}

static int run_push(struct image_job *job)
{
	_cleanup_free_ char *creds = image_credentials(job->auth),
			    *to = xasprintf("docker://%s", job->ref), *from = NULL;
	char *dir = tmp_dir(job->root, "push", &job->err);
	struct reference r;
	int rc;

	if (!dir)
		return job->err.code;
	reference_parse(job->ref, &r, NULL);
	status(job, NULL, "The push refers to repository [%s]", r.name);
	rc = export_dir(job->root, job->image->id, job->config, dir, &job->err);
	from = xasprintf("dir:%s", dir);
	if (!rc)
		rc = copy(job, "dest", creds, from, to);
	if (!rc)
		status(job, NULL, "%s: pushed", r.tag);
	dir_remove_tree(dir, NULL);
	free(dir);
	return rc;
}

void images_push(struct images *images, const char *ref, const char *auth, image_progress progress,
		 image_done done, void *arg)
{
	struct image_job *job = new_job(images, ref, auth, progress, done, arg, run_push);

	job->image = job->ref ? images_find(images, job->text, NULL) : NULL;
	if (job->image) {
		image_get(job->image);
		job->config = json_deep_copy(job->image->config);
	} else {
		if (job->ref)
			err_set(&job->err, -ENOENT,
				"An image does not exist locally with the tag: %s", job->text);
		job->run = run_refused;
	}
	image_job_start(job);
}
