// SPDX-License-Identifier: Apache-2.0
/*
 * Global services and jobs: one task on each node that fits.
 * Source: swarmkit manager/orchestrator/global, jobs/global.
 */
#include "orch/orch_impl.h"
#include "wire/pb.h"

bool global_wants(const Pb__Service *svc, const Pb__Node *node)
{
	const Pb__Placement *p = svc->spec->task ? svc->spec->task->placement : NULL;
	struct constraints c;
	bool fits;

	if (node_is_invalid(node))
		return false;
	if (mode_of(svc) == MODE_GLOBAL_JOB &&
	    (!node->status || node->status->state != PB__NODE_STATUS__STATE__READY))
		return false;
	if (!p || !p->n_constraints)
		return true;
	if (constraints_parse(p->constraints, p->n_constraints, &c, NULL))
		return false;
	fits = constraints_match(&c, node);
	constraints_done(&c);
	return fits;
}

static void look_at(struct orch *o, struct store_tx *tx, struct osvc *v, const Pb__Service *svc,
		    const char *node_id)
{
	struct store *s = store_tx_store(tx);
	const Pb__Node *node = store_node(s, node_id);
	const struct slot *slot = map_get(&v->slots, node_id);
	const Pb__Task *t;

	if (global_wants(svc, node)) {
		/* A paused node keeps what it has and gets nothing new. */
		if (node->spec && node->spec->availability == PB__NODE_SPEC__AVAILABILITY__PAUSE)
			return;
		if (!slot_is_occupied(slot))
			store_tx_create(tx,
					orch_task_new(o->rng, store_cluster(s), svc, 0, node_id,
						      store_tx_now_ns(tx)),
					NULL);
		return;
	}
	for (struct store_iter it = store_tasks_of_slot(s, v->id, 0, node_id);
	     (t = store_next(&it));)
		if (t->desired_state <= PB__TASK_STATE__COMPLETE)
			task_want(tx, t, PB__TASK_STATE__SHUTDOWN);
}

bool global_reconcile(struct orch *o, struct store_tx *tx, struct osvc *v, const Pb__Service *svc)
{
	char *node_id;

	while (!idq_empty(&v->nodes)) {
		if (store_tx_full(tx))
			return false;
		node_id = idq_pop(&v->nodes);
		look_at(o, tx, v, svc, node_id);
		free(node_id);
	}
	return true;
}
