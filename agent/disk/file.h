/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that survive a crash: replaced whole or not at all, and on disk when the call returns.
 * Blocking; from any thread. Paths are borrowed.
 */
#pragma once

#include <sys/types.h>

#include "core/buf.h"
#include "core/err.h"

/* All of it, whatever a single write(2) takes. Returns 0 or -errno. On any thread. */
int file_write_all(int fd, const void *data, size_t size);
/* Write a temporary file beside path, fsync it, rename it over path, fsync the folder. */
int file_write_atomic(const char *path, const void *data, size_t size, mode_t mode,
		      struct err *err);
/*
 * The same without fsync, for state that a crash of the machine also ends (a running container):
 * atomic against a crash of the process only.
 */
int file_write_volatile(const char *path, const void *data, size_t size, mode_t mode,
			struct err *err);
/* Append a whole file to *ret. -EFBIG when it is larger than max bytes, -ENOENT when absent. */
int file_read(const char *path, size_t max, struct buf *ret, struct err *err);
/* Make a folder and those above it that are missing. One that exists is fine. */
int dir_make(const char *path, mode_t mode, struct err *err);
/* Remove a file or a whole tree, following no links. One that is absent is fine. */
int dir_remove_tree(const char *path, struct err *err);
/*
 * Take an exclusive lock on a file, made if need be. Returns the descriptor that holds it (close
 * it to unlock), or -EWOULDBLOCK when another process has it.
 */
int file_lock(const char *path, struct err *err);
