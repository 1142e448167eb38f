// SPDX-License-Identifier: Apache-2.0
/* What of a container goes into its log: the attributes of its records, and its tag. */
#include <ctype.h>
#include <errno.h>

#include "core/pattern.h"
#include "logger/logger_impl.h"

/* --- attributes --- */

/* The variables of "NAME=value", as an object. */
static json_t *env_object(json_t *env)
{
	json_t *out = json_object(), *v;
	size_t i;

	json_array_foreach (env, i, v) {
		const char *s = json_string_value(v), *eq = s ? strchr(s, '=') : NULL;
		_cleanup_free_ char *name = eq ? xstrndup(s, eq - s) : NULL;

		if (name)
			json_object_set_new(out, name, json_string(eq + 1));
	}
	return out;
}

/* Those of a list of names. */
static void pick(json_t *from, const char *names, json_t *out)
{
	while (*names) {
		size_t n = strcspn(names, ",");
		_cleanup_free_ char *name = xstrndup(names, n);
		json_t *v = json_object_get(from, name);

		if (v)
			json_object_set(out, name, v);
		names += n + (names[n] == ',');
	}
}

static int pick_matching(json_t *from, const char *pattern, json_t *out, struct err *err)
{
	const char *name;
	regex_t re;
	json_t *v;
	int rc;

	if (!*pattern)
		return 0;
	rc = pattern_compile(pattern, &re, err);
	if (rc)
		return rc;
	json_object_foreach (from, name, v)
		if (!regexec(&re, name, 0, NULL, 0))
			json_object_set(out, name, v);
	regfree(&re);
	return 0;
}

int logger_attributes(const struct log_source *src, json_t *opts, json_t **ret, struct err *err)
{
	json_t *out = json_object(), *env = env_object(src->env);
	int rc;

	pick(src->labels, js(opts, "labels"), out);
	rc = pick_matching(src->labels, js(opts, "labels-regex"), out, err);
	pick(env, js(opts, "env"), out);
	if (!rc)
		rc = pick_matching(env, js(opts, "env-regex"), out, err);
	json_decref(env);
	if (rc)
		json_decref(out);
	else
		*ret = out;
	return rc;
}

int logger_file_attributes(const char *driver, const struct log_source *src, json_t *opts,
			   char **ret, struct err *err)
{
	_cleanup_buf_ struct buf tag = BUF_INIT;
	json_t *attrs;
	int rc;

	*ret = NULL;
	if (strcmp(driver, "json-file"))
		return 0;
	rc = logger_attributes(src, opts, &attrs, err);
	if (rc)
		return rc;
	if (*js(opts, "tag")) {
		rc = logger_tag(src, opts, "", &tag, err);
		if (!rc)
			json_object_set_new(attrs, "tag", json_string(tag.data));
	}
	if (!rc && json_object_size(attrs))
		*ret = json_dumps(attrs, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(attrs);
	return rc;
}

/* As Go's url.QueryEscape. */
static void escape(const char *s, struct buf *out)
{
	for (; *s; s++) {
		unsigned char c = *s;

		if (isalnum(c) || strchr("-_.~", c))
			buf_char(out, c);
		else if (c == ' ')
			buf_char(out, '+');
		else
			buf_printf(out, "%%%02X", c);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void logger_details(json_t *attributes, struct buf *out)
{
	size_t n = json_object_size(attributes), i = 0;
	const char **names = xcalloc(n + 1, sizeof(*names)), *name;
	json_t *v;

	json_object_foreach (attributes, name, v)
		names[i++] = name;
	qsort(names, n, sizeof(*names), by_name);
	for (i = 0; i < n; i++) {
		if (i)
			buf_char(out, ',');
		escape(names[i], out);
		buf_char(out, '=');
		escape(js(attributes, names[i]), out);
	}
	free(names);
}

/* --- the tag: the part of Go's text/template that tags are made of --- */

static bool field(const struct log_source *src, const char *name, struct buf *out)
{
	const struct {
		const char *name, *value;
		size_t cut; /* how much of it; 0: all */
	} fields[] = {
		{".ID", src->id, 12},
		{".FullID", src->id, 0},
		{".ContainerID", src->id, 0},
		{".Name", src->name, 0},
		{".ImageID", src->image_id, 12},
		{".ImageFullID", src->image_id, 0},
		{".ContainerImageID", src->image_id, 0},
		{".ImageName", src->image_name, 0},
		{".ContainerImageName", src->image_name, 0},
		{".Command", src->command, 0},
		{".DaemonName", "docker", 0},
	};

	if (!strcmp(name, ".ContainerName")) {
		buf_printf(out, "/%s", src->name);
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (strcmp(name, fields[i].name))
			continue;
		buf_printf(out, "%.*s",
			   fields[i].cut ? (int)fields[i].cut : (int)strlen(fields[i].value),
			   fields[i].value);
		return true;
	}
	return false;
}

/* index .ContainerLabels "key" */
static bool label(const struct log_source *src, const char *expr, struct buf *out)
{
	static const char head[] = "index .ContainerLabels ";
	_cleanup_free_ char *key = NULL;
	size_t n = strlen(expr);

	if (!starts_with(expr, head) || n < sizeof(head) + 1)
		return false;
	expr += sizeof(head) - 1;
	n = strlen(expr);
	if (n < 2 || (*expr != '"' && *expr != '`') || expr[n - 1] != *expr)
		return false;
	key = xstrndup(expr + 1, n - 2);
	buf_str(out, js(src->labels, key));
	return true;
}

static bool change(const char *function, size_t n, char *text)
{
	bool upper = n == 5 && !memcmp(function, "upper", 5);

	if (!upper && (n != 5 || memcmp(function, "lower", 5)))
		return false;
	for (; *text; text++)
		*text = upper ? toupper((unsigned char)*text) : tolower((unsigned char)*text);
	return true;
}

/* "upper .Name" or ".Name | upper". */
static int expand(const struct log_source *src, const char *expr, struct buf *out, struct err *err)
{
	const char *bar = strchr(expr, '|'), *space = strchr(expr, ' ');
	_cleanup_free_ char *call = bar	    ? xstrndup_trimmed(bar + 1, strlen(bar + 1))
				    : space ? xstrndup(expr, space - expr)
					    : xstrdup("");
	_cleanup_free_ char *value = bar ? xstrndup_trimmed(expr, bar - expr)
				     : space && strcmp(call, "index")
					     ? xstrndup_trimmed(space, strlen(space))
					     : xstrdup(expr);
	_cleanup_buf_ struct buf text = BUF_INIT;
	bool known = field(src, value, &text) || label(src, value, &text);

	if (known && text.len && *call && strcmp(call, "index"))
		known = change(call, strlen(call), text.data);
	if (!known)
		return err_set(
			err, -EINVAL,
			"template: log-tag: {{%s}} is nothing that a container has: use .ID, "
			".FullID, .Name, .ImageID, .ImageFullID, .ImageName, .Command or "
			".DaemonName",
			expr);
	buf_add(out, text.data, text.len);
	return 0;
}

int logger_tag(const struct log_source *src, json_t *opts, const char *fallback, struct buf *out,
	       struct err *err)
{
	const char *p = *js(opts, "tag") ? js(opts, "tag") : fallback, *open, *end;
	int rc = 0;

	while (!rc && (open = strstr(p, "{{"))) {
		_cleanup_free_ char *expr = NULL;

		buf_add(out, p, open - p);
		end = strstr(open, "}}");
		if (!end)
			return err_set(err, -EINVAL, "template: log-tag: unclosed action in \"%s\"",
				       open);
		expr = xstrndup_trimmed(open + 2, end - open - 2);
		rc = expand(src, expr, out, err);
		p = end + 2;
	}
	buf_str(out, p);
	return rc;
}
