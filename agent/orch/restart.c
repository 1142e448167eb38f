// SPDX-License-Identifier: Apache-2.0
/*
 * The restart supervisor. Source: swarmkit manager/orchestrator/restart/restart.go.
 */
#include "orch/orch_impl.h"
#include "wire/pb.h"

#define MS 1000000LL

enum { HISTORY_MAX = 1000 };

static Pb__RestartPolicy__RestartCondition condition_of(const Pb__Task *t)
{
	const Pb__RestartPolicy *p = t->spec ? t->spec->restart : NULL;

	return p ? p->condition : PB__RESTART_POLICY__RESTART_CONDITION__ANY;
}

static uint64_t version_of(const Pb__Task *t)
{
	return t->spec_version ? t->spec_version->index : 0;
}

static int64_t ended_at(const Pb__Task *t)
{
	int64_t ns = pb_timestamp_ns(t->status->applied_at);

	return ns ? ns : pb_timestamp_ns(t->status->timestamp);
}

bool restart_allowed(const Pb__Task *t, const struct slot *slot)
{
	const Pb__RestartPolicy *p = t->spec ? t->spec->restart : NULL;
	Pb__RestartPolicy__RestartCondition c = condition_of(t);
	const struct history *h = slot ? &slot->history : NULL;
	int64_t from_ns;
	size_t n = 0;

	if (c == PB__RESTART_POLICY__RESTART_CONDITION__NONE ||
	    (c == PB__RESTART_POLICY__RESTART_CONDITION__ON_FAILURE &&
	     t->status->state == PB__TASK_STATE__COMPLETE))
		return false;
	if (!p || !p->max_attempts || !h || !h->total || h->version != version_of(t))
		return true;
	if (!pb_duration_ns(p->window))
		return h->total < p->max_attempts;
	from_ns = ended_at(t) - pb_duration_ns(p->window);
	for (size_t i = 0; i < h->n; i++)
		n += h->at_ns[i] >= from_ns;
	return n < p->max_attempts;
}

static void record(struct slot *slot, const Pb__Task *t, int64_t now_ns)
{
	const Pb__RestartPolicy *p = t->spec ? t->spec->restart : NULL;
	struct history *h = &slot->history;
	size_t keep;

	if (!p || !p->max_attempts)
		return;
	if (h->version != version_of(t))
		h->total = h->n = 0;
	h->version = version_of(t);
	h->total++;
	if (!pb_duration_ns(p->window))
		return;
	/* Only the newest max_attempts ever matter. */
	keep = min(p->max_attempts, (uint64_t)HISTORY_MAX);
	if (h->n >= keep) {
		memmove(h->at_ns, h->at_ns + (h->n - keep + 1), (keep - 1) * sizeof(*h->at_ns));
		h->n = keep - 1;
	}
	h->at_ns = xrealloc(h->at_ns, (h->n + 1) * sizeof(*h->at_ns));
	h->at_ns[h->n++] = now_ns;
}

static bool is_down(const Pb__Node *n)
{
	return n && n->status && n->status->state == PB__NODE_STATUS__STATE__DOWN;
}

static uint64_t delay_of(const Pb__Task *t)
{
	const Pb__RestartPolicy *p = t->spec ? t->spec->restart : NULL;

	return p && p->delay ? max(pb_duration_ns(p->delay), (int64_t)0) / MS
			     : ORCH_RESTART_DELAY_MS;
}

void restart_task(struct orch *o, struct store_tx *tx, struct osvc *v, const Pb__Service *svc,
		  const Pb__Task *t, uint64_t now_ms)
{
	struct store *s = store_tx_store(tx);
	const Pb__Node *n = store_node(s, t->node_id);
	/* A node that is lost or drained is no fault of the task: no delay. */
	bool blameless = !str_empty(t->node_id) && node_is_invalid(n);
	bool ended = t->status->state > PB__TASK_STATE__RUNNING;
	bool wait_stop = !ended && n && !is_down(n);
	uint64_t delay_ms = blameless ? 0 : delay_of(t);
	struct slot *slot;
	Pb__Task *new;
	char key[64];

	slot_key(v, t, key);
	slot = slot_need(v, key);
	if (!restart_allowed(t, slot) &&
	    (!blameless || ended ||
	     condition_of(t) == PB__RESTART_POLICY__RESTART_CONDITION__NONE)) {
		slot_set_settled(v, slot, true);
		task_want(tx, t, PB__TASK_STATE__SHUTDOWN);
		return;
	}
	new = orch_task_new(o->rng, store_cluster(s), svc, t->slot,
			    v->mode == MODE_GLOBAL || v->mode == MODE_GLOBAL_JOB ? t->node_id : "",
			    store_tx_now_ns(tx));
	if (delay_ms || wait_stop) {
		new->desired_state = PB__TASK_STATE__READY;
		start_add(o, new->id, wait_stop ? t : NULL, delay_ms, now_ms);
	}
	if (ended)
		record(slot, t, store_tx_now_ns(tx));
	task_want(tx, t, PB__TASK_STATE__SHUTDOWN);
	store_tx_create(tx, new, NULL);
}

/* --- tasks that wait to run --- */

static uint64_t due_ms(const struct start *st)
{
	return st->old_id ? max(st->delay_until_ms, st->deadline_ms) : st->delay_until_ms;
}

static bool due_before(const struct heap_item *a, const struct heap_item *b)
{
	return due_ms(container_of(a, struct start, item)) <
	       due_ms(container_of(b, struct start, item));
}

static void start_free(struct orch *o, struct start *st)
{
	heap_del(&o->due, &st->item);
	map_del(&o->starts, st->task_id);
	if (st->old_id && map_get(&o->stopping, st->old_id) == st)
		map_del(&o->stopping, st->old_id);
	free(st->task_id);
	free(st->old_id);
	free(st);
}

void start_add(struct orch *o, const char *task_id, const Pb__Task *old, uint64_t delay_ms,
	       uint64_t now_ms)
{
	struct start *st = map_get(&o->starts, task_id);

	if (st)
		start_free(o, st);
	if (!o->due.before)
		heap_init(&o->due, due_before);
	st = xcalloc(1, sizeof(*st));
	st->task_id = xstrdup(task_id);
	st->old_id = old ? xstrdup(old->id) : NULL;
	st->delay_until_ms = now_ms + delay_ms;
	st->deadline_ms = now_ms + ORCH_STOP_TIMEOUT_MS;
	map_put(&o->starts, task_id, st);
	if (old)
		map_put(&o->stopping, old->id, st);
	heap_push(&o->due, &st->item);
}

bool start_pending(const struct orch *o, const char *task_id)
{
	return map_has(&o->starts, task_id);
}

void start_old_stopped(struct orch *o, const char *old_id)
{
	struct start *st = map_del(&o->stopping, old_id);

	if (!st)
		return;
	free(st->old_id);
	st->old_id = NULL;
	o->poked = true;
	heap_fix(&o->due, &st->item);
}

void start_resume(struct orch *o, const Pb__Task *t, int64_t elapsed_ns, uint64_t now_ms)
{
	uint64_t delay = delay_of(t), gone = max(elapsed_ns, (int64_t)0) / MS;

	start_add(o, t->id, NULL, gone < delay ? delay - gone : 0, now_ms);
}

uint64_t starts_run(struct orch *o, struct store_tx *tx, uint64_t now_ms)
{
	struct heap_item *top;

	while ((top = heap_top(&o->due))) {
		struct start *st = container_of(top, struct start, item);
		const Pb__Task *t;

		if (due_ms(st) > now_ms)
			return due_ms(st);
		if (store_tx_full(tx))
			return now_ms;
		t = store_task(store_tx_store(tx), st->task_id);
		if (t && t->desired_state == PB__TASK_STATE__READY) {
			if (t->status && t->status->state > PB__TASK_STATE__RUNNING)
				idq_add(&o->tasks, t->id); /* it failed while it waited */
			else
				task_want(tx, t,
					  t->job_iteration ? PB__TASK_STATE__COMPLETE
							   : PB__TASK_STATE__RUNNING);
		}
		start_free(o, st);
	}
	return COMPONENT_NEVER;
}

void starts_done(struct orch *o)
{
	while (o->due.n)
		start_free(o, container_of(heap_top(&o->due), struct start, item));
	heap_done(&o->due);
	map_done(&o->starts);
	map_done(&o->stopping);
}
