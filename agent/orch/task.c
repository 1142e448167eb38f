// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "orch/orch_impl.h"
#include "wire/pb.h"

bool node_is_invalid(const Pb__Node *n)
{
	return !n || (n->status && n->status->state == PB__NODE_STATUS__STATE__DOWN) ||
	       (n->spec && n->spec->availability == PB__NODE_SPEC__AVAILABILITY__DRAIN);
}

enum mode mode_of(const Pb__Service *svc)
{
	switch (svc->spec ? svc->spec->mode_case : PB__SERVICE_SPEC__MODE_REPLICATED) {
	case PB__SERVICE_SPEC__MODE_GLOBAL:
		return MODE_GLOBAL;
	case PB__SERVICE_SPEC__MODE_REPLICATED_JOB:
		return MODE_REPLICATED_JOB;
	case PB__SERVICE_SPEC__MODE_GLOBAL_JOB:
		return MODE_GLOBAL_JOB;
	default:
		return MODE_REPLICATED;
	}
}

bool service_is_job(const Pb__Service *svc)
{
	return mode_of(svc) >= MODE_REPLICATED_JOB;
}

Pb__Task *orch_task_new(struct rng *rng, const Pb__Cluster *cluster, const Pb__Service *svc,
			uint64_t slot, const char *node_id, int64_t now_ns)
{
	const Pb__TaskDefaults *defaults =
		cluster && cluster->spec ? cluster->spec->task_defaults : NULL;
	Pb__Task *t = pb_new(pb__task);
	char id[ID_SIZE];

	id_new(rng, id);
	pb_set_str(&t->id, id);
	pb_set_str(&t->service_id, svc->id);
	pb_set_str(&t->node_id, node_id);
	t->slot = slot;
	t->annotations = pb_new(pb__annotations);
	t->service_annotations =
		svc->spec->annotations ? pb_clone(svc->spec->annotations) : pb_new(pb__annotations);
	t->spec = svc->spec->task ? pb_clone(svc->spec->task) : pb_new(pb__task_spec);
	t->spec_version = pb_clone(svc->spec_version);
	t->endpoint = pb_new(pb__endpoint);
	t->endpoint->spec = pb_clone(svc->spec->endpoint);
	if (t->spec->log_driver)
		t->log_driver = pb_clone(t->spec->log_driver);
	else if (defaults && defaults->log_driver)
		t->log_driver = pb_clone(defaults->log_driver);
	t->desired_state = PB__TASK_STATE__RUNNING;
	if (service_is_job(svc)) {
		t->desired_state = PB__TASK_STATE__COMPLETE;
		t->job_iteration = svc->job_status && svc->job_status->job_iteration
					   ? pb_clone(svc->job_status->job_iteration)
					   : pb_new(pb__version);
	}
	t->status = pb_new(pb__task_status);
	t->status->state = PB__TASK_STATE__NEW;
	pb_set_str(&t->status->message, "created");
	pb_set_timestamp(&t->status->timestamp, now_ns);
	return t;
}

/* The same spec but for the constraints, which the node satisfies. */
static bool only_constraints_differ(const Pb__TaskSpec *a, const Pb__TaskSpec *b,
				    const Pb__Node *node)
{
	_cleanup_pb_ Pb__TaskSpec *want = pb_clone(a), *have = pb_clone(b);
	Pb__TaskSpec *both[] = {want, have};
	struct constraints c;
	bool fits;

	if (!a->placement || !node)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		Pb__Placement *p = pb_need(&both[i]->placement, pb__placement);

		while (p->n_constraints)
			pb_set_str(&p->constraints[--p->n_constraints], NULL);
	}
	if (!pb_equal(want, have) ||
	    constraints_parse(a->placement->constraints, a->placement->n_constraints, &c, NULL))
		return false;
	fits = constraints_match(&c, node);
	constraints_done(&c);
	return fits;
}

bool task_is_dirty(const Pb__Service *svc, const Pb__Task *t, const Pb__Node *node)
{
	if (svc->spec_version && t->spec_version &&
	    svc->spec_version->index == t->spec_version->index)
		return false;
	if (t->endpoint && !pb_equal(svc->spec->endpoint, t->endpoint->spec))
		return true;
	if (pb_equal(svc->spec->task, t->spec))
		return false;
	return !svc->spec->task || !t->spec ||
	       !only_constraints_differ(svc->spec->task, t->spec, node);
}

void task_want(struct store_tx *tx, const Pb__Task *t, Pb__TaskState desired)
{
	Pb__Task *copy;

	if (t->desired_state >= desired)
		return;
	copy = pb_clone(t);
	copy->desired_state = desired;
	store_tx_update(tx, copy, NULL);
}

/* --- slots --- */

static bool is_per_node(const struct osvc *v)
{
	return v->mode == MODE_GLOBAL || v->mode == MODE_GLOBAL_JOB;
}

void slot_key(const struct osvc *v, const Pb__Task *t, char buf[64])
{
	if (is_per_node(v))
		snprintf(buf, 64, "%s", t->node_id);
	else
		snprintf(buf, 64, "%llu", (unsigned long long)t->slot);
}

uint64_t slot_number(const char *key)
{
	return strtoull(key, NULL, 10);
}

struct store_iter slot_tasks(const struct store *s, const struct osvc *v, const char *key)
{
	return is_per_node(v) ? store_tasks_of_slot(s, v->id, 0, key)
			      : store_tasks_of_slot(s, v->id, slot_number(key), "");
}

static uint64_t iteration_of(const Pb__Task *t)
{
	return t->job_iteration ? t->job_iteration->index : 0;
}

static Pb__TaskState state_of(const Pb__Task *t)
{
	return t->status ? t->status->state : PB__TASK_STATE__NEW;
}

bool task_is_live(const struct osvc *v, const Pb__Task *t)
{
	if (v->mode < MODE_REPLICATED_JOB)
		return t->desired_state <= PB__TASK_STATE__RUNNING;
	return iteration_of(t) == v->iteration && t->desired_state <= PB__TASK_STATE__COMPLETE &&
	       state_of(t) != PB__TASK_STATE__COMPLETE;
}

static bool is_complete(const struct osvc *v, const Pb__Task *t)
{
	return v->mode >= MODE_REPLICATED_JOB && iteration_of(t) == v->iteration &&
	       state_of(t) == PB__TASK_STATE__COMPLETE;
}

bool slot_is_occupied(const struct slot *s)
{
	return s && (s->live || s->settled || s->complete);
}

struct slot *slot_need(struct osvc *v, const char *key)
{
	struct slot *s = map_get(&v->slots, key);

	if (s)
		return s;
	s = xcalloc(1, sizeof(*s));
	s->key = xstrdup(key);
	map_put(&v->slots, key, s);
	return s;
}

static void slot_free(struct slot *s)
{
	free(s->history.at_ns);
	free(s->key);
	free(s);
}

void slots_done(struct osvc *v)
{
	struct slot *s;
	const char *key;

	map_for_each (&v->slots, key, s)
		slot_free(s);
	map_done(&v->slots);
	v->n_occupied = v->n_live = 0;
	v->next_free = 0;
}

/* After a change of s. */
static void occupancy(struct osvc *v, struct slot *s, bool before)
{
	bool now = slot_is_occupied(s);

	if (before == now)
		return;
	v->n_occupied += now ? 1 : -1;
	osvc_dirty(v);
	if (now)
		return;
	if (is_per_node(v))
		idq_add(&v->nodes, s->key);
	else
		v->next_free = min(v->next_free, slot_number(s->key));
}

static bool is_free(const struct osvc *v, uint64_t number)
{
	char key[24];

	snprintf(key, sizeof(key), "%llu", (unsigned long long)number);
	return !slot_is_occupied(map_get(&v->slots, key));
}

bool slot_fill_next(struct orch *o, struct store_tx *tx, struct osvc *v, const Pb__Service *svc)
{
	const Pb__Cluster *cluster = store_cluster(store_tx_store(tx));

	if (store_tx_full(tx))
		return false;
	while (!is_free(v, v->next_free))
		v->next_free++;
	store_tx_create(
		tx, orch_task_new(o->rng, cluster, svc, v->next_free++, "", store_tx_now_ns(tx)),
		NULL);
	return true;
}

void slot_set_settled(struct osvc *v, struct slot *s, bool settled)
{
	bool before = slot_is_occupied(s);

	s->settled = settled;
	occupancy(v, s, before);
}

void slots_follow(struct osvc *v, const Pb__Task *old, const Pb__Task *new)
{
	bool was = old && task_is_live(v, old), is = new &&task_is_live(v, new);
	struct slot *s;
	bool before;
	char key[64];

	slot_key(v, new ? new : old, key);
	s = slot_need(v, key);
	before = slot_is_occupied(s);
	if (was != is) {
		s->live += is ? 1 : -1;
		v->n_live += is ? 1 : -1;
	}
	if (s->live > 1 && idq_add(&v->doubled, key))
		osvc_dirty(v);
	else if (s->live < 2)
		idq_del(&v->doubled, key);
	if (is)
		s->settled = false;
	if (new &&is_complete(v, new) && !s->complete) {
		s->complete = true;
		osvc_dirty(v);
	}
	if (!new) {
		struct store_iter it = slot_tasks(v->orch->store, v, key);

		/* Nothing is left of it: a settled slot is free again. */
		if (v->mode < MODE_REPLICATED_JOB && !store_next(&it))
			s->settled = false;
	}
	occupancy(v, s, before);
	if (!new && !slot_is_occupied(s) && v->mode < MODE_REPLICATED_JOB) {
		struct store_iter it = slot_tasks(v->orch->store, v, key);

		if (!store_next(&it)) {
			map_del(&v->slots, key);
			slot_free(s);
		}
	}
}

/* Of two that both run the one that has done so for longer, as it has proven itself. */
static bool is_better(const Pb__Task *a, const Pb__Task *b, bool a_dirty, bool b_dirty)
{
	if (a_dirty != b_dirty)
		return b_dirty;
	return pb_timestamp_ns(a->status->timestamp) < pb_timestamp_ns(b->status->timestamp);
}

static void tidy(struct store_tx *tx, struct osvc *v, const Pb__Service *svc, const char *key)
{
	const struct store *s = store_tx_store(tx);
	Pb__UpdateStatus__UpdateState state = svc->update_status
						      ? svc->update_status->state
						      : PB__UPDATE_STATUS__UPDATE_STATE__UNKNOWN;
	/* a paused update stays between the old spec and the new */
	bool paused = state == PB__UPDATE_STATUS__UPDATE_STATE__PAUSED ||
		      state == PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_PAUSED;
	const Pb__Task *t, *keep = NULL;
	bool keep_dirty = false;

	for (struct store_iter it = slot_tasks(s, v, key); (t = store_next(&it));) {
		bool dirty;

		if (!task_is_live(v, t) || state_of(t) != PB__TASK_STATE__RUNNING)
			continue;
		dirty = !paused && task_is_dirty(svc, t, store_node(s, t->node_id));
		if (keep && !is_better(t, keep, dirty, keep_dirty))
			continue;
		keep = t;
		keep_dirty = dirty;
	}
	for (struct store_iter it = slot_tasks(s, v, key); keep && (t = store_next(&it));)
		if (t != keep && task_is_live(v, t))
			task_want(tx, t, PB__TASK_STATE__SHUTDOWN);
}

void slots_tidy(struct store_tx *tx, struct osvc *v, const Pb__Service *svc)
{
	struct idq again;
	char *key;

	idq_init(&again);
	while (!store_tx_full(tx) && (key = idq_pop(&v->doubled))) {
		tidy(tx, v, svc, key);
		idq_add(&again, key); /* until a commit says otherwise */
		free(key);
	}
	idq_move(&again, &v->doubled);
	idq_move(&v->doubled, &again);
	idq_done(&again);
}

void osvc_dirty(struct osvc *v)
{
	if (list_empty(&v->dirty))
		list_add_tail(&v->dirty, &v->orch->dirty);
}
