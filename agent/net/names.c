// SPDX-License-Identifier: Apache-2.0
#include "net/names.h"

#include <ctype.h>
#include <stdio.h>

struct addrs {
	size_t n;
	struct {
		struct in6_addr ip;
		unsigned int refs;
	} v[];
};

struct back {
	size_t n;
	struct {
		char *name;
		unsigned int refs;
	} v[];
};

enum { NAME_MAX_SIZE = 256 };

static bool lower(const char *s, char dst[NAME_MAX_SIZE])
{
	size_t n = strlen(s);

	if (!n || n >= NAME_MAX_SIZE)
		return false;
	for (size_t i = 0; i <= n; i++)
		dst[i] = tolower((unsigned char)s[i]);
	return true;
}

void names_add4(struct names *n, const char *name, uint32_t ip, bool reverse)
{
	struct in6_addr a = inaddr_of_u32(ip);

	if (ip)
		names_add(n, name, &a, reverse);
}

void names_del4(struct names *n, const char *name, uint32_t ip, bool reverse)
{
	struct in6_addr a = inaddr_of_u32(ip);

	if (ip)
		names_del(n, name, &a, reverse);
}

void names_init(struct names *n)
{
	map_init(&n->by_name);
	map_init(&n->by_ip);
}

void names_done(struct names *n)
{
	const char *key;
	struct addrs *a;
	struct back *b;

	map_for_each (&n->by_name, key, a)
		free(a);
	map_for_each (&n->by_ip, key, b) {
		for (size_t i = 0; i < b->n; i++)
			free(b->v[i].name);
		free(b);
	}
	map_done(&n->by_name);
	map_done(&n->by_ip);
}

static void reverse_add(struct names *n, const char *name, const struct in6_addr *ip)
{
	struct back *b;
	char key[INET6_ADDRSTRLEN];
	size_t i;

	inaddr_format(ip, key);
	b = map_get(&n->by_ip, key);
	for (i = 0; b && i < b->n; i++)
		if (streq(b->v[i].name, name)) {
			b->v[i].refs++;
			return;
		}
	b = xrealloc(b, sizeof(*b) + (i + 1) * sizeof(b->v[0]));
	b->v[i].name = xstrdup(name);
	b->v[i].refs = 1;
	b->n = i + 1;
	map_put(&n->by_ip, key, b);
}

static void reverse_del(struct names *n, const char *name, const struct in6_addr *ip)
{
	struct back *b;
	char key[INET6_ADDRSTRLEN];

	inaddr_format(ip, key);
	b = map_get(&n->by_ip, key);
	for (size_t i = 0; b && i < b->n; i++) {
		if (!streq(b->v[i].name, name) || --b->v[i].refs)
			continue;
		free(b->v[i].name);
		memmove(&b->v[i], &b->v[i + 1], (--b->n - i) * sizeof(b->v[0]));
		if (!b->n)
			free(map_del(&n->by_ip, key));
		return;
	}
}

void names_add(struct names *n, const char *name, const struct in6_addr *ip, bool reverse)
{
	char key[NAME_MAX_SIZE];
	struct addrs *a;
	size_t i;

	if (!name || !lower(name, key))
		return;
	if (reverse)
		reverse_add(n, name, ip);
	a = map_get(&n->by_name, key);
	for (i = 0; a && i < a->n; i++)
		if (inaddr_equal(&a->v[i].ip, ip)) {
			a->v[i].refs++;
			return;
		}
	a = xrealloc(a, sizeof(*a) + (i + 1) * sizeof(a->v[0]));
	a->v[i].ip = *ip;
	a->v[i].refs = 1;
	a->n = i + 1;
	map_put(&n->by_name, key, a);
}

void names_del(struct names *n, const char *name, const struct in6_addr *ip, bool reverse)
{
	char key[NAME_MAX_SIZE];
	struct addrs *a;

	if (!name || !lower(name, key))
		return;
	if (reverse)
		reverse_del(n, name, ip);
	a = map_get(&n->by_name, key);
	for (size_t i = 0; a && i < a->n; i++) {
		if (!inaddr_equal(&a->v[i].ip, ip) || --a->v[i].refs)
			continue;
		memmove(&a->v[i], &a->v[i + 1], (--a->n - i) * sizeof(a->v[0]));
		if (!a->n)
			free(map_del(&n->by_name, key));
		return;
	}
}

size_t names_lookup(const struct names *n, const char *name, struct in6_addr *ret, size_t max)
{
	char key[NAME_MAX_SIZE];
	const struct addrs *a;
	size_t count;

	if (!lower(name, key) || !(a = map_get(&n->by_name, key)))
		return 0;
	count = min(a->n, max);
	for (size_t i = 0; i < count; i++)
		ret[i] = a->v[i].ip;
	return count;
}

const char *names_reverse(const struct names *n, const struct in6_addr *ip)
{
	const struct back *b;
	char key[INET6_ADDRSTRLEN];

	inaddr_format(ip, key);
	b = map_get(&n->by_ip, key);
	return b ? b->v[0].name : NULL;
}
