/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Allocations that fail, in debug builds on kernels without fault injection of their own: the
 * build includes this before every file of the module. With the parameter fail_every set to n,
 * about one in n fails, of those of packets as well.
 */
#pragma once

#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <linux/xarray.h>

/* Is it this one's turn? Any context. */
bool sw_selftest_fails(void);

/* Since 6.10 the allocators are macros themselves, which functions keep from being lost. */
#define SW_FAILING(name, params, ...)                                                              \
	static inline void *sw_selftest_##name params                                              \
	{                                                                                          \
		return sw_selftest_fails() ? NULL : name(__VA_ARGS__);                             \
	}

SW_FAILING(kzalloc, (size_t size, gfp_t flags), size, flags)
SW_FAILING(kmemdup, (const void *from, size_t size, gfp_t flags), from, size, flags)
SW_FAILING(kvzalloc, (size_t size, gfp_t flags), size, flags)
SW_FAILING(kvcalloc, (size_t n, size_t size, gfp_t flags), n, size, flags)

static inline void *sw_selftest_kmem_cache_alloc(struct kmem_cache *cache, gfp_t flags)
{
	return sw_selftest_fails() ? NULL : kmem_cache_alloc(cache, flags);
}

#undef kzalloc
#undef kmemdup
#undef kvzalloc
#undef kvcalloc
#undef kmem_cache_alloc
#define kzalloc sw_selftest_kzalloc
#define kmemdup sw_selftest_kmemdup
#define kvzalloc sw_selftest_kvzalloc
#define kvcalloc sw_selftest_kvcalloc
#define kmem_cache_alloc sw_selftest_kmem_cache_alloc
#define xa_alloc(...) (sw_selftest_fails() ? -ENOMEM : xa_alloc(__VA_ARGS__))
#define xa_alloc_bh(...) (sw_selftest_fails() ? -ENOMEM : xa_alloc_bh(__VA_ARGS__))
#define rhashtable_insert_fast(...)                                                                \
	(sw_selftest_fails() ? -ENOMEM : rhashtable_insert_fast(__VA_ARGS__))
