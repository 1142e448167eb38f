// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "store/object.h"

struct store *store_new(void)
{
	struct store *s = xcalloc(1, sizeof(*s));

	for (int i = 0; i < STORE_KINDS; i++)
		list_init(&s->all[i]);
	for (int i = 0; i < DESIRED_STATES; i++)
		list_init(&s->desired[i]);
	list_init(&s->idle_groups);
	list_init(&s->watches);
	return s;
}

static void group_free(struct task_group *g)
{
	map_del(g->map, g->key);
	list_del(&g->idle);
	free(g->key);
	free(g);
}

/* Groups that a transaction emptied are kept until it ends, since it may be undone. */
void store_free_idle_groups(struct store *s)
{
	while (!list_empty(&s->idle_groups))
		group_free(list_first(&s->idle_groups, struct task_group, idle));
}

void store_free(struct store *s)
{
	if (!s)
		return;
	store_tx_abort(s->tx);
	for (int i = 0; i < STORE_KINDS; i++) {
		struct entry *e, *tmp;

		list_for_each_safe (e, tmp, &s->all[i], all) {
			store_unref(e->obj);
			free(e);
		}
		map_done(&s->ids[i]);
		map_done(&s->names[i]);
	}
	for (int i = 0; i < BY_DESIRED; i++) {
		struct task_group *g;
		const char *key;

		map_for_each (&s->groups[i], key, g) {
			free(g->key);
			free(g);
		}
		map_done(&s->groups[i]);
	}
	free(s);
}

/* --- indexes --- */

static size_t desired_slot(Pb__TaskState state)
{
	size_t i = (unsigned int)state / 64;

	/* 800 shares 768's quotient. */
	if (state == PB__TASK_STATE__REMOVE)
		i = DESIRED_STATES - 1;
	return min(i, (size_t)DESIRED_STATES - 1);
}

static char *slot_key(const char *service_id, uint64_t slot, const char *node_id)
{
	return slot ? xasprintf("%s.%llu", service_id, (unsigned long long)slot)
		    : xasprintf("%s/%s", service_id, node_id);
}

static struct task_group *group_find(const struct store *s, enum task_list list, const char *key)
{
	return map_get(&s->groups[list], key);
}

static struct task_group *group_need(struct store *s, enum task_list list, const char *key)
{
	struct task_group *g = group_find(s, list, key);

	if (g)
		return g;
	g = xcalloc(1, sizeof(*g));
	list_init(&g->tasks);
	list_add_tail(&g->idle, &s->idle_groups);
	g->map = &s->groups[list];
	g->key = xstrdup(key);
	map_put(g->map, key, g);
	return g;
}

static void group_add(struct task_group *g)
{
	if (!g->n++)
		list_del(&g->idle);
}

static void group_sub(struct store *s, struct task_group *g)
{
	if (!--g->n)
		list_add_tail(&g->idle, &s->idle_groups);
}

static void index_add(struct store *s, struct entry *e, enum task_list list, const Pb__Task *t)
{
	_cleanup_free_ char *slot = NULL;
	struct task_group *g;
	const char *key;

	if (list == BY_DESIRED) {
		list_add_tail(&e->by[list], &s->desired[desired_slot(t->desired_state)]);
		return;
	}
	if (list == BY_SERVICE)
		key = t->service_id;
	else if (list == BY_NODE)
		key = t->node_id;
	else
		key = slot = slot_key(t->service_id, t->slot, t->node_id);
	g = group_need(s, list, key);
	group_add(g);
	list_add_tail(&e->by[list], &g->tasks);
	e->group[list] = g;
}

/* Remembers in c where it was. */
static void index_del(struct store *s, struct entry *e, enum task_list list, struct change *c)
{
	c->prev[list] = e->by[list].prev;
	c->group[list] = e->group[list];
	list_del(&e->by[list]);
	if (e->group[list])
		group_sub(s, e->group[list]);
	e->group[list] = NULL;
}

static void index_del_for_good(struct store *s, struct entry *e, enum task_list list)
{
	struct change scratch;

	index_del(s, e, list, &scratch);
}

static void index_put_back(struct entry *e, enum task_list list, const struct change *c)
{
	list_add(&e->by[list], c->prev[list]);
	e->group[list] = c->group[list];
	if (e->group[list])
		group_add(e->group[list]);
}

static bool index_moves(enum task_list list, const Pb__Task *old, const Pb__Task *new)
{
	bool node = strcmp(old->node_id, new->node_id),
	     service = strcmp(old->service_id, new->service_id);

	switch (list) {
	case BY_SERVICE:
		return service;
	case BY_NODE:
		return node;
	case BY_SLOT:
		return service || old->slot != new->slot || (!old->slot && node);
	default:
		return old->desired_state != new->desired_state;
	}
}

static void name_put(struct store *s, struct entry *e, const void *obj)
{
	_cleanup_free_ char *key = object_name_key(obj);

	if (key)
		map_put(&s->names[e->kind], key, e);
}

static void name_del(struct store *s, struct entry *e, const void *obj)
{
	_cleanup_free_ char *key = object_name_key(obj);

	if (key)
		map_del(&s->names[e->kind], key);
}

static void rename_entry(struct store *s, struct entry *e, const void *from, const void *to)
{
	if (!store_kinds[e->kind].unique_name || !strcmp(store_name(from), store_name(to)))
		return;
	name_del(s, e, from);
	name_put(s, e, to);
}

/* --- changes: do, and undo in reverse order, which finds all neighbours in place --- */

static void link_new(struct store *s, struct change *c)
{
	struct entry *e = c->entry;

	e->obj = c->new;
	map_put(&s->ids[e->kind], store_id(e->obj), e);
	name_put(s, e, e->obj);
	list_add_tail(&e->all, &s->all[e->kind]);
	s->n[e->kind]++;
	if (e->kind == STORE_TASK)
		for (int l = 0; l < TASK_LISTS; l++)
			index_add(s, e, l, e->obj);
}

static void unlink_entry(struct store *s, struct change *c)
{
	struct entry *e = c->entry;

	map_del(&s->ids[e->kind], store_id(e->obj));
	name_del(s, e, e->obj);
	c->prev_all = e->all.prev;
	list_del(&e->all);
	s->n[e->kind]--;
	if (e->kind == STORE_TASK)
		for (int l = 0; l < TASK_LISTS; l++)
			index_del(s, e, l, c);
}

static void link_again(struct store *s, struct change *c)
{
	struct entry *e = c->entry;

	map_put(&s->ids[e->kind], store_id(e->obj), e);
	name_put(s, e, e->obj);
	list_add(&e->all, c->prev_all);
	s->n[e->kind]++;
	if (e->kind == STORE_TASK)
		for (int l = 0; l < TASK_LISTS; l++)
			index_put_back(e, l, c);
}

void change_do(struct store *s, struct change *c)
{
	struct entry *e = c->entry;

	switch (c->action) {
	case STORE_CREATE:
		link_new(s, c);
		break;
	case STORE_UPDATE:
		e->obj = c->new;
		rename_entry(s, e, c->old, c->new);
		for (int l = 0; e->kind == STORE_TASK && l < TASK_LISTS; l++)
			if (index_moves(l, c->old, c->new)) {
				index_del(s, e, l, c);
				index_add(s, e, l, c->new);
			}
		break;
	case STORE_REMOVE:
		unlink_entry(s, c);
		break;
	}
}

void change_undo(struct store *s, struct change *c)
{
	struct entry *e = c->entry;

	switch (c->action) {
	case STORE_CREATE:
		unlink_entry(s, c);
		break;
	case STORE_UPDATE:
		e->obj = c->old;
		rename_entry(s, e, c->new, c->old);
		for (int l = 0; e->kind == STORE_TASK && l < TASK_LISTS; l++)
			if (index_moves(l, c->old, c->new)) {
				index_del_for_good(s, e, l);
				index_put_back(e, l, c);
			}
		break;
	case STORE_REMOVE:
		link_again(s, c);
		break;
	}
}

/* --- reading --- */

const void *store_get(const struct store *s, enum store_kind kind, const char *id)
{
	struct entry *e = id ? map_get(&s->ids[kind], id) : NULL;

	return e ? e->obj : NULL;
}

const void *store_find_name(const struct store *s, enum store_kind kind, const char *name)
{
	_cleanup_free_ char *key = xstrdup(name);
	struct entry *e;

	if (!key)
		return NULL;
	for (char *p = key; *p; p++)
		*p = tolower((unsigned char)*p);
	e = map_get(&s->names[kind], key);
	return e ? e->obj : NULL;
}

size_t store_count(const struct store *s, enum store_kind kind)
{
	return s->n[kind];
}

const Pb__Cluster *store_cluster(const struct store *s)
{
	struct store_iter it = store_all(s, STORE_CLUSTER);

	return store_next(&it);
}

static struct store_iter iter(const struct list_head *head, size_t offset)
{
	return (struct store_iter){head, head->next, offset};
}

static struct store_iter iter_group(const struct store *s, enum task_list list, const char *key)
{
	struct task_group *g = key ? group_find(s, list, key) : NULL;

	if (!g)
		return (struct store_iter){NULL, NULL, 0};
	return iter(&g->tasks, offsetof(struct entry, by[0]) + list * sizeof(struct list_head));
}

struct store_iter store_all(const struct store *s, enum store_kind kind)
{
	return iter(&s->all[kind], offsetof(struct entry, all));
}

struct store_iter store_tasks_of_service(const struct store *s, const char *service_id)
{
	return iter_group(s, BY_SERVICE, service_id);
}

struct store_iter store_tasks_of_slot(const struct store *s, const char *service_id, uint64_t slot,
				      const char *node_id)
{
	_cleanup_free_ char *key = slot_key(service_id, slot, node_id ? node_id : "");

	return iter_group(s, BY_SLOT, key);
}

struct store_iter store_tasks_of_node(const struct store *s, const char *node_id)
{
	return iter_group(s, BY_NODE, node_id);
}

struct store_iter store_tasks_desired(const struct store *s, Pb__TaskState desired)
{
	return iter(&s->desired[desired_slot(desired)], offsetof(struct entry, by[BY_DESIRED]));
}

const void *store_next(struct store_iter *it)
{
	const struct list_head *at = it->next;

	if (at == it->head)
		return NULL;
	it->next = at->next;
	return ((const struct entry *)((const char *)at - it->offset))->obj;
}

static size_t group_n(const struct store *s, enum task_list list, const char *key)
{
	struct task_group *g = key ? group_find(s, list, key) : NULL;

	return g ? g->n : 0;
}

size_t store_n_tasks_of_service(const struct store *s, const char *service_id)
{
	return group_n(s, BY_SERVICE, service_id);
}

size_t store_n_tasks_of_node(const struct store *s, const char *node_id)
{
	return group_n(s, BY_NODE, node_id);
}

/* service.slot.task, or service.node.task for a task without a slot. */
static bool task_has_name(const Pb__Task *t, const char *ref)
{
	const char *service = t->service_annotations ? t->service_annotations->name : "";
	size_t len = strlen(service);
	char rest[128];

	if (strncmp(ref, service, len))
		return false;
	if (t->slot)
		snprintf(rest, sizeof(rest), ".%llu.%s", (unsigned long long)t->slot, t->id);
	else
		snprintf(rest, sizeof(rest), ".%s.%s", t->node_id, t->id);
	return !strcmp(ref + len, rest);
}

static bool object_has_name(enum store_kind kind, const void *obj, const char *ref)
{
	if (kind == STORE_TASK)
		return task_has_name(obj, ref);
	if (kind == STORE_NODE) {
		const Pb__Node *n = obj;

		if (n->description && !strcasecmp(n->description->hostname, ref))
			return true;
	}
	return !strcasecmp(store_name(obj), ref);
}

int store_find(const struct store *s, enum store_kind kind, const char *ref, const void **ret,
	       struct err *err)
{
	const char *what = store_kind_name(kind);
	const void *obj = store_get(s, kind, ref), *found = NULL;
	size_t n = 0, len = strlen(ref);

	if (!obj && store_kinds[kind].unique_name)
		obj = store_find_name(s, kind, ref);
	if (obj) {
		*ret = obj;
		return 0;
	}
	if (len)
		for (struct store_iter it = store_all(s, kind); (obj = store_next(&it));)
			if (object_has_name(kind, obj, ref)) {
				found = obj;
				n++;
			}
	for (struct store_iter it = store_all(s, kind); len && !found && (obj = store_next(&it));)
		if (!strncmp(store_id(obj), ref, len)) {
			/* Names win over prefixes, so this ends the loop only when ambiguous. */
			for (found = obj, n = 1; (obj = store_next(&it));)
				n += !strncmp(store_id(obj), ref, len);
			break;
		}
	if (!n)
		return err_set(err, -ENOENT, "%s %s not found", what, ref);
	if (n > 1)
		return err_set(err, -EINVAL, "%s %s is ambiguous (%zu matches found)", what, ref,
			       n);
	*ret = found;
	return 0;
}

/* --- watching --- */

void store_watch(struct store *s, struct store_watch *w)
{
	list_add_tail(&w->node, &s->watches);
}

void store_unwatch(struct store_watch *w)
{
	list_del(&w->node);
}
