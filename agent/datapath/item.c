// SPDX-License-Identifier: Apache-2.0
/* Items of the datapath: their identity, how they are shown, and copies of them. */
#include <net/if.h>
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
		return json_pack("{s:i,s:i,s:b,s:b,s:b,s:o,s:o,s:o}", "vni", n->vni, "mtu", n->mtu,
				 "ingress", !!(n->flags & DP_NETWORK_INGRESS), "internal",
				 !!(n->flags & DP_NETWORK_INTERNAL), "encrypted",
				 !!(n->flags & DP_NETWORK_ENCRYPTED), "gateway",
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

const char *dp_flow_kind(uint8_t dir)
{
	static const char *const kinds[] = {
		[SW_FLOW_VIP] = "vip",
		[SW_FLOW_PUBLISHED] = "published",
		[SW_FLOW_REPLY] = "reply",
		[SW_FLOW_REMAPPED] = "remapped",
	};

	return dir < ARRAY_SIZE(kinds) ? kinds[dir] : NULL;
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

static void link_name(uint32_t ifindex, char *dst, size_t size)
{
	char name[IF_NAMESIZE];

	if (if_indextoname(ifindex, name))
		snprintf(dst, size, "link %s", name);
	else
		snprintf(dst, size, "link %u", ifindex);
}

void dp_item_name(const struct dp_item *item, char dst[DP_ITEM_NAME_SIZE])
{
	const struct dp_service *s = item->service;
	char a[INET6_ADDRSTRLEN];

	switch (item->kind) {
	case DP_ITEM_NETWORK:
		snprintf(dst, DP_ITEM_NAME_SIZE, "network %u", item->network->vni);
		break;
	case DP_ITEM_ENDPOINT:
		dp_addr_format(&item->endpoint->addr, a);
		snprintf(dst, DP_ITEM_NAME_SIZE, "endpoint %s of network %u", a,
			 item->endpoint->vni);
		break;
	case DP_ITEM_PEER:
		dp_addr_format(item->peer, a);
		snprintf(dst, DP_ITEM_NAME_SIZE, "peer %s", a);
		break;
	case DP_ITEM_SERVICE:
		dp_addr_format(&s->vip, a);
		if (s->kind == DP_VIP)
			snprintf(dst, DP_ITEM_NAME_SIZE, "VIP %s of network %u", a, s->vni);
		else
			snprintf(dst, DP_ITEM_NAME_SIZE, "published port %u/%s", s->published,
				 s->proto == IPPROTO_TCP ? "tcp" : "udp");
		break;
	default:
		link_name(item->link->ifindex, dst, DP_ITEM_NAME_SIZE);
	}
}

static size_t body_size(enum dp_item_kind kind)
{
	static const size_t sizes[DP_ITEM_KINDS] = {
		[DP_ITEM_NETWORK] = sizeof(struct dp_network),
		[DP_ITEM_ENDPOINT] = sizeof(struct dp_endpoint),
		[DP_ITEM_PEER] = sizeof(struct dp_addr),
		[DP_ITEM_SERVICE] = sizeof(struct dp_service),
		[DP_ITEM_LINK] = sizeof(struct dp_link),
	};

	return sizes[kind];
}

struct dp_item *dp_item_copy(const struct dp_item *item)
{
	bool service = item->kind == DP_ITEM_SERVICE;
	size_t size = body_size(item->kind),
	       backends = service ? item->service->n_backends * sizeof(struct dp_backend) : 0;
	struct dp_item *copy = xmalloc(sizeof(*copy) + size + backends);
	char *body = (char *)(copy + 1);

	/* members of one union share their address */
	memcpy(body, item->network, size);
	*copy = (struct dp_item){.kind = item->kind, .network = (void *)body};
	if (backends)
		memcpy(body + size, item->service->backends, backends);
	if (service)
		((struct dp_service *)body)->backends = (void *)(body + size);
	return copy;
}

static bool same_addr(const struct dp_addr *a, const struct dp_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool same_service(const struct dp_service *a, const struct dp_service *b)
{
	if (a->kind != b->kind || a->vni != b->vni || a->n_backends != b->n_backends)
		return false;
	if (a->kind == DP_VIP ? !same_addr(&a->vip, &b->vip)
			      : a->proto != b->proto || a->published != b->published ||
					a->target != b->target)
		return false;
	for (size_t i = 0; i < a->n_backends; i++) {
		const struct dp_backend *x = &a->backends[i], *y = &b->backends[i];

		if (!same_addr(&x->addr, &y->addr) || x->weight != y->weight ||
		    x->draining != y->draining)
			return false;
	}
	return true;
}

bool dp_item_same(const struct dp_item *x, const struct dp_item *y)
{
	const struct dp_network *n = x->network, *m = y->network;
	const struct dp_endpoint *e = x->endpoint, *f = y->endpoint;
	const struct dp_link *l = x->link, *k = y->link;

	if (x->kind != y->kind)
		return false;
	switch (x->kind) {
	case DP_ITEM_NETWORK:
		return n->vni == m->vni && n->mtu == m->mtu && n->flags == m->flags &&
		       same_addr(&n->gateway, &m->gateway) &&
		       same_addr(&n->node_addr, &m->node_addr) &&
		       !memcmp(n->gateway_mac, m->gateway_mac, 6);
	case DP_ITEM_ENDPOINT:
		return e->vni == f->vni && same_addr(&e->addr, &f->addr) &&
		       !memcmp(e->mac, f->mac, 6) && e->ifindex == f->ifindex &&
		       same_addr(&e->node, &f->node) && same_addr(&e->host_addr, &f->host_addr);
	case DP_ITEM_PEER:
		return same_addr(x->peer, y->peer);
	case DP_ITEM_SERVICE:
		return same_service(x->service, y->service);
	default:
		return l->ifindex == k->ifindex && l->role == k->role && l->vni == k->vni &&
		       same_addr(&l->addr, &k->addr);
	}
}

void dp_items_put(struct map *items, const struct dp_item *item)
{
	char key[DP_ITEM_KEY_SIZE];

	dp_item_key(item, key);
	free(map_put(items, key, dp_item_copy(item)));
}

struct dp_item *dp_items_take(struct map *items, const struct dp_item *item)
{
	char key[DP_ITEM_KEY_SIZE];

	dp_item_key(item, key);
	return map_del(items, key);
}

const struct dp_item *dp_items_find(const struct map *items, const struct dp_item *item)
{
	char key[DP_ITEM_KEY_SIZE];

	dp_item_key(item, key);
	return map_get(items, key);
}

void dp_items_done(struct map *items)
{
	struct dp_item *item;
	const char *key;

	map_for_each (items, key, item)
		free(item);
	map_done(items);
}

int dp_items_put_visited(const struct dp_item *item, void *arg)
{
	dp_items_put(arg, item);
	return 0;
}

void dp_items_read(struct dp *dp, struct map *items)
{
	for (int kind = 0; kind < DP_ITEM_KINDS; kind++)
		dp->ops->each(dp, kind, dp_items_put_visited, items);
}
