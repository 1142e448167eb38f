// SPDX-License-Identifier: Apache-2.0
/* Messages to the other members. Source: swarmkit manager/state/raft/transport. */
#include <stdio.h>

#include "core/log.h"
#include "manager/raft_rpc_impl.h"
#include "wire/pb.h"
#include "wire/raftpb.pb-c.h"

enum {
	QUEUE_MAX = 4096,
	QUEUE_MAX_SIZE = 64 << 20,
	WINDOW = 64, /* calls under way to a member of ours */
	UNARY_MAX = 3 << 20, /* a larger message goes in parts */
	PART_SIZE = 1 << 20,
	CONNECT_TIMEOUT_MS = 1000,
	BACKOFF_MAX_MS = 400,
	SNAPSHOT_TIMEOUT_MS = 10 * 60 * 1000,
};

struct queued {
	struct list_head node;
	struct raft_msg *msg;
	size_t size;
};

/* A snapshot on its way in parts. */
struct snapshot_stream {
	struct peer *peer;
	struct grpc_stream *stream;
	struct raft_msg *msg;
	size_t at; /* of its data */
};

struct peer {
	struct list_head node;
	struct raft_rpc *rpc;
	uint64_t id;
	char *addr; /* "": not known yet */
	bool moved, gone; /* to be settled */
	struct grpc_channel *ch;
	struct grpc_stream *resolve;
	struct list_head queue;
	size_t n_queued, queued_size;
	unsigned int in_flight;
	bool closing; /* calls end because we end them */
	uint64_t ok_ms; /* the last call that went well */
	struct snapshot_stream *snapshot;
};

/* One call under way. */
struct sent {
	struct peer *peer;
	bool snapshot;
};

static void run_queue(struct peer *p);

struct grpc_channel *raft_channel(struct raft_rpc *rpc, const char *addr)
{
	struct grpc_channel_options opt = {.loop = rpc->loop,
					   .tls = rpc->tls,
					   .addr = addr,
					   .server_name = MANAGER_NAME,
					   .connect_timeout_ms = CONNECT_TIMEOUT_MS,
					   .backoff_max_ms = BACKOFF_MAX_MS};

	return grpc_channel_new(&opt);
}

static struct peer *find_peer(const struct raft_rpc *rpc, uint64_t id)
{
	struct peer *p;

	list_for_each (p, &rpc->peers, node) {
		if (p->id == id && !p->gone)
			return p;
	}
	return NULL;
}

bool raft_peer_connected(const struct raft_rpc *rpc, uint64_t raft_id)
{
	struct peer *p = find_peer(rpc, raft_id);

	return p && p->ch && grpc_channel_connected(p->ch);
}

static void drop_queued(struct peer *p, struct queued *q)
{
	list_del(&q->node);
	p->n_queued--;
	p->queued_size -= q->size;
	raft_msg_free(q->msg);
	free(q);
}

/* --- outcomes --- */

static void went_well(struct peer *p)
{
	p->ok_ms = loop_now_ms();
	raftd_reachable(p->rpc->raftd, p->id);
}

static void went_wrong(struct peer *p, enum grpc_status status, const char *text)
{
	if (status == GRPC_NOT_FOUND && !strcmp(text, MEMBER_REMOVED)) {
		raftd_told_removed(p->rpc->raftd);
		return;
	}
	/* a connection whose other end is out of reach would take long to notice its return */
	if (status == GRPC_DEADLINE_EXCEEDED && p->ok_ms + SEND_TIMEOUT_MS < loop_now_ms())
		grpc_channel_refresh(p->ch);
	raftd_unreachable(p->rpc->raftd, p->id);
	if (status == GRPC_UNAVAILABLE)
		raftd_lost(p->rpc->raftd, p->id);
}

static void on_sent(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	struct sent *s = arg;
	struct peer *p = s->peer;

	(void)reply;
	p->in_flight--;
	if (!p->closing) {
		if (s->snapshot)
			raftd_snapshot_sent(p->rpc->raftd, p->id, status != GRPC_OK);
		if (status == GRPC_OK)
			went_well(p);
		else
			went_wrong(p, status, text);
		run_queue(p);
	}
	free(s);
}

/* --- snapshots in parts --- */

static void free_snapshot(struct peer *p)
{
	struct snapshot_stream *s = steal_ptr(p->snapshot);

	if (!s)
		return;
	if (s->stream)
		grpc_stream_cancel(s->stream);
	raft_msg_free(s->msg);
	free(s);
}

static void send_parts(struct grpc_stream *stream, void *arg)
{
	struct snapshot_stream *s = arg;
	const struct raft_snapshot *snap = s->msg->snapshot;
	Pb__StreamRaftMessageRequest req = PB__STREAM_RAFT_MESSAGE_REQUEST__INIT;
	_cleanup_free_ Raftpb__Message *pm = NULL;

	if (s->at >= snap->size)
		return;
	pm = raft_msg_to_pb(s->msg);
	pm->snapshot->data.data = snap->data + s->at;
	pm->snapshot->data.len = min((size_t)PART_SIZE, snap->size - s->at);
	s->at += pm->snapshot->data.len;
	req.message = pm;
	grpc_stream_send(stream, &req);
	if (s->at >= snap->size)
		grpc_stream_end(stream);
}

static void on_snapshot_closed(struct grpc_stream *stream, enum grpc_status status,
			       const char *text, void *arg)
{
	struct snapshot_stream *s = arg;
	struct peer *p = s->peer;

	(void)stream;
	s->stream = NULL;
	free_snapshot(p);
	if (p->closing)
		return;
	if (status != GRPC_OK)
		log_warn("raft: the snapshot did not reach %s: %s", p->addr, text);
	raftd_snapshot_sent(p->rpc->raftd, p->id, status != GRPC_OK);
	if (status == GRPC_OK)
		went_well(p);
	else
		went_wrong(p, status, text);
}

static void send_snapshot(struct peer *p, struct raft_msg *m)
{
	static const struct grpc_stream_ops ops = {.closed = on_snapshot_closed,
						   .drained = send_parts};
	struct snapshot_stream *s = xcalloc(1, sizeof(*s));

	free_snapshot(p);
	s->peer = p;
	s->msg = m;
	p->snapshot = s;
	s->stream = grpc_stream_open(p->ch, RAFT_PATH "StreamRaftMessage",
				     &pb__stream_raft_message_response__descriptor, &ops, s,
				     SNAPSHOT_TIMEOUT_MS, NULL);
	send_parts(s->stream, s);
}

/* --- the queue --- */

static void send_one(struct peer *p, const struct raft_msg *m)
{
	Pb__ProcessRaftMessageRequest req = PB__PROCESS_RAFT_MESSAGE_REQUEST__INIT;
	_cleanup_free_ Raftpb__Message *pm = raft_msg_to_pb(m);
	struct sent *s = xcalloc(1, sizeof(*s));

	s->peer = p;
	s->snapshot = m->type == RAFT_MSG_SNAP;
	req.message = pm;
	p->in_flight++;
	grpc_unary(p->ch, RAFT_PATH "ProcessRaftMessage", &req,
		   &pb__process_raft_message_response__descriptor, SEND_TIMEOUT_MS, on_sent, s);
}

static void run_queue(struct peer *p)
{
	unsigned int window;

	if (p->gone || p->moved || list_empty(&p->queue))
		return;
	if (!p->ch) {
		if (str_empty(p->addr))
			return;
		p->ch = raft_channel(p->rpc, p->addr);
	}
	window = raftd_member_fine(p->rpc->raftd, p->id) ? WINDOW : 1;
	while (!list_empty(&p->queue) && p->in_flight < window) {
		struct queued *q = list_first(&p->queue, struct queued, node);

		if (q->msg->type == RAFT_MSG_SNAP && q->msg->snapshot->size > UNARY_MAX)
			send_snapshot(p, steal_ptr(q->msg));
		else
			send_one(p, q->msg);
		drop_queued(p, q);
	}
}

static size_t size_of(const struct raft_msg *m)
{
	size_t size = sizeof(*m) + (m->snapshot ? m->snapshot->size : 0);

	for (size_t i = 0; i < m->n_entries; i++)
		size += m->entries[i]->size + sizeof(*m->entries[i]);
	return size;
}

static void settle_later(struct raft_rpc *rpc)
{
	timer_set(&rpc->settle, 0);
}

static struct peer *new_peer(struct raft_rpc *rpc, uint64_t id, const char *addr)
{
	struct peer *p = xcalloc(1, sizeof(*p));

	p->rpc = rpc;
	p->id = id;
	p->addr = xstrdup(addr);
	list_init(&p->queue);
	list_add_tail(&p->node, &rpc->peers);
	return p;
}

/* --- a member whose address only others know --- */

static void on_resolved(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	const Pb__ResolveAddressResponse *r = reply;
	struct peer *p = arg;

	(void)text;
	p->resolve = NULL;
	if (status == GRPC_OK && !str_empty(r->addr)) {
		free(p->addr);
		p->addr = xstrdup(r->addr);
		run_queue(p);
		return;
	}
	p->gone = true;
	settle_later(p->rpc);
}

/* Asks the member that has answered for the longest. */
static void resolve(struct peer *p)
{
	Pb__ResolveAddressRequest req = PB__RESOLVE_ADDRESS_REQUEST__INIT;
	struct peer *other;

	list_for_each (other, &p->rpc->peers, node) {
		if (other == p || other->gone || other->moved || !other->ch ||
		    !grpc_channel_connected(other->ch))
			continue;
		req.raft_id = p->id;
		p->resolve = grpc_unary(other->ch, RAFT_PATH "ResolveAddress", &req,
					&pb__resolve_address_response__descriptor, SEND_TIMEOUT_MS,
					on_resolved, p);
		return;
	}
	p->gone = true;
	settle_later(p->rpc);
}

/* --- what raftd calls; it is in the middle of a step --- */

static void on_send(struct raft_msg *m, void *arg)
{
	struct raft_rpc *rpc = arg;
	struct peer *p = find_peer(rpc, m->to);
	bool beat = m->type == RAFT_MSG_HEARTBEAT || m->type == RAFT_MSG_HEARTBEAT_RESP;
	struct queued *q;

	if (!p) {
		p = new_peer(rpc, m->to, "");
		resolve(p);
	}
	/* a beat that cannot go out at once is out of date when it can */
	if (beat && p->in_flight && p->ch && !grpc_channel_connected(p->ch)) {
		raft_msg_free(m);
		return;
	}
	q = xcalloc(1, sizeof(*q));
	q->msg = m;
	q->size = size_of(m);
	list_add_tail(&q->node, &p->queue);
	p->n_queued++;
	p->queued_size += q->size;
	/* the oldest goes: raft asks again for what is missing */
	while (p->n_queued > QUEUE_MAX || (p->queued_size > QUEUE_MAX_SIZE && p->n_queued > 1)) {
		struct queued *old = list_first(&p->queue, struct queued, node);

		if (old->msg->type == RAFT_MSG_SNAP)
			break;
		drop_queued(p, old);
	}
	run_queue(p);
}

static void on_member(uint64_t raft_id, const char *addr, void *arg)
{
	struct raft_rpc *rpc = arg;
	struct peer *p = find_peer(rpc, raft_id);

	if (!addr) {
		if (p) {
			p->gone = true;
			settle_later(rpc);
		}
	} else if (!p) {
		new_peer(rpc, raft_id, addr);
	} else if (!streq(p->addr, addr)) {
		free(p->addr);
		p->addr = xstrdup(addr);
		p->moved = true;
		settle_later(rpc);
	}
}

/* End what goes over the old connection. */
static void disconnect(struct peer *p)
{
	p->closing = true;
	free_snapshot(p);
	if (p->resolve)
		grpc_stream_cancel(steal_ptr(p->resolve));
	grpc_channel_free(steal_ptr(p->ch));
	p->closing = false;
}

static void free_peer(struct peer *p)
{
	disconnect(p);
	while (!list_empty(&p->queue))
		drop_queued(p, list_first(&p->queue, struct queued, node));
	list_del(&p->node);
	free(p->addr);
	free(p);
}

static void on_settle(void *arg)
{
	struct raft_rpc *rpc = arg;
	struct peer *p, *tmp;

	list_for_each_safe (p, tmp, &rpc->peers, node) {
		uint64_t id = p->id;

		if (p->gone) {
			free_peer(p);
			/* if it was on its way; else this means nothing */
			raftd_snapshot_sent(rpc->raftd, id, true);
		} else if (p->moved) {
			p->moved = false;
			disconnect(p);
			raftd_snapshot_sent(rpc->raftd, id, true);
			raftd_unreachable(rpc->raftd, id);
			run_queue(p);
		}
	}
}

void raft_peers_init(struct raft_rpc *rpc)
{
	struct raftd_transport t = {.member = on_member, .send = on_send, .arg = rpc};

	list_init(&rpc->peers);
	timer_init(&rpc->settle, rpc->loop, on_settle, rpc);
	raftd_set_transport(rpc->raftd, &t);
}

void raft_peers_done(struct raft_rpc *rpc)
{
	raftd_set_transport(rpc->raftd, NULL);
	while (!list_empty(&rpc->peers))
		free_peer(list_first(&rpc->peers, struct peer, node));
	timer_done(&rpc->settle);
}
