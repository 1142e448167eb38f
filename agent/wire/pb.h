/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What protobuf-c lacks: allocation, deep copy, comparison and a few field helpers for any
 * generated message. A message made here owns all it points at, in malloc'd memory as
 * protobuf_c_message_unpack() makes it, and is freed with pb_free().
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "core/buf.h"
#include "wire/types.pb-c.h"

/* A zeroed message with proto3's defaults: pb_new(&pb__task__descriptor). */
void *pb_new_desc(const ProtobufCMessageDescriptor *desc);
/* Typed: Pb__Task *t = pb_new(pb__task); */
#define pb_new(name) pb_new_desc(&name##__descriptor)
/* The sub-message *field, made when absent: pb_need(&svc->meta, pb__meta). */
#define pb_need(field, name)                                                                       \
	({                                                                                         \
		if (!*(field))                                                                     \
			*(field) = pb_new(name);                                                   \
		*(field);                                                                          \
	})
/* Frees the message and everything below it. NULL is fine. */
void pb_free(void *msg);
void pb_freep(void *msg);
#define _cleanup_pb_ _cleanup_(pb_freep)
/* A deep copy; NULL in, NULL out. */
void *pb_clone(const void *msg);
/* Equal on the wire. NULL equals only NULL. */
bool pb_equal(const void *a, const void *b);
/* Append the packed message. */
void pb_pack(const void *msg, struct buf *ret);
/* NULL when the bytes are no such message. */
void *pb_unpack_desc(const ProtobufCMessageDescriptor *desc, const void *data, size_t size);
#define pb_unpack(name, data, size) pb_unpack_desc(&name##__descriptor, data, size)

/* Bytes that a deep copy takes in one piece of memory. */
size_t pb_copy_size(const void *msg);
/* Deep copy to dst, which holds pb_copy_size(msg) bytes and is aligned as malloc's. The copy is
 * freed with dst, never with pb_free(). Returns dst. */
void *pb_copy_to(const void *msg, void *dst);

/* Replace a string field by a copy of value; NULL and "" set proto3's default. */
void pb_set_str(char **field, const char *value);
/* Replace a bytes field by a copy. */
void pb_set_bytes(ProtobufCBinaryData *field, const void *data, size_t size);
/* Append a stolen message to a repeated field: pb_append(&t->n_networks, &t->networks, m). */
#define pb_append(n, array, msg)                                                                   \
	do {                                                                                       \
		*(array) = xrealloc(*(array), (*(n) + 1) * sizeof(**(array)));                     \
		(*(array))[(*(n))++] = (msg);                                                      \
	} while (0)
/* The same with a copied string. */
void pb_append_str(size_t *n, char ***array, const char *value);

/* The value of a label, or NULL. */
const char *pb_label(Pb__Label *const *labels, size_t n, const char *key);
/* Set or replace a label, keeping the keys sorted. */
void pb_set_label(size_t *n, Pb__Label ***labels, const char *key, const char *value);

/* Nanoseconds; 0 for NULL. Out of range saturates. */
int64_t pb_duration_ns(const Pb__Duration *d);
int64_t pb_timestamp_ns(const Pb__Timestamp *t);
/* Replace the field (made when NULL). */
void pb_set_duration(Pb__Duration **field, int64_t ns);
void pb_set_timestamp(Pb__Timestamp **field, int64_t ns);
