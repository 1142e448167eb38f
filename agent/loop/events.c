// SPDX-License-Identifier: Apache-2.0
#include "loop/events.h"

#include "loop/loop.h"

enum { KEPT = 256 };

struct events {
	json_t *kept[KEPT]; /* ring */
	size_t n; /* events ever kept */
	struct list_head subs;
};

struct events *events_new(void)
{
	struct events *events = xcalloc(1, sizeof(*events));

	list_init(&events->subs);
	return events;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	for (size_t i = 0; i < KEPT; i++)
		json_decref(events->kept[i]);
	free(events);
}

static const char *scope_of(const char *type)
{
	static const char *const swarm[] = {"node", "service", "secret", "config"};

	for (size_t i = 0; i < ARRAY_SIZE(swarm); i++)
		if (!strcmp(type, swarm[i]))
			return "swarm";
	return "local";
}

void events_emit(struct events *events, const char *type, const char *action, const char *id,
		 json_t *attributes)
{
	events_emit_scope(events, NULL, type, action, id, attributes);
}

void events_emit_scope(struct events *events, const char *scope, const char *type,
		       const char *action, const char *id, json_t *attributes)
{
	int64_t now = loop_wall_ns();
	struct events_sub *sub, *tmp;
	json_t *ev;

	if (!attributes)
		attributes = json_object();
	ev = json_pack("{s:s, s:s, s:{s:s, s:o}, s:s, s:I, s:I}", "Type", type, "Action", action,
		       "Actor", "ID", id, "Attributes", attributes, "scope",
		       scope ? scope : scope_of(type), "time", (json_int_t)(now / 1000000000),
		       "timeNano", (json_int_t)now);
	if (!ev)
		return; /* a name that is not UTF-8 */
	json_decref(events->kept[events->n % KEPT]);
	events->kept[events->n++ % KEPT] = ev;
	json_incref(ev);
	list_for_each_safe (sub, tmp, &events->subs, node)
		sub->fn(ev, sub->arg);
	json_decref(ev);
}

void events_subscribe(struct events *events, struct events_sub *sub)
{
	list_add_tail(&sub->node, &events->subs);
}

void events_unsubscribe(struct events_sub *sub)
{
	list_del(&sub->node);
}

void events_replay(struct events *events, int64_t since_ns, void (*fn)(json_t *event, void *arg),
		   void *arg)
{
	size_t first = events->n > KEPT ? events->n - KEPT : 0;

	for (size_t i = first; i < events->n; i++) {
		json_t *ev = events->kept[i % KEPT];

		if (json_integer_value(json_object_get(ev, "timeNano")) >= since_ns)
			fn(ev, arg);
	}
}
