/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who takes part in which network, and the networks' tables: networkdb over gossip/swim.h. Pure,
 * like it. Everything passed in or out is borrowed for the call.
 *
 * A node gets table entries of networks that it has joined only. An entry belongs to the node
 * that made it and goes with it; of two writes the one with the later Lamport time counts. A
 * node that finds its own entry under another owner (itself before a restart) says it again.
 * Source: SWARM-WIRE §4; moby daemon/libnetwork/networkdb.
 */
#pragma once

#include "core/map.h"
#include "core/rng.h"
#include "gossip/swim.h"

struct netdb;

struct netdb_change {
	const char *network_id, *table, *key, *owner;
	const void *value;
	size_t size;
	bool deleted;
};

struct netdb_ops {
	/* To a member, by name; what cannot be sent is lost. */
	void (*send)(const char *node, const void *data, size_t size, bool reliable, void *arg);
	/* netdb_broadcasts() has something to give. */
	void (*wake)(void *arg);
	/* Exchange states with a node that is thought to be gone, or is back. */
	void (*reconnect)(const struct swim_addr *addr, void *arg);
	/* An entry of another node in a network that this node has joined. */
	void (*changed)(const struct netdb_change *c, void *arg);
	void *arg;
};

struct netdb_config {
	const char *name;
	/* 0: networkdb's: 200, 30000, 1800000, 1400 less what seals and wraps it */
	uint32_t gossip_ms, sync_ms, tombstone_ms, packet_size;
};

struct netdb *netdb_new(const struct netdb_config *c, const struct netdb_ops *ops, struct rng *rng,
			uint64_t now_ms);
void netdb_free(struct netdb *db);

/* From swim: a member came, went, is suspected (which changes nothing here). */
void netdb_member(struct netdb *db, const struct swim_member *m, uint64_t now_ms);
void netdb_message(struct netdb *db, const void *data, size_t size, uint64_t now_ms);
size_t netdb_broadcasts(struct netdb *db, size_t overhead, size_t *avail, size_t max,
			void (*emit)(const void *data, size_t size, void *arg), void *arg);
void netdb_local_state(struct netdb *db, bool join, struct buf *ret);
void netdb_merge_state(struct netdb *db, const void *data, size_t size, uint64_t now_ms);

/* Take part in a network, and no longer: its entries are forgotten, own ones too. */
void netdb_join(struct netdb *db, const char *network_id, uint64_t now_ms);
void netdb_leave(struct netdb *db, const char *network_id, uint64_t now_ms);
/* Own entries; the network is joined, else nothing happens. Writing what is there tells nobody. */
void netdb_put(struct netdb *db, const char *network_id, const char *table, const char *key,
	       const void *value, size_t size, uint64_t now_ms);
void netdb_del(struct netdb *db, const char *network_id, const char *table, const char *key,
	       uint64_t now_ms);
/* This node leaves the swarm. */
void netdb_bye(struct netdb *db, uint64_t now_ms);

/* The entries of another node in all networks: told by changed() again. */
void netdb_replay(struct netdb *db, const char *owner);
/* Entries of the network that live, own ones too. */
size_t netdb_len(const struct netdb *db, const char *network_id);
/* Value or NULL. */
const void *netdb_get(const struct netdb *db, const char *network_id, const char *table,
		      const char *key, size_t *ret_size);

uint64_t netdb_due(const struct netdb *db);
void netdb_run(struct netdb *db, uint64_t now_ms);
