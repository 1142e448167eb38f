// SPDX-License-Identifier: Apache-2.0
/* Managers with logs, certificates and connections of their own, on one loop. */
#include "kselftest_harness.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#include "disk/file.h"
#include "loop/loop.h"
#include "manager/ca.h"
#include "manager/raft_rpc.h"
#include "manager/raftd.h"
#include "raft/raft.h"
#include "rpc/grpc.h"
#include "rpc/tls.h"
#include "wire/pb.h"
#include "wire/raft.pb-c.h"
#include "wire/raftpb.pb-c.h"

enum { N = 4, BIG = 6 << 20 };

struct manager {
	struct env *e;
	char node_id[8], addr[32];
	char *dir;
	struct tls *tls;
	struct grpc_server *server;
	struct grpc_channel *to_leader;
	struct raftd *raftd;
	struct raft_rpc *rpc;
	struct buf state;
	bool leader, removed;
};

struct env {
	struct loop *loop;
	char dir[64];
	char *root, *key;
	struct manager m[N];
	struct timer guard, poll;
	bool (*until)(struct env *e);
	bool ok;
	int done, failed;
	size_t state_size; /* wanted */
};

static void on_commit(uint64_t index, uint64_t term, const void *data, size_t len, void *arg)
{
	buf_add(&((struct manager *)arg)->state, data, len);
}

static void on_save(struct buf *ret, void *arg)
{
	struct manager *m = arg;
	Pb__StoreSnapshot store = PB__STORE_SNAPSHOT__INIT;
	Pb__Snapshot snap = PB__SNAPSHOT__INIT;
	Pb__Secret secret = PB__SECRET__INIT, *ptr = &secret;
	Pb__SecretSpec spec = PB__SECRET_SPEC__INIT;

	spec.data = (ProtobufCBinaryData){m->state.len, (uint8_t *)m->state.data};
	secret.spec = &spec;
	store.secrets = &ptr;
	store.n_secrets = 1;
	snap.store = &store;
	pb_pack(&snap, ret);
}

static int on_restore(const void *data, size_t len, void *arg)
{
	_cleanup_pb_ Pb__Snapshot *snap = pb_unpack(pb__snapshot, data, len);
	struct manager *m = arg;

	if (!snap || !snap->store || snap->store->n_secrets != 1)
		return -EBADMSG;
	buf_reset(&m->state);
	buf_add(&m->state, snap->store->secrets[0]->spec->data.data,
		snap->store->secrets[0]->spec->data.len);
	return 0;
}

static void on_leader(bool leader, uint64_t term, void *arg)
{
	((struct manager *)arg)->leader = leader;
}

static void on_removed(void *arg)
{
	((struct manager *)arg)->removed = true;
}

static int leader_of(struct grpc_channel **ret, void *arg)
{
	struct manager *m = arg;
	const char *addr;

	*ret = NULL;
	if (raftd_is_leader(m->raftd))
		return 0;
	addr = raftd_member_addr(m->raftd, raftd_leader_id(m->raftd));
	if (!addr)
		return -EHOSTUNREACH;
	if (!m->to_leader || !streq(grpc_channel_addr(m->to_leader), addr)) {
		struct grpc_channel_options opt = {
			.loop = m->e->loop, .tls = m->tls, .addr = addr, .server_name = CA_MANAGER};

		grpc_channel_free(m->to_leader);
		m->to_leader = grpc_channel_new(&opt);
	}
	*ret = m->to_leader;
	return 0;
}

static struct tls *credentials(struct env *e, const char *id)
{
	struct ca_leaf leaf = {.node_id = id, .role = CA_MANAGER, .cluster_id = "cluster"};
	_cleanup_free_ char *csr = NULL, *key = NULL, *cert = NULL;
	struct tls *tls;

	assert(!ca_csr_new(&csr, &key, NULL) &&
	       !ca_sign(e->root, e->key, NULL, csr, &leaf, &cert, NULL) &&
	       !tls_new(e->root, cert, key, &tls, NULL));
	return tls;
}

static void start(struct env *e, int i)
{
	struct manager *m = &e->m[i];
	struct grpc_server_options opt = {
		.loop = e->loop, .cluster_id = "cluster", .leader = leader_of, .arg = m};
	struct raftd_options ropt = {.loop = e->loop,
				     .on_commit = on_commit,
				     .on_snapshot_save = on_save,
				     .on_snapshot_restore = on_restore,
				     .on_leader = on_leader,
				     .on_removed = on_removed,
				     .arg = m};
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct err err = ERR_INIT;
	int rc;

	m->e = e;
	snprintf(m->node_id, sizeof(m->node_id), "n%d", i);
	m->dir = xasprintf("%s/%d", e->dir, i);
	buf_reset(&m->state);
	m->leader = false;
	/* the address is a member's name: it is the same after a restart */
	if (m->addr[0])
		sin.sin_port = htons(atoi(strchr(m->addr, ':') + 1));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert(!bind(fd, (void *)&sin, size) && !listen(fd, 64) &&
	       !getsockname(fd, (void *)&sin, &size));
	snprintf(m->addr, sizeof(m->addr), "127.0.0.1:%d", ntohs(sin.sin_port));
	opt.tls = m->tls = credentials(e, m->node_id);
	m->server = grpc_server_new(&opt);
	assert(!grpc_server_listen(m->server, fd, NULL));
	ropt.dir = m->dir;
	rc = raftd_open(&ropt, &m->raftd, &err);
	assert(!rc || rc == -ENOENT);
	raftd_set_snapshots(m->raftd, 30, 5);
	m->rpc = raft_rpc_new(&(struct raft_rpc_options){
		.loop = e->loop, .grpc = m->server, .tls = m->tls, .raftd = m->raftd});
}

static void stop(struct manager *m)
{
	raft_rpc_free(steal_ptr(m->rpc));
	raftd_free(steal_ptr(m->raftd));
	grpc_server_free(steal_ptr(m->server));
	grpc_channel_free(steal_ptr(m->to_leader));
	tls_put(steal_ptr(m->tls));
	free(steal_ptr(m->dir));
	m->leader = false;
}

static void on_guard(void *arg)
{
	loop_stop(((struct env *)arg)->loop);
}

static void on_poll(void *arg)
{
	struct env *e = arg;

	e->ok = e->until(e);
	if (e->ok)
		loop_stop(e->loop);
	else
		timer_set(&e->poll, 5);
}

static bool wait_until(struct env *e, bool (*until)(struct env *))
{
	e->until = until;
	e->ok = false;
	timer_set(&e->guard, 30000);
	timer_set(&e->poll, 0);
	loop_run(e->loop);
	timer_cancel(&e->poll);
	return e->ok;
}

static struct manager *leader(struct env *e)
{
	for (int i = 0; i < N; i++) {
		if (e->m[i].raftd && e->m[i].leader)
			return &e->m[i];
	}
	return NULL;
}

static bool has_leader(struct env *e)
{
	return leader(e);
}

static bool one_done(struct env *e)
{
	return e->done + e->failed >= 1;
}

static void joined(const struct err *err, void *arg)
{
	struct env *e = arg;

	if (err)
		fprintf(stderr, "# %s\n", err->msg);
	err ? e->failed++ : e->done++;
}

static bool join(struct env *e, int i, int through)
{
	start(e, i);
	e->done = e->failed = 0;
	raft_rpc_join(e->m[i].rpc, e->m[through].addr, e->m[i].node_id, e->m[i].addr, joined, e);
	return wait_until(e, one_done) && e->done == 1;
}

static void counted(int rc, uint64_t index, void *arg)
{
	struct env *e = arg;

	rc ? e->failed++ : e->done++;
}

static bool fifty(struct env *e)
{
	return e->done + e->failed >= 50;
}

static bool write_fifty(struct env *e)
{
	e->done = e->failed = 0;
	for (int i = 0; i < 50; i++)
		raftd_propose(leader(e)->raftd, "0123456789", 10, counted, e);
	return wait_until(e, fifty) && e->done == 50;
}

static bool all_have(struct env *e)
{
	for (int i = 0; i < N; i++) {
		if (e->m[i].raftd && !e->m[i].removed && e->m[i].state.len != e->state_size)
			return false;
	}
	return true;
}

FIXTURE(cluster)
{
	struct env e;
};

FIXTURE_SETUP(cluster)
{
	struct env *e = &self->e;
	struct err err = ERR_INIT;

	signal(SIGPIPE, SIG_IGN);
	strcpy(e->dir, "/tmp/raft_rpc_test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(e->dir));
	ASSERT_EQ(0, loop_new(2, &e->loop, NULL));
	ASSERT_EQ(0, ca_root_new(&e->root, &e->key, NULL));
	timer_init(&e->guard, e->loop, on_guard, e);
	timer_init(&e->poll, e->loop, on_poll, e);
	for (int i = 0; i < N; i++)
		buf_init(&e->m[i].state);
	start(e, 0);
	ASSERT_EQ(0, raftd_bootstrap(e->m[0].raftd, 0, "n0", e->m[0].addr, &err));
	ASSERT_TRUE(wait_until(e, has_leader));
}

FIXTURE_TEARDOWN(cluster)
{
	struct env *e = &self->e;

	for (int i = 0; i < N; i++) {
		stop(&e->m[i]);
		buf_done(&e->m[i].state);
	}
	timer_done(&e->guard);
	timer_done(&e->poll);
	loop_free(e->loop);
	free(e->root);
	free(e->key);
	dir_remove_tree(e->dir, NULL);
}

TEST_F(cluster, members_join_also_through_a_follower_and_replace_a_lost_leader)
{
	struct env *e = &self->e;
	struct manager *old;
	uint64_t begin;

	ASSERT_TRUE(join(e, 1, 0));
	ASSERT_TRUE(join(e, 2, 1));
	ASSERT_TRUE(write_fifty(e));
	e->state_size = 500;
	ASSERT_TRUE(wait_until(e, all_have));

	old = leader(e);
	stop(old);
	begin = loop_now_ms();
	ASSERT_TRUE(wait_until(e, has_leader));
	fprintf(stderr, "# a new leader after %d ms\n", (int)(loop_now_ms() - begin));
	ASSERT_TRUE(write_fifty(e));
	start(e, old - e->m);
	e->state_size = 1000;
	ASSERT_TRUE(wait_until(e, all_have));
}

static void propose_big(struct env *e)
{
	_cleanup_free_ char *big = xcalloc(1, BIG / 6);

	e->done = e->failed = 0;
	for (int i = 0; i < 6; i++)
		raftd_propose(leader(e)->raftd, big, BIG / 6, counted, e);
}

static bool six(struct env *e)
{
	return e->done == 6;
}

TEST_F(cluster, a_large_snapshot_arrives_in_parts)
{
	struct env *e = &self->e;

	propose_big(e);
	ASSERT_TRUE(wait_until(e, six));
	ASSERT_TRUE(write_fifty(e));
	ASSERT_TRUE(join(e, 1, 0));
	e->state_size = BIG + 500;
	ASSERT_TRUE(wait_until(e, all_have));
	EXPECT_EQ(0, memcmp(e->m[0].state.data, e->m[1].state.data, e->state_size));
}

static void removed(const struct err *err, void *arg)
{
	joined(err, arg);
}

static bool fourth_knows(struct env *e)
{
	return e->m[3].removed;
}

TEST_F(cluster, a_removed_member_is_told_and_let_in_no_more)
{
	struct env *e = &self->e;
	uint64_t id;

	ASSERT_TRUE(join(e, 1, 0));
	ASSERT_TRUE(join(e, 2, 0));
	ASSERT_TRUE(join(e, 3, 0));
	id = raftd_id(e->m[3].raftd);
	/* it is away when it is removed */
	stop(&e->m[3]);
	e->done = e->failed = 0;
	raftd_remove(leader(e)->raftd, id, removed, e);
	ASSERT_TRUE(wait_until(e, one_done));
	ASSERT_EQ(1, e->done);
	start(e, 3);
	ASSERT_TRUE(wait_until(e, fourth_knows));
	ASSERT_TRUE(write_fifty(e));
}

static bool moved(struct env *e)
{
	for (int i = 0; i < 3; i++) {
		const char *addr = raftd_member_addr(e->m[i].raftd, raftd_id(e->m[1].raftd));

		if (!streq(addr, e->m[1].addr))
			return false;
	}
	return true;
}

TEST_F(cluster, a_member_at_another_address_is_found_again)
{
	struct env *e = &self->e;
	uint64_t id;

	ASSERT_TRUE(join(e, 1, 0));
	ASSERT_TRUE(join(e, 2, 0));
	ASSERT_TRUE(leader(e) == &e->m[0] || leader(e) == &e->m[2]);
	id = raftd_id(e->m[1].raftd);
	stop(&e->m[1]);
	e->m[1].addr[0] = 0;
	ASSERT_TRUE(join(e, 1, 2));
	EXPECT_EQ(id, raftd_id(e->m[1].raftd));
	ASSERT_TRUE(wait_until(e, moved));
	ASSERT_TRUE(write_fifty(e));
	e->state_size = 500;
	ASSERT_TRUE(wait_until(e, all_have));
}

struct garbage {
	struct env *e;
	enum grpc_status status;
};

static void on_garbage(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	struct garbage *g = arg;

	g->status = status;
	g->e->done++;
}

TEST_F(cluster, nonsense_is_refused)
{
	struct env *e = &self->e;
	struct garbage g = {.e = e};
	Pb__ProcessRaftMessageRequest req = PB__PROCESS_RAFT_MESSAGE_REQUEST__INIT;
	Raftpb__Message msg = RAFTPB__MESSAGE__INIT;
	struct tls *tls = credentials(e, "other");
	struct grpc_channel_options opt = {
		.loop = e->loop, .tls = tls, .addr = e->m[0].addr, .server_name = CA_MANAGER};
	struct grpc_channel *ch = grpc_channel_new(&opt);

	for (int i = 0; i < 3; i++) {
		msg.has_type = msg.has_from = msg.has_to = msg.has_term = true;
		msg.type = i == 1 ? RAFTPB__MESSAGE_TYPE__MSG_HUP : RAFTPB__MESSAGE_TYPE__MSG_APP;
		msg.from = 77;
		msg.to = i == 2 ? 12345 : raftd_id(e->m[0].raftd);
		msg.term = 1;
		req.message = i ? &msg : NULL;
		e->done = e->failed = 0;
		grpc_unary(ch, "/docker.swarmkit.v1.Raft/ProcessRaftMessage", &req,
			   &pb__process_raft_message_response__descriptor, 5000, on_garbage, &g);
		ASSERT_TRUE(wait_until(e, one_done));
		EXPECT_EQ(i == 2 ? GRPC_OK : GRPC_INVALID_ARGUMENT, g.status);
	}
	grpc_channel_free(ch);
	tls_put(tls);
	EXPECT_TRUE(raftd_is_leader(e->m[0].raftd));
}

TEST_HARNESS_MAIN
