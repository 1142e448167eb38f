/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a leader runs on its store: allocator, scheduler, orchestrators, reaper, … Pure: a
 * component learns of changes by events, stages its own in run(), and keeps what it derives in
 * its own state, which open() rebuilds from the store.
 */
#pragma once

#include "core/rng.h"
#include "store/store.h"

#define COMPONENT_NEVER UINT64_MAX

struct component_ops {
	const char *name;
	/* On leadership. store and rng outlive the component. */
	void *(*open)(struct store *store, struct rng *rng);
	void (*close)(void *c);
	/* A committed change. */
	void (*event)(void *c, const struct store_event *ev, uint64_t now_ms);
	/*
	 * Stage what is due, reading store_tx_store(tx). Stops when store_tx_full(tx) and is then
	 * called again. Returns the monotonic ms at which it wants to run again without an event,
	 * or COMPONENT_NEVER. What was staged may be aborted with leadership: then close() follows.
	 */
	uint64_t (*run)(void *c, struct store_tx *tx, uint64_t now_ms);
	/* Whether run() has something to do now. */
	bool (*dirty)(void *c);
};
