/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the client: channels (grpc_channel.c) and their calls (grpc_client.c). */
#pragma once

#include "core/rng.h"
#include "rpc/grpc_impl.h"

struct channel_conn;

struct grpc_channel {
	struct loop *loop;
	struct tls *tls;
	char *addr, *server_name;
	size_t receive_max;
	uint32_t connect_timeout_ms, backoff_max_ms, backoff_ms;
	struct rng rng;
	struct list_head streams; /* every call */
	struct list_head waiting; /* those without a connection yet */
	struct list_head conns; /* the current one and those that only end their calls */
	struct channel_conn *current;
	struct resolve *resolve; /* under way */
	struct timer retry;
	uint64_t next_ms; /* no attempt before that */
	unsigned int attempt;
	bool *gone;
};

/* A call from here. */
struct grpc_stream {
	struct h2_stream s;
	struct list_head node, wait_node;
	struct grpc_channel *ch;
	unsigned int attempt; /* waits for the outcome of this one */
	char *path;
	char **metadata; /* until it is bound; NULL-terminated pairs */
	const ProtobufCMessageDescriptor *reply;
	const struct grpc_stream_ops *ops;
	const struct grpc_raw_ops *raw;
	grpc_done done; /* unary */
	void *arg;
	void *answer; /* unary's */
	struct timer timeout;
	uint64_t deadline_ms; /* 0: none */
	bool ended;
	int status; /* -1 until known */
	char *text;
	char http[4];
};

/* Give it to the connection, or let it wait for one. */
void channel_submit(struct grpc_channel *ch, struct grpc_stream *s);
/* Headers and binding; -EAGAIN when the connection takes no more. */
int stream_bind(struct grpc_stream *s, struct h2_conn *conn);
/* End it from here: it is freed, then its owner is told. */
void stream_finish(struct grpc_stream *s, enum grpc_status status, const char *text);
