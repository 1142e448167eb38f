// SPDX-License-Identifier: Apache-2.0
/* A create request made whole: defaults, the image's part, and what dockerd refuses. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>

#include "ctr/ctr_impl.h"
#include "disk/file.h"
#include "loop/events.h"

enum { MEMORY_MIN = 6 << 20 };

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

/* A field of the request in the form that it must have; absent and null are fine. */
static int check_type(json_t *o, const char *key, bool (*is)(json_t *), const char *form,
		      struct err *err)
{
	json_t *v = json_object_get(o, key);

	if (!v || json_is_null(v) || is(v))
		return 0;
	return err_set(err, -EINVAL, "invalid value for the field %s: it must be %s", key, form);
}

static bool is_str(json_t *v)
{
	return json_is_string(v);
}

static bool is_int(json_t *v)
{
	return json_is_integer(v);
}

static bool is_bool(json_t *v)
{
	return json_is_boolean(v);
}

static bool is_obj(json_t *v)
{
	return json_is_object(v);
}

static bool is_strs(json_t *v)
{
	json_t *x;
	size_t i;

	if (!json_is_array(v))
		return false;
	json_array_foreach (v, i, x)
		if (!json_is_string(x))
			return false;
	return true;
}

static bool is_arr(json_t *v)
{
	return json_is_array(v);
}

static int check_types(json_t *config, json_t *host, struct err *err)
{
	static const char *const
		strs[] = {"Hostname",	"Domainname", "User",	   "Image",
			  "WorkingDir", "StopSignal", "MacAddress"},
		*const bools[] = {"AttachStdin", "AttachStdout", "AttachStderr",   "Tty",
				  "OpenStdin",	 "StdinOnce",	 "NetworkDisabled"},
		*const objs[] = {"ExposedPorts", "Volumes", "Labels", "Healthcheck"},
		*const host_strs[] = {"NetworkMode", "IpcMode",	     "PidMode",	    "UTSMode",
				      "UsernsMode",  "CgroupParent", "CpusetCpus",  "CpusetMems",
				      "Runtime",     "CgroupnsMode", "VolumeDriver"},
		*const host_ints[] = {"Memory",	   "MemorySwap",  "MemoryReservation", "NanoCpus",
				      "CpuShares", "CpuPeriod",	  "CpuQuota",	       "PidsLimit",
				      "ShmSize",   "OomScoreAdj", "BlkioWeight"},
		*const host_bools[] = {"Privileged",	  "ReadonlyRootfs", "AutoRemove",
				       "PublishAllPorts", "Init",	    "OomKillDisable"},
		*const host_lists[] = {"Binds",	       "CapAdd",     "CapDrop",	    "Dns",
				       "DnsSearch",    "DnsOptions", "ExtraHosts",  "GroupAdd",
				       "SecurityOpt",  "Links",	     "VolumesFrom", "MaskedPaths",
				       "ReadonlyPaths"},
		*const host_objs[] = {"PortBindings", "LogConfig", "RestartPolicy", "Tmpfs",
				      "Sysctls"};
	int rc = 0;

	for (size_t i = 0; !rc && i < ARRAY_SIZE(strs); i++)
		rc = check_type(config, strs[i], is_str, "a string", err);
	for (size_t i = 0; !rc && i < ARRAY_SIZE(bools); i++)
		rc = check_type(config, bools[i], is_bool, "true or false", err);
	for (size_t i = 0; !rc && i < ARRAY_SIZE(objs); i++)
		rc = check_type(config, objs[i], is_obj, "an object", err);
	for (size_t i = 0; !rc && i < ARRAY_SIZE(host_strs); i++)
		rc = check_type(host, host_strs[i], is_str, "a string", err);
	for (size_t i = 0; !rc && i < ARRAY_SIZE(host_ints); i++)
		rc = check_type(host, host_ints[i], is_int, "a whole number", err);
	for (size_t i = 0; !rc && i < ARRAY_SIZE(host_bools); i++)
		rc = check_type(host, host_bools[i], is_bool, "true or false", err);
	for (size_t i = 0; !rc && i < ARRAY_SIZE(host_lists); i++)
		rc = check_type(host, host_lists[i], is_strs, "a list of strings", err);
	for (size_t i = 0; !rc && i < ARRAY_SIZE(host_objs); i++)
		rc = check_type(host, host_objs[i], is_obj, "an object", err);
	if (!rc)
		rc = check_type(config, "Env", is_strs, "a list of strings", err);
	if (!rc)
		rc = check_type(host, "Mounts", is_arr, "a list", err);
	if (!rc)
		rc = check_type(host, "Ulimits", is_arr, "a list", err);
	return rc;
}

/* "sh -c x" or ["sh", "-c", "x"]: always the list. */
static void listify(json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	if (json_is_string(v))
		json_object_set_new(o, key, json_pack("[O]", v));
	else if (!is_strs(v ? v : json_null()))
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

/* The image's environment first, then the user's; a name without value unsets. */
static void merge_env(json_t *config, json_t *image)
{
	json_t *user = json_object_get(config, "Env"), *out = json_array(), *v;
	size_t i;

	json_array_foreach (json_object_get(image, "Env"), i, v)
		if (json_is_string(v) && !ctr_env_has(user, json_string_value(v)))
			json_array_append(out, v);
	json_array_foreach (user, i, v)
		if (strchr(json_string_value(v), '='))
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

int ctr_check_limits(json_t *host, struct err *err)
{
	json_int_t memory = ji(host, "Memory"), swap = ji(host, "MemorySwap"),
		   reserved = ji(host, "MemoryReservation");
	const char *restart = js(json_object_get(host, "RestartPolicy"), "Name");
	static const char *const policies[] = {"", "no", "always", "on-failure", "unless-stopped"};
	bool known = false;

	if (memory && memory < MEMORY_MIN)
		return err_set(err, -EINVAL, "Minimum memory limit allowed is 6MB");
	if (!memory && swap > 0)
		return err_set(
			err, -EINVAL,
			"You should always set the Memory limit when using Memoryswap limit");
	if (memory && swap > 0 && swap < memory)
		return err_set(err, -EINVAL,
			       "Minimum memoryswap limit should be larger than memory limit");
	if (memory && reserved > memory)
		return err_set(
			err, -EINVAL,
			"Minimum memory limit can not be less than memory reservation limit");
	if (ji(host, "NanoCpus") < 0 ||
	    ji(host, "NanoCpus") > (json_int_t)sysconf(_SC_NPROCESSORS_ONLN) * 1000000000)
		return err_set(err, -EINVAL,
			       "range of CPUs is from 0.01 to %ld.00, as there are only %ld CPUs "
			       "available",
			       sysconf(_SC_NPROCESSORS_ONLN), sysconf(_SC_NPROCESSORS_ONLN));
	if (ji(host, "NanoCpus") && (ji(host, "CpuPeriod") || ji(host, "CpuQuota")))
		return err_set(
			err, -EINVAL,
			"Conflicting options: Nano CPUs and CPU Period/Quota cannot both be set");
	if (ji(host, "CpuPeriod") &&
	    (ji(host, "CpuPeriod") < 1000 || ji(host, "CpuPeriod") > 1000000))
		return err_set(err, -EINVAL,
			       "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than "
			       "1s (i.e. 1000000)");
	if (ji(host, "CpuQuota") > 0 && ji(host, "CpuQuota") < 1000)
		return err_set(err, -EINVAL, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++)
		known |= !strcmp(restart, policies[i]);
	if (!known)
		return err_set(
			err, -EINVAL,
			"invalid restart policy: unknown policy '%s'; use one of 'no', 'always', "
			"'on-failure', or 'unless-stopped'",
			restart);
	if (json_is_true(json_object_get(host, "AutoRemove")) && *restart && strcmp(restart, "no"))
		return err_set(err, -EINVAL,
			       "can't create 'AutoRemove' container with restart policy");
	return 0;
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

static void host_defaults(json_t *host)
{
	static const char *const lists[] = {"Binds",	   "CapAdd",	"CapDrop",    "Dns",
					    "DnsOptions",  "DnsSearch", "ExtraHosts", "GroupAdd",
					    "SecurityOpt", "Links",	"Devices",    "Ulimits"};
	static const char *const ints[] = {
		"Memory",      "MemorySwap",	    "MemoryReservation",  "NanoCpus",
		"CpuShares",   "CpuPeriod",	    "CpuQuota",		  "OomScoreAdj",
		"BlkioWeight", "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuCount",
		"CpuPercent"};
	static const char *const bools[] = {"Privileged", "ReadonlyRootfs", "AutoRemove",
					    "PublishAllPorts"};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		dflt(host, lists[i], json_null());
	for (size_t i = 0; i < ARRAY_SIZE(ints); i++)
		dflt(host, ints[i], json_integer(0));
	for (size_t i = 0; i < ARRAY_SIZE(bools); i++)
		dflt(host, bools[i], json_false());
	dflt(host, "PidsLimit", json_null());
	dflt(host, "PortBindings", json_object());
	dflt(host, "RestartPolicy", json_pack("{s:s, s:i}", "Name", "no", "MaximumRetryCount", 0));
	if (!*js(json_object_get(host, "RestartPolicy"), "Name"))
		json_object_set_new(json_object_get(host, "RestartPolicy"), "Name",
				    json_string("no"));
	if (!*js(host, "NetworkMode") || !strcmp(js(host, "NetworkMode"), "default"))
		json_object_set_new(host, "NetworkMode", json_string("bridge"));
	if (!*js(host, "IpcMode"))
		json_object_set_new(host, "IpcMode", json_string("private"));
	dflt(host, "PidMode", json_string(""));
	dflt(host, "UTSMode", json_string(""));
	dflt(host, "UsernsMode", json_string(""));
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

	(void)warnings;
	c->config = json_deep_copy(body);
	for (i = 0; i < ARRAY_SIZE(not_config); i++)
		json_object_del(c->config, not_config[i]);
	if (host && !json_is_object(host) && !json_is_null(host))
		return err_set(err, -EINVAL,
			       "invalid value for the field HostConfig: it must be an object");
	c->host = json_is_object(host) ? json_deep_copy(host) : json_object();
	c->networking = json_deep_copy(
		json_object_get(json_object_get(body, "NetworkingConfig"), "EndpointsConfig"));
	if (!json_is_object(c->networking)) {
		json_decref(c->networking);
		c->networking = json_object();
	}
	c->ephemeral = json_is_true(json_object_get(body, "SwarmEphemeral"));
	rc = check_types(c->config, c->host, err);
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
	merge_image(c->config, image_part);
	rc = ctr_check_limits(c->host, err);
	if (!rc)
		rc = check_runtime(c->host, err);
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

/* --- mounts --- */

static struct mount_point *find_mount(struct ctr *c, const char *target)
{
	for (size_t i = 0; i < c->n_mounts; i++)
		if (!strcmp(c->mounts[i].target, target))
			return &c->mounts[i];
	return NULL;
}

static struct mount_point *add_mount(struct ctr *c, const char *type, const char *target)
{
	struct mount_point *m;

	c->mounts = xrealloc(c->mounts, (c->n_mounts + 1) * sizeof(*c->mounts));
	m = &c->mounts[c->n_mounts++];
	memset(m, 0, sizeof(*m));
	m->type = xstrdup(type);
	m->target = xstrdup(target);
	m->rw = true;
	return m;
}

void ctr_free_mounts(struct ctr *c)
{
	for (size_t i = 0; i < c->n_mounts; i++) {
		struct mount_point *m = &c->mounts[i];

		free(m->type);
		free(m->name);
		free(m->source);
		free(m->target);
		free(m->mode);
		free(m->propagation);
		free(m->options);
	}
	free(c->mounts);
	c->mounts = NULL;
	c->n_mounts = 0;
}

/* -v makes a host folder that is missing. */
static int dir_exists_or_make(const char *path, struct err *err)
{
	return access(path, F_OK) ? dir_make(path, 0755, err) : 0;
}

static int use_volume(struct ctr *c, struct mount_point *m, const char *name, const char *driver,
		      json_t *opts, json_t *labels, struct err *err)
{
	struct volume *v;
	int rc = volume_create(c->ctrs->opt.volumes, name, driver, opts, labels, &v, err);

	if (rc)
		return rc;
	m->made = str_empty(name);
	m->name = xstrdup(volume_name(v));
	m->source = xstrdup(volume_path(v));
	return 0;
}

static int check_target(const char *target, struct err *err)
{
	if (target[0] != '/')
		return err_set(err, -EINVAL, "invalid mount path: '%s' mount path must be absolute",
			       target);
	if (!strcmp(target, "/"))
		return err_set(err, -EINVAL, "invalid specification: destination can't be '/'");
	return 0;
}

/* "source:target[:options]" of -v, or a lone target. */
static int add_bind(struct ctr *c, const char *spec, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(spec);
	char *target = strchr(copy, ':'), *mode = NULL;
	struct mount_point *m;
	bool path;
	int rc;

	if (!target)
		return err_set(err, -EINVAL, "invalid volume specification: '%s'", spec);
	*target++ = 0;
	mode = strchr(target, ':');
	if (mode)
		*mode++ = 0;
	if (!*copy || !*target || (mode && strchr(mode, ':')))
		return err_set(err, -EINVAL, "invalid volume specification: '%s'", spec);
	rc = check_target(target, err);
	if (rc)
		return rc;
	if (find_mount(c, target))
		return err_set(err, -EINVAL, "Duplicate mount point: %s", target);
	path = copy[0] == '/';
	m = add_mount(c, path ? "bind" : "volume", target);
	m->mode = xstrdup(mode ? mode : path ? "" : "z");
	for (char *save, *o = mode ? strtok_r(mode, ",", &save) : NULL; o;
	     o = strtok_r(NULL, ",", &save)) {
		static const char *const prop[] = {"shared", "rshared", "slave",
						   "rslave", "private", "rprivate"};
		bool known = !strcmp(o, "rw") || !strcmp(o, "z") || !strcmp(o, "Z") ||
			     !strcmp(o, "delegated") || !strcmp(o, "cached") ||
			     !strcmp(o, "consistent");

		if (!strcmp(o, "ro"))
			m->rw = false, known = true;
		if (!strcmp(o, "nocopy"))
			m->no_copy = true, known = true;
		for (size_t i = 0; i < ARRAY_SIZE(prop); i++) {
			if (!strcmp(o, prop[i])) {
				free(m->propagation);
				m->propagation = xstrdup(o);
				known = true;
			}
		}
		if (!known)
			return err_set(err, -EINVAL, "invalid mode: %s", o);
	}
	if (!path)
		return use_volume(c, m, copy, js(c->host, "VolumeDriver"), NULL, NULL, err);
	m->source = xstrdup(copy);
	return dir_exists_or_make(copy, err);
}

static int add_mount_object(struct ctr *c, json_t *o, struct err *err)
{
	const char *type = js(o, "Type"), *target = js(o, "Target"), *source = js(o, "Source");
	json_t *vol = json_object_get(o, "VolumeOptions"),
	       *drv = json_object_get(vol, "DriverConfig"),
	       *tmpfs = json_object_get(o, "TmpfsOptions"),
	       *bind = json_object_get(o, "BindOptions");
	struct mount_point *m;
	int rc = check_target(target, err);

	if (rc)
		return rc;
	if (find_mount(c, target))
		return err_set(err, -EINVAL, "Duplicate mount point: %s", target);
	if (!strcmp(type, "bind")) {
		if (source[0] != '/')
			return err_set(err, -EINVAL,
				       "invalid mount config for type \"bind\": invalid mount "
				       "path: '%s' mount path must be absolute",
				       source);
		if (access(source, F_OK) &&
		    !json_is_true(json_object_get(bind, "CreateMountpoint")))
			return err_set(err, -EINVAL,
				       "invalid mount config for type \"bind\": bind source path "
				       "does not exist: %s",
				       source);
		rc = dir_exists_or_make(source, err);
		m = add_mount(c, "bind", target);
		m->source = xstrdup(source);
		m->propagation = xstrdup(js(bind, "Propagation"));
	} else if (!strcmp(type, "volume")) {
		m = add_mount(c, "volume", target);
		m->no_copy = json_is_true(json_object_get(vol, "NoCopy"));
		m->mode = xstrdup("z");
		rc = use_volume(c, m, source, js(drv, "Name"), json_object_get(drv, "Options"),
				json_object_get(vol, "Labels"), err);
	} else if (!strcmp(type, "tmpfs")) {
		m = add_mount(c, "tmpfs", target);
		m->size = ji(tmpfs, "SizeBytes");
		m->perm = ji(tmpfs, "Mode");
	} else {
		return err_set(err, -EINVAL, "mount type unknown: \"%s\"", type);
	}
	m->rw = !json_is_true(json_object_get(o, "ReadOnly"));
	return rc;
}

static struct mount_point *copy_mount(struct ctr *c, const struct mount_point *from)
{
	struct mount_point *m = add_mount(c, from->type, from->target);

	m->name = xstrdup(from->name);
	m->source = xstrdup(from->source);
	m->mode = xstrdup(from->mode);
	m->propagation = xstrdup(from->propagation);
	m->rw = from->rw;
	m->no_copy = from->no_copy;
	return m;
}

/* "container[:ro|rw]": its binds and volumes, where there is nothing else yet. */
static int add_volumes_from(struct ctr *c, const char *spec, struct err *err)
{
	_cleanup_free_ char *name = xstrdup(spec);
	char *mode = strchr(name, ':');
	struct ctr *from;

	if (mode)
		*mode++ = 0;
	if (mode && strcmp(mode, "ro") && strcmp(mode, "rw") && strcmp(mode, "z") &&
	    strcmp(mode, "Z"))
		return err_set(err, -EINVAL, "invalid mode for volumes-from: %s", mode);
	from = ctr_find(c->ctrs, name, err);
	if (!from)
		return err ? err->code : -ENOENT;
	for (size_t i = 0; i < from->n_mounts; i++) {
		if (!strcmp(from->mounts[i].type, "tmpfs") || find_mount(c, from->mounts[i].target))
			continue;
		if (!copy_mount(c, &from->mounts[i])->rw)
			continue;
		c->mounts[c->n_mounts - 1].rw = !mode || strcmp(mode, "ro");
	}
	return 0;
}

int ctr_make_mounts(struct ctr *c, struct err *err)
{
	json_t *v;
	const char *target;
	size_t i;
	int rc = 0;

	json_array_foreach (json_object_get(c->host, "Binds"), i, v)
		rc = rc ? rc : add_bind(c, json_string_value(v), err);
	json_array_foreach (json_object_get(c->host, "Mounts"), i, v)
		rc = rc ? rc : add_mount_object(c, v, err);
	json_object_foreach (json_object_get(c->host, "Tmpfs"), target, v) {
		if (rc)
			break;
		rc = check_target(target, err);
		if (!rc && !find_mount(c, target))
			add_mount(c, "tmpfs", target)->options = xstrdup(json_string_value(v));
	}
	json_array_foreach (json_object_get(c->host, "VolumesFrom"), i, v)
		rc = rc ? rc : add_volumes_from(c, json_string_value(v), err);
	json_object_foreach (json_object_get(c->config, "Volumes"), target, v) {
		struct mount_point *m;

		if (rc)
			break;
		if (find_mount(c, target))
			continue;
		rc = check_target(target, err);
		if (rc)
			break;
		m = add_mount(c, "volume", target);
		rc = use_volume(c, m, NULL, js(c->host, "VolumeDriver"), NULL, NULL, err);
	}
	return rc;
}
