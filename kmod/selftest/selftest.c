// SPDX-License-Identifier: GPL-2.0-only
#include "selftest.h"

#include <linux/errno.h>
#include <linux/printk.h>

int sw_selftest(void)
{
	bool passed = sw_selftest_tables();

	passed &= sw_selftest_flows();
	passed &= sw_selftest_reshape();
	pr_info("swarm: self-tests %s\n", passed ? "passed" : "failed");
	return passed ? 0 : -EINVAL;
}
