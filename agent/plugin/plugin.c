// SPDX-License-Identifier: Apache-2.0
/* Opening and closing, and what the user wants of a plugin: enabled, disabled, gone. */
#include "plugin/plugin.h"

#include <errno.h>
#include <stdio.h>

#include "core/log.h"
#include "ctr/cgroup.h"
#include "disk/file.h"
#include "disk/mount.h"
#include "plugin/plugin_impl.h"
#include "plugin/volume.h"

int plugins_open(const struct plugins_options *opt, struct plugins **ret, struct err *err)
{
	struct plugins *all = xcalloc(1, sizeof(*all));
	_cleanup_free_ char *tmp = NULL, *blobs = NULL;
	int rc;

	all->opt = *opt;
	all->root = xasprintf("%s/plugins", opt->data_root);
	all->exec_root = xasprintf("%s/plugins", opt->exec_root);
	all->rtroot = xasprintf("%s/runtime", all->exec_root);
	all->shim = xstrdup(opt->shim);
	all->cgroup_parent =
		xstrdup(str_empty(opt->cgroup_parent) ? "/docker" : opt->cgroup_parent);
	plugin_drivers_init(all);
	tmp = xasprintf("%s/tmp", all->root);
	blobs = xasprintf("%s/storage/blobs/sha256", all->root);
	dir_remove_tree(tmp, NULL);
	rc = dir_make(tmp, 0700, err);
	if (!rc)
		rc = dir_make(blobs, 0700, err);
	if (!rc)
		rc = plugins_load(all, err);
	if (rc) {
		plugins_free(all);
		return rc;
	}
	plugins_sweep(all);
	*ret = all;
	return 0;
}

void plugins_resume(struct plugins *all, const char *runtime)
{
	struct plugin *p;
	const char *id;

	all->runtime = xstrdup(runtime);
	dir_make(all->exec_root, 0700, NULL);
	map_for_each (&all->by_id, id, p)
		plugin_restore(p);
}

void plugins_cancel(struct plugins *all)
{
	if (all)
		atomic_store(&all->cancel, true);
}

void plugins_free(struct plugins *all)
{
	struct plugin *p;
	const char *id;
	bool runs = false;

	if (!all)
		return;
	all->closing = true;
	map_for_each (&all->by_id, id, p) {
		runs |= p->state != PLUGIN_DOWN;
		plugin_free(p);
	}
	map_done(&all->by_id);
	if (!runs && all->runtime) {
		dir_remove_tree(all->exec_root, NULL);
		cgroup_remove_parent(all->cgroup_parent);
	}
	free(all->root);
	free(all->exec_root);
	free(all->rtroot);
	free(all->shim);
	free(all->runtime);
	free(all->cgroup_parent);
	free(all);
}

/* --- what the user wants --- */

/* Something that is to be done to a plugin, by its ID, and who wants to know. */
struct wish {
	struct plugins *all;
	char id[65];
	plugin_done done;
	void *arg;
	struct err err;
	char *ref; /* what the user calls it */
	char *dir, *sock_dir;
};

static struct wish *new_wish(struct plugin *p, const char *ref, plugin_done done, void *arg)
{
	struct wish *w = xcalloc(1, sizeof(*w));

	w->all = p->all;
	strcpy(w->id, p->id);
	w->ref = xstrdup(ref);
	w->done = done;
	w->arg = arg;
	return w;
}

static void grant(struct wish *w, const struct err *err)
{
	w->done(err && err->code ? err : NULL, w->arg);
	free(w->ref);
	free(w->dir);
	free(w->sock_dir);
	free(w);
}

static void refuse_later(void *arg)
{
	struct wish *w = arg;

	grant(w, &w->err);
}

static void refuse(struct wish *w)
{
	loop_defer(w->all->opt.loop, refuse_later, w);
}

static int check_idle(struct plugin *p, struct err *err)
{
	if (p->busy || p->done || p->stop)
		return err_set(
			err, -EBUSY,
			"plugin %s is being enabled, disabled, upgraded or removed: try again "
			"when that is done",
			p->name);
	return 0;
}

static int check_unused(struct plugin *p, struct err *err)
{
	if (p->all->users && p->all->users(p->name, p->all->users_arg))
		return err_set(err, -EBUSY, "plugin %s is in use", p->name);
	return 0;
}

static void set_enabled(struct plugin *p, struct wish *w, bool enabled)
{
	p->enabled = enabled;
	if (plugin_save(p, &w->err))
		return;
	plugin_emit(p, enabled ? "enable" : "disable", w->ref);
	plugins_tell(p->all);
}

static void on_up(const struct err *err, void *arg)
{
	struct wish *w = arg;
	struct plugin *p = map_get(&w->all->by_id, w->id);

	if (!err)
		set_enabled(p, w, true);
	grant(w, err ? err : &w->err);
}

static int check_useful(struct plugin *p, struct err *err)
{
	const char *type = json_string_value(json_array_get(plugin_types(p), 0));

	if (plugin_capable(p, "volumedriver"))
		return 0;
	return err_set(err, -EOPNOTSUPP,
		       "plugin %s cannot be enabled: it serves %s, but only volume drivers "
		       "(docker.volumedriver/1.0) are of use here, networks and logs have built-in "
		       "drivers",
		       p->name, type ? type : "nothing");
}

void plugin_enable(struct plugin *p, const char *ref, unsigned int timeout_s, plugin_done done,
		   void *arg)
{
	struct wish *w = new_wish(p, ref, done, arg);

	if (p->enabled)
		err_set(&w->err, -EBUSY, "plugin already enabled: plugin %s is enabled", p->name);
	else if (!check_useful(p, &w->err))
		check_idle(p, &w->err);
	if (w->err.code) {
		refuse(w);
		return;
	}
	p->timeout_s = timeout_s;
	p->done = on_up;
	p->done_arg = w;
	plugin_up(p);
}

static void on_down(const struct err *err, void *arg)
{
	struct wish *w = arg;
	struct plugin *p = map_get(&w->all->by_id, w->id);

	if (!err)
		set_enabled(p, w, false);
	grant(w, err ? err : &w->err);
}

void plugin_disable(struct plugin *p, const char *ref, bool force, plugin_done done, void *arg)
{
	struct wish *w = new_wish(p, ref, done, arg);

	if (!force)
		check_unused(p, &w->err);
	if (!w->err.code && !p->enabled)
		err_set(&w->err, -EBUSY, "plugin is already disabled: plugin %s found but disabled",
			p->name);
	if (!w->err.code)
		check_idle(p, &w->err);
	if (w->err.code)
		refuse(w);
	else
		plugin_down(p, on_down, w);
}

/* --- removing --- */

static void remove_work(void *arg)
{
	struct wish *w = arg;
	_cleanup_free_ char *away = xasprintf("%s-removing", w->dir);

	mount_detach_tree(w->dir, NULL);
	dir_remove_tree(away, NULL);
	if (rename(w->dir, away)) {
		err_errno(&w->err, -errno, "cannot remove the plugin's folder %s", w->dir);
		return;
	}
	dir_remove_tree(away, &w->err);
	dir_remove_tree(w->sock_dir, NULL);
}

static void removed(void *arg)
{
	struct wish *w = arg;
	struct plugin *p = map_get(&w->all->by_id, w->id);
	bool was_enabled = p->enabled;

	p->busy = false;
	if (!w->err.code) {
		plugin_emit(p, "remove", w->ref);
		map_del(&w->all->by_id, w->id);
		plugin_free(p);
		plugins_sweep(w->all);
		if (was_enabled)
			plugins_tell(w->all);
	}
	grant(w, &w->err);
}

static void on_down_remove(const struct err *err, void *arg)
{
	struct wish *w = arg;
	struct plugin *p = map_get(&w->all->by_id, w->id);

	(void)err;
	p->busy = true;
	loop_work(w->all->opt.loop, remove_work, removed, w);
}

void plugin_remove(struct plugin *p, const char *ref, bool force, plugin_done done, void *arg)
{
	struct wish *w = new_wish(p, ref, done, arg);

	w->dir = xstrdup(p->dir);
	w->sock_dir = xstrdup(p->sock_dir);
	if (!force)
		check_unused(p, &w->err);
	if (!force && !w->err.code && p->enabled)
		err_set(&w->err, -EBUSY, "plugin %s is enabled", p->name);
	if (!w->err.code)
		check_idle(p, &w->err);
	if (w->err.code)
		refuse(w);
	else
		plugin_down(p, on_down_remove, w);
}

json_t *plugins_describe(struct plugins *all)
{
	json_t *out = json_array(), *names = all->drivers.names(all), *v;
	size_t i;

	json_array_foreach (names, i, v)
		json_array_append_new(out, json_pack("{s:s, s:O}", "Type", "Volume", "Name", v));
	json_decref(names);
	return out;
}
