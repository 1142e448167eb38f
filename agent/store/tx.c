// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "store/object.h"
#include "wire/pb.h"

struct store_tx {
	struct store *store;
	uint64_t version;
	int64_t now_ns;
	bool raw; /* apply what others stamped */
	bool sealed;
	struct change **changes;
	size_t n, alloc;
	size_t n_touched; /* entries */
	size_t size; /* on the wire */
};

static struct store_tx *tx_new(struct store *s)
{
	struct store_tx *tx = xcalloc(1, sizeof(*tx));

	assert(!s->tx);
	tx->store = s;
	s->tx = tx;
	return tx;
}

struct store_tx *store_tx_begin(struct store *s, uint64_t version, int64_t now_ns)
{
	struct store_tx *tx = tx_new(s);

	tx->version = version;
	tx->now_ns = now_ns;
	return tx;
}

struct store_tx *tx_begin_raw(struct store *s)
{
	struct store_tx *tx = tx_new(s);

	tx->raw = true;
	return tx;
}

struct store *store_tx_store(struct store_tx *tx)
{
	return tx->store;
}

int64_t store_tx_now_ns(const struct store_tx *tx)
{
	return tx->now_ns;
}

size_t store_tx_changes(const struct store_tx *tx)
{
	return tx->n_touched;
}

size_t store_tx_size(const struct store_tx *tx)
{
	return tx->size;
}

static size_t packed_size(const void *obj)
{
	return obj ? protobuf_c_message_get_packed_size(obj) : 0;
}

static void push(struct store_tx *tx, struct change *c)
{
	struct entry *e = c->entry;

	if (tx->n == tx->alloc) {
		tx->alloc = tx->alloc ? tx->alloc * 2 : 16;
		tx->changes = xrealloc(tx->changes, tx->alloc * sizeof(struct change *));
	}
	tx->changes[tx->n++] = c;
	/* Only an entry's last version goes on the wire; a removal carries the old one. */
	c->size_delta = packed_size(c->new ? c->new : c->old);
	if (e->touched++)
		c->size_delta -= packed_size(c->old ? c->old : c->new);
	else
		tx->n_touched++;
	tx->size += c->size_delta;
	change_do(tx->store, c);
}

/* Forget the last change, which is undone. */
static void pop(struct store_tx *tx)
{
	struct change *c = tx->changes[--tx->n];

	tx->size -= c->size_delta;
	if (!--c->entry->touched)
		tx->n_touched--;
	store_unref(c->old);
	store_unref(c->new);
	if (c->action == STORE_CREATE)
		free(c->entry);
	free(c);
}

static int name_is_free(struct store *s, enum store_kind kind, const struct entry *self,
			const void *obj, struct err *err)
{
	_cleanup_free_ char *key = object_name_key(obj);
	struct entry *other = key ? map_get(&s->names[kind], key) : NULL;

	if (other && other != self)
		return err_set(err, -EEXIST,
			       "name conflicts with an existing object: %s %s already exists",
			       store_kind_name(kind), store_name(obj));
	return 0;
}

int tx_stage(struct store_tx *tx, enum store_kind kind, const char *id, enum store_action action,
	     const void *obj, struct err *err)
{
	struct store *s = tx->store;
	struct entry *e = map_get(&s->ids[kind], id);
	struct change *c;
	int rc = 0;

	assert(!tx->sealed);
	if (action == STORE_CREATE && e)
		rc = err_set(err, -EEXIST, "%s %s already exists", store_kind_name(kind), id);
	else if (action != STORE_CREATE && !e)
		rc = err_set(err, -ENOENT, "%s %s not found", store_kind_name(kind), id);
	else if (obj)
		rc = name_is_free(s, kind, e, obj, err);
	if (rc) {
		store_unref(obj);
		return rc;
	}
	c = xcalloc(1, sizeof(*c));
	c->action = action;
	c->new = obj;
	if (e) {
		c->old = store_ref(e->obj);
	} else {
		e = xcalloc(1, sizeof(*e));
		e->kind = kind;
	}
	c->entry = e;
	push(tx, c);
	return 0;
}

static Pb__Meta *need_meta(void *msg)
{
	Pb__Meta **meta = (Pb__Meta **)((char *)msg + store_kinds[store_kind_of(msg)].meta_offset);

	return pb_need(meta, pb__meta);
}

static void stamp(const struct store_tx *tx, Pb__Meta *meta)
{
	pb_need(&meta->version, pb__version)->index = tx->version;
	pb_set_timestamp(&meta->updated_at, tx->now_ns);
}

int store_tx_create(struct store_tx *tx, void *msg, struct err *err)
{
	Pb__Meta *meta = need_meta(msg);
	const void *obj;

	assert(!str_empty(store_id(msg)));
	stamp(tx, meta);
	pb_set_timestamp(&meta->created_at, tx->now_ns);
	obj = object_new(msg);
	return tx_stage(tx, object_kind(obj), store_id(obj), STORE_CREATE, obj, err);
}

int store_tx_update(struct store_tx *tx, void *msg, struct err *err)
{
	enum store_kind kind = store_kind_of(msg);
	const void *old = store_get(tx->store, kind, store_id(msg)), *obj;
	int rc = 0;

	if (!old)
		rc = err_set(err, -ENOENT, "%s %s not found", store_kind_name(kind), store_id(msg));
	else if (store_version(old) != store_version(msg))
		rc = err_set(err, -ESTALE, "update out of sequence");
	if (rc) {
		pb_free(msg);
		return rc;
	}
	stamp(tx, need_meta(msg));
	obj = object_new(msg);
	return tx_stage(tx, kind, store_id(obj), STORE_UPDATE, obj, err);
}

int store_tx_remove(struct store_tx *tx, enum store_kind kind, const char *id, struct err *err)
{
	return tx_stage(tx, kind, id, STORE_REMOVE, NULL, err);
}

size_t store_tx_mark(const struct store_tx *tx)
{
	return tx->n;
}

void store_tx_rollback(struct store_tx *tx, size_t mark)
{
	assert(mark <= tx->n && !tx->sealed);
	while (tx->n > mark) {
		change_undo(tx->store, tx->changes[tx->n - 1]);
		pop(tx);
	}
}

void store_tx_seal(struct store_tx *tx)
{
	assert(!tx->sealed);
	for (size_t i = tx->n; i-- > 0;)
		change_undo(tx->store, tx->changes[i]);
	tx->sealed = true;
}

void store_tx_abort(struct store_tx *tx)
{
	struct store *s;

	if (!tx)
		return;
	s = tx->store;
	if (!tx->sealed)
		store_tx_seal(tx);
	while (tx->n)
		pop(tx);
	s->tx = NULL;
	store_free_idle_groups(s);
	free(tx->changes);
	free(tx);
}

/* Find for each entry its first change, what becomes of it, and whether its name changed. */
static void settle(const struct store_tx *tx)
{
	for (size_t i = tx->n; i-- > 0;) {
		tx->changes[i]->entry->renamed = false;
		tx->changes[i]->entry->first = i;
	}
	for (size_t i = 0; i < tx->n; i++) {
		const struct change *c = tx->changes[i];

		c->entry->final = c->new;
		if (c->action == STORE_UPDATE && strcmp(store_name(c->old), store_name(c->new)))
			c->entry->renamed = true;
	}
}

/*
 * What change i amounts to. The changes of an object are one, in place of the first; those of an
 * object that was renamed stay as they are, since others may have taken its name in between.
 */
static bool outcome(const struct store_tx *tx, size_t i, struct store_event *ret)
{
	const struct change *c = tx->changes[i];
	const struct entry *e = c->entry;

	*ret = (struct store_event){e->kind, c->action, c->old, c->new};
	if (e->renamed)
		return true;
	if (e->first != i)
		return false;
	ret->new = e->final;
	if (!ret->old && !ret->new)
		return false;
	ret->action = !ret->old ? STORE_CREATE : ret->new ? STORE_UPDATE : STORE_REMOVE;
	return true;
}

size_t store_tx_marshal(const struct store_tx *tx, uint64_t request_id, struct buf *ret)
{
	static const Pb__StoreActionKind kinds[] = {
		[STORE_CREATE] = PB__STORE_ACTION_KIND__STORE_ACTION_CREATE,
		[STORE_UPDATE] = PB__STORE_ACTION_KIND__STORE_ACTION_UPDATE,
		[STORE_REMOVE] = PB__STORE_ACTION_KIND__STORE_ACTION_REMOVE,
	};
	Pb__InternalRaftRequest req = PB__INTERNAL_RAFT_REQUEST__INIT;
	_cleanup_free_ Pb__StoreAction *actions = xcalloc(tx->n + 1, sizeof(*actions));
	_cleanup_free_ Pb__StoreAction **array = xcalloc(tx->n + 1, sizeof(*array));
	struct store_event ev;

	settle(tx);
	req.id = request_id;
	req.action = array;
	for (size_t i = 0; i < tx->n; i++) {
		Pb__StoreAction *a = &actions[req.n_action];

		if (!outcome(tx, i, &ev))
			continue;
		pb__store_action__init(a);
		a->action = kinds[ev.action];
		a->target_case = STORE_TARGET_CASE(ev.kind);
		a->node = (Pb__Node *)(ev.new ? ev.new : ev.old); /* the union's pointer */
		array[req.n_action++] = a;
	}
	pb_pack(&req, ret);
	return req.n_action;
}

void store_notify(struct store *s, const struct store_event *ev)
{
	struct store_watch cursor = {0}, *w;

	/* A cursor in the list survives watches that come and go meanwhile. */
	list_add(&cursor.node, &s->watches);
	while (cursor.node.next != &s->watches) {
		w = list_entry(cursor.node.next, struct store_watch, node);
		list_del(&cursor.node);
		list_add(&cursor.node, &w->node);
		if (w->fn)
			w->fn(ev, w->arg);
	}
	list_del(&cursor.node);
}

void store_tx_commit(struct store_tx *tx)
{
	struct store *s = tx->store;
	struct store_event ev;

	if (tx->sealed)
		for (size_t i = 0; i < tx->n; i++)
			change_do(s, tx->changes[i]);
	settle(tx);
	for (size_t i = 0; i < tx->n; i++)
		if (outcome(tx, i, &ev))
			store_notify(s, &ev);
	s->tx = NULL;
	for (size_t i = 0; i < tx->n; i++)
		tx->changes[i]->entry->touched = 0;
	for (size_t i = 0; i < tx->n; i++) {
		struct change *c = tx->changes[i];

		/* The entry takes over the change's reference to new and gives up its own to old. */
		store_unref(c->old);
		store_unref(c->old);
		if (c->action == STORE_REMOVE)
			free(c->entry);
		free(c);
	}
	store_free_idle_groups(s);
	free(tx->changes);
	free(tx);
}

static int apply_action(struct store_tx *tx, const Pb__StoreAction *a, struct err *err)
{
	static const enum store_action actions[] = {0, STORE_CREATE, STORE_UPDATE, STORE_REMOVE};
	enum store_kind kind = (enum store_kind)((int)a->target_case - 2);
	const void *obj = a->node;
	enum store_action action;

	if (a->action < 1 || a->action > 3 || (int)a->target_case < 2 || kind >= STORE_KINDS ||
	    !obj || str_empty(store_id(obj)))
		return err_set(err, -EBADMSG, "a raft entry holds an unknown store action");
	action = actions[a->action];
	return tx_stage(tx, kind, store_id(obj), action,
			action == STORE_REMOVE ? NULL : object_new(pb_clone(obj)), err);
}

int store_apply(struct store *s, const void *data, size_t size, struct err *err)
{
	_cleanup_pb_ Pb__InternalRaftRequest *req =
		pb_unpack(pb__internal_raft_request, data, size);
	struct store_tx *tx;
	int rc;

	if (!req)
		return err_set(err, -EBADMSG, "a raft entry holds no store request");
	tx = tx_begin_raw(s);
	for (size_t i = 0; i < req->n_action; i++) {
		rc = apply_action(tx, req->action[i], err);
		if (rc) {
			store_tx_abort(tx);
			return rc;
		}
	}
	store_tx_commit(tx);
	return 0;
}
