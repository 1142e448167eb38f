/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of the process: libevent's base, timers, child exits, and a small pool of
 * worker threads for work that blocks. The loop's thread owns all state; a worker gets what it
 * needs in its argument, does the blocking work and touches nothing else; the result comes back
 * to the loop as a call. All functions are to be called on the loop's thread unless they say
 * otherwise. Callbacks run on the loop's thread, never from inside the call that set them up.
 */
#pragma once

#include <sys/types.h>

#include "core/list.h"
#include "core/err.h"

struct event_base;
struct event;
struct loop;

/* n_workers threads (0: as many as cores, at least 2, at most 8). */
int loop_new(unsigned int n_workers, struct loop **ret, struct err *err);
/*
 * Wait until no work is queued or running on any thread and no call is outstanding; their done and
 * deferred functions run meanwhile. To be called before the modules close. Streams' threads end
 * with their descriptors: close the servers first.
 */
void loop_drain(struct loop *loop);
/* Waits for running work; queued work that has not begun is still done. */
void loop_free(struct loop *loop);
struct event_base *loop_base(struct loop *loop);
/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Monotonic milliseconds. */
uint64_t loop_now_ms(void);
/* Wall clock in nanoseconds since the epoch. */
int64_t loop_wall_ns(void);

/* A one-shot timer, embedded in its owner. */
struct timer {
	struct event *ev;
	void (*fn)(void *arg);
	void *arg;
};

void timer_init(struct timer *t, struct loop *loop, void (*fn)(void *arg), void *arg);
/* Fires once after delay_ms; setting it again moves it. */
void timer_set(struct timer *t, uint64_t delay_ms);
void timer_cancel(struct timer *t);
bool timer_pending(const struct timer *t);
/* Cancels and frees what timer_init made. A zeroed timer is fine. */
void timer_done(struct timer *t);

/* Call fn(arg) once, from the loop, after the current callback has returned. */
void loop_defer(struct loop *loop, void (*fn)(void *arg), void *arg);
/* The same for an answer: done(err, arg), NULL for an error without a code. err is copied. */
void loop_answer(struct loop *loop, void (*done)(const struct err *err, void *arg),
		 const struct err *err, void *arg);

/*
 * Run work(arg) on a worker thread, then done(arg) on the loop. Jobs start in order of queueing.
 * done may be NULL.
 */
void loop_work(struct loop *loop, void (*work)(void *arg), void (*done)(void *arg), void *arg);
/*
 * The same on a thread of its own, for work that may last (streams to and from a client, an
 * fsync that others wait for): it takes no place in the pool.
 */
void loop_thread(struct loop *loop, void (*work)(void *arg), void (*done)(void *arg), void *arg);
/* From any thread: call fn(arg) on the loop. Calls from one thread keep their order. */
void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg);

/*
 * Watch a child of this process by pidfd; on exit reaps it and calls fn with the status as
 * waitpid(2) gives it. What is still watched when the loop is freed is forgotten, without reaping.
 * Returns 0 or a negative errno.
 */
int loop_child(struct loop *loop, pid_t pid, void (*fn)(pid_t pid, int status, void *arg),
	       void *arg);

/*
 * Run a program (argv[0] looked up in PATH) and collect what it says. From any thread; blocks,
 * so use it on a worker. in may be NULL. Standard output goes to ret_out, standard error to
 * ret_err (either may be NULL: discarded), each cut at 1 MiB. Returns the exit status (0-255),
 * 128 + signal, or a negative errno when it could not be started.
 */
struct buf;
int run_program(const char *const argv[], const struct buf *in, struct buf *ret_out,
		struct buf *ret_err);
