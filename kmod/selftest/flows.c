// SPDX-License-Identifier: GPL-2.0-only
/* The flow table against an array that has a place for every key. */
#include <linux/cpu.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "flows.h"
#include "selftest.h"

static struct sw_flow_key key_of(u32 n)
{
	struct sw_flow_key k = {
		.sport = sw_htons(n & 0xffff),
		.dport = sw_htons(80),
		.vni = n >> 16,
		.proto = 6,
		.dir = SW_FLOW_PUBLISHED,
	};

	sw_addr_set4(&k.src, sw_htonl(0x0a000000 + n % 7));
	sw_addr_set4(&k.dst, sw_htonl(0xc0a80001));
	return k;
}

static u32 number_of(const struct sw_flow_key *k)
{
	return k->vni << 16 | sw_ntohs(k->sport);
}

static int put(struct sw_flows *t, u32 n, u32 gen, u32 state, bool only_new)
{
	struct sw_flow_key k = key_of(n);
	struct sw_flow f = {.gen = gen, .state = state};
	int rc;

	rcu_read_lock();
	rc = sw_flow_put(t, &k, &f, only_new);
	rcu_read_unlock();
	return rc;
}

/* The gen of a key's flow, 0 if there is none. */
static u32 gen_of(struct sw_flows *t, u32 n)
{
	struct sw_flow_key k = key_of(n);
	struct sw_flow *f;
	u32 gen;

	rcu_read_lock();
	f = sw_flow_find(t, &k);
	gen = f ? f->gen : 0;
	rcu_read_unlock();
	return gen;
}

#define MODEL_LEN 512

/* The dump has every flow of the model once, and no other. */
static bool dump_is(struct sw_flows *t, const u32 *model)
{
	u32 i, n, unused_s, found = 0, expected = 0;
	struct sw_flow_key k;
	struct sw_flow f;
	u64 cursor = 0;

	for (i = 0; i < MODEL_LEN; i++)
		expected += !!model[i];
	for (; sw_flow_next(t, &cursor, &k, &f, &unused_s); cursor++) {
		n = number_of(&k);
		if (!SW_EXPECT(n < MODEL_LEN && f.gen && f.gen == model[n]))
			return false;
		found++;
	}
	return SW_EXPECT(found == expected) && SW_EXPECT(sw_flows_len(t) == expected);
}

/* So large a table that no set is ever full. */
static bool is_like_model(void)
{
	struct sw_flows *t = sw_flows_new(SW_FLOWS, 4096), *copy = sw_flows_new(SW_FLOWS, 8192);
	u32 *model = kcalloc(MODEL_LEN, sizeof(*model), GFP_KERNEL);
	struct rnd_state rnd;
	bool passed = false;
	u32 step, n;
	int rc;

	prandom_seed_state(&rnd, 1);
	if (!t || !copy || !model)
		goto out;
	for (step = 1; step <= 20000; step++) {
		n = prandom_u32_state(&rnd) % MODEL_LEN;
		switch (prandom_u32_state(&rnd) % 4) {
		case 0:
			rc = put(t, n, step, 0, false);
			if (!SW_EXPECT(!rc))
				goto out;
			model[n] = step;
			break;
		case 1:
			rc = put(t, n, step, 0, true);
			if (!SW_EXPECT(rc == (model[n] ? -EEXIST : 0)))
				goto out;
			model[n] = model[n] ?: step;
			break;
		default:
			if (!SW_EXPECT(gen_of(t, n) == model[n]))
				goto out;
		}
	}
	passed = dump_is(t, model);
	sw_flows_copy(t, copy);
	passed &= dump_is(copy, model);
out:
	sw_flows_free(t);
	sw_flows_free(copy);
	kfree(model);
	return passed;
}

/* More flows than there is room for: the newest is always there, and each has its own value. */
static bool is_bounded(void)
{
	struct sw_flows *t = sw_flows_new(SW_FLOWS, 1024);
	bool passed = t;
	u32 n, gen;

	for (n = 0; passed && n < 20000; n++)
		passed = SW_EXPECT(!put(t, n, n + 1, 0, false)) && SW_EXPECT(gen_of(t, n) == n + 1);
	for (n = 0; passed && n < 20000; n++) {
		gen = gen_of(t, n);
		passed = SW_EXPECT(!gen || gen == n + 1);
	}
	/* every set has its share, and few have more */
	passed = passed && SW_EXPECT(sw_flows_len(t) >= 1024) && SW_EXPECT(sw_flows_len(t) < 1536);
	sw_flows_free(t);
	return passed;
}

/* Connections that are silent for a day stay while there are others that are over. */
static bool keeps_the_quiet(void)
{
	const u32 n_quiet = 64, first = 1000;
	struct sw_flows *t = sw_flows_new(SW_FLOWS, 1024);
	bool passed = t;
	u32 n;

	for (n = 0; passed && n < n_quiet; n++)
		passed = SW_EXPECT(!put(t, n, 1, 0, false));
	if (passed)
		sw_flows_age(t, 86400);
	for (n = first; passed && n < first + 4000; n++) {
		passed = SW_EXPECT(!put(t, n, 1, SW_FLOW_FIN, false));
		sw_flows_age(t, 20);
	}
	for (n = 0; passed && n < n_quiet; n++)
		passed = SW_EXPECT(gen_of(t, n) == 1);
	sw_flows_free(t);
	return passed;
}

/* Of flows that are not over those go that are not used. */
static bool keeps_the_used(void)
{
	const u32 n_used = 32, first = 1000;
	struct sw_flows *t = sw_flows_new(SW_FLOWS, 1024);
	bool passed = t;
	u32 n, used;

	for (n = 0; passed && n < n_used; n++)
		passed = SW_EXPECT(!put(t, n, 1, 0, false));
	for (n = first; passed && n < first + 8000; n++) {
		passed = SW_EXPECT(!put(t, n, 1, 0, false));
		if (n % 64)
			continue;
		sw_flows_age(t, 1);
		for (used = 0; passed && used < n_used; used++)
			passed = SW_EXPECT(gen_of(t, used) == 1);
	}
	sw_flows_free(t);
	return passed;
}

#define RACE_LEN 4096

struct race {
	struct sw_flows *t;
	atomic_t absent; /* CPUs that are yet to come */
	u32 winner[RACE_LEN]; /* 0: none, or gen of the first who says so */
	u32 count[RACE_LEN]; /* how often the dump has it */
	bool clash;
};

struct racer {
	struct work_struct work;
	struct race *race;
	u32 gen;
};

static void race(struct work_struct *work)
{
	struct racer *me = container_of(work, struct racer, work);
	struct race *r = me->race;
	u32 n;

	atomic_dec(&r->absent);
	while (atomic_read(&r->absent) > 0)
		cond_resched();
	for (n = 0; n < RACE_LEN; n++)
		if (!put(r->t, n, me->gen, 0, true) && cmpxchg(&r->winner[n], 0, me->gen))
			WRITE_ONCE(r->clash, true);
}

static void run_race(struct race *r, struct racer *racers)
{
	int cpu;

	cpus_read_lock();
	atomic_set(&r->absent, num_online_cpus());
	for_each_online_cpu(cpu) {
		racers[cpu].race = r;
		racers[cpu].gen = cpu + 1;
		INIT_WORK(&racers[cpu].work, race);
		schedule_work_on(cpu, &racers[cpu].work);
	}
	for_each_online_cpu(cpu)
		flush_work(&racers[cpu].work);
	cpus_read_unlock();
}

static bool one_winner(struct race *r)
{
	u32 n, won = 0;

	for (n = 0; n < RACE_LEN; n++) {
		won += !!r->winner[n];
		if (!SW_EXPECT(gen_of(r->t, n) == r->winner[n]))
			return false;
	}
	return SW_EXPECT(!r->clash) && SW_EXPECT(won > RACE_LEN / 2) &&
	       SW_EXPECT(sw_flows_len(r->t) == won);
}

static bool no_key_twice(struct race *r)
{
	struct sw_flow_key k;
	struct sw_flow f;
	u32 unused_s;
	u64 cursor = 0;

	for (; sw_flow_next(r->t, &cursor, &k, &f, &unused_s); cursor++) {
		if (!SW_EXPECT(!r->count[number_of(&k)]++))
			return false;
	}
	return true;
}

/* All CPUs insert the same keys: where there is room one at most wins each, and is found. */
static bool races_are_settled(u32 max, bool (*judge)(struct race *r))
{
	struct racer *racers = kcalloc(nr_cpu_ids, sizeof(*racers), GFP_KERNEL);
	struct race *r = kvzalloc(sizeof(*r), GFP_KERNEL);
	bool passed = false;

	if (r && racers) {
		r->t = sw_flows_new(SW_FLOWS, max);
		if (r->t) {
			run_race(r, racers);
			passed = judge(r);
		}
		sw_flows_free(r->t);
	}
	kfree(racers);
	kvfree(r);
	return passed;
}

bool sw_selftest_flows(void)
{
	bool passed = is_like_model();

	passed &= is_bounded();
	passed &= keeps_the_quiet();
	passed &= keeps_the_used();
	passed &= races_are_settled(RACE_LEN * 8, one_winner);
	passed &= races_are_settled(64, no_key_twice);
	return passed;
}
