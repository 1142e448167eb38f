/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done in the kernel for a container's network namespace, without forks: a job describes
 * it whole and runs on a worker thread, which enters the namespace and comes back.
 */
#pragma once

#include <net/if.h>

#include "core/err.h"
#include "net/dns_sockets.h"
#include "net/inaddr.h"

struct netns_link {
	char host_if[IF_NAMESIZE], if_name[IF_NAMESIZE];
	/*
	 * NULL: a veth pair; "macvlan", "ipvlan": a link on the node's link parent, with no end
	 * there: host_if is a name that is free on the node, which it has for a moment.
	 */
	const char *kind;
	int parent;
	uint32_t mode;
	uint16_t flag;
	int bridge; /* index of the host end's bridge; 0: none */
	bool isolated; /* from the bridge's other ports */
	uint8_t mac[6]; /* 0: its parent's */
	uint32_t ip; /* host byte order */
	unsigned int prefix, mtu; /* mtu 0: its parent's */
	struct in6_addr ip6; /* :: none */
	unsigned int prefix6;
	/* Ingress: replies of published ports leave by this link (datapath/dp.h). */
	bool ingress;
	uint32_t gateway;
	uint16_t udp_ports[64];
	size_t n_udp_ports;
	int host_index; /* result */
};

struct netns_drop {
	char name[IF_NAMESIZE];
	bool inside; /* it is in the namespace only */
};

struct netns_file {
	char *path, *text;
};

struct netns_job {
	char *path; /* of the namespace; NULL: files only */
	int home; /* the node's namespace */
	bool create, remove;
	struct netns_link *links; /* to make */
	size_t n_links;
	struct netns_drop *drop; /* links to remove */
	size_t n_drop;
	/* the default routes are via the gateways or, for IPv4, by way_out; what is 0, :: or "" is not there */
	bool set_default;
	uint32_t gateway;
	struct in6_addr gateway6;
	char way_out[IF_NAMESIZE];
	struct netns_file *files; /* to write, in place */
	size_t n_files;
	bool dns; /* make the sockets of the DNS server */
	struct dns_sockets dns_sockets; /* result; who takes it leaves DNS_SOCKETS_INIT */
	struct err err; /* result; what was made is undone then */
	int rc;
};

/* Blocks for some milliseconds; on any thread. */
void netns_run(struct netns_job *job);
/* path NULL: no namespace. */
struct netns_job *netns_job_new(const char *path, int home);
void netns_job_free(struct netns_job *job);
/* The sockets of the names' server in an existing namespace. */
int netns_dns_sockets(int netns_fd, int home, struct dns_sockets *ret, struct err *err);
