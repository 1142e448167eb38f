// SPDX-License-Identifier: Apache-2.0
/* What a container wrote: docker diff and the size of its layer. Source: moby pkg/archive/changes.go. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "ctr/archive.h"
#include "ctr/ctr_impl.h"
#include "ctr/overlay.h"

enum kind { CHANGED, ADDED, DELETED };
enum { DEPTH_MAX = 256 };

struct diff {
	struct loop *loop;
	char *dir, *lower_at, *layers_dir;
	struct buf lowerdirs;
	struct err err;
	json_t *list;
	void (*done)(const struct err *err, json_t *changes, void *arg);
	void *arg;
};

/* What the runtime makes for its mounts, and the mark of a container. */
static bool is_runtimes(const char *path)
{
	static const char *const own[] = {"/.dockerenv",
					  "/dev",
					  "/proc",
					  "/sys",
					  "/etc/hosts",
					  "/etc/hostname",
					  "/etc/resolv.conf",
					  "/sbin/docker-init"};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		size_t n = strlen(own[i]);

		if (!strncmp(path, own[i], n) && (!path[n] || path[n] == '/'))
			return true;
	}
	return false;
}

static void add(struct diff *d, const char *path, enum kind kind)
{
	json_array_append_new(d->list,
			      json_pack("{s:o, s:i}", "Path",
					json_stringn_nocheck(path, strlen(path)), "Kind", kind));
}

static bool same_meta(const struct stat *a, const struct stat *b)
{
	return a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid;
}

static void walk(struct diff *d, int upper, int lower, const char *path, int depth)
{
	struct dirent **names;
	int n = scandirat(upper, ".", &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;
		_cleanup_free_ char *full = xasprintf("%s/%s", path, name);
		_cleanup_close_ int up = -1, low = -1;
		struct stat st, old;
		bool had, dots = !strcmp(name, ".") || !strcmp(name, "..");
		size_t at = json_array_size(d->list);

		if (dots || fstatat(upper, name, &st, AT_SYMLINK_NOFOLLOW)) {
			free(names[i]);
			continue;
		}
		had = lower >= 0 && !fstatat(lower, name, &old, AT_SYMLINK_NOFOLLOW);
		if (S_ISCHR(st.st_mode) && !st.st_rdev) {
			if (had)
				add(d, full, DELETED);
		} else if (!(is_runtimes(full) && (!had || !S_ISDIR(st.st_mode)))) {
			add(d, full, had ? CHANGED : ADDED);
			if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
				up = openat(upper, name,
					    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
				low = had ? openat(lower, name,
						   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
					  : -1;
				if (up >= 0)
					walk(d, up, low, full, depth + 1);
				/* it was only passed through, on the way to a mount point */
				if (had && json_array_size(d->list) == at + 1 &&
				    same_meta(&st, &old))
					json_array_remove(d->list, at);
			}
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

static void diff_work(void *arg)
{
	struct diff *d = arg;
	struct overlay o = {.lowerdirs = d->lowerdirs.data,
			    .layers_dir = d->layers_dir,
			    .dir = d->dir,
			    .lower_only = true};
	_cleanup_close_ int home = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *rw = xasprintf("%s/rw", d->dir);
	_cleanup_close_ int upper = open(rw, O_RDONLY | O_DIRECTORY | O_CLOEXEC), lower = -1;

	d->list = json_array();
	if (unshare(CLONE_FS | CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		err_errno(&d->err, -errno, "cannot make a mount namespace");
	} else if (!overlay_mount(&o, d->lower_at, &d->err)) {
		lower = open(d->lower_at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (upper >= 0)
			walk(d, upper, lower, "", 0);
	}
	if (home >= 0)
		(void)!setns(home, CLONE_NEWNS);
}

static void diff_done(void *arg)
{
	struct diff *d = arg;

	d->done(d->err.code ? &d->err : NULL, d->list, d->arg);
	json_decref(d->list);
	buf_done(&d->lowerdirs);
	free(d->dir);
	free(d->lower_at);
	free(d->layers_dir);
	free(d);
}

void archive_changes(struct ctr *c, void (*done)(const struct err *err, json_t *changes, void *arg),
		     void *arg)
{
	struct diff *d = xcalloc(1, sizeof(*d));

	d->loop = c->ctrs->opt.loop;
	d->dir = xstrdup(c->dir);
	d->lower_at = xasprintf("%s/merged", c->dir);
	d->layers_dir = xasprintf("%s/overlay", c->ctrs->data_root);
	buf_init(&d->lowerdirs);
	if (c->image)
		image_lowerdirs(c->ctrs->opt.images, c->image, &d->lowerdirs);
	d->done = done;
	d->arg = arg;
	loop_thread(d->loop, diff_work, diff_done, d);
}

static int64_t tree_size(int dir, int depth)
{
	DIR *d = fdopendir(dir);
	struct dirent *e;
	int64_t sum = 0;

	if (!d) {
		close(dir);
		return 0;
	}
	while ((e = readdir(d))) {
		struct stat st;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode))
			sum += st.st_size;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
			int sub = openat(dir, e->d_name,
					 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			sum += sub < 0 ? 0 : tree_size(sub, depth + 1);
		}
	}
	closedir(d);
	return sum;
}

int64_t archive_size_rw(struct ctr *c)
{
	_cleanup_free_ char *rw = xasprintf("%s/rw", c->dir);
	int fd = open(rw, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? 0 : tree_size(fd, 0);
}
