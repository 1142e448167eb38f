// SPDX-License-Identifier: Apache-2.0
#include "api/store_call.h"

#include <errno.h>
#include <stdio.h>

static int rpc(struct err *err, int code, const char *name, const char *fmt, va_list ap)
{
	char text[900];

	vsnprintf(text, sizeof(text), fmt, ap);
	return err_set(err, code, "rpc error: code = %s desc = %s", name, text);
}

#define RPC_ERROR(fn, code, name)                                                                  \
	int fn(struct err *err, const char *fmt, ...)                                              \
	{                                                                                          \
		va_list ap;                                                                        \
		int rc;                                                                            \
                                                                                                   \
		va_start(ap, fmt);                                                                 \
		rc = rpc(err, code, name, fmt, ap);                                                \
		va_end(ap);                                                                        \
		return rc;                                                                         \
	}

RPC_ERROR(rpc_invalid, -EINVAL, "InvalidArgument")
RPC_ERROR(rpc_precondition, -EINVAL, "FailedPrecondition")
RPC_ERROR(rpc_exists, -EEXIST, "AlreadyExists")
RPC_ERROR(rpc_denied, -EPERM, "PermissionDenied")

int rpc_out_of_sequence(struct err *err)
{
	return err_set(err, -ESTALE, "rpc error: code = Unknown desc = update out of sequence");
}

struct store *store_call_store(struct api_call *call)
{
	struct err err = ERR_INIT;
	struct store *s;

	if (api_leader(call, call->body))
		return NULL;
	s = swarm_store_or_err(call->engine->swarm, &err);
	if (!s)
		api_reply_err(call, &err);
	return s;
}

void store_call_body(struct api_call *call, void (*fn)(struct api_call *call, json_t *body))
{
	if (store_call_store(call))
		api_body(call, fn);
}

const void *store_call_find(struct api_call *call, enum store_kind kind)
{
	struct store *s = store_call_store(call);
	struct err err = ERR_INIT;
	const void *obj = NULL;

	if (s && store_find(s, kind, call->param[0], &obj, &err))
		api_reply_err(call, &err);
	return obj;
}

int store_call_version(struct api_call *call, uint64_t *ret, struct err *err)
{
	const char *v = api_query(call, "version");

	if (str_empty(v) || parse_u64(v, 0, UINT64_MAX, ret))
		return err_set(err, -EINVAL,
			       "invalid swarm object version '%s': strconv.ParseUint: parsing "
			       "\"%s\": invalid syntax",
			       v ? v : "", v ? v : "");
	return 0;
}

int store_call_check_version(const struct store_call *c, const void *obj, struct err *err)
{
	return store_version(obj) == c->version ? 0 : rpc_out_of_sequence(err);
}

static int build(struct store_tx *tx, void *arg, struct err *err)
{
	struct store_call *c = arg;

	return c->build(c, tx, err);
}

static void done(const struct err *err, void *arg)
{
	struct store_call *c = arg;

	if (err)
		api_reply_err(c->call, err);
	else if (c->reply)
		api_reply(c->call, c->status, c->reply(c));
	else if (c->status == 201)
		api_reply(c->call, 201, json_pack("{s:s}", "ID", c->id));
	else
		api_reply(c->call, c->status, NULL);
	json_decref(c->warnings);
	pb_free(c->spec);
	free(c);
}

void store_call_run(const struct store_call *c)
{
	struct store_call *copy = xmemdup(c, sizeof(*c));

	if (!copy->status)
		copy->status = 200;
	swarm_write(c->call->engine->swarm, build, done, copy);
}
