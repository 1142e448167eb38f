// SPDX-License-Identifier: Apache-2.0
#include "core/arch.h"

#include <string.h>
#include <strings.h>

#include "core/util.h"

const char *arch_name(const char *machine)
{
	if (!strcasecmp(machine, "x86_64"))
		return "amd64";
	if (!strcasecmp(machine, "aarch64"))
		return "arm64";
	return machine;
}

bool arch_is_platform(const char *platform)
{
	_cleanup_free_ char *copy = xstrdup(platform);
	char *arch = strchr(copy, '/'), *variant;

	if (arch) {
		*arch++ = 0;
		variant = strchr(arch, '/');
		if (variant)
			*variant = 0;
	}
	return !strcasecmp(copy, "linux") && (!arch || !strcasecmp(arch_name(arch), ARCH_NAME));
}
