/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A leader's store and components on a fake clock, with nodes that run tasks as workers do. What
 * a real manager does between raft entries is done here in one step, without raft.
 *
 * Header-only, for the tests and benchmarks of this folder.
 */
#pragma once

#include <stdio.h>

#include "core/idq.h"
#include "core/rng.h"
#include "manager/components.h"
#include "store/store.h"
#include "wire/pb.h"

enum { SIM_COMPONENTS = 16 };

struct sim {
	struct store *store;
	struct rng rng;
	struct store_watch watch;
	void *components[SIM_COMPONENTS];
	uint64_t due_ms[SIM_COMPONENTS];
	uint64_t now_ms, version;
	uint64_t n_entries, n_events;
	bool leads;
	/* the nodes' side */
	struct idq moving; /* tasks whose state goes on */
	struct map lost; /* nodes that do nothing; node ID → anything */
	/* What becomes of a task that would go to next: the state that it goes to instead. May be NULL. */
	Pb__TaskState (*fate)(struct sim *s, const Pb__Task *t, Pb__TaskState next);
	/* Called for each committed event. May be NULL. */
	void (*on_event)(struct sim *s, const struct store_event *ev);
	void *arg;
};

static inline void sim_event(const struct store_event *ev, void *arg)
{
	struct sim *s = arg;

	s->n_events++;
	for (size_t i = 0; s->leads && i < n_leader_components; i++)
		leader_components[i]->event(s->components[i], ev, s->now_ms);
	if (ev->kind == STORE_TASK && ev->new && !str_empty(((const Pb__Task *)ev->new)->node_id))
		idq_add(&s->moving, ((const Pb__Task *)ev->new)->id);
	if (s->on_event)
		s->on_event(s, ev);
}

static inline void sim_lead(struct sim *s)
{
	for (size_t i = 0; i < n_leader_components; i++) {
		s->components[i] = leader_components[i]->open(s->store, &s->rng);
		s->due_ms[i] = 0;
	}
	s->leads = true;
}

static inline void sim_stop_leading(struct sim *s)
{
	for (size_t i = 0; s->leads && i < n_leader_components; i++)
		leader_components[i]->close(s->components[i]);
	s->leads = false;
}

static inline void sim_init(struct sim *s, uint64_t seed)
{
	*s = (struct sim){.now_ms = 1000000, .version = 1};
	s->store = store_new();
	rng_seed(&s->rng, seed);
	idq_init(&s->moving);
	s->watch.fn = sim_event;
	s->watch.arg = s;
	store_watch(s->store, &s->watch);
	sim_lead(s);
}

static inline void sim_done(struct sim *s)
{
	sim_stop_leading(s);
	store_unwatch(&s->watch);
	store_free(s->store);
	idq_done(&s->moving);
	map_done(&s->lost);
}

static inline struct store_tx *sim_begin(struct sim *s)
{
	return store_tx_begin(s->store, ++s->version, (int64_t)s->now_ms * 1000000);
}

static inline void sim_commit(struct sim *s, struct store_tx *tx)
{
	if (!store_tx_changes(tx)) {
		store_tx_abort(tx);
		return;
	}
	store_tx_seal(tx);
	s->n_entries++;
	store_tx_commit(tx);
}

/* One entry of the components. Returns whether anything was staged. */
static inline bool sim_turn(struct sim *s)
{
	struct store_tx *tx = sim_begin(s);
	bool changed;

	for (size_t i = 0; s->leads && i < n_leader_components && !store_tx_full(tx); i++)
		if (leader_components[i]->dirty(s->components[i]) || s->due_ms[i] <= s->now_ms)
			s->due_ms[i] = leader_components[i]->run(s->components[i], tx, s->now_ms);
	changed = store_tx_changes(tx);
	sim_commit(s, tx);
	return changed;
}

static inline Pb__TaskState sim_next_state(const Pb__Task *t)
{
	Pb__TaskState state = t->status->state;

	if (state < PB__TASK_STATE__ASSIGNED || state > PB__TASK_STATE__RUNNING)
		return state;
	if (t->desired_state >= PB__TASK_STATE__SHUTDOWN)
		return PB__TASK_STATE__SHUTDOWN;
	if (state >= t->desired_state || state == PB__TASK_STATE__RUNNING)
		return state;
	return state < PB__TASK_STATE__READY ? PB__TASK_STATE__READY : PB__TASK_STATE__RUNNING;
}

/* The nodes report what their tasks came to. Returns how many changed. */
static inline size_t sim_workers(struct sim *s)
{
	struct store_tx *tx = sim_begin(s);
	size_t n = s->moving.map.len, changed = 0;

	while (n-- && !store_tx_full(tx)) {
		char *id = idq_pop(&s->moving);
		const Pb__Task *t = store_task(s->store, id);
		Pb__TaskState next;
		Pb__Task *copy;

		if (t && !map_has(&s->lost, t->node_id) && store_node(s->store, t->node_id)) {
			next = sim_next_state(t);
			if (s->fate)
				next = s->fate(s, t, next);
			if (next != t->status->state) {
				copy = pb_clone(t);
				copy->status->state = next;
				pb_set_timestamp(&copy->status->timestamp, store_tx_now_ns(tx));
				store_tx_update(tx, copy, NULL);
				changed++;
			}
		}
		free(id);
	}
	sim_commit(s, tx);
	return changed;
}

/* Until all is quiet, or until ms have passed. */
static inline void sim_run(struct sim *s, uint64_t ms)
{
	uint64_t end = s->now_ms + ms;

	for (;;) {
		uint64_t next = COMPONENT_NEVER;
		bool busy = sim_turn(s);

		busy |= sim_workers(s) > 0;
		for (size_t i = 0; s->leads && i < n_leader_components; i++)
			next = leader_components[i]->dirty(s->components[i])
				       ? s->now_ms
				       : min(next, s->due_ms[i]);
		if (busy || next <= s->now_ms) {
			s->now_ms++;
			continue;
		}
		if (next > end) {
			s->now_ms = max(s->now_ms, end);
			return;
		}
		s->now_ms = next;
	}
}

/* --- objects --- */

static inline void sim_cluster(struct sim *s)
{
	struct store_tx *tx = sim_begin(s);
	Pb__Cluster *c = pb_new(pb__cluster);
	Pb__Network *n = pb_new(pb__network);

	pb_set_str(&c->id, "cluster");
	c->spec = pb_new(pb__cluster_spec);
	c->spec->annotations = pb_new(pb__annotations);
	pb_set_str(&c->spec->annotations->name, "default");
	c->spec->orchestration = pb_new(pb__orchestration_config);
	c->spec->orchestration->task_history_retention_limit = 5;
	store_tx_create(tx, c, NULL);
	pb_set_str(&n->id, "ingress-id");
	n->spec = pb_new(pb__network_spec);
	n->spec->ingress = true;
	n->spec->annotations = pb_new(pb__annotations);
	pb_set_str(&n->spec->annotations->name, "ingress");
	store_tx_create(tx, n, NULL);
	sim_commit(s, tx);
}

static inline Pb__Node *sim_new_node(const char *id, int64_t cpus, int64_t memory)
{
	static const char *const plugins[][2] = {{"Network", "overlay"}, {"Network", "host"}};
	Pb__Node *n = pb_new(pb__node);
	Pb__NodeDescription *d = n->description = pb_new(pb__node_description);

	pb_set_str(&n->id, id);
	n->spec = pb_new(pb__node_spec);
	n->spec->annotations = pb_new(pb__annotations);
	n->status = pb_new(pb__node_status);
	n->status->state = PB__NODE_STATUS__STATE__READY;
	pb_set_str(&d->hostname, id);
	d->platform = pb_new(pb__platform);
	pb_set_str(&d->platform->os, "linux");
	pb_set_str(&d->platform->architecture, "x86_64");
	d->resources = pb_new(pb__resources);
	d->resources->nano_cpus = cpus * 1000000000;
	d->resources->memory_bytes = memory;
	d->engine = pb_new(pb__engine_description);
	for (size_t i = 0; i < ARRAY_SIZE(plugins); i++) {
		Pb__PluginDescription *p = pb_new(pb__plugin_description);

		pb_set_str(&p->type, plugins[i][0]);
		pb_set_str(&p->name, plugins[i][1]);
		pb_append(&d->engine->n_plugins, &d->engine->plugins, p);
	}
	return n;
}

static inline void sim_put(struct sim *s, void *msg)
{
	struct store_tx *tx = sim_begin(s);

	if (store_get(s->store, store_kind_of(msg), store_id(msg)))
		store_tx_update(tx, msg, NULL);
	else
		store_tx_create(tx, msg, NULL);
	sim_commit(s, tx);
}

static inline void sim_remove(struct sim *s, enum store_kind kind, const char *id)
{
	struct store_tx *tx = sim_begin(s);

	store_tx_remove(tx, kind, id, NULL);
	sim_commit(s, tx);
}

static inline void sim_nodes(struct sim *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char id[32];

		snprintf(id, sizeof(id), "node%03zu", i);
		sim_put(s, sim_new_node(id, 64, 256LL << 30));
	}
}

/* A replicated service; replicas 0 and global: a global one. */
static inline Pb__Service *sim_new_service(const char *id, uint64_t replicas, bool global)
{
	Pb__Service *svc = pb_new(pb__service);

	pb_set_str(&svc->id, id);
	svc->spec = pb_new(pb__service_spec);
	svc->spec->annotations = pb_new(pb__annotations);
	pb_set_str(&svc->spec->annotations->name, id);
	svc->spec->task = pb_new(pb__task_spec);
	svc->spec->task->runtime_case = PB__TASK_SPEC__RUNTIME_CONTAINER;
	svc->spec->task->container = pb_new(pb__container_spec);
	pb_set_str(&svc->spec->task->container->image, "web:1");
	svc->spec_version = pb_new(pb__version);
	svc->spec_version->index = 1;
	if (global) {
		svc->spec->mode_case = PB__SERVICE_SPEC__MODE_GLOBAL;
		svc->spec->global = pb_new(pb__global_service);
	} else {
		svc->spec->mode_case = PB__SERVICE_SPEC__MODE_REPLICATED;
		svc->spec->replicated = pb_new(pb__replicated_service);
		svc->spec->replicated->replicas = replicas;
	}
	return svc;
}

/* A copy of the service for an update, as the API makes it. */
static inline Pb__Service *sim_edit_service(struct sim *s, const char *id)
{
	Pb__Service *svc = pb_clone(store_service(s->store, id));

	pb_free(svc->previous_spec);
	pb_free(svc->previous_spec_version);
	pb_free(svc->update_status);
	svc->previous_spec = pb_clone(svc->spec);
	svc->previous_spec_version = pb_clone(svc->spec_version);
	svc->update_status = NULL;
	svc->spec_version->index = s->version + 1;
	return svc;
}

static inline Pb__Node *sim_edit_node(struct sim *s, const char *id)
{
	return pb_clone(store_node(s->store, id));
}

/* Tasks of the service in the state and wanted so; node_id may be NULL for any. */
static inline size_t sim_count(const struct sim *s, const char *service_id, const char *node_id,
			       Pb__TaskState state)
{
	const Pb__Task *t;
	size_t n = 0;

	for (struct store_iter it = store_tasks_of_service(s->store, service_id);
	     (t = store_next(&it));)
		n += t->status->state == state && t->desired_state <= PB__TASK_STATE__COMPLETE &&
		     (!node_id || !strcmp(t->node_id, node_id));
	return n;
}
