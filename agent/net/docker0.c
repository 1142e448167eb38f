// SPDX-License-Identifier: Apache-2.0
/* The predefined network "bridge", of which the daemon's options say what it is. */
#include <stdio.h>

#include "core/when.h"
#include "net/net_impl.h"

/* docker0's subnet: what the options say, else what it was. */
static json_t *docker0_config(struct nets *nets, struct network *old)
{
	const struct nets_options *o = &nets->opt;
	struct ip_range r, fixed;
	bool part = o->fixed_cidr && !ip_range_parse(o->fixed_cidr, &fixed);
	json_t *c = json_object();
	char text[32], base[16];
	uint32_t ip = 0;

	if (o->bip && !ip_range_parse(o->bip, &r) && !ip_parse(o->bip, &ip)) {
		ip = ip == r.base ? 0 : ip;
	} else if (old && (!part || ip_ranges_overlap(&fixed, ipam_subnet_range(old->subnet)))) {
		r = *ipam_subnet_range(old->subnet);
		ip = old->gateway;
	} else if (part) {
		r = fixed;
	} else {
		return c;
	}
	snprintf(text, sizeof(text), "%s/%u", ip_format(r.base, base), r.prefix);
	json_object_set_new(c, "Subnet", json_string(text));
	if (ip)
		json_object_set_new(c, "Gateway", json_string(ip_format(ip, base)));
	if (o->fixed_cidr)
		json_object_set_new(c, "IPRange", json_string(o->fixed_cidr));
	return c;
}

static json_t *docker0_config6(struct nets *nets, struct network *old)
{
	const struct nets_options *o = &nets->opt;
	char base[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 4];
	struct in6_addr ip;
	struct ip6_range r;
	json_t *c;

	if (o->bip6 && !ip6_range_parse(o->bip6, &r) && !ip6_parse(o->bip6, &ip)) {
		snprintf(text, sizeof(text), "%s/%u", inaddr_format(&r.base, base), r.prefix);
		c = json_pack("{s:s}", "Subnet", text);
		if (!inaddr_equal(&ip, &r.base))
			json_object_set_new(c, "Gateway", json_string(inaddr_format(&ip, base)));
		if (o->fixed_cidr6)
			json_object_set_new(c, "IPRange", json_string(o->fixed_cidr6));
		return c;
	}
	if (o->fixed_cidr6)
		return json_pack("{s:s}", "Subnet", o->fixed_cidr6);
	return old && old->subnet6 ? network6_config(old) : NULL;
}

/* What docker0 is follows from the daemon's options each time; its subnet, if none is given, stays. */
static json_t *docker0_body(struct nets *nets, struct network *old)
{
	const struct nets_options *o = &nets->opt;
	json_t *configs = json_pack("[o]", docker0_config(nets, old)),
	       *six = o->ipv6 ? docker0_config6(nets, old) : NULL;
	char mtu[16];

	if (six)
		json_array_append_new(configs, six);
	snprintf(mtu, sizeof(mtu), "%u", o->mtu ? o->mtu : 1500);
	return json_pack("{s:b, s:{s:o}, s:{s:s, s:s, s:s, s:s, s:s, s:s}}", "EnableIPv6", o->ipv6,
			 "IPAM", "Config", configs, "Options", OPT_BRIDGE "default_bridge", "true",
			 OPT_BRIDGE "enable_icc", o->icc ? "true" : "false",
			 OPT_BRIDGE "enable_ip_masquerade", o->ip_masq ? "true" : "false",
			 OPT_BRIDGE "host_binding_ipv4", o->bind_addr ? o->bind_addr : "0.0.0.0",
			 OPT_BRIDGE "name", "docker0", "com.docker.network.driver.mtu", mtu);
}

int docker0_make(struct nets *nets, struct err *err)
{
	struct network *old = nets_find(nets, "bridge", NULL), *n;
	json_t *body = docker0_body(nets, old);
	char id[HEX_ID_SIZE], created[40];
	int rc;

	if (old) {
		memcpy(id, old->id, sizeof(id));
		memcpy(created, old->created, sizeof(created));
		network_free(old);
	} else {
		id_new_hex(nets->opt.rng, id);
		time_format(loop_wall_ns(), created);
	}
	n = network_new(nets, id, "bridge", &net_driver_bridge);
	memcpy(n->created, created, sizeof(created));
	n->predefined = true;
	rc = network_parse(n, body, err);
	json_decref(body);
	return rc ? rc : network_save(n, err);
}
