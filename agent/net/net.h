/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks of this node and the network namespaces of its containers.
 *
 * A network of driver bridge is a Linux bridge; those of a swarm (overlay, ingress) are veth pairs
 * and the datapath (datapath/dp.h), without a device of their own. A sandbox is a container's
 * namespace, <exec_root>/netns/<12 hex>, with one veth for each network it has joined; addresses
 * are chosen on the loop, the kernel is worked on by a worker. Firewall rules are one nftables
 * table, "swarm". All calls on the loop's thread.
 * Source: Engine API "Network"; moby libnetwork.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "core/list.h"

struct loop;
struct events;
struct rng;
struct dp;
struct ipsec_key;
struct nets;
struct network;
struct sandbox;

struct nets_options {
	struct loop *loop;
	struct events *events;
	struct rng *rng;
	struct dp *dp; /* a datapath of the caller's, from the start; NULL: see nets_swarm_begin */
	const char *datapath; /* its kind, --datapath; NULL: auto */
	bool return_direct; /* --ingress-return=direct */
	const char *data_root, *exec_root;
	const char *engine_id; /* decides which IPv6 subnets are chosen */
	/* of docker0, NULL: chosen */
	const char *bip, *bip6; /* its addresses as CIDR */
	const char *fixed_cidr, *fixed_cidr6; /* what its containers' addresses are out of */
	const char *bind_addr; /* of ports published there */
	bool ipv6; /* it has IPv6 */
	char **pools; /* --default-address-pool values, NULL-terminated, or NULL */
	char **dns, **dns_search, **dns_opts; /* NULL-terminated or NULL */
	unsigned int mtu;
	char **uplinks; /* names of links that clients and peers come in by; NULL or empty: all */
	bool icc, ip_masq;
	bool port_proxy; /* net/port_proxy.h, for what the firewall cannot send on */
};

/* Reads the networks and makes what is missing in the kernel. */
int nets_open(const struct nets_options *opt, struct nets **ret, struct err *err);
/* After the containers are restored: remove namespaces that belong to none. */
void nets_sweep(struct nets *nets);
/* Without sandboxes, also removes bridges and the nftables table. NULL is fine. */
void nets_free(struct nets *nets);
/*
 * The node takes part in a swarm: opens the datapath, or takes over what a former agent left in
 * the kernel. data_addr is the node's data-path address, vxlan_port 0 the usual one. Again when
 * one of them changes.
 */
int nets_swarm_begin(struct nets *nets, const char *data_addr, uint16_t vxlan_port,
		     struct err *err);
/* The managers' keys for encrypted networks; primary: the index of the one to send with. See net/ipsec.h. */
int nets_swarm_keys(struct nets *nets, const struct ipsec_key *keys, size_t n, size_t primary,
		    struct err *err);
/* The node is in no swarm: its networks and the datapath go, also what a former agent left. */
void nets_swarm_end(struct nets *nets);
/* The datapath, borrowed, for what shows its state; NULL outside of a swarm. */
struct dp *nets_dp(struct nets *nets);
/*
 * Compare the datapath, which has to be there, with what this module wants; with mend set right what
 * differs. The reply of dp_verify_end(), owned by the caller.
 */
json_t *nets_verify(struct nets *nets, bool mend);
/*
 * The managers are heard from (again): what a former agent left in the datapath, and neither the
 * worker nor gossip names within the next minute, is removed then. Not before: without managers
 * there may be no gossip, and what is there still works.
 */
void nets_heard(struct nets *nets);

/* The names of the drivers that there are, sorted; an array, owned by the caller. */
json_t *nets_drivers(void);

/* By name, ID or unique prefix. -ENOENT "network x not found". Borrowed. */
struct network *nets_find(struct nets *nets, const char *ref, struct err *err);
/* Start with NULL; NULL at the end. */
struct network *nets_next(struct nets *nets, struct network *n);
/* The body of POST /networks/create, borrowed. */
int net_create(struct nets *nets, json_t *body, struct network **ret, struct err *err);
int net_remove(struct network *n, struct err *err);
json_t *net_inspect(struct network *n);
const char *net_id(const struct network *n);
const char *net_name(const struct network *n);
const char *net_driver(const struct network *n);
bool net_is_swarm(const struct network *n);
bool net_predefined(const struct network *n);
bool net_config_only(const struct network *n);
size_t net_endpoints(const struct network *n);

/* A network of the swarm that a task needs on this node. */
struct net_swarm_config {
	const char *id, *name;
	const char *subnet, *gateway; /* CIDR; address, with or without prefix */
	uint32_t vni;
	unsigned int mtu; /* of the containers; 0: 1450 */
	bool internal, attachable, ingress;
	bool encrypted; /* between the nodes */
	const char *node_addr; /* this node's load-balancer address in it (CIDR); NULL: not known */
};
/*
 * Make it, or change what the node knows of it. Idempotent. -EPROTONOSUPPORT: it is encrypted, and
 * the kernel cannot do that.
 */
int net_swarm_set(struct nets *nets, const struct net_swarm_config *c, struct network **ret,
		  struct err *err);

/* A network of the swarm by another driver than overlay: each node has its own under the same name. */
struct net_local_config {
	const char *id, *name, *driver;
	const char *config_from; /* the node's configuration network for it, or NULL */
	json_t *options, *labels; /* objects, borrowed */
	bool internal, attachable;
};
/* Make it, if it is not there. */
int net_swarm_local_set(struct nets *nets, const struct net_local_config *c, struct network **ret,
			struct err *err);
/*
 * A create request keeps to what --config-only and --config-from allow, and the configuration network
 * that it names is on this node.
 */
int nets_config_check(struct nets *nets, json_t *body, struct err *err);

struct sandbox_options {
	const char *id, *name; /* of the container */
	const char *hostname, *domainname;
	const char *dir; /* hosts, resolv.conf and hostname are written here */
	json_t *dns, *dns_search, *dns_options, *extra_hosts; /* arrays or NULL; kept */
	bool host; /* no namespace of its own: the node's */
	const char *join; /* a namespace to share: path of another sandbox's, or NULL */
};

struct endpoint_options {
	const char *ip4, *ip6, *mac; /* NULL: chosen */
	json_t *aliases; /* array or NULL; kept */
	json_t *links; /* "name:alias", names that this container alone has for others; or NULL; kept */
	json_t *swarm; /* {"service_id","service_name","task_id","task_name","vip","aliases","ports"} or NULL */
};

struct sandbox *sandbox_new(struct nets *nets, const struct sandbox_options *opt);
/* Choose the addresses of an endpoint in the network. -EBUSY "Address already in use". */
int sandbox_join(struct sandbox *sb, struct network *n, const struct endpoint_options *opt,
		 struct err *err);
/*
 * Reserve the published ports: HostConfig.PortBindings and, with publish_all, every exposed one.
 * -EADDRINUSE with dockerd's sentence when one is taken.
 */
int sandbox_publish(struct sandbox *sb, json_t *bindings, json_t *exposed, bool publish_all,
		    struct err *err);
/* Make it in the kernel. On error all is undone; sandbox_free() is still to be called. */
void sandbox_up(struct sandbox *sb, void (*done)(const struct err *err, void *arg), void *arg);
/* The namespace for the OCI specification: a path, or NULL for the node's own. */
const char *sandbox_netns(const struct sandbox *sb);
/* Take it out of the kernel, give addresses and ports back. done may be NULL. */
void sandbox_down(struct sandbox *sb, void (*done)(void *arg), void *arg);
/* It must be down, or never have been up. NULL is fine. */
void sandbox_free(struct sandbox *sb);
/* Live changes; the sandbox is up. */
void sandbox_connect(struct sandbox *sb, struct network *n, const struct endpoint_options *opt,
		     void (*done)(const struct err *err, void *arg), void *arg);
void sandbox_disconnect(struct sandbox *sb, struct network *n,
			void (*done)(const struct err *err, void *arg), void *arg);
/*
 * In hosts of a sandbox that is up: the line that ends with these names (one space between two) gets
 * another address; ip NULL: it goes. Without such a line nothing happens.
 */
void sandbox_hosts_change(struct sandbox *sb, const char *names, const char *ip);
/* Be a backend of the services that its endpoints name, or drain. */
void sandbox_service(struct sandbox *sb, bool enable);
/* NetworkSettings of the container: Networks, Ports, IPAddress, … */
json_t *sandbox_settings(const struct sandbox *sb);
/* What sandbox_restore needs to take an existing namespace up again, after the agent's restart. */
json_t *sandbox_save(const struct sandbox *sb);
int sandbox_restore(struct nets *nets, const struct sandbox_options *opt, json_t *saved,
		    struct sandbox **ret, struct err *err);
