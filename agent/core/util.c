// SPDX-License-Identifier: Apache-2.0
#include "core/util.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static void *check(void *p)
{
	if (!p) {
		static const char msg[] = "swarm-agent: out of memory\n";

		(void)!write(STDERR_FILENO, msg, sizeof(msg) - 1);
		abort();
	}
	return p;
}

void *xmalloc(size_t size)
{
	return check(malloc(size ? size : 1));
}

void *xcalloc(size_t n, size_t size)
{
	return check(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
	return check(realloc(p, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return s ? check(strdup(s)) : NULL;
}

char *xstrndup(const char *s, size_t size)
{
	return s ? check(strndup(s, size)) : NULL;
}

char *xstrndup_trimmed(const char *s, size_t size)
{
	while (size && isspace((unsigned char)*s)) {
		s++;
		size--;
	}
	while (size && isspace((unsigned char)s[size - 1]))
		size--;
	return xstrndup(s, size);
}

void *xmemdup(const void *p, size_t size)
{
	void *q = xmalloc(size);

	if (size)
		memcpy(q, p, size);
	return q;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return check(n < 0 ? NULL : s);
}

bool path_climbs(const char *path)
{
	for (const char *p = path; p; p = strchr(p, '/')) {
		while (*p == '/')
			p++;
		if (!strncmp(p, "..", 2) && (p[2] == '/' || !p[2]))
			return true;
	}
	return false;
}

bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && !strcmp(s + n - m, suffix);
}

int parse_u64(const char *s, uint64_t lo, uint64_t hi, uint64_t *ret)
{
	unsigned long long v;
	char *end;

	if (!s || *s < '0' || *s > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || v < lo || v > hi)
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_i64(const char *s, int64_t lo, int64_t hi, int64_t *ret)
{
	long long v;
	char *end;

	if (!s || !(*s == '-' || (*s >= '0' && *s <= '9')))
		return -EINVAL;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (*end || end == s)
		return -EINVAL;
	if (errno || v < lo || v > hi)
		return -ERANGE;
	*ret = v;
	return 0;
}

void hex_encode(char *dst, const void *src, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = src;

	for (size_t i = 0; i < size; i++) {
		dst[2 * i] = digits[p[i] >> 4];
		dst[2 * i + 1] = digits[p[i] & 15];
	}
	dst[2 * size] = 0;
}

static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *p, size_t size)
{
	const uint8_t *s = p;
	char *out = xmalloc((size + 2) / 3 * 4 + 1), *o = out;

	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		uint32_t v =
			s[i] << 16 | (left > 1 ? s[i + 1] << 8 : 0) | (left > 2 ? s[i + 2] : 0);

		*o++ = b64[v >> 18];
		*o++ = b64[v >> 12 & 63];
		*o++ = left > 1 ? b64[v >> 6 & 63] : '=';
		*o++ = left > 2 ? b64[v & 63] : '=';
	}
	*o = 0;
	return out;
}

void *base64_decode(const char *s, size_t *ret_size)
{
	uint8_t *out = xmalloc(strlen(s) / 4 * 3 + 4), *o = out;
	uint32_t v = 0;
	int bits = 0;

	for (; *s && *s != '='; s++) {
		char c = *s == '-' ? '+' : *s == '_' ? '/' : *s;
		const char *at;

		if (c == '\n' || c == '\r')
			continue;
		at = strchr(b64, c);
		if (!at) {
			free(out);
			return NULL;
		}
		v = v << 6 | (uint32_t)(at - b64);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*o++ = v >> bits & 255;
		}
	}
	while (*s == '=' || *s == '\n' || *s == '\r')
		s++;
	if (*s) {
		free(out);
		return NULL;
	}
	*o = 0;
	if (ret_size)
		*ret_size = o - out;
	return out;
}
