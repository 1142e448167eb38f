/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts of the agent's own mount namespace. Blocking; from any thread. */
#pragma once

#include "core/err.h"

/*
 * Detach every mount at or below a folder, the last mounted first. The folder's own path must be
 * free of links, as /proc/self/mountinfo shows paths.
 */
int mount_detach_tree(const char *path, struct err *err);
