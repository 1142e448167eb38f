// SPDX-License-Identifier: Apache-2.0
/*
 * What Docker has no words for, below /agent: the datapath as the kernel has it, raft, and why tasks
 * wait. swarmctl shows it. These routes are no part of the Engine API and have no version.
 */
#include <errno.h>

#include "api/api.h"
#include "datapath/dp.h"
#include "manager/swarm.h"
#include "net/net.h"
#include "store/store.h"
#include "wire/pb.h"

enum { FLOWS_DEFAULT = 1000, FLOWS_MAX = 1 << 20 };

static bool have_dp(struct api_call *call)
{
	struct err err = ERR_INIT;

	if (nets_dp(call->engine->nets))
		return true;
	err_set(&err, -EUNATCH, "no datapath is loaded on this node: it is part of no swarm");
	api_reply_err(call, &err);
	return false;
}

static void datapath(struct api_call *call)
{
	if (have_dp(call))
		api_reply(call, 200, dp_dump(nets_dp(call->engine->nets)));
}

static void flows(struct api_call *call)
{
	struct err err = ERR_INIT;
	int64_t max;

	if (!have_dp(call))
		return;
	if (api_query_i64(call, "max", FLOWS_DEFAULT, &max, &err) ||
	    ((max < 1 || max > FLOWS_MAX) &&
	     err_set(&err, -EINVAL, "invalid value for max: it is 1 to %d flows", FLOWS_MAX)))
		api_reply_err(call, &err);
	else
		api_reply(call, 200, dp_dump_flows(nets_dp(call->engine->nets), max));
}

static void stats(struct api_call *call)
{
	json_t *list = json_array();
	struct err err = ERR_INIT;
	struct dp_stats st;
	int rc;

	if (!have_dp(call)) {
		json_decref(list);
		return;
	}
	rc = dp_stats(nets_dp(call->engine->nets), &st);
	if (rc) {
		json_decref(list);
		err_errno(&err, rc, "the datapath's counters cannot be read");
		api_reply_err(call, &err);
		return;
	}
	for (int i = 0; i < SW_REASON_COUNT; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "reason",
						      dp_reason_name(i), "text", dp_reason(i),
						      "packets", (json_int_t)st.packets[i], "bytes",
						      (json_int_t)st.bytes[i]));
	api_reply(call, 200, list);
}

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
	{"GET", "/agent/datapath", datapath},	 {"GET", "/agent/datapath/flows", flows},
	{"GET", "/agent/datapath/stats", stats}, {"GET", "/agent/raft", raft},
	{"GET", "/agent/pending", pending},	 {NULL, NULL, NULL},
};
