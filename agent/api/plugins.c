// SPDX-License-Identifier: Apache-2.0
/* /plugins: managed plugins are not supported, so there are none. */
#include <errno.h>

#include "api/api.h"

static void list(struct api_call *call)
{
	api_reply(call, 200, json_array());
}

static void not_found(struct api_call *call)
{
	struct err err = ERR_INIT;

	err_set(&err, -ENOENT, "plugin \"%s\" not found", call->param[0]);
	api_reply_err(call, &err);
}

static void unsupported(struct api_call *call)
{
	struct err err = ERR_INIT;

	err_set(&err, -EOPNOTSUPP,
		"plugins are not supported: volumes, networks and logs have built-in drivers");
	api_reply_err(call, &err);
}

/* Of BuildKit and of websockets: clients fall back when they get this. */
static void no_session(struct api_call *call)
{
	struct err err = ERR_INIT;

	err_set(&err, -EOPNOTSUPP, "BuildKit's sessions are not served: set DOCKER_BUILDKIT=0");
	api_reply_err(call, &err);
}

static void no_websocket(struct api_call *call)
{
	struct ctr *c = api_ctr(call);
	struct err err = ERR_INIT;

	if (!c)
		return;
	err_set(&err, -EOPNOTSUPP,
		"attaching over a websocket is not supported: use POST /containers/%s/attach",
		call->param[0]);
	api_reply_err(call, &err);
}

static void no_cluster_volumes(struct api_call *call)
{
	struct err err = ERR_INIT;

	err_set(&err, -EOPNOTSUPP,
		"volumes of the cluster need a CSI plugin, which is not supported");
	api_reply_err(call, &err);
}

const struct api_route api_plugin_routes[] = {
	{"GET", "/plugins", list},
	{"GET", "/plugins/privileges", unsupported},
	{"POST", "/plugins/pull", unsupported},
	{"POST", "/plugins/create", unsupported},
	{"GET", "/plugins/{name...}/json", not_found},
	{"POST", "/plugins/{name...}/enable", not_found},
	{"POST", "/plugins/{name...}/disable", not_found},
	{"POST", "/plugins/{name...}/upgrade", not_found},
	{"POST", "/plugins/{name...}/push", not_found},
	{"POST", "/plugins/{name...}/set", not_found},
	{"DELETE", "/plugins/{name...}", not_found},
	{"POST", "/session", no_session},
	{"GET", "/containers/{name}/attach/ws", no_websocket},
	{"PUT", "/volumes/{name}", no_cluster_volumes},
	{0},
};
