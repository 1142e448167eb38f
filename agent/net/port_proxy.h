/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's own way from a published port of IPv6 into a container, for what the firewall cannot
 * send on: packets to ::1, and all where the container has IPv4 alone. The container sees the node
 * as its client. Works while the agent runs. TCP and UDP; loop's thread.
 * Source: moby cmd/docker-proxy.
 */
#pragma once

#include "core/err.h"
#include "net/inaddr.h"

struct loop;
struct port_proxy;

/*
 * What comes to the socket (listening, or of UDP; borrowed, not blocking) goes to the address of
 * either family and port. NULL: a protocol that it does not know.
 */
struct port_proxy *port_proxy_new(struct loop *loop, uint8_t proto, int fd,
				  const struct in6_addr *to, uint16_t port);
/* Ends its connections. NULL is fine. */
void port_proxy_free(struct port_proxy *p);
