// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <signal.h>

#include "loop/loop.h"
#include "manager/ca.h"
#include "rpc/grpc.h"
#include "rpc/tls.h"
#include "wire/dispatcher.pb-c.h"
#include "wire/health.pb-c.h"
#include "wire/pb.h"

#define CHECK "/docker.swarmkit.v1.Health/Check"
#define WHOAMI "/test.Test/WhoAmI"
#define COUNT "/test.Test/Count"
#define SUM "/test.Test/Sum"
#define STUCK "/test.Test/Stuck"

struct node {
	struct tls *tls;
	struct grpc_server *server;
	char addr[32];
	struct grpc_channel *leader; /* NULL: leads */
	struct loop *loop;
	struct grpc_call *counting;
	int to_count, counted, summed, stuck, left;
};

struct env {
	struct loop *loop;
	struct timer guard;
	char *root, *key;
	struct node node[3];
	bool timed_out;
};

static void on_guard(void *arg)
{
	struct env *e = arg;

	e->timed_out = true;
	loop_stop(e->loop);
}

static struct tls *credentials(struct env *e, const char *id, const char *role, const char *org)
{
	struct ca_leaf leaf = {.node_id = id, .role = role, .cluster_id = org};
	_cleanup_free_ char *csr = NULL, *key = NULL, *cert = NULL;
	struct tls *tls = NULL;

	if (!id)
		assert(!tls_new(e->root, NULL, NULL, &tls, NULL));
	else
		assert(!ca_csr_new(&csr, &key, NULL) &&
		       !ca_sign(e->root, e->key, NULL, csr, &leaf, &cert, NULL) &&
		       !tls_new(e->root, cert, key, &tls, NULL));
	return tls;
}

/* --- the service --- */

static void check(struct grpc_call *call, const void *request, void *arg)
{
	Pb__HealthCheckResponse reply = PB__HEALTH_CHECK_RESPONSE__INIT;

	reply.status = PB__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
	grpc_reply(call, &reply);
}

static void whoami(struct grpc_call *call, const void *request, void *arg)
{
	const struct grpc_peer *peer = grpc_call_peer(call);
	_cleanup_free_ char *text = xasprintf("%s %s %s via %s", peer->node_id, peer->role,
					      peer->cluster_id, peer->via ? peer->via : "none");
	Pb__HealthCheckRequest reply = PB__HEALTH_CHECK_REQUEST__INIT;

	reply.service = text;
	grpc_reply(call, &reply);
}

static void count_on(struct grpc_call *call, void *arg)
{
	struct node *n = arg;
	Pb__HealthCheckRequest msg = PB__HEALTH_CHECK_REQUEST__INIT;
	static char text[10001];

	memset(text, 'x', sizeof(text) - 1);
	msg.service = text;
	while (n->to_count && grpc_call_unsent(call) < 50000) {
		grpc_send(call, &msg);
		n->to_count--;
	}
	if (!n->to_count) {
		grpc_call_on_drain(call, NULL, NULL);
		grpc_finish(call, GRPC_ABORTED, "counted: 100 % \xc3\xa4");
	}
}

static void count(struct grpc_call *call, const void *request, void *arg)
{
	struct node *n = arg;

	n->to_count = 1000;
	grpc_call_on_drain(call, count_on, n);
	count_on(call, n);
}

static void sum(struct grpc_call *call, const void *request, void *arg)
{
	struct node *n = arg;
	const Pb__HealthCheckRequest *msg = request;

	if (msg)
		n->summed += strlen(msg->service);
	else
		check(call, NULL, arg);
}

static void stuck_gone(struct grpc_call *call, void *arg)
{
	struct node *n = arg;

	n->left++;
	grpc_finish(call, GRPC_OK, NULL);
}

static void stuck(struct grpc_call *call, const void *request, void *arg)
{
	struct node *n = arg;

	n->stuck++;
	grpc_call_on_close(call, stuck_gone, n);
	if (n->loop)
		loop_stop(n->loop);
}

#define REQ &pb__health_check_request__descriptor
static const struct grpc_method methods[] = {
	{CHECK, GRPC_UNARY, REQ, GRPC_MANAGER, false, check},
	{WHOAMI, GRPC_UNARY, REQ, GRPC_ANYONE, true, whoami},
	{COUNT, GRPC_SERVER_STREAM, REQ, GRPC_WORKER | GRPC_MANAGER, true, count},
	{SUM, GRPC_CLIENT_STREAM, REQ, GRPC_WORKER | GRPC_MANAGER, true, sum},
	{STUCK, GRPC_UNARY, REQ, GRPC_WORKER | GRPC_MANAGER, true, stuck},
};

static int leader_of(struct grpc_channel **ret, void *arg)
{
	struct node *n = arg;

	*ret = n->leader;
	return 0;
}

static bool blacklisted(const char *id, void *arg)
{
	return streq(id, "removed");
}

static void start(struct env *e, struct node *n, const char *id)
{
	struct grpc_server_options opt = {
		.loop = e->loop,
		.cluster_id = "cluster",
		.leader = leader_of,
		.blacklisted = blacklisted,
		.arg = n,
	};
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert(!bind(fd, (void *)&sin, size) && !listen(fd, 64) &&
	       !getsockname(fd, (void *)&sin, &size));
	snprintf(n->addr, sizeof(n->addr), "127.0.0.1:%d", ntohs(sin.sin_port));
	opt.tls = n->tls = credentials(e, id, CA_MANAGER, "cluster");
	n->server = grpc_server_new(&opt);
	grpc_server_add(n->server, methods, ARRAY_SIZE(methods), n);
	assert(!grpc_server_listen(n->server, fd, NULL));
}

static struct grpc_channel *channel(struct env *e, struct tls *tls, const char *addr,
				    const char *name)
{
	struct grpc_channel_options opt = {.loop = e->loop,
					   .tls = tls,
					   .addr = addr,
					   .server_name = name,
					   .backoff_max_ms = 200};

	return grpc_channel_new(&opt);
}

struct answer {
	struct env *e;
	bool done;
	enum grpc_status status;
	char text[200], said[200];
	int messages;
};

static void on_done(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	struct answer *a = arg;
	const Pb__HealthCheckRequest *said = reply;

	a->done = true;
	a->status = status;
	snprintf(a->text, sizeof(a->text), "%s", text);
	if (said && said->base.descriptor == REQ)
		snprintf(a->said, sizeof(a->said), "%s", said->service);
	loop_stop(a->e->loop);
}

static struct answer call(struct env *e, struct grpc_channel *ch, const char *path,
			  uint32_t timeout_ms)
{
	Pb__HealthCheckRequest req = PB__HEALTH_CHECK_REQUEST__INIT;
	struct answer a = {.e = e};

	grpc_unary(ch, path, &req,
		   streq(path, WHOAMI) ? REQ : &pb__health_check_response__descriptor, timeout_ms,
		   on_done, &a);
	while (!a.done && !e->timed_out)
		loop_run(e->loop);
	return a;
}

FIXTURE(grpc)
{
	struct env e;
	struct tls *worker, *manager;
};

FIXTURE_SETUP(grpc)
{
	struct env *e = &self->e;

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	ASSERT_EQ(0, loop_new(1, &e->loop, NULL));
	ASSERT_EQ(0, ca_root_new(&e->root, &e->key, NULL));
	timer_init(&e->guard, e->loop, on_guard, e);
	timer_set(&e->guard, 60000);
	start(e, &e->node[0], "m0");
	self->worker = credentials(e, "w1", CA_WORKER, "cluster");
	self->manager = credentials(e, "m9", CA_MANAGER, "cluster");
}

FIXTURE_TEARDOWN(grpc)
{
	struct env *e = &self->e;

	EXPECT_FALSE(e->timed_out);
	for (size_t i = 0; i < ARRAY_SIZE(e->node); i++) {
		grpc_server_free(e->node[i].server);
		grpc_channel_free(e->node[i].leader);
		tls_put(e->node[i].tls);
	}
	tls_put(self->worker);
	tls_put(self->manager);
	timer_done(&e->guard);
	loop_free(e->loop);
	free(e->root);
	free(e->key);
}

TEST_F(grpc, roles)
{
	struct env *e = &self->e;
	struct tls *nobody = credentials(e, NULL, NULL, NULL);
	struct tls *foreign = credentials(e, "x", CA_MANAGER, "other");
	struct tls *removed = credentials(e, "removed", CA_MANAGER, "cluster");
	struct {
		struct tls *tls;
		enum grpc_status check;
		const char *who;
	} t[] = {
		{self->manager, GRPC_OK, "m9 swarm-manager cluster via none"},
		{self->worker, GRPC_PERMISSION_DENIED, "w1 swarm-worker cluster via none"},
		{nobody, GRPC_PERMISSION_DENIED, "   via none"},
		{foreign, GRPC_PERMISSION_DENIED, "   via none"},
		{removed, GRPC_PERMISSION_DENIED, "   via none"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct grpc_channel *ch = channel(e, t[i].tls, e->node[0].addr, "swarm-manager");
		struct answer a = call(e, ch, CHECK, 5000);

		EXPECT_EQ(t[i].check, a.status) TH_LOG("%zu %s", i, a.text);
		a = call(e, ch, WHOAMI, 5000);
		EXPECT_EQ(GRPC_OK, a.status) TH_LOG("%s", a.text);
		EXPECT_STREQ(t[i].who, a.said);
		a = call(e, ch, "/test.Test/None", 5000);
		EXPECT_EQ(GRPC_UNIMPLEMENTED, a.status);
		grpc_channel_free(ch);
	}
	tls_put(nobody);
	tls_put(foreign);
	tls_put(removed);
}

/* A container's monitor that inherits a connection keeps it open for good. */
TEST_F(grpc, connections_are_not_inherited)
{
	struct env *e = &self->e;
	struct grpc_channel *ch = channel(e, self->worker, e->node[0].addr, "swarm-manager");
	struct answer a = call(e, ch, WHOAMI, 5000);
	int sockets = 0;

	EXPECT_EQ(GRPC_OK, a.status);
	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_storage sa;
		socklen_t size = sizeof(sa);

		if (getsockname(fd, (void *)&sa, &size) || sa.ss_family != AF_INET)
			continue;
		sockets++;
		EXPECT_NE(0, fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	EXPECT_EQ(3, sockets);
	grpc_channel_free(ch);
}

TEST_F(grpc, server_must_be_who_we_ask_for)
{
	struct env *e = &self->e;
	struct grpc_channel *ch = channel(e, self->worker, e->node[0].addr, "swarm-worker");
	struct answer a = call(e, ch, WHOAMI, 5000);

	EXPECT_EQ(GRPC_UNAVAILABLE, a.status);
	EXPECT_NE(NULL, strstr(a.text, "not trusted"));
	grpc_channel_free(ch);
	ch = channel(e, self->worker, e->node[0].addr, "m0");
	a = call(e, ch, WHOAMI, 5000);
	EXPECT_EQ(GRPC_OK, a.status);
	grpc_channel_free(ch);
}

TEST_F(grpc, bootstrap_shows_the_chain)
{
	struct env *e = &self->e;
	struct tls *tls;
	struct grpc_channel *ch;
	struct answer a;
	_cleanup_free_ char *chain = NULL;

	ASSERT_EQ(0, tls_new(NULL, NULL, NULL, &tls, NULL));
	ch = channel(e, tls, e->node[0].addr, NULL);
	a = call(e, ch, WHOAMI, 5000);
	EXPECT_EQ(GRPC_OK, a.status) TH_LOG("%s", a.text);
	chain = grpc_channel_peer_chain(ch);
	EXPECT_NE(NULL, chain);
	grpc_channel_free(ch);
	tls_put(tls);
}

static void on_message(struct grpc_stream *s, const void *msg, void *arg)
{
	struct answer *a = arg;

	a->messages++;
	/* hold the server back for a while, early */
	if (a->messages == 10)
		grpc_stream_pause(s, true);
}

static void on_closed(struct grpc_stream *s, enum grpc_status status, const char *text, void *arg)
{
	on_done(status, text, NULL, arg);
}

static const struct grpc_stream_ops ops = {.message = on_message, .closed = on_closed};

static void on_wait(void *arg)
{
	loop_stop(arg);
}

static void wait_ms(struct env *e, uint64_t ms)
{
	struct timer t;

	timer_init(&t, e->loop, on_wait, e->loop);
	timer_set(&t, ms);
	loop_run(e->loop);
	timer_done(&t);
}

static struct answer count_through(struct env *e, struct grpc_channel *ch, int *at_pause)
{
	Pb__HealthCheckRequest req = PB__HEALTH_CHECK_REQUEST__INIT;
	struct answer a = {.e = e};
	struct grpc_stream *s = grpc_stream_open(ch, COUNT, REQ, &ops, &a, 0, NULL);

	grpc_stream_send(s, &req);
	grpc_stream_end(s);
	while (a.messages < 10 && !e->timed_out)
		wait_ms(e, 5);
	wait_ms(e, 200);
	*at_pause = e->node[0].to_count;
	grpc_stream_pause(s, false);
	while (!a.done && !e->timed_out)
		loop_run(e->loop);
	return a;
}

TEST_F(grpc, server_stream_is_held_back)
{
	struct env *e = &self->e;
	struct grpc_channel *ch = channel(e, self->worker, e->node[0].addr, "swarm-manager");
	int at_pause;
	struct answer a = count_through(e, ch, &at_pause);

	EXPECT_GT(at_pause, 900); /* of 10 KB: what fits a window */
	EXPECT_EQ(1000, a.messages);
	EXPECT_EQ(GRPC_ABORTED, a.status);
	EXPECT_STREQ("counted: 100 % \xc3\xa4", a.text);
	grpc_channel_free(ch);
}

static struct answer sum_through(struct env *e, struct grpc_channel *ch, size_t size, int n)
{
	Pb__HealthCheckRequest req = PB__HEALTH_CHECK_REQUEST__INIT;
	struct answer a = {.e = e};
	struct grpc_stream *s = grpc_stream_open(ch, SUM, &pb__health_check_response__descriptor,
						 &ops, &a, 0, NULL);

	req.service = xcalloc(1, size + 1);
	memset(req.service, 'x', size);
	while (n--)
		grpc_stream_send(s, &req);
	grpc_stream_end(s);
	free(req.service);
	while (!a.done && !e->timed_out)
		loop_run(e->loop);
	return a;
}

TEST_F(grpc, client_stream_and_limits)
{
	struct env *e = &self->e;
	struct grpc_channel *ch = channel(e, self->worker, e->node[0].addr, "swarm-manager");
	struct answer a = sum_through(e, ch, 3 << 20, 3);

	EXPECT_EQ(GRPC_OK, a.status) TH_LOG("%s", a.text);
	EXPECT_EQ(9 << 20, e->node[0].summed);
	a = sum_through(e, ch, 4 << 20, 1); /* and the field's head */
	EXPECT_EQ(GRPC_RESOURCE_EXHAUSTED, a.status);
	a = sum_through(e, ch, 10, 1);
	EXPECT_EQ(GRPC_OK, a.status);
	grpc_channel_free(ch);
}

TEST_F(grpc, deadline_and_cancel)
{
	struct env *e = &self->e;
	struct grpc_channel *ch = channel(e, self->worker, e->node[0].addr, "swarm-manager");
	Pb__HealthCheckRequest req = PB__HEALTH_CHECK_REQUEST__INIT;
	struct answer a = call(e, ch, STUCK, 50);
	struct grpc_stream *s;

	EXPECT_EQ(GRPC_DEADLINE_EXCEEDED, a.status);
	while (e->node[0].left < 1 && !e->timed_out)
		wait_ms(e, 5);
	e->node[0].loop = e->loop;
	s = grpc_unary(ch, STUCK, &req, REQ, 0, on_done, &a);
	loop_run(e->loop);
	EXPECT_EQ(2, e->node[0].stuck);
	grpc_stream_cancel(s);
	while (e->node[0].left < 2 && !e->timed_out)
		wait_ms(e, 5);
	/* and when the leadership goes */
	a.done = false;
	grpc_unary(ch, STUCK, &req, REQ, 0, on_done, &a);
	loop_run(e->loop);
	grpc_server_abort_leader_calls(e->node[0].server);
	while (!a.done && !e->timed_out)
		loop_run(e->loop);
	EXPECT_EQ(GRPC_ABORTED, a.status);
	EXPECT_EQ(3, e->node[0].left);
	grpc_channel_free(ch);
}

TEST_F(grpc, follower_hands_on)
{
	struct env *e = &self->e;
	struct grpc_channel *ch;
	struct answer a;
	struct tls *nobody = credentials(e, NULL, NULL, NULL);
	int at_pause;

	/* 2 → 1 → 0 */
	start(e, &e->node[1], "m1");
	start(e, &e->node[2], "m2");
	e->node[1].leader = channel(e, e->node[1].tls, e->node[0].addr, "swarm-manager");
	ch = channel(e, self->worker, e->node[1].addr, "swarm-manager");
	a = call(e, ch, WHOAMI, 5000);
	EXPECT_STREQ("w1 swarm-worker cluster via m1", a.said) TH_LOG("%s", a.text);
	a = call(e, ch, CHECK, 5000);
	EXPECT_EQ(GRPC_PERMISSION_DENIED, a.status);
	a = sum_through(e, ch, 1 << 20, 5);
	EXPECT_EQ(GRPC_OK, a.status) TH_LOG("%s", a.text);
	EXPECT_EQ(5 << 20, e->node[0].summed);
	a = count_through(e, ch, &at_pause);
	EXPECT_GT(at_pause, 800);
	EXPECT_EQ(1000, a.messages);
	EXPECT_EQ(GRPC_ABORTED, a.status);
	grpc_channel_free(ch);
	ch = channel(e, nobody, e->node[1].addr, "swarm-ca");
	a = call(e, ch, WHOAMI, 5000);
	EXPECT_STREQ("   via m1", a.said) TH_LOG("%s", a.text);
	grpc_channel_free(ch);
	e->node[2].leader = channel(e, e->node[2].tls, e->node[1].addr, "swarm-manager");
	ch = channel(e, self->worker, e->node[2].addr, "swarm-manager");
	a = call(e, ch, WHOAMI, 5000);
	EXPECT_EQ(GRPC_RESOURCE_EXHAUSTED, a.status);
	EXPECT_NE(NULL, strstr(a.text, "more than one redirect"));
	grpc_channel_free(ch);
	tls_put(nobody);
}

/* A worker that claims to speak for a manager. */
TEST_F(grpc, only_managers_hand_on)
{
	static const char *const claim[] = {"forwarded_cert",
					    "true",
					    "forwarded_cert_cn",
					    "m7",
					    "forwarded_cert_org",
					    "cluster",
					    "forwarded_cert_ou",
					    "swarm-manager",
					    NULL};
	struct env *e = &self->e;
	struct tls *who[] = {self->worker, self->manager};
	enum grpc_status expect[] = {GRPC_PERMISSION_DENIED, GRPC_OK};

	for (int i = 0; i < 2; i++) {
		struct grpc_channel *ch = channel(e, who[i], e->node[0].addr, "swarm-manager");
		Pb__HealthCheckRequest req = PB__HEALTH_CHECK_REQUEST__INIT;
		struct answer a = {.e = e};
		struct grpc_stream *s = grpc_stream_open(
			ch, CHECK, &pb__health_check_response__descriptor, &ops, &a, 0, claim);

		grpc_stream_send(s, &req);
		grpc_stream_end(s);
		while (!a.done && !e->timed_out)
			loop_run(e->loop);
		EXPECT_EQ(expect[i], a.status);
		grpc_channel_free(ch);
	}
}

TEST_F(grpc, comes_back_after_a_break)
{
	struct env *e = &self->e;
	struct grpc_channel *ch = channel(e, self->worker, e->node[0].addr, "swarm-manager");
	struct answer a = call(e, ch, WHOAMI, 5000);
	struct ca_leaf leaf = {.node_id = "w1b", .role = CA_WORKER, .cluster_id = "cluster"};
	_cleanup_free_ char *csr = NULL, *key = NULL, *cert = NULL;

	EXPECT_EQ(GRPC_OK, a.status);
	grpc_server_cut(e->node[0].server, "w1");
	while (grpc_channel_connected(ch) && !e->timed_out)
		wait_ms(e, 5);
	a = call(e, ch, WHOAMI, 5000);
	EXPECT_EQ(GRPC_OK, a.status) TH_LOG("%s", a.text);
	/* a renewed certificate */
	ASSERT_EQ(0, ca_csr_new(&csr, &key, NULL));
	ASSERT_EQ(0, ca_sign(e->root, e->key, NULL, csr, &leaf, &cert, NULL));
	ASSERT_EQ(0, tls_replace(self->worker, e->root, cert, key, NULL));
	EXPECT_NE(0, tls_replace(self->worker, e->root, "rubbish", key, NULL));
	a = call(e, ch, WHOAMI, 5000);
	EXPECT_STREQ("w1 swarm-worker cluster via none", a.said);
	grpc_channel_refresh(ch);
	a = call(e, ch, WHOAMI, 5000);
	EXPECT_STREQ("w1b swarm-worker cluster via none", a.said);
	/* nobody there */
	grpc_server_free(e->node[0].server);
	e->node[0].server = NULL;
	while (grpc_channel_connected(ch) && !e->timed_out)
		wait_ms(e, 5);
	a = call(e, ch, WHOAMI, 5000);
	EXPECT_EQ(GRPC_UNAVAILABLE, a.status);
	grpc_channel_free(ch);
}

TEST_F(grpc, many_connections)
{
	enum { N = 200 };
	struct env *e = &self->e;
	struct grpc_channel *ch[N];
	struct answer a[N];
	Pb__HealthCheckRequest req = PB__HEALTH_CHECK_REQUEST__INIT;

	for (int i = 0; i < N; i++) {
		a[i] = (struct answer){.e = e};
		ch[i] = channel(e, self->worker, e->node[0].addr, "swarm-manager");
		grpc_unary(ch[i], WHOAMI, &req, REQ, 30000, on_done, &a[i]);
	}
	for (int i = 0; i < N; i++) {
		while (!a[i].done && !e->timed_out)
			loop_run(e->loop);
		EXPECT_EQ(GRPC_OK, a[i].status) TH_LOG("%s", a[i].text);
	}
	for (int i = 0; i < N; i++)
		grpc_channel_free(ch[i]);
}

TEST_HARNESS_MAIN
