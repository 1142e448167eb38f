// SPDX-License-Identifier: Apache-2.0
/*
 * Requests for the swarm's objects: what is read is current (linearizable), whether the manager leads
 * or follows, or refused without a quorum.
 */
#include "api/api.h"
#include "manager/swarm.h"

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
