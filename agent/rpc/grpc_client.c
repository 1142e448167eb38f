// SPDX-License-Identifier: Apache-2.0
/* Calls to a server. */
#include <errno.h>
#include <stdio.h>

#include <nghttp2/nghttp2.h>

#include "rpc/grpc_client_impl.h"
#include "wire/pb.h"

enum { METADATA_MAX = 16 };

static struct grpc_stream *stream_of(struct h2_stream *s)
{
	return container_of(s, struct grpc_stream, s);
}

static void free_metadata(struct grpc_stream *s)
{
	for (char **p = s->metadata; p && *p; p++)
		free(*p);
	free(s->metadata);
	s->metadata = NULL;
}

static void stream_free(struct grpc_stream *s)
{
	list_del(&s->node);
	list_del(&s->wait_node);
	h2_stream_done(&s->s);
	timer_done(&s->timeout);
	free_metadata(s);
	pb_free(s->answer);
	free(s->path);
	free(s->text);
	free(s);
}

/*
 * The owner is told while the object still exists but is out of every list, so that it may drop
 * the channel or start anew.
 */
void stream_finish(struct grpc_stream *s, enum grpc_status status, const char *text)
{
	_cleanup_free_ char *why = xstrdup(text ? text : "");

	if (s->ended)
		return;
	s->ended = true;
	list_del(&s->node);
	list_del(&s->wait_node);
	timer_cancel(&s->timeout);
	if (s->done) {
		if (status == GRPC_OK && !s->answer) {
			status = GRPC_INTERNAL;
			free(why);
			why = xstrdup("the server has sent no reply");
		}
		s->done(status, why, status == GRPC_OK ? s->answer : NULL, s->arg);
	} else if (s->raw) {
		s->raw->closed(s, status, why, s->arg);
	} else {
		s->ops->closed(s, status, why, s->arg);
	}
	stream_free(s);
}

static void on_timeout(void *arg)
{
	stream_finish(arg, GRPC_DEADLINE_EXCEEDED, GRPC_SAYS_DEADLINE);
}

static int on_header(struct h2_stream *h2, const char *name, size_t name_size, const char *value,
		     size_t value_size)
{
	struct grpc_stream *s = stream_of(h2);

	if (h2_is(name, name_size, ":status")) {
		snprintf(s->http, sizeof(s->http), "%.*s", (int)min(value_size, (size_t)3), value);
	} else if (h2_is(name, name_size, "grpc-status")) {
		char digits[4];
		uint64_t n;

		snprintf(digits, sizeof(digits), "%.*s", (int)min(value_size, (size_t)3), value);
		s->status = parse_u64(digits, 0, GRPC_UNAUTHENTICATED, &n) ? GRPC_UNKNOWN : (int)n;
	} else if (h2_is(name, name_size, "grpc-message")) {
		free(s->text);
		s->text = grpc_message_decode(value, value_size);
	}
	return 0;
}

static void on_headers(struct h2_stream *h2, bool end)
{
	struct grpc_stream *s = stream_of(h2);

	(void)end;
	if (s->http[0] && !streq(s->http, "200") && s->status < 0 && s->http[0] != '1') {
		_cleanup_free_ char *text = xasprintf("unexpected HTTP status %s", s->http);

		stream_finish(s, streq(s->http, "404") ? GRPC_UNIMPLEMENTED : GRPC_UNAVAILABLE,
			      text);
	}
}

static void on_message(struct h2_stream *h2, const void *data, size_t size)
{
	struct grpc_stream *s = stream_of(h2);
	_cleanup_pb_ void *msg = NULL;

	if (s->ended)
		return;
	if (s->raw) {
		s->raw->message(s, data, size, s->arg);
		return;
	}
	msg = pb_unpack_desc(s->reply, data, size);
	if (!msg) {
		stream_finish(s, GRPC_INTERNAL, GRPC_SAYS_UNMARSHAL);
		return;
	}
	if (s->done) {
		pb_free(s->answer);
		s->answer = steal_ptr(msg);
	} else if (s->ops->message) {
		s->ops->message(s, msg, s->arg);
	}
}

static void on_end(struct h2_stream *h2)
{
	(void)h2; /* the status comes with the stream's end */
}

static void on_bad(struct h2_stream *h2, enum grpc_status status, const char *text)
{
	stream_finish(stream_of(h2), status, text);
}

static void on_drained(struct h2_stream *h2)
{
	struct grpc_stream *s = stream_of(h2);

	if (s->ended)
		return;
	if (s->raw)
		s->raw->drained(s, s->arg);
	else if (s->ops && s->ops->drained)
		s->ops->drained(s, s->arg);
}

static void on_closed(struct h2_stream *h2, uint32_t h2_error, const char *why)
{
	struct grpc_stream *s = stream_of(h2);

	if (s->ended || !h2_stream_rest(h2))
		return;
	if (s->status >= 0) {
		stream_finish(s, s->status, s->text);
	} else if (h2_error == H2_CONN_LOST || h2_error == H2_CONN_SILENT ||
		   h2_error == NGHTTP2_REFUSED_STREAM) {
		_cleanup_free_ char *text = xasprintf("connection error: %s: %s", s->ch->addr, why);

		stream_finish(s, GRPC_UNAVAILABLE, text);
	} else if (h2_error == NGHTTP2_CANCEL) {
		stream_finish(s, GRPC_CANCELLED, "the server has cancelled the call");
	} else if (h2_error) {
		stream_finish(s, GRPC_INTERNAL, why);
	} else {
		stream_finish(s, GRPC_INTERNAL, "the server has ended the call without a status");
	}
}

static const struct h2_stream_ops h2_ops = {
	.header = on_header,
	.headers = on_headers,
	.message = on_message,
	.end = on_end,
	.bad = on_bad,
	.drained = on_drained,
	.closed = on_closed,
};

int stream_bind(struct grpc_stream *s, struct h2_conn *conn)
{
	struct h2_header h[8 + METADATA_MAX] = {
		{":method", "POST"},
		{":scheme", "https"},
		{":path", s->path},
		{":authority", s->ch->server_name ? s->ch->server_name : s->ch->addr},
		{"te", "trailers"},
		{"content-type", "application/grpc"},
		{"user-agent", "swarm-agent/" SWARM_VERSION},
	};
	size_t n = 7;
	char timeout[16];
	int rc;

	if (s->deadline_ms) {
		uint64_t now = loop_now_ms();
		uint64_t left = s->deadline_ms > now ? s->deadline_ms - now : 1;

		snprintf(timeout, sizeof(timeout), "%um",
			 (unsigned int)min(left, (uint64_t)99999999));
		h[n++] = (struct h2_header){"grpc-timeout", timeout};
	}
	for (char **p = s->metadata; p && *p && n < ARRAY_SIZE(h); p += 2)
		h[n++] = (struct h2_header){p[0], p[1]};
	rc = h2_stream_request(&s->s, conn, h, n);
	if (!rc)
		free_metadata(s);
	return rc;
}

static struct grpc_stream *stream_new(struct grpc_channel *ch, const char *path, void *arg,
				      uint32_t timeout_ms, grpc_metadata metadata)
{
	struct grpc_stream *s = xcalloc(1, sizeof(*s));
	size_t n = 0;

	h2_stream_init(&s->s, &h2_ops, ch->receive_max);
	s->ch = ch;
	s->path = xstrdup(path);
	s->arg = arg;
	s->status = -1;
	list_init(&s->wait_node);
	list_add_tail(&s->node, &ch->streams);
	while (metadata && metadata[n])
		n++;
	assert(n % 2 == 0 && n <= 2 * METADATA_MAX);
	if (n) {
		s->metadata = xcalloc(n + 1, sizeof(*s->metadata));
		for (size_t i = 0; i < n; i++)
			s->metadata[i] = xstrdup(metadata[i]);
	}
	if (timeout_ms) {
		s->deadline_ms = loop_now_ms() + timeout_ms;
		timer_init(&s->timeout, ch->loop, on_timeout, s);
		timer_set(&s->timeout, timeout_ms);
	}
	return s;
}

struct grpc_stream *grpc_unary(struct grpc_channel *ch, const char *path, const void *request,
			       const ProtobufCMessageDescriptor *reply, uint32_t timeout_ms,
			       grpc_done done, void *arg)
{
	struct grpc_stream *s = stream_new(ch, path, arg, timeout_ms, NULL);

	s->done = done;
	s->reply = reply;
	h2_stream_write(&s->s, request);
	h2_stream_end(&s->s);
	channel_submit(ch, s);
	return s;
}

struct grpc_stream *grpc_stream_open(struct grpc_channel *ch, const char *path,
				     const ProtobufCMessageDescriptor *reply,
				     const struct grpc_stream_ops *ops, void *arg,
				     uint32_t timeout_ms, grpc_metadata metadata)
{
	struct grpc_stream *s = stream_new(ch, path, arg, timeout_ms, metadata);

	s->reply = reply;
	s->ops = ops;
	channel_submit(ch, s);
	return s;
}

struct grpc_stream *grpc_stream_open_raw(struct grpc_channel *ch, const char *path,
					 const struct grpc_raw_ops *ops, void *arg,
					 uint32_t timeout_ms, grpc_metadata metadata)
{
	struct grpc_stream *s = stream_new(ch, path, arg, timeout_ms, metadata);

	s->raw = ops;
	channel_submit(ch, s);
	return s;
}

void grpc_stream_send(struct grpc_stream *s, const void *msg)
{
	h2_stream_write(&s->s, msg);
}

void grpc_stream_send_raw(struct grpc_stream *s, const void *data, size_t size)
{
	h2_stream_write_raw(&s->s, data, size);
}

void grpc_stream_end(struct grpc_stream *s)
{
	h2_stream_end(&s->s);
}

void grpc_stream_cancel(struct grpc_stream *s)
{
	if (!s || s->ended)
		return; /* stream_finish() is above us and frees it */
	s->ended = true;
	stream_free(s);
}

size_t grpc_stream_unsent(const struct grpc_stream *s)
{
	return h2_stream_unsent(&s->s);
}

void grpc_stream_pause(struct grpc_stream *s, bool pause)
{
	h2_stream_pause(&s->s, pause);
}
