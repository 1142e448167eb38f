/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the server: calls (grpc_call.c) and connections (grpc_server.c). */
#pragma once

#include "core/map.h"
#include "rpc/grpc_impl.h"

#define GRPC_OU_MANAGER "swarm-manager"
#define GRPC_OU_WORKER "swarm-worker"

struct grpc_method_entry {
	const struct grpc_method *method;
	void *arg;
};

struct grpc_server {
	struct grpc_server_options opt;
	char *cluster_id;
	struct map methods; /* path → struct grpc_method_entry */
	struct list_head listeners, clients, calls;
	size_t n_clients, n_strangers;
};

/* Who is at the other end of a connection; outlives it with its calls. */
struct caller {
	unsigned int refs;
	struct tls_peer tls;
	char *addr;
};

struct grpc_call_header {
	char *name, *value;
};

/* Lives until its handler has finished it and its stream is gone. */
struct grpc_call {
	struct h2_stream s;
	struct list_head node; /* server's */
	struct grpc_server *server; /* NULL: stopped */
	struct caller *caller;
	struct grpc_peer peer;
	const struct grpc_method_entry *m; /* NULL until dispatched */
	char *path;
	struct grpc_call_header *headers;
	size_t n_headers;
	bool handed; /* a handler has it and will finish it */
	bool finished; /* it has */
	bool closed; /* the stream is gone */
	bool lost; /* with its connection */
	bool silent; /* whose peer did not answer */
	bool gone; /* the client went or was told the end: on_close was called */
	bool post, grpc;
	bool has_deadline;
	uint64_t deadline_ms;
	struct timer deadline;
	void (*on_close)(struct grpc_call *call, void *arg);
	void *on_close_arg;
	void (*on_drain)(struct grpc_call *call, void *arg);
	void *on_drain_arg;
	const struct grpc_call_raw_ops *raw;
	void *raw_arg;
	void *data;
};

extern const struct h2_stream_ops grpc_call_ops;

void grpc_caller_put(struct caller *c);
/* Fills call->peer. -EACCES. */
int grpc_authorize(struct grpc_call *call, struct err *err);
/* Tell the client the end and the handler that the client is gone. */
void grpc_call_abort(struct grpc_call *call, enum grpc_status status, const char *text);
