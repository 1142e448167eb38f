// SPDX-License-Identifier: Apache-2.0
/* Networks of tasks: made here when the first task needs them, dropped with the last. */
#include <errno.h>

#include "core/log.h"
#include "net/net.h"
#include "node/container.h"
#include "node/worker_impl.h"
#include "swarm/esp.h"

enum { MTU_DEFAULT = 1500, MTU_MIN = 68, VXLAN_OVERHEAD = 50 };

/* What Docker's nodes have, which the network is shared with. */
static unsigned int inner_mtu(uint64_t mtu, bool encrypted)
{
	return encrypted ? sw_esp_room(mtu) : mtu - VXLAN_OVERHEAD;
}

static bool predefined(const Pb__Network *n)
{
	const Pb__Annotations *a = n->spec->annotations;

	return a && streq(pb_label(a->labels, a->n_labels, "com.docker.swarm.predefined"), "true");
}

static const char *driver_option(const Pb__Network *n, const char *key)
{
	const char *v = n->driver_state ? pb_label(n->driver_state->options,
						   n->driver_state->n_options, key)
					: NULL;
	const Pb__Driver *d = n->spec->driver_config;

	return v || !d ? v : pb_label(d->options, d->n_options, key);
}

/* This node's load balancer in a network, or NULL: not told yet. */
static const char *node_addr(struct worker *w, const char *network_id)
{
	for (size_t i = 0; w->node && i < w->node->n_attachments; i++) {
		const Pb__NetworkAttachment *a = w->node->attachments[i];

		if (a->network && streq(a->network->id, network_id) && a->n_addresses)
			return a->addresses[0];
	}
	return NULL;
}

/* By another driver than overlay: the node's own, of its own configuration. */
static int make_local(struct worker *w, const Pb__Network *n, struct err *err)
{
	const Pb__Annotations *a = n->spec->annotations;
	json_t *options = container_labels(n->driver_state->options, n->driver_state->n_options),
	       *labels = a ? container_labels(a->labels, a->n_labels) : json_object();
	struct net_local_config c = {
		.id = n->id,
		.name = a ? a->name : "",
		.driver = n->driver_state->name,
		.config_from = n->spec->config_from_case ? n->spec->network : NULL,
		.options = options,
		.labels = labels,
		.internal = n->spec->internal,
		.attachable = n->spec->attachable,
	};
	struct network *net;
	int rc = net_swarm_local_set(w->opt.nets, &c, &net, err);

	json_decref(options);
	json_decref(labels);
	return rc;
}

static int make_network(struct worker *w, const Pb__Network *n, struct err *err)
{
	const char *name = n->spec->annotations ? n->spec->annotations->name : "", *vnis, *text;
	const Pb__IPAMConfig *ipam = n->ipam && n->ipam->n_configs ? n->ipam->configs[0] : NULL;
	uint64_t vni, mtu = MTU_DEFAULT;
	struct net_swarm_config c;
	struct network *net;
	bool encrypted;
	char first[12];

	if (!w->opt.nets)
		return err_set(err, -ENOSYS,
			       "network %s cannot be made: this node has no overlay networks",
			       name);
	if (n->driver_state && !str_empty(n->driver_state->name) &&
	    strcmp(n->driver_state->name, "overlay"))
		return make_local(w, n, err);
	vnis = driver_option(n, "com.docker.network.driver.overlay.vxlanid_list");
	if (!ipam || !vnis)
		return err_set(err, -EINVAL, "network %s has no subnet or VXLAN ID yet", name);
	if (strcspn(vnis, ",") >= sizeof(first))
		return err_set(err, -EINVAL, "network %s has the bad VXLAN ID %s", name, vnis);
	memcpy(first, vnis, strcspn(vnis, ","));
	first[strcspn(vnis, ",")] = 0;
	if (parse_u64(first, 1, (1 << 24) - 1, &vni))
		return err_set(err, -EINVAL, "network %s has the bad VXLAN ID %s", name, first);
	/* whatever its value is, as Docker has it */
	encrypted = driver_option(n, "encrypted");
	text = driver_option(n, "com.docker.network.driver.mtu");
	if (text && parse_u64(text, encrypted ? sw_esp_len(MTU_MIN) : MTU_MIN + VXLAN_OVERHEAD,
			      65535, &mtu))
		return err_set(err, -EINVAL, "network %s has the bad MTU %s", name, text);
	c = (struct net_swarm_config){
		.id = n->id,
		.name = name,
		.subnet = ipam->subnet,
		.gateway = ipam->gateway,
		.vni = vni,
		.mtu = inner_mtu(mtu, encrypted),
		.encrypted = encrypted,
		.internal = n->spec->internal,
		.attachable = n->spec->attachable,
		.ingress = n->spec->ingress,
		.node_addr = node_addr(w, n->id),
	};
	return net_swarm_set(w->opt.nets, &c, &net, err);
}

int task_networks(struct worker *w, const Pb__Task *task, struct err *err)
{
	for (size_t i = 0; i < task->n_networks; i++) {
		const Pb__Network *n = task->networks[i]->network;
		int rc;

		if (!n || !n->spec || predefined(n))
			continue;
		rc = make_network(w, n, err);
		if (rc)
			return rc;
	}
	return 0;
}

static bool uses(const Pb__Task *task, const char *network_id)
{
	for (size_t i = 0; i < task->n_networks; i++)
		if (task->networks[i]->network && streq(task->networks[i]->network->id, network_id))
			return true;
	return false;
}

static void drop(struct worker *w, const char *id)
{
	struct err err = ERR_INIT;
	struct network *n = nets_find(w->opt.nets, id, NULL);

	if (n && !net_endpoints(n) && net_remove(n, &err))
		log_warn("network %s stays on this node: %s", id, err.msg);
}

static bool needed(struct worker *w, const char *network_id, const struct task *but)
{
	struct task *t;
	const char *id;

	if (streq(network_id, w->ingress_id))
		return true;
	map_for_each (&w->tasks, id, t)
		if (t != but && uses(t->task, network_id))
			return true;
	return false;
}

void task_networks_drop(struct worker *w, const struct task *t)
{
	for (size_t i = 0; w->opt.nets && i < t->task->n_networks; i++) {
		const Pb__Network *n = t->task->networks[i]->network;

		if (n && n->spec && !predefined(n) && !needed(w, n->id, t))
			drop(w, n->id);
	}
}

void worker_networks_sweep(struct worker *w)
{
	if (!w->opt.nets)
		return;
	for (struct network *next, *n = nets_next(w->opt.nets, NULL); n; n = next) {
		next = nets_next(w->opt.nets, n);
		if (net_is_swarm(n) && !needed(w, net_id(n), NULL))
			drop(w, net_id(n));
	}
}

/* Networks that are here already get this node's address in them as it becomes known. */
static void refresh_networks(struct worker *w)
{
	for (size_t i = 0; i < w->node->n_attachments; i++) {
		const Pb__Network *n = w->node->attachments[i]->network;
		struct err err = ERR_INIT;

		if (n && n->spec && !n->spec->ingress && nets_find(w->opt.nets, n->id, NULL) &&
		    make_network(w, n, &err))
			log_warn("network %s is not brought up to date: %s", n->id, err.msg);
	}
}

void worker_ingress(struct worker *w)
{
	const Pb__Network *ingress = NULL;
	struct err err = ERR_INIT;

	if (!w->opt.nets || !w->node)
		return;
	refresh_networks(w);
	for (size_t i = 0; i < w->node->n_attachments; i++) {
		const Pb__Network *n = w->node->attachments[i]->network;

		if (n && n->spec && n->spec->ingress)
			ingress = n;
	}
	if (w->ingress_id && (!ingress || !streq(ingress->id, w->ingress_id))) {
		_cleanup_free_ char *old = steal_ptr(w->ingress_id);

		drop(w, old);
	}
	if (!ingress)
		return;
	if (make_network(w, ingress, &err)) {
		log_warn("published ports do not work on this node: %s", err.msg);
		return;
	}
	free(w->ingress_id);
	w->ingress_id = xstrdup(ingress->id);
}

bool task_serves(const Pb__Task *task)
{
	return task->endpoint && (task->endpoint->n_virtual_ips || task->endpoint->n_ports) &&
	       task->n_networks;
}

static void add_bindings(Pb__PortStatus *ps, const Pb__PortConfig *p, json_t *bindings)
{
	json_t *b;
	size_t i;

	json_array_foreach (bindings, i, b) {
		const char *text = json_string_value(json_object_get(b, "HostPort"));
		Pb__PortConfig *out;
		uint64_t port;

		if (!text || parse_u64(text, 1, 65535, &port))
			continue;
		out = pb_new(pb__port_config);
		pb_set_str(&out->name, p->name);
		out->protocol = p->protocol;
		out->target_port = p->target_port;
		out->published_port = port;
		out->publish_mode = PB__PORT_CONFIG__PUBLISH_MODE__HOST;
		pb_append(&ps->n_ports, &ps->ports, out);
		return; /* the others are the same port at other addresses */
	}
}

Pb__PortStatus *task_ports(const Pb__Task *task, struct ctr *ctr)
{
	static const char *const protocols[] = {"tcp", "udp", "sctp"};
	Pb__PortStatus *ps = NULL;
	json_t *info = NULL;

	for (size_t i = 0; task->endpoint && i < task->endpoint->n_ports; i++) {
		const Pb__PortConfig *p = task->endpoint->ports[i];
		_cleanup_free_ char *key = NULL;

		if (p->publish_mode != PB__PORT_CONFIG__PUBLISH_MODE__HOST ||
		    (size_t)p->protocol >= ARRAY_SIZE(protocols))
			continue;
		if (!info)
			info = ctr_inspect(ctr, false);
		key = xasprintf("%u/%s", p->target_port, protocols[p->protocol]);
		pb_need(&ps, pb__port_status);
		add_bindings(
			ps, p,
			json_object_get(
				json_object_get(json_object_get(info, "NetworkSettings"), "Ports"),
				key));
	}
	json_decref(info);
	return ps;
}
