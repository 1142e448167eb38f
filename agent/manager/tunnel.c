// SPDX-License-Identifier: Apache-2.0
#include "manager/tunnel.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <jansson.h>
#include <sys/socket.h>

#include "loop/loop.h"
#include "rpc/grpc.h"
#include "rpc/http.h"
#include "wire/tunnel.pb-c.h"

static const char path[] = "/swarmagent.v1.Tunnel/Connect";

enum { CHUNK_MAX = 64 << 10, UNSENT_MAX = 1 << 20 };

struct tunnel_server {
	struct loop *loop;
	bool (*leads)(void *arg);
	void (*fn)(int fd, void *arg);
	void *arg;
};

/* One end: a local socket on one side, a stream of messages on the other. */
struct tunnel {
	struct bufferevent *local;
	struct grpc_call *call; /* server */
	struct grpc_stream *stream; /* client */
	bool local_ended, remote_ended;
	bool answered; /* something came from the other end */
};

static int local_pair(struct loop *loop, struct tunnel *t, int *ret_fd)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
		return -errno;
	t->local = bufferevent_socket_new(loop_base(loop), fds[0],
					  BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	*ret_fd = fds[1];
	return 0;
}

static void tunnel_free(struct tunnel *t)
{
	bufferevent_free(t->local);
	free(t);
}

/* Everything ends with the first error, or when both directions have. */
static void tunnel_end(struct tunnel *t)
{
	if (t->call) {
		grpc_call_set_data(t->call, NULL);
		grpc_finish(t->call, GRPC_OK, NULL);
	}
	if (t->stream)
		grpc_stream_cancel(t->stream);
	tunnel_free(t);
}

static size_t unsent(const struct tunnel *t)
{
	return t->call ? grpc_call_unsent(t->call) : grpc_stream_unsent(t->stream);
}

static void on_local_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct tunnel *t = arg;
	size_t len;

	while ((len = min(evbuffer_get_length(in), (size_t)CHUNK_MAX))) {
		Tunnel__Bytes msg = TUNNEL__BYTES__INIT;

		msg.data.data = evbuffer_pullup(in, len);
		msg.data.len = len;
		if (t->call)
			grpc_send(t->call, &msg);
		else
			grpc_stream_send(t->stream, &msg);
		evbuffer_drain(in, len);
	}
	if (unsent(t) > UNSENT_MAX)
		bufferevent_disable(bev, EV_READ);
}

static void remote_drained(struct tunnel *t)
{
	if (!t->local_ended)
		bufferevent_enable(t->local, EV_READ);
}

static void pause_remote(struct tunnel *t, bool pause)
{
	if (t->call)
		grpc_call_pause(t->call, pause);
	else
		grpc_stream_pause(t->stream, pause);
}

static void on_local_write(struct bufferevent *bev, void *arg)
{
	struct tunnel *t = arg;

	(void)bev;
	pause_remote(t, false);
}

static void on_local_event(struct bufferevent *bev, short what, void *arg)
{
	struct tunnel *t = arg;

	if (!(what & BEV_EVENT_EOF)) {
		tunnel_end(t);
		return;
	}
	on_local_read(bev, t);
	t->local_ended = true;
	if (t->call || t->remote_ended)
		tunnel_end(t); /* the server's reply is complete */
	else
		grpc_stream_end(t->stream);
}

static void from_remote(struct tunnel *t, const Tunnel__Bytes *msg)
{
	t->answered = t->answered || msg->data.len;
	bufferevent_write(t->local, msg->data.data, msg->data.len);
	if (evbuffer_get_length(bufferevent_get_output(t->local)) > UNSENT_MAX)
		pause_remote(t, true);
}

static void start(struct tunnel *t)
{
	bufferevent_setcb(t->local, on_local_read, on_local_write, on_local_event, t);
	bufferevent_enable(t->local, EV_READ | EV_WRITE);
}

static void call_closed(struct grpc_call *call, void *arg)
{
	(void)call;
	tunnel_end(arg);
}

static void call_drained(struct grpc_call *call, void *arg)
{
	(void)call;
	remote_drained(arg);
}

static void on_call(struct grpc_call *call, const void *request, void *arg)
{
	struct tunnel_server *server = arg;
	struct tunnel *t = grpc_call_data(call);
	int fd;

	if (!t) {
		if (!server->leads(server->arg)) {
			grpc_finish(call, GRPC_FAILED_PRECONDITION,
				    "this manager does not lead the swarm");
			return;
		}
		t = xcalloc(1, sizeof(*t));
		if (local_pair(server->loop, t, &fd)) {
			free(t);
			grpc_finish(call, GRPC_RESOURCE_EXHAUSTED, "no socket can be made");
			return;
		}
		t->call = call;
		grpc_call_set_data(call, t);
		grpc_call_on_close(call, call_closed, t);
		grpc_call_on_drain(call, call_drained, t);
		start(t);
		server->fn(fd, server->arg);
	}
	if (request) {
		from_remote(t, request);
		return;
	}
	t->remote_ended = true;
	http_hijack_shutdown(t->local);
}

static const struct grpc_method methods[] = {
	{path, GRPC_BIDI_STREAM, &tunnel__bytes__descriptor, GRPC_MANAGER, false, on_call},
};

struct tunnel_server *tunnel_server_new(struct loop *loop, struct grpc_server *grpc,
					bool (*leads)(void *arg), void (*fn)(int fd, void *arg),
					void *arg)
{
	struct tunnel_server *t = xcalloc(1, sizeof(*t));

	*t = (struct tunnel_server){.loop = loop, .leads = leads, .fn = fn, .arg = arg};
	grpc_server_add(grpc, methods, ARRAY_SIZE(methods), t);
	return t;
}

void tunnel_server_free(struct tunnel_server *t)
{
	free(t);
}

/* The stream is over; what it brought is still being written. */
static void on_last_write(struct bufferevent *bev, void *arg)
{
	(void)bev;
	tunnel_free(arg);
}

static void on_last_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)what;
	tunnel_free(arg);
}

static void stream_message(struct grpc_stream *s, const void *msg, void *arg)
{
	(void)s;
	from_remote(arg, msg);
}

/* The leader never answered: the client gets a reply with the reason all the same. */
static void refuse(struct tunnel *t, enum grpc_status status, const char *text)
{
	_cleanup_free_ char *why = NULL, *body = NULL;
	json_t *msg;

	if (status == GRPC_UNIMPLEMENTED)
		why = xstrdup(
			"the leader of the swarm is a manager of another kind: ask it, or one of "
			"its kind");
	else
		why = xasprintf("the leader of the swarm does not answer: %s",
				str_empty(text) ? grpc_status_name(status) : text);
	msg = json_pack("{s:s}", "message", why);
	body = msg ? json_dumps(msg, JSON_COMPACT) : NULL;
	json_decref(msg);
	if (!body)
		return;
	evbuffer_add_printf(bufferevent_get_output(t->local),
			    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
			    "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
			    strlen(body), body);
}

static void stream_closed(struct grpc_stream *s, enum grpc_status status, const char *text,
			  void *arg)
{
	struct tunnel *t = arg;

	(void)s;
	t->stream = NULL;
	t->remote_ended = true;
	if (status != GRPC_OK && !t->answered)
		refuse(t, status, text);
	bufferevent_disable(t->local, EV_READ);
	bufferevent_setcb(t->local, NULL, on_last_write, on_last_event, t);
	if (!evbuffer_get_length(bufferevent_get_output(t->local)))
		tunnel_free(t);
}

static void stream_drained(struct grpc_stream *s, void *arg)
{
	(void)s;
	remote_drained(arg);
}

static const struct grpc_stream_ops stream_ops = {stream_message, stream_closed, stream_drained};

int tunnel_connect(struct loop *loop, struct grpc_channel *channel, int *ret_fd, struct err *err)
{
	struct tunnel *t = xcalloc(1, sizeof(*t));
	Tunnel__Bytes nothing = TUNNEL__BYTES__INIT;
	int rc = local_pair(loop, t, ret_fd);

	if (rc) {
		free(t);
		return err_errno(err, rc, "cannot make a connection to the leader");
	}
	t->stream = grpc_stream_open(channel, path, &tunnel__bytes__descriptor, &stream_ops, t, 0,
				     NULL);
	grpc_stream_send(t->stream, &nothing);
	start(t);
	return 0;
}
