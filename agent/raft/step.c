// SPDX-License-Identifier: Apache-2.0
/* The way of an event through a member, and what it hands out: raft.h's order contract. */
#include "raft/raft_impl.h"

static bool needs_write(const struct raft *r)
{
	/* a commit index alone is not worth an fsync: a leader tells it again */
	return r->term != r->saved.term || r->vote != r->saved.vote || r->new_snap ||
	       r->log.stable < raft_log_last(&r->log) || r->conf_waits > r->saved.commit;
}

/* Let go of messages that waited; those to this member are its own votes. */
static void release(struct raft *r, struct raft_msgs *l)
{
	struct raft_msgs take = *l;

	*l = (struct raft_msgs){0};
	for (size_t i = 0; i < take.n; i++) {
		struct raft_msg *m = take.v[i];

		if (m->to == r->opt.id) {
			raft_recv(r, m);
			raft_msg_free(m);
		} else {
			raft_msgs_add(&r->out, m);
		}
	}
	free(take.v);
}

static void begin_write(struct raft *r, struct raft_update *u)
{
	struct raft_log *l = &r->log;
	struct raft_msgs swap = r->write_msgs;

	r->writing = u->persist = true;
	r->saved = u->hard = (struct raft_hard_state){r->term, r->vote, l->committed};
	r->write_msgs = r->after;
	r->after = swap;
	r->write_snap = u->snapshot = steal_ptr(r->new_snap);
	r->write_last = raft_log_last(l);
	r->write_last_term = raft_log_last_term(l);
	r->write_term = r->term;
	u->n_entries = raft_log_last(l) - l->stable;
	u->entries = u->n_entries ? l->ents + (l->n - u->n_entries) : NULL;
}

static void persisted(struct raft *r)
{
	struct raft_log *l = &r->log;

	if (!r->writing)
		return;
	r->writing = false;
	r->durable_commit = r->saved.commit;
	if (r->write_snap) {
		struct raft_snapshot *s = steal_ptr(r->write_snap);

		/* unless a newer one came meanwhile, which will be written next */
		if (r->new_snap) {
			raft_snapshot_put(s);
		} else {
			raft_snapshot_put(r->snap);
			r->snap = raft_snapshot_new(s->index, s->term, &s->conf, NULL, 0);
			raft_snapshot_put(r->restore);
			r->restore = s;
		}
	}
	/* only if the log was not cut back and written anew since */
	if (!r->new_snap && raft_log_matches(l, r->write_last, r->write_last_term))
		l->stable = max(l->stable, r->write_last);
	release(r, &r->write_msgs);
	if (r->role == RAFT_LEADER && r->term == r->write_term) {
		struct raft_progress *self = raft_progress_of(r, r->opt.id);

		if (self && raft_progress_update(self, l->stable) && raft_maybe_commit(r))
			raft_broadcast_append(r);
	}
}

/* Committed and durable entries; their membership changes take effect here. */
static void hand_out_entries(struct raft *r, struct raft_update *u)
{
	struct raft_log *l = &r->log;
	uint64_t from = l->applied + 1, to;

	/* a snapshot on its way to the disk comes first */
	if (r->new_snap || r->write_snap)
		return;
	r->conf_waits = 0;
	while (l->applied < (to = min(l->committed, l->stable)) && !r->conf_waits) {
		while (l->applied < to) {
			struct raft_entry *e = raft_log_at(l, l->applied + 1);

			/*
			 * Who forgot, by a crash, that a change of members was committed would elect
			 * by the members of before, perhaps itself alone: that it is committed has to
			 * be durable first.
			 */
			if (e->type != RAFT_NORMAL && e->index > r->durable_commit) {
				r->conf_waits = e->index;
				break;
			}
			l->applied++;
			if (e->type != RAFT_NORMAL)
				raft_apply_change(r, e);
		}
	}
	u->n_apply = l->applied + 1 - from;
	u->apply = u->n_apply ? l->ents + (from - l->base - 1) : NULL;
}

/* With nothing to be written, all that was promised is durable already. */
static void release_idle(struct raft *r)
{
	while (!r->writing && !needs_write(r) && r->after.n)
		release(r, &r->after);
}

static void hand_out(struct raft *r, struct raft_update *u)
{
	struct raft_msgs swap;

	release_idle(r);
	raft_snapshot_put(r->restored);
	r->restored = u->restore = r->new_snap || r->write_snap ? NULL : steal_ptr(r->restore);
	hand_out_entries(r, u);
	release_idle(r);
	if (!r->writing && needs_write(r))
		begin_write(r, u);
	swap = r->given;
	r->given = r->out;
	r->out = swap;
	u->msgs = r->given.v;
	u->n_msgs = r->given.n;
	u->reads = r->answers;
	u->n_reads = r->n_given_answers = r->n_answers;
}

int raft_step(struct raft *r, const struct raft_event *ev, struct raft_update *ret)
{
	int rc = 0;

	*ret = (struct raft_update){0};
	raft_msgs_clear(&r->given);
	r->n_answers -= r->n_given_answers;
	if (r->n_answers)
		memmove(r->answers, r->answers + r->n_given_answers,
			r->n_answers * sizeof(*r->answers));
	r->n_given_answers = 0;
	switch (ev->type) {
	case RAFT_TICK:
		raft_tick(r, ev->late);
		break;
	case RAFT_RECV:
		raft_recv(r, ev->msg);
		break;
	case RAFT_PROPOSE:
		rc = raft_propose(r, ev->entries, ev->n_entries);
		break;
	case RAFT_PERSISTED:
		persisted(r);
		break;
	case RAFT_READ:
		rc = raft_read(r, ev->read);
		break;
	case RAFT_CAMPAIGN:
		raft_hup(r, CAMPAIGN_PRE);
		break;
	case RAFT_TRANSFER:
		raft_transfer(r, ev->member);
		break;
	case RAFT_UNREACHABLE: {
		struct raft_progress *p = raft_progress_of(r, ev->member);

		if (r->role == RAFT_LEADER && p && p->state == RAFT_REPLICATE)
			raft_progress_probe(p);
		break;
	}
	case RAFT_LOST:
		raft_lost(r, ev->member);
		break;
	case RAFT_SNAPSHOT_SENT:
		raft_snapshot_status(r, ev->member, ev->failed);
		break;
	case RAFT_COMPACT:
		raft_compact(r, ev->snapshot, ev->keep);
		break;
	case RAFT_EVENTS:
		break;
	}
	hand_out(r, ret);
	return rc;
}
