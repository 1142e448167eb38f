/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gossip/swim.h and gossip/netdb.h as one: what a node runs, and what the simulator runs a
 * thousand of. Pure; all that is passed is borrowed for the call.
 */
#pragma once

#include "gossip/netdb.h"
#include "gossip/swim.h"

struct gossip;

struct gossip_ops {
	/* As swim_ops has them. */
	void (*packet)(const struct swim_addr *to, const void *data, size_t size, void *arg);
	void (*stream)(const struct swim_addr *to, const void *data, size_t size, uint32_t token,
		       void *arg);
	void (*member)(const struct swim_member *m, enum ml_state before, void *arg);
	/* As netdb_ops. */
	void (*changed)(const struct netdb_change *c, void *arg);
	void *arg;
};

struct gossip *gossip_new(const struct swim_config *c, const struct gossip_ops *ops,
			  struct rng *rng, uint64_t now_ms);
void gossip_free(struct gossip *g);
struct swim *gossip_swim(struct gossip *g);
struct netdb *gossip_netdb(struct gossip *g);
/* Call gossip_run() then; every other call may make it earlier. */
uint64_t gossip_due(const struct gossip *g);
void gossip_run(struct gossip *g, uint64_t now_ms);
void gossip_packet(struct gossip *g, const struct swim_addr *from, const void *data, size_t size,
		   uint64_t now_ms);
void gossip_stream(struct gossip *g, const struct swim_addr *from, const void *data, size_t size,
		   struct buf *answer, uint64_t now_ms);
void gossip_answer(struct gossip *g, uint32_t token, const void *data, size_t size,
		   uint64_t now_ms);
