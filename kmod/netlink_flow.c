// SPDX-License-Identifier: GPL-2.0-only
/* Flows and reasons as attributes. */
#include "netlink_item.h"

SW_SAME(SW_FLOW_VIP, SWARM_FLOW_KIND_VIP);
SW_SAME(SW_FLOW_PUBLISHED, SWARM_FLOW_KIND_PUBLISHED);
SW_SAME(SW_FLOW_REPLY, SWARM_FLOW_KIND_REPLY);
SW_SAME(SW_FLOW_REMAPPED, SWARM_FLOW_KIND_REMAPPED);

const char *sw_reason_name(__u32 reason)
{
	static const char *const names[] = {
#define X(name, text) #name,
		SW_REASONS(X)
#undef X
	};

	return reason < ARRAY_SIZE(names) ? names[reason] : "UNKNOWN";
}

int sw_flow_attrs_put(struct sk_buff *skb, const struct sw_flow_key *key, const struct sw_flow *to)
{
	if (nla_put_u8(skb, SWARM_A_FLOW_KIND, key->dir) ||
	    nla_put_u32(skb, SWARM_A_FLOW_VNI, key->vni) ||
	    nla_put_u8(skb, SWARM_A_FLOW_PROTO, key->proto) ||
	    sw_addr_put(skb, SWARM_A_FLOW_SRC, &key->src) ||
	    sw_addr_put(skb, SWARM_A_FLOW_DST, &key->dst) ||
	    nla_put_be16(skb, SWARM_A_FLOW_SPORT, key->sport) ||
	    nla_put_be16(skb, SWARM_A_FLOW_DPORT, key->dport))
		return -EMSGSIZE;
	if (!to)
		return 0;
	if (sw_addr_put(skb, SWARM_A_FLOW_TO_SRC, &to->src) ||
	    sw_addr_put(skb, SWARM_A_FLOW_TO_DST, &to->dst) ||
	    nla_put_be16(skb, SWARM_A_FLOW_TO_SPORT, to->sport) ||
	    nla_put_be16(skb, SWARM_A_FLOW_TO_DPORT, to->dport))
		return -EMSGSIZE;
	return sw_addr_put(skb, SWARM_A_FLOW_VIA, &to->via);
}

static bool flow_next(struct sw_net *sn, __u64 *cursor, struct sw_item *ret)
{
	struct sw_flows *flows = rcu_dereference(sn->flows);

	return flows &&
	       sw_flow_next(flows, cursor, &ret->flow.key, &ret->flow.v, &ret->flow.unused_s);
}

static int flow_put(struct sk_buff *skb, struct sw_item *item)
{
	if (sw_flow_attrs_put(skb, &item->flow.key, &item->flow.v))
		return -EMSGSIZE;
	return nla_put_u32(skb, SWARM_A_FLOW_UNUSED_S, item->flow.unused_s);
}

/* Made by packets: there is nothing to set. */
const struct sw_noun sw_flow_noun = {
	.get = SWARM_CMD_FLOW_GET,
	.next = flow_next,
	.put = flow_put,
};
