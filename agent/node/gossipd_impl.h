/* SPDX-License-Identifier: Apache-2.0 */
/* What gossipd.c (sockets' packets, keys, seeds), gossip_conn.c and gossip_tables.c share. */
#pragma once

#include "core/list.h"
#include "core/rng.h"
#include "gossip/gossip.h"
#include "gossip/seal.h"
#include "loop/loop.h"
#include "node/gossipd.h"

struct event;
struct evconnlistener;
struct sockaddr;

struct gossipd {
	struct gossipd_options opt;
	char *vtep; /* this node's address for VXLAN */
	char name[13];
	struct keyring *keys;
	struct gossip *g; /* NULL until there are keys */
	struct swim_addr addr;
	int udp;
	struct event *udp_ev;
	struct evconnlistener *listener;
	struct timer timer, seed_timer;
	struct list_head conns;
	struct swim_addr *seeds;
	size_t n_seeds;
	struct buf member_text; /* what gossipd_next() returns */
};

/* gossipd.c: after anything that was fed in: the next call of the clock. */
void gossipd_schedule(struct gossipd *g);
bool gossipd_addr_of(const struct sockaddr *sa, struct swim_addr *ret);
/* A numeric address as text. */
void gossipd_addr_text(const struct swim_addr *a, char *ret, size_t size);
void gossipd_seal(struct gossipd *g, bool stream, const void *data, size_t size, struct buf *ret);

/* gossip_conn.c: streams of others and our own */
void gossip_conn_accept(struct gossipd *g, int fd, const struct sockaddr *from);
void gossip_conn_open(struct gossipd *g, const struct swim_addr *to, const void *data, size_t size,
		      uint32_t token);
void gossip_conns_done(struct gossipd *g);

/* gossip_tables.c: the local endpoints to the tables, the tables to the local records */
void gossip_tables_begin(struct gossipd *g);
void gossip_tables_changed(struct gossipd *g, const struct netdb_change *c);
void gossip_tables_end(struct gossipd *g);
