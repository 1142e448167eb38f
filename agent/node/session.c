// SPDX-License-Identifier: Apache-2.0
#include "node/session.h"

#include <errno.h>

#include "core/log.h"
#include "core/map.h"
#include "core/rng.h"
#include "loop/loop.h"
#include "manager/ca.h"
#include "node/worker.h"
#include "rpc/grpc.h"
#include "rpc/tls.h"
#include "wire/pb.h"

enum {
	FIRST_MESSAGE_MS = 5000,
	HEARTBEAT_MS = 5000, /* until the dispatcher says another period */
	CALL_TIMEOUT_MS = 5000,
	BACKOFF_STEP_MS = 100,
	BACKOFF_MAX_MS = 8000,
	CONNECT_TIMEOUT_MS = 2500, /* there are other managers */
	PROBE_MS = 1500,
	DENIALS_MAX = 5, /* in a row: the node was removed */
	BATCH_MAX = 1000, /* statuses in one call */
};

#define DISPATCHER "/docker.swarmkit.v1.Dispatcher/"

struct remote {
	char *addr, *node_id;
	int64_t weight;
};

struct session {
	struct session_options opt;
	struct tls *tls;
	Pb__NodeDescription *description;
	struct remote *remotes;
	size_t n_remotes;
	char *addr; /* of the manager in use or tried last */

	struct grpc_channel *channel;
	struct grpc_stream *stream, *assignments;
	struct grpc_stream *beat, *update; /* unary calls under way */
	struct timer retry, first, heartbeat, flush;
	uint64_t period_ms, backoff_ms;
	unsigned int denials;
	char *id; /* of the session; kept over reconnections */
	char *sequence; /* results_in of the last assignments */
	bool registered;

	struct map statuses; /* task ID → Pb__TaskStatus, to be sent */
	struct map sent; /* those of the call under way */
	struct map volumes; /* unpublished ones, to be sent */
};

static void open_session(struct session *s);
static void flush_statuses(struct session *s);

/* --- managers --- */

static void remotes_clear(struct session *s)
{
	for (size_t i = 0; i < s->n_remotes; i++) {
		free(s->remotes[i].addr);
		free(s->remotes[i].node_id);
	}
	free(s->remotes);
	s->remotes = NULL;
	s->n_remotes = 0;
}

static void remotes_add(struct session *s, const char *addr, const char *node_id, int64_t weight)
{
	if (str_empty(addr))
		return;
	for (size_t i = 0; i < s->n_remotes; i++)
		if (streq(s->remotes[i].addr, addr))
			return;
	s->remotes = xrealloc(s->remotes, (s->n_remotes + 1) * sizeof(*s->remotes));
	s->remotes[s->n_remotes++] =
		(struct remote){xstrdup(addr), xstrdup(node_id), max(weight, (int64_t)1)};
}

/* By weight, and not the one that just failed when there is another. */
static const char *pick_remote(struct session *s)
{
	uint64_t total = 0, at;

	for (size_t i = 0; i < s->n_remotes; i++)
		if (s->n_remotes == 1 || !streq(s->remotes[i].addr, s->addr))
			total += s->remotes[i].weight;
	if (!total)
		return NULL;
	at = rng_below(s->opt.rng, total);
	for (size_t i = 0; i < s->n_remotes; i++) {
		if (s->n_remotes > 1 && streq(s->remotes[i].addr, s->addr))
			continue;
		if (at < (uint64_t)s->remotes[i].weight)
			return s->remotes[i].addr;
		at -= s->remotes[i].weight;
	}
	return NULL;
}

static void take_managers(struct session *s, const Pb__SessionMessage *msg)
{
	if (!msg->n_managers)
		return;
	remotes_clear(s);
	for (size_t i = 0; i < msg->n_managers; i++)
		if (msg->managers[i]->peer)
			remotes_add(s, msg->managers[i]->peer->addr,
				    msg->managers[i]->peer->node_id, msg->managers[i]->weight);
}

/* --- the connection --- */

static void cancel(struct grpc_stream **stream)
{
	if (*stream)
		grpc_stream_cancel(steal_ptr(*stream));
}

/* What was under way is to be sent again. */
static void requeue(struct session *s)
{
	const char *key;
	Pb__TaskStatus *status;

	map_for_each (&s->sent, key, status) {
		if (map_has(&s->statuses, key))
			pb_free(status);
		else
			map_put(&s->statuses, key, status);
		map_del(&s->sent, key);
	}
}

static void close_session(struct session *s)
{
	timer_cancel(&s->first);
	timer_cancel(&s->heartbeat);
	timer_cancel(&s->flush);
	cancel(&s->beat);
	cancel(&s->update);
	cancel(&s->assignments);
	cancel(&s->stream);
	requeue(s);
	s->registered = false;
	free(steal_ptr(s->sequence));
}

static void free_channel(void *arg)
{
	grpc_channel_free(arg);
}

/* The session is over: try again, elsewhere if possible. May be called from its own callbacks. */
static void fail(struct session *s, enum grpc_status status, const char *text)
{
	struct err err = ERR_INIT;
	bool was = s->registered;

	err_set(&err, grpc_errno_of_status(status), "session with the manager at %s: %s",
		s->addr ? s->addr : "?", text);
	close_session(s);
	if (s->channel)
		loop_defer(s->opt.loop, free_channel, steal_ptr(s->channel));
	if (status == GRPC_INVALID_ARGUMENT || status == GRPC_NOT_FOUND)
		free(steal_ptr(s->id)); /* an old session that the leader does not know */
	s->denials = status == GRPC_PERMISSION_DENIED ? s->denials + 1 : 0;
	if (was)
		s->backoff_ms = 0;
	timer_set(&s->retry, s->backoff_ms ? rng_below(s->opt.rng, s->backoff_ms) : 0);
	s->backoff_ms = min(BACKOFF_STEP_MS + 2 * s->backoff_ms, (uint64_t)BACKOFF_MAX_MS);
	if (s->denials >= DENIALS_MAX) {
		timer_cancel(&s->retry);
		s->opt.on_removed(&err, s->opt.arg);
	} else if (s->opt.on_lost) {
		s->opt.on_lost(&err, s->opt.arg);
	}
}

/* --- heartbeats --- */

static void on_beat(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	const Pb__HeartbeatResponse *r = reply;
	struct session *s = arg;
	int64_t ns;

	s->beat = NULL;
	if (status) {
		fail(s, status, text);
		return;
	}
	ns = pb_duration_ns(r->period);
	if (ns > 0)
		s->period_ms = ns / 1000000;
	timer_set(&s->heartbeat, s->period_ms);
}

static void send_beat(void *arg)
{
	Pb__HeartbeatRequest req = PB__HEARTBEAT_REQUEST__INIT;
	struct session *s = arg;

	req.session_id = s->id;
	s->beat = grpc_unary(s->channel, DISPATCHER "Heartbeat", &req,
			     &pb__heartbeat_response__descriptor, CALL_TIMEOUT_MS, on_beat, s);
}

/* --- assignments --- */

static void open_assignments(struct session *s);

static void on_assignments(struct grpc_stream *stream, const void *message, void *arg)
{
	const Pb__AssignmentsMessage *msg = message;
	struct session *s = arg;

	(void)stream;
	if (msg->type == PB__ASSIGNMENTS_MESSAGE__TYPE__INCREMENTAL &&
	    !streq(msg->applies_to, s->sequence)) {
		log_warn("session: assignments %s are missing before %s",
			 s->sequence ? s->sequence : "?", msg->applies_to);
		cancel(&s->assignments);
		open_assignments(s);
		return;
	}
	free(s->sequence);
	s->sequence = xstrdup(msg->results_in);
	worker_assign(s->opt.worker, msg);
}

static void on_assignments_closed(struct grpc_stream *stream, enum grpc_status status,
				  const char *text, void *arg)
{
	struct session *s = arg;

	(void)stream;
	s->assignments = NULL;
	fail(s, status ? status : GRPC_UNAVAILABLE,
	     status ? text : "the stream of assignments ended");
}

static const struct grpc_stream_ops assignments_ops = {.message = on_assignments,
						       .closed = on_assignments_closed};

static void open_assignments(struct session *s)
{
	Pb__AssignmentsRequest req = PB__ASSIGNMENTS_REQUEST__INIT;

	free(steal_ptr(s->sequence));
	req.session_id = s->id;
	s->assignments = grpc_stream_open(s->channel, DISPATCHER "Assignments",
					  &pb__assignments_message__descriptor, &assignments_ops, s,
					  0, NULL);
	grpc_stream_send(s->assignments, &req);
	grpc_stream_end(s->assignments);
}

/* --- the session stream --- */

static void on_session(struct grpc_stream *stream, const void *message, void *arg)
{
	const Pb__SessionMessage *msg = message;
	struct session *s = arg;
	bool first = !s->registered;

	(void)stream;
	take_managers(s, msg);
	if (first) {
		timer_cancel(&s->first);
		free(s->id);
		s->id = xstrdup(msg->session_id);
		s->registered = true;
		s->denials = 0;
		s->backoff_ms = 0;
	}
	s->opt.on_message(msg, s->opt.arg);
	if (!first || !s->registered)
		return;
	send_beat(s);
	open_assignments(s);
	worker_report_all(s->opt.worker);
	flush_statuses(s);
	s->opt.on_registered(s->opt.arg);
}

static void on_session_closed(struct grpc_stream *stream, enum grpc_status status, const char *text,
			      void *arg)
{
	struct session *s = arg;

	(void)stream;
	s->stream = NULL;
	fail(s, status ? status : GRPC_UNAVAILABLE, status ? text : "the session ended");
}

static const struct grpc_stream_ops session_ops = {.message = on_session,
						   .closed = on_session_closed};

static void on_first_timeout(void *arg)
{
	fail(arg, GRPC_DEADLINE_EXCEEDED, "no answer in time");
}

static void open_session(struct session *s)
{
	Pb__SessionRequest req = PB__SESSION_REQUEST__INIT;
	struct grpc_channel_options opt = {
		.loop = s->opt.loop,
		.tls = s->tls,
		.server_name = CA_MANAGER,
		.receive_max = GRPC_AGENT_RECEIVE_MAX,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
	};
	const char *addr = pick_remote(s);

	if (!addr) {
		timer_set(&s->retry, BACKOFF_MAX_MS);
		return;
	}
	if (addr != s->addr) {
		char *copy = xstrdup(addr);

		free(s->addr);
		s->addr = copy;
	}
	opt.addr = s->addr;
	s->channel = grpc_channel_new(&opt);
	s->period_ms = HEARTBEAT_MS;
	req.description = s->description;
	req.session_id = s->id ? s->id : "";
	s->stream = grpc_stream_open(s->channel, DISPATCHER "Session",
				     &pb__session_message__descriptor, &session_ops, s, 0, NULL);
	grpc_stream_send(s->stream, &req);
	grpc_stream_end(s->stream);
	timer_set(&s->first, FIRST_MESSAGE_MS);
}

static void on_retry(void *arg)
{
	open_session(arg);
}

/* --- statuses --- */

static void map_clear(struct map *m)
{
	const char *key;
	void *value;

	map_for_each (m, key, value)
		pb_free(value);
	map_done(m);
	map_init(m);
}

static void on_updated(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	struct session *s = arg;

	(void)reply;
	s->update = NULL;
	if (status) {
		fail(s, status, text);
		return;
	}
	map_clear(&s->sent);
	flush_statuses(s);
}

static void flush_statuses(struct session *s)
{
	Pb__UpdateTaskStatusRequest req = PB__UPDATE_TASK_STATUS_REQUEST__INIT;
	Pb__UpdateTaskStatusRequest__TaskStatusUpdate *updates, **ptrs;
	Pb__TaskStatus *status;
	const char *key;
	size_t n = 0;

	if (!s->registered || s->update || !s->statuses.len)
		return;
	map_for_each (&s->statuses, key, status) {
		if (s->sent.len == BATCH_MAX)
			break;
		map_put(&s->sent, key, status);
		map_del(&s->statuses, key);
	}
	updates = xcalloc(s->sent.len, sizeof(*updates));
	ptrs = xcalloc(s->sent.len, sizeof(*ptrs));
	map_for_each (&s->sent, key, status) {
		pb__update_task_status_request__task_status_update__init(&updates[n]);
		updates[n].task_id = (char *)key;
		updates[n].status = status;
		ptrs[n] = &updates[n];
		n++;
	}
	req.session_id = s->id;
	req.n_updates = n;
	req.updates = ptrs;
	s->update = grpc_unary(s->channel, DISPATCHER "UpdateTaskStatus", &req,
			       &pb__update_task_status_response__descriptor, CALL_TIMEOUT_MS,
			       on_updated, s);
	free(updates);
	free(ptrs);
}

static void on_volumes_updated(enum grpc_status status, const char *text, const void *reply,
			       void *arg)
{
	(void)reply;
	(void)arg;
	if (status)
		log_warn("session: the volumes' statuses were not taken: %s", text);
}

static void flush_volumes(struct session *s)
{
	Pb__UpdateVolumeStatusRequest req = PB__UPDATE_VOLUME_STATUS_REQUEST__INIT;
	const char *key;
	void *value;

	if (!s->registered || !s->volumes.len)
		return;
	map_for_each (&s->volumes, key, value) {
		Pb__UpdateVolumeStatusRequest__VolumeStatusUpdate u =
			PB__UPDATE_VOLUME_STATUS_REQUEST__VOLUME_STATUS_UPDATE__INIT;
		Pb__UpdateVolumeStatusRequest__VolumeStatusUpdate *p = &u;

		u.id = (char *)key;
		u.unpublished = true;
		req.session_id = s->id;
		req.n_updates = 1;
		req.updates = &p;
		grpc_unary(s->channel, DISPATCHER "UpdateVolumeStatus", &req,
			   &pb__update_volume_status_response__descriptor, CALL_TIMEOUT_MS,
			   on_volumes_updated, s);
	}
	map_done(&s->volumes);
	map_init(&s->volumes);
}

/* What came in one turn of the loop goes in one call. */
static void on_flush(void *arg)
{
	flush_statuses(arg);
	flush_volumes(arg);
}

void session_status(struct session *s, const char *task_id, const Pb__TaskStatus *status)
{
	pb_free(map_put(&s->statuses, task_id, pb_clone(status)));
	if (s->registered && !timer_pending(&s->flush))
		timer_set(&s->flush, 0);
}

void session_volume(struct session *s, const char *volume_id)
{
	map_put(&s->volumes, volume_id, s);
	if (s->registered && !timer_pending(&s->flush))
		timer_set(&s->flush, 0);
}

/* --- the handle --- */

struct session *session_new(const struct session_options *opt)
{
	struct session *s = xcalloc(1, sizeof(*s));
	json_t *m;
	size_t i;

	s->opt = *opt;
	s->tls = tls_get(opt->tls);
	s->description = opt->description;
	map_init(&s->statuses);
	map_init(&s->sent);
	map_init(&s->volumes);
	timer_init(&s->retry, opt->loop, on_retry, s);
	timer_init(&s->first, opt->loop, on_first_timeout, s);
	timer_init(&s->heartbeat, opt->loop, send_beat, s);
	timer_init(&s->flush, opt->loop, on_flush, s);
	remotes_add(s, opt->remote, NULL, 10);
	json_array_foreach (opt->managers, i, m)
		remotes_add(s, json_string_value(json_object_get(m, "addr")),
			    json_string_value(json_object_get(m, "node_id")), 1);
	timer_set(&s->retry, 0);
	return s;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	close_session(s);
	if (s->channel)
		loop_defer(s->opt.loop, free_channel, s->channel);
	map_clear(&s->statuses);
	map_clear(&s->sent);
	map_done(&s->volumes);
	timer_done(&s->retry);
	timer_done(&s->first);
	timer_done(&s->heartbeat);
	timer_done(&s->flush);
	remotes_clear(s);
	pb_free(s->description);
	tls_put(s->tls);
	free(s->addr);
	free(s->id);
	free(s);
}

void session_describe(struct session *s, Pb__NodeDescription *description)
{
	bool same = pb_equal(s->description, description);

	pb_free(s->description);
	s->description = description;
	if (!same)
		session_refresh(s);
}

void session_refresh(struct session *s)
{
	if (!s->channel)
		return;
	close_session(s);
	loop_defer(s->opt.loop, free_channel, steal_ptr(s->channel));
	timer_set(&s->retry, 0);
}

void session_suspect(struct session *s, const char *ip)
{
	const char *addr = s->addr ? s->addr : "";
	size_t n = strlen(ip);

	if (*addr == '[')
		addr++;
	if (s->channel && !strncmp(addr, ip, n) && (addr[n] == ':' || addr[n] == ']'))
		grpc_channel_probe(s->channel, PROBE_MS);
}

struct grpc_channel *session_channel(struct session *s)
{
	return s->registered ? s->channel : NULL;
}

const char *session_manager(const struct session *s)
{
	return s->addr ? s->addr : s->n_remotes ? s->remotes[0].addr : NULL;
}
