// SPDX-License-Identifier: Apache-2.0
/* Networks of the swarm, in the shape in which /networks shows all networks. */
#include "api/conv.h"

static json_t *labels_json(Pb__Label *const *labels, size_t n)
{
	json_t *o = json_object();

	for (size_t i = 0; i < n; i++)
		json_object_set_new(o, labels[i]->key, json_string(labels[i]->value));
	return o;
}

static json_t *ipam_json(const Pb__IPAMOptions *ipam)
{
	json_t *o = json_object(), *configs = json_array();
	const Pb__Driver *driver = ipam ? ipam->driver : NULL;

	json_object_set_new(
		o, "Driver",
		json_string(driver && !str_empty(driver->name) ? driver->name : "default"));
	json_object_set_new(o, "Options",
			    driver && driver->n_options
				    ? labels_json(driver->options, driver->n_options)
				    : json_null());
	for (size_t i = 0; ipam && i < ipam->n_configs; i++) {
		const Pb__IPAMConfig *c = ipam->configs[i];
		json_t *item = json_pack("{s:s}", "Subnet", c->subnet);

		if (!str_empty(c->range))
			json_object_set_new(item, "IPRange", json_string(c->range));
		if (!str_empty(c->gateway)) {
			/* the allocator keeps it with its prefix */
			const char *slash = strchr(c->gateway, '/');

			json_object_set_new(
				item, "Gateway",
				json_stringn(c->gateway, slash ? (size_t)(slash - c->gateway)
							       : strlen(c->gateway)));
		}
		if (c->n_reserved)
			json_object_set_new(item, "AuxiliaryAddresses",
					    labels_json(c->reserved, c->n_reserved));
		json_array_append_new(configs, item);
	}
	json_object_set_new(o, "Config", configs);
	return o;
}

json_t *conv_network(const Pb__Network *n, unsigned int version)
{
	_cleanup_pb_ Pb__NetworkSpec *none = pb_new(pb__network_spec);
	const Pb__NetworkSpec *s = n->spec ? n->spec : none;
	const Pb__Driver *driver = n->driver_state ? n->driver_state : s->driver_config;
	const Pb__IPAMOptions *ipam = n->ipam ? n->ipam : s->ipam;
	_cleanup_pb_ Pb__Meta *no_meta = pb_new(pb__meta);
	json_t *o = json_object(), *meta = json_write(&json_meta, n->meta ? n->meta : no_meta);
	const char *predefined =
		s->annotations ? pb_label(s->annotations->labels, s->annotations->n_labels,
					  "com.docker.swarm.predefined")
			       : NULL;

	json_object_set_new(o, "Name", json_string(s->annotations ? s->annotations->name : ""));
	json_object_set_new(o, "Id", json_string(n->id));
	json_object_set(o, "Created", json_object_get(meta, "CreatedAt"));
	json_decref(meta);
	json_object_set_new(o, "Scope", json_string("swarm"));
	json_object_set_new(
		o, "Driver",
		json_string(driver && !str_empty(driver->name) ? driver->name : "overlay"));
	if (version >= 147)
		json_object_set_new(o, "EnableIPv4", json_true());
	json_object_set_new(o, "EnableIPv6", json_boolean(s->ipv6_enabled));
	json_object_set_new(o, "IPAM", ipam_json(ipam));
	json_object_set_new(o, "Internal", json_boolean(s->internal));
	json_object_set_new(o, "Attachable", json_boolean(s->attachable));
	json_object_set_new(o, "Ingress", json_boolean(s->ingress));
	json_object_set_new(o, "ConfigFrom",
			    json_pack("{s:s}", "Network", s->config_from_case ? s->network : ""));
	json_object_set_new(o, "ConfigOnly", json_false());
	json_object_set_new(o, "Options",
			    driver && driver->n_options
				    ? labels_json(driver->options, driver->n_options)
				    : json_null());
	json_object_set_new(o, "Labels",
			    s->annotations && s->annotations->n_labels && !predefined
				    ? labels_json(s->annotations->labels, s->annotations->n_labels)
				    : json_null());
	return o;
}

/* IPAM.Config of the request: its names differ from those of the swarm's types. */
static const struct json_table ipam_config = {
	&pb__ipamconfig__descriptor,
	(const struct json_field[]){
		J_FIELD("Subnet", J_STR, Pb__IPAMConfig, subnet),
		J_FIELD("IPRange", J_STR, Pb__IPAMConfig, range),
		J_FIELD("Gateway", J_STR, Pb__IPAMConfig, gateway),
		J_LIST("AuxiliaryAddresses", J_LABELS, Pb__IPAMConfig, reserved),
		{0},
	},
};

static const struct json_table driver_name = {
	&pb__driver__descriptor,
	(const struct json_field[]){
		J_FIELD("Driver", J_STR, Pb__Driver, name),
		J_LIST("Options", J_LABELS, Pb__Driver, options),
		{0},
	},
};

static const struct json_table ipam_table = {
	&pb__ipamoptions__descriptor,
	(const struct json_field[]){
		J_FIELD("", J_INLINE, Pb__IPAMOptions, driver, .table = &driver_name),
		J_LIST("Config", J_MSGS, Pb__IPAMOptions, configs, .table = &ipam_config),
		{0},
	},
};

static int read_config_from(struct json_in *in, json_t *v, void *msg)
{
	Pb__NetworkSpec *s = msg;
	json_t *name;

	if (!json_is_object(v))
		return json_type_error(in, v, "ConfigReference");
	name = json_member(v, "Network");
	if (name && !json_is_string(name))
		return json_type_error(in, name, "string");
	if (name && json_string_length(name)) {
		s->config_from_case = PB__NETWORK_SPEC__CONFIG_FROM_NETWORK;
		s->network = xstrdup(json_string_value(name));
	}
	return 0;
}

static const struct json_table network_spec = {
	&pb__network_spec__descriptor,
	(const struct json_field[]){
		J_FIELD("", J_INLINE, Pb__NetworkSpec, annotations, .table = &json_annotations),
		J_FIELD("", J_INLINE, Pb__NetworkSpec, driver_config, .table = &driver_name),
		J_FIELD("EnableIPv6", J_BOOL, Pb__NetworkSpec, ipv6_enabled),
		J_FIELD("Internal", J_BOOL, Pb__NetworkSpec, internal),
		J_FIELD("Attachable", J_BOOL, Pb__NetworkSpec, attachable),
		J_FIELD("Ingress", J_BOOL, Pb__NetworkSpec, ingress),
		J_FIELD("IPAM", J_MSG, Pb__NetworkSpec, ipam, .table = &ipam_table),
		{.name = "ConfigFrom", .type = J_CUSTOM, .read = read_config_from},
		{0},
	},
};

int conv_network_spec(json_t *body, Pb__NetworkSpec **ret, struct err *err)
{
	Pb__NetworkSpec *s = NULL;
	int rc = json_read(&network_spec, "NetworkCreateRequest", body, &s, err);

	if (rc)
		return rc;
	if (s->ipam && !s->ipam->driver)
		s->ipam->driver = pb_new(pb__driver);
	if (s->ipam && str_empty(s->ipam->driver->name))
		pb_set_str(&s->ipam->driver->name, "default");
	for (size_t i = 0; s->ipam && i < s->ipam->n_configs; i++)
		s->ipam->configs[i]->family = strchr(s->ipam->configs[i]->subnet, ':')
						      ? PB__IPAMCONFIG__ADDRESS_FAMILY__IPV6
						      : PB__IPAMCONFIG__ADDRESS_FAMILY__IPV4;
	*ret = s;
	return 0;
}
