// SPDX-License-Identifier: Apache-2.0
#include "rpc/websocket.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "rpc/http_impl.h"

enum {
	HEAD_MAX = 14, /* with a length of 8 bytes and a mask */
	CONTROL_MAX = 125,
	BUFFERED_MAX = 1 << 16,
	GOODBYE_S = 10, /* for a client to take what is left for it */
};

enum opcode {
	WS_MORE,
	WS_TEXT,
	WS_BINARY,
	WS_CLOSE = 8,
	WS_PING,
	WS_PONG,
};

/* The reasons of a goodbye, RFC 6455 section 7.4.1. */
enum { REASON_NORMAL = 1000, REASON_PROTOCOL = 1002 };

/*
 * The client's connection is at one end; the other is a socket pair, whose far end is the caller's, who
 * so has an ordinary connection.
 */
struct websocket {
	struct bufferevent *client, *near;
	enum opcode kind;
	bool closed; /* our goodbye is sent */
	/* the frame that is being read */
	enum opcode opcode;
	uint64_t left;
	unsigned char mask[4];
	unsigned int at; /* in the mask */
};

static void ws_free(struct websocket *w)
{
	if (w->near)
		bufferevent_free(w->near);
	bufferevent_free(w->client);
	free(w);
}

static void send_frame(struct websocket *w, enum opcode opcode, const void *p, size_t n)
{
	unsigned char head[10] = {0x80 | opcode};
	size_t used = 2;

	if (n <= CONTROL_MAX) {
		head[1] = n;
	} else if (n <= UINT16_MAX) {
		head[1] = 126;
		head[2] = n >> 8;
		head[3] = n;
		used = 4;
	} else {
		head[1] = 127;
		for (int i = 0; i < 8; i++)
			head[2 + i] = (uint64_t)n >> (56 - 8 * i);
		used = 10;
	}
	bufferevent_write(w->client, head, used);
	bufferevent_write(w->client, p, n);
}

static void after_goodbye(struct bufferevent *bev, void *arg)
{
	if (!evbuffer_get_length(bufferevent_get_output(bev)))
		ws_free(arg);
}

static void goodbye_failed(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)what;
	ws_free(arg);
}

/* The last frame; the connection goes once it is sent. */
static void goodbye(struct websocket *w, unsigned int reason)
{
	const struct timeval patience = {GOODBYE_S, 0};
	unsigned char text[2] = {reason >> 8, reason};

	if (w->closed)
		return;
	w->closed = true;
	if (w->near)
		bufferevent_free(steal_ptr(w->near));
	send_frame(w, WS_CLOSE, text, sizeof(text));
	bufferevent_disable(w->client, EV_READ);
	bufferevent_setwatermark(w->client, EV_WRITE, 0, 0);
	bufferevent_setcb(w->client, NULL, after_goodbye, goodbye_failed, w);
	bufferevent_set_timeouts(w->client, NULL, &patience);
}

/* The head of the next frame; false: it is not all there. */
static bool read_head(struct websocket *w, struct evbuffer *in, bool *ret_bad)
{
	unsigned char h[HEAD_MAX];
	size_t have = evbuffer_copyout(in, h, sizeof(h)), need = 2;
	unsigned int len;

	if (have < need)
		return false;
	len = h[1] & 127;
	need += (len == 126 ? 2 : len == 127 ? 8 : 0) + 4;
	/* from a client each is masked; no extension is agreed on */
	if (!(h[1] & 0x80) || h[0] & 0x70) {
		*ret_bad = true;
		return false;
	}
	if (have < need)
		return false;
	w->opcode = h[0] & 15;
	w->left = 0;
	for (size_t i = 2; i < need - 4; i++)
		w->left = w->left << 8 | h[i];
	if (len < 126)
		w->left = len;
	memcpy(w->mask, h + need - 4, 4);
	w->at = 0;
	*ret_bad = w->opcode >= WS_CLOSE && (w->left > CONTROL_MAX || !(h[0] & 0x80));
	if (!*ret_bad)
		evbuffer_drain(in, need);
	return !*ret_bad;
}

/* What is there of the frame's content, at most size bytes, unmasked. */
static size_t read_content(struct websocket *w, struct evbuffer *in, unsigned char *p, size_t size)
{
	int n = evbuffer_remove(in, p, min(w->left, (uint64_t)size));

	for (int i = 0; i < n; i++)
		p[i] ^= w->mask[w->at++ % 4];
	w->left -= max(n, 0);
	return max(n, 0);
}

/* Returns false when it waits for more, or is over. */
static bool control(struct websocket *w, struct evbuffer *in)
{
	unsigned char p[CONTROL_MAX];
	size_t n;

	if (evbuffer_get_length(in) < w->left)
		return false;
	n = read_content(w, in, p, sizeof(p));
	if (w->opcode == WS_CLOSE) {
		goodbye(w, REASON_NORMAL);
		return false;
	}
	if (w->opcode == WS_PING)
		send_frame(w, WS_PONG, p, n);
	w->opcode = WS_MORE;
	return true;
}

static void client_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct websocket *w = arg;
	unsigned char chunk[4096];
	bool bad = false;
	size_t n;

	for (;;) {
		if (!w->left && w->opcode < WS_CLOSE && !read_head(w, in, &bad))
			break;
		if (w->opcode >= WS_CLOSE) {
			if (!control(w, in))
				return;
			continue;
		}
		n = read_content(w, in, chunk, sizeof(chunk));
		bufferevent_write(w->near, chunk, n);
		if (w->left && !n)
			break;
	}
	if (bad)
		goodbye(w, REASON_PROTOCOL);
	else if (evbuffer_get_length(bufferevent_get_output(w->near)) > BUFFERED_MAX)
		bufferevent_disable(bev, EV_READ);
}

static void near_written(struct bufferevent *bev, void *arg)
{
	struct websocket *w = arg;

	(void)bev;
	bufferevent_enable(w->client, EV_READ);
}

static void client_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)what;
	ws_free(arg);
}

static void near_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct websocket *w = arg;
	unsigned char chunk[16384];
	int n;

	while ((n = evbuffer_remove(in, chunk, sizeof(chunk))) > 0)
		send_frame(w, w->kind, chunk, n);
	if (evbuffer_get_length(bufferevent_get_output(w->client)) > BUFFERED_MAX)
		bufferevent_disable(bev, EV_READ);
}

static void client_written(struct bufferevent *bev, void *arg)
{
	struct websocket *w = arg;

	(void)bev;
	bufferevent_enable(w->near, EV_READ);
}

static void near_event(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	near_read(bev, arg);
	goodbye(arg, REASON_NORMAL);
}

int websocket_check(struct http_req *req, struct err *err)
{
	const char *upgrade = http_header(req, "Upgrade"),
		   *key = http_header(req, "Sec-WebSocket-Key"),
		   *version = http_header(req, "Sec-WebSocket-Version");

	if (!req->upgrade || !upgrade || strcasecmp(upgrade, "websocket"))
		return err_set(err, -EINVAL, "the request does not ask for a websocket");
	if (str_empty(key) || strlen(key) > 64)
		return err_set(err, -EINVAL, "mismatch challenge/response");
	if (!version || strcmp(version, "13"))
		return err_set(err, -EINVAL, "missing or bad WebSocket Version");
	return 0;
}

/* RFC 6455 section 4.2.2. */
static char *accept_of(const char *key)
{
	_cleanup_free_ char *text = xasprintf("%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	unsigned char digest[SHA_DIGEST_LENGTH];

	SHA1((unsigned char *)text, strlen(text), digest);
	return base64_encode(digest, sizeof(digest));
}

struct bufferevent *http_websocket(struct http_req *req, struct loop *loop, bool text)
{
	_cleanup_free_ char *accept = accept_of(http_header(req, "Sec-WebSocket-Key"));
	const int flags = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
	struct bufferevent *client, *far;
	struct websocket *w;
	int pair[2];

	http_header_set(req, "Sec-WebSocket-Accept", accept);
	client = http_hijack_to(req, NULL, "websocket");
	if (!client)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) {
		bufferevent_free(client);
		return NULL;
	}
	far = bufferevent_socket_new(loop_base(loop), pair[1], flags);
	w = xcalloc(1, sizeof(*w));
	w->client = client;
	w->near = bufferevent_socket_new(loop_base(loop), pair[0], flags);
	w->kind = text ? WS_TEXT : WS_BINARY;
	bufferevent_setwatermark(client, EV_READ, 0, BUFFERED_MAX);
	bufferevent_setwatermark(w->near, EV_READ, 0, BUFFERED_MAX);
	bufferevent_setcb(client, client_read, client_written, client_event, w);
	bufferevent_setcb(w->near, near_read, near_written, near_event, w);
	bufferevent_enable(client, EV_READ | EV_WRITE);
	bufferevent_enable(w->near, EV_READ | EV_WRITE);
	/* what the client sent behind its request is there already */
	bufferevent_trigger(client, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
	return far;
}
