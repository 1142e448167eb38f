// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include <arpa/inet.h>

#include "core/rng.h"
#include "net/inaddr.h"
#include "net/ipam6.h"

static struct ip6_range range(const char *s)
{
	struct ip6_range r;

	if (ip6_range_parse(s, &r))
		abort();
	return r;
}

static struct in6_addr ip(const char *s)
{
	struct in6_addr a;

	if (ip6_parse(s, &a))
		abort();
	return a;
}

TEST(parse)
{
	static const char *const bad[] = {"",
					  "2001:db8::",
					  "2001:db8::/129",
					  "10.0.0.0/8",
					  "::x/64",
					  "2001:db8::/64x",
					  "::ffff:10.0.0.0/104",
					  "/64",
					  "2001:db8::/-1"};
	struct ip6_range r;
	char text[INET6_ADDRSTRLEN];

	for (size_t n = 0; n < ARRAY_SIZE(bad); n++)
		EXPECT_EQ(-EINVAL, ip6_range_parse(bad[n], &r));
	r = range("2001:DB8:1:2:3::9/56");
	EXPECT_STREQ("2001:db8:1::", inaddr_format(&r.base, text));
	EXPECT_EQ(56, r.prefix);
	r = range("::/0");
	EXPECT_TRUE(inaddr_is_zero(&r.base));
}

TEST(both_families)
{
	struct in6_addr a, b;
	char text[INET6_ADDRSTRLEN];

	ASSERT_EQ(0, inaddr_parse("10.1.2.3", &a));
	EXPECT_TRUE(inaddr_is4(&a));
	EXPECT_STREQ("10.1.2.3", inaddr_format(&a, text));
	b = inaddr_of_u32(0x0a010203);
	EXPECT_TRUE(inaddr_equal(&a, &b));
	ASSERT_EQ(0, inaddr_parse("0.0.0.0", &a));
	EXPECT_TRUE(inaddr_is_any(&a));
	EXPECT_FALSE(inaddr_is_zero(&a));
	ASSERT_EQ(0, inaddr_parse("fd00:0::1", &a));
	EXPECT_FALSE(inaddr_is4(&a));
	EXPECT_STREQ("fd00::1", inaddr_format(&a, text));
	EXPECT_FALSE(inaddr_is_loopback(&a));
	ASSERT_EQ(0, inaddr_parse("::1", &a));
	EXPECT_TRUE(inaddr_is_loopback(&a));
	ASSERT_EQ(0, inaddr_parse("127.0.0.53", &a));
	EXPECT_TRUE(inaddr_is_loopback(&a));
	EXPECT_EQ(-EINVAL, inaddr_parse("fd00::1/64", &a));
	EXPECT_EQ(-EINVAL, inaddr_parse("", &a));
}

TEST(pools)
{
	char *given[] = {"base=10.9.0.0/22,size=24", "base=fd12::/62,size=64", NULL},
	     *wide[] = {"base=fd12::/64,size=48", NULL}, *odd[] = {"base=fd12::/64,size=x", NULL};
	struct ip6_range r, taken = range("fd12:0:0:1::/72"),
			    avoid[] = {range("fd12::/63"), range("fd12:0:0:2::7/128")};
	struct subnet6 *subnets[4], *s;
	struct ipam6 *ipam;
	struct err err;
	char text[INET6_ADDRSTRLEN];

	EXPECT_EQ(-EINVAL, ipam6_new(wide, "x", &ipam, &err));
	EXPECT_EQ(-EINVAL, ipam6_new(odd, "x", &ipam, &err));
	ASSERT_EQ(0, ipam6_new(given, "x", &ipam, &err));
	ASSERT_EQ(0, ipam6_subnet_new(ipam, &taken, &s, &err));
	ASSERT_EQ(0, ipam6_choose_subnet(ipam, avoid, 2, &r, &err));
	EXPECT_STREQ("fd12:0:0:3::", inaddr_format(&r.base, text));
	for (int i = 0; i < 3; i++) {
		static const char *const want[] = {"fd12::", "fd12:0:0:2::", "fd12:0:0:3::"};

		ASSERT_EQ(0, ipam6_choose_subnet(ipam, NULL, 0, &r, &err));
		EXPECT_STREQ(want[i], inaddr_format(&r.base, text));
		EXPECT_EQ(64, r.prefix);
		ASSERT_EQ(0, ipam6_subnet_new(ipam, &r, &subnets[i], &err));
	}
	EXPECT_EQ(-EINVAL, ipam6_choose_subnet(ipam, NULL, 0, &r, &err));
	EXPECT_STREQ("all predefined address pools have been fully subnetted", err.msg);
	r = range("fd00::/8");
	EXPECT_EQ(-EACCES, ipam6_subnet_new(ipam, &r, &subnets[3], &err));
	for (int i = 0; i < 3; i++)
		subnet6_free(subnets[i]);
	subnet6_free(s);
	ipam6_free(ipam);
}

/* What follows from the engine's ID is the same each time, and as dockerd has it. */
TEST(local_pool)
{
	struct ip6_range r;
	struct ipam6 *ipam;
	struct err err;
	char text[INET6_ADDRSTRLEN];

	ASSERT_EQ(0, ipam6_new(NULL, "", &ipam, &err));
	ASSERT_EQ(0, ipam6_choose_subnet(ipam, NULL, 0, &r, &err));
	/* SHA-256 of nothing: e3b0c442 98fc1c14 … */
	EXPECT_STREQ("fd42:98fc:1c14::", inaddr_format(&r.base, text));
	EXPECT_EQ(64, r.prefix);
	ipam6_free(ipam);
}

/* The end of all addresses is no end of the world. */
TEST(last_subnet)
{
	struct ip6_range all = range("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"), r;
	char *pool[] = {"base=ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126,size=126", NULL};
	struct in6_addr a;
	struct subnet6 *s;
	struct ipam6 *ipam;
	struct err err;

	ASSERT_EQ(0, ipam6_new(pool, "x", &ipam, &err));
	ASSERT_EQ(0, ipam6_subnet_new(ipam, &all, &s, &err));
	EXPECT_EQ(-EINVAL, ipam6_choose_subnet(ipam, NULL, 0, &r, &err));
	EXPECT_EQ(0, subnet6_take(s, NULL, NULL, &a, &err));
	EXPECT_EQ(0, subnet6_take(s, NULL, NULL, &a, &err));
	EXPECT_EQ(-ENOSPC, subnet6_take(s, NULL, NULL, &a, &err));
	subnet6_free(s);
	ipam6_free(ipam);
}

/* A plain array of what is taken, against the sorted one. */
TEST(addresses_like_the_model)
{
	enum { SIZE = 256 };
	struct ip6_range r = range("2001:db8::/120"), half = range("2001:db8::80/121");
	struct rng rng;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		bool model[SIZE] = {false};
		struct subnet6 *s;
		struct ipam6 *ipam;
		struct err err;

		rng_seed(&rng, seed);
		ASSERT_EQ(0, ipam6_new(NULL, "x", &ipam, &err));
		ASSERT_EQ(0, ipam6_subnet_new(ipam, &r, &s, &err));
		for (int step = 0; step < 3000; step++) {
			unsigned int off = rng_below(&rng, SIZE), from = 1, want;
			struct in6_addr a = ip("2001:db8::"), got;
			int rc;

			a.s6_addr[15] = off;
			switch (rng_below(&rng, 4)) {
			case 0:
				rc = subnet6_take(s, &a, NULL, &got, NULL);
				ASSERT_EQ(!off ? -EINVAL : model[off] ? -EBUSY : 0, rc);
				model[off] |= off;
				break;
			case 1:
				from = SIZE / 2;
				/* fall through */
			case 2:
				for (want = from; want < SIZE && model[want]; want++)
					;
				rc = subnet6_take(s, NULL, from == 1 ? NULL : &half, &got, NULL);
				ASSERT_EQ(want == SIZE ? -ENOSPC : 0, rc);
				if (rc)
					break;
				ASSERT_EQ(want, got.s6_addr[15]);
				model[want] = true;
				break;
			default:
				subnet6_give(s, &a);
				model[off] = false;
			}
		}
		subnet6_free(s);
		ipam6_free(ipam);
	}
}

TEST_HARNESS_MAIN
