// SPDX-License-Identifier: Apache-2.0
/*
 * Replicated services: slots 1 to n. Source: swarmkit manager/orchestrator/replicated.
 */
#include <stdio.h>

#include "orch/orch_impl.h"
#include "wire/pb.h"

struct choice {
	struct slot *slot;
	uint64_t number;
	bool running;
	const char *node_id;
	size_t nth; /* so many running ones before it are on its node */
};

/* To be kept first: running ones, evenly over the nodes, low numbers. */
static int by_worth(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;

	if (x->running != y->running)
		return x->running ? -1 : 1;
	if (x->nth != y->nth)
		return x->nth < y->nth ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static int by_number(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static void look(const struct store *s, const struct osvc *v, struct choice *c)
{
	struct store_iter it = slot_tasks(s, v, c->slot->key);
	const Pb__Task *t;

	c->number = slot_number(c->slot->key);
	while ((t = store_next(&it))) {
		if (t->desired_state > PB__TASK_STATE__RUNNING)
			continue;
		c->running |= t->status && t->status->state == PB__TASK_STATE__RUNNING;
		if (!str_empty(t->node_id))
			c->node_id = t->node_id;
	}
}

static void remove_slot(struct orch *o, const struct store *s, struct osvc *v,
			const struct slot *slot)
{
	struct store_iter it = slot_tasks(s, v, slot->key);
	const Pb__Task *t;

	while ((t = store_next(&it)))
		orch_remove(o, v, t->id);
}

static void scale_down(struct orch *o, const struct store *s, struct osvc *v, size_t keep)
{
	struct choice *c = xcalloc(v->n_occupied + 1, sizeof(*c));
	struct map on_node = MAP_INIT;
	struct slot *slot;
	const char *key;
	size_t n = 0;

	map_for_each (&v->slots, key, slot)
		if (slot_is_occupied(slot) && n < v->n_occupied) {
			c[n].slot = slot;
			look(s, v, &c[n++]);
		}
	qsort(c, n, sizeof(*c), by_number);
	for (size_t i = 0; i < n; i++) {
		if (!c[i].running || !c[i].node_id)
			continue;
		c[i].nth = (uintptr_t)map_get(&on_node, c[i].node_id);
		map_put(&on_node, c[i].node_id, (void *)(uintptr_t)(c[i].nth + 1));
	}
	qsort(c, n, sizeof(*c), by_worth);
	for (size_t i = keep; i < n; i++)
		remove_slot(o, s, v, c[i].slot);
	map_done(&on_node);
	free(c);
}

bool replicated_reconcile(struct orch *o, struct store_tx *tx, struct osvc *v,
			  const Pb__Service *svc)
{
	uint64_t want = svc->spec->replicated ? svc->spec->replicated->replicas : 0;
	size_t have = v->n_occupied;

	if (have > want)
		scale_down(o, store_tx_store(tx), v, want);
	v->next_free = max(v->next_free, (uint64_t)1);
	for (; have < want; have++)
		if (!slot_fill_next(o, tx, v, svc))
			return false;
	return true;
}
