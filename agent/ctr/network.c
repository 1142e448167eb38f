// SPDX-License-Identifier: Apache-2.0
/* A container's endpoints: from its network mode and EndpointsConfig to a sandbox, and back. */
#include <errno.h>
#include <stdio.h>

#include "ctr/ctr_impl.h"

struct ctr *ctr_mode_peer(struct ctr *c, const char *mode)
{
	return starts_with(mode, "container:") ? ctr_find(c->ctrs, mode + 10, NULL) : NULL;
}

const char *ctr_netns(const struct ctr *c)
{
	return c->sandbox ? sandbox_netns(c->sandbox) : NULL;
}

const char *ctr_net_dir(struct ctr *c)
{
	struct ctr *peer = ctr_mode_peer(c, js(c->host, "NetworkMode"));

	return peer ? peer->dir : c->dir;
}

static void options(struct ctr *c, struct sandbox_options *o)
{
	const char *mode = js(c->host, "NetworkMode");
	struct ctr *peer = ctr_mode_peer(c, mode);

	*o = (struct sandbox_options){
		.id = c->id,
		.name = c->name,
		.hostname = js(c->config, "Hostname"),
		.domainname = js(c->config, "Domainname"),
		.dir = c->dir,
		.dns = json_object_get(c->host, "Dns"),
		.dns_search = json_object_get(c->host, "DnsSearch"),
		.dns_options = json_object_get(c->host, "DnsOptions"),
		.extra_hosts = json_object_get(c->host, "ExtraHosts"),
		.host = !strcmp(mode, "host"),
	};
	if (peer && peer->sandbox) {
		o->join = sandbox_netns(peer->sandbox);
		o->host = !o->join;
	}
}

/* "Swarm" of an endpoint, as net/ has it; a new reference or NULL. */
static json_t *swarm_part(json_t *endpoint)
{
	json_t *part = json_object_get(endpoint, "Swarm");

	return json_is_object(part) ? json_incref(part) : NULL;
}

static const char *or_null(const char *s)
{
	return *s ? s : NULL;
}

static void endpoint_options(struct ctr *c, json_t *endpoint, bool first,
			     struct endpoint_options *o)
{
	json_t *ipam = json_object_get(endpoint, "IPAMConfig"),
	       *aliases = json_object_get(endpoint, "Aliases"),
	       *links = json_object_get(endpoint, "Links");
	const char *mac = js(endpoint, "MacAddress");

	if (!*mac && first)
		mac = js(c->config, "MacAddress");
	*o = (struct endpoint_options){
		.ip4 = or_null(*js(endpoint, "SwarmAddress") ? js(endpoint, "SwarmAddress")
							     : js(ipam, "IPv4Address")),
		.ip6 = or_null(js(ipam, "IPv6Address")),
		.mac = or_null(mac),
		.aliases = json_is_array(aliases) ? aliases : NULL,
		.links = json_is_array(links) ? links : NULL,
		.swarm = swarm_part(endpoint),
	};
}

/* Links of a user's own network. */
static int check_links(json_t *endpoint, struct err *err)
{
	json_t *v;
	size_t i;
	int rc = 0;

	json_array_foreach (json_object_get(endpoint, "Links"), i, v) {
		_cleanup_free_ char *name = NULL, *alias = NULL;

		rc = rc ? rc
		     : json_is_string(v)
			     ? ctr_link_parse(json_string_value(v), &name, &alias, err)
			     : err_set(err, -EINVAL, "invalid JSON: a link is a string");
	}
	return rc;
}

static int join(struct ctr *c, const char *name, json_t *endpoint, bool first, struct err *err)
{
	struct network *n = nets_find(c->ctrs->opt.nets, name, err);
	struct endpoint_options o;
	int rc;

	if (!n)
		return -ENOENT;
	rc = check_links(endpoint, err);
	if (rc)
		return rc;
	endpoint_options(c, endpoint, first, &o);
	rc = sandbox_join(c->sandbox, n, &o, err);
	json_decref(o.swarm);
	return rc;
}

static bool isolated(struct ctr *c)
{
	const char *mode = js(c->host, "NetworkMode");

	return !strcmp(mode, "none") || !strcmp(mode, "host") || starts_with(mode, "container:") ||
	       jb(c->config, "NetworkDisabled");
}

/* "default" in the request names the network that the mode came to mean. */
static json_t *primary_endpoint(struct ctr *c, const char *mode)
{
	json_t *e = json_object_get(c->networking, mode);

	return e ? e : !strcmp(mode, "bridge") ? json_object_get(c->networking, "default") : NULL;
}

/* It was disconnected from the network of its mode: null stands for it. */
static bool left_primary(struct ctr *c, const char *mode)
{
	return json_is_null(json_object_get(c->networking, mode));
}

json_t *ctr_networks(struct ctr *c)
{
	json_t *out = json_array(), *endpoint;
	const char *name;

	if (isolated(c))
		return out;
	if (!left_primary(c, js(c->host, "NetworkMode")))
		json_array_append_new(out, json_string(js(c->host, "NetworkMode")));
	json_object_foreach (c->networking, name, endpoint)
		if (strcmp(name, "default") && strcmp(name, js(c->host, "NetworkMode")) &&
		    !json_is_null(endpoint))
			json_array_append_new(out, json_string(name));
	return out;
}

const char *ctr_network_wish(struct ctr *c, const char *network)
{
	json_t *e = json_object_get(c->networking, network);

	return or_null(js(json_object_get(e, "IPAMConfig"), "IPv4Address"));
}

void ctr_network_address(struct ctr *c, const char *network, const char *ip4)
{
	json_t *e = json_object_get(c->networking, network);

	if (!json_is_object(e)) {
		e = json_object();
		json_object_set_new(c->networking, network, e);
	}
	if (ip4)
		json_object_set_new(e, "SwarmAddress", json_string(ip4));
	else
		json_object_del(e, "SwarmAddress");
}

int ctr_network_plan(struct ctr *c, struct err *err)
{
	const char *mode = js(c->host, "NetworkMode"), *name;
	struct ctr *peer = ctr_mode_peer(c, mode);
	struct network *primary;
	struct sandbox_options o;
	json_t *endpoint, *hosts;
	int rc = 0;

	if (starts_with(mode, "container:")) {
		if (!peer)
			return err_set(err, -ENOENT, "No such container: %s", mode + 10);
		if (!ctr_running(peer) || !peer->sandbox)
			return err_set(err, -EBUSY,
				       "cannot join network namespace of a non running container: "
				       "container %s is %s",
				       peer->name, ctr_status_name(peer));
	}
	options(c, &o);
	hosts = json_is_array(o.extra_hosts) ? json_copy(o.extra_hosts) : json_array();
	rc = ctr_links_hosts(c, hosts, err);
	o.extra_hosts = hosts;
	if (!rc)
		c->sandbox = sandbox_new(c->ctrs->opt.nets, &o);
	json_decref(hosts);
	if (rc)
		return rc;
	if (isolated(c))
		return 0;
	if (!left_primary(c, mode))
		rc = join(c, mode, primary_endpoint(c, mode), true, err);
	primary = rc ? NULL : nets_find(c->ctrs->opt.nets, mode, err);
	json_object_foreach (c->networking, name, endpoint) {
		struct network *n;

		if (rc || !strcmp(name, "default") || json_is_null(endpoint))
			continue;
		n = nets_find(c->ctrs->opt.nets, name, err);
		if (n != primary || !n)
			rc = n ? join(c, name, endpoint, false, err) : -ENOENT;
	}
	if (!rc)
		rc = sandbox_publish(c->sandbox, json_object_get(c->host, "PortBindings"),
				     json_object_get(c->config, "ExposedPorts"),
				     jb(c->host, "PublishAllPorts"), err);
	return rc;
}

int ctr_network_restore(struct ctr *c, struct err *err)
{
	struct sandbox_options o;
	int rc;

	options(c, &o);
	rc = sandbox_restore(c->ctrs->opt.nets, &o, c->sandbox_saved, &c->sandbox, err);
	c->sandbox_up = !rc;
	return rc;
}

static json_t *down_endpoint(struct ctr *c, const char *name, json_t *e)
{
	struct network *n = nets_find(c->ctrs->opt.nets, name, NULL);
	json_t *aliases = json_object_get(e, "Aliases"), *ipam = json_object_get(e, "IPAMConfig"),
	       *driver_opts = json_object_get(e, "DriverOpts"),
	       *links = json_object_get(e, "Links");

	return json_pack(
		"{s:O, s:O, s:O, s:s, s:O, s:i, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:i, s:n}",
		"IPAMConfig", ipam ? ipam : json_null(), "Links", links ? links : json_null(),
		"Aliases", aliases ? aliases : json_null(), "MacAddress", js(e, "MacAddress"),
		"DriverOpts", driver_opts ? driver_opts : json_null(), "GwPriority", 0, "NetworkID",
		n ? net_id(n) : "", "EndpointID", "", "Gateway", "", "IPAddress", "", "IPPrefixLen",
		0, "IPv6Gateway", "", "GlobalIPv6Address", "", "GlobalIPv6PrefixLen", 0,
		"DNSNames");
}

/* What the user gave is shown as it was given. */
static void show_wishes(struct ctr *c, json_t *networks)
{
	static const char *const keys[] = {"IPAMConfig", "DriverOpts"};
	const char *name;
	json_t *e, *given;

	json_object_foreach (networks, name, e)
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			given = json_object_get(json_object_get(c->networking, name), keys[i]);
			if (json_is_object(given))
				json_object_set(e, keys[i], given);
		}
}

json_t *ctr_network_settings(struct ctr *c)
{
	const char *mode = js(c->host, "NetworkMode"), *name;
	json_t *doc, *nets, *e;

	if (c->sandbox && c->sandbox_up) {
		doc = sandbox_settings(c->sandbox);
		show_wishes(c, json_object_get(doc, "Networks"));
		if (isolated(c) && !starts_with(mode, "container:") &&
		    !json_object_get(json_object_get(doc, "Networks"), mode)) {
			if (!json_is_object(json_object_get(doc, "Networks")))
				json_object_set_new(doc, "Networks", json_object());
			json_object_set_new(json_object_get(doc, "Networks"), mode,
					    down_endpoint(c, mode, NULL));
		}
		return doc;
	}
	nets = json_object();
	if (!starts_with(mode, "container:") && !left_primary(c, mode))
		json_object_set_new(nets, mode, down_endpoint(c, mode, primary_endpoint(c, mode)));
	json_object_foreach (c->networking, name, e)
		if (strcmp(name, mode) && strcmp(name, "default") && !json_is_null(e) &&
		    !isolated(c))
			json_object_set_new(nets, name, down_endpoint(c, name, e));
	return json_pack("{s:s, s:s, s:s, s:{}, s:b, s:s, s:s, s:s, s:i, s:s, s:s, s:i, s:s, s:s, "
			 "s:n, s:n, s:o}",
			 "Bridge", "", "SandboxID", "", "SandboxKey", "", "Ports", "HairpinMode", 0,
			 "LinkLocalIPv6Address", "", "EndpointID", "", "Gateway", "", "IPPrefixLen",
			 0, "IPAddress", "", "GlobalIPv6Address", "", "GlobalIPv6PrefixLen", 0,
			 "IPv6Gateway", "", "MacAddress", "", "SecondaryIPAddresses",
			 "SecondaryIPv6Addresses", "Networks", nets);
}

/* --- live changes --- */

struct change {
	struct ctr *c;
	char id[65];
	struct ctrs *ctrs;
	char *name;
	json_t *endpoint; /* to note; NULL: take it out */
	ctr_done done;
	void *arg;
	struct err err;
};

static void change_end(void *arg)
{
	struct change *ch = arg;
	struct ctr *c = map_get(&ch->ctrs->by_id, ch->id);

	if (!ch->err.code && c) {
		if (ch->endpoint)
			json_object_set(c->networking, ch->name, ch->endpoint);
		else if (!strcmp(js(c->host, "NetworkMode"), ch->name))
			json_object_set_new(c->networking, ch->name, json_null());
		else
			json_object_del(c->networking, ch->name);
		if (c->sandbox && c->sandbox_up) {
			json_decref(c->sandbox_saved);
			c->sandbox_saved = sandbox_save(c->sandbox);
		}
		ctr_save(c, NULL);
		ctr_links_moved(c);
	}
	if (ch->done)
		ch->done(ch->c, ch->err.code ? &ch->err : NULL, ch->arg);
	json_decref(ch->endpoint);
	free(ch->name);
	free(ch);
}

static void changed(const struct err *err, void *arg)
{
	struct change *ch = arg;

	if (err)
		ch->err = *err;
	change_end(ch);
}

static struct change *change_new(struct ctr *c, struct network *n, json_t *endpoint, ctr_done done,
				 void *arg)
{
	struct change *ch = xcalloc(1, sizeof(*ch));

	*ch = (struct change){.c = c,
			      .ctrs = c->ctrs,
			      .name = xstrdup(net_name(n)),
			      .endpoint = endpoint,
			      .done = done,
			      .arg = arg};
	strcpy(ch->id, c->id);
	return ch;
}

void ctr_network_connect(struct ctr *c, struct network *n, json_t *endpoint, ctr_done done,
			 void *arg)
{
	struct change *ch = change_new(
		c, n, json_is_object(endpoint) ? json_deep_copy(endpoint) : json_object(), done,
		arg);
	struct endpoint_options o;

	if (!strcmp(js(c->host, "NetworkMode"), "host"))
		err_set(&ch->err, -EPERM,
			"container cannot be disconnected from host network or connected to host "
			"network");
	else if (!strcmp(js(c->host, "NetworkMode"), "none"))
		err_set(&ch->err, -EPERM,
			"container cannot be connected to multiple networks with one of the "
			"networks in private "
			"(none) mode");
	else if (starts_with(js(c->host, "NetworkMode"), "container:"))
		err_set(&ch->err, -EPERM,
			"container sharing network namespace with another container or host cannot "
			"be connected "
			"to any other network");
	else if (!check_links(ch->endpoint, &ch->err) && c->sandbox && c->sandbox_up &&
		 ctr_running(c)) {
		endpoint_options(c, ch->endpoint, false, &o);
		sandbox_connect(c->sandbox, n, &o, changed, ch);
		json_decref(o.swarm);
		return;
	}
	loop_defer(c->ctrs->opt.loop, change_end, ch);
}

void ctr_network_disconnect(struct ctr *c, struct network *n, ctr_done done, void *arg)
{
	struct change *ch = change_new(c, n, NULL, done, arg);

	if (!strcmp(js(c->host, "NetworkMode"), "host"))
		err_set(&ch->err, -EPERM,
			"container cannot be disconnected from host network or connected to host "
			"network");
	else if (c->sandbox && c->sandbox_up && ctr_running(c)) {
		sandbox_disconnect(c->sandbox, n, changed, ch);
		return;
	} else if (!json_object_get(c->networking, ch->name) &&
		   strcmp(js(c->host, "NetworkMode"), ch->name))
		err_set(&ch->err, -ENOENT, "container %s is not connected to network %s", c->id,
			ch->name);
	loop_defer(c->ctrs->opt.loop, change_end, ch);
}
