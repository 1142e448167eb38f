/* SPDX-License-Identifier: GPL-2.0-only */
/* The ways out: to a container of this node, to another node, to a client, to this node. */
#pragma once

#include "swarm/hash.h"
#include "swarm/path/answer.h"

INLINE struct sw_endpoint *endpoint4(const struct sk_buff *skb, __u32 vni, __be32 addr)
{
	struct sw_endpoint_key k = {.vni = vni};

	sw_addr_set4(&k.addr, addr);
	return find_endpoint(skb, &k);
}

/* This node's address in a network, for clients that cannot appear as themselves. */
INLINE __be32 self_address(const struct sk_buff *skb, __u32 vni)
{
	struct sw_network *n = find_network(skb, vni);

	if (!n)
		return 0;
	return sw_addr_is_set(&n->node_addr) ? n->node_addr.w[3] : n->gateway.w[3];
}

/*
 * Into the container's namespace at once, without a queue. What comes from the loopback has the
 * node's route attached and goes through the veth, which takes it off.
 */
INLINE struct verdict to_container(struct sk_buff *skb, const struct sw_endpoint *e,
				   __u32 lo_ifindex)
{
	if (buf_store(skb, 0, e->mac, 6))
		return DROP(REWRITE);
	if (buf_ifindex(skb) == lo_ifindex)
		return VERDICT(LOCAL, send_out(skb, e->ifindex));
	if (skb->pkt_type != PACKET_HOST)
		buf_for_host(skb);
	return VERDICT(LOCAL, send_peer(skb, e->ifindex));
}

/* Who is on both ends of the tunnel, and whose names are on the frame inside. */
struct tunnel {
	__u32 vni;
	__be32 node;
	__u8 dst[6], src[6];
};

/*
 * error_addr: in whose name the sender is told that the packet is too big; 0: this node's address in
 * the network.
 */
INLINE struct verdict to_vtep(struct sk_buff *skb, struct pkt *p, const struct sw_settings *set,
			      const struct tunnel *t, __be32 error_addr)
{
	struct sw_network *net = find_network(skb, t->vni);
	__be32 vtep = set->vtep.w[3];
	__u32 len = skb->len - L3, encrypted;
	struct route r;
	struct sw_encap e;
	int act;

	if (!net)
		return DROP(NO_NETWORK);
	if (!vtep)
		return DROP(NO_ROUTE);
	encrypted = net->flags & SW_NETWORK_ENCRYPTED;
	switch (find_route(skb, &r, vtep, t->node,
			   encrypted ? sw_esp_len(p->len) : p->len + SW_ENCAP_SIZE)) {
	case ROUTE_OUT:
		break;
	case ROUTE_TOO_BIG:
		return answer_too_big(
			skb, p, encrypted ? sw_esp_room(r.mtu) : r.mtu - SW_ENCAP_SIZE,
			error_addr ? error_addr : self_address(skb, t->vni), set->lo_ifindex);
	default:
		return DROP(NO_ROUTE);
	}
	sw_encap_fill(&e, vtep, t->node, set->vxlan_port, t->vni, len, p->tos,
		      sw_hash_flow(&p->key));
	__builtin_memcpy(e.inner.dst, t->dst, 6);
	__builtin_memcpy(e.inner.src, t->src, 6);
	if (encrypted) {
		act = send_esp(skb, set, &r, &e);
		return act == ACT_DROP ? DROP(NO_KEY) : VERDICT(REMOTE, act);
	}
	if (buf_encap(skb, &e))
		return DROP(REWRITE);
	return VERDICT(REMOTE, send_route(skb, &r));
}

/* To a process of this node: in by the loopback, which has no MAC. */
INLINE struct verdict to_host(struct sk_buff *skb, const struct sw_settings *set)
{
	__u8 none[12] = {};

	if (buf_store(skb, 0, none, 12))
		return DROP(REWRITE);
	return VERDICT(HOST, send_in(skb, set->lo_ifindex));
}

/*
 * To the packet's destination outside of all networks, wherever the node routes that. vni: the
 * sender's network; 0: it is on another node, and is not told what is too big.
 */
INLINE struct verdict to_client(struct sk_buff *skb, struct pkt *p, const struct sw_settings *set,
				__u32 vni)
{
	struct route r;

	switch (find_route(skb, &r, p->saddr, p->daddr, p->len)) {
	case ROUTE_OUT:
		return VERDICT(CLIENT, send_route(skb, &r));
	case ROUTE_LOCAL:
		return to_host(skb, set);
	case ROUTE_TOO_BIG:
		return answer_too_big(skb, p, r.mtu, vni ? self_address(skb, vni) : 0,
				      set->lo_ifindex);
	default:
		return DROP(NO_ROUTE);
	}
}
