// SPDX-License-Identifier: Apache-2.0
#include "core/map.h"

static uint32_t hash_str(const char *s)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h ^ h >> 15;
}

void map_init(struct map *m)
{
	memset(m, 0, sizeof(*m));
}

void map_done(struct map *m)
{
	for (size_t i = 0; i < m->used; i++)
		free(m->entries[i].key);
	free(m->entries);
	free(m->slots);
	map_init(m);
}

/* The slot that holds key, or the empty slot where it would go. */
static uint32_t *find_slot(const struct map *m, const char *key, uint32_t hash)
{
	size_t mask = m->n_slots - 1;

	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		uint32_t *slot = &m->slots[i];
		const struct map_entry *e;

		if (!*slot)
			return slot;
		e = &m->entries[*slot - 1];
		if (e->key && e->hash == hash && !strcmp(e->key, key))
			return slot;
	}
}

/* Drop the holes and size the table for one more entry. */
static void rebuild(struct map *m)
{
	size_t n = 8, used = 0;

	while (n < (m->len + 1) * 3)
		n *= 2;
	for (size_t i = 0; i < m->used; i++)
		if (m->entries[i].key)
			m->entries[used++] = m->entries[i];
	m->used = used;
	m->n_slots = n;
	m->entries = xrealloc(m->entries, n / 2 * sizeof(*m->entries));
	free(m->slots);
	m->slots = xcalloc(n, sizeof(*m->slots));
	for (size_t i = 0; i < used; i++)
		*find_slot(m, m->entries[i].key, m->entries[i].hash) = i + 1;
}

static struct map_entry *find(const struct map *m, const char *key)
{
	uint32_t *slot;

	if (!m->len || !key)
		return NULL;
	slot = find_slot(m, key, hash_str(key));
	return *slot ? &m->entries[*slot - 1] : NULL;
}

void *map_get(const struct map *m, const char *key)
{
	struct map_entry *e = find(m, key);

	return e ? e->value : NULL;
}

bool map_has(const struct map *m, const char *key)
{
	return find(m, key);
}

void *map_put(struct map *m, const char *key, void *value)
{
	struct map_entry *e = find(m, key);
	uint32_t hash;

	assert(value);
	if (e) {
		void *old = e->value;

		e->value = value;
		return old;
	}
	if (m->used + 1 >= m->n_slots / 2)
		rebuild(m);
	hash = hash_str(key);
	m->entries[m->used] = (struct map_entry){xstrdup(key), value, hash};
	m->used++;
	m->len++;
	*find_slot(m, key, hash) = m->used;
	return NULL;
}

void *map_del(struct map *m, const char *key)
{
	struct map_entry *e = find(m, key);
	void *value;

	if (!e)
		return NULL;
	value = e->value;
	/* The slot keeps pointing at the hole, so that probing goes on past it. */
	free(e->key);
	e->key = NULL;
	e->value = NULL;
	m->len--;
	return value;
}

bool map_next(const struct map *m, size_t *pos, const char **ret_key, void **ret_value)
{
	while (*pos < m->used) {
		const struct map_entry *e = &m->entries[(*pos)++];

		if (!e->key)
			continue;
		*ret_key = e->key;
		*ret_value = e->value;
		return true;
	}
	return false;
}
