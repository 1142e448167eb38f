/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the orchestrator. Included by orch/ only. */
#pragma once

#include "core/heap.h"
#include "core/idq.h"
#include "orch/orch.h"
#include "sched/constraint.h"

enum mode { MODE_REPLICATED, MODE_GLOBAL, MODE_REPLICATED_JOB, MODE_GLOBAL_JOB };

/* Restarts of one slot, for max_attempts. */
struct history {
	uint64_t version; /* of the spec they count for */
	uint64_t total;
	int64_t *at_ns; /* the newest ones, when there is a window */
	size_t n;
};

/* One place of a service: a slot, or a node of a global service. Its key names it. */
struct slot {
	char *key;
	size_t live; /* tasks that are wanted to run */
	bool settled; /* the newest has ended and is not restarted */
	bool complete; /* jobs: done in this iteration */
	struct history history;
};

struct osvc {
	char *id;
	struct orch *orch;
	enum mode mode;
	struct map slots; /* key → struct slot */
	size_t n_occupied; /* slots that are live, settled or complete */
	size_t n_live; /* tasks; jobs only use it */
	uint64_t next_free; /* all lower slots are occupied */
	uint64_t iteration; /* jobs */
	struct list_head dirty; /* in orch.dirty */
	struct list_head global; /* in orch.globals */
	struct idq nodes; /* global: still to be looked at */
	struct idq remove; /* its tasks to be wanted REMOVE */
	struct idq doubled; /* keys of slots with more than one live task */
	bool rescan; /* look for slots that need an update */
	bool settle; /* look for settled slots first (after leader change) */
	struct update *update;
};

/* A task that is created and waits to run. */
struct start {
	struct heap_item item;
	char *task_id;
	char *old_id; /* NULL: waits for the delay only */
	uint64_t delay_until_ms, deadline_ms;
};

struct orch {
	struct store *store;
	struct rng *rng;
	struct map services; /* ID → struct osvc */
	struct list_head dirty, globals, updates;
	struct idq tasks; /* to be looked at: ended, or on an invalid node */
	struct idq remove; /* of services that are gone: to be wanted REMOVE */
	struct idq resume; /* waited to run when leadership began */
	bool poked;
	struct map starts; /* task ID → struct start */
	struct map stopping; /* ID of the old task → struct start */
	struct heap due; /* struct start */
	uint64_t now_ms;
};

/* task.c */
bool task_is_live(const struct osvc *v, const Pb__Task *t);
/* Raise the desired state; nothing when it is there already. */
void task_want(struct store_tx *tx, const Pb__Task *t, Pb__TaskState desired);
void slot_key(const struct osvc *v, const Pb__Task *t, char buf[64]);
uint64_t slot_number(const char *key);
/* The slot's tasks in the store. */
struct store_iter slot_tasks(const struct store *s, const struct osvc *v, const char *key);
struct slot *slot_need(struct osvc *v, const char *key);
bool slot_is_occupied(const struct slot *s);
/* Create a task in the lowest slot that is free; false when the transaction is full. */
bool slot_fill_next(struct orch *o, struct store_tx *tx, struct osvc *v, const Pb__Service *svc);
void slot_set_settled(struct osvc *v, struct slot *s, bool settled);
/* Follow a committed change of a task. */
void slots_follow(struct osvc *v, const Pb__Task *old, const Pb__Task *new);
void slots_done(struct osvc *v);
enum mode mode_of(const Pb__Service *svc);
void osvc_dirty(struct osvc *v);

/* restart.c */
/* Whether a task that ended is to be replaced. */
bool restart_allowed(const Pb__Task *t, const struct slot *slot);
/* Shut the task down and, if its policy says so, create the next one. */
void restart_task(struct orch *o, struct store_tx *tx, struct osvc *v, const Pb__Service *svc,
		  const Pb__Task *t, uint64_t now_ms);
/* The task is to run after delay_ms, and after old (may be NULL) has stopped. */
void start_add(struct orch *o, const char *task_id, const Pb__Task *old, uint64_t delay_ms,
	       uint64_t now_ms);
bool start_pending(const struct orch *o, const char *task_id);
/* The task has ended, or its node is lost: nothing needs to wait for it. */
void start_old_stopped(struct orch *o, const char *old_id);
/* Stage what is due. Returns when the next is. */
uint64_t starts_run(struct orch *o, struct store_tx *tx, uint64_t now_ms);
void starts_done(struct orch *o);
/* After a leader change: tasks that wait to run take up their delay again. */
void start_resume(struct orch *o, const Pb__Task *t, int64_t elapsed_ns, uint64_t now_ms);

/* replicated.c, global.c, jobs.c: false when the transaction is full and more is to be done */
bool replicated_reconcile(struct orch *o, struct store_tx *tx, struct osvc *v,
			  const Pb__Service *svc);
bool global_reconcile(struct orch *o, struct store_tx *tx, struct osvc *v, const Pb__Service *svc);
bool job_reconcile(struct orch *o, struct store_tx *tx, struct osvc *v, const Pb__Service *svc);
/* Whether a global service's task belongs on the node. */
bool global_wants(const Pb__Service *svc, const Pb__Node *node);
/* Without an update under way: of a slot's live tasks one is enough. */
void slots_tidy(struct store_tx *tx, struct osvc *v, const Pb__Service *svc);
/* Queue a task to be removed; v: its service, NULL when that is gone. */
void orch_remove(struct orch *o, struct osvc *v, const char *task_id);

/* update.c */
struct update;
/* Look for slots whose tasks differ from the spec and begin to update them. */
void update_begin(struct orch *o, struct store_tx *tx, struct osvc *v, const Pb__Service *svc);
void update_cancel(struct osvc *v);
/* The tasks of a slot that an update looks at; at most max. Returns how many. */
size_t updatable(const struct store *s, const struct osvc *v, const struct slot *slot,
		 const Pb__Service *svc, const Pb__Task **ret, size_t max);
void update_task_event(struct update *u, const Pb__Task *old, const Pb__Task *new, uint64_t now_ms);
/* Whether the update is one to this spec. */
bool update_is_for(const struct update *u, const Pb__Service *svc);
/* Stage what is due, for all updates. */
uint64_t updates_run(struct orch *o, struct store_tx *tx, uint64_t now_ms);
