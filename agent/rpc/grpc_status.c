// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

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
