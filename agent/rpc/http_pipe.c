// SPDX-License-Identifier: Apache-2.0
/* Bodies to and from pipes, for handlers that work on a thread of their own. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>

#include "rpc/http_impl.h"

enum { UNSENT_MAX = 1 << 20 };

struct to_fd {
	struct http_req *req;
	struct event *ev;
	struct evbuffer *waiting;
	int fd;
	bool body_over, failed;
	struct err err;
	void (*done)(struct http_req *req, const struct err *err, void *arg);
	void *arg;
};

static void to_fd_finish(struct to_fd *t)
{
	struct to_fd copy = *t;

	event_free(t->ev);
	evbuffer_free(t->waiting);
	if (t->fd >= 0)
		close(t->fd);
	free(t);
	if (copy.done)
		copy.done(copy.req, copy.err.code ? &copy.err : NULL, copy.arg);
}

static void to_fd_push(struct to_fd *t)
{
	while (evbuffer_get_length(t->waiting) && t->fd >= 0) {
		if (evbuffer_write(t->waiting, t->fd) >= 0)
			continue;
		if (errno == EAGAIN)
			break;
		/* the reader has had enough: drop the rest */
		close(steal_fd(t->fd));
		event_del(t->ev);
	}
	if (t->fd < 0)
		evbuffer_drain(t->waiting, evbuffer_get_length(t->waiting));
	if (evbuffer_get_length(t->waiting)) {
		event_add(t->ev, NULL);
		if (!t->body_over)
			http_body_pause(t->req);
	} else if (t->body_over) {
		to_fd_finish(t);
	} else {
		http_body_resume(t->req);
	}
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	to_fd_push(arg);
}

static void to_fd_data(struct http_req *req, const void *p, size_t len, void *arg)
{
	struct to_fd *t = arg;

	(void)req;
	evbuffer_add(t->waiting, p, len);
	to_fd_push(t);
}

static void to_fd_end(struct http_req *req, const struct err *err, void *arg)
{
	struct to_fd *t = arg;

	(void)req;
	if (err)
		t->err = *err;
	t->body_over = true;
	to_fd_push(t);
}

void http_body_to_fd(struct http_req *req, int fd,
		     void (*done)(struct http_req *req, const struct err *err, void *arg),
		     void *arg)
{
	struct to_fd *t = xcalloc(1, sizeof(*t));

	evutil_make_socket_nonblocking(fd);
	*t = (struct to_fd){.req = req, .fd = fd, .done = done, .arg = arg};
	t->waiting = evbuffer_new();
	t->ev = event_new(loop_base(req->loop), fd, EV_WRITE, on_writable, t);
	http_body_stream(req, to_fd_data, to_fd_end, t);
}

struct from_fd {
	struct http_req *req;
	struct event *ev;
	int fd;
	void (*done)(void *arg);
	void *arg;
};

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct from_fd *f = arg, copy;
	char chunk[65536];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		http_write(f->req, chunk, n);
		if (http_unsent(f->req) > UNSENT_MAX)
			event_del(f->ev);
		return;
	}
	copy = *f;
	event_free(f->ev);
	close(f->fd);
	free(f);
	if (copy.done)
		copy.done(copy.arg);
	http_end(copy.req);
}

static void from_fd_drain(struct http_req *req, void *arg)
{
	struct from_fd *f = arg;

	(void)req;
	event_add(f->ev, NULL);
}

/* Nobody listens any more: read on, so that the writer comes to its end. */
static void from_fd_close(struct http_req *req, void *arg)
{
	from_fd_drain(req, arg);
}

void http_fd_to_reply(struct http_req *req, int fd, void (*done)(void *arg), void *arg)
{
	struct from_fd *f = xcalloc(1, sizeof(*f));

	evutil_make_socket_nonblocking(fd);
	*f = (struct from_fd){.req = req, .fd = fd, .done = done, .arg = arg};
	f->ev = event_new(loop_base(req->loop), fd, EV_READ | EV_PERSIST, on_readable, f);
	event_add(f->ev, NULL);
	http_on_drain(req, from_fd_drain, f);
	http_on_close(req, from_fd_close, f);
}
