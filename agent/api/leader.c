// SPDX-License-Identifier: Apache-2.0
/* Requests for the swarm's objects that reach a manager that does not lead: the leader answers. */
#include "api/api.h"
#include "manager/swarm.h"

bool api_leader(struct api_call *call, json_t *body)
{
	struct swarm *swarm = call->engine->swarm;
	struct err err = ERR_INIT;
	char *text = NULL;
	int fd;

	if (!swarm || !swarm_is_manager(swarm) || swarm_state(swarm) != SWARM_ACTIVE || swarm_is_leader(swarm))
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
