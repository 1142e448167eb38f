// SPDX-License-Identifier: Apache-2.0
/* A container's place in a network: its addresses, its names, and what the swarm is told of it. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "net/sandbox_impl.h"

bool network_has_names(const struct network *n)
{
	return n->subnet && !(n->predefined && n->driver == &net_driver_bridge);
}

static void choose_if_name(struct sandbox *sb, struct endpoint *e)
{
	struct endpoint *other;

	for (unsigned int i = 0;; i++) {
		bool used = false;

		snprintf(e->if_name, sizeof(e->if_name), "eth%u", i);
		list_for_each (other, &sb->endpoints, in_sandbox)
			used |= streq(other->if_name, e->if_name);
		if (!used)
			return;
	}
}

static int choose_ip6(struct endpoint *e, const char *wanted, struct err *err)
{
	struct network *n = e->network;
	struct in6_addr ip;

	if (!str_empty(wanted)) {
		if (ip6_parse(wanted, &ip) || strchr(wanted, '/'))
			return err_set(err, -EINVAL, "invalid IPv6 address: %s", wanted);
		if (!network_has_names(n))
			return err_set(err, -EINVAL,
				       "user specified IP address is supported on user defined "
				       "networks only");
		if (!n->subnet6)
			return err_set(err, -EINVAL,
				       "invalid endpoint settings:\nno configured subnet or "
				       "ip-range contain the IP address %s",
				       wanted);
		e->ip6_wanted = xstrdup(wanted);
	}
	if (!n->subnet6)
		return 0;
	return subnet6_take(n->subnet6, e->ip6_wanted ? &ip : NULL,
			    n->range6.prefix ? &n->range6 : NULL, &e->ip6, err);
}

static int choose_addresses(struct endpoint *e, const struct endpoint_options *opt, struct err *err)
{
	struct network *n = e->network;
	unsigned int m[6];
	struct in_addr a;
	uint32_t ip = 0;
	int rc;

	if (!str_empty(opt->ip4)) {
		if (ip_parse(opt->ip4, &ip))
			return err_set(err, -EINVAL, "invalid IPv4 address: %s", opt->ip4);
		if (!network_has_names(n))
			return err_set(err, -EINVAL,
				       "user specified IP address is supported on user defined "
				       "networks only");
		e->ip_wanted = xstrdup(opt->ip4);
	} else if (n->swarm) {
		return err_set(err, -EINVAL,
			       "an endpoint of the network %s of the swarm needs the address that "
			       "the managers chose",
			       n->name);
	}
	rc = ipam_take(n->subnet, ip, n->range.prefix ? &n->range : NULL, &e->ip, err);
	if (!rc)
		rc = choose_ip6(e, opt->ip6, err);
	if (rc)
		return rc;
	if (n->driver->no_mac) {
		if (!str_empty(opt->mac))
			return err_set(err, -EINVAL,
				       "%s interfaces do not support custom mac address assignment",
				       n->driver->name);
		return 0;
	}
	a.s_addr = htonl(e->ip);
	memcpy(e->mac, (uint8_t[]){0x02, 0x42}, 2);
	memcpy(e->mac + 2, &a, 4);
	if (str_empty(opt->mac))
		return 0;
	if (sscanf(opt->mac, "%2x:%2x:%2x:%2x:%2x:%2x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) !=
		    6 ||
	    (m[0] & 1))
		return err_set(err, -EINVAL, "invalid MAC address: %s", opt->mac);
	for (int i = 0; i < 6; i++)
		e->mac[i] = m[i];
	return 0;
}

int endpoint_new(struct sandbox *sb, struct network *n, const struct endpoint_options *opt,
		 struct endpoint **ret, struct err *err)
{
	struct endpoint *e;
	int rc = 0;

	if (n->config)
		return err_set(err, -EACCES,
			       "cannot create endpoint on configuration-only network %s: connect "
			       "to one that was made from it (--config-from %s)",
			       n->name, n->name);
	list_for_each (e, &sb->endpoints, in_sandbox)
		if (e->network == n)
			return err_set(err, -EACCES,
				       "endpoint with name %s already exists in network %s",
				       sb->name, n->name);
	e = xcalloc(1, sizeof(*e));
	e->sandbox = sb;
	e->network = n;
	id_new_hex(sb->nets->opt.rng, e->id);
	snprintf(e->host_if, sizeof(e->host_if), "veth%.7s", e->id);
	if (n->subnet)
		choose_if_name(sb, e);
	list_add_tail(&e->in_network, &n->endpoints);
	list_add_tail(&e->in_sandbox, &sb->endpoints);
	e->aliases = json_incref(opt->aliases);
	e->links = json_incref(opt->links);
	e->swarm = json_incref(opt->swarm);
	if (n->subnet)
		rc = choose_addresses(e, opt, err);
	if (rc) {
		endpoint_free(e);
		return rc;
	}
	*ret = e;
	return 0;
}

void endpoint_free(struct endpoint *e)
{
	if (e->network->subnet && e->ip)
		ipam_give(e->network->subnet, e->ip);
	if (!inaddr_is_zero(&e->ip6))
		subnet6_give(e->network->subnet6, &e->ip6);
	if (e->up) {
		/* the agent ends and the container does not: in memory only */
		endpoint_names(e, false);
	}
	list_del(&e->in_network);
	list_del(&e->in_sandbox);
	json_decref(e->aliases);
	json_decref(e->links);
	json_decref(e->swarm);
	free(e->ip_wanted);
	free(e->ip6_wanted);
	free(e);
}

static void address_names(const struct endpoint *e, const struct in6_addr *ip, bool add)
{
	void (*fn)(struct names * n, const char *name, const struct in6_addr *ip, bool reverse) =
		add ? names_add : names_del;
	struct names *names = &e->network->names;
	const struct sandbox *sb = e->sandbox;
	char short_id[13];
	json_t *v;
	size_t i;

	snprintf(short_id, sizeof(short_id), "%.12s", sb->id);
	fn(names, short_id, ip, false);
	if (e->network->swarm)
		return; /* the others come with its record */
	fn(names, sb->name, ip, true);
	if (strncmp(sb->hostname, sb->id, 12))
		fn(names, sb->hostname, ip, false);
	json_array_foreach (e->aliases, i, v)
		fn(names, json_string_value(v), ip, false);
}

void endpoint_names(struct endpoint *e, bool add)
{
	struct in6_addr ip = inaddr_of_u32(e->ip);

	if (!network_has_names(e->network) || e->hidden || e->network->ingress || !e->ip)
		return;
	address_names(e, &ip, add);
	if (!inaddr_is_zero(&e->ip6))
		address_names(e, &e->ip6, add);
}

int endpoint_announce(struct endpoint *e, struct err *err)
{
	int rc;

	e->up = true;
	if (e->network->swarm) {
		rc = swarm_endpoint_up(e, sandbox_gwbridge_ip(e->sandbox), err);
		if (rc) {
			e->up = false;
			return rc;
		}
	}
	endpoint_names(e, true);
	if (e->network->swarm &&
	    (e->sandbox->enabled || !json_string_length(json_object_get(e->swarm, "service_id"))))
		swarm_endpoint_service(e, true);
	return 0;
}

void endpoint_withdraw(struct endpoint *e)
{
	if (!e->up)
		return;
	endpoint_names(e, false);
	if (e->network->swarm)
		swarm_endpoint_down(e);
	e->up = false;
}
