// SPDX-License-Identifier: GPL-2.0-only
/* What the node itself has: settings, links, counts. */
#include "netlink_item.h"

#define VXLAN_PORT_DEFAULT 4789

SW_SAME(SW_RETURN_DIRECT, SWARM_SETTINGS_FLAGS_RETURN_DIRECT);
SW_SAME(SW_LINK_CONTAINER, SWARM_LINK_ROLE_CONTAINER);
SW_SAME(SW_LINK_CLIENTS, SWARM_LINK_ROLE_CLIENTS);
SW_SAME(SW_LINK_LOOPBACK, SWARM_LINK_ROLE_LOOPBACK);
SW_SAME(SW_LINK_INGRESS, SWARM_LINK_FLAGS_INGRESS);
SW_SAME(SW_LINK_BRIDGE, SWARM_LINK_FLAGS_BRIDGE);

/* Settings */

static int settings_parse(struct genl_info *info, struct sw_item *ret)
{
	struct nlattr **tb = info->attrs;
	struct sw_settings *v = &ret->settings.v;
	int rc = sw_addr_get(tb[SWARM_A_SETTINGS_VTEP], info->extack, &v->vtep);

	if (rc)
		return rc;
	v->vxlan_port = htons(VXLAN_PORT_DEFAULT);
	if (tb[SWARM_A_SETTINGS_VXLAN_PORT])
		v->vxlan_port = nla_get_be16(tb[SWARM_A_SETTINGS_VXLAN_PORT]);
	if (tb[SWARM_A_SETTINGS_FLAGS])
		v->flags = nla_get_u32(tb[SWARM_A_SETTINGS_FLAGS]);
	if (tb[SWARM_A_SETTINGS_LO_WAS])
		v->lo_was = nla_get_u16(tb[SWARM_A_SETTINGS_LO_WAS]);
	if (tb[SWARM_A_SETTINGS_FLOWS_MAX])
		ret->settings.flows_max = nla_get_u32(tb[SWARM_A_SETTINGS_FLOWS_MAX]);
	if (tb[SWARM_A_SETTINGS_PORTS_MAX])
		ret->settings.ports_max = nla_get_u32(tb[SWARM_A_SETTINGS_PORTS_MAX]);
	return 0;
}

static int settings_set(struct sw_net *sn, const struct sw_item *item,
			struct netlink_ext_ack *extack)
{
	return sw_settings_set(sn, &item->settings.v, item->settings.flows_max,
			       item->settings.ports_max, extack);
}

static bool settings_find(struct sw_net *sn, struct sw_item *item)
{
	return sw_settings_get(sn, &item->settings.v, &item->settings.flows_max,
			       &item->settings.ports_max);
}

static int settings_put(struct sk_buff *skb, struct sw_item *item)
{
	const struct sw_settings *v = &item->settings.v;

	if (sw_addr_put(skb, SWARM_A_SETTINGS_VTEP, &v->vtep) ||
	    nla_put_be16(skb, SWARM_A_SETTINGS_VXLAN_PORT, v->vxlan_port) ||
	    nla_put_u32(skb, SWARM_A_SETTINGS_FLAGS, v->flags & SW_RETURN_DIRECT) ||
	    nla_put_u32(skb, SWARM_A_SETTINGS_FLOWS_MAX, item->settings.flows_max) ||
	    nla_put_u32(skb, SWARM_A_SETTINGS_PORTS_MAX, item->settings.ports_max))
		return -EMSGSIZE;
	return nla_put_u16(skb, SWARM_A_SETTINGS_LO_WAS, v->lo_was);
}

static int settings_culprit(int rc)
{
	return rc == -EADDRINUSE ? SWARM_A_SETTINGS_VXLAN_PORT : 0;
}

const struct sw_noun sw_settings_noun = {
	.get = SWARM_CMD_SETTINGS_GET,
	.ntf = SWARM_CMD_SETTINGS_NTF,
	.parse = settings_parse,
	.set = settings_set,
	.find = settings_find,
	.put = settings_put,
	.culprit = settings_culprit,
};

/* Links */

static int link_parse_id(struct genl_info *info, struct sw_item *ret)
{
	if (GENL_REQ_ATTR_CHECK(info, SWARM_A_LINK_IFINDEX))
		return -EINVAL;
	ret->link.ifindex = nla_get_u32(info->attrs[SWARM_A_LINK_IFINDEX]);
	return 0;
}

/* What only a container's link has. */
static int link_parse_container(struct genl_info *info, struct sw_link *v)
{
	if (GENL_REQ_ATTR_CHECK(info, SWARM_A_LINK_VNI))
		return -EINVAL;
	v->vni = nla_get_u32(info->attrs[SWARM_A_LINK_VNI]);
	return sw_addr_need(info->attrs, NULL, SWARM_A_LINK_ADDR, info->extack, &v->addr);
}

static int link_parse(struct genl_info *info, struct sw_item *ret)
{
	struct nlattr **tb = info->attrs;
	struct sw_link *v = &ret->link.v;
	struct nlattr *extra;
	int rc = link_parse_id(info, ret);

	if (rc)
		return rc;
	if (GENL_REQ_ATTR_CHECK(info, SWARM_A_LINK_ROLE))
		return -EINVAL;
	v->role = nla_get_u32(tb[SWARM_A_LINK_ROLE]);
	if (v->role == SW_LINK_CONTAINER)
		return link_parse_container(info, v);
	extra = tb[SWARM_A_LINK_VNI] ?: tb[SWARM_A_LINK_ADDR];
	if (extra) {
		NL_SET_ERR_MSG_ATTR(info->extack, extra, "only links of containers have this");
		return -EINVAL;
	}
	return 0;
}

static int link_set(struct sw_net *sn, const struct sw_item *item, struct netlink_ext_ack *extack)
{
	return sw_link_set(sn, item->link.ifindex, &item->link.v, extack);
}

static int link_del(struct sw_net *sn, const struct sw_item *item, struct netlink_ext_ack *extack)
{
	return sw_link_del(sn, item->link.ifindex, extack);
}

static bool link_find(struct sw_net *sn, struct sw_item *item)
{
	const struct sw_link *v = sw_link_find(sn, item->link.ifindex);

	if (v)
		item->link.v = *v;
	return v;
}

static bool link_next(struct sw_net *sn, __u64 *cursor, struct sw_item *ret)
{
	return sw_link_next(sn, cursor, &ret->link.ifindex, &ret->link.v);
}

static int link_put_id(struct sk_buff *skb, struct sw_item *item)
{
	return nla_put_u32(skb, SWARM_A_LINK_IFINDEX, item->link.ifindex);
}

static int link_put(struct sk_buff *skb, struct sw_item *item)
{
	const struct sw_link *v = &item->link.v;

	if (link_put_id(skb, item) || nla_put_u32(skb, SWARM_A_LINK_ROLE, v->role) ||
	    (v->vni && nla_put_u32(skb, SWARM_A_LINK_VNI, v->vni)) ||
	    sw_addr_put(skb, SWARM_A_LINK_ADDR, &v->addr))
		return -EMSGSIZE;
	return nla_put_u32(skb, SWARM_A_LINK_FLAGS, v->flags);
}

static int link_culprit(int rc)
{
	return rc == -ENODEV ? SWARM_A_LINK_IFINDEX : 0;
}

const struct sw_noun sw_link_noun = {
	.get = SWARM_CMD_LINK_GET,
	.ntf = SWARM_CMD_LINK_NTF,
	.del_ntf = SWARM_CMD_LINK_DEL_NTF,
	.parse_id = link_parse_id,
	.parse = link_parse,
	.set = link_set,
	.del = link_del,
	.find = link_find,
	.next = link_next,
	.put_id = link_put_id,
	.put = link_put,
	.culprit = link_culprit,
};

/* Counts */

static int count_put(struct sk_buff *skb, __u32 reason, const struct sw_count *c)
{
	struct nlattr *nest = nla_nest_start(skb, SWARM_A_STATS_COUNT);

	if (!nest || nla_put_u32(skb, SWARM_A_COUNT_REASON, reason) ||
	    nla_put_string(skb, SWARM_A_COUNT_REASON_NAME, sw_reason_name(reason)) ||
	    nla_put_u64_64bit(skb, SWARM_A_COUNT_PACKETS, c->packets, SWARM_A_COUNT_PAD) ||
	    nla_put_u64_64bit(skb, SWARM_A_COUNT_BYTES, c->bytes, SWARM_A_COUNT_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int stats_put(struct sk_buff *skb, struct sw_net *sn)
{
	struct sw_count c[SW_REASON_COUNT];
	struct sw_flows *flows;
	__u32 reason, len;
	int rc = 0;

	sw_counts_read(sn, c);
	for (reason = 0; reason < SW_REASON_COUNT && !rc; reason++)
		rc = count_put(skb, reason, &c[reason]);
	rcu_read_lock();
	flows = rcu_dereference(sn->flows);
	len = flows ? sw_flows_len(flows) : 0;
	rcu_read_unlock();
	return rc ?: nla_put_u32(skb, SWARM_A_STATS_FLOWS, len);
}

int swarm_nl_stats_get_doit(struct sk_buff *request, struct genl_info *info)
{
	struct sk_buff *skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *hdr;

	if (!skb)
		return -ENOMEM;
	hdr = genlmsg_put_reply(skb, info, &sw_netlink_family, 0, SWARM_CMD_STATS_GET);
	if (!hdr || stats_put(skb, sw_net_of(genl_info_net(info)))) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return genlmsg_reply(skb, info);
}
