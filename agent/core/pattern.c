// SPDX-License-Identifier: Apache-2.0
#include "core/pattern.h"

#include <errno.h>

/* Counts can make a pattern that takes all memory, back references one that takes for ever; Go's
 * expressions know no back references either. */
static bool is_tame(const char *pattern)
{
	if (strlen(pattern) > 256 || strchr(pattern, '{'))
		return false;
	for (const char *p = pattern; (p = strchr(p, '\\')) && p[1]; p += 2)
		if (p[1] >= '1' && p[1] <= '9')
			return false;
	return true;
}

int pattern_compile(const char *pattern, regex_t *ret, struct err *err)
{
	char why[200];
	regex_t re;
	int rc;

	if (!is_tame(pattern))
		return err_set(
			err, -EINVAL,
			"error parsing regexp: `%s` has counts or back references, or is longer "
			"than 256 bytes: use a simpler one",
			pattern);
	rc = regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB);
	if (rc) {
		regerror(rc, &re, why, sizeof(why));
		return err_set(err, -EINVAL, "error parsing regexp: %s: `%s`", why, pattern);
	}
	*ret = re;
	return 0;
}
