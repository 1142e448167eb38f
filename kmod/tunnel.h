/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The namespace's UDP socket on the VXLAN port. It reserves the port; it lets the links' GRO put
 * together the TCP that is inside VXLAN; and it takes the datagrams that were fragmented between
 * the nodes, which the hooks leave to the stack's reassembly.
 */
#pragma once

#include <linux/netlink.h>

#include "state.h"

/*
 * Open the socket on port, in place of a former one on another port; 0 closes it. 0, or a negative
 * errno with a sentence in extack and the former socket as it was (-EADDRINUSE: the port is
 * another's). Process context, rtnl_lock and sw_net.lock held; may sleep for a grace
 * period.
 */
int sw_tunnel_set(struct sw_net *sn, __be16 port, struct netlink_ext_ack *extack);

/*
 * A device asks for the ports of tunnels (NETDEV_UDP_TUNNEL_PUSH_INFO), or forgets them (tell
 * false). From the netdevice notifier, rtnl_lock held.
 */
void sw_tunnel_tell(struct sw_net *sn, struct net_device *dev, bool tell);
