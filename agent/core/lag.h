/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How late things come. A busy machine delivers everything late: its own timers, the beats of
 * others, their answers. What is late is not dead, and to replace it would not make the machine
 * quicker. So the worst of late is remembered, whoever waits waits that much longer, and as it wears
 * off waits are short again; where nothing is late they are never longer. Pure: time comes in as
 * arguments, in a unit of the caller's (ticks, milliseconds).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	LAG_OUTAGE = 4, /* usual waits: longer silence of others is no lateness */
};

struct lag {
	uint32_t usual; /* the wait that may become longer, by up to 3 times as much */
	uint32_t late; /* the most of late; it wears off */
	uint32_t age; /* since that was measured, or last reduced */
};

/* Something came so late. */
void lag_measured(struct lag *l, uint32_t late);
/* So much time has gone by: after 8 usual waits a quarter is forgotten. */
void lag_passed(struct lag *l, uint32_t time);
/* How much longer than usual to wait. */
uint32_t lag_slack(const struct lag *l);

/* One wait in milliseconds for what may be late; zeroed: none. */
struct lag_wait {
	uint64_t since_ms, wait_ms, due_ms;
};

/* Begin; how long to set the timer. */
uint64_t lag_wait_begin(struct lag_wait *w, uint64_t wait_ms, uint32_t slack_ms, uint64_t now_ms);
/* By how much the wait's own timer, which fires now, is late. */
uint32_t lag_wait_late(const struct lag_wait *w, uint64_t now_ms);
/*
 * The timer fires: 0 when the wait is over, else for how long to set it again, since the slack has
 * grown or the timer itself was so late that what is waited for may be here, unread.
 */
uint64_t lag_wait_left(struct lag_wait *w, uint32_t slack_ms, uint64_t now_ms);
