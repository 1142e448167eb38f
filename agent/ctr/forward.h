/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a container's log to where its driver (logger/logger.h) sends it. The monitor writes the
 * log to files, as for json-file; the forwarder follows them, a bounded piece at a time, and keeps
 * the place up to which records are sent in <dir>/log-sent. So a receiver that is slow or away makes
 * neither the container nor the agent wait, the files' limits (cache-max-size, cache-max-file) are
 * what it may fall behind, and what was written while the agent was away is sent when it is back.
 * After a connection's end records may arrive twice. Left out are those that rotation took before they
 * were sent, and over TCP what the kernel had taken when the receiver ended.
 *
 * One descriptor or three a container that runs, no thread. Loop thread only.
 */
#pragma once

#include "core/err.h"

struct ctr;
struct ctrs;
struct forward;

/*
 * Before a start of a container with a driver that sends records elsewhere: reach the receiver. done is
 * called once, from the loop: with an error when the options are wrong or the receiver is not there
 * (unless the driver needs not wait for it). Takes the place of the forwarder of an earlier run.
 */
void forward_prepare(struct ctr *c, void (*done)(const struct err *err, void *arg), void *arg);
/* The container runs, its monitor writes: follow. */
void forward_run(struct ctr *c);
/* The start has failed. */
void forward_cancel(struct ctr *c);
/* After the agent's own start: go on, whether the container runs or not. */
void forward_restore(struct ctr *c);
/*
 * The container is removed or the agent ends. When it is removed, what is in the open file is still
 * sent, for some seconds at most.
 */
void forward_leave(struct ctr *c);
/* The agent ends: those of containers that are removed, too. */
void forwards_free(struct ctrs *ctrs);
