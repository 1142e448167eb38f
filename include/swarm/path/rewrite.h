/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Changes of addresses and ports with their checksums. The platform knows what a checksum that is
 * still to be completed by the device needs, hence no own arithmetic on transport checksums.
 */
#pragma once

#include "swarm/path/parse.h"

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

INLINE void flow_to_target(struct sw_flow *f, const struct target *t)
{
	sw_addr_set4(&f->src, t->saddr);
	sw_addr_set4(&f->dst, t->daddr);
	f->sport = t->sport;
	f->dport = t->dport;
}

INLINE void target_of_flow(struct target *t, const struct sw_flow *f)
{
	t->saddr = f->src.w[3];
	t->daddr = f->dst.w[3];
	t->sport = f->sport;
	t->dport = f->dport;
}

#define CSUM_OFFSET_ICMP (__builtin_offsetof(struct icmp_head, check))

/* Both ports as they lie in a header. */
struct port_pair {
	__be16 sport, dport;
} __attribute__((aligned(4)));

INLINE __u32 diff_ports(const struct port_pair *old, const struct port_pair *to)
{
	return sw_csum_diff16(sw_csum_diff16(0, old->sport, to->sport), old->dport, to->dport);
}

/* Replace both addresses of the IP header at off. Returns the difference in *ret_diff. */
INLINE int rewrite_addresses(struct sk_buff *skb, __u32 off, const __be32 to[2], __u32 *ret_diff)
{
	struct {
		__u8 ttl, protocol;
		__u16 check;
		__be32 addr[2];
	} ip;

	off += __builtin_offsetof(struct iphdr, ttl);
	if (buf_load(skb, off, &ip, sizeof(ip)))
		return -1;
	*ret_diff = sw_csum_diff32(sw_csum_diff32(0, ip.addr[0], to[0]), ip.addr[1], to[1]);
	ip.check = sw_csum_update(ip.check, *ret_diff);
	ip.addr[0] = to[0];
	ip.addr[1] = to[1];
	return buf_store(skb, off, &ip, sizeof(ip));
}

/*
 * An error is about a packet of the opposite direction. Its own addresses are changed where they
 * are the flow's (a router's stays), and the embedded ones always. The embedded IP checksum moves
 * with its addresses, so only the ports count for the ICMP checksum.
 */
INLINE int rewrite_icmp_error(struct sk_buff *skb, struct pkt *p, const struct target *t)
{
	__u32 icmp = l4_offset(p), inner = icmp + sizeof(struct icmp_head), diff;
	__be32 to[2] = {p->saddr, p->daddr};
	struct port_pair old_ports = {p->key.dport, p->key.sport}, ports = {t->dport, t->sport};

	if (p->saddr == p->key.src.w[3])
		to[0] = t->saddr;
	if (p->daddr == p->key.dst.w[3])
		to[1] = t->daddr;
	if (rewrite_addresses(skb, L3, to, &diff))
		return -1;
	p->saddr = to[0];
	p->daddr = to[1];

	to[0] = t->daddr;
	to[1] = t->saddr;
	if (rewrite_addresses(skb, inner, to, &diff))
		return -1;
	if (old_ports.sport == ports.sport && old_ports.dport == ports.dport)
		return 0;
	diff = diff_ports(&old_ports, &ports);
	if (buf_store(skb, inner + p->embedded_ihl, &ports, 4))
		return -1;
	return buf_csum_l4(skb, icmp + CSUM_OFFSET_ICMP, diff, 0);
}

INLINE int rewrite_l4(struct sk_buff *skb, struct pkt *p, const struct target *t, __u32 diff)
{
	struct port_pair old = {p->key.sport, p->key.dport}, to = {t->sport, t->dport};
	__u32 l4 = l4_offset(p), off, flags = 0;

	if (p->proto == IPPROTO_TCP) {
		off = l4 + __builtin_offsetof(struct tcphdr, check);
	} else if (p->proto == IPPROTO_UDP) {
		off = l4 + __builtin_offsetof(struct udphdr, check);
		flags = CSUM_UDP;
	} else {
		return 0; /* SCTP's covers neither addresses nor, here, changed ports */
	}
	if (buf_csum_l4(skb, off, diff, flags | CSUM_PSEUDO))
		return -1;
	if (old.sport == to.sport && old.dport == to.dport)
		return 0;
	if (buf_csum_l4(skb, off, diff_ports(&old, &to), flags))
		return -1;
	return buf_store(skb, l4, &to, 4);
}

/* Afterwards p has the new addresses; its key is the flow's still. */
INLINE int rewrite(struct sk_buff *skb, struct pkt *p, const struct target *t)
{
	__be32 to[2] = {t->saddr, t->daddr};
	__u32 diff;

	if (p->flags & PKT_ICMP_ERROR)
		return rewrite_icmp_error(skb, p, t);
	if (rewrite_addresses(skb, L3, to, &diff))
		return -1;
	p->saddr = t->saddr;
	p->daddr = t->daddr;
	if (p->flags & PKT_LATER_FRAGMENT)
		return 0;
	return rewrite_l4(skb, p, t, diff);
}
