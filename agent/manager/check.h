/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the swarm refuses: specs that are well-formed JSON but make no sense, and references to what
 * is not there. Pure. Errors have the sentences and codes of SwarmKit's control API (grpc_err()).
 * Source: swarmkit manager/controlapi/{common,service,network,secret,config,cluster}.go; moby
 * daemon/cluster/executor/container/validate.go (mounts).
 */
#pragma once

#include "core/err.h"
#include "store/store.h"

/* Names of services and networks: a DNS label. */
int check_dns_name(const Pb__Annotations *a, struct err *err);
/* Names of secrets and configs. */
int check_file_name(const Pb__Annotations *a, struct err *err);
/* The spec by itself. */
int check_service_spec(const Pb__ServiceSpec *s, struct err *err);
/*
 * The spec against the store: published ports, secrets, configs, networks; the networks' names in
 * it are replaced by IDs. service_id: of the service that is updated, or NULL.
 */
int check_service_refs(struct store *store, Pb__ServiceSpec *s, const char *service_id,
		       struct err *err);
int check_network_spec(const Pb__NetworkSpec *s, struct err *err);
/* One of bridge and host, which are in the store for services to name: nobody's to make or remove. */
bool check_network_predefined(const Pb__Network *n);
int check_secret_spec(const Pb__SecretSpec *s, struct err *err);
int check_config_spec(const Pb__ConfigSpec *s, struct err *err);
/* A complete spec (every sub-message is there). */
int check_cluster_spec(const Pb__ClusterSpec *s, struct err *err);
/* The first service (or task) that uses the network; NULL: none. Ingress is used by published ports. */
const void *check_network_user(struct store *store, const Pb__Network *n);
/* The first service that refers to the secret or config. */
const Pb__Service *check_secret_user(struct store *store, const char *id);
const Pb__Service *check_config_user(struct store *store, const char *id);
