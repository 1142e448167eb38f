/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name server of a container, at 127.0.0.11 in its namespace, over UDP and TCP: it answers for
 * the networks that the sandbox is in, and hands on the rest to the container's or the node's
 * resolvers. Served from the loop.
 * Source: SWARM-WIRE §5 "DNS"; moby libnetwork resolver.go.
 */
#pragma once

#include "net/dns_sockets.h"

struct sandbox;
struct dns_server;

/* Takes the sockets and leaves DNS_SOCKETS_INIT. */
struct dns_server *dns_server_new(struct sandbox *sb, struct dns_sockets *sockets);
/* Questions under way go unanswered. NULL is fine. */
void dns_server_free(struct dns_server *s);
