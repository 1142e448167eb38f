/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the scheduler. Included by sched/ only. */
#pragma once

#include "core/heap.h"
#include "core/list.h"
#include "core/map.h"
#include "sched/constraint.h"
#include "sched/sched.h"

/* --- what a task wants of a node: filter.c --- */

enum filter {
	FILTER_READY,
	FILTER_RESOURCE,
	FILTER_PLUGIN,
	FILTER_CONSTRAINT,
	FILTER_PLATFORM,
	FILTER_HOST_PORT,
	FILTER_MAX_REPLICAS,
	FILTER_VOLUMES,
	FILTERS,
	FILTER_PASSED = FILTERS
};

struct want {
	const Pb__Task *task; /* a reference; all tasks of a group want the same */
	const Pb__Resources *reserve; /* or NULL */
	struct constraints constraints;
	bool bad_constraints; /* no node satisfies them */
	bool cluster_volumes;
};

struct snode;

void want_init(struct want *w, const Pb__Task *task);
void want_done(struct want *w);
/* The first filter that refuses the node, or FILTER_PASSED. */
enum filter filter_node(const struct want *w, const struct snode *n);
/* "insufficient resources on 3 nodes; …", most first; "" when nothing was refused. */
void filter_explain(const size_t counts[FILTERS], struct buf *ret);

/* --- nodes: node.c --- */

/* One kind of generic resource on a node. */
struct generic {
	char *kind;
	int64_t discrete; /* available */
	char **named; /* available */
	size_t n_named;
};

struct host_port {
	unsigned int protocol;
	uint32_t port;
	size_t n; /* tasks that have it */
};

struct failures {
	struct list_head node;
	char *service_id;
	uint64_t version;
	size_t n;
	uint64_t at_ms[2 * SCHED_MAX_FAILURES]; /* a ring */
};

struct snode {
	const Pb__Node *obj; /* a reference */
	bool ready;
	int64_t cpu_total, memory_total, cpu_reserved, memory_reserved;
	struct generic *generics;
	size_t n_generics;
	struct host_port *ports;
	size_t n_ports;
	size_t n_active; /* tasks that are wanted on it */
	struct map services; /* service ID → number of active tasks, as a pointer */
	struct list_head failures;
	struct list_head tasks; /* stask.on_node */
	struct list_head waiting; /* stask.queue: preassigned, it does not fit now */
	struct list_head bucket; /* in sched.buckets[n_active], while ready */
};

/* A task that the scheduler knows of. */
struct stask {
	const Pb__Task *obj; /* a reference */
	struct snode *node; /* holds its resources */
	bool active; /* counted in n_active */
	struct list_head on_node;
	struct group *group; /* waits there */
	struct list_head queue; /* of a group, a node, or preassigned */
};

/* --- tasks that wait: tasks of one service and spec version --- */

struct group {
	char *key;
	struct list_head node; /* in sched.active or sched.stuck */
	struct list_head fresh, told; /* told: have the reason in their status */
	size_t n;
	struct want want; /* of the first task */
	bool has_want, stuck;
	bool news; /* those told know an earlier reason */
	char *reason;
	uint64_t explain_ms; /* when to tell it again to those told; 0: not */
	size_t renew; /* how many are still to be told again */
};

struct sched {
	struct store *store;
	struct rng *rng;
	struct map nodes; /* ID → struct snode */
	struct map tasks; /* ID → struct stask */
	struct map groups; /* key → struct group */
	struct list_head active, stuck;
	struct list_head preassigned; /* stask.queue */
	struct list_head homeless; /* stask.queue: preassigned to a node that is not there */
	struct list_head *buckets; /* ready nodes by n_active */
	size_t n_buckets, first_bucket;
	bool poked; /* something happened since the last run */
	bool room; /* … that may let a task in that waits */
	uint64_t settle_until_ms; /* 0: the first run is to come */
	bool settled;
	bool working; /* the last run left something to do */
	uint64_t first_ms, last_ms; /* of the events being waited out; 0: none */
};

/* node.c */
struct snode *snode_need(struct sched *s, const Pb__Node *obj);
void snode_free(struct sched *s, struct snode *n);
/* Follow the object. Returns whether tasks may fit now that did not, or wait for other reasons. */
bool snode_update(struct sched *s, struct snode *n, const Pb__Node *obj);
/* The task takes resources of the node, and counts while it is wanted there. */
void snode_add(struct sched *s, struct snode *n, struct stask *t);
void snode_remove(struct sched *s, struct stask *t);
void snode_count(struct sched *s, struct stask *t, bool active);
size_t snode_service_tasks(const struct snode *n, const char *service_id);
void snode_failed(struct snode *n, const Pb__Task *t, uint64_t now_ms);
/* Failures of the task's service and spec version within the window; 0 below the limit. */
size_t snode_failures(const struct snode *n, const Pb__Task *t, uint64_t now_ms);
/* Whether the node has the generic resources; take them for the task (edited) from what is left. */
bool generic_fits(const struct snode *n, const Pb__GenericResource *want);
void generic_choose(const struct snode *n, Pb__Task *t);

/* rank.c */
enum strategy { STRATEGY_SPREAD, STRATEGY_BINPACK, STRATEGY_RANDOM };

struct rank;
/*
 * Rank the nodes that pass the filters for tasks like w->task. counts adds up those refused.
 */
struct rank *rank_new(struct sched *s, const struct want *w, enum strategy strategy,
		      uint64_t now_ms, size_t counts[FILTERS]);
/* The best node, or NULL. The caller places a task on it, then tells so. */
struct snode *rank_best(struct rank *r);
void rank_placed(struct rank *r);
void rank_free(struct rank *r);
enum strategy strategy_of(const struct store *s, const Pb__Task *t);
/* For spread without preferences: a node without tasks of the service that passes the filters,
 * the least loaded; NULL when a look at max nodes finds none. */
struct snode *rank_quick(struct sched *s, const struct want *w, uint64_t now_ms, size_t max);
