// SPDX-License-Identifier: Apache-2.0
/* What the module has seen of packets, as its messages: counts, flows, events. */
#include "datapath/kmod_impl.h"

#include <arpa/inet.h>

static struct nla_policy flow_policy[SWARM_A_FLOW_MAX + 1] = {
	[SWARM_A_FLOW_KIND] = {.type = NLA_U8},
	[SWARM_A_FLOW_VNI] = {.type = NLA_U32},
	[SWARM_A_FLOW_PROTO] = {.type = NLA_U8},
	[SWARM_A_FLOW_SRC] = {.minlen = 16, .maxlen = 16},
	[SWARM_A_FLOW_DST] = {.minlen = 16, .maxlen = 16},
	[SWARM_A_FLOW_SPORT] = {.type = NLA_U16},
	[SWARM_A_FLOW_DPORT] = {.type = NLA_U16},
	[SWARM_A_FLOW_TO_SRC] = {.minlen = 16, .maxlen = 16},
	[SWARM_A_FLOW_TO_DST] = {.minlen = 16, .maxlen = 16},
	[SWARM_A_FLOW_TO_SPORT] = {.type = NLA_U16},
	[SWARM_A_FLOW_TO_DPORT] = {.type = NLA_U16},
	[SWARM_A_FLOW_VIA] = {.minlen = 16, .maxlen = 16},
	[SWARM_A_FLOW_UNUSED_S] = {.type = NLA_U32},
};

/* What is left out is 0. */
static void copy(struct nlattr *a, void *to, size_t size)
{
	memset(to, 0, size);
	if (a)
		memcpy(to, nla_data(a), size);
}

static uint32_t u32_of(struct nlattr *a)
{
	return a ? nla_get_u32(a) : 0;
}

static uint16_t port_of(struct nlattr *a)
{
	return a ? ntohs(nla_get_u16(a)) : 0;
}

static void count_get(struct nlattr *nest, struct dp_stats *ret)
{
	static struct nla_policy policy[SWARM_A_COUNT_MAX + 1] = {
		[SWARM_A_COUNT_REASON] = {.type = NLA_U32},
		[SWARM_A_COUNT_PACKETS] = {.type = NLA_U64},
		[SWARM_A_COUNT_BYTES] = {.type = NLA_U64},
	};
	struct nlattr *tb[SWARM_A_COUNT_MAX + 1];
	uint32_t reason;

	if (nla_parse_nested(tb, SWARM_A_COUNT_MAX, nest, policy) || !tb[SWARM_A_COUNT_REASON] ||
	    !tb[SWARM_A_COUNT_PACKETS] || !tb[SWARM_A_COUNT_BYTES])
		return;
	reason = nla_get_u32(tb[SWARM_A_COUNT_REASON]);
	if (reason >= SW_REASON_COUNT)
		return; /* of a newer module */
	ret->packets[reason] += nla_get_u64(tb[SWARM_A_COUNT_PACKETS]);
	ret->bytes[reason] += nla_get_u64(tb[SWARM_A_COUNT_BYTES]);
}

void kmod_stats_get(struct nlmsghdr *nlh, struct dp_stats *ret)
{
	struct genlmsghdr *g = genlmsg_hdr(nlh);
	struct nlattr *a;
	int rem;

	nla_for_each_attr(a, genlmsg_attrdata(g, 0), genlmsg_attrlen(g, 0), rem)
	{
		if (nla_type(a) == SWARM_A_STATS_COUNT)
			count_get(a, ret);
	}
}

bool kmod_flow_get(struct nlmsghdr *nlh, struct dp_flow *ret)
{
	static const char *const kinds[] = {
		[SWARM_FLOW_KIND_VIP] = "vip",
		[SWARM_FLOW_KIND_PUBLISHED] = "published",
		[SWARM_FLOW_KIND_REPLY] = "reply",
		[SWARM_FLOW_KIND_REMAPPED] = "remapped",
	};
	struct nlattr *tb[SWARM_A_FLOW_MAX + 1];
	uint8_t kind;

	if (genlmsg_parse(nlh, 0, tb, SWARM_A_FLOW_MAX, flow_policy))
		return false;
	kind = tb[SWARM_A_FLOW_KIND] ? nla_get_u8(tb[SWARM_A_FLOW_KIND]) : 0;
	if (kind >= ARRAY_SIZE(kinds) || !kinds[kind])
		return false;
	*ret = (struct dp_flow){.kind = kinds[kind],
				.vni = u32_of(tb[SWARM_A_FLOW_VNI]),
				.sport = port_of(tb[SWARM_A_FLOW_SPORT]),
				.dport = port_of(tb[SWARM_A_FLOW_DPORT]),
				.to_sport = port_of(tb[SWARM_A_FLOW_TO_SPORT]),
				.to_dport = port_of(tb[SWARM_A_FLOW_TO_DPORT])};
	copy(tb[SWARM_A_FLOW_PROTO], &ret->proto, sizeof(ret->proto));
	copy(tb[SWARM_A_FLOW_SRC], &ret->src, sizeof(ret->src));
	copy(tb[SWARM_A_FLOW_DST], &ret->dst, sizeof(ret->dst));
	copy(tb[SWARM_A_FLOW_TO_SRC], &ret->to_src, sizeof(ret->to_src));
	copy(tb[SWARM_A_FLOW_TO_DST], &ret->to_dst, sizeof(ret->to_dst));
	copy(tb[SWARM_A_FLOW_VIA], &ret->via, sizeof(ret->via));
	return true;
}

/* The key and, of new flows, what its packets become. */
static bool event_flow_get(struct nlattr *nest, struct sw_event *ret)
{
	struct nlattr *tb[SWARM_A_FLOW_MAX + 1];

	if (nla_parse_nested(tb, SWARM_A_FLOW_MAX, nest, flow_policy))
		return false;
	ret->key.vni = u32_of(tb[SWARM_A_FLOW_VNI]);
	copy(tb[SWARM_A_FLOW_KIND], &ret->key.dir, sizeof(ret->key.dir));
	copy(tb[SWARM_A_FLOW_PROTO], &ret->key.proto, sizeof(ret->key.proto));
	copy(tb[SWARM_A_FLOW_SRC], &ret->key.src, sizeof(ret->key.src));
	copy(tb[SWARM_A_FLOW_DST], &ret->key.dst, sizeof(ret->key.dst));
	copy(tb[SWARM_A_FLOW_SPORT], &ret->key.sport, sizeof(ret->key.sport));
	copy(tb[SWARM_A_FLOW_DPORT], &ret->key.dport, sizeof(ret->key.dport));
	copy(tb[SWARM_A_FLOW_TO_SRC], &ret->to_src, sizeof(ret->to_src));
	copy(tb[SWARM_A_FLOW_TO_DST], &ret->to_dst, sizeof(ret->to_dst));
	copy(tb[SWARM_A_FLOW_TO_SPORT], &ret->to_sport, sizeof(ret->to_sport));
	copy(tb[SWARM_A_FLOW_TO_DPORT], &ret->to_dport, sizeof(ret->to_dport));
	return true;
}

static bool event_drop_get(struct nlattr *nest, struct sw_event *ret)
{
	static struct nla_policy policy[SWARM_A_DROP_MAX + 1] = {
		[SWARM_A_DROP_REASON] = {.type = NLA_U32},
		[SWARM_A_DROP_IFINDEX] = {.type = NLA_U32},
		[SWARM_A_DROP_LEN] = {.type = NLA_U32},
		[SWARM_A_DROP_FLOW] = {.type = NLA_NESTED},
	};
	struct nlattr *tb[SWARM_A_DROP_MAX + 1];

	if (nla_parse_nested(tb, SWARM_A_DROP_MAX, nest, policy) || !tb[SWARM_A_DROP_REASON])
		return false;
	ret->reason = nla_get_u32(tb[SWARM_A_DROP_REASON]);
	ret->ifindex = u32_of(tb[SWARM_A_DROP_IFINDEX]);
	ret->len = u32_of(tb[SWARM_A_DROP_LEN]);
	return !tb[SWARM_A_DROP_FLOW] || event_flow_get(tb[SWARM_A_DROP_FLOW], ret);
}

bool kmod_event_get(struct nlmsghdr *nlh, struct sw_event *ret, uint64_t *lost)
{
	static struct nla_policy policy[SWARM_A_EVENT_MAX + 1] = {
		[SWARM_A_EVENT_FLOW] = {.type = NLA_NESTED},
		[SWARM_A_EVENT_DROP] = {.type = NLA_NESTED},
		[SWARM_A_EVENT_LOST] = {.type = NLA_U32},
	};
	struct nlattr *tb[SWARM_A_EVENT_MAX + 1];
	struct sw_event e = {0};
	bool ok = false;

	if (genlmsg_parse(nlh, 0, tb, SWARM_A_EVENT_MAX, policy))
		return false;
	if (tb[SWARM_A_EVENT_DROP]) {
		e.kind = SW_EVENT_DROP;
		ok = event_drop_get(tb[SWARM_A_EVENT_DROP], &e);
	} else if (tb[SWARM_A_EVENT_FLOW]) {
		e.kind = SW_EVENT_FLOW;
		ok = event_flow_get(tb[SWARM_A_EVENT_FLOW], &e);
	}
	if (!ok)
		return false;
	*lost += u32_of(tb[SWARM_A_EVENT_LOST]);
	*ret = e;
	return true;
}
