/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packets' path on sk_buffs: include/swarm/path/platform.h. For packet.c only. While a packet
 * is on the path its data begins at the Ethernet header, it is not shared, skb->csum (where it is
 * CHECKSUM_COMPLETE) covers what is behind that header, and skb->cb leads to a struct passage.
 */
#pragma once

#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <linux/timekeeping.h>
#include <linux/udp.h>
#include <net/checksum.h>
#include <net/dst.h>
#include <net/ip.h>
#include <net/ip_tunnels.h>
#include <net/route.h>

#include "events.h"
#include "flows.h"
#include "state.h"

#define INLINE static inline

enum act {
	ACT_PASS,
	ACT_DROP,
	ACT_OUT, /* by the link passage.ifindex */
	ACT_IN,
	ACT_PEER,
	ACT_ROUTE, /* along passage.rt */
	ACT_ESP, /* along passage.rt, by what xfrm has put into it */
};

/* What is known of a packet while it is on the path, and decided for when it has left it. */
struct passage {
	struct sw_net *sn;
	const struct sw_settings *set; /* may be NULL */
	struct rtable *rt; /* of the last find_route() or send_esp(), with a reference; or NULL */
	__u32 ifindex; /* where to; see enum act */
};

struct route {
	__u32 mtu;
};

#include "swarm/path/platform.h"

INLINE struct passage *passage_of(const struct sk_buff *skb)
{
	return *(struct passage *const *)skb->cb;
}

INLINE struct sw_net *net_of(const struct sk_buff *skb)
{
	return passage_of(skb)->sn;
}

INLINE __u32 buf_ifindex(const struct sk_buff *skb)
{
	return skb->dev->ifindex;
}

INLINE __u32 buf_gso_size(const struct sk_buff *skb)
{
	return skb_shinfo(skb)->gso_size;
}

INLINE int buf_load(const struct sk_buff *skb, __u32 off, void *to, __u32 size)
{
	if (likely(off + size <= skb_headlen(skb))) {
		memcpy(to, skb->data + off, size);
		return 0;
	}
	return skb_copy_bits(skb, off, to, size) ? -1 : 0;
}

INLINE int buf_store(struct sk_buff *skb, __u32 off, const void *from, __u32 size)
{
	if (skb_ensure_writable(skb, off + size))
		return -1;
	memcpy(skb->data + off, from, size);
	return 0;
}

INLINE void buf_for_host(struct sk_buff *skb)
{
	skb->pkt_type = PACKET_HOST;
}

/* inet_proto_csum_replace_by_diff(), whose arguments are not the same in all versions. */
INLINE int buf_csum_l4(struct sk_buff *skb, __u32 off, __u32 diff, __u32 flags)
{
	__wsum d = (__force __wsum)diff;
	__sum16 *sum;

	if (skb_ensure_writable(skb, off + sizeof(*sum)))
		return -1;
	sum = (__sum16 *)(skb->data + off);
	if (flags & CSUM_UDP && !*sum)
		return 0;
	if (skb->ip_summed != CHECKSUM_PARTIAL) {
		csum_replace_by_diff(sum, d);
		if (skb->ip_summed == CHECKSUM_COMPLETE && flags & CSUM_PSEUDO)
			skb->csum = ~csum_sub(d, skb->csum);
	} else if (flags & CSUM_PSEUDO) {
		*sum = ~csum_fold(csum_add(d, csum_unfold(*sum)));
	}
	if (flags & CSUM_UDP && !*sum)
		*sum = CSUM_MANGLED_0;
	return 0;
}

INLINE struct sw_network *find_network(const struct sk_buff *skb, __u32 vni)
{
	return sw_network_find(net_of(skb), vni);
}

INLINE struct sw_endpoint *find_endpoint(const struct sk_buff *skb,
					 const struct sw_endpoint_key *key)
{
	return sw_endpoint_find(net_of(skb), key);
}

INLINE struct sw_port *find_port(const struct sk_buff *skb, const struct sw_port_key *key)
{
	return sw_port_find(net_of(skb), key);
}

INLINE struct sw_link *find_link(const struct sk_buff *skb)
{
	return sw_link_find(net_of(skb), skb->dev->ifindex);
}

INLINE int is_peer(const struct sk_buff *skb, const struct sw_addr *vtep)
{
	return !!sw_peer_find(net_of(skb), vtep);
}

INLINE struct sw_flow *find_flow(const struct sk_buff *skb, const struct sw_flow_key *key)
{
	return sw_flow_find(rcu_dereference(net_of(skb)->flows), key);
}

INLINE int put_flow(const struct sk_buff *skb, const struct sw_flow_key *key,
		    const struct sw_flow *flow, int only_new)
{
	return sw_flow_put(rcu_dereference(net_of(skb)->flows), key, flow, only_new) ? -1 : 0;
}

INLINE struct sw_fragment *find_fragment(const struct sk_buff *skb,
					 const struct sw_fragment_key *key)
{
	return sw_fragment_find(rcu_dereference(net_of(skb)->fragments), key);
}

INLINE void put_fragment(const struct sk_buff *skb, const struct sw_fragment_key *key,
			 const struct sw_fragment *fragment)
{
	sw_fragment_put(rcu_dereference(net_of(skb)->fragments), key, fragment);
}

INLINE int lb_slot(const struct sk_buff *skb, const struct sw_lb *lb, __u32 slot,
		   struct sw_addr *ret)
{
	return sw_table_slot(net_of(skb), lb, slot, ret) ? -1 : 0;
}

INLINE __u32 now_s(void)
{
	return ktime_get_seconds();
}

INLINE void count(const struct sk_buff *skb, __u32 reason)
{
	sw_count_add(net_of(skb), reason, skb->len);
}

INLINE void note_flow(const struct sk_buff *skb, const struct sw_settings *set,
		      const struct sw_flow_key *key, const struct sw_flow *flow)
{
	sw_event_flow(net_of(skb), key, flow);
}

INLINE void note_drop(const struct sk_buff *skb, const struct sw_settings *set,
		      const struct sw_flow_key *key, __u32 reason)
{
	sw_event_drop(net_of(skb), reason, skb->dev->ifindex, skb->len, key);
}

/* With a reference. NULL: there is none, or a kind that only dst_output() can go. */
INLINE struct rtable *ask_route(const struct sk_buff *skb, __be32 saddr, __be32 daddr)
{
	struct flowi4 fl4 = {
		.daddr = daddr,
		.saddr = saddr,
		.flowi4_flags = FLOWI_FLAG_ANYSRC,
	};
	struct rtable *rt = ip_route_output_key(net_of(skb)->net, &fl4);

	if (IS_ERR(rt))
		return NULL;
	if (rt->dst.lwtstate) {
		ip_rt_put(rt);
		return NULL;
	}
	return rt;
}

/* Of another node: once asked for, it is the peer's until it changes. */
INLINE struct rtable *peer_route(const struct sk_buff *skb, struct sw_peer *peer, __be32 saddr,
				 __be32 daddr)
{
	__be32 asked_for;
	struct rtable *rt = dst_cache_get_ip4(&peer->route, &asked_for);

	if (rt && asked_for == saddr)
		return rt;
	ip_rt_put(rt);
	rt = ask_route(skb, saddr, daddr);
	if (rt)
		dst_cache_set_ip4(&peer->route, &rt->dst, saddr);
	return rt;
}

INLINE enum route_result find_route(struct sk_buff *skb, struct route *ret, __be32 saddr,
				    __be32 daddr, __u16 len)
{
	struct passage *way = passage_of(skb);
	struct sw_peer *peer = NULL;
	struct sw_addr node;

	if (saddr == way->set->vtep.w[3]) {
		sw_addr_set4(&node, daddr);
		peer = sw_peer_find(way->sn, &node);
	}
	ip_rt_put(way->rt);
	way->rt = peer ? peer_route(skb, peer, saddr, daddr) : ask_route(skb, saddr, daddr);
	if (!way->rt)
		return ROUTE_NONE;
	if (way->rt->rt_type != RTN_UNICAST)
		return ROUTE_LOCAL;
	ret->mtu = dst_mtu(&way->rt->dst);
	return len > ret->mtu ? ROUTE_TOO_BIG : ROUTE_OUT;
}

INLINE int is_own_addr(struct sk_buff *skb, __be32 saddr, __be32 daddr)
{
	return inet_addr_type_dev_table(net_of(skb)->net, skb->dev, daddr) != RTN_UNICAST;
}

INLINE int send_out(struct sk_buff *skb, __u32 ifindex)
{
	passage_of(skb)->ifindex = ifindex;
	return ACT_OUT;
}

INLINE int send_in(struct sk_buff *skb, __u32 ifindex)
{
	passage_of(skb)->ifindex = ifindex;
	return ACT_IN;
}

INLINE int send_peer(struct sk_buff *skb, __u32 ifindex)
{
	passage_of(skb)->ifindex = ifindex;
	return ACT_PEER;
}

/* The last route that was found is the passage's. */
INLINE int send_route(struct sk_buff *skb, const struct route *r)
{
	return ACT_ROUTE;
}

#include "reshape.h"

/* The look-up with a protocol asks xfrm, too. A route that it has not changed is in the clear. */
INLINE int send_esp(struct sk_buff *skb, const struct sw_settings *set, struct route *r,
		    const struct sw_encap *e)
{
	struct passage *way = passage_of(skb);
	struct flowi4 fl4 = {
		.daddr = e->daddr,
		.saddr = e->saddr,
		.flowi4_mark = SW_ESP_MARK,
		.flowi4_proto = IPPROTO_UDP,
		.flowi4_flags = FLOWI_FLAG_ANYSRC,
		.fl4_sport = e->source,
		.fl4_dport = e->dest,
	};
	struct rtable *rt = ip_route_output_key(way->sn->net, &fl4);

	if (IS_ERR(rt))
		return ACT_DROP;
	ip_rt_put(way->rt);
	way->rt = rt;
	if (!dst_xfrm(&rt->dst) || buf_encap(skb, e))
		return ACT_DROP;
	skb->mark = SW_ESP_MARK;
	return ACT_ESP;
}
