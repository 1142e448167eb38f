/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the store: what the kinds of objects have in common, entries, indexes and the list of
 * staged changes. Included by store/ only.
 */
#pragma once

#include "core/map.h"
#include "store/store.h"

struct store_kind_info {
	const char *name;
	const ProtobufCMessageDescriptor *desc;
	size_t id_offset; /* char * */
	size_t meta_offset; /* Pb__Meta * */
	size_t snapshot_n_offset; /* of the kind's array in Pb__StoreSnapshot */
	size_t snapshot_offset;
	bool unique_name;
};

extern const struct store_kind_info store_kinds[STORE_KINDS];

/* Arm of StoreAction's oneof for a kind; both count in the same order. */
#define STORE_TARGET_CASE(kind) ((Pb__StoreAction__TargetCase)((kind) + 2))

/* Tasks that share a service, a slot or a node. */
struct task_group {
	struct list_head tasks;
	struct list_head idle; /* in store.idle_groups while empty */
	struct map *map;
	char *key;
	size_t n;
};

enum task_list { BY_SERVICE, BY_SLOT, BY_NODE, BY_DESIRED, TASK_LISTS };

/* An object's place in the store; stays while the object's content is replaced. */
struct entry {
	struct list_head all;
	struct list_head by[TASK_LISTS]; /* tasks only */
	struct task_group *group[TASK_LISTS]; /* BY_DESIRED: always NULL */
	enum store_kind kind;
	const void *obj; /* a reference */
	/* of the open transaction: */
	uint32_t touched; /* its changes in the list */
	bool renamed;
	const void *final; /* borrowed; set by tx_settle() */
	size_t first; /* index of its first change; likewise */
};

#define DESIRED_STATES 16 /* states are multiples of 64 except REMOVE 800 and ORPHANED 832 */

struct store {
	struct map ids[STORE_KINDS]; /* → struct entry */
	struct map names[STORE_KINDS]; /* lower case → struct entry */
	struct list_head all[STORE_KINDS];
	size_t n[STORE_KINDS];
	struct map groups[BY_DESIRED]; /* → struct task_group */
	struct list_head desired[DESIRED_STATES];
	struct list_head idle_groups;
	struct list_head watches;
	struct store_tx *tx;
};

/* One step, undone in reverse order. */
struct change {
	enum store_action action;
	struct entry *entry;
	const void *old, *new; /* references */
	ssize_t size_delta;
	struct list_head *prev_all; /* where to link it again, when undone */
	struct list_head *prev[TASK_LISTS];
	struct task_group *group[TASK_LISTS];
};

/* A reference-counted copy; msg is freed. */
const void *object_new(void *msg);
enum store_kind object_kind(const void *obj);
/* The key of the name index, or NULL when the object has none. malloc'd. */
char *object_name_key(const void *obj);

void change_do(struct store *s, struct change *c);
void change_undo(struct store *s, struct change *c);
void store_free_idle_groups(struct store *s);
void store_notify(struct store *s, const struct store_event *ev);
/* Without a store's checks and stamps: the transaction of store_apply() and store_restore(). */
struct store_tx *tx_begin_raw(struct store *s);
/* obj: a reference, handed over; NULL to remove the entry with id. -EEXIST, -ENOENT. */
int tx_stage(struct store_tx *tx, enum store_kind kind, const char *id, enum store_action action,
	     const void *obj, struct err *err);
