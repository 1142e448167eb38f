// SPDX-License-Identifier: Apache-2.0
/* /services */
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "api/check.h"
#include "api/conv.h"
#include "api/store_call.h"

static const char *const list_filters[] = {"id", "label", "mode", "name", "runtime", NULL};

static const char *mode_name(const Pb__Service *s)
{
	switch (s->spec ? s->spec->mode_case : 0) {
	case PB__SERVICE_SPEC__MODE_GLOBAL:
		return "global";
	case PB__SERVICE_SPEC__MODE_REPLICATED_JOB:
		return "replicated-job";
	case PB__SERVICE_SPEC__MODE_GLOBAL_JOB:
		return "global-job";
	default:
		return "replicated";
	}
}

static bool matches(const struct filters *f, const Pb__Service *s)
{
	json_t *labels;
	bool ok;

	if (!filters_match_prefix(f, "id", s->id) ||
	    !filters_match_prefix(f, "name", store_name(s)) ||
	    !filters_match(f, "mode", mode_name(s)) || !filters_match(f, "runtime", "container"))
		return false;
	if (!filters_has(f, "label"))
		return true;
	labels = json_write(&json_annotations, s->spec->annotations);
	ok = filters_match_labels(f, "label", json_object_get(labels, "Labels"));
	json_decref(labels);
	return ok;
}

/* swarmkit controlapi/service.go: ListServiceStatuses */
static json_t *status_json(struct store *store, const Pb__Service *s)
{
	uint64_t running = 0, desired = 0, completed = 0, iteration;
	bool global = s->spec->mode_case == PB__SERVICE_SPEC__MODE_GLOBAL, job;
	const Pb__Task *t;

	job = s->spec->mode_case == PB__SERVICE_SPEC__MODE_REPLICATED_JOB ||
	      s->spec->mode_case == PB__SERVICE_SPEC__MODE_GLOBAL_JOB;
	iteration = s->job_status && s->job_status->job_iteration
			    ? s->job_status->job_iteration->index
			    : 0;
	if (s->spec->mode_case == PB__SERVICE_SPEC__MODE_REPLICATED)
		desired = s->spec->replicated->replicas;
	for (struct store_iter i = store_tasks_of_service(store, s->id); (t = store_next(&i));) {
		Pb__TaskState state = t->status ? t->status->state : PB__TASK_STATE__NEW;

		if (job && (t->job_iteration ? t->job_iteration->index : 0) != iteration)
			continue;
		running += state == PB__TASK_STATE__RUNNING;
		completed += job && state == PB__TASK_STATE__COMPLETE;
		if (global)
			desired += t->desired_state <= PB__TASK_STATE__RUNNING;
		else if (s->spec->mode_case == PB__SERVICE_SPEC__MODE_GLOBAL_JOB)
			desired += t->desired_state <= PB__TASK_STATE__COMPLETE &&
				   state != PB__TASK_STATE__COMPLETE;
	}
	if (s->spec->mode_case == PB__SERVICE_SPEC__MODE_REPLICATED_JOB)
		desired = s->spec->replicated_job->max_concurrent;
	return json_pack("{s:I, s:I, s:I}", "RunningTasks", (json_int_t)running, "DesiredTasks",
			 (json_int_t)desired, "CompletedTasks", (json_int_t)completed);
}

static void list(struct api_call *call)
{
	bool status = api_query_bool(call, "status", false);
	struct store *store = store_call_store(call);
	struct filters *f = NULL;
	struct err err = ERR_INIT;
	const Pb__Service *s;
	json_t *out;

	if (!store)
		return;
	if (api_filters(call, list_filters, &f, &err)) {
		api_reply_err(call, &err);
		return;
	}
	out = json_array();
	for (struct store_iter i = store_all(store, STORE_SERVICE); (s = store_next(&i));) {
		json_t *item;

		if (!s->spec || !matches(f, s))
			continue;
		item = conv_service(s, false);
		if (status && call->version >= 141)
			json_object_set_new(item, "ServiceStatus", status_json(store, s));
		json_array_append_new(out, item);
	}
	filters_free(f);
	api_reply(call, 200, out);
}

static void inspect(struct api_call *call)
{
	const Pb__Service *s = store_call_find(call, STORE_SERVICE);

	if (s)
		api_reply(call, 200,
			  conv_service(s, api_query_bool(call, "insertDefaults", false)));
}

/* --- create --- */

static bool is_job(const Pb__ServiceSpec *s)
{
	return s->mode_case == PB__SERVICE_SPEC__MODE_REPLICATED_JOB ||
	       s->mode_case == PB__SERVICE_SPEC__MODE_GLOBAL_JOB;
}

static int build_create(struct store_call *c, struct store_tx *tx, struct err *err)
{
	Pb__ServiceSpec *spec = c->spec;
	struct store *store = store_tx_store(tx);
	Pb__Service *s;
	int rc = check_service_refs(store, spec, NULL, err);

	if (rc)
		return rc;
	if (store_find_name(store, STORE_SERVICE, spec->annotations->name))
		return rpc_exists(
			err, "name conflicts with an existing object: service %s already exists",
			spec->annotations->name);
	s = pb_new(pb__service);
	pb_set_str(&s->id, c->id);
	s->spec = pb_clone(spec);
	s->spec_version = pb_new(pb__version);
	if (is_job(spec)) {
		s->job_status = pb_new(pb__job_status);
		s->job_status->job_iteration = pb_new(pb__version);
		pb_set_timestamp(&s->job_status->last_execution, store_tx_now_ns(tx));
	}
	return store_tx_create(tx, s, err);
}

static json_t *created(struct store_call *c)
{
	return json_pack("{s:s, s:n}", "ID", c->id, "Warnings");
}

/* The header as it came: base64 of JSON, which travels to the nodes with the spec. */
static void set_auth(Pb__ServiceSpec *spec, const char *auth)
{
	Pb__ContainerSpec *c = spec->task->container;

	pb_set_str(&pb_need(&c->pull_options, pb__container_spec__pull_options)->registry_auth,
		   auth);
}

static void create_with(struct api_call *call, json_t *body)
{
	const char *auth = http_header(call->req, "X-Registry-Auth");
	struct store_call c = {
		.call = call, .build = build_create, .status = 201, .reply = created};
	struct err err = ERR_INIT;
	Pb__ServiceSpec *spec = NULL;
	int rc = 0;

	if (!store_call_store(call))
		return;
	rc = api_need_body(body, &err);
	if (!rc)
		rc = conv_service_spec(body, call->version, &spec, &err);
	if (!rc)
		rc = check_service_spec(spec, &err);
	if (rc) {
		pb_free(spec);
		api_reply_err(call, &err);
		return;
	}
	if (!str_empty(auth))
		set_auth(spec, auth);
	c.spec = spec;
	id_new(swarm_rng(call->engine->swarm), c.id);
	store_call_run(&c);
}

static void create(struct api_call *call)
{
	store_call_body(call, create_with);
}

/* --- update --- */

/* Without a new header the credentials stay those of the current or the previous spec. */
static int keep_auth(const Pb__Service *old, Pb__ServiceSpec *spec, bool previous, struct err *err)
{
	const Pb__ServiceSpec *from = previous ? old->previous_spec : old->spec;

	if (previous && !from)
		return err_set(err, -EIO, "service does not have a previous spec");
	if (spec->task->container->pull_options || !from || !from->task ||
	    from->task->runtime_case != PB__TASK_SPEC__RUNTIME_CONTAINER)
		return 0;
	spec->task->container->pull_options = pb_clone(from->task->container->pull_options);
	return 0;
}

static int check_change(const Pb__Service *old, const Pb__ServiceSpec *spec, struct err *err)
{
	if (strcmp(spec->annotations->name, store_name(old)))
		return err_set(err, -EOPNOTSUPP,
			       "rpc error: code = Unimplemented desc = renaming services is not "
			       "supported");
	if (old->spec->mode_case != spec->mode_case)
		return err_set(err, -EOPNOTSUPP,
			       "rpc error: code = Unimplemented desc = service mode change is not "
			       "allowed");
	return 0;
}

static void swap_with_previous(Pb__Service *s, int64_t now_ns)
{
	Pb__ServiceSpec *spec = s->spec;
	Pb__Version *version = s->spec_version;

	s->spec = s->previous_spec;
	s->spec_version = s->previous_spec_version;
	s->previous_spec = spec;
	s->previous_spec_version = version;
	pb_free(s->update_status);
	s->update_status = pb_new(pb__update_status);
	s->update_status->state = PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_STARTED;
	pb_set_str(&s->update_status->message, "manually requested rollback");
	pb_set_timestamp(&s->update_status->started_at, now_ns);
}

static void take_spec(Pb__Service *s, const Pb__ServiceSpec *spec)
{
	pb_free(s->previous_spec);
	pb_free(s->previous_spec_version);
	s->previous_spec = s->spec;
	s->previous_spec_version = s->spec_version;
	s->spec = pb_clone(spec);
	/* not comparable with the service's own version, which the commit raises */
	s->spec_version = pb_clone(s->meta->version);
	pb_free(s->update_status);
	s->update_status = NULL;
}

static int build_update(struct store_call *c, struct store_tx *tx, struct err *err)
{
	struct store *store = store_tx_store(tx);
	const Pb__Service *old = store_service(store, c->id);
	Pb__ServiceSpec *spec = c->spec;
	Pb__Service *s;
	int rc;

	if (!old)
		return err_set(err, -ENOENT, "service %s not found", c->id);
	rc = store_call_check_version(c, old, err);
	if (!rc && c->previous && !old->previous_spec)
		rc = rpc_precondition(err, "service %s does not have a previous spec", c->id);
	if (!rc && !c->previous)
		rc = check_service_refs(store, spec, c->id, err);
	if (!rc && !c->previous)
		rc = check_change(old, spec, err);
	if (!rc && !c->previous)
		rc = keep_auth(old, spec, c->force, err);
	if (!rc && c->previous) {
		/* what the previous spec refers to may be gone */
		_cleanup_pb_ Pb__ServiceSpec *was = pb_clone(old->previous_spec);

		rc = check_service_refs(store, was, c->id, err);
	}
	if (rc)
		return rc;
	s = pb_clone(old);
	if (c->previous)
		swap_with_previous(s, store_tx_now_ns(tx));
	else
		take_spec(s, spec);
	if (s->job_status) {
		pb_need(&s->job_status->job_iteration, pb__version)->index++;
		pb_set_timestamp(&s->job_status->last_execution, store_tx_now_ns(tx));
	}
	return store_tx_update(tx, s, err);
}

static json_t *updated(struct store_call *c)
{
	(void)c;
	return json_pack("{s:n}", "Warnings");
}

static void update_with(struct api_call *call, json_t *body)
{
	const char *from = api_query(call, "registryAuthFrom"),
		   *rollback = api_query(call, "rollback"),
		   *auth = http_header(call->req, "X-Registry-Auth");
	struct store_call c = {.call = call, .build = build_update, .reply = updated};
	const Pb__Service *old = store_call_find(call, STORE_SERVICE);
	Pb__ServiceSpec *spec = NULL;
	struct err err = ERR_INIT;
	int rc;

	if (!old)
		return;
	strcpy(c.id, old->id);
	c.previous = streq(rollback, "previous");
	c.force = streq(from, "previous-spec");
	rc = store_call_version(call, &c.version, &err);
	if (!rc && !str_empty(rollback) && !c.previous && strcmp(rollback, "none"))
		rc = err_set(&err, -EINVAL, "unrecognized rollback option %s", rollback);
	if (!rc && !str_empty(from) && !c.force && strcmp(from, "spec"))
		rc = err_set(&err, -EINVAL, "unsupported registryAuthFrom value");
	if (!rc)
		rc = api_need_body(body, &err);
	if (!rc)
		rc = conv_service_spec(body, call->version, &spec, &err);
	if (!rc && !c.previous)
		rc = check_service_spec(spec, &err);
	if (rc) {
		pb_free(spec);
		api_reply_err(call, &err);
		return;
	}
	if (!str_empty(auth))
		set_auth(spec, auth);
	c.spec = spec;
	store_call_run(&c);
}

static void update(struct api_call *call)
{
	store_call_body(call, update_with);
}

/* --- remove --- */

static int build_remove(struct store_call *c, struct store_tx *tx, struct err *err)
{
	if (!store_service(store_tx_store(tx), c->id))
		return err_set(err, -ENOENT, "service %s not found", c->id);
	return store_tx_remove(tx, STORE_SERVICE, c->id, err);
}

static void remove_service(struct api_call *call)
{
	struct store_call c = {.call = call, .build = build_remove};
	const Pb__Service *s = store_call_find(call, STORE_SERVICE);

	if (!s)
		return;
	strcpy(c.id, s->id);
	store_call_run(&c);
}

const struct api_route api_service_routes[] = {
	{"GET", "/services", list},
	{"POST", "/services/create", create},
	{"GET", "/services/{id}", inspect},
	{"POST", "/services/{id}/update", update},
	{"DELETE", "/services/{id}", remove_service},
	{0},
};
