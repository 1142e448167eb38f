/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects a swarm cannot be without: the cluster "default", the networks ingress, bridge and
 * host, and the first manager's node. Pure; the caller's transaction.
 * Source: swarmkit manager/manager.go (becomeLeader), dockerd's predefined networks.
 */
#pragma once

#include "core/rng.h"
#include "store/store.h"

/* All borrowed for the call. */
struct bootstrap {
	struct rng *rng;
	const char *cluster_id; /* the certificates' organisation */
	const Pb__ClusterSpec *spec; /* may be NULL; absent parts get SwarmKit's defaults */
	const char *root_cert, *root_key; /* PEM; key may be NULL (external CA) */
	const char *root_digest; /* "sha256:…" of the PEM bundle: root_ca.ca_cert_hash */
	const char *worker_token, *manager_token;
	const char *const *address_pool; /* NULL-terminated CIDRs; NULL: 10.0.0.0/8 */
	uint32_t subnet_size; /* 0: 24 */
	uint32_t vxlan_port; /* 0: 4789 */
	const char *unlock_key; /* 32 bytes, when managers are locked; else NULL */
	/* the first manager */
	const char *node_id;
	const char *csr, *cert; /* PEM of its certificate; may be NULL */
	Pb__NodeSpec__Availability availability;
};

/*
 * Create what is missing; what exists is left alone, so that every new leader may call it. A
 * swarm_build: arg is the struct bootstrap.
 */
int bootstrap_build(struct store_tx *tx, void *arg, struct err *err);
/* Fill what a cluster's spec leaves out (a caller's own copy). */
void bootstrap_spec_defaults(Pb__ClusterSpec *spec);
