// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include "datapath/dp.h"

static struct dp_addr addr(const char *s)
{
	struct dp_addr a = {0};

	assert(!dp_addr_parse(s, &a));
	return a;
}

TEST(addresses_as_text)
{
	char text[INET6_ADDRSTRLEN];
	struct dp_addr a;

	ASSERT_EQ(0, dp_addr_parse("10.0.0.3/24", &a));
	dp_addr_format(&a, text);
	ASSERT_STREQ("10.0.0.3", text);
	ASSERT_EQ(0, dp_addr_parse("fd00::1", &a));
	dp_addr_format(&a, text);
	ASSERT_STREQ("fd00::1", text);
	ASSERT_EQ(-EINVAL, dp_addr_parse("10.0.0", &a));
	ASSERT_EQ(-EINVAL, dp_addr_parse("", &a));
	ASSERT_EQ(-EINVAL, dp_addr_parse(NULL, &a));
	ASSERT_EQ(-EINVAL, dp_addr_parse("/24", &a));
}

TEST(every_reason_has_its_texts)
{
	for (int i = 0; i < SW_REASON_COUNT; i++) {
		ASSERT_GT(strlen(dp_reason(i)), 4);
		ASSERT_GT(strlen(dp_reason_name(i)), 3);
	}
	ASSERT_STREQ("DROP_NO_ENDPOINT", dp_reason_name(SW_DROP_NO_ENDPOINT));
	ASSERT_STREQ("UNKNOWN", dp_reason_name(SW_REASON_COUNT));
}

static size_t count(struct dp *dp, const char *what)
{
	json_t *all = dp_dump(dp);
	size_t n = json_array_size(json_object_get(all, what));

	json_decref(all);
	return n;
}

static void set_endpoint(struct dp *dp, uint32_t vni, const char *ip)
{
	struct dp_endpoint e = {.vni = vni, .addr = addr(ip), .node = addr("192.0.2.2")};

	assert(!dp_endpoint_set(dp, &e, NULL));
}

TEST(sync_sweeps_what_is_not_set_again)
{
	struct dp_options opt = {.kind = "fake"};
	struct dp_network n = {.vni = 4097, .gateway = addr("10.0.1.1")};
	struct dp_backend b[] = {{.addr = addr("10.0.1.4")},
				 {.addr = addr("10.0.1.3")},
				 {.addr = addr("10.0.1.4"), .draining = true}};
	struct dp_service s = {.kind = DP_VIP,
			       .vni = 4097,
			       .vip = addr("10.0.1.2"),
			       .backends = b,
			       .n_backends = 3};
	struct dp_addr peer = addr("192.0.2.2");
	struct dp *dp;
	json_t *all;

	ASSERT_EQ(0, dp_open(&opt, &dp, NULL));
	ASSERT_EQ(0, dp_network_set(dp, &n, NULL));
	set_endpoint(dp, 4097, "10.0.1.3");
	set_endpoint(dp, 4097, "10.0.1.4");
	ASSERT_EQ(0, dp_service_set(dp, &s, NULL));
	ASSERT_EQ(0, dp_peer_set(dp, &peer, NULL));
	all = dp_dump(dp);
	ASSERT_EQ(2, json_array_size(json_object_get(
			     json_array_get(json_object_get(all, "services"), 0), "backends")));
	json_decref(all);

	dp_sync_begin(dp);
	ASSERT_EQ(0, dp_network_set(dp, &n, NULL));
	set_endpoint(dp, 4097, "10.0.1.4");
	ASSERT_EQ(0, dp_sync_end(dp, NULL));
	ASSERT_EQ(1, count(dp, "networks"));
	ASSERT_EQ(1, count(dp, "endpoints"));
	ASSERT_EQ(0, count(dp, "services"));
	ASSERT_EQ(0, count(dp, "peers"));

	/* a network takes its endpoints and services along */
	ASSERT_EQ(0, dp_service_set(dp, &s, NULL));
	set_endpoint(dp, 4098, "10.0.1.4");
	ASSERT_EQ(0, dp_network_del(dp, 4097, NULL));
	ASSERT_EQ(0, count(dp, "networks"));
	ASSERT_EQ(1, count(dp, "endpoints"));
	ASSERT_EQ(0, count(dp, "services"));
	dp_close(dp);
}

TEST(wrong_arguments_are_refused)
{
	struct dp_options opt = {.kind = "fake"};
	struct dp_network n = {.vni = 1 << 24};
	struct dp_endpoint e = {.vni = 5, .addr = addr("fd00::1"), .ifindex = 1};
	static struct dp_backend many[DP_BACKENDS_MAX + 1];
	struct dp_service s = {.kind = DP_VIP,
			       .vni = 5,
			       .vip = addr("10.0.0.2"),
			       .backends = many,
			       .n_backends = DP_BACKENDS_MAX + 1};
	struct err err = ERR_INIT;
	struct dp *dp;

	ASSERT_EQ(0, dp_open(&opt, &dp, NULL));
	ASSERT_EQ(-EINVAL, dp_network_set(dp, &n, &err));
	ASSERT_EQ(-EAFNOSUPPORT, dp_endpoint_set(dp, &e, &err));
	e.addr = addr("10.0.0.3");
	e.ifindex = 0; /* on another node, but which? */
	ASSERT_EQ(-EAFNOSUPPORT, dp_endpoint_set(dp, &e, &err));
	ASSERT_EQ(-E2BIG, dp_service_set(dp, &s, &err));
	s.n_backends = 0;
	ASSERT_EQ(0, dp_service_set(dp, &s, &err));
	dp_close(dp);
	opt.kind = "warp";
	ASSERT_EQ(-EINVAL, dp_open(&opt, &dp, &err));
	ASSERT_NE(NULL, strstr(err.msg, "warp"));
}

TEST_HARNESS_MAIN
