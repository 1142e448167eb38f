// SPDX-License-Identifier: Apache-2.0
/*
 * The task reaper. Source: swarmkit manager/orchestrator/taskreaper/task_reaper.go.
 */
#include <stdio.h>

#include "core/idq.h"
#include "orch/orch.h"
#include "wire/pb.h"

struct reaper {
	struct store *store;
	struct idq remove; /* tasks that are to go now */
	struct idq slots; /* "service slot node": have more history than before */
	uint64_t due_ms; /* 0: nothing to do */
	bool poked;
};

static Pb__TaskState state_of(const Pb__Task *t)
{
	return t->status ? t->status->state : PB__TASK_STATE__NEW;
}

static bool has_ended(const Pb__Task *t)
{
	return state_of(t) > PB__TASK_STATE__RUNNING;
}

static bool will_never_run(const Pb__Task *t)
{
	return state_of(t) < PB__TASK_STATE__ASSIGNED &&
	       t->desired_state > PB__TASK_STATE__COMPLETE;
}

static bool is_to_go(const Pb__Task *t)
{
	if (t->desired_state == PB__TASK_STATE__REMOVE)
		return has_ended(t) || state_of(t) < PB__TASK_STATE__ASSIGNED;
	/* attachments of containers that are gone with their node */
	return state_of(t) == PB__TASK_STATE__ORPHANED && str_empty(t->service_id);
}

static void note(struct reaper *r, const Pb__Task *t, bool is_new)
{
	char key[128];

	if (is_to_go(t)) {
		idq_add(&r->remove, t->id);
	} else if (!str_empty(t->service_id) && (is_new || has_ended(t) || will_never_run(t))) {
		snprintf(key, sizeof(key), "%s %llu %s", t->service_id, (unsigned long long)t->slot,
			 t->slot ? "" : t->node_id);
		idq_add(&r->slots, key);
	} else {
		return;
	}
	r->poked = true;
}

static void reaper_event(void *c, const struct store_event *ev, uint64_t now_ms)
{
	(void)now_ms;
	if (ev->kind == STORE_TASK && ev->new)
		note(c, ev->new, !ev->old);
}

static int64_t history_limit(const struct store *s, const Pb__Task *t)
{
	const Pb__Cluster *c = store_cluster(s);
	const Pb__RestartPolicy *p = t->spec ? t->spec->restart : NULL;

	if (p && p->max_attempts)
		return min(p->max_attempts, (uint64_t)INT32_MAX) + 1;
	return c && c->spec && c->spec->orchestration
		       ? c->spec->orchestration->task_history_retention_limit
		       : ORCH_HISTORY;
}

static int by_age(const void *a, const void *b)
{
	const Pb__Task *x = *(const Pb__Task *const *)a, *y = *(const Pb__Task *const *)b;
	int64_t i = x->status ? pb_timestamp_ns(x->status->timestamp) : 0;
	int64_t k = y->status ? pb_timestamp_ns(y->status->timestamp) : 0;

	return i != k ? (i < k ? -1 : 1) : strcmp(x->id, y->id);
}

static void reap_slot(struct store_tx *tx, const char *key)
{
	struct store *s = store_tx_store(tx);
	const Pb__Task **tasks = NULL, *t;
	char service[64], node[64] = "";
	unsigned long long slot;
	int64_t limit, surplus;
	size_t n = 0;

	if (sscanf(key, "%63s %llu %63s", service, &slot, node) < 2)
		return;
	for (struct store_iter it = store_tasks_of_slot(s, service, slot, node);
	     (t = store_next(&it));) {
		tasks = xrealloc(tasks, (n + 1) * sizeof(*tasks));
		tasks[n++] = t;
	}
	limit = n ? history_limit(s, tasks[n - 1]) : -1;
	surplus = limit < 0 ? 0 : (int64_t)n - limit;
	if (surplus > 0)
		qsort(tasks, n, sizeof(*tasks), by_age);
	for (size_t i = 0; i < n && surplus > 0; i++)
		if ((has_ended(tasks[i]) && tasks[i]->desired_state > PB__TASK_STATE__RUNNING) ||
		    will_never_run(tasks[i])) {
			_cleanup_free_ char *id = xstrdup(tasks[i]->id);

			store_tx_remove(tx, STORE_TASK, id, NULL);
			surplus--;
		}
	free(tasks);
}

static uint64_t reaper_run(void *c, struct store_tx *tx, uint64_t now_ms)
{
	struct reaper *r = c;

	if (r->poked && !r->due_ms)
		r->due_ms = now_ms + ORCH_REAP_MS;
	r->poked = false;
	if (!r->due_ms)
		return COMPONENT_NEVER;
	if (now_ms < r->due_ms && r->remove.map.len + r->slots.map.len < ORCH_REAP_BATCH)
		return r->due_ms;
	while (!idq_empty(&r->remove) && !store_tx_full(tx)) {
		_cleanup_free_ char *id = idq_pop(&r->remove);
		const Pb__Task *t = store_task(store_tx_store(tx), id);

		if (t && is_to_go(t))
			store_tx_remove(tx, STORE_TASK, id, NULL);
	}
	while (!idq_empty(&r->slots) && !store_tx_full(tx)) {
		_cleanup_free_ char *key = idq_pop(&r->slots);

		reap_slot(tx, key);
	}
	if (!idq_empty(&r->remove) || !idq_empty(&r->slots))
		return r->due_ms = now_ms;
	r->due_ms = 0;
	return COMPONENT_NEVER;
}

static bool reaper_dirty(void *c)
{
	return ((struct reaper *)c)->poked;
}

static void *reaper_open(struct store *store, struct rng *rng)
{
	struct reaper *r = xcalloc(1, sizeof(*r));
	const Pb__Task *t;

	(void)rng;
	r->store = store;
	idq_init(&r->remove);
	idq_init(&r->slots);
	for (struct store_iter it = store_all(store, STORE_TASK); (t = store_next(&it));)
		note(r, t, false);
	return r;
}

static void reaper_close(void *c)
{
	struct reaper *r = c;

	idq_done(&r->remove);
	idq_done(&r->slots);
	free(r);
}

const struct component_ops reaper_component = {
	.name = "task reaper",
	.open = reaper_open,
	.close = reaper_close,
	.event = reaper_event,
	.run = reaper_run,
	.dirty = reaper_dirty,
};
