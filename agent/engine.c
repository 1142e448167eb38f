// SPDX-License-Identifier: Apache-2.0
#include "engine.h"

#include <limits.h>
#include <stdio.h>

#include "core/buf.h"
#include "ctr/ctr.h"
#include "ctr/volume.h"
#include "disk/file.h"
#include "image/image.h"
#include "loop/events.h"
#include "loop/loop.h"
#include "manager/swarm.h"
#include "net/net.h"
#include "options.h"
#include "plugin/plugin.h"

/* The engine's ID is made once and kept: clients tell engines apart by it. */
static int load_id(struct engine *e, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/engine-id", e->options->data_root);
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint8_t raw[16];
	char hex[33];

	if (!file_read(path, sizeof(e->id) - 1, &text, NULL) && text.len == 36) {
		memcpy(e->id, text.data, 37);
		return 0;
	}
	rng_bytes(&e->rng, raw, sizeof(raw));
	raw[6] = (raw[6] & 0x0f) | 0x40;
	raw[8] = (raw[8] & 0x3f) | 0x80;
	hex_encode(hex, raw, sizeof(raw));
	snprintf(e->id, sizeof(e->id), "%.8s-%.4s-%.4s-%.4s-%s", hex, hex + 8, hex + 12, hex + 16,
		 hex + 20);
	return file_write_atomic(path, e->id, 36, 0600, err);
}

static int open_images(struct engine *e, struct err *err)
{
	struct images_options opt = {
		.loop = e->loop,
		.events = e->events,
		.data_root = e->options->data_root,
		.exec_root = e->options->exec_root,
		.insecure_registries = e->options->insecure_registries.v,
	};

	return images_open(&opt, &e->images, err);
}

static int open_nets(struct engine *e, struct err *err)
{
	const struct options *o = e->options;
	struct nets_options opt = {
		.loop = e->loop,
		.events = e->events,
		.rng = &e->rng,
		.data_root = o->data_root,
		.exec_root = o->exec_root,
		.engine_id = e->id,
		.bip = o->bip,
		.bip6 = o->bip6,
		.fixed_cidr = o->fixed_cidr,
		.fixed_cidr6 = o->fixed_cidr_v6,
		.bind_addr = o->ip,
		.ipv6 = o->ipv6,
		.pools = o->default_address_pools.v,
		.dns = o->dns.v,
		.dns_search = o->dns_search.v,
		.dns_opts = o->dns_opts.v,
		.uplinks = o->uplinks.v,
		.datapath = o->datapath,
		.return_direct = streq(o->ingress_return, "direct"),
		.mtu = o->mtu,
		.icc = o->icc,
		.ip_masq = o->ip_masq,
		.port_proxy = o->userland_proxy,
	};

	return nets_open(&opt, &e->nets, err);
}

static int open_volumes(struct engine *e, struct err *err)
{
	struct volumes_options opt = {
		.loop = e->loop,
		.drivers = plugins_volume_drivers(e->plugins),
		.events = e->events,
		.rng = &e->rng,
		.data_root = e->options->data_root,
	};

	return volumes_open(&opt, &e->volumes, err);
}

/* The monitor: beside this program, as built, or where it is installed. malloc'd. */
static char *find_shim(void)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash, *path;

	self[max(n, (ssize_t)0)] = 0;
	slash = strrchr(self, '/');
	if (slash)
		*slash = 0;
	path = xasprintf("%s/swarm-shim", self);
	if (!access(path, X_OK))
		return path;
	free(path);
	return xasprintf("%s/../libexec/swarm-agent/swarm-shim", self);
}

static int open_plugins(struct engine *e, struct err *err)
{
	_cleanup_free_ char *shim = find_shim();
	struct plugins_options opt = {
		.loop = e->loop,
		.events = e->events,
		.images = e->images,
		.rng = &e->rng,
		.data_root = e->options->data_root,
		.exec_root = e->options->exec_root,
		.shim = shim,
		.cgroup_parent = e->options->cgroup_parent,
	};

	return plugins_open(&opt, &e->plugins, err);
}

static unsigned int driver_users(const char *name, void *arg)
{
	struct engine *e = arg;

	return volumes_of_driver(e->volumes, name);
}

static void plugins_changed(void *arg)
{
	struct engine *e = arg;

	if (e->swarm)
		swarm_describe_again(e->swarm);
}

/* Once containers can be run. */
static void resume_plugins(struct engine *e)
{
	plugins_set_users(e->plugins, driver_users, e);
	plugins_set_changed(e->plugins, plugins_changed, e);
	plugins_resume(e->plugins, ctrs_runtime(e->ctrs));
}

/* ["a=b", …] as an object; "a" alone is "". */
static json_t *pairs_json(const struct str_list *list)
{
	json_t *out = json_object();

	for (size_t i = 0; i < list->n; i++) {
		const char *eq = strchr(list->v[i], '=');
		_cleanup_free_ char *key =
			eq ? xstrndup(list->v[i], eq - list->v[i]) : xstrdup(list->v[i]);

		json_object_set_new(out, key, json_string(eq ? eq + 1 : ""));
	}
	return out;
}

static int open_ctrs(struct engine *e, struct err *err)
{
	const struct options *o = e->options;
	_cleanup_free_ char *shim = find_shim();
	json_t *log_opts = pairs_json(&o->log_opts);
	struct ctrs_options opt = {
		.loop = e->loop,
		.events = e->events,
		.rng = &e->rng,
		.images = e->images,
		.nets = e->nets,
		.volumes = e->volumes,
		.data_root = o->data_root,
		.exec_root = o->exec_root,
		.shim = shim,
		.runtime = o->runtime,
		.init_path = o->init_path,
		.cgroup_parent = o->cgroup_parent,
		.log_driver = o->log_driver,
		.log_opts = log_opts,
		.init = o->init,
		.no_new_privileges = o->no_new_privileges,
	};
	int rc = ctrs_open(&opt, &e->ctrs, err);

	json_decref(log_opts);
	return rc;
}

static int open_swarm(struct engine *e, struct err *err)
{
	const struct options *o = e->options;
	json_t *labels = pairs_json(&o->labels), *generic = json_array();
	struct swarm_options opt = {
		.loop = e->loop,
		.events = e->events,
		.rng = &e->rng,
		.data_root = o->data_root,
		.exec_root = o->exec_root,
		.default_advertise_addr = o->swarm_default_advertise_addr,
		.engine_labels = labels,
		.generic_resources = generic,
		.images = e->images,
		.ctrs = e->ctrs,
		.nets = e->nets,
		.volumes = e->volumes,
		.plugins = e->plugins,
	};
	int rc;

	for (size_t i = 0; i < o->node_generic_resources.n; i++)
		json_array_append_new(generic, json_string(o->node_generic_resources.v[i]));
	rc = swarm_open(&opt, &e->swarm, err);
	json_decref(labels);
	json_decref(generic);
	return rc;
}

int engine_open(struct engine *e, struct options *options, struct err *err)
{
	int rc;

	memset(e, 0, sizeof(*e));
	e->options = options;
	rng_seed_os(&e->rng);
	gethostname(e->hostname, sizeof(e->hostname) - 1);
	rc = loop_new(0, &e->loop, err);
	if (rc)
		return rc;
	e->events = events_new();
	rc = load_id(e, err);
	if (!rc)
		rc = open_images(e, err);
	if (!rc)
		rc = open_plugins(e, err);
	if (!rc)
		rc = open_volumes(e, err);
	if (!rc)
		rc = open_nets(e, err);
	if (!rc)
		rc = open_ctrs(e, err);
	/* what no container uses goes before the swarm makes its own */
	if (!rc) {
		nets_sweep(e->nets);
		resume_plugins(e);
	}
	if (!rc)
		rc = open_swarm(e, err);
	if (rc)
		engine_close(e);
	return rc;
}

void engine_close(struct engine *e)
{
	/* raft's thread ends with it; then what still works for the others, then they themselves */
	swarm_close(e->swarm);
	plugins_cancel(e->plugins);
	if (e->loop)
		loop_drain(e->loop);
	ctrs_free(e->ctrs);
	nets_free(e->nets);
	volumes_free(e->volumes);
	plugins_free(e->plugins);
	images_free(e->images);
	events_free(e->events);
	loop_free(e->loop);
}
