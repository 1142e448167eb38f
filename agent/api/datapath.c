// SPDX-License-Identifier: Apache-2.0
/* The datapath as the kernel has it, below /agent/datapath, for swarmctl. No part of the Engine API. */
#include <errno.h>
#include <event2/event.h>

#include "api/api.h"
#include "datapath/dp.h"
#include "loop/loop.h"
#include "net/net.h"

enum { FLOWS_DEFAULT = 1000, FLOWS_MAX = 1 << 20, UNSENT_MAX = 256 << 10 };

static bool have_dp(struct api_call *call)
{
	struct err err = ERR_INIT;

	if (nets_dp(call->engine->nets))
		return true;
	err_set(&err, -EUNATCH, "no datapath is loaded on this node: it is part of no swarm");
	api_reply_err(call, &err);
	return false;
}

static void datapath(struct api_call *call)
{
	if (have_dp(call))
		api_reply(call, 200, dp_dump(nets_dp(call->engine->nets)));
}

static void backends(struct api_call *call)
{
	if (have_dp(call))
		api_reply(call, 200, dp_dump_backends(nets_dp(call->engine->nets)));
}

static void flows(struct api_call *call)
{
	struct err err = ERR_INIT;
	int64_t max;

	if (!have_dp(call))
		return;
	if (api_query_i64(call, "max", FLOWS_DEFAULT, &max, &err) ||
	    ((max < 1 || max > FLOWS_MAX) &&
	     err_set(&err, -EINVAL, "invalid value for max: it is 1 to %d flows", FLOWS_MAX)))
		api_reply_err(call, &err);
	else
		api_reply(call, 200, dp_dump_flows(nets_dp(call->engine->nets), max));
}

static void stats(struct api_call *call)
{
	json_t *list = json_array();
	struct err err = ERR_INIT;
	struct dp_stats st;
	int rc;

	if (!have_dp(call)) {
		json_decref(list);
		return;
	}
	rc = dp_stats(nets_dp(call->engine->nets), &st);
	if (rc) {
		json_decref(list);
		err_errno(&err, rc, "the datapath's counters cannot be read");
		api_reply_err(call, &err);
		return;
	}
	for (int i = 0; i < SW_REASON_COUNT; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "reason",
						      dp_reason_name(i), "text", dp_reason(i),
						      "packets", (json_int_t)st.packets[i], "bytes",
						      (json_int_t)st.bytes[i]));
	api_reply(call, 200, list);
}

static void verify(struct api_call *call)
{
	if (have_dp(call))
		api_reply(call, 200, nets_verify(call->engine->nets, false));
}

static void repair(struct api_call *call)
{
	if (have_dp(call))
		api_reply(call, 200, nets_verify(call->engine->nets, true));
}

/* One who listens: lines of JSON until it goes, or the datapath does. */
struct watch {
	struct api_call *call;
	struct dp_listener listener;
	struct event *readable; /* NULL: the back end tells nothing by itself */
	uint64_t lost; /* not sent, since the client is slow */
};

/* line is stolen. */
static void send_line(struct watch *w, json_t *line)
{
	char now[40];

	json_object_set_new(line, "time", json_string(time_format(loop_wall_ns(), now)));
	api_line(w->call, line);
}

static void send_lost(struct watch *w)
{
	json_int_t n = w->lost;

	if (!n)
		return;
	w->lost = 0;
	send_line(w, json_pack("{s:s, s:o, s:I}", "event", "lost", "text",
			       json_sprintf("%lld events were not told: this listener is too slow",
					    (long long)n),
			       "count", n));
}

static void watch_end(struct watch *w)
{
	struct dp *dp = nets_dp(w->call->engine->nets);

	if (w->readable)
		event_free(w->readable);
	if (dp)
		dp_unlisten(dp, &w->listener);
	api_end(w->call);
	free(w);
}

static void on_event(json_t *event, void *arg)
{
	struct watch *w = arg;

	if (!event) {
		watch_end(w);
	} else if (w->lost || http_unsent(w->call->req) > UNSENT_MAX) {
		w->lost++;
	} else {
		send_line(w, json_copy(event));
	}
}

static void on_drain(struct http_req *req, void *arg)
{
	(void)req;
	send_lost(arg);
}

static void on_gone(struct http_req *req, void *arg)
{
	(void)req;
	watch_end(arg);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;

	(void)fd, (void)what;
	dp_events_read(nets_dp(w->call->engine->nets));
}

static void events(struct api_call *call)
{
	struct dp *dp = nets_dp(call->engine->nets);
	struct err err = ERR_INIT;
	struct watch *w;
	int fd;

	if (!have_dp(call))
		return;
	w = xcalloc(1, sizeof(*w));
	w->call = call;
	w->listener.fn = on_event;
	w->listener.arg = w;
	if (dp_listen(dp, &w->listener, &err)) {
		api_reply_err(call, &err);
		free(w);
		return;
	}
	/* all who listen watch one descriptor: whoever is called first reads for all */
	fd = dp_events_fd(dp);
	if (fd >= 0) {
		w->readable = event_new(loop_base(call->engine->loop), fd, EV_READ | EV_PERSIST,
					on_readable, w);
		event_add(w->readable, NULL);
	}
	http_start(call->req, 200, "application/json");
	http_on_drain(call->req, on_drain, w);
	http_on_close(call->req, on_gone, w);
}

const struct api_route api_datapath_routes[] = {
	{"GET", "/agent/datapath", datapath},	   {"GET", "/agent/datapath/backends", backends},
	{"GET", "/agent/datapath/flows", flows},   {"GET", "/agent/datapath/stats", stats},
	{"GET", "/agent/datapath/verify", verify}, {"POST", "/agent/datapath/verify", repair},
	{"GET", "/agent/datapath/events", events}, {NULL, NULL, NULL},
};
