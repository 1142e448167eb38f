// SPDX-License-Identifier: Apache-2.0
/* Heartbeats, and the leader that nobody answers. */
#include "raft/raft_impl.h"

void raft_broadcast_heartbeat(struct raft *r, const void *context, size_t size)
{
	for (size_t i = 0; i < r->conf.n; i++) {
		struct raft_progress *p = &r->progress[i];
		struct raft_msg *m;

		if (p->id == r->opt.id)
			continue;
		m = raft_msg_new(RAFT_MSG_HEARTBEAT, 0);
		m->to = p->id;
		/* never more than the member is known to hold */
		m->commit = min(p->match, r->log.committed);
		m->context_size = size;
		if (size)
			memcpy(m->context, context, size);
		raft_send(r, m);
	}
}

void raft_recv_heartbeat(struct raft *r, const struct raft_msg *m)
{
	struct raft_msg *a = raft_msg_new(RAFT_MSG_HEARTBEAT_RESP, 0);

	/* a commit index behind our log's end would mean that we lost entries: never act on it */
	if (m->commit <= raft_log_last(&r->log))
		r->log.committed = max(r->log.committed, m->commit);
	a->to = m->from;
	a->context_size = m->context_size;
	memcpy(a->context, m->context, m->context_size);
	raft_send(r, a);
}

void raft_recv_heartbeat_resp(struct raft *r, const struct raft_msg *m)
{
	struct raft_progress *p = raft_progress_of(r, m->from);

	if (!p)
		return;
	raft_heard_of(r, p);
	p->paused = false;
	if (p->match < raft_log_last(&r->log) || p->state == RAFT_PROBE)
		raft_send_append(r, p, true);
	if (m->context_size)
		raft_read_ack(r, m);
}

bool raft_active(const struct raft *r, const struct raft_progress *p)
{
	return (p->heard && p->silent < r->opt.election_ticks) || p->id == r->opt.id;
}

void raft_lag_gap(struct raft *r, uint32_t ticks)
{
	/* a beat that just misses a tick is on time at the next one */
	uint32_t usual = r->opt.heartbeat_ticks + 1;

	lag_measured(&r->lag, ticks > usual ? ticks - usual : 0);
}

void raft_heard_of(struct raft *r, struct raft_progress *p)
{
	if (p->heard)
		raft_lag_gap(r, p->silent);
	p->heard = true;
	p->silent = 0;
}

/*
 * Raft §6.2. A follower waits for up to two election timeouts, and that much longer where things
 * are late, before it stands: to give up before helps nobody to lead. Reads and writes do not
 * depend on it, they ask a quorum.
 */
bool raft_check_quorum(struct raft *r)
{
	uint32_t patience = 2 * r->opt.election_ticks + lag_slack(&r->lag);
	size_t there = 0;

	for (size_t i = 0; i < r->conf.n; i++) {
		struct raft_progress *p = &r->progress[i];

		if (p->id != r->opt.id && p->silent < UINT32_MAX)
			p->silent++;
		there += p->id == r->opt.id || p->silent <= patience;
	}
	return there >= raft_quorum(r) || !r->opt.check_quorum;
}
