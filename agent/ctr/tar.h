/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tar archives of a part of the file system, written to and read from descriptors. Blocking, for
 * threads of their own, whose root is the container's: names of users are never looked up.
 */
#pragma once

#include "core/err.h"

/* Before the root changes: have libc load what it would else load from the container. */
void tar_warm_up(void);
/*
 * Write the tree at path, with its entries named base, base/x, …; base "" leaves out the top itself,
 * names x, and stays on one file system. What vanishes meanwhile is left out.
 */
int tar_write_tree(int fd, const char *path, const char *base, struct err *err);
/* The upper folder of an overlay as a layer, with whiteouts as images carry them. */
int tar_write_layer(int fd, const char *dir, struct err *err);
/* Unpack into the working directory. */
int tar_read_here(int fd, bool no_overwrite, bool keep_owner, struct err *err);
