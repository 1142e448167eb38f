/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real gossip of many nodes on a simulated network: datagrams are late and lost, links are cut,
 * streams arrive or fail, peers are busy. Prints its seed; SEED= replays.
 */
#pragma once

#include <stdio.h>

#include "gossip/gossip.h"

enum { LATENCY_MS = 5 };

struct sim;

struct peer {
	struct sim *sim;
	struct gossip *g;
	struct rng rng;
	struct swim_addr addr;
	char name[24];
	bool down;
	bool busy; /* its turns come late */
	unsigned int side; /* of a partition */
	uint64_t awake_ms; /* a busy one stands still until then */
	uint64_t timer_ms; /* the event that is queued for its clock */
};

enum kind { PACKET, STREAM, ANSWER, TIMER };

struct event {
	uint64_t at_ms, order;
	enum kind kind;
	size_t from, to;
	uint32_t token;
	size_t size;
	uint8_t data[];
};

struct sim {
	struct rng rng;
	uint64_t seed, now_ms, order;
	struct peer *peers;
	size_t n;
	unsigned int loss_percent;
	bool cut;
	struct event **heap;
	size_t n_heap, cap;
	size_t sent, bytes;
};

static inline bool before(const struct event *a, const struct event *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static inline void push(struct sim *s, struct event *e)
{
	size_t i = s->n_heap++;

	if (s->n_heap > s->cap) {
		s->cap = max(2 * s->cap, (size_t)1024);
		s->heap = xrealloc(s->heap, s->cap * sizeof(*s->heap));
	}
	e->order = ++s->order;
	for (; i && before(e, s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = e;
}

static inline struct event *pop(struct sim *s)
{
	struct event *top = s->heap[0], *last = s->heap[--s->n_heap];
	size_t i = 0, c;

	while ((c = 2 * i + 1) < s->n_heap) {
		if (c + 1 < s->n_heap && before(s->heap[c + 1], s->heap[c]))
			c++;
		if (!before(s->heap[c], last))
			break;
		s->heap[i] = s->heap[c];
		i = c;
	}
	if (s->n_heap)
		s->heap[i] = last;
	return top;
}

static inline size_t peer_of(const struct swim_addr *a)
{
	return (a->ip[1] << 16 | a->ip[2] << 8 | a->ip[3]) - 1;
}

static inline void post(struct sim *s, enum kind kind, size_t from, size_t to, uint32_t token,
			const void *data, size_t size)
{
	struct event *e = xmalloc(sizeof(*e) + size);

	*e = (struct event){.at_ms = s->now_ms + 1 + rng_below(&s->rng, LATENCY_MS),
			    .kind = kind,
			    .from = from,
			    .to = to,
			    .token = token,
			    .size = size};
	if (size)
		memcpy(e->data, data, size);
	s->sent++;
	s->bytes += size;
	push(s, e);
}

static inline bool reaches(const struct sim *s, size_t from, size_t to)
{
	return !s->peers[from].down && !s->peers[to].down &&
	       (!s->cut || s->peers[from].side == s->peers[to].side);
}

static inline void on_packet(const struct swim_addr *to, const void *data, size_t size, void *arg)
{
	struct peer *p = arg;

	if (rng_below(&p->sim->rng, 100) >= p->sim->loss_percent)
		post(p->sim, PACKET, p - p->sim->peers, peer_of(to), 0, data, size);
}

static inline void on_stream(const struct swim_addr *to, const void *data, size_t size,
			     uint32_t token, void *arg)
{
	struct peer *p = arg;

	post(p->sim, STREAM, p - p->sim->peers, peer_of(to), token, data, size);
}

static inline void set_timer(struct peer *p)
{
	uint64_t due = max(gossip_due(p->g), p->sim->now_ms);
	struct event *e;

	if (due >= p->timer_ms)
		return;
	p->timer_ms = due;
	e = xmalloc(sizeof(*e));
	*e = (struct event){.at_ms = due, .kind = TIMER, .to = p - p->sim->peers};
	push(p->sim, e);
}

/* A busy peer stands still now and then, for up to 1.5 s; its timers fire before it reads. */
static inline bool stands_still(struct sim *s, struct peer *p, const struct event *e)
{
	struct event *later;

	if (!p->busy)
		return false;
	if (s->now_ms >= p->awake_ms) {
		if (rng_below(&s->rng, 20))
			return false;
		p->awake_ms = s->now_ms + rng_below(&s->rng, 1500);
	}
	if (e->kind == TIMER && p->timer_ms != e->at_ms)
		return true;
	later = xmemdup(e, sizeof(*e) + e->size);
	later->at_ms = p->awake_ms + (e->kind != TIMER);
	if (e->kind == TIMER)
		p->timer_ms = later->at_ms;
	push(s, later);
	return true;
}

static inline void deliver(struct sim *s, struct event *e)
{
	struct peer *to = &s->peers[e->to], *from = &s->peers[e->from];
	_cleanup_buf_ struct buf answer = BUF_INIT;

	if (stands_still(s, to, e))
		return;
	if (e->kind == TIMER) {
		if (to->timer_ms != e->at_ms)
			return;
		to->timer_ms = UINT64_MAX;
		if (!to->down)
			gossip_run(to->g, s->now_ms);
	} else if (!reaches(s, e->from, e->to)) {
		/* a stream that fails is noticed by its sender */
		if (e->kind == STREAM && e->token && !from->down) {
			gossip_answer(from->g, e->token, NULL, 0, s->now_ms);
			set_timer(from);
		}
		return;
	} else if (e->kind == PACKET) {
		gossip_packet(to->g, &from->addr, e->data, e->size, s->now_ms);
	} else if (e->kind == STREAM) {
		gossip_stream(to->g, &from->addr, e->data, e->size, &answer, s->now_ms);
		if (e->token)
			post(s, ANSWER, e->to, e->from, e->token, answer.data, answer.len);
	} else {
		gossip_answer(to->g, e->token, e->data, e->size, s->now_ms);
	}
	if (!to->down)
		set_timer(to);
}

/* Until the time, or until it holds; returns whether it does. check is asked every 50 ms. */
static inline bool run(struct sim *s, uint64_t for_ms, bool (*check)(struct sim *s))
{
	uint64_t end = s->now_ms + for_ms, next_check = s->now_ms;

	while (s->n_heap && s->heap[0]->at_ms <= end) {
		struct event *e = pop(s);

		s->now_ms = e->at_ms;
		deliver(s, e);
		free(e);
		if (check && s->now_ms >= next_check) {
			next_check = s->now_ms + 50;
			if (check(s))
				return true;
		}
	}
	s->now_ms = end;
	return !check || check(s);
}

static inline uint64_t seed_of(uint64_t dflt)
{
	const char *text = getenv("SEED");
	uint64_t seed = dflt;

	if (text)
		parse_u64(text, 0, UINT64_MAX, &seed);
	return seed;
}

static inline void start_peer(struct sim *s, size_t i)
{
	struct peer *p = &s->peers[i];
	struct gossip_ops ops = {.packet = on_packet, .stream = on_stream, .arg = p};
	struct swim_config c = {.name = p->name};
	size_t n = i + 1;

	p->sim = s;
	p->timer_ms = UINT64_MAX;
	snprintf(p->name, sizeof(p->name), "n%05zu", i);
	p->addr = (struct swim_addr){.ip = {10, n >> 16, n >> 8, n}, .len = 4, .port = 7946};
	c.addr = p->addr;
	rng_seed(&p->rng, s->seed * 1000003 + i);
	p->g = gossip_new(&c, &ops, &p->rng, s->now_ms);
}

static inline struct sim *sim_new(size_t n, uint64_t seed)
{
	struct sim *s = xcalloc(1, sizeof(*s));

	setvbuf(stdout, NULL, _IOLBF, 0);
	s->seed = seed_of(seed);
	printf("# seed=%llu nodes=%zu\n", (unsigned long long)s->seed, n);
	rng_seed(&s->rng, s->seed);
	s->n = n;
	s->now_ms = 1000000;
	s->peers = xcalloc(n, sizeof(*s->peers));
	for (size_t i = 0; i < n; i++)
		start_peer(s, i);
	return s;
}

static inline void sim_free(struct sim *s)
{
	printf("# %zu messages, %zu bytes\n", s->sent, s->bytes);
	for (size_t i = 0; i < s->n; i++)
		gossip_free(s->peers[i].g);
	while (s->n_heap)
		free(pop(s));
	free(s->heap);
	free(s->peers);
	free(s);
}

static inline bool all_see_all(struct sim *s)
{
	for (size_t i = 0; i < s->n; i++) {
		size_t up = 0;

		for (size_t j = 0; j < s->n; j++)
			up += !s->peers[j].down &&
			      (!s->cut || s->peers[i].side == s->peers[j].side);
		if (!s->peers[i].down && swim_alive(gossip_swim(s->peers[i].g)) != up)
			return false;
	}
	return true;
}

/* All join through the first, one after the other, and take part in the network. */
static inline void join_all(struct sim *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (i)
			swim_join(gossip_swim(s->peers[i].g), &s->peers[0].addr, s->now_ms);
		netdb_join(gossip_netdb(s->peers[i].g), "net", s->now_ms);
		set_timer(&s->peers[i]);
		run(s, 20, NULL);
	}
}

/* Know each other from the beginning. */
static inline void preset_all(struct sim *s)
{
	struct buf *states = xcalloc(s->n, sizeof(*states));

	for (size_t i = 0; i < s->n; i++) {
		for (size_t j = 0; j < s->n; j++)
			if (i != j)
				swim_preset(gossip_swim(s->peers[i].g), s->peers[j].name,
					    &s->peers[j].addr, s->now_ms);
		netdb_join(gossip_netdb(s->peers[i].g), "net", s->now_ms);
		buf_init(&states[i]);
		netdb_local_state(gossip_netdb(s->peers[i].g), false, &states[i]);
	}
	for (size_t i = 0; i < s->n; i++)
		for (size_t j = 0; j < s->n; j++)
			if (i != j)
				netdb_merge_state(gossip_netdb(s->peers[j].g), states[i].data,
						  states[i].len, s->now_ms);
	for (size_t i = 0; i < s->n; i++) {
		buf_done(&states[i]);
		set_timer(&s->peers[i]);
	}
	free(states);
}

static inline void put(struct sim *s, size_t i, const char *key, const char *value)
{
	netdb_put(gossip_netdb(s->peers[i].g), "net", "endpoint_table", key, value, strlen(value),
		  s->now_ms);
	set_timer(&s->peers[i]);
}

static inline bool has(struct sim *s, size_t i, const char *key, const char *value)
{
	size_t size;
	const void *v = netdb_get(gossip_netdb(s->peers[i].g), "net", "endpoint_table", key, &size);

	return value ? v && size == strlen(value) && !memcmp(v, value, size) : !v;
}

static const char *want_key = "k", *want;

static inline bool all_have(struct sim *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (!s->peers[i].down && !has(s, i, want_key, want))
			return false;
	return true;
}

static inline bool visible(struct sim *s, uint64_t within_ms)
{
	uint64_t begin = s->now_ms;
	bool ok = run(s, within_ms, all_have);

	printf("# %s=%s everywhere after %llu ms\n", want_key, want ? want : "(none)",
	       (unsigned long long)(s->now_ms - begin));
	return ok;
}
