// SPDX-License-Identifier: Apache-2.0
/* Gossip's streams: one message, perhaps one answer. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "core/log.h"
#include "node/gossipd_impl.h"

enum {
	TIMEOUT_S = 10,
	MAX_CONNS = 1024, /* of others */
	TLS_HANDSHAKE = 0x16,
	COMPRESS_FROM = 1024,
};

struct conn {
	struct list_head node;
	struct gossipd *g;
	struct swim_addr peer;
	struct event *first; /* waits for the byte that tells gossip from TLS */
	struct bufferevent *bev;
	int fd; /* until there is a bufferevent */
	uint32_t token; /* ours: whose answer is awaited */
	bool ours, closing;
};

static void conn_free(struct conn *c)
{
	list_del(&c->node);
	if (c->first)
		event_free(c->first);
	if (c->bev)
		bufferevent_free(c->bev);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

void gossip_conns_done(struct gossipd *g)
{
	while (!list_empty(&g->conns))
		conn_free(list_first(&g->conns, struct conn, node));
}

/* It is over: who waits for an answer hears that there is none. */
static void conn_fail(struct conn *c)
{
	struct gossipd *g = c->g;
	uint32_t token = c->ours ? c->token : 0;

	conn_free(c);
	if (!token || !g->g)
		return;
	gossip_answer(g->g, token, NULL, 0, loop_now_ms());
	gossipd_schedule(g);
}

static void send_message(struct conn *c, const void *data, size_t size)
{
	_cleanup_buf_ struct buf packed = BUF_INIT, sealed = BUF_INIT;

	if (size >= COMPRESS_FROM) {
		ml_compress(data, size, &packed);
		if (packed.len < size) {
			data = packed.data;
			size = packed.len;
		}
	}
	gossipd_seal(c->g, true, data, size, &sealed);
	bufferevent_write(c->bev, sealed.data, sealed.len);
}

/* A whole message of the other side. */
static void take(struct conn *c, const void *data, size_t size)
{
	_cleanup_buf_ struct buf answer = BUF_INIT;
	struct gossipd *g = c->g;
	uint32_t token = c->token;

	if (c->ours) {
		conn_free(c);
		gossip_answer(g->g, token, data, size, loop_now_ms());
		return;
	}
	gossip_stream(g->g, &c->peer, data, size, &answer, loop_now_ms());
	c->closing = true;
	if (answer.len)
		send_message(c, answer.data, answer.len);
	else
		conn_free(c);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;
	struct gossipd *g = c->g;
	struct evbuffer *in = bufferevent_get_input(bev);
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint8_t head[SEAL_STREAM_HEAD];
	int64_t size;

	if (c->closing) {
		evbuffer_drain(in, evbuffer_get_length(in));
		return;
	}
	if (evbuffer_copyout(in, head, sizeof(head)) < (ssize_t)sizeof(head))
		return;
	size = stream_size(head, ML_MAX_STREAM);
	if (size < 0 || !g->g) {
		conn_fail(c);
		return;
	}
	if (evbuffer_get_length(in) < (size_t)size) {
		bufferevent_setwatermark(bev, EV_READ, size, 0);
		return;
	}
	if (open_stream(g->keys, evbuffer_pullup(in, size), size, &text)) {
		conn_fail(c);
		return;
	}
	evbuffer_drain(in, size);
	take(c, text.data, text.len);
	gossipd_schedule(g);
}

static void on_write(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	/* all is written: nothing more is expected */
	if (c->closing || (c->ours && !c->token))
		conn_free(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if (what & BEV_EVENT_CONNECTED)
		return;
	conn_fail(arg);
}

static void start(struct conn *c)
{
	const struct timeval tv = {TIMEOUT_S, 0};

	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_set_timeouts(c->bev, &tv, &tv);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

static void first_byte(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	struct gossipd *g = c->g;
	uint8_t byte;
	ssize_t n = what & EV_READ ? recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : 0;

	if (n != 1) {
		conn_free(c);
		return;
	}
	event_free(steal_ptr(c->first));
	if (byte == TLS_HANDSHAKE) {
		int own = steal_fd(c->fd);

		conn_free(c);
		if (g->opt.on_tls)
			g->opt.on_tls(own, g->opt.arg);
		else
			close(own);
		return;
	}
	c->bev = bufferevent_socket_new(loop_base(g->opt.loop), steal_fd(c->fd),
					BEV_OPT_CLOSE_ON_FREE);
	start(c);
}

void gossip_conn_accept(struct gossipd *g, int fd, const struct sockaddr *from)
{
	const struct timeval tv = {TIMEOUT_S, 0};
	struct conn *c = xcalloc(1, sizeof(*c)), *other;
	size_t n = 0;

	c->g = g;
	c->fd = fd;
	list_for_each (other, &g->conns, node)
		n += !other->ours;
	list_add_tail(&c->node, &g->conns);
	evutil_make_socket_nonblocking(fd);
	if (n >= MAX_CONNS || !gossipd_addr_of(from, &c->peer)) {
		conn_free(c);
		return;
	}
	c->first = event_new(loop_base(g->opt.loop), fd, EV_READ, first_byte, c);
	event_add(c->first, &tv);
}

void gossip_conn_open(struct gossipd *g, const struct swim_addr *to, const void *data, size_t size,
		      uint32_t token)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(to->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(to->port)};

	c->g = g;
	c->fd = -1;
	c->ours = true;
	c->token = token;
	c->peer = *to;
	list_add_tail(&c->node, &g->conns);
	c->bev = bufferevent_socket_new(loop_base(g->opt.loop), -1,
					BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	send_message(c, data, size);
	start(c);
	memcpy(&v4.sin_addr, to->ip, 4);
	memcpy(&v6.sin6_addr, to->ip, 16);
	/* a failure comes as an event, later */
	if (to->len == 4)
		bufferevent_socket_connect(c->bev, (struct sockaddr *)&v4, sizeof(v4));
	else
		bufferevent_socket_connect(c->bev, (struct sockaddr *)&v6, sizeof(v6));
	if (bufferevent_getfd(c->bev) >= 0)
		evutil_make_socket_closeonexec(bufferevent_getfd(c->bev));
}
