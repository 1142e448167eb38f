// SPDX-License-Identifier: Apache-2.0
#include "net/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#include "net/sandbox_impl.h"
#include "wire/dns_wire.h"

enum {
	TTL_S = 600,
	ANSWERS_MAX = 1024,
	FORWARDS_MAX = 512, /* of a server, at a time */
	CONNS_MAX = 64,
	TRIES_MAX = 4,
	FORWARD_S = 2,
	IDLE_S = 10,
	BATCH = 64, /* datagrams read at a time, for the loop's other work */
};

struct dns_server {
	struct sandbox *sb;
	struct dns_sockets sockets;
	int netns;
	struct event *udp_ev, *tcp_ev;
	struct list_head forwards, conns;
	unsigned int n_forwards, n_conns;
};

/* A client's TCP connection. */
struct conn {
	struct list_head node;
	struct dns_server *s;
	struct bufferevent *bev;
};

/* Who asked: a datagram's sender, or a connection. */
struct asker {
	struct sockaddr_in addr;
	struct conn *conn;
};

/* A question handed on. */
struct forward {
	struct list_head node;
	struct dns_server *s;
	struct asker asker;
	struct dns_query q;
	uint8_t *query;
	size_t size;
	json_t *resolvers;
	bool inside; /* asked from the container's namespace */
	unsigned int tries;
	uint16_t id;
	int fd;
	struct event *ev;
	struct evbuffer *in; /* of a TCP answer */
};

static void forward_next(struct forward *f);

static void reply(struct dns_server *s, const struct asker *a, const void *p, size_t size)
{
	uint8_t head[2] = {size >> 8, size};

	if (!a->conn) {
		dns_sockets_send(&s->sockets, p, size, &a->addr);
		return;
	}
	bufferevent_write(a->conn->bev, head, 2);
	bufferevent_write(a->conn->bev, p, size);
}

static size_t reply_max(const struct asker *a, const struct dns_query *q)
{
	return a->conn ? DNS_MESSAGE_MAX : q->udp_size;
}

static void answer(struct dns_server *s, const struct asker *a, const uint8_t *query,
		   const struct dns_query *q, enum dns_rcode rcode, const struct dns_rr *rr,
		   size_t n)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	dns_reply(&b, query, q, rcode, rr, n, TTL_S, reply_max(a, q));
	reply(s, a, b.data, b.len);
}

static void forward_free(struct forward *f)
{
	f->s->n_forwards--;
	list_del(&f->node);
	if (f->ev)
		event_free(f->ev);
	if (f->in)
		evbuffer_free(f->in);
	if (f->fd >= 0)
		close(f->fd);
	json_decref(f->resolvers);
	free(f->query);
	free(f);
}

static void forward_fail(struct forward *f)
{
	answer(f->s, &f->asker, f->query, &f->q, DNS_SERVFAIL, NULL, 0);
	forward_free(f);
}

static void forward_answer(struct forward *f, uint8_t *p, size_t size)
{
	p[0] = f->q.id >> 8;
	p[1] = f->q.id;
	reply(f->s, &f->asker, p, size);
	forward_free(f);
}

static void on_udp_answer(struct forward *f)
{
	uint8_t p[DNS_MESSAGE_MAX];
	ssize_t n = recv(f->fd, p, sizeof(p), 0);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		forward_next(f);
	else if (n > 0 && dns_reply_matches(p, n, f->id, f->query, &f->q))
		forward_answer(f, p, n);
	/* anything else is not for us: wait on */
}

static void on_tcp_answer(struct forward *f)
{
	uint8_t *p;
	size_t size;
	int n = evbuffer_read(f->in, f->fd, 1 << 16);

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			forward_next(f);
		return;
	}
	if (evbuffer_get_length(f->in) < 2)
		return;
	p = evbuffer_pullup(f->in, 2);
	size = p[0] << 8 | p[1];
	if (evbuffer_get_length(f->in) < 2 + size)
		return;
	p = evbuffer_pullup(f->in, 2 + size) + 2;
	if (dns_reply_matches(p, size, f->id, f->query, &f->q))
		forward_answer(f, p, size);
	else
		forward_next(f);
}

static void on_forward(evutil_socket_t fd, short what, void *arg)
{
	struct forward *f = arg;
	int error = 0;
	socklen_t len = sizeof(error);

	if (what & EV_TIMEOUT) {
		forward_next(f);
	} else if (what & EV_WRITE) { /* connected */
		struct timeval timeout = {FORWARD_S, 0};
		uint8_t head[2] = {f->size >> 8, f->size};

		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
		/* a fresh connection's buffer takes a question whole */
		if (error || send(fd, head, 2, MSG_MORE | MSG_NOSIGNAL) != 2 ||
		    send(fd, f->query, f->size, MSG_NOSIGNAL) != (ssize_t)f->size) {
			forward_next(f);
			return;
		}
		event_free(f->ev);
		f->ev = event_new(loop_base(f->s->sb->nets->opt.loop), fd, EV_READ | EV_PERSIST,
				  on_forward, f);
		event_add(f->ev, &timeout);
	} else if (f->asker.conn) {
		on_tcp_answer(f);
	} else {
		on_udp_answer(f);
	}
}

/* A socket towards a resolver, of the container's namespace or the node's. */
static int resolver_socket(struct forward *f, const char *resolver)
{
	int type = f->asker.conn ? SOCK_STREAM : SOCK_DGRAM, fd;
	struct sockaddr_storage sa;
	struct in6_addr addr;
	socklen_t size;

	if (inaddr_parse(resolver ? resolver : "", &addr))
		return -EINVAL;
	size = inaddr_socket(&addr, 53, &sa);
	if (f->inside && (f->s->netns < 0 || netns_enter(f->s->netns)))
		return -ENETDOWN;
	fd = socket(sa.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (f->inside && netns_enter(f->s->sb->nets->netns))
		abort(); /* the loop may not go on in a container's namespace */
	if (fd < 0)
		return -errno;
	if (connect(fd, (void *)&sa, size) && errno != EINPROGRESS) {
		close(fd);
		return -EHOSTUNREACH;
	}
	return fd;
}

static bool forward_try(struct forward *f)
{
	const char *resolver = json_string_value(
		json_array_get(f->resolvers, f->tries++ % json_array_size(f->resolvers)));
	struct timeval timeout = {FORWARD_S, 0};
	bool stream = f->asker.conn;

	if (f->ev)
		event_free(f->ev);
	f->ev = NULL;
	if (f->fd >= 0)
		close(f->fd);
	f->fd = resolver_socket(f, resolver);
	if (f->fd < 0)
		return false;
	f->id = rng_u64(f->s->sb->nets->opt.rng);
	f->query[0] = f->id >> 8;
	f->query[1] = f->id;
	if (stream) {
		if (!f->in)
			f->in = evbuffer_new();
		evbuffer_drain(f->in, evbuffer_get_length(f->in));
	} else if (send(f->fd, f->query, f->size, 0) < 0) {
		return false;
	}
	f->ev = event_new(loop_base(f->s->sb->nets->opt.loop), f->fd,
			  (stream ? EV_WRITE : EV_READ | EV_PERSIST), on_forward, f);
	event_add(f->ev, &timeout);
	return true;
}

static void forward_next(struct forward *f)
{
	while (f->tries < max((size_t)TRIES_MAX, json_array_size(f->resolvers)) && f->tries < 8)
		if (forward_try(f))
			return;
	forward_fail(f);
}

/* A container in internal networks alone reaches nobody outside, by names neither. */
static bool may_forward(const struct sandbox *sb)
{
	const struct endpoint *e;

	list_for_each (e, &sb->endpoints, in_sandbox)
		if (!e->network->internal)
			return true;
	return false;
}

static void forward(struct dns_server *s, const struct asker *a, const uint8_t *query, size_t size,
		    const struct dns_query *q)
{
	struct sandbox *sb = s->sb;
	struct forward *f;

	if (!may_forward(sb) || s->n_forwards >= FORWARDS_MAX) {
		answer(s, a, query, q, DNS_SERVFAIL, NULL, 0);
		return;
	}
	f = xcalloc(1, sizeof(*f));
	f->s = s;
	f->asker = *a;
	f->q = *q;
	f->query = xmemdup(query, size);
	f->size = size;
	f->fd = -1;
	/* the container's own resolvers may live in its networks */
	if (json_array_size(sb->dns)) {
		f->resolvers = json_incref(sb->dns);
		f->inside = true;
	} else if (sb->nets->opt.dns && sb->nets->opt.dns[0]) {
		f->resolvers = json_array();
		for (char **d = sb->nets->opt.dns; *d; d++)
			json_array_append_new(f->resolvers, json_string(*d));
	} else {
		f->resolvers = node_resolvers(true, true);
	}
	list_add_tail(&f->node, &s->forwards);
	s->n_forwards++;
	if (json_array_size(f->resolvers))
		forward_next(f);
	else
		forward_fail(f);
}

/* The swarm's networks are searched first, ingress has no names. Calls fn until it is true. */
static bool each_network(const struct sandbox *sb, bool (*fn)(const struct endpoint *e, void *arg),
			 void *arg)
{
	const struct endpoint *e;

	for (int swarm = 1; swarm >= 0; swarm--)
		list_for_each (e, &sb->endpoints, in_sandbox)
			if (e->up && !e->hidden && !e->network->ingress &&
			    network_has_names(e->network) && !e->network->swarm == !swarm &&
			    fn(e, arg))
				return true;
	return false;
}

struct lookup {
	const char *name, *network; /* network NULL: any */
	bool linked; /* by the names that this container has for others */
	uint16_t type; /* of the records that are asked for */
	bool known; /* the name has addresses, if not such ones */
	struct in6_addr ips[ANSWERS_MAX];
	size_t n;
	struct in6_addr ip; /* reverse */
	char text[2 * DNS_NAME_SIZE];
};

/* Whom "name:alias" or, of old, "/name:/self/alias" means by this alias; false: another. */
static bool link_target(const char *link, const char *alias, char name[DNS_NAME_SIZE])
{
	const char *colon = strchr(link, ':'), *slash = colon ? strrchr(colon, '/') : NULL;

	if (!colon || strcasecmp(slash ? slash + 1 : colon + 1, alias))
		return false;
	link += *link == '/';
	snprintf(name, DNS_NAME_SIZE, "%.*s", (int)(colon - link), link);
	return true;
}

/* Of the addresses, those of the family that is asked for. */
static bool keep_family(struct lookup *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (l->type == (inaddr_is4(&l->ips[i]) ? DNS_A : DNS_AAAA))
			l->ips[n++] = l->ips[i];
	l->n = n;
	return n;
}

static bool lookup_in(const struct endpoint *e, void *arg)
{
	struct lookup *l = arg;
	char name[DNS_NAME_SIZE];
	json_t *link;
	size_t i;

	if (l->network && strcasecmp(l->network, e->network->name))
		return false;
	json_array_foreach (e->links, i, link)
		if (link_target(json_string_value(link), l->name, name))
			break;
	if (l->linked != (i < json_array_size(e->links)))
		return false;
	l->n = names_lookup(&e->network->names, l->linked ? name : l->name, l->ips, ANSWERS_MAX);
	l->known |= l->n;
	return keep_family(l);
}

static bool reverse_in(const struct endpoint *e, void *arg)
{
	struct lookup *l = arg;
	const char *name = names_reverse(&e->network->names, &l->ip);

	if (name)
		snprintf(l->text, sizeof(l->text), "%s.%s", name, e->network->name);
	return name;
}

/* A link goes before a name that all have. */
static bool lookup_both(const struct sandbox *sb, struct lookup *l)
{
	l->linked = true;
	if (each_network(sb, lookup_in, l))
		return true;
	l->linked = false;
	return each_network(sb, lookup_in, l);
}

/* With l->n of 0: it is known, and has no such address. "a.b.c": a.b.c in any network, a.b in the network c, a in the network b.c (moby Sandbox.ResolveName). */
static bool lookup(const struct sandbox *sb, char *name, uint16_t type, struct lookup *l)
{
	size_t len = strlen(name);

	l->name = name;
	l->type = type;
	l->network = NULL;
	l->known = false;
	if (lookup_both(sb, l))
		return true;
	for (size_t i = len; i-- > 1;) {
		bool found;

		if (name[i] != '.')
			continue;
		name[i] = 0;
		l->network = name + i + 1;
		found = lookup_both(sb, l);
		name[i] = '.';
		if (found)
			return true;
	}
	return l->known;
}

static void shuffle(struct rng *rng, struct dns_rr *rr, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = rng_below(rng, i);
		struct dns_rr t = rr[i - 1];

		rr[i - 1] = rr[j];
		rr[j] = t;
	}
}

static void ask(struct dns_server *s, const struct asker *a, const uint8_t *query, size_t size)
{
	struct dns_rr rr[ANSWERS_MAX];
	struct dns_query q;
	struct lookup l;
	int rc = dns_query_parse(query, size, &q);

	if (rc == -EBADMSG)
		return;
	if (rc) {
		answer(s, a, query, &q, rc == -EOPNOTSUPP ? DNS_NOTIMP : DNS_FORMERR, NULL, 0);
		return;
	}
	if (q.class != DNS_CLASS_IN || !*q.name) {
		forward(s, a, query, size, &q);
	} else if (q.type == DNS_PTR) {
		if (dns_ptr_parse(q.name, l.ip.s6_addr) && each_network(s->sb, reverse_in, &l)) {
			rr[0].name = l.text;
			answer(s, a, query, &q, DNS_NOERROR, rr, 1);
		} else {
			forward(s, a, query, size, &q);
		}
	} else if (!lookup(s->sb, q.name, q.type, &l)) {
		forward(s, a, query, size, &q);
	} else {
		for (size_t i = 0; i < l.n; i++) {
			rr[i].ip = ntohl(inaddr_to4(&l.ips[i]).s_addr);
			memcpy(rr[i].ip6, &l.ips[i], sizeof(rr[i].ip6));
		}
		shuffle(s->sb->nets->opt.rng, rr, l.n);
		/* a known name without such records: an empty answer */
		answer(s, a, query, &q, DNS_NOERROR, rr, l.n);
	}
}

static void on_udp(evutil_socket_t fd, short what, void *arg)
{
	uint8_t p[4096];

	(void)what;
	for (int i = 0; i < BATCH; i++) {
		struct asker a = {0};
		socklen_t len = sizeof(a.addr);
		ssize_t n = recvfrom(fd, p, sizeof(p), 0, (void *)&a.addr, &len);

		if (n < 0)
			return;
		ask(arg, &a, p, n);
	}
}

static void conn_free(struct conn *c)
{
	struct forward *f, *tmp;

	list_for_each_safe (f, tmp, &c->s->forwards, node)
		if (f->asker.conn == c)
			forward_free(f);
	list_del(&c->node);
	c->s->n_conns--;
	bufferevent_free(c->bev);
	free(c);
}

static void on_conn_read(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);

	for (;;) {
		struct asker a = {.conn = c};
		uint8_t head[2], *p;
		size_t size;

		if (evbuffer_copyout(in, head, 2) != 2)
			return;
		size = head[0] << 8 | head[1];
		if (evbuffer_get_length(in) < 2 + size)
			return;
		p = evbuffer_pullup(in, 2 + size);
		ask(c->s, &a, p + 2, size);
		evbuffer_drain(in, 2 + size);
	}
}

static void on_conn_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)what;
	conn_free(arg); /* closed, broken or idle */
}

static void on_accept(evutil_socket_t lfd, short what, void *arg)
{
	struct dns_server *s = arg;
	struct timeval idle = {IDLE_S, 0};
	int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct conn *c;

	(void)what;
	if (fd < 0)
		return;
	if (s->n_conns >= CONNS_MAX) {
		close(fd);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->s = s;
	c->bev =
		bufferevent_socket_new(loop_base(s->sb->nets->opt.loop), fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(c->bev, on_conn_read, NULL, on_conn_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, 2 + DNS_MESSAGE_MAX);
	bufferevent_set_timeouts(c->bev, &idle, &idle);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	list_add_tail(&c->node, &s->conns);
	s->n_conns++;
}

struct dns_server *dns_server_new(struct sandbox *sb, struct dns_sockets *sockets)
{
	struct dns_server *s = xcalloc(1, sizeof(*s));
	struct event_base *base = loop_base(sb->nets->opt.loop);

	s->sb = sb;
	s->sockets = *sockets;
	*sockets = (struct dns_sockets)DNS_SOCKETS_INIT;
	s->netns = sb->path ? open(sb->path, O_RDONLY | O_CLOEXEC) : -1;
	list_init(&s->forwards);
	list_init(&s->conns);
	s->udp_ev = event_new(base, s->sockets.udp, EV_READ | EV_PERSIST, on_udp, s);
	s->tcp_ev = event_new(base, s->sockets.tcp, EV_READ | EV_PERSIST, on_accept, s);
	event_add(s->udp_ev, NULL);
	event_add(s->tcp_ev, NULL);
	return s;
}

void dns_server_free(struct dns_server *s)
{
	if (!s)
		return;
	while (!list_empty(&s->conns))
		conn_free(list_first(&s->conns, struct conn, node));
	while (!list_empty(&s->forwards))
		forward_free(list_first(&s->forwards, struct forward, node));
	event_free(s->udp_ev);
	event_free(s->tcp_ev);
	dns_sockets_close(&s->sockets);
	if (s->netns >= 0)
		close(s->netns);
	free(s);
}
