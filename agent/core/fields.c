// SPDX-License-Identifier: Apache-2.0
#include "core/fields.h"

#include <strings.h>

json_t *json_member(json_t *object, const char *name)
{
	json_t *v = json_object_get(object, name), *w;
	const char *key;

	if (!v) {
		json_object_foreach (object, key, w)
			if (!strcasecmp(key, name))
				v = w;
	}
	return json_is_null(v) ? NULL : v;
}

bool json_is_strings(json_t *v)
{
	json_t *x;
	size_t i;

	json_array_foreach (v, i, x)
		if (!json_is_string(x))
			return false;
	return json_is_array(v);
}
