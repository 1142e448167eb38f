/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash map from strings to pointers. Iteration is in order of insertion, so it depends on
 * neither addresses nor the hash. Keys are copied; values belong to the caller.
 *
 * Deleting during iteration is allowed, inserting is not.
 */
#pragma once

#include "core/util.h"

struct map_entry {
	char *key; /* NULL: deleted */
	void *value;
	uint32_t hash;
};

struct map {
	struct map_entry *entries; /* in order of insertion, with holes */
	uint32_t *slots; /* index + 1 into entries, 0 empty */
	size_t len; /* live entries */
	size_t used; /* entries including holes */
	size_t n_slots; /* power of two */
};

#define MAP_INIT                                                                                   \
	{                                                                                          \
		0                                                                                  \
	}

void map_init(struct map *m);
/* Frees keys and tables, not the values. */
void map_done(struct map *m);
/* NULL when absent. */
void *map_get(const struct map *m, const char *key);
bool map_has(const struct map *m, const char *key);
/* Insert or replace. Returns the value that was there before, or NULL. value may not be NULL. */
void *map_put(struct map *m, const char *key, void *value);
/* Remove and return the value, or NULL when absent. A key that came from the map is gone then, too. */
void *map_del(struct map *m, const char *key);
/* Start with *pos = 0; returns false at the end. */
bool map_next(const struct map *m, size_t *pos, const char **ret_key, void **ret_value);

/* for (map_each(m, key, value)): key is const char *, value a pointer variable of any type. */
#define map_for_each(m, key, val)                                                                  \
	for (size_t _pos_##val = 0; map_next((m), &_pos_##val, &(key), (void **)&(val));)
