// SPDX-License-Identifier: Apache-2.0
/* journald: a datagram of fields for each record, as systemd's native protocol has it. */
#include <endian.h>
#include <stdio.h>

#include "core/when.h"
#include "logger/logger_impl.h"

static void put_field(struct buf *out, const char *name, const char *value, size_t size)
{
	buf_str(out, name);
	if (!memchr(value, '\n', size)) {
		buf_char(out, '=');
	} else {
		uint64_t le = htole64(size);

		buf_char(out, '\n');
		buf_add(out, &le, sizeof(le));
	}
	buf_add(out, value, size);
	buf_char(out, '\n');
}

static void put_text(struct buf *out, const char *name, const char *value)
{
	put_field(out, name, value, strlen(value));
}

/* Upper case, digits and underscores, none of them first: what journald takes as a field's name. */
static char *field_name(const char *key)
{
	char *name = xstrdup(key), *out = name;

	for (; *key; key++) {
		char c = *key >= 'a' && *key <= 'z' ? *key - 'a' + 'A' : *key;

		if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9'))
			c = '_';
		if (c != '_' || out != name)
			*out++ = c;
	}
	*out = 0;
	return name;
}

static int configure(struct logger *l, json_t *opts, struct err *err)
{
	(void)opts;
	(void)err;
	l->address = (struct log_address){.proto = LOG_UNIXGRAM,
					  .host = xstrdup("/run/systemd/journal/socket")};
	return 0;
}

static void describe(struct logger *l, const struct log_source *src, json_t *attributes)
{
	struct buf *out = &l->fixed;
	const char *key;
	json_t *v;

	put_field(out, "CONTAINER_ID", src->id, min(strlen(src->id), (size_t)12));
	put_text(out, "CONTAINER_ID_FULL", src->id);
	put_text(out, "CONTAINER_NAME", src->name);
	put_text(out, "CONTAINER_TAG", l->tag);
	put_text(out, "IMAGE_NAME", src->image_name);
	put_text(out, "SYSLOG_IDENTIFIER", l->tag);
	json_object_foreach (attributes, key, v) {
		_cleanup_free_ char *name = field_name(key);

		if (*name)
			put_text(out, name, json_string_value(v));
	}
}

static void encode(struct logger *l, const struct log_record_out *rec,
		   const struct log_piece *piece,
		   void (*emit)(const void *p, size_t size, void *arg), void *arg)
{
	_cleanup_buf_ struct buf out = BUF_INIT;
	char text[40];

	buf_add(&out, l->fixed.data, l->fixed.len);
	put_text(&out, "PRIORITY", rec->stream == 2 ? "3" : "6");
	put_text(&out, "SYSLOG_TIMESTAMP", time_format(rec->time_ns, text));
	if (piece->part) {
		if (!piece->last)
			put_text(&out, "CONTAINER_PARTIAL_MESSAGE", "true");
		put_text(&out, "CONTAINER_PARTIAL_ID", piece->id);
		snprintf(text, sizeof(text), "%u", piece->ordinal);
		put_text(&out, "CONTAINER_PARTIAL_ORDINAL", text);
		put_text(&out, "CONTAINER_PARTIAL_LAST", piece->last ? "true" : "false");
	}
	put_field(&out, "MESSAGE", rec->line, rec->len);
	emit(out.data, out.len, arg);
}

static const char *const keys[] = {NULL};

const struct log_driver log_journald = {"journald", keys, configure, describe, encode};
