// SPDX-License-Identifier: Apache-2.0
#include "node/session_keys.h"

#include "core/util.h"

static int by_time(const void *a, const void *b)
{
	const Pb__EncryptionKey *x = *(const Pb__EncryptionKey *const *)a,
				*y = *(const Pb__EncryptionKey *const *)b;

	return x->lamport_time < y->lamport_time ? -1 : x->lamport_time > y->lamport_time;
}

size_t session_keys(Pb__EncryptionKey *const *all, size_t n, const char *subsystem,
		    const Pb__EncryptionKey *ret[SESSION_KEYS_MAX], size_t *ret_primary)
{
	size_t k = 0;

	for (size_t i = 0; i < n && k < SESSION_KEYS_MAX; i++)
		if (streq(all[i]->subsystem, subsystem))
			ret[k++] = all[i];
	if (k)
		qsort(ret, k, sizeof(*ret), by_time);
	*ret_primary = k > 1 ? 1 : 0;
	return k;
}
