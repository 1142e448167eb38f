// SPDX-License-Identifier: Apache-2.0
/* Time, roles and votes. Raft §3.4, §3.6, §9.6 (PreVote), §6.2 (CheckQuorum and its lease). */
#include "raft/raft_impl.h"

const char raft_campaign_transfer[] = "CampaignTransfer";

void raft_new_timeout(struct raft *r)
{
	r->election_timeout = r->opt.election_ticks + rng_below(r->opt.rng, r->opt.election_ticks);
}

static void reset(struct raft *r, uint64_t term)
{
	if (r->term != term) {
		r->term = term;
		r->vote = 0;
	}
	r->leader = 0;
	r->election_elapsed = r->heartbeat_elapsed = 0;
	raft_new_timeout(r);
	r->transferee = 0;
	r->voted = r->granted = 0;
	r->pending_conf = 0;
	raft_read_reset(r);
	for (size_t i = 0; i < r->conf.n; i++) {
		struct raft_progress *p = &r->progress[i];

		raft_progress_done(p);
		raft_progress_init(p, r->conf.voters[i], raft_log_last(&r->log) + 1,
				   r->opt.max_inflight);
		if (p->id == r->opt.id)
			p->match = r->log.stable;
	}
}

void raft_become_follower(struct raft *r, uint64_t term, uint64_t leader)
{
	reset(r, term);
	r->role = RAFT_FOLLOWER;
	r->leader = leader;
}

static void become_leader(struct raft *r)
{
	struct raft_progress *self;
	struct raft_entry *empty;

	reset(r, r->term);
	r->role = RAFT_LEADER;
	r->leader = r->opt.id;
	self = raft_progress_of(r, r->opt.id);
	raft_progress_replicate(self);
	/* a change that an earlier leader left behind may be among what is not committed */
	r->pending_conf = raft_log_last(&r->log);
	/* Raft §3.6.2: only an entry of the own term commits those before it */
	empty = raft_entry_new(RAFT_NORMAL, 0, 0, NULL, 0);
	raft_propose(r, &empty, 1);
}

static void poll(struct raft *r, uint64_t id, bool granted);

static void campaign(struct raft *r, enum campaign kind)
{
	bool pre = kind == CAMPAIGN_PRE;
	uint64_t term = r->term + 1;

	if (pre) {
		/* asks only: neither term nor vote change */
		r->role = RAFT_PRE_CANDIDATE;
		r->leader = 0;
		r->voted = r->granted = 0;
	} else {
		reset(r, term);
		r->role = RAFT_CANDIDATE;
		r->vote = r->opt.id;
	}
	for (size_t i = 0; i < r->conf.n; i++) {
		bool self = r->conf.voters[i] == r->opt.id;
		struct raft_msg *m;

		if (self)
			m = raft_msg_new(pre ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP, 0);
		else
			m = raft_msg_new(pre ? RAFT_MSG_PRE_VOTE : RAFT_MSG_VOTE, 0);
		m->to = r->conf.voters[i];
		m->term = term;
		if (!self) {
			m->index = raft_log_last(&r->log);
			m->log_term = raft_log_last_term(&r->log);
			if (kind == CAMPAIGN_TRANSFER) {
				m->context_size = strlen(raft_campaign_transfer);
				memcpy(m->context, raft_campaign_transfer, m->context_size);
			}
		}
		/* the own vote counts once it is durable, as any other's */
		raft_send(r, m);
	}
	/* a round that two campaigned in is decided by the next one, which need not be far */
	r->election_elapsed = 0;
	r->election_timeout = r->opt.election_ticks / 4 + r->opt.heartbeat_ticks +
			      rng_below(r->opt.rng, r->opt.election_ticks / 2 + 1);
}

static bool change_unapplied(const struct raft *r)
{
	for (uint64_t i = r->log.applied + 1; i <= r->log.committed; i++) {
		if (raft_log_at(&r->log, i)->type != RAFT_NORMAL)
			return true;
	}
	return false;
}

void raft_hup(struct raft *r, enum campaign kind)
{
	if (r->role == RAFT_LEADER || !raft_promotable(r) || change_unapplied(r))
		return;
	if (kind == CAMPAIGN_PRE && !r->opt.pre_vote)
		kind = CAMPAIGN_ELECTION;
	campaign(r, kind);
}

static void tick_leader(struct raft *r)
{
	r->heartbeat_elapsed++;
	if (!raft_check_quorum(r)) {
		raft_become_follower(r, r->term, 0);
		return;
	}
	if (++r->election_elapsed >= r->opt.election_ticks) {
		r->election_elapsed = 0;
		/* who was to take over did not: lead on */
		r->transferee = 0;
	}
	if (r->heartbeat_elapsed >= r->opt.heartbeat_ticks) {
		struct raft_read_request *last = r->n_reads ? &r->reads[r->n_reads - 1] : NULL;

		r->heartbeat_elapsed = 0;
		raft_broadcast_heartbeat(r, last ? last->context : NULL,
					 last ? last->context_size : 0);
	}
}

void raft_tick(struct raft *r, uint32_t late)
{
	uint32_t slack;

	lag_measured(&r->lag, late);
	lag_passed(&r->lag, 1);
	if (r->role == RAFT_LEADER) {
		tick_leader(r);
		return;
	}
	r->silent++;
	/* patience is for a leader that may be late, not for one that there is not */
	slack = r->leader ? lag_slack(&r->lag) : 0;
	if (++r->election_elapsed >= r->election_timeout + slack && raft_promotable(r)) {
		r->election_elapsed = 0;
		raft_new_timeout(r);
		raft_hup(r, CAMPAIGN_PRE);
	}
}

/*
 * A leader whose process died is not waited for: forget it (as etcd's MsgForgetLeader), so that
 * others' votes are granted, and campaign after a few beats in which it could still be heard.
 */
void raft_lost(struct raft *r, uint64_t member)
{
	uint32_t soon = r->opt.heartbeat_ticks + r->opt.election_ticks / 4;

	if (r->role != RAFT_FOLLOWER || !member || r->leader != member)
		return;
	r->leader = 0;
	r->election_elapsed = 0;
	r->election_timeout = soon + rng_below(r->opt.rng, r->opt.election_ticks / 2 + 1);
}

/*
 * Two that ask for the same term at a time would each get leave and split the votes. One gives
 * way: who has the shorter log, else the lower ID. Asking binds nobody, so this is for liveness
 * alone. Returns whether the other one does.
 */
static bool goes_before(struct raft *r, const struct raft_msg *m)
{
	uint64_t term = raft_log_last_term(&r->log), last = raft_log_last(&r->log);

	if (r->role != RAFT_PRE_CANDIDATE || m->term != r->term + 1)
		return false;
	if (term != m->log_term ? term > m->log_term
	    : last != m->index	? last > m->index
				: r->opt.id > m->from)
		return true;
	raft_become_follower(r, r->term, 0);
	return false;
}

void raft_recv_vote(struct raft *r, const struct raft_msg *m)
{
	bool pre = m->type == RAFT_MSG_PRE_VOTE;
	bool first = pre && goes_before(r, m);
	/* a repeated vote; the first one in a term whose leader is not known; or only asked */
	bool can = r->vote == m->from || (!r->vote && !r->leader) || (pre && m->term > r->term);
	struct raft_msg *a;

	a = raft_msg_new(pre ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP, 0);
	a->to = m->from;
	if (can && !first && raft_log_up_to_date(&r->log, m->index, m->log_term)) {
		/* for the term asked about, which is not ours when only asked */
		a->term = m->term;
		if (!pre) {
			r->election_elapsed = 0;
			r->vote = m->from;
		}
	} else {
		a->term = r->term;
		a->reject = true;
	}
	raft_send(r, a);
}

static void poll(struct raft *r, uint64_t id, bool granted)
{
	int i = raft_member_index(r, id);
	size_t quorum = raft_quorum(r), yes, no;

	if (i < 0)
		return;
	if (!(r->voted & (1ULL << i))) {
		r->voted |= 1ULL << i;
		if (granted)
			r->granted |= 1ULL << i;
	}
	yes = __builtin_popcountll(r->granted);
	no = __builtin_popcountll(r->voted) - yes;
	if (yes >= quorum) {
		if (r->role == RAFT_PRE_CANDIDATE)
			campaign(r, CAMPAIGN_ELECTION);
		else
			become_leader(r);
	} else if (no > r->conf.n - quorum) {
		raft_become_follower(r, r->term, 0);
	}
}

void raft_recv_vote_resp(struct raft *r, const struct raft_msg *m)
{
	enum raft_msg_type mine =
		r->role == RAFT_PRE_CANDIDATE ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP;

	if ((r->role == RAFT_PRE_CANDIDATE || r->role == RAFT_CANDIDATE) && m->type == mine)
		poll(r, m->from, !m->reject);
}
