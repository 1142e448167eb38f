/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv6 addresses of local networks, as net/ipam.h has IPv4's: subnets out of pools, addresses out
 * of subnets. Pure: after a restart the networks and containers take theirs again.
 * Source: moby libnetwork/ipam, daemon (deriveULABaseNetwork), RFC 4193.
 */
#pragma once

#include <netinet/in.h>

#include "core/err.h"

struct ipam6;
struct subnet6;

struct ip6_range {
	struct in6_addr base; /* masked */
	unsigned int prefix;
};

/* "2001:db8::1" or "2001:db8::1/64" (the prefix is ignored); IPv4 in no form. -EINVAL. */
int ip6_parse(const char *s, struct in6_addr *ret);
/* "2001:db8:1::/64", base masked. -EINVAL. */
int ip6_range_parse(const char *s, struct ip6_range *ret);
bool ip6_in(const struct in6_addr *ip, const struct ip6_range *r);

/*
 * pools: the IPv6 ones of "base=fd12::/48,size=64" texts, NULL-terminated or NULL. Without any: /64s
 * out of a unique local /48 that follows from id, the engine's.
 */
int ipam6_new(char *const *pools, const char *id, struct ipam6 **ret, struct err *err);
void ipam6_free(struct ipam6 *ipam);
/*
 * The first free subnet that overlaps nothing in avoid (routes of the node). -EINVAL "all predefined
 * address pools have been fully subnetted".
 */
int ipam6_choose_subnet(const struct ipam6 *ipam, const struct ip6_range *avoid, size_t n_avoid,
			struct ip6_range *ret, struct err *err);
/* Take a subnet. -EACCES "Pool overlaps with other one on this address space". */
int ipam6_subnet_new(struct ipam6 *ipam, const struct ip6_range *range, struct subnet6 **ret,
		     struct err *err);
void subnet6_free(struct subnet6 *s);
const struct ip6_range *subnet6_range(const struct subnet6 *s);
/*
 * Take an address: ip NULL is the lowest free one of within (NULL: of the subnet). The first of a
 * subnet, which stands for any router, is never given away (but of a /127). -EBUSY "Address already in
 * use", -EINVAL when it is outside, -ENOSPC when all are taken.
 */
int subnet6_take(struct subnet6 *s, const struct in6_addr *ip, const struct ip6_range *within,
		 struct in6_addr *ret, struct err *err);
void subnet6_give(struct subnet6 *s, const struct in6_addr *ip);
