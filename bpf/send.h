/* SPDX-License-Identifier: GPL-2.0-only */
/* The ways out: to a container of this node, to another node, to a client, to this node. */
#pragma once

#include "answer.h"

#define AF_INET 2
#define PACKET_HOST 0

INLINE struct sw_endpoint *endpoint4(__u32 vni, __be32 addr)
{
	struct sw_endpoint_key k = {.vni = vni};

	sw_addr_set4(&k.addr, addr);
	return bpf_map_lookup_elem(&endpoints, &k);
}

/* This node's address in a network, for clients that cannot appear as themselves. */
INLINE __be32 self_address(__u32 vni)
{
	struct sw_network *n = bpf_map_lookup_elem(&networks, &vni);

	if (!n)
		return 0;
	return sw_addr_is_set(&n->node_addr) ? n->node_addr.w[3] : n->gateway.w[3];
}

/*
 * Into the container's namespace at once, without a queue. What comes from the loopback has the
 * node's route attached and goes through the veth, which takes it off.
 */
INLINE struct verdict to_container(struct __sk_buff *skb, const struct sw_endpoint *e,
				   __u32 lo_ifindex)
{
	if (bpf_skb_store_bytes(skb, 0, e->mac, 6, 0))
		return DROP(REWRITE);
	if (skb->ifindex == lo_ifindex)
		return VERDICT(LOCAL, bpf_redirect(e->ifindex, 0));
	if (skb->pkt_type != PACKET_HOST)
		bpf_skb_change_type(skb, PACKET_HOST);
	return VERDICT(LOCAL, bpf_redirect_peer(e->ifindex, 0));
}

/* Where the node would route a packet of len bytes. Returns BPF_FIB_LKUP_RET_* or less than 0. */
INLINE int route(struct __sk_buff *skb, struct bpf_fib_lookup *fib, __be32 saddr, __be32 daddr,
		 __u16 len)
{
	__builtin_memset(fib, 0, sizeof(*fib));
	fib->family = AF_INET;
	fib->ifindex = skb->ifindex;
	fib->ipv4_src = saddr;
	fib->ipv4_dst = daddr;
	fib->tot_len = len;
	return bpf_fib_lookup(skb, fib, sizeof(*fib), 0);
}

/* Along a route that was found; with its MACs, or by asking for the neighbour's. */
INLINE int transmit(struct __sk_buff *skb, const struct bpf_fib_lookup *fib, int found)
{
	struct bpf_redir_neigh nh = {.nh_family = AF_INET, .ipv4_nh = fib->ipv4_dst};
	__u8 mac[12];

	if (found == BPF_FIB_LKUP_RET_NO_NEIGH)
		return bpf_redirect_neigh(fib->ifindex, &nh, sizeof(nh), 0);
	__builtin_memcpy(mac, fib->dmac, 6);
	__builtin_memcpy(mac + 6, fib->smac, 6);
	if (bpf_skb_store_bytes(skb, 0, mac, 12, 0))
		return TC_ACT_SHOT;
	return bpf_redirect(fib->ifindex, 0);
}

/* Who is on both ends of the tunnel, and whose names are on the frame inside. */
struct tunnel {
	__u32 vni;
	__be32 node;
	__u8 dst[6], src[6];
};

#define ENCAP_FLAGS                                                                                \
	(BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |                              \
	 BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |                         \
	 BPF_F_ADJ_ROOM_FIXED_GSO)

/*
 * error_addr: in whose name the sender is told that the packet is too big; 0: this node's address in
 * the network.
 */
INLINE struct verdict to_node(struct __sk_buff *skb, struct pkt *p, const struct sw_settings *set,
			      const struct tunnel *t, __be32 error_addr)
{
	struct bpf_fib_lookup fib;
	struct sw_encap e;
	__be32 vtep = set->vtep.w[3];
	__u32 len = skb->len - L3;
	int found;

	if (!vtep)
		return DROP(NO_ROUTE);
	found = route(skb, &fib, vtep, t->node, p->len + SW_ENCAP_SIZE);
	if (found == BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return answer_too_big(skb, p, fib.mtu_result - SW_ENCAP_SIZE,
				      error_addr ? error_addr : self_address(t->vni),
				      set->lo_ifindex);
	if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH)
		return DROP(NO_ROUTE);
	if (bpf_skb_adjust_room(skb, SW_ENCAP_SIZE, BPF_ADJ_ROOM_MAC, ENCAP_FLAGS))
		return DROP(REWRITE);
	sw_encap_fill(&e, vtep, t->node, set->vxlan_port, t->vni, len, p->tos,
		      sw_hash_flow(&p->key));
	__builtin_memcpy(e.inner.dst, t->dst, 6);
	__builtin_memcpy(e.inner.src, t->src, 6);
	if (bpf_skb_store_bytes(skb, L3, &e, sizeof(e), BPF_F_RECOMPUTE_CSUM))
		return DROP(REWRITE);
	return VERDICT(REMOTE, transmit(skb, &fib, found));
}

/* To a process of this node: in by the loopback, which has no MAC. */
INLINE struct verdict to_host(struct __sk_buff *skb, const struct sw_settings *set)
{
	__u8 none[12] = {};

	if (bpf_skb_store_bytes(skb, 0, none, 12, 0))
		return DROP(REWRITE);
	return VERDICT(HOST, bpf_redirect(set->lo_ifindex, BPF_F_INGRESS));
}

/*
 * To the packet's destination outside of all networks, wherever the node routes that. vni: the
 * sender's network; 0: it is on another node, and is not told what is too big.
 */
INLINE struct verdict to_client(struct __sk_buff *skb, struct pkt *p, const struct sw_settings *set,
				__u32 vni)
{
	struct bpf_fib_lookup fib;
	int found = route(skb, &fib, p->saddr, p->daddr, p->len);

	if (found == BPF_FIB_LKUP_RET_NOT_FWDED)
		return to_host(skb, set);
	if (found == BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return answer_too_big(skb, p, fib.mtu_result, vni ? self_address(vni) : 0,
				      set->lo_ifindex);
	if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH)
		return DROP(NO_ROUTE);
	return VERDICT(CLIENT, transmit(skb, &fib, found));
}
