/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An intrusive binary min-heap. The caller embeds a struct heap_item and says which of two comes
 * first; order among equals is unspecified, so the comparison breaks ties itself. The heap owns
 * its array only.
 */
#pragma once

#include "core/util.h"

struct heap_item {
	size_t pos; /* index + 1 in the heap; 0: in none */
};

struct heap {
	struct heap_item **items;
	size_t n, alloc;
	bool (*before)(const struct heap_item *a, const struct heap_item *b);
};

void heap_init(struct heap *h, bool (*before)(const struct heap_item *, const struct heap_item *));
/* Frees the array; the items forget that they were in it. */
void heap_done(struct heap *h);
/* The item must be in no heap. */
void heap_push(struct heap *h, struct heap_item *it);
/* Fine for an item that is in no heap. */
void heap_del(struct heap *h, struct heap_item *it);
/* The item's key has changed. */
void heap_fix(struct heap *h, struct heap_item *it);

/* The least, or NULL. */
static inline struct heap_item *heap_top(const struct heap *h)
{
	return h->n ? h->items[0] : NULL;
}

static inline bool heap_has(const struct heap_item *it)
{
	return it->pos;
}
