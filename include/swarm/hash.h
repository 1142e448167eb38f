/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hash of flows and backends. It has to give the same on every node and in every version: a
 * client's packets that move to another node meet the same backend by it. The finalizer is that of
 * MurmurHash3 (Appleby, public domain).
 */
#pragma once

#include "swarm/flow.h"

SW_INLINE __u32 sw_mix(__u32 h, __u32 x)
{
	x *= 0xcc9e2d51U;
	x = x << 15 | x >> 17;
	h ^= x * 0x1b873593U;
	h = h << 13 | h >> 19;
	return h * 5 + 0xe6546b64U;
}

SW_INLINE __u32 sw_finish(__u32 h)
{
	h ^= h >> 16;
	h *= 0x85ebca6bU;
	h ^= h >> 13;
	h *= 0xc2b2ae35U;
	return h ^ h >> 16;
}

SW_INLINE __u32 sw_hash_addr(const struct sw_addr *a, __u32 seed)
{
	__u32 h = seed;

	h = sw_mix(h, sw_ntohl(a->w[0]));
	h = sw_mix(h, sw_ntohl(a->w[1]));
	h = sw_mix(h, sw_ntohl(a->w[2]));
	h = sw_mix(h, sw_ntohl(a->w[3]));
	return sw_finish(h);
}

/* Of addresses, ports and protocol; neither VNI nor direction count. */
SW_INLINE __u32 sw_hash_flow(const struct sw_flow_key *k)
{
	__u32 h = 0x5377724dU;

	if (sw_addr_is4(&k->src)) {
		h = sw_mix(h, sw_ntohl(k->src.w[3]));
		h = sw_mix(h, sw_ntohl(k->dst.w[3]));
	} else {
		h = sw_mix(h, sw_hash_addr(&k->src, 1));
		h = sw_mix(h, sw_hash_addr(&k->dst, 2));
	}
	h = sw_mix(h, (__u32)sw_ntohs(k->sport) << 16 | sw_ntohs(k->dport));
	h = sw_mix(h, k->proto);
	return sw_finish(h);
}
