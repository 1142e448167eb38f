/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The generic netlink family "swarm" of include/uapi/swarm.yaml: netlink.c has what is the same for
 * all of its nouns (netlink_item.h), netlink_network.c, netlink_service.c, netlink_node.c and
 * netlink_flow.c have the nouns, events.c what is told unasked.
 */
#pragma once

#include <net/genetlink.h>

#include "netlink_gen.h"

/* For module init, behind sw_state_init(), and exit, before sw_state_exit(). Process context. */
int sw_netlink_init(void);
void sw_netlink_exit(void);

extern struct genl_family sw_netlink_family;
