// SPDX-License-Identifier: Apache-2.0
#include "core/idq.h"

struct idq_item {
	struct list_head node;
	char *id;
};

void idq_init(struct idq *q)
{
	map_init(&q->map);
	list_init(&q->list);
}

void idq_done(struct idq *q)
{
	while (!list_empty(&q->list)) {
		struct idq_item *it = list_first(&q->list, struct idq_item, node);

		list_del(&it->node);
		free(it->id);
		free(it);
	}
	map_done(&q->map);
}

bool idq_add(struct idq *q, const char *id)
{
	struct idq_item *it;

	if (map_has(&q->map, id))
		return false;
	it = xcalloc(1, sizeof(*it));
	it->id = xstrdup(id);
	list_add_tail(&it->node, &q->list);
	map_put(&q->map, id, it);
	return true;
}

bool idq_del(struct idq *q, const char *id)
{
	struct idq_item *it = map_del(&q->map, id);

	if (!it)
		return false;
	list_del(&it->node);
	free(it->id);
	free(it);
	return true;
}

const char *idq_first(const struct idq *q)
{
	return list_empty(&q->list) ? NULL : list_first(&q->list, struct idq_item, node)->id;
}

char *idq_pop(struct idq *q)
{
	struct idq_item *it;
	char *id;

	if (list_empty(&q->list))
		return NULL;
	it = list_first(&q->list, struct idq_item, node);
	list_del(&it->node);
	map_del(&q->map, it->id);
	id = it->id;
	free(it);
	return id;
}

void idq_move(struct idq *to, struct idq *from)
{
	char *id;

	while ((id = idq_pop(from))) {
		idq_add(to, id);
		free(id);
	}
}
