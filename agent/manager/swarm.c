// SPDX-License-Identifier: Apache-2.0
#include "manager/swarm.h"

#include <errno.h>

#include "loop/loop.h"
#include "manager/control.h"
#include "manager/swarm_impl.h"
#include "wire/pb.h"

static const char *const state_names[] = {"inactive", "pending", "active", "error", "locked"};

enum swarm_state swarm_state(const struct swarm *s)
{
	return s->status;
}

const char *swarm_state_name(const struct swarm *s)
{
	return state_names[s->status];
}

const char *swarm_error(const struct swarm *s)
{
	return s->error ? s->error : "";
}

bool swarm_is_manager(const struct swarm *s)
{
	return s->manager;
}

bool swarm_is_leader(const struct swarm *s)
{
	return s->manager && manager_leads(s->manager);
}

const char *swarm_node_id(const struct swarm *s)
{
	return s->node_id ? s->node_id : "";
}

const char *swarm_node_addr(const struct swarm *s)
{
	return s->advertise_ip;
}

json_t *swarm_remote_managers(const struct swarm *s)
{
	json_t *out = json_array(), *m;
	size_t i;

	json_array_foreach (s->state.managers, i, m)
		json_array_append_new(out, json_pack("{s:O, s:O}", "NodeID",
						     json_object_get(m, "node_id"), "Addr",
						     json_object_get(m, "addr")));
	return out;
}

struct store *swarm_store(struct swarm *s)
{
	return s->manager && s->status == SWARM_ACTIVE && manager_has_leader(s->manager)
		       ? manager_store(s->manager)
		       : NULL;
}

struct barrier {
	swarm_done done;
	void *arg;
};

static void on_barrier(int rc, void *arg)
{
	struct barrier *b = arg;
	struct err err = ERR_INIT;

	if (rc)
		err_set(&err, -EIO, "%s", swarm_no_leader);
	b->done(rc ? &err : NULL, b->arg);
	free(b);
}

static void pass_barrier(void *arg)
{
	on_barrier(0, arg);
}

void swarm_barrier(struct swarm *s, swarm_done done, void *arg)
{
	struct barrier *b = xcalloc(1, sizeof(*b));

	b->done = done;
	b->arg = arg;
	if (swarm_store(s))
		manager_barrier(s->manager, on_barrier, b);
	else
		loop_defer(s->opt.loop, pass_barrier, b);
}

struct logbroker *swarm_logbroker(struct swarm *s)
{
	return s->manager ? manager_logbroker(s->manager) : NULL;
}

struct store *swarm_store_or_err(struct swarm *s, struct err *err)
{
	struct store *store = swarm_store(s);

	if (store)
		return store;
	if (s->status == SWARM_LOCKED)
		err_set(err, -EUNATCH, "%s", swarm_locked);
	else if (s->status == SWARM_INACTIVE)
		err_set(err, -EUNATCH,
			"This node is not a swarm manager. Use \"docker swarm init\" or \"docker "
			"swarm join\" to "
			"connect this node to swarm and try again.");
	else if (s->manager)
		err_set(err, -EIO, "%s", swarm_no_leader);
	else
		err_set(err, -EUNATCH,
			"This node is not a swarm manager. Worker nodes can't be used to view or "
			"modify cluster "
			"state. Please run this command on a manager node or promote the current "
			"node to a "
			"manager.");
	return NULL;
}

struct no_control {
	control_done done;
	void *arg;
};

static void on_no_control(const struct err *err, void *arg)
{
	struct no_control *n = arg;

	n->done(err, NULL, n->arg);
	free(n);
}

void swarm_control(struct swarm *s, const char *method, void *request, control_done done, void *arg)
{
	struct no_control *n;

	if (s->manager) {
		control_call(manager_control(s->manager), method, request, done, arg);
		return;
	}
	pb_free(request);
	n = xmalloc(sizeof(*n));
	*n = (struct no_control){done, arg};
	swarm_answer_later(s, on_no_control, n, -EUNATCH, "This node is not a swarm manager.");
}

bool swarm_member(struct swarm *s, const char *node_id, struct swarm_member *ret)
{
	return s->manager && manager_member(s->manager, node_id, ret);
}

json_t *swarm_raft_status(struct swarm *s)
{
	return s->manager ? manager_raft_status(s->manager) : NULL;
}

void swarm_answer_later(struct swarm *s, swarm_done done, void *arg, int code, const char *fmt, ...)
{
	struct err err = {.code = code};
	va_list ap;

	if (!done)
		return;
	va_start(ap, fmt);
	vsnprintf(err.msg, sizeof(err.msg), fmt, ap);
	va_end(ap);
	loop_answer(s->opt.loop, done, &err, arg);
}
