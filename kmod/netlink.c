// SPDX-License-Identifier: GPL-2.0-only
/* The family, and what is the same for each noun of it. */
#include <linux/module.h>

#include "events.h"
#include "netlink_item.h"

struct genl_family sw_netlink_family __ro_after_init = {
	.name = SWARM_FAMILY_NAME,
	.version = SWARM_FAMILY_VERSION,
	.netnsok = true,
	.parallel_ops = true, /* config.h has its own locks */
	.module = THIS_MODULE,
	.ops = swarm_nl_ops,
	.n_ops = ARRAY_SIZE(swarm_nl_ops),
	.mcgrps = swarm_nl_mcgrps,
	.n_mcgrps = ARRAY_SIZE(swarm_nl_mcgrps),
};

static struct sw_net *net_of(struct genl_info *info)
{
	return sw_net_of(genl_info_net(info));
}

/* One message. 0, -ENOENT or -EMSGSIZE. */
static int reply_fill(struct sk_buff *skb, struct genl_info *info, const struct sw_noun *noun,
		      struct sw_item *item)
{
	void *hdr = genlmsg_put_reply(skb, info, &sw_netlink_family, 0, noun->get);
	int rc = -ENOENT;

	if (!hdr)
		return -EMSGSIZE;
	rcu_read_lock();
	if (noun->find(net_of(info), item))
		rc = noun->put(skb, item);
	rcu_read_unlock();
	if (!rc)
		genlmsg_end(skb, hdr);
	return rc;
}

static int get(struct genl_info *info, const struct sw_noun *noun)
{
	size_t size = GENLMSG_DEFAULT_SIZE;
	struct sw_item id = {}, item;
	struct sk_buff *skb;
	int rc = noun->parse_id ? noun->parse_id(info, &id) : 0;

	if (rc)
		return rc;
	do {
		skb = genlmsg_new(size, GFP_KERNEL);
		if (!skb)
			return -ENOMEM;
		item = id;
		rc = reply_fill(skb, info, noun, &item);
		if (!rc)
			return genlmsg_reply(skb, info);
		nlmsg_free(skb);
		size *= 2;
	} while (rc == -EMSGSIZE && size <= SW_MESSAGE_SIZE_MAX);
	if (rc == -ENOENT)
		GENL_SET_ERR_MSG(info, "there is none");
	return rc;
}

static int set(struct genl_info *info, const struct sw_noun *noun)
{
	struct sw_net *sn = net_of(info);
	struct sw_item item = {};
	int attr, rc = noun->parse(info, &item);

	if (rc)
		return rc;
	sw_changes_lock(sn);
	rc = noun->set(sn, &item, info->extack);
	if (rc > 0)
		sw_event_change(sn, noun->ntf, noun->put, &item);
	sw_changes_unlock(sn);
	attr = rc < 0 && noun->culprit ? noun->culprit(rc) : 0;
	if (attr && info->attrs[attr])
		NL_SET_BAD_ATTR(info->extack, info->attrs[attr]);
	if (noun->done)
		noun->done(&item);
	return min(rc, 0);
}

static int del(struct genl_info *info, const struct sw_noun *noun)
{
	struct sw_net *sn = net_of(info);
	struct sw_item item = {};
	int rc = noun->parse_id(info, &item);

	if (rc)
		return rc;
	sw_changes_lock(sn);
	rc = noun->del(sn, &item, info->extack);
	if (rc > 0)
		sw_event_change(sn, noun->del_ntf, noun->put_id, &item);
	sw_changes_unlock(sn);
	return min(rc, 0);
}

/* Where a dump is, in netlink_callback.ctx. */
struct dump {
	__u64 cursor;
	__u32 from; /* of the item at cursor: what is before was put already */
};

/*
 * One message. 0: go on with the next item; -EMSGSIZE: with this one in the next skb, of which
 * nothing or, with d->from changed, a part has been put.
 */
static int dump_item(struct sk_buff *skb, struct netlink_callback *cb, const struct sw_noun *noun,
		     struct sw_item *item)
{
	struct dump *d = (struct dump *)cb->ctx;
	bool parts = noun == &sw_service_noun;
	void *hdr;
	int rc;

	hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &sw_netlink_family,
			  NLM_F_MULTI, noun->get);
	if (!hdr)
		return -EMSGSIZE;
	genl_dump_check_consistent(cb, hdr);
	if (parts)
		item->service.from = d->from;
	rc = noun->put(skb, item);
	if (rc && !(parts && item->service.from > d->from)) {
		genlmsg_cancel(skb, hdr);
		return rc;
	}
	genlmsg_end(skb, hdr);
	d->from = rc ? item->service.from : 0;
	return rc;
}

static int dump(struct sk_buff *skb, struct netlink_callback *cb, const struct sw_noun *noun)
{
	struct sw_net *sn = sw_net_of(sock_net(cb->skb->sk));
	struct dump *d = (struct dump *)cb->ctx;
	struct sw_item item;

	BUILD_BUG_ON(sizeof(*d) > sizeof_field(struct netlink_callback, ctx));
	if (nlmsg_attrlen(cb->nlh, GENL_HDRLEN)) {
		NL_SET_ERR_MSG_ATTR(cb->extack, nlmsg_attrdata(cb->nlh, GENL_HDRLEN),
				    "dumps take no attributes");
		return -EINVAL;
	}
	cb->seq = sw_seq(sn);
	rcu_read_lock();
	for (;; d->cursor++) {
		memset(&item, 0, sizeof(item));
		if (!noun->next(sn, &d->cursor, &item) || dump_item(skb, cb, noun, &item))
			break;
	}
	rcu_read_unlock();
	return skb->len;
}

#define DOIT(noun, op)                                                                             \
	int swarm_nl_##noun##_##op##_doit(struct sk_buff *skb, struct genl_info *info)             \
	{                                                                                          \
		return op(info, &sw_##noun##_noun);                                                \
	}
#define DUMPIT(noun)                                                                               \
	int swarm_nl_##noun##_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)         \
	{                                                                                          \
		return dump(skb, cb, &sw_##noun##_noun);                                           \
	}

DOIT(settings, get)
DOIT(settings, set)

DOIT(network, get)
DUMPIT(network)
DOIT(network, set)
DOIT(network, del)

DOIT(endpoint, get)
DUMPIT(endpoint)
DOIT(endpoint, set)
DOIT(endpoint, del)

DOIT(peer, get)
DUMPIT(peer)
DOIT(peer, set)
DOIT(peer, del)

DOIT(service, get)
DUMPIT(service)
DOIT(service, set)
DOIT(service, del)
DOIT(table, get)

DOIT(link, get)
DUMPIT(link)
DOIT(link, set)
DOIT(link, del)

DUMPIT(flow)

int swarm_nl_clear_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct sw_net *sn = net_of(info);

	sw_changes_lock(sn);
	sw_clear(sn);
	sw_event_change(sn, SWARM_CMD_CLEAR_NTF, NULL, NULL);
	sw_changes_unlock(sn);
	return 0;
}

int __init sw_netlink_init(void)
{
	int rc = sw_events_init();

	if (rc)
		return rc;
	rc = genl_register_family(&sw_netlink_family);
	if (rc)
		sw_events_exit();
	else
		sw_events_start();
	return rc;
}

void sw_netlink_exit(void)
{
	sw_events_stop();
	genl_unregister_family(&sw_netlink_family);
	sw_events_exit();
}

MODULE_ALIAS_GENL_FAMILY(SWARM_FAMILY_NAME);
