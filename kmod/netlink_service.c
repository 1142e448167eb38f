// SPDX-License-Identifier: GPL-2.0-only
/* Services with their backends. */
#include <linux/in.h>

#include "netlink_item.h"
#include "swarm/lb.h"

/* By its VIP in a network, or by protocol and published port. */
static int service_parse_id(struct genl_info *info, struct sw_item *ret)
{
	struct nlattr **tb = info->attrs;
	struct sw_service *s = &ret->service.v;

	if (tb[SWARM_A_SERVICE_VNI])
		s->vni = nla_get_u32(tb[SWARM_A_SERVICE_VNI]);
	if (!tb[SWARM_A_SERVICE_PROTO]) {
		if (tb[SWARM_A_SERVICE_PUBLISHED]) {
			NL_SET_ERR_ATTR_MISS(info->extack, NULL, SWARM_A_SERVICE_PROTO);
			return -EINVAL;
		}
		if (GENL_REQ_ATTR_CHECK(info, SWARM_A_SERVICE_VNI))
			return -EINVAL;
		return sw_addr_need(tb, NULL, SWARM_A_SERVICE_VIP, info->extack, &s->vip);
	}
	if (tb[SWARM_A_SERVICE_VIP]) {
		NL_SET_ERR_MSG_ATTR(info->extack, tb[SWARM_A_SERVICE_VIP],
				    "a service has a VIP or a published port, not both");
		return -EINVAL;
	}
	if (GENL_REQ_ATTR_CHECK(info, SWARM_A_SERVICE_PUBLISHED))
		return -EINVAL;
	s->proto = nla_get_u8(tb[SWARM_A_SERVICE_PROTO]);
	if (s->proto != IPPROTO_TCP && s->proto != IPPROTO_UDP) {
		NL_SET_ERR_MSG_ATTR(info->extack, tb[SWARM_A_SERVICE_PROTO],
				    "only TCP and UDP ports can be published");
		return -EINVAL;
	}
	s->published = nla_get_be16(tb[SWARM_A_SERVICE_PUBLISHED]);
	return 0;
}

static int backend_parse(const struct nlattr *nest, struct netlink_ext_ack *extack,
			 struct sw_backend *ret)
{
	struct nlattr *tb[SWARM_A_BACKEND_MAX + 1];
	int rc = nla_parse_nested(tb, SWARM_A_BACKEND_MAX, nest, swarm_backend_nl_policy, extack);

	rc = rc ?: sw_addr_need(tb, nest, SWARM_A_BACKEND_ADDR, extack, &ret->addr);
	if (rc)
		return rc;
	ret->weight = tb[SWARM_A_BACKEND_WEIGHT] ? nla_get_u16(tb[SWARM_A_BACKEND_WEIGHT]) : 1;
	ret->draining = nla_get_flag(tb[SWARM_A_BACKEND_DRAINING]);
	return 0;
}

static int backends_count(struct genl_info *info, __u32 *ret)
{
	const struct nlattr *nla;
	__u32 n = 0;
	int rem;

	nlmsg_for_each_attr(nla, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(nla) != SWARM_A_SERVICE_BACKEND)
			continue;
		if (n++ < SW_SERVICE_BACKENDS_MAX)
			continue;
		NL_SET_ERR_MSG_ATTR(info->extack, nla, "a service has at most 1024 backends");
		return -E2BIG;
	}
	*ret = n;
	return 0;
}

static int backends_fill(struct genl_info *info, struct sw_backend *b)
{
	const struct nlattr *nla;
	int n = 0, rem, rc;

	BUILD_BUG_ON(SW_SERVICE_BACKENDS_MAX != 1024);
	nlmsg_for_each_attr(nla, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(nla) != SWARM_A_SERVICE_BACKEND)
			continue;
		rc = backend_parse(nla, info->extack, &b[n]);
		if (rc)
			return rc;
		if (n && sw_lb_compare(&b[n - 1].addr, &b[n].addr) >= 0) {
			NL_SET_ERR_MSG_ATTR(info->extack, nla,
					    "backends have to be sorted, without doubles");
			return -EINVAL;
		}
		n++;
	}
	return 0;
}

static int backends_parse(struct genl_info *info, struct sw_item *ret)
{
	struct sw_service *s = &ret->service.v;
	int rc = backends_count(info, &s->n_backends);

	if (rc || !s->n_backends)
		return rc;
	ret->service.own = kvcalloc(s->n_backends, sizeof(*ret->service.own), GFP_KERNEL);
	if (!ret->service.own)
		return -ENOMEM;
	s->backends = ret->service.own;
	rc = backends_fill(info, ret->service.own);
	if (rc)
		kvfree(ret->service.own);
	return rc;
}

static int service_parse(struct genl_info *info, struct sw_item *ret)
{
	struct nlattr *target = info->attrs[SWARM_A_SERVICE_TARGET];
	struct sw_service *s = &ret->service.v;
	int rc = service_parse_id(info, ret);

	if (rc)
		return rc;
	if (s->proto && (GENL_REQ_ATTR_CHECK(info, SWARM_A_SERVICE_VNI) ||
			 GENL_REQ_ATTR_CHECK(info, SWARM_A_SERVICE_TARGET)))
		return -EINVAL;
	if (!s->proto && target) {
		NL_SET_ERR_MSG_ATTR(info->extack, target, "a VIP has all ports");
		return -EINVAL;
	}
	if (target)
		s->target = nla_get_be16(target);
	return backends_parse(info, ret);
}

static void service_done(struct sw_item *item)
{
	kvfree(item->service.own);
}

static int service_set(struct sw_net *sn, const struct sw_item *item,
		       struct netlink_ext_ack *extack)
{
	return sw_service_set(sn, &item->service.v, extack);
}

static int service_del(struct sw_net *sn, const struct sw_item *item,
		       struct netlink_ext_ack *extack)
{
	return sw_service_del(sn, &item->service.v, extack);
}

static bool service_find(struct sw_net *sn, struct sw_item *item)
{
	struct sw_service id = item->service.v;

	return sw_service_get(sn, &id, &item->service.v);
}

static bool service_next(struct sw_net *sn, __u64 *cursor, struct sw_item *ret)
{
	return sw_service_next(sn, cursor, &ret->service.v);
}

static int service_put_id(struct sk_buff *skb, struct sw_item *item)
{
	const struct sw_service *s = &item->service.v;

	if (s->vni && nla_put_u32(skb, SWARM_A_SERVICE_VNI, s->vni))
		return -EMSGSIZE;
	if (!s->proto)
		return sw_addr_put(skb, SWARM_A_SERVICE_VIP, &s->vip);
	if (nla_put_u8(skb, SWARM_A_SERVICE_PROTO, s->proto))
		return -EMSGSIZE;
	return nla_put_be16(skb, SWARM_A_SERVICE_PUBLISHED, s->published);
}

static int backend_put(struct sk_buff *skb, const struct sw_backend *b)
{
	struct nlattr *nest = nla_nest_start(skb, SWARM_A_SERVICE_BACKEND);

	if (!nest)
		return -EMSGSIZE;
	if (sw_addr_put(skb, SWARM_A_BACKEND_ADDR, &b->addr) ||
	    nla_put_u16(skb, SWARM_A_BACKEND_WEIGHT, b->weight) ||
	    (b->draining && nla_put_flag(skb, SWARM_A_BACKEND_DRAINING))) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

static int service_put(struct sk_buff *skb, struct sw_item *item)
{
	const struct sw_service *s = &item->service.v;
	__u32 i;

	if (service_put_id(skb, item) ||
	    (s->proto && nla_put_be16(skb, SWARM_A_SERVICE_TARGET, s->target)))
		return -EMSGSIZE;
	for (i = item->service.from; i < s->n_backends; i++) {
		if (backend_put(skb, &s->backends[i])) {
			item->service.from = i;
			return -EMSGSIZE;
		}
	}
	return 0;
}

const struct sw_noun sw_service_noun = {
	.get = SWARM_CMD_SERVICE_GET,
	.ntf = SWARM_CMD_SERVICE_NTF,
	.del_ntf = SWARM_CMD_SERVICE_DEL_NTF,
	.parse_id = service_parse_id,
	.parse = service_parse,
	.done = service_done,
	.set = service_set,
	.del = service_del,
	.find = service_find,
	.next = service_next,
	.put_id = service_put_id,
	.put = service_put,
};

/* The balancing table of a service; there is nothing to set. */

static const struct sw_lb *lb_of(struct sw_net *sn, const struct sw_service *s)
{
	struct sw_endpoint_key ek = {.vni = s->vni, .addr = s->vip};
	struct sw_port_key pk = {.port = s->published, .proto = s->proto};
	const struct sw_endpoint *e;
	const struct sw_port *p;

	if (s->proto) {
		p = sw_port_find(sn, &pk);
		return p ? &p->lb : NULL;
	}
	e = sw_endpoint_find(sn, &ek);
	return e && e->kind == SW_ENDPOINT_VIP ? &e->lb : NULL;
}

static bool table_find(struct sw_net *sn, struct sw_item *item)
{
	const struct sw_lb *lb = lb_of(sn, &item->service.v);

	item->service.table = lb ? sw_table_find(sn, lb) : NULL;
	return lb;
}

static int table_put(struct sk_buff *skb, struct sw_item *item)
{
	const struct sw_table *t = item->service.table;
	size_t size = t ? t->size * sizeof(t->slots[0]) : 0;

	BUILD_BUG_ON(SW_LB_SIZE_MAX * sizeof(t->slots[0]) > U16_MAX - NLA_HDRLEN);
	if (service_put_id(skb, item))
		return -EMSGSIZE;
	return nla_put(skb, SWARM_A_SERVICE_SLOTS, size, t ? t->slots : NULL);
}

const struct sw_noun sw_table_noun = {
	.get = SWARM_CMD_TABLE_GET,
	.parse_id = service_parse_id,
	.find = table_find,
	.put = table_put,
};
