// SPDX-License-Identifier: Apache-2.0
#include "wire/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct http1_chunks chunks = {0};
	struct http1_head head;
	int n = http1_parse_request(p, size, &head);

	if (n > 0 && (size_t)n <= size)
		p += n, size -= n;
	while (size && !chunks.done) {
		struct http1_str piece;

		n = http1_chunks_feed(&chunks, p, size, &piece);
		if (n <= 0)
			break;
		p += n;
		size -= n;
	}
	return 0;
}
