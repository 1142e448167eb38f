// SPDX-License-Identifier: Apache-2.0
/*
 * swarm-shim: the monitor of one container or one exec. It outlives the agent: it holds the
 * standard streams, writes the log, and keeps the exit code. One small static process, plain
 * libc, no stdio, so that fifty of them cost little.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctr/shim_proto.h"

enum { CLIENTS_MAX = 32, QUEUE_MAX = 256 << 10, READ_MAX = 8192 };
enum { AGENT_FD = 3 };

struct client {
	int fd;
	int attached;
	unsigned char head[SHIM_HEADER + SHIM_FRAME_MAX];
	size_t have; /* bytes of the frame being read */
	char *out;
	size_t out_len, out_alloc;
};

struct line {
	char buf[SHIM_LINE_MAX];
	size_t len;
};

static const char *opt_dir, *opt_runtime, *opt_rtroot, *opt_id, *opt_bundle, *opt_exec, *opt_log,
	*opt_attrs;
static long long opt_size;
static int opt_files = 1, opt_tty, opt_stdin, opt_hold, opt_once;

static int out_fd = -1, err_fd = -1, in_fd = -1, listen_fd = -1, log_fd = -1;
static long long log_size;
static struct client *clients[CLIENTS_MAX];
static struct line out_line, err_line;
static char *in_queue; /* stdin not taken yet */
static size_t in_len;
static int in_eof, go, had_attach;
static pid_t ctr_pid;

static size_t put_num(char *dst, long long v)
{
	char tmp[24];
	size_t n = 0, i = 0;
	int neg = v < 0;
	unsigned long long u = neg ? -(unsigned long long)v : (unsigned long long)v;

	do
		tmp[n++] = '0' + u % 10;
	while (u /= 10);
	if (neg)
		tmp[n++] = '-';
	while (n)
		dst[i++] = tmp[--n];
	dst[i] = 0;
	return i;
}

static char *join(char *dst, const char *a, const char *b, const char *c)
{
	strcpy(dst, a);
	strcat(dst, b);
	strcat(dst, c);
	return dst;
}

static void write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return;
		p += w;
		n -= w;
	}
}

static void say(const char *s)
{
	write_all(AGENT_FD, s, strlen(s));
}

static void die(const char *what)
{
	say("error ");
	say(what);
	say(": ");
	say(strerror(errno));
	_exit(1);
}

static void write_file(const char *name, const char *text)
{
	char path[4096], tmp[4096];
	int fd;

	join(path, opt_dir, "/", name);
	join(tmp, path, ".tmp", "");
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	write_all(fd, text, strlen(text));
	close(fd);
	rename(tmp, path);
}

/* --- the log ------------------------------------------------------------------------------- */

static void log_open(void)
{
	struct stat st;

	if (!opt_log)
		return;
	log_fd = open(opt_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	log_size = log_fd >= 0 && !fstat(log_fd, &st) ? st.st_size : 0;
}

/* PATH → PATH.1 → … → PATH.(files - 1), the oldest dropped. */
static void log_rotate(void)
{
	char from[4096], to[4096], num[24];

	close(log_fd);
	if (opt_files < 2) {
		unlink(opt_log);
	} else {
		for (int i = opt_files - 1; i > 0; i--) {
			put_num(num, i);
			join(to, opt_log, ".", num);
			put_num(num, i - 1);
			if (i > 1)
				join(from, opt_log, ".", num);
			else
				strcpy(from, opt_log);
			rename(from, to);
		}
	}
	log_open();
}

static size_t put_time(char *dst)
{
	struct timespec ts;
	struct tm tm;
	char frac[24];
	size_t n, w;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(dst, 32, "%Y-%m-%dT%H:%M:%S.", &tm);
	w = put_num(frac, ts.tv_nsec);
	for (size_t i = w; i < 9; i++)
		dst[n++] = '0';
	memcpy(dst + n, frac, w);
	n += w;
	dst[n++] = 'Z';
	dst[n] = 0;
	return n;
}

/* The length of the valid UTF-8 sequence at p, or 0. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80		   ? 1
		     : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
		     : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
		     : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
						   : 0;

	if (!len || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

static void log_line(const struct line *l, const char *stream)
{
	static char *rec;
	static const char digits[] = "0123456789abcdef";
	const unsigned char *s = (const unsigned char *)l->buf;
	size_t n = 8;

	if (log_fd < 0 || !l->len)
		return;
	if (!rec)
		rec = malloc(SHIM_LINE_MAX * 6 + 128 + (opt_attrs ? strlen(opt_attrs) : 0));
	if (!rec)
		return;
	memcpy(rec, "{\"log\":\"", 8);
	for (size_t i = 0; i < l->len;) {
		size_t len = utf8_len(s + i, l->len - i);
		unsigned char c = s[i];

		if (!len) {
			memcpy(rec + n, "\xef\xbf\xbd", 3); /* U+FFFD, as encoding/json does */
			n += 3;
			i++;
			continue;
		}
		if (c == '"' || c == '\\') {
			rec[n++] = '\\';
			rec[n++] = c;
		} else if (c == '\n' || c == '\r' || c == '\t') {
			rec[n++] = '\\';
			rec[n++] = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
		} else if (c < 0x20) {
			memcpy(rec + n, "\\u00", 4);
			rec[n + 4] = digits[c >> 4];
			rec[n + 5] = digits[c & 15];
			n += 6;
		} else {
			memcpy(rec + n, s + i, len);
			n += len;
		}
		i += len;
	}
	memcpy(rec + n, "\",\"stream\":\"", 12);
	n += 12;
	memcpy(rec + n, stream, 6);
	n += 6;
	rec[n++] = '"';
	if (opt_attrs) {
		memcpy(rec + n, ",\"attrs\":", 9);
		strcpy(rec + n + 9, opt_attrs);
		n += 9 + strlen(opt_attrs);
	}
	memcpy(rec + n, ",\"time\":\"", 9);
	n += 9;
	n += put_time(rec + n);
	memcpy(rec + n, "\"}\n", 3);
	n += 3;
	if (opt_size && log_size && log_size + (long long)n > opt_size)
		log_rotate();
	write_all(log_fd, rec, n);
	log_size += n;
}

static void log_data(struct line *l, const char *stream, const char *p, size_t n)
{
	while (n) {
		const char *nl = memchr(p, '\n', n);
		size_t take = nl ? (size_t)(nl - p) + 1 : n, room = SHIM_LINE_MAX - l->len;

		if (take > room)
			take = room;
		memcpy(l->buf + l->len, p, take);
		l->len += take;
		p += take;
		n -= take;
		if (l->len == SHIM_LINE_MAX || l->buf[l->len - 1] == '\n') {
			log_line(l, stream);
			l->len = 0;
		}
	}
}

/* --- clients ------------------------------------------------------------------------------- */

static void client_drop(size_t i)
{
	struct client *c = clients[i];

	if (!c)
		return;
	if (c->attached && opt_once && !opt_tty) /* a terminal waits for the next one */
		in_eof = 1;
	close(c->fd);
	free(c->out);
	free(c);
	clients[i] = NULL;
}

static void client_flush(size_t i)
{
	struct client *c = clients[i];

	while (c->out_len) {
		ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			client_drop(i);
		if (n <= 0)
			return;
		memmove(c->out, c->out + n, c->out_len - n);
		c->out_len -= n;
	}
}

static void client_send(size_t i, int type, const char *p, size_t n)
{
	unsigned char head[SHIM_HEADER] = {type, 0, 0, 0, n >> 24, n >> 16, n >> 8, n};
	struct client *c = clients[i];
	size_t want = c->out_len + SHIM_HEADER + n;

	if (want > c->out_alloc) {
		char *grown = realloc(c->out, want + 4096);

		if (!grown) {
			client_drop(i);
			return;
		}
		c->out = grown;
		c->out_alloc = want + 4096;
	}
	memcpy(c->out + c->out_len, head, SHIM_HEADER);
	memcpy(c->out + c->out_len + SHIM_HEADER, p, n);
	c->out_len = want;
	client_flush(i);
}

static void broadcast(int type, const char *p, size_t n)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (clients[i] && (clients[i]->attached || type == SHIM_EXIT))
			client_send(i, type, p, n);
}

/* Whether someone is too far behind for more output to be read. */
static int congested(void)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (clients[i] && clients[i]->out_len > QUEUE_MAX)
			return 1;
	return 0;
}

static void on_frame(struct client *c, int type, const unsigned char *p, size_t n)
{
	char *grown;

	switch (type) {
	case SHIM_STDIN:
		if (!opt_stdin || in_eof)
			return;
		grown = realloc(in_queue, in_len + n);
		if (!grown)
			return;
		in_queue = grown;
		memcpy(in_queue + in_len, p, n);
		in_len += n;
		return;
	case SHIM_STDIN_EOF:
		in_eof = !opt_tty;
		return;
	case SHIM_RESIZE:
		if (n == 4 && opt_tty && out_fd >= 0) {
			struct winsize ws = {.ws_row = p[0] << 8 | p[1],
					     .ws_col = p[2] << 8 | p[3]};

			ioctl(out_fd, TIOCSWINSZ, &ws);
		}
		return;
	case SHIM_ATTACH:
		c->attached = had_attach = 1;
		return;
	case SHIM_GO:
		go = 1;
		return;
	}
}

static void client_read(size_t i)
{
	struct client *c = clients[i];
	size_t len = 0;
	ssize_t n;

	if (c->have >= SHIM_HEADER)
		len = (size_t)c->head[4] << 24 | c->head[5] << 16 | c->head[6] << 8 | c->head[7];
	n = recv(c->fd, c->head + c->have,
		 c->have < SHIM_HEADER ? SHIM_HEADER - c->have : SHIM_HEADER + len - c->have,
		 MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_drop(i);
		return;
	}
	c->have += n;
	if (c->have < SHIM_HEADER)
		return;
	len = (size_t)c->head[4] << 24 | c->head[5] << 16 | c->head[6] << 8 | c->head[7];
	if (len > SHIM_FRAME_MAX) {
		client_drop(i);
		return;
	}
	if (c->have < SHIM_HEADER + len)
		return;
	c->have = 0;
	on_frame(c, c->head[0], c->head + SHIM_HEADER, len);
}

static void client_accept(void)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (clients[i])
			continue;
		clients[i] = calloc(1, sizeof(*clients[i]));
		if (!clients[i])
			break;
		clients[i]->fd = fd;
		return;
	}
	close(fd);
}

static void socket_open(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int dir = open(opt_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char num[24];

	/* by the folder's descriptor: the path may be longer than sun_path */
	put_num(num, dir);
	join(addr.sun_path, "/proc/self/fd/", num, "/shim.sock");
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(addr.sun_path);
	if (dir < 0 || listen_fd < 0 || bind(listen_fd, (void *)&addr, sizeof(addr)) ||
	    listen(listen_fd, 64))
		die("cannot listen on shim.sock");
	close(dir);
}

/* --- the container ------------------------------------------------------------------------- */

static void pipe_or_die(int p[2])
{
	if (pipe2(p, O_CLOEXEC))
		die("pipe");
}

/* The runtime sends the pty's master over the console socket. */
static int recv_master(int sock)
{
	char byte[64], control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {byte, sizeof(byte)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	int conn = accept4(sock, NULL, NULL, SOCK_CLOEXEC), fd = -1;
	struct cmsghdr *cm;

	if (conn < 0)
		return -1;
	if (recvmsg(conn, &msg, MSG_CMSG_CLOEXEC) > 0 && (cm = CMSG_FIRSTHDR(&msg)) &&
	    cm->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
	close(conn);
	return fd;
}

static void exec_runtime(const char *console, const char *pidfile, int in, int out, int err)
{
	const char *argv[24];
	sigset_t none;
	int n = 0;

	argv[n++] = opt_runtime;
	argv[n++] = "--root";
	argv[n++] = opt_rtroot;
	argv[n++] = opt_exec ? "exec" : "run";
	argv[n++] = "--detach";
	argv[n++] = "--pid-file";
	argv[n++] = pidfile;
	if (console) {
		argv[n++] = "--console-socket";
		argv[n++] = console;
	}
	if (opt_exec) {
		argv[n++] = "--process";
		argv[n++] = opt_exec;
	} else {
		argv[n++] = "--bundle";
		argv[n++] = opt_bundle;
	}
	argv[n++] = opt_id;
	argv[n] = NULL;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	close(AGENT_FD);
	execv(opt_runtime, (char *const *)argv);
	_exit(127);
}

/*
 * Before a failure's end: reap what the runtime left behind. A dead process that nobody reaps would
 * keep the container's process namespace, and so its first process, from ending.
 */
static void reap_rest(void)
{
	const struct timespec second = {1, 0};
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0 || (!pid && sigtimedwait(&chld, NULL, &second) < 0 && errno == EAGAIN))
			return;
	}
}

/* The runtime failed: what it wrote to the error stream is the reason. */
static void report_failure(int err)
{
	char text[2048];
	ssize_t n = read(err, text, sizeof(text) - 1);

	say("error ");
	if (n > 0) {
		while (n && text[n - 1] == '\n')
			n--;
		write_all(AGENT_FD, text, n);
	} else {
		say("the runtime failed without a reason");
	}
	close(AGENT_FD);
	reap_rest();
	_exit(1);
}

static void start(void)
{
	int p_in[2] = {-1, -1}, p_out[2] = {-1, -1}, p_err[2], console_fd = -1, status = 0;
	char console[4096], pidfile[4096], num[24], ok[32];
	ssize_t n;
	pid_t pid;
	int fd;

	join(pidfile, opt_dir, "/", "pid");
	pipe_or_die(p_err);
	if (opt_tty) {
		struct sockaddr_un addr = {.sun_family = AF_UNIX};

		join(console, opt_dir, "/", "console");
		unlink(console);
		if (strlen(console) >= sizeof(addr.sun_path)) {
			errno = ENAMETOOLONG;
			die("console socket");
		}
		strcpy(addr.sun_path, console);
		console_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (console_fd < 0 || bind(console_fd, (void *)&addr, sizeof(addr)) ||
		    listen(console_fd, 1))
			die("console socket");
		p_in[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
		p_out[1] = dup(p_in[0]);
	} else {
		pipe_or_die(p_out);
		if (opt_stdin)
			pipe_or_die(p_in);
		else
			p_in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid)
		exec_runtime(opt_tty ? console : NULL, pidfile, p_in[0], p_out[1], p_err[1]);
	close(p_in[0]);
	close(p_out[1]);
	close(p_err[1]);
	if (opt_tty) {
		/* the runtime connects before it exits; it may also fail and never connect */
		struct pollfd pfd = {console_fd, POLLIN, 0};

		while (out_fd < 0) {
			if (poll(&pfd, 1, 20) > 0)
				out_fd = recv_master(console_fd);
			else if (waitpid(pid, &status, WNOHANG) == pid) {
				pid = 0;
				if (status || poll(&pfd, 1, 0) <= 0)
					break;
			}
		}
		close(console_fd);
		unlink(console);
		in_fd = out_fd >= 0 ? fcntl(out_fd, F_DUPFD_CLOEXEC, 0) : -1;
	}
	while (pid && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		report_failure(p_err[0]);
	if (!opt_tty) {
		out_fd = p_out[0];
		err_fd = p_err[0];
		in_fd = opt_stdin ? p_in[1] : -1;
		fcntl(err_fd, F_SETFL, O_NONBLOCK);
	} else {
		close(p_err[0]);
	}
	fcntl(out_fd, F_SETFL, O_NONBLOCK);
	if (in_fd >= 0)
		fcntl(in_fd, F_SETFL, O_NONBLOCK);
	fd = open(pidfile, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, num, sizeof(num) - 1);
	if (n <= 0)
		die("the runtime left no pid");
	close(fd);
	num[n] = 0;
	ctr_pid = atoi(num);
	strcpy(ok, "ok ");
	put_num(ok + 3, ctr_pid);
	strcat(ok, "\n");
	say(ok);
	close(AGENT_FD);
}

/* Returns 0 at the end of the stream. */
static int pump(int *fd, struct line *l, const char *stream, int type)
{
	char chunk[READ_MAX];
	ssize_t n = read(*fd, chunk, sizeof(chunk));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 1;
	if (n <= 0) { /* a pty whose other side is closed reads EIO */
		log_line(l, stream);
		l->len = 0;
		close(*fd);
		*fd = -1;
		return 0;
	}
	log_data(l, stream, chunk, n);
	broadcast(type, chunk, n);
	return 1;
}

static void feed_stdin(void)
{
	while (in_len) {
		ssize_t n = write(in_fd, in_queue, in_len);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			in_len = 0;
			in_eof = 1;
			break;
		}
		memmove(in_queue, in_queue + n, in_len - n);
		in_len -= n;
	}
	if (in_eof && in_fd >= 0 && !opt_tty) {
		close(in_fd);
		in_fd = -1;
	}
}

static void finish(int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	struct timespec ts;
	char text[80], num[24];
	int more = 1;

	/* what the container wrote last; a process that left its namespace may hold the pipe open */
	for (int i = 0; i < 4096 && more; i++) {
		struct pollfd p[2] = {{out_fd, POLLIN, 0}, {err_fd, POLLIN, 0}};

		if (poll(p, 2, 0) <= 0)
			break;
		more = 0;
		if (out_fd >= 0 && p[0].revents)
			more |= pump(&out_fd, &out_line, "stdout", SHIM_STDOUT);
		if (err_fd >= 0 && p[1].revents)
			more |= pump(&err_fd, &err_line, "stderr", SHIM_STDERR);
		more = 1;
		if (out_fd < 0 && err_fd < 0)
			break;
	}
	log_line(&out_line, "stdout");
	log_line(&err_line, "stderr");
	clock_gettime(CLOCK_REALTIME, &ts);
	put_num(text, code);
	strcat(text, " ");
	put_num(num, ts.tv_sec * 1000000000ll + ts.tv_nsec);
	strcat(text, num);
	strcat(text, "\n");
	write_file("exit", text);
	put_num(num, code);
	broadcast(SHIM_EXIT, num, strlen(num));
	/* give slow clients five seconds to take what is left */
	for (int i = 0; i < CLIENTS_MAX; i++) {
		while (clients[i] && clients[i]->out_len) {
			struct pollfd p = {clients[i]->fd, POLLOUT, 0};

			if (poll(&p, 1, 5000) <= 0)
				break;
			client_flush(i);
		}
	}
	_exit(0);
}

/* Reap; when the container's own process has ended, finish. */
static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == ctr_pid)
			finish(status);
}

static void turn(int sig_fd)
{
	struct pollfd p[6 + CLIENTS_MAX], *agent = &p[5 + CLIENTS_MAX];
	int wait_output = !congested();

	p[0] = (struct pollfd){sig_fd, POLLIN, 0};
	p[1] = (struct pollfd){listen_fd, POLLIN, 0};
	p[2] = (struct pollfd){wait_output ? out_fd : -1, POLLIN, 0};
	p[3] = (struct pollfd){wait_output ? err_fd : -1, POLLIN, 0};
	p[4] = (struct pollfd){in_len ? in_fd : -1, POLLOUT, 0};
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		short events = 0;

		if (clients[i])
			events = (in_len < QUEUE_MAX ? POLLIN : 0) |
				 (clients[i]->out_len ? POLLOUT : 0);
		p[5 + i] = (struct pollfd){clients[i] ? clients[i]->fd : -1, events, 0};
	}
	*agent = (struct pollfd){opt_hold && !go ? AGENT_FD : -1, 0, 0};
	if (poll(p, 6 + CLIENTS_MAX, -1) < 0)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (clients[i] && p[5 + i].revents & POLLOUT)
			client_flush(i);
		if (clients[i] && p[5 + i].revents & (POLLIN | POLLHUP | POLLERR))
			client_read(i);
	}
	if (p[2].revents && out_fd >= 0)
		pump(&out_fd, &out_line, "stdout", SHIM_STDOUT);
	if (p[3].revents && err_fd >= 0)
		pump(&err_fd, &err_line, "stderr", SHIM_STDERR);
	if (agent->revents && !go)
		_exit(1); /* nobody is left to say "go" */
	if (p[1].revents)
		client_accept();
	if (in_fd >= 0 && (in_len || in_eof))
		feed_stdin();
	if (p[0].revents) {
		struct signalfd_siginfo si;

		(void)!read(sig_fd, &si, sizeof(si));
		if (ctr_pid)
			reap();
	}
}

static int parse_option(char *arg)
{
	const struct {
		const char *key;
		const char **str;
		int *num;
	} options[] = {
		{"dir", &opt_dir, NULL},       {"runtime", &opt_runtime, NULL},
		{"rtroot", &opt_rtroot, NULL}, {"id", &opt_id, NULL},
		{"bundle", &opt_bundle, NULL}, {"exec", &opt_exec, NULL},
		{"log", &opt_log, NULL},       {"files", NULL, &opt_files},
		{"attrs", &opt_attrs, NULL},   {"tty", NULL, &opt_tty},
		{"stdin", NULL, &opt_stdin},   {"hold", NULL, &opt_hold},
		{"once", NULL, &opt_once},
	};
	char *eq = strchr(arg, '=');

	if (!eq)
		return -1;
	*eq++ = 0;
	if (!strcmp(arg, "size")) {
		opt_size = atoll(eq);
		return 0;
	}
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strcmp(arg, options[i].key))
			continue;
		if (options[i].str)
			*options[i].str = eq;
		else
			*options[i].num = atoi(eq);
		return 0;
	}
	return -1;
}

int main(int argc, char **argv)
{
	char num[24];
	sigset_t set;
	int sig_fd;

	for (int i = 1; i < argc; i++) {
		if (parse_option(argv[i])) {
			errno = EINVAL;
			die(argv[i]);
		}
	}
	if (!opt_dir || !opt_runtime || !opt_rtroot || !opt_id || strlen(opt_dir) > 3000) {
		errno = EINVAL;
		die("swarm-shim is started by swarm-agent");
	}
	setsid();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_PDEATHSIG, 0);
	fcntl(AGENT_FD, F_SETFD, FD_CLOEXEC);
	signal(SIGPIPE, SIG_IGN);
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sig_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	(void)!chdir("/");
	put_num(num, getpid());
	write_file("shim", num);
	socket_open();
	log_open();
	if (opt_hold) {
		say("hold\n");
		while (!go)
			turn(sig_fd);
	}
	start();
	reap();
	for (;;)
		turn(sig_fd);
}
