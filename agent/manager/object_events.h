/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to the swarm's objects as Docker's events (GET /events): services, nodes, secrets,
 * configs and networks that come, change and go. On every manager, from its own store.
 * Loop thread only. Source: moby daemon/events.go (generateClusterEvent and what it calls).
 */
#pragma once

struct events;
struct object_events;
struct store;

/* Begin to tell; both are borrowed until object_events_free(). */
struct object_events *object_events_new(struct store *store, struct events *events);
/* NULL is fine. */
void object_events_free(struct object_events *o);
