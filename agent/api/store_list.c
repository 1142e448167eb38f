// SPDX-License-Identifier: Apache-2.0
/*
 * Lists of the swarm's objects. 50,000 tasks are 240 MiB as one JSON document and most of a second
 * of work, for which a leader would be silent: a long list is written some objects at a time, as
 * the client takes them, and the loop turns in between. The objects are those of the moment of the
 * request: the list holds references.
 */
#include "api/store_call.h"
#include "loop/loop.h"

enum {
	SLICE = 128,
	UNSENT_MAX = 1 << 20,
};

struct store_list {
	struct api_call *call;
	store_list_fn *write;
	const void **objs;
	size_t n, alloc, at;
	struct timer next;
};

struct store_list *store_list_new(struct api_call *call, store_list_fn *write)
{
	struct store_list *l = xcalloc(1, sizeof(*l));

	l->call = call;
	l->write = write;
	return l;
}

void store_list_add(struct store_list *l, const void *obj)
{
	if (l->n == l->alloc) {
		l->alloc = l->alloc ? 2 * l->alloc : SLICE;
		l->objs = xrealloc(l->objs, l->alloc * sizeof(*l->objs));
	}
	l->objs[l->n++] = store_ref(obj);
}

void store_list_free(struct store_list *l)
{
	timer_done(&l->next);
	while (l->n)
		store_unref(l->objs[--l->n]);
	free(l->objs);
	free(l);
}

static void end(struct store_list *l)
{
	api_end(l->call);
	store_list_free(l);
}

static void on_gone(struct http_req *req, void *arg)
{
	(void)req;
	end(arg);
}

static void go_on(struct http_req *req, void *arg)
{
	struct store_list *l = arg;

	(void)req;
	timer_set(&l->next, 0);
}

static void write_slice(void *arg)
{
	struct store_list *l = arg;
	_cleanup_buf_ struct buf out = BUF_INIT;
	size_t to = min(l->at + SLICE, l->n);

	for (; l->at < to; l->at++) {
		json_t *item = l->write(l->call, l->objs[l->at]);
		_cleanup_free_ char *text = json_dumps(item, JSON_COMPACT);

		buf_char(&out, l->at ? ',' : '[');
		buf_str(&out, text);
		json_decref(item);
	}
	if (l->at == l->n)
		buf_str(&out, "]\n");
	http_write(l->call->req, out.data, out.len);
	if (l->at == l->n)
		end(l);
	else if (http_unsent(l->call->req) <= UNSENT_MAX)
		timer_set(&l->next, 0);
}

void store_list_reply(struct store_list *l)
{
	struct api_call *call = l->call;

	if (l->n <= SLICE) {
		json_t *all = json_array();

		for (size_t i = 0; i < l->n; i++)
			json_array_append_new(all, l->write(call, l->objs[i]));
		store_list_free(l);
		api_reply(call, 200, all);
		return;
	}
	timer_init(&l->next, call->engine->loop, write_slice, l);
	http_start(call->req, 200, "application/json");
	http_on_drain(call->req, go_on, l);
	http_on_close(call->req, on_gone, l);
	timer_set(&l->next, 0);
}
