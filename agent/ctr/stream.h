/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's side of a monitor's socket: a connection that watches for the end, and streams
 * between a client's hijacked connection and the standard streams. On the loop's thread.
 */
#pragma once

#include "core/err.h"
#include "core/list.h"

struct bufferevent;
struct loop;
struct shim_conn;

/*
 * Connect to <dir>/shim.sock. exited is called once: code as the monitor says, or -1 when the
 * connection was lost. Returns NULL when nobody listens.
 */
struct shim_conn *shim_connect(struct loop *loop, const char *dir,
			       void (*exited)(int code, void *arg), void *arg);
/* NULL is fine. */
void shim_close(struct shim_conn *s);
void shim_go(struct shim_conn *s);
void shim_resize(struct shim_conn *s, unsigned int rows, unsigned int cols);

/* What a client at a terminal types to leave; n 0: nothing does it. */
struct detach_keys {
	unsigned char v[16];
	size_t n;
};
/* "ctrl-p,ctrl-q", which NULL and "" mean, too. -EINVAL. */
int detach_keys_parse(const char *spec, struct detach_keys *ret, struct err *err);

struct stream_options {
	bool tty, in, out, err;
	struct detach_keys keys;
	/* it left by them; may be NULL. id is the container's or exec's */
	void (*detached)(void *arg, const char *id);
	void *arg;
	char id[65];
};

struct stream {
	struct list_head node;
	struct loop *loop;
	struct bufferevent *client, *shim;
	struct stream_options opt;
	bool in_eof; /* the client sends no more */
	size_t matched; /* of the keys to leave by; held back */
	bool ending;
	struct stream **holder; /* see stream_hold() */
	bool over;
};

/* Takes over the client. It ends by itself with the client or the container. */
struct stream *stream_new(struct loop *loop, struct bufferevent *client,
			  const struct stream_options *opt);
/* Join it to the monitor in dir; when nobody listens there the stream is ended. */
void stream_connect(struct stream *s, const char *dir);
/*
 * The stream does not end with the container but at stream_release(), or with the client: *holder
 * points at it as long as it lives. So a client that sees the end finds the exit code, too.
 */
void stream_hold(struct stream *s, struct stream **holder);
void stream_release(struct stream *s);
/* Let the client read a text, as if the container had said it on stream 1 or 2. */
void stream_say(struct stream *s, int stream, const char *text);
void stream_end(struct stream *s);
