// SPDX-License-Identifier: Apache-2.0
/*
 * Networks of the swarm on this node, and their local endpoints in the datapath. Their files are
 * in the run-time folder: they last as long as the containers do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "core/log.h"
#include "net/net_impl.h"
#include "net/sandbox_impl.h"

static void ip_mac(uint32_t ip, uint8_t mac[6])
{
	mac[0] = 0x02;
	mac[1] = 0x42;
	for (int i = 0; i < 4; i++)
		mac[2 + i] = ip >> (24 - 8 * i);
}

static int network_to_dp(struct network *n, struct err *err)
{
	struct dp_network d = {
		.vni = n->swarm->vni,
		.mtu = n->mtu,
		.flags = (n->internal ? DP_NETWORK_INTERNAL : 0) |
			 (n->ingress ? DP_NETWORK_INGRESS : 0) |
			 (n->encrypted ? DP_NETWORK_ENCRYPTED : 0),
		.gateway = dp_ip(n->gateway),
		.node_addr = dp_ip(n->swarm->node_addr),
	};
	struct err why = ERR_INIT;
	int rc;

	if (!n->nets->opt.dp)
		return 0;
	/* what must not leave in the clear cannot, before anything can leave */
	rc = n->encrypted ? ipsec_begin(n->nets->ipsec, &why) : 0;
	rc = rc || !n->encrypted ? rc : firewall_esp_only(n->nets->fw, true, &why);
	if (rc)
		return err_set(err, rc, "the encrypted network %s cannot be used on this node: %s",
			       n->name, why.msg);
	return dp_network_set(n->nets->opt.dp, &d, err);
}

static void tell_node_addr(struct network *n, bool removed)
{
	uint8_t mac[6];

	if (!n->swarm->node_addr)
		return;
	ip_mac(n->swarm->node_addr, mac);
	records_tell_peer(n, n->swarm->node_key, n->swarm->node_addr, mac, removed);
}

static int check(const struct net_swarm_config *c, struct ip_range *range, uint32_t *gateway,
		 uint32_t *node_addr, struct err *err)
{
	*gateway = *node_addr = 0;
	if (str_empty(c->id) || str_empty(c->name) || strlen(c->id) >= HEX_ID_SIZE)
		return err_set(err, -EINVAL, "a network of the swarm needs an ID and a name");
	if (!c->subnet || ip_range_parse(c->subnet, range))
		return err_set(err, -EINVAL, "the network %s has no IPv4 subnet: %s", c->name,
			       c->subnet ? c->subnet : "none");
	if (!c->vni || c->vni >= 1 << 24)
		return err_set(err, -EINVAL, "the network %s has no VXLAN number", c->name);
	if (!str_empty(c->gateway) && ip_parse(c->gateway, gateway))
		return err_set(err, -EINVAL, "the gateway of the network %s cannot be used: %s",
			       c->name, c->gateway);
	if (!str_empty(c->node_addr) && ip_parse(c->node_addr, node_addr))
		return err_set(err, -EINVAL,
			       "this node's address in the network %s cannot be used: %s", c->name,
			       c->node_addr);
	return 0;
}

static struct network *find(struct nets *nets, const char *id)
{
	struct network *n;

	list_for_each (n, &nets->networks, node)
		if (n->swarm && streq(n->id, id))
			return n;
	return NULL;
}

static struct network *new_network(struct nets *nets, const struct net_swarm_config *c,
				   const struct ip_range *range)
{
	struct network *n = network_new(nets, c->id, c->name, net_driver_find("overlay"));
	char vni[16];

	n->swarm = xcalloc(1, sizeof(*n->swarm));
	n->swarm->vni = c->vni;
	id_new_hex(nets->opt.rng, n->swarm->node_key);
	n->subnet = ipam_subnet_foreign(range);
	n->internal = c->internal;
	n->attachable = c->attachable;
	n->ingress = c->ingress;
	n->encrypted = c->encrypted;
	snprintf(vni, sizeof(vni), "%u", c->vni);
	n->options = json_pack("{s:s}", "com.docker.network.driver.overlay.vxlanid_list", vni);
	if (n->encrypted)
		json_object_set_new(n->options, "encrypted", json_string(""));
	n->labels = json_object();
	n->ipam_options = json_object();
	return n;
}

int net_swarm_set(struct nets *nets, const struct net_swarm_config *c, struct network **ret,
		  struct err *err)
{
	struct ip_range range;
	uint32_t gateway, node_addr;
	struct network *n;
	bool fresh;
	int rc = check(c, &range, &gateway, &node_addr, err);

	if (rc)
		return rc;
	if (!nets->opt.dp)
		return err_set(
			err, -EOPNOTSUPP,
			"the network %s of the swarm needs the datapath, which this node has not: "
			"see the agent's log for the reason",
			c->name);
	n = find(nets, c->id);
	fresh = !n;
	if (n && (n->swarm->vni != c->vni || ipam_subnet_range(n->subnet)->base != range.base ||
		  ipam_subnet_range(n->subnet)->prefix != range.prefix ||
		  n->encrypted != c->encrypted)) {
		if (!list_empty(&n->endpoints))
			return err_set(err, -EBUSY,
				       "the network %s has changed while containers use it",
				       c->name);
		rc = net_remove(n, err);
		if (rc)
			return rc;
		n = NULL;
		fresh = true;
	}
	if (fresh)
		n = new_network(nets, c, &range);
	if (!fresh && !c->node_addr)
		node_addr = n->swarm->node_addr;
	if (!fresh && n->gateway == gateway && n->swarm->node_addr == node_addr) {
		*ret = n;
		return 0;
	}
	if (!fresh && n->swarm->node_addr != node_addr)
		tell_node_addr(n, true);
	n->gateway = gateway;
	n->mtu = c->mtu ? c->mtu : 1450;
	n->swarm->node_addr = node_addr;
	rc = network_to_dp(n, err);
	if (!rc)
		rc = network_save(n, err);
	if (rc) {
		if (fresh) {
			dp_network_del(nets->opt.dp, c->vni, NULL);
			network_free(n);
		}
		return rc;
	}
	if (fresh) {
		records_tell_network(n, true);
		network_emit(n, "create", NULL);
	}
	tell_node_addr(n, false);
	*ret = n;
	return 0;
}

void swarm_net_file(struct network *n, json_t *file)
{
	char node_addr[16] = "";

	if (n->swarm->node_addr)
		ip_format(n->swarm->node_addr, node_addr);
	json_object_set_new(file, "swarm",
			    json_pack("{s:I, s:i, s:b, s:s, s:s}", "vni", (json_int_t)n->swarm->vni,
				      "mtu", n->mtu, "encrypted", n->encrypted, "node_addr",
				      node_addr, "node_key", n->swarm->node_key));
}

int swarm_net_restore(struct nets *nets, json_t *file, struct err *err)
{
	json_t *s = json_object_get(file, "swarm"),
	       *config =
		       json_array_get(json_object_get(json_object_get(file, "IPAM"), "Config"), 0);
	struct net_swarm_config c = {
		.id = json_string_value(json_object_get(file, "Id")),
		.name = json_string_value(json_object_get(file, "Name")),
		.subnet = json_string_value(json_object_get(config, "Subnet")),
		.gateway = json_string_value(json_object_get(config, "Gateway")),
		.vni = json_integer_value(json_object_get(s, "vni")),
		.mtu = json_integer_value(json_object_get(s, "mtu")),
		.internal = json_is_true(json_object_get(file, "Internal")),
		.attachable = json_is_true(json_object_get(file, "Attachable")),
		.ingress = json_is_true(json_object_get(file, "Ingress")),
		.encrypted = json_is_true(json_object_get(s, "encrypted")),
		.node_addr = json_string_value(json_object_get(s, "node_addr")),
	};
	const char *key = json_string_value(json_object_get(s, "node_key")),
		   *created = json_string_value(json_object_get(file, "Created"));
	struct ip_range range;
	uint32_t gateway, node_addr;
	struct network *n;
	int rc = check(&c, &range, &gateway, &node_addr, err);

	if (rc)
		return rc;
	n = new_network(nets, &c, &range);
	n->gateway = gateway;
	n->mtu = c.mtu;
	n->swarm->node_addr = node_addr;
	if (key)
		snprintf(n->swarm->node_key, sizeof(n->swarm->node_key), "%s", key);
	if (created)
		snprintf(n->created, sizeof(n->created), "%s", created);
	return network_to_dp(n, err);
}

static bool any_encrypted(const struct nets *nets, const struct network *but)
{
	const struct network *n;

	list_for_each (n, &nets->networks, node)
		if (n != but && n->swarm && n->encrypted)
			return true;
	return false;
}

void swarm_net_down(struct network *n)
{
	struct err err = ERR_INIT;

	tell_node_addr(n, true);
	records_tell_network(n, false);
	records_leave(n);
	if (n->nets->opt.dp)
		dp_network_del(n->nets->opt.dp, n->swarm->vni, NULL);
	if (n->encrypted && !any_encrypted(n->nets, n)) {
		records_vteps_plain(n->nets);
		if (ipsec_end(n->nets->ipsec, &err) || firewall_esp_only(n->nets->fw, false, &err))
			log_warn("%s", err.msg);
	}
}

static int endpoint_to_dp(struct endpoint *e, uint32_t gw_ip, struct err *err)
{
	struct network *n = e->network;
	struct dp_endpoint d = {
		.vni = n->swarm->vni,
		.addr = dp_ip(e->ip),
		.ifindex = e->host_index,
		.host_addr = dp_ip(gw_ip),
	};
	struct dp_link l = {.ifindex = e->host_index,
			    .role = DP_LINK_CONTAINER,
			    .vni = n->swarm->vni,
			    .addr = dp_ip(e->ip)};
	int rc;

	memcpy(d.mac, e->mac, 6);
	rc = dp_endpoint_set(n->nets->opt.dp, &d, err);
	return rc ? rc : dp_link_set(n->nets->opt.dp, &l, err);
}

int swarm_net_resync(struct nets *nets, struct err *err)
{
	struct network *n;
	struct endpoint *e;
	int rc = 0;

	records_vteps_resync(nets);
	list_for_each (n, &nets->networks, node) {
		if (!n->swarm || rc)
			continue;
		rc = network_to_dp(n, err);
		list_for_each (e, &n->endpoints, in_network)
			if (!rc && e->up)
				rc = endpoint_to_dp(e, sandbox_gwbridge_ip(e->sandbox), err);
		records_resync(n);
	}
	return rc;
}

void swarm_net_tell_peers(struct network *n)
{
	struct endpoint *e;

	tell_node_addr(n, false);
	list_for_each (e, &n->endpoints, in_network)
		if (e->up)
			records_tell_peer(n, e->id, e->ip, e->mac, false);
}

int swarm_endpoint_up(struct endpoint *e, uint32_t gw_ip, struct err *err)
{
	int rc;

	if (!e->network->nets->opt.dp) /* it works on as a former agent left it */
		return 0;
	rc = endpoint_to_dp(e, gw_ip, err);
	if (!rc)
		records_tell_peer(e->network, e->id, e->ip, e->mac, false);
	return rc;
}

void swarm_endpoint_down(struct endpoint *e)
{
	struct network *n = e->network;
	struct dp_addr a = dp_ip(e->ip);

	if (e->published)
		records_local_del(n, e->id);
	e->published = false;
	records_tell_peer(n, e->id, e->ip, e->mac, true);
	if (!n->nets->opt.dp)
		return;
	records_flush(n->nets); /* no flow is sent to what is not there */
	dp_link_del(n->nets->opt.dp, e->host_index, NULL);
	dp_endpoint_del(n->nets->opt.dp, n->swarm->vni, &a, NULL);
}

static const char *swarm_str(const struct endpoint *e, const char *key)
{
	const char *s = json_string_value(json_object_get(e->swarm, key));

	return s ? s : "";
}

/* A NULL-terminated list of the strings of an array. */
static const char **strings(json_t *a)
{
	const char **list = xcalloc(json_array_size(a) + 1, sizeof(*list));
	size_t i, n = 0;
	json_t *v;

	json_array_foreach (a, i, v)
		if (json_is_string(v))
			list[n++] = json_string_value(v);
	return list;
}

void swarm_endpoint_service(struct endpoint *e, bool enable)
{
	json_t *ports = json_object_get(e->swarm, "ports"), *v;
	bool service = *swarm_str(e, "service_id");
	_cleanup_free_ const char **aliases =
		strings(service ? json_object_get(e->swarm, "aliases") : NULL);
	_cleanup_free_ const char **task_aliases = strings(service ? NULL : e->aliases);
	_cleanup_free_ struct net_port *list = xcalloc(json_array_size(ports), sizeof(*list));
	struct err err = ERR_INIT;
	char ip[16];
	struct net_record r = {
		.network_id = e->network->id,
		.key = e->id,
		.name = *swarm_str(e, "task_name") ? swarm_str(e, "task_name") : e->sandbox->name,
		.service_name = swarm_str(e, "service_name"),
		.service_id = swarm_str(e, "service_id"),
		.vip = swarm_str(e, "vip"),
		.ip = ip_format(e->ip, ip),
		.aliases = aliases,
		.task_aliases = task_aliases,
		.ports = list,
		.disabled = !enable,
	};
	size_t i;

	if (!enable && !e->published)
		return;
	json_array_foreach (ports, i, v) {
		struct net_port *p = &list[r.n_ports];

		p->protocol = proto_number(json_string_value(json_object_get(v, "protocol")));
		p->target = json_integer_value(json_object_get(v, "target_port"));
		p->published = json_integer_value(json_object_get(v, "published_port"));
		if (p->protocol && p->target && p->published)
			r.n_ports++;
	}
	if (records_local_set(e->network, &r, &err))
		log_error("the endpoint of %s in the network %s is no backend: %s",
			  e->sandbox->name, e->network->name, err.msg);
	else
		e->published = true;
}
