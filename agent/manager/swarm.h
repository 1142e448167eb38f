/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node's part in a swarm: none, worker or manager. Everything swarm-related that the API
 * does goes through here: membership (init, leave), the replicated store (read it, change it).
 *
 * All calls are made on the loop's thread; callbacks come from the loop, never from inside the
 * call. Strings are borrowed for the call unless said otherwise.
 *
 * Files below <data_root>/swarm, as dockerd's: certificates/, state.json, docker-state.json,
 * raft/, worker/.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"

struct swarm;
struct store;
struct store_tx;
struct loop;
struct events;
struct rng;
struct images;
struct ctrs;
struct nets;
struct volumes;
struct plugins;
struct Pb__ClusterSpec;

struct swarm_options {
	struct loop *loop;
	struct events *events;
	struct rng *rng;
	const char *data_root;
	const char *exec_root;
	const char *default_advertise_addr; /* --swarm-default-advertise-addr or NULL */
	json_t *engine_labels; /* object of the --label flags, or NULL */
	json_t *generic_resources; /* array of --node-generic-resource, or NULL */
	struct images *images;
	struct ctrs *ctrs;
	struct nets *nets;
	struct volumes *volumes;
	struct plugins *plugins; /* borrowed; NULL: none */
};

/*
 * Read what is on disk and, if the node is part of a swarm, take it up again: a manager's raft
 * log is replayed before the call returns, its tasks are reconciled with the containers that run.
 * Only an unreadable state directory is an error.
 */
int swarm_open(const struct swarm_options *opt, struct swarm **ret, struct err *err);
/* Stops taking part; containers go on. Frees. NULL is fine. */
void swarm_close(struct swarm *swarm);

enum swarm_state {
	SWARM_INACTIVE, /* "inactive" */
	SWARM_PENDING, /* "pending": joining or waiting for a leader */
	SWARM_ACTIVE, /* "active" */
	SWARM_ERROR, /* "error": swarm_error() says why */
	SWARM_LOCKED, /* "locked": waits for the unlock key */
};

enum swarm_state swarm_state(const struct swarm *swarm);
/* The word /info and /_ping use. */
const char *swarm_state_name(const struct swarm *swarm);
const char *swarm_error(const struct swarm *swarm);
bool swarm_is_manager(const struct swarm *swarm);
/* What this node has to say of itself has changed: its plugins. */
void swarm_describe_again(struct swarm *swarm);
/* Empty strings outside a swarm. */
const char *swarm_node_id(const struct swarm *swarm);
const char *swarm_node_addr(const struct swarm *swarm);
/* /info's Swarm.RemoteManagers: a new array of {NodeID, Addr}. */
json_t *swarm_remote_managers(const struct swarm *swarm);

/* What is said of the node itself. */
struct swarm_node_options {
	const char *listen_addr; /* "0.0.0.0:2377" when NULL or empty */
	const char *advertise_addr; /* address, address:port or interface; NULL: guess */
	const char *data_path_addr; /* address or interface; NULL: the advertise address */
	const char *availability; /* "active" (also NULL, ""), "pause", "drain" */
};

struct swarm_init_options {
	struct swarm_node_options node;
	uint32_t data_path_port; /* 0: 4789 */
	const char *const *default_addr_pool; /* NULL-terminated CIDRs, or NULL: 10.0.0.0/8 */
	uint32_t subnet_size; /* 0: 24 */
	bool force_new_cluster;
	bool autolock_managers;
	const struct Pb__ClusterSpec *spec; /* may be NULL: defaults */
};

typedef void (*swarm_done)(const struct err *err /* NULL: well */, void *arg);

/*
 * Start a swarm of one manager, or with force_new_cluster take the manager that this node is as
 * the only member. done: well once the cluster object is committed and this node is ready.
 * Errors: -EUNATCH or -EINVAL with dockerd's sentence, nothing changed.
 */
void swarm_init(struct swarm *swarm, const struct swarm_init_options *opt, swarm_done done,
		void *arg);

struct swarm_join_options {
	struct swarm_node_options node;
	const char *const *remote_addrs; /* NULL-terminated "host[:port]" of managers */
	const char *token;
};

/*
 * Join the swarm of a manager: root certificate checked by the token, certificate, session and,
 * with a manager's token, raft. done: well once this node is ready; after 20 s
 * -ETIME with dockerd's "Timeout was reached before node joined…" while the attempt goes on.
 */
void swarm_join(struct swarm *swarm, const struct swarm_join_options *opt, swarm_done done,
		void *arg);
/* A locked manager gets its key ("SWMKEY-1-…") and goes on. -EINVAL when it does not fit. */
void swarm_unlock(struct swarm *swarm, const char *key, swarm_done done, void *arg);
/* Leave: stop the node's tasks, forget state and certificates. A manager needs force. */
void swarm_leave(struct swarm *swarm, bool force, swarm_done done, void *arg);

/*
 * The replicated store, for reading; NULL unless this node is an active manager with a leader.
 * Valid until control returns to the loop.
 */
struct store *swarm_store(struct swarm *swarm);
/*
 * swarm_store(), or NULL with *err as dockerd's sentence for a node that is no manager (-EUNATCH,
 * 503): "This node is not a swarm manager. Use \"docker swarm init\" …".
 */
struct store *swarm_store_or_err(struct swarm *swarm, struct err *err);

/*
 * A change of the store: build(tx, arg, &err) stages it once it is this writer's turn, reading
 * through the transaction; if it returns negative its changes are dropped and done gets the
 * error. done(NULL) comes when the changes are durable on a quorum and applied. Writers queue;
 * those that wait for one fsync share the next raft entry. done may be NULL.
 */
typedef int (*swarm_build)(struct store_tx *tx, void *arg, struct err *err);

/* control_call() of this manager; -EUNATCH on a node that is none. See manager/control.h. */
void swarm_control(struct swarm *swarm, const char *method, void *request,
		   void (*done)(const struct err *err, const void *reply, void *arg), void *arg);
/* "The swarm does not have a leader. …" */
extern const char swarm_no_leader[];
/* Whether this manager leads now: its store is the current one. */
bool swarm_is_leader(const struct swarm *swarm);
/*
 * The members of raft as this manager knows them: raft ID, address, whether it answers, whether it
 * leads. Returns false for a node that is no member. For ManagerStatus of nodes.
 */
struct swarm_member {
	uint64_t raft_id;
	const char *addr; /* borrowed until control returns to the loop */
	bool leader, reachable;
};
bool swarm_member(struct swarm *swarm, const char *node_id, struct swarm_member *ret);
/* {"raft_id", "term", "commit", "applied", "leader", "members": []} of this member; NULL: no manager. */
json_t *swarm_raft_status(struct swarm *swarm);
/*
 * Have a network of the swarm on this node for a plain container (node/attach.h). -ENOENT when this
 * node is part of no swarm. swarm_detach() gives it back before the container ends.
 */
void swarm_attach(struct swarm *swarm, const char *container_id, const char *network,
		  const char *ip4, void (*done)(const struct err *err, const char *ip4, void *arg),
		  void *arg);
void swarm_detach(struct swarm *swarm, const char *container_id, const char *network);

/*
 * done(NULL) once this manager's store holds all that was committed before the call: what is read
 * then is current, also on a follower. -EIO without a leader or quorum; on a node that is no active
 * manager done(NULL) comes at once. From the loop.
 */
void swarm_barrier(struct swarm *swarm, swarm_done done, void *arg);
/* The broker of services' logs; NULL on a node that is no active manager. */
struct logbroker;
struct logbroker *swarm_logbroker(struct swarm *swarm);
