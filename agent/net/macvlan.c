// SPDX-License-Identifier: Apache-2.0
/* The driver macvlan: containers with hardware addresses of their own on a link of the node. */
#include <errno.h>
#include <linux/if_link.h>

#include "net/net_impl.h"
#include "net/netns.h"

int macvlan_mode(const char *s, uint32_t *ret, struct err *err)
{
	static const struct net_word modes[] = {{"bridge", MACVLAN_MODE_BRIDGE},
						{"private", MACVLAN_MODE_PRIVATE},
						{"vepa", MACVLAN_MODE_VEPA},
						{"passthru", MACVLAN_MODE_PASSTHRU},
						{0}};

	return net_driver_word(modes, "macvlan", "mode", s, ret, err);
}

static int parse(struct network *n, struct err *err)
{
	int rc = macvlan_mode(network_option(n, "macvlan_mode"), &n->mode, err);

	return rc ? rc : parent_parse(n, "dm-", err);
}

/* A parent that is passed through is one network's alone. */
static int check(const struct network *n, struct err *err)
{
	struct network *other = NULL;

	while ((other = parent_next_user(n, other))) {
		if (other->driver != n->driver)
			continue;
		if (n->mode == MACVLAN_MODE_PASSTHRU)
			return err_set(err, -ENXIO,
				       "cannot use mode passthru, macvlan network %s is already "
				       "using parent interface %s",
				       other->id, n->parent.name);
		if (other->mode == MACVLAN_MODE_PASSTHRU)
			return err_set(err, -ENXIO,
				       "macvlan network %s is already using parent interface %s in "
				       "mode passthru",
				       other->id, n->parent.name);
	}
	return 0;
}

static int link_of(struct endpoint *e, struct netns_link *l, struct err *err)
{
	l->kind = "macvlan";
	l->mode = e->network->mode;
	return parent_index(e->network, &l->parent, err);
}

static enum net_way way(const struct network *n)
{
	return n->internal || n->parent.dummy || !n->gateway ? NET_WAY_NONE : NET_WAY_GATEWAY;
}

const struct net_driver net_driver_macvlan = {
	.name = "macvlan",
	.addresses = true,
	.direct = true,
	.parse = parse,
	.check = check,
	.up = parent_up,
	.down = parent_down,
	.save = parent_save,
	.load = parent_load,
	.link = link_of,
	.way = way,
};
