// SPDX-License-Identifier: Apache-2.0
/* What is heard. Source: moby networkdb/delegate.go. */
#include "gossip/netdb_impl.h"
#include "wire/pb.h"

enum { MAX_DEPTH = 3, REAP_SHARE = 6 };

static bool plain(const char *text)
{
	return *text && strlen(text) <= NETDB_MAX_TEXT;
}

static bool is_self(const struct netdb *db, const char *name)
{
	return !strcmp(name, db->c.name);
}

/* --- nodes and networks: true when it is news, to be told on --- */

static bool node_event(struct netdb *db, const Nd__NodeEvent *ev)
{
	struct nd_node *n = map_get(&db->nodes, ev->node_name);

	netdb_witness(&db->network_clock, ev->l_time);
	if (!n || n->ltime >= ev->l_time)
		return false;
	n->ltime = ev->l_time;
	if (ev->type != ND__NODE_EVENT__TYPE__LEAVE || n->state == ML_STATE_LEFT)
		return true;
	if (n->state == ML_STATE_ALIVE) {
		/* swim tells the rest, when it is gone */
		struct nd_network *net;
		struct nd_part *p;
		const char *id;

		map_for_each (&n->parts, id, p) {
			p->leaving = true;
			net = map_get(&db->networks, id);
			if (!net)
				continue;
			netdb_del_member(net, n);
			netdb_forget_owner(db, net, n->name);
		}
	}
	return true;
}

/* A member of a network came: what waited can be told, what we do not know asked. */
static void met(struct netdb *db, struct nd_network *net, struct nd_node *n, uint64_t now_ms)
{
	netdb_add_member(net, n);
	if (!net->joined)
		return;
	if (net->next_sync_ms == NETDB_NEVER)
		net->next_sync_ms =
			net->synced ? now_ms + rng_below(db->rng, db->c.sync_ms) : now_ms;
	if ((net->own.len || net->relay.len) && net->next_gossip_ms == NETDB_NEVER)
		net->next_gossip_ms = max(now_ms, net->last_gossip_ms + db->c.gossip_ms);
}

static bool network_event(struct netdb *db, const char *id, const char *node, uint64_t ltime,
			  bool leave, uint64_t now_ms)
{
	struct nd_node *n = map_get(&db->nodes, node);
	struct nd_network *net;
	struct nd_part *p;

	netdb_witness(&db->network_clock, ltime);
	if (!n || !plain(id))
		return false;
	p = map_get(&n->parts, id);
	if (p && p->ltime >= ltime)
		return false;
	if (!p) {
		if (leave || n->state != ML_STATE_ALIVE || n->parts.len >= NETDB_MAX_PARTS)
			return false;
		p = xcalloc(1, sizeof(*p));
		map_put(&n->parts, id, p);
	}
	net = netdb_network(db, id);
	p->ltime = ltime;
	p->leaving = leave;
	if (leave) {
		p->reap_ms = now_ms + db->c.tombstone_ms + NETDB_GRACE_MS;
		db->next_reap_ms = min(db->next_reap_ms, p->reap_ms);
		netdb_del_member(net, n);
		netdb_forget_owner(db, net, node);
	} else if (n->state == ML_STATE_ALIVE) {
		met(db, net, n, now_ms);
	}
	return true;
}

/* --- tables --- */

static void say_again(struct netdb *db, struct nd_network *net, struct nd_entry *e, uint64_t now_ms)
{
	e->ltime = ++db->table_clock;
	netdb_send_entry(db, net, e, true, true, now_ms);
}

static void take(struct nd_entry *e, const Nd__TableEvent *ev)
{
	free(e->owner);
	free(e->value);
	e->owner = xstrdup(ev->node_name);
	e->size = ev->value.len;
	e->value = xmemdup(ev->value.len ? ev->value.data : (const uint8_t *)"", ev->value.len);
	e->ltime = ev->l_time;
}

static bool taken_part(const struct netdb *db, const Nd__TableEvent *ev)
{
	struct nd_node *n = map_get(&db->nodes, ev->node_name);
	struct nd_part *p = n ? map_get(&n->parts, ev->network_id) : NULL;

	return p && !p->leaving && n->state == ML_STATE_ALIVE;
}

static bool table_event(struct netdb *db, const Nd__TableEvent *ev, bool bulk, uint64_t now_ms)
{
	struct nd_network *net = map_get(&db->networks, ev->network_id);
	bool gone = ev->type == ND__TABLE_EVENT__TYPE__DELETE, was;
	struct nd_entry *e;

	netdb_witness(&db->table_clock, ev->l_time);
	if (!net || !net->joined || !plain(ev->table_name) || !plain(ev->key) ||
	    ev->value.len > NETDB_MAX_VALUE || is_self(db, ev->node_name))
		return false;
	e = netdb_entry(net, ev->table_name, ev->key);
	if (e && !e->deleted && is_self(db, e->owner)) {
		/* of our former life, or a mistake */
		if (ev->l_time >= e->ltime)
			say_again(db, net, e, now_ms);
		return false;
	}
	if (e && e->ltime >= ev->l_time)
		return false;
	if (!taken_part(db, ev)) {
		/* we have missed that its owner joined: ask soon, but the less often the more there are */
		uint64_t again_ms = net->last_sync_ms + NETDB_ASK_MS * (1 + net->n_members / 50);

		net->next_sync_ms =
			min(net->next_sync_ms,
			    max(now_ms, again_ms) + rng_below(db->rng, NETDB_ASK_SPREAD_MS));
		return false;
	}
	if (!e) {
		if (gone && (!bulk || ev->residual_reap_time <= 0))
			return gone && (uint64_t)max(ev->residual_reap_time, 0) * 1000 >
					       db->c.tombstone_ms / REAP_SHARE;
		if (net->entries.len >= NETDB_MAX_ENTRIES)
			return false;
		e = netdb_entry_make(net, ev->table_name, ev->key);
	}
	was = !e->deleted;
	if (!gone)
		take(e, ev);
	e->ltime = ev->l_time;
	if (!e->owner)
		take(e, ev);
	e->deleted = gone;
	if (gone) {
		uint64_t left = ev->residual_reap_time > 0 ? (uint64_t)ev->residual_reap_time * 1000
							   : db->c.tombstone_ms;

		e->reap_ms = now_ms + min(left, (uint64_t)db->c.tombstone_ms);
		db->next_reap_ms = min(db->next_reap_ms, e->reap_ms);
	}
	if (was || !gone)
		netdb_tell(db, net, e);
	return true;
}

/* The first exchange after a join: our clock may have been behind the others'. */
static void restamp(struct netdb *db, struct nd_network *net, uint64_t their_time, uint64_t now_ms)
{
	struct nd_entry *e;
	const char *key;

	if (net->synced)
		return;
	net->synced = true;
	map_for_each (&net->entries, key, e)
		if (!e->deleted && is_self(db, e->owner) && e->ltime <= their_time)
			say_again(db, net, e, now_ms);
}

static void handle(struct netdb *db, const void *data, size_t size, bool bulk, unsigned int depth,
		   uint64_t now_ms);

static void bulk_sync(struct netdb *db, const Nd__BulkSyncMessage *m, unsigned int depth,
		      uint64_t now_ms)
{
	struct nd_node *from = map_get(&db->nodes, m->node_name);
	struct nd_network **nets, *net;
	size_t n = 0;

	netdb_witness(&db->table_clock, m->l_time);
	handle(db, m->payload.data, m->payload.len, true, depth - 1, now_ms);
	nets = xcalloc(m->n_networks + 1, sizeof(*nets));
	for (size_t i = 0; i < m->n_networks; i++) {
		net = map_get(&db->networks, m->networks[i]);
		if (!net || !net->joined)
			continue;
		restamp(db, net, m->l_time, now_ms);
		nets[n++] = net;
	}
	if (m->unsolicited && from && from->state == ML_STATE_ALIVE)
		netdb_bulk_sync(db, nets, n, from, false, now_ms);
	free(nets);
}

/* --- dispatch --- */

static void on_table_event(struct netdb *db, const Nd__GossipMessage *g, const void *data,
			   size_t size, bool bulk, uint64_t now_ms)
{
	Nd__TableEvent *ev = pb_unpack(nd__table_event, g->data.data, g->data.len);

	if (ev && table_event(db, ev, bulk, now_ms)) {
		_cleanup_free_ char *name = xasprintf("%s\037%s", ev->table_name, ev->key);

		netdb_queue_table(db, map_get(&db->networks, ev->network_id), name, data, size,
				  false, now_ms);
	}
	pb_free(ev);
}

static void on_network_event(struct netdb *db, const Nd__GossipMessage *g, const void *data,
			     size_t size, uint64_t now_ms)
{
	Nd__NetworkEvent *ev = pb_unpack(nd__network_event, g->data.data, g->data.len);

	if (ev && !is_self(db, ev->node_name) &&
	    network_event(db, ev->network_id, ev->node_name, ev->l_time,
			  ev->type == ND__NETWORK_EVENT__TYPE__LEAVE, now_ms)) {
		_cleanup_free_ char *name = xasprintf("%s %s", ev->node_name, ev->network_id);

		txq_put(&db->queue, name, data, size);
		db->ops.wake(db->ops.arg);
	}
	pb_free(ev);
}

static void on_node_event(struct netdb *db, const Nd__GossipMessage *g, const void *data,
			  size_t size)
{
	Nd__NodeEvent *ev = pb_unpack(nd__node_event, g->data.data, g->data.len);

	if (ev && !is_self(db, ev->node_name) && node_event(db, ev)) {
		txq_put(&db->queue, ev->node_name, data, size);
		db->ops.wake(db->ops.arg);
	}
	pb_free(ev);
}

static void on_compound(struct netdb *db, const Nd__GossipMessage *g, bool bulk, unsigned int depth,
			uint64_t now_ms)
{
	Nd__CompoundMessage *m = pb_unpack(nd__compound_message, g->data.data, g->data.len);

	for (size_t i = 0; m && i < m->n_messages; i++)
		handle(db, m->messages[i]->payload.data, m->messages[i]->payload.len, bulk,
		       depth - 1, now_ms);
	pb_free(m);
}

static void handle(struct netdb *db, const void *data, size_t size, bool bulk, unsigned int depth,
		   uint64_t now_ms)
{
	Nd__GossipMessage *g = depth && size ? pb_unpack(nd__gossip_message, data, size) : NULL;
	Nd__BulkSyncMessage *sync;

	if (!g)
		return;
	switch (g->type) {
	case ND__MESSAGE_TYPE__NODE_EVENT:
		on_node_event(db, g, data, size);
		break;
	case ND__MESSAGE_TYPE__NETWORK_EVENT:
		on_network_event(db, g, data, size, now_ms);
		break;
	case ND__MESSAGE_TYPE__TABLE_EVENT:
		on_table_event(db, g, data, size, bulk, now_ms);
		break;
	case ND__MESSAGE_TYPE__COMPOUND:
		on_compound(db, g, bulk, depth, now_ms);
		break;
	case ND__MESSAGE_TYPE__BULK_SYNC:
		sync = pb_unpack(nd__bulk_sync_message, g->data.data, g->data.len);
		if (sync)
			bulk_sync(db, sync, depth, now_ms);
		pb_free(sync);
		break;
	default:
		break;
	}
	pb_free(g);
}

void netdb_message(struct netdb *db, const void *data, size_t size, uint64_t now_ms)
{
	handle(db, data, size, false, MAX_DEPTH, now_ms);
}

void netdb_merge_state(struct netdb *db, const void *data, size_t size, uint64_t now_ms)
{
	Nd__GossipMessage *g = pb_unpack(nd__gossip_message, data, size);
	Nd__NetworkPushPull *pp =
		g && g->type == ND__MESSAGE_TYPE__PUSH_PULL
			? pb_unpack(nd__network_push_pull, g->data.data, g->data.len)
			: NULL;

	if (pp)
		netdb_witness(&db->network_clock, pp->l_time);
	for (size_t i = 0; pp && i < pp->n_networks; i++) {
		const Nd__NetworkEntry *e = pp->networks[i];

		if (!is_self(db, e->node_name))
			network_event(db, e->network_id, e->node_name, e->l_time, e->leaving,
				      now_ms);
	}
	pb_free(pp);
	pb_free(g);
}
