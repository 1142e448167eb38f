/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Internet checksums. Sums are 32-bit accumulators of 16-bit words in network byte order as they
 * lie in memory. Source: RFC 1071, RFC 1624.
 */
#pragma once

#include "swarm/flow.h"

SW_INLINE __u16 sw_csum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

SW_INLINE __u32 sw_csum_add(__u32 sum, __u32 x)
{
	sum += x;
	return sum + (sum < x);
}

/* size is even. */
SW_INLINE __u32 sw_csum_block(__u32 sum, const void *p, __u32 size)
{
	__u16 word;
	__u32 i;

	for (i = 0; i < size; i += sizeof(word)) {
		__builtin_memcpy(&word, (const __u8 *)p + i, sizeof(word));
		sum = sw_csum_add(sum, word);
	}
	return sum;
}

/* What sums change by when a word of the data goes from old to new, added to sum. */
SW_INLINE __u32 sw_csum_diff16(__u32 sum, __be16 old, __be16 new_)
{
	sum = sw_csum_add(sum, (__u16) ~(SW_FORCE __u16)old);
	return sw_csum_add(sum, (SW_FORCE __u16)new_);
}

SW_INLINE __u32 sw_csum_diff32(__u32 sum, __be32 old, __be32 new_)
{
	sum = sw_csum_add(sum, ~(SW_FORCE __u32)old);
	return sw_csum_add(sum, (SW_FORCE __u32)new_);
}

/* The checksum after sums changed by diff (RFC 1624 eqn. 3). */
SW_INLINE __u16 sw_csum_update(__u16 check, __u32 diff)
{
	return sw_csum_fold(sw_csum_add((__u16)~check, diff));
}
