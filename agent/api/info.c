// SPDX-License-Identifier: Apache-2.0
/* GET /info: what this engine is and has. */
#include <stdio.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "api/api.h"
#include "api/conv.h"
#include "core/buf.h"
#include "core/log.h"
#include "ctr/ctr.h"
#include "disk/file.h"
#include "image/image.h"
#include "logger/logger.h"
#include "loop/loop.h"
#include "manager/swarm.h"
#include "net/net.h"
#include "options.h"
#include "plugin/plugin.h"
#include "store/store.h"

void api_info(struct api_call *call);

/* PRETTY_NAME or VERSION_ID of /etc/os-release. */
static json_t *os_release(const char *key, const char *dflt)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	_cleanup_free_ char *start = xasprintf("\n%s=\"", key);
	char *p, *end;

	buf_char(&text, '\n');
	if (file_read("/etc/os-release", 65536, &text, NULL) || !(p = strstr(text.data, start)))
		return json_string(dflt);
	p += strlen(start);
	end = strchr(p, '"');
	return end ? json_stringn(p, end - p) : json_string(dflt);
}

static json_t *str_array(const struct str_list *l)
{
	json_t *a = json_array();

	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(a, json_string(l->v[i]));
	return a;
}

static json_t *registry_config(const struct options *o)
{
	json_t *indexes = json_object();

	json_object_set_new(indexes, "docker.io",
			    json_pack("{s:s, s:o, s:b, s:b}", "Name", "docker.io", "Mirrors",
				      str_array(&o->registry_mirrors), "Secure", 1, "Official", 1));
	for (size_t i = 0; i < o->insecure_registries.n; i++)
		json_object_set_new(indexes, o->insecure_registries.v[i],
				    json_pack("{s:s, s:[], s:b, s:b}", "Name",
					      o->insecure_registries.v[i], "Mirrors", "Secure", 0,
					      "Official", 0));
	return json_pack("{s:[s,s], s:o, s:o}", "InsecureRegistryCIDRs", "::1/128", "127.0.0.0/8",
			 "IndexConfigs", indexes, "Mirrors", str_array(&o->registry_mirrors));
}

static json_t *plugins(struct engine *e)
{
	json_t *out = json_pack("{s:[s], s:o, s:n, s:[]}", "Volume", "local", "Network",
				nets_drivers(), "Authorization", "Log"),
	       *more = plugins_describe(e->plugins), *v;
	size_t i;

	for (const char *const *name = logger_drivers(); strcmp(*name, "none"); name++)
		json_array_append_new(json_object_get(out, "Log"), json_string(*name));

	/* networks and logs are built in only */
	json_array_foreach (more, i, v)
		if (streq(json_string_value(json_object_get(v, "Type")), "Volume"))
			json_array_append(json_object_get(out, "Volume"),
					  json_object_get(v, "Name"));
	json_decref(more);
	return out;
}

/* --- the swarm's part --- */

static json_t *swarm_json(struct engine *e)
{
	struct swarm *s = e->swarm;
	struct store *store = s ? swarm_store(s) : NULL;
	const Pb__Cluster *c = store ? store_cluster(store) : NULL;
	json_t *o, *remotes;
	size_t managers = 0;
	const Pb__Node *n;

	if (!s)
		return json_pack("{s:s, s:s, s:s, s:b, s:s, s:n}", "NodeID", "", "NodeAddr", "",
				 "LocalNodeState", "inactive", "ControlAvailable", 0, "Error", "",
				 "RemoteManagers");
	remotes = swarm_remote_managers(s);
	if (!json_array_size(remotes)) {
		json_decref(remotes);
		remotes = json_null();
	}
	o = json_pack("{s:s, s:s, s:s, s:b, s:s, s:o}", "NodeID", swarm_node_id(s), "NodeAddr",
		      swarm_node_addr(s), "LocalNodeState", swarm_state_name(s), "ControlAvailable",
		      store != NULL, "Error", swarm_error(s) ? swarm_error(s) : "",
		      "RemoteManagers", remotes);
	if (!store)
		return o;
	for (struct store_iter i = store_all(store, STORE_NODE); (n = store_next(&i));)
		managers += n->spec && n->spec->desired_role == PB__NODE_ROLE__MANAGER;
	json_object_set_new(o, "Nodes", json_integer(store_count(store, STORE_NODE)));
	json_object_set_new(o, "Managers", json_integer(managers));
	if (c)
		json_object_set_new(o, "Cluster", conv_cluster(c, false));
	return o;
}

/* "key=value" of --node-generic-resource, as the API's GenericResources. */
static json_t *generic_resources(const struct options *o)
{
	json_t *a;

	if (!o->node_generic_resources.n)
		return json_null();
	a = json_array();
	for (size_t i = 0; i < o->node_generic_resources.n; i++) {
		const char *v = o->node_generic_resources.v[i], *eq = strchr(v, '=');
		int64_t n;

		if (!eq)
			continue;
		if (!parse_i64(eq + 1, 0, INT64_MAX, &n))
			json_array_append_new(
				a, json_pack("{s:{s:s%, s:I}}", "DiscreteResourceSpec", "Kind", v,
					     (size_t)(eq - v), "Value", (json_int_t)n));
		else
			json_array_append_new(a, json_pack("{s:{s:s%, s:s}}", "NamedResourceSpec",
							   "Kind", v, (size_t)(eq - v), "Value",
							   eq + 1));
	}
	return a;
}

/* --- the engine's --- */

static void add_counts(struct engine *e, json_t *info)
{
	unsigned int running = 0, paused = 0, stopped = 0;

	ctrs_count(e->ctrs, &running, &paused, &stopped);
	json_object_set_new(info, "Containers", json_integer(running + paused + stopped));
	json_object_set_new(info, "ContainersRunning", json_integer(running));
	json_object_set_new(info, "ContainersPaused", json_integer(paused));
	json_object_set_new(info, "ContainersStopped", json_integer(stopped));
	json_object_set_new(info, "Images", json_integer(images_count(e->images)));
}

static void add_flags(const struct options *o, json_t *info)
{
	static const char *const yes[] = {"MemoryLimit", "SwapLimit",	  "CpuCfsPeriod",
					  "CpuCfsQuota", "CPUShares",	  "CPUSet",
					  "PidsLimit",	 "IPv4Forwarding"};
	static const char *const no[] = {"BridgeNfIptables", "BridgeNfIp6tables"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		json_object_set_new(info, yes[i], json_true());
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		json_object_set_new(info, no[i], json_false());
	json_object_set_new(info, "OomKillDisable",
			    json_boolean(access("/sys/fs/cgroup/cgroup.controllers", F_OK)));
	json_object_set_new(info, "Debug", json_boolean(log_level_get() >= LOG_DEBUG));
	json_object_set_new(info, "ExperimentalBuild", json_boolean(o->experimental));
	json_object_set_new(info, "LiveRestoreEnabled", json_boolean(o->live_restore));
}

static void add_runtime(const struct options *o, json_t *info)
{
	const char *runtime = o->runtime ? o->runtime : "crun";

	json_object_set_new(info, "Runtimes", json_pack("{s:{s:s}}", runtime, "path", runtime));
	json_object_set_new(info, "DefaultRuntime", json_string(runtime));
	json_object_set_new(info, "InitBinary",
			    json_string(o->init_path ? o->init_path : "docker-init"));
	json_object_set_new(info, "ContainerdCommit", json_pack("{s:s}", "ID", ""));
	json_object_set_new(info, "RuncCommit", json_pack("{s:s}", "ID", ""));
	json_object_set_new(info, "InitCommit", json_pack("{s:s}", "ID", ""));
	json_object_set_new(info, "SecurityOptions",
			    json_pack("[s,s]", "name=seccomp,profile=builtin", "name=cgroupns"));
	json_object_set_new(info, "CgroupDriver", json_string("cgroupfs"));
	json_object_set_new(
		info, "CgroupVersion",
		json_string(access("/sys/fs/cgroup/cgroup.controllers", F_OK) ? "1" : "2"));
	json_object_set_new(info, "LoggingDriver",
			    json_string(o->log_driver ? o->log_driver : "json-file"));
	json_object_set_new(info, "Isolation", json_string(""));
}

static void add_host(struct engine *e, json_t *info)
{
	struct sysinfo si = {0};
	struct utsname u;
	char now[40];

	sysinfo(&si);
	uname(&u);
	json_object_set_new(info, "Name", json_string(e->hostname));
	json_object_set_new(info, "OSType", json_string("linux"));
	json_object_set_new(info, "Architecture", json_string(u.machine));
	json_object_set_new(info, "KernelVersion", json_string(u.release));
	json_object_set_new(info, "OperatingSystem", os_release("PRETTY_NAME", "linux"));
	json_object_set_new(info, "OSVersion", os_release("VERSION_ID", ""));
	json_object_set_new(info, "MemTotal", json_integer((json_int_t)si.totalram * si.mem_unit));
	json_object_set_new(info, "NCPU", json_integer(get_nprocs()));
	json_object_set_new(info, "SystemTime", json_string(time_format(loop_wall_ns(), now)));
}

void api_info(struct api_call *call)
{
	struct engine *e = call->engine;
	const struct options *o = e->options;
	json_t *info = json_object();

	json_object_set_new(info, "ID", json_string(e->id));
	add_counts(e, info);
	json_object_set_new(info, "Driver", json_string("overlay2"));
	json_object_set_new(info, "DriverStatus",
			    json_pack("[[s,s],[s,s],[s,s],[s,s]]", "Backing Filesystem", "extfs",
				      "Supports d_type", "true", "Using metacopy", "false",
				      "Native Overlay Diff", "true"));
	json_object_set_new(info, "DockerRootDir", json_string(o->data_root));
	json_object_set_new(info, "Plugins", plugins(e));
	add_flags(o, info);
	add_host(e, info);
	add_runtime(o, info);
	json_object_set_new(info, "IndexServerAddress", json_string("https://index.docker.io/v1/"));
	json_object_set_new(info, "RegistryConfig", registry_config(o));
	json_object_set_new(info, "GenericResources", generic_resources(o));
	json_object_set_new(info, "HttpProxy", json_string(""));
	json_object_set_new(info, "HttpsProxy", json_string(""));
	json_object_set_new(info, "NoProxy", json_string(""));
	json_object_set_new(info, "Labels", str_array(&o->labels));
	json_object_set_new(info, "ServerVersion", json_string(SWARM_VERSION));
	json_object_set_new(info, "Swarm", swarm_json(e));
	json_object_set_new(info, "FirewallBackend", json_pack("{s:s}", "Driver", "nftables"));
	json_object_set_new(info, "CDISpecDirs", json_array());
	json_object_set_new(info, "NFd", json_integer(0));
	json_object_set_new(info, "NGoroutines", json_integer(0));
	json_object_set_new(info, "NEventsListener", json_integer(0));
	json_object_set_new(info, "Warnings", json_array());
	if (call->version < 144) {
		json_object_set_new(info, "ClusterStore", json_string(""));
		json_object_set_new(info, "ClusterAdvertise", json_string(""));
	}
	api_reply(call, 200, info);
}
