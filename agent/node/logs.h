/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node's side of service logs: it listens for subscriptions at the leader and answers each
 * with the records of its tasks' containers, from their logs. Loop thread only.
 * Source: SWARM-WIRE §2 "Logs"; swarmkit agent/{agent,worker}.go (Subscribe), moby
 * daemon/cluster/executor/container/controller.go (Logs).
 */
#pragma once

struct loop;
struct ctrs;
struct grpc_channel;
struct node_logs;

struct node_logs_options {
	struct loop *loop;
	struct ctrs *ctrs;
	const char *node_id; /* copied */
	/* The connection to a manager; NULL while there is none. */
	struct grpc_channel *(*channel)(void *arg);
	void *arg;
};

struct node_logs *node_logs_new(const struct node_logs_options *opt);
/* The session has (again) registered: listen over its connection. */
void node_logs_registered(struct node_logs *l);
/* After the session's connection is closed, or before; NULL is fine. */
void node_logs_free(struct node_logs *l);
