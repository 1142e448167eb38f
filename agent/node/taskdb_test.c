// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include <fcntl.h>

#include "core/map.h"
#include "disk/file.h"
#include "loop/loop.h"
#include "node/taskdb.h"
#include "wire/pb.h"

FIXTURE(db)
{
	char dir[64];
	struct loop *loop;
	struct taskdb *db;
	unsigned int stored, want;
	struct map seen; /* the state + 1 of each task that is read */
};

static void on_stored(const char *id, const Pb__TaskStatus *status, void *arg)
{
	FIXTURE_DATA(db) *f = arg;

	(void)id;
	(void)status;
	if (++f->stored >= f->want)
		loop_stop(f->loop);
}

static void on_each(const Pb__Task *task, const Pb__TaskStatus *status, void *arg)
{
	FIXTURE_DATA(db) *f = arg;

	map_put(&f->seen, task->id, (void *)(uintptr_t)(1 + (status ? status->state : 0)));
}

FIXTURE_SETUP(db)
{
	strcpy(self->dir, "/tmp/taskdb.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_EQ(0, loop_new(2, &self->loop, NULL));
	ASSERT_EQ(0, taskdb_open(self->loop, self->dir, on_stored, self, &self->db, NULL));
}

FIXTURE_TEARDOWN(db)
{
	taskdb_close(self->db);
	loop_free(self->loop);
	dir_remove_tree(self->dir, NULL);
	map_done(&self->seen);
}

static void put(FIXTURE_DATA(db) * f, const char *id, Pb__TaskState state)
{
	Pb__Task *t = pb_new(pb__task);
	Pb__TaskStatus *s = pb_new(pb__task_status);

	pb_set_str(&t->id, id);
	s->state = state;
	taskdb_put_task(f->db, t);
	taskdb_put_status(f->db, id, s);
	pb_free(t);
	pb_free(s);
}

static void reopen(FIXTURE_DATA(db) * f)
{
	taskdb_close(f->db);
	f->db = NULL;
	taskdb_open(f->loop, f->dir, on_stored, f, &f->db, NULL);
	taskdb_each(f->db, on_each, f, NULL);
}

TEST_F(db, what_is_told_is_stored)
{
	put(self, "a", PB__TASK_STATE__RUNNING);
	put(self, "b", PB__TASK_STATE__READY);
	put(self, "c", PB__TASK_STATE__READY);
	taskdb_del(self->db, "b");
	self->want = 3;
	loop_run(self->loop);
	ASSERT_EQ(3, self->stored);
	/* queued only: written when it closes */
	put(self, "c", PB__TASK_STATE__FAILED);
	reopen(self);
	ASSERT_EQ(2, self->seen.len);
	ASSERT_EQ(1 + PB__TASK_STATE__RUNNING, (uintptr_t)map_get(&self->seen, "a"));
	ASSERT_EQ(1 + PB__TASK_STATE__FAILED, (uintptr_t)map_get(&self->seen, "c"));
}

TEST_F(db, a_damaged_file_is_set_aside)
{
	_cleanup_free_ char *path = xasprintf("%s/tasks.mdb", self->dir);
	int fd;

	put(self, "a", PB__TASK_STATE__RUNNING);
	self->want = 1;
	loop_run(self->loop);
	taskdb_close(self->db);
	self->db = NULL;
	fd = open(path, O_WRONLY);
	for (off_t at = 0; at < 16384; at += 64)
		ASSERT_EQ(8, pwrite(fd, "damaged!", 8, at));
	close(fd);
	ASSERT_EQ(0, taskdb_open(self->loop, self->dir, on_stored, self, &self->db, NULL));
	ASSERT_EQ(0, taskdb_each(self->db, on_each, self, NULL));
	ASSERT_EQ(0, self->seen.len);
}

TEST_HARNESS_MAIN
