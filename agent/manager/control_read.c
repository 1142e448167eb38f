// SPDX-License-Identifier: Apache-2.0
/*
 * Get… and List… of every kind. A reply holds one object, or a list of them, in its first field.
 * Source: swarmkit manager/controlapi (filters; what is not shown).
 */
#include "manager/control_impl.h"
#include "node/container.h"
#include "orch/orch.h"

/* --- what is shown --- */

/* Tokens, but neither keys nor the certificate that came with one, which is refused without it. */
static void redact_cluster(Pb__Cluster *c)
{
	for (size_t i = 0; i < c->n_network_bootstrap_keys; i++)
		pb_free(c->network_bootstrap_keys[i]);
	c->n_network_bootstrap_keys = 0;
	for (size_t i = 0; i < c->n_unlock_keys; i++)
		pb_free(c->unlock_keys[i]);
	c->n_unlock_keys = 0;
	if (c->root_ca)
		pb_set_bytes(&c->root_ca->ca_key, NULL, 0);
	if (c->root_ca && c->root_ca->root_rotation)
		pb_set_bytes(&c->root_ca->root_rotation->ca_key, NULL, 0);
	if (c->spec && c->spec->ca_config) {
		pb_set_bytes(&c->spec->ca_config->signing_ca_key, NULL, 0);
		pb_set_bytes(&c->spec->ca_config->signing_ca_cert, NULL, 0);
	}
}

/* Raft's to say, not the store's. */
static void set_manager_status(const struct control *c, Pb__Node *n)
{
	struct swarm_member m;

	pb_free(n->manager_status);
	n->manager_status = NULL;
	if (!c->manager.member(n->id, &m, c->manager.arg))
		return;
	n->manager_status = pb_new(pb__manager_status);
	n->manager_status->raft_id = m.raft_id;
	pb_set_str(&n->manager_status->addr, m.addr);
	n->manager_status->leader = m.leader;
	n->manager_status->reachability =
		m.reachable ? PB__RAFT_MEMBER_STATUS__REACHABILITY__REACHABLE
			    : PB__RAFT_MEMBER_STATUS__REACHABILITY__UNREACHABLE;
}

static void *shown(const struct control *c, const void *obj)
{
	void *copy = pb_clone(obj);

	switch (store_kind_of(obj)) {
	case STORE_NODE:
		set_manager_status(c, copy);
		break;
	case STORE_CLUSTER:
		redact_cluster(copy);
		break;
	case STORE_SECRET:
		if (((Pb__Secret *)copy)->spec)
			pb_set_bytes(&((Pb__Secret *)copy)->spec->data, NULL, 0);
		break;
	default:
		break;
	}
	return copy;
}

/* Every reply with an object has it where this one has. */
void control_show(struct control_job *job, const char *id)
{
	const void *obj = store_get(control_store(job), job->method->kind, id);
	Pb__ServiceReply *reply = job->reply;

	pb_free(reply->service);
	reply->service = obj ? shown(job->control, obj) : NULL;
}

static void show_one_more(struct control_job *job, const void *obj)
{
	Pb__ServicesReply *reply = job->reply;

	pb_append(&reply->n_services, &reply->services, shown(job->control, obj));
}

/* --- one object --- */

static int get(struct control_job *job, struct err *err)
{
	const Pb__ObjectRequest *r = job->request;
	const void *obj;
	int rc = control_find(job, r->id, &obj, err);

	if (!rc)
		control_show(job, r->id);
	return rc;
}

static int get_service(struct control_job *job, struct err *err)
{
	const Pb__ObjectRequest *r = job->request;
	int rc = get(job, err);

	if (!rc && r->flag) {
		Pb__Service *s = ((Pb__ServiceReply *)job->reply)->service;

		control_service_defaults(pb_need(&s->spec, pb__service_spec));
	}
	return rc;
}

static int get_network(struct control_job *job, struct err *err)
{
	const Pb__NetworkRequest *r = job->request;
	const void *obj;
	int rc = control_find(job, r->id, &obj, err);

	if (!rc)
		control_show(job, r->id);
	return rc;
}

/* --- filters: an empty one lets everything through --- */

static bool one_of(char *const *values, size_t n, const char *have)
{
	for (size_t i = 0; i < n; i++)
		if (streq(values[i], have))
			return true;
	return !n;
}

static bool begins_with_one_of(char *const *values, size_t n, const char *have)
{
	for (size_t i = 0; i < n; i++)
		if (starts_with(have, values[i]))
			return true;
	return !n;
}

/* All of them; one without a value asks for the key. */
static bool has_labels(Pb__Label *const *want, size_t n, Pb__Label *const *labels, size_t n_labels)
{
	for (size_t i = 0; i < n; i++) {
		const char *have = pb_label(labels, n_labels, want[i]->key);

		if (!have || (!str_empty(want[i]->value) && strcmp(have, want[i]->value)))
			return false;
	}
	return true;
}

static bool has_annotations(Pb__Label *const *want, size_t n, const Pb__Annotations *a)
{
	return has_labels(want, n, a ? a->labels : NULL, a ? a->n_labels : 0);
}

static const char *runtime_name(const Pb__TaskSpec *t)
{
	switch (t ? t->runtime_case : PB__TASK_SPEC__RUNTIME__NOT_SET) {
	case PB__TASK_SPEC__RUNTIME_CONTAINER:
		return "container";
	case PB__TASK_SPEC__RUNTIME_ATTACHMENT:
		return "attachment";
	case PB__TASK_SPEC__RUNTIME_GENERIC:
		return t->generic->kind;
	default:
		return "";
	}
}

/* What a filter of kinds looks at, by the kind of the object. */
static const char *kind_of(const void *obj)
{
	switch (store_kind_of(obj)) {
	case STORE_SERVICE: {
		const Pb__Service *s = obj;

		return runtime_name(s->spec ? s->spec->task : NULL);
	}
	case STORE_RESOURCE:
		return ((const Pb__Resource *)obj)->kind;
	case STORE_VOLUME: {
		const Pb__Volume *v = obj;

		return v->spec ? v->spec->group : "";
	}
	default:
		return "";
	}
}

static const char *driver_of(const void *obj)
{
	const Pb__Volume *v = obj;

	return store_kind_of(obj) == STORE_VOLUME && v->spec && v->spec->driver
		       ? v->spec->driver->name
		       : "";
}

/* Of secrets, configs and resources any of these is enough; elsewhere all must fit. */
static bool name_fits(const Pb__ListRequest__Filters *f, const void *obj)
{
	enum store_kind kind = store_kind_of(obj);
	size_t n = f->n_names + f->n_name_prefixes + f->n_id_prefixes;
	bool name = one_of(f->names, f->n_names, store_name(obj)),
	     prefix = begins_with_one_of(f->name_prefixes, f->n_name_prefixes, store_name(obj)),
	     id = begins_with_one_of(f->id_prefixes, f->n_id_prefixes, store_id(obj));

	if (kind != STORE_SECRET && kind != STORE_CONFIG && kind != STORE_RESOURCE)
		return name && prefix && id;
	return !n || (f->n_names && name) || (f->n_name_prefixes && prefix) ||
	       (f->n_id_prefixes && id);
}

static bool fits(const Pb__ListRequest__Filters *f, const void *obj)
{
	if (store_kind_of(obj) == STORE_SECRET && ((const Pb__Secret *)obj)->internal)
		return false;
	return !f || (name_fits(f, obj) && one_of(f->kinds, f->n_kinds, kind_of(obj)) &&
		      one_of(f->drivers, f->n_drivers, driver_of(obj)) &&
		      has_annotations(f->labels, f->n_labels, store_annotations(obj)));
}

static int list(struct control_job *job, struct err *err)
{
	const Pb__ListRequest *r = job->request;
	const void *obj;

	(void)err;
	for (struct store_iter i = store_all(control_store(job), job->method->kind);
	     (obj = store_next(&i));)
		if (fits(r->filters, obj))
			show_one_more(job, obj);
	return 0;
}

static bool node_fits(const Pb__ListNodesRequest__Filters *f, const Pb__Node *n)
{
	const Pb__NodeDescription *d = n->description;
	const Pb__EngineDescription *engine = d ? d->engine : NULL;
	const char *hostname = d ? d->hostname : "";
	int membership = n->spec ? n->spec->membership : PB__NODE_SPEC__MEMBERSHIP__PENDING;
	bool role = !f->n_roles, member = !f->n_memberships;

	for (size_t i = 0; i < f->n_roles; i++)
		role |= f->roles[i] == n->role;
	for (size_t i = 0; i < f->n_memberships; i++)
		member |= (int)f->memberships[i] == membership;
	return role && member && one_of(f->names, f->n_names, hostname) &&
	       begins_with_one_of(f->name_prefixes, f->n_name_prefixes, hostname) &&
	       begins_with_one_of(f->id_prefixes, f->n_id_prefixes, n->id) &&
	       has_labels(f->labels, f->n_labels, engine ? engine->labels : NULL,
			  engine ? engine->n_labels : 0) &&
	       has_annotations(f->node_labels, f->n_node_labels,
			       n->spec ? n->spec->annotations : NULL);
}

static int list_nodes(struct control_job *job, struct err *err)
{
	const Pb__ListNodesRequest *r = job->request;
	const Pb__Node *n;

	(void)err;
	for (struct store_iter i = store_all(control_store(job), STORE_NODE); (n = store_next(&i));)
		if (!r->filters || node_fits(r->filters, n))
			show_one_more(job, n);
	return 0;
}

static bool task_fits(struct store *s, const Pb__ListTasksRequest__Filters *f, const Pb__Task *t)
{
	_cleanup_free_ char *name = f->n_names || f->n_name_prefixes ? container_name(t) : NULL;
	const Pb__Service *svc;
	bool state = !f->n_desired_states;

	for (size_t i = 0; i < f->n_desired_states; i++)
		state |= f->desired_states[i] == t->desired_state;
	if (!state || !one_of(f->names, f->n_names, name) ||
	    !begins_with_one_of(f->name_prefixes, f->n_name_prefixes, name) ||
	    !begins_with_one_of(f->id_prefixes, f->n_id_prefixes, t->id) ||
	    !one_of(f->service_ids, f->n_service_ids, t->service_id) ||
	    !one_of(f->node_ids, f->n_node_ids, t->node_id) ||
	    !one_of(f->runtimes, f->n_runtimes, runtime_name(t->spec)) ||
	    !has_annotations(f->labels, f->n_labels, t->service_annotations))
		return false;
	if (!f->up_to_date)
		return true;
	svc = store_service(s, t->service_id);
	return svc && !task_is_dirty(svc, t, store_node(s, t->node_id));
}

static void list_tasks_of(struct control_job *job, struct store_iter i)
{
	const Pb__ListTasksRequest *r = job->request;
	const Pb__Task *t;

	while ((t = store_next(&i)))
		if (!r->filters || task_fits(control_store(job), r->filters, t))
			show_one_more(job, t);
}

static int list_tasks(struct control_job *job, struct err *err)
{
	const Pb__ListTasksRequest *r = job->request;
	struct store *s = control_store(job);

	(void)err;
	if (r->filters && r->filters->n_service_ids == 1)
		list_tasks_of(job, store_tasks_of_service(s, r->filters->service_ids[0]));
	else if (r->filters && r->filters->n_node_ids == 1)
		list_tasks_of(job, store_tasks_of_node(s, r->filters->node_ids[0]));
	else
		list_tasks_of(job, store_all(s, STORE_TASK));
	return 0;
}

static int list_service_statuses(struct control_job *job, struct err *err)
{
	const Pb__ListServiceStatusesRequest *r = job->request;
	Pb__ListServiceStatusesReply *reply = job->reply;
	struct store *s = control_store(job);

	(void)err;
	for (size_t i = 0; i < r->n_services; i++) {
		const Pb__Service *svc = store_service(s, r->services[i]);
		Pb__ServiceStatus *status = pb_new(pb__service_status);

		pb_set_str(&status->service_id, r->services[i]);
		if (svc)
			control_service_status(s, svc, status);
		pb_append(&reply->n_statuses, &reply->statuses, status);
	}
	return 0;
}

#define GET(name, lower, kind)                                                                     \
	{                                                                                          \
		CONTROL_PATH("Get" name), &pb__object_request__descriptor,                         \
			&pb__##lower##_reply__descriptor, kind, NULL, get, NULL                    \
	}
#define LIST(name, lower, kind)                                                                    \
	{                                                                                          \
		CONTROL_PATH("List" name), &pb__list_request__descriptor,                          \
			&pb__##lower##_reply__descriptor, kind, NULL, list, NULL                   \
	}

const struct control_method control_read_methods[] = {
	GET("Node", node, STORE_NODE),
	GET("Task", task, STORE_TASK),
	GET("Cluster", cluster, STORE_CLUSTER),
	GET("Secret", secret, STORE_SECRET),
	GET("Config", config, STORE_CONFIG),
	GET("Extension", extension, STORE_EXTENSION),
	GET("Resource", resource, STORE_RESOURCE),
	GET("Volume", volume, STORE_VOLUME),
	{CONTROL_PATH("GetService"), &pb__object_request__descriptor,
	 &pb__service_reply__descriptor, STORE_SERVICE, NULL, get_service, NULL},
	{CONTROL_PATH("GetNetwork"), &pb__network_request__descriptor,
	 &pb__network_reply__descriptor, STORE_NETWORK, NULL, get_network, NULL},
	LIST("Services", services, STORE_SERVICE),
	LIST("Networks", networks, STORE_NETWORK),
	LIST("Clusters", clusters, STORE_CLUSTER),
	LIST("Secrets", secrets, STORE_SECRET),
	LIST("Configs", configs, STORE_CONFIG),
	LIST("Resources", resources, STORE_RESOURCE),
	LIST("Volumes", volumes, STORE_VOLUME),
	{CONTROL_PATH("ListNodes"), &pb__list_nodes_request__descriptor,
	 &pb__nodes_reply__descriptor, STORE_NODE, NULL, list_nodes, NULL},
	{CONTROL_PATH("ListTasks"), &pb__list_tasks_request__descriptor,
	 &pb__tasks_reply__descriptor, STORE_TASK, NULL, list_tasks, NULL},
	{CONTROL_PATH("ListServiceStatuses"), &pb__list_service_statuses_request__descriptor,
	 &pb__list_service_statuses_reply__descriptor, STORE_SERVICE, NULL, list_service_statuses,
	 NULL},
	{0},
};
