// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>

#include "rpc/grpc.h"

static const char *const names[] = {
	"OK",
	"CANCELLED",
	"UNKNOWN",
	"INVALID_ARGUMENT",
	"DEADLINE_EXCEEDED",
	"NOT_FOUND",
	"ALREADY_EXISTS",
	"PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED",
	"FAILED_PRECONDITION",
	"ABORTED",
	"OUT_OF_RANGE",
	"UNIMPLEMENTED",
	"INTERNAL",
	"UNAVAILABLE",
	"DATA_LOSS",
	"UNAUTHENTICATED",
};

/* Towards the wire the first fitting row counts, likewise back. */
static const struct {
	int code;
	enum grpc_status status;
} errnos[] = {
	{0, GRPC_OK},
	{-ECANCELED, GRPC_CANCELLED},
	{-EINVAL, GRPC_INVALID_ARGUMENT},
	{-EBADMSG, GRPC_INVALID_ARGUMENT},
	{-ETIMEDOUT, GRPC_DEADLINE_EXCEEDED},
	{-ENOENT, GRPC_NOT_FOUND},
	{-EEXIST, GRPC_ALREADY_EXISTS},
	{-EACCES, GRPC_PERMISSION_DENIED},
	{-EPERM, GRPC_PERMISSION_DENIED},
	{-EOVERFLOW, GRPC_RESOURCE_EXHAUSTED},
	{-EMSGSIZE, GRPC_RESOURCE_EXHAUSTED},
	{-EBUSY, GRPC_FAILED_PRECONDITION},
	{-ENOTCONN, GRPC_FAILED_PRECONDITION},
	{-ESTALE, GRPC_ABORTED},
	{-ERANGE, GRPC_OUT_OF_RANGE},
	{-ENOSYS, GRPC_UNIMPLEMENTED},
	{-EOPNOTSUPP, GRPC_UNIMPLEMENTED},
	{-EAGAIN, GRPC_UNAVAILABLE},
	{-EHOSTUNREACH, GRPC_UNAVAILABLE},
	{-EUNATCH, GRPC_UNAVAILABLE},
	{-EPROTO, GRPC_INTERNAL},
};

const char *grpc_status_name(enum grpc_status status)
{
	return (size_t)status < ARRAY_SIZE(names) ? names[status] : "UNKNOWN";
}

enum grpc_status grpc_status_of_errno(int code)
{
	for (size_t i = 0; i < ARRAY_SIZE(errnos); i++)
		if (errnos[i].code == code)
			return errnos[i].status;
	return GRPC_UNKNOWN;
}

int grpc_errno_of_status(enum grpc_status status)
{
	for (size_t i = 0; i < ARRAY_SIZE(errnos); i++)
		if (errnos[i].status == status)
			return errnos[i].code;
	return -EIO;
}

/* grpc-go: codes/code_string.go */
static const char *const go_names[] = {
	"OK",
	"Canceled",
	"Unknown",
	"InvalidArgument",
	"DeadlineExceeded",
	"NotFound",
	"AlreadyExists",
	"PermissionDenied",
	"ResourceExhausted",
	"FailedPrecondition",
	"Aborted",
	"OutOfRange",
	"Unimplemented",
	"Internal",
	"Unavailable",
	"DataLoss",
	"Unauthenticated",
};

static const char go_code[] = "rpc error: code = ", go_text[] = " desc = ";

int grpc_err(struct err *err, enum grpc_status status, const char *fmt, ...)
{
	char text[900];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(err,
		       status == GRPC_FAILED_PRECONDITION ? -EINVAL : grpc_errno_of_status(status),
		       "%s%s%s%s", go_code,
		       go_names[(size_t)status < ARRAY_SIZE(go_names) ? status : GRPC_UNKNOWN],
		       go_text, text);
}

enum grpc_status grpc_err_status(const struct err *err, const char **ret_text)
{
	*ret_text = err->msg;
	if (starts_with(err->msg, go_code)) {
		const char *name = err->msg + strlen(go_code);

		for (size_t i = 0; i < ARRAY_SIZE(go_names); i++) {
			size_t len = strlen(go_names[i]);

			if (strncmp(name, go_names[i], len) || !starts_with(name + len, go_text))
				continue;
			*ret_text = name + len + strlen(go_text);
			return i;
		}
	}
	return grpc_status_of_errno(err->code);
}
