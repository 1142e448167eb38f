/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC over HTTP/2 and TLS, servers and clients, as SwarmKit speaks it: protobuf messages in
 * 5-byte frames, no compression, errors in trailers.
 *
 * All calls on the loop's thread; callbacks come from the loop, never from inside the call that
 * set them up (grpc_channel_free() and grpc_server_free() excepted). Messages given to callbacks
 * are borrowed until they return (pb_clone() to keep); messages to send are packed before the
 * function returns. Nothing here blocks. HTTP/2 PINGs are answered, and sent only by the
 * probe functions, since grpc-go managers cut off who pings often.
 * Source: grpc.io PROTOCOL-HTTP2; SWARM-WIRE §1; swarmkit ca/auth.go, protobuf/plugin/raftproxy.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "core/err.h"

struct loop;
struct tls;
struct grpc_server;
struct grpc_call;
struct grpc_channel;
struct grpc_stream;

enum grpc_status {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_ALREADY_EXISTS = 6,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_ABORTED = 10,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_DATA_LOSS = 15,
	GRPC_UNAUTHENTICATED = 16,
};

/* "PERMISSION_DENIED", …; never NULL. */
const char *grpc_status_name(enum grpc_status status);
/* The status for a negative errno (0: OK), and back: -EACCES, -ENOENT, -EAGAIN, … */
enum grpc_status grpc_status_of_errno(int code);
int grpc_errno_of_status(enum grpc_status status);

/*
 * The error of a call as grpc-go prints it and Docker's clients see it: "rpc error: code =
 * InvalidArgument desc = …". Returns its errno (FAILED_PRECONDITION is a bad request, -EINVAL).
 */
int grpc_err(struct err *err, enum grpc_status status, const char *fmt, ...) _printf_(3, 4);
/* Status and text (inside *err) of any error: what grpc_err() was given, or of errno and sentence. */
enum grpc_status grpc_err_status(const struct err *err, const char **ret_text);

enum {
	GRPC_RECEIVE_MAX = 4 << 20, /* of a manager, for one message */
	GRPC_AGENT_RECEIVE_MAX = 1 << 30,
};

/* --- server --- */

enum grpc_kind {
	GRPC_UNARY,
	GRPC_SERVER_STREAM, /* one request, many replies */
	GRPC_CLIENT_STREAM, /* many requests, one reply */
};

/* Who may call: bits. A call by another gets PERMISSION_DENIED before its handler. */
enum {
	GRPC_ANYONE = 1, /* also without certificate */
	GRPC_WORKER = 2,
	GRPC_MANAGER = 4,
};

enum { GRPC_OUTLIVES = 2 };

struct grpc_method {
	const char *path; /* "/docker.swarmkit.v1.Dispatcher/Session" */
	enum grpc_kind kind;
	const ProtobufCMessageDescriptor *request;
	unsigned int roles;
	/*
	 * True: a manager that does not lead hands the call on. GRPC_OUTLIVES: also, and who led ends
	 * it itself when the leadership has changed.
	 */
	unsigned char to_leader;
	/*
	 * Unary and server streams: called once, with the request. Client streams: called
	 * for each request, then with NULL when the client has ended its side. The call lives
	 * until grpc_finish() or grpc_reply(), also when the client has gone.
	 */
	void (*fn)(struct grpc_call *call, const void *request, void *arg);
};

struct grpc_server_options {
	struct loop *loop;
	struct tls *tls; /* a reference is taken */
	const char *cluster_id; /* O of certificates that count; copied */
	size_t receive_max; /* bytes of one message; 0: GRPC_RECEIVE_MAX */
	/* Whether the certificate's holder was removed from the swarm; may be NULL. */
	bool (*blacklisted)(const char *node_id, void *arg);
	/*
	 * Where calls of to_leader methods go. 0 with *ret NULL: this node leads and serves them;
	 * 0 with a channel (borrowed for the moment, server name "swarm-manager"): hand on;
	 * negative: no leader now (UNAVAILABLE). NULL: always served here.
	 */
	int (*leader)(struct grpc_channel **ret, void *arg);
	void *arg;
};

struct grpc_server *grpc_server_new(const struct grpc_server_options *opt);
/* Closes listeners and connections; calls under way see their client go. NULL is fine. */
void grpc_server_free(struct grpc_server *server);
/* methods is borrowed for the server's life; arg goes to each fn. */
void grpc_server_add(struct grpc_server *server, const struct grpc_method *methods, size_t n,
		     void *arg);
/* Serve a listening socket, which is taken over. */
int grpc_server_listen(struct grpc_server *server, int fd, struct err *err);
/*
 * Break off every call of a to_leader method (ABORTED): the leadership has changed. Those of methods
 * that outlive it only where they were handed on.
 */
void grpc_server_abort_leader_calls(struct grpc_server *server);
/*
 * Whether the clients at an IP address are still there: a ping over each of their connections,
 * which ends when it is not answered in time.
 */
void grpc_server_probe(struct grpc_server *server, const char *ip, uint32_t timeout_ms);
/* End every connection of the holder of a certificate: it was removed from the swarm. */
void grpc_server_cut(struct grpc_server *server, const char *node_id);

/* The caller: by its certificate, or as the manager that handed the call on says. */
struct grpc_peer {
	const char *node_id; /* "" without certificate */
	const char *role; /* OU */
	const char *cluster_id;
	const char *addr; /* "10.0.0.1:4711", of the caller itself where handed on */
	const char *via; /* node ID of the manager that handed it on, or NULL */
};

/* Lives as long as the call. */
const struct grpc_peer *grpc_call_peer(const struct grpc_call *call);
/* A request header (lower-case name), or NULL. */
const char *grpc_call_metadata(const struct grpc_call *call, const char *name);
/* Send the one reply and end well (unary, client streams). */
void grpc_reply(struct grpc_call *call, const void *msg);
/* One more message of a server stream; the client's windows hold it back (grpc_call_unsent). */
void grpc_send(struct grpc_call *call, const void *msg);
/* End the call; text may be NULL. The call may not be used any more. */
void grpc_finish(struct grpc_call *call, enum grpc_status status, const char *text);
/* The same from an error: see grpc_err_status(). */
void grpc_fail(struct grpc_call *call, const struct err *err);
/* Call fn once if the client goes, cancels, or the deadline passes; finish the call all the same. */
void grpc_call_on_close(struct grpc_call *call, void (*fn)(struct grpc_call *call, void *arg),
			void *arg);
/* Whether that has happened. */
bool grpc_call_gone(const struct grpc_call *call);
/* Whether its whole connection has ended, rather than the client this one call. */
bool grpc_call_lost(const struct grpc_call *call);
/* The same because the client's machine answers no more, rather than that it has said so. */
bool grpc_call_silent(const struct grpc_call *call);
/* Bytes that the client has not taken yet, and a call each time they have come down to none. */
size_t grpc_call_unsent(const struct grpc_call *call);
void grpc_call_on_drain(struct grpc_call *call, void (*fn)(struct grpc_call *call, void *arg),
			void *arg);
/* Hold back and go on taking requests of a stream: back-pressure towards the client. */
void grpc_call_pause(struct grpc_call *call, bool pause);
/* The handler's own pointer, for client streams; NULL at first. */
void grpc_call_set_data(struct grpc_call *call, void *data);
void *grpc_call_data(const struct grpc_call *call);

/* --- client --- */

/* A failed call's text begins so when the server has seen nothing of it. */
#define GRPC_SAYS_NOT_SENT "no connection: "
/* Of a to_leader method's call that a manager could not hand on. */
#define GRPC_SAYS_NO_LEADER "the swarm has no leader at the moment"

struct grpc_channel_options {
	struct loop *loop;
	struct tls *tls; /* a reference is taken */
	const char *addr; /* "10.0.0.1:2377", "[::1]:2377", "host:2377"; copied */
	const char *server_name; /* "swarm-manager", "swarm-ca", NULL: any; copied */
	size_t receive_max; /* bytes of one message; 0: GRPC_RECEIVE_MAX */
	uint32_t connect_timeout_ms; /* 0: 5000 */
	uint32_t backoff_max_ms; /* between connection attempts; 0: 5000 */
};

/*
 * Connects with the first call, and again when the connection broke, with growing delays. A call
 * waits for the attempt under way or due next and fails (UNAVAILABLE) with it.
 */
struct grpc_channel *grpc_channel_new(const struct grpc_channel_options *opt);
/* Ends all calls (CANCELLED, their callbacks run before this returns). NULL is fine. */
void grpc_channel_free(struct grpc_channel *ch);
bool grpc_channel_connected(const struct grpc_channel *ch);
const char *grpc_channel_addr(const struct grpc_channel *ch);
/* Forget the delay between attempts: the peer is known to be back. */
void grpc_channel_kick(struct grpc_channel *ch);
/*
 * Whether the peer is still there: a ping, and the connection breaks when it is not answered in
 * time. For a peer that is suspected only, since grpc-go dislikes pings.
 */
void grpc_channel_probe(struct grpc_channel *ch, uint32_t timeout_ms);
/* New calls go over a new connection (with renewed credentials); calls under way go on. */
void grpc_channel_refresh(struct grpc_channel *ch);
/* The chain of certificates the peer showed, as PEM; malloc'd; NULL while not connected. */
char *grpc_channel_peer_chain(const struct grpc_channel *ch);

/* Metadata of a call: name and value in turn, NULL-terminated; NULL for none. */
typedef const char *const *grpc_metadata;

/* reply is NULL unless status is GRPC_OK; text is never NULL. */
typedef void (*grpc_done)(enum grpc_status status, const char *text, const void *reply, void *arg);

/*
 * One request, one reply. timeout_ms 0: none. done is called exactly once, unless the call is
 * cancelled by grpc_stream_cancel(). The handle is valid until then.
 */
struct grpc_stream *grpc_unary(struct grpc_channel *ch, const char *path, const void *request,
			       const ProtobufCMessageDescriptor *reply, uint32_t timeout_ms,
			       grpc_done done, void *arg);

struct grpc_stream_ops {
	/* A message of the server. May be NULL when none but the last reply's status matters. */
	void (*message)(struct grpc_stream *s, const void *msg, void *arg);
	/* The end, once: the handle is gone when it returns. */
	void (*closed)(struct grpc_stream *s, enum grpc_status status, const char *text, void *arg);
	/* All that was sent has gone out; may be NULL. */
	void (*drained)(struct grpc_stream *s, void *arg);
};

/* A stream, in whichever directions the method has. ops is borrowed for the stream's life. */
struct grpc_stream *grpc_stream_open(struct grpc_channel *ch, const char *path,
				     const ProtobufCMessageDescriptor *reply,
				     const struct grpc_stream_ops *ops, void *arg,
				     uint32_t timeout_ms, grpc_metadata metadata);
void grpc_stream_send(struct grpc_stream *s, const void *msg);
/* No more messages from here. */
void grpc_stream_end(struct grpc_stream *s);
/* Break off; no callback follows and the handle is gone. */
void grpc_stream_cancel(struct grpc_stream *s);
size_t grpc_stream_unsent(const struct grpc_stream *s);
/* Hold back and go on taking messages: back-pressure towards the server. */
void grpc_stream_pause(struct grpc_stream *s, bool pause);
