// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <math.h>
#include <strings.h>

#include "api/api.h"
#include "core/pattern.h"

struct filters {
	json_t *sets; /* name → array of strings */
};

static bool known(const char *const allowed[], const char *name)
{
	for (; *allowed; allowed++)
		if (!strcmp(*allowed, name))
			return true;
	return false;
}

/* One filter's values, given as an array or (before 1.22) as an object of true values. */
static json_t *values_of(json_t *set)
{
	json_t *list = json_array(), *v;
	const char *key;
	size_t i;

	if (json_is_array(set)) {
		json_array_foreach (set, i, v) {
			if (!json_is_string(v))
				goto bad;
			json_array_append(list, v);
		}
		return list;
	}
	if (!json_is_object(set))
		goto bad;
	json_object_foreach (set, key, v)
		if (json_is_true(v))
			json_array_append_new(list, json_string(key));
	return list;
bad:
	json_decref(list);
	return NULL;
}

int filters_parse(const char *text, const char *const allowed[], struct filters **ret,
		  struct err *err)
{
	json_t *doc = NULL, *set, *sets = json_object();
	const char *name;
	json_error_t jerr;
	int rc = 0;

	if (!str_empty(text)) {
		doc = json_loads(text, 0, &jerr);
		if (!json_is_object(doc))
			rc = err_set(err, -EINVAL, "invalid filter: %s",
				     doc ? "not an object" : jerr.text);
	}
	if (!rc && doc) {
		json_object_foreach (doc, name, set) {
			json_t *list = known(allowed, name) ? values_of(set) : NULL;

			if (!list) {
				rc = err_set(err, -EINVAL, "invalid filter '%s'", name);
				break;
			}
			json_object_set_new(sets, name, list);
		}
	}
	json_decref(doc);
	if (rc) {
		json_decref(sets);
		return rc;
	}
	*ret = xcalloc(1, sizeof(**ret));
	(*ret)->sets = sets;
	return 0;
}

int api_filters(struct api_call *call, const char *const allowed[], struct filters **ret,
		struct err *err)
{
	return filters_parse(api_query(call, "filters"), allowed, ret, err);
}

void filters_free(struct filters *f)
{
	if (!f)
		return;
	json_decref(f->sets);
	free(f);
}

bool filters_has(const struct filters *f, const char *name)
{
	return json_array_size(json_object_get(f->sets, name));
}

const char *filters_value(const struct filters *f, const char *name, size_t n)
{
	return json_string_value(json_array_get(json_object_get(f->sets, name), n));
}

bool filters_match(const struct filters *f, const char *name, const char *value)
{
	const char *v;

	if (!filters_has(f, name))
		return true;
	for (size_t i = 0; (v = filters_value(f, name, i)); i++)
		if (value && !strcmp(v, value))
			return true;
	return false;
}

bool filters_match_prefix(const struct filters *f, const char *name, const char *value)
{
	const char *v;

	if (!filters_has(f, name))
		return true;
	for (size_t i = 0; (v = filters_value(f, name, i)); i++)
		if (value && starts_with(value, v))
			return true;
	return false;
}

/* "key" or "key=value" */
static bool label_matches(const char *v, const json_t *labels)
{
	const char *eq = strchr(v, '=');
	_cleanup_free_ char *key = eq ? xstrndup(v, eq - v) : xstrdup(v);
	const char *have = json_string_value(json_object_get(labels, key));

	return have && (!eq || !strcmp(have, eq + 1));
}

bool filters_match_labels(const struct filters *f, const char *name, const json_t *labels)
{
	const char *v;

	for (size_t i = 0; (v = filters_value(f, name, i)); i++)
		if (!label_matches(v, labels))
			return false;
	return true;
}

bool filters_exclude_labels(const struct filters *f, const char *name, const json_t *labels)
{
	const char *v;

	for (size_t i = 0; (v = filters_value(f, name, i)); i++)
		if (label_matches(v, labels))
			return false;
	return true;
}

static bool regex_finds(const char *pattern, const char *text)
{
	regex_t re;
	bool found;

	if (pattern_compile(pattern, &re, NULL))
		return strstr(text, pattern) != NULL;
	found = !regexec(&re, text, 0, NULL, 0);
	regfree(&re);
	return found;
}

bool filters_match_regex(const struct filters *f, const char *name, const char *text)
{
	const char *v;

	if (!filters_has(f, name))
		return true;
	for (size_t i = 0; (v = filters_value(f, name, i)); i++)
		if (regex_finds(v, text))
			return true;
	return false;
}

/* Go's time.ParseDuration, without signs: "1h30m", "1.5s". */
static int duration_parse(const char *s, int64_t *ret)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
	double total = 0;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	while (*s) {
		char *end;
		double n = strtod(s, &end);
		size_t len = strspn(end, "nuµmsh"), i;

		if (end == s || !isfinite(n))
			return -EINVAL;
		for (i = 0; i < ARRAY_SIZE(units); i++)
			if (len == strlen(units[i].unit) && !memcmp(end, units[i].unit, len))
				break;
		if (i == ARRAY_SIZE(units))
			return -EINVAL;
		total += n * units[i].ns;
		s = end + len;
	}
	if (total > 9e18)
		return -EINVAL;
	*ret = total;
	return 0;
}

int filters_until(const struct filters *f, int64_t now_ns, int64_t *ret, struct err *err)
{
	const char *v = filters_value(f, "until", 0);
	int64_t ago;

	*ret = 0;
	if (!v)
		return 0;
	if (filters_value(f, "until", 1))
		return err_set(err, -EINVAL, "more than one until filter specified");
	if (!duration_parse(v, &ago)) {
		*ret = now_ns - ago;
		return 0;
	}
	return time_parse(v, ret, err);
}

int filters_bool(const struct filters *f, const char *name, bool dflt, bool *ret, struct err *err)
{
	const char *v = filters_value(f, name, 0);

	if (!v)
		*ret = dflt;
	else if (!strcmp(v, "1") || !strcasecmp(v, "true"))
		*ret = true;
	else if (!strcmp(v, "0") || !strcasecmp(v, "false"))
		*ret = false;
	else
		return err_set(err, -EINVAL, "invalid filter '%s=%s'", name, v);
	return 0;
}
