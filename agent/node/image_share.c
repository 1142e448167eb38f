// SPDX-License-Identifier: Apache-2.0
#include "node/image_share.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <sys/socket.h>

#include "core/log.h"
#include "core/map.h"
#include "core/rng.h"
#include "image/image.h"
#include "loop/loop.h"
#include "rpc/relay.h"
#include "rpc/tls.h"

enum {
	PORT = 7946,
	LINE_MAX_SIZE = 4096,
	SERVE_MAX = 4, /* archives sent at a time */
	ACCEPT_MAX = 64, /* connections */
	TIMEOUT_S = 30, /* without progress */
	BUSY_DELAY_MS = 200,
	BUSY_ROUNDS = 300,
};

struct image_share {
	struct image_share_options opt;
	struct map fetches; /* by reference */
	struct list_head served;
	size_t n_accepted, n_sending;
};

static struct bufferevent *over_tls(struct image_share *s, int fd, bool server)
{
	struct timeval timeout = {TIMEOUT_S, 0};
	struct tls *tls = s->opt.tls(s->opt.arg);
	struct ssl_st *ssl =
		tls ? (server ? tls_accept_ssl(tls) : tls_connect_ssl(tls, NULL, NULL)) : NULL;
	struct bufferevent *bev;

	if (!ssl)
		return NULL;
	bev = bufferevent_openssl_socket_new(loop_base(s->opt.loop), fd, ssl,
					     server ? BUFFEREVENT_SSL_ACCEPTING
						    : BUFFEREVENT_SSL_CONNECTING,
					     BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (bev) {
		bufferevent_openssl_set_allow_dirty_shutdown(bev, 0);
		bufferevent_set_timeouts(bev, &timeout, &timeout);
	}
	return bev;
}

/* A local stream: one end is the caller's descriptor, blocking, for a thread. */
static struct bufferevent *local_stream(struct image_share *s, int *ret_fd)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return NULL;
	evutil_make_socket_nonblocking(fds[0]);
	*ret_fd = fds[1];
	return bufferevent_socket_new(loop_base(s->opt.loop), fds[0],
				      BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
}

static void send_line(struct bufferevent *bev, json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT);

	bufferevent_write(bev, text, strlen(text));
	bufferevent_write(bev, "\n", 1);
	free(text);
	json_decref(line);
}

/* The first line that has come; NULL: none yet. *ret_bad: there will be none. */
static json_t *read_line(struct bufferevent *bev, bool *ret_bad)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	char *text = evbuffer_readln(in, NULL, EVBUFFER_EOL_LF);
	json_t *line;

	*ret_bad = false;
	if (!text) {
		*ret_bad = evbuffer_get_length(in) > LINE_MAX_SIZE;
		return NULL;
	}
	line = json_loads(text, 0, NULL);
	free(text);
	*ret_bad = !json_is_object(line);
	if (*ret_bad) {
		json_decref(line);
		line = NULL;
	}
	return line;
}

static bool is_node(struct bufferevent *bev)
{
	struct tls_peer peer;

	if (tls_peer(bufferevent_openssl_get_ssl(bev), &peer))
		return false;
	tls_peer_done(&peer);
	return true;
}

/* --- serving --- */

struct serve {
	struct list_head node;
	struct image_share *share; /* NULL: it is gone */
	struct bufferevent *bev; /* NULL: the relay has it */
	bool sending, last;
};

static void serve_free(struct serve *v)
{
	list_del(&v->node);
	if (v->share) {
		v->share->n_accepted--;
		v->share->n_sending -= v->sending;
	}
	if (v->bev)
		bufferevent_free(v->bev);
	free(v);
}

static void on_sent(void *arg)
{
	serve_free(arg);
}

static void answer(struct serve *v, const char *ref)
{
	struct image_share *s = v->share;
	struct bufferevent *local;
	struct err err = ERR_INIT;
	struct image *img = images_find(s->opt.images, ref, &err);
	int fd;

	if (img && s->n_sending >= SERVE_MAX) {
		send_line(v->bev, json_pack("{s:b}", "busy", 1));
		v->last = true;
		return;
	}
	local = img ? local_stream(s, &fd) : NULL;
	if (img && !local)
		err_set(&err, -EMFILE, "out of descriptors");
	else if (img && images_save(s->opt.images, &ref, 1, fd, &err))
		bufferevent_free(steal_ptr(local));
	if (!local) {
		send_line(v->bev, json_pack("{s:s}", "error", err.msg));
		v->last = true;
		return;
	}
	send_line(v->bev, json_pack("{s:s}", "id", image_id(img)));
	v->sending = true;
	s->n_sending++;
	relay_start(steal_ptr(v->bev), local, on_sent, v);
}

static void on_request(struct bufferevent *bev, void *arg)
{
	struct serve *v = arg;
	const char *ref;
	json_t *line;
	bool bad;

	if (v->last)
		return;
	line = read_line(bev, &bad);
	if (!line && !bad)
		return;
	ref = json_string_value(json_object_get(line, "image"));
	if (!ref || !is_node(bev))
		serve_free(v);
	else
		answer(v, ref);
	json_decref(line);
}

static void on_written(struct bufferevent *bev, void *arg)
{
	struct serve *v = arg;

	if (v->last && !evbuffer_get_length(bufferevent_get_output(bev)))
		serve_free(v);
}

static void on_serve_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if (!(what & BEV_EVENT_CONNECTED))
		serve_free(arg);
}

void image_share_accept(struct image_share *s, int fd)
{
	struct bufferevent *bev;
	struct serve *v;

	evutil_make_socket_nonblocking(fd);
	bev = s->n_accepted < ACCEPT_MAX ? over_tls(s, fd, true) : NULL;
	if (!bev) {
		close(fd);
		return;
	}
	v = xcalloc(1, sizeof(*v));
	v->share = s;
	v->bev = bev;
	list_add_tail(&v->node, &s->served);
	s->n_accepted++;
	bufferevent_setcb(bev, on_request, on_written, on_serve_event, v);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

/* --- fetching --- */

struct waiter {
	void (*done)(const struct err *err, struct image *img, void *arg);
	void *arg;
};

struct fetch {
	struct image_share *share;
	char *ref, *id;
	struct waiter *waiters;
	size_t n_waiters;
	char **peers; /* to ask, in turn */
	size_t n_peers, at;
	bool busy; /* one had it and had no time */
	bool loading;
	unsigned int rounds;
	struct bufferevent *bev;
	struct timer timer;
	struct err err;
};

static void ask_next(void *arg);

static void fetch_free(struct fetch *f)
{
	if (f->share)
		map_del(&f->share->fetches, f->ref);
	timer_done(&f->timer);
	if (f->bev)
		bufferevent_free(f->bev);
	for (size_t i = 0; i < f->n_peers; i++)
		free(f->peers[i]);
	free(f->peers);
	free(f->waiters);
	free(f->ref);
	free(f->id);
	free(f);
}

static void finish(struct fetch *f, const struct err *err, struct image *img)
{
	struct waiter *waiters = steal_ptr(f->waiters);
	struct err copy = err ? *err : (struct err)ERR_INIT;
	size_t n = f->n_waiters;

	fetch_free(f);
	for (size_t i = 0; i < n; i++)
		waiters[i].done(err ? &copy : NULL, img, waiters[i].arg);
	free(waiters);
}

/* The other nodes in a random order, so that askers spread over those who have it. */
static void list_peers(struct fetch *f)
{
	struct image_share *s = f->share;
	const char *addr;
	size_t pos = 0;

	for (size_t i = 0; i < f->n_peers; i++)
		free(f->peers[i]);
	f->n_peers = f->at = 0;
	while ((addr = s->opt.peers(&pos, s->opt.arg))) {
		size_t j = rng_below(s->opt.rng, f->n_peers + 1);

		f->peers = xrealloc(f->peers, (f->n_peers + 1) * sizeof(*f->peers));
		f->peers[f->n_peers] = j < f->n_peers ? f->peers[j] : NULL;
		f->peers[j] = xstrdup(addr);
		f->n_peers++;
	}
}

static void next(struct fetch *f, uint64_t delay_ms)
{
	if (f->bev)
		bufferevent_free(steal_ptr(f->bev));
	timer_set(&f->timer, delay_ms);
}

static void on_loaded(const struct err *err, struct image *img, void *arg)
{
	struct fetch *f = arg;
	struct err bad = ERR_INIT;

	f->loading = false;
	if (!f->share) {
		err_set(&bad, -ECANCELED, "the node leaves the swarm");
		finish(f, &bad, NULL);
		return;
	}
	img = err ? NULL : images_find(f->share->opt.images, f->ref, &bad);
	if (!img && !err) {
		/* a registry's digest is not the image's own: the node that had it from there says which it is */
		img = images_find(f->share->opt.images, f->id, NULL);
		if (img && !images_know_digest(f->share->opt.images, img, f->ref, NULL))
			bad = (struct err)ERR_INIT;
		else
			img = NULL;
	}
	if (img && !streq(image_id(img), f->id))
		err_set(&bad, -EBADMSG, "the node at %s sent another image than it said",
			f->peers[f->at - 1]);
	if (img && !bad.code) {
		log_info("image %s was fetched from the node at %s", f->ref, f->peers[f->at - 1]);
		finish(f, NULL, img);
		return;
	}
	f->err = err ? *err : bad;
	next(f, 0);
}

static void no_progress(json_t *line, void *arg)
{
	(void)line;
	(void)arg;
}

static void on_answer(struct bufferevent *bev, void *arg)
{
	struct fetch *f = arg;
	struct bufferevent *local;
	const char *text;
	json_t *line;
	bool bad;
	int fd;

	line = read_line(bev, &bad);
	if (!line && !bad)
		return;
	text = json_string_value(json_object_get(line, "id"));
	local = text && is_node(bev) ? local_stream(f->share, &fd) : NULL;
	if (local) {
		free(f->id);
		f->id = xstrdup(text);
		f->loading = true;
		relay_start(steal_ptr(f->bev), local, NULL, NULL);
		images_load(f->share->opt.images, fd, true, no_progress, on_loaded, f);
	} else {
		f->busy |= json_is_true(json_object_get(line, "busy"));
		next(f, 0);
	}
	json_decref(line);
}

static void on_fetch_event(struct bufferevent *bev, short what, void *arg)
{
	struct fetch *f = arg;

	if (!(what & BEV_EVENT_CONNECTED)) {
		next(f, 0);
		return;
	}
	send_line(bev, json_pack("{s:s}", "image", f->ref));
}

static int connect_to(struct fetch *f, const char *addr)
{
	struct image_share *s = f->share;
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons(s->opt.port ? s->opt.port : PORT)};

	if (inet_pton(AF_INET, addr, &sa.sin_addr) != 1)
		return -EINVAL;
	f->bev = over_tls(s, -1, false);
	if (!f->bev)
		return -EAGAIN;
	bufferevent_setcb(f->bev, on_answer, NULL, on_fetch_event, f);
	bufferevent_enable(f->bev, EV_READ | EV_WRITE);
	if (bufferevent_socket_connect(f->bev, (struct sockaddr *)&sa, sizeof(sa)))
		return -ECONNREFUSED;
	evutil_make_socket_closeonexec(bufferevent_getfd(f->bev));
	return 0;
}

static void ask_next(void *arg)
{
	struct fetch *f = arg;
	struct err err = ERR_INIT;

	if (f->at < f->n_peers) {
		const char *addr = f->peers[f->at++];

		if (connect_to(f, addr))
			next(f, 0);
		return;
	}
	if (f->busy && ++f->rounds < BUSY_ROUNDS) {
		f->busy = false;
		list_peers(f);
		next(f, BUSY_DELAY_MS / 2 + rng_below(f->share->opt.rng, BUSY_DELAY_MS));
		return;
	}
	if (f->err.code)
		err = f->err;
	else
		err_set(&err, -ENOENT, "No such image: %s: no node of the swarm has it", f->ref);
	finish(f, &err, NULL);
}

void image_share_fetch(struct image_share *s, const char *ref,
		       void (*done)(const struct err *err, struct image *img, void *arg), void *arg)
{
	struct fetch *f = map_get(&s->fetches, ref);

	if (!f) {
		f = xcalloc(1, sizeof(*f));
		f->share = s;
		f->ref = xstrdup(ref);
		timer_init(&f->timer, s->opt.loop, ask_next, f);
		map_put(&s->fetches, ref, f);
		list_peers(f);
		timer_set(&f->timer, 0);
	}
	f->waiters = xrealloc(f->waiters, (f->n_waiters + 1) * sizeof(*f->waiters));
	f->waiters[f->n_waiters++] = (struct waiter){done, arg};
}

/* --- the handle --- */

struct image_share *image_share_new(const struct image_share_options *opt)
{
	struct image_share *s = xcalloc(1, sizeof(*s));

	s->opt = *opt;
	map_init(&s->fetches);
	list_init(&s->served);
	return s;
}

void image_share_free(struct image_share *s)
{
	struct serve *v, *tmp;
	struct err err = ERR_INIT;
	struct fetch *f;
	const char *ref;

	if (!s)
		return;
	err_set(&err, -ECANCELED, "the node leaves the swarm");
	list_for_each_safe (v, tmp, &s->served, node) {
		if (v->bev) {
			serve_free(v);
			continue;
		}
		list_del(&v->node); /* its relay ends by itself */
		v->share = NULL;
	}
	map_for_each (&s->fetches, ref, f) {
		if (f->loading) {
			map_del(&s->fetches, ref);
			f->share = NULL;
		} else {
			finish(f, &err, NULL);
		}
	}
	map_done(&s->fetches);
	free(s);
}
