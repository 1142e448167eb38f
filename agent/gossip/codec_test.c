// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include "core/rng.h"
#include "gossip/codec.h"
#include "gossip/lzw.h"

static const char *hex(const struct buf *b)
{
	static char text[4096];

	hex_encode(text, b->data, b->len);
	return text;
}

TEST(alive_as_the_reference_has_it)
{
	static const uint8_t addr[] = {10, 0, 0, 1}, vsn[] = {1, 5, 2, 0, 0, 0};
	struct ml_msg m = {.type = ML_ALIVE,
			   .incarnation = 1,
			   .node = slice_str("n1"),
			   .addr = {addr, 4},
			   .port = 7946,
			   .vsn = {vsn, 6}},
		      back;
	_cleanup_buf_ struct buf b = BUF_INIT;

	ml_encode(&m, &b);
	ASSERT_STREQ("0486a441646472a40a000001ab496e6361726e6174696f6e01a44d657461a0a44e6f6465a26e3"
		     "1a4506f7274"
		     "cd1f0aa356736ea6010502000000",
		     hex(&b));
	ASSERT_EQ(0, ml_decode(b.data, b.len, &back));
	ASSERT_EQ(1, back.incarnation);
	ASSERT_TRUE(slice_eq(back.node, "n1"));
	ASSERT_EQ(7946, back.port);
	ASSERT_EQ(4, back.addr.len);
	for (size_t cut = 0; cut < b.len; cut++)
		ASSERT_NE(0, ml_decode(b.data, cut, &back));
}

TEST(push_pull_header_as_the_reference_has_it)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct ml_msg m = {.type = ML_PUSH_PULL, .join = true, .nodes = 2, .user_state_len = 300};

	ml_encode(&m, &b);
	ASSERT_STREQ("0683a44a6f696ec3a54e6f64657302ac5573657253746174654c656ed1012c", hex(&b));
}

TEST(lzw_as_the_reference_has_it)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	lzw_compress("aaaaaaaa", 8, &b);
	ASSERT_STREQ("00c3081c283020", hex(&b));
}

TEST(lzw_both_ways)
{
	struct rng rng;

	rng_seed(&rng, 3);
	/* long ones fill the table several times; few letters make long codes */
	for (int round = 0; round < 60; round++) {
		size_t size = rng_below(&rng, round % 10 ? 3000 : 60000),
		       letters = 1 + rng_below(&rng, 256);
		_cleanup_free_ uint8_t *in = xmalloc(size + 1);
		_cleanup_buf_ struct buf packed = BUF_INIT, out = BUF_INIT;

		for (size_t i = 0; i < size; i++)
			in[i] = rng_below(&rng, letters);
		lzw_compress(in, size, &packed);
		ASSERT_EQ(0, lzw_expand(packed.data, packed.len, size, &out));
		ASSERT_EQ(size, out.len);
		ASSERT_EQ(0, memcmp(in, out.data, size));
		if (size)
			ASSERT_EQ(-EFBIG, lzw_expand(packed.data, packed.len, size - 1, &out));
		buf_reset(&out);
		ASSERT_EQ(-EBADMSG, lzw_expand(packed.data, packed.len - 2, size, &out));
	}
}

TEST(compound_parts)
{
	const struct slice parts[] = {slice_str("one"), slice_str(""), slice_str("three")};
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct slice got;
	size_t pos = 0;

	ml_compound(parts, 3, &b);
	for (size_t i = 0; i < 3; i++) {
		ASSERT_TRUE(ml_compound_next(b.data + 1, b.len - 1, &pos, &got));
		ASSERT_EQ(parts[i].len, got.len);
		ASSERT_EQ(0, memcmp(parts[i].p, got.p, got.len));
	}
	ASSERT_FALSE(ml_compound_next(b.data + 1, b.len - 1, &pos, &got));
	pos = 0; /* cut: the last is left out */
	ASSERT_TRUE(ml_compound_next(b.data + 1, b.len - 2, &pos, &got));
	ASSERT_TRUE(ml_compound_next(b.data + 1, b.len - 2, &pos, &got));
	ASSERT_FALSE(ml_compound_next(b.data + 1, b.len - 2, &pos, &got));
}

TEST(envelopes)
{
	_cleanup_buf_ struct buf crc = BUF_INIT, packed = BUF_INIT, out = BUF_INIT, user = BUF_INIT;
	struct slice got;

	ml_crc_seal("hello", 5, &crc);
	ASSERT_EQ(0, ml_crc_open(crc.data, crc.len, &got));
	ASSERT_EQ(5, got.len);
	crc.data[6] ^= 1;
	ASSERT_EQ(-EBADMSG, ml_crc_open(crc.data, crc.len, &got));
	ml_compress("hello", 5, &packed);
	ASSERT_EQ(0, ml_decompress(packed.data, packed.len, 100, &out));
	ASSERT_STREQ("hello", out.data);
	ml_user_stream("hello", 5, &user);
	ASSERT_EQ(0, ml_user_stream_open(user.data, user.len, &got));
	ASSERT_EQ(5, got.len);
	ASSERT_EQ(-EBADMSG, ml_user_stream_open(user.data, user.len - 1, &got));
}

TEST(push_pull_stream)
{
	struct ml_msg nodes[2] = {{.type = ML_NODE,
				   .name = slice_str("a"),
				   .state = ML_STATE_LEFT,
				   .incarnation = 7},
				  {.type = ML_NODE, .name = slice_str("b"), .port = 1}},
		      got;
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct ml_push_pull pp;
	struct slice user;

	ml_push_pull(true, nodes, 2, "state", 5, &b);
	ASSERT_EQ(0, ml_push_pull_open(b.data, b.len, &pp));
	ASSERT_TRUE(pp.join);
	ASSERT_EQ(1, ml_push_pull_next(&pp, &got, &user));
	ASSERT_EQ(ML_STATE_LEFT, got.state);
	ASSERT_EQ(7, got.incarnation);
	ASSERT_EQ(1, ml_push_pull_next(&pp, &got, &user));
	ASSERT_EQ(0, ml_push_pull_next(&pp, &got, &user));
	ASSERT_EQ(5, user.len);
}

TEST_HARNESS_MAIN
