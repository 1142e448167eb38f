// SPDX-License-Identifier: Apache-2.0
/* Datagrams, keys, seeds and the clock of gossip. */
#include "node/gossipd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <sys/socket.h>

#include "core/log.h"
#include "node/gossipd_impl.h"
#include "node/session_keys.h"

enum {
	PORT = 7946,
	PACKET_SIZE = 1400,
	BATCH = 64, /* datagrams of one turn of the loop */
	SEED_RETRY_MS = 1000,
	SEED_CHECK_MS = 60000,
	/* twice as eager as memberlist: who is gone gets no new flows within two seconds */
	PROBE_MS = 500,
	PROBE_TIMEOUT_MS = 250,
};

bool gossipd_addr_of(const struct sockaddr *sa, struct swim_addr *ret)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;

	*ret = (struct swim_addr){0};
	if (sa->sa_family == AF_INET) {
		ret->len = 4;
		ret->port = ntohs(v4->sin_port);
		memcpy(ret->ip, &v4->sin_addr, 4);
		return true;
	}
	if (sa->sa_family != AF_INET6)
		return false;
	ret->port = ntohs(v6->sin6_port);
	ret->len = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ? 4 : 16;
	memcpy(ret->ip, (const uint8_t *)&v6->sin6_addr + 16 - ret->len, ret->len);
	return true;
}

static socklen_t sockaddr_of(const struct swim_addr *a, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (a->len == 4) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(a->port);
		memcpy(&v4->sin_addr, a->ip, 4);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(a->port);
	memcpy(&v6->sin6_addr, a->ip, 16);
	return sizeof(*v6);
}

void gossipd_addr_text(const struct swim_addr *a, char *ret, size_t size)
{
	if (!inet_ntop(a->len == 4 ? AF_INET : AF_INET6, a->ip, ret, size))
		*ret = 0;
}

/* "10.0.0.1", "10.0.0.1:2377", "[::1]:2377" */
static bool parse_addr(const char *text, uint16_t port, struct swim_addr *ret)
{
	struct sockaddr_storage ss;
	int len = sizeof(ss);

	if (evutil_parse_sockaddr_port(text, (struct sockaddr *)&ss, &len) ||
	    !gossipd_addr_of((struct sockaddr *)&ss, ret))
		return false;
	ret->port = port;
	return true;
}

/* --- packets --- */

void gossipd_seal(struct gossipd *g, bool stream, const void *data, size_t size, struct buf *ret)
{
	uint8_t nonce[SEAL_NONCE];
	int rc;

	if (RAND_bytes(nonce, sizeof(nonce)) != 1)
		return;
	rc = stream ? seal_stream(g->keys, nonce, data, size, ret)
		    : seal_packet(g->keys, nonce, data, size, ret);
	if (rc)
		buf_reset(ret);
}

static void on_packet(const struct swim_addr *to, const void *data, size_t size, void *arg)
{
	struct gossipd *g = arg;
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_of(to, &ss);

	gossipd_seal(g, false, data, size, &b);
	/* what the kernel does not take is lost, as on the wire */
	if (b.len && sendto(g->udp, b.data, b.len, MSG_DONTWAIT | MSG_NOSIGNAL,
			    (struct sockaddr *)&ss, len) < 0)
		log_debug("gossip: a datagram was not sent: %s", strerror(errno));
}

static void on_stream(const struct swim_addr *to, const void *data, size_t size, uint32_t token,
		      void *arg)
{
	gossip_conn_open(arg, to, data, size, token);
}

/* A daemon that was killed and is back has another name at the same address. */
static bool address_lives(struct gossipd *g, const struct swim_member *gone)
{
	struct swim *s = gossip_swim(g->g);
	struct swim_member m;

	for (size_t i = 0; i < swim_len(s); i++) {
		swim_get(s, i, &m);
		if (m.state == ML_STATE_ALIVE && strcmp(m.name, gone->name) &&
		    swim_addr_eq(&m.addr, &gone->addr))
			return true;
	}
	return false;
}

static void on_member(const struct swim_member *m, enum ml_state before, void *arg)
{
	struct gossipd *g = arg;
	bool was = before == ML_STATE_ALIVE, is = m->state == ML_STATE_ALIVE;
	char text[INET6_ADDRSTRLEN];

	gossipd_addr_text(&m->addr, text, sizeof(text));
	if (m->state == ML_STATE_DEAD)
		log_info("gossip: the node at %s does not answer", text);
	if (was != is && g->opt.on_member && (is || !address_lives(g, m)))
		g->opt.on_member(text, is, g->opt.arg);
	/* no new flows to one that may be gone */
	if (m->state == ML_STATE_SUSPECT || (is && before == ML_STATE_SUSPECT))
		netdb_replay(gossip_netdb(g->g), m->name);
}

static void on_changed(const struct netdb_change *c, void *arg)
{
	gossip_tables_changed(arg, c);
}

static void udp_readable(evutil_socket_t fd, short what, void *arg)
{
	struct gossipd *g = arg;
	uint8_t raw[ML_MAX_PACKET];

	(void)what;
	for (int i = 0; i < BATCH; i++) {
		_cleanup_buf_ struct buf text = BUF_INIT;
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		ssize_t n =
			recvfrom(fd, raw, sizeof(raw), MSG_DONTWAIT, (struct sockaddr *)&ss, &len);
		struct swim_addr from;

		if (n < 0)
			break;
		if (g->g && gossipd_addr_of((struct sockaddr *)&ss, &from) &&
		    !open_packet(g->keys, raw, n, &text))
			gossip_packet(g->g, &from, text.data, text.len, loop_now_ms());
	}
	gossipd_schedule(g);
}

static void accepted(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
		     void *arg)
{
	(void)l;
	(void)len;
	gossip_conn_accept(arg, fd, sa);
}

/* --- the clock --- */

static void run(void *arg)
{
	struct gossipd *g = arg;

	if (g->g)
		gossip_run(g->g, loop_now_ms());
	gossipd_schedule(g);
}

void gossipd_schedule(struct gossipd *g)
{
	uint64_t due, now_ms = loop_now_ms();

	if (!g->g)
		return;
	due = gossip_due(g->g);
	timer_set(&g->timer, due > now_ms ? due - now_ms : 0);
}

static bool knows(struct gossipd *g, const struct swim_addr *a)
{
	struct swim *s = gossip_swim(g->g);
	struct swim_member m;

	for (size_t i = 0; i < swim_len(s); i++) {
		swim_get(s, i, &m);
		if (m.state <= ML_STATE_SUSPECT && swim_addr_eq(&m.addr, a))
			return true;
	}
	return false;
}

/* Join through the managers that are not yet members; again until one is. */
static void try_seeds(void *arg)
{
	struct gossipd *g = arg;
	bool alone;

	if (!g->g)
		return;
	for (size_t i = 0; i < g->n_seeds; i++)
		if (!knows(g, &g->seeds[i]))
			swim_join(gossip_swim(g->g), &g->seeds[i], loop_now_ms());
	alone = swim_alive(gossip_swim(g->g)) < 2 && g->n_seeds;
	timer_set(&g->seed_timer, alone ? SEED_RETRY_MS : SEED_CHECK_MS);
	gossipd_schedule(g);
}

/* --- keys and seeds --- */

static void begin(struct gossipd *g)
{
	struct gossip_ops ops = {
		.packet = on_packet,
		.stream = on_stream,
		.member = on_member,
		.changed = on_changed,
		.arg = g,
	};
	struct swim_config c = {
		.name = g->name,
		.addr = g->addr,
		.probe_ms = PROBE_MS,
		.probe_timeout_ms = PROBE_TIMEOUT_MS,
		.packet_size = PACKET_SIZE - SEAL_OVERHEAD,
	};

	g->g = gossip_new(&c, &ops, g->opt.rng, loop_now_ms());
	gossip_tables_begin(g);
	try_seeds(g);
}

void gossipd_set_keys(struct gossipd *g, Pb__EncryptionKey *const *keys, size_t n)
{
	const Pb__EncryptionKey *mine[SESSION_KEYS_MAX];
	const uint8_t *raw[SESSION_KEYS_MAX];
	size_t sizes[SESSION_KEYS_MAX], primary, k;

	k = session_keys(keys, n, KEYS_GOSSIP, mine, &primary);
	if (!k)
		return;
	/* the first is the one to send with */
	for (size_t i = 0; i < k; i++) {
		size_t at = i == 0 ? primary : i <= primary ? i - 1 : i;

		raw[i] = mine[at]->key.data;
		sizes[i] = mine[at]->key.len;
	}
	if (keyring_set(g->keys, raw, sizes, k)) {
		log_error("gossip: the managers' keys are of no size for AES");
		return;
	}
	if (!g->g)
		begin(g);
}

void gossipd_set_seeds(struct gossipd *g, Pb__WeightedPeer *const *managers, size_t n)
{
	free(g->seeds);
	g->seeds = xcalloc(n + 1, sizeof(*g->seeds));
	g->n_seeds = 0;
	for (size_t i = 0; i < n; i++) {
		struct swim_addr a;

		if (managers[i]->peer && parse_addr(managers[i]->peer->addr, g->addr.port, &a) &&
		    !swim_addr_eq(&a, &g->addr))
			g->seeds[g->n_seeds++] = a;
	}
	try_seeds(g);
}

/* --- open and close --- */

static int bound(struct gossipd *g, int type, int *ret, struct err *err)
{
	struct swim_addr any = {.len = g->addr.len, .port = g->addr.port}, on = any;
	struct sockaddr_storage ss;
	socklen_t len;
	_cleanup_close_ int fd = -1;
	int one = 1;

	if (!str_empty(g->opt.listen_addr) && parse_addr(g->opt.listen_addr, g->addr.port, &on) &&
	    on.len != any.len)
		on = any;
	len = sockaddr_of(&on, &ss);
	fd = socket(ss.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&ss, len))
		return err_errno(err, -errno, "cannot listen for gossip on port %u/%s",
				 g->addr.port, type == SOCK_STREAM ? "tcp" : "udp");
	*ret = steal_fd(fd);
	return 0;
}

static int open_sockets(struct gossipd *g, struct err *err)
{
	struct event_base *base = loop_base(g->opt.loop);
	int tcp, rc = bound(g, SOCK_DGRAM, &g->udp, err);

	if (!rc)
		rc = bound(g, SOCK_STREAM, &tcp, err);
	if (rc)
		return rc;
	g->udp_ev = event_new(base, g->udp, EV_READ | EV_PERSIST, udp_readable, g);
	event_add(g->udp_ev, NULL);
	g->listener = evconnlistener_new(base, accepted, g,
					 LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 128, tcp);
	if (!g->listener) {
		close(tcp);
		return err_set(err, -EIO, "cannot listen for gossip on port %u/tcp", g->addr.port);
	}
	return 0;
}

int gossipd_open(const struct gossipd_options *opt, struct gossipd **ret, struct err *err)
{
	struct gossipd *g = xcalloc(1, sizeof(*g));
	uint8_t raw[6];
	int rc = 0;

	g->opt = *opt;
	g->opt.listen_addr = xstrdup(opt->listen_addr);
	g->opt.advertise_addr = xstrdup(opt->advertise_addr);
	g->vtep =
		xstrdup(str_empty(opt->data_path_addr) ? opt->advertise_addr : opt->data_path_addr);
	g->keys = keyring_new();
	g->udp = -1;
	list_init(&g->conns);
	buf_init(&g->member_text);
	timer_init(&g->timer, opt->loop, run, g);
	timer_init(&g->seed_timer, opt->loop, try_seeds, g);
	rng_bytes(opt->rng, raw, sizeof(raw));
	hex_encode(g->name, raw, sizeof(raw));
	if (!parse_addr(opt->advertise_addr, opt->port ? opt->port : PORT, &g->addr))
		rc = err_set(err, -EINVAL, "gossip cannot advertise %s: it is no IP address",
			     opt->advertise_addr);
	if (!rc)
		rc = open_sockets(g, err);
	if (rc) {
		gossipd_close(g, false);
		return rc;
	}
	*ret = g;
	return 0;
}

void gossipd_close(struct gossipd *g, bool leave)
{
	if (!g)
		return;
	gossip_tables_end(g);
	if (g->g && leave) {
		netdb_bye(gossip_netdb(g->g), loop_now_ms());
		swim_leave(gossip_swim(g->g), loop_now_ms());
		gossip_run(g->g, loop_now_ms()); /* to a few, who tell the rest */
	}
	gossip_conns_done(g);
	gossip_free(g->g);
	timer_done(&g->timer);
	timer_done(&g->seed_timer);
	if (g->udp_ev)
		event_free(g->udp_ev);
	if (g->listener)
		evconnlistener_free(g->listener);
	if (g->udp >= 0)
		close(g->udp);
	keyring_free(g->keys);
	buf_done(&g->member_text);
	free((char *)g->opt.listen_addr);
	free((char *)g->opt.advertise_addr);
	free(g->vtep);
	free(g->seeds);
	free(g);
}

size_t gossipd_size(const struct gossipd *g)
{
	return g->g ? swim_alive(gossip_swim(g->g)) : 1;
}

const char *gossipd_next(struct gossipd *g, size_t *pos)
{
	char text[INET6_ADDRSTRLEN];
	struct swim_member m;
	struct swim *s;

	if (!g->g)
		return NULL;
	s = gossip_swim(g->g);
	while (*pos < swim_len(s)) {
		swim_get(s, (*pos)++, &m);
		if (m.self || m.state != ML_STATE_ALIVE)
			continue;
		gossipd_addr_text(&m.addr, text, sizeof(text));
		buf_reset(&g->member_text);
		buf_str(&g->member_text, text);
		return g->member_text.data;
	}
	return NULL;
}
