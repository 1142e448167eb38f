// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <errno.h>
#include <stdio.h>

#include "core/buf.h"
#include "disk/file.h"

enum kind { STR, LIST, BOOL, INT };
enum { WITHOUT_MEANING = 1, RELOADS = 2, FLAG_ONLY = 4 };

struct option {
	const char *name; /* of the flag */
	const char *key; /* in daemon.json; NULL: the same */
	char letter;
	enum kind kind;
	unsigned int how;
	size_t at;
	const char *help;
};

#define AT(field) offsetof(struct options, field)
#define NONE_STR(name, key)                                                                        \
	{                                                                                          \
		name, key, 0, STR, WITHOUT_MEANING, AT(ignored), NULL                              \
	}
#define NONE_LIST(name, key)                                                                       \
	{                                                                                          \
		name, key, 0, LIST, WITHOUT_MEANING, AT(ignored_list), NULL                        \
	}
#define NONE_BOOL(name)                                                                            \
	{                                                                                          \
		name, NULL, 0, BOOL, WITHOUT_MEANING, AT(ignored_bool), NULL                       \
	}
#define NONE_INT(name)                                                                             \
	{                                                                                          \
		name, NULL, 0, INT, WITHOUT_MEANING, AT(ignored_int), NULL                         \
	}

static const struct option table[] = {
	{"host", "hosts", 'H', LIST, 0, AT(hosts),
	 "Socket to serve: unix://PATH, tcp://HOST:PORT or fd:// (repeatable)"},
	{"data-root", NULL, 0, STR, 0, AT(data_root),
	 "Folder of persistent state (default /var/lib/docker)"},
	{"exec-root", NULL, 0, STR, 0, AT(exec_root),
	 "Folder of run-time state (default /var/run/docker)"},
	{"pidfile", NULL, 'p', STR, 0, AT(pidfile),
	 "File to write the process ID to (default /var/run/docker.pid)"},
	{"group", NULL, 'G', STR, 0, AT(group), "Group that owns the unix socket (default docker)"},
	{"config-file", NULL, 0, STR, FLAG_ONLY, AT(config_file),
	 "Configuration file (default /etc/docker/daemon.json)"},
	{"validate", NULL, 0, BOOL, FLAG_ONLY, AT(validate), "Check the configuration and exit"},
	{"debug", NULL, 'D', BOOL, RELOADS, AT(debug), "Log at level debug"},
	{"log-level", NULL, 'l', STR, RELOADS, AT(log_level),
	 "debug, info, warn, error or fatal (default info)"},
	{"log-format", NULL, 0, STR, 0, AT(log_format), "text or json (default text)"},
	{"label", "labels", 0, LIST, RELOADS, AT(labels),
	 "Label key=value of this engine (repeatable)"},
	{"insecure-registry", "insecure-registries", 0, LIST, RELOADS, AT(insecure_registries),
	 "Registry to talk to without TLS (repeatable)"},
	{"registry-mirror", "registry-mirrors", 0, LIST, RELOADS, AT(registry_mirrors),
	 "Mirror of Docker Hub (repeatable)"},
	{"bip", NULL, 0, STR, 0, AT(bip), "Address of docker0 as CIDR"},
	{"bip6", NULL, 0, STR, 0, AT(bip6), "IPv6 address of docker0 as CIDR"},
	{"ipv6", NULL, 0, BOOL, 0, AT(ipv6), "Give containers on docker0 IPv6 addresses, too"},
	{"fixed-cidr-v6", NULL, 0, STR, 0, AT(fixed_cidr_v6),
	 "IPv6 subnet of docker0, or the part of --bip6's to give to containers"},
	{"fixed-cidr", NULL, 0, STR, 0, AT(fixed_cidr),
	 "Part of docker0's subnet to give to containers"},
	{"mtu", NULL, 0, INT, 0, AT(mtu), "MTU of containers (default 1500)"},
	{"ip", NULL, 0, STR, 0, AT(ip),
	 "Address that ports published on docker0 bind to (default 0.0.0.0, and ::)"},
	{"icc", NULL, 0, BOOL, 0, AT(icc),
	 "Let containers on docker0 reach each other (default true)"},
	{"ip-masq", NULL, 0, BOOL, 0, AT(ip_masq),
	 "Masquerade what containers send outside (default true)"},
	{"userland-proxy", NULL, 0, BOOL, 0, AT(userland_proxy),
	 "Hand on what comes to ports of IPv6 and the kernel cannot send on (default true)"},
	{"dns", NULL, 0, LIST, 0, AT(dns), "DNS server of containers (repeatable)"},
	{"dns-search", NULL, 0, LIST, 0, AT(dns_search),
	 "DNS search domain of containers (repeatable)"},
	{"dns-opt", "dns-opts", 0, LIST, 0, AT(dns_opts), "DNS option of containers (repeatable)"},
	{"default-address-pool", "default-address-pools", 0, LIST, 0, AT(default_address_pools),
	 "base=CIDR,size=BITS for new local networks, IPv4 or IPv6 (repeatable)"},
	{"swarm-default-advertise-addr", NULL, 0, STR, 0, AT(swarm_default_advertise_addr),
	 "Address or interface to advertise in a swarm"},
	{"node-generic-resource", "node-generic-resources", 0, LIST, RELOADS,
	 AT(node_generic_resources), "Generic resource KIND=VALUE of this node (repeatable)"},
	{"live-restore", NULL, 0, BOOL, RELOADS, AT(live_restore),
	 "Accepted; containers outlive the daemon in any case. Not with swarm mode"},
	{"log-driver", NULL, 0, STR, 0, AT(log_driver),
	 "Default log driver: json-file, local, syslog, journald, fluentd, gelf or none (default "
	 "json-file)"},
	{"log-opt", "log-opts", 0, LIST, 0, AT(log_opts),
	 "Default log option KEY=VALUE (repeatable)"},
	{"cgroup-parent", NULL, 0, STR, 0, AT(cgroup_parent), "Parent cgroup of all containers"},
	{"init", NULL, 0, BOOL, 0, AT(init), "Run an init in every container"},
	{"init-path", NULL, 0, STR, 0, AT(init_path), "The init to run (default docker-init)"},
	{"no-new-privileges", NULL, 0, BOOL, 0, AT(no_new_privileges),
	 "Set no-new-privileges on every container"},
	{"shutdown-timeout", NULL, 0, INT, RELOADS, AT(shutdown_timeout),
	 "Accepted: containers are not stopped with the daemon"},
	{"tls", NULL, 0, BOOL, 0, AT(tls), "Serve TCP sockets with TLS"},
	{"tlsverify", NULL, 0, BOOL, 0, AT(tlsverify),
	 "Serve TCP sockets with TLS and verify clients"},
	{"tlscacert", NULL, 0, STR, 0, AT(tlscacert), "CA that signs clients' certificates"},
	{"tlscert", NULL, 0, STR, 0, AT(tlscert), "Certificate of the TCP sockets"},
	{"tlskey", NULL, 0, STR, 0, AT(tlskey), "Key of that certificate"},
	{"experimental", NULL, 0, BOOL, WITHOUT_MEANING, AT(experimental), NULL},
	{"datapath", NULL, 0, STR, 0, AT(datapath),
	 "auto, bpf or kmod: what carries overlay and ingress packets (default auto)"},
	{"uplink", "uplinks", 0, LIST, 0, AT(uplinks),
	 "Link that clients and peers come in by (repeatable; default: all)"},
	{"ingress-return", NULL, 0, STR, 0, AT(ingress_return),
	 "entry or direct: the way of replies on ingress ports (default entry)"},
	{"version", NULL, 'v', BOOL, FLAG_ONLY, AT(version), "Print the version and exit"},
	{"help", NULL, 'h', BOOL, FLAG_ONLY, AT(help), "Print this text and exit"},
	NONE_STR("containerd", NULL),
	NONE_STR("containerd-namespace", NULL),
	NONE_STR("containerd-plugins-namespace", NULL),
	NONE_STR("userland-proxy-path", NULL),
	NONE_BOOL("iptables"),
	NONE_BOOL("ip6tables"),
	NONE_BOOL("ip-forward"),
	NONE_BOOL("ip-forward-no-drop"),
	NONE_STR("bridge", NULL),
	NONE_STR("default-gateway", NULL),
	NONE_STR("default-gateway-v6", NULL),
	NONE_LIST("default-network-opt", "default-network-opts"),
	NONE_STR("host-gateway-ip", NULL),
	NONE_BOOL("allow-direct-routing"),
	NONE_STR("firewall-backend", NULL),
	NONE_INT("network-control-plane-mtu"),
	NONE_STR("default-runtime", NULL),
	NONE_LIST("add-runtime", "runtimes"),
	NONE_STR("default-cgroupns-mode", NULL),
	NONE_STR("default-ipc-mode", NULL),
	NONE_STR("default-shm-size", NULL),
	NONE_LIST("default-ulimit", "default-ulimits"),
	NONE_LIST("exec-opt", "exec-opts"),
	NONE_STR("seccomp-profile", NULL),
	NONE_BOOL("selinux-enabled"),
	NONE_STR("userns-remap", NULL),
	NONE_STR("storage-driver", NULL),
	NONE_LIST("storage-opt", "storage-opts"),
	NONE_INT("max-concurrent-downloads"),
	NONE_INT("max-concurrent-uploads"),
	NONE_INT("max-download-attempts"),
	NONE_STR("metrics-addr", NULL),
	NONE_INT("oom-score-adjust"),
	NONE_BOOL("raw-logs"),
	NONE_LIST("feature", "features"),
	NONE_LIST("cdi-spec-dir", "cdi-spec-dirs"),
	NONE_LIST("authorization-plugin", "authorization-plugins"),
	NONE_STR("http-proxy", NULL),
	NONE_STR("https-proxy", NULL),
	NONE_STR("no-proxy", NULL),
	NONE_BOOL("rootless"),
};

static void list_push(struct str_list *l, char *s)
{
	l->v = xrealloc(l->v, (l->n + 2) * sizeof(*l->v));
	l->v[l->n++] = s;
	l->v[l->n] = NULL;
}

static void list_clear(struct str_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct str_list){0};
}

static int set_bool(const char *s, bool *ret)
{
	if (streq(s, "true") || streq(s, "1") || streq(s, "True") || streq(s, "TRUE") ||
	    streq(s, "t"))
		*ret = true;
	else if (streq(s, "false") || streq(s, "0") || streq(s, "False") || streq(s, "FALSE") ||
		 streq(s, "f"))
		*ret = false;
	else
		return -EINVAL;
	return 0;
}

static int set_value(struct options *o, const struct option *opt, const char *value)
{
	void *field = (char *)o + opt->at;

	switch (opt->kind) {
	case STR:
		free(*(char **)field);
		*(char **)field = xstrdup(value);
		return 0;
	case LIST:
		list_push(field, xstrdup(value));
		return 0;
	case BOOL:
		return set_bool(value, field);
	case INT:
		return parse_i64(value, 0, INT32_MAX, field);
	}
	return -EINVAL;
}

static void note(struct options *o, const struct option *opt)
{
	if (opt->how & WITHOUT_MEANING)
		list_push(
			&o->warnings,
			xasprintf("the setting %s is accepted and has no meaning here", opt->name));
	if (opt->at == AT(live_restore))
		o->live_restore_set = true;
}

static const struct option *by_flag(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strlen(table[i].name) == len && !memcmp(table[i].name, name, len))
			return &table[i];
	return NULL;
}

static const struct option *by_letter(char letter)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (letter && table[i].letter == letter)
			return &table[i];
	return NULL;
}

static int parse_flags(struct options *o, int argc, char **argv, bool seen[], struct err *err)
{
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], *value = NULL;
		const struct option *opt;

		if (arg[0] != '-' || !arg[1])
			return err_set(err, -EINVAL, "unexpected argument '%s'", arg);
		if (arg[1] == '-') {
			const char *eq = strchr(arg, '=');

			opt = by_flag(arg + 2, eq ? (size_t)(eq - arg - 2) : strlen(arg + 2));
			value = eq ? eq + 1 : NULL;
		} else {
			opt = by_letter(arg[1]);
			if (opt && arg[2])
				value = arg + 2 + (arg[2] == '=');
		}
		if (!opt)
			return err_set(err, -EINVAL, "unknown flag: %s", arg);
		if (!value && opt->kind == BOOL)
			value = "true";
		else if (!value && ++i < argc)
			value = argv[i];
		if (!value)
			return err_set(err, -EINVAL, "flag needs an argument: %s", arg);
		if (set_value(o, opt, value))
			return err_set(err, -EINVAL, "invalid argument \"%s\" for \"--%s\" flag",
				       value, opt->name);
		seen[opt - table] = true;
		note(o, opt);
	}
	return 0;
}

static const struct option *by_key(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (!(table[i].how & FLAG_ONLY) &&
		    streq(table[i].key ? table[i].key : table[i].name, key))
			return &table[i];
	return NULL;
}

/* One value of a list in the file: a string, or {"base": …, "size": …} of an address pool. */
static char *list_item(json_t *v)
{
	const char *base = json_string_value(json_object_get(v, "base"));

	if (json_is_string(v))
		return xstrdup(json_string_value(v));
	if (base)
		return xasprintf("base=%s,size=%lld", base,
				 (long long)json_integer_value(json_object_get(v, "size")));
	return NULL;
}

static int set_from_json(struct options *o, const struct option *opt, json_t *v, struct err *err)
{
	const char *key;
	json_t *item;
	char num[32];
	size_t i;

	if (opt->kind == BOOL && json_is_boolean(v))
		return set_value(o, opt, json_is_true(v) ? "true" : "false");
	if (opt->kind == INT && json_is_integer(v)) {
		snprintf(num, sizeof(num), "%lld", (long long)json_integer_value(v));
		return set_value(o, opt, num);
	}
	if (opt->kind == STR && json_is_string(v))
		return set_value(o, opt, json_string_value(v));
	if (opt->kind == LIST && json_is_array(v)) {
		json_array_foreach (v, i, item) {
			char *s = list_item(item);

			if (!s)
				goto bad;
			list_push((void *)((char *)o + opt->at), s);
		}
		return 0;
	}
	if (opt->kind == LIST && json_is_object(v)) {
		json_object_foreach (v, key, item)
			list_push((void *)((char *)o + opt->at),
				  xasprintf("%s=%s", key,
					    json_is_string(item) ? json_string_value(item) : ""));
		return 0;
	}
bad:
	return err_set(err, -EINVAL, "the key %s of the configuration file has the wrong type",
		       opt->key ? opt->key : opt->name);
}

static int load_file(const char *path, bool must_exist, json_t **ret, struct err *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int rc = file_read(path, 1 << 20, &text, err);
	json_error_t jerr;
	const char *p;

	*ret = NULL;
	if (rc == -ENOENT && !must_exist)
		return 0;
	if (rc)
		return err_prefix(err, "unable to configure the daemon with file %s", path);
	for (p = text.data; *p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'; p++)
		;
	if (!*p)
		return 0;
	*ret = json_loadb(text.data, text.len, JSON_DECODE_ANY, &jerr);
	if (!*ret)
		return err_set(err, -EINVAL,
			       "unable to configure the daemon with file %s: %s (line %d)", path,
			       jerr.text, jerr.line);
	if (json_is_null(*ret)) {
		json_decref(*ret);
		*ret = NULL;
	} else if (!json_is_object(*ret)) {
		json_decref(*ret);
		*ret = NULL;
		return err_set(err, -EINVAL,
			       "unable to configure the daemon with file %s: not an object", path);
	}
	return 0;
}

static int parse_file(struct options *o, const bool seen[], struct err *err)
{
	const char *path = o->config_file ? o->config_file : "/etc/docker/daemon.json", *key;
	json_t *doc, *v;
	int rc = load_file(path, o->config_file, &doc, err);

	if (rc || !doc)
		return rc;
	json_object_foreach (doc, key, v) {
		const struct option *opt = by_key(key);

		if (!opt)
			rc = err_set(
				err, -EINVAL,
				"unable to configure the daemon with file %s: the "
				"following directives don't match any configuration option: %s",
				path, key);
		else if (seen[opt - table])
			rc = err_set(err, -EINVAL,
				     "unable to configure the daemon with file %s: the "
				     "following directives are specified both as a flag and in the "
				     "configuration file: %s",
				     path, key);
		else
			rc = set_from_json(o, opt, v, err);
		if (rc)
			break;
		note(o, opt);
	}
	json_decref(doc);
	return rc;
}

static void dflt(char **field, const char *value)
{
	if (!*field)
		*field = xstrdup(value);
}

int options_parse(struct options *o, int argc, char **argv, struct err *err)
{
	bool seen[ARRAY_SIZE(table)] = {0};
	int rc;

	memset(o, 0, sizeof(*o));
	o->icc = o->ip_masq = o->userland_proxy = true;
	o->mtu = 1500;
	o->shutdown_timeout = 15;
	rc = parse_flags(o, argc, argv, seen, err);
	if (!rc && !o->help && !o->version)
		rc = parse_file(o, seen, err);
	dflt(&o->data_root, "/var/lib/docker");
	dflt(&o->exec_root, "/var/run/docker");
	dflt(&o->pidfile, "/var/run/docker.pid");
	dflt(&o->group, "docker");
	dflt(&o->log_level, o->debug ? "debug" : "info");
	dflt(&o->log_format, "text");
	dflt(&o->log_driver, "json-file");
	dflt(&o->datapath, "auto");
	dflt(&o->ingress_return, "entry");
	if (!o->hosts.n)
		list_push(&o->hosts, xstrdup("unix:///var/run/docker.sock"));
	if (!rc && (o->data_root[0] != '/' || o->exec_root[0] != '/'))
		rc = err_set(err, -EINVAL, "--data-root and --exec-root take absolute paths");
	return rc;
}

int options_reload(struct options *o, struct err *err)
{
	const char *path = o->config_file ? o->config_file : "/etc/docker/daemon.json", *key;
	json_t *doc, *v;
	int rc = load_file(path, o->config_file, &doc, err);

	if (rc || !doc)
		return rc;
	json_object_foreach (doc, key, v)
		if (!by_key(key))
			rc = err_set(
				err, -EINVAL,
				"the following directives don't match any configuration option: %s",
				key);
	if (!rc) {
		json_object_foreach (doc, key, v) {
			const struct option *opt = by_key(key);

			if (!(opt->how & RELOADS))
				continue;
			if (opt->kind == LIST)
				list_clear((void *)((char *)o + opt->at));
			rc = rc ? rc : set_from_json(o, opt, v, err);
		}
	}
	json_decref(doc);
	return rc;
}

void options_done(struct options *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		void *field = (char *)o + table[i].at;

		if (table[i].kind == LIST) {
			list_clear(field);
		} else if (table[i].kind == STR) {
			free(*(char **)field);
			*(char **)field = NULL;
		}
	}
	list_clear(&o->warnings);
}

char *options_help(void)
{
	struct buf b = BUF_INIT;

	buf_str(&b, "Usage: swarm-agent [OPTIONS]\n\n"
		    "A container orchestrator that serves the Docker Engine API.\n\nOptions:\n");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct option *o = &table[i];
		char flag[64];

		if (!o->help)
			continue;
		if (o->letter)
			snprintf(flag, sizeof(flag), "-%c, --%s", o->letter, o->name);
		else
			snprintf(flag, sizeof(flag), "    --%s", o->name);
		buf_printf(&b, "  %-36s %s\n", flag, o->help);
	}
	buf_str(&b, "\ndockerd's other flags are accepted with a warning. The keys of the "
		    "configuration\n"
		    "file are those of dockerd's daemon.json.\n");
	return buf_steal(&b, NULL);
}
