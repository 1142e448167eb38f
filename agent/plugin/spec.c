// SPDX-License-Identifier: Apache-2.0
/*
 * The OCI specification of a plugin: that of a container without seccomp, with its socket's folder,
 * what it propagates, and what its user has granted.
 * Source: moby daemon/pkg/plugin/v2/plugin_linux.go (InitSpec).
 */
#include "ctr/spec.h"

#include <errno.h>
#include <stdio.h>

#include "core/fields.h"
#include "plugin/plugin_impl.h"

#define SOCKETS "/run/docker/plugins"

static json_t *mount(const char *target, const char *type, const char *source, json_t *options)
{
	return json_pack("{s:s, s:s, s:s, s:o}", "destination", target, "type", type, "source",
			 source, "options", options);
}

static json_t *file(const char *path)
{
	return mount(path, "bind", path, json_pack("[s, s, s]", "rbind", "ro", "rprivate"));
}

static int make_mounts(const struct plugin_bundle *b, json_t **ret, struct err *err)
{
	const char *prop = js(b->config, "PropagatedMount");
	json_t *out = json_array(), *m;
	size_t i;

	if (*prop) {
		_cleanup_free_ char *dir = xasprintf("%s/propagated-mount", b->dir);

		json_array_append_new(out, mount(prop, "bind", dir,
						 json_pack("[s, s, s]", "rbind", "rw", "rshared")));
	}
	json_array_append_new(out, mount(SOCKETS, "bind", b->sock_dir,
					 json_pack("[s, s, s]", "rbind", "rw", "rprivate")));
	if (*js(json_object_get(b->config, "Network"), "Type")) {
		json_array_append_new(out, file("/etc/hosts"));
		json_array_append_new(out, file("/etc/resolv.conf"));
	}
	json_array_foreach (json_object_get(b->settings, "Mounts"), i, m) {
		if (!json_is_string(json_object_get(m, "Source"))) {
			json_decref(out);
			return err_set(err, -EINVAL,
				       "mount source is not specified: set it with docker plugin "
				       "set %s.source=PATH",
				       js(m, "Name"));
		}
		json_array_append_new(out,
				      mount(js(m, "Destination"), js(m, "Type"), js(m, "Source"),
					    json_deep_copy(json_object_get(m, "Options"))));
	}
	*ret = out;
	return 0;
}

static int make_devices(const struct plugin_bundle *b, json_t **ret, struct err *err)
{
	json_t *out = json_array(), *d;
	size_t i;

	json_array_foreach (json_object_get(b->settings, "Devices"), i, d) {
		const char *path = js(d, "Path");

		if (!*path) {
			json_decref(out);
			return err_set(err, -EINVAL,
				       "device path is not specified: set it with docker plugin "
				       "set %s.path=PATH",
				       js(d, "Name"));
		}
		json_array_append_new(out, json_pack("{s:s, s:s, s:s}", "PathOnHost", path,
						     "PathInContainer", path, "CgroupPermissions",
						     "rwm"));
	}
	*ret = out;
	return 0;
}

/* What a plugin asks for, as a container's HostConfig would have it. */
static json_t *make_host(const struct plugin_bundle *b, json_t *devices)
{
	json_t *lin = json_object_get(b->config, "Linux");
	json_t *host =
		json_pack("{s:s, s:s, s:s, s:i, s:O, s:[s], s:o}", "PidMode",
			  jb(b->config, "PidHost") ? "host" : "", "IpcMode",
			  jb(b->config, "IpcHost") ? "host" : "private", "CgroupnsMode", "host",
			  "ShmSize", 64 << 20, "CapAdd", json_object_get(lin, "Capabilities"),
			  "SecurityOpt", "seccomp=unconfined", "Devices", devices);

	if (jb(lin, "AllowAllDevices"))
		json_object_set_new(host, "DeviceCgroupRules", json_pack("[s]", "a *:* rwm"));
	return host;
}

static json_t *make_args(const struct plugin_bundle *b)
{
	json_t *args = json_deep_copy(json_object_get(b->config, "Entrypoint"));

	json_array_extend(args, json_object_get(b->settings, "Args"));
	return args;
}

int plugin_spec(struct plugin_bundle *b, json_t **ret, struct err *err)
{
	const char *network = js(json_object_get(b->config, "Network"), "Type");
	char net_dir[] = "/nonexistent"; /* its network files are mounts */
	struct bundle as = {
		.id = b->id,
		.root = b->rootfs,
		.net_dir = net_dir,
		.cgroups_path = b->cgroup,
		.new_netns = strcmp(network, "host") != 0,
	};
	json_t *devices = NULL;
	int rc = make_mounts(b, &as.mounts, err);

	if (rc)
		return rc;
	rc = make_devices(b, &devices, err);
	if (rc) {
		json_decref(as.mounts);
		return rc;
	}
	as.host = make_host(b, devices);
	as.args = make_args(b);
	as.config = json_pack("{s:O, s:s, s:s}", "Env", json_object_get(b->settings, "Env"), "User",
			      "", "WorkingDir", js(b->config, "WorkDir"));
	rc = json_array_size(as.args)
		     ? spec_make(&as, ret, err)
		     : err_set(err, -EINVAL, "the plugin's config.json names no entrypoint");
	json_decref(as.mounts);
	json_decref(as.host);
	json_decref(as.args);
	json_decref(as.config);
	return rc;
}
