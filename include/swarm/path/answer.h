/* SPDX-License-Identifier: GPL-2.0-only */
/* Packets that are turned around and sent back: ARP, echo, "fragmentation needed". */
#pragma once

#include "swarm/path/rewrite.h"
#include "swarm/path/verdict.h"

struct arp {
	__be16 hrd, pro;
	__u8 hln, pln;
	__be16 op;
	__u8 sha[6];
	__be32 spa;
	__u8 tha[6];
	__be32 tpa;
} __attribute__((packed));

/*
 * Back to where it came from. The loopback has no other side: what comes from there goes in there,
 * with its MACs, all zero.
 */
INLINE struct verdict turn_around(struct sk_buff *skb, __u32 lo_ifindex)
{
	__u8 mac[12], back[12];

	if (buf_load(skb, 0, mac, 12))
		return DROP(MALFORMED);
	__builtin_memcpy(back, mac + 6, 6);
	__builtin_memcpy(back + 6, mac, 6);
	if (buf_store(skb, 0, back, 12))
		return DROP(REWRITE);
	if (buf_ifindex(skb) == lo_ifindex)
		return VERDICT(ANSWERED, send_in(skb, lo_ifindex));
	return VERDICT(ANSWERED, send_out(skb, buf_ifindex(skb)));
}

INLINE struct verdict answer_arp(struct sk_buff *skb, const struct sw_link *link)
{
	struct sw_endpoint_key k = {.vni = link->vni};
	struct sw_endpoint *e;
	struct arp a;

	if (buf_load(skb, ETH_HLEN, &a, sizeof(a)))
		return DROP(MALFORMED);
	if (a.op != sw_htons(1) || a.hrd != sw_htons(1) || a.pro != sw_htons(ETH_P_IP) ||
	    a.hln != 6 || a.pln != 4)
		return DROP(PROTOCOL);
	if (a.spa && a.spa != link->addr.w[3])
		return DROP(SPOOFED);
	if (a.tpa == link->addr.w[3])
		return DROP(NO_ENDPOINT);
	sw_addr_set4(&k.addr, a.tpa);
	e = find_endpoint(skb, &k);
	if (!e)
		return DROP(NO_ENDPOINT);
	__builtin_memcpy(a.tha, a.sha, 6);
	__builtin_memcpy(a.sha, e->mac, 6);
	a.tpa = a.spa;
	a.spa = k.addr.w[3];
	a.op = sw_htons(2);
	if (buf_store(skb, ETH_HLEN, &a, sizeof(a)) || buf_store(skb, 0, a.sha, 6))
		return DROP(REWRITE);
	return turn_around(skb, 0);
}

/* Gateways and VIPs answer themselves: there is nobody behind them who would. */
INLINE struct verdict answer_echo(struct sk_buff *skb, struct pkt *p)
{
	struct target t = {.saddr = p->daddr, .daddr = p->saddr};
	const __be16 old = sw_htons(ICMP_ECHO << 8), to = sw_htons(ICMP_ECHOREPLY << 8);
	__u32 icmp = l4_offset(p), diff = sw_csum_diff16(0, old, to);

	if (rewrite(skb, p, &t) || buf_csum_l4(skb, icmp + CSUM_OFFSET_ICMP, diff, 0) ||
	    buf_store(skb, icmp, &to, 2))
		return DROP(REWRITE);
	return turn_around(skb, 0);
}

#define PTB_EMBEDDED 40 /* IP header and as much of the transport's as a pending checksum needs */

/*
 * "Fragmentation needed" to the sender, from addr (RFC 1191). Without it, connections whose
 * packets do not fit would hang.
 */
INLINE struct verdict answer_too_big(struct sk_buff *skb, struct pkt *p, __u32 mtu, __be32 addr,
				     __u32 lo_ifindex)
{
	struct {
		struct iphdr ip;
		struct icmp_head icmp;
	} h = {};
	__be32 embedded[PTB_EMBEDDED / 4];
	__u32 sum;

	if (p->ihl != sizeof(struct iphdr) || p->flags & (PKT_ICMP_ERROR | PKT_LATER_FRAGMENT) ||
	    mtu < 68 || !addr)
		return DROP(TOO_BIG);
	if (buf_cut(skb, L3 + PTB_EMBEDDED) || buf_load(skb, L3, embedded, sizeof(embedded)) ||
	    buf_insert(skb, sizeof(h)))
		return DROP(TOO_BIG);
	h.ip.version = 4;
	h.ip.ihl = 5;
	h.ip.tot_len = sw_htons(sizeof(h) + PTB_EMBEDDED);
	h.ip.ttl = 64;
	h.ip.protocol = IPPROTO_ICMP;
	h.ip.saddr = addr;
	h.ip.daddr = p->saddr;
	sum = sw_csum_block(0, &h.ip, sizeof(h.ip));
	h.ip.check = (SW_FORCE __sum16)sw_csum_fold(sum);
	h.icmp.type = ICMP_DEST_UNREACH;
	h.icmp.code = ICMP_FRAG_NEEDED;
	h.icmp.mtu = sw_htons(mtu);
	sum = sw_csum_block(0, &h.icmp, sizeof(h.icmp));
	sum = sw_csum_block(sum, embedded, sizeof(embedded));
	h.icmp.check = (SW_FORCE __sum16)sw_csum_fold(sum);
	if (buf_store(skb, L3, &h, sizeof(h)))
		return DROP(REWRITE);
	return turn_around(skb, lo_ifindex);
}
