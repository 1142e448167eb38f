// SPDX-License-Identifier: Apache-2.0
#include "node/logs.h"

#include "core/list.h"
#include "core/map.h"
#include "ctr/ctr.h"
#include "ctr/logs.h"
#include "loop/loop.h"
#include "rpc/grpc.h"
#include "wire/logbroker.pb-c.h"
#include "wire/pb.h"

#define SERVICE "/docker.swarmkit.v1.LogBroker/"

enum { UNSENT_MAX = 1 << 20, RETRY_MS = 1000 };

struct node_logs {
	struct node_logs_options opt;
	char *node_id;
	struct grpc_stream *listen;
	struct list_head subs;
	struct ctr_watch watch;
	struct timer retry;
};

struct sub {
	struct list_head node;
	struct node_logs *logs;
	Pb__SubscriptionMessage *msg;
	struct grpc_stream *publish;
	struct list_head readers;
	struct map tasks; /* container IDs that were read already */
};

struct reader {
	struct list_head node;
	struct sub *sub;
	struct log_reader *log;
	char *task_id, *service_id;
	bool paused;
};

static bool follows(const struct sub *s)
{
	return s->msg->options && s->msg->options->follow;
}

static void reader_free(struct reader *r)
{
	list_del(&r->node);
	logs_close(r->log);
	free(r->task_id);
	free(r->service_id);
	free(r);
}

static void sub_free(struct sub *s)
{
	while (!list_empty(&s->readers))
		reader_free(list_first(&s->readers, struct reader, node));
	if (s->publish)
		grpc_stream_cancel(s->publish);
	list_del(&s->node);
	map_done(&s->tasks);
	pb_free(s->msg);
	free(s);
}

/* All is sent: say so and wait for the broker's end of the stream. */
static void finish(struct sub *s)
{
	Pb__PublishLogsMessage msg = PB__PUBLISH_LOGS_MESSAGE__INIT;

	if (!s->publish)
		return;
	msg.subscription_id = s->msg->id;
	msg.close = true;
	grpc_stream_send(s->publish, &msg);
	grpc_stream_end(s->publish);
}

/* The strings stay the object's. */
static void add_attributes(Pb__LogMessage *m, json_t *attributes)
{
	const char *key;
	json_t *v;

	m->attrs = xcalloc(json_object_size(attributes) + 1, sizeof(*m->attrs));
	json_object_foreach (attributes, key, v) {
		Pb__LogAttr *a = xmalloc(sizeof(*a));

		pb__log_attr__init(a);
		a->key = (char *)key;
		a->value = (char *)json_string_value(v);
		m->attrs[m->n_attrs++] = a;
	}
}

static void on_record(const struct log_record *rec, void *arg)
{
	Pb__PublishLogsMessage msg = PB__PUBLISH_LOGS_MESSAGE__INIT;
	Pb__LogMessage m = PB__LOG_MESSAGE__INIT, *list[1] = {&m};
	Pb__LogContext ctx = PB__LOG_CONTEXT__INIT;
	Pb__Timestamp when = PB__TIMESTAMP__INIT;
	struct reader *r = arg;
	struct sub *s = r->sub;
	json_t *attributes;

	if (!s->publish)
		return;
	ctx.node_id = s->logs->node_id;
	ctx.service_id = r->service_id;
	ctx.task_id = r->task_id;
	when.seconds = rec->time_ns / 1000000000;
	when.nanos = rec->time_ns % 1000000000;
	m.context = &ctx;
	m.timestamp = &when;
	m.stream = rec->stream == 2 ? PB__LOG_STREAM__LOG_STREAM_STDERR
				    : PB__LOG_STREAM__LOG_STREAM_STDOUT;
	m.data.data = (uint8_t *)rec->data;
	m.data.len = rec->len;
	msg.subscription_id = s->msg->id;
	msg.n_messages = 1;
	msg.messages = list;
	attributes = json_loadb(rec->attributes, rec->attributes_len, 0, NULL);
	add_attributes(&m, attributes);
	grpc_stream_send(s->publish, &msg);
	for (size_t i = 0; i < m.n_attrs; i++)
		free(m.attrs[i]);
	free(m.attrs);
	json_decref(attributes);
	if (grpc_stream_unsent(s->publish) > UNSENT_MAX && !r->paused) {
		r->paused = true;
		logs_pause(r->log);
	}
}

static void on_end(void *arg)
{
	struct reader *r = arg;
	struct sub *s = r->sub;

	reader_free(r);
	if (!follows(s) && list_empty(&s->readers))
		finish(s);
}

static bool in(char *const *list, size_t n, const char *id)
{
	for (size_t i = 0; id && i < n; i++)
		if (!strcmp(list[i], id))
			return true;
	return false;
}

/* Read a container's log if it is a selected task's. */
static void add(struct sub *s, struct ctr *c)
{
	const char *task = ctr_label(c, "com.docker.swarm.task.id"),
		   *service = ctr_label(c, "com.docker.swarm.service.id");
	const Pb__LogSelector *sel = s->msg->selector;
	const Pb__LogSubscriptionOptions *o = s->msg->options;
	struct log_sink sink = {.record = on_record, .end = on_end};
	struct log_query q = {.out = true, .err = true, .tail = -1};
	struct reader *r;

	if (!task || !sel || map_has(&s->tasks, ctr_id(c)))
		return;
	if (!in(sel->service_ids, sel->n_service_ids, service) &&
	    !in(sel->task_ids, sel->n_task_ids, task) &&
	    !in(sel->node_ids, sel->n_node_ids, s->logs->node_id))
		return;
	if (o) {
		q.follow = o->follow;
		q.since_ns = pb_timestamp_ns(o->since);
		q.tail = o->tail < 0 ? -(o->tail + 1) : -1;
		if (o->n_streams) {
			q.out = q.err = false;
			for (size_t i = 0; i < o->n_streams; i++) {
				q.out |= o->streams[i] == PB__LOG_STREAM__LOG_STREAM_STDOUT;
				q.err |= o->streams[i] == PB__LOG_STREAM__LOG_STREAM_STDERR;
			}
		}
	}
	map_put(&s->tasks, ctr_id(c), s);
	r = xcalloc(1, sizeof(*r));
	r->sub = s;
	r->task_id = xstrdup(task);
	r->service_id = xstrdup(service ? service : "");
	list_add_tail(&r->node, &s->readers);
	sink.arg = r;
	/* a container without a readable log has nothing to say */
	if (logs_open(c, &q, &sink, &r->log, NULL)) {
		r->log = NULL;
		reader_free(r);
	}
}

static void on_ctr(struct ctr *c, enum ctr_event ev, void *arg)
{
	struct node_logs *l = arg;
	struct sub *s;

	if (ev != CTR_EV_STARTED)
		return;
	list_for_each (s, &l->subs, node)
		if (follows(s))
			add(s, c);
}

/* --- the streams --- */

static void on_published(struct grpc_stream *stream, enum grpc_status status, const char *text,
			 void *arg)
{
	struct sub *s = arg;

	(void)stream;
	(void)status;
	(void)text;
	s->publish = NULL;
	sub_free(s);
}

static void on_drained(struct grpc_stream *stream, void *arg)
{
	struct sub *s = arg;
	struct reader *r;

	(void)stream;
	list_for_each (r, &s->readers, node) {
		if (!r->paused)
			continue;
		r->paused = false;
		logs_resume(r->log);
	}
}

static const struct grpc_stream_ops publish_ops = {.closed = on_published, .drained = on_drained};

static struct sub *find(struct node_logs *l, const char *id)
{
	struct sub *s;

	list_for_each (s, &l->subs, node)
		if (!strcmp(s->msg->id, id))
			return s;
	return NULL;
}

static void on_message(struct grpc_stream *stream, const void *message, void *arg)
{
	const Pb__SubscriptionMessage *msg = message;
	struct node_logs *l = arg;
	struct sub *s = find(l, msg->id);
	struct grpc_channel *ch = l->opt.channel(l->opt.arg);

	(void)stream;
	if (msg->close) {
		if (s)
			sub_free(s);
		return;
	}
	if (s || !ch)
		return;
	s = xcalloc(1, sizeof(*s));
	s->logs = l;
	s->msg = pb_clone(msg);
	map_init(&s->tasks);
	list_init(&s->readers);
	list_add_tail(&s->node, &l->subs);
	s->publish =
		grpc_stream_open(ch, SERVICE "PublishLogs", &pb__publish_logs_response__descriptor,
				 &publish_ops, s, 0, NULL);
	for (struct ctr *c = NULL; (c = ctrs_next(l->opt.ctrs, c));)
		add(s, c);
	if (!follows(s) && list_empty(&s->readers))
		finish(s);
}

static void on_closed(struct grpc_stream *stream, enum grpc_status status, const char *text,
		      void *arg)
{
	struct node_logs *l = arg;

	(void)stream;
	(void)text;
	l->listen = NULL;
	while (!list_empty(&l->subs))
		sub_free(list_first(&l->subs, struct sub, node));
	if (status != GRPC_UNIMPLEMENTED)
		timer_set(&l->retry, RETRY_MS);
}

static const struct grpc_stream_ops listen_ops = {.message = on_message, .closed = on_closed};

static void listen(void *arg)
{
	static const Pb__ListenSubscriptionsRequest req = PB__LISTEN_SUBSCRIPTIONS_REQUEST__INIT;
	struct node_logs *l = arg;
	struct grpc_channel *ch = l->opt.channel(l->opt.arg);

	if (!ch || l->listen)
		return;
	l->listen =
		grpc_stream_open(ch, SERVICE "ListenSubscriptions",
				 &pb__subscription_message__descriptor, &listen_ops, l, 0, NULL);
	grpc_stream_send(l->listen, &req);
	grpc_stream_end(l->listen);
}

struct node_logs *node_logs_new(const struct node_logs_options *opt)
{
	struct node_logs *l = xcalloc(1, sizeof(*l));

	l->opt = *opt;
	l->node_id = xstrdup(opt->node_id);
	list_init(&l->subs);
	timer_init(&l->retry, opt->loop, listen, l);
	l->watch.fn = on_ctr;
	l->watch.arg = l;
	ctrs_watch(opt->ctrs, &l->watch);
	return l;
}

void node_logs_registered(struct node_logs *l)
{
	timer_cancel(&l->retry);
	listen(l);
}

void node_logs_free(struct node_logs *l)
{
	if (!l)
		return;
	ctrs_unwatch(&l->watch);
	while (!list_empty(&l->subs))
		sub_free(list_first(&l->subs, struct sub, node));
	if (l->listen)
		grpc_stream_cancel(l->listen);
	timer_done(&l->retry);
	free(l->node_id);
	free(l);
}
