/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs and layers on disk; blocking, for threads of their own (unpacking changes the root of the calling
 * thread: never call it on the loop or the pool). Folders are borrowed.
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"

#define DIGEST_SIZE 72

/* "sha256:…" of a file's bytes. */
int blob_digest(const char *path, char ret[DIGEST_SIZE], struct err *err);
/*
 * Take a layer's tar, compressed or not, into the store below root: blob by diff ID, content under
 * overlay/. want (may be NULL) is the diff ID it must have. -EBADMSG when it differs or the tar
 * is damaged; nothing is left behind then. ret_size (may be NULL): bytes of its files.
 */
int layer_import(const char *root, const char *path, const char *want,
		 char ret_diff_id[DIGEST_SIZE], int64_t *ret_size, struct err *err);
/* Store bytes as a blob. */
int blob_write(const char *root, const void *data, size_t size, char ret[DIGEST_SIZE],
	       struct err *err);
/* malloc'd paths. */
char *blob_path(const char *root, const char *digest);
char *layer_path(const char *root, const char *diff_id);
/*
 * Unpack a tar from fd into dir with dir as the root, so that nothing lands outside. With layer,
 * whiteouts become overlayfs'. -EBADMSG for a damaged archive, -EPERM for an entry that names a
 * place outside (only when !layer).
 */
int tar_unpack(int fd, const char *dir, bool layer, int64_t *ret_size, struct err *err);
