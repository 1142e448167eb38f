/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link of the node that a macvlan or ipvlan network is on, its parent. It is one of the node's,
 * or made here: a dummy where the user names none, so that containers see each other and nobody
 * else, or the sub-interface of a VLAN by its name, "eth0.50". What was made here goes with the
 * last network on it.
 * Source: moby libnetwork drivers/macvlan, drivers/ipvlan.
 */
#pragma once

#include <jansson.h>
#include <net/if.h>

#include "core/err.h"

struct network;

struct parent {
	char name[IF_NAMESIZE]; /* "": the network has none */
	bool dummy;
	bool made; /* by this agent or a former one */
	bool up; /* in use by the network */
};

/* The option parent of the network; without it, the name of a dummy: prefix and the network's ID. */
int parent_parse(struct network *n, const char *prefix, struct err *err);
/* "eth0.50" is VLAN 50 on eth0. Pure. */
int parent_vlan(const char *name, char ret_link[IF_NAMESIZE], unsigned int *ret_id,
		struct err *err);
/* Another network of this node on the same parent, start with NULL; NULL at the end. */
struct network *parent_next_user(const struct network *n, struct network *after);
/* It is there afterwards: made, if it can be. */
int parent_up(struct network *n, struct err *err);
void parent_down(struct network *n);
/* As parent_up(), when a container comes: its index. */
int parent_index(struct network *n, int *ret, struct err *err);

/* Functions of struct net_driver. */
void parent_save(const struct network *n, json_t *file);
void parent_load(struct network *n, json_t *file);
