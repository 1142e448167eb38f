// SPDX-License-Identifier: Apache-2.0
/* Nodes and their sessions. */
#include "manager/dispatcher.h"

#include <errno.h>
#include <stdio.h>

#include "core/log.h"
#include "core/rng.h"
#include "manager/dispatcher_impl.h"
#include "wire/dispatcher.pb-c.h"
#include "wire/pb.h"

enum {
	PERIOD_MS = 5000,
	TTL_PERIODS = 3,
	UNKNOWN_PERIODS = 6, /* for nodes that a former leader knew */
	GRACE_MS = 2000, /* for a new session after one broke */
	SUSPECT_GRACE_MS = 300,
	PROBE_MS = 1000,
	LOOK_MS = 500, /* how often the manager looks how late its timers are */
	TELL_DELAY_MS = 20, /* what changes together is told together */
	UNSENT_MAX = 1 << 20,
};

#define ORPHAN_MS (24ULL * 3600 * 1000)
#define SERVICE "/docker.swarmkit.v1.Dispatcher/"

static void node_down(struct dnode *n, const char *why);

/* --- helpers --- */

static uint64_t period_ms(const struct dispatcher *d)
{
	const Pb__Cluster *c = store_cluster(d->env.store);
	int64_t ns = c && c->spec && c->spec->dispatcher
			     ? pb_duration_ns(c->spec->dispatcher->heartbeat_period)
			     : 0;

	return ns >= 1000000000 ? ns / 1000000 : PERIOD_MS;
}

void dispatcher_end_call(struct grpc_call **call, enum grpc_status status, const char *text)
{
	struct grpc_call *c = steal_ptr(*call);

	if (!c)
		return;
	grpc_call_on_close(c, NULL, NULL);
	grpc_call_on_drain(c, NULL, NULL);
	grpc_finish(c, status, text);
}

bool dispatcher_leads(struct dispatcher *d, struct grpc_call *call)
{
	if (d->leads)
		return true;
	grpc_finish(call, GRPC_ABORTED, "dispatcher is stopped: the manager does not lead");
	return false;
}

struct dnode *dispatcher_session(struct dispatcher *d, struct grpc_call *call,
				 const char *session_id)
{
	struct dnode *n;

	if (!dispatcher_leads(d, call))
		return NULL;
	n = map_get(&d->nodes, grpc_call_peer(call)->node_id);
	if (!n || !n->session_id[0]) {
		grpc_finish(call, GRPC_NOT_FOUND, "node not registered");
		return NULL;
	}
	if (!streq(n->session_id, session_id)) {
		grpc_finish(call, GRPC_INVALID_ARGUMENT, "session invalid");
		return NULL;
	}
	return n;
}

/* --- lateness --- */

static void own_late(struct dispatcher *d, const struct lag_wait *w)
{
	uint32_t most = LAG_OUTAGE * d->lag.usual;

	lag_measured(&d->lag, min(lag_wait_late(w, loop_now_ms()), most));
}

static void look(struct dispatcher *d)
{
	timer_set(&d->look, lag_wait_begin(&d->look_wait, LOOK_MS, 0, loop_now_ms()));
}

static void on_look(void *arg)
{
	struct dispatcher *d = arg;

	own_late(d, &d->look_wait);
	lag_passed(&d->lag, loop_now_ms() - d->look_wait.since_ms);
	look(d);
}

static uint32_t slack_ms(const struct dnode *n)
{
	return max(lag_slack(&n->d->lag), lag_slack(&n->lag));
}

/* The node has so long, and longer where it or this manager is late, to be heard of. */
static void wait_for(struct dnode *n, uint64_t wait_ms)
{
	timer_set(&n->deadline, lag_wait_begin(&n->wait, wait_ms, slack_ms(n), loop_now_ms()));
}

/* It beats: how late is that, and when is the next to come? */
static void take_beat(struct dnode *n, uint64_t next_ms)
{
	uint64_t now = loop_now_ms();

	if (n->beat_due_ms) {
		lag_measured(&n->lag, now > n->beat_due_ms
					      ? min(now - n->beat_due_ms, (uint64_t)INT32_MAX)
					      : 0);
		lag_passed(&n->lag, now - n->beat_ms);
	}
	n->beat_ms = now;
	n->beat_due_ms = now + next_ms;
}

/* --- session messages --- */

static void send_session(struct dnode *n)
{
	struct dispatcher *d = n->d;
	const Pb__Cluster *c = store_cluster(d->env.store);
	const Pb__Node *node = store_node(d->env.store, n->id);
	Pb__SessionMessage msg = PB__SESSION_MESSAGE__INIT;

	if (!n->session || !node)
		return;
	msg.session_id = n->session_id;
	msg.node = (Pb__Node *)node;
	msg.managers = d->managers;
	msg.n_managers = d->n_managers;
	if (c) {
		msg.network_bootstrap_keys = c->network_bootstrap_keys;
		msg.n_network_bootstrap_keys = c->n_network_bootstrap_keys;
		if (c->root_ca)
			msg.root_ca = c->root_ca->ca_cert;
	}
	grpc_send(n->session, &msg);
}

static void mark_untold(struct dnode *n)
{
	struct dispatcher *d = n->d;

	if (n->state != DNODE_HERE || !list_empty(&n->untold_node))
		return;
	list_add_tail(&n->untold_node, &d->untold);
	if (!timer_pending(&d->tell))
		timer_set(&d->tell, TELL_DELAY_MS);
}

static void mark_all_untold(struct dispatcher *d)
{
	struct dnode *n;
	const char *id;

	map_for_each (&d->nodes, id, n)
		mark_untold(n);
}

/* A node that does not take what it was told hears the newest state once it does. */
static void on_tell(void *arg)
{
	struct dispatcher *d = arg;
	struct dnode *n, *tmp;
	bool again = false;

	list_for_each_safe (n, tmp, &d->untold, untold_node) {
		if (n->session && grpc_call_unsent(n->session) > UNSENT_MAX) {
			again = true;
			continue;
		}
		list_del(&n->untold_node);
		send_session(n);
	}
	if (again)
		timer_set(&d->tell, 1000);
}

/* --- nodes --- */

static void end_session(struct dnode *n, enum grpc_status status, const char *text)
{
	if (n->session_id[0])
		n->d->n_sessions--;
	n->session_id[0] = 0;
	n->beat_due_ms = 0;
	list_del(&n->untold_node);
	dispatcher_end_call(&n->session, status, text);
	dispatcher_end_call(&n->assignments, status, text);
	assign_done(n);
}

static void node_free(struct dnode *n)
{
	end_session(n, GRPC_ABORTED, "the session is over");
	timer_done(&n->deadline);
	timer_done(&n->flush);
	free(n->id);
	free(n->ip);
	free(n);
}

/* --- states of nodes in the store --- */

struct node_change {
	struct dispatcher *d;
	char *node_id, *addr, *message;
	Pb__NodeStatus__State state;
	Pb__NodeDescription *description;
	struct grpc_call *call; /* of a registration */
	char session_id[ID_SIZE];
	bool more; /* orphaning: another transaction is needed */
};

static void change_free(struct node_change *c)
{
	free(c->node_id);
	free(c->addr);
	free(c->message);
	pb_free(c->description);
	free(c);
}

static int build_state(struct store_tx *tx, void *arg, struct err *err)
{
	struct node_change *c = arg;
	const Pb__Node *old = store_node(store_tx_store(tx), c->node_id);
	Pb__NodeStatus *st;
	Pb__Node *n;

	if (!old)
		return err_set(err, -ENOENT, "node not found");
	st = old->status;
	if (st && st->state == c->state && streq(st->message, c->message) &&
	    (!c->addr || streq(st->addr, c->addr)) &&
	    (!c->description || pb_equal(old->description, c->description)))
		return 0;
	n = pb_clone(old);
	st = pb_need(&n->status, pb__node_status);
	st->state = c->state;
	pb_set_str(&st->message, c->message);
	if (c->addr)
		pb_set_str(&st->addr, c->addr);
	if (c->description) {
		pb_free(n->description);
		n->description = pb_clone(c->description);
	}
	return store_tx_update(tx, n, err);
}

static void on_state(const struct err *err, void *arg)
{
	struct node_change *c = arg;

	if (err && c->d->leads && err->code != -ENOENT)
		log_warn("dispatcher: the state of node %s was not written: %s", c->node_id,
			 err->msg);
	change_free(c);
}

static void write_state(struct dnode *n, Pb__NodeStatus__State state, const char *message)
{
	struct dispatcher *d = n->d;
	struct node_change *c = xcalloc(1, sizeof(*c));

	c->d = d;
	c->node_id = xstrdup(n->id);
	c->state = state;
	c->message = xstrdup(message);
	d->env.write(d->env.writer, build_state, on_state, c);
}

/* What a node lost for so long ran is not waited for any more. */
static int build_orphans(struct store_tx *tx, void *arg, struct err *err)
{
	struct node_change *c = arg;
	struct store_iter it = store_tasks_of_node(store_tx_store(tx), c->node_id);
	const Pb__Task *old;
	int rc = 0;

	c->more = false;
	while (!rc && (old = store_next(&it))) {
		Pb__TaskState state = old->status ? old->status->state : PB__TASK_STATE__NEW;
		Pb__Task *t;

		if (state < PB__TASK_STATE__ASSIGNED || state > PB__TASK_STATE__RUNNING)
			continue;
		if (store_tx_full(tx)) {
			c->more = true;
			break;
		}
		t = pb_clone(old);
		t->status->state = PB__TASK_STATE__ORPHANED;
		pb_set_timestamp(&t->status->timestamp, store_tx_now_ns(tx));
		pb_set_str(&t->status->message, "the task's node has been down for a day");
		rc = store_tx_update(tx, t, err);
	}
	return rc;
}

static void on_orphans(const struct err *err, void *arg)
{
	struct node_change *c = arg;
	struct dispatcher *d = c->d;

	if (!err && c->more && d->leads)
		d->env.write(d->env.writer, build_orphans, on_orphans, c);
	else
		on_state(err, arg);
}

static void on_deadline(void *arg)
{
	struct dnode *n = arg;
	struct dispatcher *d = n->d;
	struct node_change *c;
	uint64_t left_ms;

	own_late(d, &n->wait);
	left_ms = lag_wait_left(&n->wait, slack_ms(n), loop_now_ms());
	if (left_ms) {
		timer_set(&n->deadline, left_ms);
		return;
	}
	switch (n->state) {
	case DNODE_COMING:
		return;
	case DNODE_AWAY:
		node_down(n, "the node's session broke and it did not come back");
		return;
	case DNODE_HERE:
		node_down(n, "heartbeat failure");
		return;
	case DNODE_DOWN:
		c = xcalloc(1, sizeof(*c));
		c->d = d;
		c->node_id = xstrdup(n->id);
		d->env.write(d->env.writer, build_orphans, on_orphans, c);
		return;
	}
}

static void node_down(struct dnode *n, const char *why)
{
	log_warn("dispatcher: node %s (%s) is down: %s", n->id, n->ip ? n->ip : "?", why);
	end_session(n, GRPC_ABORTED, why);
	n->state = DNODE_DOWN;
	write_state(n, PB__NODE_STATUS__STATE__DOWN, why);
	wait_for(n, ORPHAN_MS);
}

static struct dnode *node_add(struct dispatcher *d, const Pb__Node *node)
{
	struct dnode *n = xcalloc(1, sizeof(*n));

	n->d = d;
	n->id = xstrdup(node->id);
	if (node->status && !str_empty(node->status->addr))
		n->ip = xstrdup(node->status->addr);
	list_init(&n->untold_node);
	n->lag.usual = GRACE_MS;
	timer_init(&n->deadline, d->env.loop, on_deadline, n);
	assign_init(n);
	map_put(&d->nodes, n->id, n);
	return n;
}

static bool suspected(const struct dnode *n)
{
	return n->ip && map_has(&n->d->suspects, n->ip);
}

/* --- the calls --- */

static void on_session_gone(struct grpc_call *call, void *arg)
{
	struct dnode *n = arg;
	/* the manager between us died: the node may need a while to find another */
	bool other = grpc_call_lost(call) && grpc_call_peer(call)->via;
	bool silent = grpc_call_silent(call) && !other;

	n->session = NULL;
	grpc_finish(call, GRPC_CANCELLED, NULL);
	if (n->state != DNODE_HERE)
		return;
	n->state = DNODE_AWAY;
	list_del(&n->untold_node);
	log_info("dispatcher: the session of node %s broke", n->id);
	wait_for(n, silent || suspected(n) ? SUSPECT_GRACE_MS
		    : other		   ? TTL_PERIODS * period_ms(n->d)
					   : GRACE_MS);
}

/* The stream is the node's session from now on. */
static void take_session(struct dnode *n, struct grpc_call *call)
{
	dispatcher_end_call(&n->session, GRPC_ABORTED, "another session of the node has begun");
	n->session = call;
	n->state = DNODE_HERE;
	n->beat_due_ms = 0;
	grpc_call_on_close(call, on_session_gone, n);
	wait_for(n, TTL_PERIODS * period_ms(n->d));
	send_session(n);
}

static void on_registered(const struct err *err, void *arg)
{
	struct node_change *c = arg;
	struct dispatcher *d = c->d;
	struct dnode *n = d->leads ? map_get(&d->nodes, c->node_id) : NULL;
	bool current = n && streq(n->session_id, c->session_id);

	if (grpc_call_gone(c->call)) {
		grpc_finish(c->call, GRPC_CANCELLED, NULL);
		if (current && n->state == DNODE_COMING) {
			n->state = DNODE_AWAY;
			wait_for(n, GRACE_MS);
		}
	} else if (err || !current) {
		if (current) {
			n->state = DNODE_AWAY;
			end_session(n, GRPC_ABORTED, NULL);
		}
		if (err)
			grpc_fail(c->call, err);
		else
			grpc_finish(c->call, GRPC_ABORTED, "another session of the node has begun");
	} else {
		log_info("dispatcher: node %s has registered from %s", n->id, n->ip ? n->ip : "?");
		take_session(n, c->call);
	}
	change_free(c);
}

static bool too_often(struct dnode *n)
{
	uint64_t now = loop_now_ms();

	if (n->registered_ms[0] && now - n->registered_ms[0] < REGISTRATIONS_MS)
		return true;
	memmove(n->registered_ms, n->registered_ms + 1,
		sizeof(n->registered_ms) - sizeof(uint64_t));
	n->registered_ms[REGISTRATIONS_MAX - 1] = now;
	return false;
}

/* "10.0.0.1:80" → "10.0.0.1", "[fd00::1]:80" → "fd00::1" */
static char *ip_of(const char *addr)
{
	const char *colon = strrchr(addr, ':');
	size_t n = colon ? (size_t)(colon - addr) : strlen(addr);

	if (n >= 2 && addr[0] == '[' && addr[n - 1] == ']')
		return xstrndup(addr + 1, n - 2);
	return xstrndup(addr, n);
}

static void session(struct grpc_call *call, const void *request, void *arg)
{
	const Pb__SessionRequest *req = request;
	const struct grpc_peer *peer = grpc_call_peer(call);
	struct dispatcher *d = arg;
	const Pb__Node *node;
	struct node_change *c;
	struct dnode *n;

	if (!dispatcher_leads(d, call))
		return;
	node = store_node(d->env.store, peer->node_id);
	if (!node) {
		grpc_finish(call, GRPC_NOT_FOUND, "node not found");
		return;
	}
	n = map_get(&d->nodes, node->id);
	if (!n)
		n = node_add(d, node);
	free(n->ip);
	n->ip = ip_of(peer->addr);
	if (!str_empty(req->session_id) && streq(req->session_id, n->session_id) &&
	    n->state != DNODE_COMING) {
		bool same = !req->description || pb_equal(req->description, node->description);

		if (same) {
			take_session(n, call);
			return;
		}
	}
	if (too_often(n)) {
		grpc_finish(call, GRPC_UNAVAILABLE, "the node registers too often");
		return;
	}
	end_session(n, GRPC_ABORTED, "another session of the node has begun");
	id_new(d->env.rng, n->session_id);
	d->n_sessions++;
	n->state = DNODE_COMING;
	timer_cancel(&n->deadline);
	c = xcalloc(1, sizeof(*c));
	c->d = d;
	c->node_id = xstrdup(n->id);
	c->addr = xstrdup(n->ip);
	c->message = xstrdup("");
	c->state = PB__NODE_STATUS__STATE__READY;
	c->description = pb_clone(req->description);
	c->call = call;
	memcpy(c->session_id, n->session_id, sizeof(c->session_id));
	d->env.write(d->env.writer, build_state, on_registered, c);
}

static void heartbeat(struct grpc_call *call, const void *request, void *arg)
{
	const Pb__HeartbeatRequest *req = request;
	struct dispatcher *d = arg;
	struct dnode *n = dispatcher_session(d, call, req->session_id);
	Pb__HeartbeatResponse reply = PB__HEARTBEAT_RESPONSE__INIT;
	Pb__Duration period = PB__DURATION__INIT;
	uint64_t ms;

	if (!n)
		return;
	ms = period_ms(d);
	if (n->state == DNODE_HERE)
		wait_for(n, TTL_PERIODS * ms);
	/* spread the beats of many nodes: ±10 % */
	ms = ms * 9 / 10 + rng_below(d->env.rng, ms / 5 + 1);
	take_beat(n, ms);
	period.seconds = ms / 1000;
	period.nanos = ms % 1000 * 1000000;
	reply.period = &period;
	grpc_reply(call, &reply);
}

static const struct grpc_method methods[] = {
	{
		.path = SERVICE "Session",
		.kind = GRPC_SERVER_STREAM,
		.request = &pb__session_request__descriptor,
		.roles = GRPC_WORKER | GRPC_MANAGER,
		.to_leader = true,
		.fn = session,
	},
	{
		.path = SERVICE "Heartbeat",
		.request = &pb__heartbeat_request__descriptor,
		.roles = GRPC_WORKER | GRPC_MANAGER,
		.to_leader = true,
		.fn = heartbeat,
	},
	{
		.path = SERVICE "Assignments",
		.kind = GRPC_SERVER_STREAM,
		.request = &pb__assignments_request__descriptor,
		.roles = GRPC_WORKER | GRPC_MANAGER,
		.to_leader = true,
		.fn = assign_open,
	},
	{
		.path = SERVICE "UpdateTaskStatus",
		.request = &pb__update_task_status_request__descriptor,
		.roles = GRPC_WORKER | GRPC_MANAGER,
		.to_leader = true,
		.fn = status_update_tasks,
	},
	{
		.path = SERVICE "UpdateVolumeStatus",
		.request = &pb__update_volume_status_request__descriptor,
		.roles = GRPC_WORKER | GRPC_MANAGER,
		.to_leader = true,
		.fn = status_update_volumes,
	},
};

/* --- events --- */

/* What a node is told of itself; its state, which follows from the session, is not. */
static bool same_to_node(const Pb__Node *old, const Pb__Node *new)
{
	Pb__Node a = *old, b = *new;

	a.meta = b.meta = NULL;
	a.status = b.status = NULL;
	a.manager_status = b.manager_status = NULL;
	return pb_equal(&a, &b);
}

static bool same_to_all(const Pb__Cluster *old, const Pb__Cluster *new)
{
	Pb__SessionMessage a = PB__SESSION_MESSAGE__INIT, b = PB__SESSION_MESSAGE__INIT;

	a.network_bootstrap_keys = old->network_bootstrap_keys;
	a.n_network_bootstrap_keys = old->n_network_bootstrap_keys;
	b.network_bootstrap_keys = new->network_bootstrap_keys;
	b.n_network_bootstrap_keys = new->n_network_bootstrap_keys;
	if (old->root_ca)
		a.root_ca = old->root_ca->ca_cert;
	if (new->root_ca)
		b.root_ca = new->root_ca->ca_cert;
	return pb_equal(&a, &b);
}

static void on_node_event(struct dispatcher *d, const struct store_event *ev)
{
	const Pb__Node *new = ev->new, *old = ev->old;
	struct dnode *n;

	if (!new) {
		n = map_del(&d->nodes, old->id);
		if (n)
			node_free(n);
		grpc_server_cut(d->env.server, old->id);
		return;
	}
	if (!d->leads)
		return;
	n = map_get(&d->nodes, new->id);
	if (!n)
		node_add(d, new);
	else if (old && !same_to_node(old, new))
		mark_untold(n);
}

static void on_event(const struct store_event *ev, void *arg)
{
	struct dispatcher *d = arg;

	if (ev->kind == STORE_NODE)
		on_node_event(d, ev);
	else if (d->leads && ev->kind == STORE_TASK)
		assign_task_event(d, ev);
	else if (d->leads && ev->kind == STORE_CLUSTER && ev->new &&
		 (!ev->old || !same_to_all(ev->old, ev->new)))
		mark_all_untold(d);
}

/* --- the leadership --- */

static int build_unknown(struct store_tx *tx, void *arg, struct err *err)
{
	struct node_change *c = arg;
	struct store_iter it = store_all(store_tx_store(tx), STORE_NODE);
	const Pb__Node *old;
	int rc = 0;

	c->more = false;
	while (!rc && (old = store_next(&it))) {
		struct dnode *n = map_get(&c->d->nodes, old->id);
		Pb__Node *node;

		if (!old->status || old->status->state != PB__NODE_STATUS__STATE__READY || !n ||
		    n->state != DNODE_AWAY || n->session_id[0])
			continue;
		if (store_tx_full(tx)) {
			c->more = true;
			break;
		}
		node = pb_clone(old);
		node->status->state = PB__NODE_STATUS__STATE__UNKNOWN;
		pb_set_str(&node->status->message,
			   "Node moved to \"unknown\" state due to leadership change in cluster");
		rc = store_tx_update(tx, node, err);
	}
	return rc;
}

static void on_unknown(const struct err *err, void *arg)
{
	struct node_change *c = arg;
	struct dispatcher *d = c->d;

	if (!err && c->more && d->leads)
		d->env.write(d->env.writer, build_unknown, on_unknown, c);
	else
		change_free(c);
}

static void begin(struct dispatcher *d)
{
	struct store_iter it = store_all(d->env.store, STORE_NODE);
	uint64_t unknown_ms = UNKNOWN_PERIODS * period_ms(d);
	struct node_change *c;
	const Pb__Node *node;

	while ((node = store_next(&it))) {
		struct dnode *n = node_add(d, node);

		if (node->status && node->status->state == PB__NODE_STATUS__STATE__DOWN) {
			n->state = DNODE_DOWN;
			wait_for(n, ORPHAN_MS);
		} else if (node->description) {
			/* it had registered with a former leader */
			wait_for(n, suspected(n) ? GRACE_MS : unknown_ms);
		}
	}
	look(d);
	c = xcalloc(1, sizeof(*c));
	c->d = d;
	d->env.write(d->env.writer, build_unknown, on_unknown, c);
}

static void end(struct dispatcher *d)
{
	struct dnode *n;
	const char *id;

	timer_cancel(&d->tell);
	timer_cancel(&d->look);
	d->lag.late = 0;
	map_for_each (&d->nodes, id, n) {
		map_del(&d->nodes, id);
		node_free(n);
	}
	status_clear(d);
}

void dispatcher_lead(struct dispatcher *d, bool leads)
{
	if (d->leads == leads)
		return;
	d->leads = leads;
	if (leads)
		begin(d);
	else
		end(d);
}

void dispatcher_suspect(struct dispatcher *d, const char *ip, bool alive)
{
	struct dnode *n;
	uint32_t slack = lag_slack(&d->lag);
	const char *id;

	if (alive) {
		map_del(&d->suspects, ip);
		return;
	}
	map_put(&d->suspects, ip, d);
	map_for_each (&d->nodes, id, n) {
		if (!streq(n->ip, ip))
			continue;
		slack = max(slack, lag_slack(&n->lag));
		if (n->state == DNODE_AWAY && timer_pending(&n->deadline))
			wait_for(n, SUSPECT_GRACE_MS);
	}
	grpc_server_probe(d->env.server, ip, PROBE_MS + slack);
}

static void clear_managers(struct dispatcher *d)
{
	for (size_t i = 0; i < d->n_managers; i++)
		pb_free(d->managers[i]);
	free(d->managers);
	d->managers = NULL;
	d->n_managers = 0;
}

void dispatcher_set_managers(struct dispatcher *d, Pb__WeightedPeer *const *managers, size_t n)
{
	bool same = n == d->n_managers;

	for (size_t i = 0; i < n && same; i++)
		same = pb_equal(d->managers[i], managers[i]);
	if (same)
		return;
	clear_managers(d);
	for (size_t i = 0; i < n; i++)
		pb_append(&d->n_managers, &d->managers, pb_clone(managers[i]));
	mark_all_untold(d);
}

size_t dispatcher_sessions(const struct dispatcher *d)
{
	return d->n_sessions;
}

struct dispatcher *dispatcher_new(const struct leader_env *env)
{
	struct dispatcher *d = xcalloc(1, sizeof(*d));

	d->env = *env;
	list_init(&d->untold);
	timer_init(&d->tell, env->loop, on_tell, d);
	timer_init(&d->look, env->loop, on_look, d);
	d->lag.usual = GRACE_MS;
	d->watch.fn = on_event;
	d->watch.arg = d;
	store_watch(env->store, &d->watch);
	grpc_server_add(env->server, methods, ARRAY_SIZE(methods), d);
	attach_init(d);
	return d;
}

void dispatcher_free(struct dispatcher *d)
{
	if (!d)
		return;
	d->leads = false;
	end(d);
	store_unwatch(&d->watch);
	timer_done(&d->tell);
	timer_done(&d->look);
	clear_managers(d);
	map_done(&d->nodes);
	map_done(&d->suspects);
	map_done(&d->updates);
	free(d);
}
