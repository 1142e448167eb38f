// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "store/object.h"
#include "wire/pb.h"

void store_save(const struct store *s, const Pb__ClusterSnapshot *membership, struct buf *ret)
{
	Pb__StoreSnapshot all = PB__STORE_SNAPSHOT__INIT;
	Pb__Snapshot snap = PB__SNAPSHOT__INIT;
	Pb__ClusterSnapshot none = PB__CLUSTER_SNAPSHOT__INIT;
	void **arrays[STORE_KINDS];

	for (int k = 0; k < STORE_KINDS; k++) {
		const struct store_kind_info *info = &store_kinds[k];
		struct store_iter it = store_all(s, k);
		const void *obj;
		size_t n = 0;

		arrays[k] = xcalloc(s->n[k] + 1, sizeof(void *));
		while ((obj = store_next(&it)))
			arrays[k][n++] = (void *)obj;
		*(size_t *)((char *)&all + info->snapshot_n_offset) = n;
		*(void ***)((char *)&all + info->snapshot_offset) = arrays[k];
	}
	snap.membership = membership ? (Pb__ClusterSnapshot *)membership : &none;
	snap.store = &all;
	pb_pack(&snap, ret);
	for (int k = 0; k < STORE_KINDS; k++)
		free(arrays[k]);
}

struct new_objects {
	void **objs;
	size_t n;
	struct map ids; /* → object */
};

static int collect(Pb__StoreSnapshot *all, enum store_kind kind, struct new_objects *ret,
		   struct err *err)
{
	const struct store_kind_info *info = &store_kinds[kind];

	ret->n = all ? *(size_t *)((char *)all + info->snapshot_n_offset) : 0;
	ret->objs = all ? *(void ***)((char *)all + info->snapshot_offset) : NULL;
	for (size_t i = 0; i < ret->n; i++) {
		const char *id = store_id(ret->objs[i]);

		if (str_empty(id) || map_put(&ret->ids, id, ret->objs[i]))
			return err_set(err, -EBADMSG,
				       "the snapshot has a %s without an ID of its own",
				       info->name);
	}
	return 0;
}

/* First what goes or gives up its name, so that names are free for what comes. */
static int remove_stale(struct store_tx *tx, enum store_kind kind, const struct new_objects *now,
			struct err *err)
{
	struct store_iter it = store_all(store_tx_store(tx), kind);
	const void *old;

	while ((old = store_next(&it))) {
		const void *new = map_get(&now->ids, store_id(old));
		int rc = 0;

		if (!new || strcmp(store_name(old), store_name(new)))
			rc = tx_stage(tx, kind, store_id(old), STORE_REMOVE, NULL, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int add_changed(struct store_tx *tx, enum store_kind kind, const struct new_objects *now,
		       struct err *err)
{
	for (size_t i = 0; i < now->n; i++) {
		const char *id = store_id(now->objs[i]);
		const void *old = store_get(store_tx_store(tx), kind, id);
		int rc;

		if (old && pb_equal(old, now->objs[i]))
			continue;
		rc = tx_stage(tx, kind, id, old ? STORE_UPDATE : STORE_CREATE,
			      object_new(pb_clone(now->objs[i])), err);
		if (rc)
			return rc;
	}
	return 0;
}

int store_restore(struct store *s, const void *data, size_t size,
		  Pb__ClusterSnapshot **ret_membership, struct err *err)
{
	_cleanup_pb_ Pb__Snapshot *snap = pb_unpack(pb__snapshot, data, size);
	struct store_tx *tx;
	int rc = 0;

	if (!snap)
		return err_set(err, -EBADMSG, "the data are no snapshot of a store");
	if (snap->version != PB__SNAPSHOT__VERSION__V0)
		return err_set(err, -EBADMSG, "unknown snapshot version %d", snap->version);
	tx = tx_begin_raw(s);
	for (int k = 0; k < STORE_KINDS && !rc; k++) {
		struct new_objects now = {0};

		rc = collect(snap->store, k, &now, err);
		if (!rc)
			rc = remove_stale(tx, k, &now, err);
		if (!rc)
			rc = add_changed(tx, k, &now, err);
		map_done(&now.ids);
	}
	if (rc) {
		store_tx_abort(tx);
		return err_set(err, -EBADMSG, "%s", err ? err->msg : "bad snapshot");
	}
	store_tx_commit(tx);
	if (ret_membership)
		*ret_membership = steal_ptr(snap->membership);
	return 0;
}
