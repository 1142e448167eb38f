// SPDX-License-Identifier: Apache-2.0
#include "sched/sched_impl.h"
#include "wire/pb.h"

/* --- ready nodes by load --- */

static void bucket_put(struct sched *s, struct snode *n)
{
	if (!n->ready)
		return;
	if (n->n_active >= s->n_buckets) {
		size_t len = max(s->n_buckets * 2, n->n_active + 1);
		struct list_head *v = xcalloc(len, sizeof(*v));

		for (size_t i = 0; i < len; i++) {
			list_init(&v[i]);
			if (i >= s->n_buckets || list_empty(&s->buckets[i]))
				continue;
			/* The list moves to its new head. */
			list_add(&v[i], &s->buckets[i]);
			list_del(&s->buckets[i]);
		}
		free(s->buckets);
		s->buckets = v;
		s->n_buckets = len;
	}
	list_add_tail(&n->bucket, &s->buckets[n->n_active]);
	s->first_bucket = min(s->first_bucket, n->n_active);
}

static void bucket_move(struct sched *s, struct snode *n)
{
	list_del(&n->bucket);
	bucket_put(s, n);
}

/* --- generic resources --- */

static struct generic *generic_find(const struct snode *n, const char *kind)
{
	for (size_t i = 0; i < n->n_generics; i++)
		if (!strcmp(n->generics[i].kind, kind))
			return &n->generics[i];
	return NULL;
}

static struct generic *generic_need(struct snode *n, const char *kind)
{
	struct generic *g = generic_find(n, kind);

	if (g)
		return g;
	n->generics = xrealloc(n->generics, (n->n_generics + 1) * sizeof(*n->generics));
	g = &n->generics[n->n_generics++];
	*g = (struct generic){.kind = xstrdup(kind)};
	return g;
}

static void named_del(struct generic *g, const char *value)
{
	for (size_t i = 0; i < g->n_named; i++)
		if (!strcmp(g->named[i], value)) {
			free(g->named[i]);
			g->named[i] = g->named[--g->n_named];
			return;
		}
}

static void named_add(struct generic *g, const char *value)
{
	for (size_t i = 0; i < g->n_named; i++)
		if (!strcmp(g->named[i], value))
			return;
	g->named = xrealloc(g->named, (g->n_named + 1) * sizeof(*g->named));
	g->named[g->n_named++] = xstrdup(value);
}

/* Give to, or take from, what is available. */
static void generic_move(struct snode *n, const Pb__GenericResource *r, bool give)
{
	if (r->resource_case == PB__GENERIC_RESOURCE__RESOURCE_DISCRETE) {
		struct generic *g = generic_need(n, r->discrete->kind);

		g->discrete += give ? r->discrete->value : -r->discrete->value;
	} else if (r->resource_case == PB__GENERIC_RESOURCE__RESOURCE_NAMED) {
		struct generic *g = generic_need(n, r->named->kind);

		(give ? named_add : named_del)(g, r->named->value);
	}
}

static void generics_done(struct snode *n)
{
	for (size_t i = 0; i < n->n_generics; i++) {
		struct generic *g = &n->generics[i];

		free(g->kind);
		for (size_t k = 0; k < g->n_named; k++)
			free(g->named[k]);
		free(g->named);
	}
	free(n->generics);
	n->generics = NULL;
	n->n_generics = 0;
}

bool generic_fits(const struct snode *n, const Pb__GenericResource *want)
{
	const struct generic *g;

	if (want->resource_case == PB__GENERIC_RESOURCE__RESOURCE_NAMED) {
		g = generic_find(n, want->named->kind);
		for (size_t i = 0; g && i < g->n_named; i++)
			if (!strcmp(g->named[i], want->named->value))
				return true;
		return false;
	}
	if (want->resource_case != PB__GENERIC_RESOURCE__RESOURCE_DISCRETE)
		return true;
	g = generic_find(n, want->discrete->kind);
	return g && (g->discrete >= want->discrete->value ||
		     (int64_t)g->n_named >= want->discrete->value);
}

static void assign_named(Pb__Task *t, const char *kind, const char *value)
{
	Pb__GenericResource *r = pb_new(pb__generic_resource);

	r->resource_case = PB__GENERIC_RESOURCE__RESOURCE_NAMED;
	r->named = pb_new(pb__named_generic_resource);
	pb_set_str(&r->named->kind, kind);
	pb_set_str(&r->named->value, value);
	pb_append(&t->n_assigned_generic_resources, &t->assigned_generic_resources, r);
}

void generic_choose(const struct snode *n, Pb__Task *t)
{
	const Pb__ResourceRequirements *req = t->spec->resources;
	const Pb__Resources *res = req ? req->reservations : NULL;

	for (size_t i = 0; res && i < res->n_generic; i++) {
		const Pb__GenericResource *w = res->generic[i];
		const struct generic *g;

		if (w->resource_case != PB__GENERIC_RESOURCE__RESOURCE_DISCRETE) {
			pb_append(&t->n_assigned_generic_resources, &t->assigned_generic_resources,
				  pb_clone(w));
			continue;
		}
		g = generic_find(n, w->discrete->kind);
		if (g && g->n_named) {
			for (size_t k = 0; k < g->n_named && (int64_t)k < w->discrete->value; k++)
				assign_named(t, g->kind, g->named[k]);
			continue;
		}
		pb_append(&t->n_assigned_generic_resources, &t->assigned_generic_resources,
			  pb_clone(w));
	}
}

/* --- what tasks take --- */

static void ports_move(struct snode *n, const Pb__Task *t, bool take)
{
	const Pb__Endpoint *ep = t->endpoint;

	for (size_t i = 0; ep && i < ep->n_ports; i++) {
		const Pb__PortConfig *p = ep->ports[i];
		size_t k;

		if (p->publish_mode != PB__PORT_CONFIG__PUBLISH_MODE__HOST || !p->published_port)
			continue;
		for (k = 0; k < n->n_ports; k++)
			if (n->ports[k].protocol == p->protocol &&
			    n->ports[k].port == p->published_port)
				break;
		if (k < n->n_ports) {
			n->ports[k].n += take ? 1 : -1;
			if (!n->ports[k].n)
				n->ports[k] = n->ports[--n->n_ports];
		} else if (take) {
			n->ports = xrealloc(n->ports, (n->n_ports + 1) * sizeof(*n->ports));
			n->ports[n->n_ports++] =
				(struct host_port){p->protocol, p->published_port, 1};
		}
	}
}

static void resources_move(struct snode *n, const Pb__Task *t, bool take)
{
	const Pb__ResourceRequirements *req = t->spec ? t->spec->resources : NULL;
	const Pb__Resources *res = req ? req->reservations : NULL;

	if (res) {
		n->cpu_reserved += take ? res->nano_cpus : -res->nano_cpus;
		n->memory_reserved += take ? res->memory_bytes : -res->memory_bytes;
	}
	for (size_t i = 0; i < t->n_assigned_generic_resources; i++)
		generic_move(n, t->assigned_generic_resources[i], !take);
}

size_t snode_service_tasks(const struct snode *n, const char *service_id)
{
	return (uintptr_t)map_get(&n->services, service_id);
}

void snode_count(struct sched *s, struct stask *t, bool active)
{
	struct snode *n = t->node;
	const char *service = t->obj->service_id;
	size_t of_service;

	if (t->active == active)
		return;
	t->active = active;
	of_service = snode_service_tasks(n, service) + (active ? 1 : -1);
	if (of_service)
		map_put(&n->services, service, (void *)(uintptr_t)of_service);
	else
		map_del(&n->services, service);
	n->n_active += active ? 1 : -1;
	bucket_move(s, n);
}

void snode_add(struct sched *s, struct snode *n, struct stask *t)
{
	(void)s;
	assert(!t->node);
	t->node = n;
	list_add_tail(&t->on_node, &n->tasks);
	resources_move(n, t->obj, true);
	ports_move(n, t->obj, true);
}

void snode_remove(struct sched *s, struct stask *t)
{
	struct snode *n = t->node;

	if (!n)
		return;
	snode_count(s, t, false);
	resources_move(n, t->obj, false);
	ports_move(n, t->obj, false);
	list_del(&t->on_node);
	t->node = NULL;
}

/* --- failures --- */

static uint64_t version_of(const Pb__Task *t)
{
	return t->spec_version ? t->spec_version->index : 0;
}

static struct failures *failures_find(const struct snode *n, const Pb__Task *t)
{
	struct failures *f;

	list_for_each (f, &n->failures, node)
		if (f->version == version_of(t) && !strcmp(f->service_id, t->service_id))
			return f;
	return NULL;
}

static void failures_free(struct failures *f)
{
	list_del(&f->node);
	free(f->service_id);
	free(f);
}

static uint64_t newest(const struct failures *f)
{
	return f->at_ms[(f->n - 1) % ARRAY_SIZE(f->at_ms)];
}

void snode_failed(struct snode *n, const Pb__Task *t, uint64_t now_ms)
{
	struct failures *f, *tmp;

	/* Those of long ago go, so that the list stays short. */
	list_for_each_safe (f, tmp, &n->failures, node)
		if (newest(f) + SCHED_FAILURE_WINDOW_MS < now_ms)
			failures_free(f);
	f = failures_find(n, t);
	if (!f) {
		f = xcalloc(1, sizeof(*f));
		f->service_id = xstrdup(t->service_id);
		f->version = version_of(t);
		list_add(&f->node, &n->failures);
	}
	f->at_ms[f->n++ % ARRAY_SIZE(f->at_ms)] = now_ms;
}

size_t snode_failures(const struct snode *n, const Pb__Task *t, uint64_t now_ms)
{
	const struct failures *f = list_empty(&n->failures) ? NULL : failures_find(n, t);
	size_t recent = 0;

	for (size_t i = 0; f && i < min(f->n, ARRAY_SIZE(f->at_ms)); i++)
		recent += f->at_ms[i] + SCHED_FAILURE_WINDOW_MS >= now_ms;
	return recent >= SCHED_MAX_FAILURES ? recent : 0;
}

/* --- nodes --- */

static bool is_ready(const Pb__Node *n)
{
	return n->status && n->status->state == PB__NODE_STATUS__STATE__READY && n->spec &&
	       n->spec->availability == PB__NODE_SPEC__AVAILABILITY__ACTIVE;
}

static const Pb__Resources *resources_of(const Pb__Node *n)
{
	return n->description ? n->description->resources : NULL;
}

/* What is available follows from what the node has and what its tasks took. */
static void read_resources(struct snode *n)
{
	const Pb__Resources *r = resources_of(n->obj);
	const struct stask *t;

	n->cpu_total = r ? r->nano_cpus : 0;
	n->memory_total = r ? r->memory_bytes : 0;
	generics_done(n);
	for (size_t i = 0; r && i < r->n_generic; i++)
		generic_move(n, r->generic[i], true);
	list_for_each (t, &n->tasks, on_node)
		for (size_t i = 0; i < t->obj->n_assigned_generic_resources; i++)
			generic_move(n, t->obj->assigned_generic_resources[i], false);
}

struct snode *snode_need(struct sched *s, const Pb__Node *obj)
{
	struct snode *n = map_get(&s->nodes, obj->id);

	if (n)
		return n;
	n = xcalloc(1, sizeof(*n));
	n->obj = store_ref(obj);
	list_init(&n->failures);
	list_init(&n->tasks);
	list_init(&n->waiting);
	list_init(&n->bucket);
	map_put(&s->nodes, obj->id, n);
	n->ready = is_ready(obj);
	read_resources(n);
	bucket_put(s, n);
	return n;
}

/* Whether a change of the object matters to a filter. */
static bool matters(const Pb__Node *a, const Pb__Node *b)
{
	return is_ready(a) != is_ready(b) || a->role != b->role ||
	       !pb_equal(a->spec ? a->spec->annotations : NULL,
			 b->spec ? b->spec->annotations : NULL) ||
	       !pb_equal(a->description, b->description) ||
	       strcmp(a->status ? a->status->addr : "", b->status ? b->status->addr : "");
}

bool snode_update(struct sched *s, struct snode *n, const Pb__Node *obj)
{
	const Pb__Node *old = n->obj;
	bool changed = matters(old, obj);
	bool resources = !pb_equal(resources_of(old), resources_of(obj));

	n->obj = store_ref(obj);
	if (resources)
		read_resources(n);
	if (changed) {
		n->ready = is_ready(obj);
		bucket_move(s, n);
	}
	store_unref(old);
	return changed;
}

void snode_free(struct sched *s, struct snode *n)
{
	while (!list_empty(&n->tasks))
		snode_remove(s, list_first(&n->tasks, struct stask, on_node));
	while (!list_empty(&n->failures))
		failures_free(list_first(&n->failures, struct failures, node));
	list_del(&n->bucket);
	generics_done(n);
	map_done(&n->services);
	free(n->ports);
	store_unref(n->obj);
	free(n);
}
