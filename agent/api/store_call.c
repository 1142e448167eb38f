// SPDX-License-Identifier: Apache-2.0
#include "api/store_call.h"

#include <errno.h>

struct store *store_call_store(struct api_call *call)
{
	struct err err = ERR_INIT;
	struct store *s = swarm_store_or_err(call->engine->swarm, &err);

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

int store_call_version(struct api_call *call, Pb__Version **ret, struct err *err)
{
	const char *v = api_query(call, "version");
	uint64_t index;

	if (str_empty(v) || parse_u64(v, 0, UINT64_MAX, &index))
		return err_set(err, -EINVAL,
			       "invalid swarm object version '%s': strconv.ParseUint: parsing "
			       "\"%s\": invalid syntax",
			       v ? v : "", v ? v : "");
	pb_need(ret, pb__version)->index = index;
	return 0;
}

/* Every Update…Request begins as this one. */
void *store_call_update(struct api_call *call, enum store_kind kind,
			const ProtobufCMessageDescriptor *desc)
{
	const void *obj = store_call_find(call, kind);
	Pb__UpdateServiceRequest *r;
	struct err err = ERR_INIT;

	if (!obj)
		return NULL;
	r = pb_new_desc(desc);
	pb_set_str(&r->id, store_id(obj));
	if (!store_call_version(call, &r->version, &err))
		return r;
	pb_free(r);
	api_reply_err(call, &err);
	return NULL;
}

void store_call_remove(struct api_call *call, enum store_kind kind, const char *method, bool force,
		       int status)
{
	const void *obj = store_call_find(call, kind);
	Pb__ObjectRequest *r;

	if (!obj)
		return;
	r = pb_new(pb__object_request);
	pb_set_str(&r->id, store_id(obj));
	r->flag = force;
	store_call_run(call, method, r, status, NULL);
}

struct run {
	struct api_call *call;
	int status;
	json_t *(*reply)(const void *reply);
};

/* Every reply with an object has it where this one has. */
const void *store_call_object(const void *reply)
{
	return ((const Pb__ServiceReply *)reply)->service;
}

static bool lacks_object(const void *reply)
{
	const ProtobufCMessageDescriptor *d = ((const ProtobufCMessage *)reply)->descriptor;

	return d->n_fields && !store_call_object(reply);
}

static void done(const struct err *err, const void *reply, void *arg)
{
	struct run *r = arg;
	struct err bad = ERR_INIT;

	if (!err && lacks_object(reply)) {
		err_set(&bad, -EIO, "the leader's reply lacks the object");
		err = &bad;
	}
	if (err)
		api_reply_err(r->call, err);
	else if (r->reply)
		api_reply(r->call, r->status, r->reply(reply));
	else if (r->status == 201)
		api_reply(r->call, 201,
			  json_pack("{s:s}", "ID", store_id(store_call_object(reply))));
	else
		api_reply(r->call, r->status, NULL);
	free(r);
}

void store_call_run(struct api_call *call, const char *method, void *request, int status,
		    json_t *(*reply)(const void *reply))
{
	struct run *r = xmalloc(sizeof(*r));

	*r = (struct run){call, status, reply};
	swarm_control(call->engine->swarm, method, request, done, r);
}
