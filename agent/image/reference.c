// SPDX-License-Identifier: Apache-2.0
#include "image/reference.h"

#include <errno.h>
#include <stdio.h>

static const char hub[] = "docker.io/", library[] = "docker.io/library/";

static bool lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool alnum(char c)
{
	return lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

bool digest_valid(const char *s)
{
	if (strlen(s) != 71 || memcmp(s, "sha256:", 7))
		return false;
	for (s += 7; *s; s++)
		if (!((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f')))
			return false;
	return true;
}

static bool tag_valid(const char *s)
{
	if (!alnum(*s) && *s != '_')
		return false;
	if (strlen(s) > 128)
		return false;
	for (; *s; s++)
		if (!alnum(*s) && !strchr("_.-", *s))
			return false;
	return true;
}

/* Path parts: lower-case letters and digits, joined by one '.', one or two '_', or dashes. */
static bool path_valid(const char *s)
{
	if (!*s)
		return false;
	while (*s) {
		size_t n;

		if (!lower_alnum(*s))
			return false;
		while (lower_alnum(*s))
			s++;
		if (!*s)
			return true;
		if (*s == '/') {
			s++;
			if (!*s)
				return false;
			continue;
		}
		n = strspn(s, "-");
		if (!n && *s == '.')
			n = 1;
		if (!n)
			n = strspn(s, "_") <= 2 ? strspn(s, "_") : 0;
		if (!n || !lower_alnum(s[n]))
			return false;
		s += n;
	}
	return true;
}

/* host[:port]: what stands before the first slash, if it can be told from a path part. */
static bool host_valid(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!alnum(s[i]) && !strchr(".-:[]", s[i]))
			return false;
	return len && alnum(s[len - 1]);
}

int reference_parse(const char *s, struct reference *ret, struct err *err)
{
	struct reference r = {0};
	char rest[512];
	char *at, *slash, *colon;
	size_t host = 0;

	if (str_empty(s) || strlen(s) >= 400)
		goto bad;
	strcpy(rest, s);
	at = strchr(rest, '@');
	if (at) {
		*at++ = 0;
		if (!digest_valid(at))
			goto bad;
		strcpy(r.digest, at);
	}
	slash = strrchr(rest, '/');
	colon = strrchr(slash ? slash : rest, ':');
	if (colon) {
		*colon++ = 0;
		if (!tag_valid(colon))
			goto bad;
		strcpy(r.tag, colon);
	}
	slash = strchr(rest, '/');
	if (slash) {
		size_t n = slash - rest;

		if (memchr(rest, '.', n) || memchr(rest, ':', n) ||
		    (n == 9 && !memcmp(rest, "localhost", 9)))
			host = n;
	}
	if (host && !host_valid(rest, host))
		goto bad;
	if (!path_valid(host ? rest + host + 1 : rest))
		goto bad;
	if (strlen(rest) + sizeof(library) > sizeof(r.name))
		goto bad;
	if (host)
		strcpy(r.name, starts_with(rest, "index.docker.io/") ? rest + 6 : rest);
	else
		snprintf(r.name, sizeof(r.name), "%s%s", slash ? hub : library, rest);
	if (starts_with(r.name, hub) && !strchr(r.name + sizeof(hub) - 1, '/'))
		snprintf(r.name, sizeof(r.name), "%s%s", library, host ? rest + host + 1 : rest);
	if (!r.tag[0] && !r.digest[0])
		strcpy(r.tag, "latest");
	*ret = r;
	return 0;
bad:
	return err_set(err, -EINVAL, "invalid reference format: %s", s ? s : "");
}

const char *reference_familiar(const struct reference *r)
{
	if (starts_with(r->name, library))
		return r->name + sizeof(library) - 1;
	return r->name + (starts_with(r->name, hub) ? sizeof(hub) - 1 : 0);
}
