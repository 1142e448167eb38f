// SPDX-License-Identifier: Apache-2.0
/*
 * Mount points as the runtime gets them, and what has to be mounted before it can bind it: images, and
 * parts of them and of volumes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "ctr/ctr_impl.h"
#include "ctr/overlay.h"
#include "disk/file.h"

bool part_path_valid(const char *path)
{
	if (*path == '/')
		return false;
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && !strncmp(p, "..", 2))
			return false;
		p += n + (p[n] == '/');
	}
	return true;
}

int part_open(const char *base, const char *path, struct err *err)
{
	_cleanup_close_ int dir = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct open_how how = {.flags = O_PATH | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	int fd;

	if (dir < 0)
		return err_errno(err, -errno, "cannot open %s", base);
	fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	if (fd >= 0)
		return fd;
	if (errno == EXDEV)
		return err_set(err, -EINVAL,
			       "path concatenation escapes the base directory, base: \"%s\", sub: "
			       "\"%s\"",
			       base, path);
	return err_set(err, -EINVAL, "cannot access path %s/%s: %s", base, path,
		       errno == ENOENT ? "no such file or directory" : strerror(errno));
}

/* Bind what path is below base (NULL: path itself) to at, a new file or folder. */
static int bind_part(const char *base, const char *path, const char *at, bool deep, struct err *err)
{
	_cleanup_close_ int fd = base ? part_open(base, path, err) : open(path, O_PATH | O_CLOEXEC),
			    file = -1;
	_cleanup_free_ char *from = NULL;
	struct stat st;

	if (fd < 0)
		return base ? fd : err_errno(err, -errno, "cannot open %s", path);
	if (fstat(fd, &st))
		return err_errno(err, -errno, "cannot look at %s", path);
	if (S_ISDIR(st.st_mode))
		mkdir(at, 0700);
	else
		file = open(at, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	from = xasprintf("/proc/self/fd/%d", fd);
	if (mount(from, at, NULL, MS_BIND | (deep ? MS_REC : 0), NULL))
		return err_errno(err, -errno, "cannot mount %s at %s", path, at);
	return 0;
}

static int mount_image(const struct part *p, const char *layers_dir, const char *at,
		       struct err *err)
{
	const char *const dirs[] = {"rw", "work"};
	struct overlay o = {.lowerdirs = p->lowerdirs,
			    .layers_dir = layers_dir,
			    .dir = p->dir,
			    .no_sync = true};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		_cleanup_free_ char *dir = xasprintf("%s/%s", p->dir, dirs[i]);
		int rc = dir_make(dir, 0755, err);

		if (rc)
			return rc;
	}
	if (mkdir(at, 0700))
		return err_errno(err, -errno, "cannot make %s", at);
	return overlay_mount(&o, at, err);
}

int part_mount(const struct part *p, const char *layers_dir, struct err *err)
{
	_cleanup_free_ char *whole = xasprintf("%s.whole", p->at),
			    *parent = xstrndup(p->at, strrchr(p->at, '/') - p->at);
	int rc = dir_make(parent, 0700, err);

	if (!rc && p->lowerdirs)
		rc = mount_image(p, layers_dir, str_empty(p->path) ? p->at : whole, err);
	if (!rc && !str_empty(p->path))
		rc = bind_part(p->lowerdirs ? whole : p->base, p->path, p->at, !p->flat, err);
	return rc;
}

void part_done(struct part *p)
{
	free(p->base);
	free(p->lowerdirs);
	free(p->dir);
	free(p->path);
	free(p->at);
}

bool ctr_mount_part(struct ctr *c, size_t n, struct part *ret)
{
	_cleanup_buf_ struct buf lower = BUF_INIT;
	const struct mount_point *m = &c->mounts[n];

	/* crun takes "bind" for "rbind" */
	if (!m->image && str_empty(m->subpath) && !m->no_recursion)
		return false;
	*ret = (struct part){.path = xstrdup(m->no_recursion ? m->source
					     : m->subpath    ? m->subpath
							     : ""),
			     .flat = m->no_recursion,
			     .at = xasprintf("%s/parts/%zu", c->run_dir, n)};
	if (m->image) {
		image_lowerdirs(c->ctrs->opt.images, m->image, &lower);
		ret->lowerdirs = xstrdup(lower.data);
		ret->dir = xasprintf("%s/mounts/%zu", c->dir, n);
	} else if (!m->no_recursion) {
		ret->base = xstrdup(m->source);
	}
	return true;
}

static bool has_option(const char *options, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = options; *p; p += strcspn(p, ","), p += *p == ',')
		if (!strncmp(p, word, n) && (!p[n] || p[n] == ','))
			return true;
	return false;
}

/* A file, socket or device: crun makes folders alone read-only with what is mounted below. */
static bool nothing_below(const char *path)
{
	struct stat st;

	return !stat(path, &st) && !S_ISDIR(st.st_mode);
}

json_t *ctr_mount_oci(const struct ctr *c, size_t n, const char *from)
{
	static const char *const safe[] = {"noexec", "nosuid", "nodev"};
	const struct mount_point *m = &c->mounts[n];
	const char *given = m->options ? m->options : "";
	/* crun knows "rro"; a part may be a file, and is not there yet */
	bool deep = c->ctrs->own_filters && !m->shallow && streq(from, m->source);
	json_t *o = json_array(), *doc;

	if (!strcmp(m->type, "tmpfs")) {
		for (size_t i = 0; i < ARRAY_SIZE(safe); i++)
			if (!has_option(given, safe[i] + 2)) /* "exec" */
				json_array_append_new(o, json_string(safe[i]));
		if (m->size)
			json_array_append_new(o, json_sprintf("size=%lld", (long long)m->size));
		if (m->perm)
			json_array_append_new(o, json_sprintf("mode=%o", m->perm));
		for (const char *p = given; *p;) {
			size_t len = strcspn(p, ",");

			if (len)
				json_array_append_new(o, json_stringn(p, len));
			p += len + (p[len] == ',');
		}
		if (!m->rw)
			json_array_append_new(o, json_string("ro"));
		doc = json_pack("{s:s, s:s, s:s, s:o}", "destination", m->target, "type", "tmpfs",
				"source", "tmpfs", "options", o);
	} else {
		json_array_append_new(o, json_string(m->no_recursion ? "bind" : "rbind"));
		json_array_append_new(
			o, json_string(str_empty(m->propagation) ? "rprivate" : m->propagation));
		json_array_append_new(o, json_string(m->rw			    ? "rw"
						     : deep && !nothing_below(from) ? "rro"
										    : "ro"));
		doc = json_pack("{s:s, s:s, s:s, s:o}", "destination", m->target, "type", "bind",
				"source", from, "options", o);
	}
	return doc;
}
