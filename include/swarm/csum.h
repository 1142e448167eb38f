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

/* size is even and the data 2-byte aligned. */
SW_INLINE __u32 sw_csum_block(__u32 sum, const void *p, __u32 size)
{
	const __u16 *w = (const __u16 *)p;
	__u32 i;

	for (i = 0; i < size / 2; i++)
		sum = sw_csum_add(sum, w[i]);
	return sum;
}

/* The checksum after a word of the data went from old to new (RFC 1624 eqn. 3). */
SW_INLINE __u16 sw_csum_replace2(__u16 check, __u16 old, __u16 new_)
{
	return sw_csum_fold((__u32)(__u16)~check + (__u16)~old + new_);
}

SW_INLINE __u16 sw_csum_replace4(__u16 check, __u32 old, __u32 new_)
{
	__u32 sum = (__u16)~check;

	sum = sw_csum_add(sum, ~old);
	sum = sw_csum_add(sum, new_);
	return sw_csum_fold(sum);
}

/*
 * For the field of a UDP header over IPv4: none stays none, and a computed 0 is sent as 0xffff
 * (RFC 768). A TCP field is never looked at that way: 0 and 0xffff are equally right there.
 */
SW_INLINE __u16 sw_csum_udp(__u16 old_check, __u16 new_check)
{
	if (!old_check)
		return 0;
	return new_check ? new_check : 0xffff;
}
