// SPDX-License-Identifier: Apache-2.0
/* The driver ipvlan: containers with addresses of their own behind the hardware address of a link of the node. */
#include <errno.h>
#include <linux/if_link.h>

#include "net/net_impl.h"
#include "net/netns.h"

int ipvlan_mode(const char *s, uint32_t *ret, struct err *err)
{
	static const struct net_word modes[] = {
		{"l2", IPVLAN_MODE_L2}, {"l3", IPVLAN_MODE_L3}, {"l3s", IPVLAN_MODE_L3S}, {0}};

	return net_driver_word(modes, "ipvlan", "mode", s, ret, err);
}

int ipvlan_flag(const char *s, uint16_t *ret, struct err *err)
{
	static const struct net_word flags[] = {
		{"bridge", 0}, {"private", IPVLAN_F_PRIVATE}, {"vepa", IPVLAN_F_VEPA}, {0}};
	uint32_t flag;
	int rc = net_driver_word(flags, "ipvlan", "flag", s, &flag, err);

	if (!rc)
		*ret = flag;
	return rc;
}

static int parse(struct network *n, struct err *err)
{
	int rc = ipvlan_mode(network_option(n, "ipvlan_mode"), &n->mode, err);

	if (!rc)
		rc = ipvlan_flag(network_option(n, "ipvlan_flag"), &n->flag, err);
	return rc ? rc : parent_parse(n, "di-", err);
}

/* The mode is the parent's: it is one network's alone. */
static int check(const struct network *n, struct err *err)
{
	struct network *other = NULL;

	while ((other = parent_next_user(n, other)))
		if (other->driver == n->driver)
			return err_set(err, -ENXIO,
				       "network di-%.12s is already using parent interface %s",
				       other->id, n->parent.name);
	return 0;
}

static int link_of(struct endpoint *e, struct netns_link *l, struct err *err)
{
	l->kind = "ipvlan";
	l->mode = e->network->mode;
	l->flag = e->network->flag;
	return parent_index(e->network, &l->parent, err);
}

static enum net_way way(const struct network *n)
{
	if (n->internal || n->parent.dummy)
		return NET_WAY_NONE;
	if (n->mode != IPVLAN_MODE_L2)
		return NET_WAY_DEVICE;
	return n->gateway ? NET_WAY_GATEWAY : NET_WAY_NONE;
}

const struct net_driver net_driver_ipvlan = {
	.name = "ipvlan",
	.addresses = true,
	.direct = true,
	.no_mac = true,
	.parse = parse,
	.check = check,
	.up = parent_up,
	.down = parent_down,
	.save = parent_save,
	.load = parent_load,
	.link = link_of,
	.way = way,
};
