/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raft over gRPC: the services Raft, RaftMembership and Health of SwarmKit's managers, and the
 * way of this member's messages to the others. Reports to raftd whom it reaches.
 *
 * To members of ours up to 64 ProcessRaftMessage calls are under way at a time over one
 * connection, which keeps them in order; to SwarmKit's, whose calls run side by side, one at a
 * time. A snapshot larger than a message may be goes as a StreamRaftMessage in parts.
 *
 * On the loop's thread; callbacks come from the loop. Sources: SWARM-WIRE §3 "Transport", "Join";
 * swarmkit manager/state/raft/{raft,transport}.
 */
#pragma once

#include "core/err.h"

struct loop;
struct grpc_server;
struct tls;
struct raftd;
struct raft_rpc;
struct raft_join;

struct raft_rpc_options {
	struct loop *loop;
	struct grpc_server *grpc; /* borrowed; its methods are added */
	struct tls *tls; /* a reference is taken */
	struct raftd *raftd; /* borrowed; its transport is set */
};

/* From here on the node answers as a manager that serves raft, also before it is a member. */
struct raft_rpc *raft_rpc_new(const struct raft_rpc_options *opt);
/* Before raftd_free() and grpc_server_free(). Joins are cancelled. NULL is fine. */
void raft_rpc_free(struct raft_rpc *rpc);

/*
 * Become a member: ask the manager at remote ("ip:port"; it hands on to the leader, who calls back
 * at addr), then raftd_joined(). Tries again for about 20 s while no leader answers. A node that is
 * a member already (raftd has a log) tells its address anew. done is called once, unless cancelled.
 */
struct raft_join *raft_rpc_join(struct raft_rpc *rpc, const char *remote, const char *node_id,
				const char *addr, void (*done)(const struct err *err, void *arg),
				void *arg);
/* NULL is fine; not after done was called. */
void raft_join_cancel(struct raft_join *join);
