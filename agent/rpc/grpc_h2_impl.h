/* SPDX-License-Identifier: Apache-2.0 */
/* Inside HTTP/2: what connections (grpc_h2.c) and their streams (grpc_h2_stream.c) share. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "rpc/grpc_impl.h"

struct h2_conn {
	struct loop *loop;
	struct bufferevent *bev;
	struct ssl_st *ssl; /* bev's */
	nghttp2_session *session;
	const struct h2_conn_ops *ops;
	void *owner; /* NULL: freed by it, or told */
	struct list_head streams, drained;
	size_t n_streams;
	struct timer deadline; /* of the handshake, then of an answer to a ping */
	struct timer kick;
	unsigned int depth; /* callbacks on the stack */
	bool server, ready, dead, kicked, last_look, silent;
	char *why;
	size_t buffered_max, header_size;
	uint32_t streams_max;
	uint64_t noise_since_ms;
	unsigned int noise, noise_max;
};

/* Around callbacks: a connection that dies in there is freed when the last one returns. */
void h2_conn_enter(struct h2_conn *conn);
/* The same end, for code that is not the connection's own: what was submitted is sent soon. */
void h2_conn_leave_and_kick(struct h2_conn *conn);
/* Send what was submitted once control is back in the loop. */
void h2_conn_kick(struct h2_conn *conn);
/* Take it off its connection; the windows get back what it held. */
void h2_stream_unbind(struct h2_stream *s);
/* Hand out the messages that are complete. Handlers may do anything, also free the stream. */
void h2_stream_deliver(struct h2_stream *s);
