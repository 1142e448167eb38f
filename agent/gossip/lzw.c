// SPDX-License-Identifier: Apache-2.0
#include "gossip/lzw.h"

#include <errno.h>

enum {
	CLEAR = 256,
	END = 257,
	FIRST_WIDTH = 9,
	MAX_WIDTH = 12,
	MAX_CODE = (1 << MAX_WIDTH) - 1,
	N_SLOTS = 4 << MAX_WIDTH,
	NONE = 0xffff,
};

struct writer {
	struct buf *out;
	uint32_t bits;
	unsigned int n_bits, width, top, overflow;
	uint32_t slots[N_SLOTS]; /* key << 12 | code; 0 empty */
};

static void put_code(struct writer *w, uint32_t code)
{
	w->bits |= code << w->n_bits;
	w->n_bits += w->width;
	while (w->n_bits >= 8) {
		buf_char(w->out, w->bits);
		w->bits >>= 8;
		w->n_bits -= 8;
	}
}

static void restart(struct writer *w)
{
	memset(w->slots, 0, sizeof(w->slots));
	w->width = FIRST_WIDTH;
	w->top = END;
	w->overflow = 1 << FIRST_WIDTH;
}

/* The next implied code; false when the table was full and begins anew. */
static bool next_code(struct writer *w)
{
	w->top++;
	if (w->top == w->overflow) {
		w->width++;
		w->overflow <<= 1;
	}
	if (w->top != MAX_CODE)
		return true;
	put_code(w, CLEAR);
	restart(w);
	return false;
}

static uint32_t *slot_of(struct writer *w, uint32_t key)
{
	uint32_t i = key * 2654435761u >> 18;

	while (w->slots[i] && w->slots[i] >> MAX_WIDTH != key)
		i = (i + 1) % N_SLOTS;
	return &w->slots[i];
}

void lzw_compress(const void *data, size_t size, struct buf *ret)
{
	struct writer *w = xcalloc(1, sizeof(*w));
	const uint8_t *p = data;
	uint32_t code = NONE;

	w->out = ret;
	restart(w);
	put_code(w, CLEAR);
	for (size_t i = 0; i < size; i++) {
		uint32_t key = code << 8 | p[i], *slot;

		if (code == NONE) {
			code = p[i];
			continue;
		}
		slot = slot_of(w, key);
		if (*slot) {
			code = *slot & MAX_CODE;
			continue;
		}
		put_code(w, code);
		code = p[i];
		if (next_code(w))
			*slot = key << MAX_WIDTH | w->top;
	}
	if (code != NONE) {
		put_code(w, code);
		next_code(w);
	}
	put_code(w, END);
	if (w->n_bits)
		buf_char(ret, w->bits);
	free(w);
}

struct reader {
	const uint8_t *p, *end;
	uint32_t bits;
	unsigned int n_bits, width, top, overflow;
	uint16_t last;
	uint16_t prefix[MAX_CODE + 1];
	uint8_t suffix[MAX_CODE + 1];
};

static int get_code(struct reader *r)
{
	int code;

	while (r->n_bits < r->width) {
		if (r->p == r->end)
			return -EBADMSG;
		r->bits |= (uint32_t)*r->p++ << r->n_bits;
		r->n_bits += 8;
	}
	code = r->bits & ((1u << r->width) - 1);
	r->bits >>= r->width;
	r->n_bits -= r->width;
	return code;
}

/* Append what the code stands for. */
static int expand(struct reader *r, unsigned int code, size_t max, struct buf *ret)
{
	uint8_t text[MAX_CODE + 2];
	size_t at = sizeof(text);
	unsigned int c = code;

	if (code == r->top && r->last != NONE) {
		/* the last one and its own first byte again */
		for (c = r->last; c >= CLEAR; c = r->prefix[c])
			;
		text[--at] = c;
		c = r->last;
	}
	for (; c >= CLEAR; c = r->prefix[c])
		text[--at] = r->suffix[c];
	text[--at] = c;
	if (r->last != NONE) {
		r->suffix[r->top] = c;
		r->prefix[r->top] = r->last;
	}
	if (ret->len + sizeof(text) - at > max)
		return -EFBIG;
	buf_add(ret, text + at, sizeof(text) - at);
	return 0;
}

int lzw_expand(const void *data, size_t size, size_t max, struct buf *ret)
{
	struct reader *r = xcalloc(1, sizeof(*r));
	int code, rc = 0;

	max += ret->len;
	r->p = data;
	r->end = r->p + size;
	r->width = FIRST_WIDTH;
	r->top = END;
	r->overflow = 1 << FIRST_WIDTH;
	r->last = NONE;
	while (!rc) {
		code = get_code(r);
		if (code < 0 || code == END) {
			rc = code < 0 ? code : 0;
			break;
		}
		if (code == CLEAR) {
			r->width = FIRST_WIDTH;
			r->top = END;
			r->overflow = 1 << FIRST_WIDTH;
			r->last = NONE;
			continue;
		}
		if ((unsigned int)code > r->top) {
			rc = -EBADMSG;
			break;
		}
		rc = expand(r, code, max, ret);
		r->last = code;
		if (++r->top < r->overflow)
			continue;
		if (r->width == MAX_WIDTH) {
			/* full: no new codes until a clear */
			r->last = NONE;
			r->top--;
		} else {
			r->width++;
			r->overflow <<= 1;
		}
	}
	free(r);
	return rc;
}
