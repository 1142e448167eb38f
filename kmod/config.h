/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Changes of a namespace's datapath (what agent/datapath/dp_impl.h asks of a back end), and
 * reading it back for dumps. netlink.c is the caller.
 *
 * Every change: process context, takes rtnl_lock (where hooks or the tunnel are touched) and
 * sw_net.lock itself, copies its arguments. It returns 1 when something was changed, 0 when
 * everything was so already: then neither values nor flows are touched, nor is sw_net.seq; or a
 * negative errno with a sentence in extack (which may be NULL) and everything as it was before,
 * unless said otherwise:
 *
 *	-EINVAL	arguments that do not make sense together
 *	-ENOSPC	a bound of state.h is reached
 *	-ENOMEM	no memory
 *	-ENODEV	no such link
 *	others	of sw_hook_set() and sw_tunnel_set()
 *
 * Attributes' ranges are netlink's policy to check: VNIs below 1 << 24, addresses set, MTUs, MACs,
 * weights at least 1, unused bytes of keys and values 0. Except for sw_settings_set(), changes
 * before the settings are set are fine: packets do not see them until then.
 *
 * sw_hook_set(), sw_hook_del() (hooks.h) and sw_tunnel_set() (tunnel.h; port 0: closed) are called
 * with rtnl_lock and sw_net.lock held, the former two while the link exists and for every link
 * that was set, also when its role changes.
 */
#pragma once

#include <linux/netlink.h>

#include "state.h"

/*
 * Set the node's settings. Of s only flags, vtep, vxlan_port and lo_was (kept for the agent) are
 * looked at; layout, lo_ifindex and program are the kernel's. flows_max and ports_max: 0 keeps
 * what is set, at first the defaults; flows_max below SW_FLOWS_MIN counts as that, greater ones
 * than the greatest are -EINVAL. Another flows_max makes a new table into which the flows are
 * moved, as far as there is room; ports_max below what is set already refuses new ones only.
 *
 * The first call makes the flow tables and hooks the loopback. The tunnel's socket is open on
 * vxlan_port while vtep is set.
 */
int sw_settings_set(struct sw_net *sn, const struct sw_settings *s, __u32 flows_max,
		    __u32 ports_max, struct netlink_ext_ack *extack);

/*
 * The network's gateway and node_addr become endpoints of kind SW_ENDPOINT_SELF, in place of what
 * has these addresses; former ones go. The deletion takes the own addresses along, but neither
 * endpoints nor services nor links: delete those before.
 */
int sw_network_set(struct sw_net *sn, __u32 vni, const struct sw_network *n,
		   struct netlink_ext_ack *extack);
int sw_network_del(struct sw_net *sn, __u32 vni, struct netlink_ext_ack *extack);

/*
 * A container. Of e only ifindex, node (remote ones), host_addr and mac are looked at. It gets a
 * new gen when there was none with this address, and keeps gen and translated when it is replaced;
 * so its flows end when it is deleted and not when it is set again. An address of the node itself
 * (SW_ENDPOINT_SELF) stays that, with 0 returned; a VIP is replaced.
 */
int sw_endpoint_set(struct sw_net *sn, const struct sw_endpoint_key *key,
		    const struct sw_endpoint *e, struct netlink_ext_ack *extack);
/* Deletes containers only. */
int sw_endpoint_del(struct sw_net *sn, const struct sw_endpoint_key *key,
		    struct netlink_ext_ack *extack);

int sw_peer_set(struct sw_net *sn, const struct sw_addr *vtep, struct netlink_ext_ack *extack);
int sw_peer_del(struct sw_net *sn, const struct sw_addr *vtep, struct netlink_ext_ack *extack);

/* A service VIP when proto is 0, else a published port. */
struct sw_service {
	__u32 vni; /* the backends' network */
	struct sw_addr vip; /* VIP */
	__be16 published, target; /* published port */
	__u8 proto; /* published port: IPPROTO_TCP or IPPROTO_UDP; VIP: 0 */
	__u32 n_backends;
	const struct sw_backend *backends; /* sorted by sw_lb_compare(), no address twice */
};

/*
 * Identity is {vni, vip} or {proto, published}. The balancing table is built here (up to some tens
 * of milliseconds for the largest) and replaces the former one at once; flows keep their backends.
 * A VIP replaces whatever has its address. Backends out of order are -EINVAL, more than
 * SW_SERVICE_BACKENDS_MAX -E2BIG.
 */
int sw_service_set(struct sw_net *sn, const struct sw_service *s, struct netlink_ext_ack *extack);
/* Only the identity is looked at. */
int sw_service_del(struct sw_net *sn, const struct sw_service *s, struct netlink_ext_ack *extack);

/*
 * A link of this namespace, hooked by sw_hook_set(). Of l role, vni and addr are looked at (the
 * latter two for SW_LINK_CONTAINER); flags are found out here: SW_LINK_INGRESS by the network,
 * which is to be set before, SW_LINK_BRIDGE by the device. SW_LINK_LOOPBACK is 0, and nothing is
 * done: sw_settings_set() does that. When the hook fails the link is deleted.
 */
int sw_link_set(struct sw_net *sn, __u32 ifindex, const struct sw_link *l,
		struct netlink_ext_ack *extack);
int sw_link_del(struct sw_net *sn, __u32 ifindex, struct netlink_ext_ack *extack);
/*
 * From the netdevice notifier (NETDEV_UNREGISTER), rtnl held: forget a link of any role and unhook
 * it with sw_hook_del(). Links that are not ours are fine.
 */
void sw_link_gone(struct sw_net *sn, __u32 ifindex);

/* Take away everything of the namespace, as if the module had just been loaded; counts stay. */
void sw_clear(struct sw_net *sn);

/*
 * Reading back. *cursor is 0 at first; each call finds the first element at or behind it, copies
 * it and sets *cursor to where it is, or returns false when there is none. The caller adds 1 to go
 * on, so a cursor kept in struct netlink_callback
 * resumes with an element that did not fit:
 *
 *	for (; sw_peer_next(sn, &cursor, &vtep); cursor++)
 *		if (put(skb, &vtep))
 *			break;
 *
 * What is there throughout is visited once, whatever changes meanwhile; whether something did is
 * told by sw_seq() for cb->seq. Any context. What is behind a pointer that was returned needs
 * rcu_read_lock() held around the call and the use.
 */
bool sw_network_next(struct sw_net *sn, __u64 *cursor, __u32 *vni, struct sw_network *ret);
/* Containers only. */
bool sw_endpoint_next(struct sw_net *sn, __u64 *cursor, struct sw_endpoint_key *key,
		      struct sw_endpoint *ret);
bool sw_peer_next(struct sw_net *sn, __u64 *cursor, struct sw_addr *ret);
/* VIPs, then published ports; ret->backends is within RCU. */
bool sw_service_next(struct sw_net *sn, __u64 *cursor, struct sw_service *ret);
/* With the loopback, role SW_LINK_LOOPBACK, as the first one. */
bool sw_link_next(struct sw_net *sn, __u64 *cursor, __u32 *ifindex, struct sw_link *ret);
/* false: not set up. */
bool sw_settings_get(struct sw_net *sn, struct sw_settings *ret, __u32 *flows_max,
		     __u32 *ports_max);
/* One of each by its identity, for "get" requests; the same rules. */
bool sw_service_get(struct sw_net *sn, const struct sw_service *identity, struct sw_service *ret);

static inline __u32 sw_seq(const struct sw_net *sn)
{
	return READ_ONCE(sn->seq);
}
