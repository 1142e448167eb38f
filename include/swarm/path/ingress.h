/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Published ports. The entry node chooses the backend, remembers it, and hands the client's packet
 * to the backend's node unchanged; there (or here, when it is the same) the destination becomes
 * the container's, and the way back is remembered.
 */
#pragma once

#include "swarm/path/flows.h"

/* At the backend's node. via: the entry node, 0 for this one. state: SW_FLOW_TO_NODE or 0. */
INLINE struct verdict to_backend(struct sk_buff *skb, struct pkt *p, const struct sw_settings *set,
				 const struct sw_endpoint *e, __u32 vni, __be32 addr, __be16 target,
				 __be32 via, __u32 state)
{
	struct target t = {
		.saddr = p->key.src.w[3], .daddr = addr, .sport = p->key.sport, .dport = target};
	struct sw_flow_key rk = {.vni = vni, .proto = p->key.proto, .dir = SW_FLOW_REPLY};
	struct sw_flow n = {}, *r;

	/* a container does not answer itself, nor the node's loopback */
	if (t.saddr == addr || p->key.src.w[3] == e->host_addr.w[3] || sw_is_loopback4(t.saddr))
		t.saddr = self_address(skb, vni);
	rk.sport = target;
	rk.dport = t.sport;
	sw_addr_set4(&rk.src, addr);
	sw_addr_set4(&rk.dst, t.saddr);
	r = find_flow(skb, &rk);
	if (r && !same_origin(r, p)) {
		struct sw_flow *m;

		p->key.vni = vni;
		m = flow_of(skb, p, SW_FLOW_REMAPPED);
		r = NULL;
		if (m && m->gen == e->gen && m->dst.w[3] == addr &&
		    !(p->flags & PKT_SYN && is_over(m, p))) {
			t.sport = m->sport;
			rk.dport = m->sport;
			r = find_flow(skb, &rk);
		}
		if (r && !same_origin(r, p))
			return DROP(FLOW_CLASH);
	}
	if (r && r->gen == e->gen && !is_over(r, p)) {
		touch(r, p, SW_FLOW_FIN);
		/* the client's packets may come by another node than before */
		if (r->via.w[3] != via) {
			if (via)
				sw_addr_set4(&r->via, via);
			else
				__builtin_memset(&r->via, 0, sizeof(r->via));
		}
	} else if (p->flags & (PKT_ICMP_ERROR | PKT_LATER_FRAGMENT)) {
		return DROP(NO_FLOW);
	} else {
		if (via)
			sw_addr_set4(&n.via, via);
		n.gen = e->gen;
		n.state = state;
		n.seen_s = now_s();
		p->key.vni = vni;
		p->key.dir = SW_FLOW_REMAPPED;
		if (remember_reply(skb, p, vni, &t, &n, SW_FLOW_REMAPPED))
			return DROP(FLOW_CLASH);
		if (via) {
			flow_to_target(&n, &t);
			note_flow(skb, set, &p->key, &n);
		}
	}
	if (rewrite(skb, p, &t))
		return DROP(REWRITE);
	return to_container(skb, e, set->lo_ifindex);
}

/* At the entry node, with the backend known. */
INLINE struct verdict to_backend_node(struct sk_buff *skb, struct pkt *p,
				      const struct sw_settings *set, const struct sw_endpoint *e,
				      __u32 vni, __be32 addr, __u32 state)
{
	struct tunnel tun = {.vni = vni, .node = e->node.w[3]};
	struct target t;
	struct sw_flow n = {};
	__be32 error_addr = p->daddr;

	target_same(&t, p);
	if (sw_is_loopback4(t.saddr)) {
		t.saddr = self_address(skb, vni);
		n.state = state;
		n.seen_s = now_s();
		/* to 127.0.0.1:PORT from 127.0.0.1: as this node's address, whose ports are the same */
		if (!(p->flags & PKT_ICMP_ERROR) && remember_reply(skb, p, vni, &t, &n, 0))
			return DROP(FLOW_CLASH);
		if (rewrite(skb, p, &t))
			return DROP(REWRITE);
		p->key.src.w[3] = t.saddr;
	}
	sw_mac4(tun.dst, SW_MAC_ADDR, addr);
	sw_mac4(tun.src, state & SW_FLOW_TO_NODE ? SW_MAC_ENTRY : SW_MAC_ADDR, set->vtep.w[3]);
	return to_vtep(skb, p, set, &tun, error_addr);
}

/* Is the packet for this node itself? Only then are its ports the published ones. */
INLINE int is_for_node(struct sk_buff *skb, const struct pkt *p, const struct sw_settings *set)
{
	return p->daddr == set->vtep.w[3] || buf_ifindex(skb) == set->lo_ifindex ||
	       is_own_addr(skb, p->saddr, p->daddr);
}

/* SW_FLOW_TO_NODE when only this node can answer the client: its own processes, a bridge's. */
INLINE __u32 origin_of(const struct sk_buff *skb, const struct sw_settings *set)
{
	const struct sw_link *link;

	if (buf_ifindex(skb) == set->lo_ifindex)
		return SW_FLOW_TO_NODE;
	link = find_link(skb);
	return link && link->flags & SW_LINK_BRIDGE ? SW_FLOW_TO_NODE : 0;
}

INLINE struct verdict published(struct sk_buff *skb, struct pkt *p, const struct sw_settings *set,
				const struct sw_port *port)
{
	struct sw_flow n = {}, *f = flow_of(skb, p, SW_FLOW_PUBLISHED);
	struct sw_endpoint *e = NULL;
	struct sw_addr addr;
	__u32 origin;

	if (f && !is_over(f, p))
		e = backend_of(skb, f, port->vni);
	if (e) {
		addr = f->dst;
		origin = READ_ONCE(f->state) & SW_FLOW_TO_NODE;
		touch(f, p, SW_FLOW_FIN);
	} else {
		if (!is_for_node(skb, p, set))
			return PASS;
		if (p->flags & (PKT_ICMP_ERROR | PKT_LATER_FRAGMENT))
			return PASS;
		e = choose(skb, p, &port->lb, port->vni, &addr);
		if (!e || e->kind != SW_ENDPOINT)
			return DROP(NO_BACKEND);
		n.src = p->key.src;
		n.dst = addr;
		n.sport = p->key.sport;
		n.dport = port->target;
		n.gen = e->gen;
		n.seen_s = now_s();
		n.state = origin = origin_of(skb, set);
		put_flow(skb, &p->key, &n, 0);
		note_flow(skb, set, &p->key, &n);
	}
	remember_fragment(skb, p);
	if (!e->ifindex)
		return to_backend_node(skb, p, set, e, port->vni, addr.w[3], origin);
	return to_backend(skb, p, set, e, port->vni, addr.w[3], port->target, 0, origin);
}
