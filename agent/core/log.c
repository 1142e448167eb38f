// SPDX-License-Identifier: Apache-2.0
#include "core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "core/buf.h"

static enum log_level log_level = LOG_INFO;
static enum log_format log_format = LOG_TEXT;
static const char *const names[] = {"fatal", "error", "warn", "info", "debug"};

void log_setup(enum log_level level, enum log_format format)
{
	log_level = level;
	log_format = format;
}

enum log_level log_level_get(void)
{
	return log_level;
}

int log_level_parse(const char *s, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(s, names[i])) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

static void add_quoted(struct buf *b, const char *s)
{
	buf_char(b, '"');
	for (; *s; s++) {
		unsigned char c = *s;

		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c < 0x20)
			buf_printf(b, "\\u%04x", c);
		else
			buf_char(b, c);
	}
	buf_char(b, '"');
}

void log_at(enum log_level level, const char *fmt, ...)
{
	_cleanup_buf_ struct buf line = BUF_INIT;
	_cleanup_free_ char *msg = NULL;
	struct timespec ts;
	struct tm tm;
	char when[64];
	va_list ap;

	if (level > log_level)
		return;
	va_start(ap, fmt);
	if (vasprintf(&msg, fmt, ap) < 0)
		msg = NULL;
	va_end(ap);
	if (!msg)
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	if (log_format == LOG_JSON) {
		buf_printf(&line, "{\"level\":\"%s\",\"msg\":", names[level]);
		add_quoted(&line, msg);
		buf_printf(&line, ",\"time\":\"%s.%09ldZ\"}\n", when, ts.tv_nsec);
	} else {
		buf_printf(&line, "time=\"%s.%09ldZ\" level=%s msg=", when, ts.tv_nsec,
			   names[level]);
		add_quoted(&line, msg);
		buf_char(&line, '\n');
	}
	(void)!write(STDERR_FILENO, line.data, line.len);
}
