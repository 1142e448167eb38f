/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMDB trusts its file: a damaged page or one beyond the end of the file ends the process that
 * follows a link to it. This looks at all pages that the newest version of an environment reaches
 * before LMDB opens it. Only environments with one unnamed database without duplicates.
 * Blocking; from any thread. Source: lmdb 0.9 mdb.c (MDB_page, MDB_meta, MDB_node).
 */
#pragma once

#include "core/err.h"

/* 0 when the file is sound, empty or absent; -EBADMSG with what is wrong; or the system's error. */
int lmdb_check(const char *path, struct err *err);
