// SPDX-License-Identifier: Apache-2.0
/* What several of the swarm's objects have in common. */
#include "api/conv.h"

const struct json_table json_annotations = {
	&pb__annotations__descriptor,
	(const struct json_field[]){
		J_FIELD("Name", J_STR, Pb__Annotations, name),
		J_LIST("Labels", J_LABELS, Pb__Annotations, labels, .flags = J_KEEP),
		{0},
	},
};

const struct json_table json_version = {
	&pb__version__descriptor,
	(const struct json_field[]){
		J_FIELD("Index", J_U64, Pb__Version, index, .flags = J_KEEP),
		{0},
	},
};

const struct json_table json_meta = {
	&pb__meta__descriptor,
	(const struct json_field[]){
		J_FIELD("Version", J_MSG, Pb__Meta, version, .flags = J_KEEP,
			.table = &json_version),
		J_FIELD("CreatedAt", J_TIME, Pb__Meta, created_at, .flags = J_KEEP),
		J_FIELD("UpdatedAt", J_TIME, Pb__Meta, updated_at, .flags = J_KEEP),
		{0},
	},
};

const struct json_table json_driver = {
	&pb__driver__descriptor,
	(const struct json_field[]){
		J_FIELD("Name", J_STR, Pb__Driver, name),
		J_LIST("Options", J_LABELS, Pb__Driver, options),
		{0},
	},
};

const struct json_table json_platform = {
	&pb__platform__descriptor,
	(const struct json_field[]){
		J_FIELD("Architecture", J_STR, Pb__Platform, architecture),
		J_FIELD("OS", J_STR, Pb__Platform, os),
		{0},
	},
};

static const struct json_table named_resource = {
	&pb__named_generic_resource__descriptor,
	(const struct json_field[]){
		J_FIELD("Kind", J_STR, Pb__NamedGenericResource, kind),
		J_FIELD("Value", J_STR, Pb__NamedGenericResource, value),
		{0},
	},
};

static const struct json_table discrete_resource = {
	&pb__discrete_generic_resource__descriptor,
	(const struct json_field[]){
		J_FIELD("Kind", J_STR, Pb__DiscreteGenericResource, kind),
		J_FIELD("Value", J_I64, Pb__DiscreteGenericResource, value, .flags = J_KEEP),
		{0},
	},
};

const struct json_table json_generic_resource = {
	&pb__generic_resource__descriptor,
	(const struct json_field[]){
		J_ONEOF("NamedResourceSpec", J_MSG, Pb__GenericResource, named, resource_case,
			PB__GENERIC_RESOURCE__RESOURCE_NAMED, .table = &named_resource),
		J_ONEOF("DiscreteResourceSpec", J_MSG, Pb__GenericResource, discrete, resource_case,
			PB__GENERIC_RESOURCE__RESOURCE_DISCRETE, .table = &discrete_resource),
		{0},
	},
};

static const struct json_word protocols[] = {
	{"tcp", PB__PORT_CONFIG__PROTOCOL__TCP},
	{"udp", PB__PORT_CONFIG__PROTOCOL__UDP},
	{"sctp", PB__PORT_CONFIG__PROTOCOL__SCTP},
	{0},
};

static const struct json_word publish_modes[] = {
	{"ingress", PB__PORT_CONFIG__PUBLISH_MODE__INGRESS},
	{"host", PB__PORT_CONFIG__PUBLISH_MODE__HOST},
	{0},
};

const struct json_table json_port_config = {
	&pb__port_config__descriptor,
	(const struct json_field[]){
		J_FIELD("Name", J_STR, Pb__PortConfig, name),
		J_FIELD("Protocol", J_ENUM, Pb__PortConfig, protocol, .words = protocols),
		J_FIELD("TargetPort", J_U32, Pb__PortConfig, target_port),
		J_FIELD("PublishedPort", J_U32, Pb__PortConfig, published_port),
		J_FIELD("PublishMode", J_ENUM, Pb__PortConfig, publish_mode,
			.words = publish_modes),
		{0},
	},
};

const struct json_table json_resources = {
	&pb__resources__descriptor,
	(const struct json_field[]){
		J_FIELD("NanoCPUs", J_I64, Pb__Resources, nano_cpus),
		J_FIELD("MemoryBytes", J_I64, Pb__Resources, memory_bytes),
		J_LIST("GenericResources", J_MSGS, Pb__Resources, generic,
		       .table = &json_generic_resource),
		{0},
	},
};
