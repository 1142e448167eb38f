// SPDX-License-Identifier: Apache-2.0
#include "manager/logbroker.h"

#include <errno.h>

#include "core/buf.h"
#include "core/list.h"
#include "core/map.h"
#include "core/rng.h"
#include "loop/loop.h"
#include "rpc/grpc.h"
#include "store/store.h"
#include "wire/pb.h"

#define SERVICE "/docker.swarmkit.v1.LogBroker/"
#define SUBSCRIBE_LOGS "/docker.swarmkit.v1.Logs/SubscribeLogs"

enum { UNSENT_MAX = 1 << 20 };

struct logbroker {
	struct leader_env env;
	int (*leader)(struct grpc_channel **ret, void *arg);
	void *leader_arg;
	struct list_head listeners, subscriptions;
	struct store_watch watch;
	bool leads;
};

/* A node that listens. */
struct listener {
	struct list_head node;
	struct logbroker *broker;
	struct grpc_call *call;
	char *node_id;
};

enum node_state { NODE_ASKED = 1, NODE_DONE };

struct log_subscription {
	struct list_head node;
	struct logbroker *broker;
	Pb__SubscriptionMessage *msg;
	struct log_subscriber sub;
	struct map nodes; /* ID → enum node_state as a pointer */
	struct list_head publishers;
	struct buf missing; /* why records are missing */
	struct timer timer; /* tells the end from the loop */
	struct grpc_stream *remote; /* the leader serves it; none of the above is used then */
	bool paused;
};

/* A node's stream of records. */
struct publisher {
	struct list_head node;
	struct logbroker *broker;
	struct grpc_call *call;
	struct log_subscription *sub; /* NULL before the first message and after the end */
	char *node_id;
};

static bool follows(const struct log_subscription *s)
{
	return s->msg->options && s->msg->options->follow;
}

/* --- ending --- */

static void release(struct log_subscription *s)
{
	struct publisher *p, *tmp;

	list_for_each_safe (p, tmp, &s->publishers, node) {
		list_del(&p->node);
		p->sub = NULL;
		if (s->paused)
			grpc_call_pause(p->call, false);
	}
	map_done(&s->nodes);
	list_del(&s->node);
	timer_done(&s->timer);
	buf_done(&s->missing);
	pb_free(s->msg);
	free(s);
}

/* Tell the nodes that are at it that nobody listens any more. */
static void close_nodes(struct log_subscription *s)
{
	Pb__SubscriptionMessage msg = PB__SUBSCRIPTION_MESSAGE__INIT;
	struct listener *l;

	msg.id = s->msg->id;
	msg.close = true;
	list_for_each (l, &s->broker->listeners, node)
		if (map_get(&s->nodes, l->node_id) == (void *)NODE_ASKED)
			grpc_send(l->call, &msg);
}

static void end(void *arg)
{
	struct log_subscription *s = arg;
	struct log_subscriber sub = s->sub;
	struct err err = ERR_INIT;

	if (s->missing.len)
		err_set(&err, -EIO,
			"warning: incomplete log stream. some logs could not be retrieved for the "
			"following reasons: %s",
			s->missing.data);
	close_nodes(s);
	release(s);
	sub.end(err.code ? &err : NULL, sub.arg);
}

static void miss(struct log_subscription *s, const char *node_id, const char *why)
{
	if (s->missing.len < 600)
		buf_printf(&s->missing, "%snode %s %s", s->missing.len ? ", " : "", node_id, why);
}

static void check_end(struct log_subscription *s)
{
	const char *id;
	void *state;

	if (follows(s))
		return;
	map_for_each (&s->nodes, id, state)
		if (state == (void *)NODE_ASKED)
			return;
	timer_set(&s->timer, 0);
}

static void node_done(struct log_subscription *s, const char *node_id, const char *why)
{
	if (map_get(&s->nodes, node_id) != (void *)NODE_ASKED)
		return;
	map_put(&s->nodes, node_id, (void *)NODE_DONE);
	if (why)
		miss(s, node_id, why);
	check_end(s);
}

/* --- who is asked --- */

static struct listener *listener_of(struct logbroker *b, const char *node_id)
{
	struct listener *l;

	list_for_each (l, &b->listeners, node)
		if (!strcmp(l->node_id, node_id))
			return l;
	return NULL;
}

static void ask(struct log_subscription *s, const char *node_id)
{
	struct listener *l;

	if (str_empty(node_id) || map_has(&s->nodes, node_id))
		return;
	l = listener_of(s->broker, node_id);
	/* one that follows is asked when the node comes */
	if (!l && follows(s))
		return;
	map_put(&s->nodes, node_id, l ? (void *)NODE_ASKED : (void *)NODE_DONE);
	if (l)
		grpc_send(l->call, s->msg);
	else
		miss(s, node_id, "is not available");
}

static bool in(char *const *list, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i], id))
			return true;
	return false;
}

static bool selects(const Pb__LogSelector *sel, const Pb__Task *t)
{
	return in(sel->service_ids, sel->n_service_ids, t->service_id) ||
	       in(sel->task_ids, sel->n_task_ids, t->id) ||
	       in(sel->node_ids, sel->n_node_ids, t->node_id);
}

/* Every node that has, or had, a selected task. */
static void ask_nodes(struct log_subscription *s)
{
	const Pb__LogSelector *sel = s->msg->selector;
	struct store *store = s->broker->env.store;
	const Pb__Task *t;

	for (size_t i = 0; i < sel->n_service_ids; i++)
		for (struct store_iter it = store_tasks_of_service(store, sel->service_ids[i]);
		     (t = store_next(&it));)
			ask(s, t->node_id);
	for (size_t i = 0; i < sel->n_task_ids; i++)
		if ((t = store_task(store, sel->task_ids[i])))
			ask(s, t->node_id);
	for (size_t i = 0; i < sel->n_node_ids; i++)
		ask(s, sel->node_ids[i]);
}

/* A selected task has come to a node. */
static void on_store(const struct store_event *ev, void *arg)
{
	struct logbroker *b = arg;
	const Pb__Task *old = ev->old, *new = ev->new;
	struct log_subscription *s;

	if (ev->kind != STORE_TASK || !new || str_empty(new->node_id) ||
	    (old && !strcmp(old->node_id, new->node_id)))
		return;
	list_for_each (s, &b->subscriptions, node)
		if (follows(s) && selects(s->msg->selector, new))
			ask(s, new->node_id);
}

/* --- those that another manager serves, who leads --- */

static void on_remote(struct grpc_stream *stream, const void *message, void *arg)
{
	const Pb__SubscribeLogsMessage *msg = message;
	struct log_subscription *s = arg;

	(void)stream;
	for (size_t i = 0; i < msg->n_messages; i++)
		s->sub.record(msg->messages[i], s->sub.arg);
}

static void on_remote_closed(struct grpc_stream *stream, enum grpc_status status, const char *text,
			     void *arg)
{
	struct log_subscription *s = arg;
	struct log_subscriber sub = s->sub;
	struct err err = ERR_INIT;

	(void)stream;
	if (status == GRPC_CANCELLED || status == GRPC_ABORTED)
		err_set(&err, -EIO, "the leader of the swarm has changed");
	else if (status != GRPC_OK)
		err_set(&err, -EIO, "%s", str_empty(text) ? grpc_status_name(status) : text);
	free(s);
	sub.end(err.code ? &err : NULL, sub.arg);
}

static const struct grpc_stream_ops remote_ops = {
	.message = on_remote,
	.closed = on_remote_closed,
};

static void subscribe_remote(struct log_subscription *s, struct grpc_channel *leader,
			     const Pb__LogSelector *selector,
			     const Pb__LogSubscriptionOptions *options)
{
	Pb__SubscribeLogsRequest r = PB__SUBSCRIBE_LOGS_REQUEST__INIT;

	r.selector = (Pb__LogSelector *)selector;
	r.options = (Pb__LogSubscriptionOptions *)options;
	s->remote =
		grpc_stream_open(leader, SUBSCRIBE_LOGS, &pb__subscribe_logs_message__descriptor,
				 &remote_ops, s, 0, NULL);
	grpc_stream_send(s->remote, &r);
	grpc_stream_end(s->remote);
}

struct log_subscription *logbroker_subscribe(struct logbroker *b, const Pb__LogSelector *selector,
					     const Pb__LogSubscriptionOptions *options,
					     const struct log_subscriber *subscriber)
{
	struct log_subscription *s = xcalloc(1, sizeof(*s));
	struct grpc_channel *leader = NULL;
	char id[ID_SIZE];

	s->broker = b;
	s->sub = *subscriber;
	if (!b->leads && !b->leader(&leader, b->leader_arg) && leader) {
		subscribe_remote(s, leader, selector, options);
		return s;
	}
	id_new(b->env.rng, id);
	s->msg = pb_new(pb__subscription_message);
	pb_set_str(&s->msg->id, id);
	s->msg->selector = pb_clone(selector);
	s->msg->options = pb_clone(options);
	buf_init(&s->missing);
	list_init(&s->publishers);
	timer_init(&s->timer, b->env.loop, end, s);
	list_add_tail(&s->node, &b->subscriptions);
	if (b->leads)
		ask_nodes(s);
	else
		buf_str(&s->missing, "this manager does not lead the swarm");
	if (b->leads)
		check_end(s);
	else
		timer_set(&s->timer, 0);
	return s;
}

void logbroker_unsubscribe(struct log_subscription *s)
{
	if (s->remote) {
		grpc_stream_cancel(s->remote);
		free(s);
		return;
	}
	close_nodes(s);
	release(s);
}

void logbroker_pause(struct log_subscription *s, bool pause)
{
	struct publisher *p;

	if (s->paused == pause)
		return;
	s->paused = pause;
	if (s->remote) {
		grpc_stream_pause(s->remote, pause);
		return;
	}
	list_for_each (p, &s->publishers, node)
		grpc_call_pause(p->call, pause);
}

/* --- the nodes --- */

static void on_listener_gone(struct grpc_call *call, void *arg)
{
	struct listener *l = arg;
	struct log_subscription *s, *tmp;

	list_del(&l->node);
	list_for_each_safe (s, tmp, &l->broker->subscriptions, node) {
		if (follows(s))
			map_del(&s->nodes, l->node_id);
		else
			node_done(s, l->node_id, "disconnected unexpectedly");
	}
	grpc_finish(call, GRPC_CANCELLED, NULL);
	free(l->node_id);
	free(l);
}

static void listen(struct grpc_call *call, const void *request, void *arg)
{
	struct logbroker *b = arg;
	struct log_subscription *s;
	struct listener *l;

	(void)request;
	if (!b->leads) {
		grpc_finish(call, GRPC_UNAVAILABLE, "this manager does not lead the swarm");
		return;
	}
	l = xcalloc(1, sizeof(*l));
	l->broker = b;
	l->call = call;
	l->node_id = xstrdup(grpc_call_peer(call)->node_id);
	list_add_tail(&l->node, &b->listeners);
	grpc_call_on_close(call, on_listener_gone, l);
	list_for_each (s, &b->subscriptions, node)
		if (follows(s))
			ask_nodes(s);
}

static void publisher_free(struct publisher *p)
{
	list_del(&p->node);
	free(p->node_id);
	free(p);
}

static void on_publisher_gone(struct grpc_call *call, void *arg)
{
	struct publisher *p = arg;

	if (p->sub)
		node_done(p->sub, p->node_id, "disconnected unexpectedly");
	publisher_free(p);
	grpc_finish(call, GRPC_CANCELLED, NULL);
}

static struct log_subscription *subscription_of(struct logbroker *b, const char *id)
{
	struct log_subscription *s;

	list_for_each (s, &b->subscriptions, node)
		if (!strcmp(s->msg->id, id))
			return s;
	return NULL;
}

static void refuse(struct grpc_call *call, struct publisher *p, enum grpc_status status,
		   const char *text)
{
	publisher_free(p);
	grpc_finish(call, status, text);
}

static void publish(struct grpc_call *call, const void *request, void *arg)
{
	static const Pb__PublishLogsResponse well = PB__PUBLISH_LOGS_RESPONSE__INIT;
	const Pb__PublishLogsMessage *msg = request;
	struct publisher *p = grpc_call_data(call);
	struct logbroker *b = arg;

	if (!p) {
		p = xcalloc(1, sizeof(*p));
		list_init(&p->node);
		p->broker = b;
		p->call = call;
		p->node_id = xstrdup(grpc_call_peer(call)->node_id);
		grpc_call_set_data(call, p);
		grpc_call_on_close(call, on_publisher_gone, p);
	}
	if (!msg) {
		if (p->sub)
			node_done(p->sub, p->node_id, NULL);
		publisher_free(p);
		grpc_reply(call, &well);
		return;
	}
	if (!p->sub) {
		p->sub = subscription_of(b, msg->subscription_id);
		if (!p->sub) {
			refuse(call, p, GRPC_NOT_FOUND, "the subscription has ended");
			return;
		}
		list_add_tail(&p->node, &p->sub->publishers);
		if (p->sub->paused)
			grpc_call_pause(call, true);
	} else if (strcmp(p->sub->msg->id, msg->subscription_id)) {
		refuse(call, p, GRPC_INVALID_ARGUMENT, "different subscription IDs in one stream");
		return;
	}
	for (size_t i = 0; i < msg->n_messages; i++) {
		const Pb__LogMessage *m = msg->messages[i];

		if (!m->context || strcmp(m->context->node_id, p->node_id)) {
			refuse(call, p, GRPC_PERMISSION_DENIED,
			       "a node publishes the logs of its own tasks only");
			return;
		}
		p->sub->sub.record(m, p->sub->sub.arg);
	}
	if (msg->close)
		node_done(p->sub, p->node_id, NULL);
}

/* --- subscribers at other managers --- */

struct remote_subscriber {
	struct grpc_call *call;
	struct log_subscription *sub;
};

static void on_record(const Pb__LogMessage *record, void *arg)
{
	Pb__SubscribeLogsMessage msg = PB__SUBSCRIBE_LOGS_MESSAGE__INIT;
	struct remote_subscriber *r = arg;

	msg.n_messages = 1;
	msg.messages = (Pb__LogMessage **)&record;
	grpc_send(r->call, &msg);
	if (grpc_call_unsent(r->call) > UNSENT_MAX)
		logbroker_pause(r->sub, true);
}

static void on_end(const struct err *err, void *arg)
{
	struct remote_subscriber *r = arg;

	if (err)
		grpc_fail(r->call, err);
	else
		grpc_finish(r->call, GRPC_OK, NULL);
	free(r);
}

static void on_subscriber_drained(struct grpc_call *call, void *arg)
{
	struct remote_subscriber *r = arg;

	(void)call;
	logbroker_pause(r->sub, false);
}

static void on_subscriber_gone(struct grpc_call *call, void *arg)
{
	struct remote_subscriber *r = arg;

	logbroker_unsubscribe(r->sub);
	free(r);
	grpc_finish(call, GRPC_CANCELLED, NULL);
}

static void subscribe(struct grpc_call *call, const void *request, void *arg)
{
	const Pb__SubscribeLogsRequest *msg = request;
	const Pb__LogSelector *sel = msg->selector;
	struct log_subscriber sub = {.record = on_record, .end = on_end};
	struct remote_subscriber *r;

	if (!sel || !(sel->n_service_ids + sel->n_node_ids + sel->n_task_ids)) {
		grpc_finish(call, GRPC_INVALID_ARGUMENT, "log selector must not be empty");
		return;
	}
	r = xcalloc(1, sizeof(*r));
	r->call = call;
	sub.arg = r;
	r->sub = logbroker_subscribe(arg, sel, msg->options, &sub);
	grpc_call_on_close(call, on_subscriber_gone, r);
	grpc_call_on_drain(call, on_subscriber_drained, r);
}

static const struct grpc_method methods[] = {
	{
		.path = SUBSCRIBE_LOGS,
		.kind = GRPC_SERVER_STREAM,
		.request = &pb__subscribe_logs_request__descriptor,
		.roles = GRPC_MANAGER,
		.to_leader = true,
		.fn = subscribe,
	},
	{
		.path = SERVICE "ListenSubscriptions",
		.kind = GRPC_SERVER_STREAM,
		.request = &pb__listen_subscriptions_request__descriptor,
		.roles = GRPC_WORKER | GRPC_MANAGER,
		.to_leader = true,
		.fn = listen,
	},
	{
		.path = SERVICE "PublishLogs",
		.kind = GRPC_CLIENT_STREAM,
		.request = &pb__publish_logs_message__descriptor,
		.roles = GRPC_WORKER | GRPC_MANAGER,
		.to_leader = true,
		.fn = publish,
	},
};

struct logbroker *logbroker_new(const struct leader_env *env,
				int (*leader)(struct grpc_channel **ret, void *arg), void *arg)
{
	struct logbroker *b = xcalloc(1, sizeof(*b));

	b->env = *env;
	b->leader = leader;
	b->leader_arg = arg;
	list_init(&b->listeners);
	list_init(&b->subscriptions);
	list_init(&b->watch.node);
	b->watch.fn = on_store;
	b->watch.arg = b;
	grpc_server_add(env->server, methods, ARRAY_SIZE(methods), b);
	return b;
}

void logbroker_lead(struct logbroker *b, bool leads)
{
	struct log_subscription *s;

	if (b->leads == leads)
		return;
	b->leads = leads;
	if (leads) {
		store_watch(b->env.store, &b->watch);
		return;
	}
	store_unwatch(&b->watch);
	list_for_each (s, &b->subscriptions, node) {
		buf_printf(&s->missing, "%sthe leader of the swarm has changed",
			   s->missing.len ? ", " : "");
		timer_set(&s->timer, 0);
	}
}

void logbroker_free(struct logbroker *b)
{
	if (!b)
		return;
	logbroker_lead(b, false);
	while (!list_empty(&b->subscriptions))
		end(list_first(&b->subscriptions, struct log_subscription, node));
	while (!list_empty(&b->listeners)) {
		struct listener *l = list_first(&b->listeners, struct listener, node);

		on_listener_gone(l->call, l);
	}
	free(b);
}
