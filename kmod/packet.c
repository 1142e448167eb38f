// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the path decides is done here, once it has been left: so however deep a packet gets into
 * another namespace's stack, it is none of the path's stack that it sits on.
 */
#include "packet.h"

#include <linux/if_vlan.h>
#include <net/arp.h>
#include <net/sock.h>

#include "compat.h"
#include "platform.h"
#include "swarm/path/entry.h"

/* Out by a link, the frame as it is. */
static void put_out(struct sk_buff *skb, struct net_device *dev)
{
	skb_postpush_rcsum(skb, skb->data, ETH_HLEN);
	skb->dev = dev;
	skb_clear_tstamp(skb);
	dev_queue_xmit(skb);
}

/* In by a link, through its queue. */
static void put_in(struct sk_buff *skb, struct net_device *dev)
{
	skb_postpush_rcsum(skb, skb->data, ETH_HLEN);
	dev_forward_skb(dev, skb);
}

/* In at a veth's other end, as if its driver had received it there. */
static void put_peer(struct sk_buff *skb, struct net_device *dev)
{
	const struct net_device_ops *ops = dev->netdev_ops;
	struct net_device *peer = ops->ndo_get_peer_dev ? ops->ndo_get_peer_dev(dev) : NULL;

	if (!peer || !(peer->flags & IFF_UP)) {
		kfree_skb(skb);
		return;
	}
	__skb_pull(skb, ETH_HLEN);
	skb_reset_network_header(skb);
	skb_reset_transport_header(skb);
	skb->dev = peer;
	skb->priority = 0;
	skb_scrub_packet(skb, true);
	sw_compat_count_rx(peer, skb->len);
	netif_receive_skb(skb);
}

/* The route becomes the packet's, whose data begins at the IP header then. */
static void take_route(struct sk_buff *skb, struct rtable *rt)
{
	__skb_pull(skb, ETH_HLEN);
	skb_unset_mac_header(skb);
	skb_reset_network_header(skb);
	skb_forward_csum(skb);
	skb_clear_tstamp(skb);
	skb_dst_drop(skb);
	skb_dst_set(skb, &rt->dst);
	skb->dev = rt->dst.dev;
}

/* To the next hop of a route. */
static void put_route(struct sk_buff *skb, struct rtable *rt)
{
	struct net_device *dev = rt->dst.dev;
	struct neighbour *neigh;
	bool is_v6 = false;

	take_route(skb, rt);
	if (unlikely(skb_headroom(skb) < LL_RESERVED_SPACE(dev) && dev->header_ops)) {
		skb = skb_expand_head(skb, LL_RESERVED_SPACE(dev));
		if (!skb)
			return;
	}
	neigh = ip_neigh_for_gw(rt, skb, &is_v6);
	if (IS_ERR(neigh)) {
		kfree_skb(skb);
		return;
	}
	neigh_output(neigh, skb, is_v6);
}

/* To where a route's xfrm takes it, as one of this node's own. */
static void put_esp(struct sk_buff *skb, struct net *net, struct rtable *rt)
{
	take_route(skb, rt);
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
	ip_local_out(net, NULL, skb);
}

/* Everything but ACT_PASS; the packet and the route are taken. */
static void put(struct sk_buff *skb, struct passage *way, int act)
{
	struct net_device *dev;

	if (act == ACT_ROUTE) {
		put_route(skb, way->rt);
		return;
	}
	if (act == ACT_ESP) {
		put_esp(skb, way->sn->net, way->rt);
		return;
	}
	ip_rt_put(way->rt);
	dev = act == ACT_DROP ? NULL : dev_get_by_index_rcu(way->sn->net, way->ifindex);
	if (!dev)
		kfree_skb_reason(skb, SKB_DROP_REASON_NETFILTER_DROP);
	else if (act == ACT_OUT)
		put_out(skb, dev);
	else if (act == ACT_IN)
		put_in(skb, dev);
	else
		put_peer(skb, dev);
}

/* Data begins at the Ethernet header. Returns true when the packet was taken. */
static __always_inline bool pass(struct sw_net *sn, struct sk_buff *skb,
				 int (*path)(struct sk_buff *, const struct sw_settings *))
{
	struct passage way = {.sn = sn, .set = rcu_dereference(sn->settings)};
	int act;

	*(struct passage **)skb->cb = &way;
	act = path(skb, way.set);
	if (act == ACT_PASS) {
		ip_rt_put(way.rt);
		return false;
	}
	put(skb, &way, act);
	return true;
}

/*
 * From a link. A VLAN's packets are the VLAN's link's, and packets without an Ethernet header
 * nobody's. Shared packets there are none: whoever listens here before us has taken a clone.
 */
static __always_inline unsigned int
from_link(struct sw_net *sn, struct sk_buff *skb, unsigned int foreign,
	  int (*path)(struct sk_buff *, const struct sw_settings *))
{
	if (unlikely(skb_mac_header_len(skb) != ETH_HLEN || skb_shared(skb)))
		return foreign;
	if (unlikely(skb_vlan_tag_present(skb))) {
		if (skb_vlan_tag_get_id(skb))
			return foreign;
		__vlan_hwaccel_clear_tag(skb);
	}
	__skb_push(skb, ETH_HLEN);
	if (pass(sn, skb, path))
		return NF_STOLEN;
	__skb_pull(skb, ETH_HLEN);
	return NF_ACCEPT;
}

/*
 * A container's own tunnels come with work that is left to devices, which cannot be left to them
 * once more: it is done here.
 */
static noinline unsigned int from_tunneler(struct sw_net *sn, struct sk_buff *skb)
{
	struct sk_buff *segs = NULL, *next;

	if (skb_is_gso(skb)) {
		__skb_push(skb, ETH_HLEN);
		segs = skb_gso_segment(skb, NETIF_F_SG);
		__skb_pull(skb, ETH_HLEN);
		if (IS_ERR(segs))
			return NF_DROP;
	}
	if (!segs) {
		if (skb->ip_summed == CHECKSUM_PARTIAL && skb_checksum_help(skb))
			return NF_DROP;
		skb->encapsulation = 0;
		return from_link(sn, skb, NF_DROP, path_container);
	}
	consume_skb(skb);
	skb_list_walk_safe(segs, skb, next) {
		skb_mark_not_on_list(skb);
		skb->encapsulation = 0;
		skb_reset_mac_header(skb);
		skb_set_network_header(skb, ETH_HLEN);
		if (!pass(sn, skb, path_container))
			kfree_skb(skb);
	}
	return NF_STOLEN;
}

unsigned int sw_packet_container(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	if (unlikely(skb->encapsulation))
		return from_tunneler(priv, skb);
	return from_link(priv, skb, NF_DROP, path_container);
}

unsigned int sw_packet_clients(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	return from_link(priv, skb, NF_ACCEPT, path_clients);
}

unsigned int sw_packet_loopback(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	return from_link(priv, skb, NF_ACCEPT, path_loopback);
}

#define DATAGRAM_HEADERS (sizeof(struct udphdr) + sizeof(struct vxlan_frame))

int sw_packet_datagram(struct sock *sk, struct sk_buff *skb)
{
	struct sw_net *sn = rcu_dereference_sk_user_data(sk);
	struct passage way = {.sn = sn};
	__be32 via = ip_hdr(skb)->saddr;
	struct pkt unknown = {};
	struct vxlan_frame f;
	int act;

	if (!sn || !pskb_may_pull(skb, DATAGRAM_HEADERS + sizeof(struct iphdr)) ||
	    iptunnel_pull_offloads(skb)) {
		kfree_skb(skb);
		return 0;
	}
	memcpy(&f, skb->data + sizeof(struct udphdr), sizeof(f));
	skb_postpull_rcsum(skb, skb->data, DATAGRAM_HEADERS);
	__skb_pull(skb, DATAGRAM_HEADERS - ETH_HLEN);
	set_offsets(skb);
	skb->protocol = f.eth.proto;
	skb_clear_hash_if_not_l4(skb);
	skb_dst_drop(skb);
	skb_orphan(skb);
	nf_reset_ct(skb);
	way.set = rcu_dereference(sn->settings);
	*(struct passage **)skb->cb = &way;
	if (f.vxlan.flags == sw_htonl(SW_VXLAN_FLAGS))
		act = path_frame(skb, way.set, sw_ntohl(f.vxlan.vni) >> 8, via);
	else
		act = leave(skb, way.set, &unknown, DROP(MALFORMED));
	put(skb, &way, act);
	return 0;
}
