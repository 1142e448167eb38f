/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links, addresses, routes and rules by rtnetlink, in any network namespace.
 *
 * A struct rt is a socket of one namespace; it may be used on any thread, by one at a time. Calls
 * are synchronous: they return when the kernel has acknowledged, 0 or a negative errno; what asks
 * for something that is there already ("File exists") or removes something absent is 0.
 * Addresses are in network byte order.
 * Source: rtnetlink(7), linux/if_link.h.
 */
#pragma once

#include <net/if.h>
#include <netinet/in.h>

#include "core/err.h"

struct rt;

/* netns_fd -1: the calling thread's namespace. */
int rt_open(int netns_fd, struct rt **ret, struct err *err);
void rt_close(struct rt *rt);

/* Enter a namespace with the calling thread; 0 or a negative errno. */
int netns_enter(int netns_fd);
/* The calling thread's namespace, a descriptor to close, or a negative errno. */
int netns_current(void);

/* The links that this agent makes for containers are in this group, so that they are told apart. */
enum { RT_GROUP_CONTAINERS = 20054 };

struct rt_link {
	int index, master, link; /* 0: none */
	unsigned int type; /* ARPHRD_… */
	unsigned int flags, mtu, group;
	char name[IF_NAMESIZE];
	char kind[16]; /* "" for hardware */
	uint8_t mac[6];
	bool gone; /* in an event: it was removed */
};

/*
 * -ENODEV when there is none. Also ends a change of its carrier that is under way (Linux 6.8): a
 * link that has just come up may otherwise drop what is sent for a moment.
 */
int rt_link_get(struct rt *rt, const char *name, struct rt_link *ret);
int rt_links(struct rt *rt, void (*fn)(const struct rt_link *l, void *arg), void *arg);
int rt_link_del(struct rt *rt, const char *name);
int rt_link_up(struct rt *rt, int index);
int rt_link_down(struct rt *rt, int index);
/* It is down. */
int rt_link_rename(struct rt *rt, int index, const char *name);
/* No IPv6 address by itself. */
int rt_link_no_ipv6(struct rt *rt, int index);
int rt_link_set_master(struct rt *rt, int index, int master);
int rt_bridge_add(struct rt *rt, const char *name, const uint8_t mac[6], unsigned int mtu);
/* Of a bridge's port: no packets to and from other isolated ports; packets may leave where they came in. */
int rt_port_set(struct rt *rt, int index, bool isolated, bool hairpin);

struct rt_veth {
	const char *name; /* the end here */
	int master; /* bridge of that end; 0: none */
	int peer_netns; /* where the other end goes */
	const char *peer_name;
	uint8_t peer_mac[6];
	unsigned int mtu;
};
/* Both ends are made down. -EEXIST when a name is taken. */
int rt_veth_add(struct rt *rt, const struct rt_veth *v);

/* A link on another one, or a dummy, which is on none. Made down. */
struct rt_sublink {
	const char *kind; /* "macvlan", "ipvlan", "vlan", "dummy" */
	const char *name;
	int parent; /* index, here */
	int netns; /* where it goes; -1: it stays */
	const uint8_t *mac; /* NULL: chosen by the kernel */
	unsigned int mtu; /* 0: its parent's */
	uint32_t mode; /* macvlan, ipvlan */
	uint16_t flag; /* ipvlan */
	unsigned int vlan; /* number */
};
/* -EEXIST when the name is taken, -EOPNOTSUPP when the kernel does not know the kind. */
int rt_sublink_add(struct rt *rt, const struct rt_sublink *l);
/* Why a link of this kind could not be made: "what: reason", and what the kernel lacks. Returns rc. */
int rt_kind_err(struct err *err, int rc, const char *kind, const char *what, ...) _printf_(4, 5);

int rt_addr_add(struct rt *rt, int index, struct in_addr addr, unsigned int prefix);
int rt_addr_del(struct rt *rt, int index, struct in_addr addr, unsigned int prefix);
int rt_addrs(struct rt *rt, int index,
	     void (*fn)(struct in_addr addr, unsigned int prefix, void *arg), void *arg);

/* Usable at once: nobody else is asked whether they have it. */
int rt_addr6_add(struct rt *rt, int index, const struct in6_addr *addr, unsigned int prefix);
/* IPv6 destinations of the main table but the default and links' own (fe80::/64). */
int rt_routes6(struct rt *rt,
	       void (*fn)(const struct in6_addr *dst, unsigned int prefix, void *arg), void *arg);
/* The default route of IPv6 is via gateway (none: ::) of the link, whatever it was. */
int rt_default6_set(struct rt *rt, const struct in6_addr *gateway);

struct rt_route {
	struct in_addr dst;
	unsigned int prefix; /* 0: default */
	struct in_addr gateway, src; /* 0: none */
	int index;
	unsigned int table; /* 0: main */
};
int rt_route_add(struct rt *rt, const struct rt_route *r);
int rt_route_del(struct rt *rt, const struct rt_route *r);
/* Of the main table. */
int rt_routes(struct rt *rt, void (*fn)(const struct rt_route *r, void *arg), void *arg);

struct rt_rule {
	unsigned int pref, table;
	struct in_addr from; /* 0: any */
	unsigned int proto, sport; /* 0: any */
	bool no_default; /* suppress_prefixlength 0 */
};
int rt_rule_add(struct rt *rt, const struct rt_rule *r);

/*
 * Changes of links, from now on: a nonblocking descriptor of rt, which is good for nothing else
 * then. rt_link_events reads what is there; -ENOBUFS: some were lost, list them anew.
 */
int rt_link_subscribe(struct rt *rt);
int rt_link_events(struct rt *rt, void (*fn)(const struct rt_link *l, void *arg), void *arg);
