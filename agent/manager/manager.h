/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a manager runs: its member of raft with the replicated store, the services on 2377 and,
 * while it leads, the writer with the leader's components. On the loop's thread; callbacks come
 * from the loop. Source: swarmkit manager/manager.go.
 */
#pragma once

#include "manager/swarm.h"
#include "manager/vault.h"
#include "wire/objects.pb-c.h"

struct manager;
struct tls;
struct writer;
struct grpc_server;

struct manager_options {
	struct loop *loop;
	struct rng *rng;
	struct events *events;
	/* Borrowed until manager_close(): */
	const char *dir; /* <data_root>/swarm; the log is in raft/ below */
	const char *node_id, *cluster_id;
	const char *listen_addr, *advertise_addr; /* "ip:port" */
	struct tls *tls; /* counted up */
	const struct vault *vault;
	/* The leadership, or what is known of the leader, has changed. */
	void (*on_leader)(void *arg);
	/* This member was removed from raft; manager_close() is due. */
	void (*on_removed)(void *arg);
	/* The cluster object is new or has changed; borrowed. */
	void (*on_cluster)(const Pb__Cluster *cluster, void *arg);
	void *arg;
};

/* The first manager of a new swarm; build stages the first objects once it leads. */
int manager_create(const struct manager_options *opt, struct manager **ret, struct err *err);
/* One more: becomes a member through the manager at remote ("ip:port"); done comes once it is. */
int manager_join(const struct manager_options *opt, const char *remote, swarm_done done, void *arg,
		 struct manager **ret, struct err *err);
/*
 * One that was a member before: its log is replayed before the call returns. only_member: forget the others
 * (--force-new-cluster).
 */
int manager_open(const struct manager_options *opt, bool only_member, struct manager **ret,
		 struct err *err);
/* Stops; what was not committed is answered with an error. NULL is fine. */
void manager_close(struct manager *m);

/* Encrypt the log with another key; see raftd_rekey(). Not called back once manager_close() was. */
void manager_rekey(struct manager *m, const uint8_t dek[VAULT_KEY_SIZE],
		   void (*done)(const struct err *err, void *arg), void *arg);

struct store *manager_store(struct manager *m);
struct writer *manager_writer(struct manager *m);
/* raftd_barrier() of its raft. */
void manager_barrier(struct manager *m, void (*done)(int rc, void *arg), void *arg);
struct logbroker *manager_logbroker(struct manager *m);
struct control *manager_control(struct manager *m);
bool manager_leads(const struct manager *m);
/* Leads, or follows a leader that it hears of. */
bool manager_has_leader(const struct manager *m);
/* See swarm_member(), swarm_raft_status(). */
bool manager_member(struct manager *m, const char *node_id, struct swarm_member *ret);
json_t *manager_raft_status(struct manager *m);
/* The dead or living members, for a decision on quorum: how many are reachable if node_id goes. */
void manager_quorum(struct manager *m, const char *without_node_id, size_t *ret_members,
		    size_t *ret_reachable);
/* Gossip's word on the node at the address ip. */
void manager_node_suspect(struct manager *m, const char *ip, bool alive);
