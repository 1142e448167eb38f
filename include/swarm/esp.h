/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Encrypted networks: VXLAN in ESP in transport mode (AES-GCM, RFC 4106, with an ICV of 8 bytes), done
 * by the kernel's xfrm. The mark is what its policies know packets by that are to be encrypted, and
 * what its states leave on those that were decrypted: nothing that comes in by a link has one.
 * Source: moby daemon/libnetwork/drivers/overlay/encryption.go; RFC 4303.
 */
#pragma once

#include "swarm/vxlan.h"

#define SW_ESP_MARK 0xd0c4e3

#define SW_ESP_IP 20
#define SW_ESP_HEAD 16 /* SPI, sequence number, IV */
#define SW_ESP_TAIL 2 /* behind the padding to 4 bytes: its length, next header */
#define SW_ESP_ICV 8

/* Length of the outer IP packet around an inner one. */
SW_INLINE __u32 sw_esp_len(__u32 inner_len)
{
	__u32 text = inner_len + SW_ENCAP_SIZE - SW_ESP_IP + SW_ESP_TAIL;

	return SW_ESP_IP + SW_ESP_HEAD + ((text + 3) & ~3u) + SW_ESP_ICV;
}

/* The longest inner IP packet whose outer one fits mtu; 0: none does. */
SW_INLINE __u32 sw_esp_room(__u32 mtu)
{
	__u32 text, more = SW_ENCAP_SIZE - SW_ESP_IP + SW_ESP_TAIL;

	if (mtu < SW_ESP_IP + SW_ESP_HEAD + SW_ESP_ICV + more + 4)
		return 0;
	text = (mtu - SW_ESP_IP - SW_ESP_HEAD - SW_ESP_ICV) & ~3u;
	return text - more;
}
