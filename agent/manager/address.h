/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses of a node in a swarm, from what the user gave: an IP address, an interface or
 * nothing, each with an optional port. Reads this namespace's interfaces. Sentences are dockerd's.
 * Source: moby daemon/cluster/listen_addr.go.
 */
#pragma once

#include "core/err.h"

enum { SWARM_PORT = 2377, VXLAN_PORT = 4789, ADDRESS_SIZE = 64 };

struct swarm_addresses {
	char listen[ADDRESS_SIZE]; /* "0.0.0.0:2377" */
	char advertise[ADDRESS_SIZE]; /* "192.0.2.1:2377" */
	char data_path[ADDRESS_SIZE]; /* "192.0.2.1", without port */
};

/*
 * Each argument may be NULL or "". fallback: --swarm-default-advertise-addr, used when advertise is
 * not given. -EINVAL with a sentence; *ret is untouched then.
 */
int swarm_addresses(const char *listen, const char *advertise, const char *data_path,
		    const char *fallback, struct swarm_addresses *ret, struct err *err);
/* "host", "host:port" or "[v6]:port" as "host:port"; the port is dflt when absent. -EINVAL. */
int address_with_port(const char *s, uint16_t dflt, char ret[ADDRESS_SIZE], struct err *err);
/* Split "host:port"; host takes ADDRESS_SIZE. -EINVAL. */
int address_split(const char *s, char host[ADDRESS_SIZE], uint16_t *ret_port);
/* Open a listening TCP socket on "ip:port", non-blocking. Returns it or a negative errno. */
int address_listen(const char *addr, struct err *err);
