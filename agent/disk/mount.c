// SPDX-License-Identifier: Apache-2.0
#include "disk/mount.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>

#include "core/buf.h"
#include "disk/file.h"

/* mountinfo writes space, tab, newline and backslash as octal escapes. */
static void unescape(char *s)
{
	char *d = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*d++ = (s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0');
			s += 3;
		} else {
			*d++ = *s;
		}
	}
	*d = 0;
}

static bool below(const char *path, const char *root)
{
	size_t n = strlen(root);

	return !strncmp(path, root, n) && (path[n] == '/' || !path[n]);
}

int mount_detach_tree(const char *path, struct err *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	char real[PATH_MAX], **found = NULL;
	size_t n = 0;
	int rc;

	if (!realpath(path, real))
		return errno == ENOENT ? 0 : err_errno(err, -errno, "cannot look at %s", path);
	rc = file_read("/proc/self/mountinfo", 64 << 20, &text, err);
	if (rc)
		return rc;
	for (char *save, *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char where[PATH_MAX];

		if (sscanf(line, "%*s %*s %*s %*s %4095s", where) != 1)
			continue;
		unescape(where);
		if (!below(where, real))
			continue;
		found = xrealloc(found, (n + 1) * sizeof(*found));
		found[n++] = xstrdup(where);
	}
	while (n) {
		if (umount2(found[--n], MNT_DETACH) && errno != EINVAL && errno != ENOENT && !rc)
			rc = err_errno(err, -errno, "cannot unmount %s", found[n]);
		free(found[n]);
	}
	free(found);
	return rc;
}
