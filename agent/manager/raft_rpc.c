// SPDX-License-Identifier: Apache-2.0
/* The services Raft, RaftMembership and Health. Source: swarmkit manager/state/raft/raft.go. */
#include "manager/raft_rpc_impl.h"

#include <stdio.h>

#include "core/log.h"
#include "rpc/tls.h"
#include "wire/health.pb-c.h"
#include "wire/pb.h"
#include "wire/raftpb.pb-c.h"

enum { SNAPSHOT_MAX = 512 << 20 };

/* A call that is not answered yet. */
struct served {
	struct list_head node;
	struct raft_rpc *rpc;
	struct grpc_call *call;
	struct raft_msg *msg; /* a message, or the first part of a snapshot */
	struct buf parts; /* the snapshot's data */
	struct health_check *check;
	char *node_id, *addr; /* a join's */
	bool fine_ticks;
	bool stream; /* came in parts */
	bool waits; /* raftd calls back */
};

static struct served *serve(struct raft_rpc *rpc, struct grpc_call *call)
{
	struct served *s = xcalloc(1, sizeof(*s));

	s->rpc = rpc;
	s->call = call;
	buf_init(&s->parts);
	list_add_tail(&s->node, &rpc->calls);
	return s;
}

static void served_free(struct served *s)
{
	list_del(&s->node);
	health_check_cancel(s->check);
	raft_msg_free(s->msg);
	buf_done(&s->parts);
	free(s->node_id);
	free(s->addr);
	free(s);
}

static void end(struct served *s, enum grpc_status status, const char *text)
{
	struct grpc_call *call = s->call;

	served_free(s);
	grpc_call_set_data(call, NULL);
	grpc_finish(call, status, text);
}

/* --- messages --- */

static const void *reply_for(const struct served *s)
{
	static const Pb__ProcessRaftMessageResponse one = PB__PROCESS_RAFT_MESSAGE_RESPONSE__INIT;
	static const Pb__StreamRaftMessageResponse stream = PB__STREAM_RAFT_MESSAGE_RESPONSE__INIT;

	return s->stream ? (const void *)&stream : (const void *)&one;
}

static void take(struct served *s)
{
	const void *reply = reply_for(s);
	struct raft_rpc *rpc = s->rpc;
	struct grpc_call *call = s->call;
	struct raft_msg *msg = steal_ptr(s->msg);

	served_free(s);
	grpc_call_set_data(call, NULL);
	grpc_reply(call, reply);
	raftd_receive(rpc->raftd, msg);
	raft_msg_free(msg);
}

static void on_candidate(int rc, void *arg)
{
	struct served *s = arg;

	s->check = NULL;
	if (rc)
		end(s, GRPC_UNAVAILABLE, "raft: the candidate does not answer at its address");
	else
		take(s);
}

/* The whole message is here. */
static void process(struct served *s)
{
	struct raft_rpc *rpc = s->rpc;
	const struct raft_msg *m = s->msg;
	const char *addr;

	if (raftd_is_removed(rpc->raftd, m->from)) {
		end(s, GRPC_NOT_FOUND, MEMBER_REMOVED);
		return;
	}
	addr = raftd_member_addr(rpc->raftd, m->from);
	/* who cannot be reached may not lead; a connection that stands is proof */
	if (m->type == RAFT_MSG_VOTE && m->to == raftd_id(rpc->raftd) && addr &&
	    !raft_peer_connected(rpc, m->from)) {
		s->check = health_check(rpc, addr, VOTE_CHECK_MS, on_candidate, s);
		return;
	}
	/* one for another member is dropped by raft */
	take(s);
}

static void process_message(struct grpc_call *call, const void *request, void *arg)
{
	const Pb__ProcessRaftMessageRequest *req = request;
	struct raft_msg *m = req->message ? raft_msg_from_pb(req->message) : NULL;
	struct served *s;

	if (!m) {
		grpc_finish(call, GRPC_INVALID_ARGUMENT, "raft: no such message");
		return;
	}
	s = serve(arg, call);
	s->msg = m;
	process(s);
}

static void on_stream_gone(struct grpc_call *call, void *arg)
{
	struct served *s = grpc_call_data(call);

	(void)arg;
	if (s)
		end(s, GRPC_CANCELLED, NULL);
}

static void add_part(struct grpc_call *call, struct served *s,
		     const Pb__StreamRaftMessageRequest *req, struct raft_rpc *rpc)
{
	struct raft_msg *m = req->message ? raft_msg_from_pb(req->message) : NULL;
	bool snap = m && m->type == RAFT_MSG_SNAP;

	if (!m || (s && (!snap || s->msg->type != RAFT_MSG_SNAP || m->index != s->msg->index ||
			 m->snapshot->index != s->msg->snapshot->index))) {
		raft_msg_free(m);
		if (s)
			end(s, GRPC_INVALID_ARGUMENT, "raft: no part of the same message");
		else
			grpc_finish(call, GRPC_INVALID_ARGUMENT, "raft: no such message");
		return;
	}
	if (!s) {
		s = serve(rpc, call);
		s->stream = true;
		grpc_call_set_data(call, s);
		grpc_call_on_close(call, on_stream_gone, NULL);
	}
	if (snap) {
		if (s->parts.len + m->snapshot->size > SNAPSHOT_MAX) {
			raft_msg_free(m);
			end(s, GRPC_RESOURCE_EXHAUSTED, "raft: the snapshot is too large");
			return;
		}
		buf_add(&s->parts, m->snapshot->data, m->snapshot->size);
	}
	if (s->msg)
		raft_msg_free(m);
	else
		s->msg = m;
}

static void stream_message(struct grpc_call *call, const void *request, void *arg)
{
	struct served *s = grpc_call_data(call);

	if (request) {
		add_part(call, s, request, arg);
		return;
	}
	if (!s) {
		grpc_finish(call, GRPC_INVALID_ARGUMENT, "raft: no message");
		return;
	}
	if (s->msg->snapshot) {
		struct raft_snapshot *snap = s->msg->snapshot;

		free(snap->data);
		snap->data = (uint8_t *)buf_steal(&s->parts, &snap->size);
	}
	process(s);
}

static void resolve_address(struct grpc_call *call, const void *request, void *arg)
{
	const Pb__ResolveAddressRequest *req = request;
	Pb__ResolveAddressResponse reply = PB__RESOLVE_ADDRESS_RESPONSE__INIT;
	struct raft_rpc *rpc = arg;
	const char *addr = raftd_member_addr(rpc->raftd, req->raft_id);

	if (!addr) {
		grpc_finish(call, GRPC_NOT_FOUND, "raft: no such member");
		return;
	}
	reply.addr = (char *)addr;
	grpc_reply(call, &reply);
}

/* --- membership --- */

static void reply_joined(struct served *s, uint64_t raft_id)
{
	size_t n, n_removed;
	_cleanup_free_ struct raftd_member *all = raftd_members(s->rpc->raftd, &n);
	_cleanup_free_ uint64_t *removed = raftd_removed(s->rpc->raftd, &n_removed);
	_cleanup_pb_ Pb__JoinResponse *reply =
		raftd_join_response(raft_id, all, n, removed, n_removed);
	struct grpc_call *call = s->call;

	served_free(s);
	grpc_reply(call, reply);
}

/* The call is gone when raft_rpc_free() ended it before raftd answered. */
static void on_join_done(const struct err *err, uint64_t raft_id, void *arg)
{
	struct served *s = arg;

	if (!s->call) {
		served_free(s);
	} else if (err) {
		struct grpc_call *call = s->call;

		served_free(s);
		grpc_fail(call, err);
	} else {
		log_info("raft: node %s is a member now", s->node_id);
		reply_joined(s, raft_id);
	}
}

static void on_join_checked(int rc, void *arg)
{
	struct served *s = arg;
	char text[256];

	s->check = NULL;
	if (rc) {
		snprintf(text, sizeof(text),
			 "could not connect to prospective new cluster member using its advertised "
			 "address: no manager answers at %s",
			 s->addr);
		end(s, GRPC_UNAVAILABLE, text);
		return;
	}
	s->waits = true;
	raftd_join(s->rpc->raftd, s->node_id, s->addr, s->fine_ticks, on_join_done, s);
}

/* Where the caller wrote no address of its own, the one it came from. */
static char *callers_addr(const char *addr, const char *from)
{
	const char *port = strrchr(addr, ':'), *end = strrchr(from, ':');
	size_t host;

	if (!port || !end || !port[1])
		return NULL;
	host = port - addr;
	if (host && !(host == 7 && starts_with(addr, "0.0.0.0")) &&
	    !(host == 4 && starts_with(addr, "[::]")))
		return xstrdup(addr);
	return xasprintf("%.*s%s", (int)(end - from), from, port);
}

static void join(struct grpc_call *call, const void *request, void *arg)
{
	const struct grpc_peer *peer = grpc_call_peer(call);
	const Pb__JoinRequest *req = request;
	struct raft_rpc *rpc = arg;
	struct served *s;
	char *addr;

	if (!raftd_is_leader(rpc->raftd)) {
		grpc_finish(call, GRPC_UNAVAILABLE, "raft: this manager does not lead the swarm");
		return;
	}
	addr = callers_addr(req->addr, peer->addr);
	if (!addr || strlen(addr) > 255) {
		free(addr);
		grpc_finish(call, GRPC_INVALID_ARGUMENT, "raft: the address has no host or port");
		return;
	}
	s = serve(rpc, call);
	s->addr = addr;
	s->node_id = xstrdup(peer->node_id);
	s->fine_ticks = req->fine_ticks;
	s->check = health_check(rpc, addr, JOIN_CHECK_MS, on_join_checked, s);
}

static void on_left(const struct err *err, void *arg)
{
	static const Pb__LeaveResponse reply = PB__LEAVE_RESPONSE__INIT;
	struct served *s = arg;
	struct grpc_call *call = s->call;

	served_free(s);
	if (!call)
		return;
	if (err)
		grpc_fail(call, err);
	else
		grpc_reply(call, &reply);
}

static void leave(struct grpc_call *call, const void *request, void *arg)
{
	const Pb__LeaveRequest *req = request;
	struct raft_rpc *rpc = arg;
	struct served *s;

	if (!req->node || !req->node->raft_id) {
		grpc_finish(call, GRPC_INVALID_ARGUMENT, "raft: no node information provided");
		return;
	}
	s = serve(rpc, call);
	s->waits = true;
	raftd_remove(rpc->raftd, req->node->raft_id, on_left, s);
}

static void check(struct grpc_call *call, const void *request, void *arg)
{
	Pb__HealthCheckResponse reply = PB__HEALTH_CHECK_RESPONSE__INIT;

	(void)request;
	(void)arg;
	reply.status = PB__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
	grpc_reply(call, &reply);
}

static const struct grpc_method methods[] = {
	{RAFT_PATH "ProcessRaftMessage", GRPC_UNARY, &pb__process_raft_message_request__descriptor,
	 GRPC_MANAGER, false, process_message},
	{RAFT_PATH "StreamRaftMessage", GRPC_CLIENT_STREAM,
	 &pb__stream_raft_message_request__descriptor, GRPC_MANAGER, false, stream_message},
	{RAFT_PATH "ResolveAddress", GRPC_UNARY, &pb__resolve_address_request__descriptor,
	 GRPC_MANAGER, false, resolve_address},
	{MEMBERSHIP_PATH "Join", GRPC_UNARY, &pb__join_request__descriptor, GRPC_MANAGER, true,
	 join},
	{MEMBERSHIP_PATH "Leave", GRPC_UNARY, &pb__leave_request__descriptor, GRPC_MANAGER, true,
	 leave},
	{HEALTH_CHECK, GRPC_UNARY, &pb__health_check_request__descriptor, GRPC_MANAGER, false,
	 check},
};

struct raft_rpc *raft_rpc_new(const struct raft_rpc_options *opt)
{
	struct raft_rpc *rpc = xcalloc(1, sizeof(*rpc));

	rpc->loop = opt->loop;
	rpc->tls = tls_get(opt->tls);
	rpc->raftd = opt->raftd;
	list_init(&rpc->calls);
	list_init(&rpc->joins);
	list_init(&rpc->checks);
	raft_peers_init(rpc);
	grpc_server_add(opt->grpc, methods, ARRAY_SIZE(methods), rpc);
	return rpc;
}

void raft_rpc_free(struct raft_rpc *rpc)
{
	struct served *s, *tmp;

	if (!rpc)
		return;
	while (!list_empty(&rpc->joins))
		raft_join_cancel(raft_first_join(rpc));
	list_for_each_safe (s, tmp, &rpc->calls, node) {
		if (!s->waits) {
			end(s, GRPC_UNAVAILABLE, "raft: this manager stops");
			continue;
		}
		/* raftd has it and will call back */
		grpc_finish(steal_ptr(s->call), GRPC_UNAVAILABLE, "raft: this manager stops");
		list_del(&s->node);
	}
	raft_peers_done(rpc);
	tls_put(rpc->tls);
	free(rpc);
}
