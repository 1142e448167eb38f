// SPDX-License-Identifier: Apache-2.0
/* Statuses that a node reports arrive once the manager takes them, however many and over lost calls. */
#include "kselftest_harness.h"

#include <arpa/inet.h>
#include <signal.h>

#include "core/map.h"
#include "core/rng.h"
#include "loop/loop.h"
#include "manager/ca.h"
#include "node/session.h"
#include "node/worker.h"
#include "rpc/grpc.h"
#include "rpc/tls.h"
#include "wire/pb.h"

#define DISPATCHER "/docker.swarmkit.v1.Dispatcher/"

enum { STATUSES = 2500, CALL_MAX = 1000 };

struct env {
	struct loop *loop;
	struct timer guard;
	struct rng rng;
	struct tls *tls;
	struct grpc_server *server;
	struct session *session;
	char addr[32];
	struct map taken;
	int calls, refuse, largest, sessions;
	bool timed_out;
};

/* A node without tasks. */
void worker_assign(struct worker *w, const Pb__AssignmentsMessage *msg)
{
}

void worker_report_all(struct worker *w)
{
}

static void on_guard(void *arg)
{
	struct env *e = arg;

	e->timed_out = true;
	loop_stop(e->loop);
}

/* --- the manager --- */

static void serve_session(struct grpc_call *call, const void *request, void *arg)
{
	Pb__SessionMessage msg = PB__SESSION_MESSAGE__INIT;
	struct env *e = arg;

	e->sessions++;
	msg.session_id = "s";
	grpc_send(call, &msg);
}

static void serve_beat(struct grpc_call *call, const void *request, void *arg)
{
	Pb__HeartbeatResponse reply = PB__HEARTBEAT_RESPONSE__INIT;

	grpc_reply(call, &reply);
}

static void serve_assignments(struct grpc_call *call, const void *request, void *arg)
{
}

static void serve_statuses(struct grpc_call *call, const void *request, void *arg)
{
	const Pb__UpdateTaskStatusRequest *req = request;
	Pb__UpdateTaskStatusResponse reply = PB__UPDATE_TASK_STATUS_RESPONSE__INIT;
	struct env *e = arg;

	e->calls++;
	e->largest = max(e->largest, (int)req->n_updates);
	if (e->refuse) {
		e->refuse--;
		/* newer than what is under way */
		session_status(e->session, "task-7", req->updates[0]->status);
		grpc_finish(call, GRPC_UNAVAILABLE, "not now");
		return;
	}
	for (size_t i = 0; i < req->n_updates; i++)
		map_put(&e->taken, req->updates[i]->task_id, e);
	grpc_reply(call, &reply);
	if (e->taken.len == STATUSES)
		loop_stop(e->loop);
}

static const struct grpc_method methods[] = {
	{DISPATCHER "Session", GRPC_SERVER_STREAM, &pb__session_request__descriptor, GRPC_WORKER,
	 false, serve_session},
	{DISPATCHER "Heartbeat", GRPC_UNARY, &pb__heartbeat_request__descriptor, GRPC_WORKER, false,
	 serve_beat},
	{DISPATCHER "Assignments", GRPC_SERVER_STREAM, &pb__assignments_request__descriptor,
	 GRPC_WORKER, false, serve_assignments},
	{DISPATCHER "UpdateTaskStatus", GRPC_UNARY, &pb__update_task_status_request__descriptor,
	 GRPC_WORKER, false, serve_statuses},
};

static struct tls *credentials(const char *root, const char *root_key, const char *id,
			       const char *role)
{
	struct ca_leaf leaf = {.node_id = id, .role = role, .cluster_id = "cluster"};
	_cleanup_free_ char *csr = NULL, *key = NULL, *cert = NULL;
	struct tls *tls = NULL;

	assert(!ca_csr_new(&csr, &key, NULL) &&
	       !ca_sign(root, root_key, NULL, csr, &leaf, &cert, NULL) &&
	       !tls_new(root, cert, key, &tls, NULL));
	return tls;
}

static void serve(struct env *e, struct tls *tls)
{
	struct grpc_server_options opt = {.loop = e->loop, .cluster_id = "cluster", .tls = tls};
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert(!bind(fd, (void *)&sin, size) && !listen(fd, 64) &&
	       !getsockname(fd, (void *)&sin, &size));
	snprintf(e->addr, sizeof(e->addr), "127.0.0.1:%d", ntohs(sin.sin_port));
	e->server = grpc_server_new(&opt);
	grpc_server_add(e->server, methods, ARRAY_SIZE(methods), e);
	assert(!grpc_server_listen(e->server, fd, NULL));
}

/* --- the node --- */

static void on_registered(void *arg)
{
}

static void on_message(const Pb__SessionMessage *msg, void *arg)
{
}

static void on_removed(const struct err *err, void *arg)
{
	assert(false);
}

FIXTURE(session)
{
	struct env e;
};

FIXTURE_SETUP(session)
{
	_cleanup_free_ char *root = NULL, *key = NULL;
	struct env *e = &self->e;
	struct tls *manager;

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	ASSERT_EQ(0, loop_new(1, &e->loop, NULL));
	ASSERT_EQ(0, ca_root_new(&root, &key, NULL));
	rng_seed_os(&e->rng);
	timer_init(&e->guard, e->loop, on_guard, e);
	timer_set(&e->guard, 60000);
	manager = credentials(root, key, "m1", CA_MANAGER);
	e->tls = credentials(root, key, "w1", CA_WORKER);
	serve(e, manager);
	tls_put(manager);

	struct session_options opt = {.loop = e->loop,
				      .rng = &e->rng,
				      .tls = e->tls,
				      .description = pb_new(pb__node_description),
				      .remote = e->addr,
				      .on_registered = on_registered,
				      .on_message = on_message,
				      .on_removed = on_removed,
				      .arg = e};

	e->session = session_new(&opt);
}

FIXTURE_TEARDOWN(session)
{
	struct env *e = &self->e;

	EXPECT_FALSE(e->timed_out);
	session_free(e->session);
	grpc_server_free(e->server);
	tls_put(e->tls);
	timer_done(&e->guard);
	map_done(&e->taken);
	loop_free(e->loop);
}

static void report_all(struct env *e)
{
	Pb__TaskStatus status = PB__TASK_STATUS__INIT;

	status.state = PB__TASK_STATE__RUNNING;
	for (int i = 0; i < STATUSES; i++) {
		_cleanup_free_ char *id = xasprintf("task-%d", i);

		session_status(e->session, id, &status);
	}
}

TEST_F(session, many_statuses_go_in_several_calls)
{
	struct env *e = &self->e;

	report_all(e);
	loop_run(e->loop);
	EXPECT_EQ(STATUSES, e->taken.len);
	EXPECT_EQ(3, e->calls);
	EXPECT_EQ(CALL_MAX, e->largest);
	EXPECT_EQ(1, e->sessions);
}

TEST_F(session, what_a_lost_call_held_is_sent_again)
{
	struct env *e = &self->e;

	e->refuse = 2;
	report_all(e);
	loop_run(e->loop);
	EXPECT_EQ(STATUSES, e->taken.len);
	EXPECT_EQ(3, e->sessions);
}

TEST_HARNESS_MAIN
