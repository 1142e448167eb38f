// SPDX-License-Identifier: Apache-2.0
#include "wire/http1.h"

#include <string.h>
#include <strings.h>

static bool is_token(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* The line at *pos without its end; moves *pos behind it. 1 found, 0 incomplete, -1 malformed. */
static int next_line(const char *buf, size_t len, size_t *pos, struct http1_str *line)
{
	const char *start = buf + *pos, *nl = memchr(start, '\n', len - *pos);

	if (!nl)
		return 0;
	*line = (struct http1_str){start, nl - start};
	*pos += line->len + 1;
	if (line->len && start[line->len - 1] == '\r')
		line->len--;
	for (size_t i = 0; i < line->len; i++)
		if (!start[i] || start[i] == '\r')
			return -1;
	return 1;
}

static int parse_request_line(struct http1_str line, struct http1_head *h)
{
	const char *end = line.p + line.len, *sp1, *sp2;

	for (sp1 = line.p; sp1 < end && is_token(*sp1); sp1++)
		;
	if (sp1 == line.p || sp1 == end || *sp1 != ' ')
		return -400;
	h->method = (struct http1_str){line.p, sp1 - line.p};
	for (sp2 = ++sp1; sp2 < end && (unsigned char)*sp2 > ' ' && *sp2 != 127; sp2++)
		;
	if (sp2 == sp1 || sp2 == end || *sp2 != ' ')
		return -400;
	h->target = (struct http1_str){sp1, sp2 - sp1};
	sp2++;
	if (end - sp2 != 8 || memcmp(sp2, "HTTP/", 5))
		return -400;
	if (memcmp(sp2 + 5, "1.", 2) || (sp2[7] != '0' && sp2[7] != '1'))
		return -505;
	h->minor = sp2[7] - '0';
	return 0;
}

static int parse_header(struct http1_str line, struct http1_header *h)
{
	const char *end = line.p + line.len, *p = line.p;

	while (p < end && is_token(*p))
		p++;
	if (p == line.p || p == end || *p != ':')
		return -400;
	h->name = (struct http1_str){line.p, p - line.p};
	p++;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	h->value = (struct http1_str){p, end - p};
	return 0;
}

static bool str_is(const struct http1_str *s, const char *word)
{
	return s->len == strlen(word) && !strncasecmp(s->p, word, s->len);
}

/* Whether a comma-separated list holds word. */
static bool list_has(const struct http1_str *s, const char *word)
{
	size_t at = 0;

	while (at < s->len) {
		const char *start = s->p + at, *comma = memchr(start, ',', s->len - at);
		struct http1_str item = {start, comma ? (size_t)(comma - start) : s->len - at};

		at += item.len + 1;
		while (item.len && (*item.p == ' ' || *item.p == '\t'))
			item.p++, item.len--;
		while (item.len && (item.p[item.len - 1] == ' ' || item.p[item.len - 1] == '\t'))
			item.len--;
		if (str_is(&item, word))
			return true;
	}
	return false;
}

static int parse_length(const struct http1_str *s, uint64_t *ret)
{
	uint64_t v = 0;

	if (!s->len || s->len > 18)
		return -400;
	for (size_t i = 0; i < s->len; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return -400;
		v = v * 10 + (s->p[i] - '0');
	}
	*ret = v;
	return 0;
}

const struct http1_str *http1_header(const struct http1_head *head, const char *name)
{
	for (size_t i = 0; i < head->n_headers; i++)
		if (str_is(&head->headers[i].name, name))
			return &head->headers[i].value;
	return NULL;
}

static int derive(struct http1_head *h)
{
	const struct http1_str *connection = http1_header(h, "connection"),
			       *expect = http1_header(h, "expect");

	for (size_t i = 0; i < h->n_headers; i++) {
		const struct http1_header *x = &h->headers[i];

		if (str_is(&x->name, "content-length")) {
			if (h->has_length || parse_length(&x->value, &h->content_length))
				return -400;
			h->has_length = true;
		} else if (str_is(&x->name, "transfer-encoding")) {
			if (h->chunked)
				return -400;
			if (!str_is(&x->value, "chunked"))
				return -501;
			h->chunked = true;
		}
	}
	if (h->chunked && (h->has_length || !h->minor))
		return -400;
	h->keep_alive = h->minor ? !(connection && list_has(connection, "close"))
				 : connection && list_has(connection, "keep-alive");
	h->upgrade = connection && list_has(connection, "upgrade") && http1_header(h, "upgrade");
	h->expect_continue = h->minor && expect && str_is(expect, "100-continue");
	return 0;
}

/* "HTTP/1.1 200 OK"; the reason may be missing. */
static int parse_status_line(struct http1_str line, struct http1_head *h)
{
	const char *p = line.p;

	if (line.len < 12 || memcmp(p, "HTTP/1.", 7) || (p[7] != '0' && p[7] != '1') ||
	    p[8] != ' ' || (line.len > 12 && p[12] != ' '))
		return -400;
	for (int i = 9; i < 12; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -400;
		h->status = h->status * 10 + (p[i] - '0');
	}
	h->minor = p[7] - '0';
	return h->status < 100 ? -400 : 0;
}

static int parse_head(const char *buf, size_t len,
		      int (*first)(struct http1_str line, struct http1_head *h),
		      struct http1_head *ret)
{
	size_t pos = 0, cap = len < HTTP1_HEAD_MAX ? len : HTTP1_HEAD_MAX;
	int too_large = len >= HTTP1_HEAD_MAX ? -431 : 0, rc;
	struct http1_str line;

	memset(ret, 0, sizeof(*ret));
	/* RFC 9112 §2.2: empty lines before the request line are skipped */
	do {
		rc = next_line(buf, cap, &pos, &line);
		if (rc <= 0)
			return rc ? -400 : too_large;
	} while (!line.len);
	rc = first(line, ret);
	if (rc)
		return rc;
	for (;;) {
		rc = next_line(buf, cap, &pos, &line);
		if (rc <= 0)
			return rc ? -400 : too_large;
		if (!line.len)
			break;
		if (ret->n_headers == HTTP1_HEADERS_MAX)
			return -431;
		rc = parse_header(line, &ret->headers[ret->n_headers++]);
		if (rc)
			return rc;
	}
	rc = derive(ret);
	return rc ? rc : (int)pos;
}

int http1_parse_request(const char *buf, size_t len, struct http1_head *ret)
{
	return parse_head(buf, len, parse_request_line, ret);
}

int http1_parse_response(const char *buf, size_t len, struct http1_head *ret)
{
	return parse_head(buf, len, parse_status_line, ret);
}

enum { SIZE, SIZE_DIGITS, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_LF };
enum { LINE_MAX_BYTES = 4096 };

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte outside chunk data. */
static int feed_byte(struct http1_chunks *c, char b)
{
	switch (c->state) {
	case SIZE:
	case SIZE_DIGITS:
		if (hex(b) >= 0) {
			if (c->left >> 56)
				return -1;
			c->left = c->left << 4 | hex(b);
			c->state = SIZE_DIGITS;
			return 0;
		}
		if (c->state == SIZE)
			return -1;
		/* fall through */
	case EXTENSION:
		if (++c->line > LINE_MAX_BYTES)
			return -1;
		if (b == '\n')
			c->state = c->left ? DATA : TRAILER;
		else if (b == '\r')
			c->state = SIZE_LF;
		else if (c->state == SIZE_DIGITS && b != ';' && b != ' ' && b != '\t')
			return -1;
		else
			c->state = EXTENSION;
		if (c->state == TRAILER)
			c->line = 0;
		return 0;
	case SIZE_LF:
		if (b != '\n')
			return -1;
		c->state = c->left ? DATA : TRAILER;
		c->line = 0;
		return 0;
	case DATA_CR:
		if (b == '\r') {
			c->state = DATA_LF;
			return 0;
		}
		/* fall through */
	case DATA_LF:
		if (b != '\n')
			return -1;
		c->state = SIZE;
		c->line = 0;
		return 0;
	case TRAILER:
		if (b == '\n') {
			c->done = !c->line;
			c->line = 0;
			return 0;
		}
		if (b != '\r' && ++c->line > LINE_MAX_BYTES)
			return -1;
		return 0;
	}
	return -1;
}

int http1_chunks_feed(struct http1_chunks *c, const char *buf, size_t len, struct http1_str *ret)
{
	size_t i = 0;

	*ret = (struct http1_str){0};
	while (i < len && !c->done) {
		if (c->state == DATA) {
			size_t n = len - i < c->left ? len - i : c->left;

			*ret = (struct http1_str){buf + i, n};
			c->left -= n;
			if (!c->left)
				c->state = DATA_CR;
			return i + n;
		}
		if (feed_byte(c, buf[i]))
			return -1;
		i++;
	}
	return i;
}
