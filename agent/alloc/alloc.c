// SPDX-License-Identifier: Apache-2.0
#include "alloc/alloc_impl.h"

#include "wire/pb.h"

enum { VXLAN_PORT_DEFAULT = 4789 };

const Pb__Network *alloc_ingress(const struct store *s)
{
	const Pb__Network *n;

	for (struct store_iter it = store_all(s, STORE_NETWORK); (n = store_next(&it));)
		if (n->spec && n->spec->ingress && !n->pending_delete)
			return n;
	return NULL;
}

/* --- tasks that wait for something --- */

static void block(struct alloc *a, const char *blocker, const char *task_id)
{
	struct idq *q = map_get(&a->blocked, blocker);

	if (!q) {
		q = xcalloc(1, sizeof(*q));
		idq_init(q);
		map_put(&a->blocked, blocker, q);
	}
	idq_add(q, task_id);
}

static void blocked_forget(struct alloc *a, const char *blocker)
{
	struct idq *q = map_del(&a->blocked, blocker);

	if (q)
		idq_done(q);
	free(q);
}

void alloc_unblock(struct alloc *a, const char *id, size_t n)
{
	struct idq *q = map_get(&a->blocked, id);
	char *task;

	while (q && n-- && (task = idq_pop(q))) {
		idq_add(&a->tasks, task);
		free(task);
	}
	if (q && idq_empty(q))
		blocked_forget(a, id);
}

/* --- the cluster's settings --- */

static void read_cluster(struct alloc *a, const Pb__Cluster *c)
{
	if (a->pools_known || !c)
		return;
	pools_set(&a->pools, c->default_address_pool, c->n_default_address_pool, c->subnet_size);
	a->vxlan_port = c->vxlan_udp_port ? c->vxlan_udp_port : VXLAN_PORT_DEFAULT;
	a->pools_known = true;
}

/* --- events --- */

static void want_network(struct alloc *a, const Pb__Network *n)
{
	if (!net_is_allocated(n))
		idq_add(&a->networks, n->id);
}

static void want_task(struct alloc *a, const Pb__Task *t)
{
	if ((!t->status || t->status->state == PB__TASK_STATE__NEW) &&
	    t->desired_state <= PB__TASK_STATE__COMPLETE)
		idq_add(&a->tasks, t->id);
}

static void all_nodes(struct alloc *a)
{
	const Pb__Node *n;

	for (struct store_iter it = store_all(a->store, STORE_NODE); (n = store_next(&it));)
		idq_add(&a->nodes, n->id);
}

static void on_network(struct alloc *a, const Pb__Network *old, const Pb__Network *new)
{
	if (!new) {
		net_forget(a, old->id);
		idq_move(&a->networks, &a->failed_networks);
		return;
	}
	if (!net_is_allocated(new)) {
		idq_del(&a->failed_networks, new->id);
		want_network(a, new);
		return;
	}
	net_note(a, new);
	if (old && net_is_allocated(old))
		return;
	if (new->spec &&new->spec->ingress)
		all_nodes(a);
	idq_move(&a->services, &a->failed_services);
	alloc_unblock(a, new->id, SIZE_MAX);
}

static void on_service(struct alloc *a, const Pb__Service *old, const Pb__Service *new)
{
	service_changed(a, old, new);
	/* Ports or addresses may have become free. */
	if (!new || (old && !pb_equal(old->endpoint, new->endpoint)))
		idq_move(&a->services, &a->failed_services);
	if (!new) {
		idq_del(&a->services, old->id);
		idq_del(&a->failed_services, old->id);
		blocked_forget(a, old->id);
		return;
	}
	idq_del(&a->failed_services, new->id);
	idq_add(&a->services, new->id);
}

static void on_node(struct alloc *a, const Pb__Node *old, const Pb__Node *new)
{
	node_changed(a, old, new);
	if (!old)
		idq_add(&a->nodes, new->id);
}

static void alloc_event(void *c, const struct store_event *ev, uint64_t now_ms)
{
	struct alloc *a = c;

	a->now_ms = now_ms;
	switch (ev->kind) {
	case STORE_CLUSTER:
		read_cluster(a, ev->new);
		break;
	case STORE_NETWORK:
		on_network(a, ev->old, ev->new);
		break;
	case STORE_SERVICE:
		on_service(a, ev->old, ev->new);
		break;
	case STORE_NODE:
		on_node(a, ev->old, ev->new);
		break;
	case STORE_TASK:
		task_changed(a, ev->old, ev->new);
		if (ev->new)
			want_task(a, ev->new);
		break;
	default:
		break;
	}
}

/* --- staging --- */

/* Say why a task waits; nothing is staged when it says so already. */
static void explain(struct store_tx *tx, const Pb__Task *t, const struct err *why)
{
	Pb__Task *copy;

	if (t->status && !strcmp(t->status->err, why->msg))
		return;
	copy = pb_clone(t);
	pb_set_str(&pb_need(&copy->status, pb__task_status)->err, why->msg);
	pb_set_timestamp(&copy->status->timestamp, store_tx_now_ns(tx));
	store_tx_update(tx, copy, NULL);
}

static void run_networks(struct alloc *a, struct store_tx *tx)
{
	char *id;

	while (!store_tx_full(tx) && (id = idq_pop(&a->networks))) {
		const Pb__Network *n = store_network(store_tx_store(tx), id);

		if (n && !net_is_allocated(n) && !net_find(a, id) && net_alloc(a, tx, n, NULL))
			idq_add(&a->failed_networks, id);
		free(id);
	}
}

static void run_nodes(struct alloc *a, struct store_tx *tx)
{
	char *id;

	while (!store_tx_full(tx) && (id = idq_pop(&a->nodes))) {
		const Pb__Node *n = store_node(store_tx_store(tx), id);

		if (n)
			node_alloc(a, tx, n, NULL);
		free(id);
	}
}

static void run_services(struct alloc *a, struct store_tx *tx)
{
	struct store *s = store_tx_store(tx);
	char *id;

	while (!store_tx_full(tx) && (id = idq_pop(&a->services))) {
		const Pb__Service *svc = store_service(s, id);

		if (svc && !service_is_allocated(a, s, svc) && service_alloc(a, tx, svc, NULL))
			idq_add(&a->failed_services, id);
		else
			alloc_unblock(a, id, SIZE_MAX);
		free(id);
	}
}

static void run_tasks(struct alloc *a, struct store_tx *tx)
{
	char *id;

	while (!store_tx_full(tx) && (id = idq_pop(&a->tasks))) {
		const Pb__Task *t = store_task(store_tx_store(tx), id);
		const char *blocker = NULL;
		struct err err = ERR_INIT;

		if (t && (!t->status || t->status->state == PB__TASK_STATE__NEW) && t->spec &&
		    t->desired_state <= PB__TASK_STATE__COMPLETE &&
		    task_alloc(a, tx, t, &blocker, &err) && blocker) {
			block(a, blocker, id);
			explain(tx, t, &err);
		}
		free(id);
	}
}

static uint64_t alloc_run(void *c, struct store_tx *tx, uint64_t now_ms)
{
	struct alloc *a = c;
	uint64_t next;

	a->now_ms = now_ms;
	if (!a->pools_known)
		return COMPONENT_NEVER;
	next = presence_expire(a, now_ms);
	run_networks(a, tx);
	run_nodes(a, tx);
	run_services(a, tx);
	run_tasks(a, tx);
	return next;
}

static bool alloc_dirty(void *c)
{
	const struct alloc *a = c;

	return a->pools_known && (!idq_empty(&a->networks) || !idq_empty(&a->nodes) ||
				  !idq_empty(&a->services) || !idq_empty(&a->tasks));
}

static void rebuild(struct alloc *a)
{
	const Pb__Network *n;
	const Pb__Service *svc;
	const Pb__Node *node;
	const Pb__Task *t;

	read_cluster(a, store_cluster(a->store));
	for (struct store_iter it = store_all(a->store, STORE_NETWORK); (n = store_next(&it));)
		if (net_is_allocated(n))
			net_note(a, n);
		else
			want_network(a, n);
	for (struct store_iter it = store_all(a->store, STORE_NODE); (node = store_next(&it));) {
		node_changed(a, NULL, node);
		idq_add(&a->nodes, node->id);
	}
	for (struct store_iter it = store_all(a->store, STORE_SERVICE); (svc = store_next(&it));) {
		service_changed(a, NULL, svc);
		idq_add(&a->services, svc->id);
	}
	for (struct store_iter it = store_all(a->store, STORE_TASK); (t = store_next(&it));) {
		task_changed(a, NULL, t);
		want_task(a, t);
	}
}

static void *alloc_open(struct store *store, struct rng *rng)
{
	struct alloc *a = xcalloc(1, sizeof(*a));

	(void)rng;
	a->store = store;
	pools_init(&a->pools);
	ports_init(&a->ports);
	list_init(&a->idle);
	idq_init(&a->networks);
	idq_init(&a->nodes);
	idq_init(&a->services);
	idq_init(&a->tasks);
	idq_init(&a->failed_networks);
	idq_init(&a->failed_services);
	rebuild(a);
	return a;
}

static void alloc_close(void *c)
{
	struct alloc *a = c;
	struct anet *net;
	struct idq *q;
	const char *key;

	while (a->nets.len) {
		size_t pos = 0;

		map_next(&a->nets, &pos, &key, (void **)&net);
		net_forget(a, key);
	}
	map_done(&a->nets);
	map_for_each (&a->blocked, key, q) {
		idq_done(q);
		free(q);
	}
	map_done(&a->blocked);
	presence_done(a);
	idq_done(&a->networks);
	idq_done(&a->nodes);
	idq_done(&a->services);
	idq_done(&a->tasks);
	idq_done(&a->failed_networks);
	idq_done(&a->failed_services);
	bitmap_done(&a->vnis);
	ports_done(&a->ports);
	pools_done(&a->pools);
	free(a);
}

const struct component_ops alloc_component = {
	.name = "allocator",
	.open = alloc_open,
	.close = alloc_close,
	.event = alloc_event,
	.run = alloc_run,
	.dirty = alloc_dirty,
};
