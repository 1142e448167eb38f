// SPDX-License-Identifier: Apache-2.0
#include <strings.h>

#include "sched/sched_impl.h"
#include "wire/pb.h"

enum { KEYS = 4 };

/* A node that passed the filters, in the heap of its leaf. The least keys win. */
struct candidate {
	struct heap_item item;
	struct snode *node;
	struct vertex *leaf;
	uint64_t keys[KEYS];
};

/* The preferences' tree; without preferences its root is the only leaf. */
struct vertex {
	struct heap_item item; /* in the parent's heap, while anything is below */
	struct vertex *parent;
	size_t order;
	size_t tasks; /* active ones of the service on the nodes below */
	struct map children; /* label's value → struct vertex */
	struct heap heap; /* of children, or of candidates */
};

struct rank {
	struct sched *sched;
	const struct want *want;
	enum strategy strategy;
	uint64_t now_ms;
	struct candidate *candidates;
	size_t n;
	struct vertex *root;
};

static bool candidate_before(const struct heap_item *a, const struct heap_item *b)
{
	const struct candidate *x = container_of(a, struct candidate, item);
	const struct candidate *y = container_of(b, struct candidate, item);

	for (size_t i = 0; i < KEYS; i++)
		if (x->keys[i] != y->keys[i])
			return x->keys[i] < y->keys[i];
	return false;
}

static bool vertex_before(const struct heap_item *a, const struct heap_item *b)
{
	const struct vertex *x = container_of(a, struct vertex, item);
	const struct vertex *y = container_of(b, struct vertex, item);

	return x->tasks != y->tasks ? x->tasks < y->tasks : x->order < y->order;
}

static struct vertex *vertex_new(struct vertex *parent)
{
	struct vertex *v = xcalloc(1, sizeof(*v));

	v->parent = parent;
	heap_init(&v->heap, candidate_before);
	return v;
}

static void vertex_free(struct vertex *v)
{
	const char *key;
	struct vertex *child;

	heap_done(&v->heap); /* of the children, which forget it */
	map_for_each (&v->children, key, child)
		vertex_free(child);
	map_done(&v->children);
	free(v);
}

static struct vertex *child_of(struct vertex *v, const char *value)
{
	struct vertex *child = map_get(&v->children, value);

	if (child)
		return child;
	child = vertex_new(v);
	child->order = v->children.len;
	v->heap.before = vertex_before;
	map_put(&v->children, value, child);
	return child;
}

/* Returns false for a preference that is not understood. */
static bool preference_value(const Pb__PlacementPreference *p, const Pb__Node *n, const char **ret)
{
	static const char node[] = "node.labels.", engine[] = "engine.labels.";
	const char *d, *value = NULL;

	if (p->preference_case != PB__PLACEMENT_PREFERENCE__PREFERENCE_SPREAD)
		return false;
	d = p->spread->spread_descriptor;
	if (!strncasecmp(d, node, strlen(node))) {
		const Pb__Annotations *a = n->spec ? n->spec->annotations : NULL;

		if (a)
			value = pb_label(a->labels, a->n_labels, d + strlen(node));
	} else if (!strncasecmp(d, engine, strlen(engine))) {
		const Pb__EngineDescription *e = n->description ? n->description->engine : NULL;

		if (e)
			value = pb_label(e->labels, e->n_labels, d + strlen(engine));
	} else {
		return false;
	}
	*ret = value ? value : "";
	return true;
}

/* Find the node's leaf, adding its tasks on the way. */
static struct vertex *leaf_of(struct rank *r, const struct snode *n)
{
	const Pb__TaskSpec *spec = r->want->task->spec;
	const Pb__Placement *p = spec ? spec->placement : NULL;
	size_t tasks = snode_service_tasks(n, r->want->task->service_id);
	struct vertex *v = r->root;
	const char *value;

	v->tasks += tasks;
	for (size_t i = 0; p && i < p->n_preferences; i++)
		if (preference_value(p->preferences[i], n->obj, &value)) {
			v = child_of(v, value);
			v->tasks += tasks;
		}
	return v;
}

/* Parts per million of what is scarcest on the node. */
static uint64_t fullness(const struct snode *n)
{
	double cpu = n->cpu_total > 0 ? (double)n->cpu_reserved / n->cpu_total : 0;
	double memory = n->memory_total > 0 ? (double)n->memory_reserved / n->memory_total : 0;
	double most = max(cpu, memory);

	return most <= 0 ? 0 : most >= 1 ? 1000000 : (uint64_t)(most * 1000000);
}

static void set_keys(struct rank *r, struct candidate *c)
{
	const struct snode *n = c->node;

	c->keys[0] = snode_failures(n, r->want->task, r->now_ms);
	switch (r->strategy) {
	case STRATEGY_SPREAD:
		c->keys[1] = snode_service_tasks(n, r->want->task->service_id);
		c->keys[2] = n->n_active;
		break;
	case STRATEGY_BINPACK:
		c->keys[1] = UINT64_MAX - fullness(n);
		c->keys[2] = UINT64_MAX - n->n_active;
		break;
	case STRATEGY_RANDOM:
		/* each node's next turn comes a random time after its last */
		c->keys[1] += rng_below(r->sched->rng, 1ULL << 32);
		break;
	}
}

/* Something was added to, or taken from, the heap of v: put it right among its siblings. */
static void update_above(struct vertex *v)
{
	for (; v->parent; v = v->parent) {
		struct heap *h = &v->parent->heap;

		if (!v->heap.n)
			heap_del(h, &v->item);
		else if (!heap_has(&v->item))
			heap_push(h, &v->item);
		else
			heap_fix(h, &v->item);
	}
}

struct rank *rank_new(struct sched *s, const struct want *w, enum strategy strategy,
		      uint64_t now_ms, size_t counts[FILTERS])
{
	struct rank *r = xcalloc(1, sizeof(*r));
	struct snode *n;
	const char *id;

	*r = (struct rank){.sched = s, .want = w, .strategy = strategy, .now_ms = now_ms};
	r->root = vertex_new(NULL);
	r->candidates = xcalloc(s->nodes.len + 1, sizeof(*r->candidates));
	map_for_each (&s->nodes, id, n) {
		enum filter f = filter_node(w, n);
		struct vertex *leaf = leaf_of(r, n);
		struct candidate *c;

		if (f != FILTER_PASSED) {
			counts[f]++;
			continue;
		}
		c = &r->candidates[r->n];
		c->node = n;
		c->leaf = leaf;
		c->keys[KEYS - 1] = r->n++;
		set_keys(r, c);
		heap_push(&leaf->heap, &c->item);
	}
	/* Counts are complete now: order the branches. */
	for (size_t i = 0; i < r->n; i++)
		update_above(r->candidates[i].leaf);
	return r;
}

static struct candidate *best(struct rank *r)
{
	struct vertex *v = r->root;
	struct heap_item *top;

	while ((top = heap_top(&v->heap)) && v->heap.before == vertex_before)
		v = container_of(top, struct vertex, item);
	return top ? container_of(top, struct candidate, item) : NULL;
}

struct snode *rank_best(struct rank *r)
{
	struct candidate *c = best(r);

	return c ? c->node : NULL;
}

void rank_placed(struct rank *r)
{
	struct candidate *c = best(r);

	for (struct vertex *v = c->leaf; v; v = v->parent)
		v->tasks++;
	if (filter_node(r->want, c->node) == FILTER_PASSED) {
		set_keys(r, c);
		heap_fix(&c->leaf->heap, &c->item);
	} else {
		heap_del(&c->leaf->heap, &c->item);
	}
	update_above(c->leaf);
}

void rank_free(struct rank *r)
{
	if (!r)
		return;
	vertex_free(r->root);
	free(r->candidates);
	free(r);
}

static enum strategy strategy_named(const char *name)
{
	if (name && !strcmp(name, "binpack"))
		return STRATEGY_BINPACK;
	if (name && !strcmp(name, "random"))
		return STRATEGY_RANDOM;
	return STRATEGY_SPREAD;
}

static const char *label_of(const Pb__Annotations *a)
{
	return a ? pb_label(a->labels, a->n_labels, SCHED_STRATEGY_LABEL) : NULL;
}

enum strategy strategy_of(const struct store *s, const Pb__Task *t)
{
	const Pb__Service *svc = store_service(s, t->service_id);
	const Pb__Cluster *cluster = store_cluster(s);
	const char *name = svc && svc->spec ? label_of(svc->spec->annotations) : NULL;

	if (!name && cluster && cluster->spec)
		name = label_of(cluster->spec->annotations);
	return strategy_named(name);
}

struct snode *rank_quick(struct sched *s, const struct want *w, uint64_t now_ms, size_t max_looks)
{
	const Pb__TaskSpec *spec = w->task->spec;

	if (spec && spec->placement && spec->placement->n_preferences)
		return NULL;
	while (s->first_bucket < s->n_buckets && list_empty(&s->buckets[s->first_bucket]))
		s->first_bucket++;
	for (size_t i = s->first_bucket; i < s->n_buckets && max_looks; i++) {
		struct snode *n;

		list_for_each (n, &s->buckets[i], bucket) {
			if (!max_looks--)
				return NULL;
			if (!snode_service_tasks(n, w->task->service_id) &&
			    !snode_failures(n, w->task, now_ms) &&
			    filter_node(w, n) == FILTER_PASSED)
				return n;
		}
	}
	return NULL;
}
