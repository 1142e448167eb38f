// SPDX-License-Identifier: GPL-2.0-only
/*
 * The programs, all on tc's ingress side:
 *
 *	sw_container	host end of a container's veth in an overlay or ingress network
 *	sw_clients	uplinks and bridges: clients of published ports, VXLAN from other nodes
 *	sw_loopback	lo: this node's own processes as clients
 *	sw_tunnel	the idle vxlan device: what the node had to put together from fragments
 */
#include "overlay.h"

char LICENSE[] SEC("license") = "GPL";

INLINE const struct sw_settings *get_settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}

SEC("tc")
int sw_container(struct __sk_buff *skb)
{
	const struct sw_settings *set = get_settings();
	__u32 ifindex = skb->ifindex;
	struct sw_link *link;
	struct pkt p;

	link = bpf_map_lookup_elem(&links, &ifindex);
	if (!set || !link)
		return leave(skb, DROP(NO_NETWORK));
	if (skb->protocol == sw_htons(ETH_P_IP))
		return leave(skb, from_container(skb, &p, set, link));
	if (skb->protocol == sw_htons(ETH_P_ARP))
		return leave(skb, answer_arp(skb, link));
	return leave(skb, DROP(PROTOCOL));
}

struct vxlan_frame {
	struct sw_vxlanhdr vxlan;
	struct sw_ethhdr eth;
} __attribute__((packed));

/* A VXLAN datagram to this node, whole. */
INLINE struct verdict from_tunnel(struct __sk_buff *skb, struct pkt *p,
				  const struct sw_settings *set)
{
	struct sw_addr peer = p->key.src;
	__be32 via = p->saddr;
	struct vxlan_frame f;

	if (!bpf_map_lookup_elem(&peers, &peer))
		return DROP(UNKNOWN_PEER);
	if (p->ihl != sizeof(struct iphdr) ||
	    bpf_skb_load_bytes(skb, L3 + sizeof(struct iphdr) + sizeof(struct udphdr), &f,
			       sizeof(f)) ||
	    f.vxlan.flags != sw_htonl(SW_VXLAN_FLAGS))
		return DROP(MALFORMED);
	if (f.eth.proto != sw_htons(ETH_P_IP))
		return DROP(PROTOCOL);
	if (bpf_skb_adjust_room(skb, -SW_ENCAP_SIZE, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return DROP(REWRITE);
	return from_node(skb, p, set, sw_ntohl(f.vxlan.vni) >> 8, f.eth.dst, f.eth.src, via);
}

INLINE struct sw_port *port_of(const struct pkt *p)
{
	struct sw_port_key k = {.port = p->key.dport, .proto = p->key.proto};

	if (!(p->flags & PKT_PORTS) || (k.proto != IPPROTO_TCP && k.proto != IPPROTO_UDP))
		return NULL;
	return bpf_map_lookup_elem(&ports, &k);
}

INLINE struct verdict from_clients(struct __sk_buff *skb, struct pkt *p,
				   const struct sw_settings *set)
{
	__u32 ifindex = skb->ifindex;
	struct sw_link *link;
	struct sw_port *port;

	if (skb->protocol != sw_htons(ETH_P_IP) || skb->pkt_type != PACKET_HOST ||
	    parse_ip(skb, p, 0))
		return PASS;
	if (p->proto == IPPROTO_UDP && p->key.dport == set->vxlan_port &&
	    p->daddr == set->vtep.w[3] && p->flags & PKT_PORTS &&
	    !(p->flags & (PKT_FIRST_FRAGMENT | PKT_LATER_FRAGMENT)))
		return from_tunnel(skb, p, set);
	port = port_of(p);
	if (!port)
		return PASS;
	link = bpf_map_lookup_elem(&links, &ifindex);
	return published(skb, p, set, port,
			 link && link->flags & SW_LINK_BRIDGE ? SW_FLOW_TO_NODE : 0);
}

SEC("tc")
int sw_clients(struct __sk_buff *skb)
{
	const struct sw_settings *set = get_settings();
	struct pkt p;

	if (!set)
		return TC_ACT_UNSPEC;
	return leave(skb, from_clients(skb, &p, set));
}

SEC("tc")
int sw_loopback(struct __sk_buff *skb)
{
	const struct sw_settings *set = get_settings();
	struct sw_port *port;
	struct pkt p;

	if (!set || skb->protocol != sw_htons(ETH_P_IP) || parse_ip(skb, &p, 0))
		return TC_ACT_UNSPEC;
	port = port_of(&p);
	if (!port)
		return TC_ACT_UNSPEC;
	return leave(skb, published(skb, &p, set, port, SW_FLOW_TO_NODE));
}

INLINE struct verdict from_device(struct __sk_buff *skb, struct pkt *p,
				  const struct sw_settings *set)
{
	struct bpf_tunnel_key key = {};
	struct sw_addr peer;
	__u8 mac[12];

	if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0) ||
	    bpf_skb_load_bytes(skb, 0, mac, sizeof(mac)))
		return DROP(MALFORMED);
	sw_addr_set4(&peer, sw_htonl(key.remote_ipv4));
	if (!bpf_map_lookup_elem(&peers, &peer))
		return DROP(UNKNOWN_PEER);
	if (skb->protocol != sw_htons(ETH_P_IP))
		return DROP(PROTOCOL);
	return from_node(skb, p, set, key.tunnel_id, mac, mac + 6, peer.w[3]);
}

/* Nothing gets to the node itself by this device. */
SEC("tc")
int sw_tunnel(struct __sk_buff *skb)
{
	const struct sw_settings *set = get_settings();
	struct pkt p;

	if (!set)
		return TC_ACT_SHOT;
	return leave(skb, from_device(skb, &p, set));
}
