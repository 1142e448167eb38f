/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Managed plugins: programs in a root file system of their own that serve a part of the engine
 * (volume drivers) over a socket, as dockerd's "v2 plugins"; and the older ones that are found by
 * their sockets and address files on the node.
 *
 *   <data_root>/plugins/<id>/config.json        what the plugin is, its settings, whether enabled
 *   <data_root>/plugins/<id>/rootfs[.<n>]       its files; config.json says which
 *   <data_root>/plugins/<id>/propagated-mount   what it mounts for containers
 *   <data_root>/plugins/storage/blobs/sha256/   layers, configurations and manifests, for push
 *   <exec_root>/plugins/<id>/                   its socket; /run/docker/plugins inside
 *   <exec_root>/plugins/<first 32 of id>.run/   bundle and monitor (ctr/shim_proto.h)
 *
 * A plugin that is enabled runs, is started again when it ends, and outlives the agent, which takes
 * it up again. All calls on the loop's thread; what blocks ends in a plugin_done, which is called
 * exactly once, from the loop, never from inside the call. Structs are borrowed and live until the
 * loop's next turn at most: what waits remembers IDs.
 * Source: Engine API "Plugin"; moby daemon/pkg/plugin.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "core/list.h"
#include "ctr/volume_driver.h"

struct loop;
struct events;
struct images;
struct rng;
struct plugins;
struct plugin;

struct plugins_options {
	struct loop *loop;
	struct events *events;
	struct images *images; /* says which registries are insecure */
	struct rng *rng;
	const char *data_root, *exec_root;
	const char *shim; /* the monitor's binary */
	const char *cgroup_parent; /* NULL: /docker */
};

/* Read all plugins. Nothing runs yet, but volume drivers are known by name. */
int plugins_open(const struct plugins_options *opt, struct plugins **ret, struct err *err);
/*
 * Adopt the plugins that run and begin to start the others that are enabled. runtime: path of the
 * OCI runtime; cgroups must be prepared (ctrs_open).
 */
void plugins_resume(struct plugins *plugins, const char *runtime);
/* Before the loop is drained: threads give up their calls. NULL is fine. */
void plugins_cancel(struct plugins *plugins);
/* Plugins go on running. NULL is fine. */
void plugins_free(struct plugins *plugins);

/* How many volumes have the plugin (by its full name) as their driver: it is in use then. */
void plugins_set_users(struct plugins *plugins, unsigned int (*fn)(const char *name, void *arg),
		       void *arg);
/* fn is called when the set of enabled plugins has changed. */
void plugins_set_changed(struct plugins *plugins, void (*fn)(void *arg), void *arg);

/* By name with or without ":latest", ID or unique prefix of it. -ENOENT "plugin "x" not found". */
struct plugin *plugin_find(struct plugins *plugins, const char *ref, struct err *err);
/* In order of installation: start with NULL; NULL at the end. */
struct plugin *plugins_next(struct plugins *plugins, struct plugin *plugin);
bool plugin_enabled(const struct plugin *plugin);
/* Whether it is of a kind, "volumedriver"; every kind it has must fit for the API's filter. */
bool plugin_capable(const struct plugin *plugin, const char *capability);
json_t *plugin_types(const struct plugin *plugin); /* borrowed: ["docker.volumedriver/1.0"] */
/* The Plugin object of the API; the caller's. */
json_t *plugin_inspect(const struct plugin *plugin);
/* Array of {"Type": "Volume", "Name"} of all volume drivers, as nodes describe themselves. */
json_t *plugins_describe(struct plugins *plugins);

typedef void (*plugin_done)(const struct err *err /* NULL: well */, void *arg);
/* Progress as Docker's streams have it; line is borrowed. */
typedef void (*plugin_progress)(json_t *line, void *arg);

/* A new plugin of a tar with config.json and rootfs/, from fd (taken over). */
void plugin_create(struct plugins *plugins, const char *name, int fd, plugin_done done, void *arg);
/*
 * Start it: done once it listens, which it has timeout_s (0: some seconds) for; that is also the
 * time that its answers may take later. -EBUSY when it is enabled. ref, here and below: what the user
 * calls it, for the event.
 */
void plugin_enable(struct plugin *plugin, const char *ref, unsigned int timeout_s, plugin_done done,
		   void *arg);
/* -EBUSY when it is in use and force is not given, or not enabled. */
void plugin_disable(struct plugin *plugin, const char *ref, bool force, plugin_done done,
		    void *arg);
/* -EBUSY when it is in use or enabled and force is not given. */
void plugin_remove(struct plugin *plugin, const char *ref, bool force, plugin_done done, void *arg);
/* args: array of "NAME[.FIELD]=VALUE". */
int plugin_change(struct plugin *plugin, json_t *args, struct err *err);

/* From and to a registry; auth: decoded X-Registry-Auth JSON or NULL. */
typedef void (*plugin_asked)(const struct err *err, json_t *privileges /* borrowed */, void *arg);
void plugin_ask_privileges(struct plugins *plugins, const char *remote, const char *auth,
			   plugin_asked done, void *arg);
/*
 * Install remote under a local name (NULL or "": its own). granted: the privileges that the user
 * has agreed to, an array or NULL; they must be those that the plugin needs.
 */
void plugin_pull(struct plugins *plugins, const char *remote, const char *name, const char *auth,
		 json_t *granted, plugin_progress progress, plugin_done done, void *arg);
/* The same in place of a plugin that is not enabled; its settings begin anew. */
void plugin_upgrade(struct plugin *plugin, const char *remote, const char *auth, json_t *granted,
		    plugin_progress progress, plugin_done done, void *arg);
void plugin_push(struct plugin *plugin, const char *auth, plugin_progress progress,
		 plugin_done done, void *arg);
/* "name:tag" as plugins are called by; malloc'd. -EINVAL for what is none, and for digests. */
int plugin_name_parse(const char *text, char **ret, struct err *err);

/* Volume drivers among them, for ctr/volume.h. Valid as long as plugins is. */
const struct volume_drivers *plugins_volume_drivers(struct plugins *plugins);
