/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON objects. Pure; what is returned is borrowed from the object. */
#pragma once

#include <jansson.h>

#include "core/util.h"

/* A member by name, by Go's rule: exact, else without regard to case. NULL when absent or null. */
json_t *json_member(json_t *object, const char *name);

/* Whether it is a list of strings. NULL is none. */
bool json_is_strings(json_t *v);

/* Fields of JSON objects: "" and 0 when absent. */
static inline const char *js(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static inline json_int_t ji(json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	return json_is_real(v) ? (json_int_t)json_real_value(v) : json_integer_value(v);
}

static inline bool jb(json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}
