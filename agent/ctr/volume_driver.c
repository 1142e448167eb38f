// SPDX-License-Identifier: Apache-2.0
#include "ctr/volume_driver.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "core/fields.h"

enum {
	PATIENCE_MS = 30000, /* for one that is just starting */
	UNMOUNT_PATIENCE_MS = 3000, /* an end does not wait for a driver that is gone */
	LOOK_PATIENCE_MS = 1000, /* one of many that are asked */
	LONG_MS = 120000, /* what touches data, as dockerd has it */
	SHORT_MS = 60000,
};

void volume_driver_free(struct volume_driver *d)
{
	if (!d)
		return;
	free(d->name);
	free(d->address);
	free(d->root);
	free(d->from);
	free(d->to);
	free(d);
}

struct method {
	const char *name;
	unsigned int patience_ms, timeout_ms;
};

static int call(const struct volume_drivers *drivers, const struct volume_driver *d,
		const struct method *m, json_t *request, json_t **ret, struct err *err)
{
	_cleanup_free_ char *method = xasprintf("VolumeDriver.%s", m->name);
	int rc = drivers->call(d, method, request, m->patience_ms,
			       d->timeout_ms ? d->timeout_ms : m->timeout_ms, ret, err);

	json_decref(request);
	return rc;
}

/* A path that the plugin named, on the node; malloc'd. */
static char *node_path(const struct volume_driver *d, const char *path)
{
	size_t n = d->from ? strlen(d->from) : 0;

	if (!*path)
		return xstrdup("");
	if (n && !strncmp(path, d->from, n) && (!path[n] || path[n] == '/'))
		return xasprintf("%s%s", d->to, path + n);
	return xasprintf("%s%s%s", d->root ? d->root : "", *path == '/' ? "" : "/", path);
}

static int check_path(const struct volume_driver *d, const char *name, const char *path,
		      struct err *err)
{
	if (*path && (*path != '/' || path_climbs(path)))
		return err_set(err, -EIO,
			       "the volume driver %s says that the volume %s is at %s, which is no "
			       "absolute path without \"..\"",
			       d->name, name, path);
	return 0;
}

int volume_driver_get(const struct volume_drivers *drivers, const struct volume_driver *d,
		      const char *name, bool wait, json_t **ret, struct err *err)
{
	const struct method get = {"Get", wait ? PATIENCE_MS : LOOK_PATIENCE_MS, SHORT_MS};
	_cleanup_free_ char *path = NULL;
	json_t *doc, *v, *status;
	int rc = call(drivers, d, &get, json_pack("{s:s}", "Name", name), &doc, err);

	if (rc)
		return rc;
	v = json_member(doc, "Volume");
	if (!json_is_object(v)) {
		json_decref(doc);
		return err_set(err, -ENOENT, "no such volume");
	}
	status = json_member(v, "Status");
	rc = check_path(d, name, json_string_value(json_member(v, "Mountpoint")) ?: "", err);
	if (!rc) {
		path = node_path(d, json_string_value(json_member(v, "Mountpoint")) ?: "");
		*ret = json_pack("{s:s, s:O?, s:O?}", "Mountpoint", path, "CreatedAt",
				 json_is_string(json_member(v, "CreatedAt"))
					 ? json_member(v, "CreatedAt")
					 : NULL,
				 "Status", json_is_object(status) ? status : NULL);
	}
	json_decref(doc);
	return rc;
}

int volume_driver_create(const struct volume_drivers *drivers, const struct volume_driver *d,
			 const char *name, json_t *opts, struct err *err)
{
	static const struct method create = {"Create", PATIENCE_MS, LONG_MS};
	json_t *there = NULL;

	/* a driver that knows no Get fails for what is there as for what is not */
	if (!volume_driver_get(drivers, d, name, true, &there, NULL)) {
		json_decref(there);
		return 0;
	}
	return call(drivers, d, &create,
		    json_pack("{s:s, s:o}", "Name", name, "Opts",
			      opts ? json_incref(opts) : json_object()),
		    NULL, err);
}

int volume_driver_list(const struct volume_drivers *drivers, const struct volume_driver *d,
		       json_t **ret, struct err *err)
{
	static const struct method list = {"List", LOOK_PATIENCE_MS, SHORT_MS};
	json_t *doc, *out, *v;
	size_t i;
	int rc = call(drivers, d, &list, json_object(), &doc, err);

	if (rc)
		return rc;
	out = json_array();
	json_array_foreach (json_member(doc, "Volumes"), i, v) {
		const char *name = json_string_value(json_member(v, "Name")),
			   *path = json_string_value(json_member(v, "Mountpoint"));
		_cleanup_free_ char *on_node = NULL;

		if (i == VOLUME_LIST_MAX)
			break;
		if (str_empty(name) || strlen(name) > 255 || check_path(d, name, path ?: "", NULL))
			continue;
		on_node = node_path(d, path ?: "");
		json_array_append_new(out,
				      json_pack("{s:s, s:s}", "Name", name, "Mountpoint", on_node));
	}
	json_decref(doc);
	*ret = out;
	return 0;
}

const char *volume_driver_scope(const struct volume_drivers *drivers, const struct volume_driver *d)
{
	static const struct method capabilities = {"Capabilities", PATIENCE_MS, SHORT_MS};
	const char *scope;
	json_t *doc;
	bool global;

	/* it was added later: drivers without it are local */
	if (call(drivers, d, &capabilities, json_object(), &doc, NULL))
		return "local";
	scope = json_string_value(json_member(json_member(doc, "Capabilities"), "Scope"));
	global = scope && !strcasecmp(scope, "global");
	json_decref(doc);
	return global ? "global" : "local";
}

/* What a managed plugin names must be its own, also where a link leads out of it. */
static int check_own(const struct volume_driver *d, const char *name, const char *path,
		     struct err *err)
{
	_cleanup_free_ char *real = realpath(path, NULL),
			    *own = d->root ? realpath(d->root, NULL) : NULL,
			    *shared = d->to ? realpath(d->to, NULL) : NULL;

	if (!d->root)
		return 0;
	if (real && ((own && starts_with(real, own) && real[strlen(own)] == '/') ||
		     (shared && starts_with(real, shared) && real[strlen(shared)] == '/')))
		return 0;
	return err_set(err, -EIO,
		       "the volume driver %s mounted the volume %s at %s, which is not in the "
		       "plugin's PropagatedMount or root file system",
		       d->name, name, path);
}

int volume_driver_mount(const struct volume_drivers *drivers, const struct volume_driver *d,
			const char *name, const char *id, char **ret, struct err *err)
{
	static const struct method mount = {"Mount", PATIENCE_MS, LONG_MS};
	const char *path;
	json_t *doc;
	int rc = call(drivers, d, &mount, json_pack("{s:s, s:s}", "Name", name, "ID", id), &doc,
		      err);

	if (rc)
		return rc;
	path = json_string_value(json_member(doc, "Mountpoint"));
	rc = str_empty(path) ? err_set(err, -EIO,
				       "the volume driver %s mounted the volume %s without saying "
				       "where",
				       d->name, name)
			     : check_path(d, name, path, err);
	if (!rc) {
		_cleanup_free_ char *on_node = node_path(d, path);

		rc = check_own(d, name, on_node, err);
		if (!rc)
			*ret = steal_ptr(on_node);
	}
	json_decref(doc);
	if (rc)
		volume_driver_unmount(drivers, d, name, id, NULL);
	return rc;
}

int volume_driver_unmount(const struct volume_drivers *drivers, const struct volume_driver *d,
			  const char *name, const char *id, struct err *err)
{
	static const struct method unmount = {"Unmount", UNMOUNT_PATIENCE_MS, LONG_MS};

	return call(drivers, d, &unmount, json_pack("{s:s, s:s}", "Name", name, "ID", id), NULL,
		    err);
}

int volume_driver_remove(const struct volume_drivers *drivers, const struct volume_driver *d,
			 const char *name, struct err *err)
{
	static const struct method remove = {"Remove", UNMOUNT_PATIENCE_MS, LONG_MS};

	return call(drivers, d, &remove, json_pack("{s:s}", "Name", name), NULL, err);
}
