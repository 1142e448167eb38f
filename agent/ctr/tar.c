// SPDX-License-Identifier: Apache-2.0
#include "ctr/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "ctr/tar_name.h"
#include "disk/file.h"

enum { CHUNK = 128 << 10 };

void tar_warm_up(void)
{
	static const char *const from[] = {"UTF-8", "ANSI_X3.4-1968"};

	for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
		iconv_t cd = iconv_open(from[1 - i], from[i]);

		if (cd != (iconv_t)-1)
			iconv_close(cd);
	}
}

static struct archive *writer(int fd)
{
	struct archive *a = archive_write_new();

	archive_write_set_format_pax_restricted(a);
	archive_write_set_bytes_in_last_block(a, 1);
	archive_write_open_fd(a, fd);
	return a;
}

static int put_data(struct archive *out, struct archive *disk)
{
	const void *block;
	la_int64_t offset, at = 0;
	static const char zeros[4096];
	size_t size;
	int rc;

	while ((rc = archive_read_data_block(disk, &block, &size, &offset)) == ARCHIVE_OK) {
		while (at < offset) { /* a hole */
			la_ssize_t n = archive_write_data(
				out, zeros, min((la_int64_t)sizeof(zeros), offset - at));

			if (n <= 0)
				return -EPIPE;
			at += n;
		}
		if (size && archive_write_data(out, block, size) < 0)
			return -EPIPE;
		at += size;
	}
	return 0;
}

static int put_entry(struct archive *out, struct archive *disk, struct archive_entry *e)
{
	int rc = archive_write_header(out, e);

	if (rc == ARCHIVE_FATAL)
		return -EPIPE;
	if (rc < ARCHIVE_WARN)
		return 0; /* a socket, say */
	return archive_entry_size(e) > 0 ? put_data(out, disk) : 0;
}

/* Put a whiteout for the entry; true when it is one or needs one before it. */
static bool put_whiteout(struct archive *out, const char *name)
{
	struct archive_entry *e = archive_entry_new();
	bool ok;

	archive_entry_set_pathname(e, name);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0);
	archive_entry_set_size(e, 0);
	ok = archive_write_header(out, e) >= ARCHIVE_WARN;
	archive_entry_free(e);
	return ok;
}

static bool is_opaque(const char *path)
{
	char v;

	return lgetxattr(path, "trusted.overlay.opaque", &v, 1) == 1 && v == 'y';
}

/* Overlayfs' own attributes are no part of the content. */
static void drop_overlay_xattrs(struct archive_entry *e)
{
	const char *name;
	const void *value;
	size_t size, n = archive_entry_xattr_reset(e);
	struct {
		char *name;
		void *value;
		size_t size;
	} keep[64];
	size_t n_keep = 0;
	bool dropped = false;

	for (size_t i = 0; i < n && archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK;
	     i++) {
		if (starts_with(name, "trusted.overlay.")) {
			dropped = true;
		} else if (n_keep < ARRAY_SIZE(keep)) {
			keep[n_keep].name = xstrdup(name);
			keep[n_keep].value = xmemdup(value, size);
			keep[n_keep++].size = size;
		}
	}
	if (dropped)
		archive_entry_xattr_clear(e);
	for (size_t i = 0; i < n_keep; i++) {
		if (dropped)
			archive_entry_xattr_add_entry(e, keep[i].name, keep[i].value, keep[i].size);
		free(keep[i].name);
		free(keep[i].value);
	}
}

/* What a container has of its own, not of the image: dockerenv, and what files are mounted on. */
static bool is_runtime_file(struct archive_entry *e, const char *name)
{
	static const char *const names[] = {".dockerenv", "etc/hosts", "etc/hostname",
					    "etc/resolv.conf"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return archive_entry_filetype(e) == AE_IFREG && !archive_entry_size(e);
	return false;
}

/* 1: it was a whiteout and is written, or is no part of the layer. */
static int layer_entry(struct archive *out, struct archive_entry *e, const char *path,
		       const char *name)
{
	_cleanup_free_ char *wh = NULL;

	if (is_runtime_file(e, name))
		return 1;
	if (archive_entry_filetype(e) == AE_IFCHR && !archive_entry_rdev(e)) {
		wh = whiteout_name(name);
		return put_whiteout(out, wh) ? 1 : -EPIPE;
	}
	drop_overlay_xattrs(e);
	if (archive_entry_filetype(e) == AE_IFDIR && is_opaque(path)) {
		wh = xasprintf("%s%s.wh..wh..opq", name, *name ? "/" : "");
		return put_whiteout(out, wh) ? 0 : -EPIPE;
	}
	return 0;
}

static int write_tree(int fd, const char *path, const char *base, bool layer, struct err *err)
{
	struct archive *disk = archive_read_disk_new(), *out = writer(fd);
	struct archive_entry_linkresolver *links = archive_entry_linkresolver_new();
	struct archive_entry *e = archive_entry_new(), *spare = NULL;
	int rc = 0, got;

	archive_entry_linkresolver_set_strategy(links, archive_format(out));
	archive_read_disk_set_symlink_physical(disk);
	/* mount points below a root are not its content */
	archive_read_disk_set_behavior(disk, *base ? 0 : ARCHIVE_READDISK_NO_TRAVERSE_MOUNTS);
	if (archive_read_disk_open(disk, path) != ARCHIVE_OK)
		rc = err_set(err, -EIO, "cannot read %s: %s", path, archive_error_string(disk));
	while (!rc && (got = archive_read_next_header2(disk, e)) != ARCHIVE_EOF) {
		_cleanup_free_ char *name = NULL;

		if (got < ARCHIVE_WARN) {
			if (got == ARCHIVE_FATAL)
				rc = err_set(err, -EIO, "cannot read %s: %s", path,
					     archive_error_string(disk));
			archive_entry_clear(e);
			continue; /* vanished meanwhile, or unreadable */
		}
		archive_read_disk_descend(disk);
		name = rebase(archive_entry_pathname(e), path, base);
		if (*name) {
			_cleanup_free_ char *from =
				xstrdup(archive_entry_sourcepath(e) ? archive_entry_sourcepath(e)
								    : archive_entry_pathname(e));

			archive_entry_set_pathname(e, name);
			if (layer)
				rc = layer_entry(out, e, from, name);
			if (!rc) {
				archive_entry_linkify(links, &e, &spare);
				rc = put_entry(out, disk, e);
			}
			rc = min(rc, 0);
		}
		archive_entry_clear(e);
	}
	if (archive_write_close(out) < ARCHIVE_WARN && !rc)
		rc = -EPIPE;
	archive_entry_free(e);
	archive_entry_linkresolver_free(links);
	archive_read_free(disk);
	archive_write_free(out);
	return rc && err && !err->code ? err_errno(err, rc, "cannot write the archive") : rc;
}

int tar_write_tree(int fd, const char *path, const char *base, struct err *err)
{
	return write_tree(fd, path, base, false, err);
}

int tar_write_layer(int fd, const char *dir, struct err *err)
{
	return write_tree(fd, dir, "", true, err);
}

/* --- reading --- */

static int check_overwrite(struct archive_entry *e, const char *path, struct err *err)
{
	bool dir = archive_entry_filetype(e) == AE_IFDIR;
	struct stat st;

	if (lstat(path, &st) || S_ISDIR(st.st_mode) == dir)
		return 0;
	return err_set(err, -EINVAL,
		       dir ? "cannot overwrite non-directory \"%s\" with directory"
			   : "cannot overwrite directory \"%s\" with non-directory",
		       path);
}

static int copy_out(struct archive *in, struct archive *disk)
{
	const void *block;
	la_int64_t offset;
	size_t size;
	int rc;

	while ((rc = archive_read_data_block(in, &block, &size, &offset)) == ARCHIVE_OK)
		if (archive_write_data_block(disk, block, size, offset) < ARCHIVE_WARN)
			return ARCHIVE_FAILED;
	return rc == ARCHIVE_EOF ? ARCHIVE_OK : rc;
}

static int read_entries(struct archive *in, struct archive *disk, bool no_overwrite,
			bool keep_owner, struct err *err)
{
	struct archive_entry *e;
	int rc;

	while ((rc = archive_read_next_header(in, &e)) == ARCHIVE_OK || rc == ARCHIVE_WARN) {
		const char *path = archive_entry_pathname(e), *link = archive_entry_hardlink(e);

		if (!path || path_climbs(path) || (link && path_climbs(link)))
			return err_set(err, -EINVAL,
				       "the archive's entry %s is outside of its folder",
				       path ? path : "");
		while (*path == '/' || (path[0] == '.' && path[1] == '/'))
			path++;
		if (!*path || !strcmp(path, "."))
			continue;
		if (no_overwrite && check_overwrite(e, path, err))
			return err->code;
		if (!keep_owner) {
			archive_entry_set_uid(e, 0);
			archive_entry_set_gid(e, 0);
		}
		archive_entry_set_pathname(e, path);
		rc = archive_write_header(disk, e);
		if (rc >= ARCHIVE_WARN && !link && archive_entry_size(e) > 0)
			rc = copy_out(in, disk);
		if (rc >= ARCHIVE_WARN)
			rc = archive_write_finish_entry(disk);
		if (rc < ARCHIVE_WARN)
			return err_set(err, -EIO, "cannot unpack %s: %s", path,
				       archive_error_string(archive_errno(in) ? in : disk));
	}
	return rc == ARCHIVE_EOF ? 0
				 : err_set(err, -EINVAL, "the archive is damaged: %s",
					   archive_error_string(in));
}

int tar_read_here(int fd, bool no_overwrite, bool keep_owner, struct err *err)
{
	struct archive *in = archive_read_new(), *disk = archive_write_disk_new();
	struct err local = ERR_INIT;
	int rc;

	err = err ? err : &local;
	archive_read_support_filter_gzip(in);
	archive_read_support_filter_bzip2(in);
	archive_read_support_filter_xz(in);
	archive_read_support_filter_zstd(in);
	archive_read_support_format_tar(in);
	archive_read_support_format_empty(in);
	archive_write_disk_set_options(disk, ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM |
						     ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_XATTR |
						     ARCHIVE_EXTRACT_UNLINK);
	if (archive_read_open_fd(in, fd, CHUNK) != ARCHIVE_OK)
		rc = err_set(err, -EINVAL, "not a tar archive: %s", archive_error_string(in));
	else
		rc = read_entries(in, disk, no_overwrite, keep_owner, err);
	if (archive_write_close(disk) < ARCHIVE_WARN && !rc)
		rc = err_set(err, -EIO, "cannot finish unpacking: %s", archive_error_string(disk));
	archive_write_free(disk);
	archive_read_free(in);
	return rc;
}
