// SPDX-License-Identifier: Apache-2.0
/* HTTP/2 connections: nghttp2 between a TLS bufferevent and the streams. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

#include "rpc/grpc_impl.h"

enum {
	STREAMS_STRANGER = 16, /* a client's, at a time */
	STREAM_WINDOW = 256 << 10,
	CONN_WINDOW = 1 << 20,
	HEADERS_MAX = 16 << 10, /* bytes of one header list */
	OUT_HIGH = 128 << 10, /* bytes of ciphertext kept ahead of the socket */
	WRITE_TIMEOUT_S = 20, /* for a peer that takes nothing */
	LAST_LOOK_MS = 50,
	NOISE_PERIOD_MS = 1000,
	NOISE_STRANGER = 200, /* resets, pings, settings in a period */
	NOISE_TRUSTED = 20000,
	BUFFERED_STRANGER = 256 << 10, /* bytes of unfinished messages */
};

struct h2_conn {
	struct loop *loop;
	struct bufferevent *bev;
	SSL *ssl; /* bev's */
	nghttp2_session *session;
	const struct h2_conn_ops *ops;
	void *owner; /* NULL: freed by it, or told */
	struct list_head streams, drained;
	size_t n_streams;
	struct timer deadline; /* of the handshake, then of an answer to a ping */
	struct timer kick;
	unsigned int depth; /* callbacks on the stack */
	bool server, ready, dead, kicked, last_look;
	char *why;
	size_t buffered_max, header_size;
	uint32_t streams_max;
	uint64_t noise_since_ms;
	unsigned int noise, noise_max;
};

static void settle(struct h2_conn *conn);
static void flush(struct h2_conn *conn);

void grpc_socket_setup(int fd)
{
	int on = 1, idle_s = 10, interval_s = 3, count = 3;
	unsigned int user_ms = 20000;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_ms, sizeof(user_ms));
}

static void enter(struct h2_conn *conn)
{
	conn->depth++;
}

static void leave(struct h2_conn *conn)
{
	if (!--conn->depth && conn->dead)
		settle(conn);
}

static void kill_conn(struct h2_conn *conn, const char *why)
{
	if (conn->dead)
		return;
	conn->dead = true;
	conn->why = xstrdup(why);
}

/* --- streams --- */

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
static void unbind(struct h2_stream *s)
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
		unbind(s);
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

static void kick(struct h2_conn *conn)
{
	if (conn->depth || conn->kicked || conn->dead)
		return;
	conn->kicked = true;
	timer_set(&conn->kick, 0);
}

static void leave_and_kick(struct h2_conn *conn)
{
	if (--conn->depth)
		return;
	if (conn->dead)
		settle(conn);
	else
		kick(conn);
}

static void resume(struct h2_stream *s)
{
	if (!s->conn || s->conn->dead)
		return;
	if (s->deferred) {
		s->deferred = false;
		nghttp2_session_resume_data(s->conn->session, s->id);
	}
	kick(s->conn);
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
	kick(conn);
	return 0;
}

void h2_stream_respond(struct h2_stream *s)
{
	nghttp2_nv nv[] = {nv_of(":status", "200"), nv_of("content-type", "application/grpc")};

	if (s->out_started || !s->conn)
		return;
	s->out_started = true;
	nghttp2_submit_response(s->conn->session, s->id, nv, ARRAY_SIZE(nv), &out_provider);
	kick(s->conn);
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
		kick(s->conn);
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
	kick(s->conn);
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
		kick(s->conn);
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
static void deliver(struct h2_stream *s)
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
	enter(conn);
	deliver(s);
	leave_and_kick(conn);
}

/* --- nghttp2's callbacks --- */

static bool noisy(struct h2_conn *conn)
{
	uint64_t now = loop_now_ms();

	if (now - conn->noise_since_ms > NOISE_PERIOD_MS) {
		conn->noise_since_ms = now;
		conn->noise = 0;
	}
	return ++conn->noise > conn->noise_max;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_conn *conn = user;
	struct h2_stream *s;

	conn->header_size = 0;
	if (!conn->server || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if (conn->dead)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	s = conn->ops->begin(conn, conn->owner);
	if (!s)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	s->id = frame->hd.stream_id;
	s->conn = conn;
	list_add_tail(&s->node, &conn->streams);
	conn->n_streams++;
	nghttp2_session_set_stream_user_data(session, s->id, s);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
		     void *user)
{
	struct h2_conn *conn = user;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void)flags;
	conn->header_size += name_size + value_size + 32; /* as RFC 9113 §6.5.2 counts */
	if (conn->header_size > HEADERS_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (!s || s->in_bad)
		return 0;
	if (s->ops->header(s, (const char *)name, name_size, (const char *)value, value_size))
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_conn *conn = user;
	struct h2_stream *s = NULL;
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	if (conn->dead)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	switch (frame->hd.type) {
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			timer_cancel(&conn->deadline);
		/* fall through */
	case NGHTTP2_RST_STREAM:
	case NGHTTP2_SETTINGS:
	case NGHTTP2_PRIORITY:
		if (noisy(conn)) {
			kill_conn(conn, "the peer sends too many control frames");
			return NGHTTP2_ERR_CALLBACK_FAILURE;
		}
		return 0;
	case NGHTTP2_GOAWAY:
		if (conn->owner)
			conn->ops->going(conn, conn->owner);
		return 0;
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		break;
	default:
		return 0;
	}
	s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!s)
		return 0;
	if (frame->hd.type == NGHTTP2_DATA && !frame->hd.length && !end && noisy(conn)) {
		kill_conn(conn, "the peer sends too many empty frames");
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	if (end)
		s->in_end = true;
	if (frame->hd.type == NGHTTP2_HEADERS) {
		s->ops->headers(s, end);
		/* the handler may have ended it */
		s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	}
	if (end && s)
		deliver(s);
	return 0;
}

static bool over_buffered(struct h2_conn *conn)
{
	struct h2_stream *s;
	size_t sum = 0;

	list_for_each (s, &conn->streams, node)
		sum += s->in.buf.len;
	return sum > conn->buffered_max;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
		   size_t size, void *user)
{
	struct h2_conn *conn = user;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

	(void)flags;
	if (conn->dead)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (!s || s->in_bad) {
		nghttp2_session_consume(session, id, size);
		return 0;
	}
	s->held += size;
	grpc_reader_feed(&s->in, data, size);
	deliver(s);
	s = nghttp2_session_get_stream_user_data(session, id);
	/* what is left is the beginning of a message: only then the sum can be large */
	if (s && s->in.buf.len > conn->buffered_max / 16 && over_buffered(conn)) {
		kill_conn(conn, "the peer sends too many large messages at a time");
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct h2_conn *conn = user;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

	if (!s)
		return 0;
	unbind(s);
	s->ops->closed(s, code, code ? nghttp2_http2_strerror(code) : "");
	if (conn->owner && !conn->dead)
		conn->ops->left(conn, conn->owner);
	return 0;
}

/* We have said our last word; a client that still sends shall stop (RFC 9113 §8.1). */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_conn *conn = user;

	if (conn->server && frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
	    (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    !nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id))
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
					  NGHTTP2_NO_ERROR);
	return 0;
}

static int start_session(struct h2_conn *conn)
{
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_MAX},
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, conn->streams_max},
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
	};
	int rc;

	if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&opt))
		abort();
	nghttp2_option_set_no_auto_window_update(opt, 1);
	nghttp2_option_set_no_closed_streams(opt, 1);
	nghttp2_option_set_max_send_header_block_length(opt, HEADERS_MAX * 4);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
	rc = conn->server ? nghttp2_session_server_new2(&conn->session, cb, conn, opt)
			  : nghttp2_session_client_new2(&conn->session, cb, conn, opt);
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(opt);
	if (rc)
		abort();
	nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings,
				conn->server ? ARRAY_SIZE(settings) - 1 : ARRAY_SIZE(settings));
	nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW);
	return 0;
}

/* --- between the session and the socket --- */

static bool tell_drained(struct h2_conn *conn)
{
	bool any = !list_empty(&conn->drained);

	while (!list_empty(&conn->drained)) {
		struct h2_stream *s = list_first(&conn->drained, struct h2_stream, drain_node);

		list_del(&s->drain_node);
		if (!h2_stream_unsent(s))
			s->ops->drained(s);
	}
	return any;
}

/* Frames to the socket, as many as it may have ahead. */
static void pump(struct h2_conn *conn, struct evbuffer *out)
{
	struct evbuffer *frames = evbuffer_new();

	while (evbuffer_get_length(out) + evbuffer_get_length(frames) < OUT_HIGH) {
		const uint8_t *data;
		ssize_t n = nghttp2_session_mem_send(conn->session, &data);

		if (n < 0)
			kill_conn(conn, nghttp2_strerror(n));
		if (n <= 0)
			break;
		evbuffer_add(frames, data, n);
	}
	if (evbuffer_get_length(frames))
		bufferevent_write_buffer(conn->bev, frames);
	evbuffer_free(frames);
}

static void flush(struct h2_conn *conn)
{
	struct evbuffer *out = bufferevent_get_output(conn->bev);

	do {
		if (!conn->session || conn->dead)
			return;
		pump(conn, out);
	} while (tell_drained(conn));
	if (!conn->dead && !nghttp2_session_want_read(conn->session) &&
	    !nghttp2_session_want_write(conn->session) && !evbuffer_get_length(out))
		kill_conn(conn, "the connection was ended by the HTTP/2 peer");
}

static void on_kick(void *arg)
{
	struct h2_conn *conn = arg;

	conn->kicked = false;
	enter(conn);
	flush(conn);
	leave(conn);
}

static void on_readable(struct bufferevent *bev, void *arg)
{
	struct h2_conn *conn = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t n;

	if (!conn->session)
		return;
	enter(conn);
	while (!conn->dead && (n = evbuffer_get_contiguous_space(in))) {
		ssize_t rc = nghttp2_session_mem_recv(conn->session, evbuffer_pullup(in, n), n);

		if (rc < 0 && !conn->dead) {
			flush(conn); /* says GOAWAY */
			kill_conn(conn, nghttp2_strerror(rc));
		}
		evbuffer_drain(in, n);
	}
	flush(conn);
	leave(conn);
}

static void on_writable(struct bufferevent *bev, void *arg)
{
	struct h2_conn *conn = arg;

	(void)bev;
	enter(conn);
	flush(conn);
	leave(conn);
}

static void on_connected(struct h2_conn *conn)
{
	const struct timeval write_timeout = {.tv_sec = WRITE_TIMEOUT_S};
	const uint8_t *alpn;
	unsigned int n;

	timer_cancel(&conn->deadline);
	grpc_socket_setup(bufferevent_getfd(conn->bev));
	SSL_get0_alpn_selected(conn->ssl, &alpn, &n);
	if (!conn->server && (n != 2 || memcmp(alpn, "h2", 2))) {
		kill_conn(conn, "the peer speaks no HTTP/2");
		return;
	}
	bufferevent_set_timeouts(conn->bev, NULL, &write_timeout);
	conn->ready = true;
	if (!conn->server)
		start_session(conn);
	if (conn->ops->ready(conn, conn->owner)) {
		kill_conn(conn, "refused");
		return;
	}
	if (conn->server)
		start_session(conn); /* with the limits that the peer deserves */
	flush(conn);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct h2_conn *conn = arg;
	struct err err = ERR_INIT;

	enter(conn);
	if (what & BEV_EVENT_CONNECTED) {
		if (!conn->ready && !conn->dead)
			on_connected(conn);
	} else if (what & BEV_EVENT_TIMEOUT) {
		kill_conn(conn, "the peer takes nothing any more");
	} else {
		int sock_err = EVUTIL_SOCKET_ERROR();
		unsigned long e = bufferevent_get_openssl_error(bev);

		if (what & BEV_EVENT_ERROR && sock_err && !e &&
		    SSL_get_verify_result(conn->ssl) == X509_V_OK) {
			kill_conn(conn, strerror(sock_err));
		} else if (!conn->ready) {
			tls_error(conn->ssl, &err, "the TLS handshake failed");
			kill_conn(conn, err.msg);
		} else {
			kill_conn(conn, "the connection was closed by the peer");
		}
	}
	leave(conn);
}

static void on_deadline(void *arg)
{
	struct h2_conn *conn = arg;

	/* if we were held up ourselves the answer may be waiting to be read */
	if (conn->ready && !conn->last_look) {
		conn->last_look = true;
		timer_set(&conn->deadline, LAST_LOOK_MS);
		return;
	}
	enter(conn);
	kill_conn(conn,
		  conn->ready ? "the peer does not answer" : "the connection was not made in time");
	leave(conn);
}

struct h2_conn *h2_conn_new(const struct h2_conn_options *opt, struct err *err)
{
	struct h2_conn *conn;
	struct bufferevent *bev = bufferevent_openssl_socket_new(
		loop_base(opt->loop), opt->fd, opt->ssl,
		opt->server ? BUFFEREVENT_SSL_ACCEPTING : BUFFEREVENT_SSL_CONNECTING,
		BEV_OPT_CLOSE_ON_FREE);

	if (!bev) {
		SSL_free(opt->ssl);
		if (opt->fd >= 0)
			close(opt->fd);
		err_set(err, -ENOMEM, "cannot set a connection up");
		return NULL;
	}
	conn = xcalloc(1, sizeof(*conn));
	conn->loop = opt->loop;
	conn->bev = bev;
	conn->ssl = opt->ssl;
	conn->ops = opt->ops;
	conn->owner = opt->owner;
	conn->server = opt->server;
	conn->buffered_max = BUFFERED_STRANGER;
	conn->streams_max = STREAMS_STRANGER;
	conn->noise_max = NOISE_STRANGER;
	list_init(&conn->streams);
	list_init(&conn->drained);
	timer_init(&conn->deadline, opt->loop, on_deadline, conn);
	timer_init(&conn->kick, opt->loop, on_kick, conn);
	timer_set(&conn->deadline, opt->handshake_timeout_ms);
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	bufferevent_setcb(bev, on_readable, on_writable, on_event, conn);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	if (!opt->server) {
		int rc;

		enter(conn); /* a failure at once comes through on_event() */
		rc = bufferevent_socket_connect(bev, (struct sockaddr *)opt->addr, opt->addr_size);
		conn->depth--;
		if (rc || conn->dead) {
			err_set(err, -EHOSTUNREACH, "%s", conn->dead ? conn->why : strerror(errno));
			h2_conn_free(conn, err ? err->msg : "");
			return NULL;
		}
	}
	return conn;
}

static void end_streams(struct h2_conn *conn, const char *why)
{
	while (!list_empty(&conn->streams)) {
		struct h2_stream *s = list_first(&conn->streams, struct h2_stream, node);

		nghttp2_session_set_stream_user_data(conn->session, s->id, NULL);
		unbind(s);
		s->ops->closed(s, H2_CONN_LOST, why);
	}
}

static void release(struct h2_conn *conn)
{
	timer_done(&conn->deadline);
	timer_done(&conn->kick);
	nghttp2_session_del(conn->session);
	bufferevent_free(conn->bev);
	free(conn->why);
	free(conn);
}

/* Dead, and nobody is below us on the stack. */
static void settle(struct h2_conn *conn)
{
	void *owner;

	conn->depth++; /* callbacks do not come back here */
	end_streams(conn, conn->why);
	owner = steal_ptr(conn->owner);
	if (owner)
		conn->ops->closed(conn, conn->why, owner);
	release(conn);
}

void h2_conn_free(struct h2_conn *conn, const char *why)
{
	if (!conn)
		return;
	conn->owner = NULL;
	if (!conn->dead && conn->session && !conn->depth) {
		nghttp2_session_terminate_session(conn->session, NGHTTP2_NO_ERROR);
		enter(conn);
		flush(conn);
		conn->depth--;
	}
	kill_conn(conn, why);
	conn->depth++;
	end_streams(conn, why);
	conn->depth--;
	if (!conn->depth)
		release(conn);
}

void h2_conn_fail(struct h2_conn *conn, const char *why)
{
	kill_conn(conn, why);
	if (!conn->depth && !conn->kicked) {
		conn->kicked = true;
		timer_set(&conn->kick, 0);
	}
}

void h2_conn_probe(struct h2_conn *conn, uint32_t timeout_ms)
{
	if (!conn->ready || conn->dead || timer_pending(&conn->deadline))
		return;
	conn->last_look = false;
	nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, NULL);
	timer_set(&conn->deadline, timeout_ms);
	kick(conn);
}

bool h2_conn_ready(const struct h2_conn *conn)
{
	return conn && conn->ready && !conn->dead;
}

size_t h2_conn_streams(const struct h2_conn *conn)
{
	return conn->n_streams;
}

SSL *h2_conn_ssl(struct h2_conn *conn)
{
	return conn->ssl;
}

void h2_conn_trust(struct h2_conn *conn, size_t buffered_max, uint32_t streams_max)
{
	conn->streams_max = streams_max;
	conn->noise_max = NOISE_TRUSTED;
	conn->buffered_max = buffered_max;
}
