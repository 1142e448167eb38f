/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nftables tables "ip swarm" and, while a bridge has IPv6, "ip6 swarm": masquerade, isolation between bridges, published ports, and that
 * encrypted networks stay so. Nobody else's table is looked at or touched.
 *
 * The caller states bridges and ports; the state is kept here and in the kernel. Until
 * firewall_sync() has been called once, nothing goes to the kernel, so that the rules of a former
 * agent stay in force until all is known again; the change is one transaction. If someone flushes
 * the table, the next change makes it whole again. A change takes about 1 ms. Loop's thread.
 * Source: libnftables(3), nft(8); moby libnetwork/drivers/bridge (which traffic is let through).
 */
#pragma once

#include "core/err.h"
#include "net/inaddr.h"

struct firewall;

int firewall_open(struct firewall **ret, struct err *err);
/* The rules stay. NULL is fine. */
void firewall_close(struct firewall *fw);
/* Removes the table, too. */
void firewall_destroy(struct firewall *fw);
/* Make the kernel's table what has been stated, whatever it was. */
int firewall_sync(struct firewall *fw, struct err *err);

/*
 * What encrypted networks send (by its mark, swarm/esp.h) leaves only inside ESP, also when somebody has
 * flushed IPsec's policies.
 */
int firewall_esp_only(struct firewall *fw, bool on, struct err *err);

struct fw_bridge {
	const char *name;
	struct in6_addr subnet; /* of either family (net/inaddr.h), as all here */
	unsigned int prefix;
	bool internal; /* nothing in, nothing out */
	bool masquerade;
	bool icc; /* its containers reach each other by way of the node, too */
};
/* One of this name and family that is there already is replaced. */
int firewall_bridge_set(struct firewall *fw, const struct fw_bridge *b, struct err *err);
/* In both families. */
void firewall_bridge_del(struct firewall *fw, const char *name);

/*
 * Packets to host_addr:host_port (0.0.0.0 or ::, to any address of the node) go to addr:port. Both
 * addresses are of one family. Packets to ::1 stay on the node: the kernel does not send them on.
 */
struct fw_port {
	uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
	struct in6_addr host_addr, addr;
	uint16_t host_port, port; /* host byte order */
};
int firewall_ports_add(struct firewall *fw, const struct fw_port *ports, size_t n, struct err *err);
void firewall_ports_del(struct firewall *fw, const struct fw_port *ports, size_t n);
