/* SPDX-License-Identifier: Apache-2.0 */
/* docker exec: a further process in a running container, with a monitor of its own. */
#pragma once

#include <jansson.h>

#include "core/err.h"

struct bufferevent;
struct ctr;
struct ctrs;
struct exec;

/* The body of POST /containers/{id}/exec, borrowed. -EBUSY when the container does not run. */
int exec_create(struct ctr *ctr, json_t *body, struct exec **ret, struct err *err);
/* -ENOENT "No such exec instance: x". */
struct exec *exec_find(struct ctrs *ctrs, const char *id, struct err *err);
const char *exec_id(const struct exec *e);
/*
 * Start it. client (may be NULL: detached) is taken over for its streams. done is called when it
 * runs or could not be started.
 */
void exec_start(struct exec *e, struct bufferevent *client, bool tty,
		void (*done)(const struct err *err, void *arg), void *arg);
int exec_resize(struct exec *e, unsigned int rows, unsigned int cols, struct err *err);
json_t *exec_inspect(const struct exec *e);
/* Called with the exit code when it has ended; one at a time. */
void exec_on_exit(struct exec *e, void (*fn)(int code, void *arg), void *arg);
/* Of a container that is removed. */
void execs_drop(struct ctr *ctr);
