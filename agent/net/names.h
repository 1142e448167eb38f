/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of one network: which addresses a name has, which name an address has. Pure. A name
 * may have several addresses and an address several names; each pair is counted, so what adds
 * pairs takes away the same ones. Names are compared without case. Addresses are of either family
 * (net/inaddr.h).
 */
#pragma once

#include "core/map.h"
#include "net/inaddr.h"

struct names {
	struct map by_name, by_ip;
};

void names_init(struct names *n);
void names_done(struct names *n);
/* reverse: the name is an answer to the question for the address. Empty names are ignored. */
void names_add(struct names *n, const char *name, const struct in6_addr *ip, bool reverse);
void names_del(struct names *n, const char *name, const struct in6_addr *ip, bool reverse);
/* Of an IPv4 address in host byte order; 0 is ignored. */
void names_add4(struct names *n, const char *name, uint32_t ip, bool reverse);
void names_del4(struct names *n, const char *name, uint32_t ip, bool reverse);
/* Up to max addresses in order of coming. Returns how many there are in ret. */
size_t names_lookup(const struct names *n, const char *name, struct in6_addr *ret, size_t max);
/* The oldest name of an address, borrowed, or NULL. */
const char *names_reverse(const struct names *n, const struct in6_addr *ip);
