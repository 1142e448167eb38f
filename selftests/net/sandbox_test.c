// SPDX-License-Identifier: Apache-2.0
/*
 * Networks and sandboxes in the kernel, without containers: in a namespace of the test's own, with
 * a veth "up0" to another one, "outside". Needs root.
 */
#include "kselftest_harness.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/buf.h"
#include "core/rng.h"
#include "datapath/dp.h"
#include "disk/file.h"
#include "loop/events.h"
#include "loop/loop.h"
#include "net/net.h"
#include "net/netlink.h"
#include "net/records.h"

enum { WAIT_MS = 10000 };

FIXTURE(lab)
{
	char dir[64];
	int home, outside;
	struct loop *loop;
	struct events *events;
	struct rng rng;
	struct nets *nets;
	struct dp *dp;
	struct nets_options opt;
};

static void open_nets(FIXTURE_DATA(lab) * l)
{
	struct err err = {0};

	if (nets_open(&l->opt, &l->nets, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
}

static void no_ipv6(void)
{
	int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY);

	if (fd >= 0) {
		(void)!write(fd, "1", 1);
		close(fd);
	}
}

static struct in_addr ip(const char *s)
{
	return (struct in_addr){inet_addr(s)};
}

FIXTURE_SETUP(lab)
{
	struct dp_options dp = {.kind = "fake"};
	struct rt_veth veth = {
		.name = "up0", .peer_name = "up0", .mtu = 1500, .peer_mac = {2, 1, 1, 1, 1, 1}};
	struct rt_link l;
	struct rt *rt, *out;
	struct err err = {0};

	if (geteuid() || unshare(CLONE_NEWNET | CLONE_NEWNS))
		SKIP(return, "needs root");
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	strcpy(self->dir, "/tmp/sandbox-test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	no_ipv6();
	self->outside = netns_current();
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	no_ipv6();
	self->home = netns_current();
	ASSERT_EQ(0, rt_open(self->home, &rt, &err));
	ASSERT_EQ(0, rt_open(self->outside, &out, &err));
	veth.peer_netns = self->outside;
	ASSERT_EQ(0, rt_veth_add(rt, &veth));
	ASSERT_EQ(0, rt_link_get(rt, "up0", &l));
	ASSERT_EQ(0, rt_addr_add(rt, l.index, ip("10.99.0.1"), 24));
	ASSERT_EQ(0, rt_link_up(rt, l.index));
	ASSERT_EQ(0, rt_link_up(rt, 1));
	ASSERT_EQ(0, rt_link_get(out, "up0", &l));
	ASSERT_EQ(0, rt_addr_add(out, l.index, ip("10.99.0.2"), 24));
	ASSERT_EQ(0, rt_link_up(out, l.index));
	ASSERT_EQ(0, rt_link_up(out, 1));
	/* to the containers past the firewall, if it lets through */
	ASSERT_EQ(0, rt_route_add(out, &(struct rt_route){.dst = ip("172.16.0.0"),
							  .prefix = 12,
							  .gateway = ip("10.99.0.1")}));
	rt_close(rt);
	rt_close(out);
	rng_seed_os(&self->rng);
	ASSERT_EQ(0, loop_new(2, &self->loop, &err));
	self->events = events_new();
	ASSERT_EQ(0, dp_open(&dp, &self->dp, &err));
	self->opt = (struct nets_options){
		.loop = self->loop,
		.events = self->events,
		.rng = &self->rng,
		.dp = self->dp,
		.data_root = self->dir,
		.exec_root = self->dir,
		.icc = true,
		.ip_masq = true,
	};
	open_nets(self);
	nets_sweep(self->nets);
}

FIXTURE_TEARDOWN(lab)
{
	if (!self->loop)
		return;
	loop_drain(self->loop);
	nets_free(self->nets);
	dp_close(self->dp);
	events_free(self->events);
	loop_free(self->loop);
	dir_remove_tree(self->dir, NULL);
	close(self->home);
	close(self->outside);
}

/* --- the loop, synchronously --- */

struct wait {
	struct loop *loop;
	bool over;
	struct err err;
};

static void over(const struct err *err, void *arg)
{
	struct wait *w = arg;

	if (err)
		w->err = *err;
	w->over = true;
	loop_stop(w->loop);
}

static void down_over(void *arg)
{
	over(NULL, arg);
}

static int wait_for(struct wait *w)
{
	while (!w->over)
		loop_run(w->loop);
	if (w->err.code)
		fprintf(stderr, "# %s\n", w->err.msg);
	return w->err.code;
}

/* Let the loop answer what is due for some milliseconds. */
static void spin(struct loop *loop, unsigned int ms)
{
	struct timeval tv = {0, ms * 1000};

	event_base_loopexit(loop_base(loop), &tv);
	event_base_dispatch(loop_base(loop));
}

static struct sandbox *sandbox(FIXTURE_DATA(lab) * l, const char *name)
{
	char id[65], path[128];
	struct sandbox_options opt = {.id = id, .name = name, .hostname = name, .dir = path};

	memset(id, 0, sizeof(id));
	for (int i = 0; i < 64; i++)
		id[i] = "0123456789abcdef"[(name[i % strlen(name)] + i) % 16];
	snprintf(path, sizeof(path), "%s/%s", l->dir, name);
	mkdir(path, 0755);
	return sandbox_new(l->nets, &opt);
}

static int up(FIXTURE_DATA(lab) * l, struct sandbox *sb)
{
	struct wait w = {.loop = l->loop};

	sandbox_up(sb, over, &w);
	return wait_for(&w);
}

static void down(FIXTURE_DATA(lab) * l, struct sandbox *sb)
{
	struct wait w = {.loop = l->loop};

	sandbox_down(sb, down_over, &w);
	wait_for(&w);
	sandbox_free(sb);
}

static struct sandbox *joined(FIXTURE_DATA(lab) * l, const char *name, const char *net)
{
	struct sandbox *sb = sandbox(l, name);
	struct endpoint_options o = {0};
	struct err err = {0};

	if (sandbox_join(sb, nets_find(l->nets, net, NULL), &o, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	return sb;
}

static struct network *make_net(FIXTURE_DATA(lab) * l, const char *body)
{
	json_t *o = json_loads(body, 0, NULL);
	struct network *n = NULL;
	struct err err = {0};

	if (net_create(l->nets, o, &n, &err))
		fprintf(stderr, "# %s\n", err.msg);
	json_decref(o);
	return n;
}

/* --- sockets in namespaces --- */

static int sock_in(FIXTURE_DATA(lab) * l, const char *netns, int fd, int type)
{
	int ns = netns ? open(netns, O_RDONLY) : dup(fd), s;

	if (ns < 0 || netns_enter(ns))
		abort();
	s = socket(AF_INET, type | SOCK_NONBLOCK, 0);
	if (netns_enter(l->home))
		abort();
	close(ns);
	return s;
}

static int server_in(FIXTURE_DATA(lab) * l, const char *netns, int type, uint16_t port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
	int s = sock_in(l, netns, -1, type);

	if (bind(s, (void *)&sa, sizeof(sa)) || (type == SOCK_STREAM && listen(s, 16)))
		abort();
	return s;
}

/* How long an answer is waited for: shorter where none is expected. */
static int patience_ms = WAIT_MS;

/* Does a client (in a namespace by path, or fd) reach the server there? Returns the client's address as seen, or 0. */
static uint32_t reaches(FIXTURE_DATA(lab) * l, const char *netns, int fd, const char *addr,
			uint16_t port, int type, int server)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr = ip(addr)},
			   from = {0};
	int c = sock_in(l, netns, fd, type), a;
	struct pollfd p[2] = {{server, POLLIN, 0}, {c, POLLERR | POLLHUP, 0}};
	socklen_t len = sizeof(from);
	char text[8] = "";

	connect(c, (void *)&sa, sizeof(sa));
	if (type == SOCK_DGRAM)
		(void)!write(c, "ping", 4);
	if (poll(p, 2, patience_ms) <= 0 || !(p[0].revents & POLLIN)) {
		close(c);
		return 0;
	}
	if (type == SOCK_DGRAM) {
		(void)!recvfrom(server, text, sizeof(text), 0, (void *)&from, &len);
		sendto(server, "pong", 4, 0, (void *)&from, len);
	} else {
		a = accept(server, (void *)&from, &len);
		(void)!write(a, "pong", 4);
		close(a);
	}
	p[1].events = POLLIN;
	poll(p + 1, 1, WAIT_MS);
	if (read(c, text, sizeof(text)) < 4 || memcmp(text, "pong", 4))
		from.sin_addr.s_addr = 0;
	close(c);
	return from.sin_addr.s_addr;
}

static bool blocked(FIXTURE_DATA(lab) * l, const char *netns, int fd, const char *addr,
		    uint16_t port, int type, int server)
{
	bool is;

	patience_ms = 700;
	is = !reaches(l, netns, fd, addr, port, type, server);
	patience_ms = WAIT_MS;
	return is;
}

static json_t *endpoint_of(struct sandbox *sb, const char *net)
{
	json_t *s = sandbox_settings(sb),
	       *e = json_incref(json_object_get(json_object_get(s, "Networks"), net));

	json_decref(s);
	return e;
}

static const char *ip_of(struct sandbox *sb, const char *net, char buf[16])
{
	json_t *e = endpoint_of(sb, net);

	snprintf(buf, 16, "%s", json_string_value(json_object_get(e, "IPAddress")) ?: "");
	json_decref(e);
	return buf;
}

/* Ask 127.0.0.11 in a namespace for an A record; the first address as text, "" none, "SERVFAIL" … */
static const char *resolve(FIXTURE_DATA(lab) * l, struct sandbox *sb, const char *name, bool tcp,
			   char out[32])
{
	uint8_t p[512] = {0, 0, 0x12, 0x34, 1, 0, 0, 1}, r[1024];
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(53), .sin_addr = ip("127.0.0.11")};
	int c = sock_in(l, sandbox_netns(sb), -1, tcp ? SOCK_STREAM : SOCK_DGRAM);
	size_t n = 14;
	uint64_t end;
	ssize_t got = -1;

	for (const char *s = name; *s;) {
		size_t len = strcspn(s, ".");

		p[n++] = len;
		memcpy(p + n, s, len);
		n += len;
		s += len + (s[len] == '.');
	}
	n++;
	p[n + 1] = 1;
	p[n + 3] = 1;
	n += 4;
	p[0] = (n - 2) >> 8;
	p[1] = n - 2;
	connect(c, (void *)&sa, sizeof(sa));
	(void)!send(c, tcp ? p : p + 2, tcp ? n : n - 2, 0);
	end = loop_now_ms() + WAIT_MS;
	while (got <= 0 && loop_now_ms() < end) {
		spin(l->loop, 5);
		got = recv(c, r, sizeof(r), 0);
	}
	close(c);
	if (tcp && got > 2)
		memmove(r, r + 2, got -= 2);
	if (got < 12)
		strcpy(out, "nothing");
	else if (r[3] & 15)
		sprintf(out, "rcode %d", r[3] & 15);
	else if (!r[7])
		strcpy(out, "");
	else
		inet_ntop(AF_INET, r + n - 2 + 12, out, 32);
	return out;
}

TEST_F(lab, default_network)
{
	struct sandbox *a, *b;
	char ip_a[16], text[16];
	int s;

	a = joined(self, "a", "bridge");
	b = joined(self, "b", "bridge");
	ASSERT_EQ(0, up(self, a));
	ASSERT_EQ(0, up(self, b));
	EXPECT_STREQ("172.17.0.2", ip_of(a, "bridge", ip_a));
	EXPECT_STREQ("172.17.0.3", ip_of(b, "bridge", text));
	s = server_in(self, sandbox_netns(a), SOCK_STREAM, 80);
	EXPECT_EQ(ip("172.17.0.3").s_addr,
		  reaches(self, sandbox_netns(b), -1, ip_a, 80, SOCK_STREAM, s));
	EXPECT_EQ(ip("172.17.0.1").s_addr,
		  reaches(self, NULL, self->home, ip_a, 80, SOCK_STREAM, s));
	/* what is not published is not reached from outside */
	EXPECT_TRUE(blocked(self, NULL, self->outside, ip_a, 80, SOCK_STREAM, s));
	close(s);
	/* from inside to outside, masqueraded */
	s = sock_in(self, NULL, self->outside, SOCK_STREAM);
	ASSERT_EQ(0,
		  bind(s,
		       (void *)&(struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(81)},
		       sizeof(struct sockaddr_in)));
	ASSERT_EQ(0, listen(s, 5));
	EXPECT_EQ(ip("10.99.0.1").s_addr,
		  reaches(self, sandbox_netns(a), -1, "10.99.0.2", 81, SOCK_STREAM, s));
	close(s);
	down(self, a);
	down(self, b);
}

TEST_F(lab, published_ports)
{
	json_t *bindings =
		       json_loads("{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}],\"53/"
				  "udp\":[{\"HostPort\":\"5353\"}],"
				  "\"81/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8081\"}]}",
				  0, NULL),
	       *exposed = json_loads("{\"82/tcp\":{}}", 0, NULL), *settings, *ports;
	struct sandbox *a, *b, *c;
	struct err err = {0};
	int tcp, udp, local, type[2] = {SOCK_STREAM, SOCK_DGRAM}, port[2] = {8080, 5353}, server[2];
	struct network *n;

	make_net(self, "{\"Name\":\"n1\"}");
	n = make_net(self, "{\"Name\":\"n2\"}");
	a = joined(self, "a", "n1");
	b = joined(self, "b", "n1");
	c = joined(self, "c", "n2");
	ASSERT_EQ(0, sandbox_publish(a, bindings, exposed, true, &err))
	{
		TH_LOG("%s", err.msg);
	}
	ASSERT_EQ(0, up(self, a));
	ASSERT_EQ(0, up(self, b));
	ASSERT_EQ(0, up(self, c));
	settings = sandbox_settings(a);
	ports = json_object_get(settings, "Ports");
	EXPECT_EQ(4, json_object_size(ports));
	EXPECT_STREQ("8080",
		     json_string_value(json_object_get(
			     json_array_get(json_object_get(ports, "80/tcp"), 0), "HostPort")));
	EXPECT_NE(NULL,
		  json_object_get(json_array_get(json_object_get(ports, "82/tcp"), 0), "HostPort"));
	json_decref(settings);
	server[0] = tcp = server_in(self, sandbox_netns(a), SOCK_STREAM, 80);
	server[1] = udp = server_in(self, sandbox_netns(a), SOCK_DGRAM, 53);
	local = server_in(self, sandbox_netns(a), SOCK_STREAM, 81);
	for (int k = 0; k < 2; k++) {
		/* from outside with its own address; from the node, by its address and by localhost */
		EXPECT_EQ(ip("10.99.0.2").s_addr, reaches(self, NULL, self->outside, "10.99.0.1",
							  port[k], type[k], server[k]));
		EXPECT_NE(0, reaches(self, NULL, self->home, "10.99.0.1", port[k], type[k],
				     server[k]));
		EXPECT_NE(0, reaches(self, NULL, self->home, "127.0.0.1", port[k], type[k],
				     server[k]));
		/* from another network, from a neighbour, from itself */
		EXPECT_NE(0, reaches(self, sandbox_netns(c), -1, "10.99.0.1", port[k], type[k],
				     server[k]));
		EXPECT_NE(0, reaches(self, sandbox_netns(b), -1, "10.99.0.1", port[k], type[k],
				     server[k]));
		EXPECT_NE(0, reaches(self, sandbox_netns(a), -1, "10.99.0.1", port[k], type[k],
				     server[k]));
	}
	EXPECT_NE(0, reaches(self, NULL, self->home, "127.0.0.1", 8081, SOCK_STREAM, local));
	EXPECT_TRUE(blocked(self, NULL, self->outside, "10.99.0.1", 8081, SOCK_STREAM, local));
	/* taken */
	down(self, b);
	b = joined(self, "b", "n1");
	EXPECT_EQ(-EADDRINUSE, sandbox_publish(b, bindings, NULL, false, &err));
	EXPECT_NE(NULL, strstr(err.msg, "port is already allocated"));
	sandbox_free(b);
	down(self, a);
	/* and free again */
	b = joined(self, "b", "n1");
	EXPECT_EQ(0, sandbox_publish(b, bindings, NULL, false, &err));
	sandbox_free(b);
	EXPECT_EQ(-EACCES, net_remove(n, &err));
	EXPECT_NE(NULL, strstr(err.msg, "has active endpoints"));
	down(self, c);
	EXPECT_EQ(0, net_remove(n, &err));
	json_decref(bindings);
	json_decref(exposed);
	close(tcp);
	close(udp);
	close(local);
}

TEST_F(lab, isolation)
{
	struct sandbox *a, *b, *i;
	char ip_a[16], ip_i[16];
	int s, t;

	make_net(self, "{\"Name\":\"n1\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.5.0.0/"
		       "24\",\"Gateway\":\"10.5.0.254\"}]}}");
	make_net(self, "{\"Name\":\"n2\",\"Options\":{\"com.docker.network.bridge.enable_icc\":"
		       "\"false\"}}");
	make_net(self, "{\"Name\":\"int\",\"Internal\":true}");
	a = joined(self, "a", "n1");
	b = joined(self, "b", "n2");
	i = joined(self, "i", "int");
	ASSERT_EQ(0, up(self, a));
	ASSERT_EQ(0, up(self, b));
	ASSERT_EQ(0, up(self, i));
	EXPECT_STREQ("10.5.0.1", ip_of(a, "n1", ip_a));
	s = server_in(self, sandbox_netns(a), SOCK_STREAM, 80);
	EXPECT_TRUE(blocked(self, sandbox_netns(b), -1, ip_a, 80, SOCK_STREAM, s));
	EXPECT_TRUE(blocked(self, sandbox_netns(i), -1, ip_a, 80, SOCK_STREAM, s));
	close(s);
	s = server_in(self, sandbox_netns(i), SOCK_STREAM, 80);
	EXPECT_EQ(0,
		  reaches(self, sandbox_netns(a), -1, ip_of(i, "int", ip_i), 80, SOCK_STREAM, s));
	EXPECT_NE(0, reaches(self, NULL, self->home, ip_i, 80, SOCK_STREAM, s));
	close(s);
	/* icc=false: neighbours do not see each other */
	down(self, i);
	i = joined(self, "i", "n2");
	ASSERT_EQ(0, up(self, i));
	s = server_in(self, sandbox_netns(i), SOCK_STREAM, 80);
	EXPECT_TRUE(blocked(self, sandbox_netns(b), -1, ip_of(i, "n2", ip_i), 80, SOCK_STREAM, s));
	EXPECT_NE(0, reaches(self, NULL, self->home, ip_i, 80, SOCK_STREAM, s));
	/* nobody gets at the node's loopback by the gateway */
	t = server_in(self, "/proc/self/ns/net", SOCK_STREAM, 90);
	EXPECT_NE(0, reaches(self, NULL, self->home, "127.0.0.1", 90, SOCK_STREAM, t));
	close(s);
	close(t);
	down(self, a);
	down(self, b);
	down(self, i);
}

TEST_F(lab, names)
{
	json_t *aliases = json_pack("[ss]", "db", "Store");
	struct endpoint_options o = {.aliases = aliases};
	struct sandbox *a, *b, *d;
	struct wait w;
	char text[32], ip_a[16];
	struct network *n2;
	struct err err;

	make_net(self, "{\"Name\":\"n1\"}");
	n2 = make_net(self, "{\"Name\":\"n2\"}");
	a = sandbox(self, "a.x");
	ASSERT_EQ(0, sandbox_join(a, nets_find(self->nets, "n1", NULL), &o, &err));
	b = joined(self, "b", "n1");
	d = joined(self, "d", "bridge");
	ASSERT_EQ(0, up(self, a));
	ASSERT_EQ(0, up(self, b));
	ASSERT_EQ(0, up(self, d));
	ip_of(a, "n1", ip_a);
	for (int tcp = 0; tcp < 2; tcp++) {
		EXPECT_STREQ(ip_a, resolve(self, b, "a.x", tcp, text));
		EXPECT_STREQ(ip_a, resolve(self, b, "A.X.n1", tcp, text));
		EXPECT_STREQ(ip_a, resolve(self, b, "db", tcp, text));
		EXPECT_STREQ(ip_a, resolve(self, b, "store.n1", tcp, text));
	}
	EXPECT_STRNE(ip_a, resolve(self, b, "db.n2", false, text));
	/* live: a comes into n2, which only then has a name for d */
	w = (struct wait){.loop = self->loop};
	o = (struct endpoint_options){0};
	sandbox_connect(d, n2, &o, over, &w);
	ASSERT_EQ(0, wait_for(&w));
	EXPECT_STREQ("172.19.0.2", resolve(self, d, "d", false, text));
	w = (struct wait){.loop = self->loop};
	sandbox_connect(a, n2, &o, over, &w);
	ASSERT_EQ(0, wait_for(&w));
	EXPECT_STREQ("172.19.0.3", resolve(self, d, "a.x", false, text));
	w = (struct wait){.loop = self->loop};
	sandbox_disconnect(a, n2, over, &w);
	ASSERT_EQ(0, wait_for(&w));
	EXPECT_STRNE("172.19.0.3", resolve(self, d, "a.x", false, text));
	w = (struct wait){.loop = self->loop};
	sandbox_disconnect(a, n2, over, &w);
	EXPECT_EQ(-EACCES, wait_for(&w));
	json_decref(aliases);
	down(self, a);
	down(self, b);
	down(self, d);
}

/* A UDP client that sends all the time follows its port from one container to the next. */
TEST_F(lab, udp_flows)
{
	json_t *bindings = json_loads("{\"53/udp\":[{\"HostPort\":\"5353\"}]}", 0, NULL);
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(5353), .sin_addr = ip("10.99.0.1")};
	int c = sock_in(self, NULL, self->outside, SOCK_DGRAM);
	struct err err = {0};

	connect(c, (void *)&sa, sizeof(sa));
	for (int round = 0; round < 3; round++) {
		const char *names[] = {"a", "b", "c"};
		struct sandbox *sb, *other = NULL;
		uint64_t end = loop_now_ms() + WAIT_MS;
		char text[8];
		ssize_t n = -1;
		int s;

		/* before, between and after: nobody listens */
		(void)!send(c, "ping", 4, 0);
		if (round == 1) {
			other = joined(self, "other", "bridge"); /* takes the old address */
			ASSERT_EQ(0, up(self, other));
		}
		sb = joined(self, names[round], "bridge");
		ASSERT_EQ(0, sandbox_publish(sb, bindings, NULL, false, &err));
		ASSERT_EQ(0, up(self, sb));
		s = server_in(self, sandbox_netns(sb), SOCK_DGRAM, 53);
		while (n < 0 && loop_now_ms() < end) {
			(void)!send(c, "ping", 4, 0);
			spin(self->loop, 5);
			n = recv(s, text, sizeof(text), 0);
		}
		EXPECT_EQ(4, n);
		close(s);
		down(self, sb);
		if (other)
			down(self, other);
	}
	close(c);
	json_decref(bindings);
}

/* The agent ends and another takes up what it left. */
TEST_F(lab, restart)
{
	json_t *bindings = json_loads("{\"80/tcp\":[{\"HostPort\":\"8080\"}]}", 0, NULL), *saved;
	char id[65], path[128], text[32], ip_a[16], netns[256];
	struct sandbox_options opt = {.id = id, .name = "a", .hostname = "a", .dir = path};
	struct sandbox *a, *b, *lost;
	struct err err = {0};
	char lost_path[256];
	int s;

	make_net(self, "{\"Name\":\"n1\",\"Labels\":{\"x\":\"y\"}}");
	a = joined(self, "a", "n1");
	lost = joined(self, "lost", "bridge");
	ASSERT_EQ(0, sandbox_publish(a, bindings, NULL, false, &err));
	ASSERT_EQ(0, up(self, a));
	ASSERT_EQ(0, up(self, lost));
	s = server_in(self, sandbox_netns(a), SOCK_STREAM, 80);
	saved = sandbox_save(a);
	ip_of(a, "n1", ip_a);
	snprintf(netns, sizeof(netns), "%s", sandbox_netns(a));
	snprintf(lost_path, sizeof(lost_path), "%s", sandbox_netns(lost));
	loop_drain(self->loop);
	nets_free(self->nets);
	/* without an agent */
	EXPECT_EQ(ip("10.99.0.2").s_addr,
		  reaches(self, NULL, self->outside, "10.99.0.1", 8080, SOCK_STREAM, s));
	open_nets(self);
	EXPECT_EQ(ip("10.99.0.2").s_addr,
		  reaches(self, NULL, self->outside, "10.99.0.1", 8080, SOCK_STREAM, s));
	memset(id, 0, sizeof(id));
	for (int i = 0; i < 64; i++)
		id[i] = "0123456789abcdef"[('a' + i) % 16];
	snprintf(path, sizeof(path), "%s/a", self->dir);
	ASSERT_EQ(0, sandbox_restore(self->nets, &opt, saved, &a, &err));
	nets_sweep(self->nets);
	EXPECT_STREQ(netns, sandbox_netns(a));
	EXPECT_EQ(-1, access(lost_path, F_OK));
	EXPECT_EQ(ip("10.99.0.2").s_addr,
		  reaches(self, NULL, self->outside, "10.99.0.1", 8080, SOCK_STREAM, s));
	EXPECT_STREQ(ip_a, resolve(self, a, "a", false, text));
	b = joined(self, "b", "n1");
	EXPECT_EQ(-EADDRINUSE, sandbox_publish(b, bindings, NULL, false, &err));
	ASSERT_EQ(0, up(self, b));
	EXPECT_STRNE(ip_a, ip_of(b, "n1", text));
	down(self, a);
	down(self, b);
	json_decref(saved);
	json_decref(bindings);
	close(s);
}

static size_t services(struct dp *dp, size_t *ret_backends)
{
	json_t *d = dp_dump(dp), *list = json_object_get(d, "services"), *v;
	size_t n = json_array_size(list), i;

	*ret_backends = 0;
	json_array_foreach (list, i, v)
		*ret_backends += json_array_size(json_object_get(v, "backends"));
	json_decref(d);
	return n;
}

struct seen {
	int local, removed, peers, networks;
	bool disabled;
};

static void on_local(const struct net_record *r, bool removed, void *arg)
{
	struct seen *s = arg;

	s->local += !removed;
	s->removed += removed;
	s->disabled = !removed && r->disabled;
}

static void on_peer(const char *network_id, const char *key, const char *ip_cidr, const char *mac,
		    bool removed, void *arg)
{
	((struct seen *)arg)->peers += removed ? -1 : 1;
}

static void on_network(const char *network_id, bool joined, void *arg)
{
	((struct seen *)arg)->networks += joined ? 1 : -1;
}

TEST_F(lab, swarm)
{
	struct net_swarm_config c = {.id = "net1",
				     .name = "ov",
				     .subnet = "10.0.1.0/24",
				     .gateway = "10.0.1.1",
				     .vni = 4097,
				     .node_addr = "10.0.1.9/24"},
				in = {.id = "ingress1",
				      .name = "ingress",
				      .subnet = "10.0.0.0/24",
				      .gateway = "10.0.0.1",
				      .vni = 4096,
				      .ingress = true};
	json_t *swarm = json_loads("{\"service_id\":\"s1\",\"service_name\":\"web\",\"task_name\":"
				   "\"web.1.t\",\"vip\":\"10.0.1.2\","
				   "\"aliases\":[\"www\"],\"ports\":[]}",
				   0, NULL),
	       *published = json_loads(
		       "{\"service_id\":\"s1\",\"service_name\":\"web\",\"task_name\":\"web.1.t\","
		       "\"vip\":\"10.0.0.2\","
		       "\"ports\":[{\"protocol\":\"tcp\",\"target_port\":80,\"published_port\":"
		       "8080},"
		       "{\"protocol\":\"udp\",\"target_port\":53,\"published_port\":5353}]}",
		       0, NULL);
	struct endpoint_options o = {.ip4 = "10.0.1.5", .swarm = swarm},
				oi = {.ip4 = "10.0.0.5", .swarm = published};
	struct net_record remote = {.network_id = "net1",
				    .key = "ffff",
				    .name = "web.2.t",
				    .service_name = "web",
				    .service_id = "s1",
				    .vip = "10.0.1.2",
				    .ip = "10.0.1.6",
				    .aliases = (const char *[]){"www", NULL}};
	struct seen seen = {0};
	struct records_watch watch = {on_local, on_peer, on_network, &seen};
	struct network *n, *ni;
	struct sandbox *a;
	struct err err = {0};
	char text[32];
	size_t backends;
	json_t *d;

	records_watch(self->nets, &watch);
	ASSERT_EQ(0, net_swarm_set(self->nets, &c, &n, &err));
	ASSERT_EQ(0, net_swarm_set(self->nets, &in, &ni, &err));
	ASSERT_EQ(0, net_swarm_set(self->nets, &c, &n, &err));
	EXPECT_EQ(2, seen.networks);
	EXPECT_EQ(1, seen.peers);
	a = sandbox(self, "a");
	ASSERT_EQ(0, sandbox_join(a, n, &o, &err));
	ASSERT_EQ(0, sandbox_join(a, ni, &oi, &err));
	ASSERT_EQ(0, up(self, a));
	EXPECT_EQ(3, seen.peers);
	EXPECT_EQ(0, seen.local);
	EXPECT_STRNE("10.0.1.2", resolve(self, a, "web", false, text));
	sandbox_service(a, true);
	EXPECT_EQ(2, seen.local);
	EXPECT_STREQ("10.0.1.2", resolve(self, a, "web", false, text));
	EXPECT_STREQ("10.0.1.2", resolve(self, a, "www.ov", false, text));
	EXPECT_STREQ("10.0.1.5", resolve(self, a, "tasks.web", false, text));
	EXPECT_STREQ("10.0.1.5", resolve(self, a, "web.1.t", false, text));
	EXPECT_EQ(3, services(self->dp, &backends));
	EXPECT_EQ(3, backends);
	ASSERT_EQ(0, records_set(self->nets, &remote, &err));
	ASSERT_EQ(0, records_peer_set(self->nets, "net1", "ffff", "10.0.1.6/24",
				      "02:42:0a:00:01:06", "10.99.0.2", &err));
	EXPECT_STREQ("10.0.1.6", resolve(self, a, "web.2.t", false, text));
	EXPECT_EQ(3, services(self->dp, &backends));
	EXPECT_EQ(4, backends);
	d = dp_dump(self->dp);
	EXPECT_EQ(1, json_array_size(json_object_get(d, "peers")));
	EXPECT_EQ(3, json_array_size(json_object_get(d, "endpoints")));
	json_decref(d);
	sandbox_service(a, false);
	EXPECT_TRUE(seen.disabled);
	EXPECT_STREQ("10.0.1.6", resolve(self, a, "tasks.web", false, text));
	down(self, a);
	EXPECT_EQ(2, seen.removed);
	EXPECT_EQ(1, seen.peers);
	EXPECT_EQ(1, services(self->dp, &backends));
	records_peer_del(self->nets, "net1", "ffff");
	records_del(self->nets, "net1", "ffff");
	spin(self->loop, 5);
	EXPECT_EQ(0, services(self->dp, &backends));
	ASSERT_EQ(0, net_remove(n, &err));
	ASSERT_EQ(0, net_remove(ni, &err));
	EXPECT_EQ(0, seen.networks);
	/* a node that is gone may still send, until the swarm is left */
	d = dp_dump(self->dp);
	EXPECT_EQ(1, json_array_size(json_object_get(d, "peers")));
	EXPECT_EQ(0, json_array_size(json_object_get(d, "endpoints")));
	EXPECT_EQ(0, json_array_size(json_object_get(d, "networks")));
	json_decref(d);
	records_watch(self->nets, NULL);
	nets_swarm_end(self->nets);
	d = dp_dump(self->dp);
	EXPECT_EQ(0, json_array_size(json_object_get(d, "peers")));
	json_decref(d);
	json_decref(swarm);
	json_decref(published);
}

TEST_HARNESS_MAIN
