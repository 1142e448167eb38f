// SPDX-License-Identifier: Apache-2.0
#include "manager/writer.h"

#include <errno.h>

#include "core/log.h"
#include "loop/loop.h"
#include "manager/raftd.h"

enum { COMPONENTS_MAX = 16 };

struct request {
	struct list_head node;
	swarm_build build;
	swarm_done done;
	void *arg;
	bool sure;
};

/* The requests that one entry answers. */
struct batch {
	struct writer *writer; /* NULL: it has stopped meanwhile */
	struct list_head requests;
};

struct writer {
	struct loop *loop;
	struct store *store;
	struct rng *rng;
	struct raftd *raftd; /* NULL: does not lead */
	const struct component_ops *ops[COMPONENTS_MAX];
	void *components[COMPONENTS_MAX];
	uint64_t due_ms[COMPONENTS_MAX];
	size_t n_components;
	struct store_watch watch;
	struct timer timer;
	bool kicked; /* a kick is on its way */
	uint64_t version; /* last one stamped */
	/* the entry under way */
	struct store_tx *tx;
	struct buf entry;
	struct batch *batch;
	struct list_head waiting;
};

const char writer_lost[] = "the change was not agreed on: the manager has lost the leadership";

static void kick(struct writer *w);

static void answer(struct request *r, const struct err *err)
{
	list_del(&r->node);
	if (r->done)
		r->done(err, r->arg);
	free(r);
}

static void answer_all(struct list_head *list, const struct err *err)
{
	while (!list_empty(list))
		answer(list_first(list, struct request, node), err);
}

static void end_batch(struct batch *b, const struct err *err)
{
	answer_all(&b->requests, err);
	free(b);
}

static void on_event(const struct store_event *ev, void *arg)
{
	struct writer *w = arg;
	uint64_t now = loop_now_ms();

	for (size_t i = 0; i < w->n_components; i++)
		w->ops[i]->event(w->components[i], ev, now);
	kick(w);
}

/* Run the waiting requests; those that fail are answered once the transaction is closed. */
static void run_requests(struct writer *w)
{
	while (!list_empty(&w->waiting) && !store_tx_full(w->tx)) {
		struct request *r = list_first(&w->waiting, struct request, node);
		size_t mark = store_tx_mark(w->tx);
		struct err err = ERR_INIT;
		int rc = r->build(w->tx, r->arg, &err);

		if (rc < 0) {
			if (!err.code)
				err_errno(&err, rc, "the change was refused");
			store_tx_rollback(w->tx, mark);
			answer(r, &err);
			continue;
		}
		list_del(&r->node);
		list_add_tail(&r->node, &w->batch->requests);
	}
}

static void run_components(struct writer *w, uint64_t now)
{
	for (size_t i = 0; i < w->n_components && !store_tx_full(w->tx); i++) {
		if (!w->ops[i]->dirty(w->components[i]) && w->due_ms[i] > now)
			continue;
		w->due_ms[i] = w->ops[i]->run(w->components[i], w->tx, now);
	}
}

/* When nothing is under way: wake for the component that is due next. */
static void set_timer(struct writer *w, uint64_t now)
{
	uint64_t next = COMPONENT_NEVER;

	for (size_t i = 0; i < w->n_components; i++)
		next = min(next, w->ops[i]->dirty(w->components[i]) ? now : w->due_ms[i]);
	if (next == COMPONENT_NEVER)
		timer_cancel(&w->timer);
	else
		timer_set(&w->timer, next > now ? next - now : 0);
}

static void on_done(int rc, uint64_t index, void *arg)
{
	struct batch *b = arg;
	struct writer *w = b->writer;
	struct err err = ERR_INIT;

	(void)index;
	if (w) {
		w->batch = NULL;
		store_tx_abort(steal_ptr(w->tx));
	}
	if (!rc) {
		end_batch(b, NULL);
	} else {
		if (rc == -ENOTCONN)
			err_set(&err, -EAGAIN, "%s", writer_lost);
		else
			err_set(&err, -EHOSTUNREACH,
				"the manager has lost the leadership, and does not know whether "
				"the change came about");
		end_batch(b, &err);
	}
	if (w)
		kick(w);
}

static void turn(void *arg)
{
	struct writer *w = arg;
	uint64_t now = loop_now_ms();

	w->kicked = false;
	if (!w->raftd || w->tx)
		return;
	w->version = max(w->version + 1, raftd_applied(w->raftd));
	w->tx = store_tx_begin(w->store, w->version, loop_wall_ns());
	w->batch = xcalloc(1, sizeof(*w->batch));
	w->batch->writer = w;
	list_init(&w->batch->requests);
	run_requests(w);
	run_components(w, now);
	if (!store_tx_changes(w->tx)) {
		store_tx_abort(steal_ptr(w->tx));
		end_batch(steal_ptr(w->batch), NULL);
		if (list_empty(&w->waiting))
			set_timer(w, now);
		else
			kick(w);
		return;
	}
	store_tx_seal(w->tx);
	buf_reset(&w->entry);
	store_tx_marshal(w->tx, rng_u64(w->rng), &w->entry);
	raftd_propose(w->raftd, w->entry.data, w->entry.len, on_done, w->batch);
}

static void on_timer(void *arg)
{
	turn(arg);
}

static void kick(struct writer *w)
{
	if (w->kicked || !w->raftd || w->tx)
		return;
	w->kicked = true;
	timer_set(&w->timer, 0);
}

struct writer *writer_new(struct loop *loop, struct store *store, struct rng *rng)
{
	struct writer *w = xcalloc(1, sizeof(*w));

	w->loop = loop;
	w->store = store;
	w->rng = rng;
	buf_init(&w->entry);
	list_init(&w->waiting);
	list_init(&w->watch.node);
	timer_init(&w->timer, loop, on_timer, w);
	return w;
}

void writer_free(struct writer *w)
{
	if (!w)
		return;
	writer_stop(w);
	timer_done(&w->timer);
	buf_done(&w->entry);
	free(w);
}

void writer_start(struct writer *w, struct raftd *raftd, const struct component_ops *const ops[],
		  size_t n_ops)
{
	assert(!w->raftd && n_ops <= COMPONENTS_MAX);
	w->raftd = raftd;
	w->n_components = n_ops;
	for (size_t i = 0; i < n_ops; i++) {
		w->ops[i] = ops[i];
		w->components[i] = ops[i]->open(w->store, w->rng);
		w->due_ms[i] = 0;
	}
	w->watch.fn = on_event;
	w->watch.arg = w;
	store_watch(w->store, &w->watch);
	kick(w);
}

/* Some are told now; the others when the entry's fate is known, by on_done(). */
static void leave_batch(struct writer *w)
{
	struct batch *b = steal_ptr(w->batch);
	struct request *r, *tmp;
	struct err err = ERR_INIT;

	if (!b)
		return;
	b->writer = NULL;
	err_set(&err, -EAGAIN, "this manager no longer leads the swarm");
	list_for_each_safe (r, tmp, &b->requests, node) {
		if (!r->sure)
			answer(r, &err);
	}
}

void writer_stop(struct writer *w)
{
	struct err err = ERR_INIT;

	if (!w->raftd)
		return;
	err_set(&err, -EAGAIN, "%s", writer_lost);
	w->raftd = NULL;
	timer_cancel(&w->timer);
	w->kicked = false;
	store_unwatch(&w->watch);
	store_tx_abort(steal_ptr(w->tx));
	leave_batch(w);
	answer_all(&w->waiting, &err);
	for (size_t i = 0; i < w->n_components; i++)
		w->ops[i]->close(w->components[i]);
	w->n_components = 0;
}

bool writer_leads(const struct writer *w)
{
	return w->raftd;
}

static void add_request(struct writer *w, const struct request *req)
{
	struct request *r = xmemdup(req, sizeof(*req));

	list_add_tail(&r->node, &w->waiting);
	kick(w);
}

void writer_write(struct writer *w, swarm_build build, swarm_done done, void *arg)
{
	add_request(w, &(struct request){.build = build, .done = done, .arg = arg});
}

void writer_write_sure(struct writer *w, swarm_build build, swarm_done done, void *arg)
{
	add_request(w, &(struct request){.build = build, .done = done, .arg = arg, .sure = true});
}

bool writer_committed(struct writer *w, const void *data, size_t len)
{
	if (!w->tx || len != w->entry.len || memcmp(data, w->entry.data, len))
		return false;
	/* from here on the store may change again: watches and answers queue new work */
	store_tx_commit(steal_ptr(w->tx));
	return true;
}
