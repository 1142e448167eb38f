// SPDX-License-Identifier: Apache-2.0
#include "ctr/monitor.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>

#include "core/buf.h"
#include "disk/file.h"
#include "loop/loop.h"

enum { OPTIONS_MAX = 30, ANSWER_MAX = 8192 };

int monitor_spawn(const char *shim, const char *const options[], pid_t *ret_pid)
{
	const char *argv[OPTIONS_MAX + 2] = {shim};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none, dflt;
	int p[2], rc;

	for (int n = 0; options[n] && n < OPTIONS_MAX; n++)
		argv[n + 1] = options[n];
	if (pipe2(p, O_CLOEXEC))
		return -errno;
	if (p[1] <= 3) { /* dup2 of a descriptor onto itself would leave it close-on-exec */
		int up = fcntl(p[1], F_DUPFD_CLOEXEC, 10);

		close(p[1]);
		p[1] = up;
	}
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&fa, 0, 1);
	posix_spawn_file_actions_adddup2(&fa, 0, 2);
	posix_spawn_file_actions_adddup2(&fa, p[1], 3);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	sigfillset(&dflt);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &dflt);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawn(ret_pid, shim, &fa, &attr, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	close(p[1]);
	if (rc) {
		close(p[0]);
		return -rc;
	}
	return p[0];
}

struct monitor {
	struct event *ev;
	int fd;
	bool is_held;
	struct buf answer;
	void (*held)(void *arg);
	void (*done)(pid_t pid, const char *why, void *arg);
	void *arg;
};

static void finish(struct monitor *m, pid_t pid, const char *why)
{
	event_free(m->ev);
	close(m->fd);
	m->done(pid, why, m->arg);
	buf_done(&m->answer);
	free(m);
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct monitor *m = arg;
	char chunk[2048];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	(void)what;
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0 && m->answer.len < ANSWER_MAX)
		buf_add(&m->answer, chunk, n);
	if (!m->is_held && starts_with(m->answer.data, "hold\n")) {
		m->is_held = true;
		buf_consume(&m->answer, 5);
		m->held(m->arg);
	}
	if (starts_with(m->answer.data, "ok ") && strchr(m->answer.data, '\n'))
		finish(m, atoi(m->answer.data + 3), NULL);
	else if (n <= 0) /* its last word is behind */
		finish(m, 0,
		       starts_with(m->answer.data, "error ")
			       ? m->answer.data + 6
			       : "the monitor ended without an answer");
}

static void reaped(pid_t pid, int status, void *arg)
{
	(void)pid;
	(void)status;
	(void)arg;
}

void monitor_watch(struct loop *loop, int fd, pid_t pid, void (*held)(void *arg),
		   void (*done)(pid_t pid, const char *why, void *arg), void *arg)
{
	struct monitor *m = xcalloc(1, sizeof(*m));

	buf_init(&m->answer);
	m->fd = fd;
	m->held = held;
	m->done = done;
	m->arg = arg;
	loop_child(loop, pid, reaped, NULL);
	m->ev = event_new(loop_base(loop), fd, EV_READ | EV_PERSIST, on_answer, m);
	event_add(m->ev, NULL);
}

pid_t monitor_pid(const char *dir, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	_cleanup_buf_ struct buf text = BUF_INIT;

	return file_read(path, 32, &text, NULL) ? 0 : atoi(text.data);
}

int monitor_exit_code(const char *dir, int heard, long long *ret_ns)
{
	_cleanup_free_ char *path = xasprintf("%s/exit", dir);
	_cleanup_buf_ struct buf text = BUF_INIT;
	long long ns = 0;
	int code;

	if (file_read(path, 80, &text, NULL) || sscanf(text.data, "%d %lld", &code, &ns) != 2)
		code = heard < 0 ? 255 : heard;
	if (ret_ns)
		*ret_ns = ns;
	return code;
}
