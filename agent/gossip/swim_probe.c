// SPDX-License-Identifier: Apache-2.0
/* Probing members in turn, by oneself, through others, by a stream. Source: memberlist state.go. */
#include "gossip/swim_impl.h"

static struct ml_msg ping_of(const struct swim *s, const char *node, uint32_t seq)
{
	return (struct ml_msg){.type = ML_PING,
			       .seq = seq,
			       .node = slice_str(node),
			       .source_addr = swim_addr_slice(&s->c.addr),
			       .source_port = s->c.addr.port,
			       .source_node = slice_str(s->c.name)};
}

static void begin(struct swim *s, struct swim_node *n, uint64_t now_ms)
{
	uint32_t slack_ms = lag_slack(&s->lag);
	struct ml_msg m;

	free(s->probe.name);
	s->probe = (struct swim_probe){
		.active = true,
		.name = xstrdup(n->name),
		.seq = ++s->seq,
		.timeout_ms = now_ms + s->c.probe_timeout_ms + slack_ms,
		/* who finds itself slow takes its time */
		.end_ms = now_ms + (uint64_t)s->c.probe_ms * (s->awareness + 1) + slack_ms,
	};
	m = ping_of(s, n->name, s->probe.seq);
	swim_send_msg(s, &n->addr, &m);
	if (n->state != ML_STATE_SUSPECT)
		return;
	/* it shall know, to be able to object */
	m = (struct ml_msg){.type = ML_SUSPECT,
			    .incarnation = n->incarnation,
			    .node = slice_str(n->name),
			    .from = slice_str(s->c.name)};
	swim_send_msg(s, &n->addr, &m);
}

static void next_member(struct swim *s, uint64_t now_ms)
{
	s->next_probe_ms = now_ms + s->c.probe_ms;
	for (size_t checked = 0; checked <= s->n_nodes;) {
		struct swim_node *n;

		if (s->probe_index >= s->n_nodes) {
			swim_reset_order(s, now_ms);
			s->probe_index = 0;
			checked++;
			continue;
		}
		n = s->nodes[s->probe_index++];
		checked++;
		if (n != s->self && n->state <= ML_STATE_SUSPECT) {
			begin(s, n, now_ms);
			return;
		}
	}
}

static bool may_help(const struct swim_node *n, const void *target)
{
	return n != target && n->state == ML_STATE_ALIVE;
}

static void ask_others(struct swim *s, struct swim_node *target)
{
	struct swim_node *helpers[SWIM_INDIRECT];
	size_t n = swim_pick(s, SWIM_INDIRECT, may_help, target, helpers);
	struct ml_msg m = ping_of(s, target->name, s->probe.seq);
	_cleanup_buf_ struct buf b = BUF_INIT;

	s->probe.helped = true;
	/* by stream too: the datagrams alone may be lost on their way */
	ml_encode(&m, &b);
	s->ops.stream(&target->addr, b.data, b.len, swim_call(s, false, false, s->probe.seq),
		      s->ops.arg);
	m.type = ML_INDIRECT_PING;
	m.target = swim_addr_slice(&target->addr);
	m.port = target->addr.port;
	m.nack = true;
	for (size_t i = 0; i < n; i++) {
		swim_send_msg(s, &helpers[i]->addr, &m);
		s->probe.helpers++;
	}
}

static void no_answer(struct swim *s, struct swim_node *n, uint64_t now_ms)
{
	struct ml_msg m = {.type = ML_SUSPECT,
			   .incarnation = n->incarnation,
			   .node = slice_str(n->name),
			   .from = slice_str(s->c.name)};

	/* helpers who do not even say that they failed make us doubt ourselves */
	if (s->probe.helpers)
		swim_more_aware(s, s->probe.helpers - min(s->probe.nacks, s->probe.helpers));
	else
		swim_more_aware(s, 1);
	if (!s->probe.by_stream)
		swim_suspect_msg(s, &m, now_ms);
}

static void relays_run(struct swim *s, uint64_t now_ms)
{
	struct swim_relay *r, *next;

	list_for_each_safe (r, next, &s->relays, node) {
		if (now_ms < r->deadline_ms)
			break; /* all wait the same time */
		if (r->nack)
			swim_send_msg(s, &r->to,
				      &(struct ml_msg){.type = ML_NACK, .seq = r->their_seq});
		list_del(&r->node);
		free(r);
	}
}

void swim_probe_run(struct swim *s, uint64_t now_ms)
{
	struct swim_node *n;

	relays_run(s, now_ms);
	if (s->probe.active) {
		n = map_get(&s->by_name, s->probe.name);
		if (!n || n->state >= ML_STATE_DEAD) {
			s->probe.active = false;
		} else if (now_ms >= s->probe.end_ms) {
			s->probe.active = false;
			no_answer(s, n, now_ms);
		} else if (now_ms >= s->probe.timeout_ms && !s->probe.helped) {
			ask_others(s, n);
		}
	}
	if (!s->probe.active && now_ms >= s->next_probe_ms)
		next_member(s, now_ms);
}

uint64_t swim_probe_due(const struct swim *s)
{
	uint64_t due = s->next_probe_ms;

	if (s->probe.active)
		due = s->probe.helped ? s->probe.end_ms : min(s->probe.timeout_ms, s->probe.end_ms);
	if (!list_empty(&s->relays))
		due = min(due, list_first(&s->relays, struct swim_relay, node)->deadline_ms);
	return due;
}

/* Where the sender wants its answer. */
static struct swim_addr reply_to(const struct swim_addr *from, const struct ml_msg *m)
{
	struct swim_addr a = *from;

	if ((m->source_addr.len == 4 || m->source_addr.len == 16) && m->source_port) {
		a = (struct swim_addr){.len = m->source_addr.len, .port = m->source_port};
		memcpy(a.ip, m->source_addr.p, m->source_addr.len);
	}
	return a;
}

void swim_ping_msg(struct swim *s, const struct swim_addr *from, const struct ml_msg *m)
{
	struct swim_addr to = reply_to(from, m);

	if (m->node.len && !slice_eq(m->node, s->c.name))
		return;
	swim_send_msg(s, &to, &(struct ml_msg){.type = ML_ACK, .seq = m->seq});
}

void swim_indirect_msg(struct swim *s, const struct swim_addr *from, const struct ml_msg *m,
		       uint64_t now_ms)
{
	struct swim_addr target = {.len = m->target.len, .port = m->port};
	char name[ML_MAX_NAME + 1];
	struct swim_relay *r, *oldest;
	struct ml_msg ping;
	size_t n = 0;

	if (m->target.len != 4 && m->target.len != 16)
		return;
	list_for_each (r, &s->relays, node)
		n++;
	if (n >= SWIM_MAX_RELAYS) {
		oldest = list_first(&s->relays, struct swim_relay, node);
		list_del(&oldest->node);
		free(oldest);
	}
	memcpy(target.ip, m->target.p, m->target.len);
	memcpy(name, m->node.p ? m->node.p : (const uint8_t *)"", m->node.len);
	name[m->node.len] = 0;
	r = xcalloc(1, sizeof(*r));
	r->seq = ++s->seq;
	r->their_seq = m->seq;
	r->to = reply_to(from, m);
	r->nack = m->nack;
	r->deadline_ms = now_ms + s->c.probe_timeout_ms;
	list_add_tail(&r->node, &s->relays);
	ping = ping_of(s, name, r->seq);
	swim_send_msg(s, &target, &ping);
}

void swim_ack_msg(struct swim *s, uint32_t seq)
{
	struct swim_relay *r, *next;

	if (s->probe.active && seq == s->probe.seq) {
		swim_more_aware(s, -1);
		s->probe.active = false;
		return;
	}
	list_for_each_safe (r, next, &s->relays, node) {
		if (r->seq != seq)
			continue;
		swim_send_msg(s, &r->to, &(struct ml_msg){.type = ML_ACK, .seq = r->their_seq});
		list_del(&r->node);
		free(r);
		return;
	}
}

void swim_nack_msg(struct swim *s, uint32_t seq)
{
	if (s->probe.active && seq == s->probe.seq)
		s->probe.nacks++;
}

void swim_stream_ack(struct swim *s, uint32_t seq)
{
	if (s->probe.active && seq == s->probe.seq)
		s->probe.by_stream = true;
}
