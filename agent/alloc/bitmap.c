// SPDX-License-Identifier: Apache-2.0
#include "alloc/bitmap.h"

void bitmap_done(struct bitmap *b)
{
	free(b->words);
	*b = (struct bitmap){0};
}

bool bitmap_test(const struct bitmap *b, uint64_t i)
{
	return i / 64 < b->n_words && b->words[i / 64] >> i % 64 & 1;
}

bool bitmap_set(struct bitmap *b, uint64_t i)
{
	if (bitmap_test(b, i))
		return true;
	if (i / 64 >= b->n_words) {
		size_t n = max(b->n_words * 2, (size_t)(i / 64 + 1));

		b->words = xrealloc(b->words, n * sizeof(*b->words));
		memset(b->words + b->n_words, 0, (n - b->n_words) * sizeof(*b->words));
		b->n_words = n;
	}
	b->words[i / 64] |= 1ULL << i % 64;
	b->n++;
	b->next = max(b->next, i + 1);
	return false;
}

bool bitmap_clear(struct bitmap *b, uint64_t i)
{
	if (!bitmap_test(b, i))
		return false;
	b->words[i / 64] &= ~(1ULL << i % 64);
	b->n--;
	return true;
}

bool bitmap_lowest(const struct bitmap *b, uint64_t lo, uint64_t hi, uint64_t *ret)
{
	for (uint64_t i = lo; i <= hi;) {
		uint64_t free_bits;

		if (i / 64 >= b->n_words) {
			*ret = i;
			return true;
		}
		free_bits = ~b->words[i / 64] >> i % 64;
		if (free_bits) {
			i += __builtin_ctzll(free_bits);
			if (i > hi)
				return false;
			*ret = i;
			return true;
		}
		i = (i / 64 + 1) * 64;
	}
	return false;
}

bool bitmap_take(struct bitmap *b, uint64_t lo, uint64_t hi, uint64_t *ret)
{
	uint64_t i;

	if (!(b->next > lo && bitmap_lowest(b, b->next, hi, &i)) && !bitmap_lowest(b, lo, hi, &i))
		return false;
	bitmap_set(b, i);
	b->next = i + 1;
	*ret = i;
	return true;
}
