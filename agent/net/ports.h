/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports of this node are reserved by sockets that the agent holds, so that two
 * containers, or a container and another program, cannot have the same one. A TCP socket listens
 * (binding alone would let programs with SO_REUSEADDR in); what reaches it is what the firewall has
 * not sent on before (net/port_proxy.h). Loop's thread.
 * Source: moby libnetwork/portallocator.
 */
#pragma once

#include "core/err.h"
#include "net/inaddr.h"

struct ports;

enum { PORTS_ADDRS_MAX = 2 };

struct ports *ports_new(void);
void ports_free(struct ports *ports);
/*
 * Reserve the first port of [first, last] that is free at all n addresses (at most PORTS_ADDRS_MAX;
 * 0.0.0.0 and :: are all of a family), or with first 0 a dynamic one (the node's ip_local_port_range,
 * one after the other). Returns a descriptor for each address that holds it (-1 is no error for
 * protocols without sockets), and the port.
 * -EADDRINUSE "Bind for 0.0.0.0:80 failed: port is already allocated", -EADDRNOTAVAIL, -EACCES.
 */
int ports_reserve(struct ports *ports, uint8_t proto, const struct in6_addr *addrs, size_t n,
		  uint16_t first, uint16_t last, int *ret_fds, uint16_t *ret_port, struct err *err);
/* Can sockets of IPv6 be made? */
bool ports_have_ipv6(void);
