// SPDX-License-Identifier: Apache-2.0
#include "rpc/http.h"

#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "rpc/http_impl.h"

enum {
	CONNS_MAX = 8192,
	HEAD_TIMEOUT_MS = 30000, /* from the first byte of a head to its end */
	IDLE_TIMEOUT_MS = 180000, /* between requests */
	LINGER_TIMEOUT_MS = 5000, /* to take the last reply */
	READ_HIGH = 256 << 10, /* bytes read ahead of the handler */
	WRITE_LOW = 64 << 10,
};

struct listener {
	struct list_head node;
	struct http_server *server;
	struct evconnlistener *ev;
	SSL_CTX *tls;
};

struct http_server {
	struct loop *loop;
	http_handler handler;
	void *arg;
	struct list_head listeners, conns;
	size_t n_conns;
};

void http_conn_free(struct http_conn *conn)
{
	struct http_req *req = conn->req;

	list_del(&conn->node);
	conn->server->n_conns--;
	timer_done(&conn->deadline);
	if (conn->bev)
		bufferevent_free(conn->bev);
	free(conn);
	if (req) {
		req->conn = NULL;
		http_req_lost(req);
	}
}

static char *copy(struct http1_str s)
{
	return xstrndup(s.p, s.len);
}

static int hex(char c)
{
	return c >= '0' && c <= '9'		    ? c - '0'
	       : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
						    : -1;
}

/* Percent-decode in place; plus as space in queries. Returns false for a NUL or a bad escape. */
static bool decode(char *s, bool query)
{
	char *d = s;

	for (; *s; s++) {
		if (*s == '%') {
			int hi = hex(s[1]), lo = hi < 0 ? -1 : hex(s[2]);

			if (lo < 0 || !(hi | lo))
				return false;
			*d++ = hi << 4 | lo;
			s += 2;
		} else {
			*d++ = *s == '+' && query ? ' ' : *s;
		}
	}
	*d = 0;
	return true;
}

static bool parse_query(struct pairs *query, char *text)
{
	for (char *save, *item = strtok_r(text, "&", &save); item;
	     item = strtok_r(NULL, "&", &save)) {
		char *value = strchr(item, '=');

		if (value)
			*value++ = 0;
		else
			value = item + strlen(item);
		if (!decode(item, true) || !decode(value, true))
			return false;
		pairs_add(query, xstrdup(item), xstrdup(value));
	}
	return true;
}

/* Make the request of a parsed head, or return the status to refuse it with. */
static int make_req(struct http_conn *conn, const struct http1_head *h)
{
	struct http_req *req = xcalloc(1, sizeof(*req));
	char *query;

	req->conn = conn;
	req->loop = conn->server->loop;
	buf_init(&req->whole);
	conn->req = req;
	req->method = copy(h->method);
	req->path = copy(h->target);
	req->target = copy(h->target);
	req->minor = h->minor;
	req->keep_alive = h->keep_alive;
	req->upgrade = h->upgrade;
	req->expect_continue = h->expect_continue;
	req->chunked = h->chunked;
	req->body_left = h->content_length;
	req->has_body = h->chunked || h->content_length;
	req->body_done = !req->has_body;
	for (size_t i = 0; i < h->n_headers; i++)
		pairs_add(&req->headers, copy(h->headers[i].name), copy(h->headers[i].value));
	/* absolute-form (RFC 9112 §3.2.2): only the path matters */
	if (req->path[0] != '/') {
		char *p = strstr(req->path, "://");

		p = p ? strchr(p + 3, '/') : NULL;
		if (!p)
			return 400;
		memmove(req->path, p, strlen(p) + 1);
	}
	query = strchr(req->path, '?');
	if (query)
		*query++ = 0;
	if (!decode(req->path, false) || (query && !parse_query(&req->query, query)))
		return 400;
	return 0;
}

static void refuse(struct http_conn *conn, int status, const char *why)
{
	_cleanup_free_ char *body = xasprintf("{\"message\":\"%s\"}\n", why);

	if (!conn->req) {
		conn->req = xcalloc(1, sizeof(*conn->req));
		conn->req->conn = conn;
		conn->req->loop = conn->server->loop;
		conn->req->method = xstrdup("");
		conn->req->path = xstrdup("");
		buf_init(&conn->req->whole);
	}
	conn->req->keep_alive = false;
	conn->req->body_done = true;
	http_reply(conn->req, status, "application/json", body, strlen(body));
}

static const char *reason_of(int status)
{
	switch (status) {
	case 431:
		return "the request's headers are too large";
	case 501:
		return "the request uses a transfer coding other than chunked";
	case 505:
		return "only HTTP/1.0 and HTTP/1.1 are served";
	default:
		return "malformed HTTP request";
	}
}

/* Parse the next head, if it is there, and hand the request out. */
static void next_request(struct http_conn *conn)
{
	struct evbuffer *in = bufferevent_get_input(conn->bev);
	size_t len = min(evbuffer_get_length(in), (size_t)HTTP1_HEAD_MAX);
	struct http1_head head;
	int rc, status;

	if (!len)
		return;
	if (!conn->in_head) {
		conn->in_head = true;
		timer_set(&conn->deadline, HEAD_TIMEOUT_MS);
	}
	rc = http1_parse_request((const char *)evbuffer_pullup(in, len), len, &head);
	if (!rc)
		return;
	conn->in_head = false;
	timer_cancel(&conn->deadline);
	if (rc < 0) {
		refuse(conn, -rc, reason_of(-rc));
		return;
	}
	status = make_req(conn, &head);
	evbuffer_drain(in, rc);
	if (status)
		refuse(conn, status, "malformed request target");
	else
		conn->server->handler(conn->req, conn->server->arg);
}

/* Go on with what has been read, until more is needed or the handler is to answer first. */
static void advance(struct http_conn *conn)
{
	if (conn->closing)
		return;
	if (!conn->req)
		next_request(conn);
	else if (!conn->req->body_done)
		http_req_body(conn->req, bufferevent_get_input(conn->bev));
}

static void on_read(struct bufferevent *bev, void *arg)
{
	(void)bev;
	advance(arg);
}

static void on_write(struct bufferevent *bev, void *arg)
{
	struct http_conn *conn = arg;

	if (conn->closing) {
		if (!evbuffer_get_length(bufferevent_get_output(bev)))
			http_conn_free(conn);
		return;
	}
	if (conn->req && conn->req->on_drain)
		conn->req->on_drain(conn->req, conn->req->drain_arg);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct http_conn *conn = arg;

	(void)bev;
	if (what & BEV_EVENT_CONNECTED)
		return;
	http_conn_free(conn);
}

static void on_deadline(void *arg)
{
	http_conn_free(arg);
}

void http_conn_kick(struct http_conn *conn)
{
	bufferevent_trigger(conn->bev, EV_READ,
			    BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

void http_conn_next(struct http_conn *conn)
{
	if (conn->closing) {
		timer_set(&conn->deadline, LINGER_TIMEOUT_MS);
		bufferevent_disable(conn->bev, EV_READ);
		bufferevent_setwatermark(conn->bev, EV_WRITE, 0, 0);
		if (!evbuffer_get_length(bufferevent_get_output(conn->bev)))
			bufferevent_trigger(conn->bev, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
		return;
	}
	timer_set(&conn->deadline, IDLE_TIMEOUT_MS);
	bufferevent_enable(conn->bev, EV_READ);
	if (evbuffer_get_length(bufferevent_get_input(conn->bev)))
		http_conn_kick(conn);
}

static void serve(struct http_server *server, int fd, SSL_CTX *tls)
{
	struct event_base *base = loop_base(server->loop);
	struct http_conn *conn;
	int options = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;

	if (server->n_conns >= CONNS_MAX) {
		close(fd);
		return;
	}
	conn = xcalloc(1, sizeof(*conn));
	conn->server = server;
	if (tls)
		conn->bev = bufferevent_openssl_socket_new(base, fd, SSL_new(tls),
							   BUFFEREVENT_SSL_ACCEPTING, options);
	else
		conn->bev = bufferevent_socket_new(base, fd, options);
	if (!conn->bev) {
		close(fd);
		free(conn);
		return;
	}
	list_add_tail(&conn->node, &server->conns);
	server->n_conns++;
	timer_init(&conn->deadline, server->loop, on_deadline, conn);
	timer_set(&conn->deadline, HEAD_TIMEOUT_MS);
	bufferevent_setcb(conn->bev, on_read, on_write, on_event, conn);
	bufferevent_setwatermark(conn->bev, EV_READ, 0, READ_HIGH);
	bufferevent_setwatermark(conn->bev, EV_WRITE, WRITE_LOW, 0);
	bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
}

static void on_accept(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *addr, int len,
		      void *arg)
{
	struct listener *listener = arg;

	(void)ev;
	(void)addr;
	(void)len;
	serve(listener->server, fd, listener->tls);
}

struct http_server *http_server_new(struct loop *loop, http_handler handler, void *arg)
{
	struct http_server *server = xcalloc(1, sizeof(*server));

	server->loop = loop;
	server->handler = handler;
	server->arg = arg;
	list_init(&server->listeners);
	list_init(&server->conns);
	return server;
}

void http_server_free(struct http_server *server)
{
	struct listener *l, *tmp;

	if (!server)
		return;
	list_for_each_safe (l, tmp, &server->listeners, node) {
		evconnlistener_free(l->ev);
		free(l);
	}
	while (!list_empty(&server->conns))
		http_conn_free(list_first(&server->conns, struct http_conn, node));
	free(server);
}

int http_server_listen(struct http_server *server, int fd, SSL_CTX *tls, struct err *err)
{
	struct listener *l = xcalloc(1, sizeof(*l));

	evutil_make_socket_nonblocking(fd);
	evutil_make_socket_closeonexec(fd);
	l->server = server;
	l->tls = tls;
	l->ev = evconnlistener_new(loop_base(server->loop), on_accept, l,
				   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 1024, fd);
	if (!l->ev) {
		free(l);
		return err_set(err, -EINVAL, "cannot listen on descriptor %d: %s", fd,
			       strerror(errno));
	}
	list_add_tail(&l->node, &server->listeners);
	return 0;
}
