// SPDX-License-Identifier: GPL-2.0-only
#include "hooks.h"

#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>

#include "config.h"
#include "packet.h"
#include "tunnel.h"

/* The device is not held: the hook goes when it is unregistered. */
struct sw_hook {
	struct hlist_node node; /* of sw_net.hooks */
	struct rcu_head rcu;
	__u32 ifindex;
	struct nf_hook_ops ops;
};

static struct sw_hook *find_hook(struct sw_net *sn, __u32 ifindex)
{
	struct sw_hook *h;

	ASSERT_RTNL();
	hlist_for_each_entry(h, &sn->hooks, node)
		if (h->ifindex == ifindex)
			return h;
	return NULL;
}

static void remove_hook(struct sw_net *sn, struct sw_hook *h)
{
	nf_unregister_net_hook(sn->net, &h->ops);
	hlist_del(&h->node);
	kfree_rcu(h, rcu);
}

static nf_hookfn *hook_of_role(__u32 role)
{
	switch (role) {
	case SW_LINK_CONTAINER:
		return sw_packet_container;
	case SW_LINK_CLIENTS:
		return sw_packet_clients;
	case SW_LINK_LOOPBACK:
		return sw_packet_loopback;
	}
	return NULL;
}

int sw_hook_set(struct sw_net *sn, __u32 ifindex, __u32 role, struct netlink_ext_ack *extack)
{
	struct sw_hook *old = find_hook(sn, ifindex), *h;
	nf_hookfn *hook = hook_of_role(role);
	struct net_device *dev;
	int rc;

	if (old && old->ops.hook == hook)
		return 0;
	dev = __dev_get_by_index(sn->net, ifindex);
	if (!dev) {
		NL_SET_ERR_MSG(extack, "no link has this index: name one of the namespace");
		return -ENODEV;
	}
	if (!hook) {
		NL_SET_ERR_MSG(extack, "links are of role container, clients or loopback");
		return -EINVAL;
	}
	h = kzalloc(sizeof(*h), GFP_KERNEL);
	if (!h)
		return -ENOMEM;
	h->ifindex = ifindex;
	h->ops.hook = hook;
	h->ops.dev = dev;
	h->ops.priv = sn;
	h->ops.pf = NFPROTO_NETDEV;
	h->ops.hooknum = NF_NETDEV_INGRESS;
	h->ops.priority = INT_MIN; /* as tc's programs, before all that is filtered here */
	/* from one role to another without a packet that is in none: the later one comes second */
	rc = nf_register_net_hook(sn->net, &h->ops);
	if (rc) {
		NL_SET_ERR_MSG(extack, "netfilter has no more room for hooks of this link");
		kfree(h);
		return rc;
	}
	hlist_add_head(&h->node, &sn->hooks);
	if (old)
		remove_hook(sn, old);
	return 0;
}

void sw_hook_del(struct sw_net *sn, __u32 ifindex)
{
	struct sw_hook *h = find_hook(sn, ifindex);

	if (h)
		remove_hook(sn, h);
}

/* A namespace that could not be set up tells of its links without having a sw_net. */
static int on_link(struct notifier_block *nb, unsigned long event, void *info)
{
	struct net_device *dev = netdev_notifier_info_to_dev(info);
	struct sw_net *sn = sw_net_of(dev_net(dev));

	if (!sn)
		return NOTIFY_DONE;
	switch (event) {
	case NETDEV_UNREGISTER:
		sw_link_gone(sn, dev->ifindex);
		break;
	case NETDEV_UDP_TUNNEL_PUSH_INFO:
	case NETDEV_UDP_TUNNEL_DROP_INFO:
		sw_tunnel_tell(sn, dev, event == NETDEV_UDP_TUNNEL_PUSH_INFO);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block notifier = {.notifier_call = on_link};

int sw_hooks_init(void)
{
	return register_netdevice_notifier(&notifier);
}

/* Tells the notifier once more of every link of every namespace, as if it were unregistered. */
void sw_hooks_exit(void)
{
	unregister_netdevice_notifier(&notifier);
}
