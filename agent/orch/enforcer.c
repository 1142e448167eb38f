// SPDX-License-Identifier: Apache-2.0
/*
 * The constraint enforcer. Nodes that are paused or drained are left alone: the first keep what
 * they have, the second are emptied by the orchestrator.
 * Source: swarmkit manager/orchestrator/constraintenforcer/constraint_enforcer.go.
 */
#include "core/idq.h"
#include "orch/orch.h"
#include "sched/constraint.h"
#include "wire/pb.h"

struct enforcer {
	struct idq nodes;
};

/* What is left of the node while its tasks are gone through. */
struct rest {
	int64_t cpu, memory;
	bool known;
};

static bool is_enforced(const Pb__Node *n)
{
	return n->spec && n->spec->availability == PB__NODE_SPEC__AVAILABILITY__ACTIVE;
}

static bool matters(const Pb__Node *a, const Pb__Node *b)
{
	return a->role != b->role || !pb_equal(a->spec, b->spec) ||
	       !pb_equal(a->description, b->description) ||
	       strcmp(a->status ? a->status->addr : "", b->status ? b->status->addr : "");
}

static void enforcer_event(void *c, const struct store_event *ev, uint64_t now_ms)
{
	struct enforcer *e = c;
	const Pb__Node *old = ev->old, *new = ev->new;

	(void)now_ms;
	if (ev->kind == STORE_NODE && old && new &&is_enforced(new) && matters(old, new))
		idq_add(&e->nodes, new->id);
}

static bool fits_constraints(const struct store *s, const Pb__Task *t, const Pb__Node *n)
{
	/* The service's own: a change of constraints alone leaves fitting tasks as they are. */
	const Pb__Service *svc = store_service(s, t->service_id);
	const Pb__TaskSpec *spec = svc && svc->spec ? svc->spec->task : t->spec;
	const Pb__Placement *p = spec ? spec->placement : NULL;
	struct constraints c;
	bool fits;

	if (!p || !p->n_constraints ||
	    constraints_parse(p->constraints, p->n_constraints, &c, NULL))
		return true;
	fits = constraints_match(&c, n);
	constraints_done(&c);
	return fits;
}

static bool fits_resources(struct rest *rest, const Pb__Task *t)
{
	const Pb__Resources *r =
		t->spec && t->spec->resources ? t->spec->resources->reservations : NULL;

	if (!r || !rest->known)
		return true;
	if (r->nano_cpus > rest->cpu || r->memory_bytes > rest->memory)
		return false;
	rest->cpu -= r->nano_cpus;
	rest->memory -= r->memory_bytes;
	return true;
}

static void reject(struct store_tx *tx, const Pb__Task *t)
{
	Pb__Task *copy = pb_clone(t);
	Pb__TaskStatus *st = copy->status;

	st->state = PB__TASK_STATE__REJECTED;
	pb_set_str(&st->message, "task rejected by constraint enforcer");
	pb_set_str(&st->err, "assigned node no longer meets constraints");
	pb_set_timestamp(&st->timestamp, store_tx_now_ns(tx));
	pb_set_timestamp(&st->applied_at, store_tx_now_ns(tx));
	store_tx_update(tx, copy, NULL);
}

static void check_node(struct store_tx *tx, const Pb__Node *n)
{
	struct store *s = store_tx_store(tx);
	const Pb__Resources *r = n->description ? n->description->resources : NULL;
	struct rest rest = {r ? r->nano_cpus : 0, r ? r->memory_bytes : 0, r};
	const Pb__Task *t;

	for (struct store_iter it = store_tasks_of_node(s, n->id); (t = store_next(&it));) {
		if (!t->status || t->status->state < PB__TASK_STATE__ASSIGNED ||
		    t->status->state > PB__TASK_STATE__RUNNING ||
		    t->desired_state < PB__TASK_STATE__ASSIGNED ||
		    t->desired_state > PB__TASK_STATE__COMPLETE)
			continue;
		if (!fits_constraints(s, t, n) || !fits_resources(&rest, t))
			reject(tx, t);
	}
}

static uint64_t enforcer_run(void *c, struct store_tx *tx, uint64_t now_ms)
{
	struct enforcer *e = c;

	(void)now_ms;
	while (!idq_empty(&e->nodes) && !store_tx_full(tx)) {
		_cleanup_free_ char *id = idq_pop(&e->nodes);
		const Pb__Node *n = store_node(store_tx_store(tx), id);

		if (n && is_enforced(n))
			check_node(tx, n);
	}
	return COMPONENT_NEVER;
}

static bool enforcer_dirty(void *c)
{
	return !idq_empty(&((struct enforcer *)c)->nodes);
}

static void *enforcer_open(struct store *store, struct rng *rng)
{
	struct enforcer *e = xcalloc(1, sizeof(*e));
	const Pb__Node *n;

	(void)rng;
	idq_init(&e->nodes);
	for (struct store_iter it = store_all(store, STORE_NODE); (n = store_next(&it));)
		if (is_enforced(n))
			idq_add(&e->nodes, n->id);
	return e;
}

static void enforcer_close(void *c)
{
	struct enforcer *e = c;

	idq_done(&e->nodes);
	free(e);
}

const struct component_ops enforcer_component = {
	.name = "constraint enforcer",
	.open = enforcer_open,
	.close = enforcer_close,
	.event = enforcer_event,
	.run = enforcer_run,
	.dirty = enforcer_dirty,
};
