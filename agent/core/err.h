/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An error a user will read: a negative errno and one sentence that names the object and,
 * where there is one, the cure.
 *
 * A function that takes a last 'struct err *err' fills it whenever it returns negative. The
 * pointer may be NULL when the caller does not want the text. The errno is what api/ maps to
 * an HTTP status (one table, api/status.c):
 *   ENOENT 404, EINVAL 400, EEXIST and EBUSY 409, EACCES and EPERM 403, EALREADY 304,
 *   EUNATCH 503 (not part of a swarm), EAGAIN and EHOSTUNREACH 503, ENOSYS and EOPNOTSUPP 501,
 *   ENOTTY 406, EOVERFLOW 413, everything else 500.
 * Source: moby api/server/httpstatus, errdefs.
 */
#pragma once

#include <stdarg.h>
#include "core/util.h"

struct err {
	int code; /* negative errno, 0 when unset */
	char msg[1000];
};

#define ERR_INIT                                                                                   \
	{                                                                                          \
		0                                                                                  \
	}

/* Fill *err (which may be NULL) and return code, so that 'return err_set(err, -ENOENT, …)' works. */
int err_set(struct err *err, int code, const char *fmt, ...) _printf_(3, 4);
/* As err_set, with ": strerror(-code)" appended. */
int err_errno(struct err *err, int code, const char *fmt, ...) _printf_(3, 4);
/* Put text in front of the message that *err holds already: "prefix: old". Returns err->code. */
int err_prefix(struct err *err, const char *fmt, ...) _printf_(2, 3);
