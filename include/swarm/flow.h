/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses, tuples and the rules that both datapaths share about them. Plain values, no skbs, no
 * maps, no libc: compiled by bpf, kmod and the agent alike.
 */
#pragma once

#include <linux/types.h>

#ifdef __CHECKER__
#define SW_FORCE __attribute__((force))
#else
#define SW_FORCE
#endif

/* In BPF each call costs stack, of which there are 512 bytes for all frames together. */
#ifdef __bpf__
#define SW_INLINE static inline __attribute__((always_inline))
#else
#define SW_INLINE static inline
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SW_BSWAP16(x) __builtin_bswap16(x)
#define SW_BSWAP32(x) __builtin_bswap32(x)
#else
#define SW_BSWAP16(x) (x)
#define SW_BSWAP32(x) (x)
#endif

SW_INLINE __be16 sw_htons(__u16 x)
{
	return (SW_FORCE __be16)SW_BSWAP16(x);
}

SW_INLINE __u16 sw_ntohs(__be16 x)
{
	return SW_BSWAP16((SW_FORCE __u16)x);
}

SW_INLINE __be32 sw_htonl(__u32 x)
{
	return (SW_FORCE __be32)SW_BSWAP32(x);
}

SW_INLINE __u32 sw_ntohl(__be32 x)
{
	return SW_BSWAP32((SW_FORCE __u32)x);
}

/* An address as keys and values have it: IPv6, or IPv4 mapped (::ffff:a.b.c.d). All zero: none. */
struct sw_addr {
	__be32 w[4];
};
_Static_assert(sizeof(struct sw_addr) == 16, "addresses are 16 bytes");

SW_INLINE void sw_addr_set4(struct sw_addr *a, __be32 ip4)
{
	a->w[0] = 0;
	a->w[1] = 0;
	a->w[2] = sw_htonl(0xffff);
	a->w[3] = ip4;
}

SW_INLINE int sw_addr_is4(const struct sw_addr *a)
{
	return !a->w[0] && !a->w[1] && a->w[2] == sw_htonl(0xffff);
}

SW_INLINE int sw_addr_eq(const struct sw_addr *a, const struct sw_addr *b)
{
	return a->w[0] == b->w[0] && a->w[1] == b->w[1] && a->w[2] == b->w[2] && a->w[3] == b->w[3];
}

SW_INLINE int sw_addr_is_set(const struct sw_addr *a)
{
	return a->w[0] || a->w[1] || a->w[2] || a->w[3];
}

/* 127.0.0.0/8 in host byte order. */
SW_INLINE int sw_is_loopback4(__be32 ip4)
{
	return sw_ntohl(ip4) >> 24 == 127;
}

/*
 * MACs name who a frame is for; the IPv4 address is in the last four bytes. SW_MAC_ADDR is what
 * SwarmKit gives endpoints (02:42). Between nodes, in ingress networks, the inner destination is
 * the backend's or the entry node's; SW_MAC_ENTRY as its second byte marks clients that only the
 * entry node can answer: its own processes, its bridges' containers, and rewritten addresses.
 */
#define SW_MAC_LOCAL 0x02
#define SW_MAC_ADDR 0x42
#define SW_MAC_ENTRY 0x43

SW_INLINE void sw_mac4(__u8 mac[6], __u8 kind, __be32 ip4)
{
	__u32 a = sw_ntohl(ip4);

	mac[0] = SW_MAC_LOCAL;
	mac[1] = kind;
	mac[2] = a >> 24;
	mac[3] = a >> 16;
	mac[4] = a >> 8;
	mac[5] = a;
}

/* The address that a MAC of sw_mac4() names, or 0. */
SW_INLINE __be32 sw_mac4_addr(const __u8 mac[6])
{
	if (mac[0] != SW_MAC_LOCAL || (mac[1] != SW_MAC_ADDR && mac[1] != SW_MAC_ENTRY))
		return 0;
	return sw_htonl((__u32)mac[2] << 24 | (__u32)mac[3] << 16 | (__u32)mac[4] << 8 | mac[5]);
}

enum sw_flow_dir {
	SW_FLOW_VIP = 1, /* {vni, client -> VIP}: becomes client -> backend */
	SW_FLOW_PUBLISHED, /* {0, client -> node}: as it came in at the entry node */
	SW_FLOW_REPLY, /* {vni, backend -> client}: becomes VIP or node -> client */
	SW_FLOW_REMAPPED, /* {vni, client -> node} at the backend's node: new client port */
};

/* ICMP echo has its identifier in both ports, ICMP errors the reversed embedded tuple. */
struct sw_flow_key {
	struct sw_addr src, dst;
	__be16 sport, dport;
	__u32 vni;
	__u8 proto;
	__u8 dir; /* enum sw_flow_dir */
	__u16 zero;
};
_Static_assert(sizeof(struct sw_flow_key) == 44, "no padding");

SW_INLINE void sw_flow_reverse(struct sw_flow_key *dst, const struct sw_flow_key *src)
{
	dst->src = src->dst;
	dst->dst = src->src;
	dst->sport = src->dport;
	dst->dport = src->sport;
	dst->vni = src->vni;
	dst->proto = src->proto;
	dst->dir = src->dir;
	dst->zero = 0;
}
