/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections from a manager to the API of another, as byte streams over the managers' mutual TLS
 * on 2377 (wire/tunnel.proto). On the loop's thread.
 */
#pragma once

#include "core/err.h"

struct loop;
struct grpc_channel;
struct grpc_server;
struct tunnel_server;

/*
 * Add the service. Each connection arrives at fn, which owns fd; leads() says whether this manager
 * may serve (FAILED_PRECONDITION otherwise).
 */
struct tunnel_server *tunnel_server_new(struct loop *loop, struct grpc_server *grpc,
					bool (*leads)(void *arg), void (*fn)(int fd, void *arg),
					void *arg);
/* Before the grpc_server. NULL is fine. */
void tunnel_server_free(struct tunnel_server *t);

/* Open one over the channel; *ret_fd is the caller's end of a socket pair. */
int tunnel_connect(struct loop *loop, struct grpc_channel *channel, int *ret_fd, struct err *err);
