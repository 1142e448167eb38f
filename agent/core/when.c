// SPDX-License-Identifier: Apache-2.0
#include "core/when.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

char *time_format(int64_t ns, char buf[40])
{
	time_t s = ns / 1000000000;
	int frac = ns % 1000000000;
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(buf, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	if (frac) {
		n += snprintf(buf + n, 12, ".%09d", frac);
		while (buf[n - 1] == '0')
			n--;
	}
	strcpy(buf + n, "Z");
	return buf;
}

int time_parse(const char *s, int64_t *ret, struct err *err)
{
	struct tm tm = {0};
	const char *end;
	char *num_end;
	long long secs;
	int64_t frac = 0, unit = 100000000, offset = 0;

	secs = strtoll(s, &num_end, 10);
	if (num_end != s && (*num_end == 0 || *num_end == '.')) {
		end = num_end;
	} else {
		end = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
		if (!end)
			end = strptime(s, "%Y-%m-%d", &tm);
		if (!end)
			return err_set(err, -EINVAL,
				       "invalid time '%s': give seconds since 1970 or RFC 3339", s);
		secs = timegm(&tm);
	}
	if (*end == '.')
		for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
			frac += (*end - '0') * unit;
	if (*end == 'Z') {
		end++;
	} else if (*end == '+' || *end == '-') {
		int h, m, used = 0;

		if (sscanf(end + 1, "%2d:%2d%n", &h, &m, &used) == 2 && used) {
			offset = (h * 60 + m) * 60 * (*end == '+' ? 1 : -1);
			end += 1 + used;
		}
	}
	if (*end || secs < -9000000000ll || secs > 9000000000ll)
		return err_set(err, -EINVAL,
			       "invalid time '%s': give seconds since 1970 or RFC 3339", s);
	*ret = (secs - offset) * 1000000000ll + frac;
	return 0;
}
