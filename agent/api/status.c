// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "api/api.h"

int api_status(int code)
{
	static const struct {
		int code, status;
	} table[] = {
		{-ENOENT, 404},	      {-EINVAL, 400},	    {-ERANGE, 400}, {-EFBIG, 400},
		{-EEXIST, 409},	      {-EBUSY, 409},	    {-EACCES, 403}, {-EPERM, 403},
		{-EALREADY, 304},     {-EUNATCH, 503},	    {-EAGAIN, 503}, {-EHOSTUNREACH, 503},
		{-ENOSYS, 501},	      {-EOPNOTSUPP, 501},   {-ENOTTY, 406}, {-EOVERFLOW, 413},
		{-ENAMETOOLONG, 400}, {-EKEYREJECTED, 401},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].code == code)
			return table[i].status;
	return 500;
}
