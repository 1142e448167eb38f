// SPDX-License-Identifier: Apache-2.0
#include "net/port_proxy.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <sys/socket.h>

#include "core/list.h"
#include "core/map.h"
#include "loop/loop.h"

enum {
	CONNS_MAX = 1024, /* of a port, at a time */
	HELD_MAX = 256 << 10, /* bytes on their way, after which a sender has to wait */
	UDP_IDLE_S = 90,
	AGAIN_MS = 100,
	UDP_SIZE = 65536,
	BATCH = 64, /* datagrams or connections taken at a time, for the loop's other work */
};

struct port_proxy {
	struct event_base *base;
	int fd;
	struct sockaddr_storage to;
	socklen_t to_size;
	struct event *ev;
	struct timer again; /* after the agent has had too many descriptors */
	struct list_head conns;
	struct map flows; /* of UDP: text of the client -> struct flow */
	size_t n;
};

/* One direction of a connection ends before the other. */
struct side {
	struct conn *conn;
	struct bufferevent *bev;
	struct side *other;
	bool ended; /* no more comes from it */
};

struct conn {
	struct list_head node;
	struct port_proxy *proxy;
	struct side client, server;
};

/* A UDP client. */
struct flow {
	struct port_proxy *proxy;
	char key[96];
	struct sockaddr_in6 client;
	struct in6_pktinfo asked; /* the node's address that the client knows */
	int fd;
	struct event *ev;
};

static void conn_free(struct conn *c)
{
	list_del(&c->node);
	c->proxy->n--;
	bufferevent_free(c->client.bev);
	bufferevent_free(c->server.bev);
	free(c);
}

/* Hand on the end of what a side has sent, once all of it is through. */
static void pass_end(struct side *from)
{
	struct side *to = from->other;

	if (!from->ended || evbuffer_get_length(bufferevent_get_output(to->bev)))
		return;
	if (to->ended && !evbuffer_get_length(bufferevent_get_output(from->bev)))
		conn_free(from->conn);
	else
		shutdown(bufferevent_getfd(to->bev), SHUT_WR);
}

static void on_data(struct bufferevent *bev, void *arg)
{
	struct side *from = arg;
	struct evbuffer *out = bufferevent_get_output(from->other->bev);

	evbuffer_add_buffer(out, bufferevent_get_input(bev));
	if (evbuffer_get_length(out) > HELD_MAX)
		bufferevent_disable(bev, EV_READ);
}

/* All that was held for this side is through. */
static void on_drained(struct bufferevent *bev, void *arg)
{
	struct side *to = arg;

	(void)bev;
	if (!to->other->ended)
		bufferevent_enable(to->other->bev, EV_READ);
	pass_end(to->other);
}

static void on_end(struct bufferevent *bev, short what, void *arg)
{
	struct side *from = arg;

	if (what & BEV_EVENT_CONNECTED) {
		pass_end(from->other); /* the client may have ended meanwhile */
		return;
	}
	if (!(what & BEV_EVENT_EOF)) {
		conn_free(from->conn);
		return;
	}
	on_data(bev, from);
	bufferevent_disable(bev, EV_READ);
	from->ended = true;
	pass_end(from);
}

static void side_init(struct side *s, struct conn *c, struct side *other, struct bufferevent *bev)
{
	*s = (struct side){.conn = c, .bev = bev, .other = other};
	bufferevent_setcb(bev, on_data, on_drained, on_end, s);
}

static void on_accept(evutil_socket_t lfd, short what, void *arg)
{
	struct port_proxy *p = arg;

	(void)what;
	for (int i = 0; i < BATCH; i++) {
		int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct conn *c;

		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
			event_del(p->ev); /* which would fire at once again */
			timer_set(&p->again, AGAIN_MS);
		}
		if (fd < 0)
			return;
		if (p->n >= CONNS_MAX) {
			close(fd);
			continue;
		}
		c = xcalloc(1, sizeof(*c));
		c->proxy = p;
		p->n++;
		list_add_tail(&c->node, &p->conns);
		side_init(&c->client, c, &c->server,
			  bufferevent_socket_new(p->base, fd, BEV_OPT_CLOSE_ON_FREE));
		side_init(&c->server, c, &c->client,
			  bufferevent_socket_new(p->base, -1, BEV_OPT_CLOSE_ON_FREE));
		if (bufferevent_socket_connect(c->server.bev, (void *)&p->to, p->to_size)) {
			conn_free(c);
			continue;
		}
		bufferevent_enable(c->client.bev, EV_READ | EV_WRITE);
		bufferevent_enable(c->server.bev, EV_READ | EV_WRITE);
	}
}

static void accept_again(void *arg)
{
	event_add(((struct port_proxy *)arg)->ev, NULL);
}

static void flow_free(struct flow *f)
{
	map_del(&f->proxy->flows, f->key);
	event_free(f->ev);
	close(f->fd);
	free(f);
}

/* To the client, from the address that it has sent to. */
static void reply(const struct flow *f, void *data, size_t size)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control = {.space = {0}};
	struct iovec iov = {data, size};
	struct msghdr msg = {
		.msg_name = (void *)&f->client,
		.msg_namelen = sizeof(f->client),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.space),
	};

	control.head.cmsg_len = CMSG_LEN(sizeof(f->asked));
	control.head.cmsg_level = IPPROTO_IPV6;
	control.head.cmsg_type = IPV6_PKTINFO;
	memcpy(CMSG_DATA(&control.head), &f->asked, sizeof(f->asked));
	(void)!sendmsg(f->proxy->fd, &msg, 0);
}

static void on_reply(evutil_socket_t fd, short what, void *arg)
{
	struct flow *f = arg;
	char data[UDP_SIZE];

	if (what & EV_TIMEOUT) {
		flow_free(f);
		return;
	}
	for (int i = 0; i < BATCH; i++) {
		ssize_t n = recv(fd, data, sizeof(data), 0);

		if (n < 0)
			return; /* also: nobody listens there yet */
		reply(f, data, n);
	}
}

static struct flow *flow_of(struct port_proxy *p, const struct sockaddr_in6 *client,
			    const struct in6_pktinfo *asked)
{
	struct timeval idle = {UDP_IDLE_S, 0};
	char key[96], from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
	struct flow *f;
	int fd;

	snprintf(key, sizeof(key), "%s%%%u %u %s", inaddr_format(&client->sin6_addr, from),
		 client->sin6_scope_id, ntohs(client->sin6_port),
		 inaddr_format(&asked->ipi6_addr, to));
	f = map_get(&p->flows, key);
	if (f || p->flows.len >= CONNS_MAX)
		return f;
	fd = socket(p->to.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	if (connect(fd, (void *)&p->to, p->to_size)) {
		close(fd);
		return NULL;
	}
	f = xcalloc(1, sizeof(*f));
	*f = (struct flow){.proxy = p, .client = *client, .asked = *asked, .fd = fd};
	memcpy(f->key, key, sizeof(key));
	f->ev = event_new(p->base, fd, EV_READ | EV_PERSIST, on_reply, f);
	event_add(f->ev, &idle);
	map_put(&p->flows, key, f);
	return f;
}

static void on_datagram(evutil_socket_t fd, short what, void *arg)
{
	struct timeval idle = {UDP_IDLE_S, 0};
	struct port_proxy *p = arg;
	char data[UDP_SIZE];

	(void)what;
	for (int i = 0; i < BATCH; i++) {
		union {
			struct cmsghdr head;
			char space[CMSG_SPACE(sizeof(struct in6_pktinfo))];
		} control;
		struct sockaddr_in6 client = {0};
		struct iovec iov = {data, sizeof(data)};
		struct msghdr msg = {
			.msg_name = &client,
			.msg_namelen = sizeof(client),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control.space),
		};
		struct in6_pktinfo asked = {0};
		ssize_t n = recvmsg(fd, &msg, 0);
		struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
		struct flow *f;

		if (n < 0)
			return;
		if (c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			memcpy(&asked, CMSG_DATA(c), sizeof(asked));
		if (!IN6_IS_ADDR_LINKLOCAL(&asked.ipi6_addr))
			asked.ipi6_ifindex = 0; /* the answer's way is the routes' to choose */
		f = flow_of(p, &client, &asked);
		if (!f)
			continue;
		/* the second time, if the first one is told that nobody listened before */
		if (send(f->fd, data, n, 0) < 0 && errno == ECONNREFUSED)
			(void)!send(f->fd, data, n, 0);
		event_add(f->ev, &idle);
	}
}

struct port_proxy *port_proxy_new(struct loop *loop, uint8_t proto, int fd,
				  const struct in6_addr *to, uint16_t port)
{
	struct port_proxy *p;
	int one = 1;

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return NULL;
	if (proto == IPPROTO_UDP)
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
	p = xcalloc(1, sizeof(*p));
	p->base = loop_base(loop);
	p->fd = fd;
	p->to_size = inaddr_socket(to, port, &p->to);
	list_init(&p->conns);
	map_init(&p->flows);
	timer_init(&p->again, loop, accept_again, p);
	p->ev = event_new(p->base, fd, EV_READ | EV_PERSIST,
			  proto == IPPROTO_TCP ? on_accept : on_datagram, p);
	event_add(p->ev, NULL);
	return p;
}

void port_proxy_free(struct port_proxy *p)
{
	struct flow *f;
	const char *key;

	if (!p)
		return;
	event_free(p->ev);
	timer_done(&p->again);
	while (!list_empty(&p->conns))
		conn_free(list_first(&p->conns, struct conn, node));
	map_for_each (&p->flows, key, f)
		flow_free(f);
	map_done(&p->flows);
	free(p);
}
