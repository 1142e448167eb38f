/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call that changes the swarm's store: what its builder needs until it is this writer's turn,
 * and the reply when the change is durable. Used by the files of the swarm's resources.
 */
#pragma once

#include "api/api.h"
#include "manager/swarm.h"
#include "store/store.h"
#include "wire/pb.h"

struct store_call {
	struct api_call *call;
	/* Stages the change; negative with *err refuses it. */
	int (*build)(struct store_call *c, struct store_tx *tx, struct err *err);
	void *spec; /* a message, freed at the end; builders may take it */
	uint64_t version; /* of the object, as the client saw it */
	char id[ID_SIZE]; /* of what is made */
	bool force, previous, rotate_worker, rotate_manager, rotate_unlock;
	json_t *warnings;
	int status; /* of a success */
	/* the body of a success; NULL: {"ID": id} for 201, none otherwise */
	json_t *(*reply)(struct store_call *c);
};

/* Queue the change of a copy of *c; replies and frees. */
void store_call_run(const struct store_call *c);
/* The object that the route's parameter names, or NULL after replying. */
const void *store_call_find(struct api_call *call, enum store_kind kind);
/* The store of the leader; NULL after replying 503 or handing the call to the leader. */
struct store *store_call_store(struct api_call *call);
/* api_body() of a call for the store: one for the leader goes there unread. */
void store_call_body(struct api_call *call, void (*fn)(struct api_call *call, json_t *body));
/* The query's version; -EINVAL "invalid swarm object version '…'…". */
int store_call_version(struct api_call *call, uint64_t *ret, struct err *err);

/* Errors as SwarmKit's control API has them through dockerd. */
int rpc_invalid(struct err *err, const char *fmt, ...) _printf_(2, 3); /* InvalidArgument, 400 */
int rpc_precondition(struct err *err, const char *fmt, ...)
	_printf_(2, 3); /* FailedPrecondition, 400 */
int rpc_exists(struct err *err, const char *fmt, ...) _printf_(2, 3); /* AlreadyExists, 409 */
int rpc_denied(struct err *err, const char *fmt, ...) _printf_(2, 3); /* PermissionDenied, 403 */
/* Unknown, 500: "update out of sequence" */
int rpc_out_of_sequence(struct err *err);

/* A new meta.version check: -ESTALE unless the object's version is the client's. */
int store_call_check_version(const struct store_call *c, const void *obj, struct err *err);
