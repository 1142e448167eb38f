// SPDX-License-Identifier: Apache-2.0
/* Nodes. Source: swarmkit manager/controlapi/node.go. */
#include "manager/ca.h"
#include "manager/control_impl.h"

static bool is_member(const struct control_job *job, const char *node_id, struct swarm_member *ret)
{
	const struct control_manager *m = &job->control->manager;

	return m->member(node_id, ret, m->arg);
}

/* --- update --- */

static int check_update(void *request, struct err *err)
{
	Pb__UpdateNodeRequest *r = request;

	if (!r->spec)
		return control_no_argument(err);
	pb_need(&r->spec->annotations, pb__annotations);
	return 0;
}

/* Raft must keep a quorum of those that answer when one member goes. */
static bool can_lose(const struct control_job *job, const char *node_id)
{
	size_t members = 0, reachable = 0;
	const Pb__Node *n;

	for (struct store_iter i = store_all(control_store(job), STORE_NODE);
	     (n = store_next(&i));) {
		struct swarm_member m;

		if (!is_member(job, n->id, &m))
			continue;
		members++;
		reachable += m.reachable && strcmp(n->id, node_id);
	}
	return members > 1 && reachable >= (members - 1) / 2 + 1;
}

static int check_demotion(const struct control_job *job, const Pb__Node *old, struct err *err)
{
	size_t managers = 0;
	struct swarm_member m;
	const Pb__Node *n;

	for (struct store_iter i = store_all(control_store(job), STORE_NODE); (n = store_next(&i));)
		managers +=
			n->role == PB__NODE_ROLE__MANAGER ||
			(n->spec && n->spec->desired_role == PB__NODE_ROLE__MANAGER && n != old);
	if (managers <= 1)
		return grpc_err(err, GRPC_FAILED_PRECONDITION,
				"attempting to demote the last manager of the swarm");
	if (!is_member(job, old->id, &m))
		return 0; /* promoted, and not yet come */
	if (!can_lose(job, old->id))
		return grpc_err(
			err, GRPC_FAILED_PRECONDITION,
			"can't remove member from the raft: this would result in a loss of quorum");
	return 0;
}

static int update(struct control_job *job, struct store_tx *tx, struct err *err)
{
	Pb__UpdateNodeRequest *r = job->request;
	const Pb__Node *old;
	Pb__Node *n;
	int rc = control_find_version(job, r->id, r->version, (const void **)&old, err);

	if (!rc && old->spec && old->spec->desired_role == PB__NODE_ROLE__MANAGER &&
	    r->spec->desired_role == PB__NODE_ROLE__WORKER)
		rc = check_demotion(job, old, err);
	if (rc)
		return rc;
	n = pb_clone(old);
	/* clients do not speak of membership */
	r->spec->membership =
		old->spec ? old->spec->membership : PB__NODE_SPEC__MEMBERSHIP__ACCEPTED;
	pb_free(n->spec);
	n->spec = pb_clone(r->spec);
	return control_stage(job, tx, n, err);
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

static int remove_node(struct control_job *job, struct store_tx *tx, struct err *err)
{
	const Pb__ObjectRequest *r = job->request;
	const Pb__Node *n;
	struct swarm_member m;
	int rc = control_find(job, r->id, (const void **)&n, err);

	if (rc)
		return rc;
	if (is_member(job, n->id, &m))
		return grpc_err(err, GRPC_FAILED_PRECONDITION,
				"node %s is a cluster manager and is a member of the raft cluster. "
				"It must be demoted to worker before removal",
				n->id);
	if (!r->flag && n->status && n->status->state == PB__NODE_STATUS__STATE__READY)
		return grpc_err(err, GRPC_FAILED_PRECONDITION,
				"node %s is not down and can't be removed", n->id);
	rc = blacklist(tx, n, err);
	if (!rc)
		rc = orphan_tasks(tx, r->id, err);
	if (!rc)
		rc = store_tx_remove(tx, STORE_NODE, r->id, err);
	return rc;
}

const struct control_method control_node_methods[] = {
	{CONTROL_PATH("UpdateNode"), &pb__update_node_request__descriptor,
	 &pb__node_reply__descriptor, STORE_NODE, check_update, NULL, update},
	{CONTROL_PATH("RemoveNode"), &pb__object_request__descriptor, &pb__nothing__descriptor,
	 STORE_NODE, NULL, NULL, remove_node},
	{0},
};
