// SPDX-License-Identifier: Apache-2.0
/* Snapshots instead of a log that is compacted away. Raft §5. */
#include "raft/raft_impl.h"

bool raft_send_snapshot(struct raft *r, struct raft_progress *p)
{
	struct raft_msg *m;

	/* one that does not answer would not take it either */
	if (!raft_active(r, p) || !r->snap)
		return false;
	m = raft_msg_new(RAFT_MSG_SNAP, 0);
	m->to = p->id;
	m->snapshot = raft_snapshot_get(r->snap);
	raft_progress_snapshot(p, r->snap->index);
	raft_send(r, m);
	return true;
}

static bool restore(struct raft *r, struct raft_snapshot *s)
{
	if (s->index <= r->log.committed)
		return false;
	/* one taken before this member was added is as good: the entry that adds it follows */
	if (raft_log_matches(&r->log, s->index, s->term)) {
		/* we have all of it: the log goes on */
		r->log.committed = s->index;
		return false;
	}
	raft_log_restore(&r->log, s->index, s->term);
	raft_snapshot_put(r->new_snap);
	r->new_snap = raft_snapshot_get(s);
	raft_set_conf(r, &s->conf);
	return true;
}

void raft_recv_snapshot(struct raft *r, const struct raft_msg *m)
{
	struct raft_msg *a = raft_msg_new(RAFT_MSG_APP_RESP, 0);

	a->to = m->from;
	a->index = restore(r, m->snapshot) ? raft_log_last(&r->log) : r->log.committed;
	raft_send(r, a);
}

void raft_snapshot_status(struct raft *r, uint64_t member, bool failed)
{
	struct raft_progress *p = raft_progress_of(r, member);

	if (r->role != RAFT_LEADER || !p || p->state != RAFT_SNAPSHOT)
		return;
	if (failed)
		p->pending_snapshot = 0;
	raft_progress_probe(p);
	/* it answers when it has taken it in; else the next heartbeat's answer goes on */
	p->paused = true;
}

void raft_compact(struct raft *r, const struct raft_snapshot *s, uint64_t keep)
{
	if (s->index > r->log.applied || (r->snap && s->index <= r->snap->index))
		return;
	raft_snapshot_put(r->snap);
	r->snap = raft_snapshot_new(s->index, s->term, &s->conf, NULL, 0);
	if (s->index > keep)
		raft_log_compact(&r->log, s->index - keep);
}
