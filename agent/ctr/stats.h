/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a running container uses: one sample of GET /containers/{id}/stats, from its cgroups (v1 or
 * v2) and its namespace's interfaces; and its processes (GET /containers/{id}/top).
 * On the loop's thread. Source: Engine API "ContainerStats", "ContainerTop"; moby daemon/stats.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"

struct ctr;

/*
 * One sample, the caller's. prev (may be NULL, borrowed) is the sample before it: it gives
 * precpu_stats and preread. Of a container that does not run: the object with zeros.
 */
json_t *ctr_stats(struct ctr *ctr, json_t *prev);
/*
 * {"Titles": […], "Processes": [[…]]} as ps(1) with the arguments (NULL: -ef) shows the container's
 * processes; doc is borrowed. done is called once, from the loop. -EBUSY when it does not run.
 */
void ctr_top(struct ctr *ctr, const char *ps_args,
	     void (*done)(const struct err *err /* NULL: well */, json_t *doc, void *arg),
	     void *arg);
