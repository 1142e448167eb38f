/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a back end of the datapath implements. dp.c checks arguments, fills in defaults and does
 * the marking and sweeping of dp_sync_*(); a back end gets complete structures and keeps them
 * where packets are handled. Addresses are IPv4-mapped, MACs and MTUs set, VNIs below 1 << 24.
 * Loop thread only. Errors: negative errno and the sentence.
 */
#pragma once

#include "core/list.h"
#include "core/map.h"
#include "datapath/dp.h"
#include "swarm/event.h"

enum dp_item_kind {
	DP_ITEM_NETWORK,
	DP_ITEM_ENDPOINT,
	DP_ITEM_PEER,
	DP_ITEM_SERVICE,
	DP_ITEM_LINK,
	DP_ITEM_KINDS,
};

struct dp_item {
	enum dp_item_kind kind;
	union {
		const struct dp_network *network;
		const struct dp_endpoint *endpoint;
		const struct dp_addr *peer;
		const struct dp_service *service; /* with its backends */
		const struct dp_link *link;
	};
};

/* Everything is borrowed for the call. A negative return ends the visit and is passed on. */
typedef int (*dp_visit_fn)(const struct dp_item *item, void *arg);

/* A drop or a new flow, borrowed for the call. */
typedef void (*dp_event_fn)(const struct sw_event *e, void *arg);

struct dp_ops {
	const char *kind;
	/*
	 * *ret is a struct whose first member is struct dp; the caller sets its ops. What a former
	 * agent left is taken over, or replaced when its layout is another.
	 */
	int (*open)(const struct dp_options *opt, struct dp **ret, struct err *err);
	/* Free the handle, leave the kernel as it is. */
	void (*close)(struct dp *dp);
	/* Take everything out of the kernel, then free the handle. */
	void (*destroy)(struct dp *dp);
	/* Did a former agent leave this one working? May be NULL: never. */
	bool (*is_active)(const char *exec_root);
	/* destroy() without a handle; 0 when there is nothing. May be NULL. */
	int (*clean)(const char *exec_root, struct err *err);
	int (*vtep_set)(struct dp *dp, const struct dp_addr *vtep, uint16_t vxlan_port,
			struct err *err);

	/*
	 * Insert or replace. Setting what is set already in the same way touches neither it nor
	 * flows. An endpoint's flows end when it is deleted, not when it is set again.
	 */
	int (*network_set)(struct dp *dp, const struct dp_network *n, struct err *err);
	int (*endpoint_set)(struct dp *dp, const struct dp_endpoint *e, struct err *err);
	int (*peer_set)(struct dp *dp, const struct dp_addr *vtep, struct err *err);
	/* backends are sorted by sw_lb_compare(), without doubles, weights at least 1. */
	int (*service_set)(struct dp *dp, const struct dp_service *s, struct err *err);
	int (*link_set)(struct dp *dp, const struct dp_link *l, struct err *err);

	/* 0 also when absent. network_del is called when its endpoints and services are gone. */
	int (*network_del)(struct dp *dp, uint32_t vni, struct err *err);
	int (*endpoint_del)(struct dp *dp, uint32_t vni, const struct dp_addr *addr,
			    struct err *err);
	int (*peer_del)(struct dp *dp, const struct dp_addr *vtep, struct err *err);
	int (*service_del)(struct dp *dp, const struct dp_service *s, struct err *err);
	int (*link_del)(struct dp *dp, uint32_t ifindex, struct err *err);

	/*
	 * Tell by dp_differs() what each() does not show of an item that shall be: programs on its
	 * link, the order of its slots. Setting it again mends that. With NULL: of what belongs to no
	 * item: settings, devices and programs of the node; mend() sets that right. May be NULL both.
	 */
	void (*check)(struct dp *dp, const struct dp_item *item);
	int (*mend)(struct dp *dp, struct err *err);
	/* Visit all of a kind, read from the kernel; visit() may not change the datapath. */
	int (*each)(struct dp *dp, enum dp_item_kind kind, dp_visit_fn visit, void *arg);
	/* As dp_dump_flows(). */
	json_t *(*flows)(struct dp *dp, size_t max);
	int (*stats)(struct dp *dp, struct dp_stats *ret);
	/*
	 * The balancing table of a service, read from where packets read it: slots[i] becomes the
	 * number of those that name s->backends[i] (sorted, as each() shows them), *ret_size that of
	 * all; 0 when no backend takes new flows. -ENOENT when the service is not there.
	 */
	int (*shares)(struct dp *dp, const struct dp_service *s, uint32_t *slots,
		      uint32_t *ret_size);
	/*
	 * Begin to tell drops and new flows; before, and after events_close(), they cost packets
	 * nothing. *ret_fd is readable when some wait. It stays the back end's, and open until
	 * events_close().
	 */
	int (*events_open)(struct dp *dp, int *ret_fd, struct err *err);
	/*
	 * Hand over what waits, at most some hundreds; the descriptor stays readable when there is
	 * more. Never blocks. Returns how many were lost since the last call for want of room (at
	 * least 1 where the kernel does not say how many), or a negative errno.
	 */
	int64_t (*events_read)(struct dp *dp, dp_event_fn fn, void *arg);
	void (*events_close)(struct dp *dp);
};

/* The head of every handle. */
struct dp {
	const struct dp_ops *ops;
	bool syncing;
	struct map marks; /* item keys that were set since dp_sync_begin() */
	struct dp_verify *verify; /* between dp_verify_begin() and _end() */
	struct list_head listeners;
	struct map told; /* while there are listeners: items as they know them */
	int events_fd; /* -1: the back end tells nothing */
};

extern const struct dp_ops dp_bpf_ops;
extern const struct dp_ops dp_kmod_ops;
extern const struct dp_ops dp_fake_ops;

/* Hand an item to its operation. */
int dp_item_set(struct dp *dp, const struct dp_item *item, struct err *err);
int dp_item_del(struct dp *dp, const struct dp_item *item, struct err *err);

/* verify.c: compare an item with what was found, and mend. */
void dp_verify_item(struct dp *dp, const struct dp_item *item);
/* A difference in a sentence that goes on after the name of the item; NULL: a whole one. */
void dp_differs(struct dp *dp, const struct dp_item *item, const char *fmt, ...) _printf_(3, 4);
/* What more than one back end says of the node. */
#define DP_DIFFERS_SETTINGS                                                                        \
	"the settings (data path address, port, way of replies) are not this agent's"
#define DP_DIFFERS_LOOPBACK "net.ipv4.conf.lo.accept_local and route_localnet are not 1"

/* events.c: tell the listeners, if there are any. */
void dp_events_init(struct dp *dp);
void dp_events_done(struct dp *dp);
void dp_tell_set(struct dp *dp, const struct dp_item *item);
void dp_tell_del(struct dp *dp, const struct dp_item *item);
/* A difference was mended. */
void dp_tell_repair(struct dp *dp, const char *text);

#define DP_ITEM_KEY_SIZE 64
/* The identity of an item as text. */
void dp_item_key(const struct dp_item *item, char dst[DP_ITEM_KEY_SIZE]);
/* As dp_dump() shows it; owned by the caller. */
json_t *dp_item_json(const struct dp_item *item);
#define DP_ITEM_NAME_SIZE 96
/* For sentences: "endpoint 10.0.1.3 of network 4097". */
void dp_item_name(const struct dp_item *item, char dst[DP_ITEM_NAME_SIZE]);
/* Identity and contents are equal; backends in the same order. */
bool dp_item_same(const struct dp_item *x, const struct dp_item *y);
/* With all that it points to, in one block for free(). */
struct dp_item *dp_item_copy(const struct dp_item *item);

/* Maps from dp_item_key() to copies of items. */
void dp_items_put(struct map *items, const struct dp_item *item);
/* The item of the same identity or NULL: take removes it, to be freed by the caller. */
struct dp_item *dp_items_take(struct map *items, const struct dp_item *item);
const struct dp_item *dp_items_find(const struct map *items, const struct dp_item *item);
void dp_items_done(struct map *items);
/* For each(), with such a map as its argument. */
int dp_items_put_visited(const struct dp_item *item, void *items);
/* Put everything that the back end has. */
void dp_items_read(struct dp *dp, struct map *items);

/*
 * The balancing table that the backends of a service make: *ret_slots, malloc'd, has an index into
 * s->backends for each slot. Returns its size; 0 and NULL when no backend takes new flows.
 */
uint32_t dp_service_table(const struct dp_service *s, uint16_t **ret_slots);

/* Let the fake back end tell this; it keeps four. False when nobody listens. */
bool dp_fake_event(struct dp *dp, const struct sw_event *e);

/* One element of dp_dump_flows(); to: what the packets become. Owned by the caller. */
struct dp_flow {
	const char *kind; /* "vip", "published", "reply", "remapped" */
	uint32_t vni;
	uint8_t proto;
	struct dp_addr src, dst, to_src, to_dst, via;
	uint16_t sport, dport, to_sport, to_dport; /* host byte order */
};
json_t *dp_flow_json(const struct dp_flow *f);
/* The kind of an enum sw_flow_dir; NULL when it is none. */
const char *dp_flow_kind(uint8_t dir);
