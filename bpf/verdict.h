/* SPDX-License-Identifier: GPL-2.0-only */
/* The one way out of every program. */
#pragma once

#include <linux/pkt_cls.h>

#include "maps.h"

/* What a program has decided: why, and what tc is to do. */
struct verdict {
	__u32 reason; /* enum sw_reason */
	int act; /* TC_ACT_* */
};

#define VERDICT(r, a) ((struct verdict){.reason = SW_##r, .act = (a)})
#define DROP(r) VERDICT(DROP_##r, TC_ACT_SHOT)
/* The next program's, or the stack's. */
#define PASS VERDICT(PASS, TC_ACT_UNSPEC)

static __always_inline int leave(struct __sk_buff *skb, struct verdict v)
{
	struct sw_count *c = bpf_map_lookup_elem(&counts, &v.reason);

	if (c) {
		c->packets++;
		c->bytes += skb->len;
	}
	return v.act;
}
