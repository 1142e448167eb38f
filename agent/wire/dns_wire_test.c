// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include "core/rng.h"
#include "wire/dns_wire.h"

/* "WEB" A IN with EDNS 1400 */
static const uint8_t web[] = {0x12, 0x34, 1, 0, 0, 1, 0, 0,  0, 0,    0, 1, 3, 'W', 'E', 'B',
			      0,    0,	  1, 0, 1, 0, 0, 41, 5, 0x78, 0, 0, 0, 0,   0,	 0};

TEST(query)
{
	struct dns_query q;

	ASSERT_EQ(0, dns_query_parse(web, sizeof(web), &q));
	EXPECT_EQ(0x1234, q.id);
	EXPECT_STREQ("web", q.name);
	EXPECT_EQ(DNS_A, q.type);
	EXPECT_EQ(9, q.question_size);
	EXPECT_TRUE(q.edns && q.recursion);
	EXPECT_EQ(1400, q.udp_size);
	for (size_t n = 0; n < sizeof(web); n++)
		EXPECT_NE(0, dns_query_parse(web, n, &q));
}

TEST(refused)
{
	uint8_t p[sizeof(web)];
	struct dns_query q;

	memcpy(p, web, sizeof(p));
	p[2] = 0x81;
	EXPECT_EQ(-EBADMSG, dns_query_parse(p, sizeof(p), &q));
	p[2] = 0x21;
	EXPECT_EQ(-EOPNOTSUPP, dns_query_parse(p, sizeof(p), &q));
	p[2] = 1;
	p[5] = 2;
	EXPECT_EQ(-EINVAL, dns_query_parse(p, sizeof(p), &q));
	p[5] = 1;
	p[12] = 0xc0;
	EXPECT_EQ(-EINVAL, dns_query_parse(p, sizeof(p), &q));
	p[12] = 3;
	p[14] = 0xe9;
	EXPECT_EQ(0, dns_query_parse(p, sizeof(p), &q));
	EXPECT_STREQ("", q.name);
}

TEST(long_names)
{
	uint8_t p[600] = {0, 1, 1, 0, 0, 1};
	struct dns_query q;
	size_t n = 12;

	for (int i = 0; i < 4; i++) {
		p[n] = i == 3 ? 61 : 63;
		memset(p + n + 1, 'a', 63);
		n += 1 + p[n];
	}
	p[n++] = 0;
	ASSERT_EQ(255, n - 12);
	ASSERT_EQ(0, dns_query_parse(p, n + 4, &q));
	EXPECT_EQ(253, strlen(q.name));
	/* one byte more is too long */
	p[12 + 3 * 64] = 62;
	EXPECT_EQ(-EINVAL, dns_query_parse(p, n + 5, &q));
}

TEST(answers)
{
	struct dns_rr rr[200];
	struct dns_query q;
	struct buf b = BUF_INIT;
	const uint8_t *r;

	for (size_t k = 0; k < ARRAY_SIZE(rr); k++)
		rr[k] = (struct dns_rr){.ip = 0x0a000000 + k};
	ASSERT_EQ(0, dns_query_parse(web, sizeof(web), &q));
	dns_reply(&b, web, &q, DNS_NOERROR, rr, 2, 600, q.udp_size);
	r = (void *)b.data;
	ASSERT_EQ(12 + 9 + 2 * 16 + 11, b.len);
	EXPECT_EQ(0x81, r[2]);
	EXPECT_EQ(0x80, r[3]);
	EXPECT_EQ(2, r[7]);
	EXPECT_EQ(0, memcmp(r + 21, "\xc0\x0c\0\1\0\1\0\0\2\x58\0\4\x0a\0\0\0", 16));
	EXPECT_TRUE(dns_reply_matches(r, b.len, 0x1234, web, &q));
	EXPECT_FALSE(dns_reply_matches(r, b.len, 0x1235, web, &q));
	EXPECT_FALSE(dns_reply_matches(r, 20, 0x1234, web, &q));
	buf_reset(&b);
	dns_reply(&b, web, &q, DNS_NOERROR, rr, 200, 600, 512);
	r = (void *)b.data;
	EXPECT_LE(b.len, 512);
	EXPECT_EQ(0x83, r[2]);
	EXPECT_EQ((512 - 12 - 9 - 11) / 16, r[7]);
	buf_reset(&b);
	q.type = DNS_AAAA;
	rr[0] = (struct dns_rr){.ip6 = {0xfd, [15] = 1}};
	dns_reply(&b, web, &q, DNS_NOERROR, rr, 1, 600, 512);
	ASSERT_EQ(12 + 9 + 28 + 11, b.len);
	EXPECT_EQ(0, memcmp(b.data + 21,
			    "\xc0\x0c\0\x1c\0\1\0\0\2\x58\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1",
			    28));
	buf_done(&b);
}

TEST(reverse)
{
	struct buf b = BUF_INIT;
	struct dns_query q = {.type = DNS_PTR};
	struct dns_rr good = {.name = "web.1.abc.net"},
		      bad[] = {{.name = "a..b"}, {.name = NULL}, {.name = ".a"}};
	static const char six[] = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.a."
				  "ip6.arpa";
	uint8_t ip[16];

	EXPECT_TRUE(dns_ptr_parse("4.3.2.1.in-addr.arpa", ip));
	EXPECT_EQ(0, memcmp(ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff\1\2\3\4", 16));
	EXPECT_TRUE(dns_ptr_parse(six, ip));
	EXPECT_EQ(0, memcmp(ip, "\xa0\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16));
	EXPECT_FALSE(dns_ptr_parse(six + 2, ip));
	EXPECT_FALSE(dns_ptr_parse("g.0.ip6.arpa", ip));
	EXPECT_FALSE(dns_ptr_parse(".ip6.arpa", ip));
	EXPECT_FALSE(dns_ptr_parse("4.3.2.1.in-addr.arpa.x", ip));
	EXPECT_FALSE(dns_ptr_parse("4.3.2.256.in-addr.arpa", ip));
	EXPECT_FALSE(dns_ptr_parse("b.a.9.ip6.arpa", ip));
	dns_reply(&b, (void *)buf_empty, &q, DNS_NOERROR, &good, 1, 600, 512);
	EXPECT_EQ(12 + 12 + 15, b.len);
	EXPECT_EQ(0, memcmp(b.data + 24,
			    "\3web\1"
			    "1\3abc\3net",
			    15));
	buf_reset(&b);
	dns_reply(&b, (void *)buf_empty, &q, DNS_NOERROR, bad, 3, 600, 512);
	EXPECT_EQ(12, b.len);
	buf_done(&b);
}

/* Whatever is done to a query: never a read past its end (ASan), and what is parsed can be answered. */
TEST(damaged)
{
	struct rng rng;

	rng_seed(&rng, 7);
	for (int round = 0; round < 20000; round++) {
		size_t n = rng_below(&rng, sizeof(web) + 1);
		uint8_t *p = malloc(n ? n : 1);
		struct dns_rr rr = {.ip = 1, .name = "a"};
		struct dns_query q;
		struct buf b = BUF_INIT;

		memcpy(p, web, n);
		for (int k = rng_below(&rng, 5); n && k > 0; k--)
			p[rng_below(&rng, n)] = rng_u64(&rng);
		if (dns_query_parse(p, n, &q) != -EBADMSG)
			dns_reply(&b, p, &q, DNS_NOERROR, &rr, 1, 600, q.udp_size);
		buf_done(&b);
		free(p);
	}
}

TEST_HARNESS_MAIN
