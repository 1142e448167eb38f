/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lempel-Ziv-Welch as Go's compress/lzw has it with order LSB and literals of 8 bits (GIF's
 * variant). Pure. Source: GIF89a, appendix F.
 */
#pragma once

#include "core/buf.h"

void lzw_compress(const void *data, size_t size, struct buf *ret);
/* Append. -EBADMSG for damaged input, -EFBIG when more than max bytes come out. */
int lzw_expand(const void *data, size_t size, size_t max, struct buf *ret);
