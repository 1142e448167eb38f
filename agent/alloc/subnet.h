/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 subnets: those of networks, cut from the default pools or asked for, and the addresses in
 * one. Addresses are in host byte order. Pure.
 * Source: moby daemon/libnetwork/ipam, SWARM-WIRE §5 "Allocation".
 */
#pragma once

#include "alloc/bitmap.h"
#include "core/err.h"

struct cidr {
	uint32_t addr; /* as written, host bits included */
	unsigned int bits;
};

/* "10.0.0.0/24", or an address alone with 32 bits. -EINVAL, silent. */
int cidr_parse(const char *s, struct cidr *ret);
/* buf takes 20 bytes. Returns buf. */
char *cidr_format(const struct cidr *c, char buf[20]);
char *addr_format(uint32_t addr, char buf[20]);
uint32_t cidr_first(const struct cidr *c);
uint32_t cidr_last(const struct cidr *c);
bool cidr_overlap(const struct cidr *a, const struct cidr *b);

struct subnet {
	struct cidr net;
	uint32_t lo, hi; /* where addresses are taken from: the range, without the net's ends */
	struct bitmap used; /* offsets from the first address */
};

/* range may be NULL. */
void subnet_init(struct subnet *s, const struct cidr *net, const struct cidr *range);
void subnet_done(struct subnet *s);
bool subnet_has(const struct subnet *s, uint32_t addr);
/* Returns whether it was taken before. */
bool subnet_set(struct subnet *s, uint32_t addr);
bool subnet_clear(struct subnet *s, uint32_t addr);
/* Take the next free address. -ENOSPC, silent. */
int subnet_take(struct subnet *s, uint32_t *ret);

/* The pools that networks without a subnet of their own are cut from, and all that is in use. */
struct pools {
	struct pool {
		struct cidr net;
		unsigned int bits; /* of a subnet */
		struct bitmap used;
	} * v;
	size_t n;
	struct cidr *in_use;
	size_t n_in_use;
};

void pools_init(struct pools *p);
void pools_done(struct pools *p);
/* Those that are no CIDR are left out. Before any other call; none: 10.0.0.0/8. subnet_bits 0: 24. */
void pools_set(struct pools *p, char *const *cidrs, size_t n, unsigned int subnet_bits);
/* -EBUSY when it overlaps one in use; with force it is in use all the same. */
int pools_reserve(struct pools *p, const struct cidr *net, bool force, struct err *err);
/* The lowest free subnet. -ENOSPC. */
int pools_take(struct pools *p, struct cidr *ret, struct err *err);
void pools_release(struct pools *p, const struct cidr *net);
