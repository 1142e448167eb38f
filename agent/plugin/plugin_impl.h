/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of plugin/ share. */
#pragma once

#include <stdatomic.h>

#include "core/buf.h"
#include "core/fields.h"
#include "core/map.h"
#include "image/layer.h"
#include "loop/loop.h"
#include "plugin/plugin.h"

struct shim_conn;

struct plugins {
	struct plugins_options opt;
	char *root, *exec_root; /* <data_root>/plugins, <exec_root>/plugins */
	char *rtroot, *shim, *runtime, *cgroup_parent;
	struct map by_id; /* struct plugin */
	unsigned int (*users)(const char *name, void *arg);
	void *users_arg;
	void (*changed)(void *arg);
	void *changed_arg;
	struct volume_drivers drivers;
	unsigned int jobs; /* that put blobs on disk: none is swept meanwhile */
	atomic_bool cancel; /* threads give up their calls */
	bool closing;
};

enum plugin_state {
	PLUGIN_DOWN,
	PLUGIN_STARTING, /* a worker makes the bundle, the monitor starts it */
	PLUGIN_WAITING, /* it runs; nobody listens yet */
	PLUGIN_UP,
	PLUGIN_ENDED, /* what the start made is undone */
	PLUGIN_PAUSED, /* will be started again */
};

struct plugin {
	struct plugins *all;
	char id[65];
	char *name; /* "a/b:tag" */
	char *reference; /* where it came from */
	json_t *config, *settings;
	char *rootfs; /* folder's name in dir */
	char config_digest[DIGEST_SIZE], manifest_digest[DIGEST_SIZE];
	json_t *blobs; /* digests of its layers */
	bool enabled;
	unsigned int timeout_s;

	char *dir; /* <root>/<id> */
	char *sock_dir; /* <exec_root>/<id> */
	char *run_dir; /* <exec_root>/<first 32 of id>.run */
	enum plugin_state state;
	bool busy; /* an upgrade or removal is under way */
	bool stop; /* it is to end */
	bool told; /* its start has failed, which the log has */
	struct err err; /* why it did not start */
	struct shim_conn *shim;
	int pidfd;
	int64_t started_ms, until_ms;
	unsigned int backoff_ms;
	struct timer timer; /* a look at the socket, a kill, the next start */
	/* of the enable or disable that waits */
	plugin_done done;
	void *done_arg;
};

/* --- store.c: plugins on disk and by name --- */
struct plugin *plugin_new(struct plugins *all, const char *id);
void plugin_free(struct plugin *p);
/* Atomically and durably. */
int plugin_save(struct plugin *p, struct err *err);
int plugins_load(struct plugins *all, struct err *err);
/* -EEXIST "plugin x already exists". */
int plugin_name_check(struct plugins *all, const char *name, struct err *err);
/* name: what the user called it. */
void plugin_emit(struct plugin *p, const char *action, const char *name);
/* The set of enabled plugins has changed. */
void plugins_tell(struct plugins *all);
/* malloc'd path of a blob below the root of plugins. */
char *plugin_blob_path(const char *root, const char *digest);
/* Remove blobs that no plugin has; nothing while jobs run. */
void plugins_sweep(struct plugins *all);

/* --- install.c: from what a job has put on disk to a plugin --- */
struct plugin_parts {
	char *name, *reference;
	json_t *config; /* as plugin_config_read() has it */
	char config_digest[DIGEST_SIZE], manifest_digest[DIGEST_SIZE];
	json_t *blobs;
	char *rootfs; /* folder, to be renamed into place; NULL once it was */
};
/* Removes the folder that was not used. */
void plugin_parts_done(struct plugin_parts *parts);
int plugin_install(struct plugins *all, struct plugin_parts *parts, struct plugin **ret,
		   struct err *err);
int plugin_replace(struct plugin *p, struct plugin_parts *parts, struct err *err);
/* On any thread: store bytes as a blob below root. */
int plugin_blob_write(const char *root, const void *data, size_t size, char ret[DIGEST_SIZE],
		      struct err *err);
/* On any thread: the manifest of a configuration and layers that are blobs; stores it. */
int plugin_manifest_write(const char *root, const char *config_digest, json_t *blobs,
			  char ret[DIGEST_SIZE], struct err *err);
/* On any thread: a new folder below root/tmp, malloc'd. */
char *plugin_tmp(const char *root, const char *what, struct err *err);

/* --- runtime.c: a plugin's process --- */
/* Begin to start it. It must be down or paused. */
void plugin_up(struct plugin *p);
/* End it; done from the loop when all is undone, also when nothing runs. */
void plugin_down(struct plugin *p, plugin_done done, void *arg);
void plugin_restore(struct plugin *p);
/* What its timer calls. */
void plugin_next(void *plugin);
/* "unix://…" of its socket; malloc'd. */
char *plugin_address(const struct plugin *p);

/* --- spec.c: what a worker needs for the bundle; owns everything --- */
struct plugin_bundle {
	char *id, *dir, *rootfs, *sock_dir, *run_dir, *cgroup;
	json_t *config, *settings;
};
int plugin_spec(struct plugin_bundle *b, json_t **ret, struct err *err);

/* --- legacy.c: plugins by sockets and address files on the node --- */
/* The address of one, malloc'd, or NULL. */
char *legacy_find(const char *name);
/* Array of names. */
json_t *legacy_names(void);
