// SPDX-License-Identifier: Apache-2.0
/* What is told: events, tables, states. */
#include "gossip/netdb_impl.h"
#include "wire/pb.h"

void netdb_wrap(Nd__MessageType type, const void *msg, struct buf *ret)
{
	Nd__GossipMessage g = ND__GOSSIP_MESSAGE__INIT;
	_cleanup_buf_ struct buf data = BUF_INIT;

	pb_pack(msg, &data);
	g.type = type;
	g.data = (ProtobufCBinaryData){data.len, (uint8_t *)data.data};
	pb_pack(&g, ret);
}

static void network_event_msg(const char *node, const char *id, uint64_t ltime, bool leave,
			      struct buf *ret)
{
	Nd__NetworkEvent ev = ND__NETWORK_EVENT__INIT;

	ev.type = leave ? ND__NETWORK_EVENT__TYPE__LEAVE : ND__NETWORK_EVENT__TYPE__JOIN;
	ev.l_time = ltime;
	ev.node_name = (char *)node;
	ev.network_id = (char *)id;
	netdb_wrap(ND__MESSAGE_TYPE__NETWORK_EVENT, &ev, ret);
}

void netdb_network_event_msg(const struct netdb *db, const struct nd_network *net, bool leave,
			     struct buf *ret)
{
	network_event_msg(db->c.name, net->id, net->ltime, leave, ret);
}

void netdb_send_network_event(struct netdb *db, const struct nd_network *net, bool leave)
{
	_cleanup_free_ char *name = xasprintf("%s %s", db->c.name, net->id);
	_cleanup_buf_ struct buf b = BUF_INIT;

	netdb_network_event_msg(db, net, leave, &b);
	txq_put(&db->queue, name, b.data, b.len);
	db->ops.wake(db->ops.arg);
}

void netdb_send_node_event(struct netdb *db, bool leave)
{
	Nd__NodeEvent ev = ND__NODE_EVENT__INIT;
	_cleanup_buf_ struct buf b = BUF_INIT;

	ev.type = leave ? ND__NODE_EVENT__TYPE__LEAVE : ND__NODE_EVENT__TYPE__JOIN;
	ev.l_time = ++db->network_clock;
	ev.node_name = (char *)db->c.name;
	netdb_wrap(ND__MESSAGE_TYPE__NODE_EVENT, &ev, &b);
	txq_put(&db->queue, db->c.name, b.data, b.len);
	db->ops.wake(db->ops.arg);
}

static void table_event_msg(const struct netdb *db, const struct nd_network *net,
			    const struct nd_entry *e, bool update, uint64_t now_ms, struct buf *ret)
{
	Nd__TableEvent ev = ND__TABLE_EVENT__INIT;

	(void)db;
	ev.type = e->deleted ? ND__TABLE_EVENT__TYPE__DELETE
		  : update   ? ND__TABLE_EVENT__TYPE__UPDATE
			     : ND__TABLE_EVENT__TYPE__CREATE;
	ev.l_time = e->ltime;
	ev.node_name = e->owner;
	ev.network_id = net->id;
	ev.table_name = e->table;
	ev.key = e->key;
	ev.value = (ProtobufCBinaryData){e->size, e->value};
	if (e->deleted)
		ev.residual_reap_time = e->reap_ms > now_ms ? (e->reap_ms - now_ms) / 1000 : 0;
	netdb_wrap(ND__MESSAGE_TYPE__TABLE_EVENT, &ev, ret);
}

void netdb_queue_table(struct netdb *db, struct nd_network *net, const char *name, const void *msg,
		       size_t size, bool own, uint64_t now_ms)
{
	struct txq *q = own ? &net->own : &net->relay;

	if (!own && q->len >= NETDB_MAX_QUEUE)
		return; /* the periodic exchange will tell */
	txq_put(q, name, msg, size);
	if (net->next_gossip_ms == NETDB_NEVER)
		net->next_gossip_ms = max(now_ms, net->last_gossip_ms + db->c.gossip_ms);
}

void netdb_send_entry(struct netdb *db, struct nd_network *net, const struct nd_entry *e,
		      bool update, bool own, uint64_t now_ms)
{
	_cleanup_free_ char *name = xasprintf("%s\037%s", e->table, e->key);
	_cleanup_buf_ struct buf b = BUF_INIT;

	table_event_msg(db, net, e, update, now_ms, &b);
	netdb_queue_table(db, net, name, b.data, b.len, own, now_ms);
}

size_t netdb_broadcasts(struct netdb *db, size_t overhead, size_t *avail, size_t max,
			void (*emit)(const void *data, size_t size, void *arg), void *arg)
{
	return txq_get(&db->queue, txq_limit(NETDB_RETRANSMIT, db->n_alive), overhead, avail, max,
		       emit, arg);
}

/* --- tables --- */

struct compound {
	struct buf text;
	size_t *ends, n;
};

static void collect(const void *data, size_t size, void *arg)
{
	struct compound *c = arg;

	buf_add(&c->text, data, size);
	c->ends = xrealloc(c->ends, (c->n + 1) * sizeof(*c->ends));
	c->ends[c->n++] = c->text.len;
}

static void compound_pack(const struct compound *c, struct buf *ret)
{
	Nd__CompoundMessage__SimpleMessage *parts = xcalloc(c->n + 1, sizeof(*parts)), **list;
	Nd__CompoundMessage msg = ND__COMPOUND_MESSAGE__INIT;
	size_t at = 0;

	list = xcalloc(c->n + 1, sizeof(*list));
	for (size_t i = 0; i < c->n; i++) {
		nd__compound_message__simple_message__init(&parts[i]);
		parts[i].payload =
			(ProtobufCBinaryData){c->ends[i] - at, (uint8_t *)c->text.data + at};
		list[i] = &parts[i];
		at = c->ends[i];
	}
	msg.n_messages = c->n;
	msg.messages = list;
	netdb_wrap(ND__MESSAGE_TYPE__COMPOUND, &msg, ret);
	free(list);
	free(parts);
}

static void compound_done(struct compound *c)
{
	buf_done(&c->text);
	free(c->ends);
}

void netdb_gossip(struct netdb *db, struct nd_network *net, uint64_t now_ms)
{
	unsigned int limit = txq_limit(4, net->n_members + 1);
	struct compound c = {BUF_INIT, NULL, 0};
	_cleanup_buf_ struct buf b = BUF_INIT;
	size_t avail = db->c.packet_size, fanout = min(net->n_members, (size_t)NETDB_FANOUT);

	net->last_gossip_ms = now_ms;
	net->next_gossip_ms = NETDB_NEVER;
	if (!fanout)
		return; /* what is queued waits for the first member: see netdb_recv.c */
	if (net->own.len && now_ms - net->joined_ms < NETDB_FRESH_MS) {
		/* nobody takes our entries before our JOIN */
		netdb_network_event_msg(db, net, false, &b);
		collect(b.data, b.len, &c);
		avail -= min(avail, b.len + 8);
		buf_reset(&b);
	}
	txq_get(&net->own, limit, 8, &avail, SIZE_MAX, collect, &c);
	txq_get(&net->relay, limit, 8, &avail, SIZE_MAX, collect, &c);
	if (c.n) {
		compound_pack(&c, &b);
		/* the first few of a partial shuffle are the random ones */
		for (size_t i = 0; i < fanout; i++) {
			size_t j = i + rng_below(db->rng, net->n_members - i);
			struct nd_node *to = net->members[j];

			net->members[j] = net->members[i];
			net->members[i] = to;
			db->ops.send(to->name, b.data, b.len, false, db->ops.arg);
		}
	}
	compound_done(&c);
	if (net->own.len || net->relay.len)
		net->next_gossip_ms = now_ms + db->c.gossip_ms;
}

static void send_bulk(struct netdb *db, struct nd_network *const *nets, size_t n,
		      struct nd_node *to, bool unsolicited, struct compound *c)
{
	Nd__BulkSyncMessage msg = ND__BULK_SYNC_MESSAGE__INIT;
	_cleanup_buf_ struct buf payload = BUF_INIT, b = BUF_INIT;
	char **ids = xcalloc(n, sizeof(*ids));

	compound_pack(c, &payload);
	msg.l_time = db->table_clock;
	msg.unsolicited = unsolicited;
	msg.node_name = (char *)db->c.name;
	for (size_t i = 0; i < n; i++)
		ids[i] = nets[i]->id;
	msg.networks = ids;
	msg.n_networks = n;
	msg.payload = (ProtobufCBinaryData){payload.len, (uint8_t *)payload.data};
	netdb_wrap(ND__MESSAGE_TYPE__BULK_SYNC, &msg, &b);
	db->ops.send(to->name, b.data, b.len, true, db->ops.arg);
	free(ids);
	buf_reset(&c->text);
	c->n = 0;
}

void netdb_bulk_sync(struct netdb *db, struct nd_network *const *nets, size_t n, struct nd_node *to,
		     bool unsolicited, uint64_t now_ms)
{
	struct compound c = {BUF_INIT, NULL, 0};
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct nd_entry *e;
	const char *key;

	for (size_t i = 0; i < n; i++) {
		/* who takes part, lest their entries be refused */
		netdb_network_event_msg(db, nets[i], !nets[i]->joined, &b);
		collect(b.data, b.len, &c);
		buf_reset(&b);
		map_for_each (&nets[i]->entries, key, e) {
			table_event_msg(db, nets[i], e, false, now_ms, &b);
			collect(b.data, b.len, &c);
			buf_reset(&b);
			/* a large table goes in several; only the last one asks for an answer */
			if (c.text.len > NETDB_SYNC_SIZE)
				send_bulk(db, nets, n, to, false, &c);
		}
	}
	send_bulk(db, nets, n, to, unsolicited, &c);
	compound_done(&c);
}

/* --- states --- */

static void add_part(Nd__NetworkPushPull *pp, const char *id, const char *node,
		     const struct nd_part *p)
{
	Nd__NetworkEntry *e = pb_new(nd__network_entry);

	pb_set_str(&e->network_id, id);
	pb_set_str(&e->node_name, node);
	e->l_time = p->ltime;
	e->leaving = p->leaving;
	pb_append(&pp->n_networks, &pp->networks, e);
}

void netdb_local_state(struct netdb *db, bool join, struct buf *ret)
{
	Nd__NetworkPushPull *pp = pb_new(nd__network_push_pull);
	struct nd_network *net;
	struct nd_node *n;
	struct nd_part *p;
	const char *id, *name;

	map_for_each (&db->networks, id, net) {
		if (!net->ltime)
			continue;
		if (join && net->joined)
			net->ltime = ++db->network_clock; /* news even to those who remember us */
		add_part(pp, id, db->c.name,
			 &(struct nd_part){.ltime = net->ltime, .leaving = !net->joined});
	}
	map_for_each (&db->nodes, name, n)
		map_for_each (&n->parts, id, p)
			add_part(pp, id, name, p);
	pp->l_time = db->network_clock;
	pb_set_str(&pp->node_name, db->c.name);
	netdb_wrap(ND__MESSAGE_TYPE__PUSH_PULL, pp, ret);
	pb_free(pp);
}
