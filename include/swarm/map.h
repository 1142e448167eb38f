/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keys and values of the BPF maps, which outlive the agent: any change of them, or of what they
 * mean, raises SW_LAYOUT. No padding: keys are hashed as bytes.
 */
#pragma once

#include "swarm/flow.h"

#define SW_LAYOUT 4

enum sw_settings_flags {
	SW_RETURN_DIRECT = 1 << 0,
	SW_EVENTS = 1 << 1, /* somebody reads the events */
};

/* The one element of an array. */
struct sw_settings {
	__u32 layout;
	__u32 flags;
	struct sw_addr vtep; /* all zero: no swarm yet, nothing leaves or enters */
	__be16 vxlan_port;
	__u16 lo_was; /* the agent's: what dp_destroy() puts back on the loopback */
	__u32 lo_ifindex;
	__u32 tunnel_ifindex; /* BPF: the vxlan device */
	__u32 zero;
	__u64 program; /* hash of the objects that are loaded */
};
_Static_assert(sizeof(struct sw_settings) == 48, "no padding");

/* By VNI (__u32). */
struct sw_network {
	__u32 mtu;
	__u32 flags; /* enum dp_network_flags */
	struct sw_addr gateway, node_addr;
	__u8 gateway_mac[6];
	__u8 zero[2];
};
_Static_assert(sizeof(struct sw_network) == 48, "no padding");

/* enum dp_network_flags has the same values; dp_bpf.c asserts it. */
#define SW_NETWORK_INGRESS 2
#define SW_NETWORK_ENCRYPTED 4

struct sw_endpoint_key {
	__u32 vni;
	struct sw_addr addr;
};
_Static_assert(sizeof(struct sw_endpoint_key) == 20, "no padding");

enum sw_endpoint_kind {
	SW_ENDPOINT = 1, /* a container, of this node or another */
	SW_ENDPOINT_VIP, /* of a service: lb */
	SW_ENDPOINT_SELF, /* the gateway, or this node's own address in the network */
};

/* A balancing table: its slots are in chunks {table, slot / SW_CHUNK}. */
struct sw_lb {
	__u32 table; /* 0: none */
	__u32 size; /* slots; 0: no backend takes new flows */
	__u32 n_backends; /* elements of the backends map, for dumps */
};

/* Everything that has an address in a network. */
struct sw_endpoint {
	__u32 kind;
	__u32 ifindex; /* host end of the veth; 0: another node's */
	__u32 gen; /* tells apart containers that had the same address in turn */
	__u32 translated; /* flows to a VIP were made from here: replies have to be looked up */
	struct sw_addr node; /* remote: VTEP */
	struct sw_addr host_addr;
	struct sw_lb lb;
	__u8 mac[6];
	__u8 zero[2];
};
_Static_assert(sizeof(struct sw_endpoint) == 68, "no padding");

struct sw_port_key {
	__be16 port;
	__u8 proto;
	__u8 zero;
};
_Static_assert(sizeof(struct sw_port_key) == 4, "no padding");

struct sw_port {
	__u32 vni;
	struct sw_lb lb;
	__be16 target;
	__u16 zero;
};
_Static_assert(sizeof(struct sw_port) == 20, "no padding");

#define SW_CHUNK 64

struct sw_chunk_key {
	__u32 table, chunk;
};
_Static_assert(sizeof(struct sw_chunk_key) == 8, "no padding");

struct sw_chunk {
	struct sw_addr slot[SW_CHUNK];
};

/* What the service was set with, by {table, index}; packets do not read it. */
struct sw_backend_key {
	__u32 table, index;
};

struct sw_backend {
	struct sw_addr addr;
	__u16 weight;
	__u8 draining, zero;
};
_Static_assert(sizeof(struct sw_backend) == 20, "no padding");

enum sw_link_role { /* the values of enum dp_link_role */
		    SW_LINK_CONTAINER = 1,
		    SW_LINK_CLIENTS,
		    SW_LINK_LOOPBACK,
};

/* By ifindex (__u32). */
struct sw_link {
	__u32 role; /* enum sw_link_role */
	__u32 vni;
	__u32 flags;
	struct sw_addr addr;
};
_Static_assert(sizeof(struct sw_link) == 28, "no padding");

enum sw_link_flags {
	SW_LINK_INGRESS = 1 << 0, /* CONTAINER: its network is the ingress network */
	SW_LINK_BRIDGE = 1 << 1, /* CLIENTS: only this node can answer them */
};

enum sw_flow_state {
	SW_FLOW_FIN = 1 << 0,
	SW_FLOW_FIN_REPLY = 1 << 1,
	SW_FLOW_RST = 1 << 2,
	SW_FLOW_TO_NODE = 1 << 3, /* published, reply: the client is behind the entry node only */
	SW_FLOW_IN_NETWORK = 1 << 4, /* reply: the client is a container of the network */
};

/* What a flow's packets become, by struct sw_flow_key. */
struct sw_flow {
	struct sw_addr src, dst;
	__be16 sport, dport;
	struct sw_addr via; /* reply: the entry node; all zero: this one */
	__u32 gen; /* of the backend's endpoint */
	__u32 seen_s; /* of the last packet, CLOCK_MONOTONIC; kept for UDP only */
	__u32 state;
};
_Static_assert(sizeof(struct sw_flow) == 64, "no padding");

struct sw_fragment_key {
	struct sw_addr src, dst;
	__u32 vni;
	__be16 id;
	__u8 proto, zero;
};
_Static_assert(sizeof(struct sw_fragment_key) == 40, "no padding");

/* The ports of the first fragment, for the others. */
struct sw_fragment {
	__be16 sport, dport;
};

struct sw_count {
	__u64 packets, bytes;
};
