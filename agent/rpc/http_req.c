// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "rpc/http_impl.h"

void pairs_add(struct pairs *p, char *name, char *value)
{
	p->v = xrealloc(p->v, (p->n + 1) * sizeof(*p->v));
	p->v[p->n++] = (struct pair){name, value};
}

void pairs_done(struct pairs *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].name);
		free(p->v[i].value);
	}
	free(p->v);
	*p = (struct pairs){0};
}

void http_req_free(struct http_req *req)
{
	free(req->method);
	free(req->path);
	free(req->target);
	pairs_done(&req->query);
	pairs_done(&req->headers);
	pairs_done(&req->reply_headers);
	buf_done(&req->whole);
	free(req);
}

const char *http_method(const struct http_req *req)
{
	return req->method;
}

const char *http_path(const struct http_req *req)
{
	return req->path;
}

const char *http_query_nth(const struct http_req *req, const char *name, size_t n)
{
	for (size_t i = 0; i < req->query.n; i++)
		if (!strcmp(req->query.v[i].name, name) && !n--)
			return req->query.v[i].value;
	return NULL;
}

const char *http_query(const struct http_req *req, const char *name)
{
	return http_query_nth(req, name, 0);
}

const char *http_header(const struct http_req *req, const char *name)
{
	for (size_t i = 0; i < req->headers.n; i++)
		if (!strcasecmp(req->headers.v[i].name, name))
			return req->headers.v[i].value;
	return NULL;
}

bool http_has_body(const struct http_req *req)
{
	return req->has_body;
}

/* The body ends, well or not; its sink is told once. */
static void end_body(struct http_req *req, const struct err *err)
{
	void (*end)(struct http_req *, const struct err *, void *) = req->on_end;

	req->body_done = true;
	req->on_data = NULL;
	req->on_end = NULL;
	if (end)
		end(req, err, req->body_arg);
}

void http_req_lost(struct http_req *req)
{
	static const struct err lost = {-ECONNRESET, "the client closed the connection"};
	bool in_body = !req->body_done && req->on_end;
	void (*fn)(struct http_req *, void *) = req->on_close;
	void *arg = req->close_arg;

	req->on_close = NULL;
	req->on_drain = NULL;
	if (req->ended) {
		http_req_free(req);
		return;
	}
	/* the body's sink may end the request, so only one of the two is told */
	if (in_body)
		end_body(req, &lost);
	else if (fn)
		fn(req, arg);
}

static void body_malformed(struct http_req *req)
{
	static const struct err bad = {-EINVAL, "malformed chunked request body"};

	req->keep_alive = false;
	end_body(req, &bad);
}

/* Give the sink one piece; returns false when the request or its wish to read is gone. */
static bool feed_piece(struct http_conn *conn, struct http_req *req, const void *p, size_t len)
{
	if (len && req->on_data)
		req->on_data(req, p, len, req->body_arg);
	return conn->req == req && !req->paused;
}

void http_req_body(struct http_req *req, struct evbuffer *in)
{
	struct http_conn *conn = req->conn;

	/* a reply that has ended discards what is left of the body */
	while (!req->body_done && !req->paused && (req->on_end || req->ended)) {
		size_t len = min(evbuffer_get_length(in), (size_t)65536);
		struct http1_str piece;
		char copy[65536];
		int n;

		if (!evbuffer_get_length(in))
			return;
		len = evbuffer_copyout(in, copy, len);
		if (req->chunked) {
			n = http1_chunks_feed(&req->chunks, copy, len, &piece);
			if (n < 0) {
				body_malformed(req);
				return;
			}
		} else {
			n = min((uint64_t)len, req->body_left);
			piece = (struct http1_str){copy, n};
			req->body_left -= n;
		}
		evbuffer_drain(in, n);
		if (req->chunked ? req->chunks.done : !req->body_left) {
			if (feed_piece(conn, req, piece.p, piece.len) || conn->req == req) {
				bool ended = req->ended;

				end_body(req, NULL);
				if (ended) {
					conn->req = NULL;
					http_req_free(req);
					http_conn_next(conn);
				}
			}
			return;
		}
		if (!feed_piece(conn, req, piece.p, piece.len))
			break;
	}
	if (conn->req == req && !req->body_done)
		bufferevent_disable(conn->bev, EV_READ);
}

void http_body_stream(struct http_req *req,
		      void (*data)(struct http_req *req, const void *p, size_t len, void *arg),
		      void (*end)(struct http_req *req, const struct err *err, void *arg),
		      void *arg)
{
	static const struct err lost = {-ECONNRESET, "the client closed the connection"};

	if (req->body_done || !req->conn) {
		end(req, req->conn || req->body_done ? NULL : &lost, arg);
		return;
	}
	req->on_data = data;
	req->on_end = end;
	req->body_arg = arg;
	if (req->expect_continue && !req->started) {
		req->expect_continue = false;
		bufferevent_write(req->conn->bev, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	}
	bufferevent_enable(req->conn->bev, EV_READ);
	http_conn_kick(req->conn);
}

void http_body_pause(struct http_req *req)
{
	req->paused = true;
	if (req->conn && !req->body_done)
		bufferevent_disable(req->conn->bev, EV_READ);
}

void http_body_resume(struct http_req *req)
{
	if (!req->paused)
		return;
	req->paused = false;
	if (!req->conn || req->body_done)
		return;
	bufferevent_enable(req->conn->bev, EV_READ);
	http_conn_kick(req->conn);
}

static void whole_data(struct http_req *req, const void *p, size_t len, void *arg)
{
	struct err err = ERR_INIT;

	(void)arg;
	if (req->whole.len + len <= req->whole_max) {
		buf_add(&req->whole, p, len);
		return;
	}
	err_set(&err, -EFBIG, "the request body is larger than %zu bytes", req->whole_max);
	req->on_data = NULL;
	req->on_end = NULL;
	req->on_whole(req, &err, NULL, 0, req->whole_arg);
}

static void whole_end(struct http_req *req, const struct err *err, void *arg)
{
	(void)arg;
	req->on_whole(req, err, err ? NULL : req->whole.data, err ? 0 : req->whole.len,
		      req->whole_arg);
}

void http_body(struct http_req *req, size_t max,
	       void (*fn)(struct http_req *req, const struct err *err, const char *data, size_t len,
			  void *arg),
	       void *arg)
{
	req->whole_max = max;
	req->on_whole = fn;
	req->whole_arg = arg;
	http_body_stream(req, whole_data, whole_end, NULL);
}

void http_header_set(struct http_req *req, const char *name, const char *value)
{
	struct pairs *h = &req->reply_headers;

	for (size_t i = 0; i < h->n; i++) {
		if (strcasecmp(h->v[i].name, name))
			continue;
		free(h->v[i].value);
		h->v[i].value = xstrdup(value);
		return;
	}
	pairs_add(h, xstrdup(name), xstrdup(value));
}

static const char *reason_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} table[] = {
		{101, "UPGRADED"},
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{304, "Not Modified"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{406, "Not Acceptable"},
		{409, "Conflict"},
		{413, "Request Entity Too Large"},
		{415, "Unsupported Media Type"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{503, "Service Unavailable"},
		{505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].status == status)
			return table[i].phrase;
	return "Unknown";
}

static void send_head(struct http_req *req, int status, const char *type, struct buf *out)
{
	buf_printf(out, "HTTP/1.1 %d %s\r\n", status, reason_phrase(status));
	for (size_t i = 0; i < req->reply_headers.n; i++)
		buf_printf(out, "%s: %s\r\n", req->reply_headers.v[i].name,
			   req->reply_headers.v[i].value);
	if (type)
		buf_printf(out, "Content-Type: %s\r\n", type);
}

static void send_buf(struct http_req *req, const struct buf *b)
{
	if (req->conn)
		bufferevent_write(req->conn->bev, b->data, b->len);
}

static bool is_head(const struct http_req *req)
{
	return !strcmp(req->method, "HEAD");
}

/* The reply is written: free the request, or let it linger until its body is read. */
static void finish(struct http_req *req)
{
	struct http_conn *conn = req->conn;

	req->ended = true;
	req->on_drain = NULL;
	req->on_close = NULL;
	if (!conn) {
		http_req_free(req);
		return;
	}
	if (!req->keep_alive)
		conn->closing = true;
	if (!req->body_done && !conn->closing && !req->expect_continue) {
		/* what is left of the body is read and dropped */
		req->on_data = NULL;
		req->on_end = NULL;
		req->paused = false;
		bufferevent_enable(conn->bev, EV_READ);
		http_conn_kick(conn);
		return;
	}
	if (!req->body_done)
		conn->closing = true;
	conn->req = NULL;
	http_req_free(req);
	http_conn_next(conn);
}

void http_reply(struct http_req *req, int status, const char *type, const void *body, size_t len)
{
	_cleanup_buf_ struct buf out = BUF_INIT;

	assert(!req->started && !req->ended);
	req->started = true;
	send_head(req, status, type, &out);
	if (status != 204 && status != 304 && status != 101)
		buf_printf(&out, "Content-Length: %zu\r\n", len);
	if (!req->keep_alive)
		buf_str(&out, "Connection: close\r\n");
	buf_str(&out, "\r\n");
	if (!is_head(req))
		buf_add(&out, body, len);
	send_buf(req, &out);
	finish(req);
}

void http_start(struct http_req *req, int status, const char *type)
{
	_cleanup_buf_ struct buf out = BUF_INIT;

	assert(!req->started && !req->ended);
	req->started = true;
	req->chunked_reply = req->minor > 0;
	req->discard_reply = is_head(req);
	if (!req->chunked_reply)
		req->keep_alive = false;
	send_head(req, status, type, &out);
	if (req->chunked_reply && !req->discard_reply)
		buf_str(&out, "Transfer-Encoding: chunked\r\n");
	if (!req->keep_alive)
		buf_str(&out, "Connection: close\r\n");
	buf_str(&out, "\r\n");
	send_buf(req, &out);
}

bool http_started(const struct http_req *req)
{
	return req->started;
}

void http_write(struct http_req *req, const void *p, size_t len)
{
	struct evbuffer *out;

	assert(req->started && !req->ended);
	if (!len || !req->conn || req->discard_reply)
		return;
	out = bufferevent_get_output(req->conn->bev);
	if (req->chunked_reply)
		evbuffer_add_printf(out, "%zx\r\n", len);
	evbuffer_add(out, p, len);
	if (req->chunked_reply)
		evbuffer_add(out, "\r\n", 2);
}

void http_end(struct http_req *req)
{
	assert(req->started && !req->ended);
	if (req->conn && req->chunked_reply && !req->discard_reply)
		bufferevent_write(req->conn->bev, "0\r\n\r\n", 5);
	finish(req);
}

size_t http_unsent(const struct http_req *req)
{
	return req->conn ? evbuffer_get_length(bufferevent_get_output(req->conn->bev)) : 0;
}

void http_on_drain(struct http_req *req, void (*fn)(struct http_req *req, void *arg), void *arg)
{
	req->on_drain = fn;
	req->drain_arg = arg;
}

void http_on_close(struct http_req *req, void (*fn)(struct http_req *req, void *arg), void *arg)
{
	req->on_close = fn;
	req->close_arg = arg;
}

/* Take the connection away from the request, which ends; NULL when the client has gone. */
static struct bufferevent *take(struct http_req *req)
{
	struct http_conn *conn = req->conn;
	struct bufferevent *bev = NULL;

	if (conn) {
		bev = conn->bev;
		bufferevent_disable(bev, EV_READ);
		bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
		bufferevent_setwatermark(bev, EV_READ, 0, 0);
		bufferevent_setwatermark(bev, EV_WRITE, 0, 0);
		conn->bev = NULL;
		conn->req = NULL;
		http_conn_free(conn);
	}
	http_req_free(req);
	return bev;
}

struct bufferevent *http_hijack_to(struct http_req *req, const char *type, const char *protocol)
{
	_cleanup_buf_ struct buf out = BUF_INIT;

	if (req->conn) {
		send_head(req, req->upgrade ? 101 : 200, type, &out);
		if (req->upgrade)
			buf_printf(&out, "Connection: Upgrade\r\nUpgrade: %s\r\n", protocol);
		buf_str(&out, "\r\n");
		send_buf(req, &out);
	}
	return take(req);
}

struct bufferevent *http_hijack(struct http_req *req, const char *type)
{
	return http_hijack_to(req, type, "tcp");
}

static void shutdown_now(struct bufferevent *bev)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);

	if (ssl)
		SSL_shutdown(ssl);
	else
		shutdown(bufferevent_getfd(bev), SHUT_WR);
}

static void on_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *arg)
{
	(void)info;
	if (!evbuffer_get_length(out))
		shutdown_now(arg);
}

void http_hijack_shutdown(struct bufferevent *bev)
{
	struct evbuffer *out = bufferevent_get_output(bev);

	if (evbuffer_get_length(out))
		evbuffer_add_cb(out, on_output, bev);
	else
		shutdown_now(bev);
}
