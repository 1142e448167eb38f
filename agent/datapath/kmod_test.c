// SPDX-License-Identifier: Apache-2.0
/* The module's messages, without the module. */
#include "kselftest_harness.h"

#include <arpa/inet.h>

#include "datapath/kmod_impl.h"

static struct dp_addr addr(const char *s)
{
	struct dp_addr a = {0};

	assert(!dp_addr_parse(s, &a));
	return a;
}

static struct nl_msg *message(uint8_t cmd, size_t size)
{
	struct kmod_sock none = {.family = 32};

	return kmod_msg_new(&none, cmd, 0, size);
}

/* Write an item, and read it as if the module had sent it. */
static void turn(const struct dp_item *item, struct kmod_items *ret)
{
	struct nl_msg *m = message(1, kmod_item_size(item));

	assert(!kmod_item_put(m, item));
	kmod_item_get(item->kind, nlmsg_hdr(m), ret);
	nlmsg_free(m);
}

TEST(items_come_back_as_they_went)
{
	struct dp_network n = {.vni = 4097,
			       .mtu = 1400,
			       .flags = DP_NETWORK_INGRESS,
			       .gateway = addr("10.0.1.1"),
			       .gateway_mac = {2, 0x42, 10, 0, 1, 1},
			       .node_addr = addr("10.0.1.5")};
	struct dp_endpoint here = {.vni = 4097,
				   .addr = addr("10.0.1.3"),
				   .mac = {2, 0x42, 10, 0, 1, 3},
				   .ifindex = 7,
				   .host_addr = addr("172.18.0.3")};
	struct dp_endpoint there = {.vni = 4097,
				    .addr = addr("10.0.1.4"),
				    .mac = {2, 0x42, 10, 0, 1, 4},
				    .node = addr("192.0.2.2")};
	struct dp_link l = {
		.ifindex = 7, .role = DP_LINK_CONTAINER, .vni = 4097, .addr = addr("10.0.1.3")};
	struct dp_link up = {.ifindex = 2, .role = DP_LINK_CLIENTS};
	struct dp_addr peer = addr("192.0.2.2");
	struct dp_item items[] = {
		{.kind = DP_ITEM_NETWORK, .network = &n},
		{.kind = DP_ITEM_ENDPOINT, .endpoint = &here},
		{.kind = DP_ITEM_ENDPOINT, .endpoint = &there},
		{.kind = DP_ITEM_PEER, .peer = &peer},
		{.kind = DP_ITEM_LINK, .link = &l},
		{.kind = DP_ITEM_LINK, .link = &up},
	};
	struct kmod_items back = {0};

	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		struct dp_item view;
		json_t *a, *b;

		turn(&items[i], &back);
		ASSERT_EQ(i + 1, back.n);
		view = kmod_item_view(&back.v[i]);
		a = dp_item_json(&items[i]);
		b = dp_item_json(&view);
		EXPECT_TRUE(json_equal(a, b));
		json_decref(a);
		json_decref(b);
	}
	kmod_items_done(&back);
}

static struct dp_backend *backends(size_t n)
{
	struct dp_backend *b = xcalloc(n, sizeof(*b));

	for (size_t i = 0; i < n; i++) {
		b[i].addr = addr("10.1.0.0");
		b[i].addr.b[14] = i >> 8;
		b[i].addr.b[15] = i;
		b[i].weight = i % 7 + 1;
		b[i].draining = i % 5 == 0;
	}
	return b;
}

TEST(a_service_with_all_its_backends_fits)
{
	_cleanup_free_ struct dp_backend *b = backends(DP_BACKENDS_MAX);
	struct dp_service s = {.kind = DP_PUBLISHED,
			       .vni = 4096,
			       .proto = IPPROTO_UDP,
			       .published = 5353,
			       .target = 53,
			       .backends = b,
			       .n_backends = DP_BACKENDS_MAX};
	struct dp_item item = {.kind = DP_ITEM_SERVICE, .service = &s}, view;
	struct kmod_items back = {0};
	json_t *want, *have;

	turn(&item, &back);
	ASSERT_EQ(1, back.n);
	view = kmod_item_view(&back.v[0]);
	want = dp_item_json(&item);
	have = dp_item_json(&view);
	EXPECT_TRUE(json_equal(want, have));
	json_decref(want);
	json_decref(have);
	kmod_items_done(&back);
}

TEST(a_service_goes_on_in_the_next_message)
{
	_cleanup_free_ struct dp_backend *b = backends(100);
	struct dp_service s = {.kind = DP_VIP, .vni = 4097, .vip = addr("10.0.1.2")};
	struct dp_service other = {.kind = DP_VIP, .vni = 4098, .vip = addr("10.0.1.2")};
	struct dp_item item = {.kind = DP_ITEM_SERVICE, .service = &s};
	struct kmod_items back = {0};

	for (size_t i = 0; i < 100; i += 20) {
		s.backends = b + i;
		s.n_backends = 20;
		turn(&item, &back);
	}
	item.service = &other;
	turn(&item, &back);
	ASSERT_EQ(2, back.n);
	ASSERT_EQ(100, back.v[0].service.n_backends);
	EXPECT_EQ(0, back.v[1].service.n_backends);
	for (size_t i = 0; i < 100; i++)
		EXPECT_EQ(0, memcmp(&b[i].addr, &back.v[0].service.backends[i].addr, 16));
	kmod_items_done(&back);
}

TEST(settings_come_back)
{
	struct kmod_settings s = {.vtep = addr("192.0.2.1"),
				  .vxlan_port = 4790,
				  .return_direct = true,
				  .flows_max = 4096,
				  .ports_max = 9,
				  .lo_was = 3},
			     back = {0};
	struct nl_msg *m = message(SWARM_CMD_SETTINGS_SET, 256);

	ASSERT_EQ(0, kmod_settings_put(m, &s));
	kmod_settings_get(nlmsg_hdr(m), &back);
	nlmsg_free(m);
	EXPECT_EQ(0, memcmp(&s.vtep, &back.vtep, 16));
	EXPECT_EQ(4790, back.vxlan_port);
	EXPECT_TRUE(back.return_direct);
	EXPECT_EQ(4096, back.flows_max);
	EXPECT_EQ(9, back.ports_max);
	EXPECT_EQ(3, back.lo_was);
}

TEST(what_does_not_fit_is_told)
{
	struct dp_network n = {.vni = 4097, .gateway = addr("10.0.1.1")};
	struct dp_item item = {.kind = DP_ITEM_NETWORK, .network = &n};
	struct nl_msg *m = message(SWARM_CMD_NETWORK_SET, 16);

	EXPECT_EQ(-EMSGSIZE, kmod_item_put(m, &item));
	nlmsg_free(m);
}

/* The nest of an event with a flow's key. */
static void key_put(struct nl_msg *m, int type)
{
	struct dp_addr src = addr("192.0.2.9"), dst = addr("192.0.2.1");
	struct nlattr *nest = nla_nest_start(m, type | NLA_F_NESTED);

	nla_put_u8(m, SWARM_A_FLOW_KIND, SWARM_FLOW_KIND_PUBLISHED);
	nla_put_u8(m, SWARM_A_FLOW_PROTO, IPPROTO_TCP);
	nla_put(m, SWARM_A_FLOW_SRC, 16, &src);
	nla_put(m, SWARM_A_FLOW_DST, 16, &dst);
	nla_put_u16(m, SWARM_A_FLOW_SPORT, htons(40000));
	nla_put_u16(m, SWARM_A_FLOW_DPORT, htons(80));
	nla_nest_end(m, nest);
}

TEST(events_are_understood)
{
	struct nl_msg *m = message(SWARM_CMD_DROP_EVENT, 512);
	struct nlattr *drop = nla_nest_start(m, SWARM_A_EVENT_DROP | NLA_F_NESTED);
	struct sw_event e;
	uint64_t lost = 1;

	nla_put_u32(m, SWARM_A_DROP_REASON, SW_DROP_NO_BACKEND);
	nla_put_u32(m, SWARM_A_DROP_IFINDEX, 3);
	nla_put_u32(m, SWARM_A_DROP_LEN, 60);
	key_put(m, SWARM_A_DROP_FLOW);
	nla_nest_end(m, drop);
	nla_put_u32(m, SWARM_A_EVENT_LOST, 5);
	ASSERT_TRUE(kmod_event_get(nlmsg_hdr(m), &e, &lost));
	nlmsg_free(m);
	EXPECT_EQ(SW_EVENT_DROP, e.kind);
	EXPECT_EQ(SW_DROP_NO_BACKEND, e.reason);
	EXPECT_EQ(3, e.ifindex);
	EXPECT_EQ(60, e.len);
	EXPECT_EQ(htons(80), e.key.dport);
	EXPECT_EQ(IPPROTO_TCP, e.key.proto);
	EXPECT_EQ(6, lost);

	m = message(SWARM_CMD_FLOW_EVENT, 512);
	key_put(m, SWARM_A_EVENT_FLOW);
	ASSERT_TRUE(kmod_event_get(nlmsg_hdr(m), &e, &lost));
	nlmsg_free(m);
	EXPECT_EQ(SW_EVENT_FLOW, e.kind);
	EXPECT_EQ(htons(40000), e.key.sport);

	m = message(SWARM_CMD_NETWORK_NTF, 512);
	EXPECT_FALSE(kmod_event_get(nlmsg_hdr(m), &e, &lost));
	nlmsg_free(m);
}

TEST(answers_that_lack_their_identity_are_left_out)
{
	struct nl_msg *m = message(SWARM_CMD_NETWORK_GET, 64);
	struct kmod_items items = {0};

	for (int kind = 0; kind < DP_ITEM_KINDS; kind++)
		kmod_item_get(kind, nlmsg_hdr(m), &items);
	EXPECT_EQ(0, items.n);
	nla_put_u32(m, SWARM_A_PEER_VTEP, 1); /* of a wrong size */
	kmod_item_get(DP_ITEM_PEER, nlmsg_hdr(m), &items);
	EXPECT_EQ(0, items.n);
	nlmsg_free(m);
}

TEST_HARNESS_MAIN
