// SPDX-License-Identifier: Apache-2.0
#include "api/conv.h"

#include <errno.h>
#include <stdio.h>

#include "core/rng.h"
#include "manager/control.h"

static const struct json_word failure_actions[] = {
	{"pause", PB__UPDATE_CONFIG__FAILURE_ACTION__PAUSE},
	{"continue", PB__UPDATE_CONFIG__FAILURE_ACTION__CONTINUE},
	{"rollback", PB__UPDATE_CONFIG__FAILURE_ACTION__ROLLBACK},
	{0},
};

static const struct json_word orders[] = {
	{"stop-first", PB__UPDATE_CONFIG__UPDATE_ORDER__STOP_FIRST},
	{"start-first", PB__UPDATE_CONFIG__UPDATE_ORDER__START_FIRST},
	{0},
};

static const struct json_table update_config = {
	&pb__update_config__descriptor,
	(const struct json_field[]){
		J_FIELD("Parallelism", J_U64, Pb__UpdateConfig, parallelism, .flags = J_KEEP),
		J_FIELD("Delay", J_DURATION, Pb__UpdateConfig, delay),
		J_FIELD("FailureAction", J_ENUM, Pb__UpdateConfig, failure_action,
			.words = failure_actions),
		J_FIELD("Monitor", J_DURATION, Pb__UpdateConfig, monitor),
		J_FIELD("MaxFailureRatio", J_F32, Pb__UpdateConfig, max_failure_ratio,
			.flags = J_KEEP),
		J_FIELD("Order", J_ENUM, Pb__UpdateConfig, order, .words = orders),
		{0},
	},
};

static const struct json_table replicated = {
	&pb__replicated_service__descriptor,
	(const struct json_field[]){
		J_FIELD("Replicas", J_U64, Pb__ReplicatedService, replicas, .flags = J_KEEP),
		{0},
	},
};

static const struct json_table global = {
	&pb__global_service__descriptor,
	(const struct json_field[]){{0}},
};

static const struct json_table replicated_job = {
	&pb__replicated_job__descriptor,
	(const struct json_field[]){
		J_FIELD("MaxConcurrent", J_U64, Pb__ReplicatedJob, max_concurrent, .flags = J_KEEP),
		J_FIELD("TotalCompletions", J_U64, Pb__ReplicatedJob, total_completions,
			.flags = J_KEEP),
		{0},
	},
};

static const struct json_table global_job = {
	&pb__global_job__descriptor,
	(const struct json_field[]){{0}},
};

static const struct json_table mode_table = {
	&pb__service_spec__descriptor,
	(const struct json_field[]){
		J_ONEOF("Replicated", J_MSG, Pb__ServiceSpec, replicated, mode_case,
			PB__SERVICE_SPEC__MODE_REPLICATED, .table = &replicated),
		J_ONEOF("Global", J_MSG, Pb__ServiceSpec, global, mode_case,
			PB__SERVICE_SPEC__MODE_GLOBAL, .table = &global),
		J_ONEOF("ReplicatedJob", J_MSG, Pb__ServiceSpec, replicated_job, mode_case,
			PB__SERVICE_SPEC__MODE_REPLICATED_JOB, .table = &replicated_job),
		J_ONEOF("GlobalJob", J_MSG, Pb__ServiceSpec, global_job, mode_case,
			PB__SERVICE_SPEC__MODE_GLOBAL_JOB, .table = &global_job),
		{0},
	},
};

/* One, or the number of them that is given; both of a job default to one or to each other. */
static void default_counts(json_t *v, Pb__ServiceSpec *spec)
{
	json_t *job = json_member(v, "ReplicatedJob");

	if (spec->mode_case == PB__SERVICE_SPEC__MODE_REPLICATED &&
	    !json_member(json_member(v, "Replicated"), "Replicas"))
		spec->replicated->replicas = 1;
	if (spec->mode_case != PB__SERVICE_SPEC__MODE_REPLICATED_JOB)
		return;
	if (!json_member(job, "MaxConcurrent"))
		spec->replicated_job->max_concurrent = 1;
	if (!json_member(job, "TotalCompletions"))
		spec->replicated_job->total_completions = spec->replicated_job->max_concurrent;
}

static int read_mode(struct json_in *in, json_t *v, void *msg)
{
	static const char *const names[] = {"Replicated", "Global", "ReplicatedJob", "GlobalJob"};
	size_t n = 0;
	int rc;

	if (!json_is_object(v))
		return json_type_error(in, v, "ServiceMode");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		n += json_member(v, names[i]) != NULL;
	if (n > 1)
		return err_set(in->err, -EINVAL, "must specify only one service mode");
	rc = json_read_into(&mode_table, in, v, msg);
	if (!rc)
		default_counts(v, msg);
	return rc;
}

static void write_mode(const void *msg, json_t *object)
{
	json_object_set_new(object, "Mode", json_write(&mode_table, msg));
}

static const struct json_word resolution_modes[] = {
	{"vip", PB__ENDPOINT_SPEC__RESOLUTION_MODE__VIP},
	{"dnsrr", PB__ENDPOINT_SPEC__RESOLUTION_MODE__DNSRR},
	{0},
};

static const struct json_table endpoint_spec = {
	&pb__endpoint_spec__descriptor,
	(const struct json_field[]){
		J_FIELD("Mode", J_ENUM, Pb__EndpointSpec, mode, .words = resolution_modes),
		J_LIST("Ports", J_MSGS, Pb__EndpointSpec, ports, .table = &json_port_config),
		{0},
	},
};

const struct json_table json_service_spec = {
	&pb__service_spec__descriptor,
	(const struct json_field[]){
		J_FIELD("", J_INLINE, Pb__ServiceSpec, annotations, .table = &json_annotations),
		J_FIELD("TaskTemplate", J_MSG, Pb__ServiceSpec, task, .flags = J_KEEP,
			.table = &json_task_spec),
		{.name = "Mode", .type = J_CUSTOM, .read = read_mode, .write = write_mode},
		J_FIELD("UpdateConfig", J_MSG, Pb__ServiceSpec, update, .table = &update_config),
		J_FIELD("RollbackConfig", J_MSG, Pb__ServiceSpec, rollback,
			.table = &update_config),
		J_LIST("Networks", J_MSGS, Pb__ServiceSpec, networks,
		       .table = &json_network_attachment),
		J_FIELD("EndpointSpec", J_MSG, Pb__ServiceSpec, endpoint, .table = &endpoint_spec),
		{0},
	},
};

/* Fields that an older API did not have are passed over, as by the daemon of its time. */
static void forget_newer(Pb__ServiceSpec *s, unsigned int version)
{
	Pb__ContainerSpec *c = s->task->container;

	if (version < 146) {
		for (size_t i = 0; i < c->n_mounts; i++)
			if (c->mounts[i]->tmpfs_options)
				pb_set_str(&c->mounts[i]->tmpfs_options->options, NULL);
		c->oom_score_adj = 0;
	}
	if (version < 144 && c->privileges) {
		pb_free(c->privileges->seccomp);
		pb_free(c->privileges->apparmor);
		c->privileges->seccomp = NULL;
		c->privileges->apparmor = NULL;
		c->privileges->no_new_privileges = false;
	}
	if (version < 144 && c->healthcheck) {
		pb_free(c->healthcheck->start_interval);
		c->healthcheck->start_interval = NULL;
	}
	if (version < 141) {
		for (size_t i = 0; i < c->n_ulimits; i++)
			pb_free(c->ulimits[i]);
		c->n_ulimits = 0;
		for (size_t i = 0; i < c->n_capability_add; i++)
			free(c->capability_add[i]);
		c->n_capability_add = 0;
		for (size_t i = 0; i < c->n_capability_drop; i++)
			free(c->capability_drop[i]);
		c->n_capability_drop = 0;
		c->pids_limit = 0;
	}
	if (version < 140) {
		for (size_t i = 0; i < c->n_sysctls; i++)
			pb_free(c->sysctls[i]);
		c->n_sysctls = 0;
		if (s->task->placement)
			s->task->placement->max_replicas = 0;
	}
}

/* dockerd makes up a name for a service without one. */
static void default_name(Pb__ServiceSpec *s)
{
	static const char *const left[] = {"agile",  "brave", "calm",  "daring", "eager", "fair",
					   "gentle", "happy", "keen",  "lively", "merry", "noble",
					   "quick",  "quiet", "sharp", "steady"};
	static const char *const right[] = {
		"babbage", "boole", "cerf",  "dijkstra", "engelbart", "floyd", "hamming", "hoare",
		"hopper",  "kay",   "knuth", "lamport",	 "liskov",    "mills", "ritchie", "turing"};
	struct rng rng;
	char name[40];

	if (!str_empty(s->annotations->name))
		return;
	rng_seed_os(&rng);
	snprintf(name, sizeof(name), "%s_%s", left[rng_below(&rng, ARRAY_SIZE(left))],
		 right[rng_below(&rng, ARRAY_SIZE(right))]);
	pb_set_str(&s->annotations->name, name);
}

int conv_service_spec(json_t *value, unsigned int version, Pb__ServiceSpec **ret, struct err *err)
{
	Pb__ServiceSpec *s = NULL;
	int rc = json_read(&json_service_spec, "ServiceSpec", value, &s, err);

	if (!rc && (!s->task || s->task->runtime_case != PB__TASK_SPEC__RUNTIME_CONTAINER))
		rc = err_set(err, -EINVAL, "mismatched Runtime and *Spec fields");
	if (rc) {
		pb_free(s);
		return rc;
	}
	forget_newer(s, version);
	default_name(s);
	/* networks of the service are what its tasks are attached to, from before 1.25 */
	if (!s->task->n_networks) {
		s->task->networks = steal_ptr(s->networks);
		s->task->n_networks = s->n_networks;
		s->n_networks = 0;
	}
	if (!s->mode_case) {
		s->mode_case = PB__SERVICE_SPEC__MODE_REPLICATED;
		s->replicated = pb_new(pb__replicated_service);
		s->replicated->replicas = 1;
	}
	*ret = s;
	return 0;
}

static const struct json_table virtual_ip = {
	&pb__endpoint__virtual_ip__descriptor,
	(const struct json_field[]){
		J_FIELD("NetworkID", J_STR, Pb__Endpoint__VirtualIP, network_id),
		J_FIELD("Addr", J_STR, Pb__Endpoint__VirtualIP, addr),
		{0},
	},
};

static const struct json_table endpoint = {
	&pb__endpoint__descriptor,
	(const struct json_field[]){
		J_FIELD("Spec", J_MSG, Pb__Endpoint, spec, .flags = J_KEEP,
			.table = &endpoint_spec),
		J_LIST("Ports", J_MSGS, Pb__Endpoint, ports, .table = &json_port_config),
		J_LIST("VirtualIPs", J_MSGS, Pb__Endpoint, virtual_ips, .table = &virtual_ip),
		{0},
	},
};

static const struct json_word update_states[] = {
	{"", PB__UPDATE_STATUS__UPDATE_STATE__UNKNOWN},
	{"updating", PB__UPDATE_STATUS__UPDATE_STATE__UPDATING},
	{"paused", PB__UPDATE_STATUS__UPDATE_STATE__PAUSED},
	{"completed", PB__UPDATE_STATUS__UPDATE_STATE__COMPLETED},
	{"rollback_started", PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_STARTED},
	{"rollback_paused", PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_PAUSED},
	{"rollback_completed", PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_COMPLETED},
	{0},
};

static const struct json_table update_status = {
	&pb__update_status__descriptor,
	(const struct json_field[]){
		J_FIELD("State", J_ENUM, Pb__UpdateStatus, state, .words = update_states),
		J_FIELD("StartedAt", J_TIME, Pb__UpdateStatus, started_at),
		J_FIELD("CompletedAt", J_TIME, Pb__UpdateStatus, completed_at),
		J_FIELD("Message", J_STR, Pb__UpdateStatus, message),
		{0},
	},
};

static const struct json_table job_status = {
	&pb__job_status__descriptor,
	(const struct json_field[]){
		J_FIELD("JobIteration", J_MSG, Pb__JobStatus, job_iteration, .flags = J_KEEP,
			.table = &json_version),
		J_FIELD("LastExecution", J_TIME, Pb__JobStatus, last_execution, .flags = J_KEEP),
		{0},
	},
};

static const struct json_table service_table = {
	&pb__service__descriptor,
	(const struct json_field[]){
		J_FIELD("ID", J_STR, Pb__Service, id),
		J_FIELD("", J_INLINE, Pb__Service, meta, .table = &json_meta),
		J_FIELD("Spec", J_MSG, Pb__Service, spec, .flags = J_KEEP,
			.table = &json_service_spec),
		J_FIELD("PreviousSpec", J_MSG, Pb__Service, previous_spec,
			.table = &json_service_spec),
		J_FIELD("Endpoint", J_MSG, Pb__Service, endpoint, .flags = J_KEEP,
			.table = &endpoint),
		J_FIELD("UpdateStatus", J_MSG, Pb__Service, update_status, .table = &update_status),
		J_FIELD("JobStatus", J_MSG, Pb__Service, job_status, .table = &job_status),
		{0},
	},
};

json_t *conv_service(const Pb__Service *service, bool defaults)
{
	_cleanup_pb_ Pb__Service *full = NULL;

	if (defaults) {
		full = pb_clone(service);
		control_service_defaults(pb_need(&full->spec, pb__service_spec));
		service = full;
	}
	return json_write(&service_table, service);
}
