/* SPDX-License-Identifier: GPL-2.0-only */
/* The one way out of the path. */
#pragma once

#include "swarm/drop.h"
#include "swarm/path/parse.h"

/* What has been decided: why, and what the platform is to do. */
struct verdict {
	__u32 reason; /* enum sw_reason */
	int act; /* ACT_*, or what a send_*() gave */
};

#define VERDICT(r, a) ((struct verdict){.reason = SW_##r, .act = (a)})
#define DROP(r) VERDICT(DROP_##r, ACT_DROP)
/* The next program's, or the stack's. */
#define PASS VERDICT(PASS, ACT_PASS)

/* The key of p counts as soon as it has a protocol. */
INLINE int leave(struct sk_buff *skb, const struct sw_settings *set, const struct pkt *p,
		 struct verdict v)
{
	count(skb, v.reason);
	if (v.reason >= SW_DROP_MALFORMED)
		note_drop(skb, set, p->key.proto ? &p->key : NULL, v.reason);
	return v.act;
}
