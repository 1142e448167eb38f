/* SPDX-License-Identifier: Apache-2.0 */
/* Names of archive entries. Pure. */
#pragma once

#include "core/util.h"

/* A path found below top as base/rest, malloc'd; base "": rest alone, "" for the top itself. */
static inline char *rebase(const char *path, const char *top, const char *base)
{
	size_t n = strlen(top);

	while (n && top[n - 1] == '/')
		n--;
	path += min(n, strlen(path));
	while (*path == '/')
		path++;
	if (!*base)
		return xstrdup(path);
	return *path ? xasprintf("%s/%s", base, path) : xstrdup(base);
}

/* "a/b" to "a/.wh.b", malloc'd. */
static inline char *whiteout_name(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? xasprintf("%.*s/.wh.%s", (int)(slash - name), name, slash + 1)
		     : xasprintf(".wh.%s", name);
}
