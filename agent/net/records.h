/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service records of this node's swarm networks: what DNS answers from and what the datapath
 * balances by. A record is an endpoint of a task, of this node (from the sandboxes) or of another
 * (from gossip). Those of networks that this node does not take part in are refused with -ENOENT; when it
 * leaves one, what others have said about it is forgotten.
 *
 * All strings are borrowed for the call; everything on the loop's thread. Setting what is there
 * already costs a lookup.
 * Source: SWARM-WIRE §4 (endpoint_table, overlay_peer_table) and §5; moby libnetwork service_common.go.
 */
#pragma once

#include "core/err.h"

struct nets;

struct net_port {
	const char *name; /* may be NULL */
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP */
	uint16_t target, published; /* host byte order */
};

struct net_record {
	const char *network_id;
	const char *key; /* 64-hex endpoint ID */
	const char *name; /* of the task or the container */
	const char *service_name, *service_id; /* NULL or "": no service */
	const char *vip; /* address without prefix; NULL: none (dnsrr) */
	const char *ip, *mac; /* address without prefix */
	const char *vtep; /* NULL: endpoint of this node */
	const char *const *aliases, *const *task_aliases; /* NULL-terminated or NULL */
	const struct net_port *ports; /* on the ingress network only */
	size_t n_ports;
	bool disabled; /* service_disabled: draining */
};

/* A remote endpoint came or changed. -EINVAL when an address or a name cannot be used. */
int records_set(struct nets *nets, const struct net_record *r, struct err *err);
void records_del(struct nets *nets, const char *network_id, const char *key);
/* A remote address and the node it lives on (overlay_peer_table). ip_cidr with prefix. */
int records_peer_set(struct nets *nets, const char *network_id, const char *key,
		     const char *ip_cidr, const char *mac, const char *vtep, struct err *err);
void records_peer_del(struct nets *nets, const char *network_id, const char *key);

/* Of local endpoints, as they come, change and go. */
struct records_watch {
	/* removed: the record has only network_id and key. vip, mac and the like as for records_set. */
	void (*local)(const struct net_record *r, bool removed, void *arg);
	/*
	 * Every address of this node in the network, its load balancer's too: the row of
	 * overlay_peer_table. local is the row of endpoint_table and comes later, or never.
	 */
	void (*peer)(const char *network_id, const char *key, const char *ip_cidr, const char *mac,
		     bool removed, void *arg);
	/* This node takes part in the network from now on, or no longer. */
	void (*network)(const char *network_id, bool joined, void *arg);
	void *arg;
};
/* One watcher (NULL: none); told at once, from inside the call, about all there is. */
void records_watch(struct nets *nets, const struct records_watch *watch);
