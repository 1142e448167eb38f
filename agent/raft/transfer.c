// SPDX-License-Identifier: Apache-2.0
/* The leadership handed over without waiting for a timeout. Raft §3.10. */
#include "raft/raft_impl.h"

void raft_transfer_ready(struct raft *r, struct raft_progress *p)
{
	struct raft_msg *m;

	if (r->transferee != p->id || p->match != raft_log_last(&r->log))
		return;
	m = raft_msg_new(RAFT_MSG_TIMEOUT_NOW, 0);
	m->to = p->id;
	raft_send(r, m);
}

void raft_transfer(struct raft *r, uint64_t member)
{
	struct raft_progress *p = raft_progress_of(r, member);

	if (r->role != RAFT_LEADER) {
		struct raft_msg *m;

		if (!r->leader || r->leader == r->opt.id)
			return;
		m = raft_msg_new(RAFT_MSG_TRANSFER_LEADER, 0);
		m->to = r->leader;
		m->from = member;
		raft_send(r, m);
		return;
	}
	if (!p || member == r->opt.id || r->transferee == member)
		return;
	/* within one election timeout, or it is off */
	r->election_elapsed = 0;
	r->transferee = member;
	if (p->match == raft_log_last(&r->log))
		raft_transfer_ready(r, p);
	else
		raft_send_append(r, p, true);
}

void raft_recv_timeout_now(struct raft *r, const struct raft_msg *m)
{
	(void)m;
	if (r->role == RAFT_FOLLOWER)
		raft_hup(r, CAMPAIGN_TRANSFER);
}
