// SPDX-License-Identifier: Apache-2.0
/* Nodes, networks and entries, and the clock. */
#include "gossip/netdb_impl.h"

#include <stdio.h>

struct netdb *netdb_new(const struct netdb_config *c, const struct netdb_ops *ops, struct rng *rng,
			uint64_t now_ms)
{
	struct netdb *db = xcalloc(1, sizeof(*db));

	db->c = *c;
	db->c.name = xstrdup(c->name);
	db->c.gossip_ms = c->gossip_ms ? c->gossip_ms : 200;
	db->c.sync_ms = c->sync_ms ? c->sync_ms : 30000;
	db->c.tombstone_ms = c->tombstone_ms ? c->tombstone_ms : 1800000;
	db->c.packet_size = c->packet_size ? c->packet_size : 1320;
	db->ops = *ops;
	db->rng = rng;
	db->n_alive = 1;
	txq_init(&db->queue);
	db->next_reconnect_ms = now_ms + NETDB_RECONNECT_MS;
	db->next_reap_ms = NETDB_NEVER;
	return db;
}

static void entry_free(struct nd_entry *e)
{
	free(e->table);
	free(e->key);
	free(e->owner);
	free(e->value);
	free(e);
}

static void drop_entries(struct nd_network *net)
{
	struct nd_entry *e;
	const char *key;

	map_for_each (&net->entries, key, e)
		entry_free(e);
	map_done(&net->entries);
	map_init(&net->entries);
}

static void parts_done(struct nd_node *n)
{
	struct nd_part *p;
	const char *id;

	map_for_each (&n->parts, id, p)
		free(p);
	map_done(&n->parts);
	map_init(&n->parts);
}

void netdb_free(struct netdb *db)
{
	struct nd_network *net;
	struct nd_node *n;
	const char *id;

	if (!db)
		return;
	map_for_each (&db->nodes, id, n) {
		parts_done(n);
		free(n->name);
		free(n);
	}
	map_for_each (&db->networks, id, net) {
		drop_entries(net);
		map_done(&net->entries);
		txq_done(&net->own);
		txq_done(&net->relay);
		free(net->members);
		free(net->id);
		free(net);
	}
	map_done(&db->nodes);
	map_done(&db->networks);
	txq_done(&db->queue);
	free((char *)db->c.name);
	free(db);
}

void netdb_witness(uint64_t *clock, uint64_t seen)
{
	if (seen >= *clock && seen < UINT64_MAX / 2)
		*clock = seen + 1;
}

struct nd_network *netdb_network(struct netdb *db, const char *id)
{
	struct nd_network *net = map_get(&db->networks, id);

	if (net)
		return net;
	net = xcalloc(1, sizeof(*net));
	net->id = xstrdup(id);
	txq_init(&net->own);
	txq_init(&net->relay);
	net->next_gossip_ms = NETDB_NEVER;
	net->next_sync_ms = NETDB_NEVER;
	map_put(&db->networks, id, net);
	return net;
}

void netdb_add_member(struct nd_network *net, struct nd_node *node)
{
	for (size_t i = 0; i < net->n_members; i++)
		if (net->members[i] == node)
			return;
	net->members = xrealloc(net->members, (net->n_members + 1) * sizeof(struct nd_node *));
	net->members[net->n_members++] = node;
}

void netdb_del_member(struct nd_network *net, struct nd_node *node)
{
	for (size_t i = 0; i < net->n_members; i++)
		if (net->members[i] == node) {
			net->members[i] = net->members[--net->n_members];
			return;
		}
}

/* --- entries --- */

static void entry_name(const char *table, const char *key, char *ret, size_t size)
{
	snprintf(ret, size, "%s\037%s", table, key);
}

struct nd_entry *netdb_entry(const struct nd_network *net, const char *table, const char *key)
{
	char name[2 * NETDB_MAX_TEXT + 2];

	entry_name(table, key, name, sizeof(name));
	return map_get(&net->entries, name);
}

struct nd_entry *netdb_entry_make(struct nd_network *net, const char *table, const char *key)
{
	struct nd_entry *e = xcalloc(1, sizeof(*e));
	char name[2 * NETDB_MAX_TEXT + 2];

	entry_name(table, key, name, sizeof(name));
	e->table = xstrdup(table);
	e->key = xstrdup(key);
	e->deleted = true;
	map_put(&net->entries, name, e);
	return e;
}

static void entry_del(struct nd_network *net, struct nd_entry *e)
{
	char name[2 * NETDB_MAX_TEXT + 2];

	entry_name(e->table, e->key, name, sizeof(name));
	map_del(&net->entries, name);
	entry_free(e);
}

void netdb_tell(struct netdb *db, const struct nd_network *net, const struct nd_entry *e)
{
	struct netdb_change c = {
		.network_id = net->id,
		.table = e->table,
		.key = e->key,
		.owner = e->owner,
		.value = e->value,
		.size = e->size,
		.deleted = e->deleted,
	};

	if (db->ops.changed && net->joined)
		db->ops.changed(&c, db->ops.arg);
}

void netdb_forget_owner(struct netdb *db, struct nd_network *net, const char *owner)
{
	struct nd_entry *e;
	const char *key;

	map_for_each (&net->entries, key, e) {
		if (strcmp(e->owner, owner))
			continue;
		if (!e->deleted) {
			e->deleted = true;
			netdb_tell(db, net, e);
		}
		entry_del(net, e);
	}
}

static bool plain(const char *text)
{
	return *text && strlen(text) <= NETDB_MAX_TEXT;
}

void netdb_put(struct netdb *db, const char *network_id, const char *table, const char *key,
	       const void *value, size_t size, uint64_t now_ms)
{
	struct nd_network *net = map_get(&db->networks, network_id);
	struct nd_entry *e;
	bool update;

	if (!net || !net->joined || !plain(table) || !plain(key) || size > NETDB_MAX_VALUE)
		return;
	e = netdb_entry(net, table, key);
	if (e && !e->deleted && streq(e->owner, db->c.name) && e->size == size &&
	    !memcmp(e->value, value, size))
		return;
	if (!e)
		e = netdb_entry_make(net, table, key);
	update = !e->deleted;
	free(e->owner);
	free(e->value);
	e->owner = xstrdup(db->c.name);
	e->value = xmemdup(value, size);
	e->size = size;
	e->ltime = ++db->table_clock;
	e->deleted = false;
	netdb_send_entry(db, net, e, update, true, now_ms);
}

/* Leave a tombstone, until everybody must have heard. */
static void bury(struct netdb *db, struct nd_entry *e, uint64_t now_ms)
{
	e->deleted = true;
	e->reap_ms = now_ms + db->c.tombstone_ms;
	db->next_reap_ms = min(db->next_reap_ms, e->reap_ms);
}

void netdb_del(struct netdb *db, const char *network_id, const char *table, const char *key,
	       uint64_t now_ms)
{
	struct nd_network *net = map_get(&db->networks, network_id);
	struct nd_entry *e =
		net && plain(table) && plain(key) ? netdb_entry(net, table, key) : NULL;

	if (!net || !net->joined || !e || e->deleted || !streq(e->owner, db->c.name))
		return;
	e->ltime = ++db->table_clock;
	bury(db, e, now_ms);
	netdb_send_entry(db, net, e, false, true, now_ms);
}

size_t netdb_len(const struct netdb *db, const char *network_id)
{
	const struct nd_network *net = map_get(&db->networks, network_id);
	struct nd_entry *e;
	const char *key;
	size_t n = 0;

	if (net)
		map_for_each (&net->entries, key, e)
			n += !e->deleted;
	return n;
}

const void *netdb_get(const struct netdb *db, const char *network_id, const char *table,
		      const char *key, size_t *ret_size)
{
	const struct nd_network *net = map_get(&db->networks, network_id);
	struct nd_entry *e = net ? netdb_entry(net, table, key) : NULL;

	if (!e || e->deleted)
		return NULL;
	*ret_size = e->size;
	return e->value;
}

void netdb_replay(struct netdb *db, const char *owner)
{
	struct nd_network *net;
	struct nd_entry *e;
	const char *id, *key;

	map_for_each (&db->networks, id, net)
		map_for_each (&net->entries, key, e)
			if (!e->deleted && streq(e->owner, owner))
				netdb_tell(db, net, e);
}

/* --- networks --- */

void netdb_join(struct netdb *db, const char *network_id, uint64_t now_ms)
{
	struct nd_network *net;

	if (!plain(network_id))
		return;
	net = netdb_network(db, network_id);
	if (net->joined)
		return;
	net->joined = true;
	net->synced = false;
	net->ltime = ++db->network_clock;
	net->joined_ms = now_ms;
	net->next_sync_ms = now_ms; /* with whoever is there, or comes */
	netdb_send_network_event(db, net, false);
}

void netdb_leave(struct netdb *db, const char *network_id, uint64_t now_ms)
{
	struct nd_network *net = map_get(&db->networks, network_id);

	if (!net || !net->joined)
		return;
	net->joined = false;
	net->ltime = ++db->network_clock;
	net->reap_ms = now_ms + db->c.tombstone_ms + NETDB_GRACE_MS;
	db->next_reap_ms = min(db->next_reap_ms, net->reap_ms);
	net->next_sync_ms = NETDB_NEVER;
	net->next_gossip_ms = NETDB_NEVER;
	drop_entries(net);
	txq_done(&net->own);
	txq_done(&net->relay);
	txq_init(&net->own);
	txq_init(&net->relay);
	netdb_send_network_event(db, net, true);
}

void netdb_bye(struct netdb *db, uint64_t now_ms)
{
	(void)now_ms;
	netdb_send_node_event(db, true);
}

/* --- nodes --- */

static void forget_parts(struct netdb *db, struct nd_node *n)
{
	struct nd_network *net;
	struct nd_part *p;
	const char *id;

	map_for_each (&n->parts, id, p) {
		net = map_get(&db->networks, id);
		if (!net)
			continue;
		netdb_del_member(net, n);
		netdb_forget_owner(db, net, n->name);
	}
	parts_done(n);
}

static struct nd_node *make_node(struct netdb *db, const char *name)
{
	struct nd_node *n = xcalloc(1, sizeof(*n));

	n->name = xstrdup(name);
	n->state = ML_STATE_LEFT;
	map_put(&db->nodes, name, n);
	return n;
}

void netdb_member(struct netdb *db, const struct swim_member *m, uint64_t now_ms)
{
	struct nd_node *n = map_get(&db->nodes, m->name);
	enum ml_state state = m->state == ML_STATE_SUSPECT ? ML_STATE_ALIVE : m->state, before;

	if (m->self)
		return;
	if (!n && state != ML_STATE_ALIVE)
		return;
	if (!n)
		n = make_node(db, m->name);
	before = n->state;
	/* who said good-bye and then stops did not fail */
	if (state == ML_STATE_DEAD && before == ML_STATE_LEFT)
		state = ML_STATE_LEFT;
	n->addr = m->addr;
	if (state == before)
		return;
	n->state = state;
	db->n_alive += (state == ML_STATE_ALIVE) - (before == ML_STATE_ALIVE);
	db->n_failed += (state == ML_STATE_DEAD) - (before == ML_STATE_DEAD);
	if (state == ML_STATE_ALIVE) {
		if (before == ML_STATE_DEAD) { /* what we forgot of it, and it of us */
			db->ops.reconnect(&n->addr, db->ops.arg);
			n->sync_ms = now_ms + NETDB_SYNC_SOON_MS;
		}
		return;
	}
	forget_parts(db, n);
	n->sync_ms = 0;
	n->reap_ms = now_ms + NETDB_FAILED_MS;
	db->next_reap_ms = min(db->next_reap_ms, n->reap_ms);
}

/* --- the clock --- */

static void reap_network(struct netdb *db, struct nd_network *net, uint64_t now_ms, uint64_t *next)
{
	struct nd_entry *e;
	const char *key;

	(void)db;
	map_for_each (&net->entries, key, e) {
		if (!e->deleted)
			continue;
		if (now_ms >= e->reap_ms)
			entry_del(net, e);
		else
			*next = min(*next, e->reap_ms);
	}
}

static void reap_parts(struct nd_node *n, uint64_t now_ms, uint64_t *next)
{
	struct nd_part *p;
	const char *id;

	map_for_each (&n->parts, id, p) {
		if (!p->leaving)
			continue;
		if (now_ms < p->reap_ms) {
			*next = min(*next, p->reap_ms);
			continue;
		}
		map_del(&n->parts, id);
		free(p);
	}
}

static void reap(struct netdb *db, uint64_t now_ms)
{
	uint64_t next = NETDB_NEVER;
	struct nd_network *net;
	struct nd_node *n;
	const char *id;

	map_for_each (&db->networks, id, net)
		reap_network(db, net, now_ms, &next);
	map_for_each (&db->nodes, id, n) {
		reap_parts(n, now_ms, &next);
		if (n->state == ML_STATE_ALIVE)
			continue;
		if (now_ms < n->reap_ms) {
			next = min(next, n->reap_ms);
			continue;
		}
		db->n_failed -= n->state == ML_STATE_DEAD;
		map_del(&db->nodes, n->name);
		parts_done(n);
		free(n->name);
		free(n);
	}
	/* not more often than a fifth of a second: tombstones come in swarms */
	db->next_reap_ms = next == NETDB_NEVER ? next : max(next, now_ms + 200);
}

/* The others may not have noticed that they or we were away. */
static void reconnect(struct netdb *db, uint64_t now_ms)
{
	size_t skip = rng_below(db->rng, db->n_failed);
	struct nd_node *n;
	const char *id;

	db->next_reconnect_ms = now_ms + NETDB_RECONNECT_MS;
	map_for_each (&db->nodes, id, n) {
		if (n->state != ML_STATE_DEAD)
			continue;
		if (!skip--) {
			db->ops.reconnect(&n->addr, db->ops.arg);
			return;
		}
	}
}

static void sync_node(struct netdb *db, struct nd_node *n, uint64_t now_ms)
{
	struct nd_network **nets = xcalloc(db->networks.len + 1, sizeof(*nets)), *net;
	const char *id;
	size_t k = 0;

	n->sync_ms = 0;
	map_for_each (&db->networks, id, net)
		if (net->joined)
			nets[k++] = net;
	if (k)
		netdb_bulk_sync(db, nets, k, n, true, now_ms);
	free(nets);
}

static void sync_network(struct netdb *db, struct nd_network *net, uint64_t now_ms)
{
	if (!net->n_members) {
		net->next_sync_ms = NETDB_NEVER; /* until one comes */
		return;
	}
	if (net->unknown) {
		/* first who there is, then what there is */
		net->unknown = false;
		net->next_sync_ms = now_ms + NETDB_SYNC_SOON_MS;
		db->ops.reconnect(&net->members[rng_below(db->rng, net->n_members)]->addr,
				  db->ops.arg);
		return;
	}
	net->last_sync_ms = now_ms;
	/* not all at the same time */
	net->next_sync_ms = now_ms + db->c.sync_ms / 2 + rng_below(db->rng, db->c.sync_ms);
	netdb_bulk_sync(db, &net, 1, net->members[rng_below(db->rng, net->n_members)], true,
			now_ms);
}

uint64_t netdb_due(const struct netdb *db)
{
	uint64_t due = min(db->next_reap_ms, db->n_failed ? db->next_reconnect_ms : NETDB_NEVER);
	struct nd_network *net;
	struct nd_node *n;
	const char *id;

	map_for_each (&db->networks, id, net)
		due = min(due, min(net->next_gossip_ms, net->next_sync_ms));
	map_for_each (&db->nodes, id, n)
		if (n->sync_ms)
			due = min(due, n->sync_ms);
	return due;
}

void netdb_run(struct netdb *db, uint64_t now_ms)
{
	struct nd_network *net;
	struct nd_node *n;
	const char *id;

	if (db->n_failed && now_ms >= db->next_reconnect_ms)
		reconnect(db, now_ms);
	map_for_each (&db->nodes, id, n)
		if (n->sync_ms && now_ms >= n->sync_ms)
			sync_node(db, n, now_ms);
	map_for_each (&db->networks, id, net) {
		if (now_ms >= net->next_sync_ms)
			sync_network(db, net, now_ms);
		if (now_ms >= net->next_gossip_ms)
			netdb_gossip(db, net, now_ms);
	}
	if (now_ms >= db->next_reap_ms)
		reap(db, now_ms);
}
