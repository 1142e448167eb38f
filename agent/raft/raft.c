// SPDX-License-Identifier: Apache-2.0
/* A member: its making, and which message goes where. What it hands out is in step.c. */
#include "raft/raft_impl.h"

void raft_msgs_add(struct raft_msgs *l, struct raft_msg *m)
{
	if (l->n == l->alloc) {
		l->alloc = l->alloc ? l->alloc * 2 : 16;
		l->v = xrealloc(l->v, l->alloc * sizeof(*l->v));
	}
	l->v[l->n++] = m;
}

void raft_msgs_clear(struct raft_msgs *l)
{
	for (size_t i = 0; i < l->n; i++)
		raft_msg_free(l->v[i]);
	l->n = 0;
}

void raft_msgs_done(struct raft_msgs *l)
{
	raft_msgs_clear(l);
	free(l->v);
	l->v = NULL;
	l->alloc = 0;
}

int raft_member_index(const struct raft *r, uint64_t id)
{
	for (size_t i = 0; i < r->conf.n; i++) {
		if (r->conf.voters[i] == id)
			return i;
	}
	return -1;
}

struct raft_progress *raft_progress_of(struct raft *r, uint64_t id)
{
	int i = raft_member_index(r, id);

	return i < 0 ? NULL : &r->progress[i];
}

size_t raft_quorum(const struct raft *r)
{
	return r->conf.n / 2 + 1;
}

bool raft_promotable(const struct raft *r)
{
	return raft_member_index(r, r->opt.id) >= 0 && !r->new_snap && !r->write_snap;
}

void raft_send(struct raft *r, struct raft_msg *m)
{
	if (!m->from)
		m->from = r->opt.id;
	if (!m->term && m->type != RAFT_MSG_READ_INDEX && m->type != RAFT_MSG_PROP &&
	    m->type != RAFT_MSG_TRANSFER_LEADER)
		m->term = r->term;
	switch (m->type) {
	case RAFT_MSG_APP_RESP:
	case RAFT_MSG_VOTE_RESP:
	case RAFT_MSG_PRE_VOTE_RESP:
		/* promises of what is durable */
		raft_msgs_add(&r->after, m);
		break;
	default:
		raft_msgs_add(&r->out, m);
	}
}

void raft_answer_read(struct raft *r, uint64_t read, uint64_t index)
{
	r->answers = xrealloc(r->answers, (r->n_answers + 1) * sizeof(*r->answers));
	r->answers[r->n_answers++] = (struct raft_read){read, index};
}

/* Messages of a leader: who sends one leads its term. */
static bool from_leader(const struct raft_msg *m)
{
	return m->type == RAFT_MSG_APP || m->type == RAFT_MSG_HEARTBEAT || m->type == RAFT_MSG_SNAP;
}

/* Settle whose term is newer; false when the message ends here. */
static bool compare_terms(struct raft *r, const struct raft_msg *m)
{
	struct raft_msg *a;

	if (!m->term) /* forwarded between members, of no term */
		return m->type == RAFT_MSG_READ_INDEX || m->type == RAFT_MSG_TRANSFER_LEADER;
	if (m->term > r->term) {
		bool asks = m->type == RAFT_MSG_VOTE || m->type == RAFT_MSG_PRE_VOTE;
		bool force = m->context_size == strlen(raft_campaign_transfer) &&
			     !memcmp(m->context, raft_campaign_transfer, m->context_size);

		/* Raft §4.2.3: who hears from a leader helps nobody to depose it */
		if (asks && !force && r->opt.check_quorum && r->leader &&
		    r->election_elapsed < r->opt.election_ticks + lag_slack(&r->lag))
			return false;
		if (m->type == RAFT_MSG_PRE_VOTE ||
		    (m->type == RAFT_MSG_PRE_VOTE_RESP && !m->reject))
			return true; /* speaks of a term that has not begun */
		raft_become_follower(r, m->term, from_leader(m) ? m->from : 0);
		return true;
	}
	if (m->term == r->term)
		return true;
	if ((r->opt.check_quorum || r->opt.pre_vote) &&
	    (m->type == RAFT_MSG_HEARTBEAT || m->type == RAFT_MSG_APP)) {
		/* the old leader learns the term; otherwise a member that came back with a higher
		 * one could never be heard (etcd raft.go: Step) */
		a = raft_msg_new(RAFT_MSG_APP_RESP, 0);
	} else if (m->type == RAFT_MSG_PRE_VOTE) {
		a = raft_msg_new(RAFT_MSG_PRE_VOTE_RESP, 0);
		a->reject = true;
	} else {
		return false;
	}
	a->to = m->from;
	raft_send(r, a);
	return false;
}

static void recv_as_leader(struct raft *r, const struct raft_msg *m)
{
	switch (m->type) {
	case RAFT_MSG_APP_RESP:
		raft_recv_append_resp(r, m);
		break;
	case RAFT_MSG_HEARTBEAT_RESP:
		raft_recv_heartbeat_resp(r, m);
		break;
	case RAFT_MSG_READ_INDEX:
		raft_recv_read(r, m);
		break;
	case RAFT_MSG_TRANSFER_LEADER:
		raft_transfer(r, m->from);
		break;
	default:
		break;
	}
}

static void recv_as_other(struct raft *r, const struct raft_msg *m)
{
	if (from_leader(m)) {
		if (r->role != RAFT_FOLLOWER)
			raft_become_follower(r, m->term, m->from);
		r->election_elapsed = 0;
		/* of one that led all the time the silence tells how late its beats come */
		if (r->heard == m->from && r->heard_term == m->term)
			raft_lag_gap(r, r->silent);
		r->heard = m->from;
		r->heard_term = m->term;
		r->silent = 0;
		if (!r->leader)
			raft_new_timeout(r);
		r->leader = m->from;
	}
	switch (m->type) {
	case RAFT_MSG_APP:
		raft_recv_append(r, m);
		break;
	case RAFT_MSG_HEARTBEAT:
		raft_recv_heartbeat(r, m);
		break;
	case RAFT_MSG_SNAP:
		raft_recv_snapshot(r, m);
		break;
	case RAFT_MSG_VOTE_RESP:
	case RAFT_MSG_PRE_VOTE_RESP:
		raft_recv_vote_resp(r, m);
		break;
	case RAFT_MSG_TIMEOUT_NOW:
		raft_recv_timeout_now(r, m);
		break;
	case RAFT_MSG_READ_INDEX_RESP:
		raft_recv_read_resp(r, m);
		break;
	default:
		break;
	}
}

/* An entry that a leader sends to be appended may not contradict what is committed here. */
static bool breaks_rules(const struct raft *r, const struct raft_msg *m)
{
	if (m->to != r->opt.id || !m->from || (m->type == RAFT_MSG_SNAP && !m->snapshot))
		return true;
	if (m->type != RAFT_MSG_APP)
		return false;
	for (size_t i = 0; i < m->n_entries; i++) {
		const struct raft_entry *e = m->entries[i];

		if (e->index != m->index + 1 + i || e->term > m->term)
			return true;
		if (e->index <= r->log.committed && e->index > r->log.base &&
		    !raft_log_matches(&r->log, e->index, e->term))
			return true;
	}
	return false;
}

void raft_recv(struct raft *r, const struct raft_msg *m)
{
	if (breaks_rules(r, m) || !compare_terms(r, m))
		return;
	if (m->type == RAFT_MSG_VOTE || m->type == RAFT_MSG_PRE_VOTE)
		raft_recv_vote(r, m);
	else if (r->role == RAFT_LEADER)
		recv_as_leader(r, m);
	else
		recv_as_other(r, m);
}

/* --- making --- */

static int take_stored(struct raft *r, const struct raft_stored *st, struct err *err)
{
	struct raft_log *l = &r->log;
	uint64_t prev;

	if (st->snapshot) {
		r->snap = raft_snapshot_new(st->snapshot->index, st->snapshot->term,
					    &st->snapshot->conf, NULL, 0);
		l->base = r->snap->index;
		l->base_term = r->snap->term;
	}
	if (st->n_entries && st->entries[0]->index && st->entries[0]->index <= l->base) {
		l->base = st->entries[0]->index - 1;
		l->base_term = st->base_term;
	}
	prev = l->base_term;
	for (size_t i = 0; i < st->n_entries; i++) {
		struct raft_entry *e = st->entries[i];

		if (e->index != raft_log_last(l) + 1 || e->term < prev)
			return err_set(err, -EBADMSG,
				       "the raft log is damaged: entry %llu of term %llu follows "
				       "entry %llu of term %llu",
				       (unsigned long long)e->index, (unsigned long long)e->term,
				       (unsigned long long)raft_log_last(l),
				       (unsigned long long)prev);
		prev = e->term;
		raft_log_push(l, raft_entry_get(e));
	}
	l->stable = raft_log_last(l);
	l->applied = l->committed = r->snap ? r->snap->index : 0;
	if (l->applied < l->base || l->applied > raft_log_last(l) ||
	    (r->snap && !raft_log_matches(l, r->snap->index, r->snap->term)))
		return err_set(
			err, -EBADMSG,
			"the raft log is damaged: it does not reach its snapshot at entry %llu",
			(unsigned long long)l->applied);
	if (st->hard.commit > raft_log_last(l) || st->hard.term < prev)
		return err_set(err, -EBADMSG,
			       "the raft log is damaged: it ends at entry %llu of term %llu, but "
			       "%llu of term %llu were there",
			       (unsigned long long)raft_log_last(l), (unsigned long long)prev,
			       (unsigned long long)st->hard.commit,
			       (unsigned long long)st->hard.term);
	l->committed = max(l->committed, st->hard.commit);
	return 0;
}

int raft_new(const struct raft_options *opt, const struct raft_stored *stored, struct raft **ret,
	     struct err *err)
{
	struct raft *r = xcalloc(1, sizeof(*r));
	int rc;

	assert(opt->id && opt->election_ticks > opt->heartbeat_ticks && opt->heartbeat_ticks);
	r->opt = *opt;
	r->lag.usual = opt->election_ticks;
	r->progress = xcalloc(1, sizeof(*r->progress));
	rc = take_stored(r, stored, err);
	if (rc < 0) {
		raft_free(r);
		return rc;
	}
	if (r->snap)
		raft_set_conf(r, &r->snap->conf);
	raft_become_follower(r, stored->hard.term, 0);
	r->vote = stored->hard.vote;
	r->saved = stored->hard;
	r->durable_commit = stored->hard.commit;
	*ret = r;
	return 0;
}

void raft_free(struct raft *r)
{
	if (!r)
		return;
	raft_read_reset(r);
	raft_log_done(&r->log);
	for (size_t i = 0; i < r->conf.n; i++)
		raft_progress_done(&r->progress[i]);
	free(r->progress);
	raft_snapshot_put(r->snap);
	raft_snapshot_put(r->write_snap);
	raft_snapshot_put(r->new_snap);
	raft_snapshot_put(r->restore);
	raft_snapshot_put(r->restored);
	raft_msgs_done(&r->write_msgs);
	raft_msgs_done(&r->out);
	raft_msgs_done(&r->after);
	raft_msgs_done(&r->given);
	free(r->answers);
	free(r);
}

void raft_set_timing(struct raft *r, uint32_t election_ticks, uint32_t heartbeat_ticks)
{
	if (r->opt.election_ticks == election_ticks && r->opt.heartbeat_ticks == heartbeat_ticks)
		return;
	r->opt.election_ticks = election_ticks;
	r->opt.heartbeat_ticks = heartbeat_ticks;
	r->election_timeout = election_ticks + rng_below(r->opt.rng, election_ticks);
}

/* --- asking --- */

uint64_t raft_id(const struct raft *r)
{
	return r->opt.id;
}

enum raft_role raft_role(const struct raft *r)
{
	return r->role;
}

uint64_t raft_term(const struct raft *r)
{
	return r->term;
}

uint64_t raft_leader(const struct raft *r)
{
	return r->leader;
}

uint64_t raft_commit(const struct raft *r)
{
	return r->log.committed;
}

uint64_t raft_applied(const struct raft *r)
{
	return r->log.applied;
}

uint64_t raft_first_index(const struct raft *r)
{
	return r->log.base + 1;
}

uint64_t raft_last_index(const struct raft *r)
{
	return raft_log_last(&r->log);
}

uint64_t raft_term_at(const struct raft *r, uint64_t index)
{
	uint64_t term;

	raft_log_term(&r->log, index, &term);
	return term;
}

const struct raft_entry *raft_entry_at(const struct raft *r, uint64_t index)
{
	return raft_log_at(&r->log, index);
}

const struct raft_conf *raft_conf(const struct raft *r)
{
	return &r->conf;
}

bool raft_peer(const struct raft *r, uint64_t id, struct raft_peer_status *ret)
{
	int i = raft_member_index(r, id);
	struct raft_progress *p;

	if (i < 0 || r->role != RAFT_LEADER)
		return false;
	p = &r->progress[i];
	*ret = (struct raft_peer_status){p->state, p->match, p->next, raft_active(r, p)};
	return true;
}
