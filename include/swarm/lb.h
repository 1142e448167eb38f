/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Consistent hashing by Maglev's lookup table: equal sets of backends give equal tables on every
 * node, and a change of one backend moves few of the others' slots. The table is filled where the
 * service is set and read where packets are. Source: Eisenbud et al., "Maglev", NSDI 2016, §3.4.
 */
#pragma once

#include "swarm/hash.h"

/* Primes: the permutations of Maglev need them. */
#define SW_LB_SIZE_MIN 1021
#define SW_LB_SIZE_MID 4093
#define SW_LB_SIZE_MAX 16381

/* A table has about a hundred slots for each backend, so that shares differ by few percent. */
SW_INLINE __u32 sw_lb_size(__u32 n_backends)
{
	if (n_backends <= 16)
		return SW_LB_SIZE_MIN;
	return n_backends <= 64 ? SW_LB_SIZE_MID : SW_LB_SIZE_MAX;
}

struct sw_lb_backend {
	struct sw_addr addr;
	__u32 weight; /* at least 1 */
	/* scratch of sw_lb_fill() */
	__u32 next, skip, credit;
};

/* Order in which backends are handed to sw_lb_fill(): by address. <0, 0, >0. */
SW_INLINE int sw_lb_compare(const struct sw_addr *a, const struct sw_addr *b)
{
	int i;

	for (i = 0; i < 4; i++)
		if (a->w[i] != b->w[i])
			return sw_ntohl(a->w[i]) < sw_ntohl(b->w[i]) ? -1 : 1;
	return 0;
}

#define SW_LB_FREE 0xffff

/*
 * Fill table[size] with indexes into b[n], which is sorted by sw_lb_compare(). A backend takes a
 * turn whenever its credit, which grows by its weight each round, reaches the greatest weight.
 * n is at least 1 and below SW_LB_FREE, size is one of the primes above and at least n.
 */
SW_INLINE void sw_lb_fill(struct sw_lb_backend *b, __u32 n, __u16 *table, __u32 size)
{
	__u32 i, filled = 0, most = 1;

	for (i = 0; i < size; i++)
		table[i] = SW_LB_FREE;
	for (i = 0; i < n; i++) {
		b[i].next = sw_hash_addr(&b[i].addr, 0x6d61676cU) % size;
		b[i].skip = sw_hash_addr(&b[i].addr, 0x65767331U) % (size - 1) + 1;
		b[i].credit = 0;
		if (b[i].weight > most)
			most = b[i].weight;
	}
	while (filled < size) {
		for (i = 0; i < n && filled < size; i++) {
			b[i].credit += b[i].weight ? b[i].weight : 1;
			if (b[i].credit < most)
				continue;
			b[i].credit -= most;
			while (table[b[i].next] != SW_LB_FREE)
				b[i].next = (b[i].next + b[i].skip) % size;
			table[b[i].next] = (__u16)i;
			filled++;
		}
	}
}
