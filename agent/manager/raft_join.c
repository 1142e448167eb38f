// SPDX-License-Identifier: Apache-2.0
/* Becoming a member through another one; and the look whether a manager answers at an address. */
#include <stdio.h>

#include "core/log.h"
#include "manager/raft_rpc_impl.h"
#include "wire/health.pb-c.h"
#include "wire/pb.h"

enum { JOIN_TRIES = 10, JOIN_RETRY_MS = 2000 };

/* --- health --- */

struct health_check {
	struct list_head node;
	struct loop *loop;
	struct grpc_channel *ch;
	struct grpc_stream *call;
	void (*done)(int rc, void *arg);
	void *arg;
};

static void free_check(void *arg)
{
	struct health_check *h = arg;

	grpc_channel_free(h->ch);
	free(h);
}

static void on_health(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	const Pb__HealthCheckResponse *r = reply;
	struct health_check *h = arg;
	int rc = 0;

	(void)text;
	h->call = NULL;
	list_del(&h->node);
	if (status != GRPC_OK)
		rc = -EHOSTUNREACH;
	else if (r->status != PB__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING)
		rc = -EAGAIN;
	/* not from inside a call of its own channel */
	loop_defer(h->loop, free_check, h);
	h->done(rc, h->arg);
}

struct health_check *health_check(struct raft_rpc *rpc, const char *addr, uint32_t timeout_ms,
				  void (*done)(int rc, void *arg), void *arg)
{
	Pb__HealthCheckRequest req = PB__HEALTH_CHECK_REQUEST__INIT;
	struct health_check *h = xcalloc(1, sizeof(*h));

	h->loop = rpc->loop;
	h->done = done;
	h->arg = arg;
	h->ch = raft_channel(rpc, addr);
	list_add_tail(&h->node, &rpc->checks);
	req.service = "Raft";
	h->call = grpc_unary(h->ch, HEALTH_CHECK, &req, &pb__health_check_response__descriptor,
			     timeout_ms, on_health, h);
	return h;
}

void health_check_cancel(struct health_check *h)
{
	if (!h)
		return;
	list_del(&h->node);
	if (h->call)
		grpc_stream_cancel(h->call);
	free_check(h);
}

/* --- join --- */

struct raft_join {
	struct list_head node;
	struct raft_rpc *rpc;
	char *node_id, *addr;
	struct grpc_channel *ch;
	struct grpc_stream *call;
	struct timer retry;
	int tries;
	void (*done)(const struct err *err, void *arg);
	void *arg;
};

static void free_join(void *arg)
{
	struct raft_join *j = arg;

	grpc_channel_free(j->ch);
	timer_done(&j->retry);
	free(j->node_id);
	free(j->addr);
	free(j);
}

static void end_join(struct raft_join *j, const struct err *err)
{
	list_del(&j->node);
	loop_defer(j->rpc->loop, free_join, j);
	j->done(err, j->arg);
}

static int begin(struct raft_join *j, const Pb__JoinResponse *r, struct err *err)
{
	_cleanup_free_ struct raftd_member *all = xcalloc(r->n_members + 1, sizeof(*all));

	if (raftd_id(j->rpc->raftd) == r->raft_id)
		return 0;
	for (size_t i = 0; i < r->n_members; i++) {
		const Pb__RaftMember *m = r->members[i];

		all[i] = (struct raftd_member){.raft_id = m->raft_id,
					       .node_id = m->node_id,
					       .addr = m->addr,
					       .fine_ticks = m->fine_ticks};
	}
	return raftd_joined(j->rpc->raftd, r->raft_id, j->node_id, j->addr, all, r->n_members,
			    r->removed_members, r->n_removed_members, err);
}

static void on_joined(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	struct raft_join *j = arg;
	struct err err = ERR_INIT;

	j->call = NULL;
	if (status == GRPC_OK) {
		end_join(j, begin(j, reply, &err) < 0 ? &err : NULL);
		return;
	}
	err_set(&err, grpc_errno_of_status(status),
		"the manager at %s did not make this node a member: %s", grpc_channel_addr(j->ch),
		text);
	/* certificate, membership: another try changes nothing; a leader that is missing may come */
	if (status == GRPC_PERMISSION_DENIED || status == GRPC_UNAUTHENTICATED ||
	    status == GRPC_INVALID_ARGUMENT || status == GRPC_UNIMPLEMENTED ||
	    ++j->tries >= JOIN_TRIES) {
		end_join(j, &err);
		return;
	}
	log_info("raft: %s; trying again", err.msg);
	timer_set(&j->retry, JOIN_RETRY_MS);
}

static void ask(void *arg)
{
	struct raft_join *j = arg;
	Pb__JoinRequest req = PB__JOIN_REQUEST__INIT;

	req.addr = j->addr;
	req.fine_ticks = true;
	j->call = grpc_unary(j->ch, MEMBERSHIP_PATH "Join", &req, &pb__join_response__descriptor,
			     JOIN_TIMEOUT_MS, on_joined, j);
}

struct raft_join *raft_rpc_join(struct raft_rpc *rpc, const char *remote, const char *node_id,
				const char *addr, void (*done)(const struct err *err, void *arg),
				void *arg)
{
	struct raft_join *j = xcalloc(1, sizeof(*j));

	j->rpc = rpc;
	j->node_id = xstrdup(node_id);
	j->addr = xstrdup(addr);
	j->done = done;
	j->arg = arg;
	j->ch = raft_channel(rpc, remote);
	timer_init(&j->retry, rpc->loop, ask, j);
	list_add_tail(&j->node, &rpc->joins);
	ask(j);
	return j;
}

void raft_join_cancel(struct raft_join *j)
{
	if (!j)
		return;
	list_del(&j->node);
	if (j->call)
		grpc_stream_cancel(j->call);
	free_join(j);
}

struct raft_join *raft_first_join(struct raft_rpc *rpc)
{
	return list_first(&rpc->joins, struct raft_join, node);
}
