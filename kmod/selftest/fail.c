// SPDX-License-Identifier: GPL-2.0-only
#include "fail.h"

#include <linux/moduleparam.h>
#include <linux/random.h>

static unsigned int fail_every;
module_param(fail_every, uint, 0600);
MODULE_PARM_DESC(fail_every, "one of so many allocations fails; 0: none does");

bool sw_selftest_fails(void)
{
	unsigned int n = READ_ONCE(fail_every);

	return n && !(get_random_u32() % n);
}
