/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable byte buffer, always NUL-terminated behind its last byte so that ->data is a C
 * string. An empty buffer owns no memory and its data is "".
 * Invariant: data[len] == 0; len < alloc unless alloc is 0.
 */
#pragma once

#include "core/util.h"

struct buf {
	char *data;
	size_t len; /* bytes used, without the NUL */
	size_t alloc;
};

extern char buf_empty[1];
#define BUF_INIT                                                                                   \
	{                                                                                          \
		buf_empty, 0, 0                                                                    \
	}
#define _cleanup_buf_ _cleanup_(buf_done)

void buf_init(struct buf *b);
/* Frees the memory and leaves an empty buffer. */
void buf_done(struct buf *b);
void buf_reset(struct buf *b);
/* Make room for extra more bytes. */
void buf_grow(struct buf *b, size_t extra);
void buf_add(struct buf *b, const void *p, size_t size);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) _printf_(2, 3);
/* Drop the first size bytes. */
void buf_consume(struct buf *b, size_t size);
/* Hand the memory to the caller (never NULL; free() it) and leave the buffer empty. */
char *buf_steal(struct buf *b, size_t *ret_len);
