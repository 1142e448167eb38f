// SPDX-License-Identifier: Apache-2.0
#include "image/skopeo.h"

/* The end of a logfmt value: its escapes undone, its closing quote dropped. */
static void unquote(char *s)
{
	char *d = s;

	for (; *s && *s != '"'; s++) {
		if (*s == '\\' && s[1])
			s++;
		*d++ = *s;
	}
	*d = 0;
}

enum skopeo_failure skopeo_reason(const struct buf *text, char **ret)
{
	char *msg = strstr(text->data, "msg=\""), *line = xstrdup(msg ? msg + 5 : text->data);

	line[strcspn(line, "\n")] = 0;
	unquote(line);
	*ret = line;
	if (strstr(line, "manifest unknown") || strstr(line, "name unknown"))
		return SKOPEO_UNKNOWN;
	if (strstr(line, "unauthorized") || strstr(line, "authentication required") ||
	    strstr(line, "denied"))
		return SKOPEO_DENIED;
	return SKOPEO_OTHER;
}
