// SPDX-License-Identifier: Apache-2.0
/*
 * Configuration networks: what others take their subnets and options from, and nothing else. They
 * hold no addresses and nobody is in them, so that one can be on each node under the same name.
 */
#include <errno.h>

#include "net/net_impl.h"

const char *network_config_from(json_t *body)
{
	return json_string_value(json_object_get(json_object_get(body, "ConfigFrom"), "Network"));
}

static bool given(json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	return json_object_size(v) || json_array_size(v) || json_string_length(v) ||
	       json_is_true(v);
}

/* The swarm's own words are no configuration. */
static int check_only(json_t *body, struct err *err)
{
	if (given(body, "Ingress") || given(body, "Internal") || given(body, "Attachable") ||
	    given(body, "Scope"))
		return err_set(err, -EACCES,
			       "configuration network can only contain network specific fields. "
			       "Network operator fields like [ ingress | internal | attachable | "
			       "scope ] are not supported.");
	return 0;
}

static int check_from(json_t *body, struct err *err)
{
	json_t *ipam = json_object_get(body, "IPAM");
	const char *driver = json_string_value(json_object_get(ipam, "Driver"));

	if (json_is_true(json_object_get(body, "ConfigOnly")))
		return err_set(err, -EACCES,
			       "a configuration network cannot depend on another configuration "
			       "network");
	if ((!str_empty(driver) && strcmp(driver, "default")) || given(ipam, "Options") ||
	    given(ipam, "Config") || given(body, "Labels") || given(body, "EnableIPv6") ||
	    json_is_false(json_object_get(body, "EnableIPv4")))
		return err_set(err, -EACCES,
			       "user-specified configurations are not supported if the network "
			       "depends on a configuration network");
	if (given(body, "Options"))
		return err_set(err, -EACCES,
			       "network driver options are not supported if the network depends on "
			       "a configuration network");
	return 0;
}

static struct network *find(struct nets *nets, const char *name, struct err *err)
{
	struct network *n;

	list_for_each (n, &nets->networks, node)
		if (n->config && streq(n->name, name))
			return n;
	err_set(err, -ENOENT, "configuration network \"%s\" does not exist", name);
	return NULL;
}

int nets_config_check(struct nets *nets, json_t *body, struct err *err)
{
	const char *from = network_config_from(body);
	int rc = json_is_true(json_object_get(body, "ConfigOnly")) ? check_only(body, err) : 0;

	if (!rc && !str_empty(from))
		rc = check_from(body, err);
	return !rc && !str_empty(from) && !find(nets, from, err) ? -ENOENT : rc;
}

/* As if a network were made of it, with all addresses free. */
static int check_addresses(const struct network *n, json_t *body, struct err *err)
{
	struct nets nets = *n->nets;
	struct network *probe;
	int rc;

	nets.ipam = NULL;
	nets.ipam6 = NULL;
	list_init(&nets.networks);
	rc = ipam_new(nets.opt.pools, &nets.ipam, err);
	if (!rc)
		rc = ipam6_new(nets.opt.pools, "", &nets.ipam6, err);
	if (!rc) {
		probe = network_new(&nets, n->id, n->name, net_driver_find("overlay"));
		rc = network_parse(probe, body, err);
		network_free(probe);
	}
	ipam_free(nets.ipam);
	ipam6_free(nets.ipam6);
	return rc;
}

int network_config_parse(struct network *n, json_t *body, struct err *err)
{
	static const char *const keys[] = {"IPAM", "EnableIPv4", "EnableIPv6"};
	json_t *ipam, *v, *copy = json_object();
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if ((v = json_object_get(body, keys[i])) && !json_is_null(v))
			json_object_set_new(copy, keys[i], json_deep_copy(v));
	if (json_array_size(json_object_get(json_object_get(copy, "IPAM"), "Config")))
		rc = check_addresses(n, copy, err);
	if (rc) {
		json_decref(copy);
		return rc;
	}
	ipam = json_object_get(copy, "IPAM");
	if (!json_is_object(ipam)) {
		ipam = json_object();
		json_object_set_new(copy, "IPAM", ipam);
	}
	json_object_set_new(ipam, "Driver", json_string("default"));
	if (!json_is_object(json_object_get(ipam, "Options")))
		json_object_set_new(ipam, "Options", json_object());
	if (!json_is_array(json_object_get(ipam, "Config")))
		json_object_set_new(ipam, "Config", json_array());
	n->config = copy;
	n->ipam_options = json_object();
	return 0;
}

int network_config_apply(struct nets *nets, json_t *body, json_t **ret, struct err *err)
{
	struct network *n = find(nets, network_config_from(body), err);
	json_t *out;

	if (!n)
		return -ENOENT;
	out = json_copy(body);
	json_object_update(out, n->config);
	json_object_set(out, "Options", n->options);
	json_object_set(out, "Labels", n->labels);
	*ret = out;
	return 0;
}

const struct network *network_config_user(const struct network *config)
{
	struct network *n;

	list_for_each (n, &config->nets->networks, node)
		if (config->config && streq(n->config_from, config->name))
			return n;
	return NULL;
}
