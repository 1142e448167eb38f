// SPDX-License-Identifier: Apache-2.0
#include "net/inaddr.h"

#include <arpa/inet.h>
#include <errno.h>

struct in6_addr inaddr_of4(struct in_addr a)
{
	struct in6_addr out = {{{[10] = 0xff, [11] = 0xff}}};

	memcpy(&out.s6_addr[12], &a, sizeof(a));
	return out;
}

struct in6_addr inaddr_of_u32(uint32_t ip)
{
	return inaddr_of4((struct in_addr){htonl(ip)});
}

bool inaddr_is4(const struct in6_addr *a)
{
	return IN6_IS_ADDR_V4MAPPED(a);
}

struct in_addr inaddr_to4(const struct in6_addr *a)
{
	struct in_addr out;

	memcpy(&out, &a->s6_addr[12], sizeof(out));
	return out;
}

bool inaddr_equal(const struct in6_addr *a, const struct in6_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

bool inaddr_is_zero(const struct in6_addr *a)
{
	return IN6_IS_ADDR_UNSPECIFIED(a);
}

bool inaddr_is_any(const struct in6_addr *a)
{
	return inaddr_is4(a) ? !inaddr_to4(a).s_addr : inaddr_is_zero(a);
}

bool inaddr_is_loopback(const struct in6_addr *a)
{
	return inaddr_is4(a) ? ntohl(inaddr_to4(a).s_addr) >> 24 == 127 : IN6_IS_ADDR_LOOPBACK(a);
}

int inaddr_parse(const char *s, struct in6_addr *ret)
{
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET, s, &four) == 1)
		*ret = inaddr_of4(four);
	else if (inet_pton(AF_INET6, s, &six) == 1)
		*ret = six;
	else
		return -EINVAL;
	return 0;
}

char *inaddr_format(const struct in6_addr *a, char dst[INET6_ADDRSTRLEN])
{
	struct in_addr four = inaddr_to4(a);

	if (inaddr_is4(a))
		inet_ntop(AF_INET, &four, dst, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, a, dst, INET6_ADDRSTRLEN);
	return dst;
}

socklen_t inaddr_socket(const struct in6_addr *a, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *six = (void *)ret;
	struct sockaddr_in *four = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inaddr_is4(a)) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		four->sin_addr = inaddr_to4(a);
		return sizeof(*four);
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	six->sin6_addr = *a;
	return sizeof(*six);
}
