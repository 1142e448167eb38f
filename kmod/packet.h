/* SPDX-License-Identifier: GPL-2.0-only */
/* Packets on their way through the module. */
#pragma once

#include <linux/netfilter.h>

struct sock;

/* Hooks of links by role (enum sw_link_role); priv is the namespace's struct sw_net. */
unsigned int sw_packet_container(void *priv, struct sk_buff *skb,
				 const struct nf_hook_state *state);
unsigned int sw_packet_clients(void *priv, struct sk_buff *skb, const struct nf_hook_state *state);
unsigned int sw_packet_loopback(void *priv, struct sk_buff *skb, const struct nf_hook_state *state);

/* A datagram that the tunnel's socket received; its sk_user_data is the struct sw_net. 0: taken. */
int sw_packet_datagram(struct sock *sk, struct sk_buff *skb);
