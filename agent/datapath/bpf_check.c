// SPDX-License-Identifier: Apache-2.0
/* What of the datapath is not as it was set, beyond what the items in the maps say. */
#include "datapath/bpf_impl.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "datapath/host_lo.h"

static void check_network(struct dp *dp, const struct dp_item *item)
{
	const struct dp_network *n = item->network;
	struct sw_addr gateway = to_sw(&n->gateway), self = to_sw(&n->node_addr);
	struct dp_bpf *d = bpf_of(dp);
	char text[INET6_ADDRSTRLEN];
	uint8_t mac[6];

	if (sw_addr_is_set(&gateway) && !bpf_self_is(d, n->vni, &gateway, n->gateway_mac)) {
		dp_addr_format(&n->gateway, text);
		dp_differs(dp, item, "does not answer for its gateway %s", text);
	}
	sw_mac4(mac, SW_MAC_ADDR, self.w[3]);
	if (sw_addr_is_set(&self) && !sw_addr_eq(&self, &gateway) &&
	    !bpf_self_is(d, n->vni, &self, mac)) {
		dp_addr_format(&n->node_addr, text);
		dp_differs(dp, item, "does not answer for this node's address %s", text);
	}
}

static void check_link(struct dp *dp, const struct dp_item *item)
{
	const struct dp_link *l = item->link;
	struct dp_bpf *d = bpf_of(dp);
	struct sw_link v;

	if (l->role == DP_LINK_LOOPBACK)
		return;
	if (bpf_get(d, MAP_LINKS, &l->ifindex, &v) && v.flags != bpf_link_of(d, l).flags)
		dp_differs(dp, item, "has flags %#x instead of %#x", v.flags,
			   bpf_link_of(d, l).flags);
	if (!bpf_is_attached(d, l->ifindex, bpf_prog_of(l->role)))
		dp_differs(dp, item, "has not its BPF program attached");
}

/* Is an address that is the node's own one of its network's? */
static bool self_is_wanted(struct dp_bpf *d, const struct sw_endpoint_key *key)
{
	struct sw_network n;

	return bpf_get(d, MAP_NETWORKS, &key->vni, &n) &&
	       (sw_addr_eq(&key->addr, &n.gateway) || sw_addr_eq(&key->addr, &n.node_addr));
}

/* Find an entry of the endpoints' map that is none of what is set there. */
static bool stray(struct dp_bpf *d, struct sw_endpoint_key *key)
{
	struct sw_endpoint e;

	for_each_key(d, MAP_ENDPOINTS, key)
	{
		if (!bpf_get(d, MAP_ENDPOINTS, key, &e) || e.kind == SW_ENDPOINT ||
		    e.kind == SW_ENDPOINT_VIP)
			continue;
		if (e.kind != SW_ENDPOINT_SELF || !self_is_wanted(d, key))
			return true;
	}
	return false;
}

static void check_node(struct dp *dp)
{
	struct dp_bpf *d = bpf_of(dp);
	uint32_t zero = 0, tunnel = bpf_vxlan_device_find(ntohs(d->settings.vxlan_port));
	struct sw_endpoint_key key;
	struct sw_settings have;

	if (!bpf_get(d, MAP_SETTINGS, &zero, &have) || memcmp(&have, &d->settings, sizeof(have)))
		dp_differs(dp, NULL,
			   "the settings (data path address, port, way of replies) are "
			   "not this agent's");
	if (!tunnel || tunnel != d->settings.tunnel_ifindex)
		dp_differs(dp, NULL, "there is no vxlan device of this agent's for UDP port %u",
			   ntohs(d->settings.vxlan_port));
	else if (!bpf_is_attached(d, tunnel, PROG_TUNNEL))
		dp_differs(dp, NULL, "the vxlan device has not its BPF program attached");
	if (!bpf_is_attached(d, d->settings.lo_ifindex, PROG_LOOPBACK))
		dp_differs(dp, NULL, "the loopback has not its BPF program attached");
	if (!host_lo_is_open())
		dp_differs(dp, NULL, "%s", DP_DIFFERS_LOOPBACK);
	if (stray(d, &key)) {
		struct dp_addr a = to_dp(&key.addr);
		char text[INET6_ADDRSTRLEN];

		dp_addr_format(&a, text);
		dp_differs(dp, NULL, "%s of network %u is taken, and nobody wants it", text,
			   key.vni);
	}
}

void bpf_check(struct dp *dp, const struct dp_item *item)
{
	if (!item)
		check_node(dp);
	else if (item->kind == DP_ITEM_NETWORK)
		check_network(dp, item);
	else if (item->kind == DP_ITEM_LINK)
		check_link(dp, item);
	else if (item->kind == DP_ITEM_SERVICE && !bpf_service_is_whole(bpf_of(dp), item->service))
		dp_differs(dp, item, "has another balancing table than its backends make");
}

int bpf_mend(struct dp *dp, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);
	struct sw_endpoint_key key;
	int rc;

	host_lo_open(&d->settings.lo_was);
	rc = bpf_settings_put(d, err);
	rc = rc ? rc : bpf_tunnel_open(d, err);
	rc = rc ? rc : bpf_attach(d, d->settings.lo_ifindex, PROG_LOOPBACK, err);
	while (stray(d, &key))
		bpf_del(d, MAP_ENDPOINTS, &key);
	return rc;
}
