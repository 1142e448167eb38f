/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/* Written by scripts/netlink-gen from include/uapi/swarm.yaml: change that. */
#ifndef _UAPI_LINUX_SWARM_H
#define _UAPI_LINUX_SWARM_H

#define SWARM_FAMILY_NAME "swarm"
#define SWARM_FAMILY_VERSION 1

enum swarm_settings_flags {
	/* Replies of published ports go straight to the client, not by the entry node. */
	SWARM_SETTINGS_FLAGS_RETURN_DIRECT = 1,
};

enum swarm_network_flags {
	SWARM_NETWORK_FLAGS_INTERNAL = 1,
	SWARM_NETWORK_FLAGS_INGRESS = 2,
	/*
	 * Its packets go to other nodes inside ESP only, by xfrm's policies for their mark, and
	 * only those are taken that a state with this mark has decrypted. See swarm/esp.h.
	 */
	SWARM_NETWORK_FLAGS_ENCRYPTED = 4,
};

enum swarm_link_role {
	/* Host end of a container's veth. */
	SWARM_LINK_ROLE_CONTAINER = 1,
	/* Uplink or bridge, by which clients of published ports and peers' VXLAN come in. */
	SWARM_LINK_ROLE_CLIENTS = 2,
	/* Hooked by the settings; setting it changes nothing. */
	SWARM_LINK_ROLE_LOOPBACK = 3,
};

enum swarm_link_flags {
	/* A container's link, of an ingress network. */
	SWARM_LINK_FLAGS_INGRESS = 1,
	/* A clients' link whose clients only this node can answer. */
	SWARM_LINK_FLAGS_BRIDGE = 2,
};

enum swarm_proto {
	SWARM_PROTO_TCP = 6,
	SWARM_PROTO_UDP = 17,
};

enum swarm_flow_kind {
	/* From a container to a service VIP. */
	SWARM_FLOW_KIND_VIP = 1,
	/* From a client to a published port, at the entry node. */
	SWARM_FLOW_KIND_PUBLISHED = 2,
	/* From a backend to its client. */
	SWARM_FLOW_KIND_REPLY = 3,
	/* At the backend's node, from a client with another port. */
	SWARM_FLOW_KIND_REMAPPED = 4,
};

enum {
	/* This node's data-path address; none - no swarm yet, nothing leaves or enters. */
	SWARM_A_SETTINGS_VTEP = 1,
	/* UDP port of VXLAN, 4789 by default. */
	SWARM_A_SETTINGS_VXLAN_PORT,
	SWARM_A_SETTINGS_FLAGS,
	/* Entries of the flow table, two a flow; 0 - what is set already, at first 131072. */
	SWARM_A_SETTINGS_FLOWS_MAX,
	/* Published ports; 0 - what is set already, at first 512. */
	SWARM_A_SETTINGS_PORTS_MAX,
	/* Kept for the agent - what it puts back on the loopback at the end. */
	SWARM_A_SETTINGS_LO_WAS,
	__SWARM_A_SETTINGS_MAX,
};
#define SWARM_A_SETTINGS_MAX (__SWARM_A_SETTINGS_MAX - 1)

enum {
	/* VXLAN network identifier. */
	SWARM_A_NETWORK_VNI = 1,
	/* Of the containers' links, 1450 by default. */
	SWARM_A_NETWORK_MTU,
	SWARM_A_NETWORK_FLAGS,
	SWARM_A_NETWORK_GATEWAY,
	/* 02:42 and the gateway's IPv4 address by default. */
	SWARM_A_NETWORK_GATEWAY_MAC,
	/* This node's own address in the network. */
	SWARM_A_NETWORK_NODE_ADDR,
	__SWARM_A_NETWORK_MAX,
};
#define SWARM_A_NETWORK_MAX (__SWARM_A_NETWORK_MAX - 1)

enum {
	SWARM_A_ENDPOINT_VNI = 1,
	/* Of the container in the network. */
	SWARM_A_ENDPOINT_ADDR,
	/* 02:42 and the IPv4 address by default. */
	SWARM_A_ENDPOINT_MAC,
	/* Host end of the container's veth; none - on another node. */
	SWARM_A_ENDPOINT_IFINDEX,
	/* The other node's VTEP. */
	SWARM_A_ENDPOINT_NODE,
	/* The same container's address on the node's own bridge. */
	SWARM_A_ENDPOINT_HOST_ADDR,
	__SWARM_A_ENDPOINT_MAX,
};
#define SWARM_A_ENDPOINT_MAX (__SWARM_A_ENDPOINT_MAX - 1)

enum {
	/* A node from which VXLAN is accepted. */
	SWARM_A_PEER_VTEP = 1,
	__SWARM_A_PEER_MAX,
};
#define SWARM_A_PEER_MAX (__SWARM_A_PEER_MAX - 1)

enum {
	/* The backends' network. */
	SWARM_A_SERVICE_VNI = 1,
	SWARM_A_SERVICE_VIP,
	SWARM_A_SERVICE_PROTO,
	SWARM_A_SERVICE_PUBLISHED,
	SWARM_A_SERVICE_TARGET,
	/*
	 * Sorted by address, at most 1024. A dump tells a service in several messages, one behind
	 * the other, when its backends do not fit into one.
	 */
	SWARM_A_SERVICE_BACKEND,
	/* The balancing table - for each slot which backend, counted in their order, takes it. */
	SWARM_A_SERVICE_SLOTS,
	__SWARM_A_SERVICE_MAX,
};
#define SWARM_A_SERVICE_MAX (__SWARM_A_SERVICE_MAX - 1)

enum {
	/* Of an endpoint in the service's network. */
	SWARM_A_BACKEND_ADDR = 1,
	/* Share of new flows, 1 by default. */
	SWARM_A_BACKEND_WEIGHT,
	/* Takes no new flows. */
	SWARM_A_BACKEND_DRAINING,
	__SWARM_A_BACKEND_MAX,
};
#define SWARM_A_BACKEND_MAX (__SWARM_A_BACKEND_MAX - 1)

enum {
	SWARM_A_LINK_IFINDEX = 1,
	SWARM_A_LINK_ROLE,
	/* Container - its network. */
	SWARM_A_LINK_VNI,
	/* Container - its address; packets with other sources are dropped. */
	SWARM_A_LINK_ADDR,
	/* Found out by the kernel. */
	SWARM_A_LINK_FLAGS,
	__SWARM_A_LINK_MAX,
};
#define SWARM_A_LINK_MAX (__SWARM_A_LINK_MAX - 1)

enum {
	SWARM_A_FLOW_KIND = 1,
	SWARM_A_FLOW_VNI,
	/* As in IP headers. */
	SWARM_A_FLOW_PROTO,
	SWARM_A_FLOW_SRC,
	SWARM_A_FLOW_DST,
	/* ICMP echo has its identifier in both ports. */
	SWARM_A_FLOW_SPORT,
	SWARM_A_FLOW_DPORT,
	/* What the flow's packets become. */
	SWARM_A_FLOW_TO_SRC,
	SWARM_A_FLOW_TO_DST,
	SWARM_A_FLOW_TO_SPORT,
	SWARM_A_FLOW_TO_DPORT,
	/* The entry node to which replies go. */
	SWARM_A_FLOW_VIA,
	/* Seconds since its last packet. */
	SWARM_A_FLOW_UNUSED_S,
	__SWARM_A_FLOW_MAX,
};
#define SWARM_A_FLOW_MAX (__SWARM_A_FLOW_MAX - 1)

enum {
	/* enum sw_reason. */
	SWARM_A_DROP_REASON = 1,
	SWARM_A_DROP_REASON_NAME,
	/* Where the packet came in. */
	SWARM_A_DROP_IFINDEX,
	/* Of the packet with its Ethernet header. */
	SWARM_A_DROP_LEN,
	/* Addresses and ports, where the packet was understood. */
	SWARM_A_DROP_FLOW,
	__SWARM_A_DROP_MAX,
};
#define SWARM_A_DROP_MAX (__SWARM_A_DROP_MAX - 1)

enum {
	SWARM_A_STATS_COUNT = 1,
	/* Entries of the flow table that are in use, about. */
	SWARM_A_STATS_FLOWS,
	__SWARM_A_STATS_MAX,
};
#define SWARM_A_STATS_MAX (__SWARM_A_STATS_MAX - 1)

enum {
	SWARM_A_COUNT_PAD = 1,
	/* enum sw_reason. */
	SWARM_A_COUNT_REASON,
	SWARM_A_COUNT_REASON_NAME,
	/* Since the namespace began. */
	SWARM_A_COUNT_PACKETS,
	SWARM_A_COUNT_BYTES,
	__SWARM_A_COUNT_MAX,
};
#define SWARM_A_COUNT_MAX (__SWARM_A_COUNT_MAX - 1)

enum {
	SWARM_A_EVENT_FLOW = 1,
	SWARM_A_EVENT_DROP,
	/* Events of the group that were left untold before this one, as too many came at once. */
	SWARM_A_EVENT_LOST,
	__SWARM_A_EVENT_MAX,
};
#define SWARM_A_EVENT_MAX (__SWARM_A_EVENT_MAX - 1)

enum {
	/* The namespace's settings; -ENOENT when nothing was set. */
	SWARM_CMD_SETTINGS_GET = 1,
	/* From then on packets are handled. */
	SWARM_CMD_SETTINGS_SET,
	/* Settings were changed. */
	SWARM_CMD_SETTINGS_NTF,
	/* A network, or all. */
	SWARM_CMD_NETWORK_GET,
	/* Before endpoints, services and links of it. */
	SWARM_CMD_NETWORK_SET,
	/* After its endpoints, services and links. */
	SWARM_CMD_NETWORK_DEL,
	/* A network was set. */
	SWARM_CMD_NETWORK_NTF,
	/* A network was deleted. */
	SWARM_CMD_NETWORK_DEL_NTF,
	/* A container, or all. */
	SWARM_CMD_ENDPOINT_GET,
	/* Its flows end when it is deleted, not when it is set again. */
	SWARM_CMD_ENDPOINT_SET,
	/* A container is gone. */
	SWARM_CMD_ENDPOINT_DEL,
	/* An endpoint was set. */
	SWARM_CMD_ENDPOINT_NTF,
	/* An endpoint was deleted. */
	SWARM_CMD_ENDPOINT_DEL_NTF,
	/* A node of the swarm, or all. */
	SWARM_CMD_PEER_GET,
	/* VXLAN is accepted from this node. */
	SWARM_CMD_PEER_SET,
	/* VXLAN is no longer accepted from this node. */
	SWARM_CMD_PEER_DEL,
	/* A peer was set. */
	SWARM_CMD_PEER_NTF,
	/* A peer was deleted. */
	SWARM_CMD_PEER_DEL_NTF,
	/* A service with its backends, or all. */
	SWARM_CMD_SERVICE_GET,
	/* With all its backends. Flows keep theirs. */
	SWARM_CMD_SERVICE_SET,
	/* Its VIP or port is no longer answered. */
	SWARM_CMD_SERVICE_DEL,
	/* A service was set. */
	SWARM_CMD_SERVICE_NTF,
	/* A service was deleted. */
	SWARM_CMD_SERVICE_DEL_NTF,
	/* The balancing table of a service, as packets read it. */
	SWARM_CMD_TABLE_GET,
	/* A link, or all with the loopback. */
	SWARM_CMD_LINK_GET,
	/* Packets that come in by this link are handled. */
	SWARM_CMD_LINK_SET,
	/* Packets that come in by this link are the stack's again. */
	SWARM_CMD_LINK_DEL,
	/* A link was set. */
	SWARM_CMD_LINK_NTF,
	/* A link was deleted, or went. */
	SWARM_CMD_LINK_DEL_NTF,
	/* All flows. */
	SWARM_CMD_FLOW_GET,
	/* Packets and bytes by what became of them. */
	SWARM_CMD_STATS_GET,
	/* Take everything away, settings too; counts stay. */
	SWARM_CMD_CLEAR,
	/* Everything was taken away. */
	SWARM_CMD_CLEAR_NTF,
	/* A flow was made. */
	SWARM_CMD_FLOW_EVENT,
	/* A packet was dropped. */
	SWARM_CMD_DROP_EVENT,
	__SWARM_CMD_MAX,
};
#define SWARM_CMD_MAX (__SWARM_CMD_MAX - 1)

#define SWARM_MCGRP_STATE "state"
#define SWARM_MCGRP_DROPS "drops"
#define SWARM_MCGRP_FLOWS "flows"

#endif /* _UAPI_LINUX_SWARM_H */
