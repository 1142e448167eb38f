// SPDX-License-Identifier: Apache-2.0
/* A create request made whole: defaults and the image's part. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>

#include "ctr/ctr_impl.h"

bool ctr_name_valid(const char *s)
{
	if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9')) ||
	    !s[1])
		return false;
	for (; *s; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
		      (*s >= '0' && *s <= '9') || strchr("_.-", *s)))
			return false;
	return true;
}

int signal_number(const char *name)
{
	static const struct {
		const char *name;
		int n;
	} table[] = {
		{"HUP", 1},	{"INT", 2},    {"QUIT", 3},   {"ILL", 4},   {"TRAP", 5},
		{"ABRT", 6},	{"BUS", 7},    {"FPE", 8},    {"KILL", 9},  {"USR1", 10},
		{"SEGV", 11},	{"USR2", 12},  {"PIPE", 13},  {"ALRM", 14}, {"TERM", 15},
		{"STKFLT", 16}, {"CHLD", 17},  {"CONT", 18},  {"STOP", 19}, {"TSTP", 20},
		{"TTIN", 21},	{"TTOU", 22},  {"URG", 23},   {"XCPU", 24}, {"XFSZ", 25},
		{"VTALRM", 26}, {"PROF", 27},  {"WINCH", 28}, {"IO", 29},   {"PWR", 30},
		{"SYS", 31},	{"RTMIN", 34}, {"RTMAX", 64},
	};
	uint64_t n;
	int64_t off;

	if (str_empty(name))
		return 9;
	if (!parse_u64(name, 1, 64, &n))
		return n;
	if (!strncasecmp(name, "SIG", 3))
		name += 3;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (!strcasecmp(name, table[i].name))
			return table[i].n;
	if (!strncasecmp(name, "RTMIN+", 6) && !parse_i64(name + 6, 1, 30, &off))
		return 34 + off;
	if (!strncasecmp(name, "RTMAX-", 6) && !parse_i64(name + 6, 1, 30, &off))
		return 64 - off;
	return -1;
}

/* "sh -c x" or ["sh", "-c", "x"]: always the list. */
static void listify(json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	if (json_is_string(v))
		json_object_set_new(o, key, json_pack("[O]", v));
	else if (!json_is_strings(v))
		json_object_set_new(o, key, json_null());
}

/* What is not set in the object gets a default (stolen). */
static void dflt(json_t *o, const char *key, json_t *value)
{
	json_t *v = json_object_get(o, key);

	if (!v || json_is_null(v))
		json_object_set_new(o, key, value);
	else
		json_decref(value);
}

bool ctr_env_has(json_t *env, const char *entry)
{
	size_t n = strcspn(entry, "="), i;
	json_t *v;

	json_array_foreach (env, i, v) {
		const char *s = json_string_value(v);

		if (!strncmp(s, entry, n) && (s[n] == '=' || !s[n]))
			return true;
	}
	return false;
}

/* The user's environment, then what the image adds; a name without value unsets. */
static void merge_env(json_t *config, json_t *image)
{
	json_t *user = json_object_get(config, "Env"), *out = json_array(), *v;
	size_t i;

	json_array_foreach (user, i, v)
		if (strchr(json_string_value(v), '='))
			json_array_append(out, v);
	json_array_foreach (json_object_get(image, "Env"), i, v)
		if (json_is_string(v) && !ctr_env_has(user, json_string_value(v)))
			json_array_append(out, v);
	json_object_set_new(config, "Env", out);
}

static void merge_object(json_t *config, json_t *image, const char *key)
{
	json_t *out = json_object(), *v;
	const char *k;

	json_object_foreach (json_object_get(image, key), k, v)
		json_object_set(out, k, v);
	json_object_foreach (json_object_get(config, key), k, v)
		json_object_set(out, k, v);
	json_object_set_new(config, key, out);
}

static void merge_image(json_t *config, json_t *image)
{
	static const char *const strings[] = {"User", "WorkingDir", "StopSignal"};

	listify(config, "Cmd");
	listify(config, "Entrypoint");
	merge_env(config, image);
	merge_object(config, image, "ExposedPorts");
	merge_object(config, image, "Volumes");
	merge_object(config, image, "Labels");
	if (!json_array_size(json_object_get(config, "Entrypoint"))) {
		/* [""] clears the image's entrypoint */
		if (!json_array_size(json_object_get(config, "Cmd")))
			json_object_set(config, "Cmd",
					json_object_get(image, "Cmd")
						? json_object_get(image, "Cmd")
						: json_null());
		if (!json_is_array(json_object_get(config, "Entrypoint")) &&
		    json_object_get(image, "Entrypoint"))
			json_object_set(config, "Entrypoint", json_object_get(image, "Entrypoint"));
		listify(config, "Cmd");
		listify(config, "Entrypoint");
	}
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		if (!*js(config, strings[i]) && *js(image, strings[i]))
			json_object_set(config, strings[i], json_object_get(image, strings[i]));
	if (!json_is_object(json_object_get(config, "Healthcheck")) &&
	    json_is_object(json_object_get(image, "Healthcheck")))
		json_object_set(config, "Healthcheck", json_object_get(image, "Healthcheck"));
}

static void host_defaults(json_t *host)
{
	static const char *const lists[] = {"Binds",
					    "CapAdd",
					    "CapDrop",
					    "Dns",
					    "DnsOptions",
					    "DnsSearch",
					    "ExtraHosts",
					    "GroupAdd",
					    "SecurityOpt",
					    "Links",
					    "Devices",
					    "Ulimits",
					    "VolumesFrom",
					    "DeviceCgroupRules",
					    "DeviceRequests",
					    "BlkioWeightDevice",
					    "BlkioDeviceReadBps",
					    "BlkioDeviceWriteBps",
					    "BlkioDeviceReadIOps",
					    "BlkioDeviceWriteIOps"};
	static const char *const ints[] = {
		"Memory",      "MemorySwap",	    "MemoryReservation",  "NanoCpus",
		"CpuShares",   "CpuPeriod",	    "CpuQuota",		  "OomScoreAdj",
		"BlkioWeight", "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuCount",
		"CpuPercent",  "IOMaximumIOps",	    "IOMaximumBandwidth"};
	static const char *const bools[] = {"Privileged", "ReadonlyRootfs", "AutoRemove",
					    "PublishAllPorts"};
	static const char *const strings[] = {
		"PidMode",   "UTSMode", "UsernsMode",	"ContainerIDFile", "VolumeDriver",
		"Isolation", "Cgroup",	"CgroupParent", "CpusetCpus",	   "CpusetMems"};
	json_t *bindings, *b;
	const char *port;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lists); i++)
		dflt(host, lists[i], json_null());
	for (i = 0; i < ARRAY_SIZE(ints); i++)
		dflt(host, ints[i], json_integer(0));
	for (i = 0; i < ARRAY_SIZE(bools); i++)
		dflt(host, bools[i], json_false());
	for (i = 0; i < ARRAY_SIZE(strings); i++)
		dflt(host, strings[i], json_string(""));
	/* version 2 of control groups does not know it */
	dflt(host, "OomKillDisable", cgroup_is_v2() ? json_null() : json_false());
	dflt(host, "ConsoleSize", json_pack("[i, i]", 0, 0));
	if (ji(host, "PidsLimit") <= 0) /* unlimited */
		json_object_set_new(host, "PidsLimit", json_null());
	if (ji(host, "MemorySwappiness") < 0) /* the kernel's */
		json_object_del(host, "MemorySwappiness");
	dflt(host, "MemorySwappiness", json_null());
	dflt(host, "PortBindings", json_object());
	json_object_foreach (json_object_get(host, "PortBindings"), port, bindings)
		json_array_foreach (bindings, i, b)
			if (json_is_object(b)) {
				dflt(b, "HostIp", json_string(""));
				dflt(b, "HostPort", json_string(""));
			}
	dflt(host, "RestartPolicy", json_pack("{s:s, s:i}", "Name", "no", "MaximumRetryCount", 0));
	if (!*js(json_object_get(host, "RestartPolicy"), "Name"))
		json_object_set_new(json_object_get(host, "RestartPolicy"), "Name",
				    json_string("no"));
	if (!*js(host, "NetworkMode") || !strcmp(js(host, "NetworkMode"), "default"))
		json_object_set_new(host, "NetworkMode", json_string("bridge"));
	if (!*js(host, "IpcMode"))
		json_object_set_new(host, "IpcMode", json_string("private"));
	if (!*js(host, "CgroupnsMode"))
		json_object_set_new(host, "CgroupnsMode",
				    json_string(cgroup_is_v2() ? "private" : "host"));
	if (ji(host, "ShmSize") <= 0)
		json_object_set_new(host, "ShmSize", json_integer(64 << 20));
	if (!*js(host, "Runtime"))
		json_object_set_new(host, "Runtime", json_string("crun"));
	if (ji(host, "Memory") && !ji(host, "MemorySwap"))
		json_object_set_new(host, "MemorySwap", json_integer(ji(host, "Memory") * 2));
}

static void config_defaults(struct ctr *c)
{
	static const char *const bools[] = {"AttachStdin", "AttachStdout", "AttachStderr",
					    "Tty",	   "OpenStdin",	   "StdinOnce"};
	static const char *const strings[] = {"Domainname", "User", "WorkingDir"};
	char hostname[HOST_NAME_MAX + 1] = "";

	for (size_t i = 0; i < ARRAY_SIZE(bools); i++)
		dflt(c->config, bools[i], json_false());
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		dflt(c->config, strings[i], json_string(""));
	dflt(c->config, "OnBuild", json_null());
	if (!*js(c->config, "Hostname")) {
		if (!strcmp(js(c->host, "NetworkMode"), "host"))
			gethostname(hostname, sizeof(hostname) - 1);
		else
			memcpy(hostname, c->id, 12);
		json_object_set_new(c->config, "Hostname", json_string(hostname));
	}
	if (!json_object_size(json_object_get(c->config, "Volumes")))
		json_object_set_new(c->config, "Volumes", json_null());
	dflt(c->config, "Labels", json_object());
}

int ctr_normalise(struct ctr *c, json_t *body, json_t *warnings, struct err *err)
{
	static const char *const not_config[] = {"HostConfig", "NetworkingConfig", "SwarmEphemeral",
						 "Platform"};
	json_t *image_part, *host = json_object_get(body, "HostConfig"), *cmd, *v;
	size_t i;
	int rc;

	c->config = json_deep_copy(body);
	for (i = 0; i < ARRAY_SIZE(not_config); i++)
		json_object_del(c->config, not_config[i]);
	c->host = json_is_object(host) ? json_deep_copy(host) : json_object();
	c->networking = json_deep_copy(
		json_object_get(json_object_get(body, "NetworkingConfig"), "EndpointsConfig"));
	if (!json_is_object(c->networking)) {
		json_decref(c->networking);
		c->networking = json_object();
	}
	c->ephemeral = json_is_true(json_object_get(body, "SwarmEphemeral"));
	rc = ctr_check_types(body, err);
	if (!rc && !*js(c->config, "Image"))
		rc = err_set(err, -EINVAL, "no image specified");
	if (rc)
		return rc;
	c->image = images_find(c->ctrs->opt.images, js(c->config, "Image"), err);
	if (!c->image)
		return -ENOENT;
	strcpy(c->image_id, image_id(c->image));
	c->image_ref = xstrdup(js(c->config, "Image"));
	image_part = json_object_get(image_config(c->image), "config");
	rc = ctr_check_host(c, warnings, err);
	merge_image(c->config, image_part);
	if (!rc)
		rc = ctr_log_check(c->host, c->ctrs, err);
	if (!rc && *js(c->config, "WorkingDir") && js(c->config, "WorkingDir")[0] != '/')
		rc = err_set(
			err, -EINVAL,
			"the working directory '%s' is invalid, it needs to be an absolute path",
			js(c->config, "WorkingDir"));
	if (!rc && *js(c->config, "StopSignal") && signal_number(js(c->config, "StopSignal")) < 0)
		rc = err_set(err, -EINVAL, "Invalid signal: %s", js(c->config, "StopSignal"));
	if (rc)
		return rc;
	host_defaults(c->host);
	config_defaults(c);
	c->path_args = json_array();
	json_array_foreach (json_object_get(c->config, "Entrypoint"), i, v)
		if (i || *json_string_value(v))
			json_array_append(c->path_args, v);
	cmd = json_object_get(c->config, "Cmd");
	json_array_foreach (cmd, i, v)
		json_array_append(c->path_args, v);
	if (!json_array_size(c->path_args))
		return err_set(err, -EINVAL, "no command specified");
	return 0;
}
