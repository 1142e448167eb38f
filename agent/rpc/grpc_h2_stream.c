// SPDX-License-Identifier: Apache-2.0
/* The streams of HTTP/2 connections: messages out of and into windows. */
#include <errno.h>
#include <stdio.h>

#include <event2/buffer.h>

#include "rpc/grpc_h2_impl.h"

void h2_stream_init(struct h2_stream *s, const struct h2_stream_ops *ops, size_t receive_max)
{
	memset(s, 0, sizeof(*s));
	list_init(&s->node);
	list_init(&s->drain_node);
	s->ops = ops;
	s->out = evbuffer_new();
	if (!s->out)
		abort();
	grpc_reader_init(&s->in, receive_max);
}

/* Take it off its connection; the windows get back what it held. */
void h2_stream_unbind(struct h2_stream *s)
{
	struct h2_conn *conn = s->conn;

	if (!conn)
		return;
	if (s->held && conn->session)
		nghttp2_session_consume_connection(conn->session, s->held);
	s->held = 0;
	s->conn = NULL;
	list_del(&s->node);
	list_del(&s->drain_node);
	conn->n_streams--;
}

void h2_stream_done(struct h2_stream *s)
{
	struct h2_conn *conn = s->conn;

	if (conn) {
		nghttp2_session_set_stream_user_data(conn->session, s->id, NULL);
		if (!conn->dead)
			nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, s->id,
						  NGHTTP2_CANCEL);
		h2_stream_unbind(s);
		if (!conn->kicked && !conn->dead) {
			conn->kicked = true;
			timer_set(&conn->kick, 0);
		}
		if (conn->owner && !conn->dead)
			conn->ops->left(conn, conn->owner);
	}
	if (s->gone)
		*s->gone = true;
	s->gone = NULL;
	if (s->out)
		evbuffer_free(s->out);
	s->out = NULL;
	grpc_reader_done(&s->in);
	free(s->status_text);
	s->status_text = NULL;
}

static void resume(struct h2_stream *s)
{
	if (!s->conn || s->conn->dead)
		return;
	if (s->deferred) {
		s->deferred = false;
		nghttp2_session_resume_data(s->conn->session, s->id);
	}
	h2_conn_kick(s->conn);
}

static nghttp2_nv nv_of(const char *name, const char *value)
{
	return (nghttp2_nv){
		.name = (uint8_t *)name,
		.value = (uint8_t *)value,
		.namelen = strlen(name),
		.valuelen = strlen(value),
	};
}

/* The trailers: what the call came to. Also the whole answer where nothing was sent before. */
static int submit_status(struct h2_stream *s, bool only)
{
	_cleanup_free_ char *text = grpc_message_encode(s->status_text ? s->status_text : "");
	char code[12];
	nghttp2_nv nv[4];
	size_t n = 0;

	snprintf(code, sizeof(code), "%d", s->status);
	if (only) {
		nv[n++] = nv_of(":status", "200");
		nv[n++] = nv_of("content-type", "application/grpc");
	}
	nv[n++] = nv_of("grpc-status", code);
	if (*text)
		nv[n++] = nv_of("grpc-message", text);
	if (only)
		return nghttp2_submit_response(s->conn->session, s->id, nv, n, NULL);
	return nghttp2_submit_trailer(s->conn->session, s->id, nv, n);
}

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *buf, size_t size,
			uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	struct h2_conn *conn = user;
	int n;

	(void)source;
	if (!s)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	n = evbuffer_remove(s->out, buf, size);
	if (n < 0)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (evbuffer_get_length(s->out))
		return n;
	if (n && s->ops->drained && list_empty(&s->drain_node))
		list_add_tail(&s->drain_node, &conn->drained);
	if (s->out_end) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (s->has_status) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			submit_status(s, false);
		}
		return n;
	}
	if (!n) {
		s->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return n;
}

static const nghttp2_data_provider out_provider = {.read_callback = read_out};

int h2_stream_request(struct h2_stream *s, struct h2_conn *conn, const struct h2_header *headers,
		      size_t n)
{
	_cleanup_free_ nghttp2_nv *nv = xcalloc(n, sizeof(*nv));
	int32_t id;

	for (size_t i = 0; i < n; i++)
		nv[i] = nv_of(headers[i].name, headers[i].value);
	id = nghttp2_submit_request(conn->session, NULL, nv, n, &out_provider, s);
	if (id < 0)
		return -EAGAIN; /* stream IDs used up: a new connection is needed */
	s->id = id;
	s->conn = conn;
	s->out_started = true;
	list_add_tail(&s->node, &conn->streams);
	conn->n_streams++;
	h2_conn_kick(conn);
	return 0;
}

void h2_stream_respond(struct h2_stream *s)
{
	nghttp2_nv nv[] = {nv_of(":status", "200"), nv_of("content-type", "application/grpc")};

	if (s->out_started || !s->conn)
		return;
	s->out_started = true;
	nghttp2_submit_response(s->conn->session, s->id, nv, ARRAY_SIZE(nv), &out_provider);
	h2_conn_kick(s->conn);
}

void h2_stream_status(struct h2_stream *s, enum grpc_status status, const char *text)
{
	if (s->has_status)
		return;
	s->has_status = true;
	s->out_end = true;
	s->status = status;
	s->status_text = xstrdup(text);
	if (!s->conn)
		return;
	if (!s->out_started && !evbuffer_get_length(s->out)) {
		s->out_started = true;
		submit_status(s, true);
		h2_conn_kick(s->conn);
		return;
	}
	h2_stream_respond(s);
	resume(s);
}

void h2_stream_http_error(struct h2_stream *s, const char *code)
{
	nghttp2_nv nv[] = {nv_of(":status", code)};

	s->has_status = true;
	s->out_end = true;
	if (!s->conn || s->out_started)
		return;
	s->out_started = true;
	nghttp2_submit_response(s->conn->session, s->id, nv, ARRAY_SIZE(nv), NULL);
	h2_conn_kick(s->conn);
}

void h2_stream_write(struct h2_stream *s, const ProtobufCMessage *msg)
{
	if (s->out_end)
		return;
	grpc_frame_add(s->out, msg);
	resume(s);
}

void h2_stream_write_raw(struct h2_stream *s, const void *data, size_t size)
{
	if (s->out_end)
		return;
	grpc_frame_add_raw(s->out, data, size);
	resume(s);
}

void h2_stream_end(struct h2_stream *s)
{
	if (s->out_end)
		return;
	s->out_end = true;
	resume(s);
}

size_t h2_stream_unsent(const struct h2_stream *s)
{
	return s->out ? evbuffer_get_length(s->out) : 0;
}

static void bad(struct h2_stream *s, enum grpc_status status, const char *text)
{
	s->in_bad = true;
	grpc_reader_done(&s->in);
	s->ops->bad(s, status, text);
}

static void give_back(struct h2_stream *s)
{
	if (s->held && s->conn && !s->conn->dead) {
		nghttp2_session_consume(s->conn->session, s->id, s->held);
		s->held = 0;
		h2_conn_kick(s->conn);
	}
}

static void deliver_end(struct h2_stream *s)
{
	s->in_end_told = true;
	if (grpc_reader_empty(&s->in))
		s->ops->end(s);
	else
		bad(s, GRPC_INTERNAL, "grpc: the stream ended within a message");
}

/* Hand out the messages that are complete. Handlers may do anything, also free the stream. */
void h2_stream_deliver(struct h2_stream *s)
{
	bool gone = false;
	const void *data;
	size_t size;
	int rc = 0;

	if (s->gone)
		return; /* called from a handler; the loop below goes on */
	s->gone = &gone;
	while (s->conn && !s->paused && !s->in_bad) {
		rc = grpc_reader_next(&s->in, &data, &size);
		if (rc <= 0)
			break;
		s->ops->message(s, data, size);
		if (gone)
			return;
	}
	if (s->conn && !s->in_bad && rc < 0) {
		if (rc == -EMSGSIZE)
			bad(s, GRPC_RESOURCE_EXHAUSTED, "grpc: received message larger than max");
		else
			bad(s, GRPC_UNIMPLEMENTED, "grpc: compressed messages are not supported");
		if (gone)
			return;
	}
	if (s->conn && !s->paused) {
		give_back(s);
		if (s->in_end && !s->in_end_told && !s->in_bad)
			deliver_end(s);
		if (gone)
			return;
	}
	s->gone = NULL;
}

bool h2_stream_rest(struct h2_stream *s)
{
	bool gone = false;
	const void *data;
	size_t size;

	if (s->gone || s->in_bad)
		return true;
	s->gone = &gone;
	while (grpc_reader_next(&s->in, &data, &size) > 0) {
		s->ops->message(s, data, size);
		if (gone)
			return false;
	}
	s->gone = NULL;
	return true;
}

void h2_stream_pause(struct h2_stream *s, bool pause)
{
	struct h2_conn *conn = s->conn;

	if (s->paused == pause)
		return;
	s->paused = pause;
	if (pause || !conn)
		return;
	h2_conn_enter(conn);
	h2_stream_deliver(s);
	h2_conn_leave_and_kick(conn);
}
