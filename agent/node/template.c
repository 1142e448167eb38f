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

/* index .Service.Labels "key": the label's value, "" for one that is not set, NULL for bad syntax. */
static const char *lookup_label(const struct template_context *ctx, const char *expr)
{
	static const char prefix[] = "index .Service.Labels \"";
	size_t n;

	if (!starts_with(expr, prefix) || !ends_with(expr, "\""))
		return NULL;
	expr += sizeof(prefix) - 1;
	n = strlen(expr);
	if (!n--)
		return NULL;
	for (size_t i = 0; i < ctx->n_service_labels; i++) {
		const struct template_label *l = &ctx->service_labels[i];

		if (strlen(l->key) == n && !memcmp(l->key, expr, n))
			return l->value;
	}
	return "";
}

int template_expand(const struct template_context *ctx, const char *text, struct buf *out,
		    struct err *err)
{
	const char *open;

	while ((open = strstr(text, "{{"))) {
		const char *close = strstr(open, "}}"), *end, *value;
		_cleanup_free_ char *expr = NULL;

		if (!close)
			return err_set(err, -EINVAL, "template %s: unclosed action", text);
		buf_add(out, text, open - text);
		text = close + 2;
		for (open += 2, end = close; open < end && isspace((unsigned char)*open); open++)
			;
		while (end > open && isspace((unsigned char)end[-1]))
			end--;
		expr = xstrndup(open, end - open);
		value = lookup(ctx, expr);
		if (!value)
			value = lookup_label(ctx, expr);
		if (!value)
			return err_set(err, -EINVAL, "template {{%s}}: no such placeholder", expr);
		buf_str(out, value);
	}
	buf_str(out, text);
	return 0;
}
