// SPDX-License-Identifier: Apache-2.0
#include "disk/raftlog.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>

#include "disk/file.h"
#include "disk/lmdb_check.h"
#include "disk/raftlog_impl.h"

enum {
	NAME_MAX_SIZE = 9,
	CHUNK = 1 << 20, /* of a snapshot's data, a record each */
	SNAPSHOT_MAX = 1 << 30,
};

/* The kinds of records: the first byte of their names; entries and chunks have a number behind. */
enum kind {
	KIND_CHECK = 'c', /* empty: tells the right key from a wrong one */
	KIND_HARD = 'h',
	KIND_MEMBER = 'm',
	KIND_SNAPSHOT = 's',
	KIND_CHUNK = 'd',
	KIND_ENTRY = 'e',
};

/* The hard state and the log's bounds, as the record holds them: eight bytes each, big-endian. */
struct bounds {
	uint64_t term, vote, commit, base, base_term, last;
};
enum { BOUNDS_FIELDS = 6 };

struct raftlog {
	MDB_env *env;
	MDB_dbi dbi;
	uint8_t key[RAFTLOG_KEY_SIZE];
	char *path;
	struct bounds bounds; /* as on disk */
	uint64_t n_chunks; /* of the snapshot on disk */
};

struct name {
	uint8_t bytes[NAME_MAX_SIZE];
	size_t size;
};

static void put_u64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = v;
}

static uint64_t get_u64(const void *data)
{
	const uint8_t *p = data;
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static struct name name_of(enum kind kind, uint64_t number)
{
	struct name n = {.bytes = {kind}, .size = 1};

	if (kind == KIND_ENTRY || kind == KIND_CHUNK) {
		put_u64(n.bytes + 1, number);
		n.size = NAME_MAX_SIZE;
	}
	return n;
}

static int lmdb_err(const struct raftlog *l, int rc, struct err *err)
{
	int code = rc > 0 ? -rc : rc == MDB_MAP_FULL ? -ENOSPC : -EBADMSG;

	return err_set(err, code, "the raft log %s cannot be used: %s", l->path, mdb_strerror(rc));
}

static int damaged(const struct raftlog *l, const char *what, uint64_t number, struct err *err)
{
	return err_set(err, -EBADMSG,
		       "the raft log %s is damaged at %s %llu; restore the folder from a backup, "
		       "or remove it and join again",
		       l->path, what, (unsigned long long)number);
}

static const char *kind_name(enum kind kind)
{
	switch (kind) {
	case KIND_CHECK:
		return "key check";
	case KIND_HARD:
		return "hard state";
	case KIND_MEMBER:
		return "identity";
	case KIND_SNAPSHOT:
		return "snapshot";
	case KIND_CHUNK:
		return "snapshot part";
	case KIND_ENTRY:
		return "entry";
	}
	return "record";
}

/* --- records --- */

static int put(struct raftlog *l, MDB_txn *txn, const uint8_t *key, enum kind kind, uint64_t number,
	       const void *data, size_t size, struct err *err)
{
	_cleanup_buf_ struct buf sealed = BUF_INIT;
	struct name name = name_of(kind, number);
	MDB_val k = {name.size, name.bytes}, v;
	int rc = seal(key, name.bytes, name.size, data, size, &sealed);

	if (rc < 0)
		return err_errno(err, rc, "cannot encrypt the raft log");
	v = (MDB_val){sealed.len, sealed.data};
	rc = mdb_put(txn, l->dbi, &k, &v, 0);
	return rc ? lmdb_err(l, rc, err) : 0;
}

/* Appends to *ret. -ENOENT (without a sentence) when there is no such record. */
static int get(struct raftlog *l, MDB_txn *txn, enum kind kind, uint64_t number, struct buf *ret,
	       struct err *err)
{
	struct name name = name_of(kind, number);
	MDB_val k = {name.size, name.bytes}, v;
	int rc = mdb_get(txn, l->dbi, &k, &v);

	if (rc == MDB_NOTFOUND)
		return -ENOENT;
	if (rc)
		return lmdb_err(l, rc, err);
	rc = unseal(l->key, name.bytes, name.size, v.mv_data, v.mv_size, ret);
	return rc < 0 ? damaged(l, kind_name(kind), number, err) : 0;
}

static int del(struct raftlog *l, MDB_txn *txn, enum kind kind, uint64_t number, struct err *err)
{
	struct name name = name_of(kind, number);
	MDB_val k = {name.size, name.bytes};
	int rc = mdb_del(txn, l->dbi, &k, NULL);

	return rc && rc != MDB_NOTFOUND ? lmdb_err(l, rc, err) : 0;
}

static int put_bounds(struct raftlog *l, MDB_txn *txn, const struct bounds *b, struct err *err)
{
	const uint64_t fields[BOUNDS_FIELDS] = {b->term, b->vote,      b->commit,
						b->base, b->base_term, b->last};
	uint8_t data[8 * BOUNDS_FIELDS];

	for (size_t i = 0; i < BOUNDS_FIELDS; i++)
		put_u64(data + 8 * i, fields[i]);
	return put(l, txn, l->key, KIND_HARD, 0, data, sizeof(data), err);
}

static int get_bounds(struct raftlog *l, MDB_txn *txn, struct bounds *ret, struct err *err)
{
	_cleanup_buf_ struct buf data = BUF_INIT;
	int rc = get(l, txn, KIND_HARD, 0, &data, err);

	*ret = (struct bounds){0};
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (data.len != 8 * BOUNDS_FIELDS)
		return damaged(l, kind_name(KIND_HARD), 0, err);
	*ret = (struct bounds){
		.term = get_u64(data.data),
		.vote = get_u64(data.data + 8),
		.commit = get_u64(data.data + 16),
		.base = get_u64(data.data + 24),
		.base_term = get_u64(data.data + 32),
		.last = get_u64(data.data + 40),
	};
	if (ret->last < ret->base)
		return damaged(l, kind_name(KIND_HARD), 0, err);
	return 0;
}

/* --- snapshots: a record that says what it is, and its data in chunks --- */

static int put_snapshot(struct raftlog *l, MDB_txn *txn, const struct raft_snapshot *s,
			uint64_t *n_chunks, struct err *err)
{
	_cleanup_buf_ struct buf head = BUF_INIT;
	uint64_t n = (s->size + CHUNK - 1) / CHUNK;
	uint8_t word[8];
	int rc;

	if (s->size > SNAPSHOT_MAX)
		return err_set(err, -EFBIG, "the swarm's state is too large to be kept: %zu bytes",
			       s->size);
	const uint64_t fields[] = {s->index, s->term, s->size};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		put_u64(word, fields[i]);
		buf_add(&head, word, 8);
	}
	for (size_t i = 0; i < s->conf.n; i++) {
		put_u64(word, s->conf.voters[i]);
		buf_add(&head, word, 8);
	}
	rc = put(l, txn, l->key, KIND_SNAPSHOT, 0, head.data, head.len, err);
	for (uint64_t i = 0; i < n && !rc; i++)
		rc = put(l, txn, l->key, KIND_CHUNK, i, s->data + i * CHUNK,
			 min((size_t)CHUNK, s->size - i * CHUNK), err);
	for (uint64_t i = n; i < *n_chunks && !rc; i++)
		rc = del(l, txn, KIND_CHUNK, i, err);
	*n_chunks = n;
	return rc;
}

static int get_snapshot(struct raftlog *l, MDB_txn *txn, struct raft_snapshot **ret,
			struct err *err)
{
	_cleanup_buf_ struct buf head = BUF_INIT, data = BUF_INIT;
	int rc = get(l, txn, KIND_SNAPSHOT, 0, &head, err);
	struct raft_conf conf = {0};
	uint64_t size;

	*ret = NULL;
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (head.len < 24 || head.len % 8)
		return damaged(l, kind_name(KIND_SNAPSHOT), 0, err);
	size = get_u64(head.data + 16);
	if (size > SNAPSHOT_MAX)
		return damaged(l, kind_name(KIND_SNAPSHOT), 0, err);
	for (size_t at = 24; at < head.len; at += 8) {
		if (!raft_conf_add(&conf, get_u64(head.data + at)))
			return damaged(l, kind_name(KIND_SNAPSHOT), 0, err);
	}
	for (uint64_t i = 0; i < (size + CHUNK - 1) / CHUNK; i++) {
		rc = get(l, txn, KIND_CHUNK, i, &data, err);
		if (rc == -ENOENT)
			rc = damaged(l, kind_name(KIND_CHUNK), i, err);
		if (rc < 0)
			return rc;
	}
	if (data.len != size)
		return damaged(l, kind_name(KIND_SNAPSHOT), 0, err);
	*ret = raft_snapshot_new(get_u64(head.data), get_u64(head.data + 8), &conf,
				 size ? buf_steal(&data, NULL) : NULL, size);
	return 0;
}

/* --- opening --- */

static int check_key(struct raftlog *l, struct err *err)
{
	_cleanup_buf_ struct buf data = BUF_INIT, head = BUF_INIT;
	MDB_txn *txn;
	int rc = mdb_txn_begin(l->env, NULL, 0, &txn);

	if (rc)
		return lmdb_err(l, rc, err);
	rc = mdb_dbi_open(txn, NULL, 0, &l->dbi);
	if (rc) {
		mdb_txn_abort(txn);
		return lmdb_err(l, rc, err);
	}
	rc = get(l, txn, KIND_CHECK, 0, &data, err);
	if (rc == -EBADMSG) {
		mdb_txn_abort(txn);
		return err_set(err, -EKEYREJECTED, "the raft log %s is encrypted with another key",
			       l->path);
	}
	if (rc == -ENOENT) {
		/* new: only an empty environment may be */
		MDB_stat st;

		rc = mdb_stat(txn, l->dbi, &st);
		if (rc)
			rc = lmdb_err(l, rc, err);
		else if (st.ms_entries)
			rc = damaged(l, kind_name(KIND_CHECK), 0, err);
		else
			rc = put(l, txn, l->key, KIND_CHECK, 0, "", 0, err);
		if (!rc) {
			rc = mdb_txn_commit(txn);
			return rc ? lmdb_err(l, rc, err) : 0;
		}
	}
	if (!rc)
		rc = get_bounds(l, txn, &l->bounds, err);
	if (!rc && get(l, txn, KIND_SNAPSHOT, 0, &head, NULL) == 0 && head.len >= 24)
		l->n_chunks =
			min(get_u64(head.data + 16) / CHUNK + 1, (uint64_t)SNAPSHOT_MAX / CHUNK);
	mdb_txn_abort(txn);
	return rc;
}

int raftlog_open(const char *dir, const uint8_t key[RAFTLOG_KEY_SIZE], struct raftlog **ret,
		 struct err *err)
{
	struct raftlog *l;
	int rc;

	rc = dir_make(dir, 0700, err);
	if (rc < 0)
		return rc;
	l = xcalloc(1, sizeof(*l));
	memcpy(l->key, key, sizeof(l->key));
	l->path = xasprintf("%s/log", dir);
	rc = lmdb_check(l->path, err);
	if (rc < 0) {
		raftlog_close(l);
		return rc;
	}
	rc = mdb_env_create(&l->env);
	if (!rc)
		rc = mdb_env_set_mapsize(l->env, (size_t)1 << (sizeof(size_t) == 8 ? 34 : 30));
	if (!rc) /* threads are not tied to transactions; the folder's parent is locked by the daemon */
		rc = mdb_env_open(l->env, l->path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD, 0600);
	rc = rc ? lmdb_err(l, rc, err) : check_key(l, err);
	if (rc < 0) {
		raftlog_close(l);
		return rc;
	}
	*ret = l;
	return 0;
}

void raftlog_close(struct raftlog *l)
{
	if (!l)
		return;
	if (l->env)
		mdb_env_close(l->env);
	free(l->path);
	explicit_bzero(l->key, sizeof(l->key));
	free(l);
}

/* --- writing --- */

static int put_entry(struct raftlog *l, MDB_txn *txn, const struct raft_entry *e, struct buf *tmp,
		     struct err *err)
{
	uint8_t head[9];

	head[0] = e->type;
	put_u64(head + 1, e->term);
	buf_reset(tmp);
	buf_add(tmp, head, sizeof(head));
	buf_add(tmp, e->data, e->size);
	return put(l, txn, l->key, KIND_ENTRY, e->index, tmp->data, tmp->len, err);
}

static int drop(struct raftlog *l, MDB_txn *txn, uint64_t from, uint64_t to, struct err *err)
{
	int rc = 0;

	for (uint64_t i = from; i <= to && !rc; i++)
		rc = del(l, txn, KIND_ENTRY, i, err);
	return rc;
}

static int write_entries(struct raftlog *l, MDB_txn *txn, const struct raftlog_write *w,
			 struct bounds *b, struct err *err)
{
	_cleanup_buf_ struct buf tmp = BUF_INIT;
	int rc = 0;

	if (w->restart) {
		rc = drop(l, txn, b->base + 1, b->last, err);
		b->base = b->last = w->snapshot->index;
		b->base_term = w->snapshot->term;
	}
	if (w->n_entries && !rc) {
		uint64_t first = w->entries[0]->index;

		assert(first > b->base && first <= b->last + 1);
		for (size_t i = 0; i < w->n_entries && !rc; i++)
			rc = put_entry(l, txn, w->entries[i], &tmp, err);
		if (!rc)
			rc = drop(l, txn, first + w->n_entries, b->last, err);
		b->last = first + w->n_entries - 1;
	}
	if (w->compact_index > b->base && !rc) {
		assert(w->compact_index <= b->last);
		rc = drop(l, txn, b->base + 1, w->compact_index, err);
		b->base = w->compact_index;
		b->base_term = w->compact_term;
	}
	return rc;
}

int raftlog_write(struct raftlog *l, const struct raftlog_write *w, struct err *err)
{
	struct bounds b = l->bounds;
	uint64_t n_chunks = l->n_chunks;
	MDB_txn *txn;
	int rc = mdb_txn_begin(l->env, NULL, 0, &txn);

	if (rc)
		return lmdb_err(l, rc, err);
	if (w->hard) {
		b.term = w->hard->term;
		b.vote = w->hard->vote;
		b.commit = w->hard->commit;
	}
	if (w->snapshot)
		rc = put_snapshot(l, txn, w->snapshot, &n_chunks, err);
	if (!rc)
		rc = write_entries(l, txn, w, &b, err);
	if (!rc && w->member)
		rc = put(l, txn, l->key, KIND_MEMBER, 0, w->member->data, w->member->len, err);
	if (!rc)
		rc = put_bounds(l, txn, &b, err);
	if (rc < 0) {
		mdb_txn_abort(txn);
		return rc;
	}
	rc = mdb_txn_commit(txn);
	if (rc)
		return lmdb_err(l, rc, err);
	l->bounds = b;
	l->n_chunks = n_chunks;
	return 0;
}

/* --- reading --- */

static int load_entry(struct raftlog *l, MDB_txn *txn, uint64_t index, struct buf *tmp,
		      struct raft_entry **ret, struct err *err)
{
	int rc;

	buf_reset(tmp);
	rc = get(l, txn, KIND_ENTRY, index, tmp, err);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (rc == -ENOENT || tmp->len < 9 || (uint8_t)tmp->data[0] > RAFT_CONF_CHANGE_V2)
		return damaged(l, kind_name(KIND_ENTRY), index, err);
	*ret = raft_entry_new((enum raft_entry_type)tmp->data[0], get_u64(tmp->data + 1), index,
			      tmp->data + 9, tmp->len - 9);
	return 0;
}

static int load(struct raftlog *l, MDB_txn *txn, struct raftlog_state *s, struct err *err)
{
	_cleanup_buf_ struct buf tmp = BUF_INIT;
	struct bounds b;
	int rc = get_bounds(l, txn, &b, err);
	MDB_stat st;

	if (rc < 0)
		return rc;
	s->hard = (struct raft_hard_state){b.term, b.vote, b.commit};
	s->base_term = b.base_term;
	rc = get(l, txn, KIND_MEMBER, 0, &s->member, err);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = get_snapshot(l, txn, &s->snapshot, err);
	if (rc < 0)
		return rc;
	if (b.base && (!s->snapshot || s->snapshot->index < b.base || s->snapshot->index > b.last))
		return damaged(l, kind_name(KIND_SNAPSHOT), b.base, err);
	rc = mdb_stat(txn, l->dbi, &st);
	if (rc)
		return lmdb_err(l, rc, err);
	if (b.last - b.base > st.ms_entries)
		return damaged(l, kind_name(KIND_ENTRY), b.last, err);
	s->entries = xcalloc(b.last - b.base + 1, sizeof(*s->entries));
	for (uint64_t i = b.base + 1; i <= b.last; i++) {
		rc = load_entry(l, txn, i, &tmp, &s->entries[s->n_entries], err);
		if (rc < 0)
			return rc;
		s->n_entries++;
	}
	return 0;
}

int raftlog_load(struct raftlog *l, struct raftlog_state *ret, struct err *err)
{
	struct raftlog_state s = {.member = BUF_INIT};
	MDB_txn *txn;
	int rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);

	if (rc)
		return lmdb_err(l, rc, err);
	rc = load(l, txn, &s, err);
	mdb_txn_abort(txn);
	if (rc < 0) {
		raftlog_state_done(&s);
		return rc;
	}
	*ret = s;
	return 0;
}

void raftlog_state_done(struct raftlog_state *s)
{
	for (size_t i = 0; i < s->n_entries; i++)
		raft_entry_put(s->entries[i]);
	free(s->entries);
	raft_snapshot_put(s->snapshot);
	buf_done(&s->member);
}

int raftlog_snapshot(struct raftlog *l, struct raft_snapshot **ret, struct err *err)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);

	if (rc)
		return lmdb_err(l, rc, err);
	rc = get_snapshot(l, txn, ret, err);
	mdb_txn_abort(txn);
	return rc;
}

/* --- another key --- */

static int rekey_all(struct raftlog *l, MDB_txn *txn, const uint8_t *key, struct err *err)
{
	_cleanup_buf_ struct buf plain = BUF_INIT, sealed = BUF_INIT;
	MDB_cursor *cursor;
	MDB_val k, v;
	int rc = mdb_cursor_open(txn, l->dbi, &cursor), step;

	if (rc)
		return lmdb_err(l, rc, err);
	for (step = mdb_cursor_get(cursor, &k, &v, MDB_FIRST); !step && !rc;
	     step = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		uint8_t name[NAME_MAX_SIZE];

		buf_reset(&plain);
		buf_reset(&sealed);
		if (!k.mv_size || k.mv_size > sizeof(name) ||
		    unseal(l->key, k.mv_data, k.mv_size, v.mv_data, v.mv_size, &plain) < 0) {
			rc = err_set(err, -EBADMSG, "the raft log %s holds a damaged record",
				     l->path);
			break;
		}
		memcpy(name, k.mv_data, k.mv_size);
		k.mv_data = name;
		rc = seal(key, name, k.mv_size, plain.data, plain.len, &sealed);
		if (rc < 0) {
			err_errno(err, rc, "cannot encrypt the raft log");
			break;
		}
		v = (MDB_val){sealed.len, sealed.data};
		rc = mdb_cursor_put(cursor, &k, &v, MDB_CURRENT);
		if (rc)
			rc = lmdb_err(l, rc, err);
	}
	mdb_cursor_close(cursor);
	if (!rc && step != MDB_NOTFOUND)
		rc = lmdb_err(l, step, err);
	return rc;
}

int raftlog_rekey(struct raftlog *l, const uint8_t key[RAFTLOG_KEY_SIZE], struct err *err)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(l->env, NULL, 0, &txn);

	if (rc)
		return lmdb_err(l, rc, err);
	rc = rekey_all(l, txn, key, err);
	if (rc < 0) {
		mdb_txn_abort(txn);
		return rc;
	}
	rc = mdb_txn_commit(txn);
	if (rc)
		return lmdb_err(l, rc, err);
	memcpy(l->key, key, sizeof(l->key));
	return 0;
}
