/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports of this node are reserved by sockets that the agent holds, so that two
 * containers, or a container and another program, cannot have the same one. A TCP socket listens
 * (binding alone would let programs with SO_REUSEADDR in); packets do not reach it, since the
 * firewall sends them on before. Loop's thread.
 * Source: moby libnetwork/portallocator.
 */
#pragma once

#include <netinet/in.h>

#include "core/err.h"

struct ports;

struct ports *ports_new(void);
void ports_free(struct ports *ports);
/*
 * Reserve the first free port of [first, last], or with first 0 a dynamic one (the node's
 * ip_local_port_range, one after the other). addr 0: all addresses. Returns a descriptor that holds it
 * (-1 is no error for protocols without sockets: see *ret_fd), and the port.
 * -EADDRINUSE "Bind for 0.0.0.0:80 failed: port is already allocated", -EADDRNOTAVAIL, -EACCES.
 */
int ports_reserve(struct ports *ports, uint8_t proto, struct in_addr addr, uint16_t first,
		  uint16_t last, int *ret_fd, uint16_t *ret_port, struct err *err);
