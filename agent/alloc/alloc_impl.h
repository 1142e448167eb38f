/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the allocator. Included by alloc/ only. */
#pragma once

#include "alloc/alloc.h"
#include "alloc/ports.h"
#include "alloc/subnet.h"
#include "core/idq.h"

/* A network that has been allocated. */
struct anet {
	bool overlay; /* else local to each node: no addresses */
	struct subnet *subnets;
	size_t n_subnets;
	uint32_t *vnis;
	size_t n_vnis;
};

/* How much of a network is on a node. */
struct presence {
	struct list_head idle; /* in alloc.idle while no task uses it */
	char *node_id, *network_id;
	size_t n_tasks;
	uint64_t until_ms; /* while idle */
};

struct alloc {
	struct store *store;
	struct pools pools;
	bool pools_known; /* the cluster object was there */
	uint32_t vxlan_port;
	struct map nets; /* network ID → struct anet */
	struct bitmap vnis; /* offsets from ALLOC_VNI_FIRST */
	struct ports ports;
	struct map presence; /* "node/network" → struct presence */
	struct list_head idle; /* presences, the next to go first */
	/* to do, by ID */
	struct idq networks, nodes, services, tasks;
	struct idq failed_networks, failed_services;
	struct map blocked; /* ID of a network or service → struct idq of tasks that wait for it */
	uint64_t now_ms;
};

/* network.c */
struct anet *net_find(const struct alloc *a, const char *id);
/* Allocate and stage. Negative: not now. */
int net_alloc(struct alloc *a, struct store_tx *tx, const Pb__Network *n, struct err *err);
/* Note what a stored network has. */
void net_note(struct alloc *a, const Pb__Network *n);
void net_forget(struct alloc *a, const char *id);
bool net_is_allocated(const Pb__Network *n);
/*
 * An address of the network as "10.0.1.5/24". wanted (an address or CIDR, may be NULL or "") asks
 * for one. -ENOSPC, -EBUSY, -EINVAL.
 */
int net_take(struct alloc *a, const Pb__Network *n, const char *wanted, char ret[20],
	     struct err *err);
/* Note, or give back, the address of a stored object. */
void net_hold(struct alloc *a, const char *network_id, const char *addr);
void net_release(struct alloc *a, const char *network_id, const char *addr);

/* service.c: whether all that the spec asks for is there */
bool service_is_allocated(const struct alloc *a, const struct store *s, const Pb__Service *svc);
int service_alloc(struct alloc *a, struct store_tx *tx, const Pb__Service *svc, struct err *err);
/* Follow a commit: give back what old (may be NULL) has and new (may be NULL) has not. */
void service_changed(struct alloc *a, const Pb__Service *old, const Pb__Service *new);
/* The networks a task of the spec joins. */
void service_networks(const Pb__ServiceSpec *spec, Pb__NetworkAttachmentConfig *const **ret,
		      size_t *ret_n);

/* task.c */
/* Negative: it waits; *ret_blocker is the ID it waits for. */
int task_alloc(struct alloc *a, struct store_tx *tx, const Pb__Task *t, const char **ret_blocker,
	       struct err *err);
void task_changed(struct alloc *a, const Pb__Task *old, const Pb__Task *new);

/* node.c */
int node_alloc(struct alloc *a, struct store_tx *tx, const Pb__Node *n, struct err *err);
void node_changed(struct alloc *a, const Pb__Node *old, const Pb__Node *new);
/* One more or one less task on the node uses the network. */
void presence_add(struct alloc *a, const char *node_id, const char *network_id);
void presence_sub(struct alloc *a, const char *node_id, const char *network_id);
/* Let go of those that were idle long enough. Returns when the next is due. */
uint64_t presence_expire(struct alloc *a, uint64_t now_ms);
void presence_done(struct alloc *a);

/* alloc.c: tasks that waited for the network or service are tried again, at most n of them */
void alloc_unblock(struct alloc *a, const char *id, size_t n);
