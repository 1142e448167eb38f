/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The swarm's objects as the Engine API shows and takes them: a table an object (api/json.h) and
 * what a table cannot say. Pure. One file a resource: conv_<resource>.c.
 * Source: the Engine API's OpenAPI file; moby daemon/cluster/convert; swarmkit api/defaults.
 */
#pragma once

#include "api/json.h"
#include "wire/objects.pb-c.h"

extern const struct json_table json_annotations, json_meta, json_driver, json_version,
	json_resources;
extern const struct json_table json_task_spec, json_port_config, json_generic_resource,
	json_platform;
extern const struct json_table json_service_spec, json_task, json_network_attachment;
extern const struct json_table json_node, json_node_spec, json_tls_info;
extern const struct json_table json_cluster_spec;
extern const struct json_table json_secret, json_secret_spec, json_config, json_config_spec;
extern const struct json_word json_task_states[];

/*
 * A ServiceSpec of a request, with the fields removed that API version (1.40 is 140) did not have,
 * and completed as dockerd does (mode, name). *ret is the caller's to pb_free().
 */
int conv_service_spec(json_t *value, unsigned int version, Pb__ServiceSpec **ret, struct err *err);
/* The Service of the API. defaults: fill in what the orchestrator assumes where the spec is silent. */
json_t *conv_service(const Pb__Service *service, bool defaults);
json_t *conv_task(const Pb__Task *task);
json_t *conv_node(const Pb__Node *node);
/* ClusterInfo; tokens adds JoinTokens, which makes it the Swarm object of GET /swarm. */
json_t *conv_cluster(const Pb__Cluster *cluster, bool tokens);
/*
 * The spec of a request for the cluster, merged over old (may be NULL: the defaults of a new
 * swarm). *ret is the caller's.
 */
int conv_cluster_spec(json_t *value, const Pb__ClusterSpec *old, Pb__ClusterSpec **ret,
		      struct err *err);
json_t *conv_secret(const Pb__Secret *secret);
json_t *conv_config(const Pb__Config *config);
/*
 * A network of the swarm as GET /networks/{id} shows it, without Containers and Peers.
 * conv_network_spec reads the body of POST /networks/create.
 */
json_t *conv_network(const Pb__Network *network, unsigned int version);
int conv_network_spec(json_t *body, Pb__NetworkSpec **ret, struct err *err);
