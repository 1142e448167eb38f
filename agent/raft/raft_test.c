// SPDX-License-Identifier: Apache-2.0
/* The parts by themselves; how members act together is in selftests/sim. */
#include "kselftest_harness.h"

#include "raft/raft_impl.h"
#include "wire/pb.h"
#include "wire/raftpb.pb-c.h"

/* --- messages --- */

static struct raft_msg *sample(void)
{
	struct raft_msg *m = raft_msg_new(RAFT_MSG_APP, 2);
	struct raft_conf conf = {.voters = {1, 2, UINT64_MAX}, .n = 3};

	m->from = 2;
	m->to = 1;
	m->term = 7;
	m->log_term = 6;
	m->index = 40;
	m->commit = 39;
	m->context_size = 3;
	memcpy(m->context, "ctx", 3);
	m->entries[0] = raft_entry_new(RAFT_NORMAL, 6, 41, "one", 3);
	m->entries[1] = raft_entry_new(RAFT_CONF_CHANGE, 7, 42, NULL, 0);
	m->snapshot = raft_snapshot_new(30, 5, &conf, xstrdup("state"), 5);
	return m;
}

static struct raft_msg *over(const struct raft_msg *m)
{
	_cleanup_buf_ struct buf wire = BUF_INIT;

	raft_msg_pack(m, &wire);
	return raft_msg_unpack(wire.data, wire.len);
}

TEST(a_message_comes_out_as_it_went_in)
{
	struct raft_msg *m = sample(), *got;

	got = over(m);
	ASSERT_NE(NULL, got);
	EXPECT_EQ(RAFT_MSG_APP, got->type);
	EXPECT_EQ(7, got->term);
	EXPECT_EQ(6, got->log_term);
	EXPECT_EQ(39, got->commit);
	EXPECT_EQ(0, memcmp(got->context, "ctx", 3));
	ASSERT_EQ(2, got->n_entries);
	EXPECT_EQ(0, memcmp(got->entries[0]->data, "one", 3));
	EXPECT_EQ(RAFT_CONF_CHANGE, got->entries[1]->type);
	/* an empty snapshot in every message is what old peers send */
	EXPECT_EQ(NULL, got->snapshot);
	raft_msg_free(got);
	m->type = RAFT_MSG_SNAP;
	got = over(m);
	ASSERT_NE(NULL, got);
	EXPECT_EQ(30, got->snapshot->index);
	EXPECT_EQ(3, got->snapshot->conf.n);
	EXPECT_EQ(UINT64_MAX, got->snapshot->conf.voters[2]);
	EXPECT_EQ(0, memcmp(got->snapshot->data, "state", 5));
	raft_msg_free(got);
	raft_msg_free(m);
}

TEST(messages_that_break_the_rules_are_no_messages)
{
	_cleanup_pb_ Raftpb__Message *pm = pb_new(raftpb__message);
	struct raft_msg *m = sample();

	m->entries[1]->index = 43; /* a gap */
	EXPECT_EQ(NULL, over(m));
	m->entries[1]->index = 42;
	m->entries[0]->term = 8; /* of the future, and the next one is older */
	EXPECT_EQ(NULL, over(m));
	m->entries[0]->term = 5; /* older than what it follows */
	EXPECT_EQ(NULL, over(m));
	m->entries[0]->term = 6;
	m->index = UINT64_MAX; /* the index wraps */
	m->entries[0]->index = 0;
	m->entries[1]->index = 1;
	EXPECT_EQ(NULL, over(m));
	m->index = 40;
	m->entries[0]->index = 41;
	m->entries[1]->index = 42;
	m->from = 0;
	EXPECT_EQ(NULL, over(m));
	raft_msg_free(m);
	/* a type that stays within a process; no type; a snapshot of nothing */
	EXPECT_EQ(NULL, raft_msg_from_pb(pm));
	pm->has_type = pm->has_from = true;
	pm->from = 2;
	pm->type = RAFTPB__MESSAGE_TYPE__MSG_HUP;
	EXPECT_EQ(NULL, raft_msg_from_pb(pm));
	pm->type = RAFTPB__MESSAGE_TYPE__MSG_SNAP;
	EXPECT_EQ(NULL, raft_msg_from_pb(pm));
	EXPECT_EQ(NULL, raft_msg_unpack("\xff\xff\xff", 3));
}

TEST(a_change_of_members_carries_its_context)
{
	struct raft_change c = {
		.type = RAFT_ADD, .id = 5, .member = 9, .context = "who", .context_size = 3};
	_cleanup_buf_ struct buf data = BUF_INIT;
	struct raft_change got;

	raft_change_pack(&c, &data);
	ASSERT_EQ(0, raft_change_unpack(data.data, data.len, &got));
	EXPECT_EQ(RAFT_ADD, got.type);
	EXPECT_EQ(9, got.member);
	ASSERT_EQ(3, got.context_size);
	EXPECT_EQ(0, memcmp(got.context, "who", 3));
	EXPECT_EQ(-EBADMSG, raft_change_unpack("\xff", 1, &got));
}

/* --- membership against a set of bits --- */

TEST(members_are_a_sorted_set)
{
	struct raft_conf conf = {0};
	uint64_t model = 0;
	struct rng rng;

	rng_seed(&rng, 3);
	for (int i = 0; i < 2000; i++) {
		uint64_t id = rng_below(&rng, 60);

		if (rng_below(&rng, 2)) {
			ASSERT_TRUE(raft_conf_add(&conf, id));
			model |= 1ULL << id;
		} else {
			raft_conf_del(&conf, id);
			model &= ~(1ULL << id);
		}
		ASSERT_EQ(__builtin_popcountll(model), conf.n);
		for (uint64_t j = 0; j < 60; j++)
			ASSERT_EQ(!!(model & (1ULL << j)), raft_conf_has(&conf, j));
		for (size_t j = 1; j < conf.n; j++)
			ASSERT_LT(conf.voters[j - 1], conf.voters[j]);
	}
	for (uint64_t id = 100; conf.n < RAFT_MEMBERS_MAX; id++)
		ASSERT_TRUE(raft_conf_add(&conf, id));
	EXPECT_FALSE(raft_conf_add(&conf, 999));
}

/* --- the log --- */

static void push(struct raft_log *l, uint64_t term)
{
	raft_log_push(l, raft_entry_new(RAFT_NORMAL, term, raft_log_last(l) + 1, "12345678", 8));
}

TEST(the_log_finds_where_two_logs_part)
{
	/* Raft §3.5: terms 1 1 1 4 4 5 5 6 6 6, as in figure 3.6 */
	static const uint64_t terms[] = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
	struct raft_log l = {0};
	uint64_t term;

	for (size_t i = 0; i < ARRAY_SIZE(terms); i++)
		push(&l, terms[i]);
	EXPECT_EQ(5, raft_log_conflict(&l, 10, 4, &term));
	EXPECT_EQ(4, term);
	EXPECT_EQ(3, raft_log_conflict(&l, 10, 3, &term));
	EXPECT_EQ(1, term);
	EXPECT_EQ(0, raft_log_conflict(&l, 10, 0, &term));
	EXPECT_TRUE(raft_log_up_to_date(&l, 10, 6));
	EXPECT_FALSE(raft_log_up_to_date(&l, 9, 6));
	EXPECT_TRUE(raft_log_up_to_date(&l, 1, 7));
	EXPECT_FALSE(raft_log_up_to_date(&l, 99, 5));
	l.committed = l.applied = l.stable = 7;
	raft_log_compact(&l, 6);
	EXPECT_EQ(NULL, raft_log_at(&l, 6));
	EXPECT_TRUE(raft_log_matches(&l, 6, 5));
	EXPECT_FALSE(raft_log_term(&l, 5, &term));
	EXPECT_EQ(7, raft_log_at(&l, 7)->index);
	/* at least one entry, then as many as fit */
	EXPECT_EQ(1, raft_log_fit(&l, 7, 1));
	EXPECT_EQ(2, raft_log_fit(&l, 7, 64));
	EXPECT_EQ(4, raft_log_fit(&l, 7, 1000));
	raft_log_truncate(&l, 9);
	EXPECT_EQ(8, raft_log_last(&l));
	EXPECT_EQ(7, l.stable);
	raft_log_done(&l);
}

/* --- progress --- */

TEST(the_window_of_messages_under_way_fills_and_empties)
{
	struct raft_progress p;

	raft_progress_init(&p, 2, 11, 3);
	raft_progress_sent(&p, 1);
	EXPECT_TRUE(raft_progress_paused(&p)); /* a probe at a time */
	EXPECT_TRUE(raft_progress_update(&p, 11));
	raft_progress_replicate(&p);
	for (int i = 0; i < 3; i++) {
		EXPECT_FALSE(raft_progress_paused(&p));
		raft_progress_sent(&p, 2);
	}
	EXPECT_TRUE(raft_progress_inflight_full(&p));
	EXPECT_TRUE(raft_progress_paused(&p));
	EXPECT_EQ(18, p.next);
	raft_progress_free_inflight(&p, 15);
	EXPECT_EQ(1, p.inflight_len);
	EXPECT_FALSE(raft_progress_paused(&p));
	/* an old rejection says nothing; a new one sends it back to what is known to match */
	EXPECT_FALSE(raft_progress_decrease(&p, 11, 5));
	EXPECT_TRUE(raft_progress_decrease(&p, 17, 12));
	EXPECT_EQ(12, p.next);
	raft_progress_snapshot(&p, 30);
	EXPECT_TRUE(raft_progress_paused(&p));
	raft_progress_probe(&p);
	EXPECT_EQ(31, p.next);
	raft_progress_done(&p);
}

/* --- what is stored --- */

static int make(struct raft_hard_state hard, const struct raft_snapshot *snap,
		struct raft_entry **e, size_t n, struct err *err)
{
	struct raft_stored st = {.hard = hard, .snapshot = snap, .entries = e, .n_entries = n};
	struct rng rng;
	struct raft_options opt = {.id = 1,
				   .election_ticks = 10,
				   .heartbeat_ticks = 1,
				   .max_inflight = 4,
				   .rng = &rng};
	struct raft *r = NULL;
	int rc;

	rng_seed(&rng, 1);
	rc = raft_new(&opt, &st, &r, err);
	raft_free(r);
	return rc;
}

TEST(a_stored_state_that_contradicts_itself_is_refused)
{
	struct raft_conf conf = {.voters = {1}, .n = 1};
	struct raft_snapshot *s = raft_snapshot_new(5, 2, &conf, NULL, 0);
	struct raft_entry *e[] = {raft_entry_new(RAFT_NORMAL, 2, 6, NULL, 0),
				  raft_entry_new(RAFT_NORMAL, 3, 7, NULL, 0),
				  raft_entry_new(RAFT_NORMAL, 3, 9, NULL, 0),
				  raft_entry_new(RAFT_NORMAL, 1, 8, NULL, 0)};
	struct raft_entry *older[] = {e[0], e[1], e[3]};
	struct err err = ERR_INIT;

	EXPECT_EQ(0, make((struct raft_hard_state){3, 1, 7}, s, e, 2, &err));
	/* a gap; a term that goes back; a commit index behind the end; a term older than the log's */
	EXPECT_EQ(-EBADMSG, make((struct raft_hard_state){3, 1, 7}, s, e, 3, &err));
	EXPECT_NE(NULL, strstr(err.msg, "damaged"));
	EXPECT_EQ(-EBADMSG, make((struct raft_hard_state){3, 1, 7}, s, older, 3, &err));
	EXPECT_EQ(-EBADMSG, make((struct raft_hard_state){3, 1, 8}, s, e, 2, &err));
	EXPECT_EQ(-EBADMSG, make((struct raft_hard_state){2, 1, 7}, s, e, 2, &err));
	EXPECT_EQ(-EBADMSG, make((struct raft_hard_state){3, 1, 7}, NULL, e, 2, &err));
	for (size_t i = 0; i < ARRAY_SIZE(e); i++)
		raft_entry_put(e[i]);
	raft_snapshot_put(s);
}

TEST_HARNESS_MAIN
