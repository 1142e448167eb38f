/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1.1 server: connections over unix sockets, TCP and TLS; one handler answers every
 * request, at once or later.
 *
 * A request is valid until its handler has ended the reply (http_reply, http_end, http_hijack),
 * even when the client has gone in the meantime: what is written then goes nowhere, and
 * http_on_close() tells those who want to stop early. Pipelined requests wait for the reply
 * before them. All calls on the loop's thread. Source: RFC 9110, RFC 9112.
 */
#pragma once

#include <sys/types.h>

#include "core/err.h"

struct loop;
struct bufferevent;
struct http_req;
struct http_server;
struct ssl_ctx_st;

typedef void (*http_handler)(struct http_req *req, void *arg);

/* handler is called for each request, from the loop. */
struct http_server *http_server_new(struct loop *loop, http_handler handler, void *arg);
/* Closes the listeners and every connection; requests under way see their client go. */
void http_server_free(struct http_server *server);
/*
 * Serve a listening socket, which is taken over. tls (may be NULL) is borrowed for the server's
 * life.
 */
int http_server_listen(struct http_server *server, int fd, struct ssl_ctx_st *tls, struct err *err);

/* The request. Strings live as long as it does. */
const char *http_method(const struct http_req *req);
/* Percent-decoded, without query. */
const char *http_path(const struct http_req *req);
/* The first value of a query parameter, decoded, or NULL. */
const char *http_query(const struct http_req *req, const char *name);
/* The n-th value (from 0) of a parameter that may be repeated, or NULL. */
const char *http_query_nth(const struct http_req *req, const char *name, size_t n);
/* NULL when absent; name without case. */
const char *http_header(const struct http_req *req, const char *name);
/* Whether a body follows that is not known to be empty. */
bool http_has_body(const struct http_req *req);

/*
 * Collect the body and call fn once. err is set (data NULL) when it is longer than max bytes
 * (-EFBIG), malformed (-EINVAL) or the client went (-ECONNRESET).
 */
void http_body(struct http_req *req, size_t max,
	       void (*fn)(struct http_req *req, const struct err *err, const char *data, size_t len,
			  void *arg),
	       void *arg);
/* Get the body piece by piece, then end once: err NULL when it is complete. */
void http_body_stream(struct http_req *req,
		      void (*data)(struct http_req *req, const void *p, size_t len, void *arg),
		      void (*end)(struct http_req *req, const struct err *err, void *arg),
		      void *arg);
/* Stop and go on reading the body: back-pressure towards the client. */
void http_body_pause(struct http_req *req);
void http_body_resume(struct http_req *req);
/*
 * Write the body to a pipe or socket as it takes it; fd becomes the server's, is made
 * non-blocking and closed at the end. done (may be NULL) is called once: err as for
 * http_body_stream, or NULL also when the reader closed early.
 */
void http_body_to_fd(struct http_req *req, int fd,
		     void (*done)(struct http_req *req, const struct err *err, void *arg),
		     void *arg);

/* Set a header of the reply; before http_reply or http_start. */
void http_header_set(struct http_req *req, const char *name, const char *value);
/* The whole reply. type may be NULL for no body. */
void http_reply(struct http_req *req, int status, const char *type, const void *body, size_t len);
/* Begin a reply of unknown length. */
void http_start(struct http_req *req, int status, const char *type);
bool http_started(const struct http_req *req);
void http_write(struct http_req *req, const void *p, size_t len);
void http_end(struct http_req *req);
/* Bytes that the client has not taken yet. */
size_t http_unsent(const struct http_req *req);
/* Call fn each time the unsent bytes have fallen below 64 KiB. */
void http_on_drain(struct http_req *req, void (*fn)(struct http_req *req, void *arg), void *arg);
/*
 * Send what can be read from fd (taken over) until its end, then end the reply, which must have
 * been started. done (may be NULL) is called before the request ends.
 */
void http_fd_to_reply(struct http_req *req, int fd, void (*done)(void *arg), void *arg);

/* Call fn once if the client goes before the reply is ended; the reply must be ended all the same. */
void http_on_close(struct http_req *req, void (*fn)(struct http_req *req, void *arg), void *arg);

/*
 * Take the connection over for a stream of bytes in both directions: answers 101 if the client
 * asked for an upgrade, else 200 with the given content type. Ends the request. Returns the
 * caller's bufferevent, disabled and without callbacks, or NULL when the client has gone. A half
 * close by the client shows as BEV_EVENT_EOF; writing goes on.
 */
struct bufferevent *http_hijack(struct http_req *req, const char *type);
/* Close the writing side once all is sent; reading goes on. */
void http_hijack_shutdown(struct bufferevent *bev);
