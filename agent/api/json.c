// SPDX-License-Identifier: Apache-2.0
#include "api/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "core/when.h"

static void *at(const struct json_field *f, const void *msg)
{
	return (char *)msg + f->offset;
}

static size_t *count_at(const struct json_field *f, const void *msg)
{
	return (size_t *)((char *)msg + f->n_offset);
}

static const char *kind_of(json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "object";
	case JSON_ARRAY:
		return "array";
	case JSON_STRING:
		return "string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "bool";
	default:
		return "null";
	}
}

int json_type_error(struct json_in *in, json_t *value, const char *type)
{
	return err_set(in->err, -EINVAL,
		       "invalid JSON: cannot unmarshal %s into field %s of type %s", kind_of(value),
		       in->path, type);
}

int json_value_error(struct json_in *in, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(in->err, -EINVAL, "%s: %s", in->path, text);
}

/* Go one level down; returns what leave() takes. */
static size_t enter(struct json_in *in, const char *name)
{
	size_t was = in->len;
	int n = snprintf(in->path + was, sizeof(in->path) - was, "%s%s",
			 was && name[0] != '[' ? "." : "", name);

	in->len = min(was + (size_t)n, sizeof(in->path) - 1);
	return was;
}

static void leave(struct json_in *in, size_t was)
{
	in->len = was;
	in->path[was] = 0;
}

static int read_int(struct json_in *in, json_t *v, int64_t lo, int64_t hi, const char *type,
		    int64_t *ret)
{
	if (!json_is_integer(v))
		return json_type_error(in, v, type);
	if (json_integer_value(v) < lo || json_integer_value(v) > hi)
		return err_set(
			in->err, -EINVAL,
			"invalid JSON: cannot unmarshal number %lld into field %s of type %s",
			(long long)json_integer_value(v), in->path, type);
	*ret = json_integer_value(v);
	return 0;
}

static int read_word(const struct json_field *f, struct json_in *in, json_t *v, int *ret)
{
	const char *s = json_string_value(v);

	if (!s)
		return json_type_error(in, v, "string");
	if (!*s)
		return 0;
	for (const struct json_word *w = f->words; w->word; w++) {
		if (!strcasecmp(w->word, s)) {
			*ret = w->value;
			return 0;
		}
	}
	return json_value_error(in, "invalid value \"%.100s\"", s);
}

static int read_bytes(struct json_in *in, json_t *v, ProtobufCBinaryData *ret)
{
	size_t size;
	void *p;

	if (!json_is_string(v))
		return json_type_error(in, v, "[]uint8");
	p = base64_decode(json_string_value(v), &size);
	if (!p)
		return json_value_error(in, "illegal base64 data");
	free(ret->data);
	ret->data = size ? p : NULL;
	ret->len = size;
	if (!size)
		free(p);
	return 0;
}

static int read_strs(const struct json_field *f, struct json_in *in, json_t *v, void *msg)
{
	json_t *item;
	size_t i;

	if (!json_is_array(v))
		return json_type_error(in, v, "[]string");
	json_array_foreach (v, i, item) {
		if (!json_is_string(item) && !json_is_null(item))
			return json_type_error(in, item, "string");
		pb_append_str(count_at(f, msg), at(f, msg),
			      json_is_null(item) ? "" : json_string_value(item));
	}
	return 0;
}

static int read_labels(const struct json_field *f, struct json_in *in, json_t *v, void *msg)
{
	const char *key;
	json_t *item;

	if (!json_is_object(v))
		return json_type_error(in, v, "map[string]string");
	json_object_foreach (v, key, item) {
		if (!json_is_string(item) && !json_is_null(item)) {
			enter(in, key);
			return json_type_error(in, item, "string");
		}
		pb_set_label(count_at(f, msg), at(f, msg), key,
			     json_is_null(item) ? "" : json_string_value(item));
	}
	return 0;
}

static int read_msgs(const struct json_field *f, struct json_in *in, json_t *v, void *msg)
{
	json_t *item;
	size_t i;

	if (!json_is_array(v))
		return json_type_error(in, v, "array");
	json_array_foreach (v, i, item) {
		void *sub = pb_new_desc(f->table->desc), ***array = at(f, msg);
		char name[32];
		size_t was;
		int rc;

		pb_append(count_at(f, msg), array, sub);
		snprintf(name, sizeof(name), "[%zu]", i);
		was = enter(in, name);
		rc = json_read_into(f->table, in, item, sub);
		if (rc)
			return rc;
		leave(in, was);
	}
	return 0;
}

static int read_msg(const struct json_field *f, struct json_in *in, json_t *v, void *msg)
{
	void **field = at(f, msg);

	if (f->arm) {
		int *which = (int *)count_at(f, msg);

		if (*which && *which != f->arm)
			return json_value_error(in, "only one of its kind can be given");
		if (!*which)
			*field = NULL;
		*which = f->arm;
	}
	if (!*field)
		*field = pb_new_desc(f->table->desc);
	return json_read_into(f->table, in, v, *field);
}

static int read_field(const struct json_field *f, struct json_in *in, json_t *v, void *msg)
{
	void *p = at(f, msg);
	int64_t n = 0;
	int rc;

	switch (f->type) {
	case J_STR:
		if (!json_is_string(v))
			return json_type_error(in, v, "string");
		if (f->arm) {
			int *which = (int *)count_at(f, msg);

			if (!json_string_length(v))
				return 0;
			if (*which && *which != f->arm)
				return json_value_error(in, "only one of its kind can be given");
			*which = f->arm;
			*(char **)p = xstrdup(json_string_value(v));
			return 0;
		}
		pb_set_str(p, json_string_value(v));
		return 0;
	case J_BOOL:
		if (!json_is_boolean(v))
			return json_type_error(in, v, "bool");
		*(protobuf_c_boolean *)p = json_is_true(v);
		return 0;
	case J_I32:
		rc = read_int(in, v, INT32_MIN, INT32_MAX, "int32", &n);
		*(int32_t *)p = n;
		return rc;
	case J_I64:
		return read_int(in, v, INT64_MIN, INT64_MAX, "int64", p);
	case J_U32:
		rc = read_int(in, v, 0, UINT32_MAX, "uint32", &n);
		*(uint32_t *)p = n;
		return rc;
	case J_U64:
		return read_int(in, v, 0, INT64_MAX, "uint64", p);
	case J_F32:
		if (!json_is_number(v))
			return json_type_error(in, v, "float32");
		if (!isfinite((float)json_number_value(v)))
			return json_value_error(in, "number out of range");
		*(float *)p = json_number_value(v);
		return 0;
	case J_ENUM:
		return read_word(f, in, v, p);
	case J_BYTES:
		return read_bytes(in, v, p);
	case J_TEXT:
		if (!json_is_string(v))
			return json_type_error(in, v, "string");
		pb_set_bytes(p, json_string_value(v), json_string_length(v));
		return 0;
	case J_DURATION:
		rc = read_int(in, v, INT64_MIN, INT64_MAX, "int64", &n);
		if (!rc)
			pb_set_duration(p, n);
		return rc;
	case J_TIME:
		if (!json_is_string(v))
			return json_type_error(in, v, "Time");
		if (time_parse(json_string_value(v), &n, in->err))
			return -EINVAL;
		pb_set_timestamp(p, n);
		return 0;
	case J_BOOL_VALUE:
		if (!json_is_boolean(v))
			return json_type_error(in, v, "bool");
		pb_need((Pb__BoolValue **)p, pb__bool_value)->value = json_is_true(v);
		return 0;
	case J_I64_VALUE:
		rc = read_int(in, v, INT64_MIN, INT64_MAX, "int64", &n);
		if (!rc)
			pb_need((Pb__Int64Value **)p, pb__int64_value)->value = n;
		return rc;
	case J_STRS:
		return read_strs(f, in, v, msg);
	case J_LABELS:
		return read_labels(f, in, v, msg);
	case J_MSG:
		return read_msg(f, in, v, msg);
	case J_MSGS:
		return read_msgs(f, in, v, msg);
	case J_INLINE:
		return 0;
	case J_CUSTOM:
		return f->read ? f->read(in, v, msg) : 0;
	}
	return 0;
}

int json_read_into(const struct json_table *t, struct json_in *in, json_t *value, void *msg)
{
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_object(value))
		return json_type_error(in, value, "object");
	for (const struct json_field *f = t->fields; f->name; f++) {
		json_t *v = f->type == J_INLINE ? value : json_member(value, f->name);
		size_t was;
		int rc;

		if (!v || (f->flags & J_WRITE_ONLY))
			continue;
		if (f->type == J_INLINE) {
			void **field = at(f, msg);

			if (!*field)
				*field = pb_new_desc(f->table->desc);
			rc = json_read_into(f->table, in, value, *field);
			if (rc)
				return rc;
			continue;
		}
		was = enter(in, f->name);
		rc = read_field(f, in, v, msg);
		if (rc)
			return rc;
		leave(in, was);
	}
	return 0;
}

int json_read(const struct json_table *t, const char *what, json_t *value, void *ret,
	      struct err *err)
{
	struct json_in in = {.err = err};
	void *msg = pb_new_desc(t->desc);
	int rc;

	enter(&in, what);
	rc = json_read_into(t, &in, value, msg);
	if (rc)
		pb_free(msg);
	else
		*(void **)ret = msg;
	return rc;
}

static json_t *word_of(const struct json_field *f, int value)
{
	for (const struct json_word *w = f->words; w->word; w++)
		if (w->value == value)
			return json_string(w->word);
	return json_string("unknown");
}

/* Text that came from elsewhere may not be UTF-8. */
static json_t *text_of(const char *s, size_t len)
{
	json_t *v = json_stringn(s, len);

	return v ? v : json_string("");
}

static json_t *bytes_of(const ProtobufCBinaryData *b)
{
	char *text = base64_encode(b->data, b->len);
	json_t *v = json_string(text);

	free(text);
	return v;
}

static json_t *time_of(const Pb__Timestamp *t)
{
	char text[40];

	return json_string(time_format(pb_timestamp_ns(t), text));
}

static json_t *strs_of(char **strs, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, text_of(strs[i], strlen(strs[i])));
	return a;
}

static json_t *labels_of(Pb__Label **labels, size_t n)
{
	json_t *o = json_object();

	for (size_t i = 0; i < n; i++)
		json_object_set_new(o, labels[i]->key,
				    text_of(labels[i]->value, strlen(labels[i]->value)));
	return o;
}

/* The value to write, or NULL to leave the field out. */
static json_t *value_of(const struct json_field *f, const void *msg)
{
	bool keep = f->flags & J_KEEP;
	const void *p = at(f, msg);
	const char *s;
	json_t *a;
	size_t n;

	if (f->arm && *(int *)count_at(f, msg) != f->arm)
		return NULL;
	switch (f->type) {
	case J_STR:
		s = *(char *const *)p;
		return keep || !str_empty(s) ? text_of(s ? s : "", s ? strlen(s) : 0) : NULL;
	case J_BOOL:
		return keep || *(const protobuf_c_boolean *)p
			       ? json_boolean(*(const protobuf_c_boolean *)p)
			       : NULL;
	case J_I32:
		return keep || *(const int32_t *)p ? json_integer(*(const int32_t *)p) : NULL;
	case J_I64:
	case J_U64:
		return keep || *(const int64_t *)p ? json_integer(*(const int64_t *)p) : NULL;
	case J_U32:
		return keep || *(const uint32_t *)p ? json_integer(*(const uint32_t *)p) : NULL;
	case J_F32:
		if (!keep && *(const float *)p == 0)
			return NULL;
		/* the shortest text that reads as the same float32, as Go writes it */
		for (int digits = 1; digits <= 9; digits++) {
			char text[32];

			snprintf(text, sizeof(text), "%.*g", digits, (double)*(const float *)p);
			if (strtof(text, NULL) != *(const float *)p && digits < 9)
				continue;
			if (!strpbrk(text, ".en"))
				return json_integer(atoll(text));
			return json_real(strtod(text, NULL));
		}
		return NULL;
	case J_ENUM:
		return word_of(f, *(const int *)p);
	case J_BYTES:
		return keep || ((const ProtobufCBinaryData *)p)->len ? bytes_of(p) : NULL;
	case J_TEXT:
		if (!keep && !((const ProtobufCBinaryData *)p)->len)
			return NULL;
		return text_of((const char *)((const ProtobufCBinaryData *)p)->data,
			       ((const ProtobufCBinaryData *)p)->len);
	case J_DURATION:
		return keep || *(void *const *)p
			       ? json_integer(pb_duration_ns(*(Pb__Duration *const *)p))
			       : NULL;
	case J_TIME:
		return keep || *(void *const *)p ? time_of(*(Pb__Timestamp *const *)p) : NULL;
	case J_BOOL_VALUE:
		return *(void *const *)p ? json_boolean((*(Pb__BoolValue *const *)p)->value) : NULL;
	case J_I64_VALUE:
		return *(void *const *)p ? json_integer((*(Pb__Int64Value *const *)p)->value)
					 : NULL;
	case J_STRS:
		n = *count_at(f, msg);
		return keep || n ? strs_of(*(char ***)p, n) : NULL;
	case J_LABELS:
		n = *count_at(f, msg);
		return keep || n ? labels_of(*(Pb__Label ***)p, n) : NULL;
	case J_MSG:
		if (*(void *const *)p)
			return json_write(f->table, *(void *const *)p);
		if (f->flags & J_FULL) {
			void *empty = pb_new_desc(f->table->desc);

			a = json_write(f->table, empty);
			pb_free(empty);
			return a;
		}
		return keep ? json_object() : NULL;
	case J_MSGS:
		n = *count_at(f, msg);
		if (!keep && !n)
			return NULL;
		a = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(a, json_write(f->table, (*(void ***)p)[i]));
		return a;
	default:
		return NULL;
	}
}

static void write_into(const struct json_table *t, const void *msg, json_t *object)
{
	for (const struct json_field *f = t->fields; f->name; f++) {
		json_t *v;

		if (f->type == J_CUSTOM) {
			if (f->write)
				f->write(msg, object);
		} else if (f->type == J_INLINE) {
			void *sub = *(void **)at(f, msg),
			     *empty = sub ? NULL : pb_new_desc(f->table->desc);

			write_into(f->table, sub ? sub : empty, object);
			pb_free(empty);
		} else if ((v = value_of(f, msg))) {
			json_object_set_new(object, f->name, v);
		}
	}
}

json_t *json_write(const struct json_table *t, const void *msg)
{
	json_t *object;

	if (!msg)
		return NULL;
	object = json_object();
	write_into(t, msg, object);
	return object;
}
