/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of net/ share. Addresses are in host byte order where they are uint32_t. */
#pragma once

#include "core/buf.h"
#include "core/map.h"
#include "core/rng.h"
#include "datapath/dp.h"
#include "loop/loop.h"
#include "net/driver.h"
#include "net/firewall.h"
#include "net/ipsec.h"
#include "net/inaddr.h"
#include "net/ipam.h"
#include "net/ipam6.h"
#include "net/names.h"
#include "net/net.h"
#include "net/netlink.h"
#include "net/parent.h"
#include "net/ports.h"
#include "net/records.h"

#define OPT_BRIDGE "com.docker.network.bridge."

struct uplinks;
struct dns_server;
struct port_proxy;

struct nets {
	struct nets_options opt; /* its strings are copies */
	struct rt *rt; /* of the node's namespace, for the loop's thread */
	struct firewall *fw;
	struct ports *ports;
	struct ipam *ipam;
	struct ipam6 *ipam6;
	struct uplinks *uplinks;
	struct ipsec *ipsec; /* of encrypted networks */
	struct list_head networks, sandboxes;
	char *dir, *run_dir,
		*netns_dir; /* of networks' files, of swarm networks' files, of namespaces */
	int netns; /* the node's namespace */
	struct records_watch watch;
	struct map vteps; /* text -> struct vtep_ref: nodes that endpoints live on */
	struct list_head dirty; /* struct service: to be told to the datapath */
	bool flushing;
	struct timer sync_timer; /* ends the datapath's synchronisation */
	bool syncing;
	bool owns_dp; /* opened here */
	bool kept; /* a sandbox is left up at the agent's end */
};

struct network {
	struct list_head node;
	struct nets *nets;
	char id[HEX_ID_SIZE];
	char *name;
	const struct net_driver *driver;
	char created[40];
	json_t *options, *labels, *ipam_options, *aux; /* objects */
	char *ipam_driver;
	bool internal, attachable, ingress, predefined, encrypted;
	bool of_swarm; /* one of the swarm that the node has for itself, without struct swarm_net */
	struct list_head endpoints;
	struct names names;
	/* A configuration network: IPAM, EnableIPv4 and EnableIPv6 for others, and nothing below. */
	json_t *config;
	char *config_from; /* the name of the one that it was made from, or NULL */

	/* all with addresses */
	struct subnet *subnet;
	struct ip_range range; /* prefix 0: the whole subnet */
	uint32_t gateway;
	unsigned int mtu;
	/* all with IPv6 */
	struct subnet6 *subnet6; /* NULL: without */
	struct ip6_range range6; /* prefix 0: the whole subnet */
	struct in6_addr gateway6;
	json_t *aux6; /* object or NULL */
	/* bridge */
	char bridge[IF_NAMESIZE];
	int bridge_index;
	bool icc, masquerade;
	struct in_addr host_addr; /* of published ports without one */
	/* macvlan, ipvlan */
	struct parent parent;
	uint32_t mode; /* IFLA_MACVLAN_MODE, IFLA_IPVLAN_MODE */
	uint16_t flag; /* IFLA_IPVLAN_FLAGS */
	/* overlay */
	struct swarm_net *swarm;
};

struct endpoint {
	struct list_head in_network, in_sandbox;
	struct network *network;
	struct sandbox *sandbox;
	char id[HEX_ID_SIZE];
	uint32_t ip; /* 0: none (host, none) */
	struct in6_addr ip6; /* :: none */
	uint8_t mac[6];
	char host_if[IF_NAMESIZE],
		if_name[IF_NAMESIZE]; /* host_if: of a direct driver, for a moment only */
	int host_index;
	char *ip_wanted, *ip6_wanted; /* as the user gave them, or NULL */
	json_t *aliases, *links, *swarm; /* or NULL */
	bool up; /* in the kernel, its names known */
	bool published; /* its record is told */
	bool hidden; /* on docker_gwbridge for the default route */
};

struct published {
	uint8_t proto;
	uint16_t port, host_port;
	struct in6_addr host_addr; /* of either family */
	int fd; /* that reserves it, or -1 */
	struct port_proxy *proxy; /* of what the firewall does not send on, or NULL */
};

struct sandbox {
	struct list_head node;
	struct nets *nets;
	char id[HEX_ID_SIZE];
	char *name, *hostname, *domainname, *dir, *join, *path;
	json_t *dns, *dns_search, *dns_options, *extra_hosts;
	bool host, up, enabled;
	struct list_head endpoints, ops;
	struct published *published;
	size_t n_published;
	uint32_t ports_ip; /* that the firewall sends them to; 0: nowhere */
	struct in6_addr ports_ip6; /* that of IPv6; :: nowhere */
	json_t *exposed; /* "80/tcp" of ports without binding, or NULL */
	struct dns_server *dns_server;
};

/* ip 0: unset. */
static inline struct dp_addr dp_ip(uint32_t ip)
{
	struct dp_addr a = {{0}};

	if (ip) {
		a.b[10] = a.b[11] = 0xff;
		for (int i = 0; i < 4; i++)
			a.b[12 + i] = ip >> (24 - 8 * i);
	}
	return a;
}

/* bridge.c */
extern const struct net_driver net_driver_bridge;
/* bridge6.c: what a bridge that is there needs for IPv6. */
int bridge6_up(struct network *n, struct err *err);
/* macvlan.c, ipvlan.c; the options' values, "" being the default */
extern const struct net_driver net_driver_macvlan, net_driver_ipvlan;
int macvlan_mode(const char *s, uint32_t *ret, struct err *err);
int ipvlan_mode(const char *s, uint32_t *ret, struct err *err);
int ipvlan_flag(const char *s, uint16_t *ret, struct err *err);
/* Best effort: a file below /proc/sys/net of the thread's namespace. */
void sysctl_set(const char *value, const char *fmt, ...) _printf_(2, 3);

/* nets_swarm.c */
void nets_swarm_init(struct nets *nets);
void nets_swarm_done(struct nets *nets);
/* Another datapath, or NULL before it is closed. */
void nets_set_dp(struct nets *nets, struct dp *dp);

/* docker0.c: make the predefined network anew out of its file's and the options; it is stored. */
int docker0_make(struct nets *nets, struct err *err);

/* nets.c */
struct network *network_new(struct nets *nets, const char *id, const char *name,
			    const struct net_driver *driver);
/* New and stored; in the list only if all is well. id NULL: chosen. */
int network_make(struct nets *nets, const char *id, const char *name,
		 const struct net_driver *driver, json_t *body, struct network **ret,
		 struct err *err);
/* Out of the lists, memory only. */
void network_free(struct network *n);
int network_save(struct network *n, struct err *err);
void network_forget(struct network *n); /* its file */
void network_emit(struct network *n, const char *action, const struct sandbox *sb);
/* docker_gwbridge, made when first needed. */
int nets_gwbridge(struct nets *nets, struct network **ret, struct err *err);

/* network_json.c */
int network_bool_option(json_t *options, const char *key, bool *ret, struct err *err);
const char *network_option(const struct network *n, const char *key); /* "": not given */
/* Fill a network from a create request or its own file; what is wrong in dockerd's words. */
int network_parse(struct network *n, json_t *body, struct err *err);
/* An object of strings of the body, owned; absent and null are the empty one. */
int network_strings(json_t *body, const char *key, json_t **ret, struct err *err);
/* network6.c: the IPv6 part of IPAM's Config, NULL if none is given; and back. */
int network6_parse(struct network *n, json_t *config, struct err *err);
json_t *network6_config(const struct network *n);
json_t *network_file(struct network *n);

/* network_config.c. ConfigFrom.Network, or NULL. */
const char *network_config_from(json_t *body);
/* A configuration network's own. */
int network_config_parse(struct network *n, json_t *body, struct err *err);
/* The body with what the configuration network has that it names; owned by the caller. */
int network_config_apply(struct nets *nets, json_t *body, json_t **ret, struct err *err);
/* A network that was made from this one, or NULL. */
const struct network *network_config_user(const struct network *config);

/* netns.c: remove a namespace's file and mount. Any thread. */
void netns_remove(const char *path);

/* sandbox.c */
uint8_t proto_number(const char *name); /* 0: none of tcp, udp, sctp */
const char *proto_name(uint8_t proto);
/* Its address on docker_gwbridge, or 0. */
uint32_t sandbox_gwbridge_ip(const struct sandbox *sb);
/* Does the network have names (not docker's default bridge)? */
bool network_has_names(const struct network *n);

/* swarm_net.c: networks of the swarm and their local endpoints in the datapath. */
int swarm_net_restore(struct nets *nets, json_t *file, struct err *err);
void swarm_net_file(struct network *n, json_t *file);
void swarm_net_down(struct network *n);
void swarm_net_tell_peers(struct network *n);
int swarm_net_resync(struct nets *nets, struct err *err);
int swarm_endpoint_up(struct endpoint *e, uint32_t gw_ip, struct err *err);
void swarm_endpoint_down(struct endpoint *e);
/* The record of a local endpoint comes, changes (draining) or is withdrawn. */
void swarm_endpoint_service(struct endpoint *e, bool enable);

/* records.c */
struct swarm_net {
	uint32_t vni;
	char node_key[HEX_ID_SIZE]; /* key of the load balancer's peer record */
	uint32_t node_addr; /* 0: unknown */
	struct map records, peers; /* by key */
	struct map peers_by_ip; /* the last one told of an address */
	struct map services; /* by "vip" or "proto/port" */
};
void records_free(struct network *n);
void records_done(struct nets *nets);
/* Tell the datapath the services that have changed, now. */
void records_flush(struct nets *nets);
/* A local endpoint's record. */
int records_local_set(struct network *n, const struct net_record *r, struct err *err);
void records_local_del(struct network *n, const char *key);
/* The node leaves the network: forget what others have said. */
void records_leave(struct network *n);
void records_vteps_resync(struct nets *nets);
/* This node is in no encrypted network any more. */
void records_vteps_plain(struct nets *nets);
/* The nodes of a swarm that is left. */
void records_vteps_clear(struct nets *nets);
/* Tell the datapath all of a network again. */
void records_resync(struct network *n);
void records_tell_network(struct network *n, bool joined);
void records_tell_peer(struct network *n, const char *key, uint32_t ip, const uint8_t mac[6],
		       bool removed);
