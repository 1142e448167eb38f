/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Docker event stream (GET /events): what happened to which object. Modules emit, the API
 * subscribes; the last 256 events are kept for 'since' (as dockerd's daemon/events does).
 */
#pragma once

#include <jansson.h>

#include "core/list.h"

struct events;

struct events *events_new(void);
void events_free(struct events *events);
/*
 * type: "container", "image", "volume", "network", "daemon", "plugin", "node", "service",
 * "secret", "config". action: "create", "start", "die", … attributes (may be NULL) is stolen:
 * an object of strings. scope is "swarm" for node, service, secret and config, else "local".
 */
void events_emit(struct events *events, const char *type, const char *action, const char *id,
		 json_t *attributes);

/* The same with a scope that does not follow from the type ("swarm" of networks); NULL: it does. */
void events_emit_scope(struct events *events, const char *scope, const char *type,
		       const char *action, const char *id, json_t *attributes);

/* One event as the API shows it: Type, Action, Actor{ID, Attributes}, scope, time, timeNano. */
struct events_sub {
	struct list_head node;
	void (*fn)(json_t *event, void *arg); /* event is borrowed */
	void *arg;
};

void events_subscribe(struct events *events, struct events_sub *sub);
void events_unsubscribe(struct events_sub *sub);
/* Call fn for each kept event at or after since_ns, oldest first. */
void events_replay(struct events *events, int64_t since_ns, void (*fn)(json_t *event, void *arg),
		   void *arg);
