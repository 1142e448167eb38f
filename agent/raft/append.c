// SPDX-License-Identifier: Apache-2.0
/* The log's way from the leader to the others. Raft §3.5, §10.2.1 (pipelining). */
#include "raft/raft_impl.h"

bool raft_change_pending(const struct raft *r)
{
	return r->pending_conf > r->log.applied;
}

/* References are taken even on failure. */
int raft_propose(struct raft *r, struct raft_entry *const *entries, size_t n)
{
	int refused = r->role != RAFT_LEADER || raft_member_index(r, r->opt.id) < 0 ? -ENOTCONN
		      : r->transferee						    ? -EBUSY
										    : 0;

	for (size_t i = 0; i < n; i++) {
		struct raft_entry *e = entries[i];

		if (refused) {
			raft_entry_put(e);
			continue;
		}
		e->term = r->term;
		e->index = raft_log_last(&r->log) + 1;
		if (e->type != RAFT_NORMAL) {
			if (raft_change_pending(r)) {
				/* two at a time could make two quorums: empty it, as etcd does */
				e->type = RAFT_NORMAL;
				e->size = 0;
			} else {
				r->pending_conf = e->index;
			}
		}
		raft_log_push(&r->log, e);
	}
	if (refused)
		return refused;
	raft_broadcast_append(r);
	return 0;
}

bool raft_send_append(struct raft *r, struct raft_progress *p, bool if_empty)
{
	uint64_t prev = p->next - 1, prev_term;
	struct raft_msg *m;
	size_t n = 0;

	if (raft_progress_paused(p))
		return false;
	if (!raft_log_term(&r->log, prev, &prev_term))
		return raft_send_snapshot(r, p);
	/* with the window full an empty one still asks whether all arrived */
	if (p->state != RAFT_REPLICATE || !raft_progress_inflight_full(p))
		n = raft_log_fit(&r->log, p->next, r->opt.max_msg_size);
	if (!n && !if_empty)
		return false;
	m = raft_msg_new(RAFT_MSG_APP, n);
	m->to = p->id;
	m->index = prev;
	m->log_term = prev_term;
	m->commit = r->log.committed;
	for (size_t i = 0; i < n; i++)
		m->entries[i] = raft_entry_get(raft_log_at(&r->log, p->next + i));
	raft_send(r, m);
	raft_progress_sent(p, n);
	return true;
}

void raft_broadcast_append(struct raft *r)
{
	for (size_t i = 0; i < r->conf.n; i++) {
		if (r->conf.voters[i] != r->opt.id)
			raft_send_append(r, &r->progress[i], true);
	}
}

static int descending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

bool raft_maybe_commit(struct raft *r)
{
	uint64_t match[RAFT_MEMBERS_MAX], index;

	if (!r->conf.n)
		return false;
	for (size_t i = 0; i < r->conf.n; i++)
		match[i] = r->progress[i].match;
	qsort(match, r->conf.n, sizeof(match[0]), descending);
	index = match[raft_quorum(r) - 1];
	/* Raft §5.4.2: what earlier terms left is committed along with an entry of this one */
	if (index <= r->log.committed || !raft_log_matches(&r->log, index, r->term))
		return false;
	r->log.committed = index;
	raft_read_release(r);
	return true;
}

/* Index of the first entry that is new or contradicts ours; 0 when there is none. */
static uint64_t first_new(const struct raft *r, const struct raft_msg *m)
{
	for (size_t i = 0; i < m->n_entries; i++) {
		if (!raft_log_matches(&r->log, m->entries[i]->index, m->entries[i]->term))
			return m->entries[i]->index;
	}
	return 0;
}

void raft_recv_append(struct raft *r, const struct raft_msg *m)
{
	struct raft_msg *a = raft_msg_new(RAFT_MSG_APP_RESP, 0);
	uint64_t last = m->index + m->n_entries, from;

	a->to = m->from;
	if (m->index < r->log.committed) {
		a->index = r->log.committed;
		raft_send(r, a);
		return;
	}
	if (!raft_log_matches(&r->log, m->index, m->log_term)) {
		/* with the hint the leader skips a term at a time, Raft §3.5 end */
		a->index = m->index;
		a->reject = true;
		a->reject_hint = raft_log_conflict(&r->log, min(m->index, raft_log_last(&r->log)),
						   m->log_term, &a->log_term);
		raft_send(r, a);
		return;
	}
	from = first_new(r, m);
	if (from) {
		raft_log_truncate(&r->log, from);
		for (uint64_t i = from; i <= last; i++)
			raft_log_push(&r->log, raft_entry_get(m->entries[i - m->index - 1]));
	}
	r->log.committed = max(r->log.committed, min(m->commit, last));
	a->index = last;
	raft_send(r, a);
}

static void rejected(struct raft *r, struct raft_progress *p, const struct raft_msg *m)
{
	uint64_t hint = m->reject_hint, term;

	if (m->log_term)
		hint = raft_log_conflict(&r->log, hint, m->log_term, &term);
	if (!raft_progress_decrease(p, m->index, hint))
		return;
	if (p->state == RAFT_REPLICATE)
		raft_progress_probe(p);
	raft_send_append(r, p, true);
}

void raft_recv_append_resp(struct raft *r, const struct raft_msg *m)
{
	struct raft_progress *p = raft_progress_of(r, m->from);
	bool was_paused;

	if (!p || m->from == r->opt.id)
		return;
	raft_heard_of(r, p);
	if (m->reject) {
		rejected(r, p, m);
		return;
	}
	/* nobody holds what we did not send */
	if (m->index > raft_log_last(&r->log))
		return;
	was_paused = raft_progress_paused(p);
	if (!raft_progress_update(p, m->index) && !(p->match == m->index && p->state == RAFT_PROBE))
		return;
	if (p->state == RAFT_PROBE)
		raft_progress_replicate(p);
	else if (p->state == RAFT_SNAPSHOT && p->match + 1 >= r->log.base + 1)
		raft_progress_replicate(p);
	else if (p->state == RAFT_REPLICATE)
		raft_progress_free_inflight(p, m->index);
	if (raft_maybe_commit(r))
		raft_broadcast_append(r);
	else if (was_paused)
		raft_send_append(r, p, true);
	while (raft_send_append(r, p, false))
		;
	raft_transfer_ready(r, p);
}
