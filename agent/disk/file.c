// SPDX-License-Identifier: Apache-2.0
#include "disk/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

int file_write_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= n;
	}
	return 0;
}

static int sync_dir_of(const char *path)
{
	_cleanup_free_ char *copy = xstrdup(path);
	_cleanup_close_ int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd))
		return -errno;
	return 0;
}

static int replace(const char *path, const void *data, size_t size, mode_t mode, bool durable,
		   struct err *err)
{
	_cleanup_free_ char *tmp = xasprintf("%s.tmp", path);
	_cleanup_close_ int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	int rc;

	if (fd < 0)
		return err_errno(err, -errno, "cannot create %s", tmp);
	rc = fchmod(fd, mode) ? -errno : file_write_all(fd, data, size);
	if (!rc && durable && fsync(fd))
		rc = -errno;
	if (!rc && rename(tmp, path))
		rc = -errno;
	if (rc) {
		unlink(tmp);
		return err_errno(err, rc, "cannot write %s", path);
	}
	if (durable)
		rc = sync_dir_of(path);
	return rc ? err_errno(err, rc, "cannot sync the folder of %s", path) : 0;
}

int file_write_atomic(const char *path, const void *data, size_t size, mode_t mode, struct err *err)
{
	return replace(path, data, size, mode, true, err);
}

int file_write_volatile(const char *path, const void *data, size_t size, mode_t mode,
			struct err *err)
{
	return replace(path, data, size, mode, false, err);
}

int file_read(const char *path, size_t max, struct buf *ret, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t before = ret->len;
	char chunk[16384];
	ssize_t n;

	if (fd < 0)
		return err_errno(err, -errno, "cannot open %s", path);
	while ((n = read(fd, chunk, sizeof(chunk)))) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, -errno, "cannot read %s", path);
		if (ret->len - before + n > max)
			return err_set(err, -EFBIG, "%s is larger than %zu bytes", path, max);
		buf_add(ret, chunk, n);
	}
	return 0;
}

int dir_make(const char *path, mode_t mode, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(path);
	struct stat st;

	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(copy, mode) && errno != EEXIST)
			return err_errno(err, -errno, "cannot make the folder %s", copy);
		*p = '/';
	}
	if (mkdir(copy, mode) && errno != EEXIST)
		return err_errno(err, -errno, "cannot make the folder %s", path);
	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "%s is not a folder", path);
	return 0;
}

/* Remove what is in the folder fd (consumed). */
static int remove_entries(int fd)
{
	DIR *dir = fdopendir(fd);
	struct dirent *e;
	int rc = 0;

	if (!dir) {
		close(fd);
		return -errno;
	}
	while (!rc && (e = readdir(dir))) {
		int sub;

		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		if (!unlinkat(dirfd(dir), e->d_name, 0) || errno == ENOENT)
			continue;
		if (errno != EISDIR && errno != EPERM) {
			rc = -errno;
			break;
		}
		sub = openat(dirfd(dir), e->d_name,
			     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		rc = sub < 0 ? -errno : remove_entries(sub);
		if (!rc && unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR))
			rc = -errno;
	}
	closedir(dir);
	return rc;
}

int dir_remove_tree(const char *path, struct err *err)
{
	int rc, fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return unlink(path) && errno != ENOENT
			       ? err_errno(err, -errno, "cannot remove %s", path)
			       : 0;
	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(err, -errno, "cannot remove %s", path);
	rc = remove_entries(fd);
	if (!rc && rmdir(path) && errno != ENOENT)
		rc = -errno;
	return rc ? err_errno(err, rc, "cannot remove %s", path) : 0;
}

int file_lock(const char *path, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(err, -errno, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int rc = -errno;

		close(fd);
		return err_errno(err, rc, "cannot lock %s", path);
	}
	return fd;
}
