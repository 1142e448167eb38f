// SPDX-License-Identifier: Apache-2.0
/* Connections to one address: made when needed, again after a break, with growing delays. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>

#include "rpc/grpc_client_impl.h"

enum {
	BACKOFF_MIN_MS = 100,
	STABLE_MS = 1000, /* a connection that lived so long was a good one */
	CONNECT_TIMEOUT_MS = 5000,
	BACKOFF_MAX_MS = 5000,
	BUFFERED_MIN = 64 << 20,
	STREAMS = 256,
};

struct channel_conn {
	struct list_head node;
	struct grpc_channel *ch;
	struct h2_conn *conn;
	uint64_t ready_ms;
	bool draining;
};

struct resolve {
	struct grpc_channel *ch; /* NULL: freed meanwhile */
	char *host, *port;
	struct sockaddr_storage addr;
	socklen_t addr_size;
	int rc;
};

static void schedule(struct grpc_channel *ch)
{
	uint64_t now = loop_now_ms();

	if (ch->current || ch->resolve || timer_pending(&ch->retry))
		return;
	timer_set(&ch->retry, ch->next_ms > now ? ch->next_ms - now : 0);
}

/* ±20 %, so that a thousand workers do not come back in the same instant. */
static void back_off(struct grpc_channel *ch)
{
	uint32_t b = ch->backoff_ms;

	b = b ? min(b * 2, ch->backoff_max_ms) : min((uint32_t)BACKOFF_MIN_MS, ch->backoff_max_ms);
	ch->backoff_ms = b;
	ch->next_ms = loop_now_ms() + b * 4 / 5 + rng_below(&ch->rng, b * 2 / 5 + 1);
}

/* The attempt has failed: so have the calls that waited for it. */
static void fail_waiting(struct grpc_channel *ch, const char *why)
{
	_cleanup_free_ char *text = xasprintf(GRPC_SAYS_NOT_SENT "%s: %s", ch->addr, why);
	unsigned int attempt = ch->attempt++;
	bool gone = false, *outer = ch->gone;

	back_off(ch);
	ch->gone = &gone;
	while (!list_empty(&ch->waiting)) {
		struct grpc_stream *s = list_first(&ch->waiting, struct grpc_stream, wait_node);

		if (s->attempt > attempt)
			break; /* made by a callback: waits for the next attempt */
		stream_finish(s, GRPC_UNAVAILABLE, text);
		if (gone) {
			if (outer)
				*outer = true;
			return;
		}
	}
	ch->gone = outer;
	if (!list_empty(&ch->waiting))
		schedule(ch);
}

static void submit_waiting(struct grpc_channel *ch)
{
	struct grpc_stream *s, *tmp;

	list_for_each_safe (s, tmp, &ch->waiting, wait_node) {
		if (stream_bind(s, ch->current->conn))
			break;
		list_del(&s->wait_node);
	}
}

static int on_ready(struct h2_conn *conn, void *owner)
{
	struct channel_conn *c = owner;
	struct grpc_channel *ch = c->ch;

	h2_conn_trust(conn, max(ch->receive_max, (size_t)BUFFERED_MIN), STREAMS);
	c->ready_ms = loop_now_ms();
	ch->attempt++;
	if (ch->current == c)
		submit_waiting(ch);
	return 0;
}

static void retire(struct channel_conn *c)
{
	if (c->draining)
		return;
	c->draining = true;
	if (c->ch->current == c)
		c->ch->current = NULL;
	if (!h2_conn_streams(c->conn))
		h2_conn_fail(c->conn, "not needed any more");
}

static void on_going(struct h2_conn *conn, void *owner)
{
	struct channel_conn *c = owner;
	struct grpc_channel *ch = c->ch;

	(void)conn;
	retire(c);
	if (!list_empty(&ch->waiting))
		schedule(ch);
}

static void on_left(struct h2_conn *conn, void *owner)
{
	struct channel_conn *c = owner;

	if (c->draining && !h2_conn_streams(conn))
		h2_conn_fail(conn, "not needed any more");
}

static void on_closed(struct h2_conn *conn, const char *why, void *owner)
{
	struct channel_conn *c = owner;
	struct grpc_channel *ch = c->ch;
	uint64_t ready_ms = c->ready_ms;
	bool current = ch->current == c;

	(void)conn;
	list_del(&c->node);
	free(c);
	if (!current)
		return;
	ch->current = NULL;
	if (!ready_ms) {
		fail_waiting(ch, why);
		return;
	}
	if (loop_now_ms() - ready_ms >= STABLE_MS)
		ch->backoff_ms = 0;
	back_off(ch);
	if (!list_empty(&ch->waiting))
		schedule(ch);
}

static const struct h2_conn_ops conn_ops = {
	.ready = on_ready,
	.going = on_going,
	.left = on_left,
	.closed = on_closed,
};

static void connect_to(struct grpc_channel *ch, const struct sockaddr *addr, socklen_t size)
{
	struct channel_conn *c = xcalloc(1, sizeof(*c));
	struct err err = ERR_INIT;
	struct h2_conn_options opt = {
		.loop = ch->loop,
		.fd = -1,
		.addr = addr,
		.addr_size = size,
		.ssl = tls_connect_ssl(ch->tls, ch->server_name, "h2"),
		.handshake_timeout_ms = ch->connect_timeout_ms,
		.ops = &conn_ops,
		.owner = c,
	};

	c->ch = ch;
	c->conn = opt.ssl ? h2_conn_new(&opt, &err) : NULL;
	if (!c->conn) {
		free(c);
		fail_waiting(ch, err.code ? err.msg : "cannot set TLS up");
		return;
	}
	list_add_tail(&c->node, &ch->conns);
	ch->current = c;
}

static void resolve_work(void *arg)
{
	struct resolve *r = arg;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found;

	r->rc = getaddrinfo(r->host, r->port, &hints, &found);
	if (r->rc)
		return;
	memcpy(&r->addr, found->ai_addr, found->ai_addrlen);
	r->addr_size = found->ai_addrlen;
	freeaddrinfo(found);
}

static void resolve_done(void *arg)
{
	struct resolve *r = arg;
	struct grpc_channel *ch = r->ch;

	if (ch) {
		ch->resolve = NULL;
		if (r->rc)
			fail_waiting(ch, gai_strerror(r->rc));
		else
			connect_to(ch, (struct sockaddr *)&r->addr, r->addr_size);
	}
	free(r->host);
	free(r->port);
	free(r);
}

/* "host:port", "[v6]:port"; false when it is neither. */
static bool split_addr(const char *addr, char **ret_host, char **ret_port)
{
	const char *colon = strrchr(addr, ':');

	if (!colon || !colon[1])
		return false;
	if (*addr == '[' && colon > addr + 1 && colon[-1] == ']')
		*ret_host = xstrndup(addr + 1, colon - addr - 2);
	else
		*ret_host = xstrndup(addr, colon - addr);
	*ret_port = xstrdup(colon + 1);
	return true;
}

static void on_retry(void *arg)
{
	struct grpc_channel *ch = arg;
	struct resolve *r;
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	_cleanup_free_ char *host = NULL, *port = NULL;
	uint64_t n;

	if (ch->current || ch->resolve)
		return;
	if (!split_addr(ch->addr, &host, &port) || parse_u64(port, 1, 65535, &n)) {
		fail_waiting(ch, "no address of the form host:port");
		return;
	}
	v4.sin_port = v6.sin6_port = htons(n);
	if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
		connect_to(ch, (struct sockaddr *)&v4, sizeof(v4));
	} else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
		connect_to(ch, (struct sockaddr *)&v6, sizeof(v6));
	} else {
		r = xcalloc(1, sizeof(*r));
		r->ch = ch;
		r->host = steal_ptr(host);
		r->port = steal_ptr(port);
		ch->resolve = r;
		loop_thread(ch->loop, resolve_work, resolve_done, r);
	}
}

void channel_submit(struct grpc_channel *ch, struct grpc_stream *s)
{
	if (ch->current && h2_conn_ready(ch->current->conn)) {
		if (!stream_bind(s, ch->current->conn))
			return;
		retire(ch->current);
	}
	s->attempt = ch->attempt;
	list_add_tail(&s->wait_node, &ch->waiting);
	schedule(ch);
}

struct grpc_channel *grpc_channel_new(const struct grpc_channel_options *opt)
{
	struct grpc_channel *ch = xcalloc(1, sizeof(*ch));

	ch->loop = opt->loop;
	ch->tls = tls_get(opt->tls);
	ch->addr = xstrdup(opt->addr);
	ch->server_name = xstrdup(opt->server_name);
	ch->receive_max = opt->receive_max ? opt->receive_max : GRPC_RECEIVE_MAX;
	ch->connect_timeout_ms =
		opt->connect_timeout_ms ? opt->connect_timeout_ms : CONNECT_TIMEOUT_MS;
	ch->backoff_max_ms = opt->backoff_max_ms ? opt->backoff_max_ms : BACKOFF_MAX_MS;
	rng_seed_os(&ch->rng);
	list_init(&ch->streams);
	list_init(&ch->waiting);
	list_init(&ch->conns);
	timer_init(&ch->retry, opt->loop, on_retry, ch);
	return ch;
}

void grpc_channel_free(struct grpc_channel *ch)
{
	if (!ch)
		return;
	if (ch->gone)
		*ch->gone = true;
	timer_done(&ch->retry);
	while (!list_empty(&ch->streams)) {
		struct grpc_stream *s = list_first(&ch->streams, struct grpc_stream, node);

		stream_finish(s, GRPC_CANCELLED,
			      list_empty(&s->wait_node) ? "the channel was closed"
							: GRPC_SAYS_NOT_SENT
				      "the channel was closed");
	}
	ch->current = NULL;
	while (!list_empty(&ch->conns)) {
		struct channel_conn *c = list_first(&ch->conns, struct channel_conn, node);
		struct h2_conn *conn = c->conn;

		list_del(&c->node);
		free(c);
		h2_conn_free(conn, "the channel was closed");
	}
	if (ch->resolve)
		ch->resolve->ch = NULL;
	tls_put(ch->tls);
	free(ch->addr);
	free(ch->server_name);
	free(ch);
}

bool grpc_channel_connected(const struct grpc_channel *ch)
{
	return ch->current && h2_conn_ready(ch->current->conn);
}

const char *grpc_channel_addr(const struct grpc_channel *ch)
{
	return ch->addr;
}

void grpc_channel_kick(struct grpc_channel *ch)
{
	ch->next_ms = 0;
	ch->backoff_ms = 0;
	if (timer_pending(&ch->retry))
		timer_set(&ch->retry, 0);
}

void grpc_channel_probe(struct grpc_channel *ch, uint32_t timeout_ms)
{
	if (grpc_channel_connected(ch))
		h2_conn_probe(ch->current->conn, timeout_ms);
}

void grpc_channel_refresh(struct grpc_channel *ch)
{
	if (ch->current && h2_conn_ready(ch->current->conn))
		retire(ch->current);
}

char *grpc_channel_peer_chain(const struct grpc_channel *ch)
{
	return grpc_channel_connected(ch) ? tls_peer_chain(h2_conn_ssl(ch->current->conn)) : NULL;
}
