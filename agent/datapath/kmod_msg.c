// SPDX-License-Identifier: Apache-2.0
/* Items of the datapath as messages to the module, and back. */
#include "datapath/kmod_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#define ADDR                                                                                       \
	{                                                                                          \
		.minlen = 16, .maxlen = 16                                                         \
	}
#define MAC                                                                                        \
	{                                                                                          \
		.minlen = 6, .maxlen = 6                                                           \
	}
#define U8                                                                                         \
	{                                                                                          \
		.type = NLA_U8                                                                     \
	}
#define U16                                                                                        \
	{                                                                                          \
		.type = NLA_U16                                                                    \
	}
#define U32                                                                                        \
	{                                                                                          \
		.type = NLA_U32                                                                    \
	}
#define U64                                                                                        \
	{                                                                                          \
		.type = NLA_U64                                                                    \
	}
#define FLAG                                                                                       \
	{                                                                                          \
		.type = NLA_FLAG                                                                   \
	}
#define NEST                                                                                       \
	{                                                                                          \
		.type = NLA_NESTED                                                                 \
	}

/* How many bytes a backend takes: nest, address, weight, flag, each with its header. */
#define BACKEND_SIZE (4 + 20 + 8 + 4)

const struct kmod_commands kmod_commands[DP_ITEM_KINDS] = {
	[DP_ITEM_NETWORK] = {SWARM_CMD_NETWORK_GET, SWARM_CMD_NETWORK_SET, SWARM_CMD_NETWORK_DEL},
	[DP_ITEM_ENDPOINT] = {SWARM_CMD_ENDPOINT_GET, SWARM_CMD_ENDPOINT_SET,
			      SWARM_CMD_ENDPOINT_DEL},
	[DP_ITEM_PEER] = {SWARM_CMD_PEER_GET, SWARM_CMD_PEER_SET, SWARM_CMD_PEER_DEL},
	[DP_ITEM_SERVICE] = {SWARM_CMD_SERVICE_GET, SWARM_CMD_SERVICE_SET, SWARM_CMD_SERVICE_DEL},
	[DP_ITEM_LINK] = {SWARM_CMD_LINK_GET, SWARM_CMD_LINK_SET, SWARM_CMD_LINK_DEL},
};

size_t kmod_item_size(const struct dp_item *item)
{
	return 256 + (item->kind == DP_ITEM_SERVICE ? item->service->n_backends * BACKEND_SIZE : 0);
}

/* Addresses that are unset are left out. */
static int addr_put(struct nl_msg *m, int type, const struct dp_addr *a)
{
	return dp_addr_is_set(a) ? nla_put(m, type, sizeof(*a), a) : 0;
}

static int port_put(struct nl_msg *m, int type, uint16_t port)
{
	return nla_put_u16(m, type, htons(port));
}

static int service_id_put(struct nl_msg *m, const struct dp_service *s)
{
	if (s->kind == DP_VIP)
		return nla_put_u32(m, SWARM_A_SERVICE_VNI, s->vni)
			       ?: addr_put(m, SWARM_A_SERVICE_VIP, &s->vip);
	return nla_put_u8(m, SWARM_A_SERVICE_PROTO, s->proto)
		       ?: port_put(m, SWARM_A_SERVICE_PUBLISHED, s->published);
}

static int id_put(struct nl_msg *m, const struct dp_item *item)
{
	const struct dp_endpoint *e = item->endpoint;

	switch (item->kind) {
	case DP_ITEM_NETWORK:
		return nla_put_u32(m, SWARM_A_NETWORK_VNI, item->network->vni);
	case DP_ITEM_ENDPOINT:
		return nla_put_u32(m, SWARM_A_ENDPOINT_VNI, e->vni)
			       ?: addr_put(m, SWARM_A_ENDPOINT_ADDR, &e->addr);
	case DP_ITEM_PEER:
		return addr_put(m, SWARM_A_PEER_VTEP, item->peer);
	case DP_ITEM_SERVICE:
		return service_id_put(m, item->service);
	default:
		return nla_put_u32(m, SWARM_A_LINK_IFINDEX, item->link->ifindex);
	}
}

int kmod_id_put(struct nl_msg *m, const struct dp_item *item)
{
	return id_put(m, item) ? -EMSGSIZE : 0;
}

static int network_put(struct nl_msg *m, const struct dp_network *n)
{
	return nla_put_u32(m, SWARM_A_NETWORK_MTU, n->mtu) ||
	       nla_put_u32(m, SWARM_A_NETWORK_FLAGS, n->flags) ||
	       addr_put(m, SWARM_A_NETWORK_GATEWAY, &n->gateway) ||
	       nla_put(m, SWARM_A_NETWORK_GATEWAY_MAC, 6, n->gateway_mac) ||
	       addr_put(m, SWARM_A_NETWORK_NODE_ADDR, &n->node_addr);
}

static int endpoint_put(struct nl_msg *m, const struct dp_endpoint *e)
{
	return nla_put(m, SWARM_A_ENDPOINT_MAC, 6, e->mac) ||
	       (e->ifindex ? nla_put_u32(m, SWARM_A_ENDPOINT_IFINDEX, e->ifindex)
			   : addr_put(m, SWARM_A_ENDPOINT_NODE, &e->node)) ||
	       addr_put(m, SWARM_A_ENDPOINT_HOST_ADDR, &e->host_addr);
}

static int backend_put(struct nl_msg *m, const struct dp_backend *b)
{
	struct nlattr *nest = nla_nest_start(m, SWARM_A_SERVICE_BACKEND | NLA_F_NESTED);

	if (!nest || addr_put(m, SWARM_A_BACKEND_ADDR, &b->addr) ||
	    nla_put_u16(m, SWARM_A_BACKEND_WEIGHT, b->weight) ||
	    (b->draining && nla_put_flag(m, SWARM_A_BACKEND_DRAINING)))
		return -EMSGSIZE;
	return nla_nest_end(m, nest);
}

static int service_put(struct nl_msg *m, const struct dp_service *s)
{
	if (s->kind == DP_PUBLISHED && (nla_put_u32(m, SWARM_A_SERVICE_VNI, s->vni) ||
					port_put(m, SWARM_A_SERVICE_TARGET, s->target)))
		return -EMSGSIZE;
	for (size_t i = 0; i < s->n_backends; i++)
		if (backend_put(m, &s->backends[i]))
			return -EMSGSIZE;
	return 0;
}

static int link_put(struct nl_msg *m, const struct dp_link *l)
{
	if (nla_put_u32(m, SWARM_A_LINK_ROLE, l->role))
		return -EMSGSIZE;
	if (l->role != DP_LINK_CONTAINER)
		return 0;
	return nla_put_u32(m, SWARM_A_LINK_VNI, l->vni) || addr_put(m, SWARM_A_LINK_ADDR, &l->addr);
}

static int rest_put(struct nl_msg *m, const struct dp_item *item)
{
	switch (item->kind) {
	case DP_ITEM_NETWORK:
		return network_put(m, item->network);
	case DP_ITEM_ENDPOINT:
		return endpoint_put(m, item->endpoint);
	case DP_ITEM_SERVICE:
		return service_put(m, item->service);
	case DP_ITEM_LINK:
		return link_put(m, item->link);
	default:
		return 0;
	}
}

int kmod_item_put(struct nl_msg *m, const struct dp_item *item)
{
	return id_put(m, item) || rest_put(m, item) ? -EMSGSIZE : 0;
}

/* Reading: what is left out is 0 */

static uint32_t u32_of(struct nlattr *a)
{
	return a ? nla_get_u32(a) : 0;
}

static uint16_t u16_of(struct nlattr *a)
{
	return a ? nla_get_u16(a) : 0;
}

static uint8_t u8_of(struct nlattr *a)
{
	return a ? nla_get_u8(a) : 0;
}

static struct dp_addr addr_of(struct nlattr *a)
{
	struct dp_addr r = {0};

	if (a)
		memcpy(&r, nla_data(a), sizeof(r));
	return r;
}

static void mac_of(struct nlattr *a, uint8_t mac[6])
{
	if (a)
		memcpy(mac, nla_data(a), 6);
}

static bool network_get(struct nlmsghdr *nlh, struct kmod_item *ret)
{
	static struct nla_policy policy[SWARM_A_NETWORK_MAX + 1] = {
		[SWARM_A_NETWORK_VNI] = U32,	     [SWARM_A_NETWORK_MTU] = U32,
		[SWARM_A_NETWORK_FLAGS] = U32,	     [SWARM_A_NETWORK_GATEWAY] = ADDR,
		[SWARM_A_NETWORK_GATEWAY_MAC] = MAC, [SWARM_A_NETWORK_NODE_ADDR] = ADDR,
	};
	struct nlattr *tb[SWARM_A_NETWORK_MAX + 1];

	if (genlmsg_parse(nlh, 0, tb, SWARM_A_NETWORK_MAX, policy) || !tb[SWARM_A_NETWORK_VNI])
		return false;
	ret->network = (struct dp_network){.vni = u32_of(tb[SWARM_A_NETWORK_VNI]),
					   .mtu = u32_of(tb[SWARM_A_NETWORK_MTU]),
					   .flags = u32_of(tb[SWARM_A_NETWORK_FLAGS]),
					   .gateway = addr_of(tb[SWARM_A_NETWORK_GATEWAY]),
					   .node_addr = addr_of(tb[SWARM_A_NETWORK_NODE_ADDR])};
	mac_of(tb[SWARM_A_NETWORK_GATEWAY_MAC], ret->network.gateway_mac);
	return true;
}

static bool endpoint_get(struct nlmsghdr *nlh, struct kmod_item *ret)
{
	static struct nla_policy policy[SWARM_A_ENDPOINT_MAX + 1] = {
		[SWARM_A_ENDPOINT_VNI] = U32,	[SWARM_A_ENDPOINT_ADDR] = ADDR,
		[SWARM_A_ENDPOINT_MAC] = MAC,	[SWARM_A_ENDPOINT_IFINDEX] = U32,
		[SWARM_A_ENDPOINT_NODE] = ADDR, [SWARM_A_ENDPOINT_HOST_ADDR] = ADDR,
	};
	struct nlattr *tb[SWARM_A_ENDPOINT_MAX + 1];

	if (genlmsg_parse(nlh, 0, tb, SWARM_A_ENDPOINT_MAX, policy) || !tb[SWARM_A_ENDPOINT_VNI] ||
	    !tb[SWARM_A_ENDPOINT_ADDR])
		return false;
	ret->endpoint = (struct dp_endpoint){.vni = u32_of(tb[SWARM_A_ENDPOINT_VNI]),
					     .addr = addr_of(tb[SWARM_A_ENDPOINT_ADDR]),
					     .ifindex = u32_of(tb[SWARM_A_ENDPOINT_IFINDEX]),
					     .node = addr_of(tb[SWARM_A_ENDPOINT_NODE]),
					     .host_addr = addr_of(tb[SWARM_A_ENDPOINT_HOST_ADDR])};
	mac_of(tb[SWARM_A_ENDPOINT_MAC], ret->endpoint.mac);
	return true;
}

static bool peer_get(struct nlmsghdr *nlh, struct kmod_item *ret)
{
	static struct nla_policy policy[SWARM_A_PEER_MAX + 1] = {[SWARM_A_PEER_VTEP] = ADDR};
	struct nlattr *tb[SWARM_A_PEER_MAX + 1];

	if (genlmsg_parse(nlh, 0, tb, SWARM_A_PEER_MAX, policy) || !tb[SWARM_A_PEER_VTEP])
		return false;
	ret->peer = addr_of(tb[SWARM_A_PEER_VTEP]);
	return true;
}

static bool backend_get(struct nlattr *nest, struct dp_backend *ret)
{
	static struct nla_policy policy[SWARM_A_BACKEND_MAX + 1] = {
		[SWARM_A_BACKEND_ADDR] = ADDR,
		[SWARM_A_BACKEND_WEIGHT] = U16,
		[SWARM_A_BACKEND_DRAINING] = FLAG,
	};
	struct nlattr *tb[SWARM_A_BACKEND_MAX + 1];

	if (nla_parse_nested(tb, SWARM_A_BACKEND_MAX, nest, policy) || !tb[SWARM_A_BACKEND_ADDR])
		return false;
	*ret = (struct dp_backend){.addr = addr_of(tb[SWARM_A_BACKEND_ADDR]),
				   .weight = u16_of(tb[SWARM_A_BACKEND_WEIGHT]),
				   .draining = tb[SWARM_A_BACKEND_DRAINING]};
	return true;
}

static void backends_get(struct nlmsghdr *nlh, struct kmod_item *ret)
{
	struct genlmsghdr *g = genlmsg_hdr(nlh);
	struct nlattr *a;
	size_t n = 0;
	int rem;

	nla_for_each_attr(a, genlmsg_attrdata(g, 0), genlmsg_attrlen(g, 0), rem) n +=
		nla_type(a) == SWARM_A_SERVICE_BACKEND;
	ret->backends = xcalloc(n + 1, sizeof(*ret->backends));
	nla_for_each_attr(a, genlmsg_attrdata(g, 0), genlmsg_attrlen(g, 0), rem)
	{
		if (nla_type(a) == SWARM_A_SERVICE_BACKEND)
			ret->service.n_backends +=
				backend_get(a, &ret->backends[ret->service.n_backends]);
	}
}

static bool service_get(struct nlmsghdr *nlh, struct kmod_item *ret)
{
	static struct nla_policy policy[SWARM_A_SERVICE_MAX + 1] = {
		[SWARM_A_SERVICE_VNI] = U32,	[SWARM_A_SERVICE_VIP] = ADDR,
		[SWARM_A_SERVICE_PROTO] = U8,	[SWARM_A_SERVICE_PUBLISHED] = U16,
		[SWARM_A_SERVICE_TARGET] = U16, [SWARM_A_SERVICE_BACKEND] = NEST,
	};
	struct nlattr *tb[SWARM_A_SERVICE_MAX + 1];

	if (genlmsg_parse(nlh, 0, tb, SWARM_A_SERVICE_MAX, policy) ||
	    (!tb[SWARM_A_SERVICE_VIP] && !tb[SWARM_A_SERVICE_PROTO]))
		return false;
	ret->service =
		(struct dp_service){.kind = tb[SWARM_A_SERVICE_PROTO] ? DP_PUBLISHED : DP_VIP,
				    .vni = u32_of(tb[SWARM_A_SERVICE_VNI]),
				    .vip = addr_of(tb[SWARM_A_SERVICE_VIP]),
				    .proto = u8_of(tb[SWARM_A_SERVICE_PROTO]),
				    .published = ntohs(u16_of(tb[SWARM_A_SERVICE_PUBLISHED])),
				    .target = ntohs(u16_of(tb[SWARM_A_SERVICE_TARGET]))};
	backends_get(nlh, ret);
	return true;
}

static bool link_get(struct nlmsghdr *nlh, struct kmod_item *ret)
{
	static struct nla_policy policy[SWARM_A_LINK_MAX + 1] = {
		[SWARM_A_LINK_IFINDEX] = U32, [SWARM_A_LINK_ROLE] = U32,  [SWARM_A_LINK_VNI] = U32,
		[SWARM_A_LINK_ADDR] = ADDR,   [SWARM_A_LINK_FLAGS] = U32,
	};
	struct nlattr *tb[SWARM_A_LINK_MAX + 1];

	if (genlmsg_parse(nlh, 0, tb, SWARM_A_LINK_MAX, policy) || !tb[SWARM_A_LINK_IFINDEX])
		return false;
	ret->link = (struct dp_link){.ifindex = u32_of(tb[SWARM_A_LINK_IFINDEX]),
				     .role = u32_of(tb[SWARM_A_LINK_ROLE]),
				     .vni = u32_of(tb[SWARM_A_LINK_VNI]),
				     .addr = addr_of(tb[SWARM_A_LINK_ADDR])};
	return true;
}

struct dp_item kmod_item_view(const struct kmod_item *k)
{
	/* all of the union's members begin where it does */
	return (struct dp_item){.kind = k->kind, .network = &k->network};
}

static bool same_service(const struct kmod_item *a, const struct kmod_item *b)
{
	char key[2][DP_ITEM_KEY_SIZE];
	struct dp_item va = kmod_item_view(a), vb = kmod_item_view(b);

	if (a->kind != DP_ITEM_SERVICE || b->kind != DP_ITEM_SERVICE)
		return false;
	dp_item_key(&va, key[0]);
	dp_item_key(&vb, key[1]);
	return streq(key[0], key[1]);
}

/* Move the backends of a service's next part to the first one. */
static void service_join(struct kmod_item *to, struct kmod_item *part)
{
	size_t n = to->service.n_backends, more = part->service.n_backends;

	to->backends = xrealloc(to->backends, (n + more + 1) * sizeof(*to->backends));
	memcpy(to->backends + n, part->backends, more * sizeof(*to->backends));
	to->service.n_backends += more;
	to->service.backends = to->backends;
	free(part->backends);
}

void kmod_item_get(enum dp_item_kind kind, struct nlmsghdr *nlh, struct kmod_items *items)
{
	static bool (*const gets[DP_ITEM_KINDS])(struct nlmsghdr *, struct kmod_item *) = {
		[DP_ITEM_NETWORK] = network_get, [DP_ITEM_ENDPOINT] = endpoint_get,
		[DP_ITEM_PEER] = peer_get,	 [DP_ITEM_SERVICE] = service_get,
		[DP_ITEM_LINK] = link_get,
	};
	struct kmod_item k = {.kind = kind};

	if (!gets[kind](nlh, &k))
		return;
	if (items->n && same_service(&items->v[items->n - 1], &k)) {
		service_join(&items->v[items->n - 1], &k);
		return;
	}
	if (!(items->n & (items->n - 1)))
		items->v = xrealloc(items->v, (items->n ? items->n * 2 : 1) * sizeof(*items->v));
	if (kind == DP_ITEM_SERVICE)
		k.service.backends = k.backends;
	items->v[items->n++] = k;
}

void kmod_items_done(struct kmod_items *items)
{
	for (size_t i = 0; i < items->n; i++)
		free(items->v[i].backends);
	free(items->v);
	*items = (struct kmod_items){0};
}

int kmod_settings_put(struct nl_msg *m, const struct kmod_settings *s)
{
	if (addr_put(m, SWARM_A_SETTINGS_VTEP, &s->vtep) ||
	    port_put(m, SWARM_A_SETTINGS_VXLAN_PORT, s->vxlan_port) ||
	    nla_put_u32(m, SWARM_A_SETTINGS_FLAGS,
			s->return_direct ? SWARM_SETTINGS_FLAGS_RETURN_DIRECT : 0) ||
	    nla_put_u32(m, SWARM_A_SETTINGS_FLOWS_MAX, s->flows_max) ||
	    nla_put_u32(m, SWARM_A_SETTINGS_PORTS_MAX, s->ports_max) ||
	    nla_put_u16(m, SWARM_A_SETTINGS_LO_WAS, s->lo_was))
		return -EMSGSIZE;
	return 0;
}

void kmod_settings_get(struct nlmsghdr *nlh, struct kmod_settings *ret)
{
	static struct nla_policy policy[SWARM_A_SETTINGS_MAX + 1] = {
		[SWARM_A_SETTINGS_VTEP] = ADDR,	    [SWARM_A_SETTINGS_VXLAN_PORT] = U16,
		[SWARM_A_SETTINGS_FLAGS] = U32,	    [SWARM_A_SETTINGS_FLOWS_MAX] = U32,
		[SWARM_A_SETTINGS_PORTS_MAX] = U32, [SWARM_A_SETTINGS_LO_WAS] = U16,
	};
	struct nlattr *tb[SWARM_A_SETTINGS_MAX + 1];

	if (genlmsg_parse(nlh, 0, tb, SWARM_A_SETTINGS_MAX, policy))
		return;
	*ret = (struct kmod_settings){.vtep = addr_of(tb[SWARM_A_SETTINGS_VTEP]),
				      .vxlan_port = ntohs(u16_of(tb[SWARM_A_SETTINGS_VXLAN_PORT])),
				      .return_direct = u32_of(tb[SWARM_A_SETTINGS_FLAGS]) &
						       SWARM_SETTINGS_FLAGS_RETURN_DIRECT,
				      .flows_max = u32_of(tb[SWARM_A_SETTINGS_FLOWS_MAX]),
				      .ports_max = u32_of(tb[SWARM_A_SETTINGS_PORTS_MAX]),
				      .lo_was = u16_of(tb[SWARM_A_SETTINGS_LO_WAS])};
}
