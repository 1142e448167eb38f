// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets are the same behind encapsulation and decapsulation, and their checksums stay right
 * through that and through rewriting, in whatever state the sums are and wherever the bytes lie.
 */

#include "../platform.h"

#include "selftest.h"
#include "swarm/path/rewrite.h"

#define PAYLOAD 333
#define L4 (L3 + sizeof(struct iphdr))

struct packet_kind {
	u8 proto;
	u8 ip_summed;
	bool paged; /* all behind the Ethernet header, or what a checksum to be completed allows */
};

static u32 l4_header(u8 proto)
{
	return proto == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr);
}

static u32 check_at(u8 proto)
{
	return proto == IPPROTO_TCP ? offsetof(struct tcphdr, check)
				    : offsetof(struct udphdr, check);
}

static void fill(u8 *at, const struct packet_kind *k, u32 l4_size)
{
	struct iphdr *ip = (struct iphdr *)(at + L3);
	u8 *l4 = at + L4;
	__sum16 *check = (__sum16 *)(l4 + check_at(k->proto));
	u32 i;

	for (i = 0; i < l4_size; i++)
		l4[i] = i * 7;
	memset(at, 0x11, 2 * ETH_ALEN);
	((struct ethhdr *)at)->h_proto = htons(ETH_P_IP);
	*ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(*ip) + l4_size),
		.ttl = 64,
		.protocol = k->proto,
		.saddr = htonl(0x0a00010b),
		.daddr = htonl(0x0a00010c),
	};
	ip_send_check(ip);
	if (k->proto == IPPROTO_TCP)
		((struct tcphdr *)l4)->doff = 5;
	*check = 0;
	if (k->ip_summed == CHECKSUM_PARTIAL)
		*check = ~csum_tcpudp_magic(ip->saddr, ip->daddr, l4_size, k->proto, 0);
	else
		*check = csum_tcpudp_magic(ip->saddr, ip->daddr, l4_size, k->proto,
					   csum_partial(l4, l4_size, 0));
}

static struct sk_buff *make(const struct packet_kind *k)
{
	u32 l4_size = l4_header(k->proto) + PAYLOAD, size = L4 + l4_size;
	u32 linear = k->ip_summed == CHECKSUM_PARTIAL ? size - PAYLOAD : L3;
	struct sk_buff *skb = alloc_skb(size + 128, GFP_KERNEL);
	struct page *page;
	u8 *frame;

	if (!skb)
		return NULL;
	skb_reserve(skb, 100);
	frame = skb_put(skb, size);
	fill(frame, k, l4_size);
	skb->ip_summed = k->ip_summed;
	if (k->ip_summed == CHECKSUM_COMPLETE)
		skb->csum = csum_partial(frame + L3, size - L3, 0);
	if (k->ip_summed == CHECKSUM_PARTIAL) {
		skb->csum_start = frame + L4 - skb->head;
		skb->csum_offset = check_at(k->proto);
	}
	skb->protocol = htons(ETH_P_IP);
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, L3);
	skb_set_transport_header(skb, L4);
	if (k->paged) {
		page = alloc_page(GFP_KERNEL);
		if (!page) {
			kfree_skb(skb);
			return NULL;
		}
		memcpy(page_address(page), frame + linear, size - linear);
		__skb_trim(skb, linear);
		skb_add_rx_frag(skb, 0, page, 0, size - linear, PAGE_SIZE);
	}
	return skb;
}

/* Are the sums right, taking what is left to a device as done? */
static bool sums_are_right(struct sk_buff *skb, u8 proto)
{
	const struct iphdr *ip;
	__wsum l4;

	if (skb->ip_summed == CHECKSUM_COMPLETE &&
	    !SW_EXPECT(csum_fold(skb->csum) == csum_fold(skb_checksum(skb, L3, skb->len - L3, 0))))
		return false;
	if (skb->ip_summed == CHECKSUM_PARTIAL && !SW_EXPECT(!skb_checksum_help(skb)))
		return false;
	if (!SW_EXPECT(pskb_may_pull(skb, L4)))
		return false;
	ip = (const struct iphdr *)(skb->data + L3);
	l4 = skb_checksum(skb, L4, skb->len - L4, 0);
	return SW_EXPECT(!ip_fast_csum(ip, ip->ihl)) &&
	       SW_EXPECT(!csum_tcpudp_magic(ip->saddr, ip->daddr, skb->len - L4, proto, l4));
}

static bool rewriting(const struct packet_kind *k, struct sk_buff *skb)
{
	struct target t = {htonl(0x7f000001), htonl(0xfffefdfc), htons(1), htons(0xffff)};
	__be32 addrs[2];
	__be16 ports[2];
	struct pkt p;

	return SW_EXPECT(!parse_ip(skb, &p, 7)) && SW_EXPECT(!rewrite(skb, &p, &t)) &&
	       SW_EXPECT(!buf_load(skb, L3 + offsetof(struct iphdr, saddr), addrs, 8)) &&
	       SW_EXPECT(addrs[0] == t.saddr && addrs[1] == t.daddr) &&
	       SW_EXPECT(!buf_load(skb, L4, ports, 4)) &&
	       SW_EXPECT(ports[0] == t.sport && ports[1] == t.dport) &&
	       sums_are_right(skb, k->proto);
}

/* The outer packet, as the wire has it. */
static bool is_vxlan(struct sk_buff *skb, const struct sw_encap *e, u32 inner_size)
{
	const u8 *d = skb->data;

	return SW_EXPECT(skb->len == inner_size + SW_ENCAP_SIZE) &&
	       SW_EXPECT(skb_headlen(skb) >= L3 + SW_ENCAP_SIZE) &&
	       SW_EXPECT(!memcmp(d + L3, e, SW_ENCAP_SIZE)) &&
	       SW_EXPECT(skb_network_header(skb) == d + L3) &&
	       SW_EXPECT(skb_transport_header(skb) == d + L4) &&
	       SW_EXPECT(!ip_fast_csum(d + L3, 5)) &&
	       SW_EXPECT(skb->ip_summed == CHECKSUM_NONE || skb->ip_summed == CHECKSUM_PARTIAL) &&
	       SW_EXPECT(skb->encapsulation == (skb->ip_summed == CHECKSUM_PARTIAL)) &&
	       (!skb->encapsulation ||
		(SW_EXPECT(skb_inner_mac_header(skb) == d + SW_ENCAP_SIZE) &&
		 SW_EXPECT(skb_inner_network_header(skb) == d + SW_ENCAP_SIZE + L3) &&
		 SW_EXPECT(skb_inner_transport_header(skb) == d + SW_ENCAP_SIZE + L4)));
}

/* Twice: what has come out of a tunnel may have to go into another one. */
static bool tunnelling(const struct packet_kind *k, struct sk_buff *skb)
{
	u32 size = skb->len, i;
	struct sw_encap e = {};
	bool complete;

	sw_encap_fill(&e, htonl(0x0a4d000b), htonl(0x0a4d000c), htons(4789), 4097, size - L3, 0,
		      99);
	for (i = 0; i < 2; i++) {
		if (!SW_EXPECT(!buf_encap(skb, &e)) || !is_vxlan(skb, &e, size))
			return false;
		/* a device that sums up whatever it receives, up to the second time */
		complete = i == 0 && k->ip_summed == CHECKSUM_COMPLETE;
		if (complete) {
			skb->ip_summed = CHECKSUM_COMPLETE;
			skb->csum = skb_checksum(skb, L3, skb->len - L3, 0);
		}
		if (!SW_EXPECT(!buf_decap(skb)) || !SW_EXPECT(skb->len == size) ||
		    !SW_EXPECT(!skb->encapsulation) ||
		    !SW_EXPECT(skb_network_header(skb) == skb->data + L3) ||
		    !SW_EXPECT(skb_transport_header(skb) == skb->data + L4))
			return false;
	}
	return sums_are_right(skb, k->proto);
}

static bool cutting(const struct packet_kind *k, struct sk_buff *skb)
{
	return SW_EXPECT(!buf_cut(skb, L3 + 40)) && SW_EXPECT(skb->len == L3 + 40) &&
	       SW_EXPECT(skb->ip_summed == CHECKSUM_NONE) && SW_EXPECT(!buf_insert(skb, 28)) &&
	       SW_EXPECT(skb->len == L3 + 68) &&
	       SW_EXPECT(skb_network_header(skb) == skb->data + L3);
}

static bool holds(const struct packet_kind *k,
		  bool (*test)(const struct packet_kind *, struct sk_buff *))
{
	struct sk_buff *skb = make(k), *clone = NULL, *whole = NULL;
	bool ok = SW_EXPECT(skb);

	/* what another holder of the same bytes sees may not change */
	if (ok) {
		clone = skb_clone(skb, GFP_KERNEL);
		whole = skb_copy(skb, GFP_KERNEL);
	}
	ok = ok && SW_EXPECT(clone && whole) && test(k, skb);
	ok = ok && SW_EXPECT(!skb_linearize(clone)) &&
	     SW_EXPECT(!memcmp(clone->data, whole->data, whole->len));
	if (!ok)
		pr_err("swarm: self-test: protocol %u, ip_summed %u%s\n", k->proto, k->ip_summed,
		       k->paged ? ", paged" : "");
	kfree_skb(skb);
	kfree_skb(clone);
	kfree_skb(whole);
	return ok;
}

bool sw_selftest_reshape(void)
{
	static const u8 sums[] = {CHECKSUM_NONE, CHECKSUM_UNNECESSARY, CHECKSUM_COMPLETE,
				  CHECKSUM_PARTIAL};
	bool passed = true;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(sums) * 4; i++) {
		struct packet_kind k = {
			.proto = i & 1 ? IPPROTO_TCP : IPPROTO_UDP,
			.paged = i & 2,
			.ip_summed = sums[i / 4],
		};

		passed &= holds(&k, rewriting);
		passed &= holds(&k, tunnelling);
		passed &= holds(&k, cutting);
	}
	return passed;
}
