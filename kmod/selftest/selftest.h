/* SPDX-License-Identifier: GPL-2.0-only */
/* Self-tests when the module is loaded, in debug builds (DEBUG=1). */
#pragma once

#ifdef DEBUG
#include <linux/printk.h>
#include <linux/types.h>

/* 0, or -EINVAL after saying what is wrong in the kernel's log. After sw_flows_cache_init(). */
int sw_selftest(void);

/* One a file; true: passed. */
bool sw_selftest_flows(void);
bool sw_selftest_reshape(void);
bool sw_selftest_tables(void);

#define SW_EXPECT(ok) sw_selftest_expect(ok, #ok, __func__, __LINE__)

static inline bool sw_selftest_expect(bool ok, const char *what, const char *where, int line)
{
	if (!ok)
		pr_err("swarm: self-test: %s:%d: %s\n", where, line, what);
	return ok;
}
#else
static inline int sw_selftest(void)
{
	return 0;
}
#endif
