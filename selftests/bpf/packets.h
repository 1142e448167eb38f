/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs packet by packet, through BPF_PROG_TEST_RUN in a network namespace of the test:
 * a packet goes in, a reason is counted, a packet comes out. Needs root.
 *
 *	up0 192.0.2.1 (neighbours: node 192.0.2.2, client 192.0.2.100)
 *	h0  container 10.0.1.11 of network 4097		h1  container 10.0.1.12
 *	hw  container 10.0.0.11 of the ingress network 4096
 *	hs  container 10.0.2.11 of the encrypted network 4098
 *	node 192.0.2.2 has 10.0.1.13, 10.0.2.13 and 10.0.0.12; VIP 10.0.1.2 -> 10.0.1.12, 10.0.1.3 -> 10.0.1.13
 */
#pragma once

#include "kselftest_harness.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "datapath/dp.h"
#include "disk/file.h"
#include "frame.h"
#include "swarm/map.h"

#define NET 4097
#define INGRESS 4096
#define SECRET 4098
#define VTEP "192.0.2.1"
#define PEER "192.0.2.2"
#define CLIENT "192.0.2.100"

static inline struct dp_addr addr(const char *s)
{
	struct dp_addr a = {0};

	assert(!dp_addr_parse(s, &a));
	return a;
}

FIXTURE(packets)
{
	struct dp *dp;
	char root[64];
	int progs[4];
	uint8_t up_mac[6], h0_mac[6], hw_mac[6];
	uint32_t up0, h0, h1, hw, hs;
	uint32_t mark; /* of the packets that go in; then that of the one that came out */
	struct frame out;
	struct dp_stats before;
};

enum { CONTAINER, CLIENTS, LOOPBACK, TUNNEL };

static uint8_t mac_of_addr[6];
static const uint8_t *named(const char *ip)
{
	sw_mac4(mac_of_addr, SW_MAC_ADDR, htonl(ip4(ip)));
	return mac_of_addr;
}

static inline void link_mac(const char *name, uint8_t mac[6])
{
	struct ifreq r = {0};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	assert(!ioctl(fd, SIOCGIFHWADDR, &r));
	memcpy(mac, r.ifr_hwaddr.sa_data, 6);
	close(fd);
}

static const char setup_script[] =
	"set -e; ip link set lo up; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 || true; "
	"echo 1 > /proc/sys/net/ipv4/ip_forward;"
	"for n in up h0 h1 hw hs; do l=$n; [ $n != up ] || l=up0;"
	"ip link add $l type veth peer name ${n}x; ip link set $l up; ip link set ${n}x up; done;"
	"ip addr add 192.0.2.1/24 dev up0;"
	"ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev up0 nud permanent;"
	"ip neigh add 192.0.2.100 lladdr 02:00:00:00:00:64 dev up0 nud permanent;";

static inline void set_endpoint(struct dp *dp, uint32_t vni, const char *ip, uint32_t ifindex)
{
	struct dp_endpoint e = {.vni = vni, .addr = addr(ip), .ifindex = ifindex};
	struct dp_link l = {
		.ifindex = ifindex, .role = DP_LINK_CONTAINER, .vni = vni, .addr = addr(ip)};

	if (!ifindex)
		e.node = addr(PEER);
	assert(!dp_endpoint_set(dp, &e, NULL));
	assert(!ifindex || !dp_link_set(dp, &l, NULL));
}

static inline void set_vip(struct dp *dp, const char *vip, const char *backend)
{
	struct dp_backend b = {.addr = addr(backend)};
	struct dp_service s = {
		.kind = DP_VIP, .vni = NET, .vip = addr(vip), .backends = &b, .n_backends = 1};

	assert(!dp_service_set(dp, &s, NULL));
}

static inline void publish(struct dp *dp, uint8_t proto, uint16_t port, uint16_t target,
			   const char *backend)
{
	struct dp_backend b = {.addr = addr(backend)};
	struct dp_service s = {.kind = DP_PUBLISHED,
			       .vni = INGRESS,
			       .proto = proto,
			       .published = port,
			       .target = target,
			       .backends = &b,
			       .n_backends = 1};

	assert(!dp_service_set(dp, &s, NULL));
}

static inline void state(struct dp *dp, uint32_t up0, uint32_t h0, uint32_t h1, uint32_t hw,
			 uint32_t hs)
{
	struct dp_network n = {.vni = NET, .gateway = addr("10.0.1.1")};
	struct dp_network in = {.vni = INGRESS,
				.gateway = addr("10.0.0.1"),
				.node_addr = addr("10.0.0.9"),
				.flags = DP_NETWORK_INGRESS};
	struct dp_network secret = {.vni = SECRET,
				    .gateway = addr("10.0.2.1"),
				    .mtu = 1424,
				    .flags = DP_NETWORK_ENCRYPTED};
	struct dp_link up = {.ifindex = up0, .role = DP_LINK_CLIENTS};
	struct dp_addr peer = addr(PEER);

	assert(!dp_network_set(dp, &n, NULL) && !dp_network_set(dp, &in, NULL));
	assert(!dp_network_set(dp, &secret, NULL));
	assert(!dp_link_set(dp, &up, NULL) && !dp_peer_set(dp, &peer, NULL));
	set_endpoint(dp, NET, "10.0.1.11", h0);
	set_endpoint(dp, NET, "10.0.1.12", h1);
	set_endpoint(dp, NET, "10.0.1.13", 0);
	set_endpoint(dp, SECRET, "10.0.2.11", hs);
	set_endpoint(dp, SECRET, "10.0.2.13", 0);
	set_endpoint(dp, INGRESS, "10.0.0.11", hw);
	set_endpoint(dp, INGRESS, "10.0.0.12", 0);
	set_vip(dp, "10.0.1.2", "10.0.1.12");
	set_vip(dp, "10.0.1.3", "10.0.1.13");
	publish(dp, IPPROTO_TCP, 8080, 80, "10.0.0.12");
	publish(dp, IPPROTO_UDP, 5353, 53, "10.0.0.11");
	publish(dp, IPPROTO_TCP, 8081, 80, "10.0.0.11");
}

FIXTURE_SETUP(packets)
{
	static const char *const names[] = {"container", "clients", "loopback", "tunnel"};
	struct dp_options opt = {.kind = "bpf", .exec_root = self->root, .vtep = addr(VTEP)};
	struct err err = ERR_INIT;

	memset(self, 0, sizeof(*self));
	if (geteuid() || unshare(CLONE_NEWNET | CLONE_NEWNS))
		SKIP(return, "root is needed");
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	snprintf(self->root, sizeof(self->root), "/tmp/packets-test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->root));
	ASSERT_EQ(0, system(setup_script));
	ASSERT_EQ(0, dp_open(&opt, &self->dp, &err))
	{
		TH_LOG("%s", err.msg);
	}
	self->up0 = if_nametoindex("up0");
	self->h0 = if_nametoindex("h0");
	self->h1 = if_nametoindex("h1");
	self->hw = if_nametoindex("hw");
	self->hs = if_nametoindex("hs");
	link_mac("up0", self->up_mac);
	link_mac("h0", self->h0_mac);
	link_mac("hw", self->hw_mac);
	state(self->dp, self->up0, self->h0, self->h1, self->hw, self->hs);
	for (int i = 0; i < 4; i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/bpf/prog_sw_%s", self->root, names[i]);
		self->progs[i] = bpf_obj_get(path);
		ASSERT_GE(self->progs[i], 0);
	}
}

FIXTURE_TEARDOWN(packets)
{
	dp_destroy(self->dp);
	if (self->root[0])
		dir_remove_tree(self->root, NULL);
}

/* The reason that was counted, or -1 for none or several. The packet is in self->out. */
static inline int send_packet(FIXTURE_DATA(packets) * self, int prog, uint32_t ifindex,
			      const struct frame *f, int *act)
{
	struct __sk_buff ctx = {.ifindex = ifindex, .mark = self->mark};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->b, .data_size_in = f->len,
		    .data_out = self->out.b, .data_size_out = sizeof(self->out.b), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .ctx_out = &ctx, .ctx_size_out = sizeof(ctx),
		    .repeat = 1);
	struct dp_stats before, after;
	int reason = -1;

	dp_stats(self->dp, &before);
	if (bpf_prog_test_run_opts(self->progs[prog], &opts))
		return -2;
	dp_stats(self->dp, &after);
	self->out.len = opts.data_size_out;
	self->mark = ctx.mark;
	*act = (int)opts.retval;
	for (int i = 0; i < SW_REASON_COUNT; i++)
		if (after.packets[i] != before.packets[i])
			reason = reason < 0 ? i : -1;
	return reason;
}

#define REDIRECT 7
#define SHOT 2
#define UNSPEC (-1)

#define EXPECT_VERDICT(prog, ifindex, packet, reason, want_act)                                    \
	do {                                                                                       \
		struct frame _f = (packet);                                                        \
		int _act, _r = send_packet(self, prog, ifindex, &_f, &_act);                       \
		ASSERT_EQ(SW_##reason, _r)                                                         \
		{                                                                                  \
			TH_LOG("counted: %s", dp_reason_name(_r));                                 \
		}                                                                                  \
		ASSERT_EQ(want_act, _act);                                                         \
	} while (0)

#define EXPECT_ADDRESSES(ip, src, dst)                                                             \
	do {                                                                                       \
		ASSERT_EQ(ip4(src), get32((ip) + 12));                                             \
		ASSERT_EQ(ip4(dst), get32((ip) + 16));                                             \
		ASSERT_TRUE(sound(ip));                                                            \
	} while (0)

#define EXPECT_PORTS(ip, sport, dport)                                                             \
	do {                                                                                       \
		ASSERT_EQ(sport, get16((ip) + 20));                                                \
		ASSERT_EQ(dport, get16((ip) + 22));                                                \
	} while (0)
