/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The objects in the tables of struct sw_net, and what the files that implement config.h share.
 * Packets get pointers to the values within.
 */
#pragma once

#include <linux/lockdep.h>
#include <linux/slab.h>

#include "config.h"

/* What is set lasts: count it to whoever sets it. */
#define SW_GFP (GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

struct sw_network_obj {
	struct rcu_head rcu;
	struct sw_network v;
};

struct sw_endpoint_obj {
	struct rhash_head node;
	struct rcu_head rcu;
	struct sw_net *sn;
	__u32 id; /* in sw_net.endpoint_ids */
	struct sw_endpoint_key key;
	struct sw_endpoint v;
};

struct sw_port_obj {
	struct rcu_head rcu;
	struct sw_port v;
};

struct sw_link_obj {
	struct rcu_head rcu;
	struct sw_link v;
};

/* Marks of sw_net.endpoint_ids. */
#define SW_IS_CONTAINER XA_MARK_1
#define SW_IS_VIP XA_MARK_2

extern const struct rhashtable_params sw_endpoint_params, sw_peer_params;

static inline unsigned long sw_port_index(const struct sw_port_key *key)
{
	return (unsigned long)key->proto << 16 | sw_ntohs(key->port);
}

static inline struct sw_port_key sw_port_key_of(unsigned long index)
{
	return (struct sw_port_key){.port = sw_htons(index & 0xffff), .proto = index >> 16};
}

/* The functions below want sw_net.lock held. */

/* Something was changed: dumps that are under way are not of one moment. */
void sw_changed(struct sw_net *sn);

/* The object with this key, or NULL. */
struct sw_endpoint_obj *sw_endpoint_obj_of(struct sw_net *sn, const struct sw_endpoint_key *key);

/*
 * Insert or replace, whatever the kind of the former one is; a VIP's balancing table goes with it.
 * 0 or a negative errno, and nothing is changed then.
 */
int sw_endpoint_put(struct sw_net *sn, const struct sw_endpoint_key *key,
		    const struct sw_endpoint *v, struct netlink_ext_ack *extack);
/* Remove the address if it is of this kind; true: it was there. */
bool sw_endpoint_remove(struct sw_net *sn, const struct sw_endpoint_key *key, __u32 kind);

/* Free a balancing table as soon as no packet can know of it. lb->table may be 0. */
void sw_table_retire(struct sw_net *sn, const struct sw_lb *lb);

/* Take everything of a kind away. */
void sw_networks_clear(struct sw_net *sn);
void sw_endpoints_clear(struct sw_net *sn);
void sw_peers_clear(struct sw_net *sn);
void sw_ports_clear(struct sw_net *sn);
void sw_links_clear(struct sw_net *sn); /* rtnl held */

/* Forget the routes to the peers: this node's VTEP has changed. */
void sw_peers_reroute(struct sw_net *sn);
