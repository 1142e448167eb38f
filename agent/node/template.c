// SPDX-License-Identifier: Apache-2.0
#include "node/template.h"

#include <ctype.h>
#include <errno.h>

static const char *lookup(const struct template_context *ctx, const char *name)
{
	const struct {
		const char *name, *value;
	} fields[] = {
		{".Service.ID", ctx->service_id},
		{".Service.Name", ctx->service_name},
		{".Node.ID", ctx->node_id},
		{".Node.Hostname", ctx->node_hostname},
		{".Node.Platform.OS", ctx->node_os},
		{".Node.Platform.Architecture", ctx->node_arch},
		{".Task.ID", ctx->task_id},
		{".Task.Name", ctx->task_name},
		{".Task.Slot", ctx->task_slot},
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (!strcmp(name, fields[i].name))
			return fields[i].value ? fields[i].value : "";
	return NULL;
}

static const char *label(const struct template_context *ctx, const char *key)
{
	for (size_t i = 0; i < ctx->n_service_labels; i++)
		if (!strcmp(ctx->service_labels[i].key, key))
			return ctx->service_labels[i].value;
	return "";
}

/* What stands behind a prefix, as "text" or `text`: malloc'd. NULL when it is something else. */
static char *argument(const char *expr, const char *prefix)
{
	size_t n;

	if (!starts_with(expr, prefix))
		return NULL;
	expr += strlen(prefix);
	expr += strspn(expr, " \t");
	n = strlen(expr);
	if (n < 2 || (*expr != '"' && *expr != '`') || strchr(expr + 1, *expr) != expr + n - 1)
		return NULL;
	return xstrndup(expr + 1, n - 2);
}

static int call(const struct template_context *ctx, const char *expr, struct buf *out,
		struct err *err)
{
	static const char *const functions[] = {"env", "secret", "config"};

	for (size_t i = 0; ctx->call && i < ARRAY_SIZE(functions); i++) {
		_cleanup_free_ char *name = argument(expr, functions[i]);

		if (name)
			return ctx->call(ctx->arg, functions[i], name, out, err);
	}
	return err_set(err, -EINVAL, "template {{%s}}: no such placeholder", expr);
}

static int expand(const struct template_context *ctx, const char *expr, struct buf *out,
		  struct err *err)
{
	static const char labels[] = ".Service.Labels.";
	_cleanup_free_ char *key = argument(expr, "index .Service.Labels ");
	const char *value = lookup(ctx, expr);

	if (!value && key)
		value = label(ctx, key);
	if (!value && starts_with(expr, labels))
		value = label(ctx, expr + sizeof(labels) - 1);
	if (!value)
		return call(ctx, expr, out, err);
	buf_str(out, value);
	return 0;
}

static bool space(char c)
{
	return isspace((unsigned char)c);
}

int template_expand(const struct template_context *ctx, const char *text, struct buf *out,
		    struct err *err)
{
	const char *open;

	while ((open = strstr(text, "{{"))) {
		const char *close = strstr(open, "}}"), *before = open, *end = close;
		_cleanup_free_ char *expr = NULL;
		int rc;

		if (!close)
			return err_set(err, -EINVAL, "template %s: unclosed action", text);
		open += 2;
		if (*open == '-' && space(open[1]))
			for (open++; before > text && space(before[-1]); before--)
				;
		buf_add(out, text, before - text);
		text = close + 2;
		if (end - open > 1 && end[-1] == '-' && space(end[-2]))
			for (end--; space(*text); text++)
				;
		while (open < end && space(*open))
			open++;
		while (end > open && space(end[-1]))
			end--;
		expr = xstrndup(open, end - open);
		rc = expand(ctx, expr, out, err);
		if (rc)
			return rc;
	}
	buf_str(out, text);
	return 0;
}
