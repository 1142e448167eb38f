// SPDX-License-Identifier: Apache-2.0
/* docker exec. */
#include "ctr/exec.h"

#include <errno.h>
#include <event2/bufferevent.h>

#include "api/api.h"
#include "ctr/ctr.h"

static void create_with(struct api_call *call, json_t *body)
{
	struct ctr *c = api_ctr(call);
	struct err err = ERR_INIT;
	struct exec *e;

	if (!c)
		return;
	if (!body) {
		api_need_body(body, &err);
		api_reply_err(call, &err);
		return;
	}
	if (exec_create(c, body, &e, &err)) {
		api_reply_err(call, &err);
		return;
	}
	api_reply(call, 201, json_pack("{s:s}", "Id", exec_id(e)));
}

static void create(struct api_call *call)
{
	api_body(call, create_with);
}

static struct exec *find(struct api_call *call)
{
	struct err err = ERR_INIT;
	struct exec *e = exec_find(call->engine->ctrs, call->param[0], &err);

	if (!e)
		api_reply_err(call, &err);
	return e;
}

static void inspect(struct api_call *call)
{
	struct exec *e = find(call);

	if (e)
		api_reply(call, 200, exec_inspect(e));
}

static void on_detached(const struct err *err, void *arg)
{
	api_done(arg, 200, err);
}

static void start_with(struct api_call *call, json_t *body)
{
	struct exec *e = find(call);
	bool detach = json_is_true(json_object_get(body, "Detach")),
	     tty = json_is_true(json_object_get(body, "Tty"));
	struct err err = ERR_INIT;
	struct bufferevent *client;
	json_t *now;

	if (!e)
		return;
	now = exec_inspect(e);
	if (json_is_true(json_object_get(now, "Running")))
		err_set(&err, -EBUSY, "Error: Exec command %s is already running", exec_id(e));
	else if (json_is_integer(json_object_get(now, "ExitCode")))
		err_set(&err, -EBUSY, "Error: Exec command %s has already run", exec_id(e));
	json_decref(now);
	if (err.code) {
		api_reply_err(call, &err);
		return;
	}
	if (detach) {
		exec_start(e, NULL, tty, on_detached, call);
		return;
	}
	client = http_hijack(call->req, api_stream_type(call, tty));
	/* a client that went is no reason to run nothing: it asked for it */
	exec_start(e, client, tty, NULL, NULL);
	api_call_free(call);
}

static void start(struct api_call *call)
{
	api_body(call, start_with);
}

static void resize(struct api_call *call)
{
	struct exec *e = find(call);
	struct err err = ERR_INIT;
	unsigned int h = 0, w = 0;
	int rc;

	if (!e)
		return;
	rc = api_query_size(call, &h, &w, &err);
	if (!rc)
		rc = exec_resize(e, h, w, &err);
	api_done(call, 200, rc ? &err : NULL);
}

const struct api_route api_exec_routes[] = {
	{"POST", "/containers/{name}/exec", create},
	{"POST", "/exec/{id}/start", start},
	{"POST", "/exec/{id}/resize", resize},
	{"GET", "/exec/{id}/json", inspect},
	{0},
};
