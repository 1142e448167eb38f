/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's table of flows: what it has decided for a UDP client's first datagram it keeps for
 * the following ones, so a client that never pauses would not see that a port has been published
 * or has moved to another container.
 * Source: linux/netfilter/nfnetlink_conntrack.h; moby libnetwork/iptables/conntrack.go.
 */
#pragma once

#include "core/err.h"
#include "net/inaddr.h"

struct conntrack_port {
	uint16_t port; /* of the node, UDP; all ports in host byte order */
	struct in6_addr addr; /* of the container, of either family */
	uint16_t to;
	bool gone; /* forget flows that go there; false: those that go elsewhere */
};

/*
 * Forget flows of the calling thread's namespace. Looks at all flows: for a worker thread.
 * 0 or a negative errno.
 */
int conntrack_forget(const struct conntrack_port *ports, size_t n);
