// SPDX-License-Identifier: Apache-2.0
#include "rpc/relay.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "rpc/http.h"

enum { BUFFERED_MAX = 256 << 10 };

struct relay {
	struct side {
		struct relay *relay;
		struct bufferevent *bev;
		struct side *other;
		bool ended; /* has sent all it will */
	} side[2];
	void (*done)(void *arg);
	void *arg;
};

void relay_stop(struct relay *r)
{
	bufferevent_free(r->side[0].bev);
	bufferevent_free(r->side[1].bev);
	free(r);
}

static void relay_free(struct relay *r)
{
	void (*done)(void *arg) = r->done;
	void *arg = r->arg;

	relay_stop(r);
	if (done)
		done(arg);
}

/* Both have ended and all has been written. */
static bool is_over(const struct relay *r)
{
	for (int i = 0; i < 2; i++)
		if (!r->side[i].ended ||
		    evbuffer_get_length(bufferevent_get_output(r->side[i].bev)))
			return false;
	return true;
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct side *s = arg;

	bufferevent_write_buffer(s->other->bev, bufferevent_get_input(bev));
	if (evbuffer_get_length(bufferevent_get_output(s->other->bev)) > BUFFERED_MAX)
		bufferevent_disable(bev, EV_READ);
}

static void on_write(struct bufferevent *bev, void *arg)
{
	struct side *s = arg;

	(void)bev;
	if (is_over(s->relay))
		relay_free(s->relay);
	else if (!s->other->ended)
		bufferevent_enable(s->other->bev, EV_READ);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct side *s = arg;

	if (what & BEV_EVENT_CONNECTED) {
		if (s->other->ended) /* meanwhile */
			http_hijack_shutdown(s->bev);
		return;
	}
	if (!(what & BEV_EVENT_EOF) || s->ended) {
		relay_free(s->relay);
		return;
	}
	on_read(bev, s);
	s->ended = true;
	bufferevent_disable(bev, EV_READ);
	if (is_over(s->relay))
		relay_free(s->relay);
	else
		http_hijack_shutdown(s->other->bev);
}

struct relay *relay_start(struct bufferevent *a, struct bufferevent *b, void (*done)(void *arg),
			  void *arg)
{
	struct relay *r = xcalloc(1, sizeof(*r));

	r->done = done;
	r->arg = arg;
	r->side[0] = (struct side){r, a, &r->side[1], false};
	r->side[1] = (struct side){r, b, &r->side[0], false};
	for (int i = 0; i < 2; i++) {
		bufferevent_setcb(r->side[i].bev, on_read, on_write, on_event, &r->side[i]);
		bufferevent_enable(r->side[i].bev, EV_READ | EV_WRITE);
	}
	/* what was read before the callbacks were set */
	for (int i = 0; i < 2; i++)
		if (evbuffer_get_length(bufferevent_get_input(r->side[i].bev)))
			bufferevent_trigger(r->side[i].bev, EV_READ,
					    BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
	return r;
}
