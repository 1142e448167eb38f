// SPDX-License-Identifier: Apache-2.0
/* The IPv6 subnet of a network as JSON. Source: moby daemon/network ValidateIPAM. */
#include <errno.h>
#include <stdio.h>

#include "core/fields.h"
#include "net/net_impl.h"

static int bad(struct err *err, const char *what, const char *value, const char *why)
{
	return err_set(err, -EINVAL, "invalid network config:\ninvalid %s %s: %s", what, value,
		       why);
}

static char *range_format(const struct ip6_range *r, char dst[INET6_ADDRSTRLEN + 4])
{
	char base[INET6_ADDRSTRLEN];

	snprintf(dst, INET6_ADDRSTRLEN + 4, "%s/%u", inaddr_format(&r->base, base), r->prefix);
	return dst;
}

static int take_aux(struct network *n, json_t *config, struct err *err)
{
	struct in6_addr ip;
	const char *k;
	json_t *v;
	int rc = network_strings(config, "AuxiliaryAddresses", &n->aux6, err);

	if (rc)
		return rc;
	json_object_foreach (n->aux6, k, v) {
		if (ip6_parse(json_string_value(v), &ip) || strchr(json_string_value(v), '/'))
			return bad(err, "auxiliary address", json_string_value(v),
				   "parent subnet is an IPv6 block");
		rc = subnet6_take(n->subnet6, &ip, NULL, &ip, err);
		if (rc)
			return err_prefix(err, "auxiliary address %s", k);
	}
	return 0;
}

static void avoid_route(const struct in6_addr *dst, unsigned int prefix, void *arg)
{
	struct ip6_range r = {*dst, prefix};

	buf_add(arg, &r, sizeof(r));
}

static int choose_subnet(struct network *n, struct ip6_range *ret, struct err *err)
{
	_cleanup_buf_ struct buf routes = BUF_INIT;

	rt_routes6(n->nets->rt, avoid_route, &routes);
	return ipam6_choose_subnet(n->nets->ipam6, (void *)routes.data,
				   routes.len / sizeof(struct ip6_range), ret, err);
}

static int choose_range(struct network *n, json_t *config, struct ip6_range *ret, struct err *err)
{
	const char *subnet = js(config, "Subnet");
	char text[INET6_ADDRSTRLEN + 4], why[128];
	struct in6_addr ip;

	if (!*subnet)
		return choose_subnet(n, ret, err);
	if (ip6_range_parse(subnet, ret) || ip6_parse(subnet, &ip))
		return bad(err, "subnet", subnet, "invalid CIDR block notation");
	if (!inaddr_equal(&ip, &ret->base)) {
		snprintf(why, sizeof(why), "it should be %s", range_format(ret, text));
		return bad(err, "subnet", subnet, why);
	}
	if (ret->prefix < 8 || ret->prefix > 127)
		return bad(err, "subnet", subnet, "its prefix must be from 8 to 127");
	if (IN6_IS_ADDR_LINKLOCAL(&ip) || IN6_IS_ADDR_MULTICAST(&ip))
		return bad(err, "subnet", subnet, "addresses of this kind belong to links");
	return 0;
}

int network6_parse(struct network *n, json_t *config, struct err *err)
{
	const char *range = js(config, "IPRange"), *gateway = js(config, "Gateway");
	struct in6_addr ip;
	struct ip6_range r;
	int rc = choose_range(n, config, &r, err);

	if (rc)
		return rc;
	if (*range && (ip6_range_parse(range, &n->range6) || !ip6_in(&n->range6.base, &r) ||
		       n->range6.prefix < r.prefix))
		return bad(err, "ip-range", range, "it must be within the subnet");
	if (*gateway && (ip6_parse(gateway, &ip) || strchr(gateway, '/')))
		return bad(err, "gateway", gateway, "parent subnet is an IPv6 block");
	rc = ipam6_subnet_new(n->nets->ipam6, &r, &n->subnet6, err);
	if (rc)
		return rc;
	if (*gateway || !n->driver->direct)
		rc = subnet6_take(n->subnet6, *gateway ? &ip : NULL, NULL, &n->gateway6, err);
	if (rc)
		return err_prefix(err, "invalid network config:\ninvalid gateway %s", gateway);
	return take_aux(n, config, err);
}

json_t *network6_config(const struct network *n)
{
	char text[INET6_ADDRSTRLEN + 4];
	json_t *c = json_pack("{s:s}", "Subnet", range_format(subnet6_range(n->subnet6), text));

	if (n->range6.prefix)
		json_object_set_new(c, "IPRange", json_string(range_format(&n->range6, text)));
	if (!inaddr_is_zero(&n->gateway6))
		json_object_set_new(c, "Gateway", json_string(inaddr_format(&n->gateway6, text)));
	if (json_object_size(n->aux6))
		json_object_set(c, "AuxiliaryAddresses", n->aux6);
	return c;
}
