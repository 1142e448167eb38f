/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gossip's encryption: AES-GCM with the key ring that the managers hand out. The first key
 * seals, any opens. Source: SWARM-WIRE §4; hashicorp/memberlist security.go.
 */
#pragma once

#include "core/buf.h"

enum {
	SEAL_NONCE = 12,
	SEAL_TAG = 16,
	SEAL_OVERHEAD = 1 + SEAL_NONCE + SEAL_TAG,
	SEAL_STREAM_HEAD = 5
};

struct keyring;

struct keyring *keyring_new(void);
void keyring_free(struct keyring *k);
/* Replace all keys; key 0 is the one to seal with. Sizes 16, 24 or 32. -EINVAL. */
int keyring_set(struct keyring *k, const uint8_t *const *keys, const size_t *sizes, size_t n);
bool keyring_empty(const struct keyring *k);
/* A datagram: version, nonce, ciphertext, tag. nonce is 12 fresh random bytes. */
int seal_packet(const struct keyring *k, const uint8_t nonce[SEAL_NONCE], const void *data,
		size_t size, struct buf *ret);
/* Version 0 (with padding) too. -EBADMSG when no key fits. */
int open_packet(const struct keyring *k, const void *data, size_t size, struct buf *ret);
/* A stream's message: encrypt byte, length, version, nonce, ciphertext, tag. */
int seal_stream(const struct keyring *k, const uint8_t nonce[SEAL_NONCE], const void *data,
		size_t size, struct buf *ret);
/* The length of the whole framed message from its head, or -EBADMSG (not encrypted, longer than max). */
int64_t stream_size(const uint8_t head[SEAL_STREAM_HEAD], size_t max);
int open_stream(const struct keyring *k, const void *data, size_t size, struct buf *ret);
