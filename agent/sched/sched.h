/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler: PENDING tasks go to nodes. Filters first, in SwarmKit's order; then the rank.
 *
 * Tasks of one service and spec version are alike and placed together: the filters run once per
 * node, then the nodes wait in heaps, one per leaf of the tree that the placement preferences
 * make, and each placement costs a logarithm. Few tasks are placed without looking at all nodes:
 * from the least loaded node up.
 *
 * Strategies, by the label "swarm.placement.strategy" of the service, or else of the cluster:
 * "spread" (the default) takes the node with the fewest tasks of the service, then of all;
 * "binpack" the fullest that still fits; "random" any. Nodes on which the service keeps failing
 * come last in any of them.
 *
 * A task that no node takes stays PENDING; status.err counts the nodes per filter.
 * Pure. Source: swarmkit manager/scheduler.
 */
#pragma once

#include "store/component.h"

#define SCHED_STRATEGY_LABEL "swarm.placement.strategy"
#define SCHED_DEBOUNCE_MS 50
#define SCHED_DEBOUNCE_MAX_MS 1000
/* How long a new leader waits for nodes to register again before it places tasks on the others. */
#define SCHED_SETTLE_MS 3000
/* So many failures of a service on a node within the window count against the node. */
#define SCHED_MAX_FAILURES 5
#define SCHED_FAILURE_WINDOW_MS (5 * 60 * 1000)
/* How often the reason is renewed in tasks that go on waiting. */
#define SCHED_EXPLAIN_MS 5000

extern const struct component_ops sched_component;
