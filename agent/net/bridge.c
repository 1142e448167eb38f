// SPDX-License-Identifier: Apache-2.0
/* The driver bridge: a Linux bridge with an address, and its part of the firewall. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#include "net/net_impl.h"
#include "net/netns.h"

#define OPT_MTU "com.docker.network.driver.mtu"

void sysctl_set(const char *value, const char *fmt, ...)
{
	char path[128] = "/proc/sys/net/";
	size_t n = strlen(path);
	va_list ap;
	int fd;

	va_start(ap, fmt);
	vsnprintf(path + n, sizeof(path) - n, fmt, ap);
	va_end(ap);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, value, strlen(value));
	close(fd);
}

struct stale {
	uint32_t keep;
	unsigned int prefix;
	struct in_addr addrs[16];
	unsigned int prefixes[16];
	size_t n;
};

static void find_stale(struct in_addr addr, unsigned int prefix, void *arg)
{
	struct stale *s = arg;

	if ((ntohl(addr.s_addr) == s->keep && prefix == s->prefix) || s->n == ARRAY_SIZE(s->addrs))
		return;
	s->prefixes[s->n] = prefix;
	s->addrs[s->n++] = addr;
}

static int bridge_make(struct rt *rt, const char *name, uint32_t addr, unsigned int prefix,
		       bool six, unsigned int mtu, int *ret_index, struct err *err)
{
	struct in_addr a = {htonl(addr)};
	uint8_t mac[6] = {0x02, 0x42};
	struct stale stale = {.keep = addr, .prefix = prefix};
	struct rt_link link;
	int rc;

	/* a fixed address, or the bridge takes that of its lowest port and changes it with them */
	memcpy(mac + 2, &a, 4);
	rc = rt_link_get(rt, name, &link);
	if (rc == -ENODEV) {
		rc = rt_bridge_add(rt, name, mac, mtu);
		if (!rc)
			rc = rt_link_get(rt, name, &link);
	} else if (!rc && strcmp(link.kind, "bridge")) {
		return err_set(err, -EEXIST,
			       "the link %s exists and is no bridge: remove or rename it", name);
	}
	if (rc)
		return err_errno(err, rc, "cannot make the bridge %s", name);
	sysctl_set(six ? "0" : "1", "ipv6/conf/%s/disable_ipv6", name);
	sysctl_set("0", "ipv6/conf/%s/accept_ra", name);
	sysctl_set("0", "ipv6/conf/%s/accept_dad",
		   name); /* the gateway's address is nobody else's */
	sysctl_set("1", "ipv4/conf/%s/route_localnet", name);
	rt_addrs(rt, link.index, find_stale, &stale);
	for (size_t i = 0; i < stale.n; i++)
		rt_addr_del(rt, link.index, stale.addrs[i], stale.prefixes[i]);
	rc = rt_addr_add(rt, link.index, a, prefix);
	if (!rc)
		rc = rt_link_up(rt, link.index);
	if (rc)
		return err_errno(err, rc, "cannot set up the bridge %s", name);
	*ret_index = link.index;
	return 0;
}

static int parse(struct network *n, struct err *err)
{
	const char *name = network_option(n, OPT_BRIDGE "name"),
		   *host = network_option(n, OPT_BRIDGE "host_binding_ipv4"),
		   *mtu = network_option(n, OPT_MTU);
	uint64_t v;
	int rc;

	n->icc = n->masquerade = true;
	n->mtu = n->nets->opt.mtu ? n->nets->opt.mtu : 1500;
	rc = network_bool_option(n->options, OPT_BRIDGE "enable_icc", &n->icc, err);
	if (!rc)
		rc = network_bool_option(n->options, OPT_BRIDGE "enable_ip_masquerade",
					 &n->masquerade, err);
	if (rc)
		return rc;
	if (strlen(name) >= IF_NAMESIZE || strpbrk(name, "/ \"{}"))
		return err_set(err, -EINVAL, "invalid name for a bridge: \"%s\"", name);
	if (*name)
		snprintf(n->bridge, sizeof(n->bridge), "%s", name);
	else
		snprintf(n->bridge, sizeof(n->bridge), "br-%.12s", n->id);
	if (*host && inet_pton(AF_INET, host, &n->host_addr) != 1)
		return err_set(err, -EINVAL,
			       "invalid address in the option " OPT_BRIDGE "host_binding_ipv4: %s",
			       host);
	if (!*mtu)
		mtu = network_option(n, "mtu");
	if (*mtu && parse_u64(mtu, 68, 65535, &v))
		return err_set(err, -EINVAL, "failed to parse the option " OPT_MTU ": %s", mtu);
	if (*mtu)
		n->mtu = v;
	return 0;
}

static int check(const struct network *n, struct err *err)
{
	struct network *other;

	list_for_each (other, &n->nets->networks, node)
		if (streq(other->bridge, n->bridge))
			return err_set(err, -EACCES,
				       "cannot create network %s (%s): conflicts with network %s "
				       "(%s): networks have same bridge name",
				       n->id, n->bridge, other->id, other->bridge);
	return 0;
}

static int up(struct network *n, struct err *err)
{
	const struct ip_range *r = ipam_subnet_range(n->subnet);
	struct fw_bridge b = {
		.name = n->bridge,
		.subnet = inaddr_of_u32(r->base),
		.prefix = r->prefix,
		.internal = n->internal,
		.masquerade = n->masquerade && n->nets->opt.ip_masq && !n->internal,
		.icc = n->icc,
	};
	int rc = bridge_make(n->nets->rt, n->bridge, n->gateway, r->prefix, n->subnet6, n->mtu,
			     &n->bridge_index, err);

	if (!rc)
		rc = firewall_bridge_set(n->nets->fw, &b, err);
	return !rc && n->subnet6 ? bridge6_up(n, err) : rc;
}

static void down(struct network *n)
{
	firewall_bridge_del(n->nets->fw, n->bridge);
	rt_link_del(n->nets->rt, n->bridge);
}

static int link_of(struct endpoint *e, struct netns_link *l, struct err *err)
{
	(void)err;
	l->bridge = e->network->bridge_index;
	l->isolated = !e->network->icc;
	return 0;
}

/* The bridge may have been made anew. */
static int restore(struct endpoint *e, int master, struct err *err)
{
	struct network *n = e->network;
	int rc = 0;

	if (master != n->bridge_index)
		rc = rt_link_set_master(n->nets->rt, e->host_index, n->bridge_index);
	if (!rc && master != n->bridge_index)
		rc = rt_port_set(n->nets->rt, e->host_index, !n->icc, true);
	return rc ? err_errno(err, rc, "the link %s in the network %s", e->host_if, n->name) : 0;
}

static enum net_way way(const struct network *n)
{
	return n->internal ? NET_WAY_NONE : NET_WAY_GATEWAY;
}

const struct net_driver net_driver_bridge = {
	.name = "bridge",
	.addresses = true,
	.parse = parse,
	.check = check,
	.up = up,
	.down = down,
	.link = link_of,
	.restore = restore,
	.way = way,
};
