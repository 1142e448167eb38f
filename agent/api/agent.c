// SPDX-License-Identifier: Apache-2.0
/*
 * What Docker has no words for, below /agent: raft, and why tasks wait; the datapath is in
 * datapath.c. swarmctl shows it. These routes are no part of the Engine API and have no version.
 */
#include <errno.h>

#include "api/api.h"
#include "manager/swarm.h"
#include "store/store.h"
#include "wire/pb.h"

static void raft(struct api_call *call)
{
	struct err err = ERR_INIT;
	json_t *status = swarm_raft_status(call->engine->swarm);

	if (status) {
		api_reply(call, 200, status);
		return;
	}
	err_set(&err, -EUNATCH, "this node is no manager of a swarm, so it has no raft log");
	api_reply_err(call, &err);
}

/* Tasks that wait for a node, with the scheduler's reason. */
static void pending(struct api_call *call)
{
	struct err err = ERR_INIT;
	struct store *store = swarm_store_or_err(call->engine->swarm, &err);
	struct store_iter it;
	const Pb__Task *t;
	json_t *list;

	if (!store) {
		api_reply_err(call, &err);
		return;
	}
	list = json_array();
	it = store_tasks_of_node(store, "");
	while ((t = store_next(&it))) {
		const Pb__TaskStatus *st = t->status;

		if (t->desired_state > PB__TASK_STATE__RUNNING)
			continue;
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:I, s:s}", "task", t->id, "service",
					t->service_annotations ? t->service_annotations->name : "",
					"slot", (json_int_t)t->slot, "reason",
					st && !str_empty(st->err) ? st->err
					: st			  ? st->message
								  : ""));
	}
	api_reply(call, 200, list);
}

const struct api_route api_agent_routes[] = {
	{"GET", "/agent/raft", raft},
	{"GET", "/agent/pending", pending},
	{NULL, NULL, NULL},
};
