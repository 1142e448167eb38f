/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of sandboxes share. */
#pragma once

#include "net/net_impl.h"
#include "net/netns.h"

/* endpoint.c: one with its addresses chosen, in both lists, not up. */
int endpoint_new(struct sandbox *sb, struct network *n, const struct endpoint_options *opt,
		 struct endpoint **ret, struct err *err);
/* Out of the lists; the addresses are given back. */
void endpoint_free(struct endpoint *e);
/* Names come and go. */
void endpoint_names(struct endpoint *e, bool add);
/* Everything above the kernel's links: names, records, datapath. */
int endpoint_announce(struct endpoint *e, struct err *err);
void endpoint_withdraw(struct endpoint *e);

/* sandbox_gateway.c: the endpoint that the default route and the published ports go by, or NULL. */
struct endpoint *sandbox_gateway(const struct sandbox *sb);
/* That of IPv6. */
struct endpoint *sandbox_gateway6(const struct sandbox *sb);
/* Either, once these two (NULL: none) are gone. */
struct endpoint *sandbox_gateway_without(const struct sandbox *sb, bool six,
					 const struct endpoint *a, const struct endpoint *b);
/* The default route of a container in networks of the swarm alone is by docker_gwbridge. */
bool sandbox_needs_gwbridge(const struct sandbox *sb, const struct endpoint *without);
/* Its endpoint there, or NULL. */
struct endpoint *sandbox_gwbridge(const struct sandbox *sb);
int sandbox_gwbridge_join(struct sandbox *sb, struct endpoint **ret, struct err *err);

/* sandbox.c */
/* Published ports go to the gateway endpoint's address; call when either has changed. */
int sandbox_ports_apply(struct sandbox *sb, struct err *err);
void sandbox_ports_withdraw(struct sandbox *sb);
/* The names' server on these sockets, which it takes. */
void sandbox_dns_start(struct sandbox *sb, struct dns_sockets *sockets);
/* Is 127.0.0.11 the container's name server? */
bool sandbox_has_dns(const struct sandbox *sb);

/* sandbox_files.c: hosts, resolv.conf and hostname into the job; live: only what a change of networks changes. */
void sandbox_files(struct sandbox *sb, struct netns_job *job, bool live);
/* hosts with the line of these names changed, or without it (ip NULL), into the job. */
void sandbox_hosts_line(const struct sandbox *sb, struct netns_job *job, const char *names,
			const char *ip);
/*
 * The node's resolvers: "nameserver" addresses of resolv.conf, also those of loopback, also those of
 * IPv6. Owned array of strings.
 */
json_t *node_resolvers(bool loopback_too, bool six_too);

/* sandbox_ports.c */
void sandbox_ports_release(struct sandbox *sb);
json_t *sandbox_ports_json(const struct sandbox *sb);
json_t *sandbox_ports_save(const struct sandbox *sb);
void sandbox_ports_restore(struct sandbox *sb, json_t *saved);
