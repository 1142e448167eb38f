// SPDX-License-Identifier: Apache-2.0
#include "core/heap.h"

void heap_init(struct heap *h, bool (*before)(const struct heap_item *, const struct heap_item *))
{
	*h = (struct heap){.before = before};
}

void heap_done(struct heap *h)
{
	for (size_t i = 0; i < h->n; i++)
		h->items[i]->pos = 0;
	free(h->items);
	*h = (struct heap){.before = h->before};
}

static void put(struct heap *h, size_t i, struct heap_item *it)
{
	h->items[i] = it;
	it->pos = i + 1;
}

static size_t sift_up(struct heap *h, size_t i)
{
	struct heap_item *it = h->items[i];

	while (i && h->before(it, h->items[(i - 1) / 2])) {
		put(h, i, h->items[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	put(h, i, it);
	return i;
}

static void sift_down(struct heap *h, size_t i)
{
	struct heap_item *it = h->items[i];
	size_t child;

	while ((child = 2 * i + 1) < h->n) {
		if (child + 1 < h->n && h->before(h->items[child + 1], h->items[child]))
			child++;
		if (!h->before(h->items[child], it))
			break;
		put(h, i, h->items[child]);
		i = child;
	}
	put(h, i, it);
}

void heap_push(struct heap *h, struct heap_item *it)
{
	assert(!it->pos);
	if (h->n == h->alloc) {
		h->alloc = h->alloc ? h->alloc * 2 : 16;
		h->items = xrealloc(h->items, h->alloc * sizeof(*h->items));
	}
	put(h, h->n++, it);
	sift_up(h, h->n - 1);
}

void heap_fix(struct heap *h, struct heap_item *it)
{
	sift_down(h, sift_up(h, it->pos - 1));
}

void heap_del(struct heap *h, struct heap_item *it)
{
	size_t i;

	if (!it->pos)
		return;
	i = it->pos - 1;
	it->pos = 0;
	if (i == --h->n)
		return;
	put(h, i, h->items[h->n]);
	heap_fix(h, h->items[i]);
}
