// SPDX-License-Identifier: Apache-2.0
/* Packets of published ports, and the events of the path. */
#include "packets.h"

#include "core/rng.h"
#include "swarm/event.h"

TEST_F(packets, published_at_the_entry_node)
{
	struct frame f = tcp(self->up_mac, CLIENT, 4000, VTEP, 8080, 2, 5), r;
	const uint8_t *ip = self->out.b + 14;
	uint8_t self_mac[6];

	/* the client's packet unchanged, named for its backend */
	EXPECT_VERDICT(CLIENTS, self->up0, f, REMOTE, REDIRECT);
	EXPECT_ADDRESSES(ip, VTEP, PEER);
	ASSERT_EQ(INGRESS << 8, get32(ip + 32));
	ASSERT_EQ(0, memcmp(ip + 36, named("10.0.0.12"), 6));
	memcpy(self_mac, named(VTEP), 6);
	ASSERT_EQ(0, memcmp(ip + 42, self_mac, 6));
	ASSERT_EQ(0, memcmp(ip + 50, f.b + 14, f.len - 14));

	/* the reply comes back named for this node */
	r = tcp(self_mac, VTEP, 8080, CLIENT, 4000, 0x12, 5);
	EXPECT_VERDICT(CLIENTS, self->up0, vxlan(self->up_mac, PEER, VTEP, INGRESS, &r), CLIENT,
		       REDIRECT);
	ASSERT_EQ(0, memcmp(self->out.b, "\x02\x00\x00\x00\x00\x64", 6));
	ASSERT_EQ(0, memcmp(self->out.b + 14, r.b + 14, r.len - 14));

	/* an ICMP error about the reply goes the client's way */
	f = icmp_error(self->up_mac, CLIENT, VTEP, 4, VTEP, 8080, CLIENT, 4000);
	f.b[14 + 28 + 9] = 6;
	put16(f.b + 14 + 28 + 10, 0);
	put16(f.b + 14 + 28 + 10, csum(f.b + 14 + 28, 20, 0));
	put16(f.b + 36, 0);
	put16(f.b + 36, csum(f.b + 34, 36, 0));
	EXPECT_VERDICT(CLIENTS, self->up0, f, REMOTE, REDIRECT);
	ASSERT_EQ(0, memcmp(ip + 36, named("10.0.0.12"), 6));

	/* addresses that are not this node's are not looked at */
	EXPECT_VERDICT(CLIENTS, self->up0, tcp(self->up_mac, CLIENT, 4000, "192.0.2.2", 8080, 2, 0),
		       PASS, UNSPEC);
}

TEST_F(packets, published_at_the_backends_node)
{
	struct frame f = udp(named("10.0.0.11"), CLIENT, 4000, PEER, 5353, 5);
	const uint8_t *ip = self->out.b + 14;

	memcpy(f.b + 6, named(PEER), 6);
	EXPECT_VERDICT(CLIENTS, self->up0, vxlan(self->up_mac, PEER, VTEP, INGRESS, &f), LOCAL,
		       REDIRECT);
	ASSERT_EQ(0, memcmp(self->out.b, named("10.0.0.11"), 6));
	EXPECT_ADDRESSES(ip, CLIENT, "10.0.0.11");
	EXPECT_PORTS(ip, 4000, 53);

	/* back through the entry node */
	EXPECT_VERDICT(CONTAINER, self->hw, udp(mac_any, "10.0.0.11", 53, CLIENT, 4000, 6), REMOTE,
		       REDIRECT);
	EXPECT_ADDRESSES(ip, VTEP, PEER);
	ASSERT_EQ(0, memcmp(ip + 36, named(PEER), 6));
	EXPECT_ADDRESSES(ip + 50, PEER, CLIENT);
	EXPECT_PORTS(ip + 50, 5353, 4000);

	/* the container's error, too */
	EXPECT_VERDICT(CONTAINER, self->hw,
		       icmp_error(mac_any, "10.0.0.11", CLIENT, 3, CLIENT, 4000, "10.0.0.11", 53),
		       REMOTE, REDIRECT);
	EXPECT_ADDRESSES(ip + 50, PEER, CLIENT);
	ASSERT_EQ(ip4(PEER), get32(ip + 50 + 28 + 16));
	ASSERT_EQ(5353, get16(ip + 50 + 28 + 22));

	/* the same client port through this node is another flow: it gets another port */
	EXPECT_VERDICT(CLIENTS, self->up0, udp(self->up_mac, CLIENT, 4000, VTEP, 5353, 5), LOCAL,
		       REDIRECT);
	EXPECT_ADDRESSES(ip, CLIENT, "10.0.0.11");
	ASSERT_NE(4000, get16(ip + 20));
	uint16_t port = get16(ip + 20);
	EXPECT_VERDICT(CLIENTS, self->up0, udp(self->up_mac, CLIENT, 4000, VTEP, 5353, 5), LOCAL,
		       REDIRECT);
	ASSERT_EQ(port, get16(ip + 20));
	EXPECT_VERDICT(CONTAINER, self->hw, udp(mac_any, "10.0.0.11", 53, CLIENT, port, 6), CLIENT,
		       REDIRECT);
	EXPECT_ADDRESSES(ip, VTEP, CLIENT);
	EXPECT_PORTS(ip, 5353, 4000);
	/* what the container starts itself is no reply */
	EXPECT_VERDICT(CONTAINER, self->hw, udp(mac_any, "10.0.0.11", 53, CLIENT, 9, 6),
		       DROP_NO_ENDPOINT, SHOT);
}

TEST_F(packets, this_nodes_own_processes)
{
	const uint8_t *ip = self->out.b + 14;
	static const uint8_t none[6];

	EXPECT_VERDICT(LOOPBACK, 1, tcp(none, "127.0.0.1", 4000, "127.0.0.1", 8081, 2, 0), LOCAL,
		       REDIRECT);
	EXPECT_ADDRESSES(ip, "10.0.0.9", "10.0.0.11");
	EXPECT_VERDICT(CONTAINER, self->hw,
		       tcp(mac_any, "10.0.0.11", 80, "10.0.0.9", 4000, 0x12, 0), HOST, REDIRECT);
	EXPECT_ADDRESSES(ip, "127.0.0.1", "127.0.0.1");
	EXPECT_PORTS(ip, 8081, 4000);
	ASSERT_EQ(0, memcmp(self->out.b, none, 6));
}

TEST_F(packets, a_flow_keeps_its_backend)
{
	struct frame f = tcp(self->up_mac, CLIENT, 4000, VTEP, 8080, 2, 0);
	struct frame more = tcp(self->up_mac, CLIENT, 4000, VTEP, 8080, 0x10, 9);
	struct dp_addr gone = addr("10.0.0.12");
	const uint8_t *ip = self->out.b + 14;

	EXPECT_VERDICT(CLIENTS, self->up0, f, REMOTE, REDIRECT);
	publish(self->dp, IPPROTO_TCP, 8080, 80, "10.0.0.11");
	EXPECT_VERDICT(CLIENTS, self->up0, more, REMOTE, REDIRECT);
	EXPECT_VERDICT(CLIENTS, self->up0, f, REMOTE, REDIRECT); /* sent again */
	/* a connection that ended gives its port to a new one */
	EXPECT_VERDICT(CLIENTS, self->up0, tcp(self->up_mac, CLIENT, 4000, VTEP, 8080, 0x11, 0),
		       REMOTE, REDIRECT);
	EXPECT_VERDICT(CLIENTS, self->up0, more, REMOTE, REDIRECT);
	EXPECT_VERDICT(CLIENTS, self->up0, f, LOCAL, REDIRECT);
	EXPECT_ADDRESSES(ip, CLIENT, "10.0.0.11");
	/* and one whose backend is gone is balanced again */
	publish(self->dp, IPPROTO_TCP, 8080, 80, "10.0.0.12");
	f = tcp(self->up_mac, CLIENT, 4001, VTEP, 8080, 2, 0);
	EXPECT_VERDICT(CLIENTS, self->up0, f, REMOTE, REDIRECT);
	ASSERT_EQ(0, dp_endpoint_del(self->dp, INGRESS, &gone, NULL));
	EXPECT_VERDICT(CLIENTS, self->up0, f, DROP_NO_BACKEND, SHOT);
	publish(self->dp, IPPROTO_TCP, 8080, 80, "10.0.0.11");
	EXPECT_VERDICT(CLIENTS, self->up0, f, LOCAL, REDIRECT);
	/* a container that has the address later is not meant */
	set_endpoint(self->dp, INGRESS, "10.0.0.12", 0);
	EXPECT_VERDICT(CLIENTS, self->up0, f, LOCAL, REDIRECT);
}

static int pinned_map(FIXTURE_DATA(packets) * self, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/bpf/%s", self->root, name);
	return bpf_obj_get(path);
}

static int one_event(void *last, void *data, size_t size)
{
	assert(size == sizeof(struct sw_event));
	memcpy(last, data, size);
	return 0;
}

TEST_F(packets, events_while_somebody_reads)
{
	struct frame f = tcp(self->up_mac, CLIENT, 4000, VTEP, 8080, 2, 0);
	int events = pinned_map(self, "events"), settings = pinned_map(self, "settings");
	struct sw_event e;
	struct ring_buffer *ring = ring_buffer__new(events, one_event, &e, NULL);
	struct sw_settings set;
	uint32_t zero = 0;

	ASSERT_NE(NULL, ring);
	EXPECT_VERDICT(CLIENTS, self->up0, f, REMOTE, REDIRECT);
	EXPECT_VERDICT(CONTAINER, self->h0, arp("10.0.1.66", "10.0.1.12"), DROP_SPOOFED, SHOT);
	ASSERT_EQ(0, ring_buffer__consume(ring));

	ASSERT_EQ(0, bpf_map_lookup_elem(settings, &zero, &set));
	set.flags |= SW_EVENTS;
	ASSERT_EQ(0, bpf_map_update_elem(settings, &zero, &set, BPF_ANY));
	EXPECT_VERDICT(CLIENTS, self->up0, f, REMOTE, REDIRECT);
	ASSERT_EQ(0, ring_buffer__consume(ring)); /* the flow is there already */

	f = tcp(self->up_mac, CLIENT, 4001, VTEP, 8080, 2, 0);
	EXPECT_VERDICT(CLIENTS, self->up0, f, REMOTE, REDIRECT);
	ASSERT_EQ(1, ring_buffer__consume(ring));
	ASSERT_EQ(SW_EVENT_FLOW, e.kind);
	ASSERT_EQ(self->up0, e.ifindex);
	ASSERT_EQ(f.len, e.len);
	ASSERT_EQ(SW_FLOW_PUBLISHED, e.key.dir);
	ASSERT_EQ(htonl(ip4(CLIENT)), e.key.src.w[3]);
	ASSERT_EQ(htons(8080), e.key.dport);
	ASSERT_EQ(htonl(ip4("10.0.0.12")), e.to_dst.w[3]);
	ASSERT_EQ(htons(80), e.to_dport);

	/* at the backend's node */
	f = udp(named("10.0.0.11"), CLIENT, 4000, PEER, 5353, 5);
	EXPECT_VERDICT(CLIENTS, self->up0, vxlan(self->up_mac, PEER, VTEP, INGRESS, &f), LOCAL,
		       REDIRECT);
	ASSERT_EQ(1, ring_buffer__consume(ring));
	ASSERT_EQ(SW_EVENT_FLOW, e.kind);
	ASSERT_EQ(INGRESS, e.key.vni);
	ASSERT_EQ(htonl(ip4(PEER)), e.key.dst.w[3]);
	ASSERT_EQ(htonl(ip4("10.0.0.11")), e.to_dst.w[3]);

	/* to a VIP: one event, though two flows are made */
	EXPECT_VERDICT(CONTAINER, self->h0, tcp(mac_any, "10.0.1.11", 1, "10.0.1.2", 80, 2, 0),
		       LOCAL, REDIRECT);
	ASSERT_EQ(1, ring_buffer__consume(ring));
	ASSERT_EQ(SW_FLOW_VIP, e.key.dir);
	ASSERT_EQ(htonl(ip4("10.0.1.12")), e.to_dst.w[3]);

	/* drops, with the key where there is one */
	EXPECT_VERDICT(CONTAINER, self->h0, arp("10.0.1.66", "10.0.1.12"), DROP_SPOOFED, SHOT);
	ASSERT_EQ(1, ring_buffer__consume(ring));
	ASSERT_EQ(SW_EVENT_DROP, e.kind);
	ASSERT_EQ(SW_DROP_SPOOFED, e.reason);
	ASSERT_EQ(self->h0, e.ifindex);
	ASSERT_EQ(0, e.key.proto);
	EXPECT_VERDICT(CONTAINER, self->h0, tcp(mac_any, "10.0.1.11", 1, "10.0.1.77", 80, 2, 0),
		       DROP_NO_ENDPOINT, SHOT);
	ASSERT_EQ(1, ring_buffer__consume(ring));
	ASSERT_EQ(SW_DROP_NO_ENDPOINT, e.reason);
	ASSERT_EQ(htonl(ip4("10.0.1.77")), e.key.dst.w[3]);
	ring_buffer__free(ring);
}

TEST_F(packets, anything_is_survived)
{
	struct frame seeds[8], f;
	struct rng rng;
	int act;

	rng_seed(&rng, 3);
	seeds[0] = tcp(mac_any, "10.0.1.11", 4000, "10.0.1.2", 80, 2, 30);
	seeds[1] = udp(self->up_mac, CLIENT, 4000, VTEP, 5353, 30);
	seeds[2] = udp(mac_any, "10.0.1.11", 4000, "10.0.1.13", 80, 30);
	seeds[3] = vxlan(self->up_mac, PEER, VTEP, NET, &seeds[0]);
	seeds[4] = vxlan(self->up_mac, PEER, VTEP, INGRESS, &seeds[1]);
	seeds[5] =
		icmp_error(mac_any, "10.0.1.11", "10.0.1.2", 3, "10.0.1.2", 80, "10.0.1.11", 4000);
	seeds[6] = arp("10.0.1.11", "10.0.1.12");
	seeds[7] = vxlan(self->up_mac, PEER, VTEP, NET, &seeds[5]);
	for (int i = 0; i < 20000; i++) {
		uint32_t links[] = {self->h0, self->up0, 1, self->hw};

		f = seeds[rng_below(&rng, ARRAY_SIZE(seeds))];
		if (rng_below(&rng, 2))
			f.len = 14 + rng_below(&rng, f.len - 13);
		for (int n = rng_below(&rng, 4); n > 0; n--)
			f.b[14 + rng_below(&rng, f.len - 13)] = rng_u64(&rng);
		int prog = rng_below(&rng, 4);
		if (send_packet(self, prog, links[rng_below(&rng, 4)], &f, &act) == -2)
			continue; /* too short for the kernel's test */
		ASSERT_TRUE(act == SHOT || act == REDIRECT || act == UNSPEC);
	}
}

TEST_HARNESS_MAIN
