/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is alive: memberlist's SWIM, protocol version 2. Pure: time, random and what arrives come
 * in as arguments, what is to be sent goes out through swim_ops.
 *
 * Ownership: everything passed in or out is borrowed for the call. The callbacks may read the
 * state but not feed anything in. swim_run() is to be called when swim_due() has come; every
 * other function that takes now_ms may change that time.
 * Source: SWARM-WIRE §4; hashicorp/memberlist state.go, suspicion.go, awareness.go; the SWIM and
 * Lifeguard papers.
 */
#pragma once

#include "core/list.h"
#include "core/map.h"
#include "core/rng.h"
#include "gossip/codec.h"

struct swim;

struct swim_addr {
	uint8_t ip[16];
	uint8_t len; /* 4 or 16 */
	uint16_t port;
};

bool swim_addr_eq(const struct swim_addr *a, const struct swim_addr *b);

struct swim_member {
	const char *name;
	struct swim_addr addr;
	enum ml_state state;
	bool self;
};

struct swim_ops {
	/* A datagram, at most the configuration's size. */
	void (*packet)(const struct swim_addr *to, const void *data, size_t size, void *arg);
	/*
	 * A message by a stream. With a token the other side's one answer goes to swim_answer();
	 * when there is none within the timeout: swim_answer() without data.
	 */
	void (*stream)(const struct swim_addr *to, const void *data, size_t size, uint32_t token,
		       void *arg);
	/* Its state changed: alive (new, or again), suspect, dead or left. */
	void (*member)(const struct swim_member *m, enum ml_state before, void *arg);
	/* A user's message; reliable: by stream. */
	void (*user)(const struct swim_addr *from, const void *data, size_t size, bool reliable,
		     void *arg);
	/* User messages to go along, while they fit: emit(message) each. overhead is for every one. */
	size_t (*broadcasts)(size_t overhead, size_t *avail, size_t max,
			     void (*emit)(const void *data, size_t size, void *emit_arg),
			     void *emit_arg, void *arg);
	/* The user's part of a push-pull. */
	void (*local_state)(bool join, struct buf *ret, void *arg);
	void (*merge_state)(const void *data, size_t size, bool join, void *arg);
	void *arg;
};

struct swim_config {
	const char *name;
	struct swim_addr addr;
	/* 0: memberlist's LAN defaults, but for more retransmits: 1000, 500, 200, 30000, 4, 6, 10, 1400 */
	uint32_t probe_ms, probe_timeout_ms, gossip_ms, push_pull_ms;
	uint32_t suspicion_mult, suspicion_max_mult, retransmit_mult;
	uint32_t packet_size; /* of the plain text */
};

struct swim *swim_new(const struct swim_config *c, const struct swim_ops *ops, struct rng *rng,
		      uint64_t now_ms);
void swim_free(struct swim *s);
/* Exchange states with a node of which only the address is known. */
void swim_join(struct swim *s, const struct swim_addr *addr, uint64_t now_ms);
/* Tell the others that this node goes; tell it for some gossip rounds, then stop. */
void swim_leave(struct swim *s, uint64_t now_ms);
/* Know a member without having heard of it (a simulation's start). */
void swim_preset(struct swim *s, const char *name, const struct swim_addr *addr, uint64_t now_ms);

uint64_t swim_due(const struct swim *s);
void swim_run(struct swim *s, uint64_t now_ms);
void swim_packet(struct swim *s, const struct swim_addr *from, const void *data, size_t size,
		 uint64_t now_ms);
/* A stream's whole message; what is to be answered, if anything, is appended to *answer. */
void swim_stream(struct swim *s, const struct swim_addr *from, const void *data, size_t size,
		 struct buf *answer, uint64_t now_ms);
void swim_answer(struct swim *s, uint32_t token, const void *data, size_t size, uint64_t now_ms);

/* User messages. -ENOENT for one that is no member. */
int swim_send(struct swim *s, const char *name, const void *data, size_t size, bool reliable);
/* There are user broadcasts: gossip soon. */
void swim_wake(struct swim *s, uint64_t now_ms);
/* Members alive or suspected, this node included. */
size_t swim_alive(const struct swim *s);
size_t swim_len(const struct swim *s);
/* i below swim_len(). */
void swim_get(const struct swim *s, size_t i, struct swim_member *ret);
bool swim_find(const struct swim *s, const char *name, struct swim_member *ret);
