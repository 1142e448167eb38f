// SPDX-License-Identifier: Apache-2.0
/* Networks as JSON: create requests, files, inspection. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "core/fields.h"
#include "loop/loop.h"
#include "net/net_impl.h"

int network_strings(json_t *body, const char *key, json_t **ret, struct err *err)
{
	json_t *o = json_object_get(body, key), *v;
	const char *k;

	if (!o || json_is_null(o)) {
		*ret = json_object();
		return 0;
	}
	if (!json_is_object(o))
		return err_set(err, -EINVAL,
			       "invalid value for the field %s: it must be an object of strings",
			       key);
	json_object_foreach (o, k, v)
		if (!json_is_string(v))
			return err_set(err, -EINVAL,
				       "invalid value for %s in the field %s: it must be a string",
				       k, key);
	*ret = json_copy(o);
	return 0;
}

int network_bool_option(json_t *options, const char *key, bool *ret, struct err *err)
{
	const char *s = json_string_value(json_object_get(options, key));

	if (!s)
		return 0;
	if (streq(s, "true") || streq(s, "1"))
		*ret = true;
	else if (streq(s, "false") || streq(s, "0"))
		*ret = false;
	else
		return err_set(err, -EINVAL,
			       "invalid value for the option %s: \"%s\" is neither true nor false",
			       key, s);
	return 0;
}

const char *network_option(const struct network *n, const char *key)
{
	return js(n->options, key);
}

struct avoid {
	struct buf ranges;
	int but; /* routes of this link are no hindrance: the bridge from before */
};

static void avoid_route(const struct rt_route *r, void *arg)
{
	struct avoid *a = arg;
	struct ip_range range = {ntohl(r->dst.s_addr), r->prefix};

	if (r->prefix && r->index != a->but)
		buf_add(&a->ranges, &range, sizeof(range));
}

static int choose_subnet(struct network *n, struct ip_range *ret, struct err *err)
{
	struct avoid avoid = {BUF_INIT, -1};
	struct rt_link link;
	int rc;

	if (*n->bridge && !rt_link_get(n->nets->rt, n->bridge, &link))
		avoid.but = link.index;
	rt_routes(n->nets->rt, avoid_route, &avoid);
	rc = ipam_choose_subnet(n->nets->ipam, (void *)avoid.ranges.data,
				avoid.ranges.len / sizeof(struct ip_range), ret, err);
	buf_done(&avoid.ranges);
	return rc;
}

static int take_aux(struct network *n, json_t *config, struct err *err)
{
	json_t *v;
	const char *k;
	int rc = network_strings(config, "AuxiliaryAddresses", &n->aux, err);

	if (rc)
		return rc;
	json_object_foreach (n->aux, k, v) {
		uint32_t ip;

		if (ip_parse(json_string_value(v), &ip))
			return err_set(err, -EINVAL, "invalid auxiliary address %s: %s", k,
				       json_string_value(v));
		rc = ipam_take(n->subnet, ip, NULL, &ip, err);
		if (rc)
			return err_prefix(err, "auxiliary address %s", k);
	}
	return 0;
}

static int parse_subnet(struct network *n, json_t *config, struct err *err)
{
	const char *subnet = js(config, "Subnet"), *range = js(config, "IPRange"),
		   *gateway = js(config, "Gateway");
	struct ip_range r;
	uint32_t ip = 0;
	int rc;

	if (*subnet) {
		if (ip_range_parse(subnet, &r) || ip_parse(subnet, &ip))
			return err_set(
				err, -EINVAL,
				"invalid network config:\ninvalid subnet %s: it must be CIDR",
				subnet);
		if (ip != r.base) {
			char text[16];

			return err_set(
				err, -EINVAL,
				"invalid network config:\ninvalid subnet %s: it should be %s/%u",
				subnet, ip_format(r.base, text), r.prefix);
		}
		if (r.prefix < 8 || r.prefix > 31)
			return err_set(err, -EINVAL,
				       "invalid network config:\ninvalid subnet %s: its prefix "
				       "must be from 8 to 31",
				       subnet);
	} else {
		if (*gateway || *range)
			return err_set(err, -EINVAL,
				       "user specified IP address is supported only when "
				       "connecting to networks with "
				       "user configured subnets: give a subnet, too");
		rc = choose_subnet(n, &r, err);
		if (rc)
			return rc;
	}
	if (*range && (ip_range_parse(range, &n->range) || !ip_in(n->range.base, &r) ||
		       n->range.prefix < r.prefix))
		return err_set(err, -EINVAL,
			       "invalid network config:\ninvalid ip-range %s: it must be within "
			       "the subnet %s",
			       range, subnet);
	rc = ipam_subnet_new(n->nets->ipam, &r, &n->subnet, err);
	if (rc)
		return rc;
	ip = 0;
	if (*gateway && ip_parse(gateway, &ip))
		return err_set(err, -EINVAL,
			       "invalid network config:\ninvalid gateway %s: parent subnet is %s",
			       gateway, subnet);
	if (ip || !n->driver->direct)
		rc = ipam_take(n->subnet, ip, NULL, &n->gateway, err);
	if (rc)
		return err_prefix(err, "invalid network config:\ninvalid gateway %s", gateway);
	return take_aux(n, config, err);
}

static bool is_six(json_t *config)
{
	const char *subnet = js(config, "Subnet");

	return strchr(*subnet ? subnet : js(config, "Gateway"), ':');
}

static int parse_ipam(struct network *n, json_t *body, struct err *err)
{
	json_t *ipam = json_object_get(body, "IPAM"), *configs = json_object_get(ipam, "Config");
	json_t *four = NULL, *six = NULL, *v;
	const char *driver = js(ipam, "Driver");
	size_t i;
	int rc;

	if ((ipam && !json_is_object(ipam) && !json_is_null(ipam)) ||
	    (configs && !json_is_array(configs) && !json_is_null(configs)))
		return err_set(err, -EINVAL, "invalid value for the field IPAM");
	if (*driver && !streq(driver, "default"))
		return err_set(err, -ENOENT,
			       "could not find plugin %s in v1 plugin registry: plugin not found",
			       driver);
	rc = network_strings(ipam, "Options", &n->ipam_options, err);
	if (rc)
		return rc;
	if (!n->driver->addresses)
		return 0;
	json_array_foreach (configs, i, v) {
		json_t **family = is_six(v) ? &six : &four;

		if (*family)
			return err_set(err, -EINVAL, "%s driver doesn't support multiple subnets",
				       n->driver->name);
		*family = v;
	}
	rc = parse_subnet(n, four, err);
	/* without EnableIPv6 dockerd takes no notice of an IPv6 subnet */
	if (!rc && json_is_true(json_object_get(body, "EnableIPv6")))
		rc = network6_parse(n, six, err);
	return rc;
}

int network_parse(struct network *n, json_t *body, struct err *err)
{
	int rc = network_strings(body, "Options", &n->options, err);

	if (!rc)
		rc = network_strings(body, "Labels", &n->labels, err);
	if (rc)
		return rc;
	if (json_is_true(json_object_get(body, "ConfigOnly")))
		return network_config_parse(n, body, err);
	if (!str_empty(network_config_from(body)))
		n->config_from = xstrdup(network_config_from(body));
	n->of_swarm = streq(js(body, "Scope"), "swarm");
	n->internal = json_is_true(json_object_get(body, "Internal"));
	n->attachable = json_is_true(json_object_get(body, "Attachable"));
	if (json_is_string(json_object_get(body, "EnableIPv4")) ||
	    json_is_false(json_object_get(body, "EnableIPv4"))) {
		if (!json_is_true(json_object_get(body, "EnableIPv6")))
			return err_set(err, -EINVAL, "IPv4 or IPv6 must be enabled");
		return err_set(err, -EOPNOTSUPP,
			       "networks without IPv4 are not supported: create the network %s "
			       "with both",
			       n->name);
	}
	if (n->driver->parse)
		rc = n->driver->parse(n, err);
	if (rc)
		return rc;
	return parse_ipam(n, body, err);
}

static json_t *ipam_config(const struct network *n)
{
	const struct ip_range *r;
	char base[16], text[32];
	json_t *c, *out;

	if (!n->subnet)
		return json_array();
	r = ipam_subnet_range(n->subnet);
	snprintf(text, sizeof(text), "%s/%u", ip_format(r->base, base), r->prefix);
	c = json_pack("{s:s}", "Subnet", text);
	if (n->range.prefix) {
		snprintf(text, sizeof(text), "%s/%u", ip_format(n->range.base, base),
			 n->range.prefix);
		json_object_set_new(c, "IPRange", json_string(text));
	}
	if (n->gateway)
		json_object_set_new(c, "Gateway", json_string(ip_format(n->gateway, base)));
	if (json_object_size(n->aux))
		json_object_set(c, "AuxiliaryAddresses", n->aux);
	out = json_pack("[o]", c);
	if (n->subnet6)
		json_array_append_new(out, network6_config(n));
	return out;
}

json_t *network_file(struct network *n)
{
	bool swarm = net_is_swarm(n);
	json_t *o;

	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:{s:s, s:O, s:o}, s:b, s:b, s:b, "
		      "s:{s:s}, s:b, s:O, s:O}",
		      "Name", n->name, "Id", n->id, "Created", n->created, "Scope",
		      swarm ? "swarm" : "local", "Driver", n->driver->name, "EnableIPv4", 1,
		      "EnableIPv6", n->subnet6 != NULL, "IPAM", "Driver", "default", "Options",
		      n->ipam_options, "Config", ipam_config(n), "Internal", n->internal,
		      "Attachable", n->attachable, "Ingress", n->ingress, "ConfigFrom", "Network",
		      n->config_from ? n->config_from : "", "ConfigOnly", n->config != NULL,
		      "Options", n->options, "Labels", n->labels);
	if (n->config)
		json_object_update(o, n->config);
	return o;
}

json_t *net_inspect(struct network *n)
{
	json_t *o = network_file(n), *containers = json_object();
	struct endpoint *e;

	list_for_each (e, &n->endpoints, in_network) {
		char mac[18] = "", ip[32] = "", ip6[INET6_ADDRSTRLEN + 4] = "",
		     text[INET6_ADDRSTRLEN];

		if (!e->up)
			continue;
		if (e->ip && !n->driver->no_mac)
			snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", e->mac[0],
				 e->mac[1], e->mac[2], e->mac[3], e->mac[4], e->mac[5]);
		if (e->ip)
			snprintf(ip, sizeof(ip), "%s/%u", ip_format(e->ip, text),
				 ipam_subnet_range(n->subnet)->prefix);
		if (!inaddr_is_zero(&e->ip6))
			snprintf(ip6, sizeof(ip6), "%s/%u", inaddr_format(&e->ip6, text),
				 subnet6_range(n->subnet6)->prefix);
		json_object_set_new(containers, e->sandbox->id,
				    json_pack("{s:s, s:s, s:s, s:s, s:s}", "Name", e->sandbox->name,
					      "EndpointID", e->id, "MacAddress", mac, "IPv4Address",
					      ip, "IPv6Address", ip6));
	}
	json_object_set_new(o, "Containers", containers);
	return o;
}
