/* SPDX-License-Identifier: Apache-2.0 */
/* Times as texts. Pure. Source: RFC 3339; the Engine API's 'since' and 'until'. */
#pragma once

#include "core/err.h"

/* "2026-01-02T03:04:05.123456789Z" of ns since 1970; buf takes 40 bytes. Returns buf. */
char *time_format(int64_t ns, char buf[40]);
/* Seconds[.fraction] since 1970, or RFC 3339, in ns. -EINVAL with a sentence. */
int time_parse(const char *s, int64_t *ret, struct err *err);
