// SPDX-License-Identifier: Apache-2.0
#include "manager/roles.h"

#include "core/idq.h"
#include "core/log.h"
#include "loop/loop.h"
#include "manager/writer.h"
#include "store/store.h"
#include "wire/pb.h"

enum { RETRY_FIRST_MS = 200, RETRY_MAX_MS = 5000 };

struct roles {
	struct store *store;
	struct writer *writer;
	struct roles_env env;
	struct store_watch watch;
	struct timer timer;
	struct idq pending; /* nodes whose role is not yet what it should be */
	uint64_t retry_ms;
};

static bool differs(const Pb__Node *n)
{
	return n->spec && n->spec->desired_role != n->role;
}

/* --- one change of a node's role; owns itself, as it may outlive the role manager --- */

struct change {
	Pb__NodeRole role;
	char node_id[];
};

static int build(struct store_tx *tx, void *arg, struct err *err)
{
	const struct change *c = arg;
	const Pb__Node *n = store_node(store_tx_store(tx), c->node_id);
	Pb__Node *copy;

	/* Removed, or wanted otherwise by now: that event brings another change. */
	if (!n || !differs(n) || n->spec->desired_role != c->role)
		return 0;
	copy = pb_clone(n);
	copy->role = c->role;
	return store_tx_update(tx, copy, err);
}

static void on_written(const struct err *err, void *arg)
{
	struct change *c = arg;

	if (err)
		log_warn("roles: the role of node %s was not changed: %s", c->node_id, err->msg);
	free(c);
}

static void write_role(struct roles *r, const Pb__Node *n)
{
	size_t size = strlen(n->id) + 1;
	struct change *c = xcalloc(1, sizeof(*c) + size);

	c->role = n->spec->desired_role;
	memcpy(c->node_id, n->id, size);
	writer_write(r->writer, build, on_written, c);
}

/* --- what is to be done --- */

/* Returns whether nothing is left to do but what the store's events will tell. */
static bool settle(struct roles *r, const char *id)
{
	const Pb__Node *n = store_node(r->store, id);
	struct err err = ERR_INIT;
	bool leaves = !n || (differs(n) && n->spec->desired_role == PB__NODE_ROLE__WORKER);

	if (n && !differs(n))
		return true;
	if (leaves && r->env.is_member(id, r->env.arg)) {
		if (r->env.remove_member(id, r->env.arg, &err))
			log_warn("roles: node %s stays a member of raft for now: %s", id, err.msg);
		return false;
	}
	if (n)
		write_role(r, n);
	return !n;
}

static void work(void *arg)
{
	struct roles *r = arg;
	struct idq todo;
	char *id;

	idq_init(&todo);
	idq_move(&todo, &r->pending);
	while ((id = idq_pop(&todo))) {
		if (!settle(r, id))
			idq_add(&r->pending, id);
		free(id);
	}
	idq_done(&todo);
	if (idq_empty(&r->pending)) {
		r->retry_ms = RETRY_FIRST_MS;
		return;
	}
	timer_set(&r->timer, r->retry_ms);
	r->retry_ms = min(r->retry_ms * 2, (uint64_t)RETRY_MAX_MS);
}

static void look(struct roles *r, const char *id)
{
	idq_add(&r->pending, id);
	r->retry_ms = RETRY_FIRST_MS;
	timer_set(&r->timer, 0);
}

static void on_event(const struct store_event *ev, void *arg)
{
	struct roles *r = arg;
	const Pb__Node *old = ev->old, *new = ev->new;

	if (ev->kind != STORE_NODE)
		return;
	if (!new) {
		if (old->role == PB__NODE_ROLE__MANAGER)
			look(r, old->id);
	} else if (differs(new) &&
		   (!old || !differs(old) || old->spec->desired_role != new->spec->desired_role)) {
		look(r, new->id);
	}
}

struct roles *roles_new(struct loop *loop, struct store *store, struct writer *writer,
			const struct roles_env *env)
{
	struct roles *r = xcalloc(1, sizeof(*r));
	const Pb__Node *n;

	r->store = store;
	r->writer = writer;
	r->env = *env;
	r->retry_ms = RETRY_FIRST_MS;
	idq_init(&r->pending);
	timer_init(&r->timer, loop, work, r);
	r->watch.fn = on_event;
	r->watch.arg = r;
	store_watch(store, &r->watch);
	for (struct store_iter it = store_all(store, STORE_NODE); (n = store_next(&it));)
		if (differs(n))
			look(r, n->id);
	return r;
}

void roles_free(struct roles *r)
{
	if (!r)
		return;
	store_unwatch(&r->watch);
	timer_done(&r->timer);
	idq_done(&r->pending);
	free(r);
}
