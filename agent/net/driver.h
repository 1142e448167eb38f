/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drivers of networks: what tells a bridge from a macvlan, as one table of functions for each.
 *
 * What networks have in common is not a driver's: names, subnets and addresses (nets.c,
 * network_json.c), the order of a container's changes (sandbox.c), the kernel's work for its
 * namespace (netns.c), the swarm's records and datapath (swarm_net.c, for the driver "overlay").
 * A driver owes an entry in driver.c and what is below; NULL stands for "nothing to do". All on
 * the loop's thread. Refusals are in dockerd's words.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"

struct endpoint;
struct netns_link;
struct network;

/* How packets for elsewhere leave a container that has the default route by this network. */
enum net_way {
	NET_WAY_NONE, /* not at all: internal, or by docker_gwbridge */
	NET_WAY_GATEWAY, /* by the network's gateway */
	NET_WAY_DEVICE, /* by the link itself, without a gateway */
};

struct net_driver {
	const char *name;
	bool single; /* there is the predefined network only */
	bool addresses; /* endpoints have a link, an address and names */
	/*
	 * Containers are in a network of the node's themselves: their links have no end on the node,
	 * every port of theirs is reached there, published ones mean nothing, and the gateway is
	 * another's: only one that the user names.
	 */
	bool direct;
	bool no_mac; /* links have their parent's hardware address */

	/*
	 * Options (n->options) into the driver's fields of n. Pure; also at each start.
	 * Called before the subnet is chosen.
	 */
	int (*parse)(struct network *n, struct err *err);
	/* Is another network of this node in the way of a new one? n is not in the list. */
	int (*check)(const struct network *n, struct err *err);
	/*
	 * Make it in the kernel: at its creation and at each start of the agent. Idempotent; when
	 * it fails at creation, down() follows.
	 */
	int (*up)(struct network *n, struct err *err);
	/* Take out of the kernel what up() has made. The network has no endpoints. */
	void (*down)(struct network *n);
	/* What is to be known again at the next start, beside what the API shows; and back. */
	void (*save)(const struct network *n, json_t *file);
	void (*load)(struct network *n, json_t *file);
	/* How a new endpoint's link is to be made; addresses and names are in l already. */
	int (*link)(struct endpoint *e, struct netns_link *l, struct err *err);
	/* The agent has started and the endpoint's link, with an end on the node, is still there. */
	int (*restore)(struct endpoint *e, int master, struct err *err);
	/* NULL: NET_WAY_NONE. */
	enum net_way (*way)(const struct network *n);
};

/* A word of a driver's option, and what it stands for. */
struct net_word {
	const char *word; /* NULL ends a list */
	uint32_t value;
};

/* The word s of the option ("mode", "flag") of a driver, "": the list's first. -ENXIO. Pure. */
int net_driver_word(const struct net_word *words, const char *driver, const char *option,
		    const char *s, uint32_t *ret, struct err *err);

/* NULL when there is none of this name. */
const struct net_driver *net_driver_find(const char *name);
