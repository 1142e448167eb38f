// SPDX-License-Identifier: Apache-2.0
/* /services */
#include <errno.h>

#include "api/conv.h"
#include "api/store_call.h"
#include "manager/control.h"
#include "net/net.h"

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

static json_t *status_json(const struct api_call *call, const Pb__Service *s)
{
	Pb__ServiceStatus status = PB__SERVICE_STATUS__INIT;
	struct store *store = swarm_store(call->engine->swarm);

	/* it may be gone while a long list is written */
	if (store)
		control_service_status(store, s, &status);
	return json_pack("{s:I, s:I, s:I}", "RunningTasks", (json_int_t)status.running_tasks,
			 "DesiredTasks", (json_int_t)status.desired_tasks, "CompletedTasks",
			 (json_int_t)status.completed_tasks);
}

static json_t *write_service(struct api_call *call, const void *obj)
{
	json_t *item = conv_service(obj, false);

	if (call->version >= 141 && api_query_bool(call, "status", false))
		json_object_set_new(item, "ServiceStatus", status_json(call, obj));
	return item;
}

static void list(struct api_call *call)
{
	struct store *store = store_call_store(call);
	struct filters *f = NULL;
	struct err err = ERR_INIT;
	const Pb__Service *s;
	struct store_list *out;

	if (!store)
		return;
	if (api_filters(call, list_filters, &f, &err)) {
		api_reply_err(call, &err);
		return;
	}
	out = store_list_new(call, write_service);
	for (struct store_iter i = store_all(store, STORE_SERVICE); (s = store_next(&i));) {
		if (s->spec && matches(f, s))
			store_list_add(out, s);
	}
	filters_free(f);
	store_list_reply(out);
}

static void inspect(struct api_call *call)
{
	const Pb__Service *s = store_call_find(call, STORE_SERVICE);

	if (s)
		api_reply(call, 200,
			  conv_service(s, api_query_bool(call, "insertDefaults", false)));
}

/* --- create --- */

static json_t *created(const void *reply)
{
	return json_pack("{s:s, s:n}", "ID", store_id(store_call_object(reply)), "Warnings");
}

/* A network of this node alone: the swarm could only say that it knows none of that name. */
static int check_networks(struct api_call *call, Pb__NetworkAttachmentConfig *const *nets, size_t n,
			  struct err *err)
{
	const struct store *s = swarm_store(call->engine->swarm);

	for (size_t i = 0; s && i < n; i++) {
		const void *known;
		struct network *local;

		if (!store_find(s, STORE_NETWORK, nets[i]->target, &known, NULL))
			continue;
		local = nets_find(call->engine->nets, nets[i]->target, NULL);
		if (local && !net_is_swarm(local))
			return err_set(
				err, -EPERM,
				"The network %s cannot be used with services. Only networks "
				"scoped to the swarm can be used, such as those created with "
				"the overlay driver.",
				net_name(local));
	}
	return 0;
}

/* The spec of a request, with networks that services may have. */
static int read_spec(struct api_call *call, json_t *body, Pb__ServiceSpec **ret, struct err *err)
{
	int rc = conv_service_spec(body, call->version, ret, err);

	if (!rc)
		rc = check_networks(call, (*ret)->task->networks, (*ret)->task->n_networks, err);
	if (!rc)
		rc = check_networks(call, (*ret)->networks, (*ret)->n_networks, err);
	return rc;
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
	Pb__CreateServiceRequest *r = pb_new(pb__create_service_request);
	struct err err = ERR_INIT;
	int rc = api_need_body(body, &err);

	if (!rc)
		rc = read_spec(call, body, &r->spec, &err);
	if (rc) {
		pb_free(r);
		api_reply_err(call, &err);
		return;
	}
	if (!str_empty(auth))
		set_auth(r->spec, auth);
	store_call_run(call, "CreateService", r, 201, created);
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

static json_t *updated(const void *reply)
{
	(void)reply;
	return json_pack("{s:n}", "Warnings");
}

static int read_update(struct api_call *call, json_t *body, Pb__UpdateServiceRequest *r,
		       struct err *err)
{
	const char *from = api_query(call, "registryAuthFrom"),
		   *rollback = api_query(call, "rollback"),
		   *auth = http_header(call->req, "X-Registry-Auth");
	const Pb__Service *old = store_service(swarm_store(call->engine->swarm), r->id);
	int rc = 0;

	if (streq(rollback, "previous"))
		r->rollback = PB__UPDATE_SERVICE_REQUEST__ROLLBACK__PREVIOUS;
	else if (!str_empty(rollback) && strcmp(rollback, "none"))
		rc = err_set(err, -EINVAL, "unrecognized rollback option %s", rollback);
	if (!rc && !str_empty(from) && strcmp(from, "previous-spec") && strcmp(from, "spec"))
		rc = err_set(err, -EINVAL, "unsupported registryAuthFrom value");
	if (!rc)
		rc = api_need_body(body, err);
	if (!rc)
		rc = read_spec(call, body, &r->spec, err);
	if (!rc && !str_empty(auth))
		set_auth(r->spec, auth);
	else if (!rc && !r->rollback)
		rc = keep_auth(old, r->spec, streq(from, "previous-spec"), err);
	return rc;
}

static void update_with(struct api_call *call, json_t *body)
{
	Pb__UpdateServiceRequest *r =
		store_call_update(call, STORE_SERVICE, &pb__update_service_request__descriptor);
	struct err err = ERR_INIT;

	if (!r)
		return;
	if (read_update(call, body, r, &err)) {
		pb_free(r);
		api_reply_err(call, &err);
		return;
	}
	store_call_run(call, "UpdateService", r, 200, updated);
}

static void update(struct api_call *call)
{
	store_call_body(call, update_with);
}

static void remove_service(struct api_call *call)
{
	store_call_remove(call, STORE_SERVICE, "RemoveService", false, 200);
}

const struct api_route api_service_routes[] = {
	{"GET", "/services", list},
	{"POST", "/services/create", create},
	{"GET", "/services/{id}", inspect},
	{"POST", "/services/{id}/update", update},
	{"DELETE", "/services/{id}", remove_service},
	{0},
};
