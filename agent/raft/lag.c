// SPDX-License-Identifier: Apache-2.0
/*
 * A busy machine delivers everything late: this member's ticks, the leader's beats, the others'
 * answers. What is late is not dead, and to replace it would not make the machine quicker. So the
 * worst of late is remembered, elections wait that much longer, and as it wears off they are quick
 * again. Of time itself, which only the safety of leases would depend on, nothing is assumed.
 */
#include "raft/raft_impl.h"

enum {
	SLACK_PER_LAG = 3, /* what was late once is soon later still */
	SLACK_MAX = 3, /* election timeouts */
	OUTAGE = 4, /* election timeouts: longer silence is no lateness */
	WEAR_OFF = 8, /* election timeouts until a quarter of it is forgotten */
};

static void measured(struct raft *r, uint32_t ticks)
{
	if (!ticks || ticks > OUTAGE * r->opt.election_ticks || ticks < r->lag.ticks)
		return;
	r->lag.ticks = ticks;
	r->lag.age = 0;
}

void raft_lag_tick(struct raft *r, uint32_t late)
{
	measured(r, late);
	if (!r->lag.ticks || ++r->lag.age < WEAR_OFF * r->opt.election_ticks)
		return;
	r->lag.age = 0;
	r->lag.ticks -= (r->lag.ticks + 3) / 4;
}

void raft_lag_gap(struct raft *r, uint32_t ticks)
{
	/* a beat that just misses a tick is on time at the next one */
	uint32_t usual = r->opt.heartbeat_ticks + 1;

	measured(r, ticks > usual ? ticks - usual : 0);
}

uint32_t raft_lag_slack(const struct raft *r)
{
	return min(SLACK_PER_LAG * r->lag.ticks, SLACK_MAX * r->opt.election_ticks);
}
