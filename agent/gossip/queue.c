// SPDX-License-Identifier: Apache-2.0
#include "gossip/queue.h"

struct item {
	struct list_head node;
	char *name;
	size_t size;
	unsigned int told;
	uint8_t data[];
};

void txq_init(struct txq *q)
{
	for (size_t i = 0; i < TXQ_LEVELS; i++)
		list_init(&q->levels[i]);
	map_init(&q->by_name);
	q->len = 0;
}

static void drop(struct txq *q, struct item *it)
{
	if (it->name && map_get(&q->by_name, it->name) == it)
		map_del(&q->by_name, it->name);
	list_del(&it->node);
	q->len--;
	free(it->name);
	free(it);
}

void txq_done(struct txq *q)
{
	for (size_t i = 0; i < TXQ_LEVELS; i++)
		while (!list_empty(&q->levels[i]))
			drop(q, list_first(&q->levels[i], struct item, node));
	map_done(&q->by_name);
}

void txq_put(struct txq *q, const char *name, const void *data, size_t size)
{
	struct item *it = xcalloc(1, sizeof(*it) + size),
		    *old = name ? map_get(&q->by_name, name) : NULL;

	if (old)
		drop(q, old);
	it->name = xstrdup(name);
	it->size = size;
	memcpy(it->data, data, size);
	if (name)
		map_put(&q->by_name, name, it);
	list_add(&it->node, &q->levels[0]);
	q->len++;
}

size_t txq_get(struct txq *q, unsigned int limit, size_t overhead, size_t *avail, size_t max,
	       void (*emit)(const void *data, size_t size, void *arg), void *arg)
{
	struct list_head told = LIST_HEAD_INIT(told);
	struct item *it, *next;
	size_t n = 0;

	for (size_t level = 0; level < TXQ_LEVELS && q->len; level++) {
		list_for_each_safe (it, next, &q->levels[level], node) {
			if (n == max || *avail <= overhead)
				break;
			if (it->size + overhead > *avail)
				continue;
			*avail -= it->size + overhead;
			n++;
			emit(it->data, it->size, arg);
			it->told++;
			if (it->told >= limit || it->told >= TXQ_LEVELS) {
				drop(q, it);
				continue;
			}
			list_del(&it->node);
			list_add(&it->node, &told);
		}
	}
	list_for_each_safe (it, next, &told, node) {
		list_del(&it->node);
		list_add_tail(&it->node, &q->levels[it->told]);
	}
	return n;
}

unsigned int txq_limit(unsigned int mult, size_t nodes)
{
	unsigned int digits = 0;

	for (size_t v = 1; v < nodes + 1; v *= 10)
		digits++;
	return mult * max(digits, 1u);
}
