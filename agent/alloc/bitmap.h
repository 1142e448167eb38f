/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of small numbers, allocated one after the other (serially), so that a number given back
 * is the last to be used again. Memory grows with the greatest number set, not with the range.
 * Source: moby daemon/libnetwork/bitmap (serial allocation).
 */
#pragma once

#include "core/util.h"

struct bitmap {
	uint64_t *words;
	size_t n_words;
	uint64_t n; /* numbers set */
	uint64_t next; /* where the search goes on */
};

void bitmap_done(struct bitmap *b);
bool bitmap_test(const struct bitmap *b, uint64_t i);
/* Returns whether it was set before. The search goes on behind the greatest number set. */
bool bitmap_set(struct bitmap *b, uint64_t i);
bool bitmap_clear(struct bitmap *b, uint64_t i);
/* Set the next free number within [lo, hi]. False when there is none. */
bool bitmap_take(struct bitmap *b, uint64_t lo, uint64_t hi, uint64_t *ret);
/* The lowest free number within [lo, hi], not set. */
bool bitmap_lowest(const struct bitmap *b, uint64_t lo, uint64_t hi, uint64_t *ret);
