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

#define kzalloc(...) (sw_selftest_fails() ? NULL : kzalloc(__VA_ARGS__))
#define kmemdup(...) (sw_selftest_fails() ? NULL : kmemdup(__VA_ARGS__))
#define kvzalloc(...) (sw_selftest_fails() ? NULL : kvzalloc(__VA_ARGS__))
#define kvcalloc(...) (sw_selftest_fails() ? NULL : kvcalloc(__VA_ARGS__))
#define kmem_cache_alloc(...) (sw_selftest_fails() ? NULL : kmem_cache_alloc(__VA_ARGS__))
#define xa_alloc(...) (sw_selftest_fails() ? -ENOMEM : xa_alloc(__VA_ARGS__))
#define xa_alloc_bh(...) (sw_selftest_fails() ? -ENOMEM : xa_alloc_bh(__VA_ARGS__))
#define rhashtable_insert_fast(...)                                                                \
	(sw_selftest_fails() ? -ENOMEM : rhashtable_insert_fast(__VA_ARGS__))
