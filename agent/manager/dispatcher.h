/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatcher: the leader's service to which every node keeps a session. It notices nodes that
 * come and go, sends each the tasks, secrets and configs assigned to it, and takes the tasks'
 * statuses into the store. Also the service ResourceAllocator: attachments of plain containers to
 * overlay networks. Loop thread only.
 *
 * A node is DOWN when its heartbeats stop for 3 periods, when its session breaks and none follows
 * within 2 s (at once, if its kernel has acknowledged nothing for 3 s), or, once gossip suspects it,
 * when it does not answer a ping on its connection within 1 s. All these waits grow with what is
 * measured late: this manager's own timers and the node's heartbeats (core/lag.h). Work per event
 * is proportional to what has changed, never to all tasks or nodes.
 * Source: SWARM-WIRE §2; swarmkit manager/dispatcher.
 */
#pragma once

#include "manager/leader_env.h"
#include "wire/types.pb-c.h"

struct dispatcher;

struct dispatcher *dispatcher_new(const struct leader_env *env);
/* Before the grpc_server, after writer_stop(). NULL is fine. */
void dispatcher_free(struct dispatcher *d);
/* With the leadership: nodes are UNKNOWN until they register with this leader. */
void dispatcher_lead(struct dispatcher *d, bool leads);
/* The managers to tell the nodes of: copied; sessions hear of a change. Also while not leading. */
void dispatcher_set_managers(struct dispatcher *d, Pb__WeightedPeer *const *managers, size_t n);
/*
 * Gossip's opinion on the node with this IP address, on every manager, leading or not: answers to
 * it are waited for less long.
 */
void dispatcher_suspect(struct dispatcher *d, const char *ip, bool alive);
/* Nodes with a session now. */
size_t dispatcher_sessions(const struct dispatcher *d);
