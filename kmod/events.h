/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the module tells those who listen to the groups of include/uapi/swarm.yaml. Nobody listens
 * most of the time: then packets pay for a test of one bit.
 */
#pragma once

#include "netlink.h"
#include "state.h"

/* Per namespace and group; more are counted and told as lost. */
#define SW_EVENTS_PER_S 5000

/*
 * For sw_netlink_init() and sw_netlink_exit(), around the family: when it is gone, its groups'
 * numbers may be another's. sw_events_stop() waits for events that are being told. Process context.
 */
int sw_events_init(void);
void sw_events_start(void);
void sw_events_stop(void);
void sw_events_exit(void);

extern bool sw_events_on;

/* Does anyone listen to a group (SWARM_NLGRP_*) in the namespace? Any context. */
static inline bool sw_event_wanted(const struct sw_net *sn, unsigned int group)
{
	return READ_ONCE(sw_events_on) && sn->net->genl_sock &&
	       genl_has_listeners(&sw_netlink_family, sn->net, group) > 0;
}

void __sw_event_flow(struct sw_net *sn, const struct sw_flow_key *key, const struct sw_flow *flow);
void __sw_event_drop(struct sw_net *sn, __u32 reason, __u32 ifindex, __u32 len,
		     const struct sw_flow_key *key);

/* A flow was made. Any context but hard interrupts. */
static inline void sw_event_flow(struct sw_net *sn, const struct sw_flow_key *key,
				 const struct sw_flow *flow)
{
	if (unlikely(sw_event_wanted(sn, SWARM_NLGRP_FLOWS)))
		__sw_event_flow(sn, key, flow);
}

/*
 * A packet of len bytes (with its Ethernet header) that came in by ifindex is dropped for reason,
 * an enum sw_reason; key: of the packet as far as it was understood, or NULL. Any context but hard
 * interrupts.
 */
static inline void sw_event_drop(struct sw_net *sn, __u32 reason, __u32 ifindex, __u32 len,
				 const struct sw_flow_key *key)
{
	if (unlikely(sw_event_wanted(sn, SWARM_NLGRP_DROPS)))
		__sw_event_drop(sn, reason, ifindex, len, key);
}

/* A link went by itself and was forgotten: sw_link_gone(). Process context, may hold rtnl_lock. */
void sw_event_link_gone(struct sw_net *sn, __u32 ifindex);
