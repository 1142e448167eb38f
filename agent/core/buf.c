// SPDX-License-Identifier: Apache-2.0
#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>

char buf_empty[1];

void buf_init(struct buf *b)
{
	*b = (struct buf)BUF_INIT;
}

void buf_done(struct buf *b)
{
	if (b->alloc)
		free(b->data);
	buf_init(b);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	if (b->alloc)
		b->data[0] = 0;
}

void buf_grow(struct buf *b, size_t extra)
{
	size_t want = b->len + extra + 1;

	if (want <= b->alloc)
		return;
	want = max(want, b->alloc + b->alloc / 2);
	b->data = xrealloc(b->alloc ? b->data : NULL, max(want, (size_t)64));
	b->alloc = max(want, (size_t)64);
	b->data[b->len] = 0;
}

void buf_add(struct buf *b, const void *p, size_t size)
{
	if (!size)
		return;
	buf_grow(b, size);
	memcpy(b->data + b->len, p, size);
	b->len += size;
	b->data[b->len] = 0;
}

void buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	buf_grow(b, n);
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, n + 1, fmt, ap);
	va_end(ap);
	b->len += n;
}

void buf_consume(struct buf *b, size_t size)
{
	assert(size <= b->len);
	if (!size)
		return;
	memmove(b->data, b->data + size, b->len - size + 1);
	b->len -= size;
}

char *buf_steal(struct buf *b, size_t *ret_len)
{
	char *p = b->alloc ? b->data : xstrdup("");

	if (ret_len)
		*ret_len = b->len;
	buf_init(b);
	return p;
}
