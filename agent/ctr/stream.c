// SPDX-License-Identifier: Apache-2.0
#include "ctr/stream.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/buf.h"
#include "ctr/shim_proto.h"
#include "loop/loop.h"
#include "rpc/http.h"

enum { BUFFERED_MAX = 1 << 20 };

/* By a descriptor of the folder, since the path may be longer than sun_path. */
static int connect_to(const char *dir)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	_cleanup_close_ int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (at < 0 || fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/shim.sock", at);
	if (connect(fd, (void *)&addr, sizeof(addr)))
		return -errno;
	return steal_fd(fd);
}

static void send_frame(struct bufferevent *bev, int type, const void *p, size_t n)
{
	unsigned char head[SHIM_HEADER] = {type, 0, 0, 0, n >> 24, n >> 16, n >> 8, n};

	bufferevent_write(bev, head, sizeof(head));
	if (n)
		bufferevent_write(bev, p, n);
}

/* The next frame's header, once the whole frame is there. */
static bool next_frame(struct evbuffer *in, int *type, size_t *len)
{
	unsigned char head[SHIM_HEADER];

	if (evbuffer_copyout(in, head, sizeof(head)) != sizeof(head))
		return false;
	*type = head[0];
	*len = (size_t)head[4] << 24 | head[5] << 16 | head[6] << 8 | head[7];
	return evbuffer_get_length(in) >= SHIM_HEADER + *len;
}

struct shim_conn {
	struct bufferevent *bev;
	void (*exited)(int code, void *arg);
	void *arg;
};

static void watch_end(struct shim_conn *s, int code)
{
	void (*exited)(int code, void *arg) = s->exited;

	s->exited = NULL;
	if (exited)
		exited(code, s->arg);
}

static void watch_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	char text[16] = "";
	size_t len;
	int type;

	while (next_frame(in, &type, &len)) {
		evbuffer_drain(in, SHIM_HEADER);
		if (type == SHIM_EXIT) {
			evbuffer_remove(in, text, min(len, sizeof(text) - 1));
			watch_end(arg, atoi(text));
			return;
		}
		evbuffer_drain(in, len);
	}
}

static void watch_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)what;
	watch_end(arg, -1);
}

struct shim_conn *shim_connect(struct loop *loop, const char *dir,
			       void (*exited)(int code, void *arg), void *arg)
{
	int fd = connect_to(dir);
	struct shim_conn *s;

	if (fd < 0)
		return NULL;
	s = xcalloc(1, sizeof(*s));
	s->exited = exited;
	s->arg = arg;
	s->bev = bufferevent_socket_new(loop_base(loop), fd,
					BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	bufferevent_setcb(s->bev, watch_read, NULL, watch_event, s);
	bufferevent_enable(s->bev, EV_READ | EV_WRITE);
	return s;
}

void shim_close(struct shim_conn *s)
{
	if (!s)
		return;
	bufferevent_free(s->bev);
	free(s);
}

void shim_go(struct shim_conn *s)
{
	send_frame(s->bev, SHIM_GO, NULL, 0);
}

void shim_resize(struct shim_conn *s, unsigned int rows, unsigned int cols)
{
	unsigned char p[4] = {rows >> 8, rows, cols >> 8, cols};

	send_frame(s->bev, SHIM_RESIZE, p, sizeof(p));
}

/* --- streams --- */

/* Source: moby/term ascii.go. */
static int key_of(const char *name, size_t n)
{
	static const char after_z[] = "[\\]^_";
	const char *at;

	if (n == 1)
		return (unsigned char)*name;
	if (n != 6 || strncmp(name, "ctrl-", 5))
		return -EINVAL;
	if (name[5] == '@')
		return 0;
	if (name[5] >= 'a' && name[5] <= 'z')
		return name[5] - 'a' + 1;
	at = memchr(after_z, name[5], sizeof(after_z) - 1);
	return at ? 27 + (int)(at - after_z) : -EINVAL;
}

int detach_keys_parse(const char *spec, struct detach_keys *ret, struct err *err)
{
	struct detach_keys k = {0};

	for (const char *p = str_empty(spec) ? "ctrl-p,ctrl-q" : spec;; p++) {
		size_t n = strcspn(p, ",");
		int key = key_of(p, n);

		if (key < 0 || k.n == sizeof(k.v))
			return err_set(err, -EINVAL, "Invalid detach keys (%s) provided", spec);
		k.v[k.n++] = key;
		p += n;
		if (!*p)
			break;
	}
	*ret = k;
	return 0;
}

static void stream_free(struct stream *s)
{
	if (s->holder)
		*s->holder = NULL;
	list_del(&s->node);
	if (s->client)
		bufferevent_free(s->client);
	if (s->shim)
		bufferevent_free(s->shim);
	free(s);
}

static void client_written(struct bufferevent *bev, void *arg)
{
	struct stream *s = arg;

	if (s->ending && !evbuffer_get_length(bufferevent_get_output(bev))) {
		stream_free(s);
		return;
	}
	if (s->shim)
		bufferevent_enable(s->shim, EV_READ);
}

void stream_say(struct stream *s, int stream, const char *text)
{
	if (s->opt.tty)
		bufferevent_write(s->client, text, strlen(text));
	else
		send_frame(s->client, stream, text, strlen(text));
}

void stream_hold(struct stream *s, struct stream **holder)
{
	s->holder = holder;
	*holder = s;
}

void stream_release(struct stream *s)
{
	*s->holder = NULL;
	s->holder = NULL;
	if (s->over)
		stream_end(s);
}

void stream_end(struct stream *s)
{
	if (s->shim)
		bufferevent_free(steal_ptr(s->shim));
	s->over = true;
	if (s->holder)
		return;
	s->ending = true;
	bufferevent_disable(s->client, EV_READ);
	bufferevent_setwatermark(s->client, EV_WRITE, 0, 0);
	bufferevent_trigger(s->client, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
}

/*
 * The typed without the keys to leave by; what may be their beginning is held back. true: they are
 * complete.
 */
static bool take_keys(struct stream *s, const unsigned char *p, size_t n, struct buf *to)
{
	const struct detach_keys *k = &s->opt.keys;

	for (size_t i = 0; i < n; i++) {
		if (s->matched && p[i] != k->v[s->matched]) {
			buf_add(to, k->v, s->matched);
			s->matched = 0;
		}
		if (!k->n || p[i] != k->v[s->matched])
			buf_add(to, &p[i], 1);
		else if (++s->matched == k->n)
			return true;
	}
	return false;
}

static void leave(struct stream *s)
{
	struct evbuffer *typed = bufferevent_get_output(s->shim);

	/* what was typed before the keys goes ahead of the end */
	evbuffer_unfreeze(typed, 1);
	evbuffer_write(typed, bufferevent_getfd(s->shim));
	if (s->opt.detached)
		s->opt.detached(s->opt.arg, s->opt.id);
	if (s->holder)
		*s->holder = NULL;
	s->holder = NULL;
	stream_end(s);
}

static void client_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct stream *s = arg;
	unsigned char chunk[SHIM_FRAME_MAX - sizeof(s->opt.keys.v)];
	int n;

	if (!s->shim)
		return; /* it waits here until the container starts */
	while ((n = evbuffer_remove(in, chunk, sizeof(chunk))) > 0) {
		_cleanup_buf_ struct buf typed = BUF_INIT;
		bool leaves = take_keys(s, chunk, n, &typed);

		if (s->opt.in && typed.len)
			send_frame(s->shim, SHIM_STDIN, typed.data, typed.len);
		if (leaves) {
			leave(s);
			return;
		}
	}
	if (evbuffer_get_length(bufferevent_get_output(s->shim)) > BUFFERED_MAX)
		bufferevent_disable(bev, EV_READ);
}

static void client_event(struct bufferevent *bev, short what, void *arg)
{
	struct stream *s = arg;

	if (what & BEV_EVENT_EOF && what & BEV_EVENT_READING) {
		/* a half close: no more input, the output goes on */
		client_read(bev, s);
		if (s->shim && !s->in_eof)
			send_frame(s->shim, SHIM_STDIN_EOF, NULL, 0);
		s->in_eof = true;
		bufferevent_disable(bev, EV_READ);
		return;
	}
	stream_free(s);
}

static void shim_written(struct bufferevent *bev, void *arg)
{
	struct stream *s = arg;

	(void)bev;
	if (!s->in_eof)
		bufferevent_enable(s->client, EV_READ);
}

static void shim_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev), *out;
	struct stream *s = arg;
	size_t len;
	int type;

	out = bufferevent_get_output(s->client);
	while (next_frame(in, &type, &len)) {
		bool wanted = type == SHIM_STDOUT ? s->opt.out : type == SHIM_STDERR && s->opt.err;

		if (type == SHIM_EXIT) {
			stream_end(s);
			return;
		}
		if (!wanted) {
			evbuffer_drain(in, SHIM_HEADER + len);
			continue;
		}
		if (s->opt.tty) {
			evbuffer_drain(in, SHIM_HEADER);
			evbuffer_remove_buffer(in, out, len);
		} else {
			/* the frame is what Docker's multiplexed stream wants */
			evbuffer_remove_buffer(in, out, SHIM_HEADER + len);
		}
	}
	if (evbuffer_get_length(out) > BUFFERED_MAX)
		bufferevent_disable(bev, EV_READ);
}

static void shim_event(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	shim_read(bev, arg);
	if (!((struct stream *)arg)->over)
		stream_end(arg);
}

struct stream *stream_new(struct loop *loop, struct bufferevent *client,
			  const struct stream_options *opt)
{
	struct stream *s = xcalloc(1, sizeof(*s));

	list_init(&s->node);
	s->loop = loop;
	s->client = client;
	s->opt = *opt;
	bufferevent_setcb(client, client_read, client_written, client_event, s);
	bufferevent_setwatermark(client, EV_READ, 0, BUFFERED_MAX);
	bufferevent_enable(client, EV_READ | EV_WRITE);
	return s;
}

void stream_connect(struct stream *s, const char *dir)
{
	static const unsigned char attach[SHIM_HEADER] = {SHIM_ATTACH};
	int fd = connect_to(dir);

	list_del(&s->node);
	/* at once, not when the loop comes to it: the next connection may say "go" */
	if (fd >= 0 && send(fd, attach, sizeof(attach), MSG_NOSIGNAL) != sizeof(attach)) {
		close(fd);
		fd = -1;
	}
	if (fd < 0) {
		stream_end(s);
		return;
	}
	s->shim = bufferevent_socket_new(loop_base(s->loop), fd,
					 BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	bufferevent_setcb(s->shim, shim_read, shim_written, shim_event, s);
	bufferevent_setwatermark(s->shim, EV_READ, 0, BUFFERED_MAX);
	bufferevent_enable(s->shim, EV_READ | EV_WRITE);
	client_read(s->client, s);
	if (s->shim && s->in_eof)
		send_frame(s->shim, SHIM_STDIN_EOF, NULL, 0);
}
