// SPDX-License-Identifier: Apache-2.0
#include "ctr/volume_impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "core/buf.h"
#include "core/fields.h"
#include "core/rng.h"
#include "core/when.h"
#include "disk/file.h"
#include "loop/events.h"
#include "loop/loop.h"

static void volume_free(struct volume *v)
{
	json_decref(v->opts);
	json_decref(v->labels);
	free(v->name);
	free(v->driver);
	free(v->scope);
	free(v->dir);
	free(v->data);
	free(v);
}

static struct volume *add(struct volumes *vs, const char *name)
{
	struct volume *v = xcalloc(1, sizeof(*v));

	v->volumes = vs;
	v->name = xstrdup(name);
	v->dir = xasprintf("%s/%s", vs->root, name);
	v->data = xasprintf("%s/_data", v->dir);
	map_put(&vs->by_name, name, v);
	return v;
}

static void load(struct volumes *vs, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s/opts.json", vs->root, name);
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct volume *v;
	json_t *doc;

	if (file_read(path, 1 << 20, &text, NULL))
		return; /* half made: a crash came before its description */
	doc = json_loadb(text.data, text.len, 0, NULL);
	v = add(vs, name);
	if (*js(doc, "driver")) {
		v->driver = xstrdup(js(doc, "driver"));
		v->scope = xstrdup(js(doc, "scope"));
		free(v->data);
		v->data = xstrdup(js(doc, "mountpoint"));
	}
	v->opts = json_deep_copy(json_object_get(doc, "opts"));
	v->labels = json_deep_copy(json_object_get(doc, "labels"));
	v->created_ns = json_integer_value(json_object_get(doc, "created"));
	v->anonymous = json_is_true(json_object_get(doc, "anonymous"));
	if (!v->labels)
		v->labels = json_object();
	json_decref(doc);
}

int volumes_open(const struct volumes_options *opt, struct volumes **ret, struct err *err)
{
	struct volumes *vs = xcalloc(1, sizeof(*vs));
	struct dirent **names;
	int n, rc;

	vs->opt = *opt;
	vs->root = xasprintf("%s/volumes", opt->data_root);
	rc = dir_make(vs->root, 0701, err);
	if (rc) {
		volumes_free(vs);
		return rc;
	}
	n = scandir(vs->root, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.')
			load(vs, names[i]->d_name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	*ret = vs;
	return 0;
}

void volumes_free(struct volumes *vs)
{
	struct volume *v;
	const char *name;

	if (!vs)
		return;
	map_for_each (&vs->by_name, name, v)
		volume_free(v);
	map_done(&vs->by_name);
	free(vs->root);
	free(vs);
}

static void emit(struct volume *v, const char *action, json_t *attributes)
{
	json_object_set_new(attributes, "driver", json_string(volume_driver_name(v)));
	events_emit(v->volumes->opt.events, "volume", action, v->name, attributes);
}

void volume_emit(struct volume *v, const char *action)
{
	emit(v, action, json_object());
}

void volume_emit_use(struct volume *v, const char *who, const struct volume_use *use)
{
	json_t *a = json_pack("{s:s}", "container", who);

	if (use) {
		json_object_set_new(a, "destination", json_string(use->target));
		json_object_set_new(a, "propagation",
				    json_string(use->propagation ? use->propagation : ""));
		json_object_set_new(a, "read/write", json_string(use->rw ? "true" : "false"));
	}
	emit(v, use ? "mount" : "unmount", a);
}

bool volume_name_valid(const char *s)
{
	if (strlen(s) < 2 || strlen(s) > 255)
		return false;
	for (const char *p = s; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9') || (p > s && strchr("_.-", *p))))
			return false;
	return true;
}

static int check_opts(json_t *opts, struct err *err)
{
	static const char *const known[] = {"type", "o", "device", "size"};
	/* moby volume/local/local_unix.go mandatoryOpts */
	static const struct {
		const char *has, *lacks;
	} needs[] = {{"device", "type"}, {"type", "device"}, {"o", "device"}, {"o", "type"}};
	const char *key;
	json_t *v;

	json_object_foreach (opts, key, v) {
		bool ok = false;

		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			ok |= !strcmp(key, known[i]);
		if (!ok)
			return err_set(err, -EINVAL, "create: invalid option: \"%s\"", key);
	}
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (json_object_get(opts, needs[i].has) && !json_object_get(opts, needs[i].lacks))
			return err_set(err, -EINVAL, "create: missing required option: \"%s\"",
				       needs[i].lacks);
	return 0;
}

int volume_name_check(const char *name, struct err *err)
{
	if (volume_name_valid(name))
		return 0;
	return err_set(
		err, -EINVAL,
		"create %s: \"%s\" includes invalid characters for a local volume name, only "
		"\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
		"directory, use absolute path",
		name, name);
}

/* Drivers are called with and without ":latest". */
static bool same_driver(const struct volume *v, const char *name)
{
	const char *is = volume_driver_name(v);
	size_t n = strlen(name);

	return !strncmp(is, name, n) && (!is[n] || !strcmp(is + n, ":latest"));
}

/* A volume that is there already, or was made for this call by volumes_provide(). */
static struct volume *find_made(struct volumes *vs, const char *name, const char *driver,
				struct err *err)
{
	struct volume *v;
	const char *key;

	if (!str_empty(name)) {
		v = map_get(&vs->by_name, name);
		if (v && !str_empty(driver) && !same_driver(v, driver)) {
			err_set(err, -EEXIST,
				"create %s: driver '%s' already has volume '%s': volume name must "
				"be "
				"unique",
				name, volume_driver_name(v), name);
			return NULL;
		}
		return v;
	}
	if (!str_empty(driver))
		map_for_each (&vs->by_name, key, v)
			if (v->unclaimed && same_driver(v, driver)) {
				v->unclaimed = false;
				return v;
			}
	return NULL;
}

struct volume *volume_add(struct volumes *vs, const char *name, json_t *opts, json_t *labels)
{
	struct volume *v = add(vs, name);

	v->opts = json_object_size(opts) ? json_deep_copy(opts) : NULL;
	v->labels = json_is_object(labels) ? json_deep_copy(labels) : json_object();
	v->created_ns = loop_wall_ns();
	return v;
}

int volume_save(struct volume *v, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/opts.json", v->dir), *text = NULL;
	json_t *doc = json_pack("{s:O?, s:O, s:I, s:b}", "opts", v->opts, "labels", v->labels,
				"created", (json_int_t)v->created_ns, "anonymous", v->anonymous);
	int rc = dir_make(v->dir, 0755, err);

	if (v->driver) {
		json_object_set_new(doc, "driver", json_string(v->driver));
		json_object_set_new(doc, "scope", json_string(v->scope));
		json_object_set_new(doc, "mountpoint", json_string(v->data));
	}
	text = json_dumps(doc, 0);
	json_decref(doc);
	return rc ? rc : file_write_atomic(path, text, strlen(text), 0600, err);
}

void volume_forget(struct volume *v)
{
	dir_remove_tree(v->dir, NULL);
	map_del(&v->volumes->by_name, v->name);
	volume_free(v);
}

int volume_create(struct volumes *vs, const char *name, const char *driver, json_t *opts,
		  json_t *labels, struct volume **ret, struct err *err)
{
	char made_up[HEX_ID_SIZE];
	bool anonymous = str_empty(name);
	struct err why = ERR_INIT;
	struct volume *v = find_made(vs, name, driver, &why);
	int rc;

	if (v) {
		*ret = v;
		return 0;
	}
	if (why.code)
		return err_set(err, why.code, "%s", why.msg);
	if (!str_empty(driver) && strcmp(driver, "local"))
		return err_set(err, -ENOENT,
			       "error looking up volume plugin %s: plugin \"%s\" not found", driver,
			       driver);
	if (anonymous) {
		id_new_hex(vs->opt.rng, made_up);
		name = made_up;
	}
	rc = volume_name_check(name, err);
	if (!rc)
		rc = check_opts(opts, err);
	if (rc)
		return rc;
	v = volume_add(vs, name, opts, labels);
	v->anonymous = anonymous;
	if (anonymous)
		json_object_set_new(v->labels, "com.docker.volume.anonymous", json_string(""));
	rc = dir_make(v->data, 0755, err);
	if (!rc)
		rc = volume_save(v, err);
	if (rc) {
		volume_forget(v);
		return rc;
	}
	volume_emit(v, "create");
	*ret = v;
	return 0;
}

struct volume *volume_find(struct volumes *vs, const char *name, struct err *err)
{
	struct volume *v = map_get(&vs->by_name, name);

	if (!v)
		err_set(err, -ENOENT, "get %s: no such volume", name);
	return v;
}

struct volume *volumes_next(struct volumes *vs, struct volume *after)
{
	struct volume *v;
	const char *name;
	bool found = !after;

	map_for_each (&vs->by_name, name, v) {
		if (found)
			return v;
		found = v == after;
	}
	return NULL;
}

const char *volume_name(const struct volume *v)
{
	return v->name;
}

const char *volume_path(const struct volume *v)
{
	return v->data;
}

const char *volume_driver_name(const struct volume *v)
{
	return v->driver ? v->driver : "local";
}

bool volume_local(const struct volume *v)
{
	return !v->driver;
}

unsigned int volumes_of_driver(struct volumes *vs, const char *driver)
{
	unsigned int n = 0;
	struct volume *v;
	const char *name;

	map_for_each (&vs->by_name, name, v)
		n += streq(v->driver, driver);
	return n;
}

bool volume_anonymous(const struct volume *v)
{
	return v->anonymous;
}

json_t *volume_labels(const struct volume *v)
{
	return v->labels;
}

json_t *volume_inspect(const struct volume *v)
{
	char when[40];

	return json_pack("{s:s, s:s, s:s, s:s, s:O, s:O?, s:s}", "CreatedAt",
			 time_format(v->created_ns, when), "Driver", volume_driver_name(v),
			 "Mountpoint", v->data, "Name", v->name, "Labels",
			 json_object_size(v->labels) ? v->labels : json_null(), "Options", v->opts,
			 "Scope", v->scope ? v->scope : "local");
}

int volume_remove(struct volume *v, struct err *err)
{
	int rc = dir_remove_tree(v->dir, err);

	if (rc)
		return rc;
	volume_emit(v, "destroy");
	map_del(&v->volumes->by_name, v->name);
	volume_free(v);
	return 0;
}

static const char *opt_of(const struct volume *v, const char *key)
{
	const char *s = json_string_value(json_object_get(v->opts, key));

	return s ? s : "";
}

int volume_mount(struct volume *v, const char *who, const struct volume_use *use, struct err *err)
{
	const char *device = opt_of(v, "device"), *type = opt_of(v, "type"), *o = opt_of(v, "o");

	if (!v->users && *device) {
		_cleanup_free_ char *rest = xstrdup(o);
		unsigned long flags = 0;

		if (!strcmp(type, "none") || strstr(o, "bind")) {
			flags = MS_BIND | (strstr(o, "rbind") ? MS_REC : 0);
			*rest = 0;
		}
		if (mount(device, v->data, *type ? type : NULL, flags, *rest ? rest : NULL))
			return err_errno(
				err, -errno,
				"error while mounting volume '%s': failed to mount local volume: "
				"mount %s:%s, flags: 0x%lx, data: %s",
				v->data, device, v->data, flags, o);
	}
	v->users++;
	volume_emit_use(v, who, use);
	return 0;
}

void volume_unmount(struct volume *v, const char *who)
{
	if (!v->users)
		return;
	if (!--v->users && *opt_of(v, "device"))
		umount2(v->data, MNT_DETACH);
	volume_emit_use(v, who, NULL);
}

void volume_adopt(struct volume *v)
{
	v->users++;
}
