/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node's tasks: assignments become containers, what happens to the containers becomes task
 * statuses.
 *
 * Tasks, their secrets' references and statuses persist in <dir>/tasks.mdb (never a secret's
 * data). After a restart of the agent each task is matched with the container of its name and
 * label, so that none is started twice and none is lost; nothing is stopped before the first
 * COMPLETE assignment says so.
 *
 * All calls on the loop's thread; callbacks come from the loop, never from inside the call.
 * Messages are borrowed for the call. Source: SWARM-WIRE §2; swarmkit:agent/{worker,task}.go,
 * agent/exec/controller.go; moby daemon/cluster/executor/container.
 */
#pragma once

#include "core/err.h"
#include "wire/dispatcher.pb-c.h"

struct loop;
struct rng;
struct images;
struct ctrs;
struct nets;
struct volumes;
struct image_share;
struct worker;

struct worker_options {
	struct loop *loop;
	struct rng *rng;
	struct images *images;
	struct ctrs *ctrs;
	struct nets *nets; /* may be NULL: tasks with networks are refused */
	struct volumes *volumes;
	const char *dir; /* <data_root>/swarm/worker */
	const char *exec_root;
	/* A status that is new and already on disk. */
	void (*on_status)(const char *task_id, const Pb__TaskStatus *status, void *arg);
	/*
	 * May be NULL. An attachment task (docker run --network of an overlay): its network is
	 * here and its addresses are in task->networks[0], or (ready false) it was taken away.
	 */
	void (*on_attachment)(const Pb__Task *task, bool ready, void *arg);
	/* May be NULL. A CSI volume that was taken away is no longer used here. */
	void (*on_volume)(const char *id, void *arg);
	void *arg;
};

int worker_open(const struct worker_options *opt, struct worker **ret, struct err *err);
/* Containers go on running. NULL is fine. */
void worker_close(struct worker *w);
/*
 * Who this node is. node may be NULL (not told yet): its description's hostname and platform are
 * what templates expand to, its attachments make the ingress network here, or take it down.
 */
void worker_set_node(struct worker *w, const char *node_id, const Pb__Node *node);
/* Members of the cluster, for the time that a draining task goes on serving. */
void worker_set_cluster_size(struct worker *w, size_t nodes);
/* Where images that no registry has come from; NULL: nowhere. Borrowed until replaced. */
void worker_set_share(struct worker *w, struct image_share *share);
/* COMPLETE replaces everything; secrets, configs, tasks, volumes are applied in that order. */
void worker_assign(struct worker *w, const Pb__AssignmentsMessage *msg);
/* Tell every stored status again (a new session); the calls come from the loop, soon. */
void worker_report_all(struct worker *w);
/* Stop and remove all tasks' containers, forget the tasks; done from the loop. */
void worker_leave(struct worker *w, void (*done)(void *arg), void *arg);
/* The task whose container this is, or NULL; borrowed for the moment. For the log broker. */
const Pb__Task *worker_task_of(struct worker *w, const char *container_id);
/* Start with *pos = 0; NULL at the end. Tasks that are assigned now. */
const Pb__Task *worker_next(struct worker *w, size_t *pos);
/* The container of a task, or "" when it has none. */
const char *worker_container(struct worker *w, const char *task_id);
