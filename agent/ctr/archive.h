/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a container from outside: docker cp, export, diff and commit. Of a running
 * container they are what its processes see, volumes included; of another one its root with its
 * volumes, mounted for the purpose. Links are followed inside of the container's root only.
 *
 * Called on the loop; the work is done on a thread of its own and ends in the callback, which is
 * called exactly once, on the loop. Source: Engine API "ContainerArchive", "ContainerExport",
 * "ContainerChanges", "ImageCommit"; moby daemon/archive_unix.go.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"

struct ctr;

/*
 * stat (borrowed): {"name","size","mode","mtime","linkTarget"} for the header
 * X-Docker-Container-Path-Stat. fd: to read a tar from; the callee's; -1 when only asked for stat.
 */
typedef void (*archive_ready)(const struct err *err /* NULL: well */, json_t *stat, int fd,
			      void *arg);

/* -ENOENT "Could not find the file x in container y". */
void archive_stat(struct ctr *ctr, const char *path, archive_ready ready, void *arg);
/* A tar of the file or folder, named by its last component. */
void archive_get(struct ctr *ctr, const char *path, archive_ready ready, void *arg);
/* A tar of the whole root, without volumes; stat is NULL. */
void archive_export(struct ctr *ctr, archive_ready ready, void *arg);

/*
 * Unpack a tar, compressed or not, from fd (taken over) into the folder path. no_overwrite refuses to
 * replace a folder by a file or the reverse; keep_owner keeps the archive's owners, else all is
 * root's. -EPERM for a read-only root or volume.
 */
void archive_put(struct ctr *ctr, const char *path, int fd, bool no_overwrite, bool keep_owner,
		 void (*done)(const struct err *err, void *arg), void *arg);

/* [{"Path","Kind"}], Kind 0 changed, 1 added, 2 deleted, sorted by path; borrowed. */
void archive_changes(struct ctr *ctr,
		     void (*done)(const struct err *err, json_t *changes, void *arg), void *arg);

struct commit {
	const char *ref; /* name for the image, or NULL */
	const char *comment, *author; /* or NULL */
	json_t *config; /* Config that replaces fields of the container's, or NULL */
	const char *const *changes; /* Dockerfile lines, NULL-terminated, or NULL */
	bool pause; /* freeze the container meanwhile */
};
/* All of c is borrowed for the call. id: "sha256:…" of the new image. */
void archive_commit(struct ctr *ctr, const struct commit *c,
		    void (*done)(const struct err *err, const char *id, void *arg), void *arg);

/* Bytes in the writable layer; walks it. */
int64_t archive_size_rw(struct ctr *ctr);
