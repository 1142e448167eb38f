/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tasks of this node and their statuses on disk (LMDB), so that a restart of the agent
 * resumes from them. Writes are queued and made in batches on a worker thread; a status is told
 * once it is stored. All calls on the loop's thread; messages are borrowed for the call.
 */
#pragma once

#include "core/err.h"
#include "wire/objects.pb-c.h"

struct loop;
struct taskdb;

typedef void (*taskdb_stored)(const char *task_id, const Pb__TaskStatus *status, void *arg);

/* A file that cannot be read is set aside and an empty one begun: the managers tell the tasks again. */
int taskdb_open(struct loop *loop, const char *dir, taskdb_stored stored, void *arg,
		struct taskdb **ret, struct err *err);
/* What is queued is still written; nothing more is told. NULL is fine. */
void taskdb_close(struct taskdb *db);
/* Every task stored; status may be NULL. Blocks; for the start. */
int taskdb_each(struct taskdb *db,
		void (*fn)(const Pb__Task *task, const Pb__TaskStatus *status, void *arg),
		void *arg, struct err *err);
void taskdb_put_task(struct taskdb *db, const Pb__Task *task);
void taskdb_put_status(struct taskdb *db, const char *task_id, const Pb__TaskStatus *status);
/* Forget task and status. */
void taskdb_del(struct taskdb *db, const char *task_id);
