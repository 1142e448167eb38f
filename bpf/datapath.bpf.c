// SPDX-License-Identifier: GPL-2.0-only
/*
 * The programs, all on tc's ingress side:
 *
 *	sw_container	host end of a container's veth in an overlay or ingress network
 *	sw_clients	uplinks and bridges: clients of published ports, VXLAN from other nodes
 *	sw_loopback	lo: this node's own processes as clients
 *	sw_tunnel	the idle vxlan device: what the node had to put together from fragments
 */
#include "platform.h"

#include "swarm/path/entry.h"

char LICENSE[] SEC("license") = "GPL";

INLINE const struct sw_settings *get_settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}

SEC("tc")
int sw_container(struct __sk_buff *skb)
{
	return path_container(skb, get_settings());
}

SEC("tc")
int sw_clients(struct __sk_buff *skb)
{
	return path_clients(skb, get_settings());
}

SEC("tc")
int sw_loopback(struct __sk_buff *skb)
{
	return path_loopback(skb, get_settings());
}

SEC("tc")
int sw_tunnel(struct __sk_buff *skb)
{
	struct bpf_tunnel_key key = {};

	if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0)) {
		count(skb, SW_DROP_MALFORMED);
		return TC_ACT_SHOT;
	}
	return path_frame(skb, get_settings(), key.tunnel_id, sw_htonl(key.remote_ipv4));
}
