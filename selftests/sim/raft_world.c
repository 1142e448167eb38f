// SPDX-License-Identifier: Apache-2.0
#include "raft_world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum event_kind { EV_TICK, EV_DELIVER, EV_DISK };

struct event {
	struct heap_item heap;
	uint64_t at_us, n; /* n: the order among equals */
	uint64_t due_us; /* it was to happen then; later where the host stood still */
	enum event_kind kind;
	struct host *host;
	uint64_t epoch;
	struct raft_msg *msg;
};

/* --- time --- */

static bool before(const struct heap_item *x, const struct heap_item *y)
{
	const struct event *a = container_of(x, struct event, heap);
	const struct event *b = container_of(y, struct event, heap);

	return a->at_us != b->at_us ? a->at_us < b->at_us : a->n < b->n;
}

static struct event *add_event(struct world *w, enum event_kind kind, struct host *h,
			       uint64_t delay_us)
{
	struct event *ev = xcalloc(1, sizeof(*ev));

	ev->at_us = ev->due_us = w->now_us + delay_us;
	ev->n = w->next_event++;
	ev->kind = kind;
	ev->host = h;
	ev->epoch = h->epoch;
	heap_push(&w->events, &ev->heap);
	return ev;
}

void world_trace(struct world *w, const char *fmt, ...)
{
	char *line = w->trace[w->n_trace++ % TRACE_LINES];
	size_t n = sizeof(w->trace[0]);
	va_list ap;
	int at = snprintf(line, n, "%9.3f ms  ", w->now_us / 1000.0);

	va_start(ap, fmt);
	vsnprintf(line + at, n - at, fmt, ap);
	va_end(ap);
	if (w->verbose)
		puts(line);
}

_Noreturn void world_fail(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (!w->verbose) {
		for (size_t i = w->n_trace > TRACE_LINES ? w->n_trace - TRACE_LINES : 0;
		     i < w->n_trace; i++)
			printf("# %s\n", w->trace[i % TRACE_LINES]);
	}
	printf("# seed=%llu at %.3f ms: ", (unsigned long long)w->seed, w->now_us / 1000.0);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\nnot ok - seed=%llu\n", (unsigned long long)w->seed);
	fflush(stdout);
	exit(1);
}

/* --- network --- */

static void snapshot_report(struct world *w, uint64_t from, uint64_t to, bool failed)
{
	struct raft_event ev = {.type = RAFT_SNAPSHOT_SENT, .member = to, .failed = failed};

	if (w->hosts[from].raft)
		host_event(&w->hosts[from], &ev);
}

static void send_copy(struct world *w, struct raft_msg *m)
{
	struct event *ev;

	ev = add_event(w, EV_DELIVER, &w->hosts[m->to],
		       w->delay_min_us + rng_below(&w->rng, w->delay_max_us - w->delay_min_us + 1));
	ev->msg = m;
}

/* What goes out of a host; messages to itself and to nobody do not. */
static void send_msg(struct host *h, struct raft_msg *m)
{
	struct world *w = h->w;

	if (m->to > w->n_hosts || m->to == h->id)
		world_fail(w, "host %llu sends %s to %llu", (unsigned long long)h->id,
			   raft_msg_name(m->type), (unsigned long long)m->to);
	if (m->type == RAFT_MSG_SNAP) {
		/* the data comes from the disk */
		raft_snapshot_put(m->snapshot);
		m->snapshot = raft_snapshot_get(h->disk.snapshot);
	} else if (rng_below(&w->rng, 1000) < w->loss) {
		raft_msg_free(m);
		return;
	}
	if (m->type != RAFT_MSG_SNAP && rng_below(&w->rng, 1000) < w->duplicate)
		send_copy(w, raft_msg_clone(m));
	send_copy(w, m);
}

/* Now and then over the wire's form. */
static struct raft_msg *over_the_wire(struct world *w, struct raft_msg *m)
{
	_cleanup_buf_ struct buf wire = BUF_INIT;
	struct raft_msg *got;

	if (rng_below(&w->rng, 32))
		return m;
	raft_msg_pack(m, &wire);
	got = raft_msg_unpack(wire.data, wire.len);
	if (!got)
		world_fail(w, "%s does not come out of the wire again", raft_msg_name(m->type));
	raft_msg_free(m);
	return got;
}

static void deliver(struct world *w, struct raft_msg *m)
{
	struct host *to = &w->hosts[m->to];
	struct raft_event ev = {.type = RAFT_RECV};
	uint64_t from = m->from;
	bool lost = !to->raft || (from && w->cut[from][m->to]) ||
		    (m->type == RAFT_MSG_SNAP && rng_below(&w->rng, 1000) < w->loss);
	bool snap = m->type == RAFT_MSG_SNAP;
	uint64_t id = m->to;

	if (!lost) {
		m = over_the_wire(w, m);
		ev.msg = m;
		host_event(to, &ev);
	} else if (from && w->hosts[from].raft && !rng_below(&w->rng, 4)) {
		struct raft_event un = {.type = RAFT_UNREACHABLE, .member = id};

		host_event(&w->hosts[from], &un);
		un.type = RAFT_LOST;
		if (!rng_below(&w->rng, 8))
			host_event(&w->hosts[from], &un);
	}
	raft_msg_free(m);
	if (snap)
		snapshot_report(w, from, id, lost);
}

void world_partition(struct world *w, uint64_t side)
{
	for (uint64_t a = 1; a <= w->n_hosts; a++) {
		for (uint64_t b = 1; b <= w->n_hosts; b++)
			w->cut[a][b] = !(side & (1ULL << a)) != !(side & (1ULL << b));
	}
}

void world_heal(struct world *w)
{
	memset(w->cut, 0, sizeof(w->cut));
}

/* --- disk --- */

static void free_job(struct disk_job *j)
{
	list_del(&j->node);
	for (size_t i = 0; i < j->n; i++)
		raft_entry_put(j->entries[i]);
	free(j->entries);
	raft_snapshot_put(j->snapshot);
	free(j);
}

static void disk_begin(struct host *h)
{
	if (!list_empty(&h->jobs))
		add_event(h->w, EV_DISK, h, 100 + rng_below(&h->w->rng, h->disk_us));
}

static struct disk_job *disk_queue(struct host *h)
{
	struct disk_job *j = xcalloc(1, sizeof(*j));
	bool idle = list_empty(&h->jobs);

	list_add_tail(&j->node, &h->jobs);
	if (idle)
		disk_begin(h);
	return j;
}

static void disk_cut(struct disk *d, uint64_t from)
{
	while (d->n && d->base + d->n >= from)
		raft_entry_put(d->entries[--d->n]);
}

static void disk_drop_front(struct disk *d, uint64_t to)
{
	size_t n;

	if (to <= d->base)
		return;
	n = to - d->base;
	d->base_term = d->entries[n - 1]->term;
	for (size_t i = 0; i < n; i++)
		raft_entry_put(d->entries[i]);
	memmove(d->entries, d->entries + n, (d->n - n) * sizeof(*d->entries));
	d->n -= n;
	d->base = to;
}

/* The whole write is durable. */
static void disk_apply(struct host *h, const struct disk_job *j)
{
	struct disk *d = &h->disk;

	d->empty = false;
	if (j->persist)
		d->hard = j->hard;
	if (j->snapshot) {
		raft_snapshot_put(d->snapshot);
		d->snapshot = raft_snapshot_get(j->snapshot);
	}
	if (j->snapshot && j->persist) {
		disk_cut(d, 0);
		d->base = j->snapshot->index;
		d->base_term = j->snapshot->term;
	}
	if (j->n) {
		disk_cut(d, j->entries[0]->index);
		if (d->base + d->n + 1 != j->entries[0]->index)
			world_fail(h->w, "host %llu writes entry %llu behind %llu",
				   (unsigned long long)h->id,
				   (unsigned long long)j->entries[0]->index,
				   (unsigned long long)(d->base + d->n));
		d->entries = xrealloc(d->entries, (d->n + j->n) * sizeof(*d->entries));
		for (size_t i = 0; i < j->n; i++)
			d->entries[d->n++] = raft_entry_get(j->entries[i]);
	}
	if (j->own && j->snapshot->index > h->w->snapshot_keep)
		disk_drop_front(d, min(j->snapshot->index - h->w->snapshot_keep, d->base + d->n));
}

static void disk_done(struct host *h)
{
	struct disk_job *j = list_first(&h->jobs, struct disk_job, node);
	struct raft_event ev = {.type = RAFT_PERSISTED};

	disk_apply(h, j);
	if (j->own) {
		struct raft_event compact = {
			.type = RAFT_COMPACT, .snapshot = j->snapshot, .keep = h->w->snapshot_keep};

		h->snapshotting = false;
		host_event(h, &compact);
	}
	if (j->persist)
		host_event(h, &ev);
	free_job(j);
	disk_begin(h);
}

static void maybe_snapshot(struct host *h)
{
	struct disk_job *j;
	struct state *copy;

	if (h->snapshotting || h->state.applied < h->snapshot_index + h->w->snapshot_interval ||
	    h->state.applied != raft_applied(h->raft) || !raft_term_at(h->raft, h->state.applied))
		return;
	copy = xmemdup(&h->state, sizeof(h->state));
	h->snapshotting = true;
	h->snapshot_index = h->state.applied;
	j = disk_queue(h);
	j->own = true;
	j->snapshot = raft_snapshot_new(h->state.applied, raft_term_at(h->raft, h->state.applied),
					raft_conf(h->raft), copy, sizeof(*copy));
}

/* --- hosts --- */

static void restore(struct host *h, const struct raft_snapshot *s)
{
	memcpy(&h->state, s->data, sizeof(h->state));
	h->snapshot_index = s->index;
	check_restore(h);
}

static void end_writes(struct host *h, const struct raft_entry *e)
{
	uint64_t op;

	if (e->size != sizeof(op))
		return;
	memcpy(&op, e->data, sizeof(op));
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *c = &h->w->clients[i];

		if (c->kind == OP_WRITE && c->id == op && c->host == h && c->epoch == h->epoch)
			check_client_done(h->w, c, e->index);
	}
}

/* A read that has its index ends when the state is there. */
static void end_reads(struct host *h)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *c = &h->w->clients[i];

		if (c->kind == OP_READ && c->host == h && c->epoch == h->epoch && c->read_index &&
		    h->state.applied >= c->read_index)
			check_client_done(h->w, c, h->state.applied);
	}
}

/* Who led and does not any more tells its clients so. */
static void end_lost(struct host *h)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *c = &h->w->clients[i];

		if (c->kind == OP_WRITE && c->host == h && c->epoch == h->epoch &&
		    (raft_role(h->raft) != RAFT_LEADER || raft_term(h->raft) != c->term))
			c->kind = OP_NONE;
	}
}

int host_event(struct host *h, const struct raft_event *ev)
{
	struct world *w = h->w;
	struct raft_update u;
	int rc = raft_step(h->raft, ev, &u);

	w->n_steps++;
	end_lost(h);
	for (size_t i = 0; i < u.n_msgs; i++)
		send_msg(h, steal_ptr(u.msgs[i]));
	if (u.persist) {
		struct disk_job *j = disk_queue(h);

		check_persist(h, &u);
		j->persist = true;
		j->hard = u.hard;
		j->snapshot = u.snapshot ? raft_snapshot_get(u.snapshot) : NULL;
		j->entries = xcalloc(u.n_entries + 1, sizeof(*j->entries));
		for (size_t i = 0; i < u.n_entries; i++)
			j->entries[j->n++] = raft_entry_get(u.entries[i]);
	}
	if (u.restore)
		restore(h, u.restore);
	for (size_t i = 0; i < u.n_apply; i++) {
		check_apply(h, u.apply[i]);
		end_writes(h, u.apply[i]);
	}
	for (size_t i = 0; i < u.n_reads; i++) {
		for (size_t k = 0; k < CLIENTS; k++) {
			struct client *c = &w->clients[k];

			if (c->kind == OP_READ && c->id == u.reads[i].read && c->host == h &&
			    c->epoch == h->epoch) {
				if (!u.reads[i].index)
					c->kind = OP_NONE;
				else
					c->read_index = u.reads[i].index;
			}
		}
	}
	end_reads(h);
	check_step(h);
	maybe_snapshot(h);
	return rc;
}

void host_start(struct host *h)
{
	struct raft_event nothing = {.type = RAFT_EVENTS};
	struct raft_options opt = {.id = h->id,
				   .election_ticks = 8,
				   .heartbeat_ticks = 1,
				   .pre_vote = h->w->pre_vote,
				   .check_quorum = h->w->check_quorum,
				   .max_msg_size = 200,
				   .max_inflight = 8,
				   .rng = &h->rng};
	struct disk *d = &h->disk;
	struct raft_stored st = {.hard = d->hard,
				 .snapshot = d->snapshot,
				 .entries = d->entries,
				 .n_entries = d->n,
				 .base_term = d->base_term};
	struct err err = ERR_INIT;

	if (h->raft)
		return;
	world_trace(h->w, "host %llu starts at entry %llu, commit %llu, term %llu",
		    (unsigned long long)h->id, (unsigned long long)(d->base + d->n),
		    (unsigned long long)d->hard.commit, (unsigned long long)d->hard.term);
	h->epoch++;
	h->lead_term = h->seen_term = h->seen_commit = 0;
	h->state = (struct state){0};
	h->snapshot_index = 0;
	h->snapshotting = false;
	if (d->snapshot)
		restore(h, d->snapshot);
	if (raft_new(&opt, &st, &h->raft, &err) < 0)
		world_fail(h->w, "host %llu: %s", (unsigned long long)h->id, err.msg);
	host_event(h, &nothing);
	add_event(h->w, EV_TICK, h, rng_below(&h->w->rng, TICK_US));
}

void host_stall(struct host *h, uint64_t us)
{
	world_trace(h->w, "host %llu stands still for %llu ms", (unsigned long long)h->id,
		    (unsigned long long)us / 1000);
	h->stalled_until_us = max(h->stalled_until_us, h->w->now_us + us);
}

void host_crash(struct host *h)
{
	h->stalled_until_us = 0;
	if (!h->raft)
		return;
	world_trace(h->w, "host %llu crashes", (unsigned long long)h->id);
	if (!list_empty(&h->jobs)) {
		struct disk_job *j = list_first(&h->jobs, struct disk_job, node);

		/* done, though nobody was told; or not, or torn, which reads as not */
		if (!rng_below(&h->w->rng, 3))
			disk_apply(h, j);
	}
	while (!list_empty(&h->jobs))
		free_job(list_first(&h->jobs, struct disk_job, node));
	raft_free(steal_ptr(h->raft));
	/* its connections break, and some notice */
	for (uint64_t i = 1; i <= h->w->n_hosts; i++) {
		struct raft_event lost = {.type = RAFT_LOST, .member = h->id};

		if (h->w->hosts[i].raft && rng_below(&h->w->rng, 2))
			host_event(&h->w->hosts[i], &lost);
	}
	for (size_t i = 0; i < CLIENTS; i++) {
		if (h->w->clients[i].host == h)
			h->w->clients[i].kind = OP_NONE;
	}
}

int host_change(struct host *h, enum raft_change_type type, uint64_t member)
{
	struct raft_change c = {.type = type, .id = h->w->next_op++, .member = member};
	_cleanup_buf_ struct buf data = BUF_INIT;
	struct raft_event ev = {.type = RAFT_PROPOSE, .n_entries = 1};
	struct raft_entry *e;

	raft_change_pack(&c, &data);
	e = raft_entry_new(RAFT_CONF_CHANGE, 0, 0, data.data, data.len);
	ev.entries = &e;
	world_trace(h->w, "host %llu proposes to %s %llu", (unsigned long long)h->id,
		    type == RAFT_ADD ? "add" : "remove", (unsigned long long)member);
	return host_event(h, &ev);
}

struct host *world_leader(struct world *w)
{
	struct host *best = NULL;

	for (uint64_t i = 1; i <= w->n_hosts; i++) {
		struct host *h = &w->hosts[i];

		if (h->raft && raft_role(h->raft) == RAFT_LEADER &&
		    (!best || raft_term(h->raft) > raft_term(best->raft)))
			best = h;
	}
	return best;
}

bool world_converged(struct world *w)
{
	struct host *l = world_leader(w);
	const struct raft_conf *conf;

	if (!l || l->state.applied < w->n_committed)
		return false;
	conf = raft_conf(l->raft);
	for (size_t i = 0; i < conf->n; i++) {
		struct host *h = &w->hosts[conf->voters[i]];

		if (!h->raft || h->state.applied != l->state.applied ||
		    h->state.hash != l->state.hash)
			return false;
	}
	return true;
}

/* --- clients --- */

int client_write(struct world *w, struct client *c, struct host *h)
{
	struct raft_event ev = {.type = RAFT_PROPOSE, .n_entries = 1};
	struct raft_entry *e;
	uint64_t id = w->next_op++;
	int rc;

	*c = (struct client){.kind = OP_WRITE,
			     .id = id,
			     .host = h,
			     .epoch = h->epoch,
			     .term = raft_term(h->raft),
			     .floor = w->max_version,
			     .begun_us = w->now_us};
	e = raft_entry_new(RAFT_NORMAL, 0, 0, &id, sizeof(id));
	ev.entries = &e;
	rc = host_event(h, &ev);
	if (rc < 0)
		c->kind = OP_NONE;
	return rc;
}

int client_read(struct world *w, struct client *c, struct host *h)
{
	struct raft_event ev = {.type = RAFT_READ};
	int rc;

	*c = (struct client){.kind = OP_READ,
			     .id = w->next_op++,
			     .host = h,
			     .epoch = h->epoch,
			     .floor = w->max_version,
			     .begun_us = w->now_us};
	ev.read = c->id;
	rc = host_event(h, &ev);
	if (rc < 0)
		c->kind = OP_NONE;
	return rc;
}

/* --- the world --- */

bool world_step(struct world *w, uint64_t until_us)
{
	struct heap_item *top = heap_top(&w->events);
	struct event *ev = top ? container_of(top, struct event, heap) : NULL;
	struct raft_event tick = {.type = RAFT_TICK};
	struct host *h;

	if (!ev || ev->at_us > until_us) {
		w->now_us = until_us;
		return false;
	}
	heap_del(&w->events, &ev->heap);
	w->now_us = ev->at_us;
	h = ev->host;
	if (w->now_us < h->stalled_until_us) {
		/* in their order: they wait in sockets and in the loop */
		ev->at_us = h->stalled_until_us;
		ev->n = w->next_event++;
		heap_push(&w->events, &ev->heap);
		return true;
	}
	if (ev->kind == EV_DELIVER) {
		deliver(w, ev->msg);
	} else if (h->raft && ev->epoch == h->epoch) {
		if (ev->kind == EV_DISK) {
			disk_done(h);
		} else {
			tick.late = (w->now_us - ev->due_us) / TICK_US;
			add_event(w, EV_TICK, h, h->tick_us);
			host_event(h, &tick);
		}
	}
	free(ev);
	return true;
}

void world_run(struct world *w, uint64_t us)
{
	uint64_t until = w->now_us + us;

	while (world_step(w, until))
		;
}

void world_init(struct world *w, uint64_t seed, size_t n_hosts, size_t n_members)
{
	struct raft_conf conf = {0};

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	rng_seed(&w->rng, seed);
	heap_init(&w->events, before);
	w->n_hosts = n_hosts;
	w->next_op = 1;
	w->pre_vote = w->check_quorum = true;
	w->delay_min_us = 200;
	w->delay_max_us = 2000;
	w->snapshot_interval = 40;
	w->snapshot_keep = 10;
	/* all begin with the membership, as the snapshot of entry 1 */
	for (uint64_t i = 1; i <= n_members; i++)
		raft_conf_add(&conf, i);
	w->committed_alloc = 1024;
	w->committed = xcalloc(w->committed_alloc, sizeof(*w->committed));
	w->hashes = xcalloc(w->committed_alloc, sizeof(*w->hashes));
	w->n_committed = 1;
	for (uint64_t i = 1; i <= n_hosts; i++) {
		struct host *h = &w->hosts[i];
		struct state first = {.applied = 1};

		h->w = w;
		h->id = i;
		h->disk_us = 5000;
		h->tick_us = TICK_US * 19 / 20 + rng_below(&w->rng, TICK_US / 10);
		rng_seed(&h->rng, rng_u64(&w->rng));
		list_init(&h->jobs);
		h->disk.empty = true;
		if (i > n_members)
			continue;
		h->disk.empty = false;
		h->disk.hard = (struct raft_hard_state){.term = 1, .commit = 1};
		h->disk.base = h->disk.base_term = 1;
		h->disk.snapshot = raft_snapshot_new(1, 1, &conf, xmemdup(&first, sizeof(first)),
						     sizeof(first));
	}
}

void world_done(struct world *w)
{
	struct heap_item *top;

	check_done(w);
	while ((top = heap_top(&w->events))) {
		struct event *ev = container_of(top, struct event, heap);

		heap_del(&w->events, top);
		raft_msg_free(ev->msg);
		free(ev);
	}
	heap_done(&w->events);
	for (uint64_t i = 1; i <= w->n_hosts; i++) {
		struct host *h = &w->hosts[i];

		raft_free(h->raft);
		while (!list_empty(&h->jobs))
			free_job(list_first(&h->jobs, struct disk_job, node));
		disk_cut(&h->disk, 0);
		free(h->disk.entries);
		raft_snapshot_put(h->disk.snapshot);
	}
}
