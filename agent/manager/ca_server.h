/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The swarm's CA as services CA and NodeCA: hands out the root certificate, admits nodes by join
 * token, signs and renews their certificates, and drives the rotation of the root: cross-signed
 * intermediate, every node renewed, then the new root. Loop thread only.
 *
 * A rotation begins when the cluster's spec.ca_config.force_rotate differs from
 * root_ca.last_forced_rotation, or signing_ca_cert (with signing_ca_key) from the root. It ends when
 * every node says in its description's tls_info that its certificate is the new root's.
 * Source: SWARM-WIRE §1; swarmkit ca/server.go, ca/reconciler.go, manager/controlapi/ca_rotation.go.
 */
#pragma once

#include "manager/leader_env.h"
#include "wire/objects.pb-c.h"

struct ca_server;

struct ca_server *ca_server_new(const struct leader_env *env);
/* Before the grpc_server, after writer_stop(). NULL is fine. */
void ca_server_free(struct ca_server *ca);
/* Begin and stop to sign: with the leadership. */
void ca_server_lead(struct ca_server *ca, bool leads);

/* Whether the node was removed from the swarm: for grpc_server_options.blacklisted. */
bool ca_blacklisted(const struct store *store, const char *node_id);
/*
 * Begin a rotation in the caller's copy of the cluster: root_ca.root_rotation is set. Does nothing
 * when no rotation is asked for. -EINVAL with a sentence for a certificate or key that is unfit.
 */
int ca_rotation_begin(Pb__Cluster *cluster, struct err *err);
/* New join tokens for the worker's role, the manager's or both, in the caller's copy. */
int ca_rotate_tokens(Pb__Cluster *cluster, bool worker, bool manager, struct err *err);
