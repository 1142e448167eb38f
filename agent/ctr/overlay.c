// SPDX-License-Identifier: Apache-2.0
#include "ctr/overlay.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>

#include "core/buf.h"
#include "disk/file.h"

enum { OPTIONS_MAX = 4000 }; /* mount(2) takes one page */

static char *options(const struct overlay *o, const char *lower)
{
	if (o->lower_only)
		return xasprintf("lowerdir=%s", lower);
	return xasprintf("index=off,lowerdir=%s,upperdir=%s/rw,workdir=%s/work%s", lower, o->dir,
			 o->dir, o->no_sync ? ",volatile" : "");
}

/* The layers by their names in their folder. */
static void shorten(const struct overlay *o, const char *lower, struct buf *ret)
{
	size_t skip = strlen(o->layers_dir) + 1;

	for (const char *p = lower; *p;) {
		size_t n = strcspn(p, ":");

		if (n > skip)
			buf_add(ret, p + skip, n - skip);
		p += n;
		if (*p) {
			buf_char(ret, ':');
			p++;
		}
	}
}

int overlay_mount(const struct overlay *o, const char *at, struct err *err)
{
	_cleanup_free_ char *opts = NULL, *stale = NULL, *none = NULL;
	_cleanup_buf_ struct buf shorter = BUF_INIT;
	unsigned long flags = o->read_only ? MS_RDONLY : 0;
	const char *lower = o->lowerdirs;
	bool relative;
	int rc = 0;

	if (!*lower) { /* an image without layers */
		none = xasprintf("%s/none", o->dir);
		rc = dir_make(none, 0755, err);
		if (rc)
			return rc;
		lower = none;
	}
	if (o->lower_only && !strchr(lower, ':'))
		return mount(lower, at, NULL, MS_BIND, NULL)
			       ? err_errno(err, -errno, "cannot mount %s", lower)
			       : 0;
	/* left by a run that was not unmounted in order */
	stale = xasprintf("%s/work/work/incompat", o->dir);
	dir_remove_tree(stale, NULL);
	opts = options(o, lower);
	relative = strlen(opts) > OPTIONS_MAX;
	if (relative) {
		shorten(o, lower, &shorter);
		free(opts);
		opts = options(o, shorter.data);
		if (unshare(CLONE_FS) || chdir(o->layers_dir))
			return err_errno(err, -errno, "cannot enter %s", o->layers_dir);
	}
	if (mount("overlay", at, "overlay", flags, opts))
		rc = err_errno(err, -errno, "cannot mount the root %s", at);
	if (relative && chdir("/"))
		return err_errno(err, -errno, "cannot leave %s", o->layers_dir);
	return rc;
}
