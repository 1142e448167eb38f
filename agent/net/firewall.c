// SPDX-License-Identifier: Apache-2.0
#include "net/firewall.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>

#include "core/buf.h"
#include "swarm/esp.h"

struct bridge {
	char name[16], subnet[INET6_ADDRSTRLEN + 4];
	bool six, internal, masquerade, icc;
};

struct firewall {
	struct nft_ctx *nft;
	bool live; /* firewall_sync() has been called */
	bool six; /* the kernel has the table of IPv6 */
	struct bridge *bridges;
	size_t n_bridges;
	struct fw_port *ports;
	size_t n_ports;
	bool esp_only;
};

/*
 * The table of one family: "%f" is ip or ip6, which is also the type of its addresses in ip_addr.
 * same: pairs of a bridge with itself whose containers may reach each other through the node;
 * subnets: what is sent to a neighbour by way of a published port, or to itself, must come back by
 * the node. (By the address, since a packet that is bridged, where the kernel shows such packets
 * to the firewall, has no link that it came in by.)
 */
static const char table[] =
	"add table %f swarm\n"
	"add set %f swarm bridges { type ifname; }\n"
	"add set %f swarm internal { type ifname; }\n"
	"add set %f swarm masq { type ifname; }\n"
	"add set %f swarm same { type ifname . ifname; }\n"
	"add set %f swarm subnets { type ifname . %t; flags interval; }\n"
	"add map %f swarm ports { type inet_proto . inet_service : %t . inet_service; }\n"
	"add map %f swarm addr_ports { type %t . inet_proto . inet_service : %t . inet_service; }\n"
	"add chain %f swarm raw { type filter hook prerouting priority raw; }\n"
	"add chain %f swarm publish\n"
	"add chain %f swarm prerouting { type nat hook prerouting priority dstnat; }\n"
	"add chain %f swarm output { type nat hook output priority -100; }\n"
	"add chain %f swarm forward { type filter hook forward priority filter; }\n"
	"add chain %f swarm postrouting { type nat hook postrouting priority srcnat; }\n"
	"flush chain %f swarm raw\n"
	"flush chain %f swarm publish\n"
	"flush chain %f swarm prerouting\n"
	"flush chain %f swarm output\n"
	"flush chain %f swarm forward\n"
	"flush chain %f swarm postrouting\n"
	"add rule %f swarm publish dnat %f to %f daddr . meta l4proto . th dport map @addr_ports\n"
	"add rule %f swarm publish dnat %f to meta l4proto . th dport map @ports\n"
	"add rule %f swarm prerouting fib daddr type local jump publish\n"
	"add rule %f swarm forward iifname . oifname @same accept\n"
	"add rule %f swarm forward ct state established,related accept\n"
	"add rule %f swarm forward iifname @internal drop\n"
	"add rule %f swarm forward oifname @internal drop\n"
	"add rule %f swarm forward ct status dnat accept\n"
	"add rule %f swarm forward oifname @bridges drop\n"
	"add rule %f swarm postrouting oifname . %f saddr @subnets ct status dnat masquerade\n"
	"add rule %f swarm postrouting iifname @masq oifname != @bridges masquerade\n"
	"flush set %f swarm bridges\n"
	"flush set %f swarm internal\n"
	"flush set %f swarm masq\n"
	"flush set %f swarm same\n"
	"flush set %f swarm subnets\n"
	"flush map %f swarm ports\n"
	"flush map %f swarm addr_ports\n";

/* The node's loopback. IPv6's is sent on by nobody (net/port_proxy.h). */
static const char loopback[] =
	"add rule ip swarm output fib daddr type local jump publish\n"
	/* route_localnet is on for the bridges: their containers may not reach 127.0.0.0/8 by it */
	"add rule ip swarm raw iifname @bridges ip daddr 127.0.0.0/8 drop\n"
	"add rule ip swarm postrouting ip saddr 127.0.0.0/8 oifname @bridges ct status dnat "
	"masquerade\n",
		  loopback6[] = "add rule ip6 swarm output ip6 daddr != ::1 fib daddr type local "
				"jump publish\n";

/* Added first, for the deletion not to fail. */
static const char no_table[] = "add table ip swarm\ndelete table ip swarm\n",
		  no_table6[] = "add table ip6 swarm\ndelete table ip6 swarm\n";

static const char *family(bool six)
{
	return six ? "ip6" : "ip";
}

static void say_table(struct buf *b, bool six)
{
	for (const char *p = table; *p; p++) {
		if (*p != '%') {
			buf_char(b, *p);
			continue;
		}
		p++;
		buf_str(b, *p == 'f' ? family(six) : six ? "ipv6_addr" : "ipv4_addr");
	}
	buf_str(b, six ? loopback6 : loopback);
}

int firewall_open(struct firewall **ret, struct err *err)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	struct firewall *fw;

	if (!nft)
		return err_set(err, -EPERM,
			       "cannot open nftables: the kernel needs nf_tables, and the agent "
			       "CAP_NET_ADMIN");
	nft_ctx_buffer_error(nft);
	nft_ctx_buffer_output(nft);
	fw = xcalloc(1, sizeof(*fw));
	fw->nft = nft;
	*ret = fw;
	return 0;
}

void firewall_close(struct firewall *fw)
{
	if (!fw)
		return;
	nft_ctx_free(fw->nft);
	free(fw->bridges);
	free(fw->ports);
	free(fw);
}

void firewall_destroy(struct firewall *fw)
{
	if (!fw)
		return;
	nft_run_cmd_from_buffer(fw->nft, no_table);
	nft_run_cmd_from_buffer(fw->nft, no_table6);
	firewall_close(fw);
}

static int run(struct firewall *fw, const char *commands, struct err *err)
{
	const char *text;

	if (!nft_run_cmd_from_buffer(fw->nft, commands)) {
		nft_ctx_get_error_buffer(fw->nft);
		return 0;
	}
	text = nft_ctx_get_error_buffer(fw->nft);
	return err_set(err, -EIO, "nftables refused the table swarm: %.*s",
		       (int)strcspn(text ? text : "", "\n"), text ? text : "");
}

static void say_bridge(struct buf *b, const char *verb, const struct bridge *br)
{
	const char *f = family(br->six);

	buf_printf(b, "%s element %s swarm bridges { \"%s\" }\n", verb, f, br->name);
	buf_printf(b, "%s element %s swarm subnets { \"%s\" . %s }\n", verb, f, br->name,
		   br->subnet);
	if (br->internal)
		buf_printf(b, "%s element %s swarm internal { \"%s\" }\n", verb, f, br->name);
	if (br->masquerade)
		buf_printf(b, "%s element %s swarm masq { \"%s\" }\n", verb, f, br->name);
	if (br->icc)
		buf_printf(b, "%s element %s swarm same { \"%s\" . \"%s\" }\n", verb, f, br->name,
			   br->name);
}

static void say_port(struct buf *b, const char *verb, const struct fw_port *p)
{
	const char *proto = p->proto == IPPROTO_UDP    ? "udp"
			    : p->proto == IPPROTO_SCTP ? "sctp"
						       : "tcp";
	char host[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
	bool any = inaddr_is_any(&p->host_addr), add = *verb == 'a';

	inaddr_format(&p->host_addr, host);
	inaddr_format(&p->addr, to);
	buf_printf(b, "%s element %s swarm %s { %s%s%s . %u", verb, family(!inaddr_is4(&p->addr)),
		   any ? "ports" : "addr_ports", any ? "" : host, any ? "" : " . ", proto,
		   p->host_port);
	if (add)
		buf_printf(b, " : %s . %u", to, p->port);
	buf_str(b, " }\n");
}

/* Within the output hook the route is known with its IPsec, if it has any. */
static void say_esp_only(struct buf *b, bool on)
{
	buf_str(b, "add chain ip swarm encrypted { type filter hook output priority mangle; }\n"
		   "flush chain ip swarm encrypted\n");
	if (on)
		buf_printf(b,
			   "add rule ip swarm encrypted meta mark %#x meta l4proto udp "
			   "rt ipsec missing drop\n",
			   SW_ESP_MARK);
	else
		buf_str(b, "delete chain ip swarm encrypted\n");
}

static bool wants_six(const struct firewall *fw)
{
	for (size_t i = 0; i < fw->n_bridges; i++)
		if (fw->bridges[i].six)
			return true;
	return false;
}

int firewall_sync(struct firewall *fw, struct err *err)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	fw->live = true;
	fw->six = wants_six(fw);
	say_table(&b, false);
	if (fw->six)
		say_table(&b, true);
	else
		run(fw, no_table6, NULL); /* which a kernel without IPv6 refuses */
	for (size_t i = 0; i < fw->n_bridges; i++)
		say_bridge(&b, "add", &fw->bridges[i]);
	for (size_t i = 0; i < fw->n_ports; i++)
		if (fw->six || inaddr_is4(&fw->ports[i].addr))
			say_port(&b, "add", &fw->ports[i]);
	if (fw->esp_only)
		say_esp_only(&b, true);
	return run(fw, b.data, err);
}

/* A change alone; if the table is not as it was left, all of it. */
static int apply(struct firewall *fw, const struct buf *b, struct err *err)
{
	if (!fw->live || !b->len)
		return 0;
	return fw->six != wants_six(fw) || run(fw, b->data, NULL) ? firewall_sync(fw, err) : 0;
}

int firewall_esp_only(struct firewall *fw, bool on, struct err *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	if (fw->esp_only == on)
		return 0;
	fw->esp_only = on;
	say_esp_only(&text, on);
	return apply(fw, &text, err);
}

static struct bridge *find_bridge(struct firewall *fw, const char *name, bool six)
{
	for (size_t i = 0; i < fw->n_bridges; i++)
		if (streq(fw->bridges[i].name, name) && fw->bridges[i].six == six)
			return &fw->bridges[i];
	return NULL;
}

int firewall_bridge_set(struct firewall *fw, const struct fw_bridge *b, struct err *err)
{
	struct bridge new = {.six = !inaddr_is4(&b->subnet),
			     .internal = b->internal,
			     .masquerade = b->masquerade,
			     .icc = b->icc},
		      *old;
	_cleanup_buf_ struct buf text = BUF_INIT;
	char net[INET6_ADDRSTRLEN];

	snprintf(new.name, sizeof(new.name), "%s", b->name);
	snprintf(new.subnet, sizeof(new.subnet), "%s/%u", inaddr_format(&b->subnet, net),
		 b->prefix);
	old = find_bridge(fw, b->name, new.six);
	if (old) {
		say_bridge(&text, "delete", old);
		*old = new;
	} else {
		fw->bridges = xrealloc(fw->bridges, (fw->n_bridges + 1) * sizeof(new));
		fw->bridges[fw->n_bridges++] = new;
	}
	say_bridge(&text, "add", &new);
	return apply(fw, &text, err);
}

void firewall_bridge_del(struct firewall *fw, const char *name)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	for (int six = 0; six < 2; six++) {
		struct bridge *b = find_bridge(fw, name, six);

		if (!b)
			continue;
		say_bridge(&text, "delete", b);
		*b = fw->bridges[--fw->n_bridges];
	}
	apply(fw, &text, NULL);
}

static struct fw_port *find_port(struct firewall *fw, const struct fw_port *p)
{
	for (size_t i = 0; i < fw->n_ports; i++) {
		struct fw_port *q = &fw->ports[i];

		if (q->proto == p->proto && q->host_port == p->host_port &&
		    inaddr_equal(&q->host_addr, &p->host_addr))
			return q;
	}
	return NULL;
}

int firewall_ports_add(struct firewall *fw, const struct fw_port *ports, size_t n, struct err *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int rc;

	for (size_t i = 0; i < n; i++) {
		struct fw_port *old = find_port(fw, &ports[i]);

		if (old) {
			say_port(&text, "delete", old);
			*old = ports[i];
		} else {
			fw->ports = xrealloc(fw->ports, (fw->n_ports + 1) * sizeof(*fw->ports));
			fw->ports[fw->n_ports++] = ports[i];
		}
		say_port(&text, "add", &ports[i]);
	}
	rc = apply(fw, &text, err);
	if (rc)
		firewall_ports_del(fw, ports, n);
	return rc;
}

void firewall_ports_del(struct firewall *fw, const struct fw_port *ports, size_t n)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	for (size_t i = 0; i < n; i++) {
		struct fw_port *old = find_port(fw, &ports[i]);

		if (!old)
			continue;
		say_port(&text, "delete", old);
		*old = fw->ports[--fw->n_ports];
	}
	apply(fw, &text, NULL);
}
