// SPDX-License-Identifier: Apache-2.0
#include "node/container.h"

#include <errno.h>
#include <stdio.h>

#include "wire/pb.h"

static const char system_prefix[] = "com.docker.swarm.";

char *container_name(const Pb__Task *t)
{
	const char *service = t->service_annotations ? t->service_annotations->name : "";

	if (t->annotations && !str_empty(t->annotations->name))
		return xstrdup(t->annotations->name);
	if (t->slot)
		return xasprintf("%s.%llu.%s", service, (unsigned long long)t->slot, t->id);
	return xasprintf("%s.%s.%s", service, t->node_id, t->id);
}

int container_stop_timeout(const Pb__Task *t)
{
	const Pb__Duration *d = t->spec->container->stop_grace_period;

	return d ? (pb_duration_ns(d) + 999999999) / 1000000000 : -1;
}

struct maker {
	const Pb__Task *task;
	const Pb__ContainerSpec *spec;
	struct container_names names;
	struct err *err;
	int rc; /* the first error */
};

/* A string with its placeholders replaced. */
static json_t *expanded(struct maker *m, const char *text)
{
	_cleanup_buf_ struct buf out = BUF_INIT;

	if (!m->rc)
		m->rc = template_expand(&m->names.tmpl, text, &out, m->err);
	return json_string(out.data);
}

static json_t *strings(char **v, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, json_string(v[i]));
	return a;
}

json_t *container_labels(Pb__Label **v, size_t n)
{
	json_t *o = json_object();

	for (size_t i = 0; i < n; i++)
		json_object_set_new(o, v[i]->key, json_string(v[i]->value));
	return o;
}

static void set_str(json_t *o, const char *key, const char *value)
{
	if (!str_empty(value))
		json_object_set_new(o, key, json_string(value));
}

static void set_strings(json_t *o, const char *key, char **v, size_t n)
{
	if (n)
		json_object_set_new(o, key, strings(v, n));
}

static json_t *labels_of(struct maker *m)
{
	const Pb__Task *t = m->task;
	json_t *o = container_labels(m->spec->labels, m->spec->n_labels);
	const struct {
		const char *key, *value;
	} system[] = {
		{"task", ""},
		{"task.id", t->id},
		{"task.name", m->names.task},
		{"node.id", t->node_id},
		{"service.id", t->service_id},
		{"service.name", t->service_annotations->name},
	};

	for (size_t i = 0; i < ARRAY_SIZE(system); i++) {
		char key[64];

		snprintf(key, sizeof(key), "%s%s", system_prefix, system[i].key);
		json_object_set_new(o, key, json_string(system[i].value));
	}
	return o;
}

static const char *protocol_name(Pb__PortConfig__Protocol p)
{
	return p == PB__PORT_CONFIG__PROTOCOL__UDP    ? "udp"
	       : p == PB__PORT_CONFIG__PROTOCOL__SCTP ? "sctp"
						      : "tcp";
}

static void add_ports(struct maker *m, json_t *config, json_t *host)
{
	const Pb__Endpoint *ep = m->task->endpoint;
	json_t *exposed = json_object(), *bindings = json_object();

	for (size_t i = 0; ep && i < ep->n_ports; i++) {
		const Pb__PortConfig *p = ep->ports[i];
		char key[32], published[16] = "";
		json_t *list;

		snprintf(key, sizeof(key), "%u/%s", p->target_port, protocol_name(p->protocol));
		json_object_set_new(exposed, key, json_object());
		if (p->publish_mode != PB__PORT_CONFIG__PUBLISH_MODE__HOST)
			continue;
		if (p->published_port)
			snprintf(published, sizeof(published), "%u", p->published_port);
		list = json_object_get(bindings, key);
		if (!list)
			json_object_set_new(bindings, key, list = json_array());
		json_array_append_new(list,
				      json_pack("{s:s, s:s}", "HostIp", "", "HostPort", published));
	}
	json_object_set_new(config, "ExposedPorts", exposed);
	json_object_set_new(host, "PortBindings", bindings);
}

static void add_health(const Pb__HealthConfig *h, json_t *config)
{
	json_t *o;

	if (!h)
		return;
	o = json_pack("{s:o, s:I, s:I, s:i, s:I, s:I}", "Test", strings(h->test, h->n_test),
		      "Interval", (json_int_t)pb_duration_ns(h->interval), "Timeout",
		      (json_int_t)pb_duration_ns(h->timeout), "Retries", h->retries, "StartPeriod",
		      (json_int_t)pb_duration_ns(h->start_period), "StartInterval",
		      (json_int_t)pb_duration_ns(h->start_interval));
	json_object_set_new(config, "Healthcheck", o);
}

static json_t *mount_json(struct maker *m, const Pb__Mount *mt)
{
	static const char *const types[] = {"bind", "volume", "tmpfs", "npipe", "cluster"};
	static const char *const propagation[] = {"rprivate", "private", "rshared",
						  "shared",   "rslave",	 "slave"};
	json_t *o = json_pack("{s:s, s:o, s:o, s:b}", "Type", types[mt->type], "Source",
			      expanded(m, mt->source), "Target", expanded(m, mt->target),
			      "ReadOnly", mt->readonly);

	if (mt->bind_options)
		json_object_set_new(
			o, "BindOptions",
			json_pack("{s:s, s:b, s:b, s:b, s:b}", "Propagation",
				  propagation[mt->bind_options->propagation], "NonRecursive",
				  mt->bind_options->nonrecursive, "CreateMountpoint",
				  mt->bind_options->create_mountpoint, "ReadOnlyNonRecursive",
				  mt->bind_options->readonly_nonrecursive, "ReadOnlyForceRecursive",
				  mt->bind_options->readonly_force_recursive));
	if (mt->volume_options) {
		const Pb__Mount__VolumeOptions *v = mt->volume_options;
		json_t *opts = json_pack("{s:b, s:s}", "NoCopy", v->nocopy, "Subpath", v->subpath),
		       *l = json_object();

		for (size_t i = 0; i < v->n_labels; i++)
			json_object_set_new(l, v->labels[i]->key, expanded(m, v->labels[i]->value));
		json_object_set_new(opts, "Labels", l);
		if (v->driver_config) {
			json_t *d = json_object();

			for (size_t i = 0; i < v->driver_config->n_options; i++)
				json_object_set_new(
					d, v->driver_config->options[i]->key,
					expanded(m, v->driver_config->options[i]->value));
			json_object_set_new(opts, "DriverConfig",
					    json_pack("{s:s, s:o}", "Name", v->driver_config->name,
						      "Options", d));
		}
		json_object_set_new(o, "VolumeOptions", opts);
	}
	if (mt->tmpfs_options)
		json_object_set_new(o, "TmpfsOptions",
				    json_pack("{s:I, s:i}", "SizeBytes",
					      (json_int_t)mt->tmpfs_options->size_bytes, "Mode",
					      (int)mt->tmpfs_options->mode));
	return o;
}

static void add_mounts(struct maker *m, json_t *host)
{
	json_t *mounts = json_array();

	for (size_t i = 0; i < m->spec->n_mounts; i++)
		json_array_append_new(mounts, mount_json(m, m->spec->mounts[i]));
	json_object_set_new(host, "Mounts", mounts);
}

/* "address name alias…" as services have it, to "name:address" as containers have it. */
static void add_hosts(struct maker *m, json_t *host)
{
	json_t *extra = json_array();

	for (size_t i = 0; i < m->spec->n_hosts; i++) {
		_cleanup_free_ char *line = xstrdup(m->spec->hosts[i]);
		char *save, *addr = strtok_r(line, " \t", &save), *name;

		while (addr && (name = strtok_r(NULL, " \t", &save)))
			json_array_append_new(extra, json_sprintf("%s:%s", name, addr));
	}
	json_object_set_new(host, "ExtraHosts", extra);
}

static void add_resources(const Pb__ResourceRequirements *r, const Pb__ContainerSpec *spec,
			  json_t *host)
{
	if (r && r->limits) {
		if (r->limits->memory_bytes)
			json_object_set_new(host, "Memory", json_integer(r->limits->memory_bytes));
		if (r->limits->nano_cpus)
			json_object_set_new(host, "NanoCpus", json_integer(r->limits->nano_cpus));
	}
	if (r && r->reservations && r->reservations->memory_bytes)
		json_object_set_new(host, "MemoryReservation",
				    json_integer(r->reservations->memory_bytes));
	if (r && r->swap_bytes && r->limits && r->limits->memory_bytes)
		json_object_set_new(
			host, "MemorySwap",
			json_integer(r->swap_bytes->value < 0
					     ? -1
					     : r->limits->memory_bytes + r->swap_bytes->value));
	if (r && r->memory_swappiness)
		json_object_set_new(host, "MemorySwappiness",
				    json_integer(r->memory_swappiness->value));
	if (spec->pids_limit)
		json_object_set_new(host, "PidsLimit", json_integer(spec->pids_limit));
}

static void add_privileges(const Pb__Privileges *p, json_t *host)
{
	json_t *opts = json_array();

	if (p && p->no_new_privileges)
		json_array_append_new(opts, json_string("no-new-privileges=true"));
	if (p && p->seccomp &&
	    p->seccomp->mode == PB__PRIVILEGES__SECCOMP_OPTS__SECCOMP_MODE__UNCONFINED)
		json_array_append_new(opts, json_string("seccomp=unconfined"));
	if (p && p->seccomp &&
	    p->seccomp->mode == PB__PRIVILEGES__SECCOMP_OPTS__SECCOMP_MODE__CUSTOM)
		json_array_append_new(opts,
				      json_sprintf("seccomp=%.*s", (int)p->seccomp->profile.len,
						   (const char *)p->seccomp->profile.data));
	if (p && p->apparmor &&
	    p->apparmor->mode == PB__PRIVILEGES__APP_ARMOR_OPTS__APP_ARMOR_MODE__DISABLED)
		json_array_append_new(opts, json_string("apparmor=unconfined"));
	if (p && p->selinux_context && p->selinux_context->disable)
		json_array_append_new(opts, json_string("label=disable"));
	json_object_set_new(host, "SecurityOpt", opts);
}

static json_t *ingress_ports(const Pb__Endpoint *ep)
{
	json_t *a = json_array();

	for (size_t i = 0; ep && i < ep->n_ports; i++) {
		const Pb__PortConfig *p = ep->ports[i];

		if (p->publish_mode == PB__PORT_CONFIG__PUBLISH_MODE__INGRESS && p->published_port)
			json_array_append_new(a,
					      json_pack("{s:s, s:i, s:i}", "protocol",
							protocol_name(p->protocol), "target_port",
							(int)p->target_port, "published_port",
							(int)p->published_port));
	}
	return a;
}

/* The service's VIP on a network without its prefix length, or "". */
static char *vip_on(const Pb__Endpoint *ep, const char *network_id)
{
	for (size_t i = 0; ep && i < ep->n_virtual_ips; i++) {
		const Pb__Endpoint__VirtualIP *v = ep->virtual_ips[i];

		if (streq(v->network_id, network_id))
			return xstrndup(v->addr, strcspn(v->addr, "/"));
	}
	return xstrdup("");
}

static json_t *endpoint_json(struct maker *m, const Pb__NetworkAttachment *a)
{
	const Pb__Network *net = a->network;
	_cleanup_free_ char *vip = vip_on(m->task->endpoint, net->id);
	bool ingress = net->spec->ingress;
	json_t *ipam = json_object(), *aliases = json_array(), *swarm;

	for (size_t i = 0; i < a->n_addresses; i++) {
		const char *addr = a->addresses[i];

		json_object_set_new(ipam, strchr(addr, ':') ? "IPv6Address" : "IPv4Address",
				    json_stringn(addr, strcspn(addr, "/")));
	}
	if (!ingress)
		for (size_t i = 0; i < a->n_aliases; i++)
			json_array_append_new(aliases, json_string(a->aliases[i]));
	swarm = json_pack("{s:s, s:s, s:s, s:s, s:s, s:O, s:o}", "service_id", m->task->service_id,
			  "service_name", m->task->service_annotations->name, "task_id",
			  m->task->id, "task_name", m->names.task, "vip", vip, "aliases", aliases,
			  "ports", ingress ? ingress_ports(m->task->endpoint) : json_array());
	return json_pack("{s:o, s:o, s:o, s:o}", "IPAMConfig", ipam, "Aliases", aliases,
			 "DriverOpts",
			 container_labels(a->driver_attachment_opts, a->n_driver_attachment_opts),
			 "Swarm", swarm);
}

static bool is_predefined(const Pb__Network *net)
{
	const Pb__Annotations *a = net->spec->annotations;

	return streq(pb_label(a->labels, a->n_labels, "com.docker.swarm.predefined"), "true");
}

static void add_networks(struct maker *m, json_t *body, json_t *host)
{
	json_t *endpoints = json_object();
	const char *mode = "default";

	for (size_t i = 0; i < m->task->n_networks; i++) {
		const Pb__NetworkAttachment *a = m->task->networks[i];

		if (!a->network || !a->network->spec)
			continue;
		if (is_predefined(a->network)) {
			mode = a->network->spec->annotations->name;
			continue;
		}
		json_object_set_new(endpoints, a->network->id, endpoint_json(m, a));
		if (!strcmp(mode, "default") || !a->network->spec->ingress)
			mode = a->network->id;
	}
	json_object_set_new(host, "NetworkMode", json_string(mode));
	json_object_set_new(body, "NetworkingConfig",
			    json_pack("{s:o}", "EndpointsConfig", endpoints));
}

static void add_log(const Pb__Driver *d, json_t *host)
{
	if (d)
		json_object_set_new(host, "LogConfig",
				    json_pack("{s:s, s:o}", "Type", d->name, "Config",
					      container_labels(d->options, d->n_options)));
}

static json_t *host_config(struct maker *m)
{
	const Pb__ContainerSpec *s = m->spec;
	json_t *host = json_object(), *ulimits = json_array();

	add_mounts(m, host);
	add_hosts(m, host);
	add_resources(m->task->spec->resources, s, host);
	add_privileges(s->privileges, host);
	add_log(m->task->log_driver ? m->task->log_driver : m->task->spec->log_driver, host);
	json_object_set_new(host, "ReadonlyRootfs", json_boolean(s->read_only));
	set_strings(host, "GroupAdd", s->groups, s->n_groups);
	set_strings(host, "CapAdd", s->capability_add, s->n_capability_add);
	set_strings(host, "CapDrop", s->capability_drop, s->n_capability_drop);
	if (s->dns_config) {
		set_strings(host, "Dns", s->dns_config->nameservers, s->dns_config->n_nameservers);
		set_strings(host, "DnsSearch", s->dns_config->search, s->dns_config->n_search);
		set_strings(host, "DnsOptions", s->dns_config->options, s->dns_config->n_options);
	}
	if (s->init)
		json_object_set_new(host, "Init", json_boolean(s->init->value));
	if (s->n_sysctls)
		json_object_set_new(host, "Sysctls", container_labels(s->sysctls, s->n_sysctls));
	for (size_t i = 0; i < s->n_ulimits; i++)
		json_array_append_new(ulimits,
				      json_pack("{s:s, s:I, s:I}", "Name", s->ulimits[i]->name,
						"Soft", (json_int_t)s->ulimits[i]->soft, "Hard",
						(json_int_t)s->ulimits[i]->hard));
	json_object_set_new(host, "Ulimits", ulimits);
	if (s->oom_score_adj)
		json_object_set_new(host, "OomScoreAdj", json_integer(s->oom_score_adj));
	return host;
}

void container_names_init(struct container_names *n, const Pb__Task *task,
			  const struct container_context *ctx)
{
	const Pb__Annotations *a = task->service_annotations;

	*n = (struct container_names){.task = container_name(task)};
	snprintf(n->slot, sizeof(n->slot), "%llu", (unsigned long long)task->slot);
	n->labels = xcalloc(a->n_labels, sizeof(*n->labels));
	for (size_t i = 0; i < a->n_labels; i++)
		n->labels[i] = (struct template_label){a->labels[i]->key, a->labels[i]->value};
	n->tmpl = (struct template_context){
		.service_id = task->service_id,
		.service_name = a->name,
		.service_labels = n->labels,
		.n_service_labels = a->n_labels,
		.node_id = task->node_id,
		.node_hostname = ctx->node_hostname,
		.node_os = ctx->node_os,
		.node_arch = ctx->node_arch,
		.task_id = task->id,
		.task_name = n->task,
		.task_slot = task->slot ? n->slot : task->node_id,
	};
}

void container_names_done(struct container_names *n)
{
	free(n->labels);
	free(n->task);
}

int container_body(const Pb__Task *task, const struct container_context *ctx, json_t **ret,
		   struct err *err)
{
	const Pb__ContainerSpec *s = task->spec->container;
	struct maker m = {.task = task, .spec = s, .err = err};
	json_t *body, *host, *env;

	if (task->spec->runtime_case != PB__TASK_SPEC__RUNTIME_CONTAINER)
		return err_set(err, -EINVAL, "task %s does not run a container", task->id);
	env = json_array();
	container_names_init(&m.names, task, ctx);
	for (size_t i = 0; i < s->n_env; i++)
		json_array_append_new(env, expanded(&m, s->env[i]));
	body = json_pack("{s:s, s:o, s:o, s:b, s:b, s:b, s:b}", "Image", s->image, "Labels",
			 labels_of(&m), "Env", env, "Tty", s->tty, "OpenStdin", s->open_stdin,
			 "StdinOnce", 0, "SwarmEphemeral", 1);
	if (!str_empty(s->hostname))
		json_object_set_new(body, "Hostname", expanded(&m, s->hostname));
	host = host_config(&m);
	set_str(body, "User", s->user);
	set_str(body, "WorkingDir", s->dir);
	set_str(body, "StopSignal", s->stop_signal);
	set_strings(body, "Entrypoint", s->command, s->n_command);
	set_strings(body, "Cmd", s->args, s->n_args);
	if (container_stop_timeout(task) >= 0)
		json_object_set_new(body, "StopTimeout",
				    json_integer(container_stop_timeout(task)));
	add_health(s->healthcheck, body);
	add_ports(&m, body, host);
	add_networks(&m, body, host);
	json_object_set_new(body, "HostConfig", host);
	container_names_done(&m.names);
	if (m.rc) {
		json_decref(body);
		return m.rc;
	}
	*ret = body;
	return 0;
}
