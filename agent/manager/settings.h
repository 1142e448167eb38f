/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node keeps of its swarm besides certificates and raft: how it takes part
 * (docker-state.json) and the managers it knows (state.json), in dockerd's files and forms.
 * Source: moby daemon/cluster/noderunner.go (nodeStartConfig), swarmkit node/node.go (persistentRemotes).
 */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "manager/address.h"

struct swarm_settings {
	struct swarm_addresses addr;
	char remote[ADDRESS_SIZE]; /* the manager joined at; "" for the first node */
	char *availability; /* "active", "pause", "drain" */
	char *token; /* while joining; NULL after */
	bool joining;
	json_t *pools; /* --default-addr-pool: array of CIDRs, or NULL */
	uint32_t subnet_size;
	uint32_t data_path_port;
	bool autolock;
	json_t *managers; /* array of {"node_id", "addr"}; never NULL after load or init */
};

void swarm_settings_init(struct swarm_settings *s);
void swarm_settings_done(struct swarm_settings *s);
/* From <dir>/docker-state.json and state.json. -ENOENT: this node is in no swarm. -EINVAL. */
int swarm_settings_load(struct swarm_settings *s, const char *dir, struct err *err);
/* Both files, atomically each. */
int swarm_settings_save(const struct swarm_settings *s, const char *dir, struct err *err);
/* Replace the list of managers (stolen) and save it, if it differs. */
int swarm_settings_managers(struct swarm_settings *s, const char *dir, json_t *managers,
			    struct err *err);
