// SPDX-License-Identifier: GPL-2.0-only
/* The module's beginning and end: the former's ladder is the latter's, upside down. */
#include <linux/module.h>

#include "hooks.h"
#include "netlink.h"
#include "state.h"

static int __init swarm_init(void)
{
	int rc;

	rc = sw_state_init();
	if (rc)
		return rc;
	rc = sw_hooks_init();
	if (rc)
		goto undo_state;
	rc = sw_netlink_init();
	if (rc)
		goto undo_hooks;
	return 0;

undo_hooks:
	sw_hooks_exit();
undo_state:
	sw_state_exit();
	return rc;
}

/* sw_state_exit() waits for what packets and RCU have of us. */
static void __exit swarm_exit(void)
{
	sw_netlink_exit();
	sw_hooks_exit();
	sw_state_exit();
}

module_init(swarm_init);
module_exit(swarm_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Overlay networks, service balancing and published ports of a swarm");
