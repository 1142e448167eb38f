/* SPDX-License-Identifier: Apache-2.0 */
/* What swim.c (entry points, sending), swim_state.c (members) and swim_probe.c share. */
#pragma once

#include "core/lag.h"
#include "gossip/queue.h"
#include "gossip/swim.h"

enum {
	SWIM_INDIRECT = 3, /* helpers of a probe */
	SWIM_GOSSIP_NODES = 3,
	SWIM_GOSSIP_DEAD_MS = 30000, /* the dead are told so for a while, then forgotten */
	SWIM_MAX_MEMBERS = 1 << 16,
	SWIM_MAX_AWARENESS = 8,
	SWIM_MAX_CONFIRM = 8,
	SWIM_MAX_RELAYS = 1024,
};

#define SWIM_NEVER UINT64_MAX

struct swim_node {
	char *name;
	struct swim_addr addr;
	char *meta;
	size_t meta_size;
	uint8_t vsn[6];
	uint32_t incarnation;
	enum ml_state state;
	uint64_t changed_ms;
	/* suspicion */
	struct list_head suspect; /* in swim.suspects */
	uint64_t since_ms, deadline_ms;
	uint32_t min_ms, max_ms;
	unsigned int need, n_from;
	char *from[SWIM_MAX_CONFIRM]; /* who suspects it; the first began */
};

/* A stream whose answer is awaited. */
struct swim_call {
	struct list_head node;
	uint32_t token;
	bool push_pull, join;
	uint32_t seq; /* of a ping */
};

/* A ping made for another member. */
struct swim_relay {
	struct list_head node;
	uint32_t seq, their_seq;
	struct swim_addr to;
	bool nack;
	uint64_t deadline_ms;
};

struct swim_probe {
	bool active, helped, by_stream;
	char *name;
	uint32_t seq;
	unsigned int helpers, nacks;
	uint64_t timeout_ms, end_ms;
};

struct swim {
	struct swim_config c;
	struct swim_ops ops;
	struct rng *rng;
	struct map by_name;
	struct swim_node **nodes, *self;
	size_t n_nodes, n_alive;
	struct list_head suspects, calls, relays;
	struct txq queue;
	struct swim_probe probe;
	size_t probe_index;
	uint32_t seq, token;
	unsigned int awareness;
	struct lag lag; /* of this node's own turns, in milliseconds */
	uint64_t ran_ms;
	bool leaving;
	uint64_t next_probe_ms, next_gossip_ms, last_gossip_ms, next_push_pull_ms;
};

/* swim.c */
void swim_queue_msg(struct swim *s, const char *name, const struct ml_msg *m, uint64_t now_ms);
/* The message and what else there is to tell, in one datagram. */
void swim_send_msg(struct swim *s, const struct swim_addr *to, const struct ml_msg *m);
uint32_t swim_call(struct swim *s, bool push_pull, bool join, uint32_t seq);
void swim_push_pull(struct swim *s, const struct swim_addr *to, bool join);
/* Up to k different members that ok() takes; returns how many. */
size_t swim_pick(struct swim *s, size_t k, bool (*ok)(const struct swim_node *n, const void *arg),
		 const void *arg, struct swim_node **ret);

/* swim_state.c: the three kinds of news, and the list */
void swim_alive_msg(struct swim *s, const struct ml_msg *m, bool boot, uint64_t now_ms);
void swim_suspect_msg(struct swim *s, const struct ml_msg *m, uint64_t now_ms);
void swim_dead_msg(struct swim *s, const struct ml_msg *m, uint64_t now_ms);
/* Message of a push-pull: what it says about one node. */
void swim_merge_node(struct swim *s, const struct ml_msg *m, uint64_t now_ms);
struct swim_node *swim_node_get(const struct swim *s, struct slice name);
/* Forget those dead for long, shuffle. */
void swim_reset_order(struct swim *s, uint64_t now_ms);
void swim_suspicions_run(struct swim *s, uint64_t now_ms);
uint64_t swim_suspicions_due(const struct swim *s);
void swim_node_free(struct swim_node *n);
void swim_more_aware(struct swim *s, int delta);
struct slice swim_addr_slice(const struct swim_addr *a);

/* swim_probe.c */
void swim_probe_run(struct swim *s, uint64_t now_ms);
uint64_t swim_probe_due(const struct swim *s);
void swim_ping_msg(struct swim *s, const struct swim_addr *from, const struct ml_msg *m);
void swim_indirect_msg(struct swim *s, const struct swim_addr *from, const struct ml_msg *m,
		       uint64_t now_ms);
void swim_ack_msg(struct swim *s, uint32_t seq);
void swim_nack_msg(struct swim *s, uint32_t seq);
void swim_stream_ack(struct swim *s, uint32_t seq);
