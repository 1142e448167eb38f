// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <event2/buffer.h>

#include "rpc/grpc_impl.h"

void grpc_reader_init(struct grpc_reader *r, size_t max)
{
	buf_init(&r->buf);
	r->at = 0;
	r->max = max;
}

void grpc_reader_done(struct grpc_reader *r)
{
	buf_done(&r->buf);
	r->at = 0;
}

/* Drop what was handed out; an empty reader keeps no memory. */
static void compact(struct grpc_reader *r)
{
	if (!r->at)
		return;
	if (r->at == r->buf.len)
		buf_done(&r->buf);
	else
		buf_consume(&r->buf, r->at);
	r->at = 0;
}

void grpc_reader_feed(struct grpc_reader *r, const void *data, size_t size)
{
	compact(r);
	buf_add(&r->buf, data, size);
}

int grpc_reader_next(struct grpc_reader *r, const void **ret, size_t *ret_size)
{
	size_t left = r->buf.len - r->at;
	const uint8_t *p = (const uint8_t *)r->buf.data + r->at;
	size_t size;

	if (left < GRPC_FRAME_HEAD) {
		compact(r);
		return 0;
	}
	if (p[0])
		return -EPROTO;
	size = (size_t)p[1] << 24 | p[2] << 16 | p[3] << 8 | p[4];
	if (size > r->max)
		return -EMSGSIZE;
	if (left < GRPC_FRAME_HEAD + size) {
		compact(r);
		return 0;
	}
	*ret = p + GRPC_FRAME_HEAD;
	*ret_size = size;
	r->at += GRPC_FRAME_HEAD + size;
	return 1;
}

bool grpc_reader_empty(const struct grpc_reader *r)
{
	return r->at == r->buf.len;
}

static void put_head(uint8_t *p, size_t size)
{
	p[0] = 0;
	p[1] = size >> 24;
	p[2] = size >> 16;
	p[3] = size >> 8;
	p[4] = size;
}

void grpc_frame_add(struct evbuffer *out, const ProtobufCMessage *msg)
{
	size_t size = protobuf_c_message_get_packed_size(msg);
	struct evbuffer_iovec vec;

	if (evbuffer_reserve_space(out, GRPC_FRAME_HEAD + size, &vec, 1) != 1)
		abort();
	put_head(vec.iov_base, size);
	protobuf_c_message_pack(msg, (uint8_t *)vec.iov_base + GRPC_FRAME_HEAD);
	vec.iov_len = GRPC_FRAME_HEAD + size;
	evbuffer_commit_space(out, &vec, 1);
}

void grpc_frame_add_raw(struct evbuffer *out, const void *data, size_t size)
{
	uint8_t head[GRPC_FRAME_HEAD];

	put_head(head, size);
	evbuffer_add(out, head, sizeof(head));
	evbuffer_add(out, data, size);
}

int grpc_timeout_parse(const char *text, uint64_t *ret_ms)
{
	static const struct {
		char unit;
		uint64_t ns;
	} units[] = {
		{'n', 1},	   {'u', 1000},		  {'m', 1000000},
		{'S', 1000000000}, {'M', 60000000000ULL}, {'H', 3600000000000ULL},
	};
	uint64_t n = 0;
	size_t digits = strspn(text, "0123456789");

	if (!digits || digits > 8 || !text[digits] || text[digits + 1])
		return -EINVAL;
	for (size_t i = 0; i < digits; i++)
		n = n * 10 + (text[i] - '0');
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (units[i].unit != text[digits])
			continue;
		/* 8 digits of hours fit 64 bits of milliseconds */
		*ret_ms = units[i].ns >= 1000000 ? n * (units[i].ns / 1000000)
						 : (n * units[i].ns + 999999) / 1000000;
		return 0;
	}
	return -EINVAL;
}

char *grpc_message_encode(const char *text)
{
	struct buf out = BUF_INIT;

	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p >= 0x20 && *p <= 0x7e && *p != '%')
			buf_char(&out, *p);
		else
			buf_printf(&out, "%%%02X", *p);
	}
	return buf_steal(&out, NULL);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *grpc_message_decode(const char *text, size_t size)
{
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < size; i++) {
		int hi = text[i] == '%' && i + 2 < size ? hex(text[i + 1]) : -1;
		int lo = hi < 0 ? -1 : hex(text[i + 2]);

		if (lo >= 0 && (hi | lo)) {
			buf_char(&out, hi << 4 | lo);
			i += 2;
		} else if (text[i]) {
			buf_char(&out, text[i]);
		}
	}
	return buf_steal(&out, NULL);
}
