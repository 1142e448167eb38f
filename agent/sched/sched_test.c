// SPDX-License-Identifier: Apache-2.0
/* The scheduler against a plain one that looks at every node for every task. */
#include "sched/sched.h"

#include <stdio.h>

#include "core/rng.h"
#include "wire/pb.h"

#include <kselftest_harness.h>

enum { NODES = 20, ZONES = 3, LARGE = 16 /* groups that are ranked at once */ };

struct world {
	struct store *s;
	struct rng rng;
	struct store_watch watch;
	void *c;
	uint64_t version, now_ms, due_ms;
	size_t n_tasks;
};

static void on_event(const struct store_event *ev, void *arg)
{
	struct world *w = arg;

	if (w->c)
		sched_component.event(w->c, ev, w->now_ms);
}

static struct store_tx *begin(struct world *w)
{
	return store_tx_begin(w->s, ++w->version, w->now_ms * 1000000);
}

static void commit(struct store_tx *tx)
{
	if (!store_tx_changes(tx)) {
		store_tx_abort(tx);
		return;
	}
	store_tx_seal(tx);
	store_tx_commit(tx);
}

static void step(struct world *w)
{
	struct store_tx *tx = begin(w);

	sched_component.run(w->c, tx, w->now_ms);
	commit(tx);
	w->now_ms += 100;
}

static void settle(struct world *w)
{
	for (int i = 0; i < 50; i++)
		step(w);
}

static void put(struct world *w, void *msg)
{
	struct store_tx *tx = begin(w);

	if (store_get(w->s, store_kind_of(msg), store_id(msg)))
		store_tx_update(tx, msg, NULL);
	else
		store_tx_create(tx, msg, NULL);
	commit(tx);
}

static void world_init(struct world *w, uint64_t seed)
{
	*w = (struct world){.s = store_new(), .now_ms = 100000};
	rng_seed(&w->rng, seed);
	w->c = sched_component.open(w->s, &w->rng);
	w->watch.fn = on_event;
	w->watch.arg = w;
	store_watch(w->s, &w->watch);
}

static void world_done(struct world *w)
{
	sched_component.close(w->c);
	store_unwatch(&w->watch);
	store_free(w->s);
}

static Pb__Node *node(const char *id, int64_t cpus, const char *zone)
{
	Pb__Node *n = pb_new(pb__node);

	pb_set_str(&n->id, id);
	n->spec = pb_new(pb__node_spec);
	n->spec->annotations = pb_new(pb__annotations);
	if (zone)
		pb_set_label(&n->spec->annotations->n_labels, &n->spec->annotations->labels, "zone",
			     zone);
	n->status = pb_new(pb__node_status);
	n->status->state = PB__NODE_STATUS__STATE__READY;
	n->description = pb_new(pb__node_description);
	n->description->resources = pb_new(pb__resources);
	n->description->resources->nano_cpus = cpus;
	n->description->resources->memory_bytes = 1000;
	return n;
}

static Pb__Task *task(struct world *w, const char *service)
{
	Pb__Task *t = pb_new(pb__task);
	char id[32];

	snprintf(id, sizeof(id), "t%zu", w->n_tasks++);
	pb_set_str(&t->id, id);
	pb_set_str(&t->service_id, service);
	t->spec_version = pb_new(pb__version);
	t->spec_version->index = 1;
	t->spec = pb_new(pb__task_spec);
	t->spec->placement = pb_new(pb__placement);
	t->spec->resources = pb_new(pb__resource_requirements);
	t->spec->resources->reservations = pb_new(pb__resources);
	t->status = pb_new(pb__task_status);
	t->status->state = PB__TASK_STATE__PENDING;
	t->desired_state = PB__TASK_STATE__RUNNING;
	return t;
}

static void prefer_zones(Pb__Task *t)
{
	Pb__PlacementPreference *p = pb_new(pb__placement_preference);

	p->preference_case = PB__PLACEMENT_PREFERENCE__PREFERENCE_SPREAD;
	p->spread = pb_new(pb__spread_over);
	pb_set_str(&p->spread->spread_descriptor, "node.labels.zone");
	pb_append(&t->spec->placement->n_preferences, &t->spec->placement->preferences, p);
}

static size_t on_node(const struct world *w, const char *node_id, const char *service)
{
	const Pb__Task *t;
	size_t n = 0;

	for (struct store_iter it = store_tasks_of_node(w->s, node_id); (t = store_next(&it));)
		n += !service || !strcmp(t->service_id, service);
	return n;
}

/* --- the plain scheduler --- */

struct plain {
	char id[8];
	int zone;
	bool ready;
	int64_t cpus;
	size_t tasks, of_service;
};

struct ask {
	int64_t cpus;
	uint64_t max_replicas;
	int zone; /* constraint; -1: none */
	bool spread;
};

static bool plain_fits(const struct plain *p, const struct ask *a)
{
	return p->ready && p->cpus >= a->cpus && (a->zone < 0 || p->zone == a->zone) &&
	       (!a->max_replicas || p->of_service < a->max_replicas);
}

/* The zone with the fewest tasks of the service that has room; first seen first. */
static int plain_zone(const struct plain *v, const struct ask *a)
{
	size_t tasks[ZONES] = {0}, order[ZONES];
	bool room[ZONES] = {false};
	int best = -1;

	for (int z = 0; z < ZONES; z++)
		order[z] = SIZE_MAX;
	for (size_t i = 0; i < NODES; i++) {
		tasks[v[i].zone] += v[i].of_service;
		room[v[i].zone] |= plain_fits(&v[i], a);
		order[v[i].zone] = min(order[v[i].zone], i);
	}
	for (int z = 0; z < ZONES; z++)
		if (room[z] && (best < 0 || tasks[z] < tasks[best] ||
				(tasks[z] == tasks[best] && order[z] < order[best])))
			best = z;
	return best;
}

static bool plain_place(struct plain *v, const struct ask *a)
{
	int zone = a->spread ? plain_zone(v, a) : -1;
	struct plain *best = NULL;

	for (size_t i = 0; i < NODES; i++) {
		struct plain *p = &v[i];

		if (!plain_fits(p, a) || (zone >= 0 && p->zone != zone))
			continue;
		if (!best || p->of_service < best->of_service ||
		    (p->of_service == best->of_service && p->tasks < best->tasks))
			best = p;
	}
	if (!best)
		return false;
	best->tasks++;
	best->of_service++;
	best->cpus -= a->cpus;
	return true;
}

static bool same(const struct world *w, const struct plain *v, const char *service)
{
	for (size_t i = 0; i < NODES; i++)
		if (on_node(w, v[i].id, service) != v[i].of_service ||
		    on_node(w, v[i].id, NULL) != v[i].tasks)
			return false;
	return true;
}

static bool compare(uint64_t seed)
{
	struct plain v[NODES];
	struct world w;
	bool ok = true;
	char zone[8], constraint[40];

	world_init(&w, seed);
	for (size_t i = 0; i < NODES; i++) {
		Pb__Node *n;

		v[i] = (struct plain){.zone = rng_below(&w.rng, ZONES),
				      .ready = rng_below(&w.rng, 5) > 0,
				      .cpus = rng_below(&w.rng, 100)};
		snprintf(v[i].id, sizeof(v[i].id), "n%02zu", i);
		snprintf(zone, sizeof(zone), "z%d", v[i].zone);
		n = node(v[i].id, v[i].cpus, zone);
		if (!v[i].ready)
			n->spec->availability = PB__NODE_SPEC__AVAILABILITY__PAUSE;
		put(&w, n);
	}
	for (int k = 0; k < 6 && ok; k++) {
		size_t n = LARGE + rng_below(&w.rng, 60);
		struct ask a = {.cpus = rng_below(&w.rng, 12),
				.max_replicas = rng_below(&w.rng, 2) * (1 + rng_below(&w.rng, 5)),
				.zone = (int)rng_below(&w.rng, ZONES + 3) - 3,
				.spread = rng_below(&w.rng, 2)};
		char service[8];

		a.zone = max(a.zone, -1);
		snprintf(service, sizeof(service), "s%d", k);
		for (size_t i = 0; i < n; i++) {
			Pb__Task *t = task(&w, service);

			t->spec->resources->reservations->nano_cpus = a.cpus;
			t->spec->placement->max_replicas = a.max_replicas;
			snprintf(constraint, sizeof(constraint), "node.labels.zone==z%d", a.zone);
			if (a.zone >= 0)
				pb_append_str(&t->spec->placement->n_constraints,
					      &t->spec->placement->constraints, constraint);
			if (a.spread)
				prefer_zones(t);
			put(&w, t);
		}
		settle(&w);
		for (size_t i = 0; i < NODES; i++)
			v[i].of_service = 0;
		for (size_t i = 0; i < n; i++)
			plain_place(v, &a);
		ok = same(&w, v, service);
	}
	world_done(&w);
	return ok;
}

TEST(as_the_plain_scheduler)
{
	for (uint64_t seed = 1; seed <= 200; seed++) {
		bool ok = compare(seed);

		EXPECT_TRUE(ok)
		{
			TH_LOG("seed %llu", (unsigned long long)seed);
		}
	}
}

FIXTURE(sched)
{
	struct world w;
};

FIXTURE_SETUP(sched)
{
	world_init(&self->w, 1);
}

FIXTURE_TEARDOWN(sched)
{
	world_done(&self->w);
}

static void service(struct world *w, const char *id, const char *strategy)
{
	Pb__Service *svc = pb_new(pb__service);

	pb_set_str(&svc->id, id);
	svc->spec = pb_new(pb__service_spec);
	svc->spec->annotations = pb_new(pb__annotations);
	pb_set_str(&svc->spec->annotations->name, id);
	pb_set_label(&svc->spec->annotations->n_labels, &svc->spec->annotations->labels,
		     SCHED_STRATEGY_LABEL, strategy);
	put(w, svc);
}

TEST_F(sched, single_tasks_go_to_the_least_loaded)
{
	struct world *w = &self->w;
	char id[8];

	for (int i = 0; i < 4; i++) {
		snprintf(id, sizeof(id), "n%d", i);
		put(w, node(id, 100, NULL));
	}
	for (int i = 0; i < 12; i++) {
		snprintf(id, sizeof(id), "s%d", i);
		put(w, task(w, id));
		settle(w);
	}
	for (int i = 0; i < 4; i++) {
		snprintf(id, sizeof(id), "n%d", i);
		EXPECT_EQ(3, on_node(w, id, NULL));
	}
}

TEST_F(sched, binpack_fills_one_node_after_the_other)
{
	struct world *w = &self->w;
	char id[8];

	for (int i = 0; i < 4; i++) {
		snprintf(id, sizeof(id), "n%d", i);
		put(w, node(id, 100, NULL));
	}
	service(w, "pack", "binpack");
	for (int i = 0; i < 15; i++) {
		Pb__Task *t = task(w, "pack");

		t->spec->resources->reservations->nano_cpus = 10;
		put(w, t);
		settle(w);
	}
	EXPECT_EQ(10, on_node(w, "n0", NULL));
	EXPECT_EQ(5, on_node(w, "n1", NULL));
	EXPECT_EQ(0, on_node(w, "n2", NULL));
}

TEST_F(sched, random_uses_all_nodes)
{
	struct world *w = &self->w;
	char id[8];

	for (int i = 0; i < 4; i++) {
		snprintf(id, sizeof(id), "n%d", i);
		put(w, node(id, 100, NULL));
	}
	service(w, "any", "random");
	for (int i = 0; i < 200; i++)
		put(w, task(w, "any"));
	settle(w);
	for (int i = 0; i < 4; i++) {
		snprintf(id, sizeof(id), "n%d", i);
		EXPECT_GT(on_node(w, id, NULL), 20);
		EXPECT_LT(on_node(w, id, NULL), 90);
	}
}

static void end_task(struct world *w, const char *id, Pb__TaskState state)
{
	Pb__Task *t = pb_clone(store_task(w->s, id));

	t->status->state = state;
	put(w, t);
}

TEST_F(sched, nodes_where_it_fails_come_last)
{
	struct world *w = &self->w;
	size_t on_bad = 0;

	put(w, node("bad", 100, NULL));
	for (int i = 0; i < 8; i++) {
		put(w, task(w, "s"));
		settle(w);
		if (i == 4)
			put(w, node("good", 100, NULL));
		char id[16];

		snprintf(id, sizeof(id), "t%d", i);
		on_bad += !strcmp(store_task(w->s, id)->node_id, "bad");
		end_task(w, id, PB__TASK_STATE__FAILED);
	}
	EXPECT_EQ(5, on_bad);
}

TEST_F(sched, generic_resources_are_named_and_given_back)
{
	struct world *w = &self->w;
	Pb__Node *n = node("n", 100, NULL);
	const Pb__Task *got;

	for (int i = 0; i < 2; i++) {
		Pb__GenericResource *r = pb_new(pb__generic_resource);

		r->resource_case = PB__GENERIC_RESOURCE__RESOURCE_NAMED;
		r->named = pb_new(pb__named_generic_resource);
		pb_set_str(&r->named->kind, "gpu");
		pb_set_str(&r->named->value, i ? "uuid1" : "uuid0");
		pb_append(&n->description->resources->n_generic,
			  &n->description->resources->generic, r);
	}
	put(w, n);
	for (int i = 0; i < 3; i++) {
		Pb__Task *t = task(w, "s");
		Pb__GenericResource *r = pb_new(pb__generic_resource);
		Pb__Resources *res = t->spec->resources->reservations;

		r->resource_case = PB__GENERIC_RESOURCE__RESOURCE_DISCRETE;
		r->discrete = pb_new(pb__discrete_generic_resource);
		pb_set_str(&r->discrete->kind, "gpu");
		r->discrete->value = 1;
		pb_append(&res->n_generic, &res->generic, r);
		put(w, t);
	}
	settle(w);
	got = store_task(w->s, "t0");
	ASSERT_EQ(1, got->n_assigned_generic_resources);
	EXPECT_STREQ("uuid0", got->assigned_generic_resources[0]->named->value);
	EXPECT_EQ(PB__TASK_STATE__PENDING, store_task(w->s, "t2")->status->state);
	EXPECT_STREQ("no suitable node (insufficient resources on 1 node)",
		     store_task(w->s, "t2")->status->err);
	end_task(w, "t0", PB__TASK_STATE__COMPLETE);
	settle(w);
	EXPECT_EQ(PB__TASK_STATE__ASSIGNED, store_task(w->s, "t2")->status->state);
	EXPECT_STREQ("scheduler assigned task to node", store_task(w->s, "t2")->status->message);
	EXPECT_STREQ("", store_task(w->s, "t2")->status->err);
}

TEST_F(sched, host_ports_and_platforms_are_told_apart)
{
	struct world *w = &self->w;

	put(w, node("n", 100, NULL));
	for (int i = 0; i < 2; i++) {
		Pb__Task *t = task(w, "s");
		Pb__PortConfig *p = pb_new(pb__port_config);

		p->publish_mode = PB__PORT_CONFIG__PUBLISH_MODE__HOST;
		p->published_port = 80;
		t->endpoint = pb_new(pb__endpoint);
		pb_append(&t->endpoint->n_ports, &t->endpoint->ports, p);
		put(w, t);
	}
	settle(w);
	EXPECT_STREQ("no suitable node (host-mode port already in use on 1 node)",
		     store_task(w->s, "t1")->status->err);

	Pb__Task *t = task(w, "arm");
	Pb__Platform *p = pb_new(pb__platform);

	pb_set_str(&p->architecture, "arm64");
	pb_append(&t->spec->placement->n_platforms, &t->spec->placement->platforms, p);
	put(w, t);
	settle(w);
	EXPECT_STREQ("no suitable node (unsupported platform on 1 node)",
		     store_task(w->s, "t2")->status->err);
}

TEST_F(sched, reasons_are_renewed)
{
	struct world *w = &self->w;
	Pb__Node *n;
	Pb__Task *t = task(w, "s");

	put(w, node("n", 100, NULL));
	put(w, node("m", 100, NULL));
	t->spec->resources->reservations->nano_cpus = 200;
	put(w, t);
	settle(w);
	EXPECT_STREQ("no suitable node (insufficient resources on 2 nodes)",
		     store_task(w->s, "t0")->status->err);
	n = pb_clone(store_node(w->s, "m"));
	n->spec->availability = PB__NODE_SPEC__AVAILABILITY__PAUSE;
	put(w, n);
	settle(w);
	settle(w);
	EXPECT_STREQ("no suitable node (1 node not available for new tasks; "
		     "insufficient resources on 1 node)",
		     store_task(w->s, "t0")->status->err);
}

TEST(a_new_leader_waits_for_its_nodes)
{
	struct world w;
	Pb__Node *n;

	world_init(&w, 1);
	put(&w, node("n", 100, NULL));
	n = node("m", 100, NULL);
	n->status->state = PB__NODE_STATUS__STATE__UNKNOWN;
	put(&w, n);
	put(&w, task(&w, "s"));
	put(&w, task(&w, "s"));
	for (int i = 0; i < 10; i++)
		step(&w);
	EXPECT_EQ(0, on_node(&w, "n", NULL));
	n = pb_clone(store_node(w.s, "m"));
	n->status->state = PB__NODE_STATUS__STATE__READY;
	put(&w, n);
	for (int i = 0; i < 10; i++)
		step(&w);
	EXPECT_EQ(1, on_node(&w, "n", NULL));
	EXPECT_EQ(1, on_node(&w, "m", NULL));
	world_done(&w);
}

TEST_F(sched, preassigned_tasks_are_only_filtered)
{
	struct world *w = &self->w;
	Pb__Task *t = task(w, "s");

	put(w, node("n", 100, NULL));
	pb_set_str(&t->node_id, "n");
	t->spec->resources->reservations->nano_cpus = 200;
	put(w, t);
	settle(w);
	EXPECT_STREQ("insufficient resources on 1 node", store_task(w->s, "t0")->status->err);
	Pb__Node *n = pb_clone(store_node(w->s, "n"));

	n->description->resources->nano_cpus = 300;
	put(w, n);
	settle(w);
	EXPECT_EQ(PB__TASK_STATE__ASSIGNED, store_task(w->s, "t0")->status->state);
	EXPECT_STREQ("scheduler confirmed task can run on preassigned node",
		     store_task(w->s, "t0")->status->message);
}

TEST_HARNESS_MAIN
