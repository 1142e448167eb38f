/* SPDX-License-Identifier: GPL-2.0-only */
/* Written by scripts/netlink-gen from include/uapi/swarm.yaml: change that. */
#pragma once

#include <net/genetlink.h>
#include <net/netlink.h>

#include <linux/swarm.h>

/* What is within nests of backend. */
extern const struct nla_policy swarm_backend_nl_policy[SWARM_A_BACKEND_MAX + 1];

int swarm_nl_settings_get_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_settings_set_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_network_get_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_network_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int swarm_nl_network_set_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_network_del_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_endpoint_get_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_endpoint_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int swarm_nl_endpoint_set_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_endpoint_del_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_peer_get_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_peer_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int swarm_nl_peer_set_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_peer_del_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_service_get_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_service_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int swarm_nl_service_set_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_service_del_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_table_get_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_link_get_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_link_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int swarm_nl_link_set_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_link_del_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_flow_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int swarm_nl_stats_get_doit(struct sk_buff *skb, struct genl_info *info);
int swarm_nl_clear_doit(struct sk_buff *skb, struct genl_info *info);

extern const struct genl_ops swarm_nl_ops[21];

enum {
	SWARM_NLGRP_STATE,
	SWARM_NLGRP_DROPS,
	SWARM_NLGRP_FLOWS,
};

extern const struct genl_multicast_group swarm_nl_mcgrps[3];
