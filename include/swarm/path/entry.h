/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where packets come into the path. Each function takes a packet whose data begins at the Ethernet
 * header, and the settings of its namespace (NULL: not set up), and returns what to do with it.
 * Call them within rcu_read_lock() and with softirqs off, as tc calls its programs.
 */
#pragma once

#include "swarm/path/overlay.h"

/* From a container, at the host end of its veth in an overlay or ingress network. */
INLINE int path_container(struct sk_buff *skb, const struct sw_settings *set)
{
	struct sw_link *link = find_link(skb);
	struct pkt p;

	p.key.proto = 0;
	if (!set || !link)
		return leave(skb, set, &p, DROP(NO_NETWORK));
	if (skb->protocol == sw_htons(ETH_P_IP))
		return leave(skb, set, &p, from_container(skb, &p, set, link));
	if (skb->protocol == sw_htons(ETH_P_ARP))
		return leave(skb, set, &p, answer_arp(skb, link));
	return leave(skb, set, &p, DROP(PROTOCOL));
}

struct vxlan_frame {
	struct sw_vxlanhdr vxlan;
	struct sw_ethhdr eth;
} __attribute__((packed));

/* A VXLAN datagram to this node, whole. */
INLINE struct verdict from_tunnel(struct sk_buff *skb, struct pkt *p, const struct sw_settings *set)
{
	struct sw_addr peer = p->key.src;
	__be32 via = p->saddr;
	struct vxlan_frame f;

	if (!is_peer(skb, &peer))
		return DROP(UNKNOWN_PEER);
	if (p->ihl != sizeof(struct iphdr) ||
	    buf_load(skb, L3 + sizeof(struct iphdr) + sizeof(struct udphdr), &f, sizeof(f)) ||
	    f.vxlan.flags != sw_htonl(SW_VXLAN_FLAGS))
		return DROP(MALFORMED);
	if (f.eth.proto != sw_htons(ETH_P_IP))
		return DROP(PROTOCOL);
	if (buf_decap(skb))
		return DROP(REWRITE);
	return from_node(skb, p, set, sw_ntohl(f.vxlan.vni) >> 8, f.eth.dst, f.eth.src, via);
}

INLINE struct sw_port *port_of(const struct sk_buff *skb, const struct pkt *p)
{
	struct sw_port_key k = {.port = p->key.dport, .proto = p->key.proto};

	if (!(p->flags & PKT_PORTS) || (k.proto != IPPROTO_TCP && k.proto != IPPROTO_UDP))
		return NULL;
	return find_port(skb, &k);
}

INLINE struct verdict from_clients(struct sk_buff *skb, struct pkt *p,
				   const struct sw_settings *set)
{
	struct sw_port *port;

	if (skb->protocol != sw_htons(ETH_P_IP) || skb->pkt_type != PACKET_HOST ||
	    parse_ip(skb, p, 0))
		return PASS;
	if (p->proto == IPPROTO_UDP && p->key.dport == set->vxlan_port &&
	    p->daddr == set->vtep.w[3] && p->flags & PKT_PORTS &&
	    !(p->flags & (PKT_FIRST_FRAGMENT | PKT_LATER_FRAGMENT)))
		return from_tunnel(skb, p, set);
	port = port_of(skb, p);
	if (!port)
		return PASS;
	return published(skb, p, set, port);
}

/* From an uplink or a bridge: clients of published ports, VXLAN from other nodes. */
INLINE int path_clients(struct sk_buff *skb, const struct sw_settings *set)
{
	struct pkt p;

	if (!set)
		return ACT_PASS;
	p.key.proto = 0;
	return leave(skb, set, &p, from_clients(skb, &p, set));
}

/* From the loopback: this node's own processes as clients. */
INLINE int path_loopback(struct sk_buff *skb, const struct sw_settings *set)
{
	struct sw_port *port;
	struct pkt p;

	if (!set || skb->protocol != sw_htons(ETH_P_IP) || parse_ip(skb, &p, 0))
		return ACT_PASS;
	port = port_of(skb, &p);
	if (!port)
		return ACT_PASS;
	return leave(skb, set, &p, published(skb, &p, set, port));
}

INLINE struct verdict from_device(struct sk_buff *skb, struct pkt *p, const struct sw_settings *set,
				  __u32 vni, __be32 via)
{
	struct sw_addr peer;
	__u8 mac[12];

	if (buf_load(skb, 0, mac, sizeof(mac)))
		return DROP(MALFORMED);
	sw_addr_set4(&peer, via);
	if (!is_peer(skb, &peer))
		return DROP(UNKNOWN_PEER);
	if (skb->protocol != sw_htons(ETH_P_IP))
		return DROP(PROTOCOL);
	return from_node(skb, p, set, vni, mac, mac + 6, via);
}

/*
 * A frame of another node whose outer headers the stack has taken off, since it had to be put
 * together from fragments. via: the node, whose address is not checked yet. Nothing gets to the
 * node itself by this way.
 */
INLINE int path_frame(struct sk_buff *skb, const struct sw_settings *set, __u32 vni, __be32 via)
{
	struct pkt p;

	if (!set)
		return ACT_DROP;
	p.key.proto = 0;
	return leave(skb, set, &p, from_device(skb, &p, set, vni, via));
}
