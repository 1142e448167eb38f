// SPDX-License-Identifier: Apache-2.0
/*
 * The leader's components together: services become running tasks, whatever happens.
 * SEED=n replays one run of the random scenario, SEEDS=n makes so many.
 */
#include "orch_sim.h"

#include <kselftest_harness.h>

#define RUNNING PB__TASK_STATE__RUNNING

FIXTURE(orch)
{
	struct sim s;
};

FIXTURE_SETUP(orch)
{
	sim_init(&self->s, 1);
	sim_cluster(&self->s);
	sim_nodes(&self->s, 5);
}

FIXTURE_TEARDOWN(orch)
{
	sim_done(&self->s);
}

static void node_state(struct sim *s, const char *id, Pb__NodeStatus__State state)
{
	Pb__Node *n = sim_edit_node(s, id);

	n->status->state = state;
	if (state == PB__NODE_STATUS__STATE__DOWN)
		map_put(&s->lost, id, s);
	else
		map_del(&s->lost, id);
	sim_put(s, n);
	if (state == PB__NODE_STATUS__STATE__READY) {
		const Pb__Task *t;

		/* the node hears what is wanted of its tasks */
		for (struct store_iter it = store_tasks_of_node(s->store, id);
		     (t = store_next(&it));)
			idq_add(&s->moving, t->id);
	}
}

static void node_availability(struct sim *s, const char *id, Pb__NodeSpec__Availability a)
{
	Pb__Node *n = sim_edit_node(s, id);

	n->spec->availability = a;
	sim_put(s, n);
}

static void scale(struct sim *s, const char *id, uint64_t replicas)
{
	Pb__Service *svc = sim_edit_service(s, id);

	svc->spec->replicated->replicas = replicas;
	sim_put(s, svc);
}

TEST_F(orch, replicas_run_and_are_spread)
{
	struct sim *s = &self->s;

	sim_put(s, sim_new_service("web", 12, false));
	sim_run(s, 10000);
	ASSERT_EQ(12, sim_count(s, "web", NULL, RUNNING));
	for (int i = 0; i < 5; i++) {
		char id[32];

		snprintf(id, sizeof(id), "node%03d", i);
		EXPECT_GE(sim_count(s, "web", id, RUNNING), 2);
		EXPECT_LE(sim_count(s, "web", id, RUNNING), 3);
	}
	scale(s, "web", 4);
	sim_run(s, 10000);
	EXPECT_EQ(4, sim_count(s, "web", NULL, RUNNING));
	EXPECT_EQ(4, store_n_tasks_of_service(s->store, "web"));
	scale(s, "web", 20);
	sim_run(s, 10000);
	EXPECT_EQ(20, sim_count(s, "web", NULL, RUNNING));
	sim_remove(s, STORE_SERVICE, "web");
	sim_run(s, 10000);
	EXPECT_EQ(0, store_count(s->store, STORE_TASK));
}

TEST_F(orch, tasks_of_a_lost_node_are_replaced_and_do_not_double)
{
	struct sim *s = &self->s;

	sim_put(s, sim_new_service("web", 10, false));
	sim_run(s, 10000);
	node_state(s, "node002", PB__NODE_STATUS__STATE__DOWN);
	sim_run(s, 1000);
	EXPECT_EQ(10, sim_count(s, "web", NULL, RUNNING));
	EXPECT_EQ(0, sim_count(s, "web", "node002", RUNNING));
	node_state(s, "node002", PB__NODE_STATUS__STATE__READY);
	sim_run(s, 60000);
	EXPECT_EQ(10, sim_count(s, "web", NULL, RUNNING));
	const Pb__Task *t;

	for (struct store_iter it = store_tasks_of_node(s->store, "node002");
	     (t = store_next(&it));)
		EXPECT_NE(RUNNING, t->status->state);
}

TEST_F(orch, a_drained_node_is_emptied)
{
	struct sim *s = &self->s;

	sim_put(s, sim_new_service("web", 10, false));
	sim_put(s, sim_new_service("agent", 0, true));
	sim_run(s, 10000);
	ASSERT_EQ(5, sim_count(s, "agent", NULL, RUNNING));
	node_availability(s, "node001", PB__NODE_SPEC__AVAILABILITY__DRAIN);
	sim_run(s, 2000);
	EXPECT_EQ(10, sim_count(s, "web", NULL, RUNNING));
	EXPECT_EQ(0, sim_count(s, "web", "node001", RUNNING));
	EXPECT_EQ(4, sim_count(s, "agent", NULL, RUNNING));
	node_availability(s, "node001", PB__NODE_SPEC__AVAILABILITY__ACTIVE);
	sim_run(s, 2000);
	EXPECT_EQ(5, sim_count(s, "agent", NULL, RUNNING));
}

TEST_F(orch, global_services_follow_labels)
{
	struct sim *s = &self->s;
	Pb__Service *svc = sim_new_service("agent", 0, true);
	Pb__Node *n;

	svc->spec->task->placement = pb_new(pb__placement);
	pb_append_str(&svc->spec->task->placement->n_constraints,
		      &svc->spec->task->placement->constraints, "node.labels.disk==ssd");
	sim_put(s, svc);
	sim_run(s, 2000);
	EXPECT_EQ(0, store_n_tasks_of_service(s->store, "agent"));
	n = sim_edit_node(s, "node003");
	pb_set_label(&n->spec->annotations->n_labels, &n->spec->annotations->labels, "disk", "ssd");
	sim_put(s, n);
	sim_run(s, 2000);
	EXPECT_EQ(1, sim_count(s, "agent", "node003", RUNNING));
	n = sim_edit_node(s, "node003");
	pb_set_label(&n->spec->annotations->n_labels, &n->spec->annotations->labels, "disk", "hdd");
	sim_put(s, n);
	sim_run(s, 20000);
	EXPECT_EQ(0, sim_count(s, "agent", NULL, RUNNING));
}

static void pending_reason(struct sim *s, const char *service, char *buf, size_t size)
{
	const Pb__Task *t;

	snprintf(buf, size, "none");
	for (struct store_iter it = store_tasks_of_service(s->store, service);
	     (t = store_next(&it));)
		if (t->status->state == PB__TASK_STATE__PENDING)
			snprintf(buf, size, "%s", t->status->err);
}

TEST_F(orch, pending_tasks_say_why)
{
	struct sim *s = &self->s;
	Pb__Service *svc = sim_new_service("big", 1, false);
	char why[300];

	svc->spec->task->resources = pb_new(pb__resource_requirements);
	svc->spec->task->resources->reservations = pb_new(pb__resources);
	svc->spec->task->resources->reservations->memory_bytes = 1LL << 50;
	sim_put(s, svc);
	node_availability(s, "node000", PB__NODE_SPEC__AVAILABILITY__DRAIN);
	sim_run(s, 2000);
	pending_reason(s, "big", why, sizeof(why));
	EXPECT_STREQ("no suitable node (insufficient resources on 4 nodes; "
		     "1 node not available for new tasks)",
		     why);
	sim_put(s, sim_new_node("huge", 64, 1LL << 51));
	sim_run(s, 2000);
	EXPECT_EQ(1, sim_count(s, "big", "huge", RUNNING));
}

static Pb__TaskState all_fail(struct sim *s, const Pb__Task *t, Pb__TaskState next)
{
	if (!strcmp(t->spec->container->image, "web:bad") && next == RUNNING)
		return PB__TASK_STATE__FAILED;
	return next;
}

TEST_F(orch, max_attempts_end_the_restarts)
{
	struct sim *s = &self->s;
	Pb__Service *svc = sim_new_service("web", 1, false);
	const Pb__Task *t;
	size_t failed = 0;

	pb_set_str(&svc->spec->task->container->image, "web:bad");
	svc->spec->task->restart = pb_new(pb__restart_policy);
	svc->spec->task->restart->condition = PB__RESTART_POLICY__RESTART_CONDITION__ANY;
	svc->spec->task->restart->max_attempts = 2;
	pb_set_duration(&svc->spec->task->restart->delay, 1000000000);
	s->fate = all_fail;
	sim_put(s, svc);
	sim_run(s, 60000);
	for (struct store_iter it = store_tasks_of_service(s->store, "web"); (t = store_next(&it));)
		failed += t->status->state == PB__TASK_STATE__FAILED;
	EXPECT_EQ(3, failed);
	EXPECT_EQ(3, store_n_tasks_of_service(s->store, "web"));
}

TEST_F(orch, history_is_bounded)
{
	struct sim *s = &self->s;
	Pb__Service *svc = sim_new_service("web", 1, false);

	pb_set_str(&svc->spec->task->container->image, "web:bad");
	s->fate = all_fail;
	sim_put(s, svc);
	sim_run(s, 120000);
	EXPECT_LE(store_n_tasks_of_service(s->store, "web"), 6);
	EXPECT_GE(store_n_tasks_of_service(s->store, "web"), 5);
}

/* --- updates --- */

struct watch_update {
	size_t min_running, max_running, max_new_starting;
	bool on;
};

static void watch_update(struct sim *s, const struct store_event *ev)
{
	struct watch_update *w = s->arg;
	const Pb__Task *t;
	size_t running = 0, starting = 0;

	if (!w || !w->on || ev->kind != STORE_TASK)
		return;
	for (struct store_iter it = store_tasks_of_service(s->store, "web");
	     (t = store_next(&it));) {
		running += t->status->state == RUNNING;
		starting += t->status->state < RUNNING && t->desired_state <= RUNNING &&
			    !strcmp(t->spec->container->image, "web:2");
	}
	w->min_running = min(w->min_running, running);
	w->max_running = max(w->max_running, running);
	w->max_new_starting = max(w->max_new_starting, starting);
}

static size_t count_image(struct sim *s, const char *image)
{
	const Pb__Task *t;
	size_t n = 0;

	for (struct store_iter it = store_tasks_of_service(s->store, "web"); (t = store_next(&it));)
		n += t->status->state == RUNNING && !strcmp(t->spec->container->image, image);
	return n;
}

static void update_image(struct sim *s, const char *image, uint64_t parallelism, bool start_first,
			 Pb__UpdateConfig__FailureAction action)
{
	Pb__Service *svc = sim_edit_service(s, "web");
	Pb__UpdateConfig *c = pb_need(&svc->spec->update, pb__update_config);

	pb_set_str(&svc->spec->task->container->image, image);
	c->parallelism = parallelism;
	c->failure_action = action;
	c->order = start_first ? PB__UPDATE_CONFIG__UPDATE_ORDER__START_FIRST
			       : PB__UPDATE_CONFIG__UPDATE_ORDER__STOP_FIRST;
	sim_put(s, svc);
}

/* Ten tasks that run, and from now on are watched. */
static void ten_watched(struct sim *s, struct watch_update *w)
{
	sim_put(s, sim_new_service("web", 10, false));
	sim_run(s, 10000);
	*w = (struct watch_update){.min_running = 100, .on = true};
	s->arg = w;
	s->on_event = watch_update;
}

/* Six tasks that run, and an update to an image that fails. */
static void update_fails(struct sim *s, uint64_t parallelism,
			 Pb__UpdateConfig__FailureAction action)
{
	s->fate = all_fail;
	sim_put(s, sim_new_service("web", 6, false));
	sim_run(s, 10000);
	update_image(s, "web:bad", parallelism, false, action);
}

static Pb__UpdateStatus__UpdateState update_state(const struct sim *s)
{
	return store_service(s->store, "web")->update_status->state;
}

static const char *update_message(const struct sim *s)
{
	return store_service(s->store, "web")->update_status->message;
}

TEST_F(orch, updates_keep_to_their_parallelism)
{
	struct sim *s = &self->s;
	struct watch_update w;

	ten_watched(s, &w);
	update_image(s, "web:2", 3, false, PB__UPDATE_CONFIG__FAILURE_ACTION__PAUSE);
	sim_run(s, 1000);
	EXPECT_STREQ("update in progress", update_message(s));
	sim_run(s, 60000);
	EXPECT_EQ(10, count_image(s, "web:2"));
	EXPECT_EQ(0, count_image(s, "web:1"));
	EXPECT_GE(w.min_running, 7);
	EXPECT_LE(w.max_running, 10);
	EXPECT_LE(w.max_new_starting, 3);
	EXPECT_EQ(PB__UPDATE_STATUS__UPDATE_STATE__COMPLETED, update_state(s));
	EXPECT_STREQ("update completed", update_message(s));
}

TEST_F(orch, start_first_never_has_fewer)
{
	struct sim *s = &self->s;
	struct watch_update w;

	ten_watched(s, &w);
	update_image(s, "web:2", 2, true, PB__UPDATE_CONFIG__FAILURE_ACTION__PAUSE);
	sim_run(s, 60000);
	EXPECT_EQ(10, count_image(s, "web:2"));
	EXPECT_EQ(0, count_image(s, "web:1"));
	EXPECT_GE(w.min_running, 10);
	EXPECT_LE(w.max_running, 12);
}

TEST_F(orch, failing_updates_pause)
{
	struct sim *s = &self->s;

	update_fails(s, 1, PB__UPDATE_CONFIG__FAILURE_ACTION__PAUSE);
	sim_run(s, 60000);
	EXPECT_EQ(5, count_image(s, "web:1"));
	EXPECT_EQ(PB__UPDATE_STATUS__UPDATE_STATE__PAUSED, update_state(s));
	EXPECT_EQ(0, strncmp("update paused due to failure or early termination of task ",
			     update_message(s), 58));
	update_image(s, "web:2", 2, false, PB__UPDATE_CONFIG__FAILURE_ACTION__PAUSE);
	sim_run(s, 60000);
	EXPECT_EQ(6, count_image(s, "web:2"));
}

TEST_F(orch, failing_updates_roll_back)
{
	struct sim *s = &self->s;

	update_fails(s, 2, PB__UPDATE_CONFIG__FAILURE_ACTION__ROLLBACK);
	sim_run(s, 120000);
	EXPECT_EQ(6, count_image(s, "web:1"));
	EXPECT_EQ(PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_COMPLETED, update_state(s));
	EXPECT_STREQ("rollback completed", update_message(s));
}

TEST_F(orch, global_services_are_updated)
{
	struct sim *s = &self->s;

	sim_put(s, sim_new_service("web", 0, true));
	sim_run(s, 10000);
	EXPECT_EQ(5, count_image(s, "web:1"));
	update_image(s, "web:2", 1, false, PB__UPDATE_CONFIG__FAILURE_ACTION__PAUSE);
	sim_run(s, 60000);
	EXPECT_EQ(5, count_image(s, "web:2"));
	EXPECT_EQ(0, count_image(s, "web:1"));
}

/* --- jobs --- */

static Pb__TaskState jobs_end(struct sim *s, const Pb__Task *t, Pb__TaskState next)
{
	if (next == RUNNING && t->status->state == RUNNING && t->job_iteration)
		return PB__TASK_STATE__COMPLETE;
	return next;
}

static size_t complete_of(struct sim *s, uint64_t iteration)
{
	const Pb__Task *t;
	size_t n = 0;

	for (struct store_iter it = store_tasks_of_service(s->store, "job"); (t = store_next(&it));)
		n += t->status->state == PB__TASK_STATE__COMPLETE &&
		     t->job_iteration->index == iteration;
	return n;
}

TEST_F(orch, jobs_complete)
{
	struct sim *s = &self->s;
	Pb__Service *svc = sim_new_service("job", 0, false);

	pb_free(svc->spec->replicated);
	svc->spec->mode_case = PB__SERVICE_SPEC__MODE_REPLICATED_JOB;
	svc->spec->replicated_job = pb_new(pb__replicated_job);
	svc->spec->replicated_job->max_concurrent = 3;
	svc->spec->replicated_job->total_completions = 10;
	svc->job_status = pb_new(pb__job_status);
	svc->job_status->job_iteration = pb_new(pb__version);
	s->fate = jobs_end;
	sim_put(s, svc);
	sim_run(s, 60000);
	EXPECT_EQ(10, complete_of(s, 0));
	EXPECT_EQ(10, store_n_tasks_of_service(s->store, "job"));
	/* Again: the earlier tasks go. */
	svc = sim_edit_service(s, "job");
	svc->job_status->job_iteration->index++;
	sim_put(s, svc);
	sim_run(s, 60000);
	EXPECT_EQ(10, complete_of(s, 1));
	EXPECT_EQ(10, store_n_tasks_of_service(s->store, "job"));
}

/* --- everything at random --- */

static Pb__TaskState at_random(struct sim *s, const Pb__Task *t, Pb__TaskState next)
{
	if (next <= RUNNING && next != t->status->state && !rng_below(&s->rng, 20) && s->arg)
		return rng_below(&s->rng, 2) ? PB__TASK_STATE__FAILED : PB__TASK_STATE__REJECTED;
	return next;
}

static bool is_replicated(const Pb__Service *svc)
{
	return svc->spec->mode_case == PB__SERVICE_SPEC__MODE_REPLICATED;
}

static void create_random(struct sim *s, const char *id)
{
	Pb__Service *svc = sim_new_service(id, rng_below(&s->rng, 12), !strcmp(id, "svc3"));
	Pb__TaskSpec *task = svc->spec->task;

	for (uint64_t n = rng_below(&s->rng, 3); n--;) {
		Pb__NetworkAttachmentConfig *at = pb_new(pb__network_attachment_config);

		pb_set_str(&at->target, n ? "net1" : "net0");
		pb_append(&task->n_networks, &task->networks, at);
	}
	svc->spec->endpoint = pb_new(pb__endpoint_spec);
	if (rng_below(&s->rng, 2)) {
		Pb__PortConfig *p = pb_new(pb__port_config);

		p->target_port = 80;
		pb_append(&svc->spec->endpoint->n_ports, &svc->spec->endpoint->ports, p);
	}
	sim_put(s, svc);
}

static void random_step(struct sim *s)
{
	char node[32], svc[32];
	const Pb__Node *n;
	Pb__Service *edit;

	snprintf(node, sizeof(node), "node%03u", (unsigned int)rng_below(&s->rng, 5));
	snprintf(svc, sizeof(svc), "svc%u", (unsigned int)rng_below(&s->rng, 4));
	n = store_node(s->store, node);
	switch (rng_below(&s->rng, 8)) {
	case 0:
		node_state(s, node, PB__NODE_STATUS__STATE__DOWN);
		break;
	case 1:
		node_state(s, node, PB__NODE_STATUS__STATE__READY);
		break;
	case 2:
		node_availability(s, node, rng_below(&s->rng, 3));
		break;
	case 3:
		if (store_service(s->store, svc) && !rng_below(&s->rng, 3))
			sim_remove(s, STORE_SERVICE, svc);
		break;
	case 4:
		if (n && store_service(s->store, svc) &&
		    is_replicated(store_service(s->store, svc)))
			scale(s, svc, rng_below(&s->rng, 15));
		break;
	case 5:
		if (!store_service(s->store, svc))
			break;
		edit = sim_edit_service(s, svc);
		pb_set_str(&edit->spec->task->container->image, rng_below(&s->rng, 2) ? "a" : "b");
		pb_need(&edit->spec->update, pb__update_config)->parallelism =
			rng_below(&s->rng, 4);
		edit->spec->update->order = rng_below(&s->rng, 2);
		edit->spec->update->failure_action = 1 + rng_below(&s->rng, 2);
		sim_put(s, edit);
		break;
	case 6:
		sim_stop_leading(s);
		sim_lead(s);
		break;
	case 7:
		if (!store_service(s->store, svc))
			create_random(s, svc);
		break;
	}
}

/* With all nodes up, and nothing failing any more, all is as wanted. */
static bool converged(struct sim *s)
{
	const Pb__Service *svc;
	bool ok = true;

	for (struct store_iter it = store_all(s->store, STORE_SERVICE); (svc = store_next(&it));) {
		size_t want = is_replicated(svc) ? svc->spec->replicated->replicas : 5;
		size_t have = sim_count(s, svc->id, NULL, RUNNING);

		if (have != want) {
			fprintf(stderr, "# %s has %zu of %zu, update: %s\n", svc->id, have, want,
				svc->update_status ? svc->update_status->message : "none");
			ok = false;
		}
	}
	return ok;
}

/* An address, once per network and owner; the gateways are nobody's. */
static bool claim(struct map *seen, const char *network, const char *addr, const char *owner)
{
	_cleanup_free_ char *key = xasprintf("%s %s", network, addr);
	const char *before = map_put(seen, key, (void *)owner);

	if (before)
		fprintf(stderr, "# %s is of %s and of %s\n", key, before, owner);
	return !before;
}

static bool is_dead(const Pb__Task *t)
{
	return t->desired_state > RUNNING && t->status->state > RUNNING;
}

/* No two of tasks, nodes and services have the same address or published port. */
static bool addresses_differ(struct sim *s)
{
	struct map seen = MAP_INIT;
	const Pb__Service *svc;
	const Pb__Node *n;
	const Pb__Task *t;
	bool ok = true;

	for (struct store_iter it = store_all(s->store, STORE_NODE); (n = store_next(&it));)
		for (size_t i = 0; i < n->n_attachments; i++)
			ok &= claim(&seen, n->attachments[i]->network->id,
				    n->attachments[i]->addresses[0], n->id);
	for (struct store_iter it = store_all(s->store, STORE_TASK); (t = store_next(&it));)
		for (size_t i = 0; i < t->n_networks && !is_dead(t); i++)
			ok &= claim(&seen, t->networks[i]->network->id,
				    t->networks[i]->addresses[0], t->id);
	for (struct store_iter it = store_all(s->store, STORE_SERVICE); (svc = store_next(&it));) {
		const Pb__Endpoint *ep = svc->endpoint;
		char port[16];

		for (size_t i = 0; ep && i < ep->n_virtual_ips; i++)
			ok &= claim(&seen, ep->virtual_ips[i]->network_id, ep->virtual_ips[i]->addr,
				    svc->id);
		for (size_t i = 0; ep && i < ep->n_ports; i++) {
			snprintf(port, sizeof(port), "%u", ep->ports[i]->published_port);
			ok &= claim(&seen, "port", port, svc->id);
		}
	}
	map_done(&seen);
	return ok;
}

/* Running tasks have an address on each network that they were to join. */
static bool addresses_are_there(struct sim *s)
{
	const Pb__Task *t;

	for (struct store_iter it = store_all(s->store, STORE_TASK); (t = store_next(&it));)
		if (t->status->state == RUNNING && t->n_networks < t->spec->n_networks) {
			fprintf(stderr, "# %s has %zu networks\n", t->id, t->n_networks);
			return false;
		}
	return true;
}

static void add_networks(struct sim *s)
{
	for (int i = 0; i < 2; i++) {
		Pb__Network *n = pb_new(pb__network);

		pb_set_str(&n->id, i ? "net1" : "net0");
		n->spec = pb_new(pb__network_spec);
		n->spec->annotations = pb_new(pb__annotations);
		pb_set_str(&n->spec->annotations->name, n->id);
		sim_put(s, n);
	}
}

static bool run_seed(uint64_t seed)
{
	struct sim s;
	bool ok = true;

	sim_init(&s, seed);
	sim_cluster(&s);
	sim_nodes(&s, 5);
	add_networks(&s);
	s.fate = at_random;
	s.arg = &s;
	for (int i = 0; i < 120 && ok; i++) {
		random_step(&s);
		sim_run(&s, rng_below(&s.rng, 3000));
		ok = addresses_differ(&s) && addresses_are_there(&s);
	}
	s.arg = NULL;
	for (int i = 0; i < 5; i++) {
		char id[32];

		snprintf(id, sizeof(id), "node%03d", i);
		node_availability(&s, id, PB__NODE_SPEC__AVAILABILITY__ACTIVE);
		node_state(&s, id, PB__NODE_STATUS__STATE__READY);
	}
	sim_run(&s, 400000);
	if (getenv("STATS"))
		fprintf(stderr, "# seed=%llu %llu entries, %llu events, %zu tasks, %zu services\n",
			(unsigned long long)seed, (unsigned long long)s.n_entries,
			(unsigned long long)s.n_events, store_count(s.store, STORE_TASK),
			store_count(s.store, STORE_SERVICE));
	ok = ok && converged(&s) && addresses_differ(&s);
	sim_done(&s);
	return ok;
}

TEST(random_events_converge)
{
	const char *seed = getenv("SEED");
	const char *many = getenv("SEEDS");
	uint64_t first = seed ? strtoull(seed, NULL, 10) : 1;
	uint64_t n = many ? strtoull(many, NULL, 10) : seed ? 1 : 40;

	for (uint64_t i = first; i < first + n; i++) {
		bool ok = run_seed(i);

		if (!ok)
			fprintf(stderr, "# seed=%llu\n", (unsigned long long)i);
		EXPECT_TRUE(ok);
	}
}

TEST_HARNESS_MAIN
