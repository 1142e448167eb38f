/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Balancing and the memory of it. There is no time-out: the table forgets what was not used for
 * longest when it is full. A flow whose backend is gone, or ended, is balanced anew.
 */
#pragma once

#include "swarm/path/send.h"

#define UDP_IDLE_S 120 /* a datagram after so long a silence is a new flow */

/* The backend of a new flow, or NULL. */
INLINE struct sw_endpoint *choose(const struct sk_buff *skb, const struct pkt *p,
				  const struct sw_lb *lb, __u32 vni, struct sw_addr *ret)
{
	struct sw_endpoint_key ek = {.vni = vni};
	__u32 size = READ_ONCE(lb->size);

	if (!size || lb_slot(skb, lb, sw_hash_flow(&p->key) % size, ret))
		return NULL;
	ek.addr = *ret;
	return find_endpoint(skb, &ek);
}

/* Note what the packet says about the connection. bits: SW_FLOW_FIN or SW_FLOW_FIN_REPLY. */
INLINE void touch(struct sw_flow *f, const struct pkt *p, __u32 fin)
{
	__u32 was = READ_ONCE(f->state), state = was, now;

	if (p->flags & PKT_ICMP_ERROR)
		return;
	if (p->flags & PKT_FIN)
		state |= fin;
	if (p->flags & PKT_RST)
		state |= SW_FLOW_RST;
	if (state != was)
		WRITE_ONCE(f->state, state);
	if (p->proto == IPPROTO_UDP) {
		now = now_s();
		if (now != READ_ONCE(f->seen_s))
			WRITE_ONCE(f->seen_s, now);
	}
}

INLINE int has_ended(const struct sw_flow *f)
{
	return READ_ONCE(f->state) & (SW_FLOW_FIN | SW_FLOW_FIN_REPLY | SW_FLOW_RST);
}

INLINE int is_over(const struct sw_flow *f, const struct pkt *p)
{
	if (p->flags & PKT_SYN)
		return has_ended(f);
	if (p->proto == IPPROTO_UDP && !(p->flags & (PKT_ICMP_ERROR | PKT_LATER_FRAGMENT)))
		return now_s() - READ_ONCE(f->seen_s) > UDP_IDLE_S;
	return 0;
}

/* The endpoint that a flow goes to, or NULL when it is no longer that one. */
INLINE struct sw_endpoint *backend_of(const struct sk_buff *skb, const struct sw_flow *f, __u32 vni)
{
	struct sw_endpoint_key k = {.vni = vni, .addr = f->dst};
	struct sw_endpoint *e = find_endpoint(skb, &k);

	if (!e || e->kind != SW_ENDPOINT || e->gen != f->gen)
		return NULL;
	return e;
}

/* The packet's flow of a direction, which p->key is left with. */
INLINE struct sw_flow *flow_of(const struct sk_buff *skb, struct pkt *p, __u8 dir)
{
	p->key.dir = dir;
	return find_flow(skb, &p->key);
}

INLINE int same_origin(const struct sw_flow *f, const struct pkt *p)
{
	return sw_addr_eq(&f->src, &p->key.dst) && sw_addr_eq(&f->dst, &p->key.src) &&
	       f->sport == p->key.dport && f->dport == p->key.sport;
}

#define REMAP_TRIES 8

/*
 * Remember that packets of the flow p->key become t, so that replies can be turned back. Another
 * flow may have the same addresses and ports once its destination is replaced (one client port,
 * two VIPs or nodes, one backend): then the client's port is changed in t, and the new port is
 * remembered in a flow of direction dir (or, if 0, by the caller). What the flow has beside
 * addresses and ports is that of *like. Returns 0 or -1.
 */
INLINE int remember_reply(const struct sk_buff *skb, struct pkt *p, __u32 vni, struct target *t,
			  const struct sw_flow *like, __u8 dir)
{
	struct sw_flow_key rk = {.vni = vni, .proto = p->key.proto, .dir = SW_FLOW_REPLY};
	struct sw_flow r = *like, *old;
	__u32 i, port;

	rk.sport = t->dport;
	rk.dport = t->sport;
	sw_addr_set4(&rk.src, t->daddr);
	sw_addr_set4(&rk.dst, t->saddr);
	r.src = p->key.dst;
	r.dst = p->key.src;
	r.sport = p->key.dport;
	r.dport = p->key.sport;
	old = find_flow(skb, &rk);
	if (!old || same_origin(old, p) || old->gen != r.gen || has_ended(old) || is_over(old, p))
		return put_flow(skb, &rk, &r, 0);
	if (p->flags & (PKT_ICMP_ERROR | PKT_LATER_FRAGMENT | PKT_FIRST_FRAGMENT) ||
	    (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP))
		return -1;
	port = sw_hash_flow(&p->key);
	for (i = 0; i < REMAP_TRIES; i++) {
		port = port * 69069 + 1;
		rk.dport = sw_htons(1024 + (port >> 8) % 64512);
		if (!put_flow(skb, &rk, &r, 1))
			break;
	}
	if (i == REMAP_TRIES)
		return -1;
	t->sport = rk.dport;
	if (dir) {
		r.sport = rk.dport;
		r.dport = t->dport;
		r.src = rk.dst;
		r.dst = rk.src;
		rk.src = p->key.src;
		rk.dst = p->key.dst;
		rk.sport = p->key.sport;
		rk.dport = p->key.dport;
		rk.dir = dir;
		put_flow(skb, &rk, &r, 0);
	}
	return 0;
}
