/* SPDX-License-Identifier: Apache-2.0 */
/* What netdb.c (nodes, networks, entries), netdb_recv.c and netdb_send.c share. */
#pragma once

#include "core/list.h"
#include "gossip/netdb.h"
#include "gossip/queue.h"
#include "wire/networkdb.pb-c.h"

enum {
	NETDB_SYNC_SOON_MS = 300, /* after a node came back: its networks are told first */
	NETDB_ASK_MS = 1000,
	NETDB_ASK_SPREAD_MS = 500,
	NETDB_RECONNECT_MS = 1000,
	NETDB_FRESH_MS = 10000, /* how long own news carry the network's JOIN along */
	NETDB_FAILED_MS = 24 * 3600 * 1000,
	NETDB_GRACE_MS = 25000, /* a network's tombstone outlives those of its entries */
	NETDB_FANOUT = 3,
	NETDB_RETRANSMIT = 10, /* of events; memberlist's 4 misses one of a hundred at five nodes */
	NETDB_MAX_VALUE = 16 << 10,
	NETDB_MAX_TEXT = 256,
	NETDB_MAX_ENTRIES = 1 << 20, /* of one network */
	NETDB_MAX_PARTS = 1 << 14, /* networks of one node */
	NETDB_MAX_QUEUE = 50000,
	NETDB_SYNC_SIZE = 8 << 20, /* of one bulk message */
};

#define NETDB_NEVER UINT64_MAX

/* A node's part in a network. */
struct nd_part {
	uint64_t ltime, reap_ms;
	bool leaving;
};

struct nd_node {
	char *name;
	struct swim_addr addr;
	enum ml_state state; /* ALIVE, DEAD or LEFT */
	uint64_t ltime, reap_ms;
	uint64_t sync_ms; /* exchange tables with it then; 0: no */
	struct map parts; /* struct nd_part by network ID */
};

struct nd_entry {
	char *table, *key, *owner;
	void *value;
	size_t size;
	uint64_t ltime, reap_ms;
	bool deleted;
};

struct nd_network {
	char *id;
	bool joined, synced;
	bool unknown; /* entries came of an owner that we know nothing of */
	uint64_t ltime, joined_ms, reap_ms; /* of this node's own part; ltime 0: never joined */
	struct nd_node **members; /* others that take part and live */
	size_t n_members;
	struct map entries; /* struct nd_entry by "table\037key" */
	struct txq own, relay;
	uint64_t next_gossip_ms, last_gossip_ms, next_sync_ms, last_sync_ms;
};

struct netdb {
	struct netdb_config c;
	struct netdb_ops ops;
	struct rng *rng;
	struct map nodes; /* struct nd_node by name, this one not among them */
	struct map networks; /* struct nd_network by ID */
	uint64_t network_clock, table_clock;
	struct txq queue; /* network and node events */
	size_t n_alive, n_failed;
	uint64_t next_reconnect_ms, next_reap_ms;
};

/* netdb.c */
struct nd_network *netdb_network(struct netdb *db, const char *id);
void netdb_add_member(struct nd_network *net, struct nd_node *node);
void netdb_del_member(struct nd_network *net, struct nd_node *node);
/* Entries of an owner in a network are forgotten; the watcher is told. */
void netdb_forget_owner(struct netdb *db, struct nd_network *net, const char *owner);
struct nd_entry *netdb_entry(const struct nd_network *net, const char *table, const char *key);
struct nd_entry *netdb_entry_make(struct nd_network *net, const char *table, const char *key);
void netdb_tell(struct netdb *db, const struct nd_network *net, const struct nd_entry *e);
void netdb_witness(uint64_t *clock, uint64_t seen);

/* netdb_send.c */
void netdb_wrap(Nd__MessageType type, const void *msg, struct buf *ret);
void netdb_send_network_event(struct netdb *db, const struct nd_network *net, bool leave);
void netdb_send_node_event(struct netdb *db, bool leave);
void netdb_network_event_msg(const struct netdb *db, const struct nd_network *net, bool leave,
			     struct buf *ret);
/* Queue what is to be told of an entry; own: before what is relayed. */
void netdb_send_entry(struct netdb *db, struct nd_network *net, const struct nd_entry *e,
		      bool update, bool own, uint64_t now_ms);
void netdb_queue_table(struct netdb *db, struct nd_network *net, const char *name, const void *msg,
		       size_t size, bool own, uint64_t now_ms);
void netdb_bulk_sync(struct netdb *db, struct nd_network *const *nets, size_t n, struct nd_node *to,
		     bool unsolicited, uint64_t now_ms);
void netdb_gossip(struct netdb *db, struct nd_network *net, uint64_t now_ms);
