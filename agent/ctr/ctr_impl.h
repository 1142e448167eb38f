/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of ctr/ share. */
#pragma once

#include <event2/bufferevent.h>

#include "core/buf.h"
#include "core/map.h"
#include "ctr/ctr.h"
#include "ctr/exec.h"
#include "ctr/shim_proto.h"
#include "ctr/stream.h"
#include "ctr/volume.h"
#include "image/image.h"
#include "loop/loop.h"
#include "net/net.h"

struct ctrs {
	struct ctrs_options opt;
	char *data_root, *exec_root, *runtime, *rtroot, *shim, *cgroup_parent;
	struct map by_id, by_name;
	struct list_head watches;
	struct map execs;	/* struct exec */
};

struct mount_point {
	char *type;		/* "bind", "volume", "tmpfs" */
	char *name;		/* of the volume */
	char *source, *target, *mode, *propagation, *options;
	bool rw, no_copy, made;	/* made: an anonymous volume of this container */
	struct volume *volume;	/* mounted by this container */
	int64_t size;
	unsigned int perm;
};

struct file {
	char *target;
	struct buf data;
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

struct ctr {
	struct ctrs *ctrs;
	char id[65];
	char *name;
	char *dir;		/* <data_root>/containers/<id> */
	char *run_dir;		/* <exec_root>/ctr/<first 32 of id> */
	json_t *config, *host, *networking;
	char image_id[72];
	struct image *image;
	char *image_ref;
	json_t *path_args;	/* entrypoint and command together */
	struct mount_point *mounts;
	size_t n_mounts;
	struct file *files;
	size_t n_files;
	bool ephemeral;		/* a task's: need not survive a crash of the machine */
	int64_t created_ns, started_ns, finished_ns;

	enum ctr_status status;
	pid_t pid;
	int pidfd;
	int exit_code;
	bool oom_killed;
	char *error;
	unsigned int restart_count;
	bool busy;		/* a start or removal is under way */
	bool stop_wanted;	/* by the user: the restart policy rests */
	bool removing;
	struct sandbox *sandbox;
	json_t *sandbox_saved;
	struct shim_conn *shim;
	struct list_head streams;	/* attached before the start: struct stream */
	struct list_head waiters;	/* of ctr_stop and ctr_remove */
	struct timer stop_timer, restart_timer, health_timer;
	unsigned int backoff_ms;

	/* health */
	const char *health;	/* static text */
	unsigned int health_failures;
	struct buf health_output;
	json_t *health_log;
	bool health_running;
};

/* create.c: fill c from the request; what is wrong in dockerd's words. */
int ctr_normalise(struct ctr *c, json_t *body, json_t *warnings, struct err *err);
/* Mount points from HostConfig and the image's volumes; anonymous volumes are made. */
int ctr_make_mounts(struct ctr *c, struct err *err);
void ctr_free_mounts(struct ctr *c);
bool ctr_name_valid(const char *name);
int signal_number(const char *name);

/* What a worker needs to make the bundle of a start; owns everything. */
struct bundle {
	char *id, *dir, *run_dir, *netns, *cgroups_path, *init_path;
	json_t *config, *host, *mounts;	/* mounts: ready OCI mount objects of the user */
	json_t *files;			/* {"target", "path"} of memory-backed files */
	char *lowerdirs;
	bool cgroup2, no_new_privileges;
};
/* On a worker, with the root mounted at <dir>/merged: the OCI specification. */
int spec_make(const struct bundle *b, json_t **ret, struct err *err);
/* The process of an exec in a running container; root is the container's, for users. */
int spec_exec(const char *root, json_t *config, json_t *host, json_t *exec, json_t **ret, struct err *err);
/* The default profile's linux.seccomp for the capabilities kept. */
json_t *seccomp_default(json_t *caps);

/* run.c */
void ctr_run_restore(struct ctr *c);
void ctr_cleanup_done(struct ctr *c);
/* ctr.c */
int ctr_save(struct ctr *c, struct err *err);
void ctr_tell(struct ctr *c, enum ctr_event ev);
void ctr_emit(struct ctr *c, const char *action, const char *key, const char *value);
void ctr_forget(struct ctr *c);
void ctr_set_error(struct ctr *c, const char *text);
/* health.c */
void health_start(struct ctr *c);
void health_stop(struct ctr *c);
/* The spawn of a monitor: argv is "KEY=VALUE" strings. Returns the pipe of its answers or -errno. On any thread. */
int shim_spawn(const char *shim, const char *const options[]);
/* Remove the cgroups of a container; kills what is left in them. On any thread. */
void cgroup_remove(const char *path);
bool cgroup_is_v2(void);
/* Hybrid: mount v1 controllers that sit on the unified hierarchy, or the runtime refuses. */
void cgroup_prepare(void);
