// SPDX-License-Identifier: Apache-2.0
#include "api/conv.h"

static const struct json_word roles[] = {
	{"worker", PB__NODE_ROLE__WORKER},
	{"manager", PB__NODE_ROLE__MANAGER},
	{0},
};

static const struct json_word availabilities[] = {
	{"active", PB__NODE_SPEC__AVAILABILITY__ACTIVE},
	{"pause", PB__NODE_SPEC__AVAILABILITY__PAUSE},
	{"drain", PB__NODE_SPEC__AVAILABILITY__DRAIN},
	{0},
};

const struct json_table json_node_spec = {
	&pb__node_spec__descriptor,
	(const struct json_field[]){
		J_FIELD("", J_INLINE, Pb__NodeSpec, annotations, .table = &json_annotations),
		J_FIELD("Role", J_ENUM, Pb__NodeSpec, desired_role, .words = roles),
		J_FIELD("Availability", J_ENUM, Pb__NodeSpec, availability,
			.words = availabilities),
		{0},
	},
};

static const struct json_table plugin = {
	&pb__plugin_description__descriptor,
	(const struct json_field[]){
		J_FIELD("Type", J_STR, Pb__PluginDescription, type),
		J_FIELD("Name", J_STR, Pb__PluginDescription, name),
		{0},
	},
};

static const struct json_table engine = {
	&pb__engine_description__descriptor,
	(const struct json_field[]){
		J_FIELD("EngineVersion", J_STR, Pb__EngineDescription, engine_version),
		J_LIST("Labels", J_LABELS, Pb__EngineDescription, labels),
		J_LIST("Plugins", J_MSGS, Pb__EngineDescription, plugins, .table = &plugin),
		{0},
	},
};

const struct json_table json_tls_info = {
	&pb__node_tlsinfo__descriptor,
	(const struct json_field[]){
		J_FIELD("TrustRoot", J_TEXT, Pb__NodeTLSInfo, trust_root),
		J_FIELD("CertIssuerSubject", J_BYTES, Pb__NodeTLSInfo, cert_issuer_subject),
		J_FIELD("CertIssuerPublicKey", J_BYTES, Pb__NodeTLSInfo, cert_issuer_public_key),
		{0},
	},
};

static const struct json_table description = {
	&pb__node_description__descriptor,
	(const struct json_field[]){
		J_FIELD("Hostname", J_STR, Pb__NodeDescription, hostname),
		J_FIELD("Platform", J_MSG, Pb__NodeDescription, platform, .flags = J_KEEP,
			.table = &json_platform),
		J_FIELD("Resources", J_MSG, Pb__NodeDescription, resources, .flags = J_KEEP,
			.table = &json_resources),
		J_FIELD("Engine", J_MSG, Pb__NodeDescription, engine, .flags = J_KEEP,
			.table = &engine),
		J_FIELD("TLSInfo", J_MSG, Pb__NodeDescription, tls_info, .flags = J_KEEP,
			.table = &json_tls_info),
		{0},
	},
};

static const struct json_word states[] = {
	{"unknown", PB__NODE_STATUS__STATE__UNKNOWN},
	{"down", PB__NODE_STATUS__STATE__DOWN},
	{"ready", PB__NODE_STATUS__STATE__READY},
	{"disconnected", PB__NODE_STATUS__STATE__DISCONNECTED},
	{0},
};

static const struct json_table status = {
	&pb__node_status__descriptor,
	(const struct json_field[]){
		J_FIELD("State", J_ENUM, Pb__NodeStatus, state, .words = states),
		J_FIELD("Message", J_STR, Pb__NodeStatus, message),
		J_FIELD("Addr", J_STR, Pb__NodeStatus, addr),
		{0},
	},
};

static const struct json_word reachabilities[] = {
	{"unknown", PB__RAFT_MEMBER_STATUS__REACHABILITY__UNKNOWN},
	{"unreachable", PB__RAFT_MEMBER_STATUS__REACHABILITY__UNREACHABLE},
	{"reachable", PB__RAFT_MEMBER_STATUS__REACHABILITY__REACHABLE},
	{0},
};

static const struct json_table manager = {
	&pb__manager_status__descriptor,
	(const struct json_field[]){
		J_FIELD("Leader", J_BOOL, Pb__ManagerStatus, leader),
		J_FIELD("Reachability", J_ENUM, Pb__ManagerStatus, reachability,
			.words = reachabilities),
		J_FIELD("Addr", J_STR, Pb__ManagerStatus, addr),
		{0},
	},
};

const struct json_table json_node = {
	&pb__node__descriptor,
	(const struct json_field[]){
		J_FIELD("ID", J_STR, Pb__Node, id),
		J_FIELD("", J_INLINE, Pb__Node, meta, .table = &json_meta),
		J_FIELD("Spec", J_MSG, Pb__Node, spec, .flags = J_KEEP, .table = &json_node_spec),
		J_FIELD("Description", J_MSG, Pb__Node, description, .flags = J_KEEP,
			.table = &description),
		J_FIELD("Status", J_MSG, Pb__Node, status, .flags = J_FULL, .table = &status),
		J_FIELD("ManagerStatus", J_MSG, Pb__Node, manager_status, .table = &manager),
		{0},
	},
};

json_t *conv_node(const Pb__Node *node)
{
	return json_write(&json_node, node);
}
