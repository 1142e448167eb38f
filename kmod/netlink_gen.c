// SPDX-License-Identifier: GPL-2.0-only
/* Written by scripts/netlink-gen from include/uapi/swarm.yaml: change that. */
#include "netlink_gen.h"

static struct netlink_range_validation swarm_settings_flows_max_range = {
	.min = 0,
	.max = 4194304,
};

static struct netlink_range_validation swarm_settings_ports_max_range = {
	.min = 0,
	.max = 65536,
};

static struct netlink_range_validation swarm_network_vni_range = {
	.min = 1,
	.max = 16777215,
};

static struct netlink_range_validation swarm_network_mtu_range = {
	.min = 68,
	.max = 65535,
};

static struct netlink_range_validation swarm_endpoint_vni_range = {
	.min = 1,
	.max = 16777215,
};

static struct netlink_range_validation swarm_endpoint_ifindex_range = {
	.min = 1,
	.max = 2147483647,
};

static struct netlink_range_validation swarm_service_vni_range = {
	.min = 1,
	.max = 16777215,
};

static struct netlink_range_validation swarm_link_ifindex_range = {
	.min = 1,
	.max = 2147483647,
};

static struct netlink_range_validation swarm_link_vni_range = {
	.min = 1,
	.max = 16777215,
};

const struct nla_policy swarm_backend_nl_policy[SWARM_A_BACKEND_DRAINING + 1] = {
	[SWARM_A_BACKEND_ADDR] = NLA_POLICY_EXACT_LEN(16),
	[SWARM_A_BACKEND_WEIGHT] = NLA_POLICY_MIN(NLA_U16, 1),
	[SWARM_A_BACKEND_DRAINING] = { .type = NLA_FLAG, },
};

static const struct nla_policy swarm_settings_set_nl_policy[SWARM_A_SETTINGS_LO_WAS + 1] = {
	[SWARM_A_SETTINGS_VTEP] = NLA_POLICY_EXACT_LEN(16),
	[SWARM_A_SETTINGS_VXLAN_PORT] = NLA_POLICY_MIN(NLA_BE16, 1),
	[SWARM_A_SETTINGS_FLAGS] = NLA_POLICY_MASK(NLA_U32, 0x1),
	[SWARM_A_SETTINGS_FLOWS_MAX] =
		NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_settings_flows_max_range),
	[SWARM_A_SETTINGS_PORTS_MAX] =
		NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_settings_ports_max_range),
	[SWARM_A_SETTINGS_LO_WAS] = { .type = NLA_U16, },
};

static const struct nla_policy swarm_network_get_nl_policy[SWARM_A_NETWORK_VNI + 1] = {
	[SWARM_A_NETWORK_VNI] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_network_vni_range),
};

static const struct nla_policy swarm_network_set_nl_policy[SWARM_A_NETWORK_NODE_ADDR + 1] = {
	[SWARM_A_NETWORK_VNI] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_network_vni_range),
	[SWARM_A_NETWORK_MTU] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_network_mtu_range),
	[SWARM_A_NETWORK_FLAGS] = NLA_POLICY_MASK(NLA_U32, 0x7),
	[SWARM_A_NETWORK_GATEWAY] = NLA_POLICY_EXACT_LEN(16),
	[SWARM_A_NETWORK_GATEWAY_MAC] = NLA_POLICY_EXACT_LEN(6),
	[SWARM_A_NETWORK_NODE_ADDR] = NLA_POLICY_EXACT_LEN(16),
};

static const struct nla_policy swarm_network_del_nl_policy[SWARM_A_NETWORK_VNI + 1] = {
	[SWARM_A_NETWORK_VNI] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_network_vni_range),
};

static const struct nla_policy swarm_endpoint_get_nl_policy[SWARM_A_ENDPOINT_ADDR + 1] = {
	[SWARM_A_ENDPOINT_VNI] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_endpoint_vni_range),
	[SWARM_A_ENDPOINT_ADDR] = NLA_POLICY_EXACT_LEN(16),
};

static const struct nla_policy swarm_endpoint_set_nl_policy[SWARM_A_ENDPOINT_HOST_ADDR + 1] = {
	[SWARM_A_ENDPOINT_VNI] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_endpoint_vni_range),
	[SWARM_A_ENDPOINT_ADDR] = NLA_POLICY_EXACT_LEN(16),
	[SWARM_A_ENDPOINT_MAC] = NLA_POLICY_EXACT_LEN(6),
	[SWARM_A_ENDPOINT_IFINDEX] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_endpoint_ifindex_range),
	[SWARM_A_ENDPOINT_NODE] = NLA_POLICY_EXACT_LEN(16),
	[SWARM_A_ENDPOINT_HOST_ADDR] = NLA_POLICY_EXACT_LEN(16),
};

static const struct nla_policy swarm_endpoint_del_nl_policy[SWARM_A_ENDPOINT_ADDR + 1] = {
	[SWARM_A_ENDPOINT_VNI] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_endpoint_vni_range),
	[SWARM_A_ENDPOINT_ADDR] = NLA_POLICY_EXACT_LEN(16),
};

static const struct nla_policy swarm_peer_get_nl_policy[SWARM_A_PEER_VTEP + 1] = {
	[SWARM_A_PEER_VTEP] = NLA_POLICY_EXACT_LEN(16),
};

static const struct nla_policy swarm_peer_set_nl_policy[SWARM_A_PEER_VTEP + 1] = {
	[SWARM_A_PEER_VTEP] = NLA_POLICY_EXACT_LEN(16),
};

static const struct nla_policy swarm_peer_del_nl_policy[SWARM_A_PEER_VTEP + 1] = {
	[SWARM_A_PEER_VTEP] = NLA_POLICY_EXACT_LEN(16),
};

static const struct nla_policy swarm_service_get_nl_policy[SWARM_A_SERVICE_PUBLISHED + 1] = {
	[SWARM_A_SERVICE_VNI] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_service_vni_range),
	[SWARM_A_SERVICE_VIP] = NLA_POLICY_EXACT_LEN(16),
	[SWARM_A_SERVICE_PROTO] = NLA_POLICY_RANGE(NLA_U8, 6, 17),
	[SWARM_A_SERVICE_PUBLISHED] = NLA_POLICY_MIN(NLA_BE16, 1),
};

static const struct nla_policy swarm_service_set_nl_policy[SWARM_A_SERVICE_BACKEND + 1] = {
	[SWARM_A_SERVICE_VNI] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_service_vni_range),
	[SWARM_A_SERVICE_VIP] = NLA_POLICY_EXACT_LEN(16),
	[SWARM_A_SERVICE_PROTO] = NLA_POLICY_RANGE(NLA_U8, 6, 17),
	[SWARM_A_SERVICE_PUBLISHED] = NLA_POLICY_MIN(NLA_BE16, 1),
	[SWARM_A_SERVICE_TARGET] = NLA_POLICY_MIN(NLA_BE16, 1),
	[SWARM_A_SERVICE_BACKEND] = NLA_POLICY_NESTED(swarm_backend_nl_policy),
};

static const struct nla_policy swarm_service_del_nl_policy[SWARM_A_SERVICE_PUBLISHED + 1] = {
	[SWARM_A_SERVICE_VNI] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_service_vni_range),
	[SWARM_A_SERVICE_VIP] = NLA_POLICY_EXACT_LEN(16),
	[SWARM_A_SERVICE_PROTO] = NLA_POLICY_RANGE(NLA_U8, 6, 17),
	[SWARM_A_SERVICE_PUBLISHED] = NLA_POLICY_MIN(NLA_BE16, 1),
};

static const struct nla_policy swarm_table_get_nl_policy[SWARM_A_SERVICE_PUBLISHED + 1] = {
	[SWARM_A_SERVICE_VNI] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_service_vni_range),
	[SWARM_A_SERVICE_VIP] = NLA_POLICY_EXACT_LEN(16),
	[SWARM_A_SERVICE_PROTO] = NLA_POLICY_RANGE(NLA_U8, 6, 17),
	[SWARM_A_SERVICE_PUBLISHED] = NLA_POLICY_MIN(NLA_BE16, 1),
};

static const struct nla_policy swarm_link_get_nl_policy[SWARM_A_LINK_IFINDEX + 1] = {
	[SWARM_A_LINK_IFINDEX] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_link_ifindex_range),
};

static const struct nla_policy swarm_link_set_nl_policy[SWARM_A_LINK_ADDR + 1] = {
	[SWARM_A_LINK_IFINDEX] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_link_ifindex_range),
	[SWARM_A_LINK_ROLE] = NLA_POLICY_RANGE(NLA_U32, 1, 3),
	[SWARM_A_LINK_VNI] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_link_vni_range),
	[SWARM_A_LINK_ADDR] = NLA_POLICY_EXACT_LEN(16),
};

static const struct nla_policy swarm_link_del_nl_policy[SWARM_A_LINK_IFINDEX + 1] = {
	[SWARM_A_LINK_IFINDEX] = NLA_POLICY_FULL_RANGE(NLA_U32, &swarm_link_ifindex_range),
};

const struct genl_ops swarm_nl_ops[21] = {
	{
		.cmd = SWARM_CMD_SETTINGS_GET,
		.doit = swarm_nl_settings_get_doit,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_SETTINGS_SET,
		.doit = swarm_nl_settings_set_doit,
		.policy = swarm_settings_set_nl_policy,
		.maxattr = SWARM_A_SETTINGS_LO_WAS,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_NETWORK_GET,
		.doit = swarm_nl_network_get_doit,
		.dumpit = swarm_nl_network_get_dumpit,
		.policy = swarm_network_get_nl_policy,
		.maxattr = SWARM_A_NETWORK_VNI,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_NETWORK_SET,
		.doit = swarm_nl_network_set_doit,
		.policy = swarm_network_set_nl_policy,
		.maxattr = SWARM_A_NETWORK_NODE_ADDR,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_NETWORK_DEL,
		.doit = swarm_nl_network_del_doit,
		.policy = swarm_network_del_nl_policy,
		.maxattr = SWARM_A_NETWORK_VNI,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_ENDPOINT_GET,
		.doit = swarm_nl_endpoint_get_doit,
		.dumpit = swarm_nl_endpoint_get_dumpit,
		.policy = swarm_endpoint_get_nl_policy,
		.maxattr = SWARM_A_ENDPOINT_ADDR,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_ENDPOINT_SET,
		.doit = swarm_nl_endpoint_set_doit,
		.policy = swarm_endpoint_set_nl_policy,
		.maxattr = SWARM_A_ENDPOINT_HOST_ADDR,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_ENDPOINT_DEL,
		.doit = swarm_nl_endpoint_del_doit,
		.policy = swarm_endpoint_del_nl_policy,
		.maxattr = SWARM_A_ENDPOINT_ADDR,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_PEER_GET,
		.doit = swarm_nl_peer_get_doit,
		.dumpit = swarm_nl_peer_get_dumpit,
		.policy = swarm_peer_get_nl_policy,
		.maxattr = SWARM_A_PEER_VTEP,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_PEER_SET,
		.doit = swarm_nl_peer_set_doit,
		.policy = swarm_peer_set_nl_policy,
		.maxattr = SWARM_A_PEER_VTEP,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_PEER_DEL,
		.doit = swarm_nl_peer_del_doit,
		.policy = swarm_peer_del_nl_policy,
		.maxattr = SWARM_A_PEER_VTEP,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_SERVICE_GET,
		.doit = swarm_nl_service_get_doit,
		.dumpit = swarm_nl_service_get_dumpit,
		.policy = swarm_service_get_nl_policy,
		.maxattr = SWARM_A_SERVICE_PUBLISHED,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_SERVICE_SET,
		.doit = swarm_nl_service_set_doit,
		.policy = swarm_service_set_nl_policy,
		.maxattr = SWARM_A_SERVICE_BACKEND,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_SERVICE_DEL,
		.doit = swarm_nl_service_del_doit,
		.policy = swarm_service_del_nl_policy,
		.maxattr = SWARM_A_SERVICE_PUBLISHED,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_TABLE_GET,
		.doit = swarm_nl_table_get_doit,
		.policy = swarm_table_get_nl_policy,
		.maxattr = SWARM_A_SERVICE_PUBLISHED,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_LINK_GET,
		.doit = swarm_nl_link_get_doit,
		.dumpit = swarm_nl_link_get_dumpit,
		.policy = swarm_link_get_nl_policy,
		.maxattr = SWARM_A_LINK_IFINDEX,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_LINK_SET,
		.doit = swarm_nl_link_set_doit,
		.policy = swarm_link_set_nl_policy,
		.maxattr = SWARM_A_LINK_ADDR,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_LINK_DEL,
		.doit = swarm_nl_link_del_doit,
		.policy = swarm_link_del_nl_policy,
		.maxattr = SWARM_A_LINK_IFINDEX,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_FLOW_GET,
		.dumpit = swarm_nl_flow_get_dumpit,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_STATS_GET,
		.doit = swarm_nl_stats_get_doit,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = SWARM_CMD_CLEAR,
		.doit = swarm_nl_clear_doit,
		.flags = GENL_UNS_ADMIN_PERM,
	},
};

const struct genl_multicast_group swarm_nl_mcgrps[3] = {
	[SWARM_NLGRP_STATE] = { .name = SWARM_MCGRP_STATE, .flags = GENL_MCAST_CAP_NET_ADMIN, },
	[SWARM_NLGRP_DROPS] = { .name = SWARM_MCGRP_DROPS, .flags = GENL_MCAST_CAP_NET_ADMIN, },
	[SWARM_NLGRP_FLOWS] = { .name = SWARM_MCGRP_FLOWS, .flags = GENL_MCAST_CAP_NET_ADMIN, },
};
