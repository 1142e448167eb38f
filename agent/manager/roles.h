/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The role manager: makes a node's role what its spec desires. A promotion is written at once; the
 * node then renews its certificate and joins raft. For a demotion the member first leaves raft,
 * then the role changes; it is tried again every 5 s while raft refuses (too few members left).
 * Made when this manager begins to lead, freed when it stops. Loop thread only.
 * Source: swarmkit manager/role_manager.go, SWARM-WIRE §3 "Promotion".
 */
#pragma once

#include "core/err.h"

struct loop;
struct store;
struct writer;
struct roles;

/* Raft, as the role manager needs it. */
struct roles_env {
	/* Whether the node is a raft member now. */
	bool (*is_member)(const char *node_id, void *arg);
	/*
	 * Begin to take the node out of raft: for the leader itself, to hand leadership over. The
	 * outcome shows in is_member(). Negative: not possible now, *err says why.
	 */
	int (*remove_member)(const char *node_id, void *arg, struct err *err);
	void *arg;
};

/* Everything but env's content is borrowed. */
struct roles *roles_new(struct loop *loop, struct store *store, struct writer *writer,
			const struct roles_env *env);
/* NULL is fine. */
void roles_free(struct roles *r);
