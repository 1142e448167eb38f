// SPDX-License-Identifier: Apache-2.0
/* Entry points, sending and the clock. */
#include <errno.h>

#include "gossip/swim_impl.h"

bool swim_addr_eq(const struct swim_addr *a, const struct swim_addr *b)
{
	return a->len == b->len && a->port == b->port && !memcmp(a->ip, b->ip, a->len);
}

struct slice swim_addr_slice(const struct swim_addr *a)
{
	return (struct slice){a->ip, a->len};
}

static void defaults(struct swim_config *c)
{
	c->probe_ms = c->probe_ms ? c->probe_ms : 1000;
	c->probe_timeout_ms = c->probe_timeout_ms ? c->probe_timeout_ms : 500;
	c->gossip_ms = c->gossip_ms ? c->gossip_ms : 200;
	c->push_pull_ms = c->push_pull_ms ? c->push_pull_ms : 30000;
	c->suspicion_mult = c->suspicion_mult ? c->suspicion_mult : 4;
	c->suspicion_max_mult = c->suspicion_max_mult ? c->suspicion_max_mult : 6;
	c->retransmit_mult = c->retransmit_mult ? c->retransmit_mult : 10;
	c->packet_size = c->packet_size ? c->packet_size : 1400;
}

static struct ml_msg alive_self(const struct swim *s, uint32_t incarnation)
{
	static const uint8_t vsn[6] = {1, 5, 2, 0, 0, 0};

	return (struct ml_msg){.type = ML_ALIVE,
			       .node = slice_str(s->c.name),
			       .addr = swim_addr_slice(&s->c.addr),
			       .port = s->c.addr.port,
			       .incarnation = incarnation,
			       .vsn = {vsn, sizeof(vsn)}};
}

struct swim *swim_new(const struct swim_config *c, const struct swim_ops *ops, struct rng *rng,
		      uint64_t now_ms)
{
	struct swim *s = xcalloc(1, sizeof(*s));
	struct ml_msg m;

	s->c = *c;
	s->c.name = xstrdup(c->name);
	defaults(&s->c);
	s->ops = *ops;
	s->rng = rng;
	s->lag.usual = s->c.probe_ms;
	s->ran_ms = now_ms;
	list_init(&s->suspects);
	list_init(&s->calls);
	list_init(&s->relays);
	txq_init(&s->queue);
	s->next_gossip_ms = SWIM_NEVER;
	s->next_probe_ms = now_ms + rng_below(rng, s->c.probe_ms);
	s->next_push_pull_ms = now_ms + rng_below(rng, s->c.push_pull_ms);
	m = alive_self(s, 1);
	swim_alive_msg(s, &m, true, now_ms);
	return s;
}

void swim_free(struct swim *s)
{
	struct swim_relay *r, *next_r;
	struct swim_call *c, *next_c;

	if (!s)
		return;
	for (size_t i = 0; i < s->n_nodes; i++)
		swim_node_free(s->nodes[i]);
	list_for_each_safe (r, next_r, &s->relays, node)
		free(r);
	list_for_each_safe (c, next_c, &s->calls, node)
		free(c);
	map_done(&s->by_name);
	txq_done(&s->queue);
	free(s->nodes);
	free(s->probe.name);
	free((char *)s->c.name);
	free(s);
}

void swim_preset(struct swim *s, const char *name, const struct swim_addr *addr, uint64_t now_ms)
{
	struct ml_msg m = alive_self(s, 1);

	m.node = slice_str(name);
	m.addr = swim_addr_slice(addr);
	m.port = addr->port;
	swim_alive_msg(s, &m, true, now_ms);
	txq_done(&s->queue);
	txq_init(&s->queue);
}

/* --- sending --- */

void swim_queue_msg(struct swim *s, const char *name, const struct ml_msg *m, uint64_t now_ms)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	ml_encode(m, &b);
	txq_put(&s->queue, name, b.data, b.len);
	swim_wake(s, now_ms);
}

void swim_wake(struct swim *s, uint64_t now_ms)
{
	if (s->next_gossip_ms == SWIM_NEVER)
		s->next_gossip_ms = max(now_ms, s->last_gossip_ms + s->c.gossip_ms);
}

struct packing {
	struct slice parts[ML_COMPOUND_MAX];
	size_t n;
	struct buf text; /* of the parts, whose pointers are offsets until the end */
	bool user;
};

static void pack(const void *data, size_t size, void *arg)
{
	struct packing *p = arg;
	size_t at = p->text.len;

	if (p->user)
		buf_char(&p->text, ML_USER);
	buf_add(&p->text, data, size);
	p->parts[p->n++] = (struct slice){(const uint8_t *)(uintptr_t)at, p->text.len - at};
}

/* Add broadcasts to the packing while they fit. */
static void add_broadcasts(struct swim *s, struct packing *p)
{
	size_t used = ML_COMPOUND_HEADER + 2 * p->n + p->text.len, avail;

	if (used >= s->c.packet_size)
		return;
	avail = s->c.packet_size - used;
	txq_get(&s->queue, txq_limit(s->c.retransmit_mult, s->n_alive), 2, &avail,
		ML_COMPOUND_MAX - p->n, pack, p);
	p->user = true;
	if (s->ops.broadcasts)
		s->ops.broadcasts(3, &avail, ML_COMPOUND_MAX - p->n, pack, p, s->ops.arg);
	p->user = false;
}

static void send_packing(struct swim *s, const struct swim_addr *to, struct packing *p)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	for (size_t i = 0; i < p->n; i++)
		p->parts[i].p = (uint8_t *)p->text.data + (uintptr_t)p->parts[i].p;
	if (p->n == 1) {
		s->ops.packet(to, p->parts[0].p, p->parts[0].len, s->ops.arg);
	} else if (p->n) {
		ml_compound(p->parts, p->n, &b);
		s->ops.packet(to, b.data, b.len, s->ops.arg);
	}
	buf_done(&p->text);
}

static void send_raw(struct swim *s, const struct swim_addr *to, const struct buf *msg)
{
	struct packing *p = xcalloc(1, sizeof(*p));

	buf_init(&p->text);
	pack(msg->data, msg->len, p);
	add_broadcasts(s, p);
	send_packing(s, to, p);
	free(p);
}

void swim_send_msg(struct swim *s, const struct swim_addr *to, const struct ml_msg *m)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	ml_encode(m, &b);
	send_raw(s, to, &b);
}

int swim_send(struct swim *s, const char *name, const void *data, size_t size, bool reliable)
{
	struct swim_node *n = map_get(&s->by_name, name);
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (!n)
		return -ENOENT;
	if (reliable) {
		ml_user_stream(data, size, &b);
		s->ops.stream(&n->addr, b.data, b.len, 0, s->ops.arg);
	} else {
		buf_char(&b, ML_USER);
		buf_add(&b, data, size);
		send_raw(s, &n->addr, &b);
	}
	return 0;
}

size_t swim_pick(struct swim *s, size_t k, bool (*ok)(const struct swim_node *n, const void *arg),
		 const void *arg, struct swim_node **ret)
{
	size_t got = 0;

	for (size_t tries = 0; tries < 3 * s->n_nodes && got < k; tries++) {
		struct swim_node *n = s->nodes[rng_below(s->rng, s->n_nodes)];
		bool twice = n == s->self || !ok(n, arg);

		for (size_t i = 0; i < got && !twice; i++)
			twice = ret[i] == n;
		if (!twice)
			ret[got++] = n;
	}
	return got;
}

static bool hears_gossip(const struct swim_node *n, const void *now)
{
	return n->state <= ML_STATE_SUSPECT ||
	       (n->state == ML_STATE_DEAD &&
		*(const uint64_t *)now - n->changed_ms < SWIM_GOSSIP_DEAD_MS);
}

static void gossip_run(struct swim *s, uint64_t now_ms)
{
	struct swim_node *to[SWIM_GOSSIP_NODES];
	struct packing *p = xcalloc(1, sizeof(*p));
	size_t n = swim_pick(s, SWIM_GOSSIP_NODES, hears_gossip, &now_ms, to);
	bool more = false;

	s->last_gossip_ms = now_ms;
	for (size_t i = 0; i < n; i++) {
		*p = (struct packing){0};
		buf_init(&p->text);
		add_broadcasts(s, p);
		more |= p->n;
		send_packing(s, &to[i]->addr, p);
	}
	free(p);
	s->next_gossip_ms = more ? now_ms + s->c.gossip_ms : SWIM_NEVER;
}

/* --- push-pull --- */

uint32_t swim_call(struct swim *s, bool push_pull, bool join, uint32_t seq)
{
	struct swim_call *c = xcalloc(1, sizeof(*c));

	c->token = ++s->token ? s->token : ++s->token;
	c->push_pull = push_pull;
	c->join = join;
	c->seq = seq;
	list_add_tail(&c->node, &s->calls);
	return c->token;
}

static void local_state(struct swim *s, bool join, struct buf *ret)
{
	struct ml_msg *nodes = xcalloc(s->n_nodes, sizeof(*nodes));
	_cleanup_buf_ struct buf user = BUF_INIT;

	for (size_t i = 0; i < s->n_nodes; i++) {
		const struct swim_node *n = s->nodes[i];

		nodes[i] = (struct ml_msg){.type = ML_NODE,
					   .name = slice_str(n->name),
					   .addr = swim_addr_slice(&n->addr),
					   .port = n->addr.port,
					   .meta = {(uint8_t *)n->meta, n->meta_size},
					   .incarnation = n->incarnation,
					   .state = n->state,
					   .vsn = {n->vsn, sizeof(n->vsn)}};
	}
	if (s->ops.local_state)
		s->ops.local_state(join, &user, s->ops.arg);
	ml_push_pull(join, nodes, s->n_nodes, user.data, user.len, ret);
	free(nodes);
}

void swim_push_pull(struct swim *s, const struct swim_addr *to, bool join)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	local_state(s, join, &b);
	s->ops.stream(to, b.data, b.len, swim_call(s, true, join, 0), s->ops.arg);
}

/* Everything is read before anything is believed. join: whether we asked for that. */
static void merge(struct swim *s, const void *data, size_t size, uint64_t now_ms)
{
	struct ml_push_pull pp, check;
	struct slice user;
	struct ml_msg m;
	int rc;

	if (ml_push_pull_open(data, size, &pp))
		return;
	check = pp;
	while ((rc = ml_push_pull_next(&check, &m, &user)) > 0)
		;
	if (rc)
		return;
	while (ml_push_pull_next(&pp, &m, &user) > 0)
		swim_merge_node(s, &m, now_ms);
	if (user.len && s->ops.merge_state)
		s->ops.merge_state(user.p, user.len, pp.join, s->ops.arg);
}

void swim_join(struct swim *s, const struct swim_addr *addr, uint64_t now_ms)
{
	(void)now_ms;
	if (!s->leaving && !swim_addr_eq(addr, &s->c.addr))
		swim_push_pull(s, addr, true);
}

static bool is_alive(const struct swim_node *n, const void *arg)
{
	(void)arg;
	return n->state == ML_STATE_ALIVE;
}

static void push_pull_run(struct swim *s, uint64_t now_ms)
{
	struct swim_node *n;
	uint64_t mult = 1;

	/* beyond 32 members less and less often */
	for (size_t v = 32; v < s->n_alive; v *= 2)
		mult++;
	s->next_push_pull_ms = now_ms + s->c.push_pull_ms * mult;
	if (swim_pick(s, 1, is_alive, NULL, &n))
		swim_push_pull(s, &n->addr, false);
}

/* --- arriving --- */

static void handle(struct swim *s, const struct swim_addr *from, const uint8_t *p, size_t size,
		   unsigned int depth, uint64_t now_ms);

static void handle_inner(struct swim *s, const struct swim_addr *from, const uint8_t *p,
			 size_t size, unsigned int depth, uint64_t now_ms)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct slice part;
	size_t pos = 0;

	if (p[0] == ML_COMPOUND)
		while (ml_compound_next(p + 1, size - 1, &pos, &part))
			handle(s, from, part.p, part.len, depth - 1, now_ms);
	else if (p[0] == ML_CRC && !ml_crc_open(p, size, &part))
		handle(s, from, part.p, part.len, depth - 1, now_ms);
	else if (p[0] == ML_COMPRESS && !ml_decompress(p, size, ML_MAX_PACKET, &text))
		handle(s, from, (uint8_t *)text.data, text.len, depth - 1, now_ms);
}

static void handle(struct swim *s, const struct swim_addr *from, const uint8_t *p, size_t size,
		   unsigned int depth, uint64_t now_ms)
{
	struct ml_msg m;

	if (!size || !depth)
		return;
	if (p[0] == ML_COMPOUND || p[0] == ML_CRC || p[0] == ML_COMPRESS) {
		handle_inner(s, from, p, size, depth, now_ms);
		return;
	}
	if (p[0] == ML_USER) {
		if (s->ops.user)
			s->ops.user(from, p + 1, size - 1, false, s->ops.arg);
		return;
	}
	if (ml_decode(p, size, &m))
		return;
	switch (m.type) {
	case ML_PING:
		swim_ping_msg(s, from, &m);
		break;
	case ML_INDIRECT_PING:
		swim_indirect_msg(s, from, &m, now_ms);
		break;
	case ML_ACK:
		swim_ack_msg(s, m.seq);
		break;
	case ML_NACK:
		swim_nack_msg(s, m.seq);
		break;
	case ML_ALIVE:
		swim_alive_msg(s, &m, false, now_ms);
		break;
	case ML_SUSPECT:
		swim_suspect_msg(s, &m, now_ms);
		break;
	case ML_DEAD:
		swim_dead_msg(s, &m, now_ms);
		break;
	default:
		break;
	}
}

void swim_packet(struct swim *s, const struct swim_addr *from, const void *data, size_t size,
		 uint64_t now_ms)
{
	handle(s, from, data, size, 4, now_ms);
}

/* Take a compress envelope off. */
static bool unpacked(const void **data, size_t *size, struct buf *text)
{
	const uint8_t *p = *data;

	if (*size && p[0] == ML_COMPRESS) {
		if (ml_decompress(p, *size, ML_MAX_STREAM, text))
			return false;
		*data = text->data;
		*size = text->len;
	}
	return *size;
}

void swim_stream(struct swim *s, const struct swim_addr *from, const void *data, size_t size,
		 struct buf *answer, uint64_t now_ms)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct ml_push_pull pp;
	struct slice user;
	struct ml_msg m;

	if (!unpacked(&data, &size, &text))
		return;
	switch (*(const uint8_t *)data) {
	case ML_PING:
		if (ml_decode(data, size, &m) || (m.node.len && !slice_eq(m.node, s->c.name)))
			return;
		m = (struct ml_msg){.type = ML_ACK, .seq = m.seq};
		ml_encode(&m, answer);
		break;
	case ML_PUSH_PULL:
		if (ml_push_pull_open(data, size, &pp))
			return;
		local_state(s, pp.join, answer);
		merge(s, data, size, now_ms);
		break;
	case ML_USER:
		if (!ml_user_stream_open(data, size, &user) && s->ops.user)
			s->ops.user(from, user.p, user.len, true, s->ops.arg);
		break;
	default:
		break;
	}
}

void swim_answer(struct swim *s, uint32_t token, const void *data, size_t size, uint64_t now_ms)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct swim_call *c, *next;
	struct ml_msg m;

	list_for_each_safe (c, next, &s->calls, node) {
		if (c->token != token)
			continue;
		list_del(&c->node);
		if (!unpacked(&data, &size, &text))
			size = 0;
		if (size && c->push_pull)
			merge(s, data, size, now_ms);
		else if (size && !ml_decode(data, size, &m) && m.type == ML_ACK && m.seq == c->seq)
			swim_stream_ack(s, c->seq);
		free(c);
		return;
	}
}

/* --- the clock, and what others ask --- */

void swim_leave(struct swim *s, uint64_t now_ms)
{
	struct ml_msg m = {.type = ML_DEAD,
			   .node = slice_str(s->c.name),
			   .from = slice_str(s->c.name),
			   .incarnation = s->self->incarnation};

	s->leaving = true;
	swim_dead_msg(s, &m, now_ms);
}

uint64_t swim_due(const struct swim *s)
{
	uint64_t due = min(s->next_gossip_ms, s->next_push_pull_ms);

	due = min(due, swim_probe_due(s));
	return min(due, swim_suspicions_due(s));
}

/*
 * A turn that comes late: answers that came meanwhile are not read yet, so who is waited for gets
 * the time once more.
 */
static void turn_late(struct swim *s, uint32_t late_ms, uint64_t now_ms)
{
	struct swim_node *n;

	lag_measured(&s->lag, min(late_ms, LAG_OUTAGE * s->lag.usual));
	lag_passed(&s->lag, now_ms - s->ran_ms);
	s->ran_ms = now_ms;
	s->probe.timeout_ms += late_ms;
	s->probe.end_ms += late_ms;
	list_for_each (n, &s->suspects, suspect) {
		n->since_ms += late_ms;
		n->deadline_ms += late_ms;
	}
}

void swim_run(struct swim *s, uint64_t now_ms)
{
	uint64_t due_ms = swim_due(s);

	turn_late(s, now_ms > due_ms ? min(now_ms - due_ms, (uint64_t)INT32_MAX) : 0, now_ms);
	swim_suspicions_run(s, now_ms);
	swim_probe_run(s, now_ms);
	if (now_ms >= s->next_push_pull_ms)
		push_pull_run(s, now_ms);
	if (now_ms >= s->next_gossip_ms)
		gossip_run(s, now_ms);
}

size_t swim_alive(const struct swim *s)
{
	return s->n_alive;
}

size_t swim_len(const struct swim *s)
{
	return s->n_nodes;
}

static void tell(const struct swim *s, const struct swim_node *n, struct swim_member *ret)
{
	*ret = (struct swim_member){
		.name = n->name, .addr = n->addr, .state = n->state, .self = n == s->self};
}

void swim_get(const struct swim *s, size_t i, struct swim_member *ret)
{
	tell(s, s->nodes[i], ret);
}

bool swim_find(const struct swim *s, const char *name, struct swim_member *ret)
{
	struct swim_node *n = map_get(&s->by_name, name);

	if (n)
		tell(s, n, ret);
	return n;
}
