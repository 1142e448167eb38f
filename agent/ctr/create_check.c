// SPDX-License-Identifier: Apache-2.0
/* What is refused in a creation or an update, and what is warned of, as dockerd does. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

#include "ctr/ctr_impl.h"

enum { MEMORY_MIN = 6 << 20, NUMBERS_MAX = 8192 };

static bool is_string(json_t *v)
{
	return json_is_string(v);
}

static bool is_integer(json_t *v)
{
	return json_is_integer(v);
}

static bool is_boolean(json_t *v)
{
	return json_is_boolean(v);
}

static bool is_object(json_t *v)
{
	return json_is_object(v);
}

static bool is_objects(json_t *v)
{
	json_t *x;
	size_t i;

	json_array_foreach (v, i, x)
		if (!json_is_object(x))
			return false;
	return json_is_array(v);
}

static bool is_object_of(json_t *v, bool (*is)(json_t *))
{
	const char *key;
	json_t *x;

	json_object_foreach (v, key, x)
		if (!is(x) && !json_is_null(x))
			return false;
	return json_is_object(v);
}

static bool is_string_map(json_t *v)
{
	json_t *x;
	const char *key;

	json_object_foreach (v, key, x)
		if (!json_is_string(x))
			return false;
	return json_is_object(v);
}

static bool is_bindings(json_t *v)
{
	return is_object_of(v, is_objects);
}

static bool is_endpoints(json_t *v)
{
	return is_object_of(v, is_object);
}

/* Fields of one form, which an object may have. */
struct form {
	bool (*is)(json_t *v);
	const char *text;
	const char *const *fields;
};

#define FORM(is, text, ...)                                                                        \
	{                                                                                          \
		is, text, (const char *const[])                                                    \
		{                                                                                  \
			__VA_ARGS__, NULL                                                          \
		}                                                                                  \
	}

static const struct form
	config_forms[] = {
		FORM(is_string, "a string", "Hostname", "Domainname", "User", "Image", "WorkingDir",
		     "StopSignal", "MacAddress"),
		FORM(is_boolean, "true or false", "AttachStdin", "AttachStdout", "AttachStderr",
		     "Tty", "OpenStdin", "StdinOnce", "NetworkDisabled"),
		FORM(is_integer, "a whole number", "StopTimeout"),
		FORM(is_object, "an object", "ExposedPorts", "Volumes", "Healthcheck",
		     "HostConfig", "NetworkingConfig"),
		FORM(is_string_map, "an object of strings", "Labels"),
		FORM(json_is_strings, "a list of strings", "Env", "Shell"),
		{0},
},
	health_forms[] = {
		FORM(json_is_strings, "a list of strings", "Test"),
		FORM(is_integer, "a whole number", "Interval", "Timeout", "Retries", "StartPeriod",
		     "StartInterval"),
		{0},
},
	networking_forms[] = {
		FORM(is_endpoints, "an object of objects", "EndpointsConfig"),
		{0},
},
	host_forms[] = {
		FORM(is_string, "a string", "NetworkMode", "IpcMode", "PidMode", "UTSMode",
		     "UsernsMode", "CgroupParent", "CpusetCpus", "CpusetMems", "Runtime",
		     "CgroupnsMode", "VolumeDriver", "Isolation"),
		FORM(is_integer, "a whole number", "Memory", "MemorySwap", "MemoryReservation",
		     "MemorySwappiness", "NanoCpus", "CpuShares", "CpuPeriod", "CpuQuota",
		     "CpuRealtimePeriod", "CpuRealtimeRuntime", "PidsLimit", "ShmSize",
		     "OomScoreAdj", "BlkioWeight"),
		FORM(is_boolean, "true or false", "Privileged", "ReadonlyRootfs", "AutoRemove",
		     "PublishAllPorts", "Init", "OomKillDisable"),
		FORM(json_is_strings, "a list of strings", "Binds", "CapAdd", "CapDrop", "Dns",
		     "DnsSearch", "DnsOptions", "ExtraHosts", "GroupAdd", "SecurityOpt", "Links",
		     "VolumesFrom", "MaskedPaths", "ReadonlyPaths", "DeviceCgroupRules"),
		FORM(is_object, "an object", "LogConfig", "RestartPolicy"),
		FORM(is_string_map, "an object of strings", "Tmpfs", "Sysctls", "StorageOpt"),
		FORM(is_bindings, "an object of lists of objects", "PortBindings"),
		FORM(is_objects, "a list of objects", "Mounts", "Ulimits", "Devices",
		     "DeviceRequests", "BlkioDeviceReadBps", "BlkioDeviceWriteBps",
		     "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps", "BlkioWeightDevice"),
		{0},
},
	log_forms[] = {
		FORM(is_string, "a string", "Type"),
		FORM(is_string_map, "an object of strings", "Config"),
		{0},
},
	restart_forms[] = {
		FORM(is_string, "a string", "Name"),
		FORM(is_integer, "a whole number", "MaximumRetryCount"),
		{0},
};

/* Absent and null are fine. */
static int check_forms(json_t *o, const struct form *form, struct err *err)
{
	for (; form->is; form++) {
		for (const char *const *f = form->fields; *f; f++) {
			json_t *v = json_object_get(o, *f);

			if (v && !json_is_null(v) && !form->is(v))
				return err_set(err, -EINVAL,
					       "invalid value for the field %s: it must be %s", *f,
					       form->text);
		}
	}
	return 0;
}

int ctr_check_types(json_t *body, struct err *err)
{
	json_t *host = json_object_get(body, "HostConfig");
	int rc = check_forms(body, config_forms, err);

	if (!rc)
		rc = check_forms(json_object_get(body, "Healthcheck"), health_forms, err);
	if (!rc)
		rc = check_forms(json_object_get(body, "NetworkingConfig"), networking_forms, err);
	return rc ? rc : ctr_check_host_types(host, err);
}

int ctr_check_host_types(json_t *host, struct err *err)
{
	int rc = check_forms(host, host_forms, err);

	if (!rc)
		rc = check_forms(json_object_get(host, "LogConfig"), log_forms, err);
	return rc ? rc : check_forms(json_object_get(host, "RestartPolicy"), restart_forms, err);
}

static int check_memory(json_t *host, struct err *err)
{
	json_int_t memory = ji(host, "Memory"), swap = ji(host, "MemorySwap");

	if (memory && memory < MEMORY_MIN)
		return err_set(err, -EINVAL, "Minimum memory limit allowed is 6MB");
	if (!memory && swap > 0)
		return err_set(err, -EINVAL,
			       "You should always set the Memory limit when using Memoryswap "
			       "limit, see usage");
	if (memory && swap > 0 && swap < memory)
		return err_set(err, -EINVAL,
			       "Minimum memoryswap limit should be larger than memory limit, see "
			       "usage");
	if (memory && ji(host, "MemoryReservation") > memory)
		return err_set(err, -EINVAL,
			       "Minimum memory limit can not be less than memory reservation "
			       "limit, see usage");
	if (ji(host, "OomScoreAdj") < -1000 || ji(host, "OomScoreAdj") > 1000)
		return err_set(err, -EINVAL,
			       "Invalid value %lld, range for oom score adj is [-1000, 1000]",
			       ji(host, "OomScoreAdj"));
	return 0;
}

static int check_cpu(json_t *host, struct err *err)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	json_int_t nano = ji(host, "NanoCpus"), period = ji(host, "CpuPeriod"),
		   rt_period = ji(host, "CpuRealtimePeriod"),
		   rt_runtime = ji(host, "CpuRealtimeRuntime");

	if (nano < 0 || nano > (json_int_t)n * 1000000000)
		return err_set(err, -EINVAL,
			       "range of CPUs is from 0.01 to %ld.00, as there are only %ld CPUs "
			       "available",
			       n, n);
	if (nano && (period || ji(host, "CpuQuota")))
		return err_set(err, -EINVAL,
			       "Conflicting options: Nano CPUs and CPU %s cannot both be set",
			       period ? "Period" : "Quota");
	if (ji(host, "CpuShares") < 0)
		return err_set(err, -EINVAL, "invalid CPU shares %lld: they cannot be negative",
			       ji(host, "CpuShares"));
	if (period && (period < 1000 || period > 1000000))
		return err_set(err, -EINVAL,
			       "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than "
			       "1s (i.e. 1000000)");
	if (ji(host, "CpuQuota") > 0 && ji(host, "CpuQuota") < 1000)
		return err_set(err, -EINVAL, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
	if ((rt_period || rt_runtime) && !cgroup_v1_has("cpu", "cpu.rt_runtime_us"))
		return err_set(err, -EINVAL,
			       "Your kernel does not support CPU real-time scheduler");
	if (rt_period && rt_runtime > rt_period)
		return err_set(err, -EINVAL,
			       "cpu real-time runtime cannot be higher than cpu real-time period");
	return 0;
}

/* "0-3,7" as a set of numbers. */
static int parse_list(const char *text, uint64_t set[NUMBERS_MAX / 64])
{
	memset(set, 0, NUMBERS_MAX / 8);
	while (*text && *text != '\n') {
		char *end;
		unsigned long lo = strtoul(text, &end, 10), hi = lo;

		if (end == text || *text < '0' || *text > '9')
			return -EINVAL;
		if (*end == '-') {
			text = end + 1;
			hi = strtoul(text, &end, 10);
			if (end == text || *text < '0' || *text > '9')
				return -EINVAL;
		}
		if (hi < lo || hi >= NUMBERS_MAX || (*end && *end != ',' && *end != '\n'))
			return -EINVAL;
		for (; lo <= hi; lo++)
			set[lo / 64] |= 1ull << lo % 64;
		text = end + (*end == ',');
	}
	return 0;
}

/* Processors or memory nodes that there are. */
static int check_set(const char *asked, const char *what, const char *things, const char *file,
		     struct err *err)
{
	uint64_t want[NUMBERS_MAX / 64], have[NUMBERS_MAX / 64];
	_cleanup_buf_ struct buf text = BUF_INIT;

	if (parse_list(asked, want))
		return err_set(err, -EINVAL, "Invalid value %s for cpuset %s", asked, what);
	if (cgroup_read("cpuset", "", file, &text) || parse_list(text.data, have))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		if (want[i] & ~have[i])
			return err_set(err, -EINVAL,
				       "Requested %s are not available - requested %s, available: "
				       "%.*s",
				       things, asked, (int)strcspn(text.data, "\n"), text.data);
	return 0;
}

static int check_block_io(json_t *host, struct err *err)
{
	static const char *const lists[] = {"BlkioDeviceReadBps", "BlkioDeviceWriteBps",
					    "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps",
					    "BlkioWeightDevice"};
	json_int_t weight = ji(host, "BlkioWeight");
	struct stat st;
	json_t *v;
	size_t k;

	if (weight && (weight < 10 || weight > 1000))
		return err_set(err, -EINVAL, "Range of blkio weight is from 10 to 1000");
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		json_array_foreach (json_object_get(host, lists[i]), k, v) {
			const char *path = js(v, "Path");

			if (stat(path, &st))
				return err_set(err, -EINVAL, "stat %s: %s", path,
					       errno == ENOENT ? "no such file or directory"
							       : strerror(errno));
			if (!S_ISBLK(st.st_mode))
				return err_set(err, -EINVAL, "%s is no block device", path);
		}
	}
	return 0;
}

static int check_restart(json_t *host, struct err *err)
{
	static const char *const policies[] = {"", "no", "always", "on-failure", "unless-stopped"};
	json_t *policy = json_object_get(host, "RestartPolicy");
	const char *name = js(policy, "Name");
	json_int_t most = ji(policy, "MaximumRetryCount");
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(policies); i++)
		known |= !strcmp(name, policies[i]);
	if (!known)
		return err_set(
			err, -EINVAL,
			"invalid restart policy: unknown policy '%s'; use one of 'no', 'always', "
			"'on-failure', or 'unless-stopped'",
			name);
	if (most && strcmp(name, "on-failure"))
		return err_set(err, -EINVAL,
			       "invalid restart policy: maximum retry count can only be used with "
			       "'on-failure'");
	if (most < 0)
		return err_set(err, -EINVAL,
			       "invalid restart policy: maximum retry count cannot be negative");
	if (jb(host, "AutoRemove") && *name && strcmp(name, "no"))
		return err_set(err, -EINVAL,
			       "can't create 'AutoRemove' container with restart policy");
	return 0;
}

int ctr_check_limits(json_t *host, struct err *err)
{
	int rc = check_memory(host, err);

	if (!rc)
		rc = check_cpu(host, err);
	if (!rc)
		rc = check_set(js(host, "CpusetCpus"), "cpus", "CPUs",
			       cgroup_is_v2() ? "cpuset.cpus.effective" : "cpuset.cpus", err);
	if (!rc)
		rc = check_set(js(host, "CpusetMems"), "mems", "memory nodes",
			       cgroup_is_v2() ? "cpuset.mems.effective" : "cpuset.mems", err);
	if (!rc)
		rc = check_block_io(host, err);
	return rc ? rc : check_restart(host, err);
}

/* There is one runtime, whatever of these it is called by. */
static int check_runtime(json_t *host, struct err *err)
{
	static const char *const names[] = {"", "crun", "runc", "io.containerd.runc.v2"};
	const char *name = js(host, "Runtime");

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return 0;
	return err_set(err, -EINVAL, "unknown or invalid runtime name: %s", name);
}

/* A namespace of the node's, its own, another container's: "container:NAME". */
static int check_mode(struct ctr *c, const char *key, const char *what, const char *const own[],
		      bool shares, struct err *err)
{
	const char *mode = js(c->host, key);

	for (size_t i = 0; own[i]; i++)
		if (!strcmp(mode, own[i]))
			return 0;
	if (shares && starts_with(mode, "container:") && mode[10]) {
		if (ctr_find(c->ctrs, mode + 10, err))
			return 0;
		if (err) /* not found, to a client, would be the image */
			err->code = -EINVAL;
		return -EINVAL;
	}
	return err_set(err, -EINVAL, "invalid %s mode: %s", what, mode);
}

static int check_modes(struct ctr *c, struct err *err)
{
	static const char *const ipc[] = {"", "none", "private", "shareable", "host", NULL},
				 *const host[] = {"", "host", NULL},
				 *const cgroup[] = {"", "private", "host", NULL};
	int rc = check_mode(c, "IpcMode", "IPC", ipc, true, err);

	if (!rc)
		rc = check_mode(c, "PidMode", "PID", host, true, err);
	if (!rc)
		rc = check_mode(c, "UTSMode", "UTS", host, false, err);
	if (!rc)
		rc = check_mode(c, "UsernsMode", "user namespace", host, false, err);
	if (!rc)
		rc = check_mode(c, "CgroupnsMode", "cgroup namespace", cgroup, false, err);
	if (!rc && !strcmp(js(c->host, "UTSMode"), "host") && *js(c->config, "Hostname"))
		rc = err_set(err, -EINVAL, "conflicting options: hostname and the UTS mode");
	return rc;
}

/* Source: moby daemon/daemon_unix.go parseSecurityOpt(). */
static int check_security(json_t *host, struct err *err)
{
	static const char *const keys[] = {"label", "apparmor", "seccomp", "no-new-privileges"};
	json_t *v;
	size_t i;

	json_array_foreach (json_object_get(host, "SecurityOpt"), i, v) {
		const char *s = json_string_value(v), *value;
		size_t n = strcspn(s, "=");
		bool known = false;

		if (!strcmp(s, "no-new-privileges") || !strcmp(s, "disable"))
			continue;
		if (!s[n])
			n = strcspn(s, ":");
		if (!s[n])
			return err_set(err, -EINVAL, "invalid --security-opt 1: \"%s\"", s);
		value = s + n + 1;
		for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
			known |= strlen(keys[k]) == n && !strncmp(s, keys[k], n);
		if (starts_with(s, "no-new-privileges"))
			known &= !strcmp(value, "true") || !strcmp(value, "false") ||
				 !strcmp(value, "1") || !strcmp(value, "0");
		if (!known)
			return err_set(err, -EINVAL, "invalid --security-opt 2: \"%s\"", s);
	}
	return 0;
}

static int check_health(json_t *config, struct err *err)
{
	static const char *const times[] = {"Interval", "Timeout", "StartPeriod", "StartInterval"};
	json_t *health = json_object_get(config, "Healthcheck");

	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		if (ji(health, times[i]) && ji(health, times[i]) < 1000000)
			return err_set(err, -EINVAL, "%s in Healthcheck cannot be less than 1ms",
				       times[i]);
	if (ji(health, "Retries") < 0)
		return err_set(err, -EINVAL, "Retries in Healthcheck cannot be negative");
	return 0;
}

int ctr_check_extra_hosts(json_t *hosts, struct err *err)
{
	struct in6_addr addr;
	json_t *v;
	size_t i;

	json_array_foreach (hosts, i, v) {
		const char *s = json_string_value(v), *colon = strchr(s, ':');

		if (!colon || colon == s)
			return err_set(err, -EINVAL, "bad format for add-host: \"%s\"", s);
		if (strcmp(colon + 1, "host-gateway") &&
		    inet_pton(AF_INET, colon + 1, &addr) != 1 &&
		    inet_pton(AF_INET6, colon + 1, &addr) != 1)
			return err_set(err, -EINVAL, "invalid IP address in add-host: \"%s\"",
				       colon + 1);
	}
	return 0;
}

static bool is_ports(const char *s)
{
	unsigned int lo, hi = 0;
	int n = 0;

	if (sscanf(s, "%5u%n-%5u%n", &lo, &n, &hi, &n) < 1 || s[n] || *s < '0' || *s > '9')
		return false;
	return lo <= UINT16_MAX && hi <= UINT16_MAX && (!hi || lo <= hi);
}

static int check_bindings(json_t *host, struct err *err)
{
	const char *key;
	json_t *list, *v;
	size_t i;

	json_object_foreach (json_object_get(host, "PortBindings"), key, list) {
		_cleanup_free_ char *port = xstrndup(key, strcspn(key, "/"));

		if (!is_ports(port))
			return err_set(err, -EINVAL, "invalid port specification: \"%s\"", key);
		json_array_foreach (list, i, v)
			if (*js(v, "HostPort") && !is_ports(js(v, "HostPort")))
				return err_set(err, -EINVAL, "invalid port specification: \"%s\"",
					       js(v, "HostPort"));
	}
	return 0;
}

/* What is the other container's where its network is shared. */
static int check_shared_network(struct ctr *c, struct err *err)
{
	const struct {
		json_t *o;
		const char *key, *what;
	} table[] = {
		{c->config, "Hostname", "hostname and the network mode"},
		{c->host, "Links",
		 "container type network can't be used with links. This would "
		 "result in undefined behavior"},
		{c->host, "Dns", "dns and the network mode"},
		{c->host, "ExtraHosts", "custom host-to-IP mapping and the network mode"},
		{c->config, "MacAddress", "mac-address and the network mode"},
		{c->host, "PortBindings", "port publishing and the container type network mode"},
		{c->config, "ExposedPorts", "port exposing and the container type network mode"},
	};

	if (!starts_with(js(c->host, "NetworkMode"), "container:"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		json_t *v = json_object_get(table[i].o, table[i].key);

		if (*js(table[i].o, table[i].key) || json_array_size(v) || json_object_size(v))
			return err_set(err, -EINVAL, "conflicting options: %s", table[i].what);
	}
	return 0;
}

static int check_rest(json_t *host, struct err *err)
{
	const char *isolation = js(host, "Isolation"), *key;
	json_t *v;

	if (*isolation && strcmp(isolation, "default"))
		return err_set(err, -EINVAL,
			       "invalid isolation \"%s\": linux only supports 'default'",
			       isolation);
	json_object_foreach (json_object_get(host, "StorageOpt"), key, v)
		return strcasecmp(key, "size")
			       ? err_set(err, -EINVAL, "Storage opt %s not supported", key)
			       : err_set(err, -EINVAL,
					 "--storage-opt is supported only for overlay over xfs "
					 "with "
					 "'pquota' mount option: leave it out");
	if (ji(host, "ShmSize") < 0)
		return err_set(err, -EINVAL, "SHM size can not be less than 0");
	return 0;
}

/* What the node cannot do is taken out of the request, with a warning. */
static void discard(json_t *host, json_t *warnings)
{
	static const char gone[] = "Your kernel does not support %s or the cgroup is not mounted. "
				   "%s discarded.";

	if (!cgroup_has_io_weight()) {
		if (ji(host, "BlkioWeight")) {
			json_array_append_new(warnings,
					      json_sprintf(gone, "Block I/O weight", "Weight"));
			json_object_set_new(host, "BlkioWeight", json_integer(0));
		}
		if (json_array_size(json_object_get(host, "BlkioWeightDevice"))) {
			json_array_append_new(
				warnings,
				json_sprintf(gone, "Block I/O weight_device", "Weight-device"));
			json_object_set_new(host, "BlkioWeightDevice", json_array());
		}
	}
	if (cgroup_is_v2() && ji(host, "MemorySwappiness") > 0) {
		json_array_append_new(warnings, json_sprintf(gone, "memory swappiness capabilities",
							     "Memory swappiness"));
		json_object_set_new(host, "MemorySwappiness", json_null());
	}
	if (cgroup_is_v2() && jb(host, "OomKillDisable")) {
		json_array_append_new(warnings, json_string("Your kernel does not support "
							    "OomKillDisable. OomKillDisable "
							    "discarded."));
		json_object_set_new(host, "OomKillDisable", json_false());
	}
}

int ctr_check_host(struct ctr *c, json_t *warnings, struct err *err)
{
	json_t *host = c->host, *caps;
	int rc = check_modes(c, err);

	if (!rc)
		rc = check_security(host, err);
	if (!rc && !(rc = spec_caps(host, &caps, err)))
		json_decref(caps);
	if (!rc)
		rc = check_health(c->config, err);
	if (!rc)
		rc = ctr_check_extra_hosts(json_object_get(host, "ExtraHosts"), err);
	if (!rc)
		rc = check_bindings(host, err);
	if (!rc)
		rc = check_shared_network(c, err);
	if (!rc)
		rc = check_rest(host, err);
	if (!rc)
		rc = check_runtime(host, err);
	if (rc)
		return rc;
	discard(host, warnings);
	rc = ctr_check_limits(host, err);
	if (rc)
		return rc;
	if (jb(host, "OomKillDisable") && !ji(host, "Memory"))
		json_array_append_new(
			warnings,
			json_string("OOM killer is disabled for the container, but no memory limit "
				    "is set, this can result in the system running out of "
				    "resources."));
	if (!strcmp(js(host, "NetworkMode"), "host") &&
	    json_object_size(json_object_get(host, "PortBindings")))
		json_array_append_new(warnings, json_string("Published ports are discarded when "
							    "using host network mode"));
	return 0;
}
