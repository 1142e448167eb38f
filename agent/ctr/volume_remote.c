// SPDX-License-Identifier: Apache-2.0
/*
 * Volumes of plugins: each call is a job on a thread of its own, which knows names and drivers only;
 * what it found becomes volumes when it is back on the loop.
 */
#include <errno.h>
#include <stdio.h>

#include "core/fields.h"
#include "core/log.h"
#include "core/rng.h"
#include "ctr/volume_impl.h"
#include "loop/loop.h"

enum { WANTS_MAX = 1000 };

/* One volume that a job asks for. */
struct want {
	char *name;
	json_t *opts, *labels;
	bool anonymous;
	bool search; /* whichever driver has it; not there is fine */
	struct volume_driver **drivers; /* to be asked in order, NULL-terminated */
	/* results */
	const struct volume_driver *found;
	const char *scope;
	json_t *seen; /* volume_driver_get() */
};

struct job {
	struct volumes *vs;
	const struct volume_drivers *ops;
	void (*work)(struct job *j); /* on the thread */
	void (*end)(struct job *j); /* on the loop */
	struct want *wants;
	size_t n_wants;
	struct volume_use *uses;
	struct volume_driver **use_drivers;
	size_t n_uses;
	char *who;
	bool force;
	volume_found found;
	volume_done done;
	void (*listed)(json_t *list, json_t *warnings, void *arg);
	void *arg;
	json_t *list, *warnings;
	struct err err;
};

static struct job *new_job(struct volumes *vs, void (*work)(struct job *j),
			   void (*end)(struct job *j), void *arg)
{
	struct job *j = xcalloc(1, sizeof(*j));

	j->vs = vs;
	j->ops = vs->opt.drivers;
	j->work = work;
	j->end = end;
	j->arg = arg;
	return j;
}

static void free_drivers(struct volume_driver **d)
{
	for (size_t i = 0; d && d[i]; i++)
		volume_driver_free(d[i]);
	free(d);
}

static void job_free(struct job *j)
{
	for (size_t i = 0; i < j->n_wants; i++) {
		struct want *w = &j->wants[i];

		free(w->name);
		json_decref(w->opts);
		json_decref(w->labels);
		json_decref(w->seen);
		free_drivers(w->drivers);
	}
	free(j->wants);
	for (size_t i = 0; i < j->n_uses; i++)
		volume_driver_free(j->use_drivers[i]);
	free(j->use_drivers);
	free(j->who);
	json_decref(j->list);
	json_decref(j->warnings);
	free(j);
}

static void job_work(void *arg)
{
	struct job *j = arg;

	if (!j->err.code && j->work)
		j->work(j);
}

static void job_end(void *arg)
{
	struct job *j = arg;

	j->end(j);
	job_free(j);
}

static void begin(struct job *j)
{
	if (j->err.code || !j->work)
		loop_defer(j->vs->opt.loop, job_end, j);
	else
		loop_thread(j->vs->opt.loop, job_work, job_end, j);
}

static const struct err *error_of(const struct job *j)
{
	return j->err.code ? &j->err : NULL;
}

/* --- drivers --- */

static bool is_local(const char *driver)
{
	return str_empty(driver) || !strcmp(driver, "local");
}

static struct volume_driver *find_driver(struct volumes *vs, const char *name, struct err *err)
{
	if (vs->opt.drivers)
		return vs->opt.drivers->find(vs->opt.drivers->arg, name, err);
	err_set(err, -ENOENT, "error looking up volume plugin %s: plugin \"%s\" not found", name,
		name);
	return NULL;
}

/* All that can be asked; NULL when there is none. */
static struct volume_driver **all_drivers(struct volumes *vs)
{
	json_t *names = vs->opt.drivers ? vs->opt.drivers->names(vs->opt.drivers->arg) : NULL, *v;
	struct volume_driver **out = xcalloc(json_array_size(names) + 1, sizeof(*out));
	size_t i, n = 0;

	json_array_foreach (names, i, v) {
		out[n] = find_driver(vs, json_string_value(v), NULL);
		n += out[n] != NULL;
	}
	json_decref(names);
	if (n)
		return out;
	free(out);
	return NULL;
}

/* --- asking for volumes --- */

static void ask_one(struct job *j, struct want *w)
{
	struct err why = ERR_INIT;

	if (w->search) {
		for (size_t i = 0; w->drivers[i] && !w->found; i++)
			if (!volume_driver_get(j->ops, w->drivers[i], w->name, false, &w->seen,
					       NULL))
				w->found = w->drivers[i];
	} else if (volume_driver_create(j->ops, w->drivers[0], w->name, w->opts, &why)) {
		err_set(&j->err, why.code, "create %s: %s", w->name, why.msg);
	} else {
		w->found = w->drivers[0];
		/* old drivers know no Get */
		volume_driver_get(j->ops, w->found, w->name, true, &w->seen, NULL);
	}
	if (w->found)
		w->scope = volume_driver_scope(j->ops, w->found);
}

static void ask_work(struct job *j)
{
	for (size_t i = 0; i < j->n_wants && !j->err.code; i++)
		ask_one(j, &j->wants[i]);
}

/* What was found becomes a volume. */
static struct volume *adopt(struct job *j, struct want *w)
{
	struct volume *v = map_get(&j->vs->by_name, w->name);
	bool fresh = !v;

	if (!w->found)
		return v;
	if (fresh) {
		v = volume_add(j->vs, w->name, w->opts, w->labels);
		free(v->data);
		v->data = NULL;
		v->driver = xstrdup(w->found->name);
		v->scope = xstrdup(w->scope);
		v->anonymous = v->unclaimed = w->anonymous;
		if (w->anonymous)
			json_object_set_new(v->labels, "com.docker.volume.anonymous",
					    json_string(""));
	} else if (!streq(v->driver, w->found->name)) {
		return v; /* made meanwhile with another driver: that one was first */
	}
	if (!v->data || *js(w->seen, "Mountpoint")) {
		free(v->data);
		v->data = xstrdup(js(w->seen, "Mountpoint"));
	}
	if (fresh && volume_save(v, &j->err)) {
		volume_forget(v);
		return NULL;
	}
	if (fresh && !w->search)
		volume_emit(v, "create");
	return v;
}

/* What is wrong with it is in the job's error. The pointer lasts until the next one is added. */
static struct want *add_want(struct job *j, const char *name, const char *driver, json_t *opts,
			     json_t *labels)
{
	struct volumes *vs = j->vs;
	struct want *w;

	j->wants = xrealloc(j->wants, (j->n_wants + 1) * sizeof(*j->wants));
	w = &j->wants[j->n_wants++];
	*w = (struct want){.opts = json_incref(opts), .labels = json_incref(labels)};
	if (str_empty(name)) {
		char made_up[HEX_ID_SIZE];

		id_new_hex(vs->opt.rng, made_up);
		w->name = xstrdup(made_up);
		w->anonymous = true;
	} else {
		w->name = xstrdup(name);
	}
	if (!is_local(driver)) {
		w->drivers = xcalloc(2, sizeof(*w->drivers));
		w->drivers[0] = find_driver(vs, driver, &j->err);
		if (!w->drivers[0])
			err_prefix(&j->err, "create %s", w->name);
	}
	if (!j->err.code)
		volume_name_check(w->name, &j->err);
	return w;
}

/* --- one volume --- */

static void made(struct job *j)
{
	struct volume *v = NULL;

	if (!j->err.code && j->n_wants)
		v = adopt(j, &j->wants[0]);
	if (v)
		v->unclaimed = false;
	j->found(error_of(j), v,
		 v && j->n_wants ? json_object_get(j->wants[0].seen, "Status") : NULL, j->arg);
}

/* Nobody has it: then it is local. */
static void searched(struct job *j)
{
	struct want *w = &j->wants[0];
	struct volume *v = NULL;

	if (!j->err.code && w->found)
		v = adopt(j, w);
	else if (!j->err.code)
		volume_create(j->vs, w->anonymous ? NULL : w->name, NULL, w->opts, w->labels, &v,
			      &j->err);
	j->found(error_of(j), v, NULL, j->arg);
}

void volume_make(struct volumes *vs, const char *name, const char *driver, json_t *opts,
		 json_t *labels, volume_found done, void *arg)
{
	struct job *j = new_job(vs, ask_work, made, arg);
	struct volume *known = str_empty(name) ? NULL : map_get(&vs->by_name, name), *v;
	struct volume_driver **all;
	struct want *w;

	j->found = done;
	if (known && !volume_create(vs, name, driver, NULL, NULL, &v, &j->err)) {
		w = add_want(j, name, NULL, NULL, NULL);
		j->work = NULL; /* as it is */
	} else if (known) {
		j->work = NULL;
	} else if (!is_local(driver)) {
		add_want(j, name, driver, opts, labels);
	} else {
		w = add_want(j, name, NULL, opts, labels);
		j->end = searched;
		all = str_empty(driver) && !str_empty(name) ? all_drivers(vs) : NULL;
		w->drivers = all;
		w->search = true;
		if (!all)
			j->work = NULL;
	}
	begin(j);
}

static void looked_up(struct job *j)
{
	struct want *w = &j->wants[0];
	struct volume *v = adopt(j, w);

	if (!v && !j->err.code)
		err_set(&j->err, -ENOENT, "get %s: no such volume", w->name);
	j->found(error_of(j), v, json_object_get(w->seen, "Status"), j->arg);
}

void volume_look_up(struct volumes *vs, const char *name, volume_found done, void *arg)
{
	struct job *j = new_job(vs, ask_work, looked_up, arg);
	struct volume *v = map_get(&vs->by_name, name);
	struct want *w = add_want(j, name, NULL, NULL, NULL);

	j->err.code = 0; /* of a name that no volume can have */
	j->found = done;
	w->search = true;
	if (v && v->driver) {
		w->drivers = xcalloc(2, sizeof(*w->drivers));
		w->drivers[0] = find_driver(vs, v->driver, NULL);
	} else if (!v && volume_name_valid(name)) {
		w->drivers = all_drivers(vs);
	}
	if (!w->drivers || !w->drivers[0])
		j->work = NULL;
	begin(j);
}

/* --- removing --- */

static void delete_work(struct job *j)
{
	struct want *w = &j->wants[0];

	volume_driver_remove(j->ops, w->drivers[0], w->name, &j->err);
}

static void deleted(struct job *j)
{
	struct volume *v = map_get(&j->vs->by_name, j->wants[0].name);

	if (j->err.code && j->force) {
		log_warn("the volume %s is forgotten, but its driver says: %s", j->wants[0].name,
			 j->err.msg);
		j->err.code = 0;
	}
	if (j->err.code) {
		err_prefix(&j->err, "remove %s", j->wants[0].name);
	} else if (v && v->driver) {
		volume_emit(v, "destroy");
		volume_forget(v);
	} else if (v) {
		volume_remove(v, &j->err);
	}
	if (j->done)
		j->done(error_of(j), j->arg);
}

void volume_delete(struct volumes *vs, const char *name, bool force, volume_done done, void *arg)
{
	struct volume *v = map_get(&vs->by_name, name);
	struct want *w;
	struct job *j;

	if (v && !v->driver && !done) {
		volume_remove(v, NULL);
		return;
	}
	j = new_job(vs, delete_work, deleted, arg);
	w = add_want(j, name, NULL, NULL, NULL);
	j->err.code = 0;
	j->force = force;
	j->done = done;
	if (v && v->driver) {
		w->drivers = xcalloc(2, sizeof(*w->drivers));
		w->drivers[0] = find_driver(vs, v->driver, &j->err);
	} else {
		j->work = NULL;
		if (!v && !force)
			err_set(&j->err, -ENOENT, "get %s: no such volume", name);
	}
	begin(j);
}

/* --- all of them --- */

static void list_work(struct job *j)
{
	struct volume_driver **d = j->wants[0].drivers;

	for (size_t i = 0; d[i]; i++) {
		struct err why = ERR_INIT;
		json_t *list = NULL;

		if (volume_driver_list(j->ops, d[i], &list, &why))
			json_array_append_new(j->warnings,
					      json_sprintf("list %s: %s", d[i]->name, why.msg));
		json_array_append_new(j->list,
				      json_pack("{s:s, s:s, s:o*}", "Driver", d[i]->name, "Scope",
						list ? volume_driver_scope(j->ops, d[i]) : "local",
						"Volumes", list));
	}
}

/* A volume that a driver lists: as it is known, else as little as the driver says. */
static json_t *listed_volume(struct volumes *vs, json_t *from, json_t *seen)
{
	const char *driver = js(from, "Driver");
	struct volume *v = map_get(&vs->by_name, js(seen, "Name"));
	json_t *out;

	if (v && !streq(v->driver, driver))
		return NULL; /* another driver was first with the name */
	if (!v)
		return json_pack("{s:s, s:s, s:s, s:n, s:n, s:s}", "Name", js(seen, "Name"),
				 "Driver", driver, "Mountpoint", js(seen, "Mountpoint"), "Labels",
				 "Options", "Scope", js(from, "Scope"));
	out = volume_inspect(v);
	if (*js(seen, "Mountpoint"))
		json_object_set(out, "Mountpoint", json_object_get(seen, "Mountpoint"));
	return out;
}

static void listed(struct job *j)
{
	json_t *out = json_array(), *d, *seen;
	struct volume *v;
	const char *name;
	size_t i, k;

	map_for_each (&j->vs->by_name, name, v) {
		bool answered = false;

		json_array_foreach (j->list, i, d)
			answered |=
				streq(v->driver, js(d, "Driver")) && json_object_get(d, "Volumes");
		if (!answered) /* local, or its driver cannot be asked */
			json_array_append_new(out, volume_inspect(v));
	}
	json_array_foreach (j->list, i, d)
		json_array_foreach (json_object_get(d, "Volumes"), k, seen) {
			json_t *one = listed_volume(j->vs, d, seen);

			if (one)
				json_array_append_new(out, one);
		}
	j->listed(out, j->warnings, j->arg);
	json_decref(out);
}

void volumes_list(struct volumes *vs, void (*done)(json_t *list, json_t *warnings, void *arg),
		  void *arg)
{
	struct job *j = new_job(vs, list_work, listed, arg);
	struct want *w = add_want(j, NULL, NULL, NULL, NULL);

	j->listed = done;
	j->list = json_array();
	j->warnings = json_array();
	w->drivers = all_drivers(vs);
	if (!w->drivers)
		j->work = NULL;
	begin(j);
}

/* --- for a container's creation --- */

static void want_for_container(struct job *j, const char *name, const char *driver, json_t *opts,
			       json_t *labels)
{
	struct volume_driver **all;
	struct want *w;

	if (j->err.code || j->n_wants >= WANTS_MAX)
		return;
	for (size_t i = 0; i < j->n_wants; i++)
		if (!str_empty(name) && !strcmp(j->wants[i].name, name))
			return;
	/* ctr_create() refuses what is another driver's */
	if (!str_empty(name) && (map_has(&j->vs->by_name, name) || !volume_name_valid(name)))
		return;
	if (!is_local(driver)) {
		add_want(j, name, driver, opts, labels);
		return;
	}
	all = str_empty(driver) && !str_empty(name) ? all_drivers(j->vs) : NULL;
	if (!all)
		return;
	w = add_want(j, name, NULL, NULL, NULL);
	w->drivers = all;
	w->search = true;
}

/* Whether a target has its mount by other means than an anonymous volume. */
static bool is_mounted(json_t *host, const char *target)
{
	size_t n = strlen(target), i;
	json_t *v;

	json_array_foreach (json_object_get(host, "Binds"), i, v) {
		const char *colon = json_is_string(v) ? strchr(json_string_value(v), ':') : NULL;

		if (colon && !strncmp(colon + 1, target, n) &&
		    (!colon[1 + n] || colon[1 + n] == ':'))
			return true;
	}
	json_array_foreach (json_object_get(host, "Mounts"), i, v)
		if (!strcmp(js(v, "Target"), target))
			return true;
	return json_object_get(json_object_get(host, "Tmpfs"), target) != NULL;
}

static void want_anonymous(struct job *j, json_t *host, json_t *volumes, json_t *others)
{
	const char *driver = js(host, "VolumeDriver"), *target;
	json_t *v;

	if (is_local(driver))
		return;
	json_object_foreach (volumes, target, v)
		if (!is_mounted(host, target) && !json_object_get(others, target))
			want_for_container(j, NULL, driver, NULL, NULL);
}

static void want_all(struct job *j, json_t *body, json_t *image_config)
{
	json_t *host = json_object_get(body, "HostConfig"), *v;
	size_t i;

	json_array_foreach (json_object_get(host, "Binds"), i, v) {
		const char *spec = json_string_value(v), *colon = spec ? strchr(spec, ':') : NULL;
		_cleanup_free_ char *name = colon ? xstrndup(spec, colon - spec) : NULL;

		if (name && *name && *name != '/')
			want_for_container(j, name, js(host, "VolumeDriver"), NULL, NULL);
	}
	json_array_foreach (json_object_get(host, "Mounts"), i, v) {
		json_t *o = json_object_get(v, "VolumeOptions"),
		       *d = json_object_get(o, "DriverConfig");

		if (!strcmp(js(v, "Type"), "volume"))
			want_for_container(j, js(v, "Source"), js(d, "Name"),
					   json_object_get(d, "Options"),
					   json_object_get(o, "Labels"));
	}
	want_anonymous(j, host, json_object_get(body, "Volumes"), NULL);
	want_anonymous(j, host, json_object_get(image_config, "Volumes"),
		       json_object_get(body, "Volumes"));
}

static void provided(struct job *j)
{
	for (size_t i = 0; i < j->n_wants; i++)
		adopt(j, &j->wants[i]);
	j->done(error_of(j), j->arg);
	for (size_t i = 0; i < j->n_wants; i++) {
		struct volume *v = map_get(&j->vs->by_name, j->wants[i].name);

		if (v && v->unclaimed)
			volume_delete(j->vs, v->name, false, NULL, NULL);
	}
}

bool volumes_provide(struct volumes *vs, json_t *body, json_t *image_config, volume_done done,
		     void *arg)
{
	struct job *j = new_job(vs, ask_work, provided, arg);

	want_all(j, body, image_config);
	if (!j->n_wants) {
		job_free(j);
		return false;
	}
	j->done = done;
	begin(j);
	return true;
}

/* --- mounting --- */

static void attach_work(struct job *j)
{
	size_t i;

	for (i = 0; i < j->n_uses; i++) {
		struct volume_use *u = &j->uses[i];

		if (volume_driver_mount(j->ops, j->use_drivers[i], u->volume, u->id, &u->source,
					&j->err)) {
			err_prefix(&j->err, "error while mounting volume '%s'", u->volume);
			break;
		}
	}
	/* all or none */
	while (j->err.code && i--)
		volume_driver_unmount(j->ops, j->use_drivers[i], j->uses[i].volume, j->uses[i].id,
				      NULL);
}

static void attached(struct job *j)
{
	for (size_t i = 0; i < j->n_uses && !j->err.code; i++) {
		struct volume *v = map_get(&j->vs->by_name, j->uses[i].volume);

		if (!v)
			continue;
		v->users++;
		if (!streq(v->data, j->uses[i].source)) {
			free(v->data);
			v->data = xstrdup(j->uses[i].source);
			volume_save(v, NULL);
		}
		volume_emit_use(v, j->who, &j->uses[i]);
	}
	j->done(error_of(j), j->arg);
}

static struct job *use_job(struct volumes *vs, struct volume_use *uses, size_t n, const char *who,
			   void (*work)(struct job *j), void (*end)(struct job *j))
{
	struct job *j = new_job(vs, work, end, NULL);

	j->uses = uses;
	j->n_uses = n;
	j->use_drivers = xcalloc(n + 1, sizeof(*j->use_drivers));
	j->who = xstrdup(who);
	for (size_t i = 0; i < n; i++) {
		struct volume *v = map_get(&vs->by_name, uses[i].volume);
		struct err why = ERR_INIT;

		j->use_drivers[i] = v && v->driver ? find_driver(vs, v->driver, &why) : NULL;
		if (!j->use_drivers[i] && !j->err.code)
			err_set(&j->err, why.code ? why.code : -ENOENT, "%s",
				why.code ? why.msg : "no such volume");
	}
	return j;
}

void volumes_attach(struct volumes *vs, struct volume_use *uses, size_t n, const char *who,
		    volume_done done, void *arg)
{
	struct job *j = use_job(vs, uses, n, who, attach_work, attached);

	j->done = done;
	j->arg = arg;
	begin(j);
}

static void detach_work(struct job *j)
{
	for (size_t i = 0; i < j->n_uses; i++) {
		struct err why = ERR_INIT;

		if (j->use_drivers[i] &&
		    volume_driver_unmount(j->ops, j->use_drivers[i], j->uses[i].volume,
					  j->uses[i].id, &why))
			log_warn("the volume %s of container %s is not unmounted: %s",
				 j->uses[i].volume, j->who, why.msg);
	}
}

static void detached(struct job *j)
{
	for (size_t i = 0; i < j->n_uses; i++) {
		struct volume *v = map_get(&j->vs->by_name, j->uses[i].volume);

		if (!v)
			continue;
		if (v->users)
			v->users--;
		volume_emit_use(v, j->who, NULL);
	}
	j->done(NULL, j->arg);
}

void volumes_detach(struct volumes *vs, struct volume_use *uses, size_t n, const char *who,
		    volume_done done, void *arg)
{
	struct job *j = use_job(vs, uses, n, who, detach_work, detached);

	j->err.code = 0; /* the others are unmounted all the same */
	j->done = done;
	j->arg = arg;
	begin(j);
}
