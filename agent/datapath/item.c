// SPDX-License-Identifier: Apache-2.0
/* Items of the datapath: their identity, and how they are shown. */
#include <stdio.h>

#include "datapath/dp_impl.h"
#include "swarm/lb.h"

static void hex_addr(const struct dp_addr *a, char dst[33])
{
	hex_encode(dst, a->b, sizeof(a->b));
}

void dp_item_key(const struct dp_item *item, char dst[DP_ITEM_KEY_SIZE])
{
	char hex[33];

	switch (item->kind) {
	case DP_ITEM_NETWORK:
		snprintf(dst, DP_ITEM_KEY_SIZE, "n%u", item->network->vni);
		break;
	case DP_ITEM_ENDPOINT:
		hex_addr(&item->endpoint->addr, hex);
		snprintf(dst, DP_ITEM_KEY_SIZE, "e%u/%s", item->endpoint->vni, hex);
		break;
	case DP_ITEM_PEER:
		hex_addr(item->peer, hex);
		snprintf(dst, DP_ITEM_KEY_SIZE, "p%s", hex);
		break;
	case DP_ITEM_SERVICE:
		hex_addr(&item->service->vip, hex);
		if (item->service->kind == DP_VIP)
			snprintf(dst, DP_ITEM_KEY_SIZE, "v%u/%s", item->service->vni, hex);
		else
			snprintf(dst, DP_ITEM_KEY_SIZE, "s%u/%u", item->service->proto,
				 item->service->published);
		break;
	case DP_ITEM_LINK:
		snprintf(dst, DP_ITEM_KEY_SIZE, "l%u", item->link->ifindex);
		break;
	default:
		assert(0);
	}
}

static json_t *addr_json(const struct dp_addr *a)
{
	char text[INET6_ADDRSTRLEN];

	if (!dp_addr_is_set(a))
		return json_null();
	dp_addr_format(a, text);
	return json_string(text);
}

static json_t *mac_json(const uint8_t m[6])
{
	return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static json_t *service_json(const struct dp_service *s)
{
	json_t *backends = json_array();

	for (size_t i = 0; i < s->n_backends; i++)
		json_array_append_new(backends, json_pack("{s:o,s:i,s:b}", "addr",
							  addr_json(&s->backends[i].addr), "weight",
							  s->backends[i].weight, "draining",
							  s->backends[i].draining));
	if (s->kind == DP_VIP)
		return json_pack("{s:s,s:i,s:o,s:o}", "kind", "vip", "vni", s->vni, "vip",
				 addr_json(&s->vip), "backends", backends);
	return json_pack("{s:s,s:i,s:s,s:i,s:i,s:o}", "kind", "published", "vni", s->vni, "proto",
			 s->proto == IPPROTO_TCP ? "tcp" : "udp", "published", s->published,
			 "target", s->target, "backends", backends);
}

json_t *dp_item_json(const struct dp_item *item)
{
	static const char *const roles[] = {"?", "container", "clients", "loopback"};
	const struct dp_network *n = item->network;
	const struct dp_endpoint *e = item->endpoint;
	const struct dp_link *l = item->link;

	switch (item->kind) {
	case DP_ITEM_NETWORK:
		return json_pack("{s:i,s:i,s:b,s:b,s:o,s:o,s:o}", "vni", n->vni, "mtu", n->mtu,
				 "ingress", !!(n->flags & DP_NETWORK_INGRESS), "internal",
				 !!(n->flags & DP_NETWORK_INTERNAL), "gateway",
				 addr_json(&n->gateway), "gateway_mac", mac_json(n->gateway_mac),
				 "node_addr", addr_json(&n->node_addr));
	case DP_ITEM_ENDPOINT:
		return json_pack("{s:i,s:o,s:o,s:i,s:o,s:o}", "vni", e->vni, "addr",
				 addr_json(&e->addr), "mac", mac_json(e->mac), "ifindex",
				 e->ifindex, "node", addr_json(&e->node), "host_addr",
				 addr_json(&e->host_addr));
	case DP_ITEM_PEER:
		return addr_json(item->peer);
	case DP_ITEM_SERVICE:
		return service_json(item->service);
	default:
		return json_pack("{s:i,s:s,s:i,s:o}", "ifindex", l->ifindex, "role",
				 roles[l->role <= DP_LINK_LOOPBACK ? l->role : 0], "vni", l->vni,
				 "addr", addr_json(&l->addr));
	}
}

json_t *dp_flow_json(const struct dp_flow *f)
{
	json_t *to = json_pack("{s:o,s:i,s:o,s:i,s:o}", "src", addr_json(&f->to_src), "sport",
			       f->to_sport, "dst", addr_json(&f->to_dst), "dport", f->to_dport,
			       "via", addr_json(&f->via));

	return json_pack("{s:i,s:i,s:o,s:i,s:o,s:i,s:o,s:s}", "vni", f->vni, "proto", f->proto,
			 "src", addr_json(&f->src), "sport", f->sport, "dst", addr_json(&f->dst),
			 "dport", f->dport, "to", to, "kind", f->kind);
}

uint32_t dp_service_table(const struct dp_service *s, uint16_t **ret_slots)
{
	_cleanup_free_ struct sw_lb_backend *b = xcalloc(s->n_backends + 1, sizeof(*b));
	_cleanup_free_ uint16_t *index = xcalloc(s->n_backends + 1, sizeof(*index));
	uint32_t n = 0, size;
	uint16_t *slots;

	*ret_slots = NULL;
	for (size_t i = 0; i < s->n_backends; i++) {
		if (s->backends[i].draining)
			continue;
		memcpy(&b[n].addr, &s->backends[i].addr, sizeof(b[n].addr));
		b[n].weight = s->backends[i].weight;
		index[n++] = i;
	}
	if (!n)
		return 0;
	size = sw_lb_size(n);
	slots = xcalloc(size, sizeof(*slots));
	sw_lb_fill(b, n, slots, size);
	for (uint32_t i = 0; i < size; i++)
		slots[i] = index[slots[i]];
	*ret_slots = slots;
	return size;
}
