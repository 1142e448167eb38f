// SPDX-License-Identifier: Apache-2.0
/* Members, and what news about them changes. Source: memberlist state.go, suspicion.go. */
#include <math.h>

#include "gossip/swim_impl.h"

struct swim_node *swim_node_get(const struct swim *s, struct slice name)
{
	char text[ML_MAX_NAME + 1];

	if (!name.len || name.len > ML_MAX_NAME || memchr(name.p, 0, name.len))
		return NULL;
	memcpy(text, name.p, name.len);
	text[name.len] = 0;
	return map_get(&s->by_name, text);
}

static void end_suspicion(struct swim_node *n)
{
	list_del(&n->suspect);
	for (unsigned int i = 0; i < n->n_from; i++)
		free(n->from[i]);
	n->n_from = 0;
}

void swim_node_free(struct swim_node *n)
{
	end_suspicion(n);
	free(n->name);
	free(n->meta);
	free(n);
}

void swim_more_aware(struct swim *s, int delta)
{
	int v = (int)s->awareness + delta;

	s->awareness = v < 0 ? 0 : v >= SWIM_MAX_AWARENESS ? SWIM_MAX_AWARENESS - 1 : v;
}

static void set_state(struct swim *s, struct swim_node *n, enum ml_state state, uint64_t now_ms)
{
	enum ml_state before = n->state;
	struct swim_member m;

	if (before == state)
		return;
	n->state = state;
	n->changed_ms = now_ms;
	s->n_alive += (state <= ML_STATE_SUSPECT) - (before <= ML_STATE_SUSPECT);
	if (!s->ops.member)
		return;
	m = (struct swim_member){
		.name = n->name, .addr = n->addr, .state = state, .self = n == s->self};
	s->ops.member(&m, before, s->ops.arg);
}

/* Say that we live, in an incarnation above the one that somebody doubts. */
static void refute(struct swim *s, uint32_t accused, uint64_t now_ms)
{
	struct swim_node *me = s->self;
	struct ml_msg m;

	me->incarnation = max(me->incarnation, accused) + 1;
	swim_more_aware(s, 1);
	m = (struct ml_msg){.type = ML_ALIVE,
			    .node = slice_str(me->name),
			    .addr = swim_addr_slice(&me->addr),
			    .port = me->addr.port,
			    .meta = {(uint8_t *)me->meta, me->meta_size},
			    .incarnation = me->incarnation,
			    .vsn = {me->vsn, sizeof(me->vsn)}};
	swim_queue_msg(s, me->name, &m, now_ms);
}

static struct swim_node *add_node(struct swim *s, const struct ml_msg *m, uint64_t now_ms)
{
	struct swim_node *n;
	size_t at;

	if (s->n_nodes >= SWIM_MAX_MEMBERS || !m->node.len || memchr(m->node.p, 0, m->node.len))
		return NULL;
	n = xcalloc(1, sizeof(*n));
	n->name = xstrndup((const char *)m->node.p, m->node.len);
	n->state = ML_STATE_DEAD;
	n->changed_ms = now_ms;
	list_init(&n->suspect);
	map_put(&s->by_name, n->name, n);
	if (!s->self)
		s->self = n;
	/* at a random place of the order in which members are probed */
	s->nodes = xrealloc(s->nodes, (s->n_nodes + 1) * sizeof(struct swim_node *));
	at = rng_below(s->rng, s->n_nodes + 1);
	s->nodes[s->n_nodes] = s->nodes[at == s->n_nodes ? 0 : at];
	s->nodes[at] = n;
	s->n_nodes++;
	return n;
}

static bool same_place(const struct swim_node *n, const struct ml_msg *m)
{
	return n->addr.len == m->addr.len && !memcmp(n->addr.ip, m->addr.p, m->addr.len) &&
	       n->addr.port == m->port;
}

static bool same_meta(const struct swim_node *n, const struct ml_msg *m)
{
	return n->meta_size == m->meta.len &&
	       (!m->meta.len || !memcmp(n->meta, m->meta.p, m->meta.len));
}

static void take(struct swim_node *n, const struct ml_msg *m)
{
	n->addr = (struct swim_addr){.len = m->addr.len, .port = m->port};
	memcpy(n->addr.ip, m->addr.p, m->addr.len);
	if (m->vsn.len == sizeof(n->vsn))
		memcpy(n->vsn, m->vsn.p, sizeof(n->vsn));
	free(n->meta);
	n->meta = m->meta.len ? xmemdup(m->meta.p, m->meta.len) : NULL;
	n->meta_size = m->meta.len;
	n->incarnation = m->incarnation;
}

void swim_alive_msg(struct swim *s, const struct ml_msg *m, bool boot, uint64_t now_ms)
{
	struct swim_node *n = swim_node_get(s, m->node);
	bool moved;

	if (m->addr.len != 4 && m->addr.len != 16)
		return;
	if (n && n == s->self) {
		bool strange = !same_place(n, m) || !same_meta(n, m);

		if (!s->leaving && (m->incarnation > n->incarnation ||
				    (m->incarnation == n->incarnation && strange)))
			refute(s, m->incarnation, now_ms);
		return;
	}
	moved = n && !same_place(n, m);
	/* another one of that name: only in place of one that went */
	if (moved && n->state <= ML_STATE_SUSPECT)
		return;
	if (n && !moved && m->incarnation <= n->incarnation)
		return;
	if (!n)
		n = add_node(s, m, now_ms);
	if (!n)
		return;
	end_suspicion(n);
	take(n, m);
	swim_queue_msg(s, n->name, m, now_ms);
	(void)boot;
	set_state(s, n, ML_STATE_ALIVE, now_ms);
}

/* --- suspicion --- */

static void set_deadline(struct swim_node *n)
{
	unsigned int confirmed = n->n_from - 1;
	double part, timeout = n->min_ms;

	if (n->need) {
		part = log(confirmed + 1.0) / log(n->need + 1.0);
		timeout = n->max_ms - part * (n->max_ms - n->min_ms);
	}
	n->deadline_ms = n->since_ms + (uint64_t)max(timeout, (double)n->min_ms);
}

/* Another one suspects it too: true when that is news. */
static bool confirm(struct swim_node *n, struct slice from)
{
	if (n->n_from > n->need || n->n_from == SWIM_MAX_CONFIRM)
		return false;
	for (unsigned int i = 0; i < n->n_from; i++)
		if (slice_eq(from, n->from[i]))
			return false;
	n->from[n->n_from++] = xstrndup((const char *)from.p, from.len);
	return true;
}

static void begin_suspicion(struct swim *s, struct swim_node *n, struct slice from, uint64_t now_ms)
{
	double scale = max(1.0, log10(max((double)s->n_alive, 1.0)));

	n->since_ms = now_ms;
	n->min_ms = s->c.suspicion_mult * scale * s->c.probe_ms;
	n->max_ms = s->c.suspicion_max_mult * n->min_ms;
	n->need = s->c.suspicion_mult - 2;
	/* too few others to ask */
	if (s->n_alive < n->need + 2)
		n->need = 0;
	confirm(n, from);
	set_deadline(n);
	list_add_tail(&n->suspect, &s->suspects);
}

void swim_suspect_msg(struct swim *s, const struct ml_msg *m, uint64_t now_ms)
{
	struct swim_node *n = swim_node_get(s, m->node);

	if (!n || m->incarnation < n->incarnation)
		return;
	if (!list_empty(&n->suspect)) {
		if (confirm(n, m->from)) {
			set_deadline(n);
			swim_queue_msg(s, n->name, m, now_ms);
		}
		return;
	}
	if (n->state != ML_STATE_ALIVE)
		return;
	if (n == s->self) {
		refute(s, m->incarnation, now_ms);
		return;
	}
	swim_queue_msg(s, n->name, m, now_ms);
	n->incarnation = m->incarnation;
	begin_suspicion(s, n, m->from, now_ms);
	set_state(s, n, ML_STATE_SUSPECT, now_ms);
}

uint64_t swim_suspicions_due(const struct swim *s)
{
	uint64_t due = SWIM_NEVER;
	struct swim_node *n;

	list_for_each (n, &s->suspects, suspect)
		due = min(due, n->deadline_ms);
	return due;
}

void swim_suspicions_run(struct swim *s, uint64_t now_ms)
{
	struct swim_node *n, *next;

	list_for_each_safe (n, next, &s->suspects, suspect) {
		struct ml_msg m = {.type = ML_DEAD,
				   .node = slice_str(n->name),
				   .from = slice_str(s->c.name),
				   .incarnation = n->incarnation};

		if (now_ms < n->deadline_ms)
			continue;
		if (n->need && n->n_from <= n->need)
			swim_more_aware(s, 1); /* nobody agreed: it may be us */
		swim_dead_msg(s, &m, now_ms);
	}
}

void swim_dead_msg(struct swim *s, const struct ml_msg *m, uint64_t now_ms)
{
	struct swim_node *n = swim_node_get(s, m->node);
	bool left;

	if (!n || m->incarnation < n->incarnation)
		return;
	left = slice_eq(m->from, n->name);
	if (n == s->self && !s->leaving) {
		refute(s, m->incarnation, now_ms);
		return;
	}
	end_suspicion(n);
	if (n->state >= ML_STATE_DEAD)
		return;
	swim_queue_msg(s, n->name, m, now_ms);
	n->incarnation = m->incarnation;
	set_state(s, n, left ? ML_STATE_LEFT : ML_STATE_DEAD, now_ms);
}

void swim_merge_node(struct swim *s, const struct ml_msg *m, uint64_t now_ms)
{
	struct ml_msg news = *m;

	news.node = m->name;
	news.from = slice_str(s->c.name);
	switch (m->state) {
	case ML_STATE_ALIVE:
		news.type = ML_ALIVE;
		swim_alive_msg(s, &news, false, now_ms);
		break;
	case ML_STATE_LEFT:
		news.type = ML_DEAD;
		news.from = m->name;
		swim_dead_msg(s, &news, now_ms);
		break;
	default:
		/* the others' dead are but suspects: they may still answer */
		news.type = ML_SUSPECT;
		swim_suspect_msg(s, &news, now_ms);
		break;
	}
}

void swim_reset_order(struct swim *s, uint64_t now_ms)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n_nodes; i++) {
		struct swim_node *n = s->nodes[i];

		if (n != s->self && n->state >= ML_STATE_DEAD &&
		    now_ms - n->changed_ms > SWIM_GOSSIP_DEAD_MS) {
			map_del(&s->by_name, n->name);
			swim_node_free(n);
		} else {
			s->nodes[kept++] = n;
		}
	}
	s->n_nodes = kept;
	for (size_t i = kept; i > 1; i--) {
		size_t j = rng_below(s->rng, i);
		struct swim_node *n = s->nodes[i - 1];

		s->nodes[i - 1] = s->nodes[j];
		s->nodes[j] = n;
	}
}
