// SPDX-License-Identifier: Apache-2.0
/*
 * What a node has to run: all of it at first, then the changes. Source: swarmkit
 * manager/dispatcher/assignments.go.
 */
#include <stdio.h>

#include "manager/dispatcher_impl.h"
#include "wire/dispatcher.pb-c.h"
#include "wire/pb.h"

enum {
	BATCH_MAX = 100,
	BATCH_DELAY_MS = 20, /* what changes together goes together */
	UNSENT_MAX = 4 << 20,
};

enum use { SECRET, CONFIG, USES };

/* A task that the node knows. */
struct sent {
	bool holds; /* counted in uses */
	size_t n[USES];
	char **ids[USES];
};

/* Kept as the value of dnode.changed. */
enum change { LOOK = 1, RESEND };

struct slot {
	Pb__AssignmentChange change;
	Pb__Assignment assignment;
	/* what a REMOVE carries */
	Pb__Task task;
	Pb__Secret secret;
	Pb__Config config;
};

/* A message under construction; objects are the store's. */
struct batch {
	Pb__AssignmentsMessage msg;
};

static void *as_value(uintptr_t v)
{
	return (void *)v;
}

static Pb__TaskState state_of(const Pb__Task *t)
{
	return t->status ? t->status->state : PB__TASK_STATE__NEW;
}

/* --- messages --- */

static struct slot *add(struct batch *b, Pb__AssignmentChange__AssignmentAction action)
{
	struct slot *s = xcalloc(1, sizeof(*s));

	pb__assignment_change__init(&s->change);
	pb__assignment__init(&s->assignment);
	s->change.action = action;
	s->change.assignment = &s->assignment;
	pb_append(&b->msg.n_changes, &b->msg.changes, &s->change);
	return s;
}

static void batch_done(struct batch *b)
{
	for (size_t i = 0; i < b->msg.n_changes; i++)
		free(container_of(b->msg.changes[i], struct slot, change));
	free(b->msg.changes);
}

static void add_task(struct batch *b, const Pb__Task *t)
{
	struct slot *s = add(b, PB__ASSIGNMENT_CHANGE__ASSIGNMENT_ACTION__UPDATE);

	s->assignment.item_case = PB__ASSIGNMENT__ITEM_TASK;
	s->assignment.task = (Pb__Task *)t;
}

static void remove_task(struct batch *b, const char *id)
{
	struct slot *s = add(b, PB__ASSIGNMENT_CHANGE__ASSIGNMENT_ACTION__REMOVE);

	pb__task__init(&s->task);
	s->task.id = (char *)id;
	s->assignment.item_case = PB__ASSIGNMENT__ITEM_TASK;
	s->assignment.task = &s->task;
}

static void add_use(struct dnode *n, struct batch *b, enum use use, const char *id)
{
	struct store *store = n->d->env.store;
	struct slot *s;

	if (use == SECRET && store_secret(store, id)) {
		s = add(b, PB__ASSIGNMENT_CHANGE__ASSIGNMENT_ACTION__UPDATE);
		s->assignment.item_case = PB__ASSIGNMENT__ITEM_SECRET;
		s->assignment.secret = (Pb__Secret *)store_secret(store, id);
	} else if (use == CONFIG && store_config(store, id)) {
		s = add(b, PB__ASSIGNMENT_CHANGE__ASSIGNMENT_ACTION__UPDATE);
		s->assignment.item_case = PB__ASSIGNMENT__ITEM_CONFIG;
		s->assignment.config = (Pb__Config *)store_config(store, id);
	}
}

static void remove_use(struct batch *b, enum use use, const char *id)
{
	struct slot *s = add(b, PB__ASSIGNMENT_CHANGE__ASSIGNMENT_ACTION__REMOVE);

	if (use == SECRET) {
		pb__secret__init(&s->secret);
		s->secret.id = (char *)id;
		s->assignment.item_case = PB__ASSIGNMENT__ITEM_SECRET;
		s->assignment.secret = &s->secret;
	} else {
		pb__config__init(&s->config);
		s->config.id = (char *)id;
		s->assignment.item_case = PB__ASSIGNMENT__ITEM_CONFIG;
		s->assignment.config = &s->config;
	}
}

static void send_batch(struct dnode *n, struct batch *b, bool complete)
{
	char before[24] = "", after[24];

	if (!complete)
		snprintf(before, sizeof(before), "%llu", (unsigned long long)n->sequence);
	snprintf(after, sizeof(after), "%llu", (unsigned long long)++n->sequence);
	b->msg.type = complete ? PB__ASSIGNMENTS_MESSAGE__TYPE__COMPLETE
			       : PB__ASSIGNMENTS_MESSAGE__TYPE__INCREMENTAL;
	b->msg.applies_to = before;
	b->msg.results_in = after;
	grpc_send(n->assignments, &b->msg);
}

/* --- secrets and configs go with the tasks that use them --- */

static void note_use(struct sent *s, enum use use, const char *id)
{
	if (str_empty(id))
		return;
	for (size_t i = 0; i < s->n[use]; i++)
		if (streq(s->ids[use][i], id))
			return;
	pb_append_str(&s->n[use], &s->ids[use], id);
}

static struct sent *sent_new(const Pb__Task *t)
{
	struct sent *s = xcalloc(1, sizeof(*s));
	const Pb__TaskSpec *spec = t->spec;
	const Pb__ContainerSpec *c = spec && spec->runtime_case == PB__TASK_SPEC__RUNTIME_CONTAINER
					     ? spec->container
					     : NULL;

	for (size_t i = 0; c && i < c->n_secrets; i++)
		note_use(s, SECRET, c->secrets[i]->secret_id);
	for (size_t i = 0; c && i < c->n_configs; i++)
		note_use(s, CONFIG, c->configs[i]->config_id);
	if (c && c->privileges && c->privileges->credential_spec &&
	    c->privileges->credential_spec->source_case ==
		    PB__PRIVILEGES__CREDENTIAL_SPEC__SOURCE_CONFIG)
		note_use(s, CONFIG, c->privileges->credential_spec->config);
	for (size_t i = 0; spec && i < spec->n_resource_references; i++) {
		const Pb__ResourceReference *r = spec->resource_references[i];

		if (r->resource_type == PB__RESOURCE_TYPE__SECRET)
			note_use(s, SECRET, r->resource_id);
		else if (r->resource_type == PB__RESOURCE_TYPE__CONFIG)
			note_use(s, CONFIG, r->resource_id);
	}
	return s;
}

static void sent_free(struct sent *s)
{
	for (enum use u = 0; u < USES; u++) {
		for (size_t i = 0; i < s->n[u]; i++)
			free(s->ids[u][i]);
		free(s->ids[u]);
	}
	free(s);
}

static void hold(struct dnode *n, struct batch *b, struct sent *s)
{
	if (s->holds)
		return;
	s->holds = true;
	for (enum use u = 0; u < USES; u++) {
		for (size_t i = 0; i < s->n[u]; i++) {
			const char *id = s->ids[u][i];
			uintptr_t users = (uintptr_t)map_get(&n->uses[u], id);

			map_put(&n->uses[u], id, as_value(users + 1));
			if (!users)
				add_use(n, b, u, id);
		}
	}
}

static void release(struct dnode *n, struct batch *b, struct sent *s)
{
	if (!s->holds)
		return;
	s->holds = false;
	for (enum use u = 0; u < USES; u++) {
		for (size_t i = 0; i < s->n[u]; i++) {
			const char *id = s->ids[u][i];
			uintptr_t users = (uintptr_t)map_get(&n->uses[u], id);

			if (users > 1) {
				map_put(&n->uses[u], id, as_value(users - 1));
				continue;
			}
			map_del(&n->uses[u], id);
			remove_use(b, u, id);
		}
	}
}

/* --- tasks --- */

static void put_task(struct dnode *n, struct batch *b, const Pb__Task *t)
{
	struct sent *s = map_get(&n->sent, t->id);

	if (!s) {
		s = sent_new(t);
		map_put(&n->sent, t->id, s);
	}
	if (state_of(t) <= PB__TASK_STATE__RUNNING)
		hold(n, b, s);
	else
		release(n, b, s);
	add_task(b, t);
}

/* Returns what a REMOVE of secrets points at, to be freed once the batch is sent. */
static struct sent *drop_task(struct dnode *n, struct batch *b, const char *id)
{
	struct sent *s = map_del(&n->sent, id);

	if (!s)
		return NULL;
	remove_task(b, id);
	release(n, b, s);
	return s;
}

static void send_complete(struct dnode *n)
{
	struct store_iter it = store_tasks_of_node(n->d->env.store, n->id);
	struct batch b = {.msg = PB__ASSIGNMENTS_MESSAGE__INIT};
	const Pb__Task *t;

	while ((t = store_next(&it)))
		if (state_of(t) >= PB__TASK_STATE__ASSIGNED)
			put_task(n, &b, t);
	send_batch(n, &b, true);
	batch_done(&b);
}

static void send_changes(struct dnode *n)
{
	struct batch b = {.msg = PB__ASSIGNMENTS_MESSAGE__INIT};
	struct sent *dropped[BATCH_MAX];
	char *ids[BATCH_MAX];
	size_t n_dropped = 0, n_ids = 0;
	const char *id;
	void *value;

	map_for_each (&n->changed, id, value) {
		const Pb__Task *t = store_task(n->d->env.store, id);
		struct sent *s = map_get(&n->sent, id);

		if (n_ids == BATCH_MAX)
			break;
		/* the key lives until the message is sent */
		ids[n_ids] = xstrdup(id);
		if (!t || !streq(t->node_id, n->id)) {
			s = drop_task(n, &b, ids[n_ids]);
			if (s)
				dropped[n_dropped++] = s;
		} else if (state_of(t) < PB__TASK_STATE__ASSIGNED) {
			/* not for the node yet */
		} else if (!s || value == as_value(RESEND)) {
			put_task(n, &b, t);
		} else if (state_of(t) > PB__TASK_STATE__RUNNING) {
			release(n, &b, s);
		}
		n_ids++;
		map_del(&n->changed, id);
	}
	if (b.msg.n_changes)
		send_batch(n, &b, false);
	batch_done(&b);
	while (n_dropped)
		sent_free(dropped[--n_dropped]);
	while (n_ids)
		free(ids[--n_ids]);
}

static void on_flush(void *arg)
{
	struct dnode *n = arg;

	while (n->assignments && n->changed.len && grpc_call_unsent(n->assignments) < UNSENT_MAX)
		send_changes(n);
}

static void on_drain(struct grpc_call *call, void *arg)
{
	(void)call;
	on_flush(arg);
}

static void mark(struct dnode *n, const char *task_id, enum change change)
{
	if (map_get(&n->changed, task_id) != as_value(RESEND))
		map_put(&n->changed, task_id, as_value(change));
	if (n->changed.len >= BATCH_MAX)
		timer_set(&n->flush, 0);
	else if (!timer_pending(&n->flush))
		timer_set(&n->flush, BATCH_DELAY_MS);
}

/* What the node reports itself is no news to it. */
static bool same_to_node(const Pb__Task *old, const Pb__Task *new)
{
	Pb__Task a = *old, b = *new;

	a.meta = b.meta = NULL;
	a.status = b.status = NULL;
	return pb_equal(&a, &b);
}

void assign_task_event(struct dispatcher *d, const struct store_event *ev)
{
	const Pb__Task *old = ev->old, *new = ev->new;
	struct dnode *n;

	if (old && !str_empty(old->node_id) && (!new || !streq(new->node_id, old->node_id))) {
		n = map_get(&d->nodes, old->node_id);
		if (n && n->assignments)
			mark(n, old->id, LOOK);
	}
	if (!new || str_empty(new->node_id) || state_of(new) < PB__TASK_STATE__ASSIGNED)
		return;
	n = map_get(&d->nodes, new->node_id);
	if (!n || !n->assignments)
		return;
	if (!old || state_of(old) < PB__TASK_STATE__ASSIGNED || !same_to_node(old, new))
		mark(n, new->id, RESEND);
	else if (state_of(new) > PB__TASK_STATE__RUNNING &&
		 state_of(old) <= PB__TASK_STATE__RUNNING)
		mark(n, new->id, LOOK);
}

/* --- the stream --- */

void assign_init(struct dnode *n)
{
	timer_init(&n->flush, n->d->env.loop, on_flush, n);
}

void assign_done(struct dnode *n)
{
	struct sent *s;
	const char *id;

	timer_cancel(&n->flush);
	map_for_each (&n->sent, id, s)
		sent_free(s);
	map_done(&n->sent);
	map_done(&n->changed);
	for (enum use u = 0; u < USES; u++)
		map_done(&n->uses[u]);
	n->sequence = 0;
}

static void on_gone(struct grpc_call *call, void *arg)
{
	struct dnode *n = arg;

	n->assignments = NULL;
	assign_done(n);
	grpc_finish(call, GRPC_CANCELLED, NULL);
}

void assign_open(struct grpc_call *call, const void *request, void *arg)
{
	const Pb__AssignmentsRequest *req = request;
	struct dnode *n = dispatcher_session(arg, call, req->session_id);

	if (!n)
		return;
	dispatcher_end_call(&n->assignments, GRPC_ABORTED,
			    "another stream of assignments was opened");
	assign_done(n);
	n->assignments = call;
	grpc_call_on_close(call, on_gone, n);
	grpc_call_on_drain(call, on_drain, n);
	send_complete(n);
}
