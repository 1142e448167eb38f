// SPDX-License-Identifier: Apache-2.0
/* Of time itself, which only the safety of leases would depend on, nothing is assumed. */
#include "core/lag.h"

#include "core/util.h"

enum {
	SLACK_PER_LAG = 3, /* what was late once is soon later still */
	SLACK_MAX = 3, /* usual waits */
	WEAR_OFF = 8, /* usual waits until a quarter of it is forgotten */
	TIMER_LATE_MS = 100, /* a timer that is later than this was held up */
};

void lag_measured(struct lag *l, uint32_t late)
{
	if (!late || late > LAG_OUTAGE * l->usual || late < l->late)
		return;
	l->late = late;
	l->age = 0;
}

void lag_passed(struct lag *l, uint32_t time)
{
	uint32_t each = WEAR_OFF * l->usual;

	if (!l->late)
		return;
	for (l->age += time; l->late && l->age >= each; l->age -= each)
		l->late -= (l->late + 3) / 4;
}

uint32_t lag_slack(const struct lag *l)
{
	return min(SLACK_PER_LAG * l->late, SLACK_MAX * l->usual);
}

uint64_t lag_wait_begin(struct lag_wait *w, uint64_t wait_ms, uint32_t slack_ms, uint64_t now_ms)
{
	*w = (struct lag_wait){now_ms, wait_ms, now_ms + wait_ms + slack_ms};
	return wait_ms + slack_ms;
}

uint32_t lag_wait_late(const struct lag_wait *w, uint64_t now_ms)
{
	uint64_t late = now_ms > w->due_ms ? now_ms - w->due_ms : 0;

	return min(late, (uint64_t)INT32_MAX);
}

uint64_t lag_wait_left(struct lag_wait *w, uint32_t slack_ms, uint64_t now_ms)
{
	uint64_t due = w->since_ms + w->wait_ms + slack_ms;

	if (lag_wait_late(w, now_ms) >= TIMER_LATE_MS)
		due = max(due, now_ms + slack_ms);
	if (due <= now_ms)
		return 0;
	w->due_ms = due;
	return due - now_ms;
}
