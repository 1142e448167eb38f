/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that are told to a few peers at a time, each a limited number of times, the least told
 * first; a newer message of the same name takes the place of the old one. Pure.
 * Source: hashicorp/memberlist queue.go (TransmitLimitedQueue).
 */
#pragma once

#include "core/list.h"
#include "core/map.h"

enum { TXQ_LEVELS = 64 };

struct txq {
	struct list_head levels[TXQ_LEVELS]; /* by times told */
	struct map by_name;
	size_t len;
};

void txq_init(struct txq *q);
void txq_done(struct txq *q);
/* name may be NULL: nothing replaces it. data is copied. */
void txq_put(struct txq *q, const char *name, const void *data, size_t size);
/*
 * Hand out messages while size + overhead fits into *avail, which shrinks; each is dropped after
 * limit times. data is valid until the next call. At most max messages; returns how many.
 */
size_t txq_get(struct txq *q, unsigned int limit, size_t overhead, size_t *avail, size_t max,
	       void (*emit)(const void *data, size_t size, void *arg), void *arg);
/* memberlist's limit: mult * ceil(log10(n + 1)). */
unsigned int txq_limit(unsigned int mult, size_t nodes);
