/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the packets' path asks of the platform that it runs on. The path is the other headers of
 * this folder, written once; it is compiled with bpf/platform.h into the BPF programs and with
 * kmod/platform.h into the module. A platform header includes what has the names of protocols
 * (ETH_*, IPPROTO_*, ICMP_*, IP_MF, IP_OFFSET, PACKET_HOST, struct iphdr, tcphdr, udphdr), defines
 * INLINE, ACT_PASS, ACT_DROP, READ_ONCE(), WRITE_ONCE() and struct route, includes this header and
 * then defines every function below. Packets enter by entry.h.
 *
 * - A packet is a struct sk_buff *, which the BPF platform renames to its __sk_buff. Besides these
 *   functions the path reads len, protocol and pkt_type only. Offsets count from the Ethernet
 *   header, and len includes it.
 * - What find_*() return stays valid until the path is left (RCU), and may be replaced by others
 *   meanwhile. The path changes flows in place, and of endpoints the field translated.
 * - A send_*() decides; it is done when the path has been left. Nothing touches the packet between.
 * - Functions that return int give 0, or -1 when the packet could not be changed, unless they say
 *   something else.
 */
#pragma once

#include "swarm/esp.h"
#include "swarm/event.h"
#include "swarm/map.h"
#include "swarm/vxlan.h"

#ifndef INLINE
#error "include the platform's header, not this one"
#endif

/* Of the link that the packet came in by. */
INLINE __u32 buf_ifindex(const struct sk_buff *skb);
/* Bytes of transport payload in each segment of a packet of many; 0: the packet is one. */
INLINE __u32 buf_gso_size(const struct sk_buff *skb);
/* Copy size bytes out of the packet, which may be paged. */
INLINE int buf_load(const struct sk_buff *skb, __u32 off, void *to, __u32 size);
/* Copy size bytes into the packet. No checksum is changed. */
INLINE int buf_store(struct sk_buff *skb, __u32 off, const void *from, __u32 size);
/* The packet is for this host, whatever the frame's destination was. */
INLINE void buf_for_host(struct sk_buff *skb);

enum csum_flags {
	CSUM_PSEUDO = 1 << 0, /* what changed is in the pseudo header: so do unfinished checksums */
	CSUM_UDP = 1 << 1, /* 0 means none, and stays; a sum that becomes 0 is written as 0xffff */
};

/* Add diff to the transport checksum at off; what a device is to complete is left alone. */
INLINE int buf_csum_l4(struct sk_buff *skb, __u32 off, __u32 diff, __u32 flags);

/* Make the packet len bytes long; it becomes one whole packet without work for the device. */
INLINE int buf_cut(struct sk_buff *skb, __u32 len);
/* Room of size bytes behind the Ethernet header. */
INLINE int buf_insert(struct sk_buff *skb, __u32 size);
/*
 * Put *e behind the Ethernet header; that header becomes the outer one. Segmentation and checksum
 * work that is left to devices stays so, as of a UDP tunnel.
 */
INLINE int buf_encap(struct sk_buff *skb, const struct sw_encap *e);
/* Take SW_ENCAP_SIZE bytes from behind the Ethernet header. */
INLINE int buf_decap(struct sk_buff *skb);

/* Maps: NULL, or the value. */
INLINE struct sw_network *find_network(const struct sk_buff *skb, __u32 vni);
INLINE struct sw_endpoint *find_endpoint(const struct sk_buff *skb,
					 const struct sw_endpoint_key *key);
INLINE struct sw_port *find_port(const struct sk_buff *skb, const struct sw_port_key *key);
/* Of the link that the packet came in by. */
INLINE struct sw_link *find_link(const struct sk_buff *skb);
INLINE int is_peer(const struct sk_buff *skb, const struct sw_addr *vtep);
INLINE struct sw_flow *find_flow(const struct sk_buff *skb, const struct sw_flow_key *key);
/* Insert or replace; with only_new -1 when there is one with this key. */
INLINE int put_flow(const struct sk_buff *skb, const struct sw_flow_key *key,
		    const struct sw_flow *flow, int only_new);
INLINE struct sw_fragment *find_fragment(const struct sk_buff *skb,
					 const struct sw_fragment_key *key);
INLINE void put_fragment(const struct sk_buff *skb, const struct sw_fragment_key *key,
			 const struct sw_fragment *fragment);
/* The address in a slot of a balancing table. 0, or -1: the table is gone. */
INLINE int lb_slot(const struct sk_buff *skb, const struct sw_lb *lb, __u32 slot,
		   struct sw_addr *ret);

/* CLOCK_MONOTONIC, coarse. */
INLINE __u32 now_s(void);

/* Count a packet that leaves the path, as it leaves it. */
INLINE void count(const struct sk_buff *skb, __u32 reason);
/*
 * A flow was made, a packet was dropped: to those who listen, if any. set may be NULL, and so may
 * be the key of a packet that was not understood.
 */
INLINE void note_flow(const struct sk_buff *skb, const struct sw_settings *set,
		      const struct sw_flow_key *key, const struct sw_flow *flow);
INLINE void note_drop(const struct sk_buff *skb, const struct sw_settings *set,
		      const struct sw_flow_key *key, __u32 reason);

/* struct route is the platform's; it has at least __u32 mtu, set with ROUTE_TOO_BIG. */
struct route;

enum route_result {
	ROUTE_OUT, /* send_route() */
	ROUTE_LOCAL, /* to this node itself */
	ROUTE_TOO_BIG, /* the way's MTU is less than len */
	ROUTE_NONE,
};

/* Where the node would route a packet of len bytes (0: any) from saddr to daddr. */
INLINE enum route_result find_route(struct sk_buff *skb, struct route *ret, __be32 saddr,
				    __be32 daddr, __u16 len);
/* Is daddr this node's own? */
INLINE int is_own_addr(struct sk_buff *skb, __be32 saddr, __be32 daddr);

/* What the path is left with; the values are the platform's, beside ACT_PASS and ACT_DROP. */

/* Out by a link, the frame as it is. */
INLINE int send_out(struct sk_buff *skb, __u32 ifindex);
/* In by a link, as if it had come from there. */
INLINE int send_in(struct sk_buff *skb, __u32 ifindex);
/* In at the other end of a veth whose end in this namespace is ifindex, without a queue. */
INLINE int send_peer(struct sk_buff *skb, __u32 ifindex);
/* Out along a route that find_route() gave with ROUTE_OUT; fills in the MACs. */
INLINE int send_route(struct sk_buff *skb, const struct route *r);
/*
 * The frame, with *e before it and its MACs in place of its own, to the node e->daddr inside ESP, as
 * the stack's policies say. They may drop it later, and do not let it pass in the clear. What r was
 * is gone. ACT_DROP: it cannot be encrypted.
 */
INLINE int send_esp(struct sk_buff *skb, const struct sw_settings *set, struct route *r,
		    const struct sw_encap *e);
