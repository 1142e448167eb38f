// SPDX-License-Identifier: Apache-2.0
#include "net/port_proxy.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <sys/socket.h>

#include "core/list.h"
#include "core/map.h"
#include "loop/loop.h"
#include "rpc/relay.h"

enum {
	CONNS_MAX = 1024, /* of a port, at a time */
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

struct conn {
	struct list_head node;
	struct port_proxy *proxy;
	struct relay *relay;
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

static void on_over(void *arg)
{
	struct conn *c = arg;

	list_del(&c->node);
	c->proxy->n--;
	free(c);
}

/* A client has come: connect to the container. */
static void hand_on(struct port_proxy *p, int fd)
{
	struct bufferevent *client = bufferevent_socket_new(p->base, fd, BEV_OPT_CLOSE_ON_FREE),
			   *server = bufferevent_socket_new(p->base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct conn *c;

	if (bufferevent_socket_connect(server, (void *)&p->to, p->to_size)) {
		bufferevent_free(client);
		bufferevent_free(server);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->proxy = p;
	p->n++;
	list_add_tail(&c->node, &p->conns);
	c->relay = relay_start(client, server, on_over, c);
}

static void on_accept(evutil_socket_t lfd, short what, void *arg)
{
	struct port_proxy *p = arg;

	(void)what;
	for (int i = 0; i < BATCH; i++) {
		int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
			event_del(p->ev); /* which would fire at once again */
			timer_set(&p->again, AGAIN_MS);
		}
		if (fd < 0)
			return;
		if (p->n < CONNS_MAX)
			hand_on(p, fd);
		else
			close(fd);
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
	while (!list_empty(&p->conns)) {
		struct conn *c = list_first(&p->conns, struct conn, node);

		relay_stop(c->relay);
		on_over(c);
	}
	map_for_each (&p->flows, key, f)
		flow_free(f);
	map_done(&p->flows);
	free(p);
}
