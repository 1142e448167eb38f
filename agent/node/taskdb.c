// SPDX-License-Identifier: Apache-2.0
#include "node/taskdb.h"

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>

#include "core/log.h"
#include "disk/file.h"
#include "disk/lmdb_check.h"
#include "loop/loop.h"
#include "wire/pb.h"

#define MAP_SIZE (1ull << 30)

/* Keys: 't' or 's' and the task's ID. */
struct op {
	struct op *next;
	char *key;
	struct buf value;
	bool del;
	Pb__TaskStatus *status; /* to tell when it is stored */
};

struct taskdb {
	struct loop *loop;
	MDB_env *env;
	MDB_dbi dbi;
	taskdb_stored stored;
	void *arg;
	struct op *queue, **tail; /* not begun */
	struct op *batch; /* the worker's */
	int rc; /* of the batch */
	bool busy, deferred, closed;
	/* the one thing shared with the worker: a close waits for the batch */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool written;
};

static void op_free(struct op *op)
{
	free(op->key);
	buf_done(&op->value);
	pb_free(op->status);
	free(op);
}

static void env_close(MDB_env *env)
{
	if (env)
		mdb_env_close(env);
}

static int env_open(const char *path, MDB_env **ret, MDB_dbi *ret_dbi)
{
	MDB_env *env = NULL;
	MDB_txn *txn;
	int rc = mdb_env_create(&env);

	if (!rc)
		rc = mdb_env_set_mapsize(env, MAP_SIZE);
	if (!rc)
		rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK, 0600);
	if (!rc)
		rc = mdb_txn_begin(env, NULL, 0, &txn);
	if (!rc) {
		rc = mdb_dbi_open(txn, NULL, MDB_CREATE, ret_dbi);
		if (rc)
			mdb_txn_abort(txn);
		else
			rc = mdb_txn_commit(txn);
	}
	if (rc) {
		env_close(env);
		return rc;
	}
	*ret = env;
	return 0;
}

int taskdb_open(struct loop *loop, const char *dir, taskdb_stored stored, void *arg,
		struct taskdb **ret, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/tasks.mdb", dir),
			    *aside = xasprintf("%s.damaged", path);
	MDB_env *env;
	MDB_dbi dbi;
	struct err bad = ERR_INIT;
	int rc = dir_make(dir, 0700, err);

	if (rc)
		return rc;
	if (lmdb_check(path, &bad)) {
		log_warn("%s: beginning anew", bad.msg);
		rename(path, aside);
	}
	rc = env_open(path, &env, &dbi);
	if (rc)
		return err_set(err, rc > 0 ? -rc : -EIO, "cannot open %s: %s", path,
			       mdb_strerror(rc));
	*ret = xcalloc(1, sizeof(**ret));
	**ret = (struct taskdb){.loop = loop, .env = env, .dbi = dbi, .stored = stored, .arg = arg};
	(*ret)->tail = &(*ret)->queue;
	pthread_mutex_init(&(*ret)->lock, NULL);
	pthread_cond_init(&(*ret)->cond, NULL);
	return 0;
}

int taskdb_each(struct taskdb *db,
		void (*fn)(const Pb__Task *task, const Pb__TaskStatus *status, void *arg),
		void *arg, struct err *err)
{
	MDB_val k = {1, "t"}, v;
	MDB_cursor *cursor;
	MDB_txn *txn;
	int rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);

	if (rc)
		return err_set(err, -EIO, "cannot read the node's tasks: %s", mdb_strerror(rc));
	rc = mdb_cursor_open(txn, db->dbi, &cursor);
	for (int more = rc ? rc : mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE); !more;
	     more = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
		char *key = k.mv_data;
		Pb__Task *task;
		Pb__TaskStatus *status = NULL;
		MDB_val sk, sv;

		if (k.mv_size < 2 || key[0] != 't')
			break;
		task = pb_unpack(pb__task, v.mv_data, v.mv_size);
		sk.mv_size = k.mv_size;
		sk.mv_data = xmemdup(k.mv_data, k.mv_size);
		*(char *)sk.mv_data = 's';
		if (!mdb_get(txn, db->dbi, &sk, &sv))
			status = pb_unpack(pb__task_status, sv.mv_data, sv.mv_size);
		free(sk.mv_data);
		if (task)
			fn(task, status, arg);
		pb_free(task);
		pb_free(status);
	}
	if (!rc)
		mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return rc ? err_set(err, -EIO, "cannot read the node's tasks: %s", mdb_strerror(rc)) : 0;
}

static int write_ops(struct taskdb *db, struct op *op)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(db->env, NULL, 0, &txn);

	if (rc)
		return rc;
	for (; op && !rc; op = op->next) {
		MDB_val k = {strlen(op->key), op->key}, v = {op->value.len, op->value.data};

		rc = op->del ? mdb_del(txn, db->dbi, &k, NULL) : mdb_put(txn, db->dbi, &k, &v, 0);
		if (rc == MDB_NOTFOUND)
			rc = 0;
	}
	if (!rc)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

/* On a worker. */
static void write_batch(void *arg)
{
	struct taskdb *db = arg;

	db->rc = write_ops(db, db->batch);
	pthread_mutex_lock(&db->lock);
	db->written = true;
	pthread_cond_signal(&db->cond);
	pthread_mutex_unlock(&db->lock);
}

static void ops_free(struct op *op)
{
	for (struct op *next; op; op = next) {
		next = op->next;
		op_free(op);
	}
}

static void taskdb_free(struct taskdb *db)
{
	pthread_mutex_destroy(&db->lock);
	pthread_cond_destroy(&db->cond);
	free(db);
}

static void flush(struct taskdb *db);

static void written(void *arg)
{
	struct taskdb *db = arg;
	struct op *ops = steal_ptr(db->batch);

	db->busy = false;
	if (db->closed) {
		ops_free(ops);
		if (!db->deferred)
			taskdb_free(db);
		return;
	}
	if (db->rc)
		log_error("cannot store the node's tasks: %s", mdb_strerror(db->rc));
	for (struct op *op = ops; op; op = op->next)
		if (op->status)
			db->stored(op->key + 1, op->status, db->arg);
	ops_free(ops);
	flush(db);
}

static void flush(struct taskdb *db)
{
	if (db->busy || !db->queue)
		return;
	db->batch = steal_ptr(db->queue);
	db->tail = &db->queue;
	db->busy = true;
	db->written = false;
	loop_work(db->loop, write_batch, written, db);
}

static void flush_soon(void *arg)
{
	struct taskdb *db = arg;

	db->deferred = false;
	if (!db->closed)
		flush(db);
	else if (!db->busy)
		taskdb_free(db);
}

/* The file is closed when this returns: it may be opened again at once. */
void taskdb_close(struct taskdb *db)
{
	int rc;

	if (!db)
		return;
	db->closed = true;
	pthread_mutex_lock(&db->lock);
	while (db->busy && !db->written)
		pthread_cond_wait(&db->cond, &db->lock);
	pthread_mutex_unlock(&db->lock);
	rc = db->queue ? write_ops(db, db->queue) : 0;
	if (rc)
		log_error("cannot store the node's tasks: %s", mdb_strerror(rc));
	ops_free(steal_ptr(db->queue));
	env_close(db->env);
	/* calls that are still to come free the rest */
	if (!db->busy && !db->deferred)
		taskdb_free(db);
}

/* Everything that one turn of the loop changes shares a batch. */
static struct op *push(struct taskdb *db, char kind, const char *id)
{
	struct op *op = xcalloc(1, sizeof(*op));

	op->key = xasprintf("%c%s", kind, id);
	buf_init(&op->value);
	*db->tail = op;
	db->tail = &op->next;
	if (!db->deferred && !db->busy) {
		db->deferred = true;
		loop_defer(db->loop, flush_soon, db);
	}
	return op;
}

void taskdb_put_task(struct taskdb *db, const Pb__Task *task)
{
	pb_pack(task, &push(db, 't', task->id)->value);
}

void taskdb_put_status(struct taskdb *db, const char *task_id, const Pb__TaskStatus *status)
{
	struct op *op = push(db, 's', task_id);

	pb_pack(status, &op->value);
	op->status = pb_clone(status);
}

void taskdb_del(struct taskdb *db, const char *task_id)
{
	push(db, 't', task_id)->del = true;
	push(db, 's', task_id)->del = true;
}
