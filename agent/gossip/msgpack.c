// SPDX-License-Identifier: Apache-2.0
#include "gossip/msgpack.h"

#include <errno.h>

enum { MAX_DEPTH = 16 };

static void put_be(struct buf *b, uint8_t head, uint64_t v, unsigned int bytes)
{
	uint8_t raw[9] = {head};

	for (unsigned int i = 0; i < bytes; i++)
		raw[1 + i] = v >> (8 * (bytes - 1 - i));
	buf_add(b, raw, 1 + bytes);
}

void mp_put_map(struct buf *b, size_t pairs)
{
	if (pairs < 16)
		buf_char(b, 0x80 | pairs);
	else
		put_be(b, 0xde, pairs, 2);
}

void mp_put_raw(struct buf *b, const void *p, size_t len)
{
	if (len < 32)
		buf_char(b, 0xa0 | len);
	else if (len <= 0xffff)
		put_be(b, 0xda, len, 2);
	else
		put_be(b, 0xdb, len, 4);
	buf_add(b, p, len);
}

void mp_put_uint(struct buf *b, uint64_t v)
{
	if (v < 0x80)
		buf_char(b, v);
	else if (v <= 0xff)
		put_be(b, 0xcc, v, 1);
	else if (v <= 0xffff)
		put_be(b, 0xcd, v, 2);
	else if (v <= 0xffffffff)
		put_be(b, 0xce, v, 4);
	else
		put_be(b, 0xcf, v, 8);
}

void mp_put_int(struct buf *b, int64_t v)
{
	if (v >= -32 && v < 0x80)
		buf_char(b, v);
	else if (v >= INT8_MIN && v <= INT8_MAX)
		put_be(b, 0xd0, v, 1);
	else if (v >= INT16_MIN && v <= INT16_MAX)
		put_be(b, 0xd1, v, 2);
	else if (v >= INT32_MIN && v <= INT32_MAX)
		put_be(b, 0xd2, v, 4);
	else
		put_be(b, 0xd3, v, 8);
}

void mp_put_bool(struct buf *b, bool v)
{
	buf_char(b, v ? 0xc3 : 0xc2);
}

static int get_be(struct mp_reader *r, unsigned int bytes, uint64_t *ret)
{
	uint64_t v = 0;

	if ((size_t)(r->end - r->p) < bytes)
		return -EBADMSG;
	for (unsigned int i = 0; i < bytes; i++)
		v = v << 8 | *r->p++;
	*ret = v;
	return 0;
}

static int get_raw(struct mp_reader *r, uint64_t len, struct mp_item *ret)
{
	if ((uint64_t)(r->end - r->p) < len)
		return -EBADMSG;
	ret->kind = MP_RAW;
	ret->raw = (struct slice){r->p, len};
	r->p += len;
	return 0;
}

/* An integer of two's complement in so many bytes. */
static int get_signed(struct mp_reader *r, unsigned int bytes, struct mp_item *ret)
{
	int rc = get_be(r, bytes, &ret->v);

	if (rc)
		return rc;
	if (bytes < 8 && ret->v >> (8 * bytes - 1))
		ret->v |= ~0ull << (8 * bytes);
	ret->kind = ret->v >> 63 ? MP_INT : MP_UINT;
	return 0;
}

/* A length in so many bytes, then the thing. */
static int get_sized(struct mp_reader *r, unsigned int bytes, enum mp_kind kind,
		     struct mp_item *ret)
{
	int rc = get_be(r, bytes, &ret->v);

	if (rc || kind != MP_RAW) {
		ret->kind = kind;
		return rc;
	}
	return get_raw(r, ret->v, ret);
}

int mp_next(struct mp_reader *r, struct mp_item *ret)
{
	uint8_t head;

	*ret = (struct mp_item){0};
	if (r->p >= r->end)
		return -EBADMSG;
	head = *r->p++;
	if (head < 0x80 || head >= 0xe0) {
		ret->v = (int64_t)(int8_t)head;
		ret->kind = head < 0x80 ? MP_UINT : MP_INT;
		return 0;
	}
	if (head < 0x90 || (head & 0xf0) == 0x90) {
		ret->kind = head < 0x90 ? MP_MAP : MP_ARRAY;
		ret->v = head & 0x0f;
		return 0;
	}
	if (head < 0xc0)
		return get_raw(r, head & 0x1f, ret);
	switch (head) {
	case 0xc0:
		ret->kind = MP_NIL;
		return 0;
	case 0xc2 ... 0xc3:
		ret->kind = MP_BOOL;
		ret->v = head & 1;
		return 0;
	case 0xc4 ... 0xc6: /* bin */
		return get_sized(r, 1 << (head - 0xc4), MP_RAW, ret);
	case 0xca ... 0xcb:
		ret->kind = MP_FLOAT;
		return get_be(r, head == 0xca ? 4 : 8, &ret->v);
	case 0xcc ... 0xcf:
		ret->kind = MP_UINT;
		return get_be(r, 1 << (head - 0xcc), &ret->v);
	case 0xd0 ... 0xd3:
		return get_signed(r, 1 << (head - 0xd0), ret);
	case 0xd9 ... 0xdb:
		return get_sized(r, 1 << (head - 0xd9), MP_RAW, ret);
	case 0xdc ... 0xdd:
		return get_sized(r, head == 0xdc ? 2 : 4, MP_ARRAY, ret);
	case 0xde ... 0xdf:
		return get_sized(r, head == 0xde ? 2 : 4, MP_MAP, ret);
	default:
		return -EBADMSG;
	}
}

static int skip(struct mp_reader *r, unsigned int depth)
{
	struct mp_item it;
	int rc = mp_next(r, &it);
	uint64_t n;

	if (rc || (it.kind != MP_ARRAY && it.kind != MP_MAP))
		return rc;
	if (!depth)
		return -EBADMSG;
	/* each item takes a byte at least, so a false count ends with the input */
	n = it.kind == MP_MAP ? 2 * it.v : it.v;
	while (n-- && !rc)
		rc = skip(r, depth - 1);
	return rc;
}

int mp_skip(struct mp_reader *r)
{
	return skip(r, MAX_DEPTH);
}
