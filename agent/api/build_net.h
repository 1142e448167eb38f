/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of a build's RUN steps: a container's, joined, or a sandbox of its own for as long as
 * the build takes. All on the loop's thread.
 * Source: Engine API "ImageBuild", networkmode.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "engine.h"

struct build_net;

/*
 * id: 64 hex digits, the build's own. mode: "", "default", "none", "host", "container:NAME" or a
 * network; hosts: array of "name:address", borrowed. done comes later, and may close it; without
 * an error it is up.
 */
int build_net_open(struct engine *e, const char *id, const char *mode, json_t *hosts,
		   void (*done)(const struct err *err, void *arg), void *arg,
		   struct build_net **ret, struct err *err);
/* The namespace's path; NULL: the node's. Borrowed. */
const char *build_net_ns(const struct build_net *net);
/* The folder with hosts and resolv.conf. Borrowed. */
const char *build_net_dir(const struct build_net *net);
/* Give it back. done may come at once. */
void build_net_close(struct build_net *net, void (*done)(void *arg), void *arg);
/* After the agent's start: remove what a former one left. */
void build_net_sweep(const char *exec_root);
