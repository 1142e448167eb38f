// SPDX-License-Identifier: Apache-2.0
#include "manager/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "core/map.h"
#include "image/reference.h"
#include "manager/ca.h"
#include "node/template.h"
#include "rpc/grpc.h"
#include "sched/constraint.h"
#include "wire/pb.h"

enum {
	DNS_LABEL_MAX = 63,
	FILE_NAME_MAX = 64,
	NANO_CPUS_MIN = 1000000,
	MEMORY_MIN = 4 << 20,
	SECRET_MAX = 500 * 1024,
	CONFIG_MAX = 1000 * 1024,
};

static bool alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Letters and digits, between them also the characters of more. */
static bool name_valid(const char *s, const char *more)
{
	size_t len = strlen(s);

	if (!len || !alnum(s[0]) || !alnum(s[len - 1]))
		return false;
	for (; *s; s++)
		if (!alnum(*s) && !strchr(more, *s))
			return false;
	return true;
}

int check_dns_name(const Pb__Annotations *a, struct err *err)
{
	if (!a || str_empty(a->name))
		return grpc_err(err, GRPC_INVALID_ARGUMENT, "meta: name must be provided");
	if (!name_valid(a->name, "-_"))
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"name must be valid as a DNS name component");
	if (strlen(a->name) > DNS_LABEL_MAX)
		return grpc_err(err, GRPC_INVALID_ARGUMENT, "name must be 63 characters or fewer");
	return 0;
}

int check_file_name(const Pb__Annotations *a, struct err *err)
{
	if (!a || str_empty(a->name))
		return grpc_err(err, GRPC_INVALID_ARGUMENT, "name must be provided");
	if (strlen(a->name) > FILE_NAME_MAX || !name_valid(a->name, "-_."))
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, "
				"and the start and end "
				"character must be [a-zA-Z0-9]");
	return 0;
}

/* --- the task --- */

static int check_resources(const Pb__Resources *r, struct err *err)
{
	if (!r)
		return 0;
	if (r->nano_cpus && r->nano_cpus < NANO_CPUS_MIN)
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"invalid cpu value %g: Must be at least %g",
				(double)r->nano_cpus / 1e9, NANO_CPUS_MIN / 1e9);
	if (r->memory_bytes && r->memory_bytes < MEMORY_MIN)
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"invalid memory value %lld: Must be at least 4MiB",
				(long long)r->memory_bytes);
	for (size_t i = 0; i < r->n_generic; i++) {
		const Pb__GenericResource *g = r->generic[i];

		if (g->resource_case == PB__GENERIC_RESOURCE__RESOURCE_NAMED)
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"invalid argument: task %s must be discrete, not named",
					g->named->kind);
		if (g->resource_case != PB__GENERIC_RESOURCE__RESOURCE_DISCRETE ||
		    str_empty(g->discrete->kind))
			return grpc_err(
				err, GRPC_INVALID_ARGUMENT,
				"invalid generic resource: a kind and a value must be provided");
		if (g->discrete->value < 0)
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"invalid generic resource %s: value cannot be negative",
					g->discrete->kind);
	}
	return 0;
}

static int check_restart(const Pb__RestartPolicy *r, struct err *err)
{
	if (r && pb_duration_ns(r->delay) < 0)
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"TaskSpec: restart-delay cannot be negative");
	if (r && pb_duration_ns(r->window) < 0)
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"TaskSpec: restart-window cannot be negative");
	return 0;
}

static int check_placement(const Pb__Placement *p, struct err *err)
{
	struct constraints c = {0};
	struct err why = ERR_INIT;
	int rc;

	if (!p)
		return 0;
	rc = constraints_parse(p->constraints, p->n_constraints, &c, &why);
	constraints_done(&c);
	if (rc)
		return grpc_err(err, GRPC_INVALID_ARGUMENT, "%s", why.msg);
	for (size_t i = 0; i < p->n_preferences; i++) {
		const Pb__PlacementPreference *f = p->preferences[i];

		if (f->preference_case != PB__PLACEMENT_PREFERENCE__PREFERENCE_SPREAD ||
		    str_empty(f->spread->spread_descriptor))
			return grpc_err(
				err, GRPC_INVALID_ARGUMENT,
				"TaskSpec: a placement preference needs a spread descriptor");
	}
	return 0;
}

static bool templated(const char *s)
{
	return strstr(s, "{{") != NULL;
}

static int check_mount(const Pb__Mount *m, struct err *err)
{
	if (str_empty(m->target))
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"invalid mount target, must not be empty");
	if (m->target[0] != '/' && !templated(m->target))
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"invalid mount target, must be an absolute path: %s", m->target);
	switch (m->type) {
	case PB__MOUNT__TYPE__BIND:
		if (m->source[0] != '/' && !templated(m->source))
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"invalid bind mount source, must be an absolute path: %s",
					m->source);
		break;
	case PB__MOUNT__TYPE__VOLUME:
		if (m->source[0] == '/')
			return grpc_err(
				err, GRPC_INVALID_ARGUMENT,
				"invalid volume mount source, must not be an absolute path: %s",
				m->source);
		break;
	case PB__MOUNT__TYPE__TMPFS:
		if (!str_empty(m->source))
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"invalid tmpfs source, source must be empty");
		if (m->tmpfs_options && m->tmpfs_options->size_bytes < 0)
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"invalid tmpfs size, must not be negative: %lld",
					(long long)m->tmpfs_options->size_bytes);
		break;
	case PB__MOUNT__TYPE__CLUSTER:
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"invalid mount type: volumes of the cluster need a CSI "
				"plugin, which is not supported");
	default:
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"invalid mount type: named pipes are not supported on linux");
	}
	return 0;
}

static int check_health(const Pb__HealthConfig *h, struct err *err)
{
	const struct {
		const char *name;
		const Pb__Duration *d;
	} times[] = {
		{"Interval", h ? h->interval : NULL},
		{"Timeout", h ? h->timeout : NULL},
		{"StartPeriod", h ? h->start_period : NULL},
		{"StartInterval", h ? h->start_interval : NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		int64_t ns = pb_duration_ns(times[i].d);

		if (ns && ns < 1000000)
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"ContainerSpec: %s in HealthConfig cannot be less than 1ms",
					times[i].name);
	}
	if (h && h->retries < 0)
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"ContainerSpec: Retries in HealthConfig cannot be negative");
	return 0;
}

static bool target_name_valid(const char *s)
{
	return !str_empty(s) && strcmp(s, ".") && strcmp(s, "..") && s[strlen(s) - 1] != '/';
}

/* Every secret (or config) needs a target of its own. */
static int check_target(struct map *seen, const char *what, const char *name,
			const Pb__FileTarget *file, struct err *err)
{
	const char *other;

	if (!target_name_valid(file->name))
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"malformed file %s reference, invalid target file name provided",
				what);
	other = map_get(seen, file->name);
	if (other)
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"%s references '%s' and '%s' have a conflicting target: '%s'", what,
				other, name, file->name);
	map_put(seen, file->name, (void *)name);
	return 0;
}

static int check_secret_refs(const Pb__ContainerSpec *c, struct err *err)
{
	struct map seen = MAP_INIT;
	int rc = 0;

	for (size_t i = 0; !rc && i < c->n_secrets; i++) {
		const Pb__SecretReference *r = c->secrets[i];

		if (str_empty(r->secret_id) || str_empty(r->secret_name))
			rc = grpc_err(err, GRPC_INVALID_ARGUMENT, "malformed secret reference");
		else if (r->target_case != PB__SECRET_REFERENCE__TARGET_FILE)
			rc = grpc_err(err, GRPC_INVALID_ARGUMENT,
				      "malformed secret reference, no target provided");
		else
			rc = check_target(&seen, "secret", r->secret_name, r->file, err);
	}
	map_done(&seen);
	return rc;
}

static int check_config_refs(const Pb__ContainerSpec *c, struct err *err)
{
	struct map seen = MAP_INIT;
	int rc = 0;

	for (size_t i = 0; !rc && i < c->n_configs; i++) {
		const Pb__ConfigReference *r = c->configs[i];

		if (str_empty(r->config_id) || str_empty(r->config_name))
			rc = grpc_err(err, GRPC_INVALID_ARGUMENT, "malformed config reference");
		else if (!r->target_case)
			rc = grpc_err(err, GRPC_INVALID_ARGUMENT,
				      "malformed config reference, no target provided");
		else if (r->target_case == PB__CONFIG_REFERENCE__TARGET_FILE)
			rc = check_target(&seen, "config", r->config_name, r->file, err);
	}
	map_done(&seen);
	return rc;
}

/* Whether the text's placeholders are known. */
static int check_template(const char *text, struct err *err)
{
	static const struct template_context ctx = {
		.service_id = "id",
		.service_name = "name",
		.node_id = "id",
		.node_hostname = "host",
		.node_os = "linux",
		.node_arch = "x86_64",
		.task_id = "id",
		.task_name = "name.1.id",
		.task_slot = "1",
	};
	_cleanup_buf_ struct buf out = BUF_INIT;
	struct err why = ERR_INIT;

	if (str_empty(text) || !templated(text) || !template_expand(&ctx, text, &out, &why))
		return 0;
	return grpc_err(err, GRPC_INVALID_ARGUMENT, "%s", why.msg);
}

static int check_templates(const Pb__ContainerSpec *c, struct err *err)
{
	int rc = check_template(c->hostname, err);

	for (size_t i = 0; !rc && i < c->n_env; i++)
		rc = check_template(c->env[i], err);
	for (size_t i = 0; !rc && i < c->n_mounts; i++) {
		rc = check_template(c->mounts[i]->source, err);
		if (!rc)
			rc = check_template(c->mounts[i]->target, err);
	}
	return rc;
}

static int check_container(const Pb__ContainerSpec *c, struct err *err)
{
	struct map targets = MAP_INIT;
	struct reference r;
	int rc = 0;

	if (str_empty(c->image))
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"ContainerSpec: image reference must be provided");
	if (reference_parse(c->image, &r, NULL))
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"ContainerSpec: \"%.200s\" is not a valid repository/tag",
				c->image);
	for (size_t i = 0; !rc && i < c->n_mounts; i++) {
		rc = check_mount(c->mounts[i], err);
		if (!rc && map_put(&targets, c->mounts[i]->target, (void *)c))
			rc = grpc_err(err, GRPC_INVALID_ARGUMENT,
				      "ContainerSpec: duplicate mount point: %s",
				      c->mounts[i]->target);
	}
	map_done(&targets);
	for (size_t i = 0; !rc && i < c->n_env; i++)
		if (c->env[i][0] == '=' || !c->env[i][0])
			rc = grpc_err(err, GRPC_INVALID_ARGUMENT,
				      "ContainerSpec: invalid environment variable: %s", c->env[i]);
	if (!rc && pb_duration_ns(c->stop_grace_period) < 0)
		rc = grpc_err(err, GRPC_INVALID_ARGUMENT,
			      "ContainerSpec: StopGracePeriod cannot be negative");
	if (!rc && c->pids_limit < -1)
		rc = grpc_err(err, GRPC_INVALID_ARGUMENT,
			      "ContainerSpec: invalid limit of pids: %lld",
			      (long long)c->pids_limit);
	if (!rc)
		rc = check_health(c->healthcheck, err);
	if (!rc)
		rc = check_secret_refs(c, err);
	if (!rc)
		rc = check_config_refs(c, err);
	if (!rc)
		rc = check_templates(c, err);
	return rc;
}

static int check_task(const Pb__TaskSpec *t, struct err *err)
{
	int rc = 0;

	if (!t || !t->runtime_case)
		return grpc_err(err, GRPC_INVALID_ARGUMENT, "TaskSpec: missing runtime");
	if (t->resources)
		rc = check_resources(t->resources->limits, err);
	if (!rc && t->resources)
		rc = check_resources(t->resources->reservations, err);
	if (!rc && t->resources && t->resources->memory_swappiness &&
	    (t->resources->memory_swappiness->value < -1 ||
	     t->resources->memory_swappiness->value > 100))
		rc = grpc_err(err, GRPC_INVALID_ARGUMENT,
			      "invalid memory swappiness %lld: must be between 0 and 100, or -1",
			      (long long)t->resources->memory_swappiness->value);
	if (!rc)
		rc = check_restart(t->restart, err);
	if (!rc)
		rc = check_placement(t->placement, err);
	if (rc || t->runtime_case == PB__TASK_SPEC__RUNTIME_CONTAINER)
		return rc ? rc : check_container(t->container, err);
	return grpc_err(err, GRPC_UNIMPLEMENTED,
			"TaskSpec: services of plugins and of attachments are not supported");
}

/* --- the service around it --- */

static int check_update(const Pb__UpdateConfig *u, struct err *err)
{
	if (!u)
		return 0;
	if (pb_duration_ns(u->delay) < 0)
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"TaskSpec: update-delay cannot be negative");
	if (pb_duration_ns(u->monitor) < 0)
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"TaskSpec: update-monitor cannot be negative");
	if (!(u->max_failure_ratio >= 0 && u->max_failure_ratio <= 1))
		return grpc_err(
			err, GRPC_INVALID_ARGUMENT,
			"TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1");
	return 0;
}

static int check_endpoint(const Pb__EndpointSpec *e, struct err *err)
{
	for (size_t i = 0; e && i < e->n_ports; i++) {
		const Pb__PortConfig *p = e->ports[i];

		if (e->mode == PB__ENDPOINT_SPEC__RESOLUTION_MODE__DNSRR &&
		    p->publish_mode == PB__PORT_CONFIG__PUBLISH_MODE__INGRESS)
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"EndpointSpec: port published with ingress mode "
					"can't be used with dnsrr mode");
		if (p->target_port < 1 || p->target_port > UINT16_MAX)
			return grpc_err(
				err, GRPC_INVALID_ARGUMENT,
				"EndpointSpec: invalid target port %u: must be between 1 and 65535",
				p->target_port);
		if (p->published_port > UINT16_MAX)
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"EndpointSpec: invalid published port %u: must be "
					"between 1 and 65535",
					p->published_port);
		for (size_t k = 0; p->published_port && k < i; k++)
			if (e->ports[k]->published_port == p->published_port &&
			    e->ports[k]->protocol == p->protocol)
				return grpc_err(err, GRPC_INVALID_ARGUMENT,
						"EndpointSpec: duplicate published ports provided");
	}
	return 0;
}

static int check_mode(const Pb__ServiceSpec *s, struct err *err)
{
	switch (s->mode_case) {
	case PB__SERVICE_SPEC__MODE_REPLICATED:
	case PB__SERVICE_SPEC__MODE_GLOBAL:
		return 0;
	case PB__SERVICE_SPEC__MODE_REPLICATED_JOB:
	case PB__SERVICE_SPEC__MODE_GLOBAL_JOB:
		if (s->update)
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"update config is not allowed for job-mode services");
		return 0;
	default:
		return grpc_err(err, GRPC_INVALID_ARGUMENT, "Unrecognized service mode");
	}
}

int check_service_spec(const Pb__ServiceSpec *s, struct err *err)
{
	int rc = check_dns_name(s->annotations, err);

	if (!rc)
		rc = check_task(s->task, err);
	if (!rc)
		rc = check_mode(s, err);
	if (!rc)
		rc = check_update(s->update, err);
	if (!rc)
		rc = check_update(s->rollback, err);
	if (!rc)
		rc = check_endpoint(s->endpoint, err);
	return rc;
}

/* --- against the store --- */

static const Pb__PortConfig *port_of(Pb__PortConfig *const *ports, size_t n,
				     const Pb__PortConfig *want)
{
	for (size_t i = 0; i < n; i++)
		if (ports[i]->publish_mode == PB__PORT_CONFIG__PUBLISH_MODE__INGRESS &&
		    ports[i]->published_port == want->published_port &&
		    ports[i]->protocol == want->protocol)
			return ports[i];
	return NULL;
}

static int check_port(struct store *store, const Pb__PortConfig *p, const char *service_id,
		      struct err *err)
{
	const Pb__Service *s;

	for (struct store_iter i = store_all(store, STORE_SERVICE); (s = store_next(&i));) {
		const Pb__EndpointSpec *spec = s->spec ? s->spec->endpoint : NULL;

		if (service_id && !strcmp(s->id, service_id))
			continue;
		if ((spec && port_of(spec->ports, spec->n_ports, p)) ||
		    (s->endpoint && port_of(s->endpoint->ports, s->endpoint->n_ports, p)))
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"port '%u' is already in use by service '%s' (%s) as an "
					"ingress port",
					p->published_port, store_name(s), s->id);
	}
	return 0;
}

static int check_ports(struct store *store, const Pb__ServiceSpec *s, const char *service_id,
		       struct err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && s->endpoint && i < s->endpoint->n_ports; i++) {
		const Pb__PortConfig *p = s->endpoint->ports[i];

		if (p->published_port && p->publish_mode == PB__PORT_CONFIG__PUBLISH_MODE__INGRESS)
			rc = check_port(store, p, service_id, err);
	}
	return rc;
}

static int check_existence(struct store *store, const Pb__ContainerSpec *c, struct err *err)
{
	_cleanup_buf_ struct buf missing = BUF_INIT;
	size_t n = 0;

	for (size_t i = 0; i < c->n_secrets; i++)
		if (!store_secret(store, c->secrets[i]->secret_id))
			buf_printf(&missing, "%s%s", n++ ? ", " : "", c->secrets[i]->secret_name);
	if (n)
		return grpc_err(err, GRPC_INVALID_ARGUMENT, "secret%s not found: %.400s",
				n > 1 ? "s" : "", missing.data);
	for (size_t i = 0; i < c->n_configs; i++)
		if (!store_config(store, c->configs[i]->config_id))
			buf_printf(&missing, "%s%s", n++ ? ", " : "", c->configs[i]->config_name);
	if (n)
		return grpc_err(err, GRPC_INVALID_ARGUMENT, "config%s not found: %.400s",
				n > 1 ? "s" : "", missing.data);
	return 0;
}

static int resolve_networks(struct store *store, Pb__NetworkAttachmentConfig **nets, size_t n,
			    struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const Pb__Network *net;
		int rc =
			store_find(store, STORE_NETWORK, nets[i]->target, (const void **)&net, err);

		if (rc)
			return rc;
		if (net->spec && net->spec->ingress)
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"Service cannot be explicitly attached to the ingress "
					"network \"%s\"",
					store_name(net));
		pb_set_str(&nets[i]->target, net->id);
		for (size_t k = 0; k < i; k++)
			if (!strcmp(nets[k]->target, net->id))
				return grpc_err(err, GRPC_INVALID_ARGUMENT,
						"network %s is given more than once",
						store_name(net));
	}
	return 0;
}

int check_service_refs(struct store *store, Pb__ServiceSpec *s, const char *service_id,
		       struct err *err)
{
	int rc = resolve_networks(store, s->task->networks, s->task->n_networks, err);

	if (!rc)
		rc = resolve_networks(store, s->networks, s->n_networks, err);
	if (!rc)
		rc = check_ports(store, s, service_id, err);
	if (!rc && s->task->runtime_case == PB__TASK_SPEC__RUNTIME_CONTAINER)
		rc = check_existence(store, s->task->container, err);
	return rc;
}

/* --- networks --- */

static int parse_cidr(const char *text, int *ret_family, uint8_t addr[16], unsigned int *ret_bits)
{
	const char *slash = strchr(text, '/');
	_cleanup_free_ char *ip = slash ? xstrndup(text, slash - text) : NULL;
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	uint64_t bits;

	if (!slash || inet_pton(family, ip, addr) != 1 ||
	    parse_u64(slash + 1, 0, family == AF_INET ? 32 : 128, &bits))
		return -EINVAL;
	*ret_family = family;
	*ret_bits = bits;
	return 0;
}

static bool contains(const uint8_t net[16], unsigned int bits, const uint8_t addr[16])
{
	unsigned int bytes = bits / 8, rest = bits % 8;

	return !memcmp(net, addr, bytes) &&
	       (!rest || !((net[bytes] ^ addr[bytes]) & (0xff00 >> rest)));
}

static int check_ipam(const Pb__IPAMConfig *c, struct err *err)
{
	uint8_t net[16], addr[16];
	int family, other;
	unsigned int bits, range;

	if (str_empty(c->subnet))
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"ipam configuration: subnet must be provided");
	if (parse_cidr(c->subnet, &family, net, &bits))
		return grpc_err(err, GRPC_INVALID_ARGUMENT, "ipam configuration: invalid subnet %s",
				c->subnet);
	if (!str_empty(c->range)) {
		if (parse_cidr(c->range, &other, addr, &range))
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"ipam configuration: invalid range %s", c->range);
		if (other != family || range < bits || !contains(net, bits, addr))
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"ipam configuration: subnet %s does not contain range %s",
					c->subnet, c->range);
	}
	if (!str_empty(c->gateway)) {
		if (inet_pton(family, c->gateway, addr) != 1)
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"ipam configuration: invalid gateway %s", c->gateway);
		if (!contains(net, bits, addr))
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"ipam configuration: subnet %s does not contain gateway %s",
					c->subnet, c->gateway);
	}
	return 0;
}

static const char predefined_label[] = "com.docker.swarm.predefined";

bool check_network_predefined(const Pb__Network *n)
{
	const Pb__Annotations *a = store_annotations(n);

	return a && pb_label(a->labels, a->n_labels, predefined_label);
}

int check_network_spec(const Pb__NetworkSpec *s, struct err *err)
{
	const char *driver = s->driver_config ? s->driver_config->name : "";
	int rc;

	if (s->ingress && !str_empty(driver) && strcmp(driver, "overlay"))
		return grpc_err(err, GRPC_UNIMPLEMENTED,
				"only overlay driver is currently supported for ingress network");
	if (s->attachable && s->ingress)
		return grpc_err(err, GRPC_INVALID_ARGUMENT, "ingress network cannot be attachable");
	rc = check_dns_name(s->annotations, err);
	if (rc)
		return rc;
	if (pb_label(s->annotations->labels, s->annotations->n_labels, predefined_label))
		return grpc_err(err, GRPC_PERMISSION_DENIED,
				"label com.docker.swarm.predefined is for internally "
				"created predefined networks and "
				"cannot be applied by users");
	if (!str_empty(driver) && strcmp(driver, "overlay") && strcmp(driver, "macvlan") &&
	    strcmp(driver, "ipvlan") && strcmp(driver, "bridge"))
		return grpc_err(
			err, GRPC_INVALID_ARGUMENT,
			"driver %s of a network of the swarm is not supported: use overlay, "
			"or bridge, ipvlan or macvlan with a configuration on each node",
			driver);
	if (s->ipam && s->ipam->driver && !str_empty(s->ipam->driver->name) &&
	    strcmp(s->ipam->driver->name, "default"))
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"invalid IPAM driver %s: only default is supported",
				s->ipam->driver->name);
	for (size_t i = 0; s->ipam && i < s->ipam->n_configs; i++) {
		rc = check_ipam(s->ipam->configs[i], err);
		if (rc)
			return rc;
	}
	return 0;
}

static bool refers(Pb__NetworkAttachmentConfig *const *nets, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(nets[i]->target, id))
			return true;
	return false;
}

static bool needs_ingress(const Pb__Service *s)
{
	const Pb__EndpointSpec *e = s->spec->endpoint;

	if (!e || e->mode != PB__ENDPOINT_SPEC__RESOLUTION_MODE__VIP)
		return false;
	for (size_t i = 0; i < e->n_ports; i++)
		if (e->ports[i]->publish_mode == PB__PORT_CONFIG__PUBLISH_MODE__INGRESS)
			return true;
	return false;
}

const void *check_network_user(struct store *store, const Pb__Network *n)
{
	const Pb__Service *s;
	const Pb__Task *t;

	for (struct store_iter i = store_all(store, STORE_SERVICE); (s = store_next(&i));) {
		if (!s->spec || !s->spec->task)
			continue;
		if (refers(s->spec->task->networks, s->spec->task->n_networks, n->id) ||
		    refers(s->spec->networks, s->spec->n_networks, n->id) ||
		    (n->spec && n->spec->ingress && needs_ingress(s)))
			return s;
	}
	if (n->spec && n->spec->ingress)
		return NULL;
	for (struct store_iter i = store_all(store, STORE_TASK); (t = store_next(&i));)
		if (t->desired_state <= PB__TASK_STATE__RUNNING && t->status &&
		    t->status->state <= PB__TASK_STATE__RUNNING && t->spec &&
		    refers(t->spec->networks, t->spec->n_networks, n->id))
			return t;
	return NULL;
}

/* --- secrets and configs --- */

static int check_file(const Pb__Annotations *a, const Pb__Driver *templating,
		      const ProtobufCBinaryData *data, const char *what, size_t max,
		      struct err *err)
{
	int rc = check_file_name(a, err);

	if (!rc && templating && strcmp(templating->name, "golang"))
		rc = grpc_err(err, GRPC_INVALID_ARGUMENT, "unknown template driver: \"%s\"",
			      templating->name);
	if (!rc && (!data->len || data->len >= max))
		rc = grpc_err(err, GRPC_INVALID_ARGUMENT,
			      "%s data must be larger than 0 and less than %zu bytes", what, max);
	return rc;
}

int check_secret_spec(const Pb__SecretSpec *s, struct err *err)
{
	if (s->driver)
		return grpc_err(err, GRPC_UNIMPLEMENTED,
				"secret drivers are plugins, which are not supported");
	return check_file(s->annotations, s->templating, &s->data, "secret", SECRET_MAX, err);
}

int check_config_spec(const Pb__ConfigSpec *s, struct err *err)
{
	return check_file(s->annotations, s->templating, &s->data, "config", CONFIG_MAX, err);
}

/* --- who uses them --- */

static const Pb__ContainerSpec *container_of_service(const Pb__Service *s)
{
	const Pb__TaskSpec *t = s->spec ? s->spec->task : NULL;

	return t && t->runtime_case == PB__TASK_SPEC__RUNTIME_CONTAINER ? t->container : NULL;
}

const Pb__Service *check_secret_user(struct store *store, const char *id)
{
	const Pb__Service *s;

	for (struct store_iter it = store_all(store, STORE_SERVICE); (s = store_next(&it));) {
		const Pb__ContainerSpec *c = container_of_service(s);

		for (size_t i = 0; c && i < c->n_secrets; i++)
			if (!strcmp(c->secrets[i]->secret_id, id))
				return s;
	}
	return NULL;
}

const Pb__Service *check_config_user(struct store *store, const char *id)
{
	const Pb__Service *s;

	for (struct store_iter it = store_all(store, STORE_SERVICE); (s = store_next(&it));) {
		const Pb__ContainerSpec *c = container_of_service(s);

		for (size_t i = 0; c && i < c->n_configs; i++)
			if (!strcmp(c->configs[i]->config_id, id))
				return s;
	}
	return NULL;
}

/* --- the cluster --- */

int check_cluster_spec(const Pb__ClusterSpec *s, struct err *err)
{
	const Pb__Duration *expiry = s->ca_config->node_cert_expiry;

	if (expiry && pb_duration_ns(expiry) < CA_NODE_EXPIRY_MIN_NS)
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"minimum certificate expiry time is: 1h0m0s");
	if (pb_duration_ns(s->dispatcher->heartbeat_period) < 0)
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"heartbeat time period cannot be a negative duration");
	if (s->raft->election_tick && s->raft->heartbeat_tick &&
	    s->raft->election_tick <= s->raft->heartbeat_tick)
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"ElectionTick must be greater than HeartbeatTick");
	if (strcmp(s->annotations->name, "default"))
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"modification of cluster name is not allowed");
	if (s->ca_config->signing_ca_key.len && !s->ca_config->signing_ca_cert.len)
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"rotating the CA key needs a certificate beside it");
	if (s->ca_config->n_external_cas)
		return grpc_err(
			err, GRPC_UNIMPLEMENTED,
			"external certificate authorities are not supported: certificates are "
			"signed by the managers");
	return 0;
}
