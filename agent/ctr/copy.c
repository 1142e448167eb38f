// SPDX-License-Identifier: Apache-2.0
#include "ctr/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "ctr/ctr_impl.h"

static bool is_empty(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	bool empty = d;

	while (d && (e = readdir(d)))
		empty &= !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
	if (d)
		closedir(d);
	return empty;
}

/* fd: open for reading, or a folder. Overlayfs' own attributes stay behind. */
static void copy_xattrs(int from, int to)
{
	char names[4096], value[4096];
	ssize_t n = flistxattr(from, names, sizeof(names));

	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		ssize_t len = starts_with(p, "trusted.overlay.")
				      ? -1
				      : fgetxattr(from, p, value, sizeof(value));

		if (len >= 0)
			fsetxattr(to, p, value, len, 0);
	}
}

static int copy_data(int from, int to)
{
	char chunk[65536];
	ssize_t n;

	while ((n = copy_file_range(from, NULL, to, NULL, 1 << 30, 0)) > 0)
		;
	if (!n)
		return 0;
	while ((n = read(from, chunk, sizeof(chunk))) > 0)
		if (write(to, chunk, n) != n)
			return -errno;
	return n < 0 ? -errno : 0;
}

static int copy_meta(int fd, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (fchown(fd, st->st_uid, st->st_gid) || fchmod(fd, st->st_mode & 07777))
		return -errno;
	futimens(fd, times);
	return 0;
}

static int copy_dir(int from, int to, int depth);

static int copy_entry(int from, int to, const char *name, int depth)
{
	const struct timespec keep = {0, UTIME_OMIT};
	_cleanup_close_ int src = -1, dst = -1;
	char link[4097];
	struct stat st;
	ssize_t n;
	int rc = 0;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		bool dir = S_ISDIR(st.st_mode);

		src = openat(from, name,
			     O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (dir ? O_DIRECTORY : 0));
		if (dir && mkdirat(to, name, 0700))
			return -errno;
		dst = openat(to, name,
			     dir ? O_RDONLY | O_DIRECTORY | O_CLOEXEC
				 : O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			     0600);
		if (src < 0 || dst < 0)
			return -errno;
		rc = dir ? copy_dir(src, dst, depth + 1) : copy_data(src, dst);
		copy_xattrs(src, dst);
		return rc ? rc : copy_meta(dst, &st);
	}
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(from, name, link, sizeof(link) - 1);
		if (n < 0)
			return -errno;
		link[n] = 0;
		rc = symlinkat(link, to, name);
	} else {
		rc = mknodat(to, name, st.st_mode, st.st_rdev);
	}
	if (rc || fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW))
		return -errno;
	utimensat(to, name, (const struct timespec[]){keep, st.st_mtim}, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int copy_dir(int from, int to, int depth)
{
	int dup_fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *d = dup_fd < 0 ? NULL : fdopendir(dup_fd);
	struct dirent *e;

	if (!d || depth > 512) {
		if (d)
			closedir(d);
		return -ELOOP;
	}
	while (!rc && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			rc = copy_entry(from, to, e->d_name, depth);
	closedir(d);
	return rc;
}

int copy_into_empty(const char *root, const char *target, const char *to, struct err *err)
{
	_cleanup_close_ int src = root_open(root, target, O_RDONLY | O_DIRECTORY), dst = -1;
	struct stat st;
	int rc;

	if (src < 0 || !is_empty(to))
		return 0;
	dst = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dst < 0 || fstat(src, &st))
		return err_errno(err, -errno, "cannot open the volume's folder %s", to);
	rc = copy_dir(src, dst, 0);
	if (!rc)
		rc = copy_meta(dst, &st);
	return rc ? err_errno(err, rc, "failed to populate volume: cannot copy %s to %s", target,
			      to)
		  : 0;
}
