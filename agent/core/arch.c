// SPDX-License-Identifier: Apache-2.0
#include "core/arch.h"

#include <errno.h>
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

/* Source: containerd platforms.Parse(). */
int arch_platform_check(const char *platform, struct err *err)
{
	static const char *const alone[] = {"linux", "windows", "darwin", "freebsd", "amd64",
					    "arm64", "arm",	"386",	  "ppc64le", "riscv64",
					    "s390x", "x86_64",	"aarch64"};
	unsigned int parts = 1;

	for (const char *p = platform; *p; p++) {
		if (*p == '/') {
			parts++;
			if (p != platform && p[1] && p[1] != '/')
				continue;
		} else if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			   (*p >= '0' && *p <= '9') || strchr("_.-", *p)) {
			continue;
		}
		return err_set(err, -EINVAL,
			       "invalid platform specifier \"%s\": its parts are letters, "
			       "digits, '.', '_' and '-': invalid argument",
			       platform);
	}
	if (parts > 3)
		return err_set(err, -EINVAL,
			       "\"%s\": cannot parse platform specifier: invalid argument",
			       platform);
	if (parts > 1)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(alone); i++)
		if (!strcasecmp(platform, alone[i]))
			return 0;
	return err_set(err, -EINVAL,
		       "\"%s\": unknown operating system or architecture: invalid argument",
		       platform);
}
