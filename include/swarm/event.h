/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What both datapaths tell those who listen, as it happens. */
#pragma once

#include "swarm/flow.h"

enum sw_event_kind {
	SW_EVENT_DROP = 1, /* reason, ifindex, len; key where the packet was understood */
	SW_EVENT_FLOW, /* a flow was made: key, to_* */
};

struct sw_event {
	__u32 kind;
	__u32 reason; /* enum sw_reason */
	__u32 ifindex; /* where the packet came in */
	__u32 len; /* of the packet, with its Ethernet header */
	struct sw_flow_key key;
	struct sw_addr to_src, to_dst; /* what the flow's packets become */
	__be16 to_sport, to_dport;
};
_Static_assert(sizeof(struct sw_event) == 96, "no padding");
