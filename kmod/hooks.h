/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where packets are taken from: netfilter's ingress hook of each link that is set. It comes before
 * bridges, bonds and VLANs take the packet from their ports, and before the IP stack.
 */
#pragma once

#include <linux/netlink.h>

#include "state.h"

/*
 * Hook a link of the namespace, or change the role (enum sw_link_role) of a hook that is there.
 * 0, -ENODEV with a sentence in extack, or -ENOMEM. Process context, rtnl_lock held.
 */
int sw_hook_set(struct sw_net *sn, __u32 ifindex, __u32 role, struct netlink_ext_ack *extack);
/*
 * Take the hook away; packets that are in it may still be until a grace period has passed. Nothing
 * is done when there is none. Process context, rtnl_lock held, at the latest in the link's
 * NETDEV_UNREGISTER: hooks hold no reference of the link.
 */
void sw_hook_del(struct sw_net *sn, __u32 ifindex);

/* The notifier that tells of links that go, by sw_link_gone(). For module init and exit. */
int sw_hooks_init(void);
void sw_hooks_exit(void);
