/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocator gives networks their subnets and VNIs, nodes their load balancers' addresses,
 * services their virtual addresses and ports, tasks their addresses; a task that has all it needs
 * goes from NEW to PENDING. A task that cannot get it stays NEW, with the reason in status.err.
 *
 * What is in use follows from the stored objects: allocations are noted when they are staged, and
 * noted again, to no effect, when they are committed; what is given back is free from the commit
 * on. open() reads it all from the store.
 * Pure. Source: swarmkit manager/allocator, moby daemon/libnetwork/cnmallocator, SWARM-WIRE §5.
 */
#pragma once

#include "store/component.h"

#define ALLOC_VNI_FIRST 4096
#define ALLOC_VNI_LAST ((1 << 24) - 1)
#define ALLOC_VNI_OPTION "com.docker.network.driver.overlay.vxlanid_list"
/* How long a node keeps the address of a network that no task on it uses any more. */
#define ALLOC_LINGER_MS 30000

extern const struct component_ops alloc_component;

/* Whether the driver spans nodes, so that its networks need addresses from here. */
bool alloc_is_overlay(const Pb__Network *n);
/* Whether something of the service is published through the routing mesh. */
bool alloc_needs_ingress(const Pb__ServiceSpec *spec);
/* The network that has spec.ingress, or NULL. */
const Pb__Network *alloc_ingress(const struct store *s);
/* Whether the task has ended for good, so that its addresses are free. */
bool alloc_task_is_dead(const Pb__Task *t);
