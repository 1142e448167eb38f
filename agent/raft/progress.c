// SPDX-License-Identifier: Apache-2.0
#include "raft/raft_impl.h"

void raft_progress_init(struct raft_progress *p, uint64_t id, uint64_t next, uint32_t inflight_max)
{
	*p = (struct raft_progress){.id = id, .next = next, .inflight_max = inflight_max};
}

void raft_progress_done(struct raft_progress *p)
{
	free(p->inflight);
	p->inflight = NULL;
}

static void reset(struct raft_progress *p, enum raft_progress_state state)
{
	p->state = state;
	p->paused = false;
	p->pending_snapshot = 0;
	p->inflight_head = p->inflight_len = 0;
}

void raft_progress_probe(struct raft_progress *p)
{
	uint64_t sent = p->state == RAFT_SNAPSHOT ? p->pending_snapshot : 0;

	reset(p, RAFT_PROBE);
	p->next = max(p->match, sent) + 1;
}

void raft_progress_replicate(struct raft_progress *p)
{
	reset(p, RAFT_REPLICATE);
	p->next = p->match + 1;
}

void raft_progress_snapshot(struct raft_progress *p, uint64_t index)
{
	reset(p, RAFT_SNAPSHOT);
	p->pending_snapshot = index;
	p->next = index + 1;
}

bool raft_progress_paused(const struct raft_progress *p)
{
	return p->state == RAFT_SNAPSHOT || p->paused;
}

bool raft_progress_inflight_full(const struct raft_progress *p)
{
	return p->inflight_len == p->inflight_max;
}

void raft_progress_sent(struct raft_progress *p, size_t n_entries)
{
	if (p->state == RAFT_PROBE) {
		/* one message at a time until the log's end is found */
		p->paused = p->paused || n_entries;
		return;
	}
	if (n_entries) {
		if (!p->inflight)
			p->inflight = xcalloc(p->inflight_max, sizeof(*p->inflight));
		p->next += n_entries;
		assert(p->inflight_len < p->inflight_max);
		p->inflight[(p->inflight_head + p->inflight_len++) % p->inflight_max] = p->next - 1;
	}
	/* full: an empty message after each heartbeat still finds out what was lost */
	p->paused = raft_progress_inflight_full(p);
}

bool raft_progress_update(struct raft_progress *p, uint64_t index)
{
	if (index <= p->match)
		return false;
	p->match = index;
	p->next = max(p->next, index + 1);
	p->paused = false;
	return true;
}

void raft_progress_free_inflight(struct raft_progress *p, uint64_t index)
{
	while (p->inflight_len && p->inflight[p->inflight_head] <= index) {
		p->inflight_head = (p->inflight_head + 1) % p->inflight_max;
		p->inflight_len--;
	}
	p->paused = false;
}

bool raft_progress_decrease(struct raft_progress *p, uint64_t rejected, uint64_t hint)
{
	if (p->state == RAFT_REPLICATE) {
		if (rejected <= p->match)
			return false;
		p->next = p->match + 1;
		return true;
	}
	if (p->state == RAFT_SNAPSHOT || p->next - 1 != rejected)
		return false;
	p->next = max(min(rejected, hint + 1), p->match + 1);
	p->paused = false;
	return true;
}
