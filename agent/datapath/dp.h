/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datapath: the packets of overlay and ingress networks, of service VIPs and of published
 * ports. The caller states what shall be: networks, endpoints, peers, services, links. All calls
 * are idempotent, synchronous and cheap (microseconds; a link some tens); *_set replaces what is
 * there, *_del of something absent is 0. Call on the loop's thread only, in the network namespace
 * of the node.
 *
 * Errors: 0 or a negative errno, with the sentence in err. Arguments are borrowed for the call.
 *
 * The datapath outlives the agent: dp_close() leaves everything working. After a restart:
 *
 *	dp_open(); dp_sync_begin(); …set all that shall be…; dp_sync_end();
 *
 * dp_sync_end() removes what was there from before and has not been set again. Flows live on in
 * any case, and nothing that is set again identically is touched.
 *
 * Order for an endpoint of this node: dp_network_set, (net makes the veth), dp_endpoint_set,
 * dp_link_set(DP_LINK_CONTAINER), dp_service_set. Downwards the reverse; a veth that vanishes
 * takes its filter with it, dp_link_del then only forgets it.
 *
 * What net does inside the container's namespace:
 *
 * - Overlay endpoint: address/prefix on ethN with the endpoint's MAC, MTU the network's; nothing
 *   else. ARP for endpoints, VIPs and the gateway is answered by the datapath. The VIP is not
 *   configured anywhere.
 * - Ingress endpoint: the same, and replies of published ports have to leave by the link they
 *   came in on, with the ingress address:
 *
 *	ip route add default via GATEWAY dev ethN src INGRESS_IP table 100
 *	ip rule add pref 100 from INGRESS_IP lookup 100
 *	ip rule add pref 101 lookup main suppress_prefixlength 0
 *	ip rule add pref 102 ipproto udp sport TARGET_PORT lookup 100   (per published UDP port)
 *
 *   Rule 102 is for UDP servers on a wildcard socket, which choose the source address by the
 *   route; 101 keeps their traffic to connected networks where it was. TCP needs only 100, which
 *   also satisfies a strict rp_filter.
 *
 * In the node's namespace: net.ipv4.ip_forward = 1. dp_link_set(DP_LINK_CLIENTS) for the uplinks
 * and for every bridge (docker0, docker_gwbridge, br-…): containers reach published ports through
 * those. The loopback is attached by dp_open() itself, which also sets accept_local and
 * route_localnet on lo (and on lo only) and puts them back in dp_destroy(): replies to the node's
 * own processes come in there.
 *
 * Who sees which client address: clients from outside, bridge containers and the node's own
 * addresses appear as they are. 127.0.0.0/8 appears as the network's node_addr (the gateway
 * where that is unset), and so does a container that reaches itself through a VIP or a
 * published port.
 */
#pragma once

#include <jansson.h>
#include <netinet/in.h>

#include "core/err.h"
#include "core/list.h"
#include "swarm/drop.h"

struct dp;

/* An address as keys and values have it: IPv6, or IPv4 mapped (::ffff:a.b.c.d). All zero: none. */
struct dp_addr {
	uint8_t b[16];
};

/* From the text of an IPv4 or IPv6 address; "/prefix" behind it is ignored. */
int dp_addr_parse(const char *s, struct dp_addr *ret);
/* IPv4 addresses print as such. */
void dp_addr_format(const struct dp_addr *a, char dst[INET6_ADDRSTRLEN]);
bool dp_addr_is_set(const struct dp_addr *a);

struct dp_options {
	/* "bpf", "kmod", "auto" (see dp_open()), or "fake" (in memory, for tests and simulation) */
	const char *kind;
	const char *exec_root; /* of bpf: <exec_root>/bpf becomes our own bpffs */
	struct dp_addr
		vtep; /* this node's data-path address; may be unset until a swarm is joined */
	uint16_t vxlan_port; /* 0: 4789 */
	bool return_direct; /* replies of remote published flows go straight to the client */
	uint32_t flows_max; /* entries of the flow table, two a flow; 0: 131072 */
	uint32_t services_max; /* 0: 512 */
};

/*
 * Begin, or take over what a former agent left. "auto" is the back end that a former agent left
 * working, else BPF, and the kernel module where BPF cannot be loaded. What a former agent had with
 * another back end is taken away.
 *
 * BPF: takes about 30 ms when programs are loaded, 2 ms when they are there. A former layout of the
 * maps that this agent cannot use is replaced (flows are lost then). Module: -ENOENT when it is not
 * there and the kernel cannot load it.
 */
int dp_open(const struct dp_options *opt, struct dp **ret, struct err *err);
/* The swarm's data-path address and port, when they become known or change. */
int dp_vtep_set(struct dp *dp, const struct dp_addr *vtep, uint16_t vxlan_port, struct err *err);
/* Free the handle; packets go on. NULL is fine. */
void dp_close(struct dp *dp);
/* Take everything out of the kernel, unmount the bpffs, free the handle. NULL is fine. */
void dp_destroy(struct dp *dp);
/*
 * The same without a handle, for an agent that finds leftovers and no swarm: detaches and unmounts
 * what a former agent left under exec_root. 0 also when there is nothing.
 */
int dp_clean(const char *exec_root, struct err *err);

enum dp_network_flags {
	DP_NETWORK_INTERNAL = 1 << 0,
	DP_NETWORK_INGRESS = 1 << 1,
	/*
	 * Between nodes its packets go to the stack's IPsec, and only what that has decrypted is
	 * taken. Keys and policies are the caller's, beforehand (net/ipsec.h).
	 */
	DP_NETWORK_ENCRYPTED = 1 << 2,
};

struct dp_network {
	uint32_t vni;
	uint32_t mtu; /* the containers' (inner) MTU; 0: 1450 */
	uint32_t flags;
	struct dp_addr gateway;
	uint8_t gateway_mac[6]; /* all zero: 02:42: and the gateway's IPv4 bytes */
	struct dp_addr
		node_addr; /* this node's load-balancer address in the network; may be unset */
};

int dp_network_set(struct dp *dp, const struct dp_network *n, struct err *err);
/* Endpoints and services of the network go with it. */
int dp_network_del(struct dp *dp, uint32_t vni, struct err *err);

struct dp_endpoint {
	uint32_t vni;
	struct dp_addr addr;
	uint8_t mac[6]; /* all zero: 02:42: and the IPv4 bytes */
	uint32_t ifindex; /* host end of the veth; 0: on another node */
	struct dp_addr node; /* remote: the other node's VTEP */
	struct dp_addr
		host_addr; /* the same container's address on docker_gwbridge; may be unset */
};

int dp_endpoint_set(struct dp *dp, const struct dp_endpoint *e, struct err *err);
int dp_endpoint_del(struct dp *dp, uint32_t vni, const struct dp_addr *addr, struct err *err);

/* VXLAN is accepted from peers only. */
int dp_peer_set(struct dp *dp, const struct dp_addr *vtep, struct err *err);
int dp_peer_del(struct dp *dp, const struct dp_addr *vtep, struct err *err);

struct dp_backend {
	struct dp_addr addr; /* of an endpoint in the service's network, local or remote */
	uint16_t weight; /* share of new flows; 0 counts as 1 */
	bool draining; /* existing flows only */
};

enum dp_service_kind {
	DP_VIP, /* {vni, vip}, all ports, seen from containers of that network */
	DP_PUBLISHED, /* {proto, published}, on every address of the node */
};

#define DP_BACKENDS_MAX 1024

struct dp_service {
	enum dp_service_kind kind;
	uint32_t vni; /* the backends' network (PUBLISHED: ingress) */
	struct dp_addr vip; /* VIP */
	uint8_t proto; /* PUBLISHED: IPPROTO_TCP or IPPROTO_UDP */
	uint16_t published, target; /* PUBLISHED, host byte order */
	const struct dp_backend *backends;
	size_t n_backends; /* at most DP_BACKENDS_MAX, else -E2BIG */
};

/*
 * Identity is kind + {vni, vip} or {proto, published}. Established flows keep their backend, as
 * long as its endpoint exists. The same set of backends in any order gives the same balancing on
 * every node.
 */
int dp_service_set(struct dp *dp, const struct dp_service *s, struct err *err);
/* Only the identity of s is looked at. */
int dp_service_del(struct dp *dp, const struct dp_service *s, struct err *err);

enum dp_link_role {
	DP_LINK_CONTAINER = 1, /* host end of a container's overlay or ingress veth */
	DP_LINK_CLIENTS, /* uplink or bridge: clients of published ports, peers' VXLAN */
	DP_LINK_LOOPBACK, /* attached by dp_open() */
};

struct dp_link {
	uint32_t ifindex;
	enum dp_link_role role;
	uint32_t vni; /* CONTAINER: its network */
	struct dp_addr addr; /* CONTAINER: its address; other source addresses are dropped */
};

int dp_link_set(struct dp *dp, const struct dp_link *l, struct err *err);
int dp_link_del(struct dp *dp, uint32_t ifindex, struct err *err);

/* False when there is nothing from before: dp_sync_end() has nothing to do then. */
bool dp_sync_begin(struct dp *dp);
int dp_sync_end(struct dp *dp, struct err *err);

/*
 * What is set, read back from where the packets' way reads it: {"datapath": "bpf", "networks": [],
 * "endpoints": [], "peers": [], "services": [], "links": []}. Owned by the caller.
 */
json_t *dp_dump(struct dp *dp);
/*
 * The backends of all services as their balancing tables have them: the members of the service and
 * "addr", "weight", "draining", "slots" (how many of the table's name it) and "of" (all of them).
 */
json_t *dp_dump_backends(struct dp *dp);
/* Up to max flows: [{"vni","proto","src","sport","dst","dport","to":{…},"kind"}]. */
json_t *dp_dump_flows(struct dp *dp, size_t max);

struct dp_stats {
	uint64_t packets[SW_REASON_COUNT]; /* since the datapath was loaded */
	uint64_t bytes[SW_REASON_COUNT];
};

int dp_stats(struct dp *dp, struct dp_stats *ret);
/* The sentence of a reason. */
const char *dp_reason(enum sw_reason reason);
/* Its short name, "DROP_NO_ENDPOINT". */
const char *dp_reason_name(enum sw_reason reason);

/*
 * Compare the kernel with what shall be: between begin and end everything is said again by
 * dp_*_set(), which then compares instead of setting, and fails only for wrong arguments; nothing
 * may be deleted meanwhile. With mend, what is missing or different is set right, and what nobody
 * wants is taken away, but for what dp_sync_end() will judge.
 *
 * The reply, owned by the caller: {"checked": items, "syncing": true when that is yet to come,
 * "differences": [{"object", "text", "mended", "error"}]}; text is a sentence, error is there when it
 * could not be mended.
 */
void dp_verify_begin(struct dp *dp, bool mend);
json_t *dp_verify_end(struct dp *dp);

/*
 * What happens, as it happens: items that are set ("item", "was") or deleted, drops, new flows, and
 * how many of these were lost because they were not read in time. Each event is an object with
 * "event" (set, del, repair, drop, flow, lost) and "text", a sentence.
 */
struct dp_listener {
	struct list_head node;
	/* event is borrowed; NULL: the datapath goes, and the listener is off the list already */
	void (*fn)(json_t *event, void *arg);
	void *arg;
};

/* While someone listens, packets cost a little more. */
int dp_listen(struct dp *dp, struct dp_listener *l, struct err *err);
/* Not from within fn. Harmless for one that does not listen, once its node is list_init(). */
void dp_unlisten(struct dp *dp, struct dp_listener *l);
/* To be watched for reading while someone listens; -1 when there is nothing to watch. */
int dp_events_fd(struct dp *dp);
/* Hand what waits to all listeners. Never blocks. */
void dp_events_read(struct dp *dp);
