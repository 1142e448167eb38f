// SPDX-License-Identifier: Apache-2.0
/* Members with their real logs on one loop; messages go from one to the other directly. */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <stdio.h>

#include "disk/file.h"
#include "loop/loop.h"
#include "manager/raftd.h"
#include "raft/raft.h"

enum { N = 3 };

struct host {
	struct cluster *c;
	struct raftd *r;
	struct buf state; /* all entries, one after the other: the state machine */
	uint64_t last;
	bool leader, removed;
	bool cut;
	bool deaf; /* hears of no acknowledged entries */
	size_t got; /* entries sent to it */
	bool keep; /* the first answer to a read of its, instead of passing on any */
	struct raft_msg *kept;
	int held_back, saves;
	char *dir;
};

struct cluster {
	struct loop *loop;
	char dir[64];
	struct host h[N];
	struct timer giveup, poll;
	bool (*until)(struct cluster *c);
	bool ok;
	int done, failed;
};

struct delivery {
	struct cluster *c;
	struct raft_msg *m;
};

static struct host *host_of(struct cluster *c, uint64_t id)
{
	for (int i = 0; i < N; i++) {
		if (c->h[i].r && raftd_id(c->h[i].r) == id)
			return &c->h[i];
	}
	return NULL;
}

static void deliver(void *arg)
{
	struct delivery *d = arg;
	struct host *to = host_of(d->c, d->m->to), *from = host_of(d->c, d->m->from);
	bool keep = to && to->keep && d->m->type == RAFT_MSG_READ_INDEX_RESP;
	bool ok = to && from && !to->cut && !from->cut && !keep &&
		  !(to->deaf && d->m->type == RAFT_MSG_APP_RESP);
	_cleanup_buf_ struct buf wire = BUF_INIT;
	struct raft_msg *got;

	raft_msg_pack(d->m, &wire);
	got = raft_msg_unpack(wire.data, wire.len);
	assert(got);
	if (ok) {
		to->got += got->type == RAFT_MSG_APP ? got->n_entries : 0;
		raftd_receive(to->r, got);
	}
	if (from && d->m->type == RAFT_MSG_SNAP)
		raftd_snapshot_sent(from->r, d->m->to, !ok);
	if (from)
		ok ? raftd_reachable(from->r, d->m->to) : raftd_unreachable(from->r, d->m->to);
	if (keep && !to->held_back++)
		to->kept = steal_ptr(got);
	raft_msg_free(got);
	raft_msg_free(d->m);
	free(d);
}

static void on_send(struct raft_msg *m, void *arg)
{
	struct host *h = arg;
	struct delivery *d = xcalloc(1, sizeof(*d));

	d->c = h->c;
	d->m = m;
	loop_defer(h->c->loop, deliver, d);
}

static void on_member(uint64_t raft_id, const char *addr, void *arg)
{
}

static void on_commit(uint64_t index, uint64_t term, const void *data, size_t len, void *arg)
{
	struct host *h = arg;

	assert(index > h->last);
	h->last = index;
	buf_add(&h->state, data, len);
}

static void on_save(struct buf *ret, void *arg)
{
	struct host *h = arg;

	h->saves++;
	/* any field that a Snapshot does not know */
	buf_printf(ret, "\xa2\x06%c%c", (char)(h->state.len % 128 | 0x80),
		   (char)(h->state.len / 128));
	buf_add(ret, h->state.data, h->state.len);
}

static int on_restore(const void *data, size_t len, void *arg)
{
	struct host *h = arg;
	const uint8_t *p = data;
	size_t n;

	if (len < 4 || p[0] != 0xa2)
		return -EBADMSG;
	n = (p[2] & 127) + p[3] * 128;
	buf_reset(&h->state);
	buf_add(&h->state, p + 4, n);
	return 0;
}

static void on_leader(bool leader, uint64_t term, void *arg)
{
	((struct host *)arg)->leader = leader;
}

static void on_removed(void *arg)
{
	((struct host *)arg)->removed = true;
}

static int host_open(struct cluster *c, int i, struct err *err)
{
	struct host *h = &c->h[i];
	struct raftd_options opt = {.loop = c->loop,
				    .dek = {1, 2, 3},
				    .on_commit = on_commit,
				    .on_snapshot_save = on_save,
				    .on_snapshot_restore = on_restore,
				    .on_leader = on_leader,
				    .on_removed = on_removed,
				    .arg = h};
	struct raftd_transport t = {on_member, on_send, h};
	int rc;

	h->c = c;
	free(h->dir);
	h->dir = xasprintf("%s/%d", c->dir, i);
	opt.dir = h->dir;
	buf_reset(&h->state);
	h->last = 0;
	h->leader = false;
	rc = raftd_open(&opt, &h->r, err);
	if (rc < 0 && rc != -ENOENT)
		fprintf(stderr, "# %s\n", err->msg);
	if (!rc || rc == -ENOENT) {
		raftd_set_snapshots(h->r, 20, 5);
		raftd_set_transport(h->r, &t);
	}
	return rc;
}

static void host_close(struct host *h)
{
	raftd_free(steal_ptr(h->r));
	h->leader = false;
}

static void cluster_open(struct cluster *c)
{
	struct err err = ERR_INIT;

	memset(c, 0, sizeof(*c));
	strcpy(c->dir, "/tmp/raftd_test.XXXXXX");
	assert(mkdtemp(c->dir));
	assert(loop_new(2, &c->loop, &err) == 0);
	for (int i = 0; i < N; i++)
		buf_init(&c->h[i].state);
}

static void cluster_close(struct cluster *c)
{
	for (int i = 0; i < N; i++) {
		raftd_free(steal_ptr(c->h[i].r));
		buf_done(&c->h[i].state);
		free(c->h[i].dir);
	}
	loop_free(c->loop);
	dir_remove_tree(c->dir, NULL);
}

static void on_giveup(void *arg)
{
	loop_stop(((struct cluster *)arg)->loop);
}

static void on_poll(void *arg)
{
	struct cluster *c = arg;

	c->ok = c->until(c);
	if (c->ok)
		loop_stop(c->loop);
	else
		timer_set(&c->poll, 5);
}

static bool wait_until(struct cluster *c, bool (*until)(struct cluster *))
{
	c->until = until;
	c->ok = false;
	timer_init(&c->giveup, c->loop, on_giveup, c);
	timer_init(&c->poll, c->loop, on_poll, c);
	timer_set(&c->giveup, 20000);
	timer_set(&c->poll, 0);
	loop_run(c->loop);
	timer_done(&c->giveup);
	timer_done(&c->poll);
	return c->ok;
}

static struct host *leader(struct cluster *c)
{
	for (int i = 0; i < N; i++) {
		if (c->h[i].r && c->h[i].leader && !c->h[i].cut)
			return &c->h[i];
	}
	return NULL;
}

static bool has_leader(struct cluster *c)
{
	return leader(c);
}

static void counted(int rc, uint64_t index, void *arg)
{
	struct cluster *c = arg;

	if (rc)
		c->failed++;
	else
		c->done++;
}

static bool hundred(struct cluster *c)
{
	return c->done == 100;
}

static void propose(struct cluster *c, int n)
{
	c->done = c->failed = 0;
	for (int i = 0; i < n; i++) {
		char text[8];

		snprintf(text, sizeof(text), "%02d,", i);
		raftd_propose(leader(c)->r, text, 3, counted, c);
	}
}

static bool all_equal(struct cluster *c)
{
	struct host *first = NULL;

	for (int i = 0; i < N; i++) {
		struct host *h = &c->h[i];

		if (!h->r)
			continue;
		if (!first)
			first = h;
		if (h->state.len != first->state.len ||
		    memcmp(h->state.data, first->state.data, h->state.len))
			return false;
	}
	return true;
}

TEST(one_member_begins_writes_and_comes_back)
{
	struct err err = ERR_INIT;
	struct cluster c;

	cluster_open(&c);
	ASSERT_EQ(-ENOENT, host_open(&c, 0, &err));
	ASSERT_EQ(0, raftd_bootstrap(c.h[0].r, 0, "node", "127.0.0.1:1", &err));
	ASSERT_NE(0, raftd_id(c.h[0].r));
	ASSERT_TRUE(wait_until(&c, has_leader));
	propose(&c, 100);
	ASSERT_TRUE(wait_until(&c, hundred));
	EXPECT_EQ(300, c.h[0].state.len);
	EXPECT_EQ(-EEXIST, raftd_bootstrap(c.h[0].r, 7, "x", "y", &err));
	host_close(&c.h[0]);
	ASSERT_EQ(0, host_open(&c, 0, &err));
	ASSERT_TRUE(wait_until(&c, has_leader));
	EXPECT_EQ(300, c.h[0].state.len);
	EXPECT_EQ(0, memcmp(c.h[0].state.data, "00,01,02,", 9));
	cluster_close(&c);
}

static void joined(const struct err *err, uint64_t id, void *arg)
{
	struct cluster *c = arg;

	if (err) {
		fprintf(stderr, "# join: %s\n", err->msg);
		c->failed++;
		return;
	}
	c->done++;
	for (int i = 0; i < N; i++) {
		struct err e = ERR_INIT;
		_cleanup_free_ struct raftd_member *all = NULL;
		size_t n;

		if (!c->h[i].r || raftd_id(c->h[i].r))
			continue;
		all = raftd_members(leader(c)->r, &n);
		assert(raftd_joined(c->h[i].r, id, i == 1 ? "n1" : "n2", "127.0.0.1:2", all, n,
				    NULL, 0, &e) == 0);
		return;
	}
}

static bool one_done(struct cluster *c)
{
	return c->done + c->failed == 1;
}

static void three(struct cluster *c)
{
	struct err err = ERR_INIT;

	cluster_open(c);
	assert(host_open(c, 0, &err) == -ENOENT);
	assert(raftd_bootstrap(c->h[0].r, 0, "n0", "127.0.0.1:1", &err) == 0);
	assert(wait_until(c, has_leader));
	for (int i = 1; i < N; i++) {
		assert(host_open(c, i, &err) == -ENOENT);
		c->done = c->failed = 0;
		raftd_join(leader(c)->r, i == 1 ? "n1" : "n2", "127.0.0.1:2", true, joined, c);
		assert(wait_until(c, one_done) && c->done == 1);
	}
}

static bool settled(struct cluster *c)
{
	struct host *l = leader(c);

	for (int i = 0; i < N; i++) {
		if (l && c->h[i].r && !c->h[i].cut &&
		    raftd_applied(c->h[i].r) != raftd_applied(l->r))
			return false;
	}
	return l;
}

TEST(members_join_and_a_lost_leader_is_replaced)
{
	struct cluster c;
	struct host *old;
	struct err err = ERR_INIT;
	_cleanup_free_ struct raftd_member *all = NULL;
	size_t n;

	three(&c);
	propose(&c, 100);
	ASSERT_TRUE(wait_until(&c, hundred));
	ASSERT_TRUE(wait_until(&c, settled));
	EXPECT_TRUE(all_equal(&c));
	all = raftd_members(c.h[2].r, &n);
	EXPECT_EQ(3, n);

	old = leader(&c);
	uint64_t t0 = loop_now_ms();

	host_close(old);
	ASSERT_TRUE(wait_until(&c, has_leader));
	fprintf(stderr, "# a new leader after %d ms\n", (int)(loop_now_ms() - t0));
	propose(&c, 100);
	ASSERT_TRUE(wait_until(&c, hundred));
	/* the old one returns: what it misses is in a snapshot by now */
	ASSERT_EQ(0, host_open(&c, old - c.h, &err));
	ASSERT_TRUE(wait_until(&c, settled));
	EXPECT_TRUE(all_equal(&c));
	EXPECT_EQ(600, old->state.len);
	cluster_close(&c);
}

static void barrier_done(int rc, void *arg)
{
	counted(rc, 0, arg);
}

TEST(reads_wait_for_what_was_committed_and_a_leader_alone_answers_none)
{
	struct cluster c;
	struct host *l, *f;

	three(&c);
	propose(&c, 100);
	ASSERT_TRUE(wait_until(&c, hundred));
	l = leader(&c);
	f = l == &c.h[0] ? &c.h[1] : &c.h[0];
	c.done = c.failed = 0;
	raftd_barrier(f->r, barrier_done, &c);
	ASSERT_TRUE(wait_until(&c, one_done));
	EXPECT_EQ(1, c.done);
	EXPECT_EQ(300, f->state.len);
	l->cut = true;
	c.done = c.failed = 0;
	raftd_barrier(l->r, barrier_done, &c);
	ASSERT_TRUE(wait_until(&c, one_done));
	EXPECT_EQ(1, c.failed);
	EXPECT_FALSE(raftd_is_leader(l->r));
	cluster_close(&c);
}

static void plain_done(const struct err *err, void *arg)
{
	if (err)
		fprintf(stderr, "# %s\n", err->msg);
	counted(err ? err->code : 0, 0, arg);
}

static bool third_removed(struct cluster *c)
{
	return c->h[2].removed;
}

static bool first_knows(struct cluster *c)
{
	return raftd_is_removed(c->h[0].r, raftd_id(c->h[2].r));
}

static bool first_leads(struct cluster *c)
{
	return c->h[0].leader;
}

TEST(leadership_is_handed_on_and_a_member_is_removed)
{
	struct cluster c;
	struct err err = ERR_INIT;
	uint64_t id;

	three(&c);
	ASSERT_TRUE(wait_until(&c, settled));
	while (!c.h[0].leader) {
		EXPECT_EQ(0, raftd_transfer(leader(&c)->r, raftd_id(c.h[0].r), &err));
		ASSERT_TRUE(wait_until(&c, first_leads));
	}
	EXPECT_EQ(-EINVAL, raftd_transfer(c.h[0].r, 12345, &err));
	/* with one cut off, removing the other would leave no quorum */
	c.h[1].cut = true;
	for (int i = 0; i < 100; i++)
		raftd_unreachable(c.h[0].r, raftd_id(c.h[1].r));
	id = raftd_id(c.h[2].r);
	c.done = c.failed = 0;
	raftd_remove(c.h[0].r, id, plain_done, &c);
	ASSERT_TRUE(wait_until(&c, one_done));
	EXPECT_EQ(1, c.failed);
	c.h[1].cut = false;
	raftd_reachable(c.h[0].r, raftd_id(c.h[1].r));
	ASSERT_TRUE(wait_until(&c, settled));
	/* another one may lead by now, on a machine that is busy; even the one to go, who makes way */
	for (int i = 0; i < 10; i++) {
		ASSERT_TRUE(wait_until(&c, has_leader));
		c.done = c.failed = 0;
		raftd_remove(leader(&c)->r, id, plain_done, &c);
		ASSERT_TRUE(wait_until(&c, one_done));
		if (c.done)
			break;
		usleep(200000);
	}
	EXPECT_EQ(1, c.done);
	ASSERT_TRUE(wait_until(&c, first_knows));
	EXPECT_TRUE(raftd_is_removed(c.h[0].r, id));
	EXPECT_EQ(0, raftd_member_of_node(c.h[0].r, "n2"));
	EXPECT_FALSE(third_removed(&c) && raftd_is_leader(c.h[2].r));
	cluster_close(&c);
}

static bool hundred_ended(struct cluster *c)
{
	return c->done + c->failed == 100;
}

static void end_proposed(int rc, uint64_t index, void *arg)
{
	/* lost, and known to be: never in doubt here */
	assert(!rc || rc == -ENOTCONN);
	counted(rc, index, arg);
}

static void propose_to(struct cluster *c, struct host *h)
{
	c->done = c->failed = 0;
	for (int i = 0; i < 100; i++)
		raftd_propose(h->r, "xx,", 3, end_proposed, c);
}

TEST(a_former_leader_learns_that_an_entry_is_lost)
{
	struct cluster c;
	struct host *old;

	three(&c);
	propose(&c, 100);
	ASSERT_TRUE(wait_until(&c, hundred));
	old = leader(&c);
	old->cut = true;
	propose_to(&c, old);
	ASSERT_TRUE(wait_until(&c, has_leader));
	EXPECT_EQ(0, c.failed);
	old->cut = false;
	ASSERT_TRUE(wait_until(&c, hundred_ended));
	EXPECT_EQ(100, c.failed);
	propose(&c, 100);
	ASSERT_TRUE(wait_until(&c, hundred));
	ASSERT_TRUE(wait_until(&c, settled));
	EXPECT_TRUE(all_equal(&c));
	EXPECT_EQ(600, old->state.len);
	EXPECT_EQ(NULL, memmem(old->state.data, old->state.len, "xx,", 3));
	cluster_close(&c);
}

static bool all_have_it(struct cluster *c)
{
	for (int i = 0; i < N; i++) {
		if (&c->h[i] != leader(c) && c->h[i].got < 100)
			return false;
	}
	return true;
}

TEST(a_former_leader_learns_that_an_entry_is_committed)
{
	struct cluster c;
	struct host *old;

	three(&c);
	old = leader(&c);
	old->deaf = true;
	for (int i = 0; i < N; i++)
		c.h[i].got = 0;
	propose_to(&c, old);
	ASSERT_TRUE(wait_until(&c, all_have_it));
	old->cut = true;
	ASSERT_TRUE(wait_until(&c, has_leader));
	EXPECT_EQ(0, c.done + c.failed);
	old->cut = false;
	ASSERT_TRUE(wait_until(&c, hundred_ended));
	EXPECT_EQ(100, c.done);
	ASSERT_TRUE(wait_until(&c, settled));
	EXPECT_TRUE(all_equal(&c));
	EXPECT_EQ(300, old->state.len);
	cluster_close(&c);
}

static bool answer_held_back(struct cluster *c)
{
	return c->h[0].held_back || c->h[1].held_back;
}

static bool all_know_a_leader(struct cluster *c)
{
	for (int i = 0; i < N; i++) {
		if (!raftd_leader_id(c->h[i].r))
			return false;
	}
	return settled(c);
}

static bool asked_again(struct cluster *c)
{
	return c->h[0].held_back > 1 || c->h[1].held_back > 1;
}

TEST(an_answer_to_an_earlier_life_answers_no_read)
{
	struct cluster c;
	struct host *l, *f;
	struct err err = ERR_INIT;

	three(&c);
	l = leader(&c);
	f = l == &c.h[0] ? &c.h[1] : &c.h[0];
	f->keep = true;
	raftd_barrier(f->r, barrier_done, &c);
	ASSERT_TRUE(wait_until(&c, answer_held_back));
	host_close(f);
	propose(&c, 100);
	ASSERT_TRUE(wait_until(&c, hundred));
	ASSERT_EQ(0, host_open(&c, f - c.h, &err));
	ASSERT_TRUE(wait_until(&c, all_know_a_leader));
	c.done = c.failed = 0;
	f->held_back = 1; /* kept is of the earlier life */
	raftd_barrier(f->r, barrier_done, &c);
	ASSERT_TRUE(wait_until(&c, asked_again));
	raftd_receive(f->r, f->kept);
	EXPECT_EQ(0, c.done);
	f->keep = false;
	ASSERT_TRUE(wait_until(&c, one_done));
	raft_msg_free(f->kept);
	cluster_close(&c);
}

/* The log of a host fails every write with ENOSPC, or works again. */
static void disk_full(struct host *h, bool full)
{
	_cleanup_free_ char *path = xasprintf("%s/log", h->dir);
	static int saved[64];

	for (int fd = 0; fd < 64; fd++) {
		char name[32], at[256] = "";
		int null;

		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		if (full && readlink(name, at, sizeof(at) - 1) > 0 && streq(at, path)) {
			saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 64);
			null = open("/dev/full", O_RDWR | O_CLOEXEC);
			dup3(null, fd, O_CLOEXEC);
			close(null);
		} else if (!full && saved[fd]) {
			dup3(saved[fd], fd, O_CLOEXEC);
			close(saved[fd]);
			saved[fd] = 0;
		}
	}
}

static struct host *first_leader;

static bool another_leads(struct cluster *c)
{
	for (int i = 0; i < N; i++) {
		if (c->h[i].leader && &c->h[i] != first_leader)
			return true;
	}
	return false;
}

TEST(a_leader_that_cannot_write_hands_the_leadership_on)
{
	struct cluster c;

	three(&c);
	first_leader = leader(&c);
	disk_full(first_leader, true);
	/* a snapshot is due, which cannot be written either: not of every tick */
	raftd_set_snapshots(first_leader->r, 1, 0);
	first_leader->saves = 0;
	propose_to(&c, first_leader);
	ASSERT_TRUE(wait_until(&c, another_leads));
	EXPECT_LT(first_leader->saves, 10);
	disk_full(first_leader, false);
	ASSERT_TRUE(wait_until(&c, hundred_ended));
	EXPECT_EQ(100, c.done);
	ASSERT_TRUE(wait_until(&c, settled));
	EXPECT_TRUE(all_equal(&c));
	EXPECT_EQ(300, first_leader->state.len);
	cluster_close(&c);
}

TEST(the_only_survivor_keeps_everything)
{
	struct cluster c;
	struct err err = ERR_INIT;
	_cleanup_free_ struct raftd_member *all = NULL;
	size_t n;

	three(&c);
	propose(&c, 100);
	ASSERT_TRUE(wait_until(&c, hundred));
	ASSERT_TRUE(wait_until(&c, settled));
	for (int i = 0; i < N; i++)
		host_close(&c.h[i]);
	ASSERT_EQ(0, host_open(&c, 1, &err));
	ASSERT_EQ(0, raftd_force_new_cluster(c.h[1].r, &err));
	ASSERT_TRUE(wait_until(&c, has_leader));
	EXPECT_EQ(300, c.h[1].state.len);
	all = raftd_members(c.h[1].r, &n);
	EXPECT_EQ(1, n);
	EXPECT_STREQ("n1", all[0].node_id);
	propose(&c, 100);
	ASSERT_TRUE(wait_until(&c, hundred));
	host_close(&c.h[1]);
	ASSERT_EQ(0, host_open(&c, 1, &err));
	ASSERT_TRUE(wait_until(&c, has_leader));
	EXPECT_EQ(600, c.h[1].state.len);
	cluster_close(&c);
}

TEST(another_key_while_writing)
{
	static const uint8_t dek[RAFTD_DEK_SIZE] = {9};
	struct cluster c;
	struct err err = ERR_INIT;

	cluster_open(&c);
	ASSERT_EQ(-ENOENT, host_open(&c, 0, &err));
	ASSERT_EQ(0, raftd_bootstrap(c.h[0].r, 5, "node", "127.0.0.1:1", &err));
	ASSERT_TRUE(wait_until(&c, has_leader));
	propose(&c, 99);
	raftd_rekey(c.h[0].r, dek, plain_done, &c);
	ASSERT_TRUE(wait_until(&c, hundred));
	host_close(&c.h[0]);
	/* the old key opens nothing now, and says so */
	EXPECT_EQ(-EKEYREJECTED, host_open(&c, 0, &err));
	EXPECT_NE(NULL, strstr(err.msg, "another key"));
	c.h[0].r = NULL;
	cluster_close(&c);
}

TEST_HARNESS_MAIN
