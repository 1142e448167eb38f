/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of ctr/ share. */
#pragma once

#include <event2/bufferevent.h>

#include "core/buf.h"
#include "core/fields.h"
#include "core/map.h"
#include "ctr/cgroup.h"
#include "ctr/ctr.h"
#include "ctr/exec.h"
#include "ctr/monitor.h"
#include "ctr/shim_proto.h"
#include "ctr/spec.h"
#include "ctr/stream.h"
#include "ctr/volume.h"
#include "image/image.h"
#include "loop/loop.h"
#include "net/net.h"

struct ctrs {
	struct ctrs_options opt;
	char *data_root, *exec_root, *runtime, *rtroot, *shim, *init_path, *cgroup_parent;
	json_t *log_opts;
	struct map by_id, by_name;
	struct list_head all; /* in order of creation */
	struct list_head watches;
	struct list_head forwards; /* struct forward */
	struct map execs; /* struct exec */
	struct map
		filters; /* base64 of compiled seccomp filters, by what is kept of capabilities */
	bool own_filters; /* the runtime takes compiled ones */
	int held[CGROUP_HELD_MAX], n_held;
	bool closing;
};

struct mount_point {
	char *type; /* "bind", "volume", "tmpfs", "image" */
	char *name; /* of the volume */
	char *source; /* of an image: its ID */
	char *target, *mode, *propagation, *options;
	char *subpath; /* the part of the volume or image; NULL or "": all */
	bool rw, no_copy, made; /* made: an anonymous volume of this container */
	bool no_recursion; /* without the mounts below the source */
	bool shallow; /* read-only without the mounts below */
	struct image *image; /* held */
	struct volume *volume; /* mounted by this container */
	int64_t size;
	unsigned int perm;
};

/* parts.c: what is mounted at a place of the run, for the runtime to bind. Owns its strings. */
struct part {
	char *base; /* the folder it is in, or */
	char *lowerdirs, *dir; /* the image's layers, and where what is written goes: rw, work */
	char *path; /* below that, or by itself; "" only of an image: all of it */
	bool flat; /* without the mounts below */
	char *at; /* its parent is made */
};
/* On a worker. No link leads out of the folder. */
int part_mount(const struct part *p, const char *layers_dir, struct err *err);
void part_done(struct part *p);
/* Relative, and does not go up. */
bool part_path_valid(const char *path);
/* Open (O_PATH) what is below base; -EINVAL in dockerd's words. */
int part_open(const char *base, const char *path, struct err *err);

struct file {
	char *target;
	struct buf data;
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

struct ctr {
	struct list_head node;
	struct ctrs *ctrs;
	char id[65];
	char *name;
	char *dir; /* <data_root>/containers/<id> */
	char *run_dir; /* <exec_root>/ctr/<first 32 of id> */
	char *log_path; /* "" with the log driver none; set by ctr_log_setup */
	json_t *config, *host, *networking;
	json_t *links; /* on the default bridge: array of {"Id","Name","Alias"} */
	char image_id[72];
	struct image *image;
	char *image_ref;
	json_t *path_args; /* entrypoint and command together */
	struct mount_point *mounts;
	size_t n_mounts;
	struct file *files;
	size_t n_files;
	bool ephemeral; /* a task's: need not survive a crash of the machine */
	int64_t created_ns, started_ns, finished_ns;

	enum ctr_status status;
	pid_t pid;
	int pidfd;
	int exit_code;
	bool oom_killed;
	char *error;
	unsigned int restart_count;
	bool busy; /* a start, the clean-up after an end, or a removal is under way */
	bool stop_wanted; /* by the user: the restart policy rests */
	bool removing;
	bool sandbox_up;
	struct sandbox *sandbox;
	json_t *sandbox_saved;
	char *cgroup; /* of this run: "/docker/<id>" */
	struct shim_conn *shim;
	struct forward *forward; /* of its log, or NULL */
	struct list_head streams; /* attached before the start: struct stream */
	struct list_head waiting; /* struct ctr_op: until it is not busy */
	struct list_head ending; /* struct ctr_op: until it has ended */
	struct ctr_op *start_op; /* of the start under way */
	int start_errno;
	void (*released)(struct ctr *c);
	bool lost; /* the monitor ended while the start was under way */
	struct timer stop_timer, restart_timer, health_timer;
	unsigned int backoff_ms;

	/* health */
	const char *health; /* static text */
	unsigned int health_failures;
	struct buf health_output;
	json_t *health_log;
	struct health_probe *probe; /* under way */
};

/* create.c: fill c from the request; what is wrong in dockerd's words. */
int ctr_normalise(struct ctr *c, json_t *body, json_t *warnings, struct err *err);
/* log_opts.c: LogConfig with the daemon's defaults, checked. */
int ctr_log_check(json_t *host, struct ctrs *ctrs, struct err *err);
/* What the monitor keeps of the log, whether users may read it, whether it is sent elsewhere. */
struct log_file_limits;
void ctr_log_limits(const struct ctr *c, struct log_file_limits *ret);
bool ctr_log_readable(const struct ctr *c);
bool ctr_log_remote(const struct ctr *c);
/* The attributes of each record for the monitor, malloc'd; NULL: none. */
int ctr_log_attributes(const struct ctr *c, char **ret, struct err *err);
/* The driver that it is sent by. */
struct logger;
int ctr_logger(const struct ctr *c, struct logger **ret, struct err *err);
/* Does a list of "NAME=value" have the name of this entry? */
bool ctr_env_has(json_t *env, const char *entry);
/* mounts.c: mount points from HostConfig and the image's volumes; anonymous volumes are made. */
int ctr_make_mounts(struct ctr *c, struct err *err);
void ctr_free_mounts(struct ctr *c);
/* parts.c: whether the n-th mount point has to be mounted first; ret is then for part_done(). */
struct part;
bool ctr_mount_part(struct ctr *c, size_t n, struct part *ret);
/* The n-th mount point for the runtime, which binds from. */
json_t *ctr_mount_oci(const struct ctr *c, size_t n, const char *from);
/* After loading: find the images that are mounted again. */
void ctr_hold_images(struct ctr *c);
/* create_check.c: the form of a creation's fields, and of HostConfig's alone. -EINVAL names one. */
int ctr_check_types(json_t *body, struct err *err);
int ctr_check_host_types(json_t *host, struct err *err);
/*
 * All of the request's HostConfig and what is beside it, before the image's part is there. What the
 * node cannot do is taken out, with a warning.
 */
int ctr_check_host(struct ctr *c, json_t *warnings, struct err *err);
bool ctr_name_valid(const char *name);
int signal_number(const char *name);

/* A call that ends in a ctr_done. */
struct ctr_op {
	struct list_head node;
	enum ctr_op_kind { OP_START, OP_STOP, OP_RESTART, OP_REMOVE, OP_CALL } kind;
	struct ctr *c;
	ctr_done done; /* may be NULL */
	void *arg;
	char *signal;
	int timeout_s;
	bool force, volumes, again;
};
/* Do it, or once the container is no more busy. */
void ctr_op_run(struct ctr_op *op);
/* It ends here: calls done from the loop. err NULL: well. */
void ctr_op_end(struct ctr_op *op, const struct err *err);
/* Forget all that waits; nobody is told. */
void ctr_ops_drop(struct ctr *c);
/* It has just become idle: what waited goes on. */
void ctr_idle(struct ctr *c);

/* run.c: the way up, and taking up again what runs. */
void ctr_run_start(struct ctr *c, struct ctr_op *op /* NULL: the restart policy's */);
void ctr_run_restore(struct ctr *c);
/* Why the runtime did not run cmd (may be NULL), in the words that dockerd's clients know. */
void ctr_runtime_error(const char *intro, const char *cmd, const char *text, struct err *err);
/* ended.c: the way down. code -1: unknown, look at the monitor's file. */
void ctr_ended(struct ctr *c, int code);
/* The undoing of what a start made, on a worker; then done on the loop. */
void ctr_clean(struct ctr *c, void (*done)(struct ctr *c, int oom_kills));
/* Put the endpoints away, then unmount volumes; calls done when all is gone. */
void ctr_release(struct ctr *c, void (*done)(struct ctr *c));
/* drivers.c: mount the volumes of drivers, all or none; and unmount those that are mounted. */
void ctr_volumes_attach(struct ctr *c, volume_done done /* arg: the container */);
void ctr_volumes_detach(struct ctr *c, volume_done done);
/* Exit code and time from the monitor's file; code: when there is none, -1 unknown. */
void ctr_read_exit(struct ctr *c, int code);
void ctr_shim_exited(int code, void *ctr);
/* The cgroup of a run, malloc'd. */
char *ctr_cgroup_path(const struct ctr *c);
void ctr_restart_due(void *ctr);
void ctr_kill_due(void *ctr);

/* network.c: the container's endpoints. */
int ctr_network_plan(struct ctr *c, struct err *err);
int ctr_network_restore(struct ctr *c, struct err *err);
/* NetworkSettings of one that runs or not. */
json_t *ctr_network_settings(struct ctr *c);
/* The container that a mode "container:x" names, or NULL. */
struct ctr *ctr_mode_peer(struct ctr *c, const char *mode);

/* links.c: "name[:alias]"; both are the caller's. -EINVAL in dockerd's words. */
int ctr_link_parse(const char *link, char **ret_name, char **ret_alias, struct err *err);
/* At creation: HostConfig.Links become the container's links. */
int ctr_links_take(struct ctr *c, struct err *err);
/* HostConfig.Links as an inspection shows them; Names of a summary. */
json_t *ctr_links_json(const struct ctr *c);
json_t *ctr_names_json(const struct ctr *c);
/* The container that "[/]container/alias" means, or NULL. */
struct ctr *ctr_link_find(struct ctrs *ctrs, const char *path);
/* Before a start: append "names:address" of its links, as ExtraHosts are. */
int ctr_links_hosts(struct ctr *c, json_t *hosts, struct err *err);
/* Its address may be another one now: tell the running containers that have links to it. */
void ctr_links_moved(struct ctr *c);
/* A copy of its configuration, with the variables of its links in Env. */
json_t *ctr_config_linked(struct ctr *c);

/* store.c: a container on disk. */
int ctr_save(struct ctr *c,
	     struct err *err); /* survives a crash of the machine, unless ephemeral */
void ctr_save_state(struct ctr *c); /* survives one of the agent */
int ctr_load(struct ctrs *ctrs, const char *id, struct ctr **ret, struct err *err);

/* ctr.c */
struct ctr *ctr_alloc(struct ctrs *ctrs, const char *id);
/* Once c->host is known: where its log goes. */
void ctr_log_setup(struct ctr *c);
void ctr_free(struct ctr *c);
void ctr_tell(struct ctr *c, enum ctr_event ev);
/* An event with the container's attributes; extra (may be NULL) is stolen. */
void ctr_emit(struct ctr *c, const char *action, json_t *extra);
void ctr_set_error(struct ctr *c, const char *text);
/* exec.c */
void exec_kill(struct exec *e);
/* Forget it; what it runs goes on. */
void exec_drop(struct exec *e);
/* Array of the IDs that run, or null. */
json_t *execs_ids(const struct ctr *c);
/* health.c: health_start keeps a status that was read from disk. */
void health_start(struct ctr *c);
void health_stop(struct ctr *c);
json_t *health_json(const struct ctr *c);
