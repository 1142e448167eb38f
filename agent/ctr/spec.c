// SPDX-License-Identifier: Apache-2.0
/*
 * The OCI specification of a container, as dockerd's defaults have it.
 * Source: OCI runtime-spec config-linux.md; moby oci/defaults.go, daemon/oci_linux.go.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "ctr/ctr_impl.h"
#include "ctr/filter.h"
#include "disk/file.h"

static const char default_path[] =
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static bool env_has(json_t *env, const char *name)
{
	size_t n = strlen(name), i;
	json_t *v;

	json_array_foreach (env, i, v)
		if (!strncmp(json_string_value(v), name, n) && json_string_value(v)[n] == '=')
			return true;
	return false;
}

/* Put "NAME=value" in the place of the name's entry, else behind all. */
static void put_env(json_t *env, json_t *entry)
{
	const char *s = json_string_value(entry);
	size_t n = strcspn(s, "="), i;
	json_t *v;

	json_array_foreach (env, i, v)
		if (!strncmp(json_string_value(v), s, n) && json_string_value(v)[n] == '=') {
			json_array_set(env, i, entry);
			return;
		}
	json_array_append(env, entry);
}

/* PATH, HOSTNAME, TERM and HOME where they are not given. */
static json_t *make_env(json_t *given, json_t *config, bool tty, const char *home)
{
	json_t *env = json_array(), *v;
	size_t i;

	json_array_append_new(env, json_string(default_path));
	if (*js(config, "Hostname"))
		json_array_append_new(env, json_sprintf("HOSTNAME=%s", js(config, "Hostname")));
	if (tty)
		json_array_append_new(env, json_string("TERM=xterm"));
	json_array_foreach (given, i, v)
		put_env(env, v);
	if (!env_has(given, "HOME"))
		json_array_append_new(env, json_sprintf("HOME=%s", home));
	return env;
}

static json_t *make_rlimits(json_t *host)
{
	json_t *out = json_array(), *v;
	size_t i;

	json_array_foreach (json_object_get(host, "Ulimits"), i, v) {
		char name[32] = "RLIMIT_";
		size_t n = 7;

		for (const char *p = js(v, "Name"); *p && n < sizeof(name) - 1; p++)
			name[n++] = toupper(*p);
		name[n] = 0;
		json_array_append_new(out, json_pack("{s:s, s:O?, s:O?}", "type", name, "soft",
						     json_object_get(v, "Soft"), "hard",
						     json_object_get(v, "Hard")));
	}
	return out;
}

static bool security_opt(json_t *host, const char *name, const char **ret)
{
	size_t n = strlen(name), i;
	json_t *v;

	json_array_foreach (json_object_get(host, "SecurityOpt"), i, v) {
		const char *s = json_string_value(v);

		if (strncmp(s, name, n) || (s[n] && s[n] != '=' && s[n] != ':'))
			continue;
		*ret = s[n] ? s + n + 1 : "";
		return true;
	}
	return false;
}

static bool no_new_privileges(json_t *host, bool dflt)
{
	const char *v;

	return security_opt(host, "no-new-privileges", &v) ? !*v || !strcmp(v, "true") : dflt;
}

static json_t *make_capabilities(json_t *caps, bool root)
{
	json_t *none = json_array(), *out;

	/* another user than root gets them by executing files that have them only */
	out = json_pack("{s:O, s:O, s:O}", "bounding", caps, "effective", root ? caps : none,
			"permitted", root ? caps : none);
	json_decref(none);
	return out;
}

static int make_process(const char *root, const char *user, json_t *group_add, json_t *config,
			json_t *host, json_t *given_env, json_t *caps, bool tty, bool nnp,
			json_t **ret, struct err *err)
{
	_cleanup_free_ char *home = NULL;
	json_t *who, *p;
	int rc = spec_user(root, user, group_add, &who, &home, err);

	if (rc)
		return rc;
	p = json_pack("{s:b, s:o, s:o, s:o, s:b, s:o}", "terminal", tty, "user", who, "env",
		      make_env(given_env, config, tty, home), "capabilities",
		      make_capabilities(caps, !ji(who, "uid")), "noNewPrivileges",
		      no_new_privileges(host, nnp), "rlimits", make_rlimits(host));
	if (tty && json_array_size(json_object_get(host, "ConsoleSize")) == 2 &&
	    json_integer_value(json_array_get(json_object_get(host, "ConsoleSize"), 0)) > 0)
		json_object_set_new(
			p, "consoleSize",
			json_pack("{s:O, s:O}", "height",
				  json_array_get(json_object_get(host, "ConsoleSize"), 0), "width",
				  json_array_get(json_object_get(host, "ConsoleSize"), 1)));
	*ret = p;
	return 0;
}

/* --- mounts --- */

static json_t *mount(const char *target, const char *type, const char *source, const char *options)
{
	json_t *list = json_array();

	while (*options) {
		size_t n = strcspn(options, ",");

		json_array_append_new(list, json_stringn(options, n));
		options += n + (options[n] == ',');
	}
	return json_pack("{s:s, s:s, s:s, s:o}", "destination", target, "type", type, "source",
			 source, "options", list);
}

static bool taken(json_t *user, const char *target)
{
	json_t *v;
	size_t i;

	json_array_foreach (user, i, v)
		if (!strcmp(js(v, "destination"), target))
			return true;
	return false;
}

static int depth(const char *path)
{
	int n = 0;

	for (; *path; path++)
		n += *path == '/' && path[1];
	return n;
}

/* Mounts with outer ones first. */
static void add_sorted(json_t *out, json_t *user)
{
	json_t *v;
	size_t i;

	for (int want = 1, left = json_array_size(user); left && want < 256; want++)
		json_array_foreach (user, i, v)
			if (depth(js(v, "destination")) == want) {
				json_array_append(out, v);
				left--;
			}
}

static json_t *make_mounts(const struct bundle *b)
{
	bool privileged = jb(b->host, "Privileged"),
	     host_ipc = !strcmp(js(b->host, "IpcMode"), "host");
	static const char *const files[] = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"};
	_cleanup_free_ char *shm =
		xasprintf("nosuid,noexec,nodev,mode=1777,size=%lld", ji(b->host, "ShmSize"));
	json_t *out = json_array(), *keep = json_array(), *sorted = json_array(), *v;
	size_t i;

	json_array_append_new(out, mount("/proc", "proc", "proc", "nosuid,noexec,nodev"));
	json_array_append_new(
		out, mount("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"));
	json_array_append_new(out,
			      mount("/dev/pts", "devpts", "devpts",
				    "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"));
	json_array_append_new(out,
			      mount("/sys", "sysfs", "sysfs",
				    privileged ? "nosuid,noexec,nodev" : "nosuid,noexec,nodev,ro"));
	json_array_append_new(out,
			      mount("/sys/fs/cgroup", "cgroup", "cgroup",
				    privileged ? "nosuid,noexec,nodev" : "ro,nosuid,noexec,nodev"));
	json_array_append_new(out, mount("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"));
	json_array_foreach (out, i, v)
		if (!taken(b->mounts, js(v, "destination")))
			json_array_append(keep, v);
	json_array_clear(out);
	if (host_ipc)
		json_array_append_new(out, mount("/dev/shm", "bind", "/dev/shm", "rbind"));
	else if (b->shm)
		json_array_append_new(out, mount("/dev/shm", "bind", b->shm, "rbind"));
	else if (strcmp(js(b->host, "IpcMode"), "none"))
		json_array_append_new(out, mount("/dev/shm", "tmpfs", "shm", shm));
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *from = xasprintf("%s%s", b->net_dir, strrchr(files[i], '/'));

		if (!access(from, F_OK))
			json_array_append_new(out, mount(files[i], "bind", from, "rbind,rprivate"));
	}
	/* a volume at /etc does not hide these */
	json_array_foreach (out, i, v)
		if (!taken(b->mounts, js(v, "destination")))
			json_array_append(sorted, v);
	json_array_extend(sorted, b->mounts);
	add_sorted(keep, sorted);
	json_decref(sorted);
	json_decref(out);
	if (b->init)
		json_array_append_new(keep,
				      mount("/sbin/docker-init", "bind", b->init_path, "bind,ro"));
	return keep;
}

/* A mount that shares with the node needs a root that does. */
static const char *root_propagation(json_t *mounts)
{
	const char *found = NULL;
	json_t *m, *o;
	size_t i, k;

	json_array_foreach (mounts, i, m)
		json_array_foreach (json_object_get(m, "options"), k, o) {
			const char *s = json_string_value(o);

			if (!strcmp(s, "shared") || !strcmp(s, "rshared"))
				found = "shared";
			else if (!found && (!strcmp(s, "slave") || !strcmp(s, "rslave")))
				found = "rslave";
		}
	return found;
}

/* --- linux --- */

static void add_ns(json_t *list, const char *type, const char *path)
{
	json_array_append_new(list, path ? json_pack("{s:s, s:s}", "type", type, "path", path)
					 : json_pack("{s:s}", "type", type));
}

static json_t *make_namespaces(const struct bundle *b)
{
	json_t *ns = json_array();

	add_ns(ns, "mount", NULL);
	if (b->netns || b->new_netns)
		add_ns(ns, "network", b->netns);
	if (strcmp(js(b->host, "UTSMode"), "host"))
		add_ns(ns, "uts", NULL);
	if (strcmp(js(b->host, "PidMode"), "host"))
		add_ns(ns, "pid", b->pid_ns);
	if (strcmp(js(b->host, "IpcMode"), "host"))
		add_ns(ns, "ipc", b->ipc_ns);
	if (strcmp(js(b->host, "CgroupnsMode"), "host"))
		add_ns(ns, "cgroup", NULL);
	return ns;
}

static json_t *make_sysctls(const struct bundle *b)
{
	json_t *out = json_object(), *v;
	const char *key;

	if (b->netns && !starts_with(js(b->host, "NetworkMode"), "container:")) {
		json_object_set_new(out, "net.ipv4.ip_unprivileged_port_start", json_string("0"));
		json_object_set_new(out, "net.ipv4.ping_group_range", json_string("0 2147483647"));
	}
	if (*js(b->config, "Domainname") && strcmp(js(b->host, "UTSMode"), "host"))
		json_object_set(out, "kernel.domainname", json_object_get(b->config, "Domainname"));
	json_object_foreach (json_object_get(b->host, "Sysctls"), key, v)
		if (json_is_string(v))
			json_object_set(out, key, v);
	return out;
}

json_t *spec_hidden(const char *key)
{
	static const char masked[] =
		"[\"/proc/asound\",\"/proc/acpi\",\"/proc/interrupts\",\"/proc/kcore\",\"/proc/"
		"keys\","
		"\"/proc/latency_stats\",\"/proc/timer_list\",\"/proc/timer_stats\",\"/proc/"
		"sched_debug\","
		"\"/proc/scsi\",\"/sys/firmware\",\"/sys/devices/virtual/powercap\"]",
			  readonly[] = "[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/"
				       "proc/sysrq-trigger\"]";

	return json_loads(strcmp(key, "MaskedPaths") ? readonly : masked, 0, NULL);
}

static void set_hidden(json_t *linux_part, json_t *host)
{
	json_t *m = json_object_get(host, "MaskedPaths"),
	       *r = json_object_get(host, "ReadonlyPaths");

	if (jb(host, "Privileged"))
		return;
	json_object_set_new(linux_part, "maskedPaths",
			    json_is_array(m) ? json_incref(m) : spec_hidden("MaskedPaths"));
	json_object_set_new(linux_part, "readonlyPaths",
			    json_is_array(r) ? json_incref(r) : spec_hidden("ReadonlyPaths"));
}

bool seccomp_is_default(json_t *host)
{
	const char *v;

	return !jb(host, "Privileged") &&
	       (!security_opt(host, "seccomp", &v) || !strcmp(v, "builtin") || !*v);
}

static int set_seccomp(struct bundle *b, json_t *linux_part, json_t *caps, struct err *err)
{
	json_t *profile = NULL;
	const char *v;

	if (jb(b->host, "Privileged"))
		return 0;
	if (seccomp_is_default(b->host)) {
		if (!b->filter) {
			profile = seccomp_default(caps);
			if (b->want_filter)
				b->filter = filter_compile(profile);
		}
		if (b->filter) {
			json_decref(profile);
			profile = NULL;
		}
	} else if (security_opt(b->host, "seccomp", &v) && strcmp(v, "unconfined")) {
		/* the client sends the file's content; Docker's form knows more fields than OCI's */
		profile = json_loads(v, 0, NULL);
		if (!json_is_object(profile)) {
			json_decref(profile);
			return err_set(err, -EINVAL,
				       "Decoding seccomp profile failed: it is no JSON object");
		}
		if (json_object_get(profile, "archMap")) {
			json_object_del(profile, "archMap");
			json_object_set_new(profile, "architectures",
					    json_pack("[s, s, s]", "SCMP_ARCH_X86_64",
						      "SCMP_ARCH_X86", "SCMP_ARCH_X32"));
		}
	}
	if (profile)
		json_object_set_new(linux_part, "seccomp", profile);
	return 0;
}

static int make_linux(struct bundle *b, json_t *caps, json_t **ret, struct err *err)
{
	json_t *devices = json_array(), *rules = json_array(), *res = spec_resources(b->host), *out;
	const char *propagation = root_propagation(b->mounts);
	int rc = spec_devices(b->host, devices, rules, err);

	json_object_set_new(res, "devices", rules);
	out = json_pack("{s:s, s:o, s:o, s:o, s:o}", "cgroupsPath", b->cgroups_path, "namespaces",
			make_namespaces(b), "resources", res, "devices", devices, "sysctl",
			make_sysctls(b));
	if (propagation)
		json_object_set_new(out, "rootfsPropagation", json_string(propagation));
	set_hidden(out, b->host);
	if (!rc)
		rc = set_seccomp(b, out, caps, err);
	if (rc)
		json_decref(out);
	else
		*ret = out;
	return rc;
}

static void add_args(const struct bundle *b, json_t *process)
{
	json_t *args = json_array(), *v;
	size_t i;

	if (b->init) {
		json_array_append_new(args, json_string("/sbin/docker-init"));
		json_array_append_new(args, json_string("--"));
	}
	json_array_foreach (b->args, i, v)
		json_array_append(args, v);
	json_object_set_new(process, "args", args);
}

int spec_make(struct bundle *b, json_t **ret, struct err *err)
{
	const char *cwd = *js(b->config, "WorkingDir") ? js(b->config, "WorkingDir") : "/";
	json_t *caps, *process, *linux_part, *spec;
	int rc = spec_caps(b->host, &caps, err);

	if (rc)
		return rc;
	rc = make_process(b->root, js(b->config, "User"), json_object_get(b->host, "GroupAdd"),
			  b->config, b->host, json_object_get(b->config, "Env"), caps,
			  jb(b->config, "Tty"), b->no_new_privileges, &process, err);
	if (!rc) {
		rc = make_linux(b, caps, &linux_part, err);
		if (rc)
			json_decref(process);
	}
	json_decref(caps);
	if (rc)
		return rc;
	rc = root_mkdir(b->root, cwd, 0, 0);
	if (rc == -ENOTDIR) {
		json_decref(process);
		json_decref(linux_part);
		return err_set(err, -EINVAL,
			       "the working directory %s of the container is no folder", cwd);
	}
	add_args(b, process);
	json_object_set_new(process, "cwd", json_string(cwd));
	if (ji(b->host, "OomScoreAdj"))
		json_object_set(process, "oomScoreAdj", json_object_get(b->host, "OomScoreAdj"));
	spec = json_pack("{s:s, s:o, s:{s:s, s:b}, s:o, s:o}", "ociVersion", "1.0.2", "process",
			 process, "root", "path", b->root, "readonly",
			 jb(b->host, "ReadonlyRootfs"), "mounts", make_mounts(b), "linux",
			 linux_part);
	if (strcmp(js(b->host, "UTSMode"), "host") && *js(b->config, "Hostname"))
		json_object_set(spec, "hostname", json_object_get(b->config, "Hostname"));
	if (b->filter)
		json_object_set_new(spec, "annotations",
				    json_pack("{s:s}", "run.oci.seccomp_bpf_data", b->filter));
	*ret = spec;
	return 0;
}

/* An exec's environment: the container's, with its own over it. */
static json_t *exec_env(json_t *base, json_t *own)
{
	json_t *out = json_array(), *v;
	size_t i;

	json_array_foreach (base, i, v)
		json_array_append(out, v);
	json_array_foreach (own, i, v)
		if (json_is_string(v) && strchr(json_string_value(v), '='))
			put_env(out, v);
	return out;
}

int spec_exec(const char *root, json_t *config, json_t *host, bool nnp, json_t *exec, json_t **ret,
	      struct err *err)
{
	const char *user = *js(exec, "User") ? js(exec, "User") : js(config, "User"),
		   *cwd = js(exec, "WorkingDir");
	json_t *caps, *env, *as = host, *p;
	int rc;

	if (jb(exec, "Privileged")) {
		as = json_copy(host);
		json_object_set_new(as, "Privileged", json_true());
	}
	rc = spec_caps(as, &caps, err);
	if (as != host)
		json_decref(as);
	if (rc)
		return rc;
	env = exec_env(json_object_get(config, "Env"), json_object_get(exec, "Env"));
	rc = make_process(root, user, json_object_get(host, "GroupAdd"), config, host, env, caps,
			  jb(exec, "Tty"), nnp, &p, err);
	json_decref(env);
	json_decref(caps);
	if (rc)
		return rc;
	json_object_del(p, "consoleSize");
	if (json_array_size(json_object_get(exec, "ConsoleSize")) == 2)
		json_object_set_new(
			p, "consoleSize",
			json_pack("{s:O, s:O}", "height",
				  json_array_get(json_object_get(exec, "ConsoleSize"), 0), "width",
				  json_array_get(json_object_get(exec, "ConsoleSize"), 1)));
	json_object_set(p, "args", json_object_get(exec, "Cmd"));
	json_object_set_new(p, "cwd",
			    json_string(*cwd			    ? cwd
					: *js(config, "WorkingDir") ? js(config, "WorkingDir")
								    : "/"));
	*ret = p;
	return 0;
}
