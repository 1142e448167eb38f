/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An address of either family is a struct in6_addr: IPv6, or IPv4 mapped (::ffff:a.b.c.d). Pure.
 */
#pragma once

#include <netinet/in.h>

#include "core/util.h"

struct in6_addr inaddr_of4(struct in_addr a);
/* Host byte order. */
struct in6_addr inaddr_of_u32(uint32_t ip);
bool inaddr_is4(const struct in6_addr *a);
/* Of one that is IPv4. */
struct in_addr inaddr_to4(const struct in6_addr *a);
bool inaddr_equal(const struct in6_addr *a, const struct in6_addr *b);
/* "::" (no address, too). */
bool inaddr_is_zero(const struct in6_addr *a);
/* "0.0.0.0" or "::". */
bool inaddr_is_any(const struct in6_addr *a);
/* 127.0.0.0/8 or ::1. */
bool inaddr_is_loopback(const struct in6_addr *a);
/* "10.1.2.3" or "2001:db8::1". -EINVAL. */
int inaddr_parse(const char *s, struct in6_addr *ret);
char *inaddr_format(const struct in6_addr *a, char dst[INET6_ADDRSTRLEN]);
/* A socket's address; returns its size. */
socklen_t inaddr_socket(const struct in6_addr *a, uint16_t port, struct sockaddr_storage *ret);
