/* SPDX-License-Identifier: GPL-2.0-only */
/* Containers among themselves, VIPs, and replies. */
#pragma once

#include "swarm/path/ingress.h"

/* Give the packet to whoever has the endpoint. */
INLINE struct verdict to_endpoint(struct sk_buff *skb, struct pkt *p, const struct sw_settings *set,
				  const struct sw_endpoint *e, __u32 vni, __be32 error_addr)
{
	struct tunnel tun = {.vni = vni, .node = e->node.w[3]};

	if (e->ifindex)
		return to_container(skb, e, set->lo_ifindex);
	__builtin_memcpy(tun.dst, e->mac, 6);
	sw_mac4(tun.src, SW_MAC_ADDR, p->saddr);
	return to_vtep(skb, p, set, &tun, error_addr);
}

/* A packet whose flow was found among the replies. */
INLINE struct verdict reply(struct sk_buff *skb, struct pkt *p, const struct sw_settings *set,
			    struct sw_flow *f, __u32 vni)
{
	struct tunnel tun = {.vni = vni, .node = f->via.w[3]};
	__be32 backend = p->key.src.w[3];
	__u32 state = READ_ONCE(f->state);
	struct target t;

	touch(f, p, SW_FLOW_FIN_REPLY);
	target_of_flow(&t, f);
	if (rewrite(skb, p, &t))
		return DROP(REWRITE);
	if (state & SW_FLOW_IN_NETWORK) {
		struct sw_endpoint *e = endpoint4(skb, vni, t.daddr);

		if (!e || e->kind != SW_ENDPOINT)
			return DROP(NO_ENDPOINT);
		return to_endpoint(skb, p, set, e, vni, 0);
	}
	if (!tun.node || (set->flags & SW_RETURN_DIRECT && !(state & SW_FLOW_TO_NODE)))
		return to_client(skb, p, set, vni);
	sw_mac4(tun.dst, state & SW_FLOW_TO_NODE ? SW_MAC_ENTRY : SW_MAC_ADDR, tun.node);
	sw_mac4(tun.src, SW_MAC_ADDR, backend);
	return to_vtep(skb, p, set, &tun, 0);
}

/* To an endpoint of this node: replies to a VIP's client are turned back first. */
INLINE struct verdict arrive(struct sk_buff *skb, struct pkt *p, const struct sw_settings *set,
			     const struct sw_endpoint *e)
{
	struct sw_flow *f;
	struct target t;

	if (READ_ONCE(e->translated) && p->flags & PKT_PORTS) {
		f = flow_of(skb, p, SW_FLOW_REPLY);
		if (f && READ_ONCE(f->state) & SW_FLOW_IN_NETWORK) {
			touch(f, p, SW_FLOW_FIN_REPLY);
			target_of_flow(&t, f);
			if (rewrite(skb, p, &t))
				return DROP(REWRITE);
		}
	}
	return to_container(skb, e, set->lo_ifindex);
}

/* From a container to a VIP. */
INLINE struct verdict to_vip(struct sk_buff *skb, struct pkt *p, const struct sw_settings *set,
			     const struct sw_endpoint *vip)
{
	struct sw_flow n = {}, *f;
	struct sw_endpoint *e = NULL, *client;
	struct sw_addr addr;
	struct target t;
	__u32 vni = p->key.vni;

	if (!(p->flags & PKT_PORTS))
		return DROP(NO_FLOW);
	f = flow_of(skb, p, SW_FLOW_VIP);
	if (f && !is_over(f, p))
		e = backend_of(skb, f, vni);
	if (e) {
		touch(f, p, SW_FLOW_FIN);
		target_of_flow(&t, f);
	} else {
		if (p->flags & (PKT_ICMP_ERROR | PKT_LATER_FRAGMENT))
			return DROP(NO_FLOW);
		e = choose(skb, p, &vip->lb, vni, &addr);
		if (!e || e->kind != SW_ENDPOINT)
			return DROP(NO_BACKEND);
		target_same(&t, p);
		t.daddr = addr.w[3];
		if (t.daddr == t.saddr)
			t.saddr = self_address(skb, vni);
		n.gen = e->gen;
		n.seen_s = now_s();
		n.state = SW_FLOW_IN_NETWORK;
		if (remember_reply(skb, p, vni, &t, &n, 0))
			return DROP(FLOW_CLASH);
		flow_to_target(&n, &t);
		n.state = 0;
		p->key.dir = SW_FLOW_VIP;
		put_flow(skb, &p->key, &n, 0);
		note_flow(skb, set, &p->key, &n);
		client = endpoint4(skb, vni, p->saddr);
		if (client && !READ_ONCE(client->translated))
			WRITE_ONCE(client->translated, 1);
	}
	if (rewrite(skb, p, &t))
		return DROP(REWRITE);
	return to_endpoint(skb, p, set, e, vni, p->key.dst.w[3]);
}

/* Everything that a container of this node sends. */
INLINE struct verdict from_container(struct sk_buff *skb, struct pkt *p,
				     const struct sw_settings *set, const struct sw_link *link)
{
	struct sw_endpoint *e;
	struct sw_flow *f;

	if (parse_ip(skb, p, link->vni))
		return DROP(MALFORMED);
	if (p->saddr != link->addr.w[3])
		return DROP(SPOOFED);
	remember_fragment(skb, p);
	if (link->flags & SW_LINK_INGRESS && p->flags & PKT_PORTS) {
		f = flow_of(skb, p, SW_FLOW_REPLY);
		if (f)
			return reply(skb, p, set, f, link->vni);
	}
	e = endpoint4(skb, link->vni, p->daddr);
	if (!e)
		return DROP(NO_ENDPOINT);
	if (e->kind == SW_ENDPOINT) {
		if (e->ifindex)
			return arrive(skb, p, set, e);
		return to_endpoint(skb, p, set, e, link->vni, 0);
	}
	if (p->flags & PKT_ECHO)
		return answer_echo(skb, p);
	if (e->kind == SW_ENDPOINT_VIP)
		return to_vip(skb, p, set, e);
	f = flow_of(skb, p, SW_FLOW_REPLY);
	if (f)
		return reply(skb, p, set, f, link->vni);
	return DROP(NO_ENDPOINT);
}

/* Was the packet decrypted here? The mark that says so is taken off, and asking again gives 0. */
INLINE int was_decrypted(struct sk_buff *skb)
{
	if (skb->mark != SW_ESP_MARK)
		return 0;
	skb->mark = 0;
	return 1;
}

/*
 * A frame that another node has sent, its outer headers gone; via is that node. In an ingress
 * network the frame's destination names who it is for.
 */
INLINE struct verdict from_node(struct sk_buff *skb, struct pkt *p, const struct sw_settings *set,
				__u32 vni, const __u8 dst[6], const __u8 src[6], __be32 via)
{
	struct sw_network *net = find_network(skb, vni);
	int decrypted = was_decrypted(skb);
	__be32 named = sw_mac4_addr(dst);
	struct sw_port_key pk = {};
	struct sw_endpoint *e;
	struct sw_port *port;
	struct sw_flow *f;
	struct target t;

	if (!net)
		return DROP(NO_NETWORK);
	if (net->flags & SW_NETWORK_ENCRYPTED && !decrypted)
		return DROP(CLEARTEXT);
	if (parse_ip(skb, p, vni))
		return DROP(MALFORMED);
	remember_fragment(skb, p);
	if (net->flags & SW_NETWORK_INGRESS && named == set->vtep.w[3]) {
		if (dst[1] == SW_MAC_ENTRY) {
			f = flow_of(skb, p, SW_FLOW_REPLY);
			if (f) {
				target_of_flow(&t, f);
				if (rewrite(skb, p, &t))
					return DROP(REWRITE);
			}
		}
		return to_client(skb, p, set, 0);
	}
	if (net->flags & SW_NETWORK_INGRESS && named != p->daddr) {
		e = endpoint4(skb, vni, named);
		if (!e || e->kind != SW_ENDPOINT || !e->ifindex)
			return DROP(NO_ENDPOINT);
		if (!(p->flags & PKT_PORTS))
			return DROP(NO_FLOW);
		pk.port = p->key.dport;
		pk.proto = p->key.proto;
		port = find_port(skb, &pk);
		if (!port || port->vni != vni)
			return DROP(NO_ENDPOINT);
		return to_backend(skb, p, set, e, vni, named, port->target, via,
				  src[1] == SW_MAC_ENTRY ? SW_FLOW_TO_NODE : 0);
	}
	e = endpoint4(skb, vni, p->daddr);
	if (!e || e->kind != SW_ENDPOINT || !e->ifindex)
		return DROP(NO_ENDPOINT);
	return arrive(skb, p, set, e);
}
