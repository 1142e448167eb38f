// SPDX-License-Identifier: Apache-2.0
/*
 * The datapath's interface as commands, for the tests in shell. Each run opens the datapath as an
 * agent would, taking over what is there, does what its standard input says, a command a line, and
 * leaves the rest working.
 *
 *	dpctl KIND ROOT VTEP [direct]
 *
 *	network VNI ingress|encrypted|- GATEWAY NODE_ADDR|- MTU	network_del VNI
 *	endpoint VNI ADDR LINK|NODE [HOST_ADDR]		endpoint_del VNI ADDR
 *	peer ADDR					peer_del ADDR
 *	vip VNI VIP BACKEND…				vip_del VNI VIP
 *	publish tcp|udp PORT TARGET VNI BACKEND…	publish_del tcp|udp PORT
 *	container LINK VNI ADDR				clients LINK
 *	link_del LINK					sync_begin, sync_end
 *	verify_begin [mend]				verify_end
 *	dump, flows, backends, stats, destroy
 *	listen: what happens, until a drop and a flow have been told, at most 10 s
 *
 * A BACKEND is ADDR, ADDR/WEIGHT or ADDR/WEIGHT/drain; a LINK is a name or #INDEX.
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "datapath/dp.h"

static void die(const char *what, const struct err *err)
{
	fprintf(stderr, "dpctl: %s: %s\n", what, err->msg);
	exit(1);
}

static struct dp_addr addr(const char *s)
{
	struct dp_addr a = {0};

	if (s && strcmp(s, "-") && dp_addr_parse(s, &a)) {
		fprintf(stderr, "dpctl: \"%s\" is no address\n", s);
		exit(1);
	}
	return a;
}

/*
 * A link's name, or #INDEX; 0: none, or an address. For a name that it does not know the kernel
 * starts modprobe, which takes milliseconds.
 */
static uint32_t link_index(const char *s)
{
	struct dp_addr a;

	if (!s || !dp_addr_parse(s, &a))
		return 0;
	return *s == '#' ? strtoul(s + 1, NULL, 10) : if_nametoindex(s);
}

static uint64_t number(const char *s)
{
	uint64_t n = 0;

	if (!s || parse_u64(s, 0, UINT32_MAX, &n)) {
		fprintf(stderr, "dpctl: \"%s\" is no number\n", s ? s : "");
		exit(1);
	}
	return n;
}

/* one more than are allowed, so that it is the datapath that refuses */
#define BACKENDS (DP_BACKENDS_MAX + 1)

static size_t parse_backends(char **w, struct dp_backend *b)
{
	size_t n = 0;

	for (; *w && n < BACKENDS; w++) {
		char *weight = strchr(*w, '/'), *drain = weight ? strchr(weight + 1, '/') : NULL;

		if (drain)
			*drain = 0;
		b[n].addr = addr(*w);
		b[n].weight = weight ? number(weight + 1) : 1;
		b[n++].draining = drain;
	}
	return n;
}

static int proto(const char *s)
{
	return streq(s, "tcp") ? IPPROTO_TCP : IPPROTO_UDP;
}

static int set_network(struct dp *dp, char **w, struct err *err)
{
	struct dp_network n = {.vni = number(w[1]),
			       .flags = streq(w[2], "ingress")	   ? DP_NETWORK_INGRESS
					: streq(w[2], "encrypted") ? DP_NETWORK_ENCRYPTED
								   : 0,
			       .gateway = addr(w[3]),
			       .node_addr = addr(w[4]),
			       .mtu = number(w[5])};

	return dp_network_set(dp, &n, err);
}

static int set_endpoint(struct dp *dp, char **w, struct err *err)
{
	struct dp_endpoint e = {.vni = number(w[1]),
				.addr = addr(w[2]),
				.ifindex = link_index(w[3]),
				.host_addr = addr(w[4])};

	if (!e.ifindex)
		e.node = addr(w[3]);
	return dp_endpoint_set(dp, &e, err);
}

static int set_service(struct dp *dp, char **w, struct err *err)
{
	static struct dp_backend b[BACKENDS];
	struct dp_service s = {.backends = b};

	if (starts_with(w[0], "vip")) {
		s.kind = DP_VIP;
		s.vni = number(w[1]);
		s.vip = addr(w[2]);
		if (streq(w[0], "vip_del"))
			return dp_service_del(dp, &s, err);
		s.n_backends = parse_backends(w + 3, b);
	} else {
		s.kind = DP_PUBLISHED;
		s.proto = proto(w[1]);
		s.published = number(w[2]);
		if (streq(w[0], "publish_del"))
			return dp_service_del(dp, &s, err);
		s.target = number(w[3]);
		s.vni = number(w[4]);
		s.n_backends = parse_backends(w + 5, b);
	}
	return dp_service_set(dp, &s, err);
}

static int set_link(struct dp *dp, char **w, struct err *err)
{
	struct dp_link l = {.ifindex = link_index(w[1]), .role = DP_LINK_CLIENTS};

	if (streq(w[0], "container")) {
		l.role = DP_LINK_CONTAINER;
		l.vni = number(w[2]);
		l.addr = addr(w[3]);
	}
	return dp_link_set(dp, &l, err);
}

static int print_json(json_t *j)
{
	json_dumpf(j, stdout, JSON_COMPACT | JSON_SORT_KEYS);
	putchar('\n');
	json_decref(j);
	return 0;
}

static int print_stats(struct dp *dp)
{
	struct dp_stats s;

	dp_stats(dp, &s);
	for (int i = 0; i < SW_REASON_COUNT; i++)
		printf("%s %llu %llu\n", dp_reason_name(i), (unsigned long long)s.packets[i],
		       (unsigned long long)s.bytes[i]);
	return 0;
}

/* The sentences of differences. */
static int print_differences(json_t *reply)
{
	json_t *d;
	size_t i;

	json_array_foreach (json_object_get(reply, "differences"), i, d)
		printf("%s%s\n", json_string_value(json_object_get(d, "text")),
		       json_is_true(json_object_get(d, "mended")) ? ": mended" : "");
	json_decref(reply);
	return 0;
}

static void on_event(json_t *event, void *arg)
{
	(void)arg;
	printf("%s: %s\n", json_string_value(json_object_get(event, "event")),
	       json_string_value(json_object_get(event, "text")));
	fflush(stdout);
}

/* Until it is killed. */
static int listen_to(struct dp *dp, struct err *err)
{
	struct dp_listener l = {.fn = on_event};
	int rc = dp_listen(dp, &l, err);

	if (rc)
		return rc;
	puts("listening");
	fflush(stdout);
	for (;;) {
		struct pollfd p = {.fd = dp_events_fd(dp), .events = POLLIN};

		if (poll(&p, 1, -1) > 0)
			dp_events_read(dp);
	}
}

static int run(struct dp *dp, char **w, size_t n, struct err *err)
{
	struct dp_addr a;

	(void)n;
	if (streq(w[0], "network"))
		return set_network(dp, w, err);
	if (streq(w[0], "network_del"))
		return dp_network_del(dp, number(w[1]), err);
	if (streq(w[0], "endpoint"))
		return set_endpoint(dp, w, err);
	if (streq(w[0], "endpoint_del")) {
		a = addr(w[2]);
		return dp_endpoint_del(dp, number(w[1]), &a, err);
	}
	if (starts_with(w[0], "peer")) {
		a = addr(w[1]);
		return streq(w[0], "peer") ? dp_peer_set(dp, &a, err) : dp_peer_del(dp, &a, err);
	}
	if (starts_with(w[0], "vip") || starts_with(w[0], "publish"))
		return set_service(dp, w, err);
	if (streq(w[0], "container") || streq(w[0], "clients"))
		return set_link(dp, w, err);
	if (streq(w[0], "link_del"))
		return dp_link_del(dp, link_index(w[1]), err);
	if (streq(w[0], "sync_begin"))
		return dp_sync_begin(dp), 0;
	if (streq(w[0], "sync_end"))
		return dp_sync_end(dp, err);
	if (streq(w[0], "verify_begin"))
		return dp_verify_begin(dp, w[1]), 0;
	if (streq(w[0], "verify_end"))
		return print_differences(dp_verify_end(dp));
	if (streq(w[0], "backends"))
		return print_json(dp_dump_backends(dp));
	if (streq(w[0], "listen"))
		return listen_to(dp, err);
	if (streq(w[0], "dump"))
		return print_json(dp_dump(dp));
	if (streq(w[0], "flows"))
		return print_json(dp_dump_flows(dp, 10000));
	if (streq(w[0], "stats"))
		return print_stats(dp);
	return err_set(err, -EINVAL, "unknown command");
}

int main(int argc, char **argv)
{
	struct dp_options opt = {0};
	struct err err = ERR_INIT;
	struct dp *dp;
	char line[65536];

	if (argc < 4) {
		fprintf(stderr, "usage: dpctl KIND ROOT VTEP [direct]\n");
		return 2;
	}
	opt.kind = argv[1];
	opt.exec_root = argv[2];
	opt.vtep = addr(argv[3]);
	opt.return_direct = argc > 4;
	if (dp_open(&opt, &dp, &err))
		die("open", &err);
	while (fgets(line, sizeof(line), stdin)) {
		char *w[BACKENDS + 16] = {NULL}, *save = NULL;
		size_t n = 0;

		for (char *t = strtok_r(line, " \t\n", &save); t && n < ARRAY_SIZE(w) - 8;
		     t = strtok_r(NULL, " \t\n", &save))
			w[n++] = t;
		if (!n)
			continue;
		if (streq(w[0], "destroy")) {
			dp_destroy(dp);
			return 0;
		}
		if (run(dp, w, n, &err))
			die(w[0], &err);
	}
	dp_close(dp);
	return 0;
}
