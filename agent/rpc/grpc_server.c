// SPDX-License-Identifier: Apache-2.0
/* Listeners, connections of clients, and which of their calls are allowed. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include <event2/event.h>
#include <event2/listener.h>

#include "core/log.h"
#include "rpc/grpc_server_impl.h"

enum {
	CONNS_MAX = 8192,
	STRANGERS_MAX = 1024, /* connections without certificate */
	HANDSHAKE_TIMEOUT_MS = 10000,
	STRANGER_IDLE_MS = 30000, /* without a call under way */
	STRANGER_RECEIVE_MAX = 64 << 10,
	WORKER_STREAMS = 256,
	MANAGER_STREAMS = 32768, /* it hands on what its workers ask */
	WORKER_BUFFERED = 16 << 20,
	MANAGER_BUFFERED = 256 << 20,
	ACCEPT_PAUSE_MS = 100, /* when descriptors are used up */
};

struct listener {
	struct list_head node;
	struct grpc_server *server;
	struct evconnlistener *ev;
	struct timer pause;
};

/* A client's connection. */
struct client {
	struct list_head node;
	struct grpc_server *server;
	struct h2_conn *conn;
	struct caller *caller;
	struct timer idle; /* strangers only */
	bool stranger;
};

static struct caller *caller_get(struct caller *c)
{
	c->refs++;
	return c;
}

void grpc_caller_put(struct caller *c)
{
	if (!c || --c->refs)
		return;
	tls_peer_done(&c->tls);
	free(c->addr);
	free(c);
}

static void client_free(struct client *c)
{
	list_del(&c->node);
	c->server->n_clients--;
	if (c->stranger)
		c->server->n_strangers--;
	timer_done(&c->idle);
	grpc_caller_put(c->caller);
	free(c);
}

static bool trusted(const struct grpc_server *server, const struct tls_peer *peer)
{
	return !str_empty(peer->node_id) && streq(peer->cluster_id, server->cluster_id) &&
	       !(server->opt.blacklisted &&
		 server->opt.blacklisted(peer->node_id, server->opt.arg));
}

static void on_idle(void *arg)
{
	struct client *c = arg;

	if (!h2_conn_streams(c->conn))
		h2_conn_fail(c->conn, "idle without a certificate");
	else
		timer_set(&c->idle, STRANGER_IDLE_MS);
}

static int on_ready(struct h2_conn *conn, void *owner)
{
	struct client *c = owner;
	struct grpc_server *server = c->server;
	bool manager;

	tls_peer(h2_conn_ssl(conn), &c->caller->tls);
	if (trusted(server, &c->caller->tls)) {
		manager = streq(c->caller->tls.role, GRPC_OU_MANAGER);
		c->stranger = false;
		server->n_strangers--;
		h2_conn_trust(conn, manager ? MANAGER_BUFFERED : WORKER_BUFFERED,
			      manager ? MANAGER_STREAMS : WORKER_STREAMS);
		return 0;
	}
	timer_init(&c->idle, server->opt.loop, on_idle, c);
	timer_set(&c->idle, STRANGER_IDLE_MS);
	return 0;
}

static struct h2_stream *on_begin(struct h2_conn *conn, void *owner)
{
	struct client *c = owner;
	struct grpc_call *call = xcalloc(1, sizeof(*call));

	(void)conn;
	h2_stream_init(&call->s, &grpc_call_ops,
		       c->stranger ? STRANGER_RECEIVE_MAX : c->server->opt.receive_max);
	call->server = c->server;
	call->caller = caller_get(c->caller);
	list_add_tail(&call->node, &c->server->calls);
	return &call->s;
}

static void on_going(struct h2_conn *conn, void *owner)
{
	(void)conn, (void)owner;
}

static void on_closed(struct h2_conn *conn, const char *why, void *owner)
{
	struct client *c = owner;

	(void)conn;
	log_debug("grpc: connection of %s%s%s ended: %s", c->caller->addr,
		  c->caller->tls.node_id ? " node " : "",
		  c->caller->tls.node_id ? c->caller->tls.node_id : "", why);
	client_free(c);
}

static const struct h2_conn_ops conn_ops = {
	.begin = on_begin,
	.ready = on_ready,
	.going = on_going,
	.left = on_going,
	.closed = on_closed,
};

/* "10.0.0.1:80", "[fd00::1]:80" */
static char *addr_text(const struct sockaddr *addr)
{
	char ip[INET6_ADDRSTRLEN] = "";
	const struct sockaddr_in *v4 = (const void *)addr;
	const struct sockaddr_in6 *v6 = (const void *)addr;

	if (addr->sa_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
		return xasprintf("%s:%u", ip, ntohs(v4->sin_port));
	}
	if (addr->sa_family != AF_INET6)
		return xstrdup("");
	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], ip, sizeof(ip));
		return xasprintf("%s:%u", ip, ntohs(v6->sin6_port));
	}
	inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
	return xasprintf("[%s]:%u", ip, ntohs(v6->sin6_port));
}

static void on_accept(struct evconnlistener *ev, int fd, struct sockaddr *addr, int size, void *arg)
{
	struct listener *l = arg;
	struct grpc_server *server = l->server;
	struct client *c;
	struct err err = ERR_INIT;
	struct h2_conn_options opt = {
		.loop = server->opt.loop,
		.server = true,
		.fd = fd,
		.handshake_timeout_ms = HANDSHAKE_TIMEOUT_MS,
		.ops = &conn_ops,
	};

	(void)ev, (void)size;
	if (server->n_clients >= CONNS_MAX || server->n_strangers >= STRANGERS_MAX) {
		log_warn("grpc: too many connections: one more is refused");
		close(fd);
		return;
	}
	opt.ssl = tls_accept_ssl(server->opt.tls);
	if (!opt.ssl) {
		close(fd);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->server = server;
	c->stranger = true;
	c->caller = xcalloc(1, sizeof(*c->caller));
	c->caller->refs = 1;
	c->caller->addr = addr_text(addr);
	list_add_tail(&c->node, &server->clients);
	server->n_clients++;
	server->n_strangers++;
	opt.owner = c;
	c->conn = h2_conn_new(&opt, &err);
	if (!c->conn)
		client_free(c);
}

static void on_pause_over(void *arg)
{
	struct listener *l = arg;

	evconnlistener_enable(l->ev);
}

static void on_accept_error(struct evconnlistener *ev, void *arg)
{
	struct listener *l = arg;

	log_warn("grpc: cannot accept a connection: %s", strerror(errno));
	evconnlistener_disable(ev);
	timer_set(&l->pause, ACCEPT_PAUSE_MS);
}

struct grpc_server *grpc_server_new(const struct grpc_server_options *opt)
{
	struct grpc_server *server = xcalloc(1, sizeof(*server));

	server->opt = *opt;
	server->cluster_id = xstrdup(opt->cluster_id);
	server->opt.cluster_id = server->cluster_id;
	tls_get(opt->tls);
	if (!server->opt.receive_max)
		server->opt.receive_max = GRPC_RECEIVE_MAX;
	list_init(&server->listeners);
	list_init(&server->clients);
	list_init(&server->calls);
	return server;
}

static void listener_free(struct listener *l)
{
	list_del(&l->node);
	evconnlistener_free(l->ev);
	timer_done(&l->pause);
	free(l);
}

void grpc_server_free(struct grpc_server *server)
{
	struct grpc_call *call;
	struct grpc_method_entry *m;
	const char *path;

	if (!server)
		return;
	while (!list_empty(&server->listeners))
		listener_free(list_first(&server->listeners, struct listener, node));
	while (!list_empty(&server->clients)) {
		struct client *c = list_first(&server->clients, struct client, node);
		struct h2_conn *conn = c->conn;

		client_free(c);
		h2_conn_free(conn, "the server stops");
	}
	/* what their handlers have not finished yet goes on without us */
	while (!list_empty(&server->calls)) {
		call = list_first(&server->calls, struct grpc_call, node);
		list_del(&call->node);
		call->server = NULL;
	}
	map_for_each (&server->methods, path, m)
		free(m);
	map_done(&server->methods);
	tls_put(server->opt.tls);
	free(server->cluster_id);
	free(server);
}

void grpc_server_add(struct grpc_server *server, const struct grpc_method *methods, size_t n,
		     void *arg)
{
	for (size_t i = 0; i < n; i++) {
		struct grpc_method_entry *m = xmalloc(sizeof(*m));

		*m = (struct grpc_method_entry){.method = &methods[i], .arg = arg};
		free(map_put(&server->methods, methods[i].path, m));
	}
}

int grpc_server_listen(struct grpc_server *server, int fd, struct err *err)
{
	struct listener *l = xcalloc(1, sizeof(*l));

	evutil_make_socket_nonblocking(fd);
	evutil_make_socket_closeonexec(fd);
	l->server = server;
	l->ev = evconnlistener_new(loop_base(server->opt.loop), on_accept, l,
				   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 1024, fd);
	if (!l->ev) {
		free(l);
		return err_set(err, -EINVAL, "cannot listen on descriptor %d: %s", fd,
			       strerror(errno));
	}
	timer_init(&l->pause, server->opt.loop, on_pause_over, l);
	evconnlistener_set_error_cb(l->ev, on_accept_error);
	list_add_tail(&l->node, &server->listeners);
	return 0;
}

void grpc_server_abort_leader_calls(struct grpc_server *server)
{
	struct grpc_call *call, *tmp;

	/* a call's handler ends no other call */
	list_for_each_safe (call, tmp, &server->calls, node)
		if (call->m && call->m->method->to_leader &&
		    !(call->handed && !call->raw && call->m->method->to_leader == GRPC_OUTLIVES))
			grpc_call_abort(call, GRPC_ABORTED,
					"the manager has lost or gained the leadership");
}

static bool is_at(const char *addr, const char *ip)
{
	size_t n = strlen(ip);

	if (*addr == '[')
		addr++;
	return !strncmp(addr, ip, n) && (addr[n] == ':' || addr[n] == ']');
}

void grpc_server_probe(struct grpc_server *server, const char *ip, uint32_t timeout_ms)
{
	struct client *c;

	list_for_each (c, &server->clients, node)
		if (is_at(c->caller->addr, ip))
			h2_conn_probe(c->conn, timeout_ms);
}

void grpc_server_cut(struct grpc_server *server, const char *node_id)
{
	struct client *c;

	list_for_each (c, &server->clients, node)
		if (streq(c->caller->tls.node_id, node_id))
			h2_conn_fail(c->conn, "the node was removed from the swarm");
}

/* --- who may call what --- */

static unsigned int role_bit(const char *role)
{
	return streq(role, GRPC_OU_MANAGER)  ? GRPC_MANAGER
	       : streq(role, GRPC_OU_WORKER) ? GRPC_WORKER
					     : 0;
}

int grpc_authorize(struct grpc_call *call, struct err *err)
{
	struct grpc_server *server = call->server;
	const struct tls_peer *tls = &call->caller->tls;
	struct tls_peer handed = {
		.node_id = (char *)grpc_call_metadata(call, "forwarded_cert_cn"),
		.role = (char *)grpc_call_metadata(call, "forwarded_cert_ou"),
		.cluster_id = (char *)grpc_call_metadata(call, "forwarded_cert_org"),
	};
	const char *addr = grpc_call_metadata(call, "remote_addr");
	bool known = trusted(server, tls);
	bool forwarded = streq(grpc_call_metadata(call, "forwarded_cert"), "true");

	call->peer = (struct grpc_peer){
		.node_id = known ? tls->node_id : "",
		.role = known ? tls->role : "",
		.cluster_id = known ? tls->cluster_id : "",
		.addr = call->caller->addr,
	};
	if (forwarded) {
		/* only a manager's word counts about who is behind it */
		if (!known || !streq(tls->role, GRPC_OU_MANAGER))
			return err_set(err, -EACCES,
				       "Permission denied: only managers may hand calls on");
		known = trusted(server, &handed);
		call->peer = (struct grpc_peer){
			.node_id = known ? handed.node_id : "",
			.role = known && handed.role ? handed.role : "",
			.cluster_id = known ? handed.cluster_id : "",
			.addr = str_empty(addr) ? call->caller->addr : addr,
			.via = tls->node_id,
		};
	}
	if (call->m->method->roles & (GRPC_ANYONE | role_bit(call->peer.role)))
		return 0;
	if (!known)
		return err_set(err, -EACCES,
			       "Permission denied: no certificate of this swarm was presented");
	return err_set(err, -EACCES,
		       "Permission denied: unauthorized peer role: %s may not call %s",
		       call->peer.role, call->path);
}
