/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS messages: reading queries, writing answers. Pure, bounded, allocates only into the buffer of
 * an answer. Source: RFC 1035, RFC 6891 (EDNS).
 */
#pragma once

#include "core/buf.h"

enum { DNS_A = 1, DNS_PTR = 12, DNS_AAAA = 28, DNS_OPT = 41, DNS_CLASS_IN = 1 };
enum dns_rcode { DNS_NOERROR, DNS_FORMERR, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_NOTIMP, DNS_REFUSED };
enum { DNS_HEADER_SIZE = 12, DNS_NAME_SIZE = 256, DNS_UDP_SIZE = 512, DNS_MESSAGE_MAX = 65535 };

struct dns_query {
	uint16_t id, type, class;
	bool recursion; /* RD */
	bool edns;
	uint16_t udp_size; /* of answers over UDP, at least 512 */
	size_t question_size; /* bytes behind the header */
	/* Lower case, labels joined by dots, no dot at the end; "" if a label holds anything but
	 * letters, digits, '-', '_' and '.': then it is no name of ours. */
	char name[DNS_NAME_SIZE];
};

/*
 * 0; -EBADMSG: no query at all, to be dropped; -EINVAL: malformed, answer FORMERR; -EOPNOTSUPP:
 * answer NOTIMP. With -EINVAL and -EOPNOTSUPP the id is set and question_size is 0.
 */
int dns_query_parse(const uint8_t *p, size_t size, struct dns_query *ret);

struct dns_rr {
	uint32_t ip; /* A, host byte order */
	uint8_t ip6[16]; /* AAAA */
	const char *name; /* PTR: labels joined by dots */
};

/*
 * Append an answer to query (its bytes as they came): records of q's type with ttl seconds, as
 * many as fit in max bytes; TC is set if some do not.
 */
void dns_reply(struct buf *out, const uint8_t *query, const struct dns_query *q,
	       enum dns_rcode rcode, const struct dns_rr *rr, size_t n, uint32_t ttl, size_t max);
/* Is this an answer to that query (whose bytes were sent, id apart: id)? */
bool dns_reply_matches(const uint8_t *reply, size_t size, uint16_t id, const uint8_t *query,
		       const struct dns_query *q);
/*
 * "4.3.2.1.in-addr.arpa" as ::ffff:1.2.3.4, or 32 digits of an IPv6 address, the last one first,
 * and "ip6.arpa".
 */
bool dns_ptr_parse(const char *name, uint8_t ret[16]);
