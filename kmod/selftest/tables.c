// SPDX-License-Identifier: GPL-2.0-only
/* The shared rules, as the kernel's compiler has built them: what rules_test.c expects of them. */
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/slab.h>

#include "selftest.h"
#include "swarm/lb.h"

static bool hash_is_what_it_was(void)
{
	struct sw_flow_key k = {
		.sport = sw_htons(40000),
		.dport = sw_htons(80),
		.proto = 6,
		.vni = 5,
	};

	sw_addr_set4(&k.src, sw_htonl(0xc0000201));
	sw_addr_set4(&k.dst, sw_htonl(0xc6336401));
	return SW_EXPECT(sw_hash_flow(&k) == 37141122U);
}

/* n backends without the one numbered skip. */
static void fill(struct sw_lb_backend *b, u32 n, u32 skip, u16 *table, u32 size)
{
	u32 i, len = 0;

	for (i = 0; i < n; i++) {
		if (i == skip)
			continue;
		sw_addr_set4(&b[len].addr, sw_htonl(0x0a000100 + i));
		b[len++].weight = 1;
	}
	sw_lb_fill(b, len, table, size);
}

struct scratch {
	struct sw_lb_backend before[1024], after[1024];
	u16 table[SW_LB_SIZE_MAX], table2[SW_LB_SIZE_MAX];
	u32 share[1024];
};

static bool is_even(struct scratch *s, u32 n)
{
	u32 i, size = sw_lb_size(n);

	memset(s->share, 0, sizeof(s->share));
	fill(s->before, n, n, s->table, size);
	for (i = 0; i < size; i++) {
		if (!SW_EXPECT(s->table[i] < n))
			return false;
		s->share[s->table[i]]++;
	}
	for (i = 0; i < n; i++) {
		if (!SW_EXPECT(s->share[i] == size / n || s->share[i] == size / n + 1))
			return false;
	}
	return true;
}

static bool changes_little(struct scratch *s, u32 n)
{
	u32 i, size = sw_lb_size(n), gone = n / 2, moved = 0;

	fill(s->before, n, n, s->table, size);
	fill(s->after, n, gone, s->table2, size);
	for (i = 0; i < size; i++) {
		if (s->table[i] != gone &&
		    !sw_addr_eq(&s->before[s->table[i]].addr, &s->after[s->table2[i]].addr))
			moved++;
	}
	return SW_EXPECT(moved <= size / 6);
}

static bool weights_are_shares(struct scratch *s)
{
	static const u32 weights[] = {1, 2, 5}, expected[] = {128, 255, 638};
	u32 i;

	memset(s->share, 0, sizeof(s->share));
	fill(s->before, 3, 3, s->table, SW_LB_SIZE_MIN);
	for (i = 0; i < 3; i++)
		s->before[i].weight = weights[i];
	sw_lb_fill(s->before, 3, s->table, SW_LB_SIZE_MIN);
	for (i = 0; i < SW_LB_SIZE_MIN; i++)
		s->share[s->table[i]]++;
	for (i = 0; i < 3; i++) {
		if (!SW_EXPECT(abs((int)s->share[i] - (int)expected[i]) <= 4))
			return false;
	}
	return true;
}

bool sw_selftest_tables(void)
{
	static const u32 counts[] = {1, 2, 3, 16, 50, 200, 1024};
	struct scratch *s = kvzalloc(sizeof(*s), GFP_KERNEL);
	bool passed = hash_is_what_it_was();
	u32 i;

	if (!s)
		return false;
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		passed &= is_even(s, counts[i]);
		if (counts[i] > 1)
			passed &= changes_little(s, counts[i]);
	}
	passed &= weights_are_shares(s);
	kvfree(s);
	return passed;
}
