// SPDX-License-Identifier: Apache-2.0
#include "manager/object_events.h"

#include <stdio.h>

#include "loop/events.h"
#include "store/store.h"
#include "wire/pb.h"

struct object_events {
	struct store_watch watch;
	struct events *events;
};

static void change(json_t *attrs, const char *what, const char *old, const char *new)
{
	char key[64];

	if (streq(old, new))
		return;
	snprintf(key, sizeof(key), "%s.old", what);
	json_object_set_new(attrs, key, json_string(old));
	snprintf(key, sizeof(key), "%s.new", what);
	json_object_set_new(attrs, key, json_string(new));
}

static const char *image_of(const Pb__Service *s)
{
	const Pb__TaskSpec *t = s->spec ? s->spec->task : NULL;

	return t && t->runtime_case == PB__TASK_SPEC__RUNTIME_CONTAINER ? t->container->image : "";
}

static const char *update_state(const Pb__Service *s)
{
	static const char *const names[] = {
		"unknown",	   "updating",		"paused", "completed", "rollback_started",
		"rollback_paused", "rollback_completed"};
	unsigned int state = s->update_status ? s->update_status->state : 0;

	return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

static void service_changes(json_t *attrs, const Pb__Service *old, const Pb__Service *new)
{
	char was[24], is[24];

	change(attrs, "image", image_of(old), image_of(new));
	if (old->spec && new->spec &&
	    old->spec->mode_case == PB__SERVICE_SPEC__MODE_REPLICATED &&new->spec->mode_case ==
		    PB__SERVICE_SPEC__MODE_REPLICATED) {
		snprintf(was, sizeof(was), "%llu",
			 (unsigned long long)old->spec->replicated->replicas);
		snprintf(is, sizeof(is), "%llu",
			 (unsigned long long)new->spec->replicated->replicas);
		change(attrs, "replicas", was, is);
	}
	if (!new->update_status || streq(update_state(old), update_state(new)))
		return;
	if (old->update_status)
		json_object_set_new(attrs, "updatestate.old", json_string(update_state(old)));
	json_object_set_new(attrs, "updatestate.new", json_string(update_state(new)));
}

static const char *node_word(unsigned int value, const char *const words[], size_t n)
{
	return value < n ? words[value] : "unknown";
}

static void node_changes(json_t *attrs, const Pb__Node *old, const Pb__Node *new)
{
	static const char *const availabilities[] = {"active", "pause", "drain"},
				 *const states[] = {"unknown", "down", "ready", "disconnected"},
				 *const roles[] = {"worker", "manager"};

	if (old->spec && new->spec)
		change(attrs, "availability",
		       node_word(old->spec->availability, availabilities,
				 ARRAY_SIZE(availabilities)),
		       node_word(new->spec->availability, availabilities,
				 ARRAY_SIZE(availabilities)));
	change(attrs, "role", node_word(old->role, roles, ARRAY_SIZE(roles)),
	       node_word(new->role, roles, ARRAY_SIZE(roles)));
	change(attrs, "state",
	       node_word(old->status ? old->status->state : 0, states, ARRAY_SIZE(states)),
	       node_word(new->status ? new->status->state : 0, states, ARRAY_SIZE(states)));
}

static const char *name_of(enum store_kind kind, const void *obj)
{
	if (kind != STORE_NODE)
		return store_name(obj);
	return ((const Pb__Node *)obj)->description ? ((const Pb__Node *)obj)->description->hostname
						    : "";
}

static void on_change(const struct store_event *ev, void *arg)
{
	static const char *const actions[] = {"create", "update", "remove"};
	struct object_events *o = arg;
	const void *obj = ev->new ? ev->new : ev->old;
	json_t *attrs;

	switch (ev->kind) {
	case STORE_SERVICE:
	case STORE_NODE:
	case STORE_SECRET:
	case STORE_CONFIG:
	case STORE_NETWORK:
		break;
	default:
		return;
	}
	attrs = json_pack("{s:s}", "name", name_of(ev->kind, obj));
	if (ev->action == STORE_UPDATE && ev->kind == STORE_SERVICE)
		service_changes(attrs, ev->old, ev->new);
	else if (ev->action == STORE_UPDATE && ev->kind == STORE_NODE)
		node_changes(attrs, ev->old, ev->new);
	events_emit_scope(o->events, ev->kind == STORE_NETWORK ? "swarm" : NULL,
			  store_kind_name(ev->kind), actions[ev->action], store_id(obj), attrs);
}

struct object_events *object_events_new(struct store *store, struct events *events)
{
	struct object_events *o = xcalloc(1, sizeof(*o));

	o->events = events;
	o->watch.fn = on_change;
	o->watch.arg = o;
	store_watch(store, &o->watch);
	return o;
}

void object_events_free(struct object_events *o)
{
	if (!o)
		return;
	store_unwatch(&o->watch);
	free(o);
}
