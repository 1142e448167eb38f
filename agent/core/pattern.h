/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions that users give, kept to what cannot take all memory or for ever. Pure. */
#pragma once

#include <regex.h>

#include "core/err.h"

/*
 * Compile an extended expression, to ask whether it is found; the caller's to regfree(). -EINVAL for
 * one that is none, is longer than 256 bytes, or has counts ({n}) or back references.
 */
int pattern_compile(const char *pattern, regex_t *ret, struct err *err);
