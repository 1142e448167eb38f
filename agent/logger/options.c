// SPDX-License-Identifier: Apache-2.0
/* Which options the drivers have, and what those of the monitor's log mean. */
#include <errno.h>
#include <math.h>

#include "logger/logger_impl.h"

enum { FILES_MAX = 1000, OPTIONS_BYTES_MAX = 64 << 10 };

static const struct log_driver *const remote[] = {&log_fluentd, &log_gelf, &log_journald,
						  &log_syslog};

const char *const *logger_drivers(void)
{
	static const char *const names[] = {"fluentd", "gelf",	 "journald", "json-file",
					    "local",   "syslog", "none",     NULL};

	return names;
}

static const struct log_driver *remote_driver(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(remote); i++)
		if (!strcmp(name, remote[i]->name))
			return remote[i];
	return NULL;
}

bool logger_is_remote(const char *driver)
{
	return remote_driver(driver) != NULL;
}

/* --- values --- */

int log_parse_size(const char *s, int64_t *ret)
{
	static const char units[] = "bkmgt";
	char *end;
	double v = strtod(s, &end);
	const char *unit;

	if (end == s || !isfinite(v) || v < 0)
		return -EINVAL;
	if (*end) {
		unit = strchr(units, *end | 0x20);
		if (!unit)
			return -EINVAL;
		for (const char *u = units; u < unit; u++)
			v *= 1024;
		end++;
		if (unit != units && (*end | 0x20) == 'i')
			end++;
		if (unit != units && (*end | 0x20) == 'b')
			end++;
	}
	if (*end || v > 1e15)
		return -EINVAL;
	*ret = v;
	return 0;
}

int log_parse_bool(const char *key, json_t *opts, bool *ret, struct err *err)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"},
				 *const no[] = {"", "0", "f", "F", "false", "FALSE", "False"};
	const char *v = js(opts, key);

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!strcmp(v, yes[i])) {
			*ret = true;
			return 0;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		if (!strcmp(v, no[i])) {
			*ret = false;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "invalid value for option %s: %s", key, v);
}

/* --- the monitor's log --- */

int logger_limits(const char *driver, json_t *opts, struct log_file_limits *ret, struct err *err)
{
	bool json_file = !strcmp(driver, "json-file"), cache = logger_is_remote(driver);
	const char *size_key = cache ? "cache-max-size" : "max-size",
		   *files_key = cache ? "cache-max-file" : "max-file",
		   *compress_key = cache ? "cache-compress" : "compress";
	const char *size = js(opts, size_key), *files = js(opts, files_key);
	struct log_file_limits out = {.size = json_file ? 0 : 20 << 20, .readable = true};
	uint64_t n = json_file ? 1 : 5;
	bool compress = false, disabled = false;
	int rc;

	if (*size && strcmp(size, "-1") && log_parse_size(size, &out.size))
		return err_set(err, -EINVAL, "invalid value for %s: invalid size: '%s'", size_key,
			       size);
	if (*files && parse_u64(files, 1, FILES_MAX, &n))
		return err_set(err, -EINVAL,
			       "invalid value for %s: \"%s\" must be a number from 1 to %d",
			       files_key, files, FILES_MAX);
	if (n > 1 && !out.size)
		return err_set(err, -EINVAL, "cannot specify max-file for %s without max-size",
			       driver);
	rc = log_parse_bool(compress_key, opts, &compress, err);
	if (!rc && cache)
		rc = log_parse_bool("cache-disabled", opts, &disabled, err);
	if (rc)
		return rc;
	if (json_file && compress && (n < 2 || !out.size))
		return err_set(err, -EINVAL,
			       "compress cannot be true when max-file is less than 2 or max-size "
			       "is not set");
	out.files = n;
	out.readable = !disabled && strcmp(driver, "none");
	*ret = out;
	return 0;
}

/* --- all of them --- */

static bool in(const char *key, const char *const *list)
{
	for (; list && *list; list++)
		if (!strcmp(key, *list))
			return true;
	return false;
}

static int check_keys(const char *driver, json_t *opts, struct err *err)
{
	static const char *const always[] = {"mode",
					     "max-buffer-size",
					     "cache-disabled",
					     "cache-max-size",
					     "cache-max-file",
					     "cache-compress",
					     NULL};
	static const char *const file[] = {"max-size", "max-file", "compress", NULL};
	static const char *const said[] = {"labels",	"labels-regex", "env",
					   "env-regex", "tag",		NULL};
	const struct log_driver *d = remote_driver(driver);
	bool local = !strcmp(driver, "local");
	size_t total = 0;
	const char *key;
	json_t *v;

	json_object_foreach (opts, key, v) {
		if (!json_is_string(v))
			return err_set(err, -EINVAL, "invalid log opt '%s': it must be a string",
				       key);
		total += strlen(key) + json_string_length(v);
		if (in(key, always) || (!local && in(key, said)) || in(key, d ? d->keys : file))
			continue;
		if (local)
			return err_set(err, -EINVAL, "unknown log opt '%s' for log driver local",
				       key);
		return err_set(err, -EINVAL, "unknown log opt '%s' for %s log driver", key, driver);
	}
	if (total > OPTIONS_BYTES_MAX)
		return err_set(err, -EINVAL, "the log options are longer than %d bytes",
			       OPTIONS_BYTES_MAX);
	return 0;
}

static int check_mode(json_t *opts, struct err *err)
{
	const char *mode = js(opts, "mode"), *size = js(opts, "max-buffer-size");
	int64_t bytes;

	if (*mode && strcmp(mode, "blocking") && strcmp(mode, "non-blocking"))
		return err_set(err, -EINVAL, "logger: logging mode not supported: %s", mode);
	if (*size && strcmp(mode, "non-blocking"))
		return err_set(err, -EINVAL,
			       "logger: max-buffer-size option is only supported with "
			       "'mode=non-blocking'");
	if (*size && log_parse_size(size, &bytes))
		return err_set(err, -EINVAL,
			       "error parsing option max-buffer-size: invalid size: '%s'", size);
	return 0;
}

int logger_check(const char *driver, json_t *opts, struct err *err)
{
	const struct log_driver *d = remote_driver(driver);
	static const struct log_source nobody = {
		.id = "", .name = "", .image_id = "", .image_name = "", .command = ""};
	struct log_file_limits limits;
	json_t *selected;
	int rc;

	if (!in(driver, logger_drivers()))
		return err_set(err, -EINVAL, "logger: no log driver named '%s' is registered",
			       driver);
	if (!strcmp(driver, "none"))
		return 0;
	rc = check_mode(opts, err);
	if (!rc)
		rc = check_keys(driver, opts, err);
	if (!rc)
		rc = logger_limits(driver, opts, &limits, err);
	if (!rc && d) {
		struct logger l = {.driver = d};

		rc = d->configure(&l, opts, err);
		log_address_done(&l.address);
	}
	if (!rc) /* the expressions */
		rc = logger_attributes(&nobody, opts, &selected, err);
	if (!rc)
		json_decref(selected);
	return rc;
}

/* --- a container's --- */

int logger_new(const char *driver, const struct log_source *src, json_t *opts, const char *hostname,
	       int pid, struct logger **ret, struct err *err)
{
	const struct log_driver *d = remote_driver(driver);
	_cleanup_buf_ struct buf tag = BUF_INIT;
	json_t *attributes = NULL;
	struct logger *l;
	int rc;

	if (!d)
		return err_set(err, -EINVAL, "logger: no log driver named '%s' is registered",
			       driver);
	l = xcalloc(1, sizeof(*l));
	l->driver = d;
	l->opts = json_deep_copy(opts);
	l->hostname = xstrdup(hostname);
	l->pid = pid;
	l->window = 256 << 10;
	l->retry_ms = 1000;
	l->retries = UINT64_MAX;
	buf_init(&l->fixed);
	rc = d->configure(l, l->opts, err);
	if (!rc)
		rc = logger_tag(src, opts, "{{.ID}}", &tag, err);
	if (!rc)
		rc = logger_attributes(src, opts, &attributes, err);
	if (rc) {
		logger_free(l);
		return rc;
	}
	l->tag = buf_steal(&tag, NULL);
	d->describe(l, src, attributes);
	json_decref(attributes);
	*ret = l;
	return 0;
}

void logger_free(struct logger *l)
{
	if (!l)
		return;
	log_address_done(&l->address);
	buf_done(&l->fixed);
	json_decref(l->opts);
	free(l->hostname);
	free(l->tag);
	free(l);
}

const struct log_address *logger_address(const struct logger *l)
{
	return &l->address;
}

struct log_tls_options logger_tls(const struct logger *l)
{
	const char *ca = js(l->opts, "syslog-tls-ca-cert"), *cert = js(l->opts, "syslog-tls-cert"),
		   *key = js(l->opts, "syslog-tls-key");

	return (struct log_tls_options){
		.ca = *ca ? ca : NULL,
		.cert = *cert ? cert : NULL,
		.key = *key ? key : NULL,
		/* as dockerd: any value */
		.skip_verify = json_object_get(l->opts, "syslog-tls-skip-verify") != NULL,
	};
}

bool logger_async(const struct logger *l)
{
	return l->async;
}

size_t logger_window(const struct logger *l)
{
	return l->window;
}

unsigned int logger_retry_ms(const struct logger *l)
{
	return l->retry_ms;
}

uint64_t logger_retries(const struct logger *l)
{
	return l->retries;
}

/* Follow the pieces of long lines. */
static struct log_piece piece(struct logger *l, const struct log_record_out *rec)
{
	struct partial *p = &l->partial[rec->stream == 2];
	struct log_piece out = {.part = p->open || rec->partial, .last = !rec->partial};

	if (!out.part)
		return out;
	if (!p->open)
		*p = (struct partial){.id = rec->time_ns};
	p->open = rec->partial;
	out.ordinal = ++p->ordinal;
	hex_encode(out.id, &p->id, sizeof(p->id));
	return out;
}

void logger_encode(struct logger *l, const struct log_record_out *rec,
		   void (*emit)(const void *p, size_t size, void *arg), void *arg)
{
	struct log_piece at = piece(l, rec);

	l->driver->encode(l, rec, &at, emit, arg);
}
