// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "logger/logger_impl.h"

static const struct {
	const char *scheme;
	enum log_proto proto;
} schemes[] = {
	{"unix", LOG_UNIX},   {"unixgram", LOG_UNIXGRAM}, {"udp", LOG_UDP},
	{"tcp+tls", LOG_TLS}, {"tcp", LOG_TCP},
};

void log_address_done(struct log_address *a)
{
	free(a->host);
	a->host = NULL;
}

void log_address_print(const struct log_address *a, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (schemes[i].proto == a->proto)
			buf_printf(out, "%s://", schemes[i].scheme);
	buf_printf(out, strchr(a->host, ':') && a->proto > LOG_UNIXGRAM ? "[%s]" : "%s", a->host);
	if (a->proto > LOG_UNIXGRAM)
		buf_printf(out, ":%d", a->port);
}

int log_address_parse(const char *text, struct log_address *ret, struct err *err)
{
	struct log_address a = {0};
	const char *p = strstr(text, "://"), *end, *port;
	uint64_t n = 0;
	size_t i = 0;

	while (p && i < ARRAY_SIZE(schemes) &&
	       (strlen(schemes[i].scheme) != (size_t)(p - text) ||
		memcmp(text, schemes[i].scheme, p - text)))
		i++;
	if (!p || i == ARRAY_SIZE(schemes))
		return err_set(err, -EINVAL, "should be in form proto://address, got %s", text);
	a.proto = schemes[i].proto;
	p += 3;
	if (a.proto <= LOG_UNIXGRAM) {
		if (*p != '/' || strlen(p) > 107)
			return err_set(err, -EINVAL,
				       "%s: the path of a socket is absolute and not longer than "
				       "107 bytes",
				       text);
		a.host = xstrdup(p);
		*ret = a;
		return 0;
	}
	if (*p == '[') {
		end = strchr(++p, ']');
		port = end ? end + 1 : NULL;
	} else {
		end = p + strcspn(p, ":/");
		port = end;
	}
	if (!end || end == p || end - p > 253 || (*port && *port != ':' && strcmp(port, "/")) ||
	    (*port == ':' && parse_u64(port + 1, 1, 65535, &n)))
		return err_set(err, -EINVAL, "%s: no host and port can be read from it", text);
	a.host = xstrndup(p, end - p);
	a.port = n;
	*ret = a;
	return 0;
}
