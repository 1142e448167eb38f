// SPDX-License-Identifier: Apache-2.0
/*
 * Random messages to the module's netlink interface from many processes at once, some of which
 * share a network namespace. Most are well-formed and about few objects, so that they meet; the
 * others are broken in some way. Nothing is expected but that the kernel survives.
 *
 * usage: netlink_fuzz SECONDS [SEED [PROCESSES]]
 */
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "nl.h"

#define PROCESSES 8
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct totals {
	unsigned long long sent, accepted, refused, answers;
};

struct rng {
	uint64_t s;
};

/* splitmix64 */
static uint64_t draw(struct rng *r)
{
	uint64_t z = r->s += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint32_t below(struct rng *r, uint32_t n)
{
	return draw(r) % n;
}

static bool one_in(struct rng *r, uint32_t n)
{
	return !below(r, n);
}

enum kind { END, ADDR, MAC, PORT, VNI, U8, U16, U32, FLAGS, ROLE, PROTO, INDEX, MTU, BACKENDS };

/* What a command takes, by attribute type from 1 on. */
static const struct {
	uint8_t cmd;
	uint8_t kinds[8];
} commands[] = {
	{SWARM_CMD_SETTINGS_SET, {ADDR, PORT, FLAGS, U32, U32, U16}},
	{SWARM_CMD_SETTINGS_GET, {END}},
	{SWARM_CMD_NETWORK_SET, {VNI, MTU, FLAGS, ADDR, MAC, ADDR}},
	{SWARM_CMD_NETWORK_DEL, {VNI}},
	{SWARM_CMD_NETWORK_GET, {VNI}},
	{SWARM_CMD_ENDPOINT_SET, {VNI, ADDR, MAC, INDEX, ADDR, ADDR}},
	{SWARM_CMD_ENDPOINT_DEL, {VNI, ADDR}},
	{SWARM_CMD_ENDPOINT_GET, {VNI, ADDR}},
	{SWARM_CMD_PEER_SET, {ADDR}},
	{SWARM_CMD_PEER_DEL, {ADDR}},
	{SWARM_CMD_PEER_GET, {ADDR}},
	{SWARM_CMD_SERVICE_SET, {VNI, ADDR, PROTO, PORT, PORT, BACKENDS}},
	{SWARM_CMD_SERVICE_DEL, {VNI, ADDR, PROTO, PORT}},
	{SWARM_CMD_SERVICE_GET, {VNI, ADDR, PROTO, PORT}},
	{SWARM_CMD_TABLE_GET, {VNI, ADDR, PROTO, PORT}},
	{SWARM_CMD_LINK_SET, {INDEX, ROLE, VNI, ADDR}},
	{SWARM_CMD_LINK_DEL, {INDEX}},
	{SWARM_CMD_LINK_GET, {INDEX}},
	{SWARM_CMD_FLOW_GET, {END}},
	{SWARM_CMD_STATS_GET, {END}},
	{SWARM_CMD_CLEAR, {END}},
};

static void put_addr(struct nl *nl, struct rng *r, int type, uint32_t n, bool spoil)
{
	uint8_t a[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [14] = n >> 8, [15] = n};

	if (spoil)
		a[below(r, 16)] = draw(r);
	nl_put(nl, type, a, sizeof(a));
}

/*
 * Sorted ones, as the interface wants them; once in a while many, so that memory which is not given
 * back shows.
 */
static void put_backends(struct nl *nl, struct rng *r, int type)
{
	uint32_t n = below(r, one_in(r, 10) ? 1030 : 12), at = below(r, 20);
	bool spoil = one_in(r, 5);

	while (n--) {
		size_t nest = nl_nest(nl, type);
		uint16_t weight = below(r, 5);

		at += 1 + below(r, 3);
		put_addr(nl, r, SWARM_A_BACKEND_ADDR, at, spoil && one_in(r, 30));
		if (weight || (spoil && one_in(r, 30)))
			nl_put(nl, SWARM_A_BACKEND_WEIGHT, &weight, sizeof(weight));
		if (one_in(r, 6))
			nl_put(nl, SWARM_A_BACKEND_DRAINING, NULL, 0);
		nl_nest_end(nl, nest);
	}
}

static void put_number(struct nl *nl, struct rng *r, int type, uint64_t v, size_t size)
{
	if (one_in(r, 40))
		v = draw(r);
	nl_put(nl, type, &v, size);
}

static void put_kind(struct nl *nl, struct rng *r, int type, enum kind kind)
{
	uint8_t mac[6] = {2, 0x42, 10, 0, 0, below(r, 16)};

	switch (kind) {
	case ADDR:
		return put_addr(nl, r, type, below(r, 24), one_in(r, 30));
	case MAC:
		return nl_put(nl, type, mac, sizeof(mac));
	case PORT:
		return put_number(nl, r, type, below(r, 8) << 8, 2);
	case VNI:
		return put_number(nl, r, type, 4096 + below(r, 6), 4);
	case U8:
		return put_number(nl, r, type, below(r, 256), 1);
	case U16:
		return put_number(nl, r, type, below(r, 4), 2);
	case U32:
		return put_number(nl, r, type, below(r, 5000), 4);
	case FLAGS:
		return put_number(nl, r, type, below(r, 4), 4);
	case ROLE:
		return put_number(nl, r, type, 1 + below(r, 3), 4);
	case PROTO:
		return put_number(nl, r, type, one_in(r, 2) ? 6 : 17, 1);
	case INDEX:
		return put_number(nl, r, type, 1 + below(r, 6), 4);
	case MTU:
		return put_number(nl, r, type, 1280 + below(r, 300), 4);
	case BACKENDS:
		return put_backends(nl, r, type);
	default:
		return;
	}
}

/*
 * Which attributes of a service or an endpoint exclude each other: a VIP or a port, a link or a
 * node. Bits by attribute type.
 */
static uint32_t excluded(uint8_t cmd, struct rng *r)
{
	uint32_t vip = 1 << SWARM_A_SERVICE_VIP, port = 1 << SWARM_A_SERVICE_PROTO |
							1 << SWARM_A_SERVICE_PUBLISHED |
							1 << SWARM_A_SERVICE_TARGET;

	if (one_in(r, 10))
		return 0;
	switch (cmd) {
	case SWARM_CMD_SERVICE_SET:
	case SWARM_CMD_SERVICE_DEL:
	case SWARM_CMD_SERVICE_GET:
	case SWARM_CMD_TABLE_GET:
		return one_in(r, 2) ? vip : port;
	case SWARM_CMD_ENDPOINT_SET:
		return 1 << (one_in(r, 2) ? SWARM_A_ENDPOINT_IFINDEX : SWARM_A_ENDPOINT_NODE);
	default:
		return 0;
	}
}

/* A message as it should be, but for attributes that are left out. */
static void make(struct nl *nl, struct rng *r)
{
	size_t c = below(r, ARRAY_SIZE(commands));
	bool dump = one_in(r, 8);
	uint32_t without;

	if (commands[c].cmd == SWARM_CMD_CLEAR && !one_in(r, 20))
		c = 0;
	without = excluded(commands[c].cmd, r);
	nl_begin(nl, nl->family, NLM_F_ACK | (dump ? NLM_F_DUMP : 0), commands[c].cmd);
	for (size_t i = 0; !dump && i < ARRAY_SIZE(commands[c].kinds) && commands[c].kinds[i]; i++)
		if (!(without & 1 << (i + 1)) && !one_in(r, 30))
			put_kind(nl, r, i + 1, commands[c].kinds[i]);
}

/* Attributes of any type and length, nested into each other at random. */
static void make_noise(struct nl *nl, struct rng *r)
{
	size_t nests[16], depth = 0;
	uint64_t bytes[8];

	nl_begin(nl, nl->family, one_in(r, 4) ? NLM_F_DUMP : NLM_F_ACK,
		 below(r, SWARM_CMD_MAX + 3));
	for (uint32_t n = below(r, 40); n; n--) {
		if (depth < ARRAY_SIZE(nests) && one_in(r, 3)) {
			nests[depth++] = nl_nest(nl, below(r, 12));
		} else if (depth && one_in(r, 4)) {
			nl_nest_end(nl, nests[--depth]);
		} else {
			for (size_t i = 0; i < ARRAY_SIZE(bytes); i++)
				bytes[i] = draw(r);
			nl_put(nl, below(r, one_in(r, 10) ? 65536 : 12), bytes,
			       below(r, sizeof(bytes) + 1));
		}
	}
	while (depth)
		nl_nest_end(nl, nests[--depth]);
}

/* Break a message somewhere behind its first bytes. */
static void damage(struct nl *nl, struct rng *r)
{
	size_t head = NLMSG_HDRLEN;

	for (uint32_t n = 1 + below(r, 4); n; n--) {
		size_t at = head + below(r, nl->len - head);

		switch (below(r, 4)) {
		case 0:
			nl->buf[at] = draw(r);
			break;
		case 1:
			nl->buf[at] ^= 1 << below(r, 8);
			break;
		case 2: /* a length */
			at = (at & ~(size_t)3);
			nl->buf[at] = below(r, 64);
			nl->buf[at + 1] = one_in(r, 4) ? draw(r) : 0;
			break;
		default:
			if (nl->len > head + 4)
				nl->len = head + 4 + below(r, nl->len - head - 4);
		}
	}
}

/* Take what is there; a dump may stay half read. */
static void drain(struct nl *nl, struct rng *r, struct totals *t)
{
	for (int i = 0; i < 64; i++) {
		ssize_t left = recv(nl->fd, nl->answer, sizeof(nl->answer), MSG_DONTWAIT);
		struct nlmsghdr *nlh = (void *)nl->answer;

		if (left < 0 && errno != ENOBUFS)
			return;
		for (; left > 0 && NLMSG_OK(nlh, left); nlh = NLMSG_NEXT(nlh, left)) {
			t->answers++;
			if (nlh->nlmsg_type != NLMSG_ERROR)
				continue;
			if (((struct nlmsgerr *)NLMSG_DATA(nlh))->error)
				t->refused++;
			else
				t->accepted++;
		}
		if (one_in(r, 100))
			return;
	}
}

static void run(const char *command)
{
	if (system(command))
		fprintf(stderr, "netlink_fuzz: failed: %s\n", command);
}

static void links(void)
{
	run("ip link set lo up; ip link add v0 type veth peer name v1; ip link add b0 type bridge; "
	    "ip link set v0 up; ip link set v1 up; ip link set b0 up");
}

/* Members come and go, sockets are closed with a dump in them. */
static void shuffle(struct nl *nl, struct rng *r)
{
	uint32_t group = below(r, 3);

	if (one_in(r, 4)) {
		close(nl->fd);
		if (nl_open(nl))
			_exit(1);
	} else if (one_in(r, 20)) {
		run("ip link del v0; ip link add v0 type veth peer name v1; ip link set v0 up");
	} else {
		setsockopt(nl->fd, SOL_NETLINK,
			   one_in(r, 2) ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP,
			   &nl->groups[group], sizeof(nl->groups[group]));
	}
}

/* Those with an even number share the namespace that they are started in. */
static void fuzz(int number, uint64_t seed, time_t end, struct totals *t)
{
	struct nl *nl = calloc(1, sizeof(*nl));
	struct rng r = {seed + number};

	if (number % 2) {
		if (unshare(CLONE_NEWNET))
			_exit(1);
		links();
	}
	if (nl_open(nl))
		_exit(1);
	while (time(NULL) < end) {
		for (int i = 0; i < 50; i++) {
			if (one_in(&r, 5))
				make_noise(nl, &r);
			else
				make(nl, &r);
			if (one_in(&r, 6))
				damage(nl, &r);
			if (!nl_send(nl))
				t->sent++;
			if (!one_in(&r, 10))
				drain(nl, &r, t);
		}
		if (one_in(&r, 5))
			shuffle(nl, &r);
	}
	nl_begin(nl, nl->family, NLM_F_ACK, SWARM_CMD_CLEAR);
	nl_send(nl);
	_exit(0);
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 20, n = argc > 3 ? atoi(argv[3]) : PROCESSES;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
	struct totals sum = {0}, *t;
	int bad = 0, status;
	time_t end;

	printf("# seed=%llu seconds=%d processes=%d\n", (unsigned long long)seed, seconds, n);
	fflush(stdout);
	t = mmap(NULL, n * sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t == MAP_FAILED || unshare(CLONE_NEWNET))
		return 1;
	links();
	end = time(NULL) + seconds;
	for (int i = 0; i < n; i++)
		if (!fork())
			fuzz(i, seed, end, &t[i]);
	while (wait(&status) > 0)
		bad += status != 0;
	for (int i = 0; i < n; i++) {
		sum.sent += t[i].sent;
		sum.accepted += t[i].accepted;
		sum.refused += t[i].refused;
		sum.answers += t[i].answers;
	}
	printf("# %llu messages, %llu accepted, %llu refused, %llu answers, %d processes failed\n",
	       sum.sent, sum.accepted, sum.refused, sum.answers, bad);
	return bad || !sum.accepted || !sum.refused;
}
