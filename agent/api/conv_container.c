// SPDX-License-Identifier: Apache-2.0
/* TaskSpec with its ContainerSpec: what runs in a task. */
#include "api/conv.h"

#include <errno.h>

/* --- mounts --- */

static const struct json_word mount_types[] = {
	{"bind", PB__MOUNT__TYPE__BIND},       {"volume", PB__MOUNT__TYPE__VOLUME},
	{"tmpfs", PB__MOUNT__TYPE__TMPFS},     {"npipe", PB__MOUNT__TYPE__NPIPE},
	{"cluster", PB__MOUNT__TYPE__CLUSTER}, {0},
};

static const struct json_word consistencies[] = {
	{"default", PB__MOUNT__CONSISTENCY__DEFAULT},
	{"consistent", PB__MOUNT__CONSISTENCY__CONSISTENT},
	{"cached", PB__MOUNT__CONSISTENCY__CACHED},
	{"delegated", PB__MOUNT__CONSISTENCY__DELEGATED},
	{0},
};

static const struct json_word propagations[] = {
	{"rprivate", PB__MOUNT__BIND_OPTIONS__PROPAGATION__RPRIVATE},
	{"private", PB__MOUNT__BIND_OPTIONS__PROPAGATION__PRIVATE},
	{"rshared", PB__MOUNT__BIND_OPTIONS__PROPAGATION__RSHARED},
	{"shared", PB__MOUNT__BIND_OPTIONS__PROPAGATION__SHARED},
	{"rslave", PB__MOUNT__BIND_OPTIONS__PROPAGATION__RSLAVE},
	{"slave", PB__MOUNT__BIND_OPTIONS__PROPAGATION__SLAVE},
	{0},
};

static const struct json_table bind_options = {
	&pb__mount__bind_options__descriptor,
	(const struct json_field[]){
		J_FIELD("Propagation", J_ENUM, Pb__Mount__BindOptions, propagation,
			.words = propagations),
		J_FIELD("NonRecursive", J_BOOL, Pb__Mount__BindOptions, nonrecursive),
		J_FIELD("CreateMountpoint", J_BOOL, Pb__Mount__BindOptions, create_mountpoint),
		J_FIELD("ReadOnlyNonRecursive", J_BOOL, Pb__Mount__BindOptions,
			readonly_nonrecursive),
		J_FIELD("ReadOnlyForceRecursive", J_BOOL, Pb__Mount__BindOptions,
			readonly_force_recursive),
		{0},
	},
};

static const struct json_table volume_options = {
	&pb__mount__volume_options__descriptor,
	(const struct json_field[]){
		J_FIELD("NoCopy", J_BOOL, Pb__Mount__VolumeOptions, nocopy),
		J_LIST("Labels", J_LABELS, Pb__Mount__VolumeOptions, labels),
		J_FIELD("Subpath", J_STR, Pb__Mount__VolumeOptions, subpath),
		J_FIELD("DriverConfig", J_MSG, Pb__Mount__VolumeOptions, driver_config,
			.table = &json_driver),
		{0},
	},
};

/* [["noexec"], ["uid", "1000"]] ↔ the same as a text */
static int read_tmpfs_options(struct json_in *in, json_t *v, void *msg)
{
	Pb__Mount__TmpfsOptions *o = msg;
	json_t *pair, *word;
	size_t i, j;
	char *text;

	if (!json_is_array(v))
		return json_type_error(in, v, "[][]string");
	json_array_foreach (v, i, pair) {
		if (!json_is_array(pair))
			return json_type_error(in, pair, "[]string");
		if (!json_array_size(pair) || json_array_size(pair) > 2)
			return json_value_error(in, "invalid option array length");
		json_array_foreach (pair, j, word)
			if (!json_is_string(word))
				return json_type_error(in, word, "string");
	}
	if (!json_array_size(v))
		return 0;
	text = json_dumps(v, JSON_COMPACT);
	pb_set_str(&o->options, text);
	free(text);
	return 0;
}

static void write_tmpfs_options(const void *msg, json_t *object)
{
	const Pb__Mount__TmpfsOptions *o = msg;
	json_t *v = str_empty(o->options) ? NULL : json_loads(o->options, 0, NULL);

	if (json_is_array(v))
		json_object_set(object, "Options", v);
	json_decref(v);
}

static const struct json_table tmpfs_options = {
	&pb__mount__tmpfs_options__descriptor,
	(const struct json_field[]){
		J_FIELD("SizeBytes", J_I64, Pb__Mount__TmpfsOptions, size_bytes),
		J_FIELD("Mode", J_U32, Pb__Mount__TmpfsOptions, mode),
		{.name = "Options",
		 .type = J_CUSTOM,
		 .read = read_tmpfs_options,
		 .write = write_tmpfs_options},
		{0},
	},
};

static void write_consistency(const void *msg, json_t *object)
{
	const Pb__Mount *m = msg;

	for (const struct json_word *w = consistencies; m->consistency && w->word; w++)
		if (w->value == (int)m->consistency)
			json_object_set_new(object, "Consistency", json_string(w->word));
}

static int read_consistency(struct json_in *in, json_t *v, void *msg)
{
	Pb__Mount *m = msg;

	if (!json_is_string(v))
		return json_type_error(in, v, "string");
	for (const struct json_word *w = consistencies; w->word; w++)
		if (streq(w->word, json_string_value(v)))
			m->consistency = w->value;
	return 0;
}

static int refuse_image_options(struct json_in *in, json_t *v, void *msg)
{
	(void)v;
	(void)msg;
	return json_value_error(in, "mounts of images are not supported in services");
}

static const struct json_table mount_table = {
	&pb__mount__descriptor,
	(const struct json_field[]){
		J_FIELD("Type", J_ENUM, Pb__Mount, type, .words = mount_types),
		J_FIELD("Source", J_STR, Pb__Mount, source),
		J_FIELD("Target", J_STR, Pb__Mount, target),
		J_FIELD("ReadOnly", J_BOOL, Pb__Mount, readonly),
		{.name = "Consistency",
		 .type = J_CUSTOM,
		 .read = read_consistency,
		 .write = write_consistency},
		J_FIELD("BindOptions", J_MSG, Pb__Mount, bind_options, .table = &bind_options),
		J_FIELD("VolumeOptions", J_MSG, Pb__Mount, volume_options,
			.table = &volume_options),
		{.name = "ImageOptions", .type = J_CUSTOM, .read = refuse_image_options},
		J_FIELD("TmpfsOptions", J_MSG, Pb__Mount, tmpfs_options, .table = &tmpfs_options),
		{0},
	},
};

/* --- privileges --- */

static const struct json_table credential_spec = {
	&pb__privileges__credential_spec__descriptor,
	(const struct json_field[]){
		J_ONEOF("Config", J_STR, Pb__Privileges__CredentialSpec, config, source_case,
			PB__PRIVILEGES__CREDENTIAL_SPEC__SOURCE_CONFIG),
		J_ONEOF("File", J_STR, Pb__Privileges__CredentialSpec, file, source_case,
			PB__PRIVILEGES__CREDENTIAL_SPEC__SOURCE_FILE),
		J_ONEOF("Registry", J_STR, Pb__Privileges__CredentialSpec, registry, source_case,
			PB__PRIVILEGES__CREDENTIAL_SPEC__SOURCE_REGISTRY),
		{0},
	},
};

static const struct json_table selinux = {
	&pb__privileges__selinux_context__descriptor,
	(const struct json_field[]){
		J_FIELD("Disable", J_BOOL, Pb__Privileges__SELinuxContext, disable,
			.flags = J_KEEP),
		J_FIELD("User", J_STR, Pb__Privileges__SELinuxContext, user, .flags = J_KEEP),
		J_FIELD("Role", J_STR, Pb__Privileges__SELinuxContext, role, .flags = J_KEEP),
		J_FIELD("Type", J_STR, Pb__Privileges__SELinuxContext, type, .flags = J_KEEP),
		J_FIELD("Level", J_STR, Pb__Privileges__SELinuxContext, level, .flags = J_KEEP),
		{0},
	},
};

static const struct json_word seccomp_modes[] = {
	{"default", PB__PRIVILEGES__SECCOMP_OPTS__SECCOMP_MODE__DEFAULT},
	{"unconfined", PB__PRIVILEGES__SECCOMP_OPTS__SECCOMP_MODE__UNCONFINED},
	{"custom", PB__PRIVILEGES__SECCOMP_OPTS__SECCOMP_MODE__CUSTOM},
	{0},
};

static const struct json_table seccomp = {
	&pb__privileges__seccomp_opts__descriptor,
	(const struct json_field[]){
		J_FIELD("Mode", J_ENUM, Pb__Privileges__SeccompOpts, mode, .words = seccomp_modes),
		J_FIELD("Profile", J_BYTES, Pb__Privileges__SeccompOpts, profile),
		{0},
	},
};

static const struct json_word apparmor_modes[] = {
	{"default", PB__PRIVILEGES__APP_ARMOR_OPTS__APP_ARMOR_MODE__DEFAULT},
	{"disabled", PB__PRIVILEGES__APP_ARMOR_OPTS__APP_ARMOR_MODE__DISABLED},
	{0},
};

static const struct json_table apparmor = {
	&pb__privileges__app_armor_opts__descriptor,
	(const struct json_field[]){
		J_FIELD("Mode", J_ENUM, Pb__Privileges__AppArmorOpts, mode,
			.words = apparmor_modes),
		{0},
	},
};

static const struct json_table privileges = {
	&pb__privileges__descriptor,
	(const struct json_field[]){
		J_FIELD("CredentialSpec", J_MSG, Pb__Privileges, credential_spec,
			.table = &credential_spec),
		J_FIELD("SELinuxContext", J_MSG, Pb__Privileges, selinux_context,
			.table = &selinux),
		J_FIELD("Seccomp", J_MSG, Pb__Privileges, seccomp, .table = &seccomp),
		J_FIELD("AppArmor", J_MSG, Pb__Privileges, apparmor, .table = &apparmor),
		J_FIELD("NoNewPrivileges", J_BOOL, Pb__Privileges, no_new_privileges),
		{0},
	},
};

/* --- the rest of a container --- */

static const struct json_table health = {
	&pb__health_config__descriptor,
	(const struct json_field[]){
		J_LIST("Test", J_STRS, Pb__HealthConfig, test),
		J_FIELD("Interval", J_DURATION, Pb__HealthConfig, interval),
		J_FIELD("Timeout", J_DURATION, Pb__HealthConfig, timeout),
		J_FIELD("StartPeriod", J_DURATION, Pb__HealthConfig, start_period),
		J_FIELD("StartInterval", J_DURATION, Pb__HealthConfig, start_interval),
		J_FIELD("Retries", J_I32, Pb__HealthConfig, retries),
		{0},
	},
};

static const struct json_table dns_config = {
	&pb__container_spec__dnsconfig__descriptor,
	(const struct json_field[]){
		J_LIST("Nameservers", J_STRS, Pb__ContainerSpec__DNSConfig, nameservers),
		J_LIST("Search", J_STRS, Pb__ContainerSpec__DNSConfig, search),
		J_LIST("Options", J_STRS, Pb__ContainerSpec__DNSConfig, options),
		{0},
	},
};

static const struct json_table ulimit = {
	&pb__container_spec__ulimit__descriptor,
	(const struct json_field[]){
		J_FIELD("Name", J_STR, Pb__ContainerSpec__Ulimit, name, .flags = J_KEEP),
		J_FIELD("Hard", J_I64, Pb__ContainerSpec__Ulimit, hard, .flags = J_KEEP),
		J_FIELD("Soft", J_I64, Pb__ContainerSpec__Ulimit, soft, .flags = J_KEEP),
		{0},
	},
};

static const struct json_table file_target = {
	&pb__file_target__descriptor,
	(const struct json_field[]){
		J_FIELD("Name", J_STR, Pb__FileTarget, name, .flags = J_KEEP),
		J_FIELD("UID", J_STR, Pb__FileTarget, uid, .flags = J_KEEP),
		J_FIELD("GID", J_STR, Pb__FileTarget, gid, .flags = J_KEEP),
		J_FIELD("Mode", J_U32, Pb__FileTarget, mode, .flags = J_KEEP),
		{0},
	},
};

static const struct json_table runtime_target = {
	&pb__runtime_target__descriptor,
	(const struct json_field[]){{0}},
};

static const struct json_table secret_reference = {
	&pb__secret_reference__descriptor,
	(const struct json_field[]){
		J_ONEOF("File", J_MSG, Pb__SecretReference, file, target_case,
			PB__SECRET_REFERENCE__TARGET_FILE, .table = &file_target),
		J_FIELD("SecretID", J_STR, Pb__SecretReference, secret_id, .flags = J_KEEP),
		J_FIELD("SecretName", J_STR, Pb__SecretReference, secret_name, .flags = J_KEEP),
		{0},
	},
};

static const struct json_table config_reference = {
	&pb__config_reference__descriptor,
	(const struct json_field[]){
		J_ONEOF("File", J_MSG, Pb__ConfigReference, file, target_case,
			PB__CONFIG_REFERENCE__TARGET_FILE, .table = &file_target),
		J_ONEOF("Runtime", J_MSG, Pb__ConfigReference, runtime, target_case,
			PB__CONFIG_REFERENCE__TARGET_RUNTIME, .table = &runtime_target),
		J_FIELD("ConfigID", J_STR, Pb__ConfigReference, config_id, .flags = J_KEEP),
		J_FIELD("ConfigName", J_STR, Pb__ConfigReference, config_name, .flags = J_KEEP),
		{0},
	},
};

static const struct json_word isolations[] = {
	{"default", PB__CONTAINER_SPEC__ISOLATION__ISOLATION_DEFAULT},
	{"process", PB__CONTAINER_SPEC__ISOLATION__ISOLATION_PROCESS},
	{"hyperv", PB__CONTAINER_SPEC__ISOLATION__ISOLATION_HYPERV},
	{0},
};

static const struct json_table container_spec = {
	&pb__container_spec__descriptor,
	(const struct json_field[]){
		J_FIELD("Image", J_STR, Pb__ContainerSpec, image),
		J_LIST("Labels", J_LABELS, Pb__ContainerSpec, labels),
		J_LIST("Command", J_STRS, Pb__ContainerSpec, command),
		J_LIST("Args", J_STRS, Pb__ContainerSpec, args),
		J_FIELD("Hostname", J_STR, Pb__ContainerSpec, hostname),
		J_LIST("Env", J_STRS, Pb__ContainerSpec, env),
		J_FIELD("Dir", J_STR, Pb__ContainerSpec, dir),
		J_FIELD("User", J_STR, Pb__ContainerSpec, user),
		J_LIST("Groups", J_STRS, Pb__ContainerSpec, groups),
		J_FIELD("Privileges", J_MSG, Pb__ContainerSpec, privileges, .table = &privileges),
		J_FIELD("Init", J_BOOL_VALUE, Pb__ContainerSpec, init),
		J_FIELD("StopSignal", J_STR, Pb__ContainerSpec, stop_signal),
		J_FIELD("TTY", J_BOOL, Pb__ContainerSpec, tty),
		J_FIELD("OpenStdin", J_BOOL, Pb__ContainerSpec, open_stdin),
		J_FIELD("ReadOnly", J_BOOL, Pb__ContainerSpec, read_only),
		J_LIST("Mounts", J_MSGS, Pb__ContainerSpec, mounts, .table = &mount_table),
		J_FIELD("StopGracePeriod", J_DURATION, Pb__ContainerSpec, stop_grace_period),
		J_FIELD("Healthcheck", J_MSG, Pb__ContainerSpec, healthcheck, .table = &health),
		J_LIST("Hosts", J_STRS, Pb__ContainerSpec, hosts),
		J_FIELD("DNSConfig", J_MSG, Pb__ContainerSpec, dns_config, .table = &dns_config),
		J_LIST("Secrets", J_MSGS, Pb__ContainerSpec, secrets, .table = &secret_reference),
		J_LIST("Configs", J_MSGS, Pb__ContainerSpec, configs, .table = &config_reference),
		J_FIELD("Isolation", J_ENUM, Pb__ContainerSpec, isolation, .words = isolations),
		J_LIST("Sysctls", J_LABELS, Pb__ContainerSpec, sysctls),
		J_LIST("CapabilityAdd", J_STRS, Pb__ContainerSpec, capability_add),
		J_LIST("CapabilityDrop", J_STRS, Pb__ContainerSpec, capability_drop),
		J_LIST("Ulimits", J_MSGS, Pb__ContainerSpec, ulimits, .table = &ulimit),
		J_FIELD("OomScoreAdj", J_I64, Pb__ContainerSpec, oom_score_adj),
		{0},
	},
};

/* --- the task around it --- */

static const struct json_table attachment_spec = {
	&pb__network_attachment_spec__descriptor,
	(const struct json_field[]){
		J_FIELD("ContainerID", J_STR, Pb__NetworkAttachmentSpec, container_id),
		{0},
	},
};

static const struct json_table requirements = {
	&pb__resource_requirements__descriptor,
	(const struct json_field[]){
		J_FIELD("Limits", J_MSG, Pb__ResourceRequirements, limits,
			.table = &json_resources),
		J_FIELD("Reservations", J_MSG, Pb__ResourceRequirements, reservations,
			.table = &json_resources),
		J_FIELD("SwapBytes", J_I64_VALUE, Pb__ResourceRequirements, swap_bytes),
		J_FIELD("MemorySwappiness", J_I64_VALUE, Pb__ResourceRequirements,
			memory_swappiness),
		{0},
	},
};

static Pb__ContainerSpec *container_of_task(const Pb__TaskSpec *t)
{
	return t->runtime_case == PB__TASK_SPEC__RUNTIME_CONTAINER ? t->container : NULL;
}

/* The limit of processes is the container's in swarmkit, a resource in the API. */
static int read_resources(struct json_in *in, json_t *v, void *msg)
{
	Pb__TaskSpec *t = msg;
	json_t *pids;
	int rc = json_read_into(&requirements, in, v,
				pb_need(&t->resources, pb__resource_requirements));

	if (rc)
		return rc;
	pids = json_member(json_member(v, "Limits"), "Pids");
	if (!pids)
		return 0;
	if (!json_is_integer(pids))
		return json_type_error(in, pids, "int64");
	if (container_of_task(t))
		t->container->pids_limit = json_integer_value(pids);
	return 0;
}

static void write_resources(const void *msg, json_t *object)
{
	const Pb__TaskSpec *t = msg;
	const Pb__ContainerSpec *c = container_of_task(t);
	json_t *v = json_write(&requirements, t->resources), *limits;

	if (c && c->pids_limit) {
		v = v ? v : json_object();
		limits = json_object_get(v, "Limits");
		if (!limits) {
			limits = json_object();
			json_object_set_new(v, "Limits", limits);
		}
		json_object_set_new(limits, "Pids", json_integer(c->pids_limit));
	}
	if (v)
		json_object_set_new(object, "Resources", v);
}

static const struct json_word conditions[] = {
	{"any", PB__RESTART_POLICY__RESTART_CONDITION__ANY},
	{"none", PB__RESTART_POLICY__RESTART_CONDITION__NONE},
	{"on-failure", PB__RESTART_POLICY__RESTART_CONDITION__ON_FAILURE},
	{0},
};

static const struct json_table restart_policy = {
	&pb__restart_policy__descriptor,
	(const struct json_field[]){
		J_FIELD("Condition", J_ENUM, Pb__RestartPolicy, condition, .words = conditions),
		J_FIELD("Delay", J_DURATION, Pb__RestartPolicy, delay),
		J_FIELD("MaxAttempts", J_U64, Pb__RestartPolicy, max_attempts, .flags = J_KEEP),
		J_FIELD("Window", J_DURATION, Pb__RestartPolicy, window),
		{0},
	},
};

/* Without a condition it is "any", which is not the message's zero. */
static int read_restart(struct json_in *in, json_t *v, void *msg)
{
	Pb__TaskSpec *t = msg;

	pb_need(&t->restart, pb__restart_policy)->condition =
		PB__RESTART_POLICY__RESTART_CONDITION__ANY;
	return json_read_into(&restart_policy, in, v, t->restart);
}

static void write_restart(const void *msg, json_t *object)
{
	const Pb__TaskSpec *t = msg;

	if (t->restart)
		json_object_set_new(object, "RestartPolicy",
				    json_write(&restart_policy, t->restart));
}

static const struct json_table spread_over = {
	&pb__spread_over__descriptor,
	(const struct json_field[]){
		J_FIELD("SpreadDescriptor", J_STR, Pb__SpreadOver, spread_descriptor,
			.flags = J_KEEP),
		{0},
	},
};

static const struct json_table preference = {
	&pb__placement_preference__descriptor,
	(const struct json_field[]){
		J_ONEOF("Spread", J_MSG, Pb__PlacementPreference, spread, preference_case,
			PB__PLACEMENT_PREFERENCE__PREFERENCE_SPREAD, .table = &spread_over),
		{0},
	},
};

static const struct json_table placement = {
	&pb__placement__descriptor,
	(const struct json_field[]){
		J_LIST("Constraints", J_STRS, Pb__Placement, constraints),
		J_LIST("Preferences", J_MSGS, Pb__Placement, preferences, .table = &preference),
		J_FIELD("MaxReplicas", J_U64, Pb__Placement, max_replicas),
		J_LIST("Platforms", J_MSGS, Pb__Placement, platforms, .table = &json_platform),
		{0},
	},
};

const struct json_table json_network_attachment = {
	&pb__network_attachment_config__descriptor,
	(const struct json_field[]){
		J_FIELD("Target", J_STR, Pb__NetworkAttachmentConfig, target),
		J_LIST("Aliases", J_STRS, Pb__NetworkAttachmentConfig, aliases),
		J_LIST("DriverOpts", J_LABELS, Pb__NetworkAttachmentConfig, driver_attachment_opts),
		{0},
	},
};

static int read_runtime(struct json_in *in, json_t *v, void *msg)
{
	const Pb__TaskSpec *t = msg;
	const char *s = json_string_value(v);

	if (!s)
		return json_type_error(in, v, "string");
	if (!*s || !strcmp(s, "container"))
		return t->runtime_case == PB__TASK_SPEC__RUNTIME_CONTAINER || !*s
			       ? 0
			       : err_set(in->err, -EINVAL, "mismatched Runtime and *Spec fields");
	if (!strcmp(s, "plugin"))
		return err_set(in->err, -EOPNOTSUPP, "services of plugins are not supported");
	return err_set(in->err, -EINVAL, "unsupported runtime: %.100s", s);
}

static void write_runtime(const void *msg, json_t *object)
{
	const Pb__TaskSpec *t = msg;

	if (t->runtime_case == PB__TASK_SPEC__RUNTIME_CONTAINER)
		json_object_set_new(object, "Runtime", json_string("container"));
	else if (t->runtime_case == PB__TASK_SPEC__RUNTIME_ATTACHMENT)
		json_object_set_new(object, "Runtime", json_string("attachment"));
	else if (t->runtime_case == PB__TASK_SPEC__RUNTIME_GENERIC)
		json_object_set_new(object, "Runtime", json_string(t->generic->kind));
}

const struct json_table json_task_spec = {
	&pb__task_spec__descriptor,
	(const struct json_field[]){
		J_ONEOF("ContainerSpec", J_MSG, Pb__TaskSpec, container, runtime_case,
			PB__TASK_SPEC__RUNTIME_CONTAINER, .table = &container_spec),
		J_ONEOF("NetworkAttachmentSpec", J_MSG, Pb__TaskSpec, attachment, runtime_case,
			PB__TASK_SPEC__RUNTIME_ATTACHMENT, .table = &attachment_spec),
		{.name = "Resources",
		 .type = J_CUSTOM,
		 .read = read_resources,
		 .write = write_resources},
		{.name = "RestartPolicy",
		 .type = J_CUSTOM,
		 .read = read_restart,
		 .write = write_restart},
		J_FIELD("Placement", J_MSG, Pb__TaskSpec, placement, .table = &placement),
		J_LIST("Networks", J_MSGS, Pb__TaskSpec, networks,
		       .table = &json_network_attachment),
		J_FIELD("LogDriver", J_MSG, Pb__TaskSpec, log_driver, .table = &json_driver),
		J_FIELD("ForceUpdate", J_U64, Pb__TaskSpec, force_update, .flags = J_KEEP),
		{.name = "Runtime", .type = J_CUSTOM, .read = read_runtime, .write = write_runtime},
		{0},
	},
};
