// SPDX-License-Identifier: Apache-2.0
#include "wire/dns_wire.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

enum {
	QR = 0x8000,
	OPCODE = 0x7800,
	TC = 0x0200,
	RD = 0x0100,
	RA = 0x0080,
	POINTER = 0xc0,
	OPT_SIZE = 11
};

static uint16_t get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static void add16(struct buf *b, uint16_t v)
{
	uint8_t p[2] = {v >> 8, v};

	buf_add(b, p, 2);
}

static void add32(struct buf *b, uint32_t v)
{
	add16(b, v >> 16);
	add16(b, v);
}

/* A name without compression (a question has nothing to point at). Bytes used, or 0. */
static size_t parse_name(const uint8_t *p, size_t size, char name[DNS_NAME_SIZE])
{
	size_t at = 0, len = 0;
	bool plain = true;

	for (;;) {
		uint8_t n;

		if (at >= size)
			return 0;
		n = p[at++];
		if (!n)
			break;
		/* wire names are at most 255 bytes, so text fits in 256 */
		if (n & POINTER || at + n > size || at + n > 254)
			return 0;
		if (len)
			name[len++] = '.';
		for (uint8_t i = 0; i < n; i++) {
			uint8_t c = p[at + i];

			plain &= isalnum(c) || c == '-' || c == '_' || c == '.';
			name[len++] = tolower(c);
		}
		at += n;
	}
	name[plain ? len : 0] = 0;
	return at;
}

/* Any name, its end only. Bytes used, or 0. */
static size_t skip_name(const uint8_t *p, size_t size)
{
	size_t at = 0;

	while (at < size) {
		uint8_t n = p[at++];

		if (!n)
			return at;
		if ((n & POINTER) == POINTER)
			return at < size ? at + 1 : 0;
		if (n & POINTER)
			return 0;
		at += n;
	}
	return 0;
}

/* The additional section: only OPT matters. */
static bool parse_extra(const uint8_t *p, size_t size, unsigned int records, struct dns_query *q)
{
	while (records--) {
		size_t n = skip_name(p, size), len;

		if (!n || size - n < 10)
			return false;
		len = get16(p + n + 8);
		if (size - n - 10 < len)
			return false;
		if (get16(p + n) == DNS_OPT) {
			q->edns = true;
			q->udp_size = max(get16(p + n + 2), (uint16_t)DNS_UDP_SIZE);
		}
		p += n + 10 + len;
		size -= n + 10 + len;
	}
	return true;
}

int dns_query_parse(const uint8_t *p, size_t size, struct dns_query *ret)
{
	uint16_t flags;
	size_t n;

	memset(ret, 0, sizeof(*ret));
	ret->udp_size = DNS_UDP_SIZE;
	if (size < DNS_HEADER_SIZE)
		return -EBADMSG;
	flags = get16(p + 2);
	if (flags & QR)
		return -EBADMSG;
	ret->id = get16(p);
	ret->recursion = flags & RD;
	if (flags & OPCODE)
		return -EOPNOTSUPP;
	/* one question, no answers; a few additional records */
	if (get16(p + 4) != 1 || get16(p + 6) || get16(p + 8) || get16(p + 10) > 8)
		return -EINVAL;
	n = parse_name(p + DNS_HEADER_SIZE, size - DNS_HEADER_SIZE, ret->name);
	if (!n || size - DNS_HEADER_SIZE - n < 4)
		return -EINVAL;
	ret->type = get16(p + DNS_HEADER_SIZE + n);
	ret->class = get16(p + DNS_HEADER_SIZE + n + 2);
	n += 4;
	if (!parse_extra(p + DNS_HEADER_SIZE + n, size - DNS_HEADER_SIZE - n, get16(p + 10), ret))
		return -EINVAL;
	ret->question_size = n;
	return 0;
}

/* Labels of at most 63 bytes. Returns false, with nothing added, if it is no name. */
static bool add_name(struct buf *b, const char *name)
{
	size_t start = b->len;

	while (*name) {
		uint8_t n = min(strcspn(name, "."), (size_t)255);

		if (!n || n > 63 || b->len - start + n > 252) {
			b->len = start;
			b->data[start] = 0;
			return false;
		}
		buf_add(b, &n, 1);
		buf_add(b, name, n);
		name += n;
		name += *name == '.';
	}
	buf_char(b, 0);
	return true;
}

/* The record with the question's name, by a pointer to it. */
static bool add_rr(struct buf *b, uint16_t type, const struct dns_rr *rr, uint32_t ttl)
{
	size_t start = b->len, data;
	bool ok = true;

	add16(b, POINTER << 8 | DNS_HEADER_SIZE);
	add16(b, type);
	add16(b, DNS_CLASS_IN);
	add32(b, ttl);
	add16(b, 0);
	data = b->len;
	if (type == DNS_PTR)
		ok = rr->name && add_name(b, rr->name);
	else if (type == DNS_AAAA)
		buf_add(b, rr->ip6, sizeof(rr->ip6));
	else
		add32(b, rr->ip);
	if (!ok) {
		b->len = start;
		b->data[start] = 0;
		return false;
	}
	b->data[data - 2] = (b->len - data) >> 8;
	b->data[data - 1] = b->len - data;
	return true;
}

void dns_reply(struct buf *out, const uint8_t *query, const struct dns_query *q,
	       enum dns_rcode rcode, const struct dns_rr *rr, size_t n, uint32_t ttl, size_t max)
{
	size_t start = out->len, opt = q->edns ? OPT_SIZE : 0;
	uint16_t flags = QR | RA | rcode | (q->recursion ? RD : 0), answers = 0;

	add16(out, q->id);
	add16(out, 0);
	add16(out, q->question_size ? 1 : 0);
	add32(out, 0);
	add16(out, q->edns ? 1 : 0);
	buf_add(out, query + DNS_HEADER_SIZE, q->question_size);
	for (size_t i = 0; i < n; i++) {
		size_t before = out->len;

		if (!add_rr(out, q->type, &rr[i], ttl))
			continue;
		if (out->len - start + opt > max) {
			out->len = before;
			out->data[before] = 0;
			flags |= TC;
			break;
		}
		answers++;
	}
	if (q->edns) {
		buf_char(out, 0);
		add16(out, DNS_OPT);
		add16(out, 1232);
		add32(out, 0);
		add16(out, 0);
	}
	out->data[start + 2] = flags >> 8;
	out->data[start + 3] = flags;
	out->data[start + 6] = answers >> 8;
	out->data[start + 7] = answers;
}

bool dns_reply_matches(const uint8_t *reply, size_t size, uint16_t id, const uint8_t *query,
		       const struct dns_query *q)
{
	if (size < DNS_HEADER_SIZE + q->question_size || get16(reply) != id ||
	    !(get16(reply + 2) & QR) || get16(reply + 4) != 1)
		return false;
	/* a server may answer in another case */
	for (size_t i = 0; i < q->question_size; i++)
		if (tolower(reply[DNS_HEADER_SIZE + i]) != tolower(query[DNS_HEADER_SIZE + i]))
			return false;
	return true;
}

static int digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "1.0.0.0.….8.b.d.0.1.0.0.2.ip6.arpa" */
static bool ptr6_parse(const char *name, uint8_t ret[16])
{
	for (int i = 31; i >= 0; i--, name += 2) {
		int v = digit(*name);

		if (v < 0 || name[1] != '.')
			return false;
		ret[i / 2] = i % 2 ? v : ret[i / 2] | v << 4;
	}
	return streq(name, "ip6.arpa");
}

bool dns_ptr_parse(const char *name, uint8_t ret[16])
{
	unsigned int a, b, c, d;
	int n = 0;

	if (ends_with(name, ".ip6.arpa"))
		return ptr6_parse(name, ret);
	if (sscanf(name, "%3u.%3u.%3u.%3u.in-addr.arpa%n", &a, &b, &c, &d, &n) != 4 || !n ||
	    name[n] || a > 255 || b > 255 || c > 255 || d > 255)
		return false;
	memcpy(ret, (uint8_t[]){0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, d, c, b, a}, 16);
	return true;
}
