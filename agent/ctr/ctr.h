/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers: their configuration, their life and what can be seen of it.
 *
 * A container is a folder <data_root>/containers/<id>/ (config.v2.json, state.json, its log
 * and its writable layer), and while it runs a folder <exec_root>/containers/<id>/ with the OCI
 * bundle and the socket of its monitor (ctr/shim_proto.h). The monitor keeps the standard streams,
 * the log and the exit code, so a container outlives the agent; ctrs_open() picks it up again.
 *
 * All calls on the loop's thread. A struct ctr is borrowed: it lives until CTR_REMOVED has been
 * told to the watchers. json_t results are the caller's unless they say "borrowed". What may block
 * ends in a ctr_done, which is called exactly once, from the loop, never from inside the call.
 * Source: Engine API, "Container"; moby daemon/, container/.
 */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "core/err.h"
#include "core/list.h"

struct loop;
struct events;
struct rng;
struct images;
struct nets;
struct volumes;
struct network;
struct ctrs;
struct ctr;

struct ctrs_options {
	struct loop *loop;
	struct events *events;
	struct rng *rng;
	struct images *images;
	struct nets *nets;
	struct volumes *volumes;
	const char *data_root, *exec_root;
	const char *shim; /* the monitor's binary */
	const char *runtime; /* OCI runtime, a path or a name in PATH; NULL: crun */
	const char *init_path; /* for --init; NULL: docker-init, tini or catatonit in PATH */
	const char *cgroup_parent; /* NULL: /docker */
	const char *log_driver; /* NULL: json-file */
	json_t *log_opts; /* object of strings, may be NULL; borrowed at open only */
	bool init; /* --init for every container */
	bool no_new_privileges;
};

/*
 * Read all containers, adopt those that run, note the end of those that ended meanwhile, clean up
 * after those that were half started, and bring up those whose restart policy wants it.
 */
int ctrs_open(const struct ctrs_options *opt, struct ctrs **ret, struct err *err);
/* Containers go on running. Removes the runtime's folder when nothing runs. */
void ctrs_free(struct ctrs *ctrs);

/* The OCI runtime's path, borrowed. */
const char *ctrs_runtime(const struct ctrs *ctrs);
/* The cgroup of what id names, below parent; NULL or "": --cgroup-parent. malloc'd. */
char *ctrs_cgroup(const struct ctrs *ctrs, const char *parent, const char *id);
/* Limits and restart policy of a HostConfig; -EINVAL in dockerd's words. */
int ctr_check_limits(json_t *host, struct err *err);
/* ExtraHosts, an array of strings; -EINVAL in dockerd's words. */
int ctr_check_extra_hosts(json_t *hosts, struct err *err);

typedef void (*ctr_done)(struct ctr *ctr, const struct err *err /* NULL: fine */, void *arg);

/*
 * A new container from the body of POST /containers/create (borrowed), which is normalised and
 * checked as dockerd does. name may be NULL: one is made up. The image must be here: -ENOENT
 * "No such image: x:latest" otherwise. warnings (may be NULL) gets strings appended.
 * Beside the API's fields, EndpointsConfig.<network> may hold "Swarm", handed on as it is as
 * endpoint_options.swarm of net/net.h, for the endpoint of a task; the API removes it from what
 * clients send.
 */
int ctr_create(struct ctrs *ctrs, const char *name, json_t *body, struct ctr **ret,
	       json_t *warnings, struct err *err);

/*
 * Before ctr_create(): let volume drivers make the volumes that body (borrowed until then) names.
 * false: it names none, done is not called. Else ctr_create() is to be called in done.
 */
bool ctr_provide_volumes(struct ctrs *ctrs, json_t *body,
			 void (*done)(const struct err *err, void *arg), void *arg);

/* A file of a task (secret or config), kept in memory and shown in the container from its next start. */
struct ctr_file {
	const char *target; /* absolute path in the container */
	const void *data;
	size_t size;
	uid_t uid;
	gid_t gid;
	mode_t mode;
};
void ctr_add_file(struct ctr *ctr, const struct ctr_file *file);
/*
 * Be a backend of the services that the endpoints name, or drain (sandbox_service). A container
 * with a "Swarm" endpoint is no backend until this is called after its start; nothing happens
 * while it does not run.
 */
void ctr_service(struct ctr *ctr, bool enable);

/* -EALREADY in err when it runs already. */
void ctr_start(struct ctr *ctr, ctr_done done, void *arg);
/*
 * Ask it to end, and kill it after timeout_s: -1 for the container's own (10 by default), -2 never.
 * signal NULL: the image's stop signal, else SIGTERM. -EALREADY when it does not run.
 */
void ctr_stop(struct ctr *ctr, const char *signal, int timeout_s, ctr_done done, void *arg);
void ctr_restart(struct ctr *ctr, const char *signal, int timeout_s, ctr_done done, void *arg);
/*
 * Send a signal ("KILL", "SIGTERM", "9"; NULL or "" is SIGKILL) to its first process. done is called
 * when it is sent, for SIGKILL once the container has ended; not after an error.
 */
int ctr_kill(struct ctr *ctr, const char *signal, ctr_done done, void *arg, struct err *err);
/* Call fn once the container is not busy, perhaps at once; with an error when it is removed before. */
void ctr_when_idle(struct ctr *ctr, ctr_done fn, void *arg);
/* -EBUSY when it runs and force is not given. volumes: its anonymous volumes go too. */
void ctr_remove(struct ctr *ctr, bool force, bool volumes, ctr_done done, void *arg);
/* Remove a link of old, "[/]container/alias"; -ENOENT "No such container: x". */
int ctr_link_remove(struct ctrs *ctrs, const char *path, struct err *err);
int ctr_pause(struct ctr *ctr, struct err *err);
int ctr_unpause(struct ctr *ctr, struct err *err);
int ctr_rename(struct ctr *ctr, const char *name, struct err *err);
/* The body of POST /containers/{id}/update, borrowed. */
int ctr_update(struct ctr *ctr, json_t *body, struct err *err);
/*
 * Take over a client's hijacked connection for the standard streams of the container: of its next
 * run when it does not run yet, else of this one. It ends by itself.
 */
struct bufferevent;
struct stream_options;
void ctr_attach(struct ctr *ctr, struct bufferevent *client, const struct stream_options *opt);
int ctr_resize(struct ctr *ctr, unsigned int rows, unsigned int cols, struct err *err);

/* By full ID, name, a link's "container/alias", or a prefix of the ID that fits one only. -ENOENT "No such container: x". */
struct ctr *ctr_find(struct ctrs *ctrs, const char *name_or_id, struct err *err);
/* In order of creation, oldest first: start with NULL; NULL at the end. */
struct ctr *ctrs_next(struct ctrs *ctrs, struct ctr *ctr);

enum ctr_status {
	CTR_CREATED,
	CTR_RUNNING,
	CTR_PAUSED,
	CTR_RESTARTING,
	CTR_REMOVING,
	CTR_STATUS_EXITED,
	CTR_DEAD
};

const char *ctr_id(const struct ctr *ctr);
const char *ctr_name(const struct ctr *ctr); /* without slash */
enum ctr_status ctr_status(const struct ctr *ctr);
/* "created", "running", "paused", "restarting", "removing", "exited", "dead" */
const char *ctr_status_name(const struct ctr *ctr);
bool ctr_running(const struct ctr *ctr); /* paused ones run too */
/* Path of its network namespace, NULL: the node's; and the folder of its hosts and resolv.conf. */
const char *ctr_netns(const struct ctr *ctr);
const char *ctr_net_dir(struct ctr *ctr);
pid_t ctr_pid(const struct ctr *ctr); /* 0 when it does not run */
int ctr_exit_code(const struct ctr *ctr); /* of its last run */
bool ctr_oom_killed(const struct ctr *ctr);
const char *ctr_error(const struct ctr *ctr); /* why it did not start; "" if it did */
int64_t ctr_started_ns(const struct ctr *ctr); /* wall clock; 0 never */
int64_t ctr_finished_ns(const struct ctr *ctr);
/* "", "starting", "healthy", "unhealthy"; "" without a health check */
const char *ctr_health(const struct ctr *ctr);
const char *ctr_health_output(const struct ctr *ctr); /* of the last probe */
const char *ctr_label(const struct ctr *ctr, const char *key); /* borrowed or NULL */
json_t *ctr_config(const struct ctr *ctr); /* borrowed: Config */
json_t *ctr_host_config(const struct ctr *ctr); /* borrowed: HostConfig */
bool ctr_tty(const struct ctr *ctr);
const char *ctr_log_path(const struct ctr *ctr); /* "" with the log driver none */
const char *ctr_image_id(const struct ctr *ctr);

/* GET /containers/{id}/json and one entry of GET /containers/json. size adds SizeRw, SizeRootFs. */
json_t *ctr_inspect(struct ctr *ctr, bool size);
json_t *ctr_summary(struct ctr *ctr, bool size);

enum ctr_event { CTR_EV_CREATED, CTR_EV_STARTED, CTR_EV_EXITED, CTR_EV_HEALTH, CTR_EV_REMOVED };

struct ctr_watch {
	struct list_head node;
	void (*fn)(struct ctr *ctr, enum ctr_event event, void *arg);
	void *arg;
};
/* Every container's events, until ctrs_unwatch. A watcher may call anything but ctrs_unwatch of another. */
void ctrs_watch(struct ctrs *ctrs, struct ctr_watch *watch);
void ctrs_unwatch(struct ctr_watch *watch);

/* Is a container (running or not) using this? For image, volume and network removal. */
bool ctrs_volume_used(struct ctrs *ctrs, const char *volume);
/* Names or IDs of the networks that its start joins: a new array, empty for host, none and the like. */
json_t *ctr_networks(struct ctr *ctr);
/*
 * Before a start: the address that the endpoint in one of ctr_networks() gets (of an attachment to
 * a network of the swarm). NULL: what the user asked for, if anything.
 */
void ctr_network_address(struct ctr *ctr, const char *network, const char *ip4);
/* The address that the user asked for, or NULL. */
const char *ctr_network_wish(struct ctr *ctr, const char *network);
/* Live connect and disconnect of POST /networks/{id}/connect; endpoint: EndpointSettings, may be NULL. */
void ctr_network_connect(struct ctr *ctr, struct network *network, json_t *endpoint, ctr_done done,
			 void *arg);
void ctr_network_disconnect(struct ctr *ctr, struct network *network, ctr_done done, void *arg);

/* Counts for GET /info. */
void ctrs_count(struct ctrs *ctrs, unsigned int *ret_running, unsigned int *ret_paused,
		unsigned int *ret_stopped);
