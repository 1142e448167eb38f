// SPDX-License-Identifier: Apache-2.0
/* Packets of overlay networks: between containers, by VIPs, and to nobody. */
#include "packets.h"

#include "swarm/esp.h"

TEST_F(packets, arp_is_answered)
{
	static const char *const known[] = {"10.0.1.12", "10.0.1.13", "10.0.1.2", "10.0.1.1"};
	const uint8_t *a = self->out.b + 14;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		EXPECT_VERDICT(CONTAINER, self->h0, arp("10.0.1.11", known[i]), ANSWERED, REDIRECT);
		ASSERT_EQ(2, get16(a + 6));
		ASSERT_EQ(0, memcmp(a + 8, named(known[i]), 6));
		ASSERT_EQ(ip4(known[i]), get32(a + 14));
		ASSERT_EQ(0, memcmp(self->out.b, mac_any, 6));
		ASSERT_EQ(0, memcmp(a + 18, mac_any, 6));
	}
	EXPECT_VERDICT(CONTAINER, self->h0, arp("10.0.1.11", "10.0.1.77"), DROP_NO_ENDPOINT, SHOT);
	EXPECT_VERDICT(CONTAINER, self->h0, arp("10.0.1.66", "10.0.1.12"), DROP_SPOOFED, SHOT);
	/* nobody else has the address: duplicate address detection finds none */
	EXPECT_VERDICT(CONTAINER, self->h0, arp("10.0.1.11", "10.0.1.11"), DROP_NO_ENDPOINT, SHOT);
}

TEST_F(packets, within_the_node)
{
	struct frame f = tcp(mac_any, "10.0.1.11", 4000, "10.0.1.12", 80, 2, 10);

	EXPECT_VERDICT(CONTAINER, self->h0, f, LOCAL, REDIRECT);
	ASSERT_EQ(0, memcmp(self->out.b, named("10.0.1.12"), 6));
	ASSERT_EQ(0, memcmp(self->out.b + 14, f.b + 14, f.len - 14));
}

TEST_F(packets, to_another_node_and_from_it)
{
	struct frame f = tcp(mac_any, "10.0.1.11", 4000, "10.0.1.13", 80, 2, 11);
	const uint8_t *ip = self->out.b + 14;

	EXPECT_VERDICT(CONTAINER, self->h0, f, REMOTE, REDIRECT);
	ASSERT_EQ(f.len + 50, self->out.len);
	ASSERT_EQ(0, memcmp(self->out.b, "\x02\x00\x00\x00\x00\x02", 6));
	ASSERT_EQ(0, memcmp(self->out.b + 6, self->up_mac, 6));
	EXPECT_ADDRESSES(ip, VTEP, PEER);
	ASSERT_EQ(f.len - 14 + 50, get16(ip + 2));
	ASSERT_EQ(4789, get16(ip + 22));
	ASSERT_EQ(0, get16(ip + 26));
	ASSERT_EQ(0x08000000, get32(ip + 28));
	ASSERT_EQ(NET << 8, get32(ip + 32));
	ASSERT_EQ(0, memcmp(ip + 36, named("10.0.1.13"), 6));
	ASSERT_EQ(0, memcmp(ip + 50, f.b + 14, f.len - 14));

	f = tcp(named("10.0.1.11"), "10.0.1.13", 80, "10.0.1.11", 4000, 0x12, 7);
	EXPECT_VERDICT(CLIENTS, self->up0, vxlan(self->up_mac, PEER, VTEP, NET, &f), LOCAL,
		       REDIRECT);
	ASSERT_EQ(f.len, self->out.len);
	ASSERT_EQ(0, memcmp(self->out.b, named("10.0.1.11"), 6));
	ASSERT_EQ(0, memcmp(self->out.b + 14, f.b + 14, f.len - 14));
}

TEST_F(packets, an_encrypted_network)
{
	struct frame f = tcp(mac_any, "10.0.2.11", 4000, "10.0.2.13", 80, 2, 11);
	uint32_t decrypted = SW_ESP_MARK;

	/* the frame itself goes on to the vxlan device, with the mark that xfrm's policies know */
	EXPECT_VERDICT(CONTAINER, self->hs, f, REMOTE, REDIRECT);
	ASSERT_EQ(SW_ESP_MARK, self->mark);
	ASSERT_EQ(f.len, self->out.len);
	ASSERT_EQ(0, memcmp(self->out.b, named("10.0.2.13"), 6));
	ASSERT_EQ(0, memcmp(self->out.b + 6, named("10.0.2.11"), 6));
	ASSERT_EQ(0, memcmp(self->out.b + 14, f.b + 14, f.len - 14));

	f = tcp(named("10.0.2.11"), "10.0.2.13", 80, "10.0.2.11", 4000, 0x12, 7);
	f = vxlan(self->up_mac, PEER, VTEP, SECRET, &f);
	self->mark = 0;
	EXPECT_VERDICT(CLIENTS, self->up0, f, DROP_CLEARTEXT, SHOT);
	self->mark = 1;
	EXPECT_VERDICT(CLIENTS, self->up0, f, DROP_CLEARTEXT, SHOT);
	self->mark = decrypted;
	EXPECT_VERDICT(CLIENTS, self->up0, f, LOCAL, REDIRECT);
	ASSERT_EQ(0, self->mark); /* the container's own node may be one of a swarm */
}

TEST_F(packets, what_is_dropped)
{
	struct frame f = udp(named("10.0.1.11"), "10.0.1.13", 80, "10.0.1.11", 4000, 8), v;

	EXPECT_VERDICT(CLIENTS, self->up0, vxlan(self->up_mac, "192.0.2.3", VTEP, NET, &f),
		       DROP_UNKNOWN_PEER, SHOT);
	EXPECT_VERDICT(CLIENTS, self->up0, vxlan(self->up_mac, PEER, VTEP, 77, &f), DROP_NO_NETWORK,
		       SHOT);
	v = vxlan(self->up_mac, PEER, VTEP, NET, &f);
	v.b[42] = 0;
	EXPECT_VERDICT(CLIENTS, self->up0, v, DROP_MALFORMED, SHOT);
	v = vxlan(self->up_mac, PEER, VTEP, NET, &f);
	put16(v.b + 62, 0x86dd);
	EXPECT_VERDICT(CLIENTS, self->up0, v, DROP_PROTOCOL, SHOT);
	f = udp(named("10.0.1.77"), "10.0.1.13", 80, "10.0.1.77", 4000, 8);
	EXPECT_VERDICT(CLIENTS, self->up0, vxlan(self->up_mac, PEER, VTEP, NET, &f),
		       DROP_NO_ENDPOINT, SHOT);
	/* not ours: other destinations of the port, and everything else */
	EXPECT_VERDICT(CLIENTS, self->up0, vxlan(self->up_mac, PEER, "192.0.2.9", NET, &f), PASS,
		       UNSPEC);
	EXPECT_VERDICT(CLIENTS, self->up0, udp(self->up_mac, CLIENT, 1, VTEP, 53, 8), PASS, UNSPEC);

	EXPECT_VERDICT(CONTAINER, self->h0, udp(mac_any, "10.0.1.66", 1, "10.0.1.12", 2, 8),
		       DROP_SPOOFED, SHOT);
	EXPECT_VERDICT(CONTAINER, self->h0, udp(mac_any, "10.0.1.11", 1, "10.0.1.66", 2, 8),
		       DROP_NO_ENDPOINT, SHOT);
	f = udp(mac_any, "10.0.1.11", 1, "10.0.1.12", 2, 60);
	put16(f.b + 12, 0x86dd);
	EXPECT_VERDICT(CONTAINER, self->h0, f, DROP_PROTOCOL, SHOT);
	f = udp(mac_any, "10.0.1.11", 1, "10.0.1.12", 2, 8);
	put16(f.b + 16, 500);
	EXPECT_VERDICT(CONTAINER, self->h0, f, DROP_MALFORMED, SHOT);
	f.b[14] = 0x44;
	EXPECT_VERDICT(CONTAINER, self->h0, f, DROP_MALFORMED, SHOT);
}

TEST_F(packets, vip_and_back)
{
	const uint8_t *ip = self->out.b + 14;
	struct frame f;

	EXPECT_VERDICT(CONTAINER, self->h0, tcp(mac_any, "10.0.1.11", 4000, "10.0.1.2", 80, 2, 3),
		       LOCAL, REDIRECT);
	EXPECT_ADDRESSES(ip, "10.0.1.11", "10.0.1.12");
	EXPECT_PORTS(ip, 4000, 80);
	EXPECT_VERDICT(CONTAINER, self->h1,
		       tcp(mac_any, "10.0.1.12", 80, "10.0.1.11", 4000, 0x12, 3), LOCAL, REDIRECT);
	EXPECT_ADDRESSES(ip, "10.0.1.2", "10.0.1.11");
	/* another port of the backend is not the VIP's flow */
	EXPECT_VERDICT(CONTAINER, self->h1,
		       tcp(mac_any, "10.0.1.12", 81, "10.0.1.11", 4000, 0x12, 3), LOCAL, REDIRECT);
	EXPECT_ADDRESSES(ip, "10.0.1.12", "10.0.1.11");

	/* of another node */
	EXPECT_VERDICT(CONTAINER, self->h0, udp(mac_any, "10.0.1.11", 4001, "10.0.1.3", 53, 9),
		       REMOTE, REDIRECT);
	EXPECT_ADDRESSES(ip + 50, "10.0.1.11", "10.0.1.13");
	f = udp(named("10.0.1.11"), "10.0.1.13", 53, "10.0.1.11", 4001, 9);
	EXPECT_VERDICT(CLIENTS, self->up0, vxlan(self->up_mac, PEER, VTEP, NET, &f), LOCAL,
		       REDIRECT);
	EXPECT_ADDRESSES(ip, "10.0.1.3", "10.0.1.11");

	/* its errors are about the VIP, and those of a router keep its address */
	f = icmp_error(named("10.0.1.11"), "10.0.1.13", "10.0.1.11", 3, "10.0.1.11", 4001,
		       "10.0.1.13", 53);
	EXPECT_VERDICT(CLIENTS, self->up0, vxlan(self->up_mac, PEER, VTEP, NET, &f), LOCAL,
		       REDIRECT);
	EXPECT_ADDRESSES(ip, "10.0.1.3", "10.0.1.11");
	ASSERT_EQ(ip4("10.0.1.3"), get32(ip + 28 + 16));
	ASSERT_EQ(0, csum(ip + 28, 20, 0));
	f = icmp_error(named("10.0.1.11"), "10.0.1.250", "10.0.1.11", 3, "10.0.1.11", 4001,
		       "10.0.1.13", 53);
	EXPECT_VERDICT(CLIENTS, self->up0, vxlan(self->up_mac, PEER, VTEP, NET, &f), LOCAL,
		       REDIRECT);
	EXPECT_ADDRESSES(ip, "10.0.1.250", "10.0.1.11");
	ASSERT_EQ(ip4("10.0.1.3"), get32(ip + 28 + 16));
}

TEST_F(packets, vip_of_itself)
{
	const uint8_t *ip = self->out.b + 14;

	EXPECT_VERDICT(CONTAINER, self->h1, tcp(mac_any, "10.0.1.12", 4000, "10.0.1.2", 80, 2, 0),
		       LOCAL, REDIRECT);
	EXPECT_ADDRESSES(ip, "10.0.1.1", "10.0.1.12");
	EXPECT_VERDICT(CONTAINER, self->h1,
		       tcp(mac_any, "10.0.1.12", 80, "10.0.1.1", 4000, 0x12, 0), LOCAL, REDIRECT);
	EXPECT_ADDRESSES(ip, "10.0.1.2", "10.0.1.12");
}

TEST_F(packets, udp_without_checksum_stays_so)
{
	struct frame f = udp(mac_any, "10.0.1.11", 4000, "10.0.1.2", 53, 4);

	put16(f.b + 40, 0);
	EXPECT_VERDICT(CONTAINER, self->h0, f, LOCAL, REDIRECT);
	ASSERT_EQ(0, get16(self->out.b + 40));
	/* and one that is there never becomes 0 */
	for (int i = 0; i < 200; i++) {
		f = udp(mac_any, "10.0.1.11", 5000 + i, "10.0.1.2", 53, 4);
		put16(f.b + 42, i * 331);
		put16(f.b + 40, 0);
		uint16_t c = l4_csum(f.b + 14, 12);
		put16(f.b + 40, c ? c : 0xffff);
		EXPECT_VERDICT(CONTAINER, self->h0, f, LOCAL, REDIRECT);
		ASSERT_NE(0, get16(self->out.b + 40));
		ASSERT_TRUE(sound(self->out.b + 14));
	}
}

TEST_F(packets, echo_of_gateway_and_vip)
{
	static const char *const who[] = {"10.0.1.1", "10.0.1.2"};
	const uint8_t *ip = self->out.b + 14;

	for (int i = 0; i < 2; i++) {
		struct frame f = {0};

		eth(&f, named(who[i]), mac_any, 0x0800);
		f.b[34] = 8;
		put16(f.b + 38, 77);
		put16(f.b + 36, csum(f.b + 34, 16, 0));
		ipv4(f.b + 14, "10.0.1.11", who[i], 1, 16, 0);
		f.len = 50;
		EXPECT_VERDICT(CONTAINER, self->h0, f, ANSWERED, REDIRECT);
		EXPECT_ADDRESSES(ip, who[i], "10.0.1.11");
		ASSERT_EQ(0, ip[20]);
	}
}

TEST_F(packets, fragments_follow_the_first)
{
	struct frame first = udp(mac_any, "10.0.1.11", 4000, "10.0.1.2", 53, 72), later = first;
	const uint8_t *ip = self->out.b + 14;

	ipv4(later.b + 14, "10.0.1.11", "10.0.1.2", 17, 80, 10);
	EXPECT_VERDICT(CONTAINER, self->h0, later, DROP_NO_FLOW, SHOT);
	ipv4(first.b + 14, "10.0.1.11", "10.0.1.2", 17, 80, 0x2000);
	EXPECT_VERDICT(CONTAINER, self->h0, first, LOCAL, REDIRECT);
	EXPECT_ADDRESSES(ip, "10.0.1.11", "10.0.1.12");
	EXPECT_VERDICT(CONTAINER, self->h0, later, LOCAL, REDIRECT);
	EXPECT_ADDRESSES(ip, "10.0.1.11", "10.0.1.12");
	ASSERT_EQ(0, memcmp(ip + 20, later.b + 34, 80));
}

TEST_F(packets, too_big_is_answered)
{
	struct frame f = udp(mac_any, "10.0.1.11", 4000, "10.0.1.13", 53, 1472);
	const uint8_t *ip = self->out.b + 14;

	EXPECT_VERDICT(CONTAINER, self->h0, f, ANSWERED, REDIRECT);
	ASSERT_EQ(0, memcmp(self->out.b, mac_any, 6));
	EXPECT_ADDRESSES(ip, "10.0.1.1", "10.0.1.11");
	ASSERT_EQ(3, ip[20]);
	ASSERT_EQ(4, ip[21]);
	ASSERT_EQ(1450, get16(ip + 26));
	ASSERT_EQ(0, memcmp(ip + 28, f.b + 14, 28));
	/* of encrypted networks less room is left */
	EXPECT_VERDICT(CONTAINER, self->hs, udp(mac_any, "10.0.2.11", 1, "10.0.2.13", 2, 1396),
		       REMOTE, REDIRECT);
	EXPECT_VERDICT(CONTAINER, self->hs, udp(mac_any, "10.0.2.11", 1, "10.0.2.13", 2, 1397),
		       ANSWERED, REDIRECT);
	EXPECT_ADDRESSES(ip, "10.0.2.1", "10.0.2.11");
	ASSERT_EQ(1424, get16(ip + 26));
	/* a client hears it from the address that it has asked */
	f = tcp(self->up_mac, CLIENT, 4000, VTEP, 8080, 0x10, 1460);
	EXPECT_VERDICT(CLIENTS, self->up0, f, ANSWERED, REDIRECT);
	EXPECT_ADDRESSES(ip, VTEP, CLIENT);
	ASSERT_EQ(1450, get16(ip + 26));
}

TEST_HARNESS_MAIN
