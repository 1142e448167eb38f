// SPDX-License-Identifier: Apache-2.0
/* /_ping, /version, /info, /events, /auth, /system/df */
#include <errno.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "api/api.h"
#include "core/buf.h"
#include "disk/file.h"
#include "loop/loop.h"
#include "options.h"

void api_events(struct api_call *call);

static void ping(struct api_call *call)
{
	http_header_set(call->req, "Builder-Version", "1");
	http_header_set(call->req, "Cache-Control", "no-cache, no-store, must-revalidate");
	http_header_set(call->req, "Pragma", "no-cache");
	http_header_set(call->req, "Swarm", "inactive");
	http_reply(call->req, 200, "text/plain; charset=utf-8", "OK", 2);
	api_call_free(call);
}

static json_t *version_json(void)
{
	char api[16], min_api[16];
	struct utsname u;

	uname(&u);
	snprintf(api, sizeof(api), "%d.%d", API_VERSION_MAX / 100, API_VERSION_MAX % 100);
	snprintf(min_api, sizeof(min_api), "%d.%d", API_VERSION_MIN / 100, API_VERSION_MIN % 100);
	return json_pack("{s:{s:s}, s:[{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s}}], s:s, s:s, s:s, s:s, "
			 "s:s, s:s, s:s, s:s, s:s}",
			 "Platform", "Name", "swarm-agent", "Components", "Name", "Engine", "Version",
			 SWARM_VERSION, "Details", "ApiVersion", api, "MinAPIVersion", min_api, "Os",
			 "linux", "Arch", "amd64", "KernelVersion", u.release, "Experimental", "false",
			 "Version", SWARM_VERSION, "ApiVersion", api, "MinAPIVersion", min_api, "Os", "linux",
			 "Arch", "amd64", "KernelVersion", u.release, "GitCommit", "", "GoVersion", "none",
			 "BuildTime", "");
}

static void version(struct api_call *call)
{
	api_reply(call, 200, version_json());
}

/* PRETTY_NAME of /etc/os-release. */
static json_t *os_name(void)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	char *p, *end;

	if (file_read("/etc/os-release", 65536, &text, NULL) || !(p = strstr(text.data, "PRETTY_NAME=\"")))
		return json_string("linux");
	p += strlen("PRETTY_NAME=\"");
	end = strchr(p, '"');
	return end ? json_stringn(p, end - p) : json_string("linux");
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
				    json_pack("{s:s, s:[], s:b, s:b}", "Name", o->insecure_registries.v[i],
					      "Mirrors", "Secure", 0, "Official", 0));
	return json_pack("{s:[s], s:o, s:o}", "InsecureRegistryCIDRs", "127.0.0.0/8", "IndexConfigs", indexes,
			 "Mirrors", str_array(&o->registry_mirrors));
}

static json_t *info_json(struct engine *e)
{
	const struct options *o = e->options;
	struct sysinfo si = {0};
	struct utsname u;
	char now[40];
	json_t *info;

	sysinfo(&si);
	uname(&u);
	info = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:s, s:s}",
			 "ID", e->id, "Name", e->hostname, "ServerVersion", SWARM_VERSION, "OSType", "linux",
			 "Architecture", u.machine, "KernelVersion", u.release, "DockerRootDir", o->data_root,
			 "Driver", "overlay2", "MemTotal", (json_int_t)si.totalram * si.mem_unit, "NCPU",
			 get_nprocs(), "SystemTime", time_format(loop_wall_ns(), now), "IndexServerAddress",
			 "https://index.docker.io/v1/");
	json_object_set_new(info, "OperatingSystem", os_name());
	json_object_set_new(info, "OSVersion", json_string(""));
	json_object_set_new(info, "DriverStatus",
			    json_pack("[[s,s],[s,s]]", "Backing Filesystem", "extfs", "Supports d_type", "true"));
	json_object_set_new(info, "Plugins",
			    json_pack("{s:[s], s:[s,s,s,s,s], s:n, s:[s,s]}", "Volume", "local", "Network",
				      "bridge", "host", "ingress", "null", "overlay", "Authorization", "Log",
				      "json-file", "local"));
	json_object_set_new(info, "Labels", str_array(&o->labels));
	json_object_set_new(info, "RegistryConfig", registry_config(o));
	json_object_set_new(info, "SecurityOptions",
			    json_pack("[s,s]", "name=seccomp,profile=builtin", "name=cgroupns"));
	json_object_set_new(info, "Runtimes", json_pack("{s:{s:s}}", "crun", "path", "crun"));
	json_object_set_new(info, "DefaultRuntime", json_string("crun"));
	json_object_set_new(info, "InitBinary", json_string(o->init_path ? o->init_path : "docker-init"));
	json_object_set_new(info, "CgroupDriver", json_string("cgroupfs"));
	json_object_set_new(info, "CgroupVersion", json_string(access("/sys/fs/cgroup/cgroup.controllers", F_OK) ? "1" : "2"));
	json_object_set_new(info, "FirewallBackend", json_pack("{s:s}", "Driver", "nftables"));
	json_object_set_new(info, "LoggingDriver", json_string(o->log_driver));
	json_object_set_new(info, "LiveRestoreEnabled", json_boolean(o->live_restore));
	for (size_t i = 0; i < 9; i++) {
		static const char *const yes[] = {"MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota",
						  "CPUShares", "CPUSet", "PidsLimit", "IPv4Forwarding",
						  "OomKillDisable"};

		json_object_set_new(info, yes[i], json_true());
	}
	for (size_t i = 0; i < 4; i++) {
		static const char *const no[] = {"Debug", "ExperimentalBuild", "BridgeNfIptables", "BridgeNfIp6tables"};

		json_object_set_new(info, no[i], json_boolean(i == 0 && o->debug));
	}
	json_object_set_new(info, "NFd", json_integer(0));
	json_object_set_new(info, "NGoroutines", json_integer(0));
	json_object_set_new(info, "NEventsListener", json_integer(0));
	json_object_set_new(info, "Warnings", json_array());
	json_object_set_new(info, "GenericResources", json_null());
	json_object_set_new(info, "HttpProxy", json_string(""));
	json_object_set_new(info, "HttpsProxy", json_string(""));
	json_object_set_new(info, "NoProxy", json_string(""));
	json_object_set_new(info, "Containers", json_integer(0));
	json_object_set_new(info, "ContainersRunning", json_integer(0));
	json_object_set_new(info, "ContainersPaused", json_integer(0));
	json_object_set_new(info, "ContainersStopped", json_integer(0));
	json_object_set_new(info, "Images", json_integer(0));
	json_object_set_new(info, "Swarm", json_pack("{s:s, s:s, s:s, s:b, s:s, s:n}", "NodeID", "", "NodeAddr", "",
						     "LocalNodeState", "inactive", "ControlAvailable", 0, "Error",
						     "", "RemoteManagers"));
	return info;
}

static void info(struct api_call *call)
{
	api_reply(call, 200, info_json(call->engine));
}

const struct api_route api_system_routes[] = {
	{"GET", "/_ping", ping},
	{"HEAD", "/_ping", ping},
	{"GET", "/version", version},
	{"GET", "/info", info},
	{"GET", "/events", api_events},
	{0},
};
