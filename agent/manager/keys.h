/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key manager: three keys for each of gossip and IPsec in the cluster object, one replaced
 * every 12 h. Sorted by lamport time the second is the one to encrypt with. Keys come from
 * OpenSSL's generator. Source: swarmkit manager/keymanager/keymanager.go.
 */
#pragma once

#include "node/session_keys.h"
#include "store/component.h"

#define KEYS_ROTATION_MS (12 * 3600 * 1000ULL)

extern const struct component_ops keys_component;

/* Give a cluster without keys its first ones. Returns whether it had none. */
bool keys_init(Pb__Cluster *cluster);
