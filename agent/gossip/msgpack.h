/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of MessagePack that memberlist speaks: maps with string keys, the old raw strings
 * (no str8, no bin on writing; both are read), integers, booleans. Pure; everything read is a
 * slice of the input. Source: the MessagePack specification; SWARM-WIRE §4.
 */
#pragma once

#include "core/buf.h"

struct slice {
	const uint8_t *p;
	size_t len;
};

void mp_put_map(struct buf *b, size_t pairs);
void mp_put_raw(struct buf *b, const void *p, size_t len);
/* As Go writes a uint: positive formats. */
void mp_put_uint(struct buf *b, uint64_t v);
/* As Go writes an int: above 127 the signed formats. */
void mp_put_int(struct buf *b, int64_t v);
void mp_put_bool(struct buf *b, bool v);

struct mp_reader {
	const uint8_t *p, *end;
};

enum mp_kind {
	MP_NIL,
	MP_BOOL,
	MP_UINT,
	MP_INT /* negative */,
	MP_FLOAT,
	MP_RAW,
	MP_ARRAY,
	MP_MAP
};

struct mp_item {
	enum mp_kind kind;
	uint64_t v; /* number, boolean; items of an array, pairs of a map */
	struct slice raw;
};

/* The next item; of arrays and maps only the head. -EBADMSG when it is cut off or unknown. */
int mp_next(struct mp_reader *r, struct mp_item *ret);
/* Pass over one whole item. -EBADMSG also when it is nested too deep. */
int mp_skip(struct mp_reader *r);
