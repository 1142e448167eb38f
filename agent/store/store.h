/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The swarm's objects in memory: by ID, by name and, for tasks, by service, slot, node and
 * desired state. One writer at a time; never asks how a change was agreed.
 *
 * Objects are immutable protobuf messages (Pb__Node, Pb__Service, …) owned by the store and
 * reference-counted. A pointer that the store returned stays valid until the object is next
 * changed and control has returned from the transaction or event that did so; store_ref() keeps
 * it longer. To change an object: pb_clone() it, edit the copy, hand it to store_tx_update().
 *
 * A transaction applies its changes at once, so that every read function, given the same store,
 * shows them to the code that stages; store_tx_seal() takes them back until the entry is
 * committed. Between seal and commit or abort the store must not change otherwise.
 *
 * Pure: no clock, no I/O. Not thread-safe. Iteration is in order of creation, of assignment to
 * the index for the others; it depends on neither addresses nor hashes.
 * Source: swarmkit manager/state/store/memory.go (uniqueness, versions, change lists).
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"
#include "core/list.h"
#include "wire/objects.pb-c.h"
#include "wire/raft.pb-c.h"

enum store_kind {
	STORE_NODE,
	STORE_SERVICE,
	STORE_TASK,
	STORE_NETWORK,
	STORE_CLUSTER,
	STORE_SECRET,
	STORE_RESOURCE,
	STORE_EXTENSION,
	STORE_CONFIG,
	STORE_VOLUME,
	STORE_KINDS
};

enum store_action { STORE_CREATE, STORE_UPDATE, STORE_REMOVE };

struct store;
struct store_tx;

struct store *store_new(void);
/* Objects that are still referenced live on until their last store_unref(). NULL is fine. */
void store_free(struct store *s);

/* "node", "service", …, as error messages and events name it. */
const char *store_kind_name(enum store_kind kind);

/* --- reading --- */

/* NULL when there is none. id may be NULL. */
const void *store_get(const struct store *s, enum store_kind kind, const char *id);
/* By name without regard to case; NULL for kinds whose names are not unique (nodes, tasks). */
const void *store_find_name(const struct store *s, enum store_kind kind, const char *name);
/*
 * By whole ID, whole name, or unique prefix of an ID, in this order. -ENOENT "service x not
 * found", -EINVAL "service x is ambiguous (2 matches found)". Nodes are also found by hostname.
 */
int store_find(const struct store *s, enum store_kind kind, const char *ref, const void **ret,
	       struct err *err);
size_t store_count(const struct store *s, enum store_kind kind);
/* ID, name ("" where there is none) and meta (may be NULL) of any object. */
const char *store_id(const void *obj);
const char *store_name(const void *obj);
const Pb__Meta *store_meta(const void *obj);
/* What names and labels an object of any kind; may be NULL. */
const Pb__Annotations *store_annotations(const void *obj);
enum store_kind store_kind_of(const void *obj);
/* The index of meta.version. */
uint64_t store_version(const void *obj);

#define STORE_GET(name, type, kind)                                                                \
	static inline const type *store_##name(const struct store *s, const char *id)              \
	{                                                                                          \
		return store_get(s, kind, id);                                                     \
	}
STORE_GET(node, Pb__Node, STORE_NODE)
STORE_GET(service, Pb__Service, STORE_SERVICE)
STORE_GET(task, Pb__Task, STORE_TASK)
STORE_GET(network, Pb__Network, STORE_NETWORK)
STORE_GET(secret, Pb__Secret, STORE_SECRET)
STORE_GET(config, Pb__Config, STORE_CONFIG)
STORE_GET(volume, Pb__Volume, STORE_VOLUME)
#undef STORE_GET
/* The cluster object (there is one, named "default"); NULL before it exists. */
const Pb__Cluster *store_cluster(const struct store *s);

/*
 * Iteration: for (struct store_iter i = store_all(s, STORE_TASK); (t = store_next(&i));)
 * The body may create objects and update or remove the current one, but no other.
 */
struct store_iter {
	const struct list_head *head, *next;
	size_t offset;
};

struct store_iter store_all(const struct store *s, enum store_kind kind);
struct store_iter store_tasks_of_service(const struct store *s, const char *service_id);
/* Tasks of one slot; slot 0 with a node ID: the tasks that a global service has on the node. */
struct store_iter store_tasks_of_slot(const struct store *s, const char *service_id, uint64_t slot,
				      const char *node_id);
/* Tasks assigned to the node; node_id "": those not assigned. */
struct store_iter store_tasks_of_node(const struct store *s, const char *node_id);
struct store_iter store_tasks_desired(const struct store *s, Pb__TaskState desired);
const void *store_next(struct store_iter *it);
/* Lengths of the same, without walking. */
size_t store_n_tasks_of_service(const struct store *s, const char *service_id);
size_t store_n_tasks_of_node(const struct store *s, const char *node_id);

/* One more reference; returns obj. Released with store_unref(), NULL is fine for both. */
const void *store_ref(const void *obj);
void store_unref(const void *obj);

/* --- writing --- */

#define STORE_TX_MAX_CHANGES 200
#define STORE_TX_MAX_SIZE (1536 * 1024 * 3 / 4) /* ¾ of raft's 1.5 MiB for an entry */

/*
 * Open the one transaction. version is stamped on what it creates and updates (the applied raft
 * index, greater than at the last transaction), now_ns (wall clock) on created_at, updated_at.
 */
struct store_tx *store_tx_begin(struct store *s, uint64_t version, int64_t now_ns);
/* The store, for reading what is staged together with what was there. */
struct store *store_tx_store(struct store_tx *tx);
int64_t store_tx_now_ns(const struct store_tx *tx);
/*
 * Stage a change. msg is stolen in any case and freed with pb_free(); its type says the kind.
 * create: the ID must be set; -EEXIST when ID or name is taken.
 * update: -ENOENT when it is gone, -ESTALE "update out of sequence" when meta.version is not that
 * of the stored object, -EEXIST when the new name is taken.
 */
int store_tx_create(struct store_tx *tx, void *msg, struct err *err);
int store_tx_update(struct store_tx *tx, void *msg, struct err *err);
int store_tx_remove(struct store_tx *tx, enum store_kind kind, const char *id, struct err *err);

/* Objects that differ from before the transaction, and the bytes they take on the wire. */
size_t store_tx_changes(const struct store_tx *tx);
size_t store_tx_size(const struct store_tx *tx);
/* Time to commit and go on in another transaction. One more builder may still overshoot: an
 * entry with a single writer's changes is never split, as in SwarmKit. */
static inline bool store_tx_full(const struct store_tx *tx)
{
	return store_tx_changes(tx) >= STORE_TX_MAX_CHANGES ||
	       store_tx_size(tx) >= STORE_TX_MAX_SIZE;
}

/* A builder that fails takes only its own changes back. */
size_t store_tx_mark(const struct store_tx *tx);
void store_tx_rollback(struct store_tx *tx, size_t mark);

/* Take the changes out of the store, and keep them. */
void store_tx_seal(struct store_tx *tx);
/* Append the InternalRaftRequest with the given request ID. Returns the number of actions. */
size_t store_tx_marshal(const struct store_tx *tx, uint64_t request_id, struct buf *ret);
/* The entry is committed: put the changes (back) in, tell the watches, free tx. */
void store_tx_commit(struct store_tx *tx);
/* Take all back, free tx. NULL is fine. */
void store_tx_abort(struct store_tx *tx);

/*
 * Apply a committed entry's InternalRaftRequest as it is (followers, replay): all actions or,
 * when one fails or the bytes are no request (-EBADMSG), none.
 */
int store_apply(struct store *s, const void *data, size_t size, struct err *err);

/* Append a Snapshot message: version 0, membership (may be NULL) and all objects. */
void store_save(const struct store *s, const Pb__ClusterSnapshot *membership, struct buf *ret);
/* Replace everything by a snapshot's content, telling watches the difference. *ret_membership
 * (may be NULL) is for the caller to pb_free(). -EBADMSG: nothing changed. */
int store_restore(struct store *s, const void *data, size_t size,
		  Pb__ClusterSnapshot **ret_membership, struct err *err);

/* --- watching --- */

struct store_event {
	enum store_kind kind;
	enum store_action action;
	const void *old; /* NULL for STORE_CREATE */
	const void *new; /* NULL for STORE_REMOVE */
};

struct store_watch {
	struct list_head node;
	void (*fn)(const struct store_event *ev, void *arg);
	void *arg;
};

/*
 * fn is called for each object that a commit, store_apply() or store_restore() changed, after all
 * of it is in the store, in order of the changes. It must not change the store.
 */
void store_watch(struct store *s, struct store_watch *w);
/* Allowed at any time, from callbacks too. */
void store_unwatch(struct store_watch *w);
