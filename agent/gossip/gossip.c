// SPDX-License-Identifier: Apache-2.0
#include "gossip/gossip.h"

struct gossip {
	struct gossip_ops ops;
	struct swim *swim;
	struct netdb *db;
	uint64_t now_ms; /* of the call under way */
};

static void on_packet(const struct swim_addr *to, const void *data, size_t size, void *arg)
{
	struct gossip *g = arg;

	g->ops.packet(to, data, size, g->ops.arg);
}

static void on_stream(const struct swim_addr *to, const void *data, size_t size, uint32_t token,
		      void *arg)
{
	struct gossip *g = arg;

	g->ops.stream(to, data, size, token, g->ops.arg);
}

static void on_member(const struct swim_member *m, enum ml_state before, void *arg)
{
	struct gossip *g = arg;

	if (!g->db)
		return; /* ourselves, at the beginning */
	netdb_member(g->db, m, g->now_ms);
	if (g->ops.member && !m->self)
		g->ops.member(m, before, g->ops.arg);
}

static void on_user(const struct swim_addr *from, const void *data, size_t size, bool reliable,
		    void *arg)
{
	struct gossip *g = arg;

	(void)from;
	(void)reliable;
	netdb_message(g->db, data, size, g->now_ms);
}

static size_t on_broadcasts(size_t overhead, size_t *avail, size_t max,
			    void (*emit)(const void *data, size_t size, void *emit_arg),
			    void *emit_arg, void *arg)
{
	struct gossip *g = arg;

	return netdb_broadcasts(g->db, overhead, avail, max, emit, emit_arg);
}

static void on_local_state(bool join, struct buf *ret, void *arg)
{
	struct gossip *g = arg;

	netdb_local_state(g->db, join, ret);
}

static void on_merge_state(const void *data, size_t size, bool join, void *arg)
{
	struct gossip *g = arg;

	(void)join;
	netdb_merge_state(g->db, data, size, g->now_ms);
}

static void on_send(const char *node, const void *data, size_t size, bool reliable, void *arg)
{
	struct gossip *g = arg;

	swim_send(g->swim, node, data, size, reliable);
}

static void on_wake(void *arg)
{
	struct gossip *g = arg;

	swim_wake(g->swim, g->now_ms);
}

static void on_reconnect(const struct swim_addr *addr, void *arg)
{
	struct gossip *g = arg;

	swim_join(g->swim, addr, g->now_ms);
}

static void on_changed(const struct netdb_change *c, void *arg)
{
	struct gossip *g = arg;

	if (g->ops.changed)
		g->ops.changed(c, g->ops.arg);
}

struct gossip *gossip_new(const struct swim_config *c, const struct gossip_ops *ops,
			  struct rng *rng, uint64_t now_ms)
{
	struct gossip *g = xcalloc(1, sizeof(*g));
	struct swim_ops so = {
		.packet = on_packet,
		.stream = on_stream,
		.member = on_member,
		.user = on_user,
		.broadcasts = on_broadcasts,
		.local_state = on_local_state,
		.merge_state = on_merge_state,
		.arg = g,
	};
	struct netdb_ops no = {
		.send = on_send,
		.wake = on_wake,
		.reconnect = on_reconnect,
		.changed = on_changed,
		.arg = g,
	};
	struct netdb_config nc = {
		.name = c->name,
		.gossip_ms = c->gossip_ms,
		.packet_size = c->packet_size ? c->packet_size - 64 : 0,
	};

	g->ops = *ops;
	g->now_ms = now_ms;
	g->swim = swim_new(c, &so, rng, now_ms);
	g->db = netdb_new(&nc, &no, rng, now_ms);
	return g;
}

void gossip_free(struct gossip *g)
{
	if (!g)
		return;
	swim_free(g->swim);
	netdb_free(g->db);
	free(g);
}

struct swim *gossip_swim(struct gossip *g)
{
	return g->swim;
}

struct netdb *gossip_netdb(struct gossip *g)
{
	return g->db;
}

uint64_t gossip_due(const struct gossip *g)
{
	return min(swim_due(g->swim), netdb_due(g->db));
}

void gossip_run(struct gossip *g, uint64_t now_ms)
{
	g->now_ms = now_ms;
	netdb_run(g->db, now_ms);
	swim_run(g->swim, now_ms);
}

void gossip_packet(struct gossip *g, const struct swim_addr *from, const void *data, size_t size,
		   uint64_t now_ms)
{
	g->now_ms = now_ms;
	swim_packet(g->swim, from, data, size, now_ms);
}

void gossip_stream(struct gossip *g, const struct swim_addr *from, const void *data, size_t size,
		   struct buf *answer, uint64_t now_ms)
{
	g->now_ms = now_ms;
	swim_stream(g->swim, from, data, size, answer, now_ms);
}

void gossip_answer(struct gossip *g, uint32_t token, const void *data, size_t size, uint64_t now_ms)
{
	g->now_ms = now_ms;
	swim_answer(g->swim, token, data, size, now_ms);
}
