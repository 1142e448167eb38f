/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is put in front of a packet between nodes: outer IPv4, UDP, VXLAN and inner Ethernet
 * headers. The outer UDP checksum is 0, as VXLAN has it over IPv4. Source: RFC 7348, RFC 6935.
 */
#pragma once

#include "swarm/csum.h"

#define SW_VXLAN_PORT 4789
#define SW_VXLAN_FLAGS 0x08000000U /* "the VNI is valid", of the first word */

struct sw_vxlanhdr {
	__be32 flags;
	__be32 vni; /* upper 24 bits */
};

struct sw_ethhdr {
	__u8 dst[6], src[6];
	__be16 proto;
} __attribute__((packed));

/* All that lies between the outer Ethernet header and the inner IP header. */
struct sw_encap {
	/* IPv4 */
	__u8 version_ihl, tos;
	__be16 tot_len, id, frag_off;
	__u8 ttl, protocol;
	__u16 check;
	__be32 saddr, daddr;
	/* UDP */
	__be16 source, dest, len, udp_check;
	struct sw_vxlanhdr vxlan;
	struct sw_ethhdr inner;
} __attribute__((packed, aligned(2)));
_Static_assert(sizeof(struct sw_encap) == 50, "outer headers without Ethernet");

#define SW_ENCAP_SIZE 50

/* Spread over the dynamic ports, so that the underlay's ECMP and RSS see flows. */
SW_INLINE __be16 sw_vxlan_sport(__u32 hash)
{
	return sw_htons(0xc000 | (hash & 0x3fff));
}

/* len is that of the inner IP packet. The inner MACs stay to the caller. */
SW_INLINE void sw_encap_fill(struct sw_encap *e, __be32 saddr, __be32 daddr, __be16 dport,
			     __u32 vni, __u32 len, __u8 tos, __u32 hash)
{
	__u32 sum;

	e->version_ihl = 0x45;
	e->tos = tos;
	e->tot_len = sw_htons((__u16)(len + SW_ENCAP_SIZE));
	e->id = 0;
	e->frag_off = 0;
	e->ttl = 64;
	e->protocol = 17;
	e->check = 0;
	e->saddr = saddr;
	e->daddr = daddr;
	sum = 0x45 << 8 | tos;
	sum += (__u16)(len + SW_ENCAP_SIZE);
	sum += 64 << 8 | 17;
	sum += (sw_ntohl(saddr) >> 16) + (sw_ntohl(saddr) & 0xffff);
	sum += (sw_ntohl(daddr) >> 16) + (sw_ntohl(daddr) & 0xffff);
	e->check = (SW_FORCE __u16)sw_htons(sw_csum_fold(sum));
	e->source = sw_vxlan_sport(hash);
	e->dest = dport;
	e->len = sw_htons((__u16)(len + SW_ENCAP_SIZE - 20));
	e->udp_check = 0;
	e->vxlan.flags = sw_htonl(SW_VXLAN_FLAGS);
	e->vxlan.vni = sw_htonl(vni << 8);
	e->inner.proto = sw_htons(0x0800);
}
