// SPDX-License-Identifier: Apache-2.0
/* syslog: RFC 3164 and RFC 5424 over anything, framed by RFC 5425 over TLS. */
#include <errno.h>
#include <time.h>

#include "logger/logger_impl.h"

enum { DAEMON = 3, SEVERITY_ERR = 3, SEVERITY_INFO = 6, PORT = 514 };

static int parse_facility(const char *text, int *ret, struct err *err)
{
	static const char *const names[] = {
		"kern",	  "user",   "mail",	"daemon", "auth",   "syslog", "lpr",	"news",
		"uucp",	  "cron",   "authpriv", "ftp",	  NULL,	    NULL,     NULL,	NULL,
		"local0", "local1", "local2",	"local3", "local4", "local5", "local6", "local7"};
	uint64_t n = DAEMON;

	if (*text && parse_u64(text, 0, 23, &n)) {
		for (n = 0; n < ARRAY_SIZE(names); n++)
			if (names[n] && !strcmp(names[n], text))
				break;
		if (n == ARRAY_SIZE(names))
			return err_set(err, -EINVAL, "invalid syslog facility");
	}
	*ret = n;
	return 0;
}

static int configure(struct logger *l, json_t *opts, struct err *err)
{
	static const struct {
		const char *name;
		enum syslog_format format;
		bool micro;
	} formats[] = {
		{"", SYSLOG_UNIX, false},
		{"rfc3164", SYSLOG_3164, false},
		{"rfc5424", SYSLOG_5424, false},
		{"rfc5424micro", SYSLOG_5424, true},
	};
	const char *address = js(opts, "syslog-address"), *format = js(opts, "syslog-format");
	size_t i = 0;
	int rc = 0;

	if (!*address)
		l->address = (struct log_address){.proto = LOG_UNIX, .host = xstrdup("/dev/log")};
	else if (log_address_parse(address, &l->address, err))
		return err_prefix(err, "syslog-address");
	if (l->address.proto <= LOG_UNIXGRAM && *address && access(l->address.host, F_OK))
		rc = err_errno(err, -EINVAL, "syslog-address: there is no socket %s",
			       l->address.host);
	if (!l->address.port)
		l->address.port = PORT;
	if (!rc)
		rc = parse_facility(js(opts, "syslog-facility"), &l->facility, err);
	while (i < ARRAY_SIZE(formats) && strcmp(format, formats[i].name))
		i++;
	if (!rc && i == ARRAY_SIZE(formats))
		return err_set(err, -EINVAL, "Invalid syslog format");
	if (rc)
		return rc;
	l->format = formats[i].format;
	l->micro = formats[i].micro;
	return 0;
}

static void describe(struct logger *l, const struct log_source *src, json_t *attributes)
{
	/* a message has no place for more than the tag */
	(void)l;
	(void)src;
	(void)attributes;
}

static void put_stamp(const struct logger *l, int64_t ns, struct buf *out)
{
	time_t s = ns / 1000000000;
	char text[40];
	struct tm tm;

	if (l->format != SYSLOG_5424) {
		localtime_r(&s, &tm);
		strftime(text, sizeof(text), "%b %e %T", &tm);
		buf_str(out, text);
		return;
	}
	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%FT%T", &tm);
	buf_str(out, text);
	if (l->micro)
		buf_printf(out, ".%06d", (int)(ns % 1000000000 / 1000));
	buf_char(out, 'Z');
}

static void encode(struct logger *l, const struct log_record_out *rec,
		   const struct log_piece *piece,
		   void (*emit)(const void *p, size_t size, void *arg), void *arg)
{
	int severity = rec->stream == 2 ? SEVERITY_ERR : SEVERITY_INFO;
	_cleanup_buf_ struct buf out = BUF_INIT, framed = BUF_INIT;

	(void)piece;
	buf_printf(&out, "<%d>%s", l->facility * 8 + severity,
		   l->format == SYSLOG_5424 ? "1 " : "");
	put_stamp(l, rec->time_ns, &out);
	if (l->format != SYSLOG_UNIX)
		buf_printf(&out, " %s", l->hostname);
	if (l->format == SYSLOG_5424)
		buf_printf(&out, " %s %d %s - ", l->tag, l->pid, l->tag);
	else
		buf_printf(&out, " %s[%d]: ", l->tag, l->pid);
	buf_add(&out, rec->line, rec->len);
	buf_char(&out, '\n');
	if (l->address.proto == LOG_TLS && l->format == SYSLOG_5424) {
		buf_printf(&framed, "%zu ", out.len);
		buf_add(&framed, out.data, out.len);
		emit(framed.data, framed.len, arg);
	} else {
		emit(out.data, out.len, arg);
	}
}

static const char *const keys[] = {
	"syslog-address",  "syslog-facility", "syslog-format",		"syslog-tls-ca-cert",
	"syslog-tls-cert", "syslog-tls-key",  "syslog-tls-skip-verify", NULL};

const struct log_driver log_syslog = {"syslog", keys, configure, describe, encode};
