/* SPDX-License-Identifier: Apache-2.0 */
/* What raftlog.c and raftlog_seal.c share. */
#pragma once

#include "core/buf.h"

enum {
	SEAL_VERSION = 1,
	SEAL_NONCE = 12,
	SEAL_TAG = 16,
	SEAL_OVERHEAD = 1 + SEAL_NONCE + SEAL_TAG
};

/*
 * AES-256-GCM with a random nonce; name is authenticated, not stored. Form: version, nonce,
 * ciphertext, tag. Appends to *ret. Returns 0 or -EIO.
 */
int seal(const uint8_t key[32], const void *name, size_t name_size, const void *data, size_t size,
	 struct buf *ret);
/* Appends the plaintext. -EBADMSG when it was not sealed with this key and name. */
int unseal(const uint8_t key[32], const void *name, size_t name_size, const void *sealed,
	   size_t size, struct buf *ret);
