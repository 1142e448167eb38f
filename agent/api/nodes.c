// SPDX-License-Identifier: Apache-2.0
/* /nodes */
#include <errno.h>

#include "api/conv.h"
#include "api/store_call.h"
#include "loop/loop.h"
#include "manager/ca.h"

static const char *const list_filters[] = {"id",	 "label", "membership", "name",
					   "node.label", "role",  NULL};

/* ManagerStatus is raft's to say, not the store's. */
static json_t *node_json(struct api_call *call, const Pb__Node *n)
{
	json_t *o = conv_node(n);
	struct swarm_member m;

	json_object_del(o, "ManagerStatus");
	if (swarm_member(call->engine->swarm, n->id, &m)) {
		json_t *status = json_object();

		if (m.leader)
			json_object_set_new(status, "Leader", json_true());
		json_object_set_new(status, "Reachability",
				    json_string(m.reachable ? "reachable" : "unreachable"));
		json_object_set_new(status, "Addr", json_string(m.addr ? m.addr : ""));
		json_object_set_new(o, "ManagerStatus", status);
	}
	return o;
}

static int check_filters(const struct filters *f, struct err *err)
{
	const char *v;

	for (size_t i = 0; (v = filters_value(f, "role", i)); i++)
		if (strcmp(v, "manager") && strcmp(v, "worker"))
			return err_set(err, -EINVAL, "invalid role filter: '%s'", v);
	for (size_t i = 0; (v = filters_value(f, "membership", i)); i++)
		if (strcmp(v, "accepted") && strcmp(v, "pending"))
			return err_set(err, -EINVAL, "invalid membership filter: '%s'", v);
	return 0;
}

static bool labels_match(const struct filters *f, const char *name, Pb__Label *const *labels,
			 size_t n)
{
	json_t *o;
	bool ok;

	if (!filters_has(f, name))
		return true;
	o = json_object();
	for (size_t i = 0; i < n; i++)
		json_object_set_new(o, labels[i]->key, json_string(labels[i]->value));
	ok = filters_match_labels(f, name, o);
	json_decref(o);
	return ok;
}

static bool matches(const struct filters *f, const Pb__Node *n)
{
	const Pb__EngineDescription *engine = n->description ? n->description->engine : NULL;
	const Pb__Annotations *a = n->spec ? n->spec->annotations : NULL;
	const char *hostname = n->description ? n->description->hostname : "";
	bool manager = n->role == PB__NODE_ROLE__MANAGER;

	/* both filters of labels speak of either kind, as dockerd's documentation and its code do */
	return filters_match_prefix(f, "id", n->id) &&
	       (filters_match_prefix(f, "name", hostname) ||
		(a && !str_empty(a->name) && filters_match_prefix(f, "name", a->name))) &&
	       filters_match(f, "role", manager ? "manager" : "worker") &&
	       filters_match(f, "membership",
			     n->spec && n->spec->membership == PB__NODE_SPEC__MEMBERSHIP__PENDING
				     ? "pending"
				     : "accepted") &&
	       labels_match(f, "label", engine ? engine->labels : NULL,
			    engine ? engine->n_labels : 0) &&
	       labels_match(f, "node.label", a ? a->labels : NULL, a ? a->n_labels : 0);
}

static void list(struct api_call *call)
{
	struct store *s = store_call_store(call);
	struct filters *f = NULL;
	struct err err = ERR_INIT;
	const Pb__Node *n;
	json_t *out;
	int rc;

	if (!s)
		return;
	rc = api_filters(call, list_filters, &f, &err);
	if (!rc)
		rc = check_filters(f, &err);
	out = json_array();
	for (struct store_iter i = store_all(s, STORE_NODE); !rc && (n = store_next(&i));)
		if (matches(f, n))
			json_array_append_new(out, node_json(call, n));
	filters_free(f);
	if (rc) {
		json_decref(out);
		api_reply_err(call, &err);
		return;
	}
	api_reply(call, 200, out);
}

static void inspect(struct api_call *call)
{
	const Pb__Node *n = store_call_find(call, STORE_NODE);

	if (n)
		api_reply(call, 200, node_json(call, n));
}

/* --- update --- */

/* Raft must keep a quorum of those that answer when one member goes. */
static bool can_lose(struct store_call *c, struct store *s, const char *node_id)
{
	struct swarm *swarm = c->call->engine->swarm;
	size_t members = 0, reachable = 0;
	const Pb__Node *n;

	for (struct store_iter i = store_all(s, STORE_NODE); (n = store_next(&i));) {
		struct swarm_member m;

		if (!swarm_member(swarm, n->id, &m))
			continue;
		members++;
		reachable += m.reachable && strcmp(n->id, node_id);
	}
	return members > 1 && reachable >= (members - 1) / 2 + 1;
}

static int check_demotion(struct store_call *c, struct store *s, const Pb__Node *old,
			  struct err *err)
{
	size_t managers = 0;
	struct swarm_member m;
	const Pb__Node *n;

	for (struct store_iter i = store_all(s, STORE_NODE); (n = store_next(&i));)
		managers +=
			n->role == PB__NODE_ROLE__MANAGER ||
			(n->spec && n->spec->desired_role == PB__NODE_ROLE__MANAGER && n != old);
	if (managers <= 1)
		return rpc_precondition(err, "attempting to demote the last manager of the swarm");
	if (!swarm_member(c->call->engine->swarm, old->id, &m))
		return 0; /* promoted, and not yet come */
	if (!can_lose(c, s, old->id))
		return rpc_precondition(
			err,
			"can't remove member from the raft: this would result in a loss of quorum");
	return 0;
}

static int build_update(struct store_call *c, struct store_tx *tx, struct err *err)
{
	struct store *s = store_tx_store(tx);
	const Pb__Node *old = store_node(s, c->id);
	Pb__NodeSpec *spec = c->spec;
	Pb__Node *n;
	int rc;

	if (!old)
		return err_set(err, -ENOENT, "node %s not found", c->id);
	rc = store_call_check_version(c, old, err);
	if (!rc && old->spec && old->spec->desired_role == PB__NODE_ROLE__MANAGER &&
	    spec->desired_role == PB__NODE_ROLE__WORKER)
		rc = check_demotion(c, s, old, err);
	if (rc)
		return rc;
	n = pb_clone(old);
	/* the API does not speak of membership */
	spec->membership = old->spec ? old->spec->membership : PB__NODE_SPEC__MEMBERSHIP__ACCEPTED;
	pb_free(n->spec);
	n->spec = pb_clone(spec);
	return store_tx_update(tx, n, err);
}

static void update_with(struct api_call *call, json_t *body)
{
	struct store_call c = {.call = call, .build = build_update};
	const Pb__Node *n = store_call_find(call, STORE_NODE);
	struct err err = ERR_INIT;
	int rc;

	if (!n)
		return;
	strcpy(c.id, n->id);
	rc = store_call_version(call, &c.version, &err);
	if (!rc)
		rc = api_need_body(body, &err);
	if (!rc && str_empty(json_string_value(json_member(body, "Role"))))
		rc = err_set(&err, -EINVAL, "invalid Role: \"\"");
	if (!rc && str_empty(json_string_value(json_member(body, "Availability"))))
		rc = err_set(&err, -EINVAL, "invalid Availability: \"\"");
	if (!rc)
		rc = json_read(&json_node_spec, "NodeSpec", body, &c.spec, &err);
	if (rc)
		api_reply_err(call, &err);
	else
		store_call_run(&c);
}

static void update(struct api_call *call)
{
	store_call_body(call, update_with);
}

/* --- remove --- */

/* The node's certificate is refused until it has expired; entries past that are dropped. */
static int blacklist(struct store_tx *tx, const Pb__Node *n, struct err *err)
{
	const Pb__Cluster *old = store_cluster(store_tx_store(tx));
	Pb__BlacklistedCertificateEntry *entry;
	struct ca_identity who = {0};
	Pb__Cluster *c;
	size_t kept = 0;

	if (!old)
		return 0;
	c = pb_clone(old);
	for (size_t i = 0; i < c->n_blacklisted_certificates; i++) {
		Pb__BlacklistedCertificateEntry *e = c->blacklisted_certificates[i];

		if (e->value && e->value->expiry &&
		    pb_timestamp_ns(e->value->expiry) < store_tx_now_ns(tx))
			pb_free(e);
		else
			c->blacklisted_certificates[kept++] = e;
	}
	c->n_blacklisted_certificates = kept;
	entry = pb_new(pb__blacklisted_certificate_entry);
	pb_set_str(&entry->key, n->id);
	entry->value = pb_new(pb__blacklisted_certificate);
	if (n->certificate && n->certificate->certificate.len) {
		_cleanup_free_ char *pem = xstrndup((const char *)n->certificate->certificate.data,
						    n->certificate->certificate.len);

		if (!ca_identity(pem, &who, NULL))
			pb_set_timestamp(&entry->value->expiry, who.not_after_ns);
		ca_identity_done(&who);
	}
	pb_append(&c->n_blacklisted_certificates, &c->blacklisted_certificates, entry);
	return store_tx_update(tx, c, err);
}

/* What ran there is nobody's any more. */
static int orphan_tasks(struct store_tx *tx, const char *node_id, struct err *err)
{
	struct store *s = store_tx_store(tx);
	const Pb__Task *t;
	int rc = 0;

	for (struct store_iter i = store_tasks_of_node(s, node_id); !rc && (t = store_next(&i));) {
		Pb__Task *task;

		if (t->status && t->status->state > PB__TASK_STATE__RUNNING)
			continue;
		task = pb_clone(t);
		pb_free(task->status);
		task->status = pb_new(pb__task_status);
		pb_set_timestamp(&task->status->timestamp, store_tx_now_ns(tx));
		task->status->state = PB__TASK_STATE__ORPHANED;
		pb_set_str(&task->status->message, "Task belonged to a node that has been deleted");
		rc = store_tx_update(tx, task, err);
	}
	return rc;
}

static int build_remove(struct store_call *c, struct store_tx *tx, struct err *err)
{
	const Pb__Node *n = store_node(store_tx_store(tx), c->id);
	struct swarm_member m;
	int rc;

	if (!n)
		return err_set(err, -ENOENT, "node %s not found", c->id);
	if (swarm_member(c->call->engine->swarm, n->id, &m))
		return rpc_precondition(err,
					"node %s is a cluster manager and is a member of the raft "
					"cluster. It must be demoted "
					"to worker before removal",
					n->id);
	if (!c->force && n->status && n->status->state == PB__NODE_STATUS__STATE__READY)
		return rpc_precondition(err, "node %s is not down and can't be removed", n->id);
	rc = blacklist(tx, n, err);
	if (!rc)
		rc = orphan_tasks(tx, c->id, err);
	if (!rc)
		rc = store_tx_remove(tx, STORE_NODE, c->id, err);
	return rc;
}

static void remove_node(struct api_call *call)
{
	struct store_call c = {.call = call, .build = build_remove};
	const Pb__Node *n = store_call_find(call, STORE_NODE);

	if (!n)
		return;
	strcpy(c.id, n->id);
	c.force = api_query_bool(call, "force", false);
	store_call_run(&c);
}

const struct api_route api_node_routes[] = {
	{"GET", "/nodes", list},
	{"GET", "/nodes/{id}", inspect},
	{"POST", "/nodes/{id}/update", update},
	{"DELETE", "/nodes/{id}", remove_node},
	{0},
};
