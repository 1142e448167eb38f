// SPDX-License-Identifier: Apache-2.0
/* The pure headers of include/swarm, against obvious versions of the same rules. */
#include "kselftest_harness.h"

#include <arpa/inet.h>

#include "core/rng.h"
#include "swarm/esp.h"
#include "swarm/lb.h"
#include "swarm/map.h"
#include "swarm/vxlan.h"

static uint16_t naive_csum(const uint8_t *p, size_t size)
{
	uint64_t sum = 0;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/* 0 and 0xffff are the same number in ones' complement. */
static bool same_csum(uint16_t a, uint16_t b)
{
	return a == b || (a == 0xffff && b == 0) || (a == 0 && b == 0xffff);
}

TEST(checksums_after_changes_are_those_of_the_whole)
{
	uint16_t words[32];
	struct rng rng;

	rng_seed(&rng, 1);
	for (int step = 0; step < 100000; step++) {
		uint16_t check, old2;
		uint32_t old4, new4;

		rng_bytes(&rng, words, sizeof(words));
		if (!(step % 3))
			memset(words, step % 2 ? 0xff : 0, rng_below(&rng, sizeof(words)));
		check = sw_csum_fold(sw_csum_block(0, words, sizeof(words)));
		ASSERT_EQ(naive_csum((uint8_t *)words, sizeof(words)), ntohs(check));

		old2 = words[3];
		words[3] = rng_u64(&rng);
		check = sw_csum_update(check, sw_csum_diff16(0, old2, words[3]));
		ASSERT_TRUE(same_csum(naive_csum((uint8_t *)words, sizeof(words)), ntohs(check)));

		memcpy(&old4, words + 8, 4);
		rng_bytes(&rng, words + 8, 4);
		memcpy(&new4, words + 8, 4);
		check = sw_csum_update(check, sw_csum_diff32(0, old4, new4));
		ASSERT_TRUE(same_csum(naive_csum((uint8_t *)words, sizeof(words)), ntohs(check)));
	}
}

TEST(outer_headers)
{
	struct sw_encap e;
	uint8_t raw[sizeof(e)];

	memset(&e, 0, sizeof(e));
	sw_encap_fill(&e, htonl(0xc0a80001), htonl(0xffffffff), htons(4789), 4097, 1450, 0xb8, 77);
	memcpy(raw, &e, sizeof(e));
	ASSERT_EQ(0, naive_csum(raw, 20));
	ASSERT_EQ(1500, raw[2] << 8 | raw[3]);
	ASSERT_EQ(1480, raw[24] << 8 | raw[25]);
	ASSERT_EQ(0xc000 | 77, raw[20] << 8 | raw[21]);
	ASSERT_EQ(0x08, raw[28]);
	ASSERT_EQ(4097, raw[32] << 16 | raw[33] << 8 | raw[34]);
	ASSERT_EQ(0x0800, raw[48] << 8 | raw[49]);
}

TEST(outer_length_of_encrypted_packets)
{
	/* Docker's MTU for them: 26 less than that of others, as a multiple of 4 */
	EXPECT_EQ(1424, sw_esp_room(1500));
	EXPECT_EQ(8924, sw_esp_room(9000));
	EXPECT_EQ(0, sw_esp_room(40));
	for (uint32_t mtu = 576; mtu < 1600; mtu++) {
		uint32_t room = sw_esp_room(mtu);

		EXPECT_GE(mtu, sw_esp_len(room));
		EXPECT_LT(mtu, sw_esp_len(room + 1));
	}
}

TEST(macs_name_addresses)
{
	uint8_t mac[6];

	sw_mac4(mac, SW_MAC_ADDR, htonl(0x0a000003));
	ASSERT_EQ(0, memcmp(mac, "\x02\x42\x0a\x00\x00\x03", 6));
	ASSERT_EQ(htonl(0x0a000003), sw_mac4_addr(mac));
	mac[1] = 0x44;
	ASSERT_EQ(0, sw_mac4_addr(mac));
}

static void fill(struct sw_lb_backend *b, uint32_t n, const uint32_t *skip, uint16_t *table,
		 uint32_t size)
{
	uint32_t len = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (skip && *skip == i)
			continue;
		sw_addr_set4(&b[len].addr, htonl(0x0a000100 + i));
		b[len++].weight = 1;
	}
	sw_lb_fill(b, len, table, size);
}

TEST(balancing_is_even_and_changes_little)
{
	static const uint32_t counts[] = {1, 2, 3, 16, 50, 200, 1024};

	for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
		uint32_t n = counts[c], size = sw_lb_size(n), gone = n / 2, moved = 0;
		struct sw_lb_backend *b = xcalloc(n, sizeof(*b)), *after = xcalloc(n, sizeof(*b));
		uint16_t *t = xcalloc(size, 2), *t2 = xcalloc(size, 2);
		uint32_t *share = xcalloc(n, sizeof(*share));

		fill(b, n, NULL, t, size);
		for (uint32_t i = 0; i < size; i++) {
			ASSERT_LT(t[i], n);
			share[t[i]]++;
		}
		/* Maglev gives every backend the same number of slots, but one */
		for (uint32_t i = 0; i < n; i++) {
			ASSERT_GE(share[i], size / n);
			ASSERT_LE(share[i], size / n + 1);
		}
		if (n > 1) {
			fill(after, n, &gone, t2, size);
			for (uint32_t i = 0; i < size; i++)
				moved += t[i] != gone &&
					 !sw_addr_eq(&b[t[i]].addr, &after[t2[i]].addr);
			ASSERT_LE(moved, size / 6);
		}
		free(b);
		free(after);
		free(t);
		free(t2);
		free(share);
	}
}

TEST(weights_are_shares)
{
	struct sw_lb_backend b[3] = {{.weight = 1}, {.weight = 2}, {.weight = 5}};
	uint16_t t[SW_LB_SIZE_MIN];
	int share[3] = {0};

	for (int i = 0; i < 3; i++)
		sw_addr_set4(&b[i].addr, htonl(0x0a000001 + i));
	sw_lb_fill(b, 3, t, SW_LB_SIZE_MIN);
	for (int i = 0; i < SW_LB_SIZE_MIN; i++)
		share[t[i]]++;
	ASSERT_LE(abs(share[0] - 128), 3);
	ASSERT_LE(abs(share[1] - 255), 3);
	ASSERT_LE(abs(share[2] - 638), 4);
}

TEST(hash_is_what_it_was)
{
	/* every version and node has to agree: this value never changes */
	struct sw_flow_key k = {.sport = htons(40000), .dport = htons(80), .proto = 6, .vni = 5};

	sw_addr_set4(&k.src, htonl(0xc0000201));
	sw_addr_set4(&k.dst, htonl(0xc6336401));
	ASSERT_EQ(37141122u, sw_hash_flow(&k));
	k.vni = 9;
	k.dir = 2;
	ASSERT_EQ(37141122u, sw_hash_flow(&k));
}

TEST(hash_spreads_ports)
{
	struct sw_flow_key k = {.dport = htons(80), .proto = 6};
	int bins[64] = {0};

	sw_addr_set4(&k.src, htonl(0xc0000201));
	sw_addr_set4(&k.dst, htonl(0xc6336401));
	for (int i = 0; i < 6400; i++) {
		k.sport = htons(32768 + i);
		bins[sw_hash_flow(&k) % 64]++;
	}
	for (int i = 0; i < 64; i++) {
		ASSERT_GT(bins[i], 50);
		ASSERT_LT(bins[i], 160);
	}
}

TEST_HARNESS_MAIN
