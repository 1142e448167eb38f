// SPDX-License-Identifier: Apache-2.0
/* fluentd: messages of the forward protocol, "[tag, time, record]" in MessagePack. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>

#include "core/when.h"
#include "logger/logger_impl.h"

enum { PORT = 24224, WINDOW = 1 << 20, RETRY_MS = 1000 };

/* --- MessagePack: what is needed of it --- */

static void put_be(struct buf *out, uint8_t type, uint32_t v, int bytes)
{
	uint32_t be = htobe32(v);

	buf_char(out, type);
	buf_add(out, (char *)&be + 4 - bytes, bytes);
}

static void put_string(struct buf *out, const char *s, size_t size)
{
	if (size < 32)
		buf_char(out, 0xa0 | size);
	else if (size < 256)
		put_be(out, 0xd9, size, 1);
	else if (size < 65536)
		put_be(out, 0xda, size, 2);
	else
		put_be(out, 0xdb, size, 4);
	buf_add(out, s, size);
}

static void put_pair(struct buf *out, const char *name, const char *value)
{
	put_string(out, name, strlen(name));
	put_string(out, value, strlen(value));
}

static void put_map(struct buf *out, size_t fields)
{
	if (fields < 16)
		buf_char(out, 0x80 | fields);
	else
		put_be(out, 0xde, fields, 2);
}

static void put_time(struct buf *out, int64_t ns, bool sub_second)
{
	if (sub_second) { /* EventTime: extension 0 of 8 bytes */
		uint32_t parts[2] = {htobe32(ns / 1000000000), htobe32(ns % 1000000000)};

		buf_char(out, 0xd7);
		buf_char(out, 0);
		buf_add(out, parts, sizeof(parts));
	} else {
		put_be(out, 0xce, ns / 1000000000, 4);
	}
}

/* --- options --- */

static int parse_address(const char *text, struct log_address *ret, struct err *err)
{
	_cleanup_free_ char *whole = NULL;
	struct log_address a;
	int rc;

	if (!*text)
		text = "tcp://127.0.0.1";
	else if (!strstr(text, "://"))
		text = whole = xasprintf("tcp://%s", text);
	rc = log_address_parse(text, &a, err);
	if (rc)
		return err_prefix(err, "invalid fluentd-address %s",
				  whole ? whole + strlen("tcp://") : text);
	if (a.proto == LOG_UNIXGRAM || a.proto == LOG_UDP || a.proto == LOG_TLS) {
		log_address_done(&a);
		return err_set(err, -EINVAL,
			       "invalid fluentd-address %s: use tcp://host:port or unix:///path",
			       text);
	}
	if (!a.port)
		a.port = PORT;
	*ret = a;
	return 0;
}

/* Go's durations, as far as they are of use here: "500ms", "1.5s", "2m". */
static int parse_wait(const char *text, unsigned int *ret_ms, struct err *err)
{
	static const struct {
		const char *unit;
		double ms;
	} units[] = {{"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}};
	char *end;
	double v = strtod(text, &end);

	for (size_t i = 0; end != text && i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].unit))
			continue;
		v *= units[i].ms;
		if (!(v >= 1 && v <= 8.64e7))
			break;
		*ret_ms = v;
		return 0;
	}
	return err_set(err, -EINVAL,
		       "invalid fluentd-retry-wait \"%s\": give a time from 1ms to 24h", text);
}

static int configure(struct logger *l, json_t *opts, struct err *err)
{
	const char *window = js(opts, "fluentd-buffer-limit"),
		   *wait = js(opts, "fluentd-retry-wait"),
		   *retries = js(opts, "fluentd-max-retries");
	int64_t bytes = WINDOW;
	int rc;

	rc = parse_address(js(opts, "fluentd-address"), &l->address, err);
	if (!rc && *window && (log_parse_size(window, &bytes) || !bytes))
		rc = err_set(err, -EINVAL, "invalid fluentd-buffer-limit: invalid size: '%s'",
			     window);
	l->window = min(bytes, (int64_t)16 << 20);
	l->retry_ms = RETRY_MS;
	if (!rc && *wait)
		rc = parse_wait(wait, &l->retry_ms, err);
	if (!rc && *retries && parse_u64(retries, 0, UINT32_MAX, &l->retries))
		rc = err_set(err, -EINVAL, "invalid fluentd-max-retries: \"%s\" is no number",
			     retries);
	if (!rc)
		rc = log_parse_bool("fluentd-async", opts, &l->async, err);
	if (!rc)
		rc = log_parse_bool("fluentd-sub-second-precision", opts, &l->sub_second, err);
	return rc;
}

/* --- records --- */

static void describe(struct logger *l, const struct log_source *src, json_t *attributes)
{
	_cleanup_free_ char *name = xasprintf("/%s", src->name);
	const char *key;
	json_t *v;

	/* an attribute of the same name comes later, which is what receivers keep */
	put_pair(&l->fixed, "container_id", src->id);
	put_pair(&l->fixed, "container_name", name);
	l->n_fixed = 2;
	json_object_foreach (attributes, key, v) {
		put_pair(&l->fixed, key, json_string_value(v));
		l->n_fixed++;
	}
}

static void encode(struct logger *l, const struct log_record_out *rec,
		   const struct log_piece *piece,
		   void (*emit)(const void *p, size_t size, void *arg), void *arg)
{
	_cleanup_buf_ struct buf out = BUF_INIT;
	char ordinal[16];

	buf_char(&out, 0x93);
	put_string(&out, l->tag, strlen(l->tag));
	put_time(&out, rec->time_ns, l->sub_second);
	put_map(&out, l->n_fixed + 2 + (piece->part ? 4 : 0));
	put_pair(&out, "source", rec->stream == 2 ? "stderr" : "stdout");
	put_string(&out, "log", 3);
	put_string(&out, rec->line, rec->len);
	if (piece->part) {
		snprintf(ordinal, sizeof(ordinal), "%u", piece->ordinal);
		put_pair(&out, "partial_message", "true");
		put_pair(&out, "partial_id", piece->id);
		put_pair(&out, "partial_ordinal", ordinal);
		put_pair(&out, "partial_last", piece->last ? "true" : "false");
	}
	buf_add(&out, l->fixed.data, l->fixed.len);
	emit(out.data, out.len, arg);
}

static const char *const keys[] = {"fluentd-address",
				   "fluentd-async",
				   "fluentd-buffer-limit",
				   "fluentd-max-retries",
				   "fluentd-retry-wait",
				   "fluentd-sub-second-precision",
				   NULL};

const struct log_driver log_fluentd = {"fluentd", keys, configure, describe, encode};
