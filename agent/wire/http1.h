/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 messages (RFC 9112): a parser over a buffer that allocates nothing. It is strict
 * where leniency has led to request smuggling: no whitespace before a colon, no obs-fold, no
 * Content-Length beside Transfer-Encoding, one number only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HTTP1_HEAD_MAX = 64 << 10, /* bytes of request line and headers */
	HTTP1_HEADERS_MAX = 100,
};

/* A piece of the parsed buffer. */
struct http1_str {
	const char *p;
	size_t len;
};

struct http1_header {
	struct http1_str name, value;
};

struct http1_head {
	struct http1_str method, target; /* of a request */
	int status; /* of a response */
	int minor; /* HTTP/1.minor */
	struct http1_header headers[HTTP1_HEADERS_MAX];
	size_t n_headers;
	/* derived */
	bool chunked; /* Transfer-Encoding: chunked */
	bool has_length;
	uint64_t content_length;
	bool keep_alive;
	bool upgrade; /* Connection: upgrade with an Upgrade header */
	bool expect_continue;
};

/*
 * Parse the head of a request at buf. Returns the bytes it takes, 0 when more are needed, or the
 * negative HTTP status to refuse it with: -400, -431 (too large), -501 (transfer coding), -505.
 * The strings of *ret point into buf.
 */
int http1_parse_request(const char *buf, size_t len, struct http1_head *ret);
/*
 * The same of a response, for a client; -400 when it is malformed. A body that is neither chunked
 * nor has a length ends with the connection.
 */
int http1_parse_response(const char *buf, size_t len, struct http1_head *ret);
/* The value of a header (its first, name compared without case), or NULL. */
const struct http1_str *http1_header(const struct http1_head *head, const char *name);

/* A decoder of chunked bodies; zero-initialise. */
struct http1_chunks {
	int state;
	uint64_t left; /* of the current chunk */
	size_t line; /* bytes of the current size line or trailer */
	bool done;
};

/*
 * Take bytes of a chunked body. On success returns the bytes used (0: more are needed) and gives
 * at most one piece of data in *ret. Sets done behind the last chunk's trailers. -1: malformed.
 */
int http1_chunks_feed(struct http1_chunks *c, const char *buf, size_t len, struct http1_str *ret);
