// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include "core/arch.h"
#include "core/buf.h"
#include "core/map.h"
#include "core/rng.h"

TEST(map_against_an_array)
{
	static void *model[200];
	struct map m = MAP_INIT;
	struct rng rng;
	char key[16];

	rng_seed(&rng, 7);
	for (int step = 0; step < 20000; step++) {
		size_t i = rng_below(&rng, ARRAY_SIZE(model)), live = 0;
		void *value = (void *)(uintptr_t)(step + 1);

		snprintf(key, sizeof(key), "k%zu", i);
		ASSERT_EQ(model[i], map_get(&m, key));
		if (rng_below(&rng, 2)) {
			ASSERT_EQ(model[i], map_put(&m, key, value));
			model[i] = value;
		} else {
			ASSERT_EQ(model[i], map_del(&m, key));
			model[i] = NULL;
		}
		for (size_t j = 0; j < ARRAY_SIZE(model); j++)
			live += !!model[j];
		ASSERT_EQ(live, m.len);
	}
	map_done(&m);
}

TEST(map_iterates_in_order_of_insertion)
{
	struct map m = MAP_INIT;
	const char *key, *want = "acd";
	char *value;

	map_put(&m, "a", "1");
	map_put(&m, "b", "2");
	map_put(&m, "c", "3");
	map_del(&m, "b");
	map_put(&m, "d", "4");
	map_for_each (&m, key, value)
		ASSERT_EQ(*want++, key[0]);
	map_done(&m);
}

TEST(base36_of_the_documented_digest)
{
	/* SHA-256("test"), and what swarm tokens make of it */
	static const uint8_t digest[] = {
		0x9f, 0x86, 0xd0, 0x81, 0x88, 0x4c, 0x7d, 0x65, 0x9a, 0x2f, 0xea,
		0xa0, 0xc5, 0x5a, 0xd0, 0x15, 0xa3, 0xbf, 0x4f, 0x1b, 0x2b, 0x0b,
		0x82, 0x2c, 0xd1, 0x5d, 0x6c, 0x15, 0xb0, 0xf0, 0x0a, 0x08,
	};
	char s[51];

	base36_encode(s, 50, digest, sizeof(digest));
	ASSERT_STREQ("3z4xlzwqzv7xv6t8ytwrg293d16fwub5atu4qcwqooidytq9zc", s);
}

TEST(base64_round_trip)
{
	for (size_t n = 0; n < 40; n++) {
		uint8_t in[40];
		char *text;
		void *out;
		size_t size;

		for (size_t i = 0; i < n; i++)
			in[i] = i * 37 + n;
		text = base64_encode(in, n);
		out = base64_decode(text, &size);
		ASSERT_NE(NULL, out);
		ASSERT_EQ(n, size);
		ASSERT_EQ(0, memcmp(in, out, n));
		free(text);
		free(out);
	}
	ASSERT_EQ(NULL, base64_decode("a*b", NULL));
}

TEST(buf_grows_and_consumes)
{
	struct buf b = BUF_INIT;

	ASSERT_STREQ("", b.data);
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i);
	ASSERT_EQ(3890, b.len);
	buf_consume(&b, 2);
	ASSERT_EQ('1', b.data[0]);
	buf_done(&b);
}

TEST(numbers_are_whole_and_bounded)
{
	uint64_t v = 77;

	ASSERT_EQ(-EINVAL, parse_u64("12x", 0, 100, &v));
	ASSERT_EQ(-EINVAL, parse_u64("-1", 0, 100, &v));
	ASSERT_EQ(-ERANGE, parse_u64("101", 0, 100, &v));
	ASSERT_EQ(77, v);
	ASSERT_EQ(0, parse_u64("100", 0, 100, &v));
	ASSERT_EQ(100, v);
}

TEST(a_platform_is_this_machines_by_either_name)
{
	EXPECT_STREQ("amd64", arch_name("x86_64"));
	EXPECT_STREQ("s390x", arch_name("s390x"));
	EXPECT_TRUE(arch_is_platform("linux"));
	EXPECT_TRUE(arch_is_platform("Linux/" ARCH_NAME));
	EXPECT_TRUE(arch_is_platform("linux/" ARCH_NAME "/v8"));
	EXPECT_FALSE(arch_is_platform("linux/" ARCH_NAME "x"));
	EXPECT_FALSE(arch_is_platform("linux/"));
	EXPECT_FALSE(arch_is_platform("windows/" ARCH_NAME));
	EXPECT_FALSE(arch_is_platform(""));
	EXPECT_EQ(0, arch_platform_check("linux/arm64/v8", NULL));
	EXPECT_EQ(0, arch_platform_check("Linux", NULL));
	EXPECT_EQ(-EINVAL, arch_platform_check("a/b/c/d", NULL));
	EXPECT_EQ(-EINVAL, arch_platform_check("linux//v8", NULL));
	EXPECT_EQ(-EINVAL, arch_platform_check("linux/", NULL));
	EXPECT_EQ(-EINVAL, arch_platform_check("/linux", NULL));
	EXPECT_EQ(-EINVAL, arch_platform_check("linux/am d", NULL));
	EXPECT_EQ(-EINVAL, arch_platform_check("none", NULL));
	EXPECT_EQ(-EINVAL, arch_platform_check("", NULL));
}

TEST_HARNESS_MAIN
