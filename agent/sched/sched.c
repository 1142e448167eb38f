// SPDX-License-Identifier: Apache-2.0
#include "sched/sched_impl.h"

#include <stdio.h>

#include "wire/pb.h"

enum {
	QUICK_LOOKS = 32, /* nodes to look at before all are ranked */
	QUICK_GROUP = 16, /* larger groups are ranked at once */
};

/* --- groups --- */

static char *group_key(const Pb__Task *t)
{
	if (str_empty(t->service_id) || !t->spec_version)
		return xstrdup(t->id);
	return xasprintf("%s/%llu", t->service_id, (unsigned long long)t->spec_version->index);
}

static struct group *group_need(struct sched *s, const Pb__Task *t)
{
	_cleanup_free_ char *key = group_key(t);
	struct group *g = map_get(&s->groups, key);

	if (g)
		return g;
	g = xcalloc(1, sizeof(*g));
	g->key = xstrdup(key);
	list_init(&g->fresh);
	list_init(&g->told);
	list_add_tail(&g->node, &s->active);
	map_put(&s->groups, key, g);
	return g;
}

static void group_free(struct sched *s, struct group *g)
{
	map_del(&s->groups, g->key);
	list_del(&g->node);
	if (g->has_want)
		want_done(&g->want);
	free(g->reason);
	free(g->key);
	free(g);
}

static void group_activate(struct sched *s, struct group *g)
{
	if (!g->stuck)
		return;
	g->stuck = false;
	list_del(&g->node);
	list_add_tail(&g->node, &s->active);
}

/* --- tasks that wait --- */

static void dequeue(struct sched *s, struct stask *t)
{
	struct group *g = t->group;

	list_del(&t->queue);
	t->group = NULL;
	if (g && !--g->n)
		group_free(s, g);
}

static bool waits(const Pb__Task *t)
{
	return t->status && t->status->state == PB__TASK_STATE__PENDING &&
	       t->desired_state <= PB__TASK_STATE__COMPLETE;
}

static void enqueue(struct sched *s, struct stask *t)
{
	struct group *g;

	if (!list_empty(&t->queue))
		return;
	s->poked = true;
	if (!str_empty(t->obj->node_id)) {
		list_add_tail(&t->queue, &s->preassigned);
		return;
	}
	g = group_need(s, t->obj);
	g->n++;
	t->group = g;
	list_add_tail(&t->queue, &g->fresh);
	group_activate(s, g);
}

/* All on one list go back to be tried. */
static void retry(struct sched *s, struct list_head *list)
{
	while (!list_empty(list)) {
		struct stask *t = list_first(list, struct stask, queue);

		list_del(&t->queue);
		list_add_tail(&t->queue, &s->preassigned);
		s->poked = true;
	}
}

static void room_on(struct sched *s, struct snode *n)
{
	if (!list_empty(&s->stuck))
		s->poked = s->room = true;
	retry(s, &n->waiting);
}

/* --- following the store --- */

static bool holds_node(const Pb__Task *t)
{
	return !str_empty(t->node_id) && t->status &&
	       t->status->state >= PB__TASK_STATE__ASSIGNED &&
	       t->status->state <= PB__TASK_STATE__RUNNING;
}

static void task_free(struct sched *s, struct stask *t)
{
	struct snode *n = t->node;

	dequeue(s, t);
	snode_remove(s, t);
	if (n)
		room_on(s, n);
	map_del(&s->tasks, t->obj->id);
	store_unref(t->obj);
	free(t);
}

/* Follow a task to its present state; to no effect when that is known. */
static void task_follow(struct sched *s, const Pb__Task *new)
{
	struct stask *t = map_get(&s->tasks, new->id);
	bool holds = holds_node(new);
	const Pb__Task *old;
	struct snode *n;

	if (!t && !holds && !waits(new))
		return;
	if (!t) {
		t = xcalloc(1, sizeof(*t));
		t->obj = store_ref(new);
		list_init(&t->on_node);
		list_init(&t->queue);
		map_put(&s->tasks, new->id, t);
	}
	n = t->node;
	if (n && (!holds || strcmp(n->obj->id, new->node_id))) {
		snode_remove(s, t);
		room_on(s, n);
	}
	old = t->obj;
	t->obj = store_ref(new);
	store_unref(old);
	if (holds && !t->node && (n = map_get(&s->nodes, new->node_id)))
		snode_add(s, n, t);
	if (t->node) {
		bool active = new->desired_state <= PB__TASK_STATE__COMPLETE;
		bool was = t->active;

		snode_count(s, t, active);
		if (was && !active)
			room_on(s, t->node); /* max replicas counts those that are wanted */
	}
	if (waits(new))
		enqueue(s, t);
	else
		dequeue(s, t);
	if (!waits(new) && !holds)
		task_free(s, t);
}

static bool failed(const Pb__Task *t)
{
	return t->status && (t->status->state == PB__TASK_STATE__FAILED ||
			     t->status->state == PB__TASK_STATE__REJECTED);
}

static void on_task(struct sched *s, const Pb__Task *old, const Pb__Task *new, uint64_t now_ms)
{
	struct stask *t;

	if (!new) {
		t = map_get(&s->tasks, old->id);
		if (t)
			task_free(s, t);
		return;
	}
	if (old && failed(new) && !failed(old)) {
		struct snode *n = map_get(&s->nodes, new->node_id);

		if (n)
			snode_failed(n, new, now_ms);
	}
	task_follow(s, new);
}

/* The node is new: tasks may be on it, or wait for it. */
static void adopt_tasks(struct sched *s, const char *node_id)
{
	const Pb__Task *t;

	for (struct store_iter it = store_tasks_of_node(s->store, node_id); (t = store_next(&it));)
		task_follow(s, t);
	retry(s, &s->homeless);
}

static void on_node(struct sched *s, const Pb__Node *old, const Pb__Node *new)
{
	struct snode *n;

	if (!s->settled)
		s->poked = true; /* it may have been the last that was waited for */
	if (!new) {
		n = map_del(&s->nodes, old->id);
		if (!n)
			return;
		while (!list_empty(&n->waiting)) {
			struct stask *t = list_first(&n->waiting, struct stask, queue);

			list_del(&t->queue);
			list_add_tail(&t->queue, &s->homeless);
		}
		room_on(s, n); /* a reason may count one node less */
		snode_free(s, n);
		return;
	}
	n = map_get(&s->nodes, new->id);
	if (!n) {
		n = snode_need(s, new);
		adopt_tasks(s, new->id);
		room_on(s, n);
	} else if (snode_update(s, n, new)) {
		room_on(s, n);
	}
}

static void sched_event(void *c, const struct store_event *ev, uint64_t now_ms)
{
	struct sched *s = c;
	bool before = s->poked;

	s->poked = false;
	if (ev->kind == STORE_TASK)
		on_task(s, ev->old, ev->new, now_ms);
	else if (ev->kind == STORE_NODE)
		on_node(s, ev->old, ev->new);
	if (s->poked) {
		if (!s->first_ms)
			s->first_ms = now_ms;
		s->last_ms = now_ms;
	}
	s->poked |= before;
}

/* --- placing --- */

/* Stage the assignment; the node's resources are taken at once. */
static bool assign(struct sched *s, struct store_tx *tx, struct stask *t, struct snode *n,
		   const char *message)
{
	struct store *store = store_tx_store(tx);
	Pb__Task *copy = pb_clone(store_task(store, t->obj->id));
	_cleanup_free_ char *id = xstrdup(t->obj->id);

	pb_set_str(&copy->node_id, n->obj->id);
	copy->status->state = PB__TASK_STATE__ASSIGNED;
	pb_set_str(&copy->status->message, message);
	pb_set_str(&copy->status->err, NULL);
	pb_set_timestamp(&copy->status->timestamp, store_tx_now_ns(tx));
	if (!copy->n_assigned_generic_resources)
		generic_choose(n, copy);
	if (store_tx_update(tx, copy, NULL))
		return false;
	task_follow(s, store_task(store, id));
	return true;
}

/* Whether the task still waits as we know it; if not it leaves the queue. */
static bool still_waits(struct sched *s, struct store *store, struct stask *t)
{
	const Pb__Task *now = store_task(store, t->obj->id);

	if (now && waits(now))
		return true;
	if (now)
		dequeue(s, t); /* the event of its commit tells the rest */
	else
		task_free(s, t);
	return false;
}

static struct stask *group_first(struct group *g)
{
	if (!list_empty(&g->fresh))
		return list_first(&g->fresh, struct stask, queue);
	return list_first(&g->told, struct stask, queue);
}

static void set_reason(struct group *g, const size_t counts[FILTERS])
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	char *reason;

	filter_explain(counts, &b);
	reason = b.len ? xasprintf("no suitable node (%s)", b.data) : xstrdup("no suitable node");
	g->news |= g->reason && strcmp(g->reason, reason);
	free(g->reason);
	g->reason = reason;
}

static void tell(struct store_tx *tx, const Pb__Task *t, const char *reason)
{
	Pb__Task *copy;

	if (!strcmp(t->status->err, reason))
		return;
	copy = pb_clone(t);
	pb_set_str(&copy->status->err, reason);
	pb_set_timestamp(&copy->status->timestamp, store_tx_now_ns(tx));
	store_tx_update(tx, copy, NULL);
}

/*
 * No node takes a task of the group: say so in each. Those that were told before hear of a new
 * reason every few seconds only. Returns whether all is said.
 */
static bool explain(struct sched *s, struct store_tx *tx, struct group *g, uint64_t now_ms)
{
	struct store *store = store_tx_store(tx);

	while (!list_empty(&g->fresh)) {
		struct stask *t = list_first(&g->fresh, struct stask, queue);
		const Pb__Task *now = store_task(store, t->obj->id);

		if (store_tx_full(tx))
			return false;
		list_del(&t->queue);
		list_add_tail(&t->queue, &g->told);
		if (now && waits(now))
			tell(tx, now, g->reason);
	}
	if (g->news && !g->explain_ms)
		g->explain_ms = now_ms + SCHED_EXPLAIN_MS;
	list_del(&g->node);
	list_add_tail(&g->node, &s->stuck);
	g->stuck = true;
	return true;
}

/* Returns false when there is more to do but the transaction is full. */
static bool place_group(struct sched *s, struct store_tx *tx, struct group *g, uint64_t now_ms)
{
	struct store *store = store_tx_store(tx);
	size_t counts[FILTERS] = {0};
	struct rank *rank = NULL;
	enum strategy strategy;
	struct want want;
	bool done = true, quick;

	if (!g->has_want) {
		want_init(&g->want, group_first(g)->obj);
		g->has_want = true;
	}
	/* The group goes with its last task; what it wants stays till the end here. */
	strategy = strategy_of(store, g->want.task);
	quick = strategy == STRATEGY_SPREAD && g->n < QUICK_GROUP;
	want = g->want;
	g->has_want = false;
	for (size_t left = g->n; left; left--) {
		struct stask *t = group_first(g);
		struct snode *n = NULL;

		if (!still_waits(s, store, t))
			continue;
		if (store_tx_full(tx)) {
			done = false;
			break;
		}
		if (quick && !rank)
			n = rank_quick(s, &want, now_ms, QUICK_LOOKS);
		if (!n) {
			if (!rank)
				rank = rank_new(s, &want, strategy, now_ms, counts);
			n = rank_best(rank);
		}
		if (!n) {
			/* the group exists: t is in it */
			memset(counts, 0, sizeof(counts));
			rank_free(rank_new(s, &want, strategy, now_ms, counts));
			set_reason(g, counts);
			done = explain(s, tx, g, now_ms);
			break;
		}
		if (!assign(s, tx, t, n, "scheduler assigned task to node")) {
			dequeue(s, t);
			continue;
		}
		if (rank)
			rank_placed(rank);
	}
	rank_free(rank);
	want_done(&want);
	return done;
}

static void place_preassigned(struct sched *s, struct store_tx *tx, struct stask *t)
{
	struct store *store = store_tx_store(tx);
	size_t counts[FILTERS] = {0};
	_cleanup_buf_ struct buf reason = BUF_INIT;
	struct snode *n;
	struct want w;
	enum filter f;

	if (!still_waits(s, store, t))
		return;
	list_del(&t->queue);
	n = map_get(&s->nodes, t->obj->node_id);
	if (!n) {
		list_add_tail(&t->queue, &s->homeless);
		return;
	}
	want_init(&w, t->obj);
	f = filter_node(&w, n);
	want_done(&w);
	if (f == FILTER_PASSED) {
		assign(s, tx, t, n, "scheduler confirmed task can run on preassigned node");
		return;
	}
	counts[f] = 1;
	filter_explain(counts, &reason);
	list_add_tail(&t->queue, &n->waiting);
	tell(tx, store_task(store, t->obj->id), reason.data);
}

/* Tell the reason again where it is due. Returns when the next is. */
static uint64_t renew_reasons(struct sched *s, struct store_tx *tx, uint64_t now_ms)
{
	struct store *store = store_tx_store(tx);
	uint64_t next = COMPONENT_NEVER;
	struct group *g;

	list_for_each (g, &s->stuck, node) {
		if (g->explain_ms && g->explain_ms <= now_ms) {
			g->explain_ms = 0;
			g->news = false;
			g->renew = g->n;
		}
		/* each goes to the end of the list, so that a full transaction is no beginning anew */
		for (; g->renew && !list_empty(&g->told) && !store_tx_full(tx); g->renew--) {
			struct stask *t = list_first(&g->told, struct stask, queue);
			const Pb__Task *now = store_task(store, t->obj->id);

			list_del(&t->queue);
			list_add_tail(&t->queue, &g->told);
			if (now && waits(now))
				tell(tx, now, g->reason);
		}
		if (g->renew && !list_empty(&g->told))
			return now_ms;
		if (g->explain_ms)
			next = min(next, g->explain_ms);
	}
	return next;
}

/*
 * After a change of leaders nodes are UNKNOWN until they have registered. Placed at once, the
 * tasks of a node that was lost with the leader would all go to those that were first.
 */
static bool has_settled(struct sched *s, uint64_t now_ms)
{
	struct snode *n;
	const char *id;

	if (s->settled)
		return true;
	if (!s->settle_until_ms)
		s->settle_until_ms = now_ms + SCHED_SETTLE_MS;
	if (now_ms < s->settle_until_ms)
		map_for_each (&s->nodes, id, n)
			if (n->obj->status &&
			    n->obj->status->state == PB__NODE_STATUS__STATE__UNKNOWN)
				return false;
	return s->settled = true;
}

static uint64_t sched_run(void *c, struct store_tx *tx, uint64_t now_ms)
{
	struct sched *s = c;

	s->poked = false;
	if (s->first_ms && !s->working) {
		uint64_t due =
			min(s->last_ms + SCHED_DEBOUNCE_MS, s->first_ms + SCHED_DEBOUNCE_MAX_MS);

		if (now_ms < due)
			return due;
	}
	s->first_ms = s->last_ms = 0;
	if (s->room) {
		s->room = false;
		while (!list_empty(&s->stuck))
			group_activate(s, list_first(&s->stuck, struct group, node));
	}
	while (!list_empty(&s->preassigned) && !store_tx_full(tx))
		place_preassigned(s, tx, list_first(&s->preassigned, struct stask, queue));
	if (!has_settled(s, now_ms)) {
		s->poked = false;
		return s->settle_until_ms;
	}
	while (!list_empty(&s->active) && !store_tx_full(tx))
		if (!place_group(s, tx, list_first(&s->active, struct group, node), now_ms))
			break;
	s->poked = false;
	/* More to do: at once, when this is committed. */
	s->working = !list_empty(&s->active) || !list_empty(&s->preassigned);
	if (s->working)
		return now_ms;
	return renew_reasons(s, tx, now_ms);
}

static bool sched_dirty(void *c)
{
	return ((struct sched *)c)->poked;
}

static void *sched_open(struct store *store, struct rng *rng)
{
	struct sched *s = xcalloc(1, sizeof(*s));
	const Pb__Node *n;
	const Pb__Task *t;

	s->store = store;
	s->rng = rng;
	list_init(&s->active);
	list_init(&s->stuck);
	list_init(&s->preassigned);
	list_init(&s->homeless);
	for (struct store_iter it = store_all(store, STORE_NODE); (n = store_next(&it));)
		snode_need(s, n);
	for (struct store_iter it = store_all(store, STORE_TASK); (t = store_next(&it));)
		task_follow(s, t);
	return s;
}

static void sched_close(void *c)
{
	struct sched *s = c;
	struct stask *t;
	struct snode *n;
	const char *id;

	map_for_each (&s->tasks, id, t) {
		dequeue(s, t);
		snode_remove(s, t);
		store_unref(t->obj);
		free(t);
	}
	map_for_each (&s->nodes, id, n)
		snode_free(s, n);
	map_done(&s->tasks);
	map_done(&s->nodes);
	map_done(&s->groups);
	free(s->buckets);
	free(s);
}

const struct component_ops sched_component = {
	.name = "scheduler",
	.open = sched_open,
	.close = sched_close,
	.event = sched_event,
	.run = sched_run,
	.dirty = sched_dirty,
};
