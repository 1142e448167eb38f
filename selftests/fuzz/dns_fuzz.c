// SPDX-License-Identifier: Apache-2.0
#include "wire/dns_wire.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_rr rr[2] = {{.ip = 1, .name = "web.net"}, {.ip = 2, .name = "x..y"}};
	struct dns_query q;
	struct buf b = BUF_INIT;
	uint8_t ip[16];

	if (dns_query_parse(data, size, &q) != -EBADMSG) {
		assert(strlen(q.name) < DNS_NAME_SIZE);
		dns_ptr_parse(q.name, ip);
		dns_reply(&b, data, &q, DNS_NOERROR, rr, 2, 600, q.udp_size);
		assert(b.len <= DNS_MESSAGE_MAX);
		if (q.question_size && !dns_reply_matches((uint8_t *)b.data, b.len, q.id, data, &q))
			abort();
	}
	buf_done(&b);
	return 0;
}
