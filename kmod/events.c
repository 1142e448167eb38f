// SPDX-License-Identifier: GPL-2.0-only
/* What is told to the family's multicast groups. */
#include <linux/atomic.h>
#include <linux/jiffies.h>
#include <net/netns/generic.h>

#include "events.h"
#include "netlink_item.h"

/* Events are counted in slices of time, so that a burst does not silence the rest of a second. */
#define SLICES_PER_S 10
#define SLICE_JIFFIES (HZ / SLICES_PER_S)
#define EVENTS_PER_SLICE (SW_EVENTS_PER_S / SLICES_PER_S)

struct limit {
	unsigned long slice; /* which one n counts */
	atomic_t n, lost;
};

struct events {
	struct mutex changes; /* held while a change is made and told */
	struct limit limits[ARRAY_SIZE(swarm_nl_mcgrps)];
};

static unsigned int events_id __read_mostly;
bool sw_events_on __read_mostly;

static struct events *events_of(const struct sw_net *sn)
{
	return net_generic(sn->net, events_id);
}

void sw_changes_lock(struct sw_net *sn)
{
	mutex_lock(&events_of(sn)->changes);
}

void sw_changes_unlock(struct sw_net *sn)
{
	mutex_unlock(&events_of(sn)->changes);
}

/*
 * May one more be told? A slice that begins on several CPUs at once may be begun twice: then some
 * more are.
 */
static bool limit_ok(struct limit *l)
{
	unsigned long slice = jiffies / SLICE_JIFFIES;

	if (READ_ONCE(l->slice) != slice) {
		WRITE_ONCE(l->slice, slice);
		atomic_set(&l->n, 0);
	}
	if (atomic_inc_return(&l->n) <= EVENTS_PER_SLICE)
		return true;
	atomic_inc(&l->lost);
	return false;
}

static int lost_put(struct sk_buff *skb, struct limit *l)
{
	int n = atomic_xchg(&l->lost, 0);

	return n ? nla_put_u32(skb, SWARM_A_EVENT_LOST, n) : 0;
}

/* An event of a packet; put: its attributes. Any context. */
#define EVENT_SIZE 512

static void packet_event(struct sw_net *sn, unsigned int group, __u8 cmd,
			 int (*put)(struct sk_buff *skb, const void *arg), const void *arg)
{
	struct limit *l = &events_of(sn)->limits[group];
	struct sk_buff *skb;
	void *hdr;

	if (!limit_ok(l))
		return;
	skb = genlmsg_new(EVENT_SIZE, GFP_ATOMIC | __GFP_NOWARN);
	if (!skb) {
		atomic_inc(&l->lost);
		return;
	}
	hdr = genlmsg_put(skb, 0, 0, &sw_netlink_family, 0, cmd);
	if (!hdr || put(skb, arg) || lost_put(skb, l)) {
		atomic_inc(&l->lost);
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, hdr);
	genlmsg_multicast_netns(&sw_netlink_family, sn->net, skb, 0, group, GFP_ATOMIC);
}

struct flow_event {
	const struct sw_flow_key *key;
	const struct sw_flow *flow;
};

static int flow_event_put(struct sk_buff *skb, const void *arg)
{
	const struct flow_event *e = arg;
	struct nlattr *nest = nla_nest_start(skb, SWARM_A_EVENT_FLOW);

	if (!nest || sw_flow_attrs_put(skb, e->key, e->flow))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

void __sw_event_flow(struct sw_net *sn, const struct sw_flow_key *key, const struct sw_flow *flow)
{
	struct flow_event e = {.key = key, .flow = flow};

	packet_event(sn, SWARM_NLGRP_FLOWS, SWARM_CMD_FLOW_EVENT, flow_event_put, &e);
}

struct drop_event {
	__u32 reason, ifindex, len;
	const struct sw_flow_key *key;
};

static int drop_event_put(struct sk_buff *skb, const void *arg)
{
	const struct drop_event *e = arg;
	struct nlattr *nest = nla_nest_start(skb, SWARM_A_EVENT_DROP), *flow;

	if (!nest || nla_put_u32(skb, SWARM_A_DROP_REASON, e->reason) ||
	    nla_put_string(skb, SWARM_A_DROP_REASON_NAME, sw_reason_name(e->reason)) ||
	    nla_put_u32(skb, SWARM_A_DROP_IFINDEX, e->ifindex) ||
	    nla_put_u32(skb, SWARM_A_DROP_LEN, e->len))
		return -EMSGSIZE;
	if (e->key) {
		flow = nla_nest_start(skb, SWARM_A_DROP_FLOW);
		if (!flow || sw_flow_attrs_put(skb, e->key, NULL))
			return -EMSGSIZE;
		nla_nest_end(skb, flow);
	}
	nla_nest_end(skb, nest);
	return 0;
}

void __sw_event_drop(struct sw_net *sn, __u32 reason, __u32 ifindex, __u32 len,
		     const struct sw_flow_key *key)
{
	struct drop_event e = {.reason = reason, .ifindex = ifindex, .len = len, .key = key};

	packet_event(sn, SWARM_NLGRP_DROPS, SWARM_CMD_DROP_EVENT, drop_event_put, &e);
}

/* NULL: no memory. A service's backends make it large. */
static struct sk_buff *change_new(__u8 cmd, int (*put)(struct sk_buff *skb, struct sw_item *item),
				  const struct sw_item *item)
{
	size_t size = GENLMSG_DEFAULT_SIZE;
	struct sw_item copy = {};
	struct sk_buff *skb;
	void *hdr;

	for (; size <= SW_MESSAGE_SIZE_MAX; size *= 2) {
		skb = genlmsg_new(size, GFP_KERNEL);
		if (!skb)
			return NULL;
		if (item)
			copy = *item;
		hdr = genlmsg_put(skb, 0, 0, &sw_netlink_family, 0, cmd);
		if (hdr && (!put || !put(skb, &copy))) {
			genlmsg_end(skb, hdr);
			return skb;
		}
		nlmsg_free(skb);
	}
	return NULL;
}

void sw_event_change(struct sw_net *sn, __u8 cmd,
		     int (*put)(struct sk_buff *skb, struct sw_item *item),
		     const struct sw_item *item)
{
	struct sk_buff *skb;

	if (!sw_event_wanted(sn, SWARM_NLGRP_STATE))
		return;
	skb = change_new(cmd, put, item);
	if (skb)
		genlmsg_multicast_netns(&sw_netlink_family, sn->net, skb, 0, SWARM_NLGRP_STATE,
					GFP_KERNEL);
	else
		genl_set_err(&sw_netlink_family, sn->net, 0, SWARM_NLGRP_STATE, -ENOBUFS);
}

void sw_event_link_gone(struct sw_net *sn, __u32 ifindex)
{
	struct sw_item item = {.link.ifindex = ifindex};

	sw_event_change(sn, SWARM_CMD_LINK_DEL_NTF, sw_link_noun.put_id, &item);
}

static __net_init int events_net_init(struct net *net)
{
	struct events *e = net_generic(net, events_id);

	mutex_init(&e->changes);
	return 0;
}

static struct pernet_operations events_net_ops = {
	.init = events_net_init,
	.id = &events_id,
	.size = sizeof(struct events),
};

int __init sw_events_init(void)
{
	return register_pernet_subsys(&events_net_ops);
}

void sw_events_start(void)
{
	WRITE_ONCE(sw_events_on, true);
}

void sw_events_stop(void)
{
	WRITE_ONCE(sw_events_on, false);
	synchronize_net();
}

void sw_events_exit(void)
{
	unregister_pernet_subsys(&events_net_ops);
}
