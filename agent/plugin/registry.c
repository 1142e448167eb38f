// SPDX-License-Identifier: Apache-2.0
/*
 * Plugins from and to registries. skopeo speaks to them; what passes between is its folder form:
 * manifest.json and blobs named by their digests. Every blob is checked against its digest here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "disk/file.h"
#include "image/image.h"
#include "image/reference.h"
#include "image/skopeo.h"
#include "loop/events.h"
#include "plugin/config.h"
#include "plugin/plugin_impl.h"

enum { MANIFEST_MAX = 1 << 20 };

struct transfer {
	struct plugins *all;
	char *root;
	char *remote; /* "host/name:tag" */
	char *text; /* as the user knows it */
	char *creds;
	bool insecure;
	plugin_progress progress;
	plugin_done done;
	plugin_asked asked;
	void *arg;
	int (*run)(struct transfer *t);
	void (*end)(struct transfer *t); /* on the loop, when it went well */
	json_t *granted; /* or NULL: any */
	char id[65]; /* of the plugin to be upgraded */
	struct plugin_parts parts;
	struct err err;
};

/* --- on the thread --- */

struct line {
	struct transfer *t;
	json_t *line;
};

static void on_line(void *arg)
{
	struct line *l = arg;

	if (l->t->progress)
		l->t->progress(l->line, l->t->arg);
	json_decref(l->line);
	free(l);
}

static void say(struct transfer *t, const char *id, const char *fmt, const char *what)
{
	struct line *l = xcalloc(1, sizeof(*l));

	*l = (struct line){t, json_object()};
	json_object_set_new(l->line, "status", json_sprintf(fmt, what));
	if (id)
		json_object_set_new(l->line, "id", json_string(id));
	loop_post(t->all->opt.loop, on_line, l);
}

static int registry_error(struct transfer *t, const struct buf *text)
{
	_cleanup_free_ char *why = NULL;

	switch (skopeo_reason(text, &why)) {
	case SKOPEO_UNKNOWN:
		return err_set(&t->err, -ENOENT,
			       "error resolving plugin reference: failed to resolve reference "
			       "\"%s\": %s: not found",
			       t->remote, t->remote);
	case SKOPEO_DENIED:
		return err_set(&t->err, -EACCES,
			       "plugin access denied for %s, repository does not exist or may "
			       "require 'docker login'",
			       t->text);
	default:
		return err_set(&t->err, -EIO, "the registry of %s cannot be used: %.600s", t->text,
			       why);
	}
}

static int run_skopeo(struct transfer *t, const char *const argv[], struct buf *out)
{
	_cleanup_buf_ struct buf errors = BUF_INIT;
	int rc = run_program(argv, NULL, out, &errors);

	if (rc < 0)
		return err_errno(&t->err, rc, "cannot run skopeo");
	return rc ? registry_error(t, &errors) : 0;
}

static int copy(struct transfer *t, const char *from, const char *to, bool push)
{
	const char *argv[16];
	int n = 0;

	argv[n++] = "skopeo";
	argv[n++] = "--override-os=linux";
	argv[n++] = "--insecure-policy";
	argv[n++] = "copy";
	argv[n++] = "--quiet";
	if (t->insecure)
		argv[n++] = push ? "--dest-tls-verify=false" : "--src-tls-verify=false";
	if (t->creds) {
		argv[n++] = push ? "--dest-creds" : "--src-creds";
		argv[n++] = t->creds;
	}
	argv[n++] = from;
	argv[n++] = to;
	argv[n] = NULL;
	return run_skopeo(t, argv, NULL);
}

static int read_json(struct transfer *t, const char *path, size_t max, json_t **ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int rc = file_read(path, max, &text, &t->err);

	if (rc)
		return rc;
	*ret = json_loadb(text.data, text.len, 0, NULL);
	return json_is_object(*ret)
		       ? 0
		       : err_set(&t->err, -EBADMSG,
				 "the registry gave for %s what is no JSON object", t->text);
}

static int read_config(struct transfer *t, json_t *in)
{
	/* an image's configuration has other fields: it names no interface */
	if (!json_is_object(json_member(in, "interface")))
		return err_set(&t->err, -EINVAL,
			       "did not find plugin config for specified reference %s: it is no "
			       "plugin",
			       t->text);
	return plugin_config_read(in, &t->parts.config, &t->err);
}

static int run_privileges(struct transfer *t)
{
	_cleanup_free_ char *url = xasprintf("docker://%s", t->remote);
	_cleanup_buf_ struct buf out = BUF_INIT;
	const char *argv[16];
	json_t *in;
	int n = 0, rc;

	argv[n++] = "skopeo";
	argv[n++] = "--override-os=linux";
	argv[n++] = "inspect";
	argv[n++] = "--raw";
	argv[n++] = "--config";
	if (t->insecure)
		argv[n++] = "--tls-verify=false";
	if (t->creds) {
		argv[n++] = "--creds";
		argv[n++] = t->creds;
	}
	argv[n++] = url;
	argv[n] = NULL;
	rc = run_skopeo(t, argv, &out);
	if (rc)
		return rc;
	in = json_loadb(out.data, out.len, 0, NULL);
	rc = read_config(t, in);
	json_decref(in);
	return rc;
}

/* Take one file of the folder as the blob that it must be. */
static int take_blob(struct transfer *t, const char *dir, json_t *descriptor, char ret[DIGEST_SIZE])
{
	const char *digest = json_string_value(json_member(descriptor, "digest"));
	_cleanup_free_ char *from = NULL, *to = NULL;
	char is[DIGEST_SIZE];
	int rc;

	if (!digest || !digest_valid(digest))
		return err_set(&t->err, -EBADMSG, "the manifest of %s names a blob without digest",
			       t->text);
	from = xasprintf("%s/%s", dir, digest + 7);
	rc = blob_digest(from, is, &t->err);
	if (!rc && strcmp(is, digest))
		rc = err_set(&t->err, -EBADMSG, "the blob %s of %s has the content of %s", digest,
			     t->text, is);
	if (rc)
		return rc;
	to = plugin_blob_path(t->root, digest);
	if (rename(from, to))
		return err_errno(&t->err, -errno, "cannot put the blob %s in place", to);
	strcpy(ret, digest);
	return 0;
}

static int take_config(struct transfer *t, const char *dir, json_t *descriptor)
{
	_cleanup_free_ char *path = NULL;
	json_t *in = NULL;
	int rc = take_blob(t, dir, descriptor, t->parts.config_digest);

	if (rc)
		return rc;
	path = plugin_blob_path(t->root, t->parts.config_digest);
	rc = read_json(t, path, PLUGIN_CONFIG_MAX, &in);
	if (!rc)
		rc = read_config(t, in);
	json_decref(in);
	if (!rc && t->granted)
		rc = plugin_privileges_check(t->parts.config, t->granted, &t->err);
	return rc;
}

static int take_layers(struct transfer *t, const char *dir, json_t *layers)
{
	char digest[DIGEST_SIZE], id[13] = "";
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	int rc;

	if (json_array_size(layers) != 1)
		return err_set(
			&t->err, -EINVAL,
			"the plugin %s has %zu layers: those that docker plugin create makes "
			"have one",
			t->text, json_array_size(layers));
	rc = take_blob(t, dir, json_array_get(layers, 0), digest);
	if (rc)
		return rc;
	memcpy(id, digest + 7, sizeof(id) - 1);
	say(t, id, "%s", "Download complete");
	t->parts.blobs = json_pack("[s]", digest);
	t->parts.rootfs = plugin_tmp(t->root, "rootfs", &t->err);
	if (!t->parts.rootfs)
		return t->err.code;
	path = plugin_blob_path(t->root, digest);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || chmod(t->parts.rootfs, 0755))
		return err_errno(&t->err, -errno, "cannot read %s", path);
	rc = tar_unpack(fd, t->parts.rootfs, false, NULL, &t->err);
	if (!rc)
		say(t, id, "%s", "Complete");
	return rc;
}

static int take_all(struct transfer *t, const char *dir)
{
	_cleanup_free_ char *path = xasprintf("%s/manifest.json", dir);
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_t *manifest;
	int rc = file_read(path, MANIFEST_MAX, &text, &t->err);

	if (rc)
		return rc;
	rc = plugin_blob_write(t->root, text.data, text.len, t->parts.manifest_digest, &t->err);
	if (rc)
		return rc;
	say(t, NULL, "Digest: %s", t->parts.manifest_digest);
	manifest = json_loadb(text.data, text.len, 0, NULL);
	rc = take_config(t, dir, json_member(manifest, "config"));
	if (!rc)
		rc = take_layers(t, dir, json_member(manifest, "layers"));
	json_decref(manifest);
	return rc;
}

static int run_pull(struct transfer *t)
{
	_cleanup_free_ char *dir = plugin_tmp(t->root, "pull", &t->err), *from = NULL, *to = NULL;
	struct reference r;
	int rc;

	if (!dir)
		return t->err.code;
	reference_parse(t->remote, &r, NULL);
	say(t, r.tag[0] ? r.tag : r.digest, "Pulling from %s", reference_familiar(&r));
	from = xasprintf("docker://%s", t->remote);
	to = xasprintf("dir:%s", dir);
	rc = copy(t, from, to, false);
	if (!rc)
		rc = take_all(t, dir);
	dir_remove_tree(dir, NULL);
	return rc;
}

static int link_blob(struct transfer *t, const char *dir, const char *digest)
{
	_cleanup_free_ char *from = plugin_blob_path(t->root, digest),
			    *to = xasprintf("%s/%s", dir, digest + 7);

	return link(from, to) && errno != EEXIST
		       ? err_errno(&t->err, -errno, "cannot read the plugin's blob %s", digest)
		       : 0;
}

static int run_push(struct transfer *t)
{
	static const char version[] = "Directory Transport Version: 1.1\n";
	_cleanup_free_ char *dir = plugin_tmp(t->root, "push", &t->err), *from = NULL, *to = NULL,
			    *name = NULL, *manifest = NULL, *as = NULL;
	struct reference r;
	json_t *v;
	size_t i;
	int rc;

	if (!dir)
		return t->err.code;
	reference_parse(t->remote, &r, NULL);
	say(t, NULL, "The push refers to repository [%s]", r.name);
	rc = link_blob(t, dir, t->parts.config_digest);
	json_array_foreach (t->parts.blobs, i, v)
		if (!rc)
			rc = link_blob(t, dir, json_string_value(v));
	manifest = plugin_blob_path(t->root, t->parts.manifest_digest);
	as = xasprintf("%s/manifest.json", dir);
	if (!rc && link(manifest, as))
		rc = err_errno(&t->err, -errno, "cannot read the plugin's manifest %s",
			       t->parts.manifest_digest);
	name = xasprintf("%s/version", dir);
	if (!rc)
		rc = file_write_volatile(name, version, sizeof(version) - 1, 0600, &t->err);
	from = xasprintf("dir:%s", dir);
	to = xasprintf("docker://%s", t->remote);
	if (!rc)
		rc = copy(t, from, to, true);
	if (!rc)
		json_array_foreach (t->parts.blobs, i, v) {
			_cleanup_free_ char *id = xstrndup(json_string_value(v) + 7, 12);

			say(t, id, "%s", "Upload complete");
		}
	if (!rc)
		say(t, NULL, "digest: %s", t->parts.manifest_digest);
	dir_remove_tree(dir, NULL);
	return rc;
}

/* --- on the loop --- */

static void work(void *arg)
{
	struct transfer *t = arg;

	if (!t->err.code)
		t->run(t);
}

static void finished(void *arg)
{
	struct transfer *t = arg;
	struct plugins *all = t->all;
	struct plugin *p = map_get(&all->by_id, t->id);

	all->jobs--;
	if (p)
		p->busy = false;
	if (!t->err.code && t->end)
		t->end(t);
	if (t->asked) {
		json_t *needed = t->err.code ? NULL : plugin_privileges(t->parts.config);

		t->asked(t->err.code ? &t->err : NULL, needed, t->arg);
		json_decref(needed);
	} else {
		t->done(t->err.code ? &t->err : NULL, t->arg);
	}
	plugin_parts_done(&t->parts);
	plugins_sweep(all);
	json_decref(t->granted);
	free(t->root);
	free(t->remote);
	free(t->text);
	free(t->creds);
	free(t);
}

static struct transfer *new_transfer(struct plugins *all, const char *remote, const char *auth,
				     int (*run)(struct transfer *t))
{
	struct transfer *t = xcalloc(1, sizeof(*t));
	struct reference r;

	t->all = all;
	t->root = xstrdup(all->root);
	t->run = run;
	t->creds = image_credentials(auth);
	if (reference_parse(remote, &r, &t->err))
		return t;
	t->remote = xasprintf("%s%s%s", r.name, r.digest[0] ? "@" : ":",
			      r.digest[0] ? r.digest : r.tag);
	t->text = xasprintf("%s%s%s", reference_familiar(&r), r.digest[0] ? "@" : ":",
			    r.digest[0] ? r.digest : r.tag);
	t->insecure = images_insecure(all->opt.images, r.name);
	t->parts.reference = xstrdup(t->remote);
	return t;
}

static void begin(struct transfer *t)
{
	t->all->jobs++;
	loop_thread(t->all->opt.loop, work, finished, t);
}

void plugin_ask_privileges(struct plugins *all, const char *remote, const char *auth,
			   plugin_asked asked, void *arg)
{
	struct transfer *t = new_transfer(all, remote, auth, run_privileges);

	t->asked = asked;
	t->arg = arg;
	begin(t);
}

static void pulled(struct transfer *t, const struct plugin *p)
{
	events_emit(t->all->opt.events, "plugin", "pull", t->text,
		    json_pack("{s:s}", "name", p->name));
}

static void end_pull(struct transfer *t)
{
	struct plugin *p;

	if (!plugin_install(t->all, &t->parts, &p, &t->err))
		pulled(t, p);
}

void plugin_pull(struct plugins *all, const char *remote, const char *name, const char *auth,
		 json_t *granted, plugin_progress progress, plugin_done done, void *arg)
{
	struct transfer *t = new_transfer(all, remote, auth, run_pull);

	t->progress = progress;
	t->done = done;
	t->arg = arg;
	t->end = end_pull;
	t->granted = granted ? json_incref(granted) : json_array();
	if (!t->err.code &&
	    !plugin_name_parse(str_empty(name) ? remote : name, &t->parts.name, &t->err))
		plugin_name_check(all, t->parts.name, &t->err);
	begin(t);
}

static void end_upgrade(struct transfer *t)
{
	struct plugin *p = map_get(&t->all->by_id, t->id);

	if (!plugin_replace(p, &t->parts, &t->err))
		pulled(t, p);
}

void plugin_upgrade(struct plugin *p, const char *remote, const char *auth, json_t *granted,
		    plugin_progress progress, plugin_done done, void *arg)
{
	struct transfer *t = new_transfer(p->all, remote, auth, run_pull);

	t->progress = progress;
	t->done = done;
	t->arg = arg;
	t->end = end_upgrade;
	t->granted = granted ? json_incref(granted) : json_array();
	if (p->enabled)
		err_set(&t->err, -EBUSY,
			"plugin must be disabled before upgrading: plugin %s is enabled", p->name);
	else if (p->busy || p->done || p->stop)
		err_set(&t->err, -EBUSY, "plugin %s is being changed: try again later", p->name);
	if (!t->err.code) {
		strcpy(t->id, p->id);
		p->busy = true;
	}
	begin(t);
}

void plugin_push(struct plugin *p, const char *auth, plugin_progress progress, plugin_done done,
		 void *arg)
{
	struct transfer *t = new_transfer(p->all, p->name, auth, run_push);

	t->progress = progress;
	t->done = done;
	t->arg = arg;
	t->parts.blobs = json_deep_copy(p->blobs);
	strcpy(t->parts.config_digest, p->config_digest);
	strcpy(t->parts.manifest_digest, p->manifest_digest);
	begin(t);
}
