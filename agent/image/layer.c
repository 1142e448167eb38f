// SPDX-License-Identifier: Apache-2.0
#include "image/layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "disk/file.h"

enum { CHUNK = 128 << 10 };

char *blob_path(const char *root, const char *digest)
{
	return xasprintf("%s/image/blobs/sha256/%s", root, digest + 7);
}

char *layer_path(const char *root, const char *diff_id)
{
	return xasprintf("%s/overlay/%.16s", root, diff_id + 7);
}

static void finish_digest(EVP_MD_CTX *md, char ret[DIGEST_SIZE])
{
	unsigned char raw[32];

	EVP_DigestFinal_ex(md, raw, NULL);
	strcpy(ret, "sha256:");
	hex_encode(ret + 7, raw, sizeof(raw));
}

int blob_digest(const char *path, char ret[DIGEST_SIZE], struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *chunk = xmalloc(CHUNK);
	EVP_MD_CTX *md;
	ssize_t n;

	if (fd < 0)
		return err_errno(err, -errno, "cannot open %s", path);
	md = EVP_MD_CTX_new();
	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	while ((n = read(fd, chunk, CHUNK)) > 0)
		EVP_DigestUpdate(md, chunk, n);
	finish_digest(md, ret);
	EVP_MD_CTX_free(md);
	return n ? err_errno(err, -errno, "cannot read %s", path) : 0;
}

int blob_write(const char *root, const void *data, size_t size, char ret[DIGEST_SIZE],
	       struct err *err)
{
	_cleanup_free_ char *path = NULL;
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	EVP_DigestUpdate(md, data, size);
	finish_digest(md, ret);
	EVP_MD_CTX_free(md);
	path = blob_path(root, ret);
	return access(path, F_OK) ? file_write_atomic(path, data, size, 0600, err) : 0;
}

/* The folder of a path in the archive, made where it is missing; the entry's own name. */
static const char *make_parent(const char *path)
{
	_cleanup_free_ char *copy = xstrdup(path);
	char *slash = strrchr(copy, '/');

	if (slash) {
		*slash = 0;
		dir_make(copy, 0755, NULL);
	}
	slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* AUFS' whiteouts, as images carry them, to overlayfs'. 1: it was one. */
static int whiteout(const char *path, struct err *err)
{
	const char *name = strrchr(path, '/');
	_cleanup_free_ char *target = NULL;
	int dir_len;

	name = name ? name + 1 : path;
	if (!starts_with(name, ".wh."))
		return 0;
	dir_len = name - path;
	make_parent(path);
	if (!strcmp(name, ".wh..wh..opq")) {
		target = dir_len ? xstrndup(path, dir_len - 1) : xstrdup(".");
		if (setxattr(target, "trusted.overlay.opaque", "y", 1, 0))
			return err_errno(err, -errno, "cannot make %s opaque", target);
		return 1;
	}
	if (!name[4] || starts_with(name, ".wh..wh."))
		return 1; /* AUFS' own bookkeeping */
	target = xasprintf("%.*s%s", dir_len, path, name + 4);
	dir_remove_tree(target, NULL);
	if (mknod(target, S_IFCHR, makedev(0, 0)))
		return err_errno(err, -errno, "cannot white out %s", target);
	return 1;
}

static int copy_data(struct archive *a, struct archive *out, la_int64_t total, bool *ret_cut)
{
	const void *block;
	la_int64_t offset, end = 0;
	size_t size;
	int rc;

	while ((rc = archive_read_data_block(a, &block, &size, &offset)) == ARCHIVE_OK) {
		rc = archive_write_data_block(out, block, size, offset);
		if (rc < ARCHIVE_WARN)
			return rc;
		end = offset + size;
	}
	/* "docker build -f -" sends an archive whose last file is not filled up to a block */
	*ret_cut = rc < ARCHIVE_WARN && end == total;
	return rc == ARCHIVE_EOF || *ret_cut ? ARCHIVE_OK : rc;
}

static int unpack_entries(struct archive *a, struct archive *out, bool layer, int64_t *size,
			  struct err *err)
{
	struct archive_entry *e;
	bool cut = false;
	int rc = ARCHIVE_EOF;

	while (!cut &&
	       ((rc = archive_read_next_header(a, &e)) == ARCHIVE_OK || rc == ARCHIVE_WARN)) {
		const char *path = archive_entry_pathname(e), *link = archive_entry_hardlink(e);

		if (!path)
			return err_set(err, -EBADMSG, "the archive has an entry without a name");
		if (!layer && (path_climbs(path) || path[0] == '/' || (link && path_climbs(link))))
			return err_set(err, -EPERM,
				       "the archive's entry %s is outside of its folder", path);
		while (*path == '/' || (path[0] == '.' && path[1] == '/'))
			path++;
		if (!*path || !strcmp(path, "."))
			continue;
		if (layer) {
			rc = whiteout(path, err);
			if (rc < 0)
				return rc;
			if (rc)
				continue;
		}
		*size += archive_entry_size(e);
		rc = archive_write_header(out, e);
		if (rc >= ARCHIVE_WARN && !link)
			rc = copy_data(a, out, archive_entry_size(e), &cut);
		if (rc >= ARCHIVE_WARN)
			rc = archive_write_finish_entry(out);
		if (rc < ARCHIVE_WARN)
			return err_set(err, archive_errno(a) ? -EBADMSG : -EIO,
				       "cannot unpack %s: %s", path,
				       archive_error_string(archive_errno(a) ? a : out));
	}
	if (!cut && rc != ARCHIVE_EOF)
		return err_set(err, -EBADMSG, "the archive is damaged: %s",
			       archive_error_string(a));
	return 0;
}

static int unpack_here(int fd, bool layer, int64_t *size, struct err *err)
{
	int flags = ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
		    ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_UNLINK | ARCHIVE_EXTRACT_ACL;
	struct archive *a = archive_read_new(), *out = archive_write_disk_new();
	int rc;

	archive_read_support_filter_all(a);
	archive_read_support_format_tar(a);
	archive_read_support_format_empty(a);
	archive_write_disk_set_options(out, flags);
	if (archive_read_open_fd(a, fd, CHUNK) != ARCHIVE_OK)
		rc = err_set(err, -EBADMSG, "not a tar archive: %s", archive_error_string(a));
	else
		rc = unpack_entries(a, out, layer, size, err);
	if (archive_write_close(out) < ARCHIVE_WARN && !rc)
		rc = err_set(err, -EIO, "cannot finish unpacking: %s", archive_error_string(out));
	archive_write_free(out);
	archive_read_free(a);
	return rc;
}

int tar_unpack(int fd, const char *dir, bool layer, int64_t *ret_size, struct err *err)
{
	_cleanup_close_ int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC),
			    slash = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int64_t size = 0;
	mode_t mask;
	int rc;

	/* the folder becomes this thread's root for a while: links cannot lead out of it */
	if (cwd < 0 || slash < 0 || unshare(CLONE_FS) || chroot(dir) || chdir("/"))
		return err_errno(err, -errno, "cannot enter %s", dir);
	mask = umask(0);
	rc = unpack_here(fd, layer, &size, err);
	umask(mask);
	if (fchdir(slash) || chroot(".") || fchdir(cwd))
		return err_errno(err, -errno, "cannot leave %s", dir);
	if (!rc && ret_size)
		*ret_size = size;
	return rc;
}

/* Undo the compression of a blob, giving its diff ID. */
static int decompress(const char *path, int out, char diff_id[DIGEST_SIZE], struct err *err)
{
	struct archive *a = archive_read_new();
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	char *chunk = xmalloc(CHUNK);
	struct archive_entry *e;
	la_ssize_t n = 0;
	int rc = 0;

	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	archive_read_support_filter_all(a);
	archive_read_support_format_raw(a);
	archive_read_support_format_empty(a);
	if (archive_read_open_filename(a, path, CHUNK) != ARCHIVE_OK)
		rc = err_set(err, -EBADMSG, "cannot read the layer: %s", archive_error_string(a));
	else if (archive_read_next_header(a, &e) == ARCHIVE_OK)
		while (!rc && (n = archive_read_data(a, chunk, CHUNK)) > 0) {
			EVP_DigestUpdate(md, chunk, n);
			for (ssize_t at = 0, w; at < n; at += w) {
				w = write(out, chunk + at, n - at);
				if (w <= 0) {
					rc = err_errno(err, -errno, "cannot write a layer");
					break;
				}
			}
		}
	if (!rc && n < 0)
		rc = err_set(err, -EBADMSG, "the layer is damaged: %s", archive_error_string(a));
	finish_digest(md, diff_id);
	EVP_MD_CTX_free(md);
	archive_read_free(a);
	free(chunk);
	return rc;
}

/* Unpack beside the place, then rename; the thread gets its own root folder back. */
static int unpack_blob(const char *root, const char *blob, const char *diff_id, int64_t *size,
		       struct err *err)
{
	_cleanup_free_ char *dir = layer_path(root, diff_id),
			    *tmp = xasprintf("%s.%d.tmp", dir, gettid());
	_cleanup_free_ char *size_file = xasprintf("%s.size", blob);
	_cleanup_close_ int fd = open(blob, O_RDONLY | O_CLOEXEC);
	char text[32];
	int rc;

	if (fd < 0)
		return err_errno(err, -errno, "cannot open %s", blob);
	rc = dir_make(tmp, 0755, err);
	if (rc)
		return rc;
	rc = tar_unpack(fd, tmp, true, size, err);
	if (!rc) {
		snprintf(text, sizeof(text), "%lld", (long long)*size);
		rc = file_write_volatile(size_file, text, strlen(text), 0600, err);
	}
	if (!rc && rename(tmp, dir) && errno != EEXIST && errno != ENOTEMPTY)
		rc = err_errno(err, -errno, "cannot put the layer %s in place", dir);
	dir_remove_tree(tmp, NULL);
	return rc;
}

static int64_t stored_size(const char *root, const char *diff_id)
{
	_cleanup_free_ char *blob = blob_path(root, diff_id), *path = xasprintf("%s.size", blob);
	_cleanup_buf_ struct buf text = BUF_INIT;

	return file_read(path, 31, &text, NULL) ? 0 : atoll(text.data);
}

int layer_import(const char *root, const char *path, const char *want,
		 char ret_diff_id[DIGEST_SIZE], int64_t *ret_size, struct err *err)
{
	_cleanup_free_ char *tmp = xasprintf("%s/image/tmp/layer.XXXXXX", root), *blob = NULL,
			    *dir = NULL;
	_cleanup_close_ int fd = -1;
	char diff_id[DIGEST_SIZE];
	int64_t size = 0;
	int rc;

	if (want) {
		dir = layer_path(root, want);
		blob = blob_path(root, want);
		if (!access(dir, F_OK) && !access(blob, F_OK)) {
			strcpy(ret_diff_id, want);
			if (ret_size)
				*ret_size = stored_size(root, want);
			return 0;
		}
		free(steal_ptr(dir));
		free(steal_ptr(blob));
	}
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, -errno, "cannot create %s", tmp);
	rc = decompress(path, fd, diff_id, err);
	if (!rc && want && strcmp(want, diff_id))
		rc = err_set(err, -EBADMSG,
			     "layer %s has the content of %s: the archive is damaged", want,
			     diff_id);
	if (!rc && fsync(fd))
		rc = err_errno(err, -errno, "cannot write %s", tmp);
	if (!rc) {
		blob = blob_path(root, diff_id);
		rc = unpack_blob(root, tmp, diff_id, &size, err);
	}
	if (!rc) {
		_cleanup_free_ char *from = xasprintf("%s.size", tmp),
				    *to = xasprintf("%s.size", blob);

		if (rename(from, to) || rename(tmp, blob))
			rc = err_errno(err, -errno, "cannot put the blob %s in place", blob);
	}
	if (rc) {
		_cleanup_free_ char *size_file = xasprintf("%s.size", tmp);

		unlink(size_file);
		unlink(tmp);
		return rc;
	}
	strcpy(ret_diff_id, diff_id);
	if (ret_size)
		*ret_size = size;
	return 0;
}
