// SPDX-License-Identifier: Apache-2.0
#include "ctr/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "core/when.h"
#include "ctr/ctr_impl.h"
#include "ctr/overlay.h"
#include "ctr/tar.h"

enum { CHUNK = 128 << 10 };

struct bind {
	char *source, *target;
	bool rw;
};

/* A piece of work in a container's root, on a thread of its own. */
struct job {
	struct ctr *c; /* held busy when it does not run */
	char id[13];
	struct loop *loop;
	bool held, whole; /* whole: its root without what is mounted in it */
	int pidfd; /* of its first process; -1: does not run */
	char *root, *dir, *layers_dir, *path;
	struct buf lowerdirs;
	struct bind *binds;
	size_t n_binds;
	bool read_only;
	/* the work */
	int (*run)(struct job *j);
	int fd; /* the thread's end of the pipe, or the archive to unpack */
	int client_fd; /* what ready() gets */
	bool no_overwrite, keep_owner;
	struct err err;
	json_t *stat;
	archive_ready ready;
	void (*done)(const struct err *err, void *arg);
	void *arg;
	bool told;
};

static void job_free(struct job *j)
{
	for (size_t i = 0; i < j->n_binds; i++) {
		free(j->binds[i].source);
		free(j->binds[i].target);
	}
	free(j->binds);
	if (j->pidfd >= 0)
		close(j->pidfd);
	if (j->fd >= 0)
		close(j->fd);
	if (j->client_fd >= 0)
		close(j->client_fd);
	json_decref(j->stat);
	buf_done(&j->lowerdirs);
	free(j->root);
	free(j->dir);
	free(j->layers_dir);
	free(j->path);
	free(j);
}

/* --- on the thread: into the root --- */

static int mount_bind(struct job *j, const struct bind *b)
{
	_cleanup_close_ int fd = root_open(j->root, b->target, O_PATH);
	char path[40];
	struct stat st;

	if (fd == -ENOENT && !stat(b->source, &st) && S_ISDIR(st.st_mode) &&
	    !root_mkdir(j->root, b->target, 0, 0))
		fd = root_open(j->root, b->target, O_PATH);
	if (fd < 0)
		return 0; /* as the container would not start, let alone see it */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (mount(b->source, path, NULL, MS_BIND | MS_REC, NULL))
		return 0;
	if (!b->rw) {
		_cleanup_close_ int now = root_open(j->root, b->target, O_PATH);

		snprintf(path, sizeof(path), "/proc/self/fd/%d", now);
		mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
	}
	return 0;
}

static int enter(struct job *j)
{
	struct overlay o = {
		.lowerdirs = j->lowerdirs.data,
		.layers_dir = j->layers_dir,
		.dir = j->dir,
		.read_only = j->read_only,
	};
	int rc;

	if (j->pidfd >= 0 && !j->whole) {
		if (unshare(CLONE_FS) || setns(j->pidfd, CLONE_NEWNS))
			return err_errno(&j->err, -errno, "cannot enter container %s", j->id);
		return 0;
	}
	if (unshare(CLONE_FS | CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return err_errno(&j->err, -errno, "cannot make a mount namespace");
	if (j->pidfd < 0) {
		rc = overlay_mount(&o, j->root, &j->err);
		if (rc)
			return rc;
		for (size_t i = 0; !j->whole && i < j->n_binds; i++)
			mount_bind(j, &j->binds[i]);
	}
	if (chroot(j->root) || chdir("/"))
		return err_errno(&j->err, -errno, "cannot enter the root of container %s", j->id);
	return 0;
}

static void job_work(void *arg)
{
	struct job *j = arg;
	_cleanup_close_ int home = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
	mode_t mask;
	int rc;

	tar_warm_up();
	rc = enter(j);
	mask = umask(0);
	if (!rc)
		rc = j->run(j);
	umask(mask);
	if (rc && !j->err.code)
		err_errno(&j->err, rc, "cannot work in the root of container %s", j->id);
	/* the mounts made above end with the namespace */
	if (home >= 0)
		(void)!setns(home, CLONE_NEWNS);
}

/* --- on the loop --- */

static void tell(void *arg)
{
	struct job *j = arg;
	int fd = steal_fd(j->client_fd);

	if (j->told)
		return;
	j->told = true;
	if (j->err.code && fd >= 0) {
		close(fd);
		fd = -1;
	}
	if (j->ready)
		j->ready(j->err.code ? &j->err : NULL, j->stat, fd, j->arg);
	if (j->done)
		j->done(j->err.code ? &j->err : NULL, j->arg);
}

static void job_done(void *arg)
{
	struct job *j = arg;
	struct ctr *c = j->c;
	bool held = j->held;

	tell(j);
	job_free(j);
	if (held) {
		c->busy = false;
		ctr_idle(c);
	}
}

static void job_refused(void *arg)
{
	struct job *j = arg;

	tell(j);
	job_free(j);
}

static struct job *job_new(struct ctr *c, const char *path, int (*run)(struct job *), void *arg)
{
	struct job *j = xcalloc(1, sizeof(*j));

	j->c = c;
	snprintf(j->id, sizeof(j->id), "%.12s", c->id);
	j->loop = c->ctrs->opt.loop;
	j->pidfd = -1;
	j->root = xasprintf("%s/merged", c->dir);
	j->dir = xstrdup(c->dir);
	j->layers_dir = xasprintf("%s/overlay", c->ctrs->data_root);
	j->path = xasprintf("%s%s", *path == '/' ? "" : "/", path);
	buf_init(&j->lowerdirs);
	if (c->image)
		image_lowerdirs(c->ctrs->opt.images, c->image, &j->lowerdirs);
	j->read_only = jb(c->host, "ReadonlyRootfs");
	j->binds = xcalloc(c->n_mounts + 1, sizeof(*j->binds));
	for (size_t i = 0; i < c->n_mounts; i++)
		if (strcmp(c->mounts[i].type, "tmpfs"))
			j->binds[j->n_binds++] =
				(struct bind){xstrdup(c->mounts[i].source),
					      xstrdup(c->mounts[i].target), c->mounts[i].rw};
	j->run = run;
	j->fd = j->client_fd = -1;
	j->arg = arg;
	return j;
}

/* The container is not busy now. */
static void job_begin(struct ctr *c, const struct err *err, void *arg)
{
	struct job *j = arg;

	if (err)
		j->err = *err;
	else if (ctr_running(c) && c->pidfd >= 0)
		j->pidfd = fcntl(c->pidfd, F_DUPFD_CLOEXEC, 3);
	else if (!c->image)
		err_set(&j->err, -ENOENT, "the image of container %s is gone", c->name);
	if (j->err.code) {
		loop_defer(j->loop, job_refused, j);
		return;
	}
	/* nothing else may mount its root meanwhile */
	if (j->pidfd < 0)
		c->busy = j->held = true;
	loop_thread(j->loop, job_work, job_done, j);
}

static void job_go(struct job *j)
{
	ctr_when_idle(j->c, job_begin, j);
}

static int job_pipe(struct job *j)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC))
		return err_errno(&j->err, -errno, "no pipe for the archive");
	j->client_fd = p[0];
	j->fd = p[1];
	return 0;
}

/* --- stat and get --- */

static json_int_t go_mode(const struct stat *st)
{
	json_int_t m = st->st_mode & 0777;

	m |= S_ISDIR(st->st_mode)    ? 1ll << 31
	     : S_ISLNK(st->st_mode)  ? 1ll << 27
	     : S_ISFIFO(st->st_mode) ? 1ll << 25
				     : 0;
	m |= S_ISSOCK(st->st_mode)  ? 1ll << 24
	     : S_ISBLK(st->st_mode) ? 1ll << 26
	     : S_ISCHR(st->st_mode) ? 1ll << 26 | 1ll << 21
				    : 0;
	m |= (st->st_mode & S_ISUID ? 1ll << 23 : 0) | (st->st_mode & S_ISGID ? 1ll << 22 : 0);
	return m | (st->st_mode & S_ISVTX ? 1ll << 20 : 0);
}

/* The last component as clients name it: "." for "/" and "x/.". */
static char *base_of(const char *path)
{
	size_t n = strlen(path);
	const char *slash;

	if (n >= 2 && !strcmp(path + n - 2, "/."))
		return xstrdup(".");
	while (n && path[n - 1] == '/')
		n--;
	if (!n)
		return xstrdup(".");
	slash = memrchr(path, '/', n);
	return xstrndup(slash + 1, path + n - slash - 1);
}

static bool wants_folder(const char *path)
{
	return ends_with(path, "/") || ends_with(path, "/.");
}

static int stat_path(struct job *j)
{
	_cleanup_free_ char *base = base_of(j->path), *target = NULL;
	char when[40], link[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (wants_folder(j->path) ? stat(j->path, &st) : lstat(j->path, &st))
		return err_set(&j->err, -ENOENT, "Could not find the file %s in container %s",
			       j->path, j->id);
	if (S_ISLNK(st.st_mode)) {
		target = realpath(j->path, NULL);
		n = target ? -1 : readlink(j->path, link, sizeof(link) - 1);
		if (n > 0) {
			link[n] = 0;
			target = *link == '/' ? xstrdup(link)
					      : xasprintf("%.*s/%s",
							  (int)(strrchr(j->path, '/') - j->path),
							  j->path, link);
		}
	}
	j->stat =
		json_pack("{s:s, s:I, s:I, s:s, s:s}", "name",
			  strcmp(base, ".") || strlen(j->path) > 1 ? base : "/", "size",
			  (json_int_t)st.st_size, "mode", go_mode(&st), "mtime",
			  time_format(st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec, when),
			  "linkTarget", target ? target : "");
	return 0;
}

static int run_get(struct job *j)
{
	_cleanup_free_ char *base = base_of(j->path), *real = NULL;
	int rc = stat_path(j);

	if (rc)
		return rc;
	real = wants_folder(j->path) ? realpath(j->path, NULL) : xstrdup(j->path);
	if (!real)
		return err_errno(&j->err, -errno, "Could not find the file %s in container %s",
				 j->path, j->id);
	loop_post(j->loop, tell, j);
	/* a client that goes ends it early */
	tar_write_tree(j->fd, real, base, NULL);
	close(steal_fd(j->fd));
	return 0;
}

static int run_export(struct job *j)
{
	loop_post(j->loop, tell, j);
	tar_write_tree(j->fd, "/", "", NULL);
	close(steal_fd(j->fd));
	return 0;
}

void archive_stat(struct ctr *c, const char *path, archive_ready ready, void *arg)
{
	struct job *j = job_new(c, path, stat_path, arg);

	j->ready = ready;
	job_go(j);
}

void archive_get(struct ctr *c, const char *path, archive_ready ready, void *arg)
{
	struct job *j = job_new(c, path, run_get, arg);

	j->ready = ready;
	if (job_pipe(j))
		loop_defer(j->loop, job_refused, j);
	else
		job_go(j);
}

void archive_export(struct ctr *c, archive_ready ready, void *arg)
{
	struct job *j = job_new(c, "/", run_export, arg);

	j->ready = ready;
	j->whole = true;
	ctr_emit(c, "export", NULL);
	if (job_pipe(j))
		loop_defer(j->loop, job_refused, j);
	else
		job_go(j);
}

/* --- put --- */

static int run_put(struct job *j)
{
	struct statvfs fs;
	struct stat st;

	if (stat(j->path, &st))
		return err_set(&j->err, -ENOENT, "Could not find the file %s in container %s",
			       j->path, j->id);
	if (!S_ISDIR(st.st_mode))
		return err_set(&j->err, -EINVAL, "extraction point is not a directory");
	if (!statvfs(j->path, &fs) && fs.f_flag & ST_RDONLY)
		return err_set(&j->err, -EPERM, "container rootfs or volume is marked read-only");
	if (chdir(j->path))
		return err_errno(&j->err, -errno, "cannot enter %s", j->path);
	return tar_read_here(j->fd, j->no_overwrite, j->keep_owner, &j->err);
}

void archive_put(struct ctr *c, const char *path, int fd, bool no_overwrite, bool keep_owner,
		 void (*done)(const struct err *err, void *arg), void *arg)
{
	struct job *j = job_new(c, path, run_put, arg);

	j->fd = fd;
	j->no_overwrite = no_overwrite;
	j->keep_owner = keep_owner;
	j->done = done;
	job_go(j);
}
