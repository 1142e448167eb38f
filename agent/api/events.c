// SPDX-License-Identifier: Apache-2.0
/* GET /events: what is kept since a time, then what happens, until a time or the client goes. */
#include <errno.h>

#include "api/api.h"
#include "core/buf.h"
#include "loop/events.h"
#include "loop/loop.h"

static const char *const event_filters[] = {"container", "daemon", "event",  "image",  "label",
					    "network",	 "node",   "plugin", "scope",  "secret",
					    "service",	 "type",   "volume", "config", NULL};

struct stream {
	struct api_call *call;
	struct events_sub sub;
	struct timer until;
	struct filters *filters;
	int64_t until_ns;
};

/* "alpine:3" is also "alpine". */
static bool image_matches(const struct filters *f, const char *image)
{
	_cleanup_free_ char *untagged = xstrdup(image ? image : "");
	char *tag = strrchr(untagged, ':');

	if (tag && !strchr(tag, '/'))
		*tag = 0;
	return filters_match(f, "image", image) || filters_match(f, "image", untagged);
}

/*
 * Names are compared whatever the type: a service's filter lets the events of its tasks'
 * containers through, an image's those of its containers. Source: moby daemon/events/filter.go.
 */
static bool matches(const struct filters *f, json_t *ev)
{
	const char *type = json_string_value(json_object_get(ev, "Type")),
		   *action = json_string_value(json_object_get(ev, "Action"));
	json_t *actor = json_object_get(ev, "Actor"), *attrs = json_object_get(actor, "Attributes");
	const char *id = json_string_value(json_object_get(actor, "ID")),
		   *name = json_string_value(json_object_get(attrs, "name"));
	static const char *const objects[] = {"container", "daemon",  "network", "node",  "plugin",
					      "secret",	   "service", "volume",	 "config"};

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		if (!filters_match_prefix(f, objects[i], id) &&
		    !filters_match_prefix(f, objects[i], name))
			return false;
	if (strcmp(type, "image"))
		name = json_string_value(json_object_get(attrs, "image"));
	return (image_matches(f, id) || image_matches(f, name)) && filters_match(f, "type", type) &&
	       filters_match_prefix(f, "event", action) &&
	       filters_match(f, "scope", json_string_value(json_object_get(ev, "scope"))) &&
	       filters_match_labels(f, "label", attrs);
}

static void send_event(json_t *ev, void *arg)
{
	struct stream *s = arg;
	json_t *actor = json_object_get(ev, "Actor"), *out;
	_cleanup_buf_ struct buf line = BUF_INIT;
	char *text;

	if (!matches(s->filters, ev))
		return;
	if (s->until_ns && json_integer_value(json_object_get(ev, "timeNano")) > s->until_ns)
		return;
	out = json_copy(ev);
	/* the form from before 1.22, which clients still read */
	if (!strcmp(json_string_value(json_object_get(ev, "Type")), "container")) {
		json_object_set(out, "status", json_object_get(ev, "Action"));
		json_object_set(out, "id", json_object_get(actor, "ID"));
		json_object_set(out, "from",
				json_object_get(json_object_get(actor, "Attributes"), "image"));
	}
	text = json_dumps(out, JSON_COMPACT);
	buf_printf(&line, "%s\n", text);
	http_write(s->call->req, line.data, line.len);
	free(text);
	json_decref(out);
}

static void stop(void *arg)
{
	struct stream *s = arg;

	events_unsubscribe(&s->sub);
	timer_done(&s->until);
	filters_free(s->filters);
	api_end(s->call);
	free(s);
}

static void on_gone(struct http_req *req, void *arg)
{
	(void)req;
	stop(arg);
}

void api_events(struct api_call *call);
void api_events(struct api_call *call)
{
	const char *since = api_query(call, "since"), *until = api_query(call, "until");
	struct stream *s = xcalloc(1, sizeof(*s));
	int64_t since_ns = 0, now = loop_wall_ns();
	struct err err = ERR_INIT;
	int rc = api_filters(call, event_filters, &s->filters, &err);

	if (!rc && !str_empty(since))
		rc = time_parse(since, &since_ns, &err);
	if (!rc && !str_empty(until))
		rc = time_parse(until, &s->until_ns, &err);
	if (!rc && since_ns && s->until_ns && since_ns > s->until_ns)
		rc = err_set(&err, -EINVAL, "`since` time (%s) cannot be after `until` time (%s)",
			     since, until);
	if (rc) {
		filters_free(s->filters);
		free(s);
		api_reply_err(call, &err);
		return;
	}
	s->call = call;
	list_init(&s->sub.node);
	timer_init(&s->until, call->engine->loop, stop, s);
	http_start(call->req, 200, "application/json");
	if (since_ns)
		events_replay(call->engine->events, since_ns, send_event, s);
	s->sub.fn = send_event;
	s->sub.arg = s;
	events_subscribe(call->engine->events, &s->sub);
	http_on_close(call->req, on_gone, s);
	if (s->until_ns)
		timer_set(&s->until, s->until_ns > now ? (s->until_ns - now) / 1000000 : 0);
}
