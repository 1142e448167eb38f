/* SPDX-License-Identifier: Apache-2.0 */
/* What http.c (connections), http_req.c (requests and replies) and http_pipe.c share. */
#pragma once

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "core/buf.h"
#include "core/list.h"
#include "loop/loop.h"
#include "rpc/http.h"
#include "wire/http1.h"

struct pair {
	char *name, *value;
};

struct pairs {
	struct pair *v;
	size_t n;
};

void pairs_add(struct pairs *p, char *name, char *value);
void pairs_done(struct pairs *p);

struct http_conn {
	struct list_head node; /* in server->conns */
	struct http_server *server;
	struct bufferevent *bev;
	struct http_req *req; /* the one being answered */
	struct timer deadline; /* for a head, and for a connection that idles */
	bool closing; /* close when the output is sent */
	bool in_head; /* the deadline is that of a head */
};

struct http_req {
	struct http_conn *conn; /* NULL: the client has gone */
	struct loop *loop;
	char *method, *path, *target; /* path: decoded, without query; target: as sent */
	struct pairs query, headers, reply_headers;
	int minor;
	bool keep_alive, upgrade, expect_continue, has_body;

	/* body */
	bool chunked, body_done, paused;
	uint64_t body_left;
	struct http1_chunks chunks;
	void (*on_data)(struct http_req *req, const void *p, size_t len, void *arg);
	void (*on_end)(struct http_req *req, const struct err *err, void *arg);
	void *body_arg;
	struct buf whole; /* http_body() */
	size_t whole_max;
	void (*on_whole)(struct http_req *req, const struct err *err, const char *data, size_t len,
			 void *arg);
	void *whole_arg;

	/* reply */
	bool started, ended, chunked_reply, discard_reply;
	void (*on_drain)(struct http_req *req, void *arg);
	void *drain_arg;
	void (*on_close)(struct http_req *req, void *arg);
	void *close_arg;
};

void http_req_free(struct http_req *req);
/* http_hijack() with another protocol to upgrade to. */
struct bufferevent *http_hijack_to(struct http_req *req, const char *type, const char *protocol);
/* The client is gone: tell whoever waits. The request may be freed by the time this returns. */
void http_req_lost(struct http_req *req);
/* Take what the connection has read of the body. Connection and request may be gone after it. */
void http_req_body(struct http_req *req, struct evbuffer *in);
/* The reply of conn->req is complete (req is freed): go on with the next request. */
void http_conn_next(struct http_conn *conn);
/* Read again what is buffered, from the loop. */
void http_conn_kick(struct http_conn *conn);
void http_conn_free(struct http_conn *conn);
