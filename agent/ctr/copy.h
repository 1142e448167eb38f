/* SPDX-License-Identifier: Apache-2.0 */
/* The content of an image's folder for a volume that is mounted over it for the first time. */
#pragma once

#include "core/err.h"

/*
 * When the folder to is empty and target is a folder in root: copy what it holds, with owners, modes,
 * times and extended attributes, and give to the target's own owner and mode. Blocking; any thread.
 */
int copy_into_empty(const char *root, const char *target, const char *to, struct err *err);
