/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the back end that is the kernel module swarm.ko: dp_kmod.c has what is set,
 * kmod_sock.c the netlink socket, kmod_events.c what the module tells unasked. Without system
 * calls: kmod_msg.c has items as messages of include/uapi/swarm.yaml and back, kmod_seen.c what
 * the module has seen of packets.
 */
#pragma once

#include <linux/swarm.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "datapath/dp_impl.h"
#include "swarm/map.h"

struct kmod_settings {
	struct dp_addr vtep;
	uint16_t vxlan_port; /* host byte order */
	bool return_direct;
	uint32_t flows_max, ports_max; /* 0: what is set already */
	uint16_t lo_was; /* of host_lo_open() */
};

/* kmod_sock.c */

struct kmod_sock {
	struct nl_sock *sk;
	int family;
};

/*
 * Connect to the module in the caller's network namespace. With load the kernel may load it.
 * -ENOENT when it is not there. kmod_sock_done() releases it, also after an error.
 */
int kmod_sock_init(struct kmod_sock *s, bool load, struct err *err);
void kmod_sock_done(struct kmod_sock *s);

/* A message of this command with room for size bytes of attributes; freed by who sends it. */
struct nl_msg *kmod_msg_new(const struct kmod_sock *s, uint8_t cmd, int flags, size_t size);

/* An answer, borrowed. */
typedef void (*kmod_answer_fn)(struct nlmsghdr *nlh, void *arg);

/*
 * Send m, which is freed, and wait for the kernel's answers, of which fn (may be NULL) gets those
 * with attributes. what begins the sentence of errors. -EAGAIN: a dump was interrupted by changes,
 * its answers may lack some or have others twice.
 */
int kmod_request(struct kmod_sock *s, struct nl_msg *m, kmod_answer_fn fn, void *arg,
		 const char *what, struct err *err);

/* kmod_msg.c */

/* An item that was read. */
struct kmod_item {
	enum dp_item_kind kind;
	union {
		struct dp_network network;
		struct dp_endpoint endpoint;
		struct dp_addr peer;
		struct dp_service service;
		struct dp_link link;
	};
	struct dp_backend *backends; /* of service, its own */
};

struct kmod_items {
	struct kmod_item *v;
	size_t n;
};

struct kmod_commands {
	uint8_t get, set, del;
};

/* By enum dp_item_kind. */
extern const struct kmod_commands kmod_commands[DP_ITEM_KINDS];

/* Bytes that the attributes of an item take at most. */
size_t kmod_item_size(const struct dp_item *item);
/* The identity, or all, as attributes. 0 or -EMSGSIZE. */
int kmod_id_put(struct nl_msg *m, const struct dp_item *item);
int kmod_item_put(struct nl_msg *m, const struct dp_item *item);
/*
 * Append the item of an answer to items; a service that goes on from the last answer is added to
 * its last one. Answers that lack their identity are left out.
 */
void kmod_item_get(enum dp_item_kind kind, struct nlmsghdr *nlh, struct kmod_items *items);
void kmod_items_done(struct kmod_items *items);
/* As dp_ops.each() hands it over; borrows k. */
struct dp_item kmod_item_view(const struct kmod_item *k);

int kmod_settings_put(struct nl_msg *m, const struct kmod_settings *s);
void kmod_settings_get(struct nlmsghdr *nlh, struct kmod_settings *ret);

/* kmod_seen.c */

/* Add the counts of an answer to *ret. */
void kmod_stats_get(struct nlmsghdr *nlh, struct dp_stats *ret);
/* A flow of a dump. false: of a kind that is not known. */
bool kmod_flow_get(struct nlmsghdr *nlh, struct dp_flow *ret);
/*
 * A drop or new flow as the module tells it; *lost grows by what it left out. false: it is neither.
 */
bool kmod_event_get(struct nlmsghdr *nlh, struct sw_event *ret, uint64_t *lost);

/* kmod_events.c */

struct kmod_events;

/* NULL: nobody listens. Non-blocking, of its own. */
int kmod_events_new(struct kmod_events **ret, int *ret_fd, struct err *err);
void kmod_events_free(struct kmod_events *e);
/* As dp_ops.events_read(). */
int64_t kmod_events_read(struct kmod_events *e, dp_event_fn fn, void *arg);
