// SPDX-License-Identifier: Apache-2.0
#include "core/heap.h"

#include "core/idq.h"
#include "core/rng.h"

#include <kselftest_harness.h>

struct number {
	struct heap_item item;
	uint64_t value;
};

static bool before(const struct heap_item *a, const struct heap_item *b)
{
	return container_of(a, struct number, item)->value <
	       container_of(b, struct number, item)->value;
}

TEST(the_least_is_on_top)
{
	struct number v[50] = {0};
	struct heap h;
	struct rng r;

	heap_init(&h, before);
	rng_seed(&r, 3);
	for (int i = 0; i < 20000; i++) {
		struct number *n = &v[rng_below(&r, ARRAY_SIZE(v))];
		const struct number *least = NULL;

		if (!heap_has(&n->item)) {
			n->value = rng_below(&r, 100);
			heap_push(&h, &n->item);
		} else if (rng_below(&r, 2)) {
			heap_del(&h, &n->item);
		} else {
			n->value = rng_below(&r, 100);
			heap_fix(&h, &n->item);
		}
		for (size_t k = 0; k < ARRAY_SIZE(v); k++)
			if (heap_has(&v[k].item) && (!least || v[k].value < least->value))
				least = &v[k];
		if (!least) {
			ASSERT_EQ(NULL, heap_top(&h));
			continue;
		}
		ASSERT_EQ(least->value, container_of(heap_top(&h), struct number, item)->value);
	}
	heap_done(&h);
	for (size_t k = 0; k < ARRAY_SIZE(v); k++)
		ASSERT_FALSE(heap_has(&v[k].item));
}

TEST(a_queue_holds_each_once)
{
	struct idq q, other;
	char *id;

	idq_init(&q);
	idq_init(&other);
	ASSERT_EQ(NULL, idq_first(&q));
	ASSERT_TRUE(idq_add(&q, "a"));
	ASSERT_TRUE(idq_add(&q, "b"));
	ASSERT_TRUE(idq_add(&q, "c"));
	ASSERT_FALSE(idq_add(&q, "a"));
	ASSERT_TRUE(idq_del(&q, "b"));
	ASSERT_FALSE(idq_del(&q, "b"));
	idq_add(&other, "c");
	idq_add(&other, "d");
	idq_move(&q, &other);
	ASSERT_TRUE(idq_empty(&other));
	ASSERT_STREQ("a", idq_first(&q));
	for (const char *want = "acd"; *want; want++) {
		id = idq_pop(&q);
		ASSERT_EQ(*want, *id);
		free(id);
	}
	ASSERT_EQ(NULL, idq_pop(&q));
	idq_done(&q);
	idq_done(&other);
}

TEST_HARNESS_MAIN
