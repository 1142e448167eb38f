/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The placeholders that Docker expands in a service's environment, hostname, mounts and driver
 * options: {{.Service.ID}}, {{.Service.Name}}, {{.Service.Labels.key}} or
 * {{index .Service.Labels "key"}}, {{.Node.ID}}, {{.Node.Hostname}}, {{.Node.Platform.OS}},
 * {{.Node.Platform.Architecture}}, {{.Task.ID}}, {{.Task.Name}}, {{.Task.Slot}}; and in secrets and
 * configs that are templates {{env "NAME"}}, {{secret "target"}}, {{config "target"}}. "{{- " and
 * " -}}" drop the space before and after, as in Go. Pure.
 * Source: swarmkit:template/, docker service create(1), Go's text/template.
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"

struct template_label {
	const char *key, *value;
};

struct template_context {
	const char *service_id, *service_name;
	const struct template_label *service_labels;
	size_t n_service_labels;
	const char *node_id, *node_hostname, *node_os, *node_arch;
	const char *task_id, *task_name, *task_slot; /* the slot, or the node ID of a global task */
	/* Append what "env", "secret" or "config" gives for a name; NULL where there are none. */
	int (*call)(void *arg, const char *function, const char *name, struct buf *out,
		    struct err *err);
	void *arg;
};

/* Append text with its placeholders replaced to *out. -EINVAL for one that Docker does not know. */
int template_expand(const struct template_context *ctx, const char *text, struct buf *out,
		    struct err *err);
