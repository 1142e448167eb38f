// SPDX-License-Identifier: Apache-2.0
#include "orch/orch_impl.h"

#include "wire/pb.h"

/* --- services --- */

static void all_nodes(struct osvc *v)
{
	const Pb__Node *n;

	for (struct store_iter it = store_all(v->orch->store, STORE_NODE); (n = store_next(&it));)
		idq_add(&v->nodes, n->id);
}

static uint64_t iteration_of(const Pb__Service *svc)
{
	return svc->job_status && svc->job_status->job_iteration
		       ? svc->job_status->job_iteration->index
		       : 0;
}

/* Count the service's tasks, on leadership; of a job's earlier iterations they are to go. */
static void recount(struct osvc *v)
{
	const Pb__Task *t;

	for (struct store_iter it = store_tasks_of_service(v->orch->store, v->id);
	     (t = store_next(&it));) {
		slots_follow(v, NULL, t);
		if (v->mode >= MODE_REPLICATED_JOB &&
		    (t->job_iteration ? t->job_iteration->index : 0) != v->iteration)
			orch_remove(v->orch, v, t->id);
	}
}

static struct osvc *osvc_new(struct orch *o, const Pb__Service *svc)
{
	struct osvc *v = xcalloc(1, sizeof(*v));

	v->id = xstrdup(svc->id);
	v->orch = o;
	v->mode = mode_of(svc);
	v->iteration = iteration_of(svc);
	list_init(&v->dirty);
	list_init(&v->global);
	idq_init(&v->nodes);
	idq_init(&v->remove);
	idq_init(&v->doubled);
	map_put(&o->services, v->id, v);
	if (v->mode == MODE_GLOBAL || v->mode == MODE_GLOBAL_JOB) {
		list_add_tail(&v->global, &o->globals);
		all_nodes(v);
	}
	v->rescan = true;
	osvc_dirty(v);
	return v;
}

static void osvc_free(struct osvc *v)
{
	update_cancel(v);
	slots_done(v);
	idq_done(&v->nodes);
	idq_done(&v->remove);
	idq_done(&v->doubled);
	list_del(&v->dirty);
	list_del(&v->global);
	free(v->id);
	free(v);
}

void orch_remove(struct orch *o, struct osvc *v, const char *task_id)
{
	idq_add(v ? &v->remove : &o->remove, task_id);
	if (v)
		osvc_dirty(v);
}

/* No task of the new iteration is there yet, and those of the old one do not count any more. */
static void next_iteration(struct osvc *v, uint64_t iteration)
{
	const Pb__Task *t;

	slots_done(v);
	v->iteration = iteration;
	for (struct store_iter it = store_tasks_of_service(v->orch->store, v->id);
	     (t = store_next(&it));)
		orch_remove(v->orch, v, t->id);
	if (v->mode == MODE_GLOBAL_JOB)
		all_nodes(v);
}

static void on_service(struct orch *o, const Pb__Service *old, const Pb__Service *new)
{
	struct osvc *v;

	if (!new) {
		const Pb__Task *t;

		v = map_del(&o->services, old->id);
		if (v)
			osvc_free(v);
		for (struct store_iter it = store_tasks_of_service(o->store, old->id);
		     (t = store_next(&it));)
			orch_remove(o, NULL, t->id);
		return;
	}
	v = map_get(&o->services, new->id);
	if (!v) {
		osvc_new(o, new); /* its tasks come later, by events */
		return;
	}
	if (v->update && !update_is_for(v->update, new))
		update_cancel(v);
	if (v->mode >= MODE_REPLICATED_JOB && iteration_of(new) != v->iteration) {
		next_iteration(v, iteration_of(new));
	}
	if (old && pb_equal(old->spec, new->spec) &&
	    pb_equal(old->spec_version, new->spec_version) &&
	    (new->update_status || !old->update_status))
		return;
	v->rescan = true;
	if (v->mode == MODE_GLOBAL || v->mode == MODE_GLOBAL_JOB)
		all_nodes(v);
	osvc_dirty(v);
}

/* --- nodes --- */

static bool matters(const Pb__Node *a, const Pb__Node *b)
{
	return !a || !b || a->role != b->role || !pb_equal(a->spec, b->spec) ||
	       !pb_equal(a->description, b->description) || !pb_equal(a->status, b->status);
}

static void on_node(struct orch *o, const Pb__Node *old, const Pb__Node *new)
{
	const char *id = new ? new->id : old->id;
	const Pb__Task *t;
	struct osvc *v;

	if (node_is_invalid(new) && (!new || !node_is_invalid(old) || !old)) {
		bool lost =
			!new || (new->status &&new->status->state == PB__NODE_STATUS__STATE__DOWN);

		for (struct store_iter it = store_tasks_of_node(o->store, id);
		     (t = store_next(&it));) {
			if (t->desired_state <= PB__TASK_STATE__COMPLETE)
				idq_add(&o->tasks, t->id);
			if (lost)
				start_old_stopped(o, t->id);
		}
	} else if (new &&old &&new->status &&new->status->state == PB__NODE_STATUS__STATE__DOWN &&
		   (!old->status || old->status->state != PB__NODE_STATUS__STATE__DOWN)) {
		/* drained before, now lost: nothing there will report that it stopped */
		for (struct store_iter it = store_tasks_of_node(o->store, id);
		     (t = store_next(&it));)
			start_old_stopped(o, t->id);
	}
	if (!matters(old, new))
		return;
	list_for_each (v, &o->globals, global) {
		idq_add(&v->nodes, id);
		osvc_dirty(v);
	}
}

/* --- tasks --- */

static bool has_ended(const Pb__Task *t)
{
	return t->status && t->status->state > PB__TASK_STATE__RUNNING;
}

/* Whether a task that is wanted has to be looked at. */
static bool needs_a_look(const struct orch *o, const Pb__Task *t)
{
	if (t->desired_state > PB__TASK_STATE__COMPLETE || str_empty(t->service_id))
		return false;
	if (has_ended(t))
		return !(t->job_iteration && t->status->state == PB__TASK_STATE__COMPLETE);
	return !str_empty(t->node_id) && node_is_invalid(store_node(o->store, t->node_id));
}

static void on_task(struct orch *o, const Pb__Task *old, const Pb__Task *new, uint64_t now_ms)
{
	const Pb__Task *t = new ? new : old;
	struct osvc *v = map_get(&o->services, t->service_id);

	if (v) {
		/* A job's task in slot 0 changes its place with its node only. */
		slots_follow(v, old, new);
		if (v->update)
			update_task_event(v->update, old, new, now_ms);
		else if (!idq_empty(&v->doubled))
			osvc_dirty(v);
	}
	if (!new || has_ended(new))
		start_old_stopped(o, t->id);
	if (!new)
		return;
	if (!v && !str_empty(new->service_id) && !store_service(o->store, new->service_id))
		orch_remove(o, NULL, new->id);
	else if (needs_a_look(o, new))
		idq_add(&o->tasks, new->id);
}

/* A task that ended, or whose node is lost. */
static void check_task(struct orch *o, struct store_tx *tx, const Pb__Task *t, uint64_t now_ms)
{
	struct store *s = store_tx_store(tx);
	const Pb__Service *svc = store_service(s, t->service_id);
	struct osvc *v = map_get(&o->services, t->service_id);
	const Pb__Node *node = str_empty(t->node_id) ? NULL : store_node(s, t->node_id);
	bool lost = !str_empty(t->node_id) && node_is_invalid(node);
	const struct slot *slot;
	char key[64];

	if (!svc || !v || t->desired_state > PB__TASK_STATE__COMPLETE || !t->status)
		return;
	if (!has_ended(t) && !lost)
		return;
	if (v->mode >= MODE_REPLICATED_JOB &&
	    (t->status->state == PB__TASK_STATE__COMPLETE || !task_is_live(v, t)))
		return;
	if (start_pending(o, t->id) && !lost)
		return; /* its delay goes on; then it is looked at again */
	if ((v->mode == MODE_GLOBAL || v->mode == MODE_GLOBAL_JOB) &&
	    (!global_wants(svc, node) ||
	     (node->spec && node->spec->availability == PB__NODE_SPEC__AVAILABILITY__PAUSE))) {
		task_want(tx, t, PB__TASK_STATE__SHUTDOWN);
		return;
	}
	slot_key(v, t, key);
	slot = map_get(&v->slots, key);
	if (!v->update && slot && slot->live > 1) {
		/* left over by an update that started first: the other goes on */
		task_want(tx, t, PB__TASK_STATE__SHUTDOWN);
		return;
	}
	restart_task(o, tx, v, svc, t, now_ms);
}

/* --- the component --- */

static void orch_event(void *c, const struct store_event *ev, uint64_t now_ms)
{
	struct orch *o = c;

	o->now_ms = now_ms;
	if (ev->kind == STORE_TASK)
		on_task(o, ev->old, ev->new, now_ms);
	else if (ev->kind == STORE_SERVICE)
		on_service(o, ev->old, ev->new);
	else if (ev->kind == STORE_NODE)
		on_node(o, ev->old, ev->new);
}

static void run_removals(struct idq *q, struct store_tx *tx)
{
	while (!idq_empty(q) && !store_tx_full(tx)) {
		_cleanup_free_ char *id = idq_pop(q);
		const Pb__Task *t = store_task(store_tx_store(tx), id);

		if (t)
			task_want(tx, t, PB__TASK_STATE__REMOVE);
	}
}

static void run_tasks(struct orch *o, struct store_tx *tx, uint64_t now_ms)
{
	while (!idq_empty(&o->tasks) && !store_tx_full(tx)) {
		_cleanup_free_ char *id = idq_pop(&o->tasks);
		const Pb__Task *t = store_task(store_tx_store(tx), id);

		if (t)
			check_task(o, tx, t, now_ms);
	}
}

/* Slots whose newest task has ended for good, found after a leader change. */
static void find_settled(struct osvc *v, const struct store *s)
{
	struct slot *slot;
	const char *key;

	map_for_each (&v->slots, key, slot) {
		struct store_iter it = slot_tasks(s, v, key);
		const Pb__Task *t, *newest = NULL;

		if (slot_is_occupied(slot))
			continue;
		while ((t = store_next(&it)))
			if (t->status && t->desired_state < PB__TASK_STATE__REMOVE &&
			    (!newest || pb_timestamp_ns(t->status->timestamp) >
						pb_timestamp_ns(newest->status->timestamp)))
				newest = t;
		if (newest && has_ended(newest) && !restart_allowed(newest, slot))
			slot_set_settled(v, slot, true);
	}
	v->settle = false;
}

static bool reconcile(struct orch *o, struct store_tx *tx, struct osvc *v, const Pb__Service *svc)
{
	bool done;

	if (v->settle)
		find_settled(v, store_tx_store(tx));
	if (!idq_empty(&v->remove)) {
		run_removals(&v->remove, tx);
		return false; /* the counts are right after the commit */
	}
	if (v->mode == MODE_REPLICATED)
		done = replicated_reconcile(o, tx, v, svc);
	else if (v->mode == MODE_REPLICATED_JOB)
		done = job_reconcile(o, tx, v, svc);
	else
		done = global_reconcile(o, tx, v, svc);
	if (done && v->rescan && idq_empty(&v->remove) && v->mode < MODE_REPLICATED_JOB) {
		v->rescan = false;
		update_begin(o, tx, v, svc);
	}
	if (done && !v->update && v->mode < MODE_REPLICATED_JOB && !idq_empty(&v->doubled))
		slots_tidy(tx, v, svc);
	return done && idq_empty(&v->remove);
}

static void run_services(struct orch *o, struct store_tx *tx)
{
	struct list_head todo;

	if (list_empty(&o->dirty))
		return;
	/* Each once: what reconciling makes dirty is for after the commit. */
	list_init(&todo);
	list_add(&todo, &o->dirty);
	list_del(&o->dirty);
	while (!list_empty(&todo) && !store_tx_full(tx)) {
		struct osvc *v = list_first(&todo, struct osvc, dirty);
		const Pb__Service *svc = store_service(store_tx_store(tx), v->id);

		list_del(&v->dirty);
		if (svc && !reconcile(o, tx, v, svc))
			osvc_dirty(v);
	}
	while (!list_empty(&todo)) {
		struct osvc *v = list_first(&todo, struct osvc, dirty);

		list_del(&v->dirty);
		osvc_dirty(v);
	}
}

static bool orch_dirty(void *c)
{
	const struct orch *o = c;

	return o->poked || !idq_empty(&o->tasks) || !idq_empty(&o->remove) ||
	       !list_empty(&o->dirty);
}

/* Tasks that waited to run under the leader before. */
static void resume_starts(struct orch *o, struct store_tx *tx, uint64_t now_ms)
{
	while (!idq_empty(&o->resume)) {
		_cleanup_free_ char *id = idq_pop(&o->resume);
		const Pb__Task *t = store_task(store_tx_store(tx), id);

		if (t && t->status)
			start_resume(o, t,
				     store_tx_now_ns(tx) - pb_timestamp_ns(t->status->timestamp),
				     now_ms);
	}
}

static uint64_t orch_run(void *c, struct store_tx *tx, uint64_t now_ms)
{
	struct orch *o = c;
	uint64_t next, starts;

	o->now_ms = now_ms;
	o->poked = false;
	resume_starts(o, tx, now_ms);
	run_removals(&o->remove, tx);
	run_tasks(o, tx, now_ms);
	run_services(o, tx);
	next = updates_run(o, tx, now_ms);
	starts = starts_run(o, tx, now_ms);
	return min(next, starts);
}

/* What a new leader finds: tasks to take up where the one before left them. */
static void adopt_task(struct orch *o, const Pb__Task *t)
{
	if (str_empty(t->service_id))
		return;
	if (!store_service(o->store, t->service_id))
		orch_remove(o, NULL, t->id);
	else if (t->desired_state == PB__TASK_STATE__READY && !has_ended(t))
		idq_add(&o->resume, t->id);
	else if (needs_a_look(o, t))
		idq_add(&o->tasks, t->id);
}

static void *orch_open(struct store *store, struct rng *rng)
{
	struct orch *o = xcalloc(1, sizeof(*o));
	const Pb__Service *svc;
	const Pb__Task *t;

	o->store = store;
	o->rng = rng;
	list_init(&o->dirty);
	list_init(&o->globals);
	list_init(&o->updates);
	idq_init(&o->tasks);
	idq_init(&o->remove);
	idq_init(&o->resume);
	o->poked = true;
	for (struct store_iter it = store_all(store, STORE_SERVICE); (svc = store_next(&it));) {
		struct osvc *v = osvc_new(o, svc);

		recount(v);
		v->settle = v->mode < MODE_REPLICATED_JOB;
	}
	for (struct store_iter it = store_all(store, STORE_TASK); (t = store_next(&it));)
		adopt_task(o, t);
	return o;
}

static void orch_close(void *c)
{
	struct orch *o = c;
	struct osvc *v;
	const char *id;

	map_for_each (&o->services, id, v)
		osvc_free(v);
	map_done(&o->services);
	starts_done(o);
	idq_done(&o->tasks);
	idq_done(&o->remove);
	idq_done(&o->resume);
	free(o);
}

const struct component_ops orch_component = {
	.name = "orchestrator",
	.open = orch_open,
	.close = orch_close,
	.event = orch_event,
	.run = orch_run,
	.dirty = orch_dirty,
};
