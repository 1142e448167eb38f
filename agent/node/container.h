/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task as the container that runs it: name, and the body of a container create request.
 * Pure. Source: moby daemon/cluster/executor/container.
 */
#pragma once

#include <jansson.h>

#include "core/buf.h"
#include "core/err.h"
#include "node/template.h"
#include "wire/objects.pb-c.h"

struct container_context {
	const char *node_hostname, *node_os, *node_arch;
};

/* What the placeholders of a task stand for. */
struct container_names {
	struct template_context tmpl; /* refers to the task, to the context and to what follows */
	char *task;
	char slot[32];
	struct template_label *labels;
};

/* "service.slot.taskid"; the node's ID stands for the slot of a global task. malloc'd. */
char *container_name(const Pb__Task *task);
void container_names_init(struct container_names *n, const Pb__Task *task,
			  const struct container_context *ctx);
void container_names_done(struct container_names *n);
/*
 * The body for ctr_create(): a new reference. -EINVAL with a sentence for what cannot be
 * expressed (a bad template, a runtime that is no container).
 */
int container_body(const Pb__Task *task, const struct container_context *ctx, json_t **ret,
		   struct err *err);
/* Labels, or options of a driver, as an object of strings: a new reference. */
json_t *container_labels(Pb__Label **v, size_t n);
/* The task's stop grace period in seconds, rounded up; -1 when the spec gives none. */
int container_stop_timeout(const Pb__Task *task);
