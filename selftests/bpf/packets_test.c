// SPDX-License-Identifier: Apache-2.0
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
#include "kselftest_harness.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "core/rng.h"
#include "datapath/dp.h"
#include "disk/file.h"
#include "swarm/esp.h"
#include "swarm/event.h"
#include "swarm/map.h"
#include "swarm/vxlan.h"

#define NET 4097
#define INGRESS 4096
#define SECRET 4098
#define VTEP "192.0.2.1"
#define PEER "192.0.2.2"
#define CLIENT "192.0.2.100"

/* A frame in the making. */
struct frame {
	uint8_t b[2048];
	size_t len;
};

static uint32_t ip4(const char *s)
{
	struct in_addr a;

	assert(inet_pton(AF_INET, s, &a) == 1);
	return ntohl(a.s_addr);
}

static struct dp_addr addr(const char *s)
{
	struct dp_addr a = {0};

	assert(!dp_addr_parse(s, &a));
	return a;
}

static uint16_t get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint16_t csum(const uint8_t *p, size_t size, uint64_t sum)
{
	for (size_t i = 0; i + 1 < size; i += 2)
		sum += get16(p + i);
	if (size & 1)
		sum += p[size - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static uint16_t l4_csum(const uint8_t *ip, size_t size)
{
	uint64_t pseudo =
		get16(ip + 12) + get16(ip + 14) + get16(ip + 16) + get16(ip + 18) + ip[9] + size;

	return csum(ip + 20, size, pseudo);
}

static void eth(struct frame *f, const uint8_t dst[6], const uint8_t src[6], uint16_t proto)
{
	memcpy(f->b, dst, 6);
	memcpy(f->b + 6, src, 6);
	put16(f->b + 12, proto);
	f->len = 14;
}

/* An IPv4 packet at off, whose payload of size bytes is there already. */
static void ipv4(uint8_t *ip, const char *src, const char *dst, uint8_t proto, size_t size,
		 uint16_t frag)
{
	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, 20 + size);
	put16(ip + 4, 0x1234);
	put16(ip + 6, frag);
	ip[8] = 64;
	ip[9] = proto;
	put32(ip + 12, ip4(src));
	put32(ip + 16, ip4(dst));
	put16(ip + 10, csum(ip, 20, 0));
}

static const uint8_t mac_any[6] = {2, 1, 2, 3, 4, 5};

static struct frame udp(const uint8_t dmac[6], const char *src, uint16_t sport, const char *dst,
			uint16_t dport, size_t size)
{
	struct frame f = {0};
	uint8_t *l4 = f.b + 34;

	eth(&f, dmac, mac_any, 0x0800);
	put16(l4, sport);
	put16(l4 + 2, dport);
	put16(l4 + 4, 8 + size);
	for (size_t i = 0; i < size; i++)
		l4[8 + i] = i;
	ipv4(f.b + 14, src, dst, 17, 8 + size, 0);
	put16(l4 + 6, l4_csum(f.b + 14, 8 + size));
	f.len = 42 + size;
	return f;
}

static struct frame tcp(const uint8_t dmac[6], const char *src, uint16_t sport, const char *dst,
			uint16_t dport, uint8_t flags, size_t size)
{
	struct frame f = {0};
	uint8_t *l4 = f.b + 34;

	eth(&f, dmac, mac_any, 0x0800);
	put16(l4, sport);
	put16(l4 + 2, dport);
	put32(l4 + 4, 0x01020304);
	l4[12] = 5 << 4;
	l4[13] = flags;
	ipv4(f.b + 14, src, dst, 6, 20 + size, 0);
	put16(l4 + 16, l4_csum(f.b + 14, 20 + size));
	f.len = 54 + size;
	return f;
}

/* An ICMP error from src about a UDP or TCP packet. */
static struct frame icmp_error(const uint8_t dmac[6], const char *src, const char *dst,
			       uint8_t code, const char *esrc, uint16_t esport, const char *edst,
			       uint16_t edport)
{
	struct frame about = udp(mac_any, esrc, esport, edst, edport, 20), f = {0};
	uint8_t *icmp = f.b + 34;

	eth(&f, dmac, mac_any, 0x0800);
	icmp[0] = 3;
	icmp[1] = code;
	memcpy(icmp + 8, about.b + 14, 28);
	put16(icmp + 2, csum(icmp, 36, 0));
	ipv4(f.b + 14, src, dst, 1, 36, 0);
	f.len = 70;
	return f;
}

static struct frame vxlan(const uint8_t dmac[6], const char *src, const char *dst, uint32_t vni,
			  const struct frame *inner)
{
	struct frame f = {0};

	eth(&f, dmac, mac_any, 0x0800);
	memcpy(f.b + 50, inner->b, inner->len);
	put16(f.b + 34, 50000);
	put16(f.b + 36, 4789);
	put16(f.b + 38, 16 + inner->len);
	put32(f.b + 42, 0x08000000);
	put32(f.b + 46, vni << 8);
	ipv4(f.b + 14, src, dst, 17, 16 + inner->len, 0);
	f.len = 50 + inner->len;
	return f;
}

/* All checksums of an IPv4 packet are right. */
static bool sound(const uint8_t *ip)
{
	size_t size = get16(ip + 2) - 20;

	if (csum(ip, 20, 0))
		return false;
	if (get16(ip + 6) & 0x3fff)
		return true;
	if (ip[9] == 1)
		return !csum(ip + 20, size, 0);
	if (ip[9] == 17 && !get16(ip + 26))
		return true;
	return !l4_csum(ip, size);
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

static void link_mac(const char *name, uint8_t mac[6])
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

static void set_endpoint(struct dp *dp, uint32_t vni, const char *ip, uint32_t ifindex)
{
	struct dp_endpoint e = {.vni = vni, .addr = addr(ip), .ifindex = ifindex};
	struct dp_link l = {
		.ifindex = ifindex, .role = DP_LINK_CONTAINER, .vni = vni, .addr = addr(ip)};

	if (!ifindex)
		e.node = addr(PEER);
	assert(!dp_endpoint_set(dp, &e, NULL));
	assert(!ifindex || !dp_link_set(dp, &l, NULL));
}

static void set_vip(struct dp *dp, const char *vip, const char *backend)
{
	struct dp_backend b = {.addr = addr(backend)};
	struct dp_service s = {
		.kind = DP_VIP, .vni = NET, .vip = addr(vip), .backends = &b, .n_backends = 1};

	assert(!dp_service_set(dp, &s, NULL));
}

static void publish(struct dp *dp, uint8_t proto, uint16_t port, uint16_t target,
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

static void state(struct dp *dp, uint32_t up0, uint32_t h0, uint32_t h1, uint32_t hw, uint32_t hs)
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
static int send_packet(FIXTURE_DATA(packets) * self, int prog, uint32_t ifindex,
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

static struct frame arp(const char *spa, const char *tpa)
{
	struct frame f = {0};
	uint8_t *a = f.b + 14;

	eth(&f, (const uint8_t *)"\xff\xff\xff\xff\xff\xff", mac_any, 0x0806);
	put16(a, 1);
	put16(a + 2, 0x0800);
	a[4] = 6;
	a[5] = 4;
	put16(a + 6, 1);
	memcpy(a + 8, mac_any, 6);
	put32(a + 14, ip4(spa));
	put32(a + 24, ip4(tpa));
	f.len = 42;
	return f;
}

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
