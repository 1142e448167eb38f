/* SPDX-License-Identifier: GPL-2.0-only */
/* The packets' path on tc: include/swarm/path/platform.h with helpers and maps. */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "maps.h"

#define sk_buff __sk_buff
#define INLINE static __always_inline
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))

#define ACT_PASS TC_ACT_UNSPEC
#define ACT_DROP TC_ACT_SHOT

/* Headers that have these pull in libc's sockets, which have no BPF target. */
#define AF_INET 2
#define PACKET_HOST 0
#define IP_MF 0x2000
#define IP_OFFSET 0x1fff
/* Source: RFC 792. */
#define ICMP_ECHOREPLY 0
#define ICMP_DEST_UNREACH 3
#define ICMP_FRAG_NEEDED 4
#define ICMP_SOURCE_QUENCH 4
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12

#include "swarm/path/platform.h"

INLINE __u32 buf_ifindex(const struct sk_buff *skb)
{
	return skb->ifindex;
}

INLINE __u32 buf_gso_size(const struct sk_buff *skb)
{
	return skb->gso_size;
}

/*
 * Where size bytes of the packet can be read and written without a call, or NULL: they are paged.
 * What is behind an Ethernet header is aligned to words, or the CPU does not care. The verifier
 * wants the fields read by their offsets, hence the asm.
 */
INLINE __u8 *buf_at(const struct sk_buff *skb, __u32 off, __u32 size)
{
	__u8 *data;

	asm volatile("" : "+r"(skb));
	data = (__u8 *)(long)skb->data;
	if (off > 255 || data + off + size > (__u8 *)(long)skb->data_end)
		return NULL;
	return data + off;
}

INLINE int buf_load(const struct sk_buff *skb, __u32 off, void *to, __u32 size)
{
	const __u8 *at = buf_at(skb, off, size);

	if (!at)
		return bpf_skb_load_bytes(skb, off, to, size);
	if (off % 4 == ETH_HLEN % 4)
		__builtin_memcpy(to, __builtin_assume_aligned(at, 4), size);
	else
		__builtin_memcpy(to, __builtin_assume_aligned(at, 2), size);
	return 0;
}

INLINE int buf_store(struct sk_buff *skb, __u32 off, const void *from, __u32 size)
{
	__u8 *at = buf_at(skb, off, size);

	if (!at)
		return bpf_skb_store_bytes(skb, off, from, size, 0);
	if (off % 4 == ETH_HLEN % 4)
		__builtin_memcpy(__builtin_assume_aligned(at, 4), from, size);
	else
		__builtin_memcpy(__builtin_assume_aligned(at, 2), from, size);
	return 0;
}

INLINE void buf_for_host(struct sk_buff *skb)
{
	bpf_skb_change_type(skb, PACKET_HOST);
}

INLINE int buf_csum_l4(struct sk_buff *skb, __u32 off, __u32 diff, __u32 flags)
{
	return bpf_l4_csum_replace(skb, off, 0, diff,
				   (flags & CSUM_PSEUDO ? BPF_F_PSEUDO_HDR : 0) |
					   (flags & CSUM_UDP ? BPF_F_MARK_MANGLED_0 : 0));
}

INLINE int buf_cut(struct sk_buff *skb, __u32 len)
{
	return bpf_skb_change_tail(skb, len, 0);
}

INLINE int buf_insert(struct sk_buff *skb, __u32 size)
{
	return bpf_skb_adjust_room(skb, size, BPF_ADJ_ROOM_MAC, 0);
}

#define ENCAP_FLAGS                                                                                \
	(BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |                              \
	 BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |                         \
	 BPF_F_ADJ_ROOM_FIXED_GSO)

INLINE int buf_encap(struct sk_buff *skb, const struct sw_encap *e)
{
	if (bpf_skb_adjust_room(skb, SW_ENCAP_SIZE, BPF_ADJ_ROOM_MAC, ENCAP_FLAGS))
		return -1;
	return bpf_skb_store_bytes(skb, ETH_HLEN, e, sizeof(*e), BPF_F_RECOMPUTE_CSUM);
}

INLINE int buf_decap(struct sk_buff *skb)
{
	return bpf_skb_adjust_room(skb, -SW_ENCAP_SIZE, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
}

INLINE struct sw_network *find_network(const struct sk_buff *skb, __u32 vni)
{
	return bpf_map_lookup_elem(&networks, &vni);
}

INLINE struct sw_endpoint *find_endpoint(const struct sk_buff *skb,
					 const struct sw_endpoint_key *key)
{
	return bpf_map_lookup_elem(&endpoints, key);
}

INLINE struct sw_port *find_port(const struct sk_buff *skb, const struct sw_port_key *key)
{
	return bpf_map_lookup_elem(&ports, key);
}

INLINE struct sw_link *find_link(const struct sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;

	return bpf_map_lookup_elem(&links, &ifindex);
}

INLINE int is_peer(const struct sk_buff *skb, const struct sw_addr *vtep)
{
	return bpf_map_lookup_elem(&peers, vtep) != NULL;
}

INLINE struct sw_flow *find_flow(const struct sk_buff *skb, const struct sw_flow_key *key)
{
	return bpf_map_lookup_elem(&flows, key);
}

INLINE int put_flow(const struct sk_buff *skb, const struct sw_flow_key *key,
		    const struct sw_flow *flow, int only_new)
{
	return bpf_map_update_elem(&flows, key, flow, only_new ? BPF_NOEXIST : BPF_ANY) ? -1 : 0;
}

INLINE struct sw_fragment *find_fragment(const struct sk_buff *skb,
					 const struct sw_fragment_key *key)
{
	return bpf_map_lookup_elem(&fragments, key);
}

INLINE void put_fragment(const struct sk_buff *skb, const struct sw_fragment_key *key,
			 const struct sw_fragment *fragment)
{
	bpf_map_update_elem(&fragments, key, fragment, BPF_ANY);
}

/* The table may be replaced while we look: its old chunks stay. */
INLINE int lb_slot(const struct sk_buff *skb, const struct sw_lb *lb, __u32 slot,
		   struct sw_addr *ret)
{
	struct sw_chunk_key k = {.table = lb->table, .chunk = slot / SW_CHUNK};
	struct sw_chunk *c = bpf_map_lookup_elem(&chunks, &k);

	if (!c)
		return -1;
	*ret = c->slot[slot % SW_CHUNK];
	return 0;
}

INLINE __u32 now_s(void)
{
	return bpf_ktime_get_coarse_ns() / 1000000000;
}

INLINE void count(const struct sk_buff *skb, __u32 reason)
{
	struct sw_count *c = bpf_map_lookup_elem(&counts, &reason);

	if (c) {
		c->packets++;
		c->bytes += skb->len;
	}
}

INLINE struct sw_event *event_begin(const struct sk_buff *skb, const struct sw_settings *set,
				    __u32 kind, __u32 reason, const struct sw_flow_key *key)
{
	struct sw_event *e;
	__u32 zero = 0;
	__u64 *lost;

	if (!set || !(set->flags & SW_EVENTS))
		return NULL;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		lost = bpf_map_lookup_elem(&events_lost, &zero);
		if (lost)
			__sync_fetch_and_add(lost, 1);
		return NULL;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = kind;
	e->reason = reason;
	e->ifindex = skb->ifindex;
	e->len = skb->len;
	if (key)
		e->key = *key;
	return e;
}

INLINE void note_flow(const struct sk_buff *skb, const struct sw_settings *set,
		      const struct sw_flow_key *key, const struct sw_flow *flow)
{
	struct sw_event *e = event_begin(skb, set, SW_EVENT_FLOW, 0, key);

	if (!e)
		return;
	e->to_src = flow->src;
	e->to_dst = flow->dst;
	e->to_sport = flow->sport;
	e->to_dport = flow->dport;
	bpf_ringbuf_submit(e, 0);
}

INLINE void note_drop(const struct sk_buff *skb, const struct sw_settings *set,
		      const struct sw_flow_key *key, __u32 reason)
{
	struct sw_event *e = event_begin(skb, set, SW_EVENT_DROP, reason, key);

	if (e)
		bpf_ringbuf_submit(e, 0);
}

struct route {
	union {
		struct bpf_fib_lookup fib;
		struct bpf_tunnel_key key; /* of send_esp(): the stack is short */
	};
	__u32 mtu;
	int found; /* BPF_FIB_LKUP_RET_* */
};

INLINE int fib_lookup(struct sk_buff *skb, struct bpf_fib_lookup *fib, __be32 saddr, __be32 daddr,
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

INLINE enum route_result find_route(struct sk_buff *skb, struct route *ret, __be32 saddr,
				    __be32 daddr, __u16 len)
{
	ret->found = fib_lookup(skb, &ret->fib, saddr, daddr, len);
	switch (ret->found) {
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		return ROUTE_OUT;
	case BPF_FIB_LKUP_RET_NOT_FWDED:
		return ROUTE_LOCAL;
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		ret->mtu = ret->fib.mtu_result;
		return ROUTE_TOO_BIG;
	default:
		return ROUTE_NONE;
	}
}

INLINE int is_own_addr(struct sk_buff *skb, __be32 saddr, __be32 daddr)
{
	struct bpf_fib_lookup fib;
	int found = fib_lookup(skb, &fib, saddr, daddr, 0);

	return found == BPF_FIB_LKUP_RET_NOT_FWDED || found == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

INLINE int send_out(struct sk_buff *skb, __u32 ifindex)
{
	return bpf_redirect(ifindex, 0);
}

INLINE int send_in(struct sk_buff *skb, __u32 ifindex)
{
	return bpf_redirect(ifindex, BPF_F_INGRESS);
}

INLINE int send_peer(struct sk_buff *skb, __u32 ifindex)
{
	return bpf_redirect_peer(ifindex, 0);
}

/* With the MACs that were found, or by asking for the neighbour's. */
INLINE int send_route(struct sk_buff *skb, const struct route *r)
{
	struct bpf_redir_neigh nh = {.nh_family = AF_INET, .ipv4_nh = r->fib.ipv4_dst};
	__u8 mac[12];

	if (r->found == BPF_FIB_LKUP_RET_NO_NEIGH)
		return bpf_redirect_neigh(r->fib.ifindex, &nh, sizeof(nh), 0);
	__builtin_memcpy(mac, r->fib.dmac, 6);
	__builtin_memcpy(mac + 6, r->fib.smac, 6);
	if (buf_store(skb, 0, mac, 12))
		return TC_ACT_SHOT;
	return bpf_redirect(r->fib.ifindex, 0);
}

/* By way of the vxlan device, whose packets the policies see. */
INLINE int send_esp(struct sk_buff *skb, const struct sw_settings *set, struct route *r,
		    const struct sw_encap *e)
{
	struct bpf_tunnel_key *key = &r->key;

	__builtin_memset(key, 0, sizeof(*key));
	key->tunnel_id = sw_ntohl(e->vxlan.vni) >> 8;
	key->remote_ipv4 = sw_ntohl(e->daddr);
	key->local_ipv4 = sw_ntohl(e->saddr);
	key->tunnel_tos = e->tos;
	key->tunnel_ttl = e->ttl;
	if (bpf_skb_store_bytes(skb, 0, &e->inner, 2 * ETH_ALEN, 0) ||
	    bpf_skb_set_tunnel_key(skb, key, sizeof(*key), BPF_F_ZERO_CSUM_TX))
		return TC_ACT_SHOT;
	skb->mark = SW_ESP_MARK;
	return bpf_redirect(set->tunnel_ifindex, 0);
}
