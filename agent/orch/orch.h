/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The orchestrators: they turn services into tasks and keep these as the services want them.
 *
 * - orch_component: replicated and global services, jobs, rolling updates, restarts, removal.
 * - reaper_component: removes tasks that are to go, and old ones beyond the history's limit.
 * - enforcer_component: rejects tasks whose node no longer satisfies their constraints.
 *
 * Each keeps counts per service and slot, so that an event costs the same whatever the number of
 * tasks. What they know changes with committed events only; what they stage is read back there.
 * Pure. Source: swarmkit manager/orchestrator, SWARM-WIRE §7.
 */
#pragma once

#include "store/component.h"

/* Restart and update defaults (swarmkit api/defaults/service.go). */
#define ORCH_RESTART_DELAY_MS 5000
#define ORCH_MONITOR_MS 5000
/* How long a new task waits for the one before it to stop. */
#define ORCH_STOP_TIMEOUT_MS 60000
#define ORCH_HISTORY 5
#define ORCH_REAP_MS 250
#define ORCH_REAP_BATCH 1000

extern const struct component_ops orch_component;
extern const struct component_ops reaper_component;
extern const struct component_ops enforcer_component;

/*
 * A new task of the service, NEW and wanted RUNNING (jobs: COMPLETE); the caller's. node_id is ""
 * or preset (global services), slot 0 then. cluster may be NULL.
 */
Pb__Task *orch_task_new(struct rng *rng, const Pb__Cluster *cluster, const Pb__Service *svc,
			uint64_t slot, const char *node_id, int64_t now_ns);
/* Whether the task differs from what the service's spec asks for. node: where it is, or NULL. */
bool task_is_dirty(const Pb__Service *svc, const Pb__Task *t, const Pb__Node *node);
/* Missing, down or drained: nothing may run there. */
bool node_is_invalid(const Pb__Node *n);
bool service_is_job(const Pb__Service *svc);
