// SPDX-License-Identifier: Apache-2.0
/* Plugins on disk and by name. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "core/log.h"
#include "ctr/stream.h"
#include "disk/file.h"
#include "disk/mount.h"
#include "image/reference.h"
#include "loop/events.h"
#include "plugin/config.h"
#include "plugin/plugin_impl.h"

char *plugin_blob_path(const char *root, const char *digest)
{
	return xasprintf("%s/storage/blobs/sha256/%s", root, digest + 7);
}

struct plugin *plugin_new(struct plugins *all, const char *id)
{
	struct plugin *p = xcalloc(1, sizeof(*p));

	p->all = all;
	p->pidfd = -1;
	timer_init(&p->timer, all->opt.loop, plugin_next, p);
	snprintf(p->id, sizeof(p->id), "%s", id);
	p->dir = xasprintf("%s/%s", all->root, id);
	p->sock_dir = xasprintf("%s/%s", all->exec_root, id);
	p->run_dir = xasprintf("%s/%.32s.run", all->exec_root, id);
	return p;
}

void plugin_free(struct plugin *p)
{
	timer_done(&p->timer);
	shim_close(p->shim);
	if (p->pidfd >= 0)
		close(p->pidfd);
	json_decref(p->config);
	json_decref(p->settings);
	json_decref(p->blobs);
	free(p->name);
	free(p->reference);
	free(p->rootfs);
	free(p->dir);
	free(p->sock_dir);
	free(p->run_dir);
	free(p);
}

json_t *plugin_inspect(const struct plugin *p)
{
	return json_pack("{s:s, s:s, s:b, s:O, s:s, s:O}", "Id", p->id, "Name", p->name, "Enabled",
			 p->enabled, "Settings", p->settings, "PluginReference", p->reference,
			 "Config", p->config);
}

int plugin_save(struct plugin *p, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/config.json", p->dir), *text = NULL;
	json_t *doc =
		json_pack("{s:o, s:s, s:s, s:O, s:s, s:i}", "plugin", plugin_inspect(p), "Config",
			  p->config_digest, "Manifest", p->manifest_digest, "Blobsums", p->blobs,
			  "Rootfs", p->rootfs, "Timeout", (int)p->timeout_s);

	text = json_dumps(doc, JSON_COMPACT);
	json_decref(doc);
	return file_write_atomic(path, text, strlen(text), 0600, err);
}

/* --- reading --- */

static void take_digest(char to[DIGEST_SIZE], const char *text)
{
	if (digest_valid(text))
		strcpy(to, text);
}

static int take(struct plugin *p, json_t *doc, struct err *err)
{
	json_t *o = json_object_get(doc, "plugin"), *settings = json_object_get(o, "Settings"),
	       *blobs = json_object_get(doc, "Blobsums"), *v;
	const char *rootfs = js(doc, "Rootfs");
	size_t i;

	if (!*js(o, "Name") || !json_is_object(settings) || !*rootfs || strchr(rootfs, '/'))
		return err_set(err, -EINVAL, "the description of the plugin %s is damaged", p->id);
	p->name = xstrdup(js(o, "Name"));
	p->reference = xstrdup(js(o, "PluginReference"));
	p->enabled = jb(o, "Enabled");
	p->settings = json_deep_copy(settings);
	p->rootfs = xstrdup(rootfs);
	p->timeout_s = ji(doc, "Timeout");
	take_digest(p->config_digest, js(doc, "Config"));
	take_digest(p->manifest_digest, js(doc, "Manifest"));
	p->blobs = json_array();
	json_array_foreach (blobs, i, v)
		if (json_is_string(v) && digest_valid(json_string_value(v)))
			json_array_append(p->blobs, v);
	return plugin_config_read(json_object_get(o, "Config"), &p->config, err);
}

/* Root file systems that an upgrade has left, before or behind its change of config.json. */
static void drop_old_roots(struct plugin *p)
{
	struct dirent **names;
	int n = scandir(p->dir, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", p->dir, names[i]->d_name);

		if (starts_with(names[i]->d_name, "rootfs") && strcmp(names[i]->d_name, p->rootfs))
			dir_remove_tree(path, NULL);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

static int load(struct plugins *all, const char *id, struct err *err)
{
	struct plugin *p = plugin_new(all, id);
	_cleanup_free_ char *path = xasprintf("%s/config.json", p->dir);
	_cleanup_buf_ struct buf text = BUF_INIT;
	int rc = file_read(path, 4 * PLUGIN_CONFIG_MAX, &text, err);
	json_t *doc = rc ? NULL : json_loadb(text.data, text.len, 0, NULL);

	if (!rc)
		rc = take(p, doc, err);
	json_decref(doc);
	if (rc) {
		plugin_free(p);
		return rc;
	}
	drop_old_roots(p);
	map_put(&all->by_id, p->id, p);
	return 0;
}

static bool is_id(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

int plugins_load(struct plugins *all, struct err *err)
{
	struct dirent **names;
	int n = scandir(all->root, &names, NULL, alphasort);

	if (n < 0)
		return err_errno(err, -errno, "cannot read %s", all->root);
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", all->root, names[i]->d_name);
		struct err why = ERR_INIT;

		if (is_id(names[i]->d_name) && load(all, names[i]->d_name, &why)) {
			/* an installation that a crash has cut has no description */
			if (why.code == -ENOENT)
				dir_remove_tree(path, NULL);
			else
				log_error("a plugin is left out: %s", why.msg);
		} else if (ends_with(names[i]->d_name, "-removing")) {
			mount_detach_tree(path, NULL);
			dir_remove_tree(path, NULL);
		}
		free(names[i]);
	}
	free(names);
	return 0;
}

/* --- finding --- */

int plugin_name_parse(const char *text, char **ret, struct err *err)
{
	struct reference r;
	int rc = reference_parse(text, &r, err);

	if (rc)
		return rc;
	if (r.digest[0])
		return err_set(err, -EINVAL, "cannot use digest in plugin tag");
	*ret = xasprintf("%s:%s", reference_familiar(&r), r.tag);
	return 0;
}

struct plugin *plugin_find(struct plugins *all, const char *ref, struct err *err)
{
	struct plugin *p = map_get(&all->by_id, ref), *found = NULL;
	_cleanup_free_ char *name = NULL;
	const char *id;

	if (p)
		return p;
	plugin_name_parse(ref, &name, NULL);
	map_for_each (&all->by_id, id, p)
		if (name && !strcmp(p->name, name))
			return p;
	map_for_each (&all->by_id, id, p) {
		if (!*ref || strncmp(id, ref, strlen(ref)))
			continue;
		if (found) {
			err_set(err, -EINVAL, "multiple plugins found for \"%s\"", ref);
			return NULL;
		}
		found = p;
	}
	if (!found)
		err_set(err, -ENOENT, "plugin \"%s\" not found", ref);
	return found;
}

struct plugin *plugins_next(struct plugins *all, struct plugin *after)
{
	bool found = !after;
	struct plugin *p;
	const char *id;

	map_for_each (&all->by_id, id, p) {
		if (found)
			return p;
		found = p == after;
	}
	return NULL;
}

int plugin_name_check(struct plugins *all, const char *name, struct err *err)
{
	struct plugin *p;
	const char *id;

	map_for_each (&all->by_id, id, p)
		if (!strcmp(p->name, name))
			return err_set(err, -EEXIST, "plugin %s already exists", name);
	return 0;
}

bool plugin_enabled(const struct plugin *p)
{
	return p->enabled;
}

json_t *plugin_types(const struct plugin *p)
{
	return json_object_get(json_object_get(p->config, "Interface"), "Types");
}

bool plugin_capable(const struct plugin *p, const char *capability)
{
	return plugin_has(p->config, capability);
}

int plugin_change(struct plugin *p, json_t *args, struct err *err)
{
	struct err why = ERR_INIT;

	if (p->enabled)
		return err_set(err, -EIO,
			       "cannot set on an active plugin, disable plugin before setting");
	if (p->busy || p->done)
		return err_set(err, -EBUSY, "plugin %s is being changed: try again later", p->name);
	if (plugin_set(p->config, p->settings, args, &why)) /* 500, as dockerd answers it */
		return err_set(err, -EIO, "%s", why.msg);
	return plugin_save(p, err);
}

/* --- telling --- */

void plugin_emit(struct plugin *p, const char *action, const char *name)
{
	events_emit(p->all->opt.events, "plugin", action, p->id, json_pack("{s:s}", "name", name));
}

void plugins_tell(struct plugins *all)
{
	if (all->changed && !all->closing)
		all->changed(all->changed_arg);
}

void plugins_set_users(struct plugins *all, unsigned int (*fn)(const char *name, void *arg),
		       void *arg)
{
	all->users = fn;
	all->users_arg = arg;
}

void plugins_set_changed(struct plugins *all, void (*fn)(void *arg), void *arg)
{
	all->changed = fn;
	all->changed_arg = arg;
}

/* --- blobs --- */

static void use(struct map *used, const char *digest)
{
	if (*digest)
		map_put(used, digest + 7, used);
}

void plugins_sweep(struct plugins *all)
{
	_cleanup_free_ char *dir = xasprintf("%s/storage/blobs/sha256", all->root);
	struct map used = MAP_INIT;
	struct dirent *e;
	struct plugin *p;
	const char *id;
	json_t *v;
	size_t i;
	DIR *d;

	if (all->jobs)
		return;
	map_for_each (&all->by_id, id, p) {
		use(&used, p->config_digest);
		use(&used, p->manifest_digest);
		json_array_foreach (p->blobs, i, v)
			use(&used, json_string_value(v));
	}
	d = opendir(dir);
	while (d && (e = readdir(d))) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, e->d_name);

		if (e->d_name[0] != '.' && !map_has(&used, e->d_name))
			unlink(path);
	}
	if (d)
		closedir(d);
	map_done(&used);
}
