// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include <fcntl.h>

#include "core/buf.h"
#include "loop/loop.h"

struct seen {
	struct loop *loop;
	int worked, done, left;
};

static void work(void *arg)
{
	struct seen *s = arg;

	__atomic_fetch_add(&s->worked, 1, __ATOMIC_RELAXED);
}

static void done(void *arg)
{
	struct seen *s = arg;

	s->done++;
	if (!--s->left)
		loop_stop(s->loop);
}

TEST(work_comes_back_to_the_loop)
{
	struct seen s = {.left = 100};

	ASSERT_EQ(0, loop_new(2, &s.loop, NULL));
	for (int i = 0; i < 90; i++)
		loop_work(s.loop, work, done, &s);
	for (int i = 0; i < 10; i++)
		loop_thread(s.loop, work, done, &s);
	loop_run(s.loop);
	ASSERT_EQ(100, s.worked);
	ASSERT_EQ(100, s.done);
	loop_free(s.loop);
}

static void on_time(void *arg)
{
	done(arg);
}

TEST(timer_fires_once)
{
	struct seen s = {.left = 1};
	struct timer t;

	ASSERT_EQ(0, loop_new(1, &s.loop, NULL));
	timer_init(&t, s.loop, on_time, &s);
	timer_set(&t, 1);
	loop_run(s.loop);
	ASSERT_EQ(1, s.done);
	ASSERT_FALSE(timer_pending(&t));
	timer_done(&t);
	loop_free(s.loop);
}

static int child_status;

static void on_child(pid_t pid, int status, void *arg)
{
	child_status = status;
	done(arg);
}

TEST(child_is_reaped)
{
	struct seen s = {.left = 1};
	pid_t pid;

	ASSERT_EQ(0, loop_new(1, &s.loop, NULL));
	pid = fork();
	if (!pid)
		_exit(7);
	ASSERT_EQ(0, loop_child(s.loop, pid, on_child, &s));
	loop_run(s.loop);
	ASSERT_EQ(7 << 8, child_status);
	loop_free(s.loop);
}

TEST(child_that_outlives_the_loop)
{
	struct seen s = {.left = 1};
	int low = dup(0), high;
	pid_t pid;

	close(low);
	ASSERT_EQ(0, loop_new(1, &s.loop, NULL));
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	ASSERT_EQ(0, loop_child(s.loop, pid, on_child, &s));
	high = dup(0);
	loop_free(s.loop);
	ASSERT_EQ(1, s.left);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	for (int fd = low; fd < high; fd++) /* no descriptor is left, nor what goes with it */
		ASSERT_EQ(-1, fcntl(fd, F_GETFD));
}

TEST(program_with_input_and_output)
{
	const char *const cat[] = {"cat", NULL},
			  *const fail[] = {"sh", "-c", "echo no >&2; exit 3", NULL},
			  *const none[] = {"no-such-program", NULL};
	struct buf in = BUF_INIT, out = BUF_INIT, err = BUF_INIT;

	for (int i = 0; i < 100000; i++)
		buf_str(&in, "12345");
	ASSERT_EQ(0, run_program(cat, &in, &out, NULL));
	ASSERT_EQ(in.len, out.len);
	ASSERT_EQ(3, run_program(fail, NULL, NULL, &err));
	ASSERT_STREQ("no\n", err.data);
	ASSERT_EQ(-ENOENT, run_program(none, NULL, NULL, NULL));
	buf_done(&in);
	buf_done(&out);
	buf_done(&err);
}

static void do_nothing(void *arg)
{
	(void)arg;
}

static void add_one(void *arg)
{
	(*(int *)arg)++;
}

static void work_again(void *arg)
{
	struct drain {
		struct loop *loop;
		int done;
	} *d = arg;

	d->done++;
	loop_thread(d->loop, add_one, add_one, &d->done);
}

TEST(drain_runs_what_is_left)
{
	struct drain {
		struct loop *loop;
		int done;
	} d = {0};
	int n = 0;

	ASSERT_EQ(loop_new(2, &d.loop, NULL), 0);
	for (int i = 0; i < 100; i++)
		loop_work(d.loop, do_nothing, add_one, &n);
	loop_work(d.loop, do_nothing, work_again, &d);
	loop_defer(d.loop, add_one, &n);
	loop_drain(d.loop);
	EXPECT_EQ(n, 101);
	EXPECT_EQ(d.done, 3);
	loop_free(d.loop);
}

TEST_HARNESS_MAIN
