/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service Control: what clients may ask of the swarm's objects, and do to them. It is served to
 * other managers, which may be Docker's, and called by this manager's own API: here while it leads,
 * at the leader otherwise. So each rule is in one place, whoever asks and whoever leads. Loop only.
 *
 * dockerd's API goes to a socket of its own manager, which hands on to the leader what is not for
 * itself: Control, Logs (logbroker.h), CA (the unlock key) and ResourceAllocator. Watch and Health it
 * answers from what it has.
 * Source: swarmkit api/control.proto, manager/controlapi, manager/manager.go (Run).
 */
#pragma once

#include "manager/leader_env.h"
#include "wire/control.pb-c.h"

struct control;
struct grpc_channel;

/* What the service needs of the manager beside its store; arg goes to each. */
struct control_manager {
	/* As grpc_server_options.leader. */
	int (*leader)(struct grpc_channel **ret, void *arg);
	/* As swarm_member(). */
	bool (*member)(const char *node_id, struct swarm_member *ret, void *arg);
	void *arg;
};

/* Adds the service to env->server. */
struct control *control_new(const struct leader_env *env, const struct control_manager *manager);
/* After the writer was stopped, the server and the channel to the leader freed. NULL is fine. */
void control_free(struct control *c);

/* reply (borrowed) is of the method's type; NULL with *err as grpc_err() says it. */
typedef void (*control_done)(const struct err *err, const void *reply, void *arg);

/*
 * Perform a method ("UpdateService") on a message of its request's type, which is stolen. done comes
 * once, from the loop: for a change when it is durable. -EHOSTUNREACH when there is no leader, or
 * when it went before it answered; the change may have come about then.
 */
void control_call(struct control *c, const char *method, void *request, control_done done,
		  void *arg);

/* How many tasks of the service run, are to run and are complete. service_id is not set. */
void control_service_status(struct store *store, const Pb__Service *s, Pb__ServiceStatus *ret);
/* Fill in what the orchestrator assumes where the spec is silent (swarmkit api/defaults). */
void control_service_defaults(Pb__ServiceSpec *s);
