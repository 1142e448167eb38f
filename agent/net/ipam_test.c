// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include "core/rng.h"
#include "net/ipam.h"

static struct ip_range range(const char *s)
{
	struct ip_range r = {0};

	if (ip_range_parse(s, &r))
		abort();
	return r;
}

TEST(parse)
{
	static const char *const bad[] = {
		"", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/8x", "1.2.3.4.5/8", "/8"};
	struct ip_range r;
	char text[16];

	for (size_t n = 0; n < ARRAY_SIZE(bad); n++)
		EXPECT_EQ(-EINVAL, ip_range_parse(bad[n], &r));
	r = range("10.1.2.3/16");
	EXPECT_STREQ("10.1.0.0", ip_format(r.base, text));
	EXPECT_EQ(16, r.prefix);
}

TEST(default_pools)
{
	struct ip_range avoid[] = {range("172.18.0.0/15"), range("10.0.0.0/8")}, r;
	struct subnet *subnets[64];
	struct ipam *ipam;
	struct err err;
	size_t n = 0;
	char text[16];

	ASSERT_EQ(0, ipam_new(NULL, &ipam, &err));
	while (!ipam_choose_subnet(ipam, avoid, 2, &r, &err)) {
		ASSERT_LT(n, 64);
		ASSERT_EQ(0, ipam_subnet_new(ipam, &r, &subnets[n], &err));
		if (n == 1)
			EXPECT_STREQ("172.20.0.0", ip_format(r.base, text));
		n++;
	}
	EXPECT_EQ(15 - 2 + 16, n);
	EXPECT_STREQ("all predefined address pools have been fully subnetted", err.msg);
	for (size_t i = 0; i < n; i++)
		ipam_subnet_free(subnets[i]);
	ipam_free(ipam);
}

TEST(given_pools)
{
	char *good[] = {"base=10.9.0.0/22,size=24", NULL},
	     *bad[] = {"base=10.9.0.0/24,size=22", NULL};
	struct ip_range r, big = range("10.0.0.0/8");
	struct subnet *a, *b;
	struct ipam *ipam;
	struct err err;

	EXPECT_EQ(-EINVAL, ipam_new(bad, &ipam, &err));
	ASSERT_EQ(0, ipam_new(good, &ipam, &err));
	ASSERT_EQ(0, ipam_choose_subnet(ipam, NULL, 0, &r, &err));
	ASSERT_EQ(0, ipam_subnet_new(ipam, &r, &a, &err));
	EXPECT_EQ(-EACCES, ipam_subnet_new(ipam, &big, &b, &err));
	ipam_subnet_free(a);
	ASSERT_EQ(0, ipam_subnet_new(ipam, &big, &b, &err));
	EXPECT_EQ(-EINVAL, ipam_choose_subnet(ipam, NULL, 0, &r, &err));
	ipam_subnet_free(b);
	ipam_free(ipam);
}

/* A plain array of what is taken, against the bitmap. */
TEST(addresses_like_the_model)
{
	struct rng rng;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		unsigned int prefix = 20 + seed % 12;
		struct ip_range r = {10u << 24, prefix},
				within = {(10u << 24) | (1u << (31 - prefix)), prefix + 1};
		uint32_t size = 1u << (32 - prefix), lo = prefix < 31 ? 1 : 0,
			 hi = prefix < 31 ? size - 2 : size - 1;
		struct subnet *s = ipam_subnet_foreign(&r);
		bool *model = calloc(size, 1);

		rng_seed(&rng, seed);
		for (int step = 0; step < 5000; step++) {
			uint32_t off = rng_below(&rng, size), want = UINT32_MAX, got = 0, from = lo;
			int rc;

			switch (rng_below(&rng, 4)) {
			case 0:
				rc = ipam_take(s, r.base + off, NULL, &got, NULL);
				if (off < lo || off > hi) {
					ASSERT_EQ(-EINVAL, rc);
				} else if (model[off]) {
					ASSERT_EQ(-EBUSY, rc);
				} else {
					ASSERT_EQ(0, rc);
					ASSERT_EQ(r.base + off, got);
					model[off] = true;
				}
				break;
			case 1:
				from = max(lo, size / 2);
				/* fall through */
			case 2:
				for (uint32_t i = from; i <= hi && want == UINT32_MAX; i++)
					if (!model[i])
						want = i;
				rc = ipam_take(s, 0, from == lo ? NULL : &within, &got, NULL);
				if (want == UINT32_MAX) {
					ASSERT_EQ(-ENOSPC, rc);
				} else {
					ASSERT_EQ(0, rc);
					ASSERT_EQ(r.base + want, got);
					model[want] = true;
				}
				break;
			default:
				ipam_give(s, r.base + off);
				model[off] = false;
			}
		}
		free(model);
		ipam_subnet_free(s);
	}
}

TEST_HARNESS_MAIN
