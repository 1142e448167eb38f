// SPDX-License-Identifier: Apache-2.0
/* GET /services/{id}/logs and /tasks/{id}/logs. */
#include <errno.h>
#include <stdio.h>

#include "api/store_call.h"
#include "core/buf.h"
#include "ctr/logs.h"
#include "logger/logger.h"
#include "manager/logbroker.h"

enum { UNSENT_MAX = 1 << 20 };

struct tail {
	struct api_call *call;
	struct log_subscription *sub;
	bool tty, timestamps, details, out, err;
};

/* Where it is from, among the container's own attributes. */
static void details(const Pb__LogMessage *m, struct buf *out)
{
	json_t *all = json_object();

	for (size_t i = 0; i < m->n_attrs; i++)
		json_object_set_new(all, m->attrs[i]->key, json_string(m->attrs[i]->value));
	if (m->context) {
		json_object_set_new(all, "com.docker.swarm.node.id",
				    json_string(m->context->node_id));
		json_object_set_new(all, "com.docker.swarm.service.id",
				    json_string(m->context->service_id));
		json_object_set_new(all, "com.docker.swarm.task.id",
				    json_string(m->context->task_id));
	}
	logger_details(all, out);
	buf_char(out, ' ');
	json_decref(all);
}

static void on_record(const Pb__LogMessage *m, void *arg)
{
	int stream = m->stream == PB__LOG_STREAM__LOG_STREAM_STDERR ? 2 : 1;
	_cleanup_buf_ struct buf prefix = BUF_INIT, out = BUF_INIT;
	struct tail *t = arg;
	char when[40];

	if (stream == 2 ? !t->err : !t->out)
		return;
	if (t->timestamps)
		buf_printf(&prefix, "%s ", time_format(pb_timestamp_ns(m->timestamp), when));
	if (t->details)
		details(m, &prefix);
	api_frame(&out, t->tty, stream, prefix.data, (const char *)m->data.data, m->data.len);
	http_write(t->call->req, out.data, out.len);
	if (http_unsent(t->call->req) > UNSENT_MAX)
		logbroker_pause(t->sub, true);
}

static void on_drain(struct http_req *req, void *arg)
{
	struct tail *t = arg;

	(void)req;
	if (t->sub)
		logbroker_pause(t->sub, false);
}

static void on_end(const struct err *err, void *arg)
{
	struct tail *t = arg;

	if (err) {
		_cleanup_buf_ struct buf out = BUF_INIT;

		char text[sizeof(err->msg) + 1];

		/* stream 3 is what clients take for an error of the daemon */
		snprintf(text, sizeof(text), "%s\n", err->msg);
		api_frame(&out, t->tty, 3, "Error grabbing logs: ", text, strlen(text));
		http_write(t->call->req, out.data, out.len);
	}
	api_end(t->call);
	free(t);
}

static void on_gone(struct http_req *req, void *arg)
{
	struct tail *t = arg;

	(void)req;
	logbroker_unsubscribe(t->sub);
	api_end(t->call);
	free(t);
}

/* A container's log takes what is no number for "all"; dockerd refuses it here. */
static int check_tail(struct api_call *call, struct err *err)
{
	const char *tail = api_query(call, "tail");
	int64_t n;

	if (str_empty(tail) || !strcmp(tail, "all") || !parse_i64(tail, 0, INT64_MAX, &n))
		return 0;
	return err_set(err, -EINVAL, "tail value must be a positive integer or \"all\"");
}

static void stream(struct api_call *call, const Pb__LogSelector *sel, bool tty)
{
	Pb__LogSubscriptionOptions options = PB__LOG_SUBSCRIPTION_OPTIONS__INIT;
	struct logbroker *broker = swarm_logbroker(call->engine->swarm);
	Pb__Timestamp since = PB__TIMESTAMP__INIT;
	struct log_query q = {0};
	struct log_subscriber sub = {.record = on_record, .end = on_end};
	struct err err = ERR_INIT;
	struct tail *t;
	int rc = api_log_query(call, &q, &err);

	if (!rc)
		rc = check_tail(call, &err);
	if (!rc && !broker)
		rc = err_set(&err, -EUNATCH, "this manager does not serve logs now: try again");
	if (rc) {
		api_reply_err(call, &err);
		return;
	}
	t = xcalloc(1, sizeof(*t));
	t->call = call;
	t->tty = tty;
	t->out = q.out;
	t->err = q.err;
	t->timestamps = api_query_bool(call, "timestamps", false);
	t->details = api_query_bool(call, "details", false);
	options.follow = q.follow;
	options.tail = q.tail >= 0 ? -q.tail - 1 : 0;
	if (q.since_ns) {
		since.seconds = q.since_ns / 1000000000;
		since.nanos = q.since_ns % 1000000000;
		options.since = &since;
	}
	sub.arg = t;
	http_start(call->req, 200, api_stream_type(call, tty));
	t->sub = logbroker_subscribe(broker, sel, &options, &sub);
	http_on_drain(call->req, on_drain, t);
	http_on_close(call->req, on_gone, t);
}

static bool wants_tty(const Pb__TaskSpec *t)
{
	return t && t->runtime_case == PB__TASK_SPEC__RUNTIME_CONTAINER && t->container->tty;
}

static void service_logs(struct api_call *call)
{
	const Pb__Service *s = store_call_find(call, STORE_SERVICE);
	Pb__LogSelector sel = PB__LOG_SELECTOR__INIT;

	if (!s)
		return;
	sel.n_service_ids = 1;
	sel.service_ids = (char **)&s->id;
	stream(call, &sel, wants_tty(s->spec->task));
}

static void task_logs(struct api_call *call)
{
	const Pb__Task *t = store_call_find(call, STORE_TASK);
	Pb__LogSelector sel = PB__LOG_SELECTOR__INIT;

	if (!t)
		return;
	sel.n_task_ids = 1;
	sel.task_ids = (char **)&t->id;
	stream(call, &sel, wants_tty(t->spec));
}

const struct api_route api_service_log_routes[] = {
	{"GET", "/services/{id}/logs", service_logs},
	{"GET", "/tasks/{id}/logs", task_logs},
	{0},
};
