// SPDX-License-Identifier: GPL-2.0-only
/* Addresses as attributes. */
#include "netlink_item.h"

int sw_addr_get(const struct nlattr *attr, struct netlink_ext_ack *extack, struct sw_addr *ret)
{
	struct sw_addr a = {};

	if (attr)
		nla_memcpy(&a, attr, sizeof(a));
	if (sw_addr_is_set(&a) && !sw_addr_is4(&a)) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "only IPv4 addresses are supported");
		return -EAFNOSUPPORT;
	}
	*ret = a;
	return 0;
}

int sw_addr_need(struct nlattr **tb, const struct nlattr *nest, int type,
		 struct netlink_ext_ack *extack, struct sw_addr *ret)
{
	if (NL_REQ_ATTR_CHECK(extack, nest, tb, type))
		return -EINVAL;
	if (!memchr_inv(nla_data(tb[type]), 0, sizeof(*ret))) {
		NL_SET_ERR_MSG_ATTR(extack, tb[type], "the address is unset");
		return -EINVAL;
	}
	return sw_addr_get(tb[type], extack, ret);
}

int sw_addr_put(struct sk_buff *skb, int type, const struct sw_addr *a)
{
	return sw_addr_is_set(a) ? nla_put(skb, type, sizeof(*a), a) : 0;
}
