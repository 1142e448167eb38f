// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include <errno.h>

#include "manager/dispatcher.h"
#include "manager/test_env.h"
#include "wire/dispatcher.pb-c.h"
#include "wire/resource.pb-c.h"

#define SERVICE "/docker.swarmkit.v1.Dispatcher/"

/* What a node does, by hand. */
struct agent {
	struct test_env *e;
	const char *id;
	struct tls *tls;
	struct grpc_channel *ch;
	struct grpc_stream *session, *assignments;
	char session_id[64];
	int messages, batches;
	Pb__SessionMessage *last;
	/* what it was told to run, in the order told: "T1 S1 -T1 …" */
	char log[1000];
	char sequence[24];
	bool gap;
	bool ended, unary_done;
	enum grpc_status status, unary_status;
	char attachment[64];
};

static void on_message(struct grpc_stream *s, const void *msg, void *arg)
{
	struct agent *a = arg;

	a->messages++;
	pb_free(a->last);
	a->last = pb_clone(msg);
	snprintf(a->session_id, sizeof(a->session_id), "%s", a->last->session_id);
}

static void on_session_closed(struct grpc_stream *s, enum grpc_status status, const char *text,
			      void *arg)
{
	struct agent *a = arg;

	a->session = NULL;
	a->ended = true;
	a->status = status;
}

static const struct grpc_stream_ops session_ops = {.message = on_message,
						   .closed = on_session_closed};

static void on_assignments(struct grpc_stream *s, const void *message, void *arg)
{
	const Pb__AssignmentsMessage *msg = message;
	struct agent *a = arg;

	if (msg->type == PB__ASSIGNMENTS_MESSAGE__TYPE__COMPLETE)
		snprintf(a->log, sizeof(a->log), "all:");
	else if (!streq(msg->applies_to, a->sequence))
		a->gap = true;
	snprintf(a->sequence, sizeof(a->sequence), "%s", msg->results_in);
	for (size_t i = 0; i < msg->n_changes; i++) {
		const Pb__AssignmentChange *c = msg->changes[i];
		size_t n = strlen(a->log);

		snprintf(a->log + n, sizeof(a->log) - n, " %s%s",
			 c->action == PB__ASSIGNMENT_CHANGE__ASSIGNMENT_ACTION__REMOVE ? "-" : "",
			 c->assignment->item_case == PB__ASSIGNMENT__ITEM_TASK
				 ? c->assignment->task->id
			 : c->assignment->item_case == PB__ASSIGNMENT__ITEM_SECRET
				 ? c->assignment->secret->id
				 : c->assignment->config->id);
	}
	a->batches++;
}

static void on_assignments_closed(struct grpc_stream *s, enum grpc_status status, const char *text,
				  void *arg)
{
	struct agent *a = arg;

	a->assignments = NULL;
}

static const struct grpc_stream_ops assignments_ops = {.message = on_assignments,
						       .closed = on_assignments_closed};

static void agent_open(struct agent *a, struct test_env *e, const char *id, const char *role)
{
	*a = (struct agent){.e = e, .id = id};
	a->tls = test_tls(e, id, role);
	a->ch = test_channel(e, a->tls);
}

static void agent_close(struct agent *a)
{
	grpc_channel_free(a->ch);
	tls_put(a->tls);
	pb_free(a->last);
}

static void agent_register(struct agent *a, const char *hostname)
{
	Pb__SessionRequest req = PB__SESSION_REQUEST__INIT;
	Pb__NodeDescription desc = PB__NODE_DESCRIPTION__INIT;

	desc.hostname = (char *)hostname;
	req.description = &desc;
	req.session_id = a->session_id;
	a->ended = false;
	a->session = grpc_stream_open(a->ch, SERVICE "Session", &pb__session_message__descriptor,
				      &session_ops, a, 0, NULL);
	grpc_stream_send(a->session, &req);
	grpc_stream_end(a->session);
}

static void agent_assignments(struct agent *a)
{
	Pb__AssignmentsRequest req = PB__ASSIGNMENTS_REQUEST__INIT;

	req.session_id = a->session_id;
	a->batches = 0;
	a->assignments =
		grpc_stream_open(a->ch, SERVICE "Assignments", &pb__assignments_message__descriptor,
				 &assignments_ops, a, 0, NULL);
	grpc_stream_send(a->assignments, &req);
	grpc_stream_end(a->assignments);
}

static void on_unary(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	const ProtobufCMessage *msg = reply;
	struct agent *a = arg;

	a->unary_done = true;
	a->unary_status = status;
	if (msg && msg->descriptor == &pb__attach_network_response__descriptor)
		snprintf(a->attachment, sizeof(a->attachment), "%s",
			 ((const Pb__AttachNetworkResponse *)msg)->attachment_id);
}

static enum grpc_status agent_call(struct agent *a, const char *path, const void *req,
				   const ProtobufCMessageDescriptor *reply)
{
	a->unary_done = false;
	grpc_unary(a->ch, path, req, reply, 5000, on_unary, a);
	test_wait(a->e, a->unary_done);
	return a->unary_status;
}

static enum grpc_status agent_report(struct agent *a, const char *task, Pb__TaskState state)
{
	Pb__UpdateTaskStatusRequest req = PB__UPDATE_TASK_STATUS_REQUEST__INIT;
	Pb__UpdateTaskStatusRequest__TaskStatusUpdate u =
		PB__UPDATE_TASK_STATUS_REQUEST__TASK_STATUS_UPDATE__INIT;
	Pb__UpdateTaskStatusRequest__TaskStatusUpdate *us = &u;
	Pb__TaskStatus status = PB__TASK_STATUS__INIT;

	status.state = state;
	u.task_id = (char *)task;
	u.status = &status;
	req.session_id = a->session_id;
	req.n_updates = 1;
	req.updates = &us;
	return agent_call(a, SERVICE "UpdateTaskStatus", &req,
			  &pb__update_task_status_response__descriptor);
}

static enum grpc_status agent_beat(struct agent *a)
{
	Pb__HeartbeatRequest req = PB__HEARTBEAT_REQUEST__INIT;

	req.session_id = a->session_id;
	return agent_call(a, SERVICE "Heartbeat", &req, &pb__heartbeat_response__descriptor);
}

FIXTURE(dispatcher)
{
	struct test_env e;
	struct dispatcher *d;
	struct agent w1, w2;
};

static int add_nodes(struct store_tx *tx, void *arg, struct err *err)
{
	const char *ids[] = {"w1", "w2"};
	int rc = 0;

	for (int i = 0; i < 2 && !rc; i++) {
		Pb__Node *n = pb_new(pb__node);

		pb_set_str(&n->id, ids[i]);
		n->spec = pb_new(pb__node_spec);
		rc = store_tx_create(tx, n, err);
	}
	return rc;
}

FIXTURE_SETUP(dispatcher)
{
	Pb__Peer peer = PB__PEER__INIT;
	Pb__WeightedPeer manager = PB__WEIGHTED_PEER__INIT, *managers = &manager;

	test_env_open(&self->e);
	test_change(&self->e, add_nodes, NULL);
	self->d = dispatcher_new(&self->e.env);
	peer.node_id = "m1";
	peer.addr = self->e.addr;
	manager.peer = &peer;
	manager.weight = 10;
	dispatcher_set_managers(self->d, &managers, 1);
	dispatcher_lead(self->d, true);
	agent_open(&self->w1, &self->e, "w1", CA_WORKER);
	agent_open(&self->w2, &self->e, "w2", CA_WORKER);
}

FIXTURE_TEARDOWN(dispatcher)
{
	EXPECT_FALSE(self->e.timed_out);
	dispatcher_free(self->d);
	agent_close(&self->w1);
	agent_close(&self->w2);
	test_env_close(&self->e);
}

struct put {
	const char *id, *node_id, *secret, *config;
	Pb__TaskState state, desired;
	bool remove;
};

static int put_task(struct store_tx *tx, void *arg, struct err *err)
{
	struct put *p = arg;
	const Pb__Task *old = store_task(store_tx_store(tx), p->id);
	Pb__Task *t = old ? pb_clone(old) : pb_new(pb__task);
	Pb__ContainerSpec *c;

	if (p->remove) {
		pb_free(t);
		return store_tx_remove(tx, STORE_TASK, p->id, err);
	}
	pb_set_str(&t->id, p->id);
	pb_set_str(&t->node_id, p->node_id);
	pb_need(&t->status, pb__task_status)->state = p->state;
	t->desired_state = p->desired;
	if (!old) {
		t->spec = pb_new(pb__task_spec);
		t->spec->runtime_case = PB__TASK_SPEC__RUNTIME_CONTAINER;
		c = t->spec->container = pb_new(pb__container_spec);
		if (p->secret) {
			Pb__SecretReference *r = pb_new(pb__secret_reference);

			pb_set_str(&r->secret_id, p->secret);
			pb_append(&c->n_secrets, &c->secrets, r);
		}
		if (p->config) {
			Pb__ConfigReference *r = pb_new(pb__config_reference);

			pb_set_str(&r->config_id, p->config);
			pb_append(&c->n_configs, &c->configs, r);
		}
		return store_tx_create(tx, t, err);
	}
	return store_tx_update(tx, t, err);
}

static void put(struct test_env *e, struct put p)
{
	if (!p.desired)
		p.desired = PB__TASK_STATE__RUNNING;
	test_change(e, put_task, &p);
}

static int put_secret(struct store_tx *tx, void *arg, struct err *err)
{
	Pb__Secret *s = pb_new(pb__secret);
	Pb__Config *c = pb_new(pb__config);
	int rc;

	pb_set_str(&s->id, "s1");
	s->spec = pb_new(pb__secret_spec);
	s->spec->annotations = pb_new(pb__annotations);
	pb_set_str(&s->spec->annotations->name, "secret");
	rc = store_tx_create(tx, s, err);
	pb_set_str(&c->id, "c1");
	c->spec = pb_new(pb__config_spec);
	c->spec->annotations = pb_new(pb__annotations);
	pb_set_str(&c->spec->annotations->name, "config");
	return rc ? rc : store_tx_create(tx, c, err);
}

static Pb__NodeStatus__State node_state(struct test_env *e, const char *id)
{
	const Pb__Node *n = store_node(e->store, id);

	return n->status ? n->status->state : PB__NODE_STATUS__STATE__UNKNOWN;
}

#define READY PB__NODE_STATUS__STATE__READY
#define DOWN PB__NODE_STATUS__STATE__DOWN

TEST_F(dispatcher, registers)
{
	struct test_env *e = &self->e;
	struct agent *a = &self->w1, stranger;
	char first[64];
	int told;

	EXPECT_EQ(GRPC_NOT_FOUND, agent_beat(a));
	agent_register(a, "host1");
	test_wait(e, a->messages);
	EXPECT_EQ(READY, node_state(e, "w1"));
	EXPECT_STREQ("127.0.0.1", store_node(e->store, "w1")->status->addr);
	EXPECT_STREQ("host1", store_node(e->store, "w1")->description->hostname);
	EXPECT_STREQ("w1", a->last->node->id);
	ASSERT_EQ(1, a->last->n_managers);
	EXPECT_STREQ("m1", a->last->managers[0]->peer->node_id);
	EXPECT_EQ(6, a->last->n_network_bootstrap_keys);
	EXPECT_EQ(strlen(e->root), a->last->root_ca.len);
	EXPECT_EQ(GRPC_OK, agent_beat(a));
	EXPECT_EQ(1, dispatcher_sessions(self->d));
	/* news go to everybody */
	told = a->messages;
	dispatcher_set_managers(self->d, NULL, 0);
	test_wait(e, a->messages > told);
	EXPECT_EQ(0, a->last->n_managers);
	EXPECT_EQ(6, a->last->n_network_bootstrap_keys);
	/* a live session is taken up again */
	strcpy(first, a->session_id);
	grpc_stream_cancel(a->session);
	told = a->messages;
	agent_register(a, "host1");
	test_wait(e, a->messages > told);
	EXPECT_STREQ(first, a->session_id);
	test_run_ms(e, 2300);
	EXPECT_EQ(READY, node_state(e, "w1"));
	/* a wrong one is not */
	strcpy(a->session_id, "wrong");
	EXPECT_EQ(GRPC_INVALID_ARGUMENT, agent_beat(a));
	/* nor a node that is not in the store */
	agent_open(&stranger, e, "w7", CA_WORKER);
	agent_register(&stranger, "host7");
	test_wait(e, stranger.ended);
	EXPECT_EQ(GRPC_NOT_FOUND, stranger.status);
	agent_close(&stranger);
}

TEST_F(dispatcher, loss_is_noticed)
{
	struct test_env *e = &self->e;
	uint64_t since;
	int told;

	agent_register(&self->w1, "host1");
	agent_register(&self->w2, "host2");
	test_wait(e, self->w1.messages && self->w2.messages);
	/* the process died */
	since = loop_now_ms();
	grpc_channel_free(self->w1.ch);
	test_wait(e, node_state(e, "w1") == DOWN);
	EXPECT_GT(loop_now_ms() - since, 1900);
	EXPECT_LT(loop_now_ms() - since, 10000); /* not by heartbeats */
	EXPECT_EQ(READY, node_state(e, "w2"));
	/* and came back */
	self->w1.ch = test_channel(e, self->w1.tls);
	told = self->w1.messages;
	agent_register(&self->w1, "host1");
	test_wait(e, self->w1.messages > told);
	EXPECT_EQ(READY, node_state(e, "w1"));
	/* gossip is mistaken: both answer */
	dispatcher_suspect(self->d, "127.0.0.1", false);
	test_run_ms(e, 1500);
	EXPECT_EQ(READY, node_state(e, "w1"));
	EXPECT_EQ(READY, node_state(e, "w2"));
	/* gossip is right */
	grpc_channel_free(self->w1.ch);
	test_wait(e, node_state(e, "w1") == DOWN);
	self->w1.ch = test_channel(e, self->w1.tls);
}

static void hold_up(void *arg)
{
	usleep(*(const unsigned int *)arg);
}

TEST_F(dispatcher, what_is_late_is_waited_for)
{
	struct test_env *e = &self->e;
	unsigned int held_us = 1200000;
	uint64_t since;

	agent_register(&self->w1, "host1");
	test_wait(e, self->w1.messages);
	/* the manager's loop stands still: the next node that goes is waited for longer */
	loop_defer(e->loop, hold_up, &held_us);
	test_run_ms(e, 600);
	since = loop_now_ms();
	grpc_channel_free(self->w1.ch);
	test_wait(e, node_state(e, "w1") == DOWN);
	/* held up for 700 ms at least more than it wanted to sleep, and 3 times that */
	EXPECT_GT(loop_now_ms() - since, 1900 + 3 * 700);
	self->w1.ch = test_channel(e, self->w1.tls);
}

TEST_F(dispatcher, assignments)
{
	struct test_env *e = &self->e;
	struct agent *a = &self->w1;
	int n;

	test_change(e, put_secret, NULL);
	put(e, (struct put){"t1", "w1", .secret = "s1", .state = PB__TASK_STATE__ASSIGNED});
	put(e, (struct put){"t2", "w2", .state = PB__TASK_STATE__ASSIGNED});
	put(e, (struct put){"t3", "w1", .state = PB__TASK_STATE__PENDING});
	agent_register(a, "host1");
	test_wait(e, a->messages);
	agent_assignments(a);
	test_wait(e, a->batches);
	EXPECT_STREQ("all: s1 t1", a->log);
	EXPECT_STREQ("1", a->sequence);
	/* a second user of the secret; a config */
	put(e, (struct put){"t4", "w1", .secret = "s1", .config = "c1",
			    .state = PB__TASK_STATE__ASSIGNED});
	test_wait(e, a->batches == 2);
	EXPECT_STREQ("all: s1 t1 c1 t4", a->log);
	/* its own statuses do not come back */
	n = a->batches;
	EXPECT_EQ(GRPC_OK, agent_report(a, "t1", PB__TASK_STATE__RUNNING));
	test_wait(e, store_task(e->store, "t1")->status->state == PB__TASK_STATE__RUNNING);
	test_run_ms(e, 100);
	EXPECT_EQ(n, a->batches);
	EXPECT_STREQ("m1", store_task(e->store, "t1")->status->applied_by);
	/* the first user ends, then the last */
	EXPECT_EQ(GRPC_OK, agent_report(a, "t1", PB__TASK_STATE__FAILED));
	test_wait(e, store_task(e->store, "t1")->status->state == PB__TASK_STATE__FAILED);
	put(e, (struct put){"t4", "w1", .state = PB__TASK_STATE__ASSIGNED,
			    .desired = PB__TASK_STATE__SHUTDOWN});
	test_wait(e, a->batches == 3);
	EXPECT_STREQ("all: s1 t1 c1 t4 t4", a->log);
	EXPECT_EQ(GRPC_OK, agent_report(a, "t4", PB__TASK_STATE__SHUTDOWN));
	test_wait(e, a->batches == 4);
	EXPECT_STREQ("all: s1 t1 c1 t4 t4 -s1 -c1", a->log);
	/* removed; and assigned after all */
	put(e, (struct put){"t1", .remove = true});
	put(e, (struct put){"t3", "w1", .state = PB__TASK_STATE__ASSIGNED});
	test_wait(e, a->batches == 5);
	EXPECT_STREQ("all: s1 t1 c1 t4 t4 -s1 -c1 -t1 t3", a->log);
	EXPECT_FALSE(a->gap);
	/* regressions are ignored, foreign tasks refused */
	EXPECT_EQ(GRPC_OK, agent_report(a, "t4", PB__TASK_STATE__RUNNING));
	EXPECT_EQ(GRPC_PERMISSION_DENIED, agent_report(a, "t2", PB__TASK_STATE__RUNNING));
	EXPECT_EQ(GRPC_OK, agent_report(a, "none", PB__TASK_STATE__RUNNING));
	test_run_ms(e, 50);
	EXPECT_EQ(PB__TASK_STATE__SHUTDOWN, store_task(e->store, "t4")->status->state);
	EXPECT_EQ(PB__TASK_STATE__ASSIGNED, store_task(e->store, "t2")->status->state);
	/* opened anew: everything again */
	grpc_stream_cancel(a->assignments);
	agent_assignments(a);
	test_wait(e, a->batches);
	EXPECT_STREQ("all: t3 t4", a->log);
}

static int many_tasks(struct store_tx *tx, void *arg, struct err *err)
{
	int rc = 0;

	for (int i = 0; i < 150 && !rc; i++) {
		char id[16];
		struct put p = {id, "w1", .state = PB__TASK_STATE__ASSIGNED,
				.desired = PB__TASK_STATE__RUNNING};

		snprintf(id, sizeof(id), "n%d", i);
		rc = put_task(tx, &p, err);
	}
	return rc;
}

TEST_F(dispatcher, batches_are_bounded)
{
	struct test_env *e = &self->e;
	struct agent *a = &self->w1;

	agent_register(a, "host1");
	test_wait(e, a->messages);
	agent_assignments(a);
	test_wait(e, a->batches);
	test_change(e, many_tasks, NULL);
	test_wait(e, a->batches == 3);
	EXPECT_STREQ("3", a->sequence);
	EXPECT_FALSE(a->gap);
}

TEST_F(dispatcher, leadership_comes_and_goes)
{
	struct test_env *e = &self->e;
	struct agent *a = &self->w1;
	int told;

	agent_register(a, "host1");
	agent_register(&self->w2, "host2");
	test_wait(e, a->messages && self->w2.messages);
	dispatcher_lead(self->d, false);
	test_wait(e, a->ended);
	EXPECT_EQ(GRPC_ABORTED, a->status);
	dispatcher_lead(self->d, true);
	test_wait(e, node_state(e, "w1") == PB__NODE_STATUS__STATE__UNKNOWN);
	told = a->messages;
	agent_register(a, "host1");
	test_wait(e, a->messages > told);
	EXPECT_EQ(READY, node_state(e, "w1"));
	test_run_ms(e, 2500);
	/* not back yet, but not given up either; until gossip says so */
	EXPECT_EQ(PB__NODE_STATUS__STATE__UNKNOWN, node_state(e, "w2"));
	dispatcher_suspect(self->d, "127.0.0.1", false);
	test_wait(e, node_state(e, "w2") == DOWN);
	EXPECT_EQ(READY, node_state(e, "w1"));
}

static int remove_node(struct store_tx *tx, void *arg, struct err *err)
{
	return store_tx_remove(tx, STORE_NODE, arg, err);
}

TEST_F(dispatcher, too_many_registrations_and_removal)
{
	struct test_env *e = &self->e;
	struct agent *a = &self->w1;

	for (int i = 0; i < 4; i++) {
		int told = a->messages;

		a->session_id[0] = 0;
		agent_register(a, "host1");
		test_wait(e, a->messages > told || a->ended);
		EXPECT_EQ(i == 3, a->ended);
		if (i < 3)
			grpc_stream_cancel(a->session);
	}
	EXPECT_EQ(GRPC_UNAVAILABLE, a->status);
	agent_register(&self->w2, "host2");
	test_wait(e, self->w2.messages);
	test_change(e, remove_node, "w2");
	test_wait(e, self->w2.ended);
}

static int add_networks(struct store_tx *tx, void *arg, struct err *err)
{
	int rc = 0;

	for (int i = 0; i < 2 && !rc; i++) {
		Pb__Network *n = pb_new(pb__network);

		pb_set_str(&n->id, i ? "net1" : "net0");
		n->spec = pb_new(pb__network_spec);
		n->spec->annotations = pb_new(pb__annotations);
		pb_set_str(&n->spec->annotations->name, i ? "open" : "closed");
		n->spec->attachable = i;
		rc = store_tx_create(tx, n, err);
	}
	return rc;
}

TEST_F(dispatcher, attachments)
{
	struct test_env *e = &self->e;
	Pb__AttachNetworkRequest req = PB__ATTACH_NETWORK_REQUEST__INIT;
	Pb__DetachNetworkRequest off = PB__DETACH_NETWORK_REQUEST__INIT;
	Pb__NetworkAttachmentConfig config = PB__NETWORK_ATTACHMENT_CONFIG__INIT;
	const ProtobufCMessageDescriptor *reply = &pb__attach_network_response__descriptor;
	const char *attach = "/docker.swarmkit.v1.ResourceAllocator/AttachNetwork";
	const char *detach = "/docker.swarmkit.v1.ResourceAllocator/DetachNetwork";
	const Pb__Task *t;

	test_change(e, add_networks, NULL);
	req.config = &config;
	req.container_id = "cont";
	config.target = "closed";
	EXPECT_EQ(GRPC_PERMISSION_DENIED, agent_call(&self->w1, attach, &req, reply));
	config.target = "none";
	EXPECT_EQ(GRPC_NOT_FOUND, agent_call(&self->w1, attach, &req, reply));
	config.target = "open";
	EXPECT_EQ(GRPC_OK, agent_call(&self->w1, attach, &req, reply));
	t = store_task(e->store, self->w1.attachment);
	ASSERT_NE(NULL, t);
	EXPECT_STREQ("w1", t->node_id);
	EXPECT_STREQ("net1", t->spec->networks[0]->target);
	EXPECT_STREQ("cont", t->spec->attachment->container_id);
	off.attachment_id = self->w1.attachment;
	EXPECT_EQ(GRPC_PERMISSION_DENIED,
		  agent_call(&self->w2, detach, &off, &pb__detach_network_response__descriptor));
	EXPECT_EQ(GRPC_OK,
		  agent_call(&self->w1, detach, &off, &pb__detach_network_response__descriptor));
	EXPECT_EQ(NULL, store_task(e->store, self->w1.attachment));
}

TEST_HARNESS_MAIN
