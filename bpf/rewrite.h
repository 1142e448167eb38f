/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Changes of addresses and ports with their checksums. The helpers know what a checksum that is
 * still to be completed by the device needs, hence no own arithmetic on transport checksums.
 */
#pragma once

#include "parse.h"

/* A packet's new source and destination. */
struct target {
	__be32 saddr, daddr;
	__be16 sport, dport;
};

INLINE void target_same(struct target *t, const struct pkt *p)
{
	t->saddr = p->key.src.w[3];
	t->daddr = p->key.dst.w[3];
	t->sport = p->key.sport;
	t->dport = p->key.dport;
}

INLINE void target_of_flow(struct target *t, const struct sw_flow *f)
{
	t->saddr = f->src.w[3];
	t->daddr = f->dst.w[3];
	t->sport = f->sport;
	t->dport = f->dport;
}

#define CSUM_OFFSET_IP (__builtin_offsetof(struct iphdr, check))
#define CSUM_OFFSET_ICMP (__builtin_offsetof(struct icmphdr, checksum))

/* Replace both addresses of the IP header at off. Returns the difference in *diff. */
INLINE int rewrite_addresses(struct __sk_buff *skb, __u32 off, const __be32 old[2],
			     const __be32 new[2], __s64 *diff)
{
	*diff = bpf_csum_diff((__be32 *)old, 8, (__be32 *)new, 8, 0);
	if (bpf_l3_csum_replace(skb, off + CSUM_OFFSET_IP, 0, *diff, 0))
		return -1;
	return bpf_skb_store_bytes(skb, off + __builtin_offsetof(struct iphdr, saddr), new, 8, 0);
}

/*
 * An error is about a packet of the opposite direction. Its own addresses are changed where they
 * are the flow's (a router's stays), and the embedded ones always. The embedded IP checksum moves
 * with its addresses, so only the ports count for the ICMP checksum.
 */
INLINE int rewrite_icmp_error(struct __sk_buff *skb, struct pkt *p, const struct target *t)
{
	__u32 icmp = l4_offset(p), inner = icmp + sizeof(struct icmphdr);
	__be32 old[2] = {p->saddr, p->daddr}, new[2] = {p->saddr, p->daddr};
	__be16 old_ports[2] = {p->key.dport, p->key.sport}, ports[2] = {t->dport, t->sport};
	__s64 diff;

	if (p->saddr == p->key.src.w[3])
		new[0] = t->saddr;
	if (p->daddr == p->key.dst.w[3])
		new[1] = t->daddr;
	if (rewrite_addresses(skb, L3, old, new, &diff))
		return -1;
	p->saddr = new[0];
	p->daddr = new[1];

	old[0] = p->key.dst.w[3];
	old[1] = p->key.src.w[3];
	new[0] = t->daddr;
	new[1] = t->saddr;
	if (rewrite_addresses(skb, inner, old, new, &diff))
		return -1;
	if (old_ports[0] == ports[0] && old_ports[1] == ports[1])
		return 0;
	diff = bpf_csum_diff((__be32 *)old_ports, 4, (__be32 *)ports, 4, 0);
	if (bpf_skb_store_bytes(skb, inner + p->embedded_ihl, ports, 4, 0))
		return -1;
	return bpf_l4_csum_replace(skb, icmp + CSUM_OFFSET_ICMP, 0, diff, 0);
}

INLINE int rewrite_l4(struct __sk_buff *skb, struct pkt *p, const struct target *t, __s64 diff)
{
	__be16 old[2] = {p->key.sport, p->key.dport}, new[2] = {t->sport, t->dport};
	__u32 l4 = l4_offset(p), off;
	__u64 flags = 0;

	if (p->proto == IPPROTO_TCP) {
		off = l4 + __builtin_offsetof(struct tcphdr, check);
	} else if (p->proto == IPPROTO_UDP) {
		off = l4 + __builtin_offsetof(struct udphdr, check);
		flags = BPF_F_MARK_MANGLED_0;
	} else {
		return 0; /* SCTP's covers neither addresses nor, here, changed ports */
	}
	if (bpf_l4_csum_replace(skb, off, 0, diff, flags | BPF_F_PSEUDO_HDR))
		return -1;
	if (old[0] == new[0] && old[1] == new[1])
		return 0;
	diff = bpf_csum_diff((__be32 *)old, 4, (__be32 *)new, 4, 0);
	if (bpf_l4_csum_replace(skb, off, 0, diff, flags))
		return -1;
	return bpf_skb_store_bytes(skb, l4, new, 4, 0);
}

/* Afterwards p has the new addresses; its key is the flow's still. */
INLINE int rewrite(struct __sk_buff *skb, struct pkt *p, const struct target *t)
{
	__be32 old[2] = {p->saddr, p->daddr}, new[2] = {t->saddr, t->daddr};
	__s64 diff;

	if (p->flags & PKT_ICMP_ERROR)
		return rewrite_icmp_error(skb, p, t);
	if (rewrite_addresses(skb, L3, old, new, &diff))
		return -1;
	p->saddr = t->saddr;
	p->daddr = t->daddr;
	if (p->flags & PKT_LATER_FRAGMENT)
		return 0;
	return rewrite_l4(skb, p, t, diff);
}
