// SPDX-License-Identifier: Apache-2.0
/* Endpoints of this node into networkdb's tables, those of others into the node's records. */
#include <errno.h>
#include <netinet/in.h>

#include "core/log.h"
#include "net/records.h"
#include "node/gossipd_impl.h"
#include "wire/overlay.pb-c.h"
#include "wire/pb.h"

static const char endpoint_table[] = "endpoint_table", peer_table[] = "overlay_peer_table";

enum { MAX_NAMES = 256, MAX_PORTS = 1024 };

/* --- out --- */

static void add_names(size_t *n, char ***list, const char *const *names)
{
	for (; names && *names; names++)
		pb_append_str(n, list, *names);
}

static Ov__PortConfig__Protocol protocol_of(uint8_t ip_protocol)
{
	return ip_protocol == IPPROTO_UDP    ? OV__PORT_CONFIG__PROTOCOL__UDP
	       : ip_protocol == IPPROTO_SCTP ? OV__PORT_CONFIG__PROTOCOL__SCTP
					     : OV__PORT_CONFIG__PROTOCOL__TCP;
}

static void on_local(const struct net_record *r, bool removed, void *arg)
{
	struct gossipd *g = arg;
	Ov__EndpointRecord *rec;
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (removed) {
		netdb_del(gossip_netdb(g->g), r->network_id, endpoint_table, r->key, loop_now_ms());
		gossipd_schedule(g);
		return;
	}
	rec = pb_new(ov__endpoint_record);
	pb_set_str(&rec->name, r->name);
	pb_set_str(&rec->service_name, r->service_name);
	pb_set_str(&rec->service_id, r->service_id);
	pb_set_str(&rec->virtual_ip, str_empty(r->vip) ? "<nil>" : r->vip);
	pb_set_str(&rec->endpoint_ip, r->ip);
	rec->service_disabled = r->disabled;
	add_names(&rec->n_aliases, &rec->aliases, r->aliases);
	add_names(&rec->n_task_aliases, &rec->task_aliases, r->task_aliases);
	for (size_t i = 0; i < r->n_ports; i++) {
		Ov__PortConfig *p = pb_new(ov__port_config);

		pb_set_str(&p->name, r->ports[i].name);
		p->protocol = protocol_of(r->ports[i].protocol);
		p->target_port = r->ports[i].target;
		p->published_port = r->ports[i].published;
		pb_append(&rec->n_ingress_ports, &rec->ingress_ports, p);
	}
	pb_pack(rec, &b);
	pb_free(rec);
	netdb_put(gossip_netdb(g->g), r->network_id, endpoint_table, r->key, b.data, b.len,
		  loop_now_ms());
	gossipd_schedule(g);
}

static void on_local_peer(const char *network_id, const char *key, const char *ip_cidr,
			  const char *mac, bool removed, void *arg)
{
	struct gossipd *g = arg;
	Ov__PeerRecord rec = OV__PEER_RECORD__INIT;
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (removed) {
		netdb_del(gossip_netdb(g->g), network_id, peer_table, key, loop_now_ms());
	} else {
		rec.endpoint_ip = (char *)ip_cidr;
		rec.endpoint_mac = (char *)mac;
		rec.tunnel_endpoint_ip = g->vtep;
		pb_pack(&rec, &b);
		netdb_put(gossip_netdb(g->g), network_id, peer_table, key, b.data, b.len,
			  loop_now_ms());
	}
	gossipd_schedule(g);
}

static void on_network(const char *network_id, bool joined, void *arg)
{
	struct gossipd *g = arg;

	if (joined)
		netdb_join(gossip_netdb(g->g), network_id, loop_now_ms());
	else
		netdb_leave(gossip_netdb(g->g), network_id, loop_now_ms());
	gossipd_schedule(g);
}

void gossip_tables_begin(struct gossipd *g)
{
	struct records_watch w = {
		.local = on_local, .peer = on_local_peer, .network = on_network, .arg = g};

	if (g->opt.nets)
		records_watch(g->opt.nets, &w);
}

void gossip_tables_end(struct gossipd *g)
{
	if (g->opt.nets && g->g)
		records_watch(g->opt.nets, NULL);
}

/* --- in --- */

static uint8_t ip_protocol_of(Ov__PortConfig__Protocol p)
{
	return p == OV__PORT_CONFIG__PROTOCOL__UDP    ? IPPROTO_UDP
	       : p == OV__PORT_CONFIG__PROTOCOL__SCTP ? IPPROTO_SCTP
						      : IPPROTO_TCP;
}

static const char **names_of(char **names, size_t n)
{
	const char **list = xcalloc(min(n, (size_t)MAX_NAMES) + 1, sizeof(*list));

	for (size_t i = 0; i < n && i < MAX_NAMES; i++)
		list[i] = names[i];
	return list;
}

static void set_record(struct gossipd *g, const struct netdb_change *c,
		       const Ov__EndpointRecord *rec, const Ov__PeerRecord *peer)
{
	const char **aliases = names_of(rec->aliases, rec->n_aliases),
		   **task_aliases = names_of(rec->task_aliases, rec->n_task_aliases);
	struct net_port *ports =
		xcalloc(min(rec->n_ingress_ports, (size_t)MAX_PORTS) + 1, sizeof(*ports));
	struct swim_member owner;
	struct err err = ERR_INIT;
	struct net_record r = {
		.network_id = c->network_id,
		.key = c->key,
		.name = rec->name,
		.service_name = rec->service_name,
		.service_id = rec->service_id,
		.vip = strcmp(rec->virtual_ip, "<nil>") && *rec->virtual_ip ? rec->virtual_ip
									    : NULL,
		.ip = rec->endpoint_ip,
		.mac = peer->endpoint_mac,
		.vtep = peer->tunnel_endpoint_ip,
		.aliases = aliases,
		.task_aliases = task_aliases,
		.ports = ports,
		.disabled = rec->service_disabled,
	};

	for (size_t i = 0; i < rec->n_ingress_ports && i < MAX_PORTS; i++) {
		const Ov__PortConfig *p = rec->ingress_ports[i];

		if (p->target_port <= UINT16_MAX && p->published_port <= UINT16_MAX)
			ports[r.n_ports++] = (struct net_port){p->name, ip_protocol_of(p->protocol),
							       p->target_port, p->published_port};
	}
	if (swim_find(gossip_swim(g->g), c->owner, &owner) && owner.state == ML_STATE_SUSPECT)
		r.disabled = true;
	if (records_set(g->opt.nets, &r, &err))
		log_warn("gossip: endpoint %s: %s", rec->name, err.msg);
	free(ports);
	free(aliases);
	free(task_aliases);
}

/* An endpoint is of use once both its records are here. */
static void try_record(struct gossipd *g, const struct netdb_change *c)
{
	struct netdb *db = gossip_netdb(g->g);
	size_t size, peer_size;
	const void *value = netdb_get(db, c->network_id, endpoint_table, c->key, &size),
		   *peer_value = netdb_get(db, c->network_id, peer_table, c->key, &peer_size);
	Ov__EndpointRecord *rec = value ? pb_unpack(ov__endpoint_record, value, size) : NULL;
	Ov__PeerRecord *peer =
		peer_value ? pb_unpack(ov__peer_record, peer_value, peer_size) : NULL;

	if (rec && peer && strcmp(peer->tunnel_endpoint_ip, g->vtep))
		set_record(g, c, rec, peer);
	pb_free(rec);
	pb_free(peer);
}

static void set_peer(struct gossipd *g, const struct netdb_change *c)
{
	Ov__PeerRecord *peer = pb_unpack(ov__peer_record, c->value, c->size);
	struct err err = ERR_INIT;

	/* our own, from before a restart */
	if (peer && strcmp(peer->tunnel_endpoint_ip, g->vtep) &&
	    records_peer_set(g->opt.nets, c->network_id, c->key, peer->endpoint_ip,
			     peer->endpoint_mac, peer->tunnel_endpoint_ip, &err))
		log_warn("gossip: peer %s: %s", peer->endpoint_ip, err.msg);
	pb_free(peer);
}

void gossip_tables_changed(struct gossipd *g, const struct netdb_change *c)
{
	bool endpoint = !strcmp(c->table, endpoint_table), peer = !strcmp(c->table, peer_table);

	if (!g->opt.nets || (!endpoint && !peer))
		return;
	if (c->deleted && endpoint) {
		records_del(g->opt.nets, c->network_id, c->key);
	} else if (c->deleted) {
		records_peer_del(g->opt.nets, c->network_id, c->key);
	} else {
		if (peer)
			set_peer(g, c);
		try_record(g, c);
	}
}
