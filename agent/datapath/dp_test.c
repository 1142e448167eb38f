// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include <poll.h>

#include "datapath/dp_impl.h"

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

/* A network with two endpoints, a VIP on them and a peer: said once, and again for comparisons. */
static void say_all(struct dp *dp)
{
	struct dp_network n = {.vni = 4097, .gateway = addr("10.0.1.1")};
	struct dp_backend b[] = {{.addr = addr("10.0.1.3"), .weight = 3},
				 {.addr = addr("10.0.1.4")}};
	struct dp_service s = {.kind = DP_VIP,
			       .vni = 4097,
			       .vip = addr("10.0.1.2"),
			       .backends = b,
			       .n_backends = 2};
	struct dp_addr peer = addr("192.0.2.2");
	struct dp_link l = {.ifindex = 900001, .role = DP_LINK_CLIENTS};

	assert(!dp_network_set(dp, &n, NULL));
	set_endpoint(dp, 4097, "10.0.1.3");
	set_endpoint(dp, 4097, "10.0.1.4");
	assert(!dp_service_set(dp, &s, NULL));
	assert(!dp_peer_set(dp, &peer, NULL));
	assert(!dp_link_set(dp, &l, NULL));
}

/* The sentences of all differences, a line each; those that were mended end with a plus. */
static char *verify(struct dp *dp, bool mend)
{
	char *all = xstrdup(""), *more;
	json_t *reply, *d;
	size_t i;

	dp_verify_begin(dp, mend);
	say_all(dp);
	reply = dp_verify_end(dp);
	assert(json_integer_value(json_object_get(reply, "checked")) == 6);
	json_array_foreach (json_object_get(reply, "differences"), i, d) {
		more = xasprintf("%s%s%s\n", all, json_string_value(json_object_get(d, "text")),
				 json_is_true(json_object_get(d, "mended")) ? "+" : "");
		free(all);
		all = more;
	}
	json_decref(reply);
	return all;
}

static struct dp *open_said(void)
{
	struct dp_options opt = {.kind = "fake"};
	struct dp *dp;

	assert(!dp_open(&opt, &dp, NULL));
	say_all(dp);
	return dp;
}

TEST(verify_names_what_was_changed_behind_our_back)
{
	struct dp_endpoint changed = {.vni = 4097,
				      .addr = addr("10.0.1.3"),
				      .mac = {2, 0x42, 10, 0, 1, 3},
				      .node = addr("192.0.2.9")};
	struct dp_addr gone = addr("10.0.1.4"), stranger = addr("192.0.2.7");
	struct dp_backend b = {.addr = addr("10.0.1.3"), .weight = 1};
	struct dp_service s = {.kind = DP_VIP,
			       .vni = 4097,
			       .vip = addr("10.0.1.2"),
			       .backends = &b,
			       .n_backends = 1};
	struct dp *dp = open_said();
	char *text = verify(dp, false);

	EXPECT_STREQ("", text);
	free(text);
	/* the operations are what happens in the kernel without us */
	dp->ops->endpoint_set(dp, &changed, NULL);
	dp->ops->endpoint_del(dp, 4097, &gone, NULL);
	dp->ops->service_set(dp, &s, NULL);
	dp->ops->peer_set(dp, &stranger, NULL);
	dp->ops->link_del(dp, 900001, NULL);
	for (int mend = 0; mend < 2; mend++) {
		text = verify(dp, mend);
		EXPECT_STREQ(
			mend ? "endpoint 10.0.1.3 of network 4097 has node \"192.0.2.9\" "
			       "instead of \"192.0.2.2\"+\n"
			       "endpoint 10.0.1.4 of network 4097 is missing+\n"
			       "VIP 10.0.1.2 of network 4097 has backend 10.0.1.3 with weight 1 "
			       "instead of 3+\n"
			       "VIP 10.0.1.2 of network 4097 lacks the backend 10.0.1.4+\n"
			       "link 900001 is missing+\n"
			       "peer 192.0.2.7 is there, and nobody wants it+\n"
			     : "endpoint 10.0.1.3 of network 4097 has node \"192.0.2.9\" "
			       "instead of \"192.0.2.2\"\n"
			       "endpoint 10.0.1.4 of network 4097 is missing\n"
			       "VIP 10.0.1.2 of network 4097 has backend 10.0.1.3 with weight 1 "
			       "instead of 3\n"
			       "VIP 10.0.1.2 of network 4097 lacks the backend 10.0.1.4\n"
			       "link 900001 is missing\n"
			       "peer 192.0.2.7 is there, and nobody wants it\n",
			text);
		free(text);
	}
	text = verify(dp, false);
	EXPECT_STREQ("", text);
	free(text);
	dp_close(dp);
}

TEST(verify_leaves_what_a_former_agent_left_to_sync)
{
	struct dp *dp = open_said();
	char *text;

	set_endpoint(dp, 4097, "10.0.1.9");
	dp_sync_begin(dp);
	text = verify(dp, true);
	EXPECT_STREQ("", text);
	free(text);
	EXPECT_EQ(3, count(dp, "endpoints"));
	/* to say again while comparing is to say again */
	EXPECT_EQ(0, dp_sync_end(dp, NULL));
	EXPECT_EQ(2, count(dp, "endpoints"));
	text = verify(dp, false);
	EXPECT_STREQ("", text);
	free(text);
	dp_close(dp);
}

TEST(backends_have_their_shares)
{
	struct dp *dp = open_said();
	json_t *all = dp_dump_backends(dp), *b = json_array_get(all, 0),
	       *c = json_array_get(all, 1);
	json_int_t mine = json_integer_value(json_object_get(b, "slots")),
		   others = json_integer_value(json_object_get(c, "slots"));

	EXPECT_EQ(2, json_array_size(all));
	EXPECT_STREQ("10.0.1.3", json_string_value(json_object_get(b, "addr")));
	EXPECT_STREQ("10.0.1.2", json_string_value(json_object_get(b, "vip")));
	EXPECT_EQ(1021, json_integer_value(json_object_get(b, "of")));
	EXPECT_EQ(1021, mine + others);
	EXPECT_TRUE(mine > 740 && mine < 790); /* three of four */
	json_decref(all);
	dp_close(dp);
}

struct heard {
	char text[4096];
	bool ended;
};

static void hear(json_t *event, void *arg)
{
	struct heard *h = arg;
	size_t len = strlen(h->text);

	if (event)
		snprintf(h->text + len, sizeof(h->text) - len, "%s: %s\n",
			 json_string_value(json_object_get(event, "event")),
			 json_string_value(json_object_get(event, "text")));
	else
		h->ended = true;
}

static struct sw_addr sw(const char *s)
{
	struct dp_addr a = addr(s);
	struct sw_addr r;

	memcpy(&r, &a, sizeof(r));
	return r;
}

TEST(listeners_hear_changes_drops_and_flows)
{
	struct sw_event flow = {.kind = SW_EVENT_FLOW,
				.key = {.src = sw("10.0.1.3"),
					.dst = sw("10.0.1.2"),
					.sport = sw_htons(4000),
					.dport = sw_htons(80),
					.vni = 4097,
					.proto = IPPROTO_TCP,
					.dir = SW_FLOW_VIP},
				.to_src = sw("10.0.1.3"),
				.to_dst = sw("10.0.1.4"),
				.to_sport = sw_htons(4000),
				.to_dport = sw_htons(80)},
			drop = {.kind = SW_EVENT_DROP,
				.reason = SW_DROP_NO_ENDPOINT,
				.ifindex = 900001,
				.len = 98};
	struct dp *dp = open_said();
	struct heard h = {.text = ""}, late = {.text = ""};
	struct dp_listener l = {.fn = hear, .arg = &h}, m = {.fn = hear, .arg = &late};
	struct dp_addr a = addr("10.0.1.4");
	struct pollfd fd = {.events = POLLIN};

	EXPECT_FALSE(dp_fake_event(dp, &flow)); /* nobody listens */
	EXPECT_EQ(0, dp_listen(dp, &l, NULL));
	fd.fd = dp_events_fd(dp);
	EXPECT_EQ(0, poll(&fd, 1, 0));
	say_all(dp); /* no change: nothing to tell */
	EXPECT_EQ(0, dp_endpoint_del(dp, 4097, &a, NULL));
	EXPECT_EQ(0, dp_endpoint_del(dp, 4097, &a, NULL));
	set_endpoint(dp, 4097, "10.0.1.5");
	EXPECT_EQ(0, dp_network_del(dp, 4097, NULL));
	EXPECT_STREQ("del: endpoint 10.0.1.4 of network 4097 is deleted\n"
		     "set: endpoint 10.0.1.5 of network 4097 is set\n"
		     "del: VIP 10.0.1.2 of network 4097 is deleted\n"
		     "del: endpoint 10.0.1.3 of network 4097 is deleted\n"
		     "del: endpoint 10.0.1.5 of network 4097 is deleted\n"
		     "del: network 4097 is deleted\n",
		     h.text);

	*h.text = 0;
	EXPECT_EQ(0, dp_listen(dp, &m, NULL));
	EXPECT_TRUE(dp_fake_event(dp, &drop));
	for (int i = 0; i < 6; i++) /* the fake keeps four */
		EXPECT_TRUE(dp_fake_event(dp, &flow));
	EXPECT_EQ(1, poll(&fd, 1, 0));
	dp_events_read(dp);
	EXPECT_EQ(0, poll(&fd, 1, 0));
	dp_unlisten(dp, &m);
	EXPECT_STREQ("drop: no endpoint has this address, on link 900001, 98 bytes\n"
		     "flow: vip: tcp 10.0.1.3:4000 to 10.0.1.2:80 becomes 10.0.1.3:4000 to "
		     "10.0.1.4:80\n"
		     "flow: vip: tcp 10.0.1.3:4000 to 10.0.1.2:80 becomes 10.0.1.3:4000 to "
		     "10.0.1.4:80\n"
		     "flow: vip: tcp 10.0.1.3:4000 to 10.0.1.2:80 becomes 10.0.1.3:4000 to "
		     "10.0.1.4:80\n"
		     "lost: 3 drops or flows were not told: there were too many at once\n",
		     h.text);
	EXPECT_STREQ(h.text, late.text);

	dp_close(dp);
	EXPECT_TRUE(h.ended);
	EXPECT_FALSE(late.ended);
}

TEST_HARNESS_MAIN
