// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "disk/file.h"
#include "disk/raftlog.h"

static const uint8_t key[RAFTLOG_KEY_SIZE] = {1, 2, 3};
static const uint8_t other_key[RAFTLOG_KEY_SIZE] = {4, 5, 6};

FIXTURE(log)
{
	char dir[64];
	struct raftlog *l;
	struct rng rng;
};

FIXTURE_SETUP(log)
{
	struct err err = ERR_INIT;

	strcpy(self->dir, "/tmp/raftlog_test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	rng_seed(&self->rng, 5);
	ASSERT_EQ(0, raftlog_open(self->dir, key, &self->l, &err));
}

FIXTURE_TEARDOWN(log)
{
	raftlog_close(self->l);
	dir_remove_tree(self->dir, NULL);
}

static int reopen(FIXTURE_DATA(log) * self, struct err *err)
{
	raftlog_close(steal_ptr(self->l));
	return raftlog_open(self->dir, key, &self->l, err);
}

static struct raft_entry *entry(uint64_t index, uint64_t term, size_t size)
{
	_cleanup_free_ uint8_t *data = xcalloc(1, size + 1);

	for (size_t i = 0; i < size; i++)
		data[i] = index * 31 + term * 7 + i;
	return raft_entry_new(RAFT_NORMAL, term, index, data, size);
}

static struct raft_snapshot *snapshot(uint64_t index, uint64_t term, size_t size)
{
	struct raft_conf conf = {.voters = {3, 9, UINT64_MAX}, .n = 3};
	uint8_t *data = xcalloc(1, size + 1);

	for (size_t i = 0; i < size; i++)
		data[i] = i * 13 + index;
	return raft_snapshot_new(index, term, &conf, data, size);
}

static bool same_entry(const struct raft_entry *a, const struct raft_entry *b)
{
	return a->index == b->index && a->term == b->term && a->size == b->size &&
	       a->type == b->type && !memcmp(a->data, b->data, a->size);
}

/* --- against an obvious model --- */

struct model {
	struct raft_hard_state hard;
	struct raft_entry *entries[4096];
	size_t n;
	uint64_t base, base_term;
	struct raft_snapshot *snap;
};

static void model_cut(struct model *m, uint64_t from)
{
	while (m->n && m->base + m->n >= from)
		raft_entry_put(m->entries[--m->n]);
}

static void random_write(struct model *m, struct raftlog *l, struct rng *rng)
{
	struct raftlog_write w = {0};
	struct raft_entry *batch[8];
	struct err err = ERR_INIT;
	uint64_t first = m->base + m->n + 1;

	if (rng_below(rng, 3)) {
		m->hard.term += rng_below(rng, 2);
		m->hard.vote = rng_below(rng, 5);
		w.hard = &m->hard;
	}
	if (rng_below(rng, 4)) {
		if (!rng_below(rng, 4) && m->n)
			first -= rng_below(rng, m->n);
		model_cut(m, first);
		for (size_t n = 1 + rng_below(rng, 7); w.n_entries < n; w.n_entries++) {
			batch[w.n_entries] = entry(first + w.n_entries, m->hard.term,
						   rng_below(rng, 20) ? rng_below(rng, 300) : 9000);
			m->entries[m->n++] = batch[w.n_entries];
		}
		w.entries = batch;
	}
	if (!rng_below(rng, 12) && m->n > 10) {
		uint64_t at = m->base + m->n - rng_below(rng, 5);

		raft_snapshot_put(m->snap);
		m->snap = snapshot(at, m->entries[at - m->base - 1]->term,
				   rng_below(rng, 3) ? rng_below(rng, 9000) : 3000000);
		w.snapshot = m->snap;
		w.compact_index = at - rng_below(rng, 5);
		w.compact_term = m->entries[w.compact_index - m->base - 1]->term;
	}
	assert(!raftlog_write(l, &w, &err));
	if (w.compact_index > m->base) {
		size_t n = w.compact_index - m->base;

		for (size_t i = 0; i < n; i++)
			raft_entry_put(m->entries[i]);
		memmove(m->entries, m->entries + n, (m->n - n) * sizeof(m->entries[0]));
		m->n -= n;
		m->base = w.compact_index;
		m->base_term = w.compact_term;
	}
}

static bool equals_model(const struct raftlog_state *s, const struct model *m)
{
	if (s->hard.term != m->hard.term || s->hard.vote != m->hard.vote || s->n_entries != m->n ||
	    s->base_term != m->base_term || !s->snapshot != !m->snap)
		return false;
	for (size_t i = 0; i < m->n; i++) {
		if (!same_entry(s->entries[i], m->entries[i]))
			return false;
	}
	return !m->snap ||
	       (s->snapshot->index == m->snap->index && s->snapshot->term == m->snap->term &&
		s->snapshot->size == m->snap->size && s->snapshot->conf.n == 3 &&
		!memcmp(s->snapshot->data, m->snap->data, m->snap->size));
}

TEST_F(log, random_writes_against_a_model)
{
	struct err err = ERR_INIT;
	struct model m = {0};

	for (int i = 0; i < 300; i++) {
		random_write(&m, self->l, &self->rng);
		if (i % 10 == 9) {
			struct raftlog_state s;

			if (rng_below(&self->rng, 2))
				ASSERT_EQ(0, reopen(self, &err));
			ASSERT_EQ(0, raftlog_load(self->l, &s, &err));
			ASSERT_TRUE(equals_model(&s, &m));
			raftlog_state_done(&s);
		}
	}
	model_cut(&m, 0);
	raft_snapshot_put(m.snap);
}

/* --- keys --- */

static void fill(struct raftlog *l)
{
	struct raft_hard_state hard = {.term = 3, .vote = 1, .commit = 20};
	struct raft_entry *e[40];
	struct buf member = BUF_INIT;
	struct raftlog_write w = {.hard = &hard, .entries = e, .n_entries = 40, .member = &member};
	struct raftlog_write snap = {
		.snapshot = snapshot(20, 3, 100000), .compact_index = 10, .compact_term = 3};
	struct err err = ERR_INIT;

	buf_str(&member, "who I am");
	for (int i = 0; i < 40; i++)
		e[i] = entry(i + 1, 3, 200);
	assert(!raftlog_write(l, &w, &err) && !raftlog_write(l, &snap, &err));
	for (int i = 0; i < 40; i++)
		raft_entry_put(e[i]);
	raft_snapshot_put((struct raft_snapshot *)snap.snapshot);
	buf_done(&member);
}

TEST_F(log, another_key_is_refused_and_a_new_one_takes_its_place)
{
	struct raftlog *l;
	struct raftlog_state s;
	struct err err = ERR_INIT;

	fill(self->l);
	raftlog_close(steal_ptr(self->l));
	EXPECT_EQ(-EKEYREJECTED, raftlog_open(self->dir, other_key, &l, &err));
	EXPECT_NE(NULL, strstr(err.msg, "another key"));
	ASSERT_EQ(0, raftlog_open(self->dir, key, &self->l, &err));
	ASSERT_EQ(0, raftlog_rekey(self->l, other_key, &err));
	ASSERT_EQ(0, raftlog_load(self->l, &s, &err));
	EXPECT_EQ(30, s.n_entries);
	EXPECT_STREQ("who I am", s.member.data);
	raftlog_state_done(&s);
	raftlog_close(steal_ptr(self->l));
	EXPECT_EQ(-EKEYREJECTED, raftlog_open(self->dir, key, &l, &err));
	ASSERT_EQ(0, raftlog_open(self->dir, other_key, &self->l, &err));
	ASSERT_EQ(0, raftlog_load(self->l, &s, &err));
	EXPECT_EQ(100000, s.snapshot->size);
	raftlog_state_done(&s);
}

TEST_F(log, nothing_is_readable_on_disk)
{
	_cleanup_free_ char *path = xasprintf("%s/log", self->dir);
	struct raft_hard_state hard = {.term = 1};
	struct raft_entry *e = raft_entry_new(RAFT_NORMAL, 1, 1, "a secret of some length", 23);
	struct raftlog_write w = {.hard = &hard, .entries = &e, .n_entries = 1};
	_cleanup_buf_ struct buf file = BUF_INIT;
	struct err err = ERR_INIT;

	ASSERT_EQ(0, raftlog_write(self->l, &w, &err));
	raft_entry_put(e);
	ASSERT_EQ(0, file_read(path, 1 << 24, &file, &err));
	EXPECT_EQ(NULL, memmem(file.data, file.len, "a secret", 8));
}

/* --- damage --- */

/* Open and read what is in path; a damaged one is refused with a sentence, and by that only. */
static int try_read(const char *dir)
{
	struct err err = ERR_INIT;
	struct raftlog_state s;
	struct raftlog *l;
	int rc = raftlog_open(dir, key, &l, &err);

	if (!rc) {
		rc = raftlog_load(l, &s, &err);
		if (!rc) {
			for (size_t i = 0; i < s.n_entries; i++) {
				struct raft_entry *want = entry(11 + i, 3, 200);

				assert(same_entry(s.entries[i], want));
				raft_entry_put(want);
			}
			raftlog_state_done(&s);
		}
		raftlog_close(l);
	}
	assert(!rc || err.msg[0]);
	return rc;
}

TEST_F(log, damage_is_refused_with_a_sentence)
{
	_cleanup_free_ char *path = xasprintf("%s/log", self->dir);
	_cleanup_buf_ struct buf whole = BUF_INIT;
	struct err err = ERR_INIT;
	int refused = 0;

	fill(self->l);
	raftlog_close(steal_ptr(self->l));
	ASSERT_EQ(0, file_read(path, 1 << 24, &whole, &err));
	for (int i = 0; i < 600; i++) {
		_cleanup_free_ char *copy = xmemdup(whole.data, whole.len);
		size_t size = whole.len;

		if (i % 6 == 5)
			size = rng_below(&self->rng, size); /* cut short */
		else
			copy[rng_below(&self->rng, size)] ^= 1 << rng_below(&self->rng, 8);
		/* the places that LMDB believes in get more than their share */
		if (i % 3 == 1)
			copy[rng_below(&self->rng, size / 4096 + 1) * 4096 % size +
			     rng_below(&self->rng, 64) % size] ^= 0xff;
		ASSERT_EQ(0, file_write_volatile(path, copy, size, 0600, &err));
		refused += try_read(self->dir) != 0;
	}
	fprintf(stderr, "# %d of 600 refused, the rest read well\n", refused);
	EXPECT_GT(refused, 300);
	ASSERT_EQ(0, file_write_volatile(path, whole.data, whole.len, 0600, &err));
	EXPECT_EQ(0, try_read(self->dir));
	ASSERT_EQ(0, raftlog_open(self->dir, key, &self->l, &err));
}

/* --- kill -9 in the middle --- */

static void write_until_killed(const char *dir, int out)
{
	struct raft_hard_state hard = {.term = 1};
	struct err err = ERR_INIT;
	struct raftlog *l;
	uint64_t index = 1;

	assert(!raftlog_open(dir, key, &l, &err));
	for (;;) {
		struct raft_entry *e[3] = {entry(index, 1, 100), entry(index + 1, 1, 5000),
					   entry(index + 2, 1, 0)};
		struct raftlog_write w = {.hard = &hard, .entries = e, .n_entries = 3};

		hard.commit = index;
		assert(!raftlog_write(l, &w, &err));
		index += 3;
		/* told only what is durable */
		assert(write(out, &index, sizeof(index)) == sizeof(index));
		for (int i = 0; i < 3; i++)
			raft_entry_put(e[i]);
	}
}

TEST_F(log, kill_in_the_middle_loses_nothing_that_was_told)
{
	raftlog_close(steal_ptr(self->l));
	for (int round = 0; round < 5; round++) {
		_cleanup_free_ char *dir = xasprintf("%s/%d", self->dir, round);
		uint64_t told = 1, n;
		struct raftlog_state s;
		struct err err = ERR_INIT;
		struct raftlog *l;
		int fds[2];
		pid_t pid;

		ASSERT_EQ(0, pipe(fds));
		pid = fork();
		if (!pid) {
			close(fds[0]);
			write_until_killed(dir, fds[1]);
		}
		close(fds[1]);
		/* after some writes, at no moment in particular */
		for (uint64_t i = 10 + rng_below(&self->rng, 30); i; i--)
			ASSERT_EQ(sizeof(told), read(fds[0], &told, sizeof(told)));
		usleep(rng_below(&self->rng, 3000));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (read(fds[0], &n, sizeof(n)) == sizeof(n))
			told = n;
		close(fds[0]);
		ASSERT_EQ(0, raftlog_open(dir, key, &l, &err));
		ASSERT_EQ(0, raftlog_load(l, &s, &err));
		EXPECT_GE(s.n_entries, told - 1);
		/* whole batches only */
		EXPECT_EQ(0, s.n_entries % 3);
		for (size_t i = 0; i < s.n_entries; i++) {
			static const size_t sizes[] = {100, 5000, 0};
			struct raft_entry *want = entry(i + 1, 1, sizes[i % 3]);

			ASSERT_TRUE(same_entry(s.entries[i], want));
			raft_entry_put(want);
		}
		raftlog_state_done(&s);
		raftlog_close(l);
	}
}

TEST_HARNESS_MAIN
