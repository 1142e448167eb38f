// SPDX-License-Identifier: Apache-2.0
/* Sandboxes as JSON: NetworkSettings, and what a later agent needs to take one up again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "core/fields.h"
#include "core/log.h"
#include "net/sandbox_impl.h"

static char *mac_format(const struct endpoint *e, char dst[18])
{
	const uint8_t *m = e->mac;

	if (e->network->driver->no_mac)
		*dst = 0;
	else
		snprintf(dst, 18, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
			 m[5]);
	return dst;
}

static json_t *dns_names(const struct endpoint *e)
{
	const struct sandbox *sb = e->sandbox;
	json_t *names, *v;
	size_t i;

	if (!network_has_names(e->network))
		return json_null();
	names = json_array();
	json_array_append_new(names, json_string(sb->name));
	json_array_foreach (e->aliases, i, v)
		json_array_append(names, v);
	json_array_append_new(names, json_stringn(sb->id, 12));
	if (*sb->hostname && strncmp(sb->hostname, sb->id, 12) && !streq(sb->hostname, sb->name))
		json_array_append_new(names, json_string(sb->hostname));
	return names;
}

/* The addresses that the user gave. */
static json_t *wishes(const struct endpoint *e)
{
	if (!e->ip_wanted && !e->ip6_wanted)
		return json_null();
	return json_pack("{s:s*, s:s*}", "IPv4Address", e->ip_wanted, "IPv6Address", e->ip6_wanted);
}

static json_t *endpoint_json(const struct endpoint *e)
{
	const struct network *n = e->network;
	bool shown = e->up && e->ip;
	char ip[16] = "", gw[16] = "", mac[18] = "", ip6[INET6_ADDRSTRLEN] = "",
	     gw6[INET6_ADDRSTRLEN] = "";
	bool six = shown && !inaddr_is_zero(&e->ip6);

	if (shown) {
		ip_format(e->ip, ip);
		mac_format(e, mac);
		if (n->gateway && !n->internal &&
		    (!n->driver->direct || n->driver->way(n) == NET_WAY_GATEWAY))
			ip_format(n->gateway, gw);
	}
	if (six)
		inaddr_format(&e->ip6, ip6);
	if (six && !n->internal && !inaddr_is_zero(&n->gateway6))
		inaddr_format(&n->gateway6, gw6);
	return json_pack(
		"{s:o, s:O?, s:O?, s:s, s:n, s:i, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:i, s:o}",
		"IPAMConfig", wishes(e), "Links", e->links, "Aliases", e->aliases, "MacAddress",
		mac, "DriverOpts", "GwPriority", 0, "NetworkID", n->id, "EndpointID",
		e->up ? e->id : "", "Gateway", gw, "IPAddress", ip, "IPPrefixLen",
		shown ? (int)ipam_subnet_range(n->subnet)->prefix : 0, "IPv6Gateway", gw6,
		"GlobalIPv6Address", ip6, "GlobalIPv6PrefixLen",
		six ? (int)subnet6_range(n->subnet6)->prefix : 0, "DNSNames", dns_names(e));
}

json_t *sandbox_settings(const struct sandbox *sb)
{
	json_t *networks = json_object(), *legacy = NULL, *out;
	struct endpoint *e;
	static const char *const copied[] = {
		"EndpointID", "Gateway",     "GlobalIPv6Address", "GlobalIPv6PrefixLen",
		"IPAddress",  "IPPrefixLen", "IPv6Gateway",	  "MacAddress"};

	list_for_each (e, &sb->endpoints, in_sandbox) {
		json_t *o;

		if (e->hidden)
			continue;
		o = endpoint_json(e);
		json_object_set_new(networks, e->network->name, o);
		if (e->network->predefined && e->network->driver == &net_driver_bridge)
			legacy = o;
	}
	out = json_pack("{s:s, s:s, s:s, s:o, s:b, s:s, s:i, s:n, s:n, s:o}", "Bridge", "",
			"SandboxID", sb->up ? sb->id : "", "SandboxKey",
			sb->up && sb->path ? sb->path : "", "Ports",
			sb->up ? sandbox_ports_json(sb) : json_object(), "HairpinMode", 0,
			"LinkLocalIPv6Address", "", "LinkLocalIPv6PrefixLen", 0,
			"SecondaryIPAddresses", "SecondaryIPv6Addresses", "Networks", networks);
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++) {
		json_t *v = json_object_get(legacy, copied[i]);

		json_object_set_new(out, copied[i],
				    v				     ? json_incref(v)
				    : strstr(copied[i], "PrefixLen") ? json_integer(0)
								     : json_string(""));
	}
	return out;
}

json_t *sandbox_save(const struct sandbox *sb)
{
	json_t *endpoints = json_array();
	struct endpoint *e;

	list_for_each (e, &sb->endpoints, in_sandbox) {
		char ip[16], mac[18], ip6[INET6_ADDRSTRLEN];

		if (!e->up)
			continue;
		json_array_append_new(
			endpoints,
			json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s?, s:s?, s:O?, "
				  "s:O?, s:O?, s:b}",
				  "network", e->network->id, "id", e->id, "ip",
				  e->ip ? ip_format(e->ip, ip) : "", "ip6",
				  inaddr_is_zero(&e->ip6) ? "" : inaddr_format(&e->ip6, ip6), "mac",
				  mac_format(e, mac), "host_if", e->host_if, "if_name", e->if_name,
				  "host_index", e->host_index, "ip_wanted", e->ip_wanted,
				  "ip6_wanted", e->ip6_wanted, "aliases", e->aliases, "links",
				  e->links, "swarm", e->swarm, "hidden", e->hidden));
	}
	return json_pack("{s:b, s:b, s:o, s:o, s:O?}", "up", sb->up, "enabled", sb->enabled,
			 "endpoints", endpoints, "ports", sandbox_ports_save(sb), "exposed",
			 sb->exposed);
}

static json_t *or_null(json_t *v)
{
	return json_is_null(v) ? NULL : v;
}

static int restore_ip6(struct endpoint *e, const char *text, struct err *err)
{
	struct in6_addr ip;

	if (!e->network->subnet6)
		return 0; /* docker0 without --ipv6, this time */
	if (ip6_parse(text, &ip))
		return err_set(err, -EBADMSG, "what was stored of the endpoint is damaged");
	return subnet6_take(e->network->subnet6, &ip, NULL, &e->ip6, err);
}

/* The link of an endpoint without an end on the node is still there. */
static int find_inside(const struct endpoint *e, int netns, struct err *err)
{
	struct rt_link link;
	struct rt *in;
	int rc = rt_open(netns, &in, err);

	if (rc)
		return rc;
	rc = rt_link_get(in, e->if_name, &link);
	rt_close(in);
	return rc ? err_errno(err, rc, "the link %s of %s in the network %s", e->if_name,
			      e->sandbox->name, e->network->name)
		  : 0;
}

static int restore_endpoint(struct sandbox *sb, json_t *o, int netns, struct err *err)
{
	struct network *n = nets_find(sb->nets, js(o, "network"), err);
	struct endpoint_options opt = {
		.mac = js(o, "mac"),
		.aliases = or_null(json_object_get(o, "aliases")),
		.swarm = or_null(json_object_get(o, "swarm")),
	};
	struct endpoint *e;
	struct rt_link link;
	uint32_t ip = 0;
	int rc;

	if (!n)
		return -ENOENT;
	e = xcalloc(1, sizeof(*e));
	e->sandbox = sb;
	e->network = n;
	list_add_tail(&e->in_network, &n->endpoints);
	list_add_tail(&e->in_sandbox, &sb->endpoints);
	snprintf(e->id, sizeof(e->id), "%s", js(o, "id"));
	snprintf(e->host_if, sizeof(e->host_if), "%s", js(o, "host_if"));
	snprintf(e->if_name, sizeof(e->if_name), "%s", js(o, "if_name"));
	e->hidden = json_is_true(json_object_get(o, "hidden"));
	e->aliases = json_incref(opt.aliases);
	e->links = json_incref(or_null(json_object_get(o, "links")));
	e->swarm = json_incref(opt.swarm);
	if (*js(o, "ip_wanted"))
		e->ip_wanted = xstrdup(js(o, "ip_wanted"));
	if (*js(o, "ip6_wanted"))
		e->ip6_wanted = xstrdup(js(o, "ip6_wanted"));
	if (!n->subnet) {
		e->up = true;
		return 0;
	}
	if (ip_parse(js(o, "ip"), &ip) ||
	    (!n->driver->no_mac &&
	     sscanf(opt.mac, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &e->mac[0], &e->mac[1],
		    &e->mac[2], &e->mac[3], &e->mac[4], &e->mac[5]) != 6))
		return err_set(err, -EBADMSG, "what was stored of the endpoint is damaged");
	rc = ipam_take(n->subnet, ip, NULL, &e->ip, err);
	if (!rc && *js(o, "ip6"))
		rc = restore_ip6(e, js(o, "ip6"), err);
	if (rc)
		return rc;
	if (n->driver->direct)
		return find_inside(e, netns, err);
	rc = rt_link_get(sb->nets->rt, e->host_if, &link);
	if (rc)
		return err_errno(err, rc, "the link %s in the network %s", e->host_if, n->name);
	e->host_index = link.index;
	return n->driver->restore ? n->driver->restore(e, link.master, err) : 0;
}

int sandbox_restore(struct nets *nets, const struct sandbox_options *opt, json_t *saved,
		    struct sandbox **ret, struct err *err)
{
	struct sandbox *sb = sandbox_new(nets, opt);
	_cleanup_close_ int fd = -1;
	struct endpoint *e;
	json_t *v;
	size_t i;
	struct dns_sockets sockets;
	int rc = 0;

	sb->enabled = json_is_true(json_object_get(saved, "enabled"));
	if (json_is_object(json_object_get(saved, "exposed")))
		sb->exposed = json_incref(json_object_get(saved, "exposed"));
	if (sb->path) {
		fd = open(sb->path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			rc = err_errno(err, -errno, "the network namespace of %s is gone",
				       sb->name);
	}
	json_array_foreach (json_object_get(saved, "endpoints"), i, v) {
		rc = rc ? rc : restore_endpoint(sb, v, fd, err);
	}
	if (!rc)
		sandbox_ports_restore(sb, json_object_get(saved, "ports"));
	if (!rc && sandbox_has_dns(sb)) {
		rc = netns_dns_sockets(fd, nets->netns, &sockets, err);
		if (!rc)
			sandbox_dns_start(sb, &sockets);
	}
	list_for_each (e, &sb->endpoints, in_sandbox)
		if (!rc && e->network->subnet)
			rc = endpoint_announce(e, err);
	if (!rc)
		rc = sandbox_ports_apply(sb, err);
	if (rc) {
		list_for_each (e, &sb->endpoints, in_sandbox)
			endpoint_withdraw(e);
		sandbox_ports_withdraw(sb);
		sandbox_free(sb);
		return rc;
	}
	sb->up = true;
	*ret = sb;
	return 0;
}
