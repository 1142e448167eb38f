/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of local networks: subnets out of pools, addresses out of subnets. Pure: it remembers
 * what is taken and nothing else; after a restart the networks and containers take theirs again.
 * IPv4, in host byte order here.
 * Source: moby libnetwork/ipam, ipamutils (default pools).
 */
#pragma once

#include "core/err.h"

struct ipam;

struct ip_range {
	uint32_t base; /* masked */
	unsigned int prefix;
};

/* "10.1.0.0/16", base masked. -EINVAL. */
int ip_range_parse(const char *s, struct ip_range *ret);
/* "10.1.2.3" or "10.1.2.3/16" (the prefix is ignored). -EINVAL. */
int ip_parse(const char *s, uint32_t *ret);
char *ip_format(uint32_t ip, char dst[16]);
bool ip_in(uint32_t ip, const struct ip_range *r);
bool ip_ranges_overlap(const struct ip_range *a, const struct ip_range *b);

/* pools: "base=10.0.0.0/8,size=24" texts, NULL-terminated, or NULL; without any of IPv4 Docker's defaults. */
int ipam_new(char *const *pools, struct ipam **ret, struct err *err);
void ipam_free(struct ipam *ipam);

/*
 * The first free subnet of the pools that overlaps nothing in avoid (routes of the node).
 * -EINVAL (dockerd: 400) "all predefined address pools have been fully subnetted".
 */
int ipam_choose_subnet(const struct ipam *ipam, const struct ip_range *avoid, size_t n_avoid,
		       struct ip_range *ret, struct err *err);

struct subnet;
/* Take a subnet. -EACCES "Pool overlaps with other one on this address space". */
int ipam_subnet_new(struct ipam *ipam, const struct ip_range *range, struct subnet **ret,
		    struct err *err);
/* A subnet whose addresses others choose (a swarm's): it may overlap any. */
struct subnet *ipam_subnet_foreign(const struct ip_range *range);
void ipam_subnet_free(struct subnet *s);
const struct ip_range *ipam_subnet_range(const struct subnet *s);
/*
 * Take an address: ip 0 is the lowest free one of within (NULL: of the subnet). The network and
 * the broadcast address are never given away. -EBUSY "Address already in use", -EINVAL when
 * it is outside, -ENOSPC "no available IPv4 addresses on this network's address pools".
 */
int ipam_take(struct subnet *s, uint32_t ip, const struct ip_range *within, uint32_t *ret,
	      struct err *err);
void ipam_give(struct subnet *s, uint32_t ip);
