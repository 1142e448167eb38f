// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "core/arch.h"
#include "sched/sched_impl.h"
#include "wire/pb.h"

static const Pb__Placement *placement_of(const struct want *w)
{
	return w->task->spec ? w->task->spec->placement : NULL;
}

static bool reserves_something(const Pb__Resources *r)
{
	return r && (r->nano_cpus || r->memory_bytes || r->n_generic);
}

void want_init(struct want *w, const Pb__Task *task)
{
	const Pb__TaskSpec *spec = task->spec;
	const Pb__ContainerSpec *c = NULL;
	const Pb__Resources *r = spec && spec->resources ? spec->resources->reservations : NULL;

	*w = (struct want){.task = store_ref(task)};
	w->reserve = reserves_something(r) ? r : NULL;
	if (spec && spec->placement)
		w->bad_constraints =
			constraints_parse(spec->placement->constraints,
					  spec->placement->n_constraints, &w->constraints, NULL);
	if (spec && spec->runtime_case == PB__TASK_SPEC__RUNTIME_CONTAINER)
		c = spec->container;
	for (size_t i = 0; c && i < c->n_mounts; i++)
		w->cluster_volumes |= c->mounts[i]->type == PB__MOUNT__TYPE__CLUSTER;
}

void want_done(struct want *w)
{
	constraints_done(&w->constraints);
	store_unref(w->task);
	*w = (struct want){0};
}

static bool resources_fit(const struct want *w, const struct snode *n)
{
	const Pb__Resources *r = w->reserve;

	if (!r)
		return true;
	if (r->nano_cpus > n->cpu_total - n->cpu_reserved ||
	    r->memory_bytes > n->memory_total - n->memory_reserved)
		return false;
	for (size_t i = 0; i < r->n_generic; i++)
		if (!generic_fits(n, r->generic[i]))
			return false;
	return true;
}

/* --- plugins --- */

static bool has_plugin(const Pb__EngineDescription *e, const char *type, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < e->n_plugins; i++) {
		const Pb__PluginDescription *p = e->plugins[i];

		if (!strcmp(p->type, type) && !strncmp(p->name, name, len) &&
		    (!p->name[len] || !strcmp(p->name + len, ":latest")))
			return true;
	}
	return false;
}

static bool has_type(const Pb__EngineDescription *e, const char *type)
{
	for (size_t i = 0; i < e->n_plugins; i++)
		if (!strcmp(e->plugins[i]->type, type))
			return true;
	return false;
}

static bool volume_plugins_fit(const Pb__ContainerSpec *c, const Pb__EngineDescription *e)
{
	for (size_t i = 0; i < c->n_mounts; i++) {
		const Pb__Mount__VolumeOptions *o = c->mounts[i]->volume_options;
		const Pb__Driver *d = o ? o->driver_config : NULL;

		if (c->mounts[i]->type == PB__MOUNT__TYPE__VOLUME && d && !str_empty(d->name) &&
		    !has_plugin(e, "Volume", d->name))
			return false;
	}
	return true;
}

static bool plugins_fit(const struct want *w, const struct snode *n)
{
	const Pb__NodeDescription *desc = n->obj->description;
	const Pb__EngineDescription *e = desc ? desc->engine : NULL;
	const Pb__Task *t = w->task;
	const Pb__Driver *log;

	if (!e)
		return true;
	if (t->spec && t->spec->runtime_case == PB__TASK_SPEC__RUNTIME_CONTAINER &&
	    !volume_plugins_fit(t->spec->container, e))
		return false;
	for (size_t i = 0; i < t->n_networks; i++) {
		const Pb__Network *net = t->networks[i]->network;

		if (net && net->driver_state && !str_empty(net->driver_state->name) &&
		    !has_plugin(e, "Network", net->driver_state->name))
			return false;
	}
	log = t->spec && t->spec->log_driver ? t->spec->log_driver : t->log_driver;
	if (log && !str_empty(log->name) && strcmp(log->name, "none"))
		return has_plugin(e, "Log", log->name) || !has_type(e, "Log");
	return true;
}

/* --- platform --- */

/* Engines say uname's names, images Go's. */
static bool platform_fits(const struct want *w, const struct snode *n)
{
	const Pb__Placement *p = placement_of(w);
	const Pb__Platform *has = n->obj->description ? n->obj->description->platform : NULL;

	if (!p || !p->n_platforms)
		return true;
	for (size_t i = 0; has && i < p->n_platforms; i++) {
		const Pb__Platform *want = p->platforms[i];

		if ((str_empty(want->architecture) ||
		     !strcmp(arch_name(want->architecture), arch_name(has->architecture))) &&
		    (str_empty(want->os) || !strcmp(want->os, has->os)))
			return true;
	}
	return false;
}

static bool host_ports_fit(const struct want *w, const struct snode *n)
{
	const Pb__Endpoint *ep = w->task->endpoint;

	for (size_t i = 0; n->n_ports && ep && i < ep->n_ports; i++) {
		const Pb__PortConfig *p = ep->ports[i];

		if (p->publish_mode != PB__PORT_CONFIG__PUBLISH_MODE__HOST || !p->published_port)
			continue;
		for (size_t k = 0; k < n->n_ports; k++)
			if (n->ports[k].protocol == p->protocol &&
			    n->ports[k].port == p->published_port)
				return false;
	}
	return true;
}

static bool max_replicas_fit(const struct want *w, const struct snode *n)
{
	const Pb__Placement *p = placement_of(w);

	return !p || !p->max_replicas ||
	       snode_service_tasks(n, w->task->service_id) < p->max_replicas;
}

enum filter filter_node(const struct want *w, const struct snode *n)
{
	if (!n->ready)
		return FILTER_READY;
	if (!resources_fit(w, n))
		return FILTER_RESOURCE;
	if (!plugins_fit(w, n))
		return FILTER_PLUGIN;
	if (w->bad_constraints || !constraints_match(&w->constraints, n->obj))
		return FILTER_CONSTRAINT;
	if (!platform_fits(w, n))
		return FILTER_PLATFORM;
	if (!host_ports_fit(w, n))
		return FILTER_HOST_PORT;
	if (!max_replicas_fit(w, n))
		return FILTER_MAX_REPLICAS;
	if (w->cluster_volumes)
		return FILTER_VOLUMES;
	return FILTER_PASSED;
}

void filter_explain(const size_t counts[FILTERS], struct buf *ret)
{
	static const struct {
		const char *one, *many; /* SwarmKit's words */
	} text[FILTERS] = {
		[FILTER_READY] = {"1 node not available for new tasks",
				  "%zu nodes not available for new tasks"},
		[FILTER_RESOURCE] = {"insufficient resources on 1 node",
				     "insufficient resources on %zu nodes"},
		[FILTER_PLUGIN] = {"missing plugin on 1 node", "missing plugin on %zu nodes"},
		[FILTER_CONSTRAINT] = {"scheduling constraints not satisfied on 1 node",
				       "scheduling constraints not satisfied on %zu nodes"},
		[FILTER_PLATFORM] = {"unsupported platform on 1 node",
				     "unsupported platform on %zu nodes"},
		[FILTER_HOST_PORT] = {"host-mode port already in use on 1 node",
				      "host-mode port already in use on %zu nodes"},
		[FILTER_MAX_REPLICAS] = {"max replicas per node limit exceed",
					 "max replicas per node limit exceed"},
		[FILTER_VOLUMES] = {"cannot fulfill requested CSI volume mounts on 1 node",
				    "cannot fulfill requested CSI volume mounts on %zu nodes"},
	};
	bool done[FILTERS] = {false};

	for (;;) {
		int most = -1;
		const char *s, *number;

		for (int i = 0; i < FILTERS; i++)
			if (!done[i] && counts[i] && (most < 0 || counts[i] > counts[most]))
				most = i;
		if (most < 0)
			return;
		done[most] = true;
		if (ret->len)
			buf_str(ret, "; ");
		s = counts[most] == 1 ? text[most].one : text[most].many;
		number = strstr(s, "%zu");
		if (!number) {
			buf_str(ret, s);
			continue;
		}
		buf_add(ret, s, number - s);
		buf_printf(ret, "%zu%s", counts[most], number + strlen("%zu"));
	}
}
