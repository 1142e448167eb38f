// SPDX-License-Identifier: Apache-2.0
/*
 * Rolling updates. The slots whose tasks differ from the spec are replaced, so many at a time:
 * each worker replaces one, waits until its new task runs, then for the delay. New tasks that end
 * while they are monitored are failures; too many of them pause, or roll back.
 * Source: swarmkit manager/orchestrator/update/updater.go.
 */
#include <stdio.h>

#include "orch/orch_impl.h"
#include "wire/pb.h"

#define MS 1000000LL

enum { SLOT_TASKS = 16 }; /* of a slot's wanted tasks, looked at */

enum worker_state { WORKER_FREE, WORKER_WAITS, WORKER_DELAYED };

struct worker {
	enum worker_state state;
	char *key; /* the slot */
	char *task_id; /* waited for */
	uint64_t until_ms; /* while delayed */
	bool retire; /* start-first: the new one runs, the old ones are to go */
};

/* A task that the update created. */
struct updated {
	struct worker *worker; /* waits for it */
	bool running, failed;
	uint64_t at_ms; /* since when it runs */
};

struct update {
	struct list_head node; /* in orch.updates */
	struct osvc *v;
	const Pb__Service *svc; /* a reference: what it updates to */
	struct idq queue; /* slots to be done */
	size_t n_dirty;
	struct worker *workers;
	size_t n_workers;
	struct map updated; /* task ID → struct updated */
	size_t n_failures;
	char *failed_id; /* the failure that is too many */
	uint64_t monitor_until_ms;
	uint64_t next_ms; /* when something is due */
	/* settings */
	uint64_t delay_ms, monitor_ms;
	float max_failure_ratio;
	Pb__UpdateConfig__FailureAction action;
	bool start_first, rollback;
};

static Pb__UpdateStatus__UpdateState status_of(const Pb__Service *svc)
{
	return svc->update_status ? svc->update_status->state
				  : PB__UPDATE_STATUS__UPDATE_STATE__UNKNOWN;
}

/* --- the service's status --- */

static void stage_status(struct store_tx *tx, const Pb__Service *svc,
			 Pb__UpdateStatus__UpdateState state, const char *message)
{
	Pb__Service *copy = pb_clone(svc);
	Pb__UpdateStatus *st = pb_need(&copy->update_status, pb__update_status);

	st->state = state;
	pb_set_str(&st->message, message);
	if (state == PB__UPDATE_STATUS__UPDATE_STATE__UPDATING)
		pb_set_timestamp(&st->started_at, store_tx_now_ns(tx));
	if (state == PB__UPDATE_STATUS__UPDATE_STATE__COMPLETED ||
	    state == PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_COMPLETED)
		pb_set_timestamp(&st->completed_at, store_tx_now_ns(tx));
	store_tx_update(tx, copy, NULL);
}

static void stage_complete(struct store_tx *tx, const Pb__Service *svc)
{
	if (status_of(svc) == PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_STARTED)
		stage_status(tx, svc, PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_COMPLETED,
			     "rollback completed");
	else if (status_of(svc) == PB__UPDATE_STATUS__UPDATE_STATE__UPDATING)
		stage_status(tx, svc, PB__UPDATE_STATUS__UPDATE_STATE__COMPLETED,
			     "update completed");
}

static void stage_pause(struct store_tx *tx, const Pb__Service *svc, const char *task_id)
{
	bool rollback = status_of(svc) == PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_STARTED;
	_cleanup_free_ char *message =
		xasprintf("%s paused due to failure or early termination of task %s",
			  rollback ? "rollback" : "update", task_id);

	stage_status(tx, svc,
		     rollback ? PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_PAUSED
			      : PB__UPDATE_STATUS__UPDATE_STATE__PAUSED,
		     message);
}

/* The previous spec becomes the spec. */
static void stage_rollback(struct store_tx *tx, const Pb__Service *svc, const char *task_id)
{
	_cleanup_free_ char *message = xasprintf(
		"update rolled back due to failure or early termination of task %s", task_id);
	Pb__Service *copy;
	Pb__UpdateStatus *st;

	if (!svc->previous_spec) {
		stage_pause(tx, svc, task_id);
		return;
	}
	copy = pb_clone(svc);
	st = pb_need(&copy->update_status, pb__update_status);
	st->state = PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_STARTED;
	pb_set_str(&st->message, message);
	pb_free(copy->spec);
	pb_free(copy->spec_version);
	copy->spec = steal_ptr(copy->previous_spec);
	copy->spec_version = steal_ptr(copy->previous_spec_version);
	store_tx_update(tx, copy, NULL);
}

/* --- begin and end --- */

static void worker_reset(struct worker *w)
{
	free(w->key);
	free(w->task_id);
	*w = (struct worker){0};
}

void update_cancel(struct osvc *v)
{
	struct update *u = v->update;
	struct updated *t;
	const char *key;

	if (!u)
		return;
	v->update = NULL;
	list_del(&u->node);
	for (size_t i = 0; i < u->n_workers; i++)
		worker_reset(&u->workers[i]);
	free(u->workers);
	map_for_each (&u->updated, key, t)
		free(t);
	map_done(&u->updated);
	idq_done(&u->queue);
	store_unref(u->svc);
	free(u->failed_id);
	free(u);
}

size_t updatable(const struct store *s, const struct osvc *v, const struct slot *slot,
		 const Pb__Service *svc, const Pb__Task **ret, size_t max)
{
	struct store_iter it = slot_tasks(s, v, slot->key);
	const Pb__Task *t, *newest = NULL;
	size_t n = 0;

	while ((t = store_next(&it))) {
		if (t->desired_state <= PB__TASK_STATE__RUNNING && n < max)
			ret[n++] = t;
		if (t->status && (!newest || pb_timestamp_ns(t->status->timestamp) >=
						     pb_timestamp_ns(newest->status->timestamp)))
			newest = t;
	}
	/* A rollback leaves alone what ended under the old spec, as it is to converge. */
	if (n || !slot->settled || !newest ||
	    status_of(svc) == PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_STARTED)
		return n;
	ret[0] = newest;
	return 1;
}

static bool dirty(const struct store *s, const Pb__Service *svc, const Pb__Task *t)
{
	return task_is_dirty(svc, t, store_node(s, t->node_id));
}

static void read_config(struct update *u, const Pb__Service *svc, size_t n_dirty)
{
	const Pb__UpdateConfig *c;
	uint64_t parallelism = 1;

	u->rollback = status_of(svc) == PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_STARTED;
	c = u->rollback ? svc->spec->rollback : svc->spec->update;
	u->monitor_ms = ORCH_MONITOR_MS;
	if (c) {
		parallelism = c->parallelism;
		u->delay_ms = max(pb_duration_ns(c->delay), (int64_t)0) / MS;
		if (c->monitor)
			u->monitor_ms = max(pb_duration_ns(c->monitor), (int64_t)0) / MS;
		u->max_failure_ratio = c->max_failure_ratio;
		u->action = c->failure_action;
		u->start_first = c->order == PB__UPDATE_CONFIG__UPDATE_ORDER__START_FIRST;
	}
	u->n_workers = parallelism && parallelism < n_dirty ? parallelism : n_dirty;
	u->workers = xcalloc(u->n_workers, sizeof(*u->workers));
}

bool update_is_for(const struct update *u, const Pb__Service *svc)
{
	bool rollback = status_of(svc) == PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_STARTED;
	bool paused = status_of(svc) == PB__UPDATE_STATUS__UPDATE_STATE__PAUSED ||
		      status_of(svc) == PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_PAUSED;

	return !paused && (rollback == u->rollback || !svc->update_status) &&
	       pb_equal(u->svc->spec_version, svc->spec_version) &&
	       pb_equal(u->svc->spec, svc->spec);
}

static int by_key(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;
	uint64_t i = slot_number(x), k = slot_number(y);

	return i != k ? (i < k ? -1 : 1) : strcmp(x, y);
}

/* Queue the slots that are not as the spec says, in order. */
static void find_dirty(struct update *u, const struct store *s, struct osvc *v,
		       const Pb__Service *svc)
{
	const char **keys = xcalloc(v->slots.len + 1, sizeof(*keys));
	struct slot *slot;
	const char *key;
	size_t n_keys = 0;

	map_for_each (&v->slots, key, slot) {
		const Pb__Task *tasks[SLOT_TASKS];
		size_t n = updatable(s, v, slot, svc, tasks, SLOT_TASKS);

		if (v->mode == MODE_GLOBAL) {
			const Pb__Node *node = store_node(s, key);

			/* A paused node's task stays as it is. */
			if (!global_wants(svc, node) ||
			    (node->spec &&
			     node->spec->availability == PB__NODE_SPEC__AVAILABILITY__PAUSE))
				continue;
		}
		if (n > 1 || (n == 1 && dirty(s, svc, tasks[0])))
			keys[n_keys++] = key;
	}
	if (v->mode == MODE_REPLICATED)
		qsort(keys, n_keys, sizeof(*keys), by_key);
	for (size_t i = 0; i < n_keys; i++)
		idq_add(&u->queue, keys[i]);
	u->n_dirty = n_keys;
	free(keys);
}

void update_begin(struct orch *o, struct store_tx *tx, struct osvc *v, const Pb__Service *svc)
{
	Pb__UpdateStatus__UpdateState state = status_of(svc);
	struct update *u;

	if (v->update && update_is_for(v->update, svc))
		return;
	update_cancel(v);
	if (state == PB__UPDATE_STATUS__UPDATE_STATE__PAUSED ||
	    state == PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_PAUSED)
		return;
	u = xcalloc(1, sizeof(*u));
	list_init(&u->node);
	idq_init(&u->queue);
	find_dirty(u, store_tx_store(tx), v, svc);
	u->v = v;
	u->svc = store_ref(svc);
	v->update = u;
	if (!u->n_dirty) {
		update_cancel(v);
		stage_complete(tx, svc);
		return;
	}
	read_config(u, svc, u->n_dirty);
	list_add_tail(&u->node, &o->updates);
	if (state != PB__UPDATE_STATUS__UPDATE_STATE__UPDATING &&
	    state != PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_STARTED)
		stage_status(tx, svc, PB__UPDATE_STATUS__UPDATE_STATE__UPDATING,
			     "update in progress");
	o->poked = true;
}

/* --- one slot --- */

static void worker_done(struct update *u, struct worker *w, uint64_t now_ms)
{
	char *key = steal_ptr(w->key);

	worker_reset(w);
	free(key);
	if (u->delay_ms) {
		w->state = WORKER_DELAYED;
		w->until_ms = now_ms + u->delay_ms;
	}
}

static void retire(struct store_tx *tx, const Pb__Task *const *tasks, size_t n, const char *keep)
{
	for (size_t i = 0; i < n; i++)
		if (!keep || strcmp(tasks[i]->id, keep))
			task_want(tx, tasks[i], PB__TASK_STATE__SHUTDOWN);
}

/* The task that a new one waits for, or NULL. */
static const Pb__Task *stops_last(const struct store *s, const Pb__Task *const *tasks, size_t n,
				  const char *except)
{
	for (size_t i = n; i-- > 0;) {
		const Pb__Node *node = store_node(s, tasks[i]->node_id);
		bool down =
			node && node->status && node->status->state == PB__NODE_STATUS__STATE__DOWN;

		if ((except && !strcmp(tasks[i]->id, except)) || !tasks[i]->status ||
		    tasks[i]->status->state > PB__TASK_STATE__RUNNING ||
		    tasks[i]->status->state < PB__TASK_STATE__ASSIGNED || !node || down)
			continue;
		return tasks[i];
	}
	return NULL;
}

static void use_existing(struct orch *o, struct store_tx *tx, struct update *u, struct worker *w,
			 const Pb__Task *const *tasks, size_t n, const Pb__Task *existing,
			 uint64_t now_ms)
{
	if (existing->desired_state < PB__TASK_STATE__RUNNING && !start_pending(o, existing->id))
		start_add(o, existing->id, stops_last(store_tx_store(tx), tasks, n, existing->id),
			  0, now_ms);
	retire(tx, tasks, n, existing->id);
	worker_done(u, w, now_ms);
}

static void replace(struct orch *o, struct store_tx *tx, struct update *u, struct worker *w,
		    const Pb__Service *svc, const Pb__Task *const *tasks, size_t n, uint64_t now_ms)
{
	struct store *s = store_tx_store(tx);
	const Pb__Task *old = u->start_first ? NULL : stops_last(s, tasks, n, NULL);
	Pb__Task *new = orch_task_new(o->rng, store_cluster(s), svc, tasks[0]->slot,
				      u->v->mode == MODE_GLOBAL ? tasks[0]->node_id : "",
				      store_tx_now_ns(tx));
	struct updated *up = xcalloc(1, sizeof(*up));

	if (old) {
		new->desired_state = PB__TASK_STATE__READY;
		start_add(o, new->id, old, 0, now_ms);
	}
	if (!u->start_first)
		retire(tx, tasks, n, NULL);
	up->worker = w;
	w->state = WORKER_WAITS;
	w->task_id = xstrdup(new->id);
	map_put(&u->updated, new->id, up);
	store_tx_create(tx, new, NULL);
}

static void work_on(struct orch *o, struct store_tx *tx, struct update *u, struct worker *w,
		    const Pb__Service *svc, char *key, uint64_t now_ms)
{
	struct store *s = store_tx_store(tx);
	const struct slot *slot = map_get(&u->v->slots, key);
	const Pb__Task *tasks[SLOT_TASKS], *existing = NULL;
	size_t n = slot ? updatable(s, u->v, slot, svc, tasks, SLOT_TASKS) : 0;

	w->key = key;
	/* The running one of the new spec, if any, else the last that is to run. */
	for (size_t i = 0; i < n; i++) {
		if (tasks[i]->desired_state > PB__TASK_STATE__RUNNING || dirty(s, svc, tasks[i]))
			continue;
		existing = tasks[i];
		if (existing->desired_state == PB__TASK_STATE__RUNNING)
			break;
	}
	if (existing)
		use_existing(o, tx, u, w, tasks, n, existing, now_ms);
	else if (n)
		replace(o, tx, u, w, svc, tasks, n, now_ms);
	else
		worker_reset(w); /* the slot is gone */
}

/* --- what happens --- */

static void count_failure(struct update *u, struct updated *up, const char *task_id)
{
	up->failed = true;
	u->n_failures++;
	if ((float)u->n_failures / u->n_dirty > u->max_failure_ratio &&
	    u->action != PB__UPDATE_CONFIG__FAILURE_ACTION__CONTINUE && !u->failed_id)
		u->failed_id = xstrdup(task_id);
}

void update_task_event(struct update *u, const Pb__Task *old, const Pb__Task *new, uint64_t now_ms)
{
	const Pb__Task *t = new ? new : old;
	struct updated *up = map_get(&u->updated, t->id);
	Pb__TaskState state = new &&new->status ? new->status->state : PB__TASK_STATE__NEW;
	bool ended = state > PB__TASK_STATE__RUNNING;

	if (!up)
		return;
	u->v->orch->poked = true;
	if (ended && !up->failed && (!up->running || now_ms - up->at_ms <= u->monitor_ms) && old &&
	    old->desired_state <= PB__TASK_STATE__RUNNING)
		count_failure(u, up, t->id);
	if (state >= PB__TASK_STATE__RUNNING && !up->running) {
		up->running = true;
		up->at_ms = now_ms;
	}
	if (!up->worker)
		return;
	if (state == PB__TASK_STATE__RUNNING && u->start_first)
		up->worker->retire = true;
	else if (state >= PB__TASK_STATE__RUNNING || !new ||
		 new->desired_state > PB__TASK_STATE__RUNNING)
		worker_done(u, up->worker, now_ms);
	else
		return;
	if (!up->worker->retire)
		up->worker = NULL;
}

/* Start-first: the new task runs, the slot's others go. */
static void retire_old(struct store_tx *tx, struct update *u, struct worker *w,
		       const Pb__Service *svc, uint64_t now_ms)
{
	struct store *s = store_tx_store(tx);
	const struct slot *slot = map_get(&u->v->slots, w->key);
	const Pb__Task *tasks[SLOT_TASKS];
	size_t n = slot ? updatable(s, u->v, slot, svc, tasks, SLOT_TASKS) : 0;
	struct updated *up = map_get(&u->updated, w->task_id);

	retire(tx, tasks, n, w->task_id);
	if (up)
		up->worker = NULL;
	worker_done(u, w, now_ms);
}

/* Returns false when the update is over. */
static bool step(struct orch *o, struct store_tx *tx, struct update *u, const Pb__Service *svc,
		 uint64_t now_ms)
{
	bool busy = false;

	u->next_ms = COMPONENT_NEVER;
	if (u->failed_id) {
		if (u->action == PB__UPDATE_CONFIG__FAILURE_ACTION__ROLLBACK && !u->rollback)
			stage_rollback(tx, svc, u->failed_id);
		else
			stage_pause(tx, svc, u->failed_id);
		return false;
	}
	for (size_t i = 0; i < u->n_workers; i++) {
		struct worker *w = &u->workers[i];
		char *key;

		if (store_tx_full(tx)) {
			u->next_ms = now_ms;
			return true;
		}
		if (w->retire)
			retire_old(tx, u, w, svc, now_ms);
		if (w->state == WORKER_DELAYED && w->until_ms <= now_ms)
			worker_reset(w);
		while (w->state == WORKER_FREE && !store_tx_full(tx) && (key = idq_pop(&u->queue)))
			work_on(o, tx, u, w, svc, key, now_ms);
		busy |= w->state != WORKER_FREE;
		if (w->state == WORKER_DELAYED)
			u->next_ms = min(u->next_ms, w->until_ms);
	}
	if (busy || !idq_empty(&u->queue))
		return true;
	/* All is replaced: failures still count for a while. */
	if (!u->monitor_until_ms)
		u->monitor_until_ms = now_ms + (u->delay_ms >= u->monitor_ms ? u->delay_ms + 1000
									     : u->monitor_ms);
	if (now_ms < u->monitor_until_ms) {
		u->next_ms = u->monitor_until_ms;
		return true;
	}
	stage_complete(tx, svc);
	return false;
}

uint64_t updates_run(struct orch *o, struct store_tx *tx, uint64_t now_ms)
{
	uint64_t next = COMPONENT_NEVER;
	struct update *u, *tmp;

	list_for_each_safe (u, tmp, &o->updates, node) {
		const Pb__Service *svc = store_service(store_tx_store(tx), u->v->id);

		if (store_tx_full(tx))
			return now_ms;
		/* Another spec is on its way: its event cancels this update. */
		if (!svc || !update_is_for(u, svc))
			continue;
		if (step(o, tx, u, svc, now_ms)) {
			next = min(next, u->next_ms);
			continue;
		}
		osvc_dirty(u->v); /* it may leave slots with two tasks */
		update_cancel(u->v);
	}
	return next;
}
