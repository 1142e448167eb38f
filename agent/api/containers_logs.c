// SPDX-License-Identifier: Apache-2.0
/* What comes out of a container: its log, its standard streams, what it uses. */
#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>

#include "api/api.h"
#include "core/buf.h"
#include "ctr/ctr.h"
#include "ctr/logs.h"
#include "ctr/stats.h"
#include "ctr/stream.h"
#include "loop/loop.h"
#include "rpc/websocket.h"

enum { UNSENT_MAX = 1 << 20 };

#define RAW_STREAM "application/vnd.docker.raw-stream"
#define MULTIPLEXED_STREAM "application/vnd.docker.multiplexed-stream"

const char *api_stream_type(struct api_call *call, bool tty)
{
	return tty || call->version < 142 ? RAW_STREAM : MULTIPLEXED_STREAM;
}

void api_frame(struct buf *out, bool tty, int stream, const char *prefix, const char *data,
	       size_t len)
{
	size_t total = strlen(prefix) + len;

	if (!tty) {
		char head[8] = {stream, 0, 0, 0, total >> 24, total >> 16, total >> 8, total};

		buf_add(out, head, sizeof(head));
	}
	buf_str(out, prefix);
	buf_add(out, data, len);
}

int api_log_query(struct api_call *call, struct log_query *q, struct err *err)
{
	const char *tail = api_query(call, "tail"), *since = api_query(call, "since"),
		   *until = api_query(call, "until");
	int rc = 0;

	q->out = api_query_bool(call, "stdout", false);
	q->err = api_query_bool(call, "stderr", false);
	q->follow = api_query_bool(call, "follow", false);
	q->tail = -1;
	if (!q->out && !q->err)
		return err_set(err, -EINVAL, "Bad parameters: you must choose at least one stream");
	/* as dockerd: what is no number means all */
	if (!str_empty(tail) && parse_i64(tail, 0, INT64_MAX, &q->tail))
		q->tail = -1;
	if (!str_empty(since) && strcmp(since, "0"))
		rc = time_parse(since, &q->since_ns, err);
	if (!rc && !str_empty(until) && strcmp(until, "0"))
		rc = time_parse(until, &q->until_ns, err);
	return rc;
}

/* --- logs --- */

struct tail {
	struct api_call *call;
	struct log_reader *reader;
	struct bufferevent *client; /* of an attach that wants the log first */
	struct stream_options opt;
	char id[65];
	bool tty, timestamps, details, paused, stream;
};

static void on_drain(struct http_req *req, void *arg)
{
	struct tail *t = arg;

	(void)req;
	if (t->paused) {
		t->paused = false;
		logs_resume(t->reader);
	}
}

static void on_record(const struct log_record *rec, void *arg)
{
	struct tail *t = arg;
	_cleanup_buf_ struct buf out = BUF_INIT, prefix = BUF_INIT;
	char when[40];

	if (t->timestamps)
		buf_printf(&prefix, "%s ", time_format(rec->time_ns, when));
	if (t->details) {
		log_record_details(rec, &prefix);
		buf_char(&prefix, ' ');
	}
	api_frame(&out, t->tty, rec->stream, prefix.data, rec->data, rec->len);
	http_write(t->call->req, out.data, out.len);
	if (http_unsent(t->call->req) > UNSENT_MAX) {
		t->paused = true;
		logs_pause(t->reader);
	}
}

static void end_logs(void *arg)
{
	struct tail *t = arg;

	logs_close(t->reader);
	api_end(t->call);
	free(t);
}

static void on_logs_gone(struct http_req *req, void *arg)
{
	(void)req;
	end_logs(arg);
}

static void logs(struct api_call *call)
{
	static const struct log_sink sink = {.record = on_record, .end = end_logs};
	struct log_query q = {0};
	struct log_sink mine = sink;
	struct err err = ERR_INIT;
	struct ctr *c = api_ctr(call);
	struct tail *t;
	int rc;

	if (!c)
		return;
	t = xcalloc(1, sizeof(*t));
	t->call = call;
	t->tty = ctr_tty(c);
	t->timestamps = api_query_bool(call, "timestamps", false);
	t->details = api_query_bool(call, "details", false);
	mine.arg = t;
	rc = api_log_query(call, &q, &err);
	if (!rc)
		rc = logs_open(c, &q, &mine, &t->reader, &err);
	if (rc) {
		free(t);
		api_reply_err(call, &err);
		return;
	}
	http_start(call->req, 200, api_stream_type(call, t->tty));
	http_on_drain(call->req, on_drain, t);
	http_on_close(call->req, on_logs_gone, t);
}

/* --- attach --- */

static void on_attach_record(const struct log_record *rec, void *arg)
{
	struct tail *t = arg;
	_cleanup_buf_ struct buf out = BUF_INIT;

	api_frame(&out, t->tty, rec->stream, "", rec->data, rec->len);
	bufferevent_write(t->client, out.data, out.len);
}

/* libevent may call this for what was sent before, with our own still in the buffer. */
static void on_client_sent(struct bufferevent *bev, void *arg)
{
	(void)arg;
	if (!evbuffer_get_length(bufferevent_get_output(bev)))
		bufferevent_free(bev);
}

static void on_client_event(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	(void)arg;
	bufferevent_free(bev);
}

/* All of the log is written: go on with the live streams, or end when all is sent. */
static void go_on(struct tail *t)
{
	struct ctr *c = t->stream ? ctr_find(t->call->engine->ctrs, t->id, NULL) : NULL;

	if (c) {
		ctr_attach(c, t->client, &t->opt);
	} else if (!evbuffer_get_length(bufferevent_get_output(t->client))) {
		bufferevent_free(t->client);
	} else {
		bufferevent_setcb(t->client, NULL, on_client_sent, on_client_event, NULL);
		bufferevent_enable(t->client, EV_WRITE);
	}
	api_call_free(t->call);
	free(t);
}

static void end_attach_logs(void *arg)
{
	struct tail *t = arg;

	logs_close(t->reader);
	go_on(t);
}

static void attach_to(struct api_call *call, bool websocket)
{
	/* before a container that is not found ends the call */
	bool logs_first = api_query_bool(call, "logs", false);
	struct ctr *c = api_ctr(call);
	struct log_query q = {.tail = -1};
	struct log_sink sink = {.record = on_attach_record, .end = end_attach_logs};
	struct err err = ERR_INIT;
	struct detach_keys keys = {0};
	struct tail *t;
	bool all;

	if (!c)
		return;
	if (ctr_status(c) == CTR_PAUSED) {
		err_set(&err, -EBUSY, "container %s is paused, unpause the container before attach",
			call->param[0]);
		api_reply_err(call, &err);
		return;
	}
	if (ctr_status(c) == CTR_RESTARTING) {
		err_set(&err, -EBUSY,
			"container %s is restarting, wait until the container is running",
			call->param[0]);
		api_reply_err(call, &err);
		return;
	}
	if (websocket && websocket_check(call->req, &err)) {
		api_reply_err(call, &err);
		return;
	}
	if (ctr_tty(c) && detach_keys_parse(api_query(call, "detachKeys"), &keys, &err)) {
		api_reply_err(call, &err);
		return;
	}
	t = xcalloc(1, sizeof(*t));
	t->call = call;
	/* a websocket has one stream, without heads; before 1.42 it had all of them */
	all = websocket && call->version < 142;
	t->tty = websocket || ctr_tty(c);
	t->stream = api_query_bool(call, "stream", false);
	snprintf(t->id, sizeof(t->id), "%s", ctr_id(c));
	t->opt = (struct stream_options){
		.tty = t->tty,
		.keys = keys,
		.in = (all || api_query_bool(call, "stdin", false)) &&
		      json_is_true(json_object_get(ctr_config(c), "OpenStdin")),
		.out = all || api_query_bool(call, "stdout", false),
		.err = all || api_query_bool(call, "stderr", false),
	};
	q.out = t->opt.out;
	q.err = t->opt.err;
	t->client = websocket ? http_websocket(call->req, call->engine->loop, call->version < 128)
			      : http_hijack(call->req, api_stream_type(call, t->tty));
	sink.arg = t;
	if (t->client && logs_first && (q.out || q.err) &&
	    !logs_open(c, &q, &sink, &t->reader, NULL))
		return;
	if (t->client) {
		go_on(t);
	} else {
		api_call_free(call);
		free(t);
	}
}

static void attach(struct api_call *call)
{
	attach_to(call, false);
}

static void attach_websocket(struct api_call *call)
{
	attach_to(call, true);
}

/* --- stats --- */

struct stats {
	struct api_call *call;
	struct timer timer;
	json_t *last;
	char id[65];
	bool stream;
};

static void end_stats(struct stats *s)
{
	timer_done(&s->timer);
	json_decref(s->last);
	free(s);
}

static void on_stats_gone(struct http_req *req, void *arg)
{
	struct stats *s = arg;

	(void)req;
	api_end(s->call);
	end_stats(s);
}

static void sample(void *arg)
{
	struct stats *s = arg;
	struct ctr *c = ctr_find(s->call->engine->ctrs, s->id, NULL);
	struct api_call *call = s->call;
	json_t *now;

	if (!c) {
		api_end(call);
		end_stats(s);
		return;
	}
	now = ctr_stats(c, s->last);
	json_decref(s->last);
	s->last = json_incref(now);
	api_line(call, now);
	if (!s->stream) {
		api_end(call);
		end_stats(s);
		return;
	}
	timer_set(&s->timer, 1000);
}

static void stats(struct api_call *call)
{
	struct ctr *c = api_ctr(call);
	struct stats *s;

	if (!c)
		return;
	s = xcalloc(1, sizeof(*s));
	s->call = call;
	s->stream = api_query_bool(call, "stream", true);
	snprintf(s->id, sizeof(s->id), "%s", ctr_id(c));
	timer_init(&s->timer, call->engine->loop, sample, s);
	http_start(call->req, 200, "application/json");
	http_on_close(call->req, on_stats_gone, s);
	/* a share of the CPU needs two samples */
	if (!s->stream && !api_query_bool(call, "one-shot", false) && ctr_running(c)) {
		s->last = ctr_stats(c, NULL);
		timer_set(&s->timer, 1000);
	} else {
		timer_set(&s->timer, 0);
	}
}

static void on_top(const struct err *err, json_t *doc, void *arg)
{
	if (err)
		api_reply_err(arg, err);
	else
		api_reply(arg, 200, json_incref(doc));
}

static void top(struct api_call *call)
{
	const char *args = api_query(call, "ps_args");
	struct ctr *c = api_ctr(call);

	if (c)
		ctr_top(c, str_empty(args) ? NULL : args, on_top, call);
}

const struct api_route api_log_routes[] = {
	{"GET", "/containers/{name}/logs", logs},
	{"POST", "/containers/{name}/attach", attach},
	{"GET", "/containers/{name}/attach/ws", attach_websocket},
	{"GET", "/containers/{name}/stats", stats},
	{"GET", "/containers/{name}/top", top},
	{0},
};
