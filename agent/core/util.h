/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small helpers every module uses: cleanup attributes, container_of, checked allocation.
 *
 * Allocation: the x*() functions never return NULL; a failed small allocation ends the
 * process, since a restart is a tested path. Sizes that come from outside are bounded by
 * the caller before it allocates.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef ARRAY_SIZE /* kselftest.h has one too */
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define min(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) _a = (a);                                                            \
		__typeof__(b) _b = (b);                                                            \
		_a < _b ? _a : _b;                                                                 \
	})
#define max(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) _a = (a);                                                            \
		__typeof__(b) _b = (b);                                                            \
		_a > _b ? _a : _b;                                                                 \
	})

/* Run a release function on a local variable when it leaves scope. */
#define _cleanup_(f) __attribute__((__cleanup__(f)))
#define _cleanup_free_ _cleanup_(util_freep)
#define _cleanup_close_ _cleanup_(util_closep)
#define _printf_(a, b) __attribute__((__format__(printf, a, b)))

/* Take the pointer out of an owning variable, leaving NULL. */
#define steal_ptr(p)                                                                               \
	({                                                                                         \
		__typeof__(p) *_p = &(p);                                                          \
		__typeof__(p) _v = *_p;                                                            \
		*_p = NULL;                                                                        \
		_v;                                                                                \
	})
#define steal_fd(fd)                                                                               \
	({                                                                                         \
		int *_p = &(fd);                                                                   \
		int _v = *_p;                                                                      \
		*_p = -1;                                                                          \
		_v;                                                                                \
	})

static inline void util_freep(void *p)
{
	free(*(void **)p);
}

static inline void util_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
/* NULL in, NULL out. */
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t size);
/* The same without the white space around it. */
char *xstrndup_trimmed(const char *s, size_t size);
void *xmemdup(const void *p, size_t size);
char *xasprintf(const char *fmt, ...) _printf_(1, 2);

static inline bool streq(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static inline bool str_empty(const char *s)
{
	return !s || !*s;
}

static inline bool starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* Whether a component of the path is "..". */
bool path_climbs(const char *path);
/* Case-sensitive suffix test. */
bool ends_with(const char *s, const char *suffix);
/*
 * Parse a whole decimal number within [lo, hi]. Returns 0, or -EINVAL (not a number, trailing
 * text) or -ERANGE; *ret is untouched then.
 */
int parse_u64(const char *s, uint64_t lo, uint64_t hi, uint64_t *ret);
int parse_i64(const char *s, int64_t lo, int64_t hi, int64_t *ret);
/* Lower-case hex of size bytes; dst takes 2 * size + 1 bytes. */
void hex_encode(char *dst, const void *src, size_t size);
/* Standard or URL alphabet, padding optional. Returns a malloc'd buffer (NUL added) or NULL. */
void *base64_decode(const char *s, size_t *ret_size);
char *base64_encode(const void *p, size_t size);
