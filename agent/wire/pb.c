// SPDX-License-Identifier: Apache-2.0
#include "wire/pb.h"

#define NS_PER_S 1000000000LL

void *pb_new_desc(const ProtobufCMessageDescriptor *desc)
{
	ProtobufCMessage *msg = xmalloc(desc->sizeof_message);

	protobuf_c_message_init(desc, msg);
	return msg;
}

void pb_free(void *msg)
{
	if (msg)
		protobuf_c_message_free_unpacked(msg, NULL);
}

void pb_freep(void *msg)
{
	pb_free(*(void **)msg);
}

/* Where a copy's memory comes from: one block that is consumed from the front, or malloc. */
struct space {
	char *next; /* NULL: malloc for each */
};

static size_t align8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

static void *space_take(struct space *sp, size_t size)
{
	void *p;

	if (!sp->next)
		return xmalloc(size ? size : 1);
	p = sp->next;
	sp->next += align8(size);
	return p;
}

static void *space_dup(struct space *sp, const void *p, size_t size)
{
	void *copy = space_take(sp, size);

	if (size)
		memcpy(copy, p, size);
	return copy;
}

static size_t scalar_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;
	}
}

/* Whether the field's member holds it: the arm of a oneof that is set, or no oneof. */
static bool field_present(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f)
{
	if (!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
		return true;
	return *(const uint32_t *)((const char *)msg + f->quantifier_offset) == f->id;
}

static size_t copy_size(const ProtobufCMessage *msg);

/* Memory beyond the member itself. */
static size_t value_size(const ProtobufCFieldDescriptor *f, const void *member)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING: {
		const char *s = *(char *const *)member;

		return s && s != f->default_value ? align8(strlen(s) + 1) : 0;
	}
	case PROTOBUF_C_TYPE_BYTES: {
		const ProtobufCBinaryData *d = member;

		return d->data ? align8(d->len) : 0;
	}
	case PROTOBUF_C_TYPE_MESSAGE: {
		const ProtobufCMessage *sub = *(ProtobufCMessage *const *)member;

		return sub ? copy_size(sub) : 0;
	}
	default:
		return 0;
	}
}

static void value_copy(const ProtobufCFieldDescriptor *f, void *member, struct space *sp);

static size_t copy_size(const ProtobufCMessage *msg)
{
	const ProtobufCMessageDescriptor *desc = msg->descriptor;
	size_t size = align8(desc->sizeof_message);

	for (unsigned int i = 0; i < desc->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &desc->fields[i];
		const void *member = (const char *)msg + f->offset;

		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			size_t n = *(const size_t *)((const char *)msg + f->quantifier_offset);
			size_t each = scalar_size(f->type);
			const char *array = *(char *const *)member;

			if (!n)
				continue;
			size += align8(n * each);
			for (size_t j = 0; j < n; j++)
				size += value_size(f, array + j * each);
		} else if (field_present(msg, f)) {
			size += value_size(f, member);
		}
	}
	if (msg->n_unknown_fields)
		size += align8(msg->n_unknown_fields * sizeof(*msg->unknown_fields));
	for (unsigned int i = 0; i < msg->n_unknown_fields; i++)
		size += align8(msg->unknown_fields[i].len);
	return size;
}

static ProtobufCMessage *copy_message(const ProtobufCMessage *src, struct space *sp)
{
	const ProtobufCMessageDescriptor *desc = src->descriptor;
	ProtobufCMessage *msg = space_dup(sp, src, desc->sizeof_message);

	for (unsigned int i = 0; i < desc->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &desc->fields[i];
		void *member = (char *)msg + f->offset;

		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			size_t n = *(size_t *)((char *)msg + f->quantifier_offset);
			size_t each = scalar_size(f->type);
			char **array = member;

			*array = n ? space_dup(sp, *array, n * each) : NULL;
			for (size_t j = 0; j < n; j++)
				value_copy(f, *array + j * each, sp);
		} else if (field_present(msg, f)) {
			value_copy(f, member, sp);
		}
	}
	msg->unknown_fields = NULL;
	if (msg->n_unknown_fields)
		msg->unknown_fields =
			space_dup(sp, src->unknown_fields,
				  msg->n_unknown_fields * sizeof(*src->unknown_fields));
	for (unsigned int i = 0; i < msg->n_unknown_fields; i++)
		msg->unknown_fields[i].data =
			space_dup(sp, src->unknown_fields[i].data, src->unknown_fields[i].len);
	return msg;
}

/* The member was copied bit by bit: give it memory of its own. */
static void value_copy(const ProtobufCFieldDescriptor *f, void *member, struct space *sp)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING: {
		char **s = member;

		if (*s && *s != f->default_value)
			*s = space_dup(sp, *s, strlen(*s) + 1);
		break;
	}
	case PROTOBUF_C_TYPE_BYTES: {
		ProtobufCBinaryData *d = member;

		if (d->data)
			d->data = space_dup(sp, d->data, d->len);
		break;
	}
	case PROTOBUF_C_TYPE_MESSAGE: {
		ProtobufCMessage **sub = member;

		if (*sub)
			*sub = copy_message(*sub, sp);
		break;
	}
	default:
		break;
	}
}

void *pb_clone(const void *msg)
{
	struct space sp = {NULL};

	return msg ? copy_message(msg, &sp) : NULL;
}

size_t pb_copy_size(const void *msg)
{
	return copy_size(msg);
}

void *pb_copy_to(const void *msg, void *dst)
{
	struct space sp = {dst};

	return copy_message(msg, &sp);
}

void pb_pack(const void *msg, struct buf *ret)
{
	size_t size = protobuf_c_message_get_packed_size(msg);

	if (!size)
		return;
	buf_grow(ret, size);
	protobuf_c_message_pack(msg, (uint8_t *)ret->data + ret->len);
	ret->len += size;
	ret->data[ret->len] = 0;
}

bool pb_equal(const void *a, const void *b)
{
	_cleanup_buf_ struct buf pa = BUF_INIT, pb = BUF_INIT;

	if (a == b)
		return true;
	if (!a || !b)
		return false;
	pb_pack(a, &pa);
	pb_pack(b, &pb);
	return pa.len == pb.len && !memcmp(pa.data, pb.data, pa.len);
}

void *pb_unpack_desc(const ProtobufCMessageDescriptor *desc, const void *data, size_t size)
{
	return protobuf_c_message_unpack(desc, NULL, size, data);
}

static void free_str(char *s)
{
	if (s != (char *)protobuf_c_empty_string)
		free(s);
}

void pb_set_str(char **field, const char *value)
{
	char *old = *field;

	*field = str_empty(value) ? (char *)protobuf_c_empty_string : xstrdup(value);
	free_str(old);
}

void pb_set_bytes(ProtobufCBinaryData *field, const void *data, size_t size)
{
	uint8_t *old = field->data;

	field->data = size ? xmemdup(data, size) : NULL;
	field->len = size;
	free(old);
}

void pb_append_str(size_t *n, char ***array, const char *value)
{
	pb_append(n, array, xstrdup(value ? value : ""));
}

const char *pb_label(Pb__Label *const *labels, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(labels[i]->key, key))
			return labels[i]->value;
	return NULL;
}

void pb_set_label(size_t *n, Pb__Label ***labels, const char *key, const char *value)
{
	size_t at = *n;
	Pb__Label *l;

	for (size_t i = 0; i < *n; i++)
		if (!strcmp((*labels)[i]->key, key)) {
			pb_set_str(&(*labels)[i]->value, value);
			return;
		}
	l = pb_new(pb__label);
	pb_set_str(&l->key, key);
	pb_set_str(&l->value, value);
	pb_append(n, labels, l);
	for (; at && strcmp((*labels)[at - 1]->key, key) > 0; at--)
		(*labels)[at] = (*labels)[at - 1];
	(*labels)[at] = l;
}

static int64_t ns_of(int64_t seconds, int32_t nanos)
{
	int64_t ns;

	if (__builtin_mul_overflow(seconds, NS_PER_S, &ns) ||
	    __builtin_add_overflow(ns, nanos, &ns))
		return seconds < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

int64_t pb_duration_ns(const Pb__Duration *d)
{
	return d ? ns_of(d->seconds, d->nanos) : 0;
}

int64_t pb_timestamp_ns(const Pb__Timestamp *t)
{
	return t ? ns_of(t->seconds, t->nanos) : 0;
}

void pb_set_duration(Pb__Duration **field, int64_t ns)
{
	Pb__Duration *d = pb_need(field, pb__duration);

	/* Both parts have the sign of the whole. */
	d->seconds = ns / NS_PER_S;
	d->nanos = ns % NS_PER_S;
}

void pb_set_timestamp(Pb__Timestamp **field, int64_t ns)
{
	Pb__Timestamp *t = pb_need(field, pb__timestamp);

	/* nanos always count forward (google/protobuf/timestamp.proto). */
	t->seconds = ns / NS_PER_S - (ns % NS_PER_S < 0);
	t->nanos = ns - t->seconds * NS_PER_S;
}
