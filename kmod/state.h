/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The datapath of one network namespace: what shall be (tables, changed by config.h under the
 * lock) and what has been seen (flows and fragments of flows.h, counts; changed by packets without
 * a lock).
 *
 * Keys and values are those of include/swarm/map.h. Packets look things up within rcu_read_lock()
 * and keep no pointer beyond it: a value that changes is replaced by a new one, the old one is
 * freed after a grace period. Packets write in place the field translated of endpoints, and flows.
 *
 * Locks, outer first: rtnl_lock, sw_net.lock. Packets take neither.
 */
#pragma once

#include <linux/mutex.h>
#include <linux/rhashtable.h>
#include <linux/xarray.h>
#include <net/dst_cache.h>
#include <net/net_namespace.h>

#include "swarm/drop.h"
#include "swarm/map.h"

struct sw_flows;
struct sw_tunnel;

/* Bounds of what can be set in one namespace; those of the BPF maps. */
#define SW_NETWORKS_MAX 4096
#define SW_ENDPOINTS_MAX 131072 /* with VIPs and own addresses */
#define SW_PEERS_MAX 8192
#define SW_LINKS_MAX 16384
#define SW_SERVICE_BACKENDS_MAX 1024 /* of one service */
#define SW_BACKENDS_MAX 131072 /* of all services together */
#define SW_SLOTS_MAX (65536 * SW_CHUNK) /* of all balancing tables together */
#define SW_PORTS_DEFAULT 512
#define SW_PORTS_MAX 65536 /* greatest settable bound */
#define SW_FLOWS_DEFAULT 131072
#define SW_FLOWS_MIN 1024
#define SW_FLOWS_MAX 4194304
#define SW_FRAGMENTS_MAX 2048

/* A balancing table, by sw_lb.table. Never changed; freed after a grace period. */
struct sw_table {
	struct rcu_head rcu;
	struct sw_net *sn;
	__u32 id;
	__u32 size; /* slots; 0: no backend takes new flows */
	__u32 n_backends;
	struct sw_backend *backends; /* n_backends, sorted by address; within this allocation */
	__u16 slots[]; /* indexes into backends */
};

/* Another node. Freed after a grace period, with dst_cache_destroy(). */
struct sw_peer {
	struct rhash_head node;
	struct rcu_head rcu;
	struct sw_addr vtep;
	__u32 id; /* of sw_net.peer_ids */
	struct dst_cache route; /* from this node's VTEP; reset when that changes */
};

/* How many there are of what is bounded. */
struct sw_usage {
	__u32 networks, endpoints, peers, ports, links;
	__u32 backends, slots;
};

struct sw_net {
	struct net *net;
	struct mutex lock; /* of all that follows up to flows */
	struct sw_settings __rcu *settings; /* NULL: not set up, packets pass untouched */
	__u32 flows_max, ports_max;
	struct xarray networks; /* by VNI */
	struct xarray links; /* by ifindex */
	struct xarray ports; /* by sw_port_index() */
	struct xarray tables; /* struct sw_table by sw_lb.table */
	struct rhashtable endpoints, peers;
	struct xarray endpoint_ids, peer_ids; /* the same objects in the order of dumps */
	struct sw_usage usage;
	__u32 next_gen;
	__u32 seq; /* raised by every change, never 0: genl_dump_check_consistent() */

	struct sw_flows __rcu *flows; /* both NULL together with settings */
	struct sw_flows __rcu *fragments;
	struct sw_counts __percpu *counts;

	struct hlist_head hooks; /* of hooks.c, under rtnl_lock */
	struct sw_tunnel *tunnel; /* of tunnel.c, under rtnl_lock; NULL: closed */
};

struct sw_counts {
	struct sw_count of[SW_REASON_COUNT]; /* by enum sw_reason */
};

/*
 * State of a namespace, which is not set up (settings NULL) until sw_settings_set(). Any context;
 * never NULL between sw_state_init() and the namespace's end, as long as packets and calls of the
 * namespace can be.
 */
struct sw_net *sw_net_of(const struct net *net);

/*
 * For module init and exit. sw_state_init() registers the namespaces' state (pernet subsystem) and
 * runs the self-tests of debug builds; 0 or a negative errno, after which nothing is left.
 * sw_state_exit() clears every namespace as sw_clear() does, which takes hooks and tunnels away,
 * and waits for all that RCU is to free: call it when nothing can call config.h any more (genl
 * family and notifiers unregistered). Process context, no locks held.
 */
int sw_state_init(void);
void sw_state_exit(void);

/*
 * Lookups, within rcu_read_lock(), any context. NULL: none. What is returned stays until
 * rcu_read_unlock().
 */
struct sw_network *sw_network_find(struct sw_net *sn, __u32 vni);
struct sw_endpoint *sw_endpoint_find(struct sw_net *sn, const struct sw_endpoint_key *key);
struct sw_port *sw_port_find(struct sw_net *sn, const struct sw_port_key *key);
struct sw_link *sw_link_find(struct sw_net *sn, __u32 ifindex);
struct sw_peer *sw_peer_find(struct sw_net *sn, const struct sw_addr *vtep);
/* As long as the endpoint or port whose lb this is (or was, in this critical section). */
struct sw_table *sw_table_find(struct sw_net *sn, const struct sw_lb *lb);
/* The address in a slot, slot < lb->size; 0, or -ENOENT: there is no such table or slot. */
int sw_table_slot(struct sw_net *sn, const struct sw_lb *lb, __u32 slot, struct sw_addr *ret);

/* Count a packet of size bytes. Any context with preemption disabled. */
static inline void sw_count_add(struct sw_net *sn, __u32 reason, __u32 size)
{
	__this_cpu_inc(sn->counts->of[reason].packets);
	__this_cpu_add(sn->counts->of[reason].bytes, size);
}

/* Sums over all CPUs since the namespace began, for SW_REASON_COUNT reasons. Any context. */
void sw_counts_read(struct sw_net *sn, struct sw_count *ret);
