// SPDX-License-Identifier: Apache-2.0
/* Capabilities, cgroup limits and devices of a container's specification. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "ctr/ctr_impl.h"
#include "disk/file.h"

static const char *const cap_names[] = {
	"CHOWN",
	"DAC_OVERRIDE",
	"DAC_READ_SEARCH",
	"FOWNER",
	"FSETID",
	"KILL",
	"SETGID",
	"SETUID",
	"SETPCAP",
	"LINUX_IMMUTABLE",
	"NET_BIND_SERVICE",
	"NET_BROADCAST",
	"NET_ADMIN",
	"NET_RAW",
	"IPC_LOCK",
	"IPC_OWNER",
	"SYS_MODULE",
	"SYS_RAWIO",
	"SYS_CHROOT",
	"SYS_PTRACE",
	"SYS_PACCT",
	"SYS_ADMIN",
	"SYS_BOOT",
	"SYS_NICE",
	"SYS_RESOURCE",
	"SYS_TIME",
	"SYS_TTY_CONFIG",
	"MKNOD",
	"LEASE",
	"AUDIT_WRITE",
	"AUDIT_CONTROL",
	"SETFCAP",
	"MAC_OVERRIDE",
	"MAC_ADMIN",
	"SYSLOG",
	"WAKE_ALARM",
	"BLOCK_SUSPEND",
	"AUDIT_READ",
	"PERFMON",
	"BPF",
	"CHECKPOINT_RESTORE",
};
static const char *const default_caps[] = {
	"CHOWN",   "DAC_OVERRIDE", "FSETID",	       "FOWNER",
	"MKNOD",   "NET_RAW",	   "SETGID",	       "SETUID",
	"SETFCAP", "SETPCAP",	   "NET_BIND_SERVICE", "SYS_CHROOT",
	"KILL",	   "AUDIT_WRITE",
};

static int cap_index(const char *name)
{
	if (!strncasecmp(name, "CAP_", 4))
		name += 4;
	for (size_t i = 0; i < ARRAY_SIZE(cap_names); i++)
		if (!strcasecmp(name, cap_names[i]))
			return i;
	return -1;
}

static bool has_all(json_t *list)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (!strcasecmp(json_string_value(v), "ALL"))
			return true;
	return false;
}

/* What this process may give away at all. */
static uint64_t own_bounds(void)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const char *line;

	if (file_read("/proc/self/status", 1 << 16, &text, NULL))
		return ~0ull;
	line = strstr(text.data, "\nCapBnd:");
	return line ? strtoull(line + 8, NULL, 16) : ~0ull;
}

int spec_caps(json_t *host, json_t **ret, struct err *err)
{
	json_t *add = json_object_get(host, "CapAdd"), *drop = json_object_get(host, "CapDrop"), *v;
	bool privileged = jb(host, "Privileged"), all = has_all(add) || privileged;
	_cleanup_buf_ struct buf last = BUF_INIT;
	uint64_t bounds = own_bounds();
	bool keep[ARRAY_SIZE(cap_names)] = {false};
	size_t n = ARRAY_SIZE(cap_names), i;

	if (!file_read("/proc/sys/kernel/cap_last_cap", 16, &last, NULL))
		n = min(n, (size_t)atoi(last.data) + 1);
	for (i = 0; i < n; i++)
		keep[i] = all;
	if (!all && !has_all(drop))
		for (i = 0; i < ARRAY_SIZE(default_caps); i++)
			keep[cap_index(default_caps[i])] = true;
	for (int pass = 0; pass < 2; pass++) {
		/* what is dropped by name goes also from ALL; what is added by name stays with ALL dropped */
		json_array_foreach (pass ? add : drop, i, v) {
			const char *name = json_string_value(v);
			int at = cap_index(name);

			if (at < 0 && strcasecmp(name, "ALL"))
				return err_set(err, -EINVAL,
					       "invalid Cap%s: unknown capability: \"%s\"",
					       pass ? "Add" : "Drop", name);
			if (at >= 0 && (size_t)at < n && !privileged)
				keep[at] = pass;
		}
	}
	*ret = json_array();
	for (i = 0; i < n; i++)
		if (keep[i] && bounds >> i & 1)
			json_array_append_new(*ret, json_sprintf("CAP_%s", cap_names[i]));
	return 0;
}

/* --- resources --- */

static void put(json_t *o, const char *key, json_int_t v)
{
	if (v)
		json_object_set_new(o, key, json_integer(v));
}

static void put_section(json_t *res, const char *key, json_t *section)
{
	if (json_object_size(section))
		json_object_set_new(res, key, section);
	else
		json_decref(section);
}

static json_t *memory(json_t *host)
{
	json_t *m = json_object();

	put(m, "limit", ji(host, "Memory"));
	put(m, "reservation", ji(host, "MemoryReservation"));
	if (ji(host, "Memory") &&
	    (cgroup_is_v2() || cgroup_v1_has("memory", "memory.memsw.limit_in_bytes")))
		put(m, "swap", ji(host, "MemorySwap"));
	if (json_is_integer(json_object_get(host, "MemorySwappiness")) &&
	    ji(host, "MemorySwappiness") >= 0 && !cgroup_is_v2())
		json_object_set(m, "swappiness", json_object_get(host, "MemorySwappiness"));
	if (jb(host, "OomKillDisable") && !cgroup_is_v2())
		json_object_set_new(m, "disableOOMKiller", json_true());
	return m;
}

static json_t *cpu(json_t *host)
{
	json_t *c = json_object();

	put(c, "shares", ji(host, "CpuShares"));
	put(c, "period", ji(host, "CpuPeriod"));
	put(c, "quota", ji(host, "CpuQuota"));
	put(c, "realtimePeriod", ji(host, "CpuRealtimePeriod"));
	put(c, "realtimeRuntime", ji(host, "CpuRealtimeRuntime"));
	if (ji(host, "NanoCpus")) {
		put(c, "period", 100000);
		put(c, "quota", ji(host, "NanoCpus") / 10000);
	}
	if (*js(host, "CpusetCpus"))
		json_object_set(c, "cpus", json_object_get(host, "CpusetCpus"));
	if (*js(host, "CpusetMems"))
		json_object_set(c, "mems", json_object_get(host, "CpusetMems"));
	return c;
}

static void throttle(json_t *io, json_t *host, const char *from, const char *to, const char *field)
{
	json_t *out = json_array(), *v;
	struct stat st;
	size_t i;

	json_array_foreach (json_object_get(host, from), i, v)
		if (!stat(js(v, "Path"), &st) && S_ISBLK(st.st_mode))
			json_array_append_new(
				out, json_pack("{s:i, s:i, s:I}", "major", major(st.st_rdev),
					       "minor", minor(st.st_rdev), field,
					       ji(v, from[5] == 'W' ? "Weight" : "Rate")));
	if (json_array_size(out))
		json_object_set_new(io, to, out);
	else
		json_decref(out);
}

static json_t *block_io(json_t *host)
{
	json_t *io = json_object();

	if (cgroup_has_io_weight()) {
		put(io, "weight", ji(host, "BlkioWeight"));
		throttle(io, host, "BlkioWeightDevice", "weightDevice", "weight");
	}
	throttle(io, host, "BlkioDeviceReadBps", "throttleReadBpsDevice", "rate");
	throttle(io, host, "BlkioDeviceWriteBps", "throttleWriteBpsDevice", "rate");
	throttle(io, host, "BlkioDeviceReadIOps", "throttleReadIOPSDevice", "rate");
	throttle(io, host, "BlkioDeviceWriteIOps", "throttleWriteIOPSDevice", "rate");
	return io;
}

json_t *spec_resources(json_t *host)
{
	json_t *res = json_object();

	put_section(res, "memory", memory(host));
	put_section(res, "cpu", cpu(host));
	put_section(res, "blockIO", block_io(host));
	if (ji(host, "PidsLimit") > 0)
		json_object_set_new(res, "pids",
				    json_pack("{s:I}", "limit", ji(host, "PidsLimit")));
	return res;
}

/* --- devices --- */

static json_t *rule(const char *type, json_int_t maj, json_int_t min_, const char *access)
{
	json_t *r = json_pack("{s:b, s:s, s:s}", "allow", 1, "type", type, "access", access);

	if (maj >= 0)
		json_object_set_new(r, "major", json_integer(maj));
	if (min_ >= 0)
		json_object_set_new(r, "minor", json_integer(min_));
	return r;
}

static void add_node(const char *path, const struct stat *st, const char *access, json_t *devices,
		     json_t *rules)
{
	const char *type = S_ISBLK(st->st_mode) ? "b" : "c";

	json_array_append_new(devices,
			      json_pack("{s:s, s:s, s:i, s:i, s:i, s:I, s:I}", "path", path, "type",
					type, "major", major(st->st_rdev), "minor",
					minor(st->st_rdev), "fileMode", st->st_mode & 07777, "uid",
					(json_int_t)st->st_uid, "gid", (json_int_t)st->st_gid));
	if (rules)
		json_array_append_new(rules,
				      rule(type, major(st->st_rdev), minor(st->st_rdev), access));
}

/* A device, or all below a folder. skip: what the runtime makes itself. */
static int add_tree(const char *from, const char *to, const char *access, bool all, json_t *devices,
		    json_t *rules)
{
	static const char *const own[] = {"pts",     "shm",  "mqueue", "fd",	   "console",
					  "ptmx",    "null", "zero",   "full",	   "random",
					  "urandom", "tty",  ".udev",  "hugepages"};
	struct stat st;
	struct dirent *e;
	DIR *d;

	if (lstat(from, &st) || (S_ISLNK(st.st_mode) && (all || stat(from, &st))))
		return -ENOENT;
	if (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode))
		add_node(to, &st, access, devices, rules);
	if (!S_ISDIR(st.st_mode))
		return 0;
	d = opendir(from);
	while (d && (e = readdir(d))) {
		_cleanup_free_ char *f = xasprintf("%s/%s", from, e->d_name),
				    *t = xasprintf("%s/%s", to, e->d_name);
		bool skip = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");

		for (size_t i = 0; all && !strcmp(from, "/dev") && i < ARRAY_SIZE(own); i++)
			skip |= !strcmp(e->d_name, own[i]);
		if (!skip)
			add_tree(f, t, access, all, devices, rules);
	}
	if (d)
		closedir(d);
	return 0;
}

static int add_cgroup_rule(const char *text, json_t *rules, struct err *err)
{
	char type, maj[12], min_[12], access[4];

	if (sscanf(text, "%c %11[0-9*]:%11[0-9*] %3[rwm]", &type, maj, min_, access) != 4 ||
	    !strchr("abc", type))
		return err_set(err, -EINVAL, "invalid device cgroup rule format: '%s'", text);
	json_array_append_new(rules, rule((char[]){type, 0}, *maj == '*' ? -1 : atoll(maj),
					  *min_ == '*' ? -1 : atoll(min_), access));
	return 0;
}

/* There are no device drivers: the capabilities as Go prints them, "[[gpu]]". */
static int no_driver(json_t *request, struct err *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_t *set, *v;
	size_t i, k;

	json_array_foreach (json_object_get(request, "Capabilities"), i, set) {
		buf_str(&text, i ? " [" : "[");
		json_array_foreach (set, k, v)
			buf_printf(&text, "%s%s", k ? " " : "", json_string_value(v) ?: "");
		buf_char(&text, ']');
	}
	return err_set(err, -EINVAL,
		       "could not select device driver \"%s\" with capabilities: [%s]",
		       js(request, "Driver"), text.data);
}

int spec_devices(json_t *host, json_t *devices, json_t *rules, struct err *err)
{
	static const struct {
		int maj, min;
	} usual[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}, {136, -1}};
	json_t *v;
	size_t i;
	int rc = 0;

	if (json_array_size(json_object_get(host, "DeviceRequests")))
		return no_driver(json_array_get(json_object_get(host, "DeviceRequests"), 0), err);
	if (jb(host, "Privileged")) {
		json_array_append_new(rules, json_pack("{s:b, s:s}", "allow", 1, "access", "rwm"));
		return add_tree("/dev", "/dev", "rwm", true, devices, NULL);
	}
	json_array_append_new(rules, json_pack("{s:b, s:s}", "allow", 0, "access", "rwm"));
	json_array_append_new(rules, rule("c", -1, -1, "m"));
	json_array_append_new(rules, rule("b", -1, -1, "m"));
	for (i = 0; i < ARRAY_SIZE(usual); i++)
		json_array_append_new(rules, rule("c", usual[i].maj, usual[i].min, "rwm"));
	json_array_foreach (json_object_get(host, "Devices"), i, v) {
		const char *from = js(v, "PathOnHost"), *to = js(v, "PathInContainer"),
			   *access = js(v, "CgroupPermissions");

		if (add_tree(from, *to ? to : from, *access ? access : "rwm", false, devices,
			     rules))
			return err_set(err, -EINVAL,
				       "error gathering device information while adding custom "
				       "device \"%s\": "
				       "no such file or directory",
				       from);
	}
	json_array_foreach (json_object_get(host, "DeviceCgroupRules"), i, v)
		if (!rc && json_is_string(v))
			rc = add_cgroup_rule(json_string_value(v), rules, err);
	return rc;
}
