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

#include "rpc/grpc_h2_impl.h"

enum {
	STREAMS_STRANGER = 16, /* a client's, at a time */
	STREAM_WINDOW = 256 << 10,
	CONN_WINDOW = 1 << 20,
	HEADERS_MAX = 16 << 10, /* bytes of one header list */
	OUT_HIGH = 128 << 10, /* bytes of ciphertext kept ahead of the socket */
	WRITE_TIMEOUT_S = 20, /* for a peer that takes nothing */
	SILENT_MS = 3000, /* without an acknowledgement of the peer's kernel */
	LAST_LOOK_MS = 50,
	NOISE_PERIOD_MS = 1000,
	NOISE_STRANGER = 200, /* resets, pings, settings in a period */
	NOISE_TRUSTED = 20000,
	BUFFERED_STRANGER = 256 << 10, /* bytes of unfinished messages */
};

static void settle(struct h2_conn *conn);
static void flush(struct h2_conn *conn);

void grpc_socket_setup(int fd)
{
	/* the kernels see to it, however busy the processes are; SILENT_MS overrides the count */
	int on = 1, idle_s = 1, interval_s = 1, count = 3;
	unsigned int user_ms = SILENT_MS;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_ms, sizeof(user_ms));
}

void h2_conn_enter(struct h2_conn *conn)
{
	conn->depth++;
}

static void h2_conn_leave(struct h2_conn *conn)
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

void h2_conn_kick(struct h2_conn *conn)
{
	if (conn->depth || conn->kicked || conn->dead)
		return;
	conn->kicked = true;
	timer_set(&conn->kick, 0);
}

void h2_conn_leave_and_kick(struct h2_conn *conn)
{
	if (--conn->depth)
		return;
	if (conn->dead)
		settle(conn);
	else
		h2_conn_kick(conn);
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
		h2_stream_deliver(s);
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
	h2_stream_deliver(s);
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
	h2_stream_unbind(s);
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
	h2_conn_enter(conn);
	flush(conn);
	h2_conn_leave(conn);
}

static void on_readable(struct bufferevent *bev, void *arg)
{
	struct h2_conn *conn = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t n;

	if (!conn->session)
		return;
	h2_conn_enter(conn);
	while (!conn->dead && (n = evbuffer_get_contiguous_space(in))) {
		ssize_t rc = nghttp2_session_mem_recv(conn->session, evbuffer_pullup(in, n), n);

		if (rc < 0 && !conn->dead) {
			flush(conn); /* says GOAWAY */
			kill_conn(conn, nghttp2_strerror(rc));
		}
		evbuffer_drain(in, n);
	}
	flush(conn);
	h2_conn_leave(conn);
}

static void on_writable(struct bufferevent *bev, void *arg)
{
	struct h2_conn *conn = arg;

	(void)bev;
	h2_conn_enter(conn);
	flush(conn);
	h2_conn_leave(conn);
}

static void on_connected(struct h2_conn *conn)
{
	const struct timeval write_timeout = {.tv_sec = WRITE_TIMEOUT_S};
	const uint8_t *alpn;
	unsigned int n;

	timer_cancel(&conn->deadline);
	grpc_socket_setup(bufferevent_getfd(conn->bev));
	SSL_get0_alpn_selected(conn->ssl, &alpn, &n);
	/* swarmkit's managers choose none once they have renewed their certificate */
	if (!conn->server && n && (n != 2 || memcmp(alpn, "h2", 2))) {
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

/* The kernel gave the connection up for want of acknowledgements, rather than on the peer's word. */
static bool is_silent(struct h2_conn *conn)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	return conn->ready &&
	       !getsockopt(bufferevent_getfd(conn->bev), IPPROTO_TCP, TCP_INFO, &info, &size) &&
	       info.tcpi_last_ack_recv >= SILENT_MS * 3 / 4;
}

/* libevent shows a connection that is refused or broken off as the end of the stream. */
static void why_closed(struct h2_conn *conn, short what, int sock_err)
{
	unsigned long e = bufferevent_get_openssl_error(conn->bev);
	/* libevent gives SSL_get_error()'s answer where OpenSSL's queue is empty */
	bool tls = (e && e != SSL_ERROR_SYSCALL) || SSL_get_verify_result(conn->ssl) != X509_V_OK;
	bool told = sock_err && sock_err != EAGAIN && sock_err != EINPROGRESS;
	struct err err = ERR_INIT;

	conn->silent = is_silent(conn);
	if (conn->silent) {
		kill_conn(conn, "the peer's machine does not answer");
	} else if (told && !tls && (what & BEV_EVENT_ERROR || !conn->ready)) {
		kill_conn(conn, strerror(sock_err));
	} else if (!conn->ready) {
		tls_error(conn->ssl, &err, "the TLS handshake failed");
		kill_conn(conn, err.msg);
	} else {
		kill_conn(conn, "the connection was closed by the peer");
	}
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct h2_conn *conn = arg;

	(void)bev;
	h2_conn_enter(conn);
	if (what & BEV_EVENT_CONNECTED) {
		if (!conn->ready && !conn->dead)
			on_connected(conn);
	} else if (what & BEV_EVENT_TIMEOUT) {
		kill_conn(conn, "the peer takes nothing any more");
	} else {
		why_closed(conn, what, EVUTIL_SOCKET_ERROR());
	}
	h2_conn_leave(conn);
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
	h2_conn_enter(conn);
	conn->silent = conn->ready;
	kill_conn(conn,
		  conn->ready ? "the peer does not answer" : "the connection was not made in time");
	h2_conn_leave(conn);
}

/*
 * Begin to connect. Not left to libevent, whose sockets programs that are started inherit: a
 * container's monitor would keep the connection open for good.
 */
static int begin_connect(const struct sockaddr *addr, socklen_t size)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	if (!connect(fd, addr, size) || errno == EINPROGRESS)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

struct h2_conn *h2_conn_new(const struct h2_conn_options *opt, struct err *err)
{
	int fd = opt->server ? opt->fd : begin_connect(opt->addr, opt->addr_size);
	struct bufferevent *bev;
	struct h2_conn *conn;

	if (fd < 0) {
		SSL_free(opt->ssl);
		err_set(err, -EHOSTUNREACH, "%s", strerror(-fd));
		return NULL;
	}
	bev = bufferevent_openssl_socket_new(loop_base(opt->loop), fd, opt->ssl,
					     opt->server ? BUFFEREVENT_SSL_ACCEPTING
							 : BUFFEREVENT_SSL_CONNECTING,
					     BEV_OPT_CLOSE_ON_FREE);
	if (!bev) {
		SSL_free(opt->ssl);
		close(fd);
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
	return conn;
}

static void end_streams(struct h2_conn *conn, const char *why)
{
	while (!list_empty(&conn->streams)) {
		struct h2_stream *s = list_first(&conn->streams, struct h2_stream, node);

		nghttp2_session_set_stream_user_data(conn->session, s->id, NULL);
		h2_stream_unbind(s);
		s->ops->closed(s, conn->silent ? H2_CONN_SILENT : H2_CONN_LOST, why);
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
		h2_conn_enter(conn);
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
	h2_conn_kick(conn);
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
