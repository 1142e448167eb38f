// SPDX-License-Identifier: Apache-2.0
#include "api/conv.h"

const struct json_word json_task_states[] = {
	{"new", PB__TASK_STATE__NEW},
	{"pending", PB__TASK_STATE__PENDING},
	{"assigned", PB__TASK_STATE__ASSIGNED},
	{"accepted", PB__TASK_STATE__ACCEPTED},
	{"preparing", PB__TASK_STATE__PREPARING},
	{"ready", PB__TASK_STATE__READY},
	{"starting", PB__TASK_STATE__STARTING},
	{"running", PB__TASK_STATE__RUNNING},
	{"complete", PB__TASK_STATE__COMPLETE},
	{"shutdown", PB__TASK_STATE__SHUTDOWN},
	{"failed", PB__TASK_STATE__FAILED},
	{"rejected", PB__TASK_STATE__REJECTED},
	{"remove", PB__TASK_STATE__REMOVE},
	{"orphaned", PB__TASK_STATE__ORPHANED},
	{0},
};

static const struct json_table container_status = {
	&pb__container_status__descriptor,
	(const struct json_field[]){
		J_FIELD("ContainerID", J_STR, Pb__ContainerStatus, container_id, .flags = J_KEEP),
		J_FIELD("PID", J_I32, Pb__ContainerStatus, pid, .flags = J_KEEP),
		J_FIELD("ExitCode", J_I32, Pb__ContainerStatus, exit_code, .flags = J_KEEP),
		{0},
	},
};

static const struct json_table port_status = {
	&pb__port_status__descriptor,
	(const struct json_field[]){
		J_LIST("Ports", J_MSGS, Pb__PortStatus, ports, .table = &json_port_config),
		{0},
	},
};

static const struct json_table task_status = {
	&pb__task_status__descriptor,
	(const struct json_field[]){
		J_FIELD("Timestamp", J_TIME, Pb__TaskStatus, timestamp, .flags = J_KEEP),
		J_FIELD("State", J_ENUM, Pb__TaskStatus, state, .words = json_task_states),
		J_FIELD("Message", J_STR, Pb__TaskStatus, message),
		J_FIELD("Err", J_STR, Pb__TaskStatus, err),
		J_FIELD("ContainerStatus", J_MSG, Pb__TaskStatus, container,
			.table = &container_status),
		J_FIELD("PortStatus", J_MSG, Pb__TaskStatus, port_status, .flags = J_KEEP,
			.table = &port_status),
		{0},
	},
};

static const struct json_table ipam_config = {
	&pb__ipamconfig__descriptor,
	(const struct json_field[]){
		J_FIELD("Subnet", J_STR, Pb__IPAMConfig, subnet),
		J_FIELD("Range", J_STR, Pb__IPAMConfig, range),
		J_FIELD("Gateway", J_STR, Pb__IPAMConfig, gateway),
		{0},
	},
};

static const struct json_table ipam_options = {
	&pb__ipamoptions__descriptor,
	(const struct json_field[]){
		J_FIELD("Driver", J_MSG, Pb__IPAMOptions, driver, .flags = J_KEEP,
			.table = &json_driver),
		J_LIST("Configs", J_MSGS, Pb__IPAMOptions, configs, .table = &ipam_config),
		{0},
	},
};

static void write_scope(const void *msg, json_t *object)
{
	(void)msg;
	json_object_set_new(object, "Scope", json_string("swarm"));
}

static const struct json_table network_spec = {
	&pb__network_spec__descriptor,
	(const struct json_field[]){
		J_FIELD("", J_INLINE, Pb__NetworkSpec, annotations, .table = &json_annotations),
		J_FIELD("DriverConfiguration", J_MSG, Pb__NetworkSpec, driver_config,
			.table = &json_driver),
		J_FIELD("IPv6Enabled", J_BOOL, Pb__NetworkSpec, ipv6_enabled),
		J_FIELD("Internal", J_BOOL, Pb__NetworkSpec, internal),
		J_FIELD("Attachable", J_BOOL, Pb__NetworkSpec, attachable),
		J_FIELD("Ingress", J_BOOL, Pb__NetworkSpec, ingress),
		J_FIELD("IPAMOptions", J_MSG, Pb__NetworkSpec, ipam, .table = &ipam_options),
		{.name = "Scope", .type = J_CUSTOM, .write = write_scope},
		{0},
	},
};

static const struct json_table network = {
	&pb__network__descriptor,
	(const struct json_field[]){
		J_FIELD("ID", J_STR, Pb__Network, id),
		J_FIELD("", J_INLINE, Pb__Network, meta, .table = &json_meta),
		J_FIELD("Spec", J_MSG, Pb__Network, spec, .flags = J_KEEP, .table = &network_spec),
		J_FIELD("DriverState", J_MSG, Pb__Network, driver_state, .flags = J_KEEP,
			.table = &json_driver),
		J_FIELD("IPAMOptions", J_MSG, Pb__Network, ipam, .table = &ipam_options),
		{0},
	},
};

static const struct json_table attachment = {
	&pb__network_attachment__descriptor,
	(const struct json_field[]){
		J_FIELD("Network", J_MSG, Pb__NetworkAttachment, network, .flags = J_KEEP,
			.table = &network),
		J_LIST("Addresses", J_STRS, Pb__NetworkAttachment, addresses),
		{0},
	},
};

static const struct json_table volume_attachment = {
	&pb__volume_attachment__descriptor,
	(const struct json_field[]){
		J_FIELD("ID", J_STR, Pb__VolumeAttachment, id),
		J_FIELD("Source", J_STR, Pb__VolumeAttachment, source),
		J_FIELD("Target", J_STR, Pb__VolumeAttachment, target),
		{0},
	},
};

const struct json_table json_task = {
	&pb__task__descriptor,
	(const struct json_field[]){
		J_FIELD("ID", J_STR, Pb__Task, id),
		J_FIELD("", J_INLINE, Pb__Task, meta, .table = &json_meta),
		J_FIELD("", J_INLINE, Pb__Task, annotations, .table = &json_annotations),
		J_FIELD("Spec", J_MSG, Pb__Task, spec, .flags = J_KEEP, .table = &json_task_spec),
		J_FIELD("ServiceID", J_STR, Pb__Task, service_id),
		J_FIELD("Slot", J_U64, Pb__Task, slot),
		J_FIELD("NodeID", J_STR, Pb__Task, node_id),
		J_FIELD("Status", J_MSG, Pb__Task, status, .flags = J_FULL, .table = &task_status),
		J_FIELD("DesiredState", J_ENUM, Pb__Task, desired_state, .words = json_task_states),
		J_LIST("NetworksAttachments", J_MSGS, Pb__Task, networks, .table = &attachment),
		J_LIST("GenericResources", J_MSGS, Pb__Task, assigned_generic_resources,
		       .table = &json_generic_resource),
		J_FIELD("JobIteration", J_MSG, Pb__Task, job_iteration, .table = &json_version),
		J_LIST("Volumes", J_MSGS, Pb__Task, volumes, .flags = J_KEEP,
		       .table = &volume_attachment),
		{0},
	},
};

json_t *conv_task(const Pb__Task *task)
{
	return json_write(&json_task, task);
}
