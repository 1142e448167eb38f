/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OCI specification of what the runtime is to run: a container, an exec in one, or a plugin.
 * Blocking (users and devices are looked up): on a worker. JSON arguments are borrowed and in the
 * form of the Engine API's container configuration and HostConfig.
 * Source: OCI runtime-spec; moby daemon/oci_linux.go.
 */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "core/err.h"

/* What a worker needs to make the bundle of a start; owns everything. */
struct bundle {
	char *id;
	char *root; /* the root, mounted */
	char *net_dir; /* hosts, hostname and resolv.conf */
	char *netns; /* path, or NULL: the node's */
	bool new_netns; /* without netns: an empty one of its own */
	char *pid_ns, *ipc_ns; /* of another container, to join; or NULL */
	char *shm; /* a tmpfs for /dev/shm that others may join, or NULL */
	char *cgroups_path, *init_path;
	json_t *config, *host, *args;
	json_t *mounts; /* the user's, as OCI mount objects */
	bool no_new_privileges, init;
	/* Compiled default filter, or NULL. With want_filter, spec_make() makes it when it is not there. */
	char *filter;
	bool want_filter;
};
/* On a worker, with the root mounted: the OCI specification. */
int spec_make(struct bundle *b, json_t **ret, struct err *err);
/*
 * The process of an exec in a running container; root is the container's, for users. exec is the
 * body of its creation.
 */
int spec_exec(const char *root, json_t *config, json_t *host, bool no_new_privileges, json_t *exec,
	      json_t **ret, struct err *err);
/* The default of HostConfig's MaskedPaths or ReadonlyPaths. */
json_t *spec_hidden(const char *key);
/* spec_user.c: {"uid","gid","additionalGids"} of "name", "uid", "user:group" in the root; home malloc'd. */
int spec_user(const char *root, const char *user, json_t *group_add, json_t **ret, char **ret_home,
	      struct err *err);
/* Open a path with root as the root, links included; -errno. */
int root_open(const char *root, const char *path, int flags);
/* mkdir -p in a root. */
int root_mkdir(const char *root, const char *path, uid_t uid, gid_t gid);
/* spec_limits.c: linux.resources without devices; on cgroup v1 without what the kernel lacks. */
json_t *spec_resources(json_t *host);
/* linux.devices and resources.devices of HostConfig.Devices or, privileged, of all there are. */
int spec_devices(json_t *host, json_t *devices, json_t *rules, struct err *err);
/* The kept capabilities by CapAdd, CapDrop, Privileged. -EINVAL for an unknown one. */
int spec_caps(json_t *host, json_t **ret, struct err *err);
/* Whether the container gets the default profile. */
bool seccomp_is_default(json_t *host);
/* The default profile's linux.seccomp for the capabilities kept. */
json_t *seccomp_default(json_t *caps);
