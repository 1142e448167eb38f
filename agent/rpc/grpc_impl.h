/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside gRPC: message frames, and HTTP/2 connections with their streams, which servers and
 * clients share. Included by rpc/grpc_*.c only.
 *
 * A connection lives until h2_conn_free() or until it breaks; then each of its streams is told
 * once (closed), then its owner. A stream is embedded in its owner's object: it may exist before
 * it is bound to a connection and collects what is written to it.
 */
#pragma once

#include <sys/socket.h>

#include "core/buf.h"
#include "core/list.h"
#include "loop/loop.h"
#include "rpc/grpc.h"
#include "rpc/tls.h"

struct bufferevent;
struct evbuffer;
struct nghttp2_session;

/* What both ends say, in the words of Go's gRPC. */
#define GRPC_SAYS_DEADLINE "context deadline exceeded"
#define GRPC_SAYS_UNMARSHAL "grpc: failed to unmarshal the received message"

/* --- frames: grpc_frame.c --- */

enum { GRPC_FRAME_HEAD = 5 };

/* Splits a stream of bytes into messages, none larger than max. */
struct grpc_reader {
	struct buf buf;
	size_t at; /* bytes of buf that were handed out */
	size_t max;
};

void grpc_reader_init(struct grpc_reader *r, size_t max);
void grpc_reader_done(struct grpc_reader *r);
void grpc_reader_feed(struct grpc_reader *r, const void *data, size_t size);
/*
 * The next message, borrowed until the next feed or next: 1, 0 when more bytes are needed,
 * -EMSGSIZE when it is too large, -EPROTO when it is compressed or malformed.
 */
int grpc_reader_next(struct grpc_reader *r, const void **ret, size_t *ret_size);
/* Whether the stream may end here. */
bool grpc_reader_empty(const struct grpc_reader *r);

/* Append a frame with the packed message, or with the raw one. */
void grpc_frame_add(struct evbuffer *out, const ProtobufCMessage *msg);
void grpc_frame_add_raw(struct evbuffer *out, const void *data, size_t size);
/* A grpc-timeout header: "100m", "5S"; -EINVAL. Sets milliseconds, rounded up. */
int grpc_timeout_parse(const char *text, uint64_t *ret_ms);
/* A grpc-message header's percent-encoding, and back; malloc'd. */
char *grpc_message_encode(const char *text);
char *grpc_message_decode(const char *text, size_t size);

/* --- connections: grpc_h2.c --- */

struct h2_conn;
struct h2_stream;

/* Is a header's name or value this? */
static inline bool h2_is(const char *p, size_t size, const char *s)
{
	return size == strlen(s) && !memcmp(p, s, size);
}

#define H2_CONN_LOST UINT32_MAX
#define H2_CONN_SILENT (UINT32_MAX - 1)

struct h2_stream_ops {
	/* One header or trailer. Non-zero refuses the stream. */
	int (*header)(struct h2_stream *s, const char *name, size_t name_size, const char *value,
		      size_t value_size);
	/* A block of headers is complete; end: the peer sends nothing more. */
	void (*headers)(struct h2_stream *s, bool end);
	void (*message)(struct h2_stream *s, const void *data, size_t size);
	/* The peer's messages have ended. */
	void (*end)(struct h2_stream *s);
	/* The peer broke the framing or a limit; headers and messages stop. */
	void (*bad)(struct h2_stream *s, enum grpc_status status, const char *text);
	/* Nothing that was written is left here. */
	void (*drained)(struct h2_stream *s);
	/* The stream is gone from its connection (s->conn is NULL). h2_error H2_CONN_LOST: with it;
	 * H2_CONN_SILENT: since the peer's machine does not answer. */
	void (*closed)(struct h2_stream *s, uint32_t h2_error, const char *why);
};

struct h2_stream {
	struct list_head node, drain_node;
	struct h2_conn *conn; /* NULL: not bound, or gone */
	const struct h2_stream_ops *ops;
	int32_t id;
	struct evbuffer *out; /* framed messages not yet sent */
	bool out_end; /* nothing follows */
	bool out_started; /* the headers are submitted */
	bool deferred; /* the session waits for more to send */
	bool paused, in_end, in_end_told, in_bad;
	bool *gone; /* set when it is freed during a delivery */
	size_t held; /* bytes taken in and not given back to the windows */
	struct grpc_reader in;
	/* a server's last word, sent after out */
	bool has_status;
	enum grpc_status status;
	char *status_text;
};

struct h2_conn_ops {
	/* Server: a new stream, or NULL to refuse it. */
	struct h2_stream *(*begin)(struct h2_conn *conn, void *owner);
	/* The handshake is done. Non-zero: close. */
	int (*ready)(struct h2_conn *conn, void *owner);
	/* The peer wants no new streams. */
	void (*going)(struct h2_conn *conn, void *owner);
	/* A stream has left; the connection may be idle now. */
	void (*left)(struct h2_conn *conn, void *owner);
	/* Broken: free()d after this. */
	void (*closed)(struct h2_conn *conn, const char *why, void *owner);
};

struct h2_conn_options {
	struct loop *loop;
	bool server;
	int fd; /* a server's accepted socket; -1 for a client */
	const struct sockaddr *addr; /* a client's target */
	socklen_t addr_size;
	struct ssl_st *ssl; /* handed over */
	uint32_t handshake_timeout_ms;
	const struct h2_conn_ops *ops;
	void *owner;
};

/* NULL with the reason in *err; fd and ssl are released then. */
struct h2_conn *h2_conn_new(const struct h2_conn_options *opt, struct err *err);
/* Close now: streams are told (closed), the owner is not. */
void h2_conn_free(struct h2_conn *conn, const char *why);
/* Close as soon as control is back in the loop; tells the owner too. */
void h2_conn_fail(struct h2_conn *conn, const char *why);
bool h2_conn_ready(const struct h2_conn *conn);
size_t h2_conn_streams(const struct h2_conn *conn);
/* Ping; the connection breaks when no answer comes in time. */
void h2_conn_probe(struct h2_conn *conn, uint32_t timeout_ms);
struct ssl_st *h2_conn_ssl(struct h2_conn *conn);
/* In ready(), for a peer with a certificate: more streams, noise and bytes of unfinished messages. */
void h2_conn_trust(struct h2_conn *conn, size_t buffered_max, uint32_t streams_max);

void h2_stream_init(struct h2_stream *s, const struct h2_stream_ops *ops, size_t receive_max);
/* Frees what it holds; resets it on its connection if it is still bound (closed is not called). */
void h2_stream_done(struct h2_stream *s);
struct h2_header {
	const char *name, *value;
};
/* Client: send the request's headers. */
int h2_stream_request(struct h2_stream *s, struct h2_conn *conn, const struct h2_header *headers,
		      size_t n);
/* Server: send ":status 200" unless that was done. */
void h2_stream_respond(struct h2_stream *s);
/* Server: end with a status, after what was written. */
void h2_stream_status(struct h2_stream *s, enum grpc_status status, const char *text);
/* Server: an HTTP error without gRPC. */
void h2_stream_http_error(struct h2_stream *s, const char *code);
void h2_stream_write(struct h2_stream *s, const ProtobufCMessage *msg);
void h2_stream_write_raw(struct h2_stream *s, const void *data, size_t size);
/* Client: no more messages. */
void h2_stream_end(struct h2_stream *s);
size_t h2_stream_unsent(const struct h2_stream *s);
void h2_stream_pause(struct h2_stream *s, bool pause);
/* In closed(): hand out what arrived while it was paused. False when that freed the stream. */
bool h2_stream_rest(struct h2_stream *s);

/* --- raw messages, for the proxy: grpc_server.c, grpc_client.c --- */

struct grpc_raw_ops {
	void (*message)(struct grpc_stream *s, const void *data, size_t size, void *arg);
	void (*closed)(struct grpc_stream *s, enum grpc_status status, const char *text, void *arg);
	void (*drained)(struct grpc_stream *s, void *arg);
};

struct grpc_stream *grpc_stream_open_raw(struct grpc_channel *ch, const char *path,
					 const struct grpc_raw_ops *ops, void *arg,
					 uint32_t timeout_ms, grpc_metadata metadata);
void grpc_stream_send_raw(struct grpc_stream *s, const void *data, size_t size);

/* Takes the call's requests instead of a handler. */
struct grpc_call_raw_ops {
	void (*message)(struct grpc_call *call, const void *data, size_t size, void *arg);
	void (*end)(struct grpc_call *call, void *arg);
};
void grpc_call_take_raw(struct grpc_call *call, const struct grpc_call_raw_ops *ops, void *arg);
void grpc_call_send_raw(struct grpc_call *call, const void *data, size_t size);
/* Milliseconds until the caller's deadline; 0 for none. */
uint32_t grpc_call_timeout_ms(const struct grpc_call *call);
const char *grpc_call_path(const struct grpc_call *call);

/* Hand the call on to the leader: grpc_proxy.c. */
void grpc_proxy(struct grpc_call *call, struct grpc_channel *leader);

/* Sockets of both ends: no delay, dead peers noticed within seconds. */
void grpc_socket_setup(int fd);
