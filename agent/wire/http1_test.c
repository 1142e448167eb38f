// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include "core/buf.h"
#include "wire/http1.h"

TEST(requests)
{
	static const struct {
		const char *text;
		int rc; /* 0: needs more, 1: whole */
	} cases[] = {
		{"GET / HTTP/1.1\r\nHost: d\r\n\r\n", 1},
		{"\r\nGET / HTTP/1.0\n\n", 1},
		{"GET / HTTP/1.1\r\nHost: d\r\n", 0},
		{"", 0},
		{"GET  / HTTP/1.1\r\n\r\n", -400},
		{"GET / HTTP/2.0\r\n\r\n", -505},
		{"GET / FTP/1.1\r\n\r\n", -400},
		{"GE\x01T / HTTP/1.1\r\n\r\n", -400},
		{"GET / HTTP/1.1\r\nHost : d\r\n\r\n", -400},
		{"GET / HTTP/1.1\r\n folded\r\n\r\n", -400},
		{"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", -400},
		{"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", -400},
		{"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", -400},
		{"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		 -400},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", -501},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n", 1},
	};
	struct http1_head h;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int want = cases[i].rc == 1 ? (int)strlen(cases[i].text) : cases[i].rc;

		ASSERT_EQ(want, http1_parse_request(cases[i].text, strlen(cases[i].text), &h))
		TH_LOG("case %zu", i);
	}
}

TEST(what_is_derived)
{
	static const char text[] =
		"POST /a?b=c HTTP/1.1\r\nHost: d\r\nConnection: Upgrade, close\r\n"
		"Upgrade: tcp\r\nExpect: 100-continue\r\nContent-Length:  12 \r\n\r\n";
	struct http1_head h;

	ASSERT_LT(0, http1_parse_request(text, sizeof(text) - 1, &h));
	ASSERT_EQ(0, memcmp(h.target.p, "/a?b=c", h.target.len));
	ASSERT_TRUE(h.upgrade);
	ASSERT_TRUE(h.expect_continue);
	ASSERT_FALSE(h.keep_alive);
	ASSERT_EQ(12, h.content_length);
}

TEST(a_head_without_end_is_refused)
{
	struct buf b = BUF_INIT;
	struct http1_head h;

	buf_str(&b, "GET / HTTP/1.1\r\nX: ");
	while (b.len < HTTP1_HEAD_MAX)
		buf_char(&b, 'a');
	ASSERT_EQ(-431, http1_parse_request(b.data, b.len, &h));
	buf_reset(&b);
	buf_str(&b, "GET / HTTP/1.1\r\n");
	for (int i = 0; i <= HTTP1_HEADERS_MAX; i++)
		buf_str(&b, "X: y\r\n");
	ASSERT_EQ(-431, http1_parse_request(b.data, b.len, &h));
	buf_done(&b);
}

static int decode(const char *text, size_t step, struct buf *out)
{
	struct http1_chunks c = {0};
	size_t pos = 0, len = strlen(text);

	while (!c.done && pos < len) {
		struct http1_str piece;
		int n = http1_chunks_feed(&c, text + pos, min(step, len - pos), &piece);

		if (n < 0)
			return -1;
		buf_add(out, piece.p, piece.len);
		pos += n;
	}
	return c.done ? (int)pos : 0;
}

TEST(chunks_in_any_pieces)
{
	static const char text[] =
		"5;ext=1\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nrest";

	for (size_t step = 1; step < sizeof(text); step++) {
		struct buf out = BUF_INIT;

		ASSERT_EQ(sizeof(text) - 5, decode(text, step, &out));
		ASSERT_STREQ("hello 0123456789", out.data);
		buf_done(&out);
	}
}

TEST(malformed_chunks)
{
	static const char *const bad[] = {"x\r\n", "\r\n", "5\r\nhelloX", "fffffffffffffffff\r\n",
					  "1\r\nab\r\n"};
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ASSERT_EQ(-1, decode(bad[i], 100, &out));
	buf_done(&out);
}

TEST_HARNESS_MAIN
