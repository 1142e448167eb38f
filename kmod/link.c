// SPDX-License-Identifier: GPL-2.0-only
/* The links whose packets are ours. */
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>

#include "events.h"
#include "hooks.h"
#include "state_impl.h"

static void link_remove(struct sw_net *sn, __u32 ifindex, struct sw_link_obj *l)
{
	lockdep_assert_held(&sn->lock);
	sw_hook_del(sn, ifindex);
	xa_erase(&sn->links, ifindex);
	sn->usage.links--;
	kfree_rcu(l, rcu);
}

static bool link_del(struct sw_net *sn, __u32 ifindex)
{
	struct sw_link_obj *l = xa_load(&sn->links, ifindex);

	if (l)
		link_remove(sn, ifindex, l);
	return l;
}

static int value_of(struct sw_net *sn, __u32 ifindex, const struct sw_link *l, struct sw_link *ret,
		    struct netlink_ext_ack *extack)
{
	struct net_device *dev = __dev_get_by_index(sn->net, ifindex);
	struct sw_network *n;

	if (!dev) {
		NL_SET_ERR_MSG(extack, "no link has this index: name one of the namespace");
		return -ENODEV;
	}
	*ret = (struct sw_link){.role = l->role};
	if (l->role == SW_LINK_CONTAINER) {
		ret->vni = l->vni;
		ret->addr = l->addr;
		rcu_read_lock();
		n = sw_network_find(sn, l->vni);
		if (n && n->flags & SW_NETWORK_INGRESS)
			ret->flags |= SW_LINK_INGRESS;
		rcu_read_unlock();
	} else if (netif_is_bridge_master(dev)) {
		ret->flags |= SW_LINK_BRIDGE;
	}
	return 0;
}

static int link_store(struct sw_net *sn, __u32 ifindex, struct sw_link_obj *old,
		      const struct sw_link *v)
{
	struct sw_link_obj *l = kzalloc(sizeof(*l), SW_GFP);
	int rc;

	if (!l)
		return -ENOMEM;
	l->v = *v;
	rc = xa_err(xa_store(&sn->links, ifindex, l, SW_GFP));
	if (rc) {
		kfree(l);
		return rc;
	}
	if (old)
		kfree_rcu(old, rcu);
	else
		sn->usage.links++;
	return 0;
}

static int link_set(struct sw_net *sn, __u32 ifindex, const struct sw_link *l,
		    struct netlink_ext_ack *extack)
{
	struct sw_link_obj *old = xa_load(&sn->links, ifindex);
	struct sw_link v;
	int rc;

	lockdep_assert_held(&sn->lock);
	if (l->role != SW_LINK_CONTAINER && l->role != SW_LINK_CLIENTS) {
		NL_SET_ERR_MSG(extack, "links are set as container or clients");
		return -EINVAL;
	}
	rc = value_of(sn, ifindex, l, &v, extack);
	if (rc)
		return rc;
	if (old && !memcmp(&old->v, &v, sizeof(v)))
		return 0;
	if (!old && sn->usage.links >= SW_LINKS_MAX) {
		NL_SET_ERR_MSG(extack,
			       "16384 links are set, which is the limit: delete unused ones");
		return -ENOSPC;
	}
	rc = link_store(sn, ifindex, old, &v);
	if (rc)
		return rc;
	rc = sw_hook_set(sn, ifindex, v.role, extack);
	if (rc) {
		link_del(sn, ifindex);
		sw_changed(sn);
	}
	return rc ?: 1;
}

int sw_link_set(struct sw_net *sn, __u32 ifindex, const struct sw_link *l,
		struct netlink_ext_ack *extack)
{
	int rc;

	if (l->role == SW_LINK_LOOPBACK)
		return 0;
	rtnl_lock();
	mutex_lock(&sn->lock);
	rc = link_set(sn, ifindex, l, extack);
	if (rc > 0)
		sw_changed(sn);
	mutex_unlock(&sn->lock);
	rtnl_unlock();
	return rc;
}

int sw_link_del(struct sw_net *sn, __u32 ifindex, struct netlink_ext_ack *extack)
{
	bool removed;

	rtnl_lock();
	mutex_lock(&sn->lock);
	removed = link_del(sn, ifindex);
	if (removed)
		sw_changed(sn);
	mutex_unlock(&sn->lock);
	rtnl_unlock();
	return removed;
}

void sw_link_gone(struct sw_net *sn, __u32 ifindex)
{
	bool was_set;

	ASSERT_RTNL();
	mutex_lock(&sn->lock);
	was_set = link_del(sn, ifindex);
	if (was_set)
		sw_changed(sn);
	else
		sw_hook_del(sn, ifindex); /* the loopback */
	mutex_unlock(&sn->lock);
	if (was_set)
		sw_event_link_gone(sn, ifindex);
}

void sw_links_clear(struct sw_net *sn)
{
	struct sw_link_obj *l;
	unsigned long ifindex;

	ASSERT_RTNL();
	xa_for_each(&sn->links, ifindex, l)
		link_remove(sn, ifindex, l);
}
