/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the worker share: worker.c, task.c, pull.c, provide.c, task_net.c. */
#pragma once

#include "core/map.h"
#include "ctr/ctr.h"
#include "image/image.h"
#include "loop/loop.h"
#include "node/taskdb.h"
#include "node/worker.h"
#include "wire/pb.h"

#define LABEL_TASK_ID "com.docker.swarm.task.id"

struct worker {
	struct worker_options opt;
	char *exec_root, *node_id;
	Pb__Node *node;
	struct taskdb *db;
	struct map tasks; /* struct task by ID */
	struct map secrets, configs; /* Pb__Secret, Pb__Config by ID */
	struct map pulls; /* struct pull by image reference, while they run */
	struct map provisions; /* struct provision by task ID, while they run */
	struct image_share *share;
	struct ctr_watch watch;
	size_t cluster_size;
	char *ingress_id; /* of the network that this node holds for published ports */
	bool synced; /* the first COMPLETE assignment has come */
	bool leaving;
	void (*left)(void *arg);
	void *left_arg;
};

enum task_step {
	STEP_NONE,
	STEP_PULL, /* an image is on its way */
	STEP_VOLUMES, /* drivers make its volumes */
	STEP_START, /* ctr_start */
	STEP_HEALTH, /* runs, not healthy yet */
	STEP_DRAIN, /* runs, gets no new flows */
	STEP_STOP, /* ctr_stop */
	STEP_REMOVE, /* ctr_remove */
	STEP_RETRY, /* a temporary failure: again in a second */
};

struct task {
	struct worker *w;
	char *id;
	Pb__Task *task;
	Pb__TaskStatus *status;
	struct ctr *ctr; /* NULL: none */
	enum task_step step; /* what is under way */
	bool gone; /* no longer assigned */
	bool pulled; /* the image was looked after */
	bool files; /* secrets and configs were handed to the container */
	bool stopped; /* we made it end */
	bool unhealthy; /* stopped for that */
	struct timer timer; /* of the drain, or of a retry */
	struct timer kick; /* at once: see what is next */
};

/* task.c */
struct task *task_new(struct worker *w, const Pb__Task *task, const Pb__TaskStatus *status);
/* Frees it and what it knows; the container is not touched. */
void task_free(struct task *t);
/* Do what is next, from the loop, soon. */
void task_kick(struct task *t);
void task_ctr_event(struct task *t, enum ctr_event ev);
/* The image is here, or it could not be had. */
void task_pulled(struct task *t, const struct err *err);

/* pull.c: bring the task's image; task_pulled() comes from the loop. */
void pull_start(struct worker *w, struct task *t);
void pulls_done(struct worker *w);

/* Its volumes are there, or could not be had: create the container of body. */
void task_provided(struct task *t, json_t *body, const struct err *err);

/*
 * provide.c: let drivers make the volumes that body names. false: it names none; else
 * task_provided() comes from the loop.
 */
bool provide_start(struct worker *w, struct task *t, json_t *body);
void provisions_done(struct worker *w);

/* task_net.c: make the networks of a task here. */
int task_networks(struct worker *w, const Pb__Task *task, struct err *err);
/* Forget the task's networks that no other task needs. */
void task_networks_drop(struct worker *w, const struct task *t);
/* Forget networks of the swarm that no task needs, after a restart. */
void worker_networks_sweep(struct worker *w);
/* Make or forget the network for published ports, as the node's attachments say. */
void worker_ingress(struct worker *w);
/* It has flows of services: a drain makes sense. */
bool task_serves(const Pb__Task *task);
/* Published ports of the container as it runs, in host mode; NULL without. */
Pb__PortStatus *task_ports(const Pb__Task *task, struct ctr *ctr);

/* worker.c: the task's container is removed and its networks are let go. */
void worker_task_ended(struct worker *w, struct task *t);
