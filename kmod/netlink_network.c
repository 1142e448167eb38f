// SPDX-License-Identifier: GPL-2.0-only
/* Networks, and who is in them: endpoints and peers. */
#include <linux/etherdevice.h>

#include "netlink_item.h"

#define MTU_DEFAULT 1450

SW_SAME(SW_NETWORK_INGRESS, SWARM_NETWORK_FLAGS_INGRESS);

/* As given, or made of the address. */
static void mac_get(const struct nlattr *attr, const struct sw_addr *a, __u8 ret[ETH_ALEN])
{
	if (attr)
		nla_memcpy(ret, attr, ETH_ALEN);
	else
		sw_mac4(ret, SW_MAC_ADDR, a->w[3]);
}

static int vni_need(struct genl_info *info, int type, __u32 *ret)
{
	if (GENL_REQ_ATTR_CHECK(info, type))
		return -EINVAL;
	*ret = nla_get_u32(info->attrs[type]);
	return 0;
}

/* Networks */

static int network_parse_id(struct genl_info *info, struct sw_item *ret)
{
	return vni_need(info, SWARM_A_NETWORK_VNI, &ret->network.vni);
}

static int network_parse(struct genl_info *info, struct sw_item *ret)
{
	struct nlattr **tb = info->attrs;
	struct sw_network *v = &ret->network.v;
	int rc = network_parse_id(info, ret);

	rc = rc ?: sw_addr_get(tb[SWARM_A_NETWORK_GATEWAY], info->extack, &v->gateway);
	rc = rc ?: sw_addr_get(tb[SWARM_A_NETWORK_NODE_ADDR], info->extack, &v->node_addr);
	if (rc)
		return rc;
	v->mtu = MTU_DEFAULT;
	if (tb[SWARM_A_NETWORK_MTU])
		v->mtu = nla_get_u32(tb[SWARM_A_NETWORK_MTU]);
	if (tb[SWARM_A_NETWORK_FLAGS])
		v->flags = nla_get_u32(tb[SWARM_A_NETWORK_FLAGS]);
	mac_get(tb[SWARM_A_NETWORK_GATEWAY_MAC], &v->gateway, v->gateway_mac);
	return 0;
}

static int network_set(struct sw_net *sn, const struct sw_item *item,
		       struct netlink_ext_ack *extack)
{
	return sw_network_set(sn, item->network.vni, &item->network.v, extack);
}

static int network_del(struct sw_net *sn, const struct sw_item *item,
		       struct netlink_ext_ack *extack)
{
	return sw_network_del(sn, item->network.vni, extack);
}

static bool network_find(struct sw_net *sn, struct sw_item *item)
{
	const struct sw_network *v = sw_network_find(sn, item->network.vni);

	if (v)
		item->network.v = *v;
	return v;
}

static bool network_next(struct sw_net *sn, __u64 *cursor, struct sw_item *ret)
{
	return sw_network_next(sn, cursor, &ret->network.vni, &ret->network.v);
}

static int network_put_id(struct sk_buff *skb, struct sw_item *item)
{
	return nla_put_u32(skb, SWARM_A_NETWORK_VNI, item->network.vni);
}

static int network_put(struct sk_buff *skb, struct sw_item *item)
{
	const struct sw_network *v = &item->network.v;

	if (network_put_id(skb, item) || nla_put_u32(skb, SWARM_A_NETWORK_MTU, v->mtu) ||
	    nla_put_u32(skb, SWARM_A_NETWORK_FLAGS, v->flags) ||
	    sw_addr_put(skb, SWARM_A_NETWORK_GATEWAY, &v->gateway) ||
	    nla_put(skb, SWARM_A_NETWORK_GATEWAY_MAC, ETH_ALEN, v->gateway_mac))
		return -EMSGSIZE;
	return sw_addr_put(skb, SWARM_A_NETWORK_NODE_ADDR, &v->node_addr);
}

const struct sw_noun sw_network_noun = {
	.get = SWARM_CMD_NETWORK_GET,
	.ntf = SWARM_CMD_NETWORK_NTF,
	.del_ntf = SWARM_CMD_NETWORK_DEL_NTF,
	.parse_id = network_parse_id,
	.parse = network_parse,
	.set = network_set,
	.del = network_del,
	.find = network_find,
	.next = network_next,
	.put_id = network_put_id,
	.put = network_put,
};

/* Endpoints */

static int endpoint_parse_id(struct genl_info *info, struct sw_item *ret)
{
	struct sw_endpoint_key *key = &ret->endpoint.key;
	int rc = vni_need(info, SWARM_A_ENDPOINT_VNI, &key->vni);

	return rc
		       ?: sw_addr_need(info->attrs, NULL, SWARM_A_ENDPOINT_ADDR, info->extack,
				       &key->addr);
}

/* Here by its link, or elsewhere by its node. */
static int endpoint_parse_place(struct genl_info *info, struct sw_endpoint *v)
{
	struct nlattr **tb = info->attrs;

	if (!tb[SWARM_A_ENDPOINT_IFINDEX])
		return sw_addr_need(tb, NULL, SWARM_A_ENDPOINT_NODE, info->extack, &v->node);
	if (tb[SWARM_A_ENDPOINT_NODE]) {
		NL_SET_ERR_MSG_ATTR(info->extack, tb[SWARM_A_ENDPOINT_NODE],
				    "an endpoint with a link is of this node");
		return -EINVAL;
	}
	v->ifindex = nla_get_u32(tb[SWARM_A_ENDPOINT_IFINDEX]);
	return 0;
}

static int endpoint_parse(struct genl_info *info, struct sw_item *ret)
{
	struct sw_endpoint *v = &ret->endpoint.v;
	int rc = endpoint_parse_id(info, ret);

	rc = rc ?: endpoint_parse_place(info, v);
	rc = rc
		     ?: sw_addr_get(info->attrs[SWARM_A_ENDPOINT_HOST_ADDR], info->extack,
				    &v->host_addr);
	if (rc)
		return rc;
	v->kind = SW_ENDPOINT;
	mac_get(info->attrs[SWARM_A_ENDPOINT_MAC], &ret->endpoint.key.addr, v->mac);
	return 0;
}

static int endpoint_set(struct sw_net *sn, const struct sw_item *item,
			struct netlink_ext_ack *extack)
{
	return sw_endpoint_set(sn, &item->endpoint.key, &item->endpoint.v, extack);
}

static int endpoint_del(struct sw_net *sn, const struct sw_item *item,
			struct netlink_ext_ack *extack)
{
	return sw_endpoint_del(sn, &item->endpoint.key, extack);
}

static bool endpoint_find(struct sw_net *sn, struct sw_item *item)
{
	const struct sw_endpoint *v = sw_endpoint_find(sn, &item->endpoint.key);

	if (!v || v->kind != SW_ENDPOINT)
		return false;
	item->endpoint.v = *v;
	return true;
}

static bool endpoint_next(struct sw_net *sn, __u64 *cursor, struct sw_item *ret)
{
	return sw_endpoint_next(sn, cursor, &ret->endpoint.key, &ret->endpoint.v);
}

static int endpoint_put_id(struct sk_buff *skb, struct sw_item *item)
{
	const struct sw_endpoint_key *key = &item->endpoint.key;

	if (nla_put_u32(skb, SWARM_A_ENDPOINT_VNI, key->vni))
		return -EMSGSIZE;
	return sw_addr_put(skb, SWARM_A_ENDPOINT_ADDR, &key->addr);
}

static int endpoint_put(struct sk_buff *skb, struct sw_item *item)
{
	const struct sw_endpoint *v = &item->endpoint.v;

	if (endpoint_put_id(skb, item) || nla_put(skb, SWARM_A_ENDPOINT_MAC, ETH_ALEN, v->mac) ||
	    (v->ifindex && nla_put_u32(skb, SWARM_A_ENDPOINT_IFINDEX, v->ifindex)) ||
	    sw_addr_put(skb, SWARM_A_ENDPOINT_NODE, &v->node))
		return -EMSGSIZE;
	return sw_addr_put(skb, SWARM_A_ENDPOINT_HOST_ADDR, &v->host_addr);
}

const struct sw_noun sw_endpoint_noun = {
	.get = SWARM_CMD_ENDPOINT_GET,
	.ntf = SWARM_CMD_ENDPOINT_NTF,
	.del_ntf = SWARM_CMD_ENDPOINT_DEL_NTF,
	.parse_id = endpoint_parse_id,
	.parse = endpoint_parse,
	.set = endpoint_set,
	.del = endpoint_del,
	.find = endpoint_find,
	.next = endpoint_next,
	.put_id = endpoint_put_id,
	.put = endpoint_put,
};

/* Peers */

static int peer_parse(struct genl_info *info, struct sw_item *ret)
{
	return sw_addr_need(info->attrs, NULL, SWARM_A_PEER_VTEP, info->extack, &ret->peer);
}

static int peer_set(struct sw_net *sn, const struct sw_item *item, struct netlink_ext_ack *extack)
{
	return sw_peer_set(sn, &item->peer, extack);
}

static int peer_del(struct sw_net *sn, const struct sw_item *item, struct netlink_ext_ack *extack)
{
	return sw_peer_del(sn, &item->peer, extack);
}

static bool peer_find(struct sw_net *sn, struct sw_item *item)
{
	return sw_peer_find(sn, &item->peer);
}

static bool peer_next(struct sw_net *sn, __u64 *cursor, struct sw_item *ret)
{
	return sw_peer_next(sn, cursor, &ret->peer);
}

static int peer_put(struct sk_buff *skb, struct sw_item *item)
{
	return sw_addr_put(skb, SWARM_A_PEER_VTEP, &item->peer);
}

const struct sw_noun sw_peer_noun = {
	.get = SWARM_CMD_PEER_GET,
	.ntf = SWARM_CMD_PEER_NTF,
	.del_ntf = SWARM_CMD_PEER_DEL_NTF,
	.parse_id = peer_parse,
	.parse = peer_parse,
	.set = peer_set,
	.del = peer_del,
	.find = peer_find,
	.next = peer_next,
	.put_id = peer_put,
	.put = peer_put,
};
