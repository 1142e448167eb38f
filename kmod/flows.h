/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What packets remember: flows, and the ports of fragmented packets. A table is a fixed array of
 * sets of SW_WAYS pointers; a key can be in any way of the one set that its hash chooses. There
 * are twice as many ways as entries, and no time-outs: an entry goes when its set is full, or when
 * the table is full and its set holds its share; first a flow that is over (FIN or RST was seen),
 * else the one that was unused for longest. So a quiet connection stays until room is needed.
 *
 * No lock: entries are published and taken out by cmpxchg and freed after a grace period. The
 * hash is seeded, so that nobody outside can choose flows that share a set.
 */
#pragma once

#include <linux/types.h>

#include "swarm/map.h"

#define SW_WAYS 16

struct sw_flows;

/* The memory of entries, for module init and exit. The exit waits for RCU. Process context. */
int sw_flows_cache_init(void);
void sw_flows_cache_exit(void);

enum sw_flows_kind {
	SW_FLOWS, /* struct sw_flow by struct sw_flow_key */
	SW_FRAGMENTS, /* struct sw_fragment by struct sw_fragment_key */
};

/*
 * A table for max entries (rounded up to a power of two; about 16 bytes each at once, and 150
 * with an entry). NULL: no memory. Process context.
 */
struct sw_flows *sw_flows_new(enum sw_flows_kind kind, __u32 max);
/* Frees the table with its entries; nobody may be able to find it any more. NULL is fine. */
void sw_flows_free(struct sw_flows *t);

/*
 * Within rcu_read_lock(), any context; the value stays until rcu_read_unlock() and may be changed
 * in place. NULL: none. A find is a use of the entry. t may be NULL.
 */
struct sw_flow *sw_flow_find(struct sw_flows *t, const struct sw_flow_key *key);
struct sw_fragment *sw_fragment_find(struct sw_flows *t, const struct sw_fragment_key *key);

/*
 * Insert or replace; with only_new -EEXIST when there is one with this key. Of several CPUs that
 * insert one key with only_new at the same time one gets 0, or none. -ENOMEM: no memory, or t is
 * NULL; -EBUSY: others changed the set all the time. Within rcu_read_lock(), any context.
 */
int sw_flow_put(struct sw_flows *t, const struct sw_flow_key *key, const struct sw_flow *flow,
		bool only_new);
int sw_fragment_put(struct sw_flows *t, const struct sw_fragment_key *key,
		    const struct sw_fragment *fragment);

/* How many entries there are, about. Any context. */
__u32 sw_flows_len(const struct sw_flows *t);

/*
 * Copy the first flow at or behind *cursor (at first 0) and set *cursor to where it is, or return
 * false; *unused_s: seconds since it was last used. Resumable like the sw_*_next() of config.h: a
 * flow that stays in its place throughout is visited once. Any context; t is kept by
 * rcu_read_lock() or the lock.
 */
bool sw_flow_next(struct sw_flows *t, __u64 *cursor, struct sw_flow_key *key, struct sw_flow *ret,
		  __u32 *unused_s);

/* Copy what to does not have, as far as there is room and memory. Process context, both kept. */
void sw_flows_copy(struct sw_flows *from, struct sw_flows *to);

#ifdef DEBUG
/* For self-tests: every entry is unused for longer by so many seconds. Nobody else uses t. */
void sw_flows_age(struct sw_flows *t, __u32 seconds);
#endif
