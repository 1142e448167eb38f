// SPDX-License-Identifier: Apache-2.0
/* /volumes: the local ones and those of plugins. */
#include <errno.h>

#include "api/api.h"
#include "core/map.h"
#include "ctr/archive.h"
#include "ctr/ctr.h"
#include "ctr/volume.h"
#include "disk/file.h"
#include "loop/events.h"
#include "loop/loop.h"

static const char *const list_filters[] = {"dangling", "driver", "label", "name", NULL};

struct listing {
	struct api_call *call;
	struct filters *filters;
	bool dangling;
};

static bool fits(const struct listing *l, json_t *v)
{
	const char *name = json_string_value(json_object_get(v, "Name"));

	return filters_match_regex(l->filters, "name", name) &&
	       filters_match(l->filters, "driver",
			     json_string_value(json_object_get(v, "Driver"))) &&
	       filters_match_labels(l->filters, "label", json_object_get(v, "Labels")) &&
	       (!filters_has(l->filters, "dangling") ||
		l->dangling != ctrs_volume_used(l->call->engine->ctrs, name));
}

static void listed(json_t *list, json_t *warnings, void *arg)
{
	struct listing *l = arg;
	json_t *out = json_array(), *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (fits(l, v))
			json_array_append(out, v);
	filters_free(l->filters);
	api_reply(l->call, 200,
		  json_pack("{s:o, s:O}", "Volumes", out, "Warnings",
			    json_array_size(warnings) ? warnings : json_null()));
	free(l);
}

static void list(struct api_call *call)
{
	struct listing *l = xcalloc(1, sizeof(*l));
	struct err err = ERR_INIT;
	int rc = api_filters(call, list_filters, &l->filters, &err);

	l->call = call;
	if (!rc)
		rc = filters_bool(l->filters, "dangling", false, &l->dangling, &err);
	if (!rc) {
		volumes_list(call->engine->volumes, listed, l);
		return;
	}
	filters_free(l->filters);
	free(l);
	api_reply_err(call, &err);
}

/* An object of strings, or nothing. */
static int check_map(json_t *body, const char *name, json_t **ret, struct err *err)
{
	const char *key;
	json_t *v;

	*ret = json_object_get(body, name);
	if (json_is_null(*ret))
		*ret = NULL;
	if (!*ret)
		return 0;
	if (!json_is_object(*ret))
		return err_set(
			err, -EINVAL,
			"invalid JSON: cannot unmarshal into field %s of type map[string]string",
			name);
	json_object_foreach (*ret, key, v)
		if (!json_is_string(v))
			return err_set(
				err, -EINVAL,
				"invalid JSON: cannot unmarshal into field %s.%s of type string",
				name, key);
	return 0;
}

static int check_str(json_t *body, const char *name, const char **ret, struct err *err)
{
	json_t *v = json_object_get(body, name);

	if (v && !json_is_null(v) && !json_is_string(v))
		return err_set(err, -EINVAL,
			       "invalid JSON: cannot unmarshal into field %s of type string", name);
	*ret = json_string_value(v);
	return 0;
}

static void created(const struct err *err, struct volume *v, json_t *status, void *arg)
{
	(void)status;
	if (err)
		api_reply_err(arg, err);
	else
		api_reply(arg, 201, volume_inspect(v));
}

static void create_with(struct api_call *call, json_t *body)
{
	const char *name = NULL, *driver = NULL;
	json_t *opts = NULL, *labels = NULL;
	struct err err = ERR_INIT;
	int rc = check_str(body, "Name", &name, &err);

	if (!rc)
		rc = check_str(body, "Driver", &driver, &err);
	if (!rc)
		rc = check_map(body, "DriverOpts", &opts, &err);
	if (!rc)
		rc = check_map(body, "Labels", &labels, &err);
	if (!rc && json_is_object(json_object_get(body, "ClusterVolumeSpec")))
		rc = err_set(&err, -EOPNOTSUPP,
			     "volumes of the cluster need a CSI plugin, which is not supported");
	if (rc)
		api_reply_err(call, &err);
	else
		volume_make(call->engine->volumes, name, driver, opts, labels, created, call);
}

static void create(struct api_call *call)
{
	api_body(call, create_with);
}

static void found(const struct err *err, struct volume *v, json_t *status, void *arg)
{
	json_t *out;

	if (err) {
		api_reply_err(arg, err);
		return;
	}
	out = volume_inspect(v);
	if (status)
		json_object_set(out, "Status", status);
	api_reply(arg, 200, out);
}

static void inspect(struct api_call *call)
{
	volume_look_up(call->engine->volumes, call->param[0], found, call);
}

/* The IDs of the containers that use it: "[id, id]". */
static void users(struct engine *e, const char *name, struct buf *out)
{
	json_t *m;
	size_t i;

	for (struct ctr *c = NULL; (c = ctrs_next(e->ctrs, c));) {
		json_t *s = ctr_summary(c, false);

		json_array_foreach (json_object_get(s, "Mounts"), i, m)
			if (streq(json_string_value(json_object_get(m, "Name")), name))
				buf_printf(out, "%s%s", out->len ? ", " : "", ctr_id(c));
		json_decref(s);
	}
}

static void removed(const struct err *err, void *arg)
{
	api_done(arg, 204, err);
}

static void remove_found(const struct err *not_found, struct volume *v, json_t *status, void *arg)
{
	struct api_call *call = arg;
	struct err err = ERR_INIT;
	_cleanup_buf_ struct buf who = BUF_INIT;
	bool force = api_query_bool(call, "force", false);

	(void)status;
	if (not_found) {
		api_done(call, 204, force ? NULL : not_found);
	} else if (ctrs_volume_used(call->engine->ctrs, volume_name(v))) {
		users(call->engine, volume_name(v), &who);
		err_set(&err, -EBUSY, "remove %s: volume is in use - [%s]", volume_name(v),
			who.data);
		api_done(call, 204, &err);
	} else {
		volume_delete(call->engine->volumes, volume_name(v), force, removed, call);
	}
}

static void remove_volume(struct api_call *call)
{
	volume_look_up(call->engine->volumes, call->param[0], remove_found, call);
}

static void prune(struct api_call *call)
{
	static const char *const allowed[] = {"label", "label!", "all", NULL};
	struct filters *f = NULL;
	struct err err = ERR_INIT;
	json_t *deleted = json_array();
	struct volume *v, *next;
	/* before 1.42 named volumes went, too */
	bool all = call->version < 142;
	int64_t size = 0;
	int rc = api_filters(call, allowed, &f, &err);

	if (!rc)
		rc = filters_bool(f, "all", all, &all, &err);
	for (v = rc ? NULL : volumes_next(call->engine->volumes, NULL); v; v = next) {
		_cleanup_free_ char *name = xstrdup(volume_name(v));
		int64_t was;

		next = volumes_next(call->engine->volumes, v);
		if (!volume_local(v) || (!all && !volume_anonymous(v)) ||
		    ctrs_volume_used(call->engine->ctrs, name) ||
		    !filters_match_labels(f, "label", volume_labels(v)) ||
		    !filters_exclude_labels(f, "label!", volume_labels(v)))
			continue;
		was = api_folder_size(volume_path(v));
		if (volume_remove(v, NULL))
			continue;
		size += was;
		json_array_append_new(deleted, json_string(name));
	}
	filters_free(f);
	if (rc) {
		json_decref(deleted);
		api_reply_err(call, &err);
		return;
	}
	events_emit(call->engine->events, "volume", "prune", "", api_reclaimed(size));
	api_reply(call, 200,
		  json_pack("{s:o, s:I}", "VolumesDeleted", deleted, "SpaceReclaimed",
			    (json_int_t)size));
}

const struct api_route api_volume_routes[] = {
	{"GET", "/volumes", list},
	{"POST", "/volumes/create", create},
	{"POST", "/volumes/prune", prune},
	{"GET", "/volumes/{name}", inspect},
	{"DELETE", "/volumes/{name}", remove_volume},
	{0},
};
