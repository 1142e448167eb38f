/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The datapath of one network namespace: what shall be (tables, changed under the lock) and what
 * has been seen (flows, fragments, counts; changed by packets, without a lock).
 *
 * Keys and values are those of include/swarm/map.h. Readers are within rcu_read_lock(), as packets
 * are; a value is replaced by a new one and freed after a grace period, except that packets write
 * sw_endpoint.translated and the fields of flows in place.
 */
#pragma once

#include <linux/mutex.h>
#include <linux/rhashtable.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>

#include "swarm/drop.h"
#include "swarm/map.h"

struct sw_flows;
struct sw_net;

/* A balancing table of sw_lb.table: what the service was set with, and the slots by index. */
struct sw_table {
	struct rcu_head rcu;
	__u32 size; /* slots; 0: no backend takes new flows */
	__u32 n_backends;
	struct sw_backend *backends; /* n_backends, sorted */
	__u16 slots[]; /* indexes into backends */
};

struct sw_net {
	struct net *net;
	struct mutex lock; /* of all changes of settings and tables; packets never take it */
	struct sw_settings __rcu *settings; /* NULL: not set up, packets pass untouched */
	struct rhashtable networks, endpoints, peers, ports, links;
	struct xarray tables; /* struct sw_table by sw_lb.table */
	__u32 next_table, next_gen;
	struct sw_flows __rcu *flows;
	struct sw_flows __rcu *fragments;
	struct sw_count __percpu *counts; /* SW_REASON_COUNT */
	__u32 seq; /* of changes, for consistent dumps: genl_dump_check_consistent() */
};

/* Of a namespace; never NULL while the module is loaded. */
struct sw_net *sw_net_of(const struct net *net);

/*
 * Lookups, within rcu_read_lock(). NULL: none.
 */
struct sw_network *sw_network_find(struct sw_net *sn, __u32 vni);
struct sw_endpoint *sw_endpoint_find(struct sw_net *sn, const struct sw_endpoint_key *key);
struct sw_port *sw_port_find(struct sw_net *sn, const struct sw_port_key *key);
struct sw_link *sw_link_find(struct sw_net *sn, __u32 ifindex);
bool sw_peer_find(struct sw_net *sn, const struct sw_addr *vtep);
struct sw_table *sw_table_find(struct sw_net *sn, const struct sw_lb *lb);
