/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Balancing and the memory of it. There is no time-out: the table forgets what was not used for
 * longest when it is full. A flow whose backend is gone, or ended, is balanced anew.
 */
#pragma once

#include "send.h"

#define UDP_IDLE_S 120 /* a datagram after so long a silence is a new flow */

INLINE __u32 now_s(void)
{
	return bpf_ktime_get_coarse_ns() / 1000000000;
}

/* The backend of a new flow, or NULL. The table may be replaced while we look: its old chunks stay. */
INLINE struct sw_endpoint *choose(const struct pkt *p, const struct sw_lb *lb, __u32 vni,
				  struct sw_addr *ret)
{
	struct sw_endpoint_key ek = {.vni = vni};
	struct sw_chunk_key ck = {.table = lb->table};
	struct sw_chunk *c;
	__u32 size = lb->size, slot;

	if (!size)
		return NULL;
	slot = sw_hash_flow(&p->key) % size;
	ck.chunk = slot / SW_CHUNK;
	c = bpf_map_lookup_elem(&chunks, &ck);
	if (!c)
		return NULL;
	*ret = c->slot[slot % SW_CHUNK];
	ek.addr = *ret;
	return bpf_map_lookup_elem(&endpoints, &ek);
}

/* Note what the packet says about the connection. bits: SW_FLOW_FIN or SW_FLOW_FIN_REPLY. */
INLINE void touch(struct sw_flow *f, const struct pkt *p, __u32 fin)
{
	__u32 state = f->state, now;

	if (p->flags & PKT_ICMP_ERROR)
		return;
	if (p->flags & PKT_FIN)
		state |= fin;
	if (p->flags & PKT_RST)
		state |= SW_FLOW_RST;
	if (state != f->state)
		f->state = state;
	if (p->proto == IPPROTO_UDP) {
		now = now_s();
		if (now != f->seen_s)
			f->seen_s = now;
	}
}

INLINE int is_over(const struct sw_flow *f, const struct pkt *p)
{
	if (p->flags & PKT_SYN)
		return f->state & (SW_FLOW_FIN | SW_FLOW_FIN_REPLY | SW_FLOW_RST);
	if (p->proto == IPPROTO_UDP && !(p->flags & (PKT_ICMP_ERROR | PKT_LATER_FRAGMENT)))
		return now_s() - f->seen_s > UDP_IDLE_S;
	return 0;
}

/* The endpoint that a flow goes to, or NULL when it is no longer that one. */
INLINE struct sw_endpoint *backend_of(const struct sw_flow *f, __u32 vni)
{
	struct sw_endpoint_key k = {.vni = vni, .addr = f->dst};
	struct sw_endpoint *e = bpf_map_lookup_elem(&endpoints, &k);

	if (!e || e->kind != SW_ENDPOINT || e->gen != f->gen)
		return NULL;
	return e;
}

INLINE struct sw_flow *find_flow(struct pkt *p, __u8 dir)
{
	p->key.dir = dir;
	return bpf_map_lookup_elem(&flows, &p->key);
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
 * remembered in a flow of direction dir (or, if 0, by the caller). proto and vni of the key are
 * the network's. Returns 0 or -1.
 */
INLINE int remember_reply(struct pkt *p, __u32 vni, struct target *t,
			  const struct sw_flow *proto_flow, __u8 dir)
{
	struct sw_flow_key rk = {.vni = vni, .proto = p->key.proto, .dir = SW_FLOW_REPLY};
	struct sw_flow r = *proto_flow, *old;
	__u32 i, port;

	rk.sport = t->dport;
	rk.dport = t->sport;
	sw_addr_set4(&rk.src, t->daddr);
	sw_addr_set4(&rk.dst, t->saddr);
	r.src = p->key.dst;
	r.dst = p->key.src;
	r.sport = p->key.dport;
	r.dport = p->key.sport;
	old = bpf_map_lookup_elem(&flows, &rk);
	if (!old || same_origin(old, p) || old->gen != r.gen ||
	    old->state & (SW_FLOW_FIN | SW_FLOW_FIN_REPLY | SW_FLOW_RST) || is_over(old, p))
		return bpf_map_update_elem(&flows, &rk, &r, BPF_ANY) ? -1 : 0;
	if (p->flags & (PKT_ICMP_ERROR | PKT_LATER_FRAGMENT) || p->flags & PKT_FIRST_FRAGMENT ||
	    (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP))
		return -1;
	port = sw_hash_flow(&p->key);
	for (i = 0; i < REMAP_TRIES; i++) {
		port = port * 69069 + 1;
		rk.dport = sw_htons(1024 + (port >> 8) % 64512);
		if (!bpf_map_update_elem(&flows, &rk, &r, BPF_NOEXIST))
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
		bpf_map_update_elem(&flows, &rk, &r, BPF_ANY);
	}
	return 0;
}
