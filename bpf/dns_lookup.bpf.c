// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inside a container's namespace: questions to 127.0.0.11:53 go to the agent's sockets, which are
 * bound to another port. So the container's own name server can bind to port 53 of all addresses.
 * No connection tracking and no address translation is needed for it.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum { FAMILY_INET = 2, PROTO_TCP = 6, PROTO_UDP = 17, DNS_PORT = 53, DNS_ADDR = 0x7f00000b };

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} dns_sockets SEC(".maps");

SEC("sk_lookup")
int dns_steer(struct bpf_sk_lookup *ctx)
{
	struct bpf_sock *sk;
	__u32 key = 0;

	if (ctx->family != FAMILY_INET || ctx->local_port != DNS_PORT ||
	    ctx->local_ip4 != bpf_htonl(DNS_ADDR))
		return SK_PASS;
	if (ctx->protocol == PROTO_TCP)
		key = 1;
	else if (ctx->protocol != PROTO_UDP)
		return SK_PASS;
	sk = bpf_map_lookup_elem(&dns_sockets, &key);
	if (!sk)
		return SK_PASS;
	bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	return SK_PASS;
}

char _license[] SEC("license") = "GPL";
