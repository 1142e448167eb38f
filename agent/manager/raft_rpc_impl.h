/* SPDX-License-Identifier: Apache-2.0 */
/* What raft_rpc.c (services), raft_peer.c (messages out) and raft_join.c share. */
#pragma once

#include <errno.h>

#include "core/list.h"
#include "loop/loop.h"
#include "manager/raft_rpc.h"
#include "manager/raftd.h"
#include "raft/raft.h"
#include "rpc/grpc.h"
#include "wire/raft.pb-c.h"

#define RAFT_PATH "/docker.swarmkit.v1.Raft/"
#define MEMBERSHIP_PATH "/docker.swarmkit.v1.RaftMembership/"
#define HEALTH_CHECK "/docker.swarmkit.v1.Health/Check"
#define MEMBER_REMOVED "raft: member was removed from the cluster"
#define MANAGER_NAME "swarm-manager"

enum {
	SEND_TIMEOUT_MS = 2000,
	VOTE_CHECK_MS = 2000,
	JOIN_CHECK_MS = 5000,
	JOIN_TIMEOUT_MS = 10000,
};

struct raft_rpc {
	struct loop *loop;
	struct tls *tls;
	struct raftd *raftd;
	struct list_head calls; /* struct served: of others, not answered yet */
	struct list_head peers;
	struct list_head joins;
	struct list_head checks;
	struct timer settle; /* addresses that changed, peers that went */
};

/* Is a manager at addr that serves raft? done(0) or an errno; once, unless cancelled. */
struct health_check;
struct health_check *health_check(struct raft_rpc *rpc, const char *addr, uint32_t timeout_ms,
				  void (*done)(int rc, void *arg), void *arg);
/* NULL is fine. */
void health_check_cancel(struct health_check *h);

/* raft_join.c; there is one. */
struct raft_join *raft_first_join(struct raft_rpc *rpc);

/* raft_peer.c */
void raft_peers_init(struct raft_rpc *rpc);
void raft_peers_done(struct raft_rpc *rpc);
bool raft_peer_connected(const struct raft_rpc *rpc, uint64_t raft_id);
struct grpc_channel *raft_channel(struct raft_rpc *rpc, const char *addr);
