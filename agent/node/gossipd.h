/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gossip among the nodes of a swarm: the sockets, clock and keys around gossip/swim.h (who is
 * alive) and gossip/netdb.h (which endpoint is where).
 *
 * 7946/udp and 7946/tcp. Streams whose first byte is a TLS handshake's (0x16) belong to image
 * sharing and are handed on. Local endpoints come from net/records.h and are published, what
 * others publish goes there. All calls on the loop's thread. Source: SWARM-WIRE §4;
 * moby daemon/libnetwork/agent.go.
 */
#pragma once

#include "core/err.h"
#include "wire/types.pb-c.h"

struct loop;
struct rng;
struct nets;
struct gossipd;

struct gossipd_options {
	struct loop *loop;
	struct rng *rng;
	struct nets *nets; /* NULL: membership only */
	const char *listen_addr; /* NULL: any */
	const char *advertise_addr; /* an IP address */
	const char *data_path_addr; /* NULL: the advertised one */
	uint16_t port; /* 0: 7946 */
	/* A node that was alive does no longer answer (alive false), or is back. addr: its IP address. */
	void (*on_member)(const char *addr, bool alive, void *arg);
	/* A TLS connection, whose bytes have not been read; fd is the callee's. May be NULL. */
	void (*on_tls)(int fd, void *arg);
	void *arg;
};

/* -EADDRINUSE with a sentence when the port is taken. Speaks only once it has keys. */
int gossipd_open(const struct gossipd_options *opt, struct gossipd **ret, struct err *err);
/* Says good-bye when leave is true (the node leaves the swarm), else it just stops. NULL is fine. */
void gossipd_close(struct gossipd *g, bool leave);
/* The session's keys of both subsystems; those of "networking:gossip" are used. */
void gossipd_set_keys(struct gossipd *g, Pb__EncryptionKey *const *keys, size_t n);
/* The managers of the session: "host:2377"; their IP addresses are the seeds. */
void gossipd_set_seeds(struct gossipd *g, Pb__WeightedPeer *const *managers, size_t n);
/* Members alive, this node included. */
size_t gossipd_size(const struct gossipd *g);
/* The addresses of other members alive, valid until the next call: start with *pos = 0; NULL at the end. */
const char *gossipd_next(struct gossipd *g, size_t *pos);
