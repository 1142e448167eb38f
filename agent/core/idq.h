/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue of distinct strings, first in, first out: what has still to be looked at. Strings are
 * copied. Adding, removing and finding one are O(1).
 */
#pragma once

#include "core/list.h"
#include "core/map.h"

struct idq {
	struct map map;
	struct list_head list;
};

void idq_init(struct idq *q);
void idq_done(struct idq *q);
/* Returns false when it is in the queue already; it keeps its place. */
bool idq_add(struct idq *q, const char *id);
bool idq_del(struct idq *q, const char *id);
/* The first, or NULL; borrowed until it is removed. */
const char *idq_first(const struct idq *q);
/* Remove the first and return it for the caller to free(), or NULL. */
char *idq_pop(struct idq *q);
/* Append all of from, which becomes empty. */
void idq_move(struct idq *to, struct idq *from);

static inline bool idq_empty(const struct idq *q)
{
	return !q->map.len;
}

static inline bool idq_has(const struct idq *q, const char *id)
{
	return map_has(&q->map, id);
}
