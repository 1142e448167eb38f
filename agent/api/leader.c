// SPDX-License-Identifier: Apache-2.0
/*
 * Requests for the swarm's objects: those that reach a manager that does not lead are the leader's to
 * answer, and what is read is current (linearizable), or refused without a quorum.
 */
#include "api/api.h"
#include "manager/swarm.h"

bool api_leader(struct api_call *call, json_t *body)
{
	struct swarm *swarm = call->engine->swarm;
	struct err err = ERR_INIT;
	char *text = NULL;
	int fd;

	if (!swarm || !swarm_is_manager(swarm) || swarm_state(swarm) != SWARM_ACTIVE ||
	    swarm_is_leader(swarm))
		return false;
	if (swarm_leader_connect(swarm, &fd, &err)) {
		api_reply_err(call, &err);
		return true;
	}
	if (body)
		text = json_dumps(body, JSON_COMPACT);
	http_relay(call->req, fd, text, text ? strlen(text) : 0);
	free(text);
	api_call_free(call);
	return true;
}

struct read {
	struct api_call *call;
	void (*fn)(struct api_call *call);
	bool strict;
};

static void on_barrier(const struct err *err, void *arg)
{
	struct read *r = arg;
	struct api_call *call = r->call;

	if (err && r->strict) {
		api_reply_err(call, err);
	} else {
		call->no_quorum = err != NULL;
		r->fn(call);
	}
	free(r);
}

void api_read_current(struct api_call *call, void (*fn)(struct api_call *call), bool strict)
{
	struct swarm *swarm = call->engine->swarm;
	struct read *r;

	if (!swarm || !swarm_store(swarm)) {
		fn(call);
		return;
	}
	r = xcalloc(1, sizeof(*r));
	r->call = call;
	r->fn = fn;
	r->strict = strict;
	swarm_barrier(swarm, on_barrier, r);
}
