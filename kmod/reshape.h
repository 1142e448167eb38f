/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets that become longer or shorter; a part of platform.h. The offsets of headers in the
 * sk_buff are right afterwards, since segmentation and checksums go by them.
 */
#pragma once

/* Data begins at an Ethernet header with IPv4 behind it, whose first bytes can be read. */
INLINE void set_offsets(struct sk_buff *skb)
{
	const struct iphdr *ip = (const struct iphdr *)(skb->data + ETH_HLEN);

	skb_reset_mac_header(skb);
	skb_set_network_header(skb, ETH_HLEN);
	skb_set_transport_header(skb, ETH_HLEN + ip->ihl * 4);
	skb->mac_len = ETH_HLEN;
}

INLINE int buf_cut(struct sk_buff *skb, __u32 len)
{
	if (len > skb->len || skb->encapsulation || pskb_trim(skb, len))
		return -1;
	if (skb_is_gso(skb))
		skb_gso_reset(skb);
	skb->ip_summed = CHECKSUM_NONE;
	return 0;
}

INLINE int buf_insert(struct sk_buff *skb, __u32 size)
{
	if (skb_cow_head(skb, size))
		return -1;
	skb_push(skb, size);
	memmove(skb->data, skb->data + size, ETH_HLEN);
	memset(skb->data + ETH_HLEN, 0, size);
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, ETH_HLEN);
	skb->ip_summed = CHECKSUM_NONE;
	return 0;
}

/* The frame's Ethernet header stays in front of what becomes the inner one, whose MACs are e's. */
INLINE int buf_encap(struct sk_buff *skb, const struct sw_encap *e)
{
	if (skb->encapsulation || skb_cow_head(skb, SW_ENCAP_SIZE) ||
	    !pskb_may_pull(skb, ETH_HLEN + sizeof(struct iphdr)))
		return -1;
	set_offsets(skb);
	if (iptunnel_handle_offloads(skb, SKB_GSO_UDP_TUNNEL))
		return -1;
	skb_set_inner_protocol(skb, htons(ETH_P_TEB));
	skb_push(skb, SW_ENCAP_SIZE);
	memcpy(skb->data, skb->data + SW_ENCAP_SIZE, ETH_HLEN);
	memcpy(skb->data + ETH_HLEN, e, SW_ENCAP_SIZE);
	set_offsets(skb);
	return 0;
}

/* What remains is the inner frame's own Ethernet header: nothing has to be moved. */
INLINE int buf_decap(struct sk_buff *skb)
{
	if (!pskb_may_pull(skb, SW_ENCAP_SIZE + ETH_HLEN + sizeof(struct iphdr)) ||
	    iptunnel_pull_offloads(skb))
		return -1;
	skb_postpull_rcsum(skb, skb->data + ETH_HLEN, SW_ENCAP_SIZE);
	__skb_pull(skb, SW_ENCAP_SIZE);
	set_offsets(skb);
	/* of the sums that the device has verified, the outer UDP's was one, even if it was 0 */
	__skb_decr_checksum_unnecessary(skb);
	skb_clear_hash_if_not_l4(skb);
	return 0;
}
