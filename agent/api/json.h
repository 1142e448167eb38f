/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that say how a protobuf message and a JSON object of the Engine API correspond; one
 * table serves both directions. Pure.
 *
 * Reading is as Go's encoding/json reads: names without regard to case, unknown names and nulls
 * passed over; but a value of the wrong type, a number out of range and an unknown word of an
 * enumeration are -EINVAL with a sentence that names the field's path. Writing leaves empty values
 * out unless the field says J_KEEP.
 * Source: the Engine API's OpenAPI file, moby api/types/swarm (names), daemon/cluster/convert.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "core/fields.h"
#include "wire/pb.h"

enum json_type {
	J_STR, /* char * */
	J_BOOL, /* protobuf_c_boolean */
	J_I32,
	J_I64,
	J_U32,
	J_U64,
	J_F32,
	J_ENUM, /* int ↔ a word of .words */
	J_BYTES, /* ProtobufCBinaryData ↔ base64 */
	J_TEXT, /* ProtobufCBinaryData ↔ the text itself */
	J_DURATION, /* Pb__Duration * ↔ nanoseconds */
	J_TIME, /* Pb__Timestamp * ↔ RFC 3339 */
	J_BOOL_VALUE, /* Pb__BoolValue * */
	J_I64_VALUE, /* Pb__Int64Value * */
	J_STRS, /* repeated string */
	J_LABELS, /* repeated Label ↔ an object of strings */
	J_MSG, /* a message: .table */
	J_MSGS, /* repeated message: .table */
	J_INLINE, /* a message whose fields stand in the same object: .table */
	J_CUSTOM, /* .read and .write */
};

enum json_flags {
	J_KEEP = 1, /* written when empty, too */
	J_WRITE_ONLY = 2, /* of the daemon's making: not read */
	J_FULL = 4, /* J_MSG: an absent message is written as an empty one */
};

struct json_in;
struct json_table;

struct json_word {
	const char *word; /* the first with a value is the one written */
	int value;
};

struct json_field {
	const char *name;
	enum json_type type;
	unsigned int flags;
	size_t offset;
	size_t n_offset; /* of the count of a repeated field, of a oneof's case */
	int arm; /* of a oneof: the case's value; 0: none */
	const struct json_word *words;
	const struct json_table *table;
	/* J_CUSTOM: value is never null; msg is the message that the table describes */
	int (*read)(struct json_in *in, json_t *value, void *msg);
	void (*write)(const void *msg, json_t *object);
};

/* fields end with a zeroed one */
struct json_table {
	const ProtobufCMessageDescriptor *desc;
	const struct json_field *fields;
};

#define J_FIELD(json, t, msg, f, ...)                                                              \
	{                                                                                          \
		.name = json, .type = t, .offset = offsetof(msg, f), ##__VA_ARGS__                 \
	}
#define J_LIST(json, t, msg, f, ...)                                                               \
	{                                                                                          \
		.name = json, .type = t, .offset = offsetof(msg, f),                               \
		.n_offset = offsetof(msg, n_##f), ##__VA_ARGS__                                    \
	}
#define J_ONEOF(json, t, msg, f, which, value, ...)                                                \
	{                                                                                          \
		.name = json, .type = t, .offset = offsetof(msg, f),                               \
		.n_offset = offsetof(msg, which), .arm = value, ##__VA_ARGS__                      \
	}

/* Where reading is, for the sentence of an error. */
struct json_in {
	struct err *err;
	size_t len;
	char path[200];
};

/*
 * A new message of the object's fields. *ret is the caller's to pb_free(). what begins the path of
 * errors ("ServiceSpec"). NULL or a null value is an empty message.
 */
int json_read(const struct json_table *t, const char *what, json_t *value, void *ret,
	      struct err *err);
/* The same into a message that exists. */
int json_read_into(const struct json_table *t, struct json_in *in, json_t *value, void *msg);
/* A new object; NULL for NULL. */
json_t *json_write(const struct json_table *t, const void *msg);

/* -EINVAL: "invalid JSON: cannot unmarshal <kind of value> into field <path> of type <type>". */
int json_type_error(struct json_in *in, json_t *value, const char *type);
/* -EINVAL: "<path>: <text>". */
int json_value_error(struct json_in *in, const char *fmt, ...) _printf_(2, 3);
