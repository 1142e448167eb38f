// SPDX-License-Identifier: Apache-2.0
/* The module's netlink interface as it is specified, each test in a network namespace of its own. */
#include <arpa/inet.h>
#include <sched.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "nl.h"

#define LEN 16 /* of an attribute's payload here, at most */

struct attr {
	int type, len;
	uint8_t data[LEN];
};

/* Values; numbers are in the byte order of the machine, which is little endian here. */
#define ADDR(...)                                                                                  \
	16,                                                                                        \
	{                                                                                          \
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, __VA_ARGS__                              \
	}
#define U8(v)                                                                                      \
	1,                                                                                         \
	{                                                                                          \
		v                                                                                  \
	}
#define U16(v)                                                                                     \
	2,                                                                                         \
	{                                                                                          \
		(uint8_t)(v), (uint8_t)((v) >> 8)                                                  \
	}
#define BE16(v)                                                                                    \
	2,                                                                                         \
	{                                                                                          \
		(uint8_t)((v) >> 8), (uint8_t)(v)                                                  \
	}
#define U32(v)                                                                                     \
	4,                                                                                         \
	{                                                                                          \
		(uint8_t)(v), (uint8_t)((v) >> 8), (uint8_t)((v) >> 16), (uint8_t)((v) >> 24)      \
	}

/* A request that is fine; needed: the first attributes, which cannot be left out. */
struct good {
	uint8_t cmd;
	int needed;
	struct attr attrs[8];
};

static const struct good settings = {SWARM_CMD_SETTINGS_SET,
				     0,
				     {{SWARM_A_SETTINGS_VTEP, ADDR(192, 0, 2, 1)},
				      {SWARM_A_SETTINGS_VXLAN_PORT, BE16(4789)},
				      {SWARM_A_SETTINGS_FLAGS, U32(1)},
				      {SWARM_A_SETTINGS_FLOWS_MAX, U32(4096)},
				      {SWARM_A_SETTINGS_PORTS_MAX, U32(64)},
				      {SWARM_A_SETTINGS_LO_WAS, U16(3)}}};
static const struct good network = {SWARM_CMD_NETWORK_SET,
				    1,
				    {{SWARM_A_NETWORK_VNI, U32(4097)},
				     {SWARM_A_NETWORK_MTU, U32(1450)},
				     {SWARM_A_NETWORK_FLAGS, U32(1)},
				     {SWARM_A_NETWORK_GATEWAY, ADDR(10, 0, 1, 1)},
				     {SWARM_A_NETWORK_GATEWAY_MAC, 6, {2, 0x42, 10, 0, 1, 1}},
				     {SWARM_A_NETWORK_NODE_ADDR, ADDR(10, 0, 1, 5)}}};
static const struct good endpoint = {SWARM_CMD_ENDPOINT_SET,
				     3,
				     {{SWARM_A_ENDPOINT_VNI, U32(4097)},
				      {SWARM_A_ENDPOINT_ADDR, ADDR(10, 0, 1, 9)},
				      {SWARM_A_ENDPOINT_NODE, ADDR(192, 0, 2, 2)},
				      {SWARM_A_ENDPOINT_MAC, 6, {2, 0x42, 10, 0, 1, 9}},
				      {SWARM_A_ENDPOINT_HOST_ADDR, ADDR(172, 18, 0, 9)}}};
static const struct good peer = {SWARM_CMD_PEER_SET, 1, {{SWARM_A_PEER_VTEP, ADDR(192, 0, 2, 2)}}};
static const struct good vip = {
	SWARM_CMD_SERVICE_SET,
	2,
	{{SWARM_A_SERVICE_VNI, U32(4097)}, {SWARM_A_SERVICE_VIP, ADDR(10, 0, 1, 2)}}};
static const struct good port = {SWARM_CMD_SERVICE_SET,
				 4,
				 {{SWARM_A_SERVICE_VNI, U32(4097)},
				  {SWARM_A_SERVICE_PROTO, U8(6)},
				  {SWARM_A_SERVICE_PUBLISHED, BE16(8080)},
				  {SWARM_A_SERVICE_TARGET, BE16(80)}}};
/* ifindex 1 is the loopback, which every namespace has */
static const struct good link_container = {SWARM_CMD_LINK_SET,
					   4,
					   {{SWARM_A_LINK_IFINDEX, U32(1)},
					    {SWARM_A_LINK_ROLE, U32(1)},
					    {SWARM_A_LINK_VNI, U32(4097)},
					    {SWARM_A_LINK_ADDR, ADDR(10, 0, 1, 9)}}};
static const struct good *const all_good[] = {&settings, &network, &endpoint, &peer, &vip, &port};

/* A value that is refused, in place of the good one or in addition. */
static const struct bad {
	const struct good *base;
	int rc;
	struct attr attr;
} bads[] = {
	{&settings, -ERANGE, {SWARM_A_SETTINGS_VTEP, 4, {192, 0, 2, 1}}},
	{&settings, -EAFNOSUPPORT, {SWARM_A_SETTINGS_VTEP, 16, {0xfd, 1}}},
	{&settings, -ERANGE, {SWARM_A_SETTINGS_VXLAN_PORT, BE16(0)}},
	{&settings, -EINVAL, {SWARM_A_SETTINGS_VXLAN_PORT, U32(4789)}},
	{&settings, -EINVAL, {SWARM_A_SETTINGS_FLAGS, U32(2)}},
	{&settings, -ERANGE, {SWARM_A_SETTINGS_FLOWS_MAX, U32(4194305)}},
	{&settings, -ERANGE, {SWARM_A_SETTINGS_PORTS_MAX, U32(65537)}},
	{&settings, -EINVAL, {SWARM_A_SETTINGS_LO_WAS, U8(1)}},
	{&settings, -EINVAL, {SWARM_A_SETTINGS_MAX + 1, U8(1)}},
	{&network, -ERANGE, {SWARM_A_NETWORK_VNI, U32(0)}},
	{&network, -ERANGE, {SWARM_A_NETWORK_VNI, U32(1 << 24)}},
	{&network, -ERANGE, {SWARM_A_NETWORK_MTU, U32(67)}},
	{&network, -ERANGE, {SWARM_A_NETWORK_MTU, U32(65536)}},
	{&network, -EINVAL, {SWARM_A_NETWORK_FLAGS, U32(8)}},
	{&network, -EAFNOSUPPORT, {SWARM_A_NETWORK_GATEWAY, 16, {0xfd, 1}}},
	{&network, -ERANGE, {SWARM_A_NETWORK_GATEWAY, 15, {0}}},
	{&network, -ERANGE, {SWARM_A_NETWORK_GATEWAY_MAC, 5, {2}}},
	{&network, -ERANGE, {SWARM_A_NETWORK_GATEWAY_MAC, 7, {2}}},
	{&network, -EAFNOSUPPORT, {SWARM_A_NETWORK_NODE_ADDR, 16, {0xfd, 1}}},
	{&network, -EINVAL, {SWARM_A_NETWORK_MAX + 1, U8(1)}},
	{&endpoint, -ERANGE, {SWARM_A_ENDPOINT_VNI, U32(0)}},
	{&endpoint, -EINVAL, {SWARM_A_ENDPOINT_ADDR, 16, {0}}},
	{&endpoint, -EAFNOSUPPORT, {SWARM_A_ENDPOINT_ADDR, 16, {0xfd, 1}}},
	{&endpoint, -ERANGE, {SWARM_A_ENDPOINT_MAC, 16, {2}}},
	{&endpoint, -ERANGE, {SWARM_A_ENDPOINT_IFINDEX, U32(0)}},
	{&endpoint, -ERANGE, {SWARM_A_ENDPOINT_IFINDEX, U32(0x80000000u)}},
	{&endpoint, -EINVAL, {SWARM_A_ENDPOINT_NODE, 16, {0}}},
	{&endpoint, -EAFNOSUPPORT, {SWARM_A_ENDPOINT_HOST_ADDR, 16, {0xfd, 1}}},
	{&endpoint, -EINVAL, {SWARM_A_ENDPOINT_MAX + 1, U8(1)}},
	{&peer, -ERANGE, {SWARM_A_PEER_VTEP, 15, {0}}},
	{&peer, -EINVAL, {SWARM_A_PEER_VTEP, 16, {0}}},
	{&peer, -EAFNOSUPPORT, {SWARM_A_PEER_VTEP, 16, {0xfd, 1}}},
	{&vip, -EINVAL, {SWARM_A_SERVICE_VIP, 16, {0}}},
	{&vip, -EAFNOSUPPORT, {SWARM_A_SERVICE_VIP, 16, {0xfd, 1}}},
	{&vip, -EINVAL, {SWARM_A_SERVICE_TARGET, BE16(80)}},
	{&vip, -EINVAL, {SWARM_A_SERVICE_SLOTS, U16(0)}},
	{&port, -ERANGE, {SWARM_A_SERVICE_VNI, U32(1 << 24)}},
	{&port, -EINVAL, {SWARM_A_SERVICE_VIP, ADDR(10, 0, 1, 2)}},
	{&port, -ERANGE, {SWARM_A_SERVICE_PROTO, U8(1)}},
	{&port, -EINVAL, {SWARM_A_SERVICE_PROTO, U8(7)}},
	{&port, -ERANGE, {SWARM_A_SERVICE_PUBLISHED, BE16(0)}},
	{&port, -ERANGE, {SWARM_A_SERVICE_TARGET, BE16(0)}},
	{&port, -EINVAL, {SWARM_A_SERVICE_BACKEND, U32(0)}}, /* not marked as a nest */
	{&link_container, -ERANGE, {SWARM_A_LINK_IFINDEX, U32(0)}},
	{&link_container, -ENODEV, {SWARM_A_LINK_IFINDEX, U32(9999)}},
	{&link_container, -ERANGE, {SWARM_A_LINK_ROLE, U32(0)}},
	{&link_container, -ERANGE, {SWARM_A_LINK_ROLE, U32(4)}},
	{&link_container, -ERANGE, {SWARM_A_LINK_VNI, U32(0)}},
	{&link_container, -EINVAL, {SWARM_A_LINK_ADDR, 16, {0}}},
	{&link_container, -EINVAL, {SWARM_A_LINK_FLAGS, U32(1)}},
};

static void put_attr(struct nl *nl, const struct attr *a)
{
	nl_put(nl, a->type, a->data, a->len);
}

/* Begin a request with the attributes of g, with one replaced or appended, or one left out. */
static void make(struct nl *nl, const struct good *g, const struct attr *other, int without)
{
	bool done = !other;

	nl_begin(nl, nl->family, 0, g->cmd);
	for (const struct attr *a = g->attrs; a < g->attrs + 8 && a->type; a++) {
		if (a->type == without)
			continue;
		if (other && a->type == other->type) {
			put_attr(nl, other);
			done = true;
		} else {
			put_attr(nl, a);
		}
	}
	if (!done)
		put_attr(nl, other);
}

static struct nl_result set(struct nl *nl, const struct good *g)
{
	make(nl, g, NULL, 0);
	return nl_ask(nl, NULL, NULL);
}

FIXTURE(netlink)
{
	struct nl *nl;
};

FIXTURE_SETUP(netlink)
{
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	self->nl = calloc(1, sizeof(*self->nl));
	ASSERT_EQ(0, nl_open(self->nl));
}

FIXTURE_TEARDOWN(netlink)
{
	close(self->nl->fd);
	free(self->nl);
}

TEST_F(netlink, what_is_good_is_taken)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_good); i++) {
		struct nl_result r = set(self->nl, all_good[i]);

		EXPECT_EQ(0, r.rc) TH_LOG("command %d: %s", all_good[i]->cmd, r.msg);
	}
}

TEST_F(netlink, every_refusal_names_the_attribute)
{
	for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
		const struct bad *b = &bads[i];
		struct nl_result r;

		make(self->nl, b->base, &b->attr, 0);
		r = nl_ask(self->nl, NULL, NULL);
		EXPECT_EQ(b->rc, r.rc)
		TH_LOG("command %d, attribute %d: \"%s\"", b->base->cmd, b->attr.type, r.msg);
		EXPECT_EQ(b->attr.type, r.bad)
		TH_LOG("command %d, attribute %d: \"%s\"", b->base->cmd, b->attr.type, r.msg);
		EXPECT_NE(0, r.msg[0]);
	}
}

TEST_F(netlink, what_is_missing_is_named)
{
	static const struct good *const bases[] = {&network, &endpoint, &peer,
						   &vip,     &port,	&link_container};

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		const struct good *g = bases[i];

		for (int j = 0; j < g->needed; j++) {
			struct nl_result r;

			make(self->nl, g, NULL, g->attrs[j].type);
			r = nl_ask(self->nl, NULL, NULL);
			EXPECT_EQ(-EINVAL, r.rc);
			EXPECT_EQ(g->attrs[j].type, r.miss) TH_LOG("command %d", g->cmd);
		}
	}
}

/* A backend; weight 0: left out. */
static void put_backend(struct nl *nl, uint32_t ip, uint16_t weight, bool draining)
{
	struct attr addr = {SWARM_A_BACKEND_ADDR, ADDR(0)};
	size_t nest = nl_nest(nl, SWARM_A_SERVICE_BACKEND);
	uint32_t be = htonl(ip);

	memcpy(addr.data + 12, &be, 4);
	put_attr(nl, &addr);
	if (weight)
		nl_put(nl, SWARM_A_BACKEND_WEIGHT, &weight, sizeof(weight));
	if (draining)
		nl_put(nl, SWARM_A_BACKEND_DRAINING, NULL, 0);
	nl_nest_end(nl, nest);
}

#define FIRST_BACKEND 0x0a010001u

static struct nl_result set_service(struct nl *nl, const struct good *g, uint32_t n)
{
	make(nl, g, NULL, 0);
	for (uint32_t i = 0; i < n; i++)
		put_backend(nl, FIRST_BACKEND + i, i % 3, i % 7 == 1);
	return nl_ask(nl, NULL, NULL);
}

TEST_F(netlink, backends_are_checked)
{
	struct nl *nl = self->nl;
	struct nl_result r;
	uint16_t weight = 0;
	size_t nest;

	make(nl, &vip, NULL, 0);
	put_backend(nl, FIRST_BACKEND + 1, 1, false);
	put_backend(nl, FIRST_BACKEND, 1, false);
	r = nl_ask(nl, NULL, NULL);
	EXPECT_EQ(-EINVAL, r.rc);
	EXPECT_EQ(SWARM_A_SERVICE_BACKEND, r.bad);

	make(nl, &vip, NULL, 0);
	nest = nl_nest(nl, SWARM_A_SERVICE_BACKEND);
	nl_put(nl, SWARM_A_BACKEND_WEIGHT, &weight, sizeof(weight));
	nl_nest_end(nl, nest);
	r = nl_ask(nl, NULL, NULL);
	EXPECT_EQ(-ERANGE, r.rc);
	EXPECT_EQ(SWARM_A_BACKEND_WEIGHT, r.bad);
	EXPECT_EQ(SWARM_A_SERVICE_BACKEND, r.bad_nest);

	make(nl, &vip, NULL, 0);
	nest = nl_nest(nl, SWARM_A_SERVICE_BACKEND);
	nl_put(nl, SWARM_A_BACKEND_DRAINING, NULL, 0);
	nl_nest_end(nl, nest);
	r = nl_ask(nl, NULL, NULL);
	EXPECT_EQ(-EINVAL, r.rc);
	EXPECT_EQ(SWARM_A_BACKEND_ADDR, r.miss);

	r = set_service(nl, &vip, 1025);
	EXPECT_EQ(-E2BIG, r.rc);
	EXPECT_EQ(SWARM_A_SERVICE_BACKEND, r.bad);
}

static void count_backends(const struct nlmsghdr *nlh, void *arg)
{
	size_t head = NLMSG_HDRLEN + GENL_HDRLEN, *n = arg;

	nl_for_each(a, (const char *)nlh + head, nlh->nlmsg_len - head) *n +=
		(a->nla_type & NLA_TYPE_MASK) == SWARM_A_SERVICE_BACKEND;
}

static void table_size(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *a = nl_find(nlh, SWARM_A_SERVICE_SLOTS);
	size_t *size = arg;

	*size = a ? (a->nla_len - NLA_HDRLEN) / 2 : 0;
}

TEST_F(netlink, the_largest_service_comes_back)
{
	struct nl *nl = self->nl;
	struct good get = vip;
	size_t n = 0, size = 0;
	struct nl_result r;

	ASSERT_EQ(0, set(nl, &network).rc);
	ASSERT_EQ(0, set_service(nl, &vip, 1024).rc);
	get.cmd = SWARM_CMD_SERVICE_GET;
	make(nl, &get, NULL, 0);
	r = nl_ask(nl, count_backends, &n);
	EXPECT_EQ(0, r.rc);
	EXPECT_EQ(1, r.n);
	EXPECT_EQ(1024, n);

	n = 0;
	nl_begin(nl, nl->family, NLM_F_DUMP, SWARM_CMD_SERVICE_GET);
	r = nl_ask(nl, count_backends, &n);
	EXPECT_EQ(0, r.rc);
	EXPECT_LT(1, r.n); /* in parts */
	EXPECT_EQ(1024, n);
	EXPECT_FALSE(r.interrupted);

	get.cmd = SWARM_CMD_TABLE_GET;
	make(nl, &get, NULL, 0);
	EXPECT_EQ(0, nl_ask(nl, table_size, &size).rc);
	EXPECT_EQ(16381, size);
}

static struct nl_result set_peer(struct nl *nl, uint32_t i)
{
	struct attr a = peer.attrs[0];

	a.data[14] = i >> 8;
	a.data[15] = i;
	a.data[13] = i >> 16;
	make(nl, &peer, &a, 0);
	return nl_ask(nl, NULL, NULL);
}

#define PEERS 3000

TEST_F(netlink, dumps_resume_and_tell_when_they_were_interrupted)
{
	struct nl_result r = {0};
	struct nl *nl = self->nl, *other = calloc(1, sizeof(*other));

	ASSERT_EQ(0, nl_open(other));
	for (uint32_t i = 1; i <= PEERS; i++)
		ASSERT_EQ(0, set_peer(nl, i).rc);
	nl_begin(nl, nl->family, NLM_F_DUMP, SWARM_CMD_PEER_GET);
	r = nl_ask(nl, NULL, NULL);
	EXPECT_EQ(PEERS, r.n);
	EXPECT_FALSE(r.interrupted);

	r = (struct nl_result){0};
	nl_begin(nl, nl->family, NLM_F_DUMP, SWARM_CMD_PEER_GET);
	ASSERT_EQ(0, nl_send(nl));
	ASSERT_FALSE(nl_receive(nl, &r, NULL, NULL));
	EXPECT_LT(r.n, PEERS);
	ASSERT_EQ(0, set_peer(other, PEERS + 1).rc);
	while (!nl_receive(nl, &r, NULL, NULL))
		;
	EXPECT_EQ(0, r.rc);
	EXPECT_LE(PEERS, r.n);
	EXPECT_TRUE(r.interrupted);

	/* what is so already is no change */
	r = (struct nl_result){0};
	nl_begin(nl, nl->family, NLM_F_DUMP, SWARM_CMD_PEER_GET);
	ASSERT_EQ(0, nl_send(nl));
	ASSERT_FALSE(nl_receive(nl, &r, NULL, NULL));
	ASSERT_EQ(0, set_peer(other, 1).rc);
	while (!nl_receive(nl, &r, NULL, NULL))
		;
	EXPECT_FALSE(r.interrupted);
	close(other->fd);
	free(other);
}

TEST_F(netlink, dumps_take_no_attributes)
{
	static const uint8_t cmds[] = {SWARM_CMD_NETWORK_GET, SWARM_CMD_ENDPOINT_GET,
				       SWARM_CMD_PEER_GET, SWARM_CMD_SERVICE_GET,
				       SWARM_CMD_LINK_GET};
	static const struct attr attrs[] = {{SWARM_A_NETWORK_VNI, U32(4097)},
					    {SWARM_A_ENDPOINT_VNI, U32(4097)},
					    {SWARM_A_PEER_VTEP, ADDR(192, 0, 2, 2)},
					    {SWARM_A_SERVICE_VNI, U32(4097)},
					    {SWARM_A_LINK_IFINDEX, U32(1)}};

	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++) {
		nl_begin(self->nl, self->nl->family, NLM_F_DUMP, cmds[i]);
		put_attr(self->nl, &attrs[i]);
		EXPECT_EQ(-EINVAL, nl_ask(self->nl, NULL, NULL).rc);
	}
	nl_begin(self->nl, self->nl->family, NLM_F_DUMP, SWARM_CMD_FLOW_GET);
	put_attr(self->nl, &attrs[0]);
	EXPECT_EQ(-EINVAL, nl_ask(self->nl, NULL, NULL).rc);
}

/* The next event of the state group within 5 s: its command, or 0. */
static int next_event(struct nl *nl)
{
	struct timeval patience = {.tv_sec = 5};
	ssize_t n;

	setsockopt(nl->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	n = recv(nl->fd, nl->answer, sizeof(nl->answer), 0);
	return n > 0 ? nl_cmd((void *)nl->answer) : 0;
}

static struct nl_result del(struct nl *nl, const struct good *g, uint8_t cmd, int n_id)
{
	nl_begin(nl, nl->family, 0, cmd);
	for (int i = 0; i < n_id; i++)
		put_attr(nl, &g->attrs[i]);
	return nl_ask(nl, NULL, NULL);
}

TEST_F(netlink, changes_are_told_once_and_in_their_order)
{
	struct nl *nl = self->nl, *ear = calloc(1, sizeof(*ear));

	ASSERT_EQ(0, nl_open(ear));
	ASSERT_EQ(0, setsockopt(ear->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &ear->groups[0], 4));
	ASSERT_EQ(0, set(nl, &settings).rc);
	ASSERT_EQ(0, set(nl, &network).rc);
	ASSERT_EQ(0, set(nl, &network).rc); /* no change */
	ASSERT_EQ(0, set(nl, &peer).rc);
	ASSERT_EQ(0, set_service(nl, &vip, 1024).rc);
	ASSERT_EQ(0, del(nl, &vip, SWARM_CMD_SERVICE_DEL, 2).rc);
	ASSERT_EQ(0, del(nl, &peer, SWARM_CMD_PEER_DEL, 1).rc);
	ASSERT_EQ(0, del(nl, &peer, SWARM_CMD_PEER_DEL, 1).rc); /* no change */
	nl_begin(nl, nl->family, 0, SWARM_CMD_CLEAR);
	ASSERT_EQ(0, nl_ask(nl, NULL, NULL).rc);
	EXPECT_EQ(SWARM_CMD_SETTINGS_NTF, next_event(ear));
	EXPECT_EQ(SWARM_CMD_NETWORK_NTF, next_event(ear));
	EXPECT_EQ(4097, nl_u32((void *)ear->answer, SWARM_A_NETWORK_VNI));
	EXPECT_EQ(SWARM_CMD_PEER_NTF, next_event(ear));
	EXPECT_EQ(SWARM_CMD_SERVICE_NTF, next_event(ear));
	EXPECT_EQ(SWARM_CMD_SERVICE_DEL_NTF, next_event(ear));
	EXPECT_EQ(SWARM_CMD_PEER_DEL_NTF, next_event(ear));
	EXPECT_EQ(SWARM_CMD_CLEAR_NTF, next_event(ear));
	close(ear->fd);
	free(ear);
}

TEST_F(netlink, namespaces_know_nothing_of_each_other)
{
	struct nl *inner = calloc(1, sizeof(*inner));

	ASSERT_EQ(0, set(self->nl, &settings).rc);
	ASSERT_EQ(0, set(self->nl, &peer).rc);
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ASSERT_EQ(0, nl_open(inner));
	nl_begin(inner, inner->family, NLM_F_DUMP, SWARM_CMD_PEER_GET);
	EXPECT_EQ(0, nl_ask(inner, NULL, NULL).n);
	nl_begin(inner, inner->family, 0, SWARM_CMD_SETTINGS_GET);
	EXPECT_EQ(-ENOENT, nl_ask(inner, NULL, NULL).rc);
	close(inner->fd);
	free(inner);
}

/* Run in a child without privileges, or with those of its own user namespace. Its exit status. */
static int as_other(int (*fn)(void), bool own_namespaces)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (setgid(65534) || setuid(65534) ||
		    (own_namespaces && unshare(CLONE_NEWUSER | CLONE_NEWNET)))
			_exit(100);
		_exit(fn());
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

static int peer_rc(void)
{
	struct nl *nl = calloc(1, sizeof(*nl));

	return nl_open(nl) ? 102 : -set(nl, &peer).rc;
}

static int dump_rc(void)
{
	struct nl *nl = calloc(1, sizeof(*nl));

	if (nl_open(nl))
		return 102;
	nl_begin(nl, nl->family, NLM_F_DUMP, SWARM_CMD_PEER_GET);
	return -nl_ask(nl, NULL, NULL).rc;
}

static int join_rc(void)
{
	struct nl *nl = calloc(1, sizeof(*nl));

	if (nl_open(nl))
		return 102;
	return setsockopt(nl->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &nl->groups[1], 4) ? errno
											  : 0;
}

TEST_F(netlink, only_the_namespaces_owner_may)
{
	EXPECT_EQ(EPERM, as_other(peer_rc, false));
	EXPECT_EQ(EPERM, as_other(dump_rc, false));
	EXPECT_EQ(EPERM, as_other(join_rc, false));
	EXPECT_EQ(0, as_other(peer_rc, true));
	EXPECT_EQ(0, as_other(dump_rc, true));
	EXPECT_EQ(0, as_other(join_rc, true));
}

int main(int argc, char **argv)
{
	static struct nl nl;

	if (nl_open(&nl)) {
		printf("1..0 # SKIP no module swarm\n");
		return 0;
	}
	close(nl.fd);
	return test_harness_run(argc, argv);
}
