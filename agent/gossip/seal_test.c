// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include "gossip/seal.h"

static const uint8_t a[16] = "0123456789abcdef", b[16] = "another key, too",
		     nonce[SEAL_NONCE] = "012345678901";

static void set(struct keyring *k, const uint8_t *first, const uint8_t *second)
{
	const uint8_t *keys[] = {first, second};
	const size_t sizes[] = {16, 16};

	keyring_set(k, keys, sizes, second ? 2 : 1);
}

TEST(any_key_of_the_ring_opens)
{
	struct keyring *k = keyring_new(), *other = keyring_new();
	_cleanup_buf_ struct buf sealed = BUF_INIT, out = BUF_INIT;

	ASSERT_EQ(-ENOKEY, seal_packet(k, nonce, "hi", 2, &sealed));
	set(k, a, b);
	set(other, b, a);
	ASSERT_EQ(0, seal_packet(k, nonce, "hello", 5, &sealed));
	ASSERT_EQ(5 + SEAL_OVERHEAD, sealed.len);
	ASSERT_EQ(1, sealed.data[0]);
	ASSERT_EQ(0, open_packet(other, sealed.data, sealed.len, &out));
	ASSERT_STREQ("hello", out.data);
	set(other, b, NULL);
	ASSERT_EQ(-EBADMSG, open_packet(other, sealed.data, sealed.len, &out));
	for (size_t i = 0; i < sealed.len; i++) {
		sealed.data[i] ^= 4;
		ASSERT_EQ(-EBADMSG, open_packet(k, sealed.data, sealed.len, &out));
		sealed.data[i] ^= 4;
		ASSERT_EQ(-EBADMSG, open_packet(k, sealed.data, i, &out));
	}
	keyring_free(k);
	keyring_free(other);
}

TEST(streams_vouch_for_their_length)
{
	struct keyring *k = keyring_new();
	_cleanup_buf_ struct buf sealed = BUF_INIT, out = BUF_INIT;

	set(k, a, NULL);
	ASSERT_EQ(0, seal_stream(k, nonce, "hello", 5, &sealed));
	ASSERT_EQ(sealed.len, stream_size((uint8_t *)sealed.data, 1000));
	ASSERT_EQ(-EBADMSG, stream_size((uint8_t *)sealed.data, 10));
	ASSERT_EQ(0, open_stream(k, sealed.data, sealed.len, &out));
	ASSERT_STREQ("hello", out.data);
	/* without the head as associated data it would be a packet's */
	ASSERT_EQ(-EBADMSG, open_packet(k, sealed.data + 5, sealed.len - 5, &out));
	keyring_free(k);
}

TEST_HARNESS_MAIN
