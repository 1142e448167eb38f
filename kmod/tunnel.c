// SPDX-License-Identifier: GPL-2.0-only
#include "tunnel.h"

#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/gro.h>
#include <net/udp.h>
#include <net/udp_tunnel.h>

#include "packet.h"
#include "swarm/vxlan.h"

struct sw_tunnel {
	struct socket *sock;
	__be16 port;
};

/*
 * Packets of one VNI between the same ports may be of one connection; whether they are is found
 * out by the inner headers.
 */
static struct sk_buff *gro_receive(struct sock *sk, struct list_head *head, struct sk_buff *skb)
{
	unsigned int off = skb_gro_offset(skb);
	const struct sw_vxlanhdr *vh, *other;
	struct sk_buff *pp = NULL, *p;
	int flush = 1;

	vh = skb_gro_header(skb, off + sizeof(*vh), off);
	if (unlikely(!vh) || vh->flags != sw_htonl(SW_VXLAN_FLAGS))
		goto out;
	skb_gro_postpull_rcsum(skb, vh, sizeof(*vh));
	skb_gro_pull(skb, sizeof(*vh));
	list_for_each_entry(p, head, list) {
		if (!NAPI_GRO_CB(p)->same_flow)
			continue;
		other = (const struct sw_vxlanhdr *)(p->data + off);
		if (other->flags != vh->flags || other->vni != vh->vni)
			NAPI_GRO_CB(p)->same_flow = 0;
	}
	pp = call_gro_receive(eth_gro_receive, head, skb);
	flush = 0;
out:
	skb_gro_flush_final(skb, pp, flush);
	return pp;
}

static int gro_complete(struct sock *sk, struct sk_buff *skb, int nhoff)
{
	return eth_gro_complete(skb, nhoff + sizeof(struct sw_vxlanhdr));
}

static struct sw_tunnel *open_tunnel(struct sw_net *sn, __be16 port, struct netlink_ext_ack *extack)
{
	struct udp_tunnel_sock_cfg cfg = {
		.sk_user_data = sn,
		.encap_type = 1,
		.encap_rcv = sw_packet_datagram,
		.gro_receive = gro_receive,
		.gro_complete = gro_complete,
	};
	struct udp_port_cfg where = {.family = AF_INET, .local_udp_port = port};
	struct sw_tunnel *t = kzalloc(sizeof(*t), GFP_KERNEL);
	int rc;

	if (!t)
		return ERR_PTR(-ENOMEM);
	rc = udp_sock_create4(sn->net, &where, &t->sock);
	if (rc) {
		if (rc == -EADDRINUSE)
			NL_SET_ERR_MSG(extack,
				       "the VXLAN port is in use: choose another data-path port");
		else
			NL_SET_ERR_MSG(extack, "no socket can be opened on the VXLAN port");
		kfree(t);
		return ERR_PTR(rc);
	}
	t->port = port;
	setup_udp_tunnel_sock(sn->net, t->sock, &cfg);
	/* devices that read the headers inside are told that there are such */
	udp_tunnel_notify_add_rx_port(t->sock, UDP_TUNNEL_TYPE_VXLAN);
	return t;
}

static void close_tunnel(struct sw_tunnel *t)
{
	udp_tunnel_notify_del_rx_port(t->sock, UDP_TUNNEL_TYPE_VXLAN);
	udp_tunnel_sock_release(t->sock);
	kfree(t);
}

int sw_tunnel_set(struct sw_net *sn, __be16 port, struct netlink_ext_ack *extack)
{
	struct sw_tunnel *old = sn->tunnel, *t = NULL;

	ASSERT_RTNL();
	lockdep_assert_held(&sn->lock);
	if (old && old->port == port)
		return 0;
	if (port) {
		t = open_tunnel(sn, port, extack);
		if (IS_ERR(t))
			return PTR_ERR(t);
	}
	sn->tunnel = t;
	if (old)
		close_tunnel(old);
	return 0;
}

void sw_tunnel_tell(struct sw_net *sn, struct net_device *dev, bool tell)
{
	ASSERT_RTNL();
	if (!sn->tunnel)
		return;
	if (tell)
		udp_tunnel_push_rx_port(dev, sn->tunnel->sock, UDP_TUNNEL_TYPE_VXLAN);
	else
		udp_tunnel_drop_rx_port(dev, sn->tunnel->sock, UDP_TUNNEL_TYPE_VXLAN);
}
