// SPDX-License-Identifier: Apache-2.0
#include "image/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *s = xstrndup((const char *)data, size);
	struct reference r, again;

	/* what is accepted is accepted again in its full form, and means the same */
	if (!reference_parse(s, &r, NULL)) {
		char *full = xasprintf("%s%s%s%s%s", r.name, r.tag[0] ? ":" : "", r.tag,
				       r.digest[0] ? "@" : "", r.digest);

		assert(!reference_parse(full, &again, NULL));
		assert(!strcmp(r.name, again.name) && !strcmp(r.tag, again.tag));
		free(full);
	}
	free(s);
	return 0;
}
