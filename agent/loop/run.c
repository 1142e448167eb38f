// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "core/buf.h"
#include "loop/loop.h"

extern char **environ;

enum { OUTPUT_MAX = 1 << 20 };

/* Read what is there; closes *fd at the end. */
static void drain(int *fd, struct buf *out)
{
	char chunk[16384];
	ssize_t n = read(*fd, chunk, sizeof(chunk));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close(steal_fd(*fd));
		return;
	}
	if (out && out->len < OUTPUT_MAX)
		buf_add(out, chunk, min((size_t)n, OUTPUT_MAX - out->len));
}

static void feed(int *fd, const struct buf *in, size_t *pos)
{
	ssize_t n = write(*fd, in->data + *pos, in->len - *pos);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0)
		*pos += n;
	if (n < 0 || *pos == in->len)
		close(steal_fd(*fd));
}

int run_program(const char *const argv[], const struct buf *in, struct buf *ret_out,
		struct buf *ret_err)
{
	int p_in[2] = {-1, -1}, p_out[2] = {-1, -1}, p_err[2] = {-1, -1}, status, rc;
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none, pipe_set;
	size_t pos = 0;
	pid_t pid;

	if (pipe2(p_in, O_CLOEXEC) || pipe2(p_out, O_CLOEXEC) || pipe2(p_err, O_CLOEXEC)) {
		rc = -errno;
		for (int i = 0; i < 2; i++) {
			util_closep(&p_in[i]);
			util_closep(&p_out[i]);
			util_closep(&p_err[i]);
		}
		return rc;
	}
	sigemptyset(&none);
	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &pipe_set);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, p_in[0], 0);
	posix_spawn_file_actions_adddup2(&fa, p_out[1], 1);
	posix_spawn_file_actions_adddup2(&fa, p_err[1], 2);
	rc = -posix_spawnp(&pid, argv[0], &fa, &attr, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	close(p_in[0]);
	close(p_out[1]);
	close(p_err[1]);
	if (!rc && in && in->len)
		fcntl(p_in[1], F_SETFL, O_NONBLOCK);
	else
		close(steal_fd(p_in[1]));
	while (!rc && (p_out[0] >= 0 || p_err[0] >= 0)) {
		struct pollfd fds[3] = {
			{.fd = p_out[0], .events = POLLIN},
			{.fd = p_err[0], .events = POLLIN},
			{.fd = p_in[1], .events = POLLOUT},
		};

		if (poll(fds, 3, -1) < 0)
			continue;
		if (fds[0].revents)
			drain(&p_out[0], ret_out);
		if (fds[1].revents)
			drain(&p_err[0], ret_err);
		if (fds[2].revents)
			feed(&p_in[1], in, &pos);
	}
	util_closep(&p_in[1]);
	util_closep(&p_out[0]);
	util_closep(&p_err[0]);
	if (rc)
		return rc;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
