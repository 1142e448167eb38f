// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include "gossip_sim.h"

TEST(five_nodes_within_a_second)
{
	struct sim *s = sim_new(5, 1);

	join_all(s);
	ASSERT_TRUE(run(s, 5000, all_see_all));
	run(s, 2000, NULL);
	for (int round = 0; round < 20; round++) {
		char value[16];

		snprintf(value, sizeof(value), "v%d", round);
		want = value;
		put(s, 3, "k", value);
		ASSERT_TRUE(visible(s, 1000));
		if (round % 3)
			continue;
		netdb_del(gossip_netdb(s->peers[3].g), "net", "endpoint_table", "k", s->now_ms);
		set_timer(&s->peers[3]);
		want = NULL;
		ASSERT_TRUE(visible(s, 1000));
	}
	sim_free(s);
}

FIXTURE(large)
{};
FIXTURE_SETUP(large)
{
}
FIXTURE_TEARDOWN(large)
{
}

TEST_F_TIMEOUT(large, thousand_nodes_within_three_seconds, 280)
{
	struct sim *s = sim_new(1000, 2);

	preset_all(s);
	run(s, 1000, NULL);
	for (int round = 0; round < 3; round++) {
		char value[16];

		snprintf(value, sizeof(value), "v%d", round);
		want = value;
		put(s, 77, "k", value);
		ASSERT_TRUE(visible(s, 3000));
	}
	sim_free(s);
}

TEST(half_of_the_datagrams_lost)
{
	struct sim *s = sim_new(10, 3);
	char key[16];

	join_all(s);
	ASSERT_TRUE(run(s, 5000, all_see_all));
	s->loss_percent = 50;
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		put(s, i % 10, key, "x");
		run(s, 20, NULL);
	}
	want = "x";
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		want_key = key;
		ASSERT_TRUE(run(s, 120000, all_have));
	}
	want_key = "k";
	sim_free(s);
}

TEST(a_dead_node_is_noticed_and_its_entries_go)
{
	struct sim *s = sim_new(5, 4);
	uint64_t begin;

	join_all(s);
	put(s, 3, "k", "v");
	want = "v";
	ASSERT_TRUE(visible(s, 2000));
	s->peers[3].down = true;
	begin = s->now_ms;
	ASSERT_TRUE(run(s, 20000, all_see_all));
	printf("# noticed after %llu ms\n", (unsigned long long)(s->now_ms - begin));
	want = NULL;
	ASSERT_TRUE(run(s, 100, all_have));
	/* back again, under a new name, with the same entry */
	gossip_free(s->peers[3].g);
	s->peers[3].down = false;
	start_peer(s, 3);
	gossip_free(s->peers[3].g);
	{
		struct peer *p = &s->peers[3];
		struct gossip_ops ops = {.packet = on_packet, .stream = on_stream, .arg = p};
		struct swim_config c = {.name = "reborn", .addr = p->addr};

		p->g = gossip_new(&c, &ops, &p->rng, s->now_ms);
		swim_join(gossip_swim(p->g), &s->peers[0].addr, s->now_ms);
		netdb_join(gossip_netdb(p->g), "net", s->now_ms);
	}
	put(s, 3, "k", "w");
	want = "w";
	ASSERT_TRUE(visible(s, 3000));
	sim_free(s);
}

static size_t lost; /* members that node 0 sees dead */

static bool none_lost(struct sim *s)
{
	struct swim *w = gossip_swim(s->peers[0].g);
	struct swim_member m;

	for (size_t i = 0; i < swim_len(w); i++) {
		swim_get(w, i, &m);
		lost += m.state >= ML_STATE_DEAD;
	}
	return false;
}

TEST(a_busy_machine_loses_nobody_but_the_dead)
{
	struct sim *s = sim_new(10, 7);

	join_all(s);
	for (size_t i = 0; i < s->n; i++)
		s->peers[i].busy = true;
	lost = 0;
	run(s, 300000, none_lost);
	EXPECT_EQ(0, lost);
	s->peers[3].down = true;
	EXPECT_TRUE(run(s, 60000, all_see_all));
	sim_free(s);
}

TEST(a_quick_restart_takes_its_entries_over)
{
	struct sim *s = sim_new(5, 5);
	struct peer *p = &s->peers[2];
	struct gossip_ops ops = {.packet = on_packet, .stream = on_stream, .arg = p};
	struct swim_config c = {.name = "reborn"};

	join_all(s);
	for (int i = 0; i < 30; i++) {
		char value[8];

		snprintf(value, sizeof(value), "v%d", i);
		put(s, 2, "k", value);
		run(s, 100, NULL);
	}
	/* killed, and there again before anybody noticed; its clock begins at zero */
	gossip_free(p->g);
	p->timer_ms = UINT64_MAX;
	c.addr = p->addr;
	p->g = gossip_new(&c, &ops, &p->rng, s->now_ms);
	netdb_join(gossip_netdb(p->g), "net", s->now_ms);
	swim_join(gossip_swim(p->g), &s->peers[0].addr, s->now_ms);
	put(s, 2, "k", "new");
	want = "new";
	ASSERT_TRUE(visible(s, 3000));
	/* and stays when the old name is given up */
	run(s, 60000, NULL);
	ASSERT_TRUE(all_have(s));
	ASSERT_TRUE(all_see_all(s));
	sim_free(s);
}

TEST(a_partition_heals)
{
	struct sim *s = sim_new(12, 6);

	join_all(s);
	ASSERT_TRUE(run(s, 5000, all_see_all));
	for (size_t i = 0; i < s->n; i++)
		s->peers[i].side = i % 3 == 0;
	put(s, 0, "left", "x");
	put(s, 1, "right", "y");
	run(s, 2000, NULL);
	s->cut = true;
	ASSERT_TRUE(run(s, 60000, all_see_all));
	put(s, 0, "left", "x2");
	put(s, 1, "k", "during");
	run(s, 3000, NULL);
	ASSERT_TRUE(has(s, 3, "left", "x2"));
	ASSERT_TRUE(has(s, 1, "left", NULL));
	s->cut = false;
	ASSERT_TRUE(run(s, 30000, all_see_all));
	want_key = "left", want = "x2";
	ASSERT_TRUE(visible(s, 60000));
	want_key = "k", want = "during";
	ASSERT_TRUE(visible(s, 60000));
	sim_free(s);
}

TEST(good_bye)
{
	struct sim *s = sim_new(5, 7);

	join_all(s);
	put(s, 4, "k", "v");
	want_key = "k", want = "v";
	ASSERT_TRUE(visible(s, 2000));
	netdb_bye(gossip_netdb(s->peers[4].g), s->now_ms);
	swim_leave(gossip_swim(s->peers[4].g), s->now_ms);
	set_timer(&s->peers[4]);
	run(s, 1500, NULL);
	s->peers[4].down = true;
	ASSERT_TRUE(all_see_all(s));
	want = NULL;
	ASSERT_TRUE(all_have(s));
	sim_free(s);
}

TEST_HARNESS_MAIN
