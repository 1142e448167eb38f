// SPDX-License-Identifier: Apache-2.0
/* /containers: their life and what is known of them. */
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "api/attach_swarm.h"
#include "core/arch.h"
#include "core/fields.h"
#include "ctr/ctr.h"
#include "image/image.h"
#include "loop/events.h"
#include "loop/loop.h"

struct ctr *api_ctr(struct api_call *call)
{
	struct err err = ERR_INIT;
	struct ctr *c = ctr_find(call->engine->ctrs, call->param[0], &err);

	if (!c)
		api_reply_err(call, &err);
	return c;
}

/* --- list --- */

static const char *const list_filters[] = {
	"ancestor", "before", "expose",	 "exited",  "health", "id",	"isolation", "is-task",
	"label",    "name",   "network", "publish", "since",  "status", "volume",    NULL};

static const char *const statuses[] = {"created", "restarting", "running", "removing",
				       "paused",  "exited",	"dead"};

static const char *const healths[] = {"none", "starting", "healthy", "unhealthy"};

struct query {
	struct filters *f;
	struct ctr *before, *since;
	bool all, size, is_task;
	int64_t limit;
};

static int read_query(struct api_call *call, struct query *q, struct err *err)
{
	const char *v;
	int64_t n;
	int rc = api_filters(call, list_filters, &q->f, err);

	q->all = api_query_bool(call, "all", false);
	q->size = api_query_bool(call, "size", false);
	if (!rc)
		rc = api_query_i64(call, "limit", -1, &q->limit, err);
	if (!rc)
		rc = filters_bool(q->f, "is-task", false, &q->is_task, err);
	for (size_t i = 0; !rc && (v = filters_value(q->f, "status", i)); i++) {
		bool known = false;

		for (size_t k = 0; k < ARRAY_SIZE(statuses); k++)
			known |= !strcmp(v, statuses[k]);
		if (!known)
			rc = err_set(err, -EINVAL, "invalid filter 'status=%s'", v);
		q->all = true;
	}
	for (size_t i = 0; !rc && (v = filters_value(q->f, "health", i)); i++) {
		bool known = false;

		for (size_t k = 0; k < ARRAY_SIZE(healths); k++)
			known |= !strcmp(v, healths[k]);
		if (!known)
			rc = err_set(err, -EINVAL, "invalid filter 'health=%s'", v);
	}
	for (size_t i = 0; !rc && (v = filters_value(q->f, "exited", i)); i++) {
		if (parse_i64(v, INT32_MIN, INT32_MAX, &n))
			rc = err_set(err, -EINVAL, "invalid filter 'exited=%s'", v);
		q->all = true;
	}
	if (!rc && (v = filters_value(q->f, "before", 0)) &&
	    !(q->before = ctr_find(call->engine->ctrs, v, err)))
		rc = err->code;
	if (!rc && (v = filters_value(q->f, "since", 0)) &&
	    !(q->since = ctr_find(call->engine->ctrs, v, err)))
		rc = err->code;
	return rc;
}

static bool image_matches(struct engine *e, const struct filters *f, struct ctr *c)
{
	const char *v;

	if (!filters_has(f, "ancestor"))
		return true;
	for (size_t i = 0; (v = filters_value(f, "ancestor", i)); i++) {
		struct image *img = images_find(e->images, v, NULL);

		if (img && streq(image_id(img), ctr_image_id(c)))
			return true;
		if (streq(v, json_string_value(json_object_get(ctr_config(c), "Image"))))
			return true;
	}
	return false;
}

/* "80", "80/tcp" or "8000-8010/udp" against the ports of the summary. */
static bool port_matches(const struct filters *f, const char *name, bool published, json_t *ports)
{
	const char *v;
	json_t *p;
	size_t i;

	if (!filters_has(f, name))
		return true;
	for (size_t n = 0; (v = filters_value(f, name, n)); n++) {
		unsigned int lo = 0, hi = 0;
		char proto[8] = "tcp";
		const char *slash = strchr(v, '/');

		if (sscanf(v, "%u-%u", &lo, &hi) < 2)
			hi = lo;
		if (slash)
			snprintf(proto, sizeof(proto), "%s", slash + 1);
		json_array_foreach (ports, i, p) {
			json_int_t port = json_integer_value(
				json_object_get(p, published ? "PublicPort" : "PrivatePort"));

			if (port && port >= lo && port <= hi &&
			    streq(json_string_value(json_object_get(p, "Type")), proto))
				return true;
		}
	}
	return false;
}

static bool network_matches(const struct filters *f, json_t *networks)
{
	const char *name;
	json_t *n;

	if (!filters_has(f, "network"))
		return true;
	json_object_foreach (networks, name, n) {
		const char *id = json_string_value(json_object_get(n, "NetworkID"));

		if (filters_match(f, "network", name) ||
		    (id && filters_match_prefix(f, "network", id)))
			return true;
	}
	return false;
}

static bool volume_matches(const struct filters *f, json_t *mounts)
{
	json_t *m;
	size_t i;

	if (!filters_has(f, "volume"))
		return true;
	json_array_foreach (mounts, i, m) {
		const char *name = json_string_value(json_object_get(m, "Name")),
			   *target = json_string_value(json_object_get(m, "Destination"));

		if ((name && filters_match(f, "volume", name)) ||
		    (target && filters_match(f, "volume", target)))
			return true;
	}
	return false;
}

/* What needs no summary. */
static bool matches(struct engine *e, const struct query *q, struct ctr *c)
{
	const char *health = ctr_health(c), *name = ctr_name(c);
	_cleanup_free_ char *slashed = xasprintf("/%s", name);
	char code[16];

	if (!q->all && q->limit <= 0 && !ctr_running(c) && ctr_status(c) != CTR_RESTARTING)
		return false;
	if (!filters_match_regex(q->f, "name", name) && !filters_match_regex(q->f, "name", slashed))
		return false;
	if (!filters_match_regex(q->f, "id", ctr_id(c)) ||
	    !filters_match(q->f, "status", ctr_status_name(c)) ||
	    !filters_match(q->f, "health", *health ? health : "none"))
		return false;
	if (filters_has(q->f, "is-task") &&
	    q->is_task != (ctr_label(c, "com.docker.swarm.task.id") != NULL))
		return false;
	snprintf(code, sizeof(code), "%d", ctr_exit_code(c));
	if (filters_has(q->f, "exited") &&
	    (ctr_running(c) || !ctr_finished_ns(c) || !filters_match(q->f, "exited", code)))
		return false;
	return filters_match_labels(q->f, "label", json_object_get(ctr_config(c), "Labels")) &&
	       image_matches(e, q->f, c);
}

static bool summary_matches(const struct filters *f, json_t *s)
{
	return network_matches(
		       f, json_object_get(json_object_get(s, "NetworkSettings"), "Networks")) &&
	       volume_matches(f, json_object_get(s, "Mounts")) &&
	       port_matches(f, "publish", true, json_object_get(s, "Ports")) &&
	       port_matches(f, "expose", false, json_object_get(s, "Ports"));
}

static void list(struct api_call *call)
{
	struct query q = {0};
	struct err err = ERR_INIT;
	json_t *out, *reversed;
	int rc = read_query(call, &q, &err);
	bool since_seen;

	if (rc) {
		filters_free(q.f);
		api_reply_err(call, &err);
		return;
	}
	out = json_array();
	since_seen = !q.since;
	for (struct ctr *c = NULL; (c = ctrs_next(call->engine->ctrs, c));) {
		json_t *s;

		if (c == q.before)
			break;
		if (since_seen && matches(call->engine, &q, c)) {
			s = ctr_summary(c, q.size);
			if (summary_matches(q.f, s))
				json_array_append_new(out, s);
			else
				json_decref(s);
		}
		since_seen |= c == q.since;
	}
	/* newest first */
	reversed = json_array();
	for (size_t i = json_array_size(out);
	     i-- && (q.limit <= 0 || (int64_t)json_array_size(reversed) < q.limit);)
		json_array_append(reversed, json_array_get(out, i));
	json_decref(out);
	filters_free(q.f);
	api_reply(call, 200, reversed);
}

/* --- create and inspect --- */

/* Only a task's own node gives its endpoints to services. */
static void drop_swarm_endpoints(json_t *body)
{
	const char *name;
	json_t *ep;

	json_object_foreach (
		json_object_get(json_object_get(body, "NetworkingConfig"), "EndpointsConfig"), name,
		ep) {
		json_object_del(ep, "Swarm");
		json_object_del(ep, "SwarmAddress");
	}
}

/* Fields that the client's version of the API did not have. */
static void forget_newer(json_t *body, unsigned int version)
{
	json_t *host = json_object_get(body, "HostConfig");

	if (version < 144)
		json_object_del(json_object_get(body, "Healthcheck"), "StartInterval");
	if (version < 142)
		json_object_del(host, "Annotations");
	if (version < 140)
		json_object_del(host, "PidsLimit");
}

/* A command is a list of strings or one string. */
static int check_command(json_t *body, const char *name, struct err *err)
{
	json_t *v = json_object_get(body, name);

	if (!v || json_is_null(v) || json_is_string(v) || json_is_strings(v))
		return 0;
	return err_set(err, -EINVAL, "invalid JSON: the field %s is not a list of strings", name);
}

/* A creation that waits for volumes of drivers. */
struct creation {
	struct api_call *call;
	json_t *body;
};

static void create_now(struct api_call *call, json_t *body)
{
	const char *name = api_query(call, "name");
	json_t *warnings = json_array();
	struct err err = ERR_INIT;
	struct ctr *c;

	if (ctr_create(call->engine->ctrs, str_empty(name) ? NULL : name + (*name == '/'), body, &c,
		       warnings, &err)) {
		json_decref(warnings);
		api_reply_err(call, &err);
		return;
	}
	api_reply(call, 201, json_pack("{s:s, s:o}", "Id", ctr_id(c), "Warnings", warnings));
}

static void on_volumes(const struct err *err, void *arg)
{
	struct creation *w = arg;

	if (err)
		api_reply_err(w->call, err);
	else
		create_now(w->call, w->body);
	json_decref(w->body);
	free(w);
}

static void create_with(struct api_call *call, json_t *body)
{
	const char *platform = api_query(call, "platform");
	struct err err = ERR_INIT;
	struct creation *w;
	int rc = 0;

	if (!body)
		rc = api_need_body(body, &err);
	else if (!str_empty(platform) && !arch_is_platform(platform))
		rc = err_set(&err, -ENOENT,
			     "image with reference %s was found but does not provide the specified "
			     "platform (%s)",
			     json_string_value(json_object_get(body, "Image")) ?: "", platform);
	if (!rc)
		rc = check_command(body, "Cmd", &err);
	if (!rc)
		rc = check_command(body, "Entrypoint", &err);
	if (rc) {
		api_reply_err(call, &err);
		return;
	}
	drop_swarm_endpoints(body);
	forget_newer(body, call->version);
	w = xcalloc(1, sizeof(*w));
	*w = (struct creation){call, json_incref(body)};
	if (ctr_provide_volumes(call->engine->ctrs, body, on_volumes, w))
		return;
	json_decref(w->body);
	free(w);
	create_now(call, body);
}

static void create(struct api_call *call)
{
	api_body(call, create_with);
}

static void inspect(struct api_call *call)
{
	struct ctr *c = api_ctr(call);

	if (c)
		api_reply(call, 200, ctr_inspect(c, api_query_bool(call, "size", false)));
}

/* "container/alias" in the path: what was split is put together again. */
static void whole_name(struct api_call *call)
{
	call->path[call->param[1] - call->path - 1] = '/';
}

static void inspect_link(struct api_call *call)
{
	whole_name(call);
	inspect(call);
}

/* --- life --- */

static void on_done_204(struct ctr *c, const struct err *err, void *arg)
{
	(void)c;
	api_done(arg, 204, err);
}

static void start_ready(struct api_call *call, struct ctr *c)
{
	ctr_start(c, on_done_204, call);
}

static void start(struct api_call *call)
{
	struct ctr *c = api_ctr(call);

	if (c)
		api_attach_networks(call, c, start_ready);
}

/* The parameter t in seconds: absent -1 (the container's own), negative -2 (for ever). */
static int read_timeout(struct api_call *call, int *ret, struct err *err)
{
	int64_t t;
	int rc = api_query_i64(call, "t", -1, &t, err);

	if (rc)
		return rc;
	if (str_empty(api_query(call, "t")))
		*ret = -1;
	else
		*ret = t < 0 ? -2 : (int)min(t, (int64_t)INT32_MAX / 1000);
	return 0;
}

static void stop_or_restart(struct api_call *call,
			    void (*fn)(struct ctr *, const char *, int, ctr_done, void *))
{
	const char *signal = api_query(call, "signal");
	struct ctr *c = api_ctr(call);
	struct err err = ERR_INIT;
	int timeout_s;

	if (!c)
		return;
	if (read_timeout(call, &timeout_s, &err)) {
		api_reply_err(call, &err);
		return;
	}
	fn(c, str_empty(signal) ? NULL : signal, timeout_s, on_done_204, call);
}

static void stop(struct api_call *call)
{
	stop_or_restart(call, ctr_stop);
}

static void restart(struct api_call *call)
{
	stop_or_restart(call, ctr_restart);
}

static void act(struct api_call *call, int (*fn)(struct ctr *, struct err *))
{
	struct ctr *c = api_ctr(call);
	struct err err = ERR_INIT;

	if (c)
		api_done(call, 204, fn(c, &err) ? &err : NULL);
}

static void pause_ctr(struct api_call *call)
{
	act(call, ctr_pause);
}

static void unpause(struct api_call *call)
{
	act(call, ctr_unpause);
}

static void kill_ctr(struct api_call *call)
{
	struct ctr *c = api_ctr(call);
	struct err err = ERR_INIT;

	if (c && ctr_kill(c, api_query(call, "signal"), on_done_204, call, &err))
		api_reply_err(call, &err);
}

static void rename_ctr(struct api_call *call)
{
	const char *name = api_query(call, "name");
	struct ctr *c = api_ctr(call);
	struct err err = ERR_INIT;

	if (!c)
		return;
	if (str_empty(name))
		err_set(&err, -EINVAL, "Neither old nor new names may be empty");
	else if (!ctr_rename(c, name + (*name == '/'), &err))
		err.code = 0;
	api_done(call, 204, err.code ? &err : NULL);
}

static void update_with(struct api_call *call, json_t *body)
{
	struct ctr *c = api_ctr(call);
	struct err err = ERR_INIT;

	if (!c)
		return;
	if (!body)
		api_need_body(body, &err);
	else if (!ctr_update(c, body, &err))
		err.code = 0;
	if (err.code)
		api_reply_err(call, &err);
	else
		api_reply(call, 200, json_pack("{s:[]}", "Warnings"));
}

static void update(struct api_call *call)
{
	api_body(call, update_with);
}

static void resize(struct api_call *call)
{
	struct ctr *c = api_ctr(call);
	unsigned int h = 0, w = 0;
	struct err err = ERR_INIT;
	int rc;

	if (!c)
		return;
	rc = api_query_size(call, &h, &w, &err);
	if (!rc)
		rc = ctr_resize(c, h, w, &err);
	api_done(call, 200, rc ? &err : NULL);
}

static void remove_ctr(struct api_call *call)
{
	struct ctr *c;
	struct err err = ERR_INIT;

	if (api_query_bool(call, "link", false)) {
		api_done(call, 204,
			 ctr_link_remove(call->engine->ctrs, call->param[0], &err) ? &err : NULL);
		return;
	}
	c = api_ctr(call);
	if (c)
		ctr_remove(c, api_query_bool(call, "force", false),
			   api_query_bool(call, "v", false), on_done_204, call);
}

static void remove_link(struct api_call *call)
{
	whole_name(call);
	remove_ctr(call);
}

/* --- wait --- */

struct waiter {
	struct api_call *call;
	struct ctr_watch watch;
	char id[65];
	bool removed; /* waits for the removal, not for the end */
	bool started; /* the reply is begun */
	bool gone;
};

static void end_wait(void *arg)
{
	struct waiter *w = arg;

	ctrs_unwatch(&w->watch);
	api_end(w->call);
	free(w);
}

static void answer_wait(struct waiter *w, int code)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "{\"StatusCode\":%d}\n", code);

	if (w->gone)
		return;
	w->gone = true;
	http_write(w->call->req, text, n);
	loop_defer(w->call->engine->loop, end_wait, w);
}

static void on_wait_event(struct ctr *c, enum ctr_event ev, void *arg)
{
	struct waiter *w = arg;

	if (strcmp(ctr_id(c), w->id))
		return;
	if (ev == CTR_EV_REMOVED || (ev == CTR_EV_EXITED && !w->removed))
		answer_wait(w, ctr_exit_code(c));
}

static void on_wait_gone(struct http_req *req, void *arg)
{
	struct waiter *w = arg;

	(void)req;
	if (w->gone)
		return;
	w->gone = true;
	loop_defer(w->call->engine->loop, end_wait, w);
}

static void wait_ctr(struct api_call *call)
{
	const char *condition = api_query(call, "condition");
	bool next = streq(condition, "next-exit"), removed = streq(condition, "removed");
	struct ctr *c = api_ctr(call);
	struct err err = ERR_INIT;
	struct waiter *w;

	if (!c)
		return;
	if (!str_empty(condition) && !next && !removed && strcmp(condition, "not-running")) {
		err_set(&err, -EINVAL, "invalid condition: \"%s\"", condition);
		api_reply_err(call, &err);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->call = call;
	w->removed = removed;
	snprintf(w->id, sizeof(w->id), "%s", ctr_id(c));
	w->watch.fn = on_wait_event;
	w->watch.arg = w;
	/* the client learns at once that the wait is on */
	http_start(call->req, 200, "application/json");
	ctrs_watch(call->engine->ctrs, &w->watch);
	http_on_close(call->req, on_wait_gone, w);
	if (!next && !removed && !ctr_running(c) && ctr_status(c) != CTR_RESTARTING)
		answer_wait(w, ctr_exit_code(c));
}

/* --- prune --- */

struct prune {
	struct api_call *call;
	json_t *deleted;
	size_t left;
	int64_t size;
};

static void prune_end(struct prune *p)
{
	if (--p->left)
		return;
	events_emit(p->call->engine->events, "container", "prune", "", api_reclaimed(p->size));
	api_reply(p->call, 200,
		  json_pack("{s:o, s:I}", "ContainersDeleted", p->deleted, "SpaceReclaimed",
			    (json_int_t)p->size));
	free(p);
}

struct pruned {
	struct prune *prune;
	char id[65];
	int64_t size;
};

static void on_pruned(struct ctr *c, const struct err *err, void *arg)
{
	struct pruned *one = arg;

	(void)c;
	if (!err) {
		json_array_append_new(one->prune->deleted, json_string(one->id));
		one->prune->size += one->size;
	}
	prune_end(one->prune);
	free(one);
}

static bool older_than(struct ctr *c, int64_t until_ns)
{
	json_t *s;
	bool older;

	if (!until_ns)
		return true;
	s = ctr_summary(c, false);
	older = json_integer_value(json_object_get(s, "Created")) < until_ns / 1000000000;
	json_decref(s);
	return older;
}

static void prune(struct api_call *call)
{
	static const char *const allowed[] = {"label", "label!", "until", NULL};
	struct filters *f = NULL;
	struct err err = ERR_INIT;
	struct ctr **victims = NULL;
	struct prune *p;
	int64_t until = 0;
	size_t n = 0;
	int rc = api_filters(call, allowed, &f, &err);

	if (!rc)
		rc = filters_until(f, loop_wall_ns(), &until, &err);
	if (rc) {
		filters_free(f);
		api_reply_err(call, &err);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->call = call;
	p->deleted = json_array();
	p->left = 1;
	for (struct ctr *c = NULL; (c = ctrs_next(call->engine->ctrs, c));) {
		json_t *labels = json_object_get(ctr_config(c), "Labels");

		if (ctr_running(c) || ctr_status(c) == CTR_RESTARTING ||
		    ctr_status(c) == CTR_REMOVING || !filters_match_labels(f, "label", labels) ||
		    !filters_exclude_labels(f, "label!", labels) || !older_than(c, until))
			continue;
		victims = xrealloc(victims, (n + 1) * sizeof(*victims));
		victims[n++] = c;
	}
	filters_free(f);
	p->left += n;
	for (size_t i = 0; i < n; i++) {
		struct pruned *one = xcalloc(1, sizeof(*one));
		json_t *s = ctr_summary(victims[i], true);

		one->prune = p;
		one->size = json_integer_value(json_object_get(s, "SizeRw"));
		snprintf(one->id, sizeof(one->id), "%s", ctr_id(victims[i]));
		json_decref(s);
		ctr_remove(victims[i], false, false, on_pruned, one);
	}
	free(victims);
	prune_end(p);
}

const struct api_route api_container_routes[] = {
	{"GET", "/containers/json", list},
	{"POST", "/containers/create", create},
	{"POST", "/containers/prune", prune},
	{"GET", "/containers/{name}/json", inspect},
	{"GET", "/containers/{name}/{alias}/json", inspect_link},
	{"POST", "/containers/{name}/start", start},
	{"POST", "/containers/{name}/stop", stop},
	{"POST", "/containers/{name}/restart", restart},
	{"POST", "/containers/{name}/kill", kill_ctr},
	{"POST", "/containers/{name}/pause", pause_ctr},
	{"POST", "/containers/{name}/unpause", unpause},
	{"POST", "/containers/{name}/rename", rename_ctr},
	{"POST", "/containers/{name}/update", update},
	{"POST", "/containers/{name}/resize", resize},
	{"POST", "/containers/{name}/wait", wait_ctr},
	{"DELETE", "/containers/{name}", remove_ctr},
	{"DELETE", "/containers/{name}/{alias}", remove_link},
	{0},
};
