/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs know of a packet. It is read once and copied: the packet itself may be paged,
 * shared or moved by what is done to it. The IP header is always behind one Ethernet header.
 */
#pragma once

#include "swarm/path/platform.h"

#define L3 ETH_HLEN

struct icmp_head {
	__u8 type, code;
	__sum16 check;
	__be16 unused, mtu;
};

enum pkt_flags {
	PKT_FIRST_FRAGMENT = 1 << 0,
	PKT_LATER_FRAGMENT = 1 << 1, /* without a transport header */
	PKT_PORTS = 1 << 2, /* key has the ports (or is of a protocol without) */
	PKT_ICMP_ERROR = 1 << 3,
	PKT_ECHO = 1 << 4,
	PKT_SYN = 1 << 5,
	PKT_FIN = 1 << 6,
	PKT_RST = 1 << 7,
};

struct pkt {
	/*
	 * The flow that the packet belongs to. For ICMP errors the reversed embedded tuple: the
	 * flow in whose direction the error travels.
	 */
	struct sw_flow_key key;
	__be32 saddr, daddr; /* of the packet itself */
	__be16 id;
	__u16 len; /* of the IP packet, or of one segment of it */
	__u8 proto, tos; /* of the packet itself */
	__u8 ihl; /* bytes */
	__u8 embedded_ihl;
	__u32 flags;
};

INLINE __u32 l4_offset(const struct pkt *p)
{
	return L3 + p->ihl;
}

INLINE void fragment_key(const struct pkt *p, struct sw_fragment_key *k)
{
	sw_addr_set4(&k->src, p->saddr);
	sw_addr_set4(&k->dst, p->daddr);
	k->vni = p->key.vni;
	k->id = p->id;
	k->proto = p->proto;
	k->zero = 0;
}

/* The first fragment's ports, for those that follow. */
INLINE void remember_fragment(const struct sk_buff *skb, const struct pkt *p)
{
	struct sw_fragment_key k;
	struct sw_fragment v = {.sport = p->key.sport, .dport = p->key.dport};

	if (!(p->flags & PKT_FIRST_FRAGMENT))
		return;
	fragment_key(p, &k);
	put_fragment(skb, &k, &v);
}

INLINE void recall_fragment(const struct sk_buff *skb, struct pkt *p)
{
	struct sw_fragment_key k;
	struct sw_fragment *v;

	fragment_key(p, &k);
	v = find_fragment(skb, &k);
	if (!v)
		return;
	p->key.sport = v->sport;
	p->key.dport = v->dport;
	p->flags |= PKT_PORTS;
}

/* The packet that an ICMP error is about. */
INLINE int parse_embedded(const struct sk_buff *skb, struct pkt *p)
{
	__u32 off = l4_offset(p) + sizeof(struct icmp_head);
	struct iphdr ip;
	__be16 port[2] = {0, 0};

	if (buf_load(skb, off, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return -1;
	p->embedded_ihl = ip.ihl * 4;
	p->key.proto = ip.protocol;
	sw_addr_set4(&p->key.src, ip.daddr);
	sw_addr_set4(&p->key.dst, ip.saddr);
	p->flags |= PKT_ICMP_ERROR | PKT_PORTS;
	if (ip.frag_off & sw_htons(IP_OFFSET))
		return 0;
	if (ip.protocol != IPPROTO_TCP && ip.protocol != IPPROTO_UDP && ip.protocol != IPPROTO_SCTP)
		return 0;
	if (buf_load(skb, off + p->embedded_ihl, port, sizeof(port)))
		return -1;
	p->key.sport = port[1];
	p->key.dport = port[0];
	return 0;
}

INLINE int parse_icmp(const struct sk_buff *skb, struct pkt *p)
{
	__u8 type;

	if (buf_load(skb, l4_offset(p), &type, 1))
		return -1;
	switch (type) {
	case ICMP_DEST_UNREACH:
	case ICMP_SOURCE_QUENCH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETERPROB:
		return parse_embedded(skb, p);
	case ICMP_ECHO:
		p->flags |= PKT_ECHO;
	}
	return 0;
}

INLINE int parse_l4(const struct sk_buff *skb, struct pkt *p)
{
	struct {
		__be16 sport, dport;
		__u32 seq, ack;
		__u8 doff, flags;
	} tcp;
	__u32 header = 8, gso_size = buf_gso_size(skb);

	if (p->proto == IPPROTO_ICMP) {
		p->flags |= PKT_PORTS;
		return parse_icmp(skb, p);
	}
	if (p->proto == IPPROTO_TCP) {
		if (buf_load(skb, l4_offset(p), &tcp, 14))
			return -1;
		header = (tcp.doff >> 4) * 4;
		if (tcp.flags & 0x01)
			p->flags |= PKT_FIN;
		if (tcp.flags & 0x04)
			p->flags |= PKT_RST;
		if ((tcp.flags & 0x12) == 0x02)
			p->flags |= PKT_SYN;
	} else if (p->proto == IPPROTO_UDP || p->proto == IPPROTO_SCTP) {
		if (buf_load(skb, l4_offset(p), &tcp, 4))
			return -1;
	} else {
		p->flags |= PKT_PORTS;
		return 0;
	}
	p->key.sport = tcp.sport;
	p->key.dport = tcp.dport;
	p->flags |= PKT_PORTS;
	if (gso_size)
		p->len = p->ihl + header + gso_size;
	return 0;
}

/* 0, or -1: malformed. vni is that of the network the packet is seen in, 0 outside of any. */
INLINE int parse_ip(const struct sk_buff *skb, struct pkt *p, __u32 vni)
{
	struct iphdr ip;
	__u16 frag;

	__builtin_memset(p, 0, sizeof(*p));
	if (buf_load(skb, L3, &ip, sizeof(ip)))
		return -1;
	p->ihl = ip.ihl * 4;
	p->len = sw_ntohs(ip.tot_len);
	if (ip.version != 4 || ip.ihl < 5)
		return -1;
	/* skbs of many segments may have no length in the header (BIG TCP) */
	if (!buf_gso_size(skb) && (p->len < p->ihl || p->len + L3 > skb->len))
		return -1;
	p->key.vni = vni;
	p->key.proto = p->proto = ip.protocol;
	p->tos = ip.tos;
	p->id = ip.id;
	p->saddr = ip.saddr;
	p->daddr = ip.daddr;
	sw_addr_set4(&p->key.src, ip.saddr);
	sw_addr_set4(&p->key.dst, ip.daddr);
	frag = sw_ntohs(ip.frag_off);
	if (frag & IP_OFFSET) {
		p->flags |= PKT_LATER_FRAGMENT;
		recall_fragment(skb, p);
		return 0;
	}
	if (frag & IP_MF)
		p->flags |= PKT_FIRST_FRAGMENT;
	return parse_l4(skb, p);
}
