// SPDX-License-Identifier: Apache-2.0
/* /secrets and /configs. */
#include "api/conv.h"
#include "api/store_call.h"

static const char *const list_filters[] = {"id", "label", "name", "names", NULL};

static json_t *show(enum store_kind kind, const void *obj)
{
	return kind == STORE_SECRET ? conv_secret(obj) : conv_config(obj);
}

static bool matches(const struct filters *f, const void *obj)
{
	json_t *labels;
	bool ok;

	if (!filters_match_prefix(f, "id", store_id(obj)) ||
	    !filters_match_prefix(f, "name", store_name(obj)) ||
	    !filters_match(f, "names", store_name(obj)))
		return false;
	if (!filters_has(f, "label"))
		return true;
	labels = json_write(&json_annotations, store_annotations(obj));
	ok = filters_match_labels(f, "label", json_object_get(labels, "Labels"));
	json_decref(labels);
	return ok;
}

static void list(struct api_call *call, enum store_kind kind)
{
	struct store *s = store_call_store(call);
	struct filters *f = NULL;
	struct err err = ERR_INIT;
	const void *obj;
	json_t *out;

	if (!s)
		return;
	if (api_filters(call, list_filters, &f, &err)) {
		api_reply_err(call, &err);
		return;
	}
	out = json_array();
	for (struct store_iter i = store_all(s, kind); (obj = store_next(&i));)
		if ((kind != STORE_SECRET || !((const Pb__Secret *)obj)->internal) &&
		    matches(f, obj))
			json_array_append_new(out, show(kind, obj));
	filters_free(f);
	api_reply(call, 200, out);
}

static void inspect(struct api_call *call, enum store_kind kind)
{
	const void *obj = store_call_find(call, kind);

	if (obj)
		api_reply(call, 200, show(kind, obj));
}

/* --- change --- */

/* A request that is given the spec, with it or an error. */
static void run(struct api_call *call, const char *method, void *request, json_t *body,
		const struct json_table *table, const char *what, void *ret_spec, int status)
{
	struct err err = ERR_INIT;
	int rc = api_need_body(body, &err);

	if (!rc)
		rc = json_read(table, what, body, ret_spec, &err);
	if (rc) {
		pb_free(request);
		api_reply_err(call, &err);
		return;
	}
	store_call_run(call, method, request, status, NULL);
}

static void create_secret_with(struct api_call *call, json_t *body)
{
	Pb__CreateSecretRequest *r = pb_new(pb__create_secret_request);

	run(call, "CreateSecret", r, body, &json_secret_spec, "SecretSpec", &r->spec, 201);
}

static void create_secret(struct api_call *call)
{
	store_call_body(call, create_secret_with);
}

static void create_config_with(struct api_call *call, json_t *body)
{
	Pb__CreateConfigRequest *r = pb_new(pb__create_config_request);

	run(call, "CreateConfig", r, body, &json_config_spec, "ConfigSpec", &r->spec, 201);
}

static void create_config(struct api_call *call)
{
	store_call_body(call, create_config_with);
}

static void update_secret_with(struct api_call *call, json_t *body)
{
	Pb__UpdateSecretRequest *r =
		store_call_update(call, STORE_SECRET, &pb__update_secret_request__descriptor);

	if (r)
		run(call, "UpdateSecret", r, body, &json_secret_spec, "SecretSpec", &r->spec, 200);
}

static void update_secret(struct api_call *call)
{
	store_call_body(call, update_secret_with);
}

static void update_config_with(struct api_call *call, json_t *body)
{
	Pb__UpdateConfigRequest *r =
		store_call_update(call, STORE_CONFIG, &pb__update_config_request__descriptor);

	if (r)
		run(call, "UpdateConfig", r, body, &json_config_spec, "ConfigSpec", &r->spec, 200);
}

static void update_config(struct api_call *call)
{
	store_call_body(call, update_config_with);
}

static void remove_secret(struct api_call *call)
{
	store_call_remove(call, STORE_SECRET, "RemoveSecret", false, 204);
}

static void remove_config(struct api_call *call)
{
	store_call_remove(call, STORE_CONFIG, "RemoveConfig", false, 204);
}

/* --- read --- */

static void list_secrets(struct api_call *call)
{
	list(call, STORE_SECRET);
}

static void inspect_secret(struct api_call *call)
{
	inspect(call, STORE_SECRET);
}

static void list_configs(struct api_call *call)
{
	list(call, STORE_CONFIG);
}

static void inspect_config(struct api_call *call)
{
	inspect(call, STORE_CONFIG);
}

const struct api_route api_secret_routes[] = {
	{"GET", "/secrets", list_secrets},	    {"POST", "/secrets/create", create_secret},
	{"GET", "/secrets/{id}", inspect_secret},   {"POST", "/secrets/{id}/update", update_secret},
	{"DELETE", "/secrets/{id}", remove_secret}, {0},
};

const struct api_route api_config_routes[] = {
	{"GET", "/configs", list_configs},	    {"POST", "/configs/create", create_config},
	{"GET", "/configs/{id}", inspect_config},   {"POST", "/configs/{id}/update", update_config},
	{"DELETE", "/configs/{id}", remove_config}, {0},
};
