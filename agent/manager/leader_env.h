/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the services of a manager's gRPC server that only the leader serves (CA, dispatcher,
 * attachments) need of it. They are made with the manager, on followers too, so that their methods
 * are known and handed on; they work only between x_lead(true) and x_lead(false).
 */
#pragma once

#include "manager/swarm.h"

struct loop;
struct rng;
struct store;
struct grpc_server;

/* Everything is borrowed for the service's life. */
struct leader_env {
	struct loop *loop;
	struct rng *rng;
	struct store *store;
	struct grpc_server *server;
	const char *node_id; /* of this manager */
	const char *cluster_id;
	/* Change the store: writer_write() of the writer. */
	void (*write)(void *writer, swarm_build build, swarm_done done, void *arg);
	/* writer_write_sure(). */
	void (*write_sure)(void *writer, swarm_build build, swarm_done done, void *arg);
	void *writer;
};
