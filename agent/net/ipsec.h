/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's IPsec (xfrm) for encrypted networks: ESP in transport mode around the VXLAN between
 * this node and each node that takes part in one, keyed by the managers. What is set lives in the
 * kernel and outlives the agent. All calls on the loop's thread, in the node's network namespace.
 *
 * A key makes a state each way; its SPI follows from the addresses and the key's tag, so both nodes
 * know it. All keys are received and could be sent with; the policy names the primary one's state. So
 * a rotation adds states, moves the policy, and then takes away what belongs to the oldest key, and no
 * packet is without a state. The datapath gives its packets a mark: one without a policy is dropped,
 * never sent in the clear, by a last policy for the mark; and states leave the same mark on what they
 * decrypt, by which the datapath knows it (swarm/esp.h).
 *
 * Source: moby daemon/libnetwork/drivers/overlay/encryption.go; SWARM-WIRE §5; linux/xfrm.h.
 */
#pragma once

#include <netinet/in.h>

#include "core/err.h"

struct ipsec;

enum { IPSEC_KEY_SIZE = 16, IPSEC_KEYS_MAX = 8 };

struct ipsec_key {
	uint8_t key[IPSEC_KEY_SIZE]; /* AES-128 */
	uint32_t tag; /* the lower half of its lamport time */
};

/* Nothing is touched in the kernel yet. */
struct ipsec *ipsec_new(void);
/* What is set in the kernel stays. NULL is fine. */
void ipsec_free(struct ipsec *s);
/* This node's VXLAN address and port, before the first peer; when they change, peers go with them. */
int ipsec_local_set(struct ipsec *s, struct in_addr addr, uint16_t port, struct err *err);
/*
 * Packets with the mark are dropped from now on where no peer's policy takes them. Before the first
 * encrypted network. -EPROTONOSUPPORT when the kernel has no ESP, with a sentence that names the
 * cure. Cheap when it was done already.
 */
int ipsec_begin(struct ipsec *s, struct err *err);
/*
 * The managers' keys; primary is the index of the one to send with. Peers get them at once. Kept when
 * there is no peer. Keys beyond IPSEC_KEYS_MAX are an error.
 */
int ipsec_keys_set(struct ipsec *s, const struct ipsec_key *keys, size_t n, size_t primary,
		   struct err *err);
/* A node takes part in an encrypted network, or in none any more. Idempotent. */
int ipsec_peer_set(struct ipsec *s, struct in_addr peer, struct err *err);
void ipsec_peer_del(struct ipsec *s, struct in_addr peer);
/* What the kernel has of a former agent, and nobody has set since ipsec_begin(), goes. */
int ipsec_sweep(struct ipsec *s, struct err *err);
/*
 * After the last encrypted network: all that is in the kernel goes, also what a former agent left.
 * Peers are forgotten, keys are not.
 */
int ipsec_end(struct ipsec *s, struct err *err);
/* The swarm's end: keys are forgotten, too. */
int ipsec_clear(struct ipsec *s, struct err *err);

/* The SPI of packets from src to dst under the key of this tag. */
uint32_t ipsec_spi(struct in_addr src, struct in_addr dst, uint32_t tag);
