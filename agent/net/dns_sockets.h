/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets by which a container's name server is reached at 127.0.0.11:53 of its namespace.
 * They are bound to a port that nobody asks for; a BPF program of the namespace steers the
 * questions to them, so that port 53 stays free for the container. Answers over UDP are sent with
 * the right source port by a raw socket. Where the kernel lets no such program be, the sockets are
 * bound to port 53 itself. Any thread.
 */
#pragma once

#include <netinet/in.h>

#include "core/err.h"

struct dns_sockets {
	int udp, tcp; /* bound; bound and listening; -1: none */
	int raw; /* -1: answers go by the bound socket */
	void *lookup; /* the program; private */
};

#define DNS_SOCKETS_INIT                                                                           \
	{                                                                                          \
		-1, -1, -1, NULL                                                                   \
	}

/* The calling thread is in the namespace. */
int dns_sockets_open(struct dns_sockets *ret, struct err *err);
/* Also fine for DNS_SOCKETS_INIT, which it leaves behind. */
void dns_sockets_close(struct dns_sockets *s);
/* A datagram from 127.0.0.11:53; what cannot be sent is lost, as datagrams are. */
void dns_sockets_send(const struct dns_sockets *s, const void *p, size_t size,
		      const struct sockaddr_in *to);
