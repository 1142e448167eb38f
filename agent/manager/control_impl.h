/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the service Control share: one a kind of objects, with its changes. */
#pragma once

#include "core/rng.h"
#include "loop/loop.h"
#include "manager/check.h"
#include "manager/control.h"
#include "rpc/grpc.h"
#include "wire/pb.h"

struct control_job;

struct control_method {
	const char *path;
	const ProtobufCMessageDescriptor *request, *reply;
	enum store_kind kind;
	/* Look at the request alone, before it waits for its turn, and complete it. May be NULL. */
	int (*check)(void *request, struct err *err);
	/* A reading method: fill in the reply. */
	int (*read)(struct control_job *job, struct err *err);
	/* A change: stage it, and control_show() what came of it. */
	int (*write)(struct control_job *job, struct store_tx *tx, struct err *err);
};

/* One call of a method. */
struct control_job {
	struct control *control;
	const struct control_method *method;
	void *request, *reply; /* of the method's types */
	/* of control_call(): the request as it was given, to be asked again until then */
	void *asked;
	uint64_t until_ms;
	struct timer again;
	struct list_head node;
	struct err err;
	control_done done;
	void *arg;
};

struct control {
	struct leader_env env;
	struct control_manager manager;
	struct list_head asked; /* jobs of control_call() */
	struct grpc_method *grpc; /* one a method */
	struct control_bound *bound;
};

#define CONTROL_PATH(name) "/docker.swarmkit.v1.Control/" name

/* Tables of methods, ended by a zeroed one. */
extern const struct control_method control_read_methods[], control_service_methods[],
	control_node_methods[], control_network_methods[], control_file_methods[],
	control_cluster_methods[], control_object_methods[];

/* All of them: the first one for NULL, NULL after the last. */
const struct control_method *control_method_next(const struct control_method *m);
static inline const char *control_method_name(const struct control_method *m)
{
	return m->path + strlen(CONTROL_PATH(""));
}

struct store *control_store(const struct control_job *job);
/* The object with the ID; -ENOENT "service x not found", -EINVAL for an empty ID. */
int control_find(const struct control_job *job, const char *id, const void **ret, struct err *err);
/* The same for a change of it: version is the one that the client saw. */
int control_find_version(const struct control_job *job, const char *id, const Pb__Version *version,
			 const void **ret, struct err *err);
/* Put the object as it is in the store now, without its secrets, into the reply. */
void control_show(struct control_job *job, const char *id);
/*
 * Stage the object, which is stolen: under a new ID when it has none, else in place of the one with
 * its ID; and show it.
 */
int control_stage(struct control_job *job, struct store_tx *tx, void *obj, struct err *err);
/* The write of a method that removes what nothing refers to. */
int control_remove(struct control_job *job, struct store_tx *tx, struct err *err);
/* SwarmKit's word for a request that lacks something. */
int control_no_argument(struct err *err);
