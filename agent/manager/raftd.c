// SPDX-License-Identifier: Apache-2.0
/* The running of raft: events in, updates carried out, proposals and barriers answered. */
#include <pthread.h>

#include "core/log.h"
#include "manager/raftd_impl.h"

/* --- proposals --- */

static void end_proposal(struct proposal *p, int rc)
{
	uint64_t index = p->entry ? p->entry->index : 0;

	list_del(&p->node);
	raft_entry_put(p->entry);
	p->done(rc, rc ? 0 : index, p->arg);
	free(p);
}

static void fail_proposals(struct list_head *list, int rc)
{
	while (!list_empty(list))
		end_proposal(list_first(list, struct proposal, node), rc);
}

/* What the log did not take has no index. While the leadership is handed on it waits. */
static void take_back_refused(struct raftd *r, int rc)
{
	struct proposal *p, *tmp;

	if (!rc)
		return;
	list_for_each_safe (p, tmp, &r->in_flight, node) {
		if (p->entry->index)
			continue;
		if (rc != -EBUSY) {
			end_proposal(p, -ENOTCONN);
			continue;
		}
		list_del(&p->node);
		list_add_tail(&p->node, &r->queued);
	}
}

/* All that waits goes into the log in one step: one message to each member, one write. */
static void run_queued(struct raftd *r)
{
	struct raft_event ev = {.type = RAFT_PROPOSE};
	struct list_head batch, *at;
	struct raft_entry **entries;
	struct proposal *p, *tmp;
	size_t n = 0;

	if (list_empty(&r->queued))
		return;
	list_init(&batch);
	list_for_each (p, &r->queued, node)
		n++;
	entries = xcalloc(n, sizeof(*entries));
	n = 0;
	list_for_each_safe (p, tmp, &r->queued, node) {
		list_del(&p->node);
		list_add_tail(&p->node, &batch);
		entries[n++] = raft_entry_get(p->entry);
	}
	if (!r->told_leader || r->failed) {
		for (size_t i = 0; i < n; i++)
			raft_entry_put(entries[i]);
		fail_proposals(&batch, -ENOTCONN);
	} else {
		/* in flight before the step, which may commit them already */
		at = batch.next;
		while ((at = batch.next) != &batch) {
			list_del(at);
			list_add_tail(at, &r->in_flight);
		}
		ev.entries = entries;
		ev.n_entries = n;
		take_back_refused(r, raftd_step(r, &ev));
	}
	free(entries);
}

void raftd_propose(struct raftd *r, const void *data, size_t len,
		   void (*done)(int rc, uint64_t index, void *arg), void *arg)
{
	struct proposal *p = xcalloc(1, sizeof(*p));

	p->entry = raft_entry_new(RAFT_NORMAL, 0, 0, data, len);
	p->done = done;
	p->arg = arg;
	list_add_tail(&p->node, &r->queued);
	raftd_pump_later(r);
}

/*
 * Entry e is committed. In its place there can be no other, and behind it none of an earlier term
 * (Raft §3.6: terms never decrease along the log).
 */
static void decide(struct raftd *r, const struct raft_entry *e)
{
	struct proposal *p, *tmp;

	list_for_each_safe (p, tmp, &r->undecided, node) {
		if (e->index == p->entry->index && e->term == p->entry->term)
			end_proposal(p, 0);
		else if (e->index == p->entry->index || e->term > p->entry->term)
			end_proposal(p, -ENOTCONN);
	}
}

static void tick_undecided(struct raftd *r)
{
	struct proposal *p, *tmp;

	list_for_each_safe (p, tmp, &r->undecided, node) {
		if (++p->ticks > DECIDE_MAX_TICKS)
			end_proposal(p, -ECANCELED);
	}
}

/* --- barriers --- */

static void end_barrier(struct barrier *b, int rc)
{
	list_del(&b->node);
	b->done(rc, b->arg);
	free(b);
}

/* One round of heartbeats for all that came since the last one. */
static void ask_reads(struct raftd *r)
{
	struct raft_event ev = {.type = RAFT_READ};
	struct barrier *b, *tmp;
	bool any = false;

	list_for_each (b, &r->barriers, node) {
		if (!b->read && !b->index) {
			if (!any)
				ev.read = ++r->next_read;
			any = true;
			b->read = ev.read;
			b->asked_ticks = 0;
		}
	}
	if (!any)
		return;
	if (!r->raft || r->failed || raftd_step(r, &ev) < 0) {
		list_for_each_safe (b, tmp, &r->barriers, node) {
			if (b->read == ev.read && !b->index)
				end_barrier(b, -ENOTCONN);
		}
	}
}

static void take_reads(struct raftd *r, const struct raft_update *u)
{
	struct barrier *b;

	for (size_t i = 0; i < u->n_reads; i++) {
		list_for_each (b, &r->barriers, node) {
			if (b->read != u->reads[i].read || b->index)
				continue;
			b->index = u->reads[i].index;
			if (!b->index) {
				/* the leadership went: ask the next leader, on a tick */
				b->asked_ticks = 0;
			}
		}
	}
}

static void end_barriers(struct raftd *r)
{
	struct barrier *b, *tmp;

	list_for_each_safe (b, tmp, &r->barriers, node) {
		if (b->index && b->index <= r->applied)
			end_barrier(b, 0);
	}
}

static void tick_barriers(struct raftd *r)
{
	struct barrier *b, *tmp;

	list_for_each_safe (b, tmp, &r->barriers, node) {
		if (++b->ticks > BARRIER_MAX_TICKS) {
			end_barrier(b, -ETIMEDOUT);
		} else if (!b->index && b->read && ++b->asked_ticks >= BARRIER_RETRY_TICKS) {
			/* the question or its answer was lost, or the leader is another one */
			b->read = 0;
			raftd_pump_later(r);
		}
	}
}

void raftd_barrier(struct raftd *r, void (*done)(int rc, void *arg), void *arg)
{
	struct barrier *b = xcalloc(1, sizeof(*b));

	b->done = done;
	b->arg = arg;
	list_add_tail(&b->node, &r->barriers);
	raftd_pump_later(r);
}

/* --- updates --- */

void raftd_fail(struct raftd *r, const char *why)
{
	log_error("raft: this member stops: %s", why);
	r->failed = true;
	raftd_pump_later(r);
}

static void stop_leading(struct raftd *r)
{
	r->leading = false;
	while (!list_empty(&r->in_flight)) {
		struct proposal *p = list_first(&r->in_flight, struct proposal, node);

		list_del(&p->node);
		list_add_tail(&p->node, &r->undecided);
	}
	raftd_fail_changes(r, -ENOTCONN);
	if (r->told_leader) {
		r->told_leader = false;
		log_info("raft: no longer the leader");
		r->opt.on_leader(false, r->lead_term, r->opt.arg);
	}
}

/* Before anything is applied: what a new leader commits is not for the old one's writer. */
static void lose_leadership(struct raftd *r)
{
	bool leads = raft_role(r->raft) == RAFT_LEADER && raft_term(r->raft) == r->lead_term;

	if (r->leading && !leads)
		stop_leading(r);
}

static void gain_leadership(struct raftd *r)
{
	if (raft_role(r->raft) == RAFT_LEADER && !r->leading) {
		r->leading = true;
		r->lead_term = raft_term(r->raft);
		r->lead_from = raft_last_index(r->raft);
	}
	if (r->leading && !r->told_leader && !r->failed && r->applied >= r->lead_from) {
		r->told_leader = true;
		log_info("raft: leader of term %llu", (unsigned long long)r->lead_term);
		r->opt.on_leader(true, r->lead_term, r->opt.arg);
	}
}

static void apply(struct raftd *r, const struct raft_update *u)
{
	for (size_t i = 0; i < u->n_apply && !r->failed; i++) {
		struct raft_entry *e = u->apply[i];
		struct proposal *p;

		if (e->index <= r->applied)
			continue;
		r->applied = e->index;
		if (e->type == RAFT_CONF_CHANGE)
			raftd_apply_change(r, e);
		else if (e->type == RAFT_NORMAL && e->size)
			r->opt.on_commit(e->index, e->term, e->data, e->size, r->opt.arg);
		decide(r, e);
		if (list_empty(&r->in_flight))
			continue;
		p = list_first(&r->in_flight, struct proposal, node);
		if (p->entry == e)
			end_proposal(p, 0);
	}
}

static void restore(struct raftd *r, struct raft_snapshot *s)
{
	if (s->index <= r->applied)
		return;
	if (r->opt.on_snapshot_restore(s->data, s->size, r->opt.arg) != 0) {
		raftd_fail(r, "the leader's snapshot cannot be used");
		return;
	}
	raftd_load_membership(r, s->data, s->size);
	r->applied = r->snapshot_index = s->index;
	/* what it is made of cannot be told */
	fail_proposals(&r->undecided, -ECANCELED);
	log_info("raft: restored the snapshot at entry %llu", (unsigned long long)s->index);
}

static void send_all(struct raftd *r, const struct raft_update *u)
{
	for (size_t i = 0; i < u->n_msgs; i++) {
		struct raft_msg *m = steal_ptr(u->msgs[i]);

		if (m->type == RAFT_MSG_SNAP)
			raftd_disk_load_snapshot(r, m);
		else if (r->transport.send)
			r->transport.send(m, r->transport.arg);
		else
			raft_msg_free(m);
	}
}

/* The only member, and it leads: there is nothing that time could change. */
static bool alone(const struct raftd *r)
{
	return r->told_leader && raft_conf(r->raft)->n == 1 && list_empty(&r->barriers);
}

static void set_tick(struct raftd *r)
{
	r->tick_due_ms = loop_now_ms() + TICK_MS;
	timer_set(&r->tick, TICK_MS);
}

int raftd_step(struct raftd *r, const struct raft_event *ev)
{
	struct raft_update u;
	int rc = raft_step(r->raft, ev, &u);

	lose_leadership(r);
	send_all(r, &u);
	if (u.persist)
		raftd_disk_persist(r, &u);
	if (u.restore)
		restore(r, u.restore);
	apply(r, &u);
	gain_leadership(r);
	take_reads(r, &u);
	end_barriers(r);
	if (raft_leader(r->raft) != r->told_leader_id) {
		r->told_leader_id = raft_leader(r->raft);
		raftd_members_changed(r);
	}
	raftd_maybe_snapshot(r);
	if (!timer_pending(&r->tick) && !alone(r))
		set_tick(r);
	return rc;
}

static void pump(void *arg)
{
	struct raftd *r = arg;

	r->pump_due = false;
	if (r->failed) {
		stop_leading(r);
		fail_proposals(&r->undecided, -ECANCELED);
	}
	if (r->raft) {
		run_queued(r);
		raftd_run_changes(r);
	} else {
		fail_proposals(&r->queued, -ENOTCONN);
		raftd_fail_changes(r, -ENOTCONN);
	}
	ask_reads(r);
	if (r->members_due) {
		r->members_due = false;
		r->opt.on_members(r->opt.arg);
	}
	/* last: who is told may free us */
	if (r->removed_due) {
		r->removed_due = false;
		r->opt.on_removed(r->opt.arg);
	}
}

void raftd_pump_later(struct raftd *r)
{
	if (r->pump_due)
		return;
	r->pump_due = true;
	timer_set(&r->again, 0);
}

void raftd_members_changed(struct raftd *r)
{
	if (!r->opt.on_members)
		return;
	r->members_due = true;
	raftd_pump_later(r);
}

/* --- time --- */

/*
 * One that is no member by its own log cannot campaign and waits for the leader to find it. If
 * none does, the others hear of it: a leader goes on where it stands, and who removed it says so.
 */
static void knock(struct raftd *r)
{
	struct member *m;

	if (raft_leader(r->raft) || raft_conf_has(raft_conf(r->raft), r->id)) {
		r->lonely_ticks = 0;
		return;
	}
	if (++r->lonely_ticks < KNOCK_TICKS || !r->transport.send)
		return;
	r->lonely_ticks = 0;
	list_for_each (m, &r->members, node) {
		struct raft_msg *msg;

		if (m->raft_id == r->id)
			continue;
		msg = raft_msg_new(RAFT_MSG_HEARTBEAT_RESP, 0);
		msg->from = r->id;
		msg->to = m->raft_id;
		msg->term = max(raft_term(r->raft), (uint64_t)1);
		r->transport.send(msg, r->transport.arg);
	}
}

static void on_tick(void *arg)
{
	struct raftd *r = arg;
	struct raft_event ev = {.type = RAFT_TICK};
	uint64_t now = loop_now_ms();

	if (!r->raft || r->failed || alone(r))
		return;
	/* one tick a turn, however late: a loop that was held up does not make others suspects */
	ev.late = now > r->tick_due_ms ? (now - r->tick_due_ms) / TICK_MS : 0;
	set_tick(r);
	raftd_step(r, &ev);
	tick_barriers(r);
	tick_undecided(r);
	raftd_disk_tick(r);
	knock(r);
	if (!list_empty(&r->queued))
		raftd_pump_later(r);
}

/* --- messages --- */

void raftd_receive(struct raftd *r, const struct raft_msg *msg)
{
	struct raft_event ev = {.type = RAFT_RECV, .msg = msg};

	if (r->raft && !r->failed && !raftd_is_removed(r, msg->from))
		raftd_step(r, &ev);
}

static void set_reachable(struct raftd *r, uint64_t raft_id, bool reachable)
{
	struct member *m = raftd_member(r, raft_id);

	if (!m || m->reachable == reachable)
		return;
	m->reachable = reachable;
	raftd_members_changed(r);
}

void raftd_unreachable(struct raftd *r, uint64_t raft_id)
{
	struct raft_event ev = {.type = RAFT_UNREACHABLE, .member = raft_id};

	if (r->raft && !r->failed)
		raftd_step(r, &ev);
	set_reachable(r, raft_id, false);
}

void raftd_lost(struct raftd *r, uint64_t raft_id)
{
	struct raft_event ev = {.type = RAFT_LOST, .member = raft_id};

	if (r->raft && !r->failed && raftd_member_fine(r, raft_id))
		raftd_step(r, &ev);
}

void raftd_reachable(struct raftd *r, uint64_t raft_id)
{
	set_reachable(r, raft_id, true);
}

void raftd_snapshot_sent(struct raftd *r, uint64_t raft_id, bool failed)
{
	struct raft_event ev = {.type = RAFT_SNAPSHOT_SENT, .member = raft_id, .failed = failed};

	if (r->raft && !r->failed)
		raftd_step(r, &ev);
}

/* --- opening and closing; the rest of it is in raftd_start.c --- */

void raftd_free(struct raftd *r)
{
	struct barrier *b, *tmp;

	if (!r)
		return;
	raftd_disk_stop(r);
	timer_done(&r->tick);
	timer_done(&r->again);
	fail_proposals(&r->in_flight, -ECANCELED);
	fail_proposals(&r->undecided, -ECANCELED);
	fail_proposals(&r->queued, -ENOTCONN);
	raftd_fail_changes(r, -ECANCELED);
	list_for_each_safe (b, tmp, &r->barriers, node)
		end_barrier(b, -ENOTCONN);
	raft_free(steal_ptr(r->raft));
	raftlog_close(r->log);
	raftd_members_done(r);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->idle);
	explicit_bzero(r->opt.dek, sizeof(r->opt.dek));
	free(r);
}

bool raftd_is_leader(const struct raftd *r)
{
	return r->told_leader;
}

uint64_t raftd_leader_id(const struct raftd *r)
{
	return r->raft && !r->failed ? raft_leader(r->raft) : 0;
}

uint64_t raftd_id(const struct raftd *r)
{
	return r->id;
}

uint64_t raftd_term(const struct raftd *r)
{
	return r->raft ? raft_term(r->raft) : 0;
}

uint64_t raftd_commit(const struct raftd *r)
{
	return r->raft ? raft_commit(r->raft) : 0;
}

uint64_t raftd_applied(const struct raftd *r)
{
	return r->applied;
}

void raftd_set_snapshots(struct raftd *r, uint64_t interval, uint64_t keep)
{
	r->snapshot_interval = interval ? interval : r->snapshot_interval;
	r->snapshot_keep = keep ? keep : r->snapshot_keep;
}

void raftd_timers_init(struct raftd *r)
{
	timer_init(&r->tick, r->loop, on_tick, r);
	timer_init(&r->again, r->loop, pump, r);
}
