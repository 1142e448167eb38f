/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What requests, dumps and notifications of the family are about. A noun of the interface is a
 * table of functions; netlink.c does with each of them what is the same for all.
 */
#pragma once

#include "config.h"
#include "flows.h"
#include "netlink.h"

/* A value of the interface and the one that the packets' path has. */
#define SW_SAME(path, uapi) static_assert((int)(path) == (int)(uapi))

/*
 * A message that has not enough room at first gets twice as much, up to this: a service with its
 * most backends fits, and the largest balancing table.
 */
#define SW_MESSAGE_SIZE_MAX (64 * 1024)

/* A copy of one object. */
struct sw_item {
	union {
		struct {
			struct sw_settings v;
			__u32 flows_max, ports_max;
		} settings;
		struct {
			__u32 vni;
			struct sw_network v;
		} network;
		struct {
			struct sw_endpoint_key key;
			struct sw_endpoint v;
		} endpoint;
		struct sw_addr peer;
		struct {
			struct sw_service v;
			struct sw_backend *own; /* v.backends, of requests only */
			__u32 from; /* first backend to put; where it ended when there is no room */
			const struct sw_table *table; /* within RCU; of sw_table_noun only */
		} service;
		struct {
			__u32 ifindex;
			struct sw_link v;
		} link;
		struct {
			struct sw_flow_key key;
			struct sw_flow v;
			__u32 unused_s;
		} flow;
	};
};

struct sw_noun {
	__u8 get, ntf, del_ntf; /* commands of messages from here */

	/*
	 * From the attributes of a request: its identity, or the whole with defaults. 0, or a
	 * negative errno with the attribute in info->extack. Process context.
	 */
	int (*parse_id)(struct genl_info *info, struct sw_item *ret);
	int (*parse)(struct genl_info *info, struct sw_item *ret);
	/* Free what parse() allocated; may be NULL. */
	void (*done)(struct sw_item *item);

	/* Of config.h. */
	int (*set)(struct sw_net *sn, const struct sw_item *item, struct netlink_ext_ack *extack);
	int (*del)(struct sw_net *sn, const struct sw_item *item, struct netlink_ext_ack *extack);
	/* Complete an item of which only the identity is there. false: none. Within RCU. */
	bool (*find)(struct sw_net *sn, struct sw_item *item);
	/* As the sw_*_next() of config.h. Within RCU. */
	bool (*next)(struct sw_net *sn, __u64 *cursor, struct sw_item *ret);

	/* To attributes: 0 or -EMSGSIZE. Within RCU where the item came from find() or next(). */
	int (*put_id)(struct sk_buff *skb, struct sw_item *item);
	int (*put)(struct sk_buff *skb, struct sw_item *item);
	/* An attribute at fault when set() fails with rc, or 0. May be NULL. */
	int (*culprit)(int rc);
};

extern const struct sw_noun sw_settings_noun, sw_network_noun, sw_endpoint_noun, sw_peer_noun,
	sw_service_noun, sw_table_noun, sw_link_noun, sw_flow_noun;

/* netlink_addr.c */

/*
 * An address that may be left out: then all zero. 0, or -EAFNOSUPPORT with attr in extack. attr
 * may be NULL.
 */
int sw_addr_get(const struct nlattr *attr, struct netlink_ext_ack *extack, struct sw_addr *ret);
/* One that has to be there, in tb of the message or of nest. 0, -EINVAL or -EAFNOSUPPORT. */
int sw_addr_need(struct nlattr **tb, const struct nlattr *nest, int type,
		 struct netlink_ext_ack *extack, struct sw_addr *ret);
/* Addresses that are unset are left out. 0 or -EMSGSIZE. */
int sw_addr_put(struct sk_buff *skb, int type, const struct sw_addr *a);

/* netlink_flow.c */

/* Of key; to, if not NULL, is what the packets become. 0 or -EMSGSIZE. */
int sw_flow_attrs_put(struct sk_buff *skb, const struct sw_flow_key *key, const struct sw_flow *to);
/* enum sw_reason as text. */
const char *sw_reason_name(__u32 reason);

/* events.c */

/*
 * Changes of a namespace are done between these, so that they are told in their order. Process
 * context; outer to rtnl_lock.
 */
void sw_changes_lock(struct sw_net *sn);
void sw_changes_unlock(struct sw_net *sn);
/*
 * Tell those who listen to changes, if any; put and item as of struct sw_noun, NULL: no attributes.
 * Process context.
 */
void sw_event_change(struct sw_net *sn, __u8 cmd,
		     int (*put)(struct sk_buff *skb, struct sw_item *item),
		     const struct sw_item *item);
