/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The generic netlink family "swarm" of include/uapi/swarm.yaml: netlink.c has requests for one
 * object, netlink_dump.c reading all, netlink_put.c objects as attributes, events.c what is told
 * unasked.
 */
#pragma once

#include <net/genetlink.h>

#include "netlink_gen.h"

/* For module init, behind sw_state_init(), and exit, before sw_state_exit(). Process context. */
int sw_netlink_init(void);
void sw_netlink_exit(void);

extern struct genl_family sw_netlink_family;
