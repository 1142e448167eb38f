/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that managers give every node with its session: a few for each subsystem, the oldest going
 * and the newest coming at each rotation. Of three the middle one is what all have, and is sent with;
 * all are received. Source: swarmkit manager/keymanager/keymanager.go; moby daemon/libnetwork/agent.go.
 */
#pragma once

#include "wire/types.pb-c.h"

#define KEYS_GOSSIP "networking:gossip"
#define KEYS_IPSEC "networking:ipsec"

enum { SESSION_KEYS_MAX = 8 }; /* of a subsystem */

/* Those of a subsystem by their age, borrowed, and the index of the one to send with. Returns how many. */
size_t session_keys(Pb__EncryptionKey *const *all, size_t n, const char *subsystem,
		    const Pb__EncryptionKey *ret[SESSION_KEYS_MAX], size_t *ret_primary);
