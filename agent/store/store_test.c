// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "core/rng.h"
#include "store/store.h"
#include "wire/pb.h"

#include <kselftest_harness.h>

static Pb__Task *new_task(const char *id, const char *service, uint64_t slot, const char *node)
{
	Pb__Task *t = pb_new(pb__task);

	pb_set_str(&t->id, id);
	pb_set_str(&t->service_id, service);
	pb_set_str(&t->node_id, node);
	t->slot = slot;
	t->desired_state = PB__TASK_STATE__RUNNING;
	return t;
}

static Pb__Service *new_service(const char *id, const char *name)
{
	Pb__Service *svc = pb_new(pb__service);

	pb_set_str(&svc->id, id);
	pb_set_str(&pb_need(&pb_need(&svc->spec, pb__service_spec)->annotations, pb__annotations)
			    ->name,
		   name);
	return svc;
}

static Pb__Service *renamed(const struct store *s, const char *id, const char *name)
{
	Pb__Service *svc = pb_clone(store_service(s, id));

	pb_set_str(&svc->spec->annotations->name, name);
	return svc;
}

FIXTURE(store)
{
	struct store *s;
	uint64_t version;
};

FIXTURE_SETUP(store)
{
	self->s = store_new();
	self->version = 1;
}

FIXTURE_TEARDOWN(store)
{
	store_free(self->s);
}

TEST_F(store, staged_changes_are_seen_then_taken_back)
{
	struct store_tx *tx = store_tx_begin(self->s, 7, 1000000000);
	struct buf b = BUF_INIT;

	ASSERT_EQ(0, store_tx_create(tx, new_service("s1", "Web"), NULL));
	ASSERT_EQ(0, store_tx_create(tx, new_task("t1", "s1", 1, ""), NULL));
	EXPECT_EQ(7, store_version(store_service(self->s, "s1")));
	EXPECT_EQ(1, store_n_tasks_of_service(self->s, "s1"));
	EXPECT_NE(NULL, store_find_name(self->s, STORE_SERVICE, "WEB"));
	store_tx_seal(tx);
	EXPECT_EQ(NULL, store_service(self->s, "s1"));
	EXPECT_EQ(0, store_n_tasks_of_service(self->s, "s1"));
	EXPECT_EQ(NULL, store_find_name(self->s, STORE_SERVICE, "web"));
	EXPECT_EQ(2, store_tx_marshal(tx, 99, &b));
	store_tx_commit(tx);
	EXPECT_NE(NULL, store_service(self->s, "s1"));
	EXPECT_STREQ("Web", store_name(store_service(self->s, "s1")));

	struct store *other = store_new();

	ASSERT_EQ(0, store_apply(other, b.data, b.len, NULL));
	EXPECT_TRUE(pb_equal(store_task(self->s, "t1"), store_task(other, "t1")));
	/* A second time it fails as a whole. */
	EXPECT_EQ(-EEXIST, store_apply(other, b.data, b.len, NULL));
	EXPECT_EQ(1, store_count(other, STORE_TASK));
	store_free(other);
	buf_done(&b);
}

TEST_F(store, versions_and_names_are_checked)
{
	struct store_tx *tx = store_tx_begin(self->s, 7, 1);
	struct err err = ERR_INIT;
	Pb__Service *stale;

	ASSERT_EQ(0, store_tx_create(tx, new_service("s1", "web"), &err));
	EXPECT_EQ(-EEXIST, store_tx_create(tx, new_service("s2", "WEB"), &err));
	EXPECT_STREQ("name conflicts with an existing object: service WEB already exists", err.msg);
	ASSERT_EQ(0, store_tx_create(tx, new_service("s2", "db"), &err));
	EXPECT_EQ(-EEXIST, store_tx_update(tx, renamed(self->s, "s2", "web"), &err));
	store_tx_commit(tx);

	tx = store_tx_begin(self->s, 8, 2);
	stale = pb_clone(store_service(self->s, "s1"));
	ASSERT_EQ(0, store_tx_update(tx, pb_clone(store_service(self->s, "s1")), &err));
	EXPECT_EQ(8, store_version(store_service(self->s, "s1")));
	EXPECT_EQ(-ESTALE, store_tx_update(tx, stale, &err));
	EXPECT_EQ(-ENOENT, store_tx_remove(tx, STORE_SERVICE, "s9", &err));
	store_tx_abort(tx);
	EXPECT_EQ(7, store_version(store_service(self->s, "s1")));
}

TEST_F(store, a_name_is_free_again_in_the_same_transaction)
{
	struct store *other = store_new();
	struct store_tx *tx = store_tx_begin(self->s, 7, 1);
	struct buf b = BUF_INIT, b2 = BUF_INIT;

	ASSERT_EQ(0, store_tx_create(tx, new_service("s1", "a"), NULL));
	ASSERT_EQ(0, store_tx_create(tx, new_service("s2", "b"), NULL));
	store_tx_seal(tx);
	store_tx_marshal(tx, 1, &b);
	store_tx_commit(tx);
	ASSERT_EQ(0, store_apply(other, b.data, b.len, NULL));

	tx = store_tx_begin(self->s, 8, 1);
	ASSERT_EQ(0, store_tx_update(tx, pb_clone(store_service(self->s, "s2")), NULL));
	ASSERT_EQ(0, store_tx_update(tx, renamed(self->s, "s1", "c"), NULL));
	ASSERT_EQ(0, store_tx_update(tx, renamed(self->s, "s2", "a"), NULL));
	ASSERT_EQ(0, store_tx_update(tx, pb_clone(store_service(self->s, "s1")), NULL));
	store_tx_seal(tx);
	EXPECT_STREQ("s1", store_id(store_find_name(self->s, STORE_SERVICE, "a")));
	store_tx_marshal(tx, 1, &b2);
	store_tx_commit(tx);
	ASSERT_EQ(0, store_apply(other, b2.data, b2.len, NULL));
	EXPECT_STREQ("s2", store_id(store_find_name(other, STORE_SERVICE, "a")));
	EXPECT_STREQ("s1", store_id(store_find_name(other, STORE_SERVICE, "c")));
	store_free(other);
	buf_done(&b);
	buf_done(&b2);
}

static void note(const struct store_event *ev, void *arg)
{
	static const char *const names[] = {"create", "update", "remove"};

	buf_printf(arg, "%s %s;", names[ev->action], store_id(ev->new ? ev->new : ev->old));
}

TEST_F(store, changes_of_an_object_are_told_as_one)
{
	struct buf seen = BUF_INIT;
	struct store_watch w = {.fn = note, .arg = &seen};
	struct store_tx *tx;

	store_watch(self->s, &w);
	tx = store_tx_begin(self->s, 7, 1);
	ASSERT_EQ(0, store_tx_create(tx, new_task("t1", "s", 1, ""), NULL));
	ASSERT_EQ(0, store_tx_update(tx, pb_clone(store_task(self->s, "t1")), NULL));
	ASSERT_EQ(0, store_tx_create(tx, new_task("t2", "s", 2, ""), NULL));
	ASSERT_EQ(0, store_tx_remove(tx, STORE_TASK, "t2", NULL));
	EXPECT_EQ(2, store_tx_changes(tx));
	store_tx_commit(tx);
	EXPECT_STREQ("create t1;", seen.data);
	store_unwatch(&w);
	buf_done(&seen);
}

TEST_F(store, a_failed_builder_takes_its_changes_back)
{
	struct store_tx *tx = store_tx_begin(self->s, 7, 1);
	size_t mark, size;

	ASSERT_EQ(0, store_tx_create(tx, new_task("t1", "s", 1, "n"), NULL));
	mark = store_tx_mark(tx);
	size = store_tx_size(tx);
	ASSERT_EQ(0, store_tx_remove(tx, STORE_TASK, "t1", NULL));
	ASSERT_EQ(0, store_tx_create(tx, new_task("t2", "s", 2, "n"), NULL));
	store_tx_rollback(tx, mark);
	EXPECT_EQ(1, store_tx_changes(tx));
	EXPECT_EQ(size, store_tx_size(tx));
	EXPECT_EQ(1, store_n_tasks_of_node(self->s, "n"));
	store_tx_commit(tx);
	EXPECT_NE(NULL, store_task(self->s, "t1"));
}

/* Reference model: what an index should hold, by walking everything. */
static void list_of(const struct store *s, struct store_iter it, int by, const char *service,
		    uint64_t slot, const char *node, Pb__TaskState desired, struct buf *index,
		    struct buf *model)
{
	const Pb__Task *t;
	size_t n = 0, m = 0;

	while ((t = store_next(&it))) {
		bool in = by == 0   ? streq(t->service_id, service)
			  : by == 1 ? streq(t->service_id, service) && t->slot == slot
			  : by == 2 ? streq(t->node_id, node)
				    : t->desired_state == desired;

		n += in;
		if (!in)
			buf_printf(index, "stray %s;", t->id);
	}
	for (it = store_all(s, STORE_TASK); (t = store_next(&it));)
		m += by == 0   ? streq(t->service_id, service)
		     : by == 1 ? streq(t->service_id, service) && t->slot == slot
		     : by == 2 ? streq(t->node_id, node)
			       : t->desired_state == desired;
	buf_printf(index, "%zu", n);
	buf_printf(model, "%zu", m);
}

static void check_indexes(struct __test_metadata *_metadata, const struct store *s)
{
	static const Pb__TaskState states[] = {PB__TASK_STATE__READY,	 PB__TASK_STATE__RUNNING,
					       PB__TASK_STATE__SHUTDOWN, PB__TASK_STATE__REMOVE,
					       PB__TASK_STATE__REJECTED, PB__TASK_STATE__ORPHANED};
	struct buf a = BUF_INIT, b = BUF_INIT;
	char key[8], node[8];

	for (int i = 0; i < 4; i++) {
		snprintf(key, sizeof(key), "s%d", i);
		snprintf(node, sizeof(node), "n%d", i);
		list_of(s, store_tasks_of_service(s, key), 0, key, 0, "", 0, &a, &b);
		list_of(s, store_tasks_of_node(s, node), 2, "", 0, node, 0, &a, &b);
		for (int j = 1; j < 4; j++)
			list_of(s, store_tasks_of_slot(s, key, j, NULL), 1, key, j, "", 0, &a, &b);
	}
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		list_of(s, store_tasks_desired(s, states[i]), 3, "", 0, "", states[i], &a, &b);
	EXPECT_STREQ(b.data, a.data);
	buf_done(&a);
	buf_done(&b);
}

static void random_step(struct rng *r, struct store_tx *tx)
{
	static const Pb__TaskState states[] = {PB__TASK_STATE__READY,	 PB__TASK_STATE__RUNNING,
					       PB__TASK_STATE__SHUTDOWN, PB__TASK_STATE__REMOVE,
					       PB__TASK_STATE__REJECTED, PB__TASK_STATE__ORPHANED};
	struct store *s = store_tx_store(tx);
	const Pb__Task *old;
	char id[16], key[8], node[8];
	Pb__Task *t;

	snprintf(id, sizeof(id), "t%d", (int)rng_below(r, 40));
	snprintf(key, sizeof(key), "s%d", (int)rng_below(r, 4));
	snprintf(node, sizeof(node), "n%d", (int)rng_below(r, 4));
	old = store_task(s, id);
	switch (rng_below(r, 3)) {
	case 0:
		store_tx_create(tx, new_task(id, key, 1 + rng_below(r, 3), node), NULL);
		break;
	case 1:
		store_tx_remove(tx, STORE_TASK, id, NULL);
		break;
	default:
		if (!old)
			break;
		t = pb_clone(old);
		pb_set_str(&t->node_id, node);
		t->desired_state = states[rng_below(r, ARRAY_SIZE(states))];
		store_tx_update(tx, t, NULL);
	}
}

TEST_F(store, random_transactions_against_the_obvious)
{
	struct store *follower = store_new();
	struct rng r;

	rng_seed(&r, 42);
	for (uint64_t i = 1; i < 400; i++) {
		struct buf before = BUF_INIT, after = BUF_INIT, entry = BUF_INIT;
		struct store_tx *tx = store_tx_begin(self->s, i, i);
		size_t mark;

		store_tx_seal(tx);
		store_save(self->s, NULL, &before);
		store_tx_abort(tx);
		tx = store_tx_begin(self->s, i, i);
		for (uint64_t n = rng_below(&r, 12); n; n--)
			random_step(&r, tx);
		mark = store_tx_mark(tx);
		for (uint64_t n = rng_below(&r, 4); n; n--)
			random_step(&r, tx);
		if (rng_below(&r, 2))
			store_tx_rollback(tx, mark);
		check_indexes(_metadata, self->s);
		store_tx_seal(tx);
		store_save(self->s, NULL, &after);
		/* Undone to the last byte, order included. */
		EXPECT_EQ(before.len, after.len);
		EXPECT_EQ(0, memcmp(before.data, after.data, before.len));
		if (rng_below(&r, 4)) {
			store_tx_marshal(tx, i, &entry);
			store_tx_commit(tx);
			EXPECT_EQ(0, store_apply(follower, entry.data, entry.len, NULL));
		} else {
			store_tx_abort(tx);
		}
		check_indexes(_metadata, self->s);
		EXPECT_EQ(store_count(self->s, STORE_TASK), store_count(follower, STORE_TASK));
		buf_done(&before);
		buf_done(&after);
		buf_done(&entry);
	}
	store_free(follower);
}

TEST_F(store, snapshot_restores_and_tells_the_difference)
{
	struct buf snap = BUF_INIT, seen = BUF_INIT;
	struct store_watch w = {.fn = note, .arg = &seen};
	Pb__ClusterSnapshot *members = pb_new(pb__cluster_snapshot), *got = NULL;
	Pb__RaftMember *m = pb_new(pb__raft_member);
	struct store_tx *tx = store_tx_begin(self->s, 7, 1);

	m->raft_id = 5;
	pb_append(&members->n_members, &members->members, m);
	store_tx_create(tx, new_service("s1", "a"), NULL);
	store_tx_create(tx, new_service("s2", "b"), NULL);
	store_tx_create(tx, new_task("t1", "s1", 1, "n"), NULL);
	store_tx_commit(tx);
	store_save(self->s, members, &snap);
	pb_free(members);

	tx = store_tx_begin(self->s, 8, 1);
	store_tx_remove(tx, STORE_TASK, "t1", NULL);
	store_tx_create(tx, new_task("t2", "s1", 1, "n"), NULL);
	store_tx_update(tx, renamed(self->s, "s1", "c"), NULL);
	store_tx_commit(tx);

	store_watch(self->s, &w);
	ASSERT_EQ(0, store_restore(self->s, snap.data, snap.len, &got, NULL));
	EXPECT_STREQ("remove s1;create s1;remove t2;create t1;", seen.data);
	ASSERT_NE(NULL, got);
	EXPECT_EQ(5, got->members[0]->raft_id);
	EXPECT_EQ(7, store_version(store_service(self->s, "s1")));
	store_unwatch(&w);
	EXPECT_EQ(-EBADMSG, store_restore(self->s, "\xff\xff", 2, NULL, NULL));
	EXPECT_EQ(2, store_count(self->s, STORE_SERVICE));
	pb_free(got);
	buf_done(&snap);
	buf_done(&seen);
}

TEST_F(store, finding_by_id_name_and_prefix)
{
	struct store_tx *tx = store_tx_begin(self->s, 7, 1);
	struct err err = ERR_INIT;
	const void *found;

	store_tx_create(tx, new_service("abc1", "web"), NULL);
	store_tx_create(tx, new_service("abd2", "abc1x"), NULL);
	store_tx_commit(tx);
	ASSERT_EQ(0, store_find(self->s, STORE_SERVICE, "abc", &found, &err));
	EXPECT_STREQ("abc1", store_id(found));
	ASSERT_EQ(0, store_find(self->s, STORE_SERVICE, "WEB", &found, &err));
	EXPECT_EQ(-EINVAL, store_find(self->s, STORE_SERVICE, "ab", &found, &err));
	EXPECT_STREQ("service ab is ambiguous (2 matches found)", err.msg);
	EXPECT_EQ(-ENOENT, store_find(self->s, STORE_SERVICE, "x", &found, &err));
	EXPECT_STREQ("service x not found", err.msg);
	EXPECT_EQ(-ENOENT, store_find(self->s, STORE_SERVICE, "", &found, &err));
}

TEST_F(store, references_outlive_changes)
{
	struct store_tx *tx = store_tx_begin(self->s, 7, 1);
	const Pb__Task *kept;

	store_tx_create(tx, new_task("t1", "s", 1, "n"), NULL);
	store_tx_commit(tx);
	kept = store_ref(store_task(self->s, "t1"));
	tx = store_tx_begin(self->s, 8, 1);
	store_tx_remove(tx, STORE_TASK, "t1", NULL);
	store_tx_commit(tx);
	EXPECT_EQ(NULL, store_task(self->s, "t1"));
	EXPECT_STREQ("n", kept->node_id);
	store_unref(kept);
}

TEST_F(store, entries_that_are_no_requests_are_refused)
{
	struct rng r;

	rng_seed(&r, 1);
	for (int i = 0; i < 2000; i++) {
		uint8_t junk[64];
		size_t n = rng_below(&r, sizeof(junk));

		rng_bytes(&r, junk, n);
		store_apply(self->s, junk, n, NULL);
	}
	EXPECT_EQ(-EBADMSG, store_apply(self->s, "\x12\x02\x08\x01", 4, NULL));
	EXPECT_EQ(0, store_count(self->s, STORE_TASK));
}

TEST_F(store, fifty_thousand_tasks)
{
	struct timespec a, b;
	int per = 0;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < 50000; i += 200) {
		struct store_tx *tx = store_tx_begin(self->s, ++self->version, 1);

		for (int j = i; j < i + 200; j++) {
			char id[16], service[16], node[16];

			snprintf(id, sizeof(id), "t%d", j);
			snprintf(service, sizeof(service), "s%d", j % 3);
			snprintf(node, sizeof(node), "n%d", j % 1000);
			ASSERT_EQ(0, store_tx_create(tx, new_task(id, service, j / 3 + 1, node),
						     NULL));
		}
		ASSERT_TRUE(store_tx_full(tx));
		store_tx_seal(tx);
		store_tx_commit(tx);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	EXPECT_EQ(50, store_n_tasks_of_node(self->s, "n7"));
	for (struct store_iter it = store_tasks_of_slot(self->s, "s1", 1000, NULL);
	     store_next(&it);)
		per++;
	EXPECT_EQ(1, per);
	TH_LOG("50,000 tasks created in %ld ms",
	       (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
}

TEST_HARNESS_MAIN
