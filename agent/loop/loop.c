// SPDX-License-Identifier: Apache-2.0
#include "loop/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

struct job {
	struct list_head node;
	struct loop *loop;
	void (*work)(void *arg);
	void (*done)(void *arg);
	void *arg;
};

struct loop {
	struct event_base *base;
	struct event *wake;
	int wake_fd;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct list_head queue; /* jobs for the pool */
	struct list_head finished; /* jobs whose done() is due */
	struct list_head children; /* the loop's thread's */
	bool stopping;
	unsigned int n_threads; /* threads of loop_thread() that still run */
	unsigned int n_jobs; /* in the queue, or run by a worker */
	pthread_cond_t threads_gone;
	pthread_cond_t progress; /* something is finished */
	pthread_t *workers;
	unsigned int n_workers;
};

static void wake(struct loop *loop)
{
	uint64_t one = 1;

	(void)!write(loop->wake_fd, &one, sizeof(one));
}

static void finish(struct job *job)
{
	struct loop *loop = job->loop;

	pthread_mutex_lock(&loop->lock);
	list_add_tail(&job->node, &loop->finished);
	pthread_cond_broadcast(&loop->progress);
	pthread_mutex_unlock(&loop->lock);
	wake(loop);
}

static void *worker(void *arg)
{
	struct loop *loop = arg;

	pthread_mutex_lock(&loop->lock);
	for (;;) {
		struct job *job;

		while (list_empty(&loop->queue) && !loop->stopping)
			pthread_cond_wait(&loop->more, &loop->lock);
		if (list_empty(&loop->queue))
			break;
		job = list_first(&loop->queue, struct job, node);
		list_del(&job->node);
		pthread_mutex_unlock(&loop->lock);
		job->work(job->arg);
		finish(job);
		pthread_mutex_lock(&loop->lock);
		loop->n_jobs--;
		pthread_cond_broadcast(&loop->progress);
	}
	pthread_mutex_unlock(&loop->lock);
	return NULL;
}

static void enqueue(struct loop *loop, struct job *job)
{
	list_add_tail(&job->node, &loop->queue);
	loop->n_jobs++;
	pthread_cond_signal(&loop->more);
}

static void run_finished(struct loop *loop)
{
	struct list_head todo = LIST_HEAD_INIT(todo);

	pthread_mutex_lock(&loop->lock);
	if (!list_empty(&loop->finished)) {
		todo = loop->finished;
		todo.next->prev = todo.prev->next = &todo;
		list_init(&loop->finished);
	}
	pthread_mutex_unlock(&loop->lock);
	while (!list_empty(&todo)) {
		struct job *job = list_first(&todo, struct job, node);

		list_del(&job->node);
		if (job->done)
			job->done(job->arg);
		free(job);
	}
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;

	(void)what;
	(void)!read(fd, &count, sizeof(count));
	run_finished(arg);
}

int loop_new(unsigned int n_workers, struct loop **ret, struct err *err)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (!n_workers)
		n_workers = min(max(cores, 2L), 8L);
	evthread_use_pthreads();
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->base = event_base_new();
	if (loop->wake_fd < 0 || !loop->base) {
		int rc = err_set(err, -EMFILE, "cannot set up the event loop: out of descriptors");

		if (loop->base)
			event_base_free(loop->base);
		if (loop->wake_fd >= 0)
			close(loop->wake_fd);
		free(loop);
		return rc;
	}
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->more, NULL);
	pthread_cond_init(&loop->threads_gone, NULL);
	pthread_cond_init(&loop->progress, NULL);
	list_init(&loop->queue);
	list_init(&loop->finished);
	list_init(&loop->children);
	loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
	event_add(loop->wake, NULL);
	loop->workers = xcalloc(n_workers, sizeof(*loop->workers));
	for (unsigned int i = 0; i < n_workers; i++) {
		if (pthread_create(&loop->workers[i], NULL, worker, loop))
			break;
		loop->n_workers++;
	}
	assert(loop->n_workers);
	*ret = loop;
	return 0;
}

void loop_drain(struct loop *loop)
{
	bool idle;

	do {
		run_finished(loop);
		pthread_mutex_lock(&loop->lock);
		idle = !loop->n_jobs && !loop->n_threads && list_empty(&loop->finished);
		if (!idle && list_empty(&loop->finished))
			pthread_cond_wait(&loop->progress, &loop->lock);
		pthread_mutex_unlock(&loop->lock);
	} while (!idle);
}

struct child {
	struct list_head node;
	struct event *ev;
	pid_t pid;
	int pidfd;
	void (*fn)(pid_t pid, int status, void *arg);
	void *arg;
};

static void child_free(struct child *child)
{
	list_del(&child->node);
	event_free(child->ev);
	close(child->pidfd);
	free(child);
}

void loop_free(struct loop *loop)
{
	struct child *child, *tmp;

	if (!loop)
		return;
	pthread_mutex_lock(&loop->lock);
	loop->stopping = true;
	pthread_cond_broadcast(&loop->more);
	while (loop->n_threads)
		pthread_cond_wait(&loop->threads_gone, &loop->lock);
	pthread_mutex_unlock(&loop->lock);
	for (unsigned int i = 0; i < loop->n_workers; i++)
		pthread_join(loop->workers[i], NULL);
	run_finished(loop);
	list_for_each_safe (child, tmp, &loop->children, node)
		child_free(child);
	event_free(loop->wake);
	event_base_free(loop->base);
	close(loop->wake_fd);
	free(loop->workers);
	free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

void loop_run(struct loop *loop)
{
	event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void loop_stop(struct loop *loop)
{
	event_base_loopbreak(loop->base);
}

uint64_t loop_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

int64_t loop_wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	(void)fd;
	(void)what;
	t->fn(t->arg);
}

void timer_init(struct timer *t, struct loop *loop, void (*fn)(void *arg), void *arg)
{
	t->fn = fn;
	t->arg = arg;
	t->ev = evtimer_new(loop->base, on_timer, t);
	assert(t->ev);
}

void timer_set(struct timer *t, uint64_t delay_ms)
{
	struct timeval tv = {delay_ms / 1000, delay_ms % 1000 * 1000};

	evtimer_add(t->ev, &tv);
}

void timer_cancel(struct timer *t)
{
	if (t->ev)
		evtimer_del(t->ev);
}

bool timer_pending(const struct timer *t)
{
	return t->ev && evtimer_pending(t->ev, NULL);
}

void timer_done(struct timer *t)
{
	if (t->ev)
		event_free(t->ev);
	t->ev = NULL;
}

void loop_work(struct loop *loop, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
	struct job *job = xcalloc(1, sizeof(*job));

	*job = (struct job){.loop = loop, .work = work, .done = done, .arg = arg};
	pthread_mutex_lock(&loop->lock);
	enqueue(loop, job);
	pthread_mutex_unlock(&loop->lock);
}

static void *own_thread(void *arg)
{
	struct job *job = arg;
	struct loop *loop = job->loop;

	job->work(job->arg);
	finish(job);
	pthread_mutex_lock(&loop->lock);
	if (!--loop->n_threads)
		pthread_cond_signal(&loop->threads_gone);
	pthread_cond_broadcast(&loop->progress);
	pthread_mutex_unlock(&loop->lock);
	return NULL;
}

void loop_thread(struct loop *loop, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
	struct job *job = xcalloc(1, sizeof(*job));
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	*job = (struct job){.loop = loop, .work = work, .done = done, .arg = arg};
	pthread_mutex_lock(&loop->lock);
	loop->n_threads++;
	pthread_mutex_unlock(&loop->lock);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, own_thread, job);
	pthread_attr_destroy(&attr);
	if (!rc)
		return;
	/* No thread to be had: the pool does it. */
	pthread_mutex_lock(&loop->lock);
	loop->n_threads--;
	enqueue(loop, job);
	pthread_mutex_unlock(&loop->lock);
}

void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct job *job = xcalloc(1, sizeof(*job));

	*job = (struct job){.loop = loop, .done = fn, .arg = arg};
	finish(job);
}

void loop_defer(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	loop_post(loop, fn, arg);
}

struct answer {
	void (*done)(const struct err *err, void *arg);
	void *arg;
	struct err err;
};

static void answer(void *arg)
{
	struct answer *a = arg;

	a->done(a->err.code ? &a->err : NULL, a->arg);
	free(a);
}

void loop_answer(struct loop *loop, void (*done)(const struct err *err, void *arg),
		 const struct err *err, void *arg)
{
	struct answer *a = xcalloc(1, sizeof(*a));

	*a = (struct answer){.done = done, .arg = arg, .err = *err};
	loop_defer(loop, answer, a);
}

static void on_exit_event(evutil_socket_t fd, short what, void *arg)
{
	struct child *child = arg, copy = *child;
	int status = 0;

	(void)fd;
	(void)what;
	if (waitpid(child->pid, &status, WNOHANG) == 0)
		return;
	child_free(child);
	copy.fn(copy.pid, status, copy.arg);
}

int loop_child(struct loop *loop, pid_t pid, void (*fn)(pid_t pid, int status, void *arg),
	       void *arg)
{
	struct child *child;
	int fd = syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return -errno;
	child = xcalloc(1, sizeof(*child));
	*child = (struct child){.pid = pid, .pidfd = fd, .fn = fn, .arg = arg};
	child->ev = event_new(loop->base, fd, EV_READ | EV_PERSIST, on_exit_event, child);
	event_add(child->ev, NULL);
	list_add_tail(&child->node, &loop->children);
	return 0;
}
