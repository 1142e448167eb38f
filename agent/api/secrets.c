// SPDX-License-Identifier: Apache-2.0
/* /secrets and /configs. */
#include <errno.h>

#include "api/check.h"
#include "api/conv.h"
#include "api/store_call.h"

enum { SECRET_MAX = 500 * 1024, CONFIG_MAX = 1000 * 1024 };

static const char *const list_filters[] = {"id", "label", "name", "names", NULL};

static json_t *show(enum store_kind kind, const void *obj)
{
	return kind == STORE_SECRET ? conv_secret(obj) : conv_config(obj);
}

static const Pb__Annotations *annotations(enum store_kind kind, const void *obj)
{
	return kind == STORE_SECRET ? ((const Pb__Secret *)obj)->spec->annotations
				    : ((const Pb__Config *)obj)->spec->annotations;
}

static bool matches(const struct filters *f, enum store_kind kind, const void *obj)
{
	const Pb__Annotations *a = annotations(kind, obj);
	json_t *labels;
	bool ok;

	if (!filters_match_prefix(f, "id", store_id(obj)) ||
	    !filters_match_prefix(f, "name", store_name(obj)) ||
	    !filters_match(f, "names", store_name(obj)))
		return false;
	if (!filters_has(f, "label"))
		return true;
	labels = json_write(&json_annotations, a);
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
		    matches(f, kind, obj))
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

/* --- create --- */

static int taken(struct store_tx *tx, enum store_kind kind, const Pb__Annotations *a,
		 struct err *err)
{
	if (store_find_name(store_tx_store(tx), kind, a->name))
		return rpc_exists(err, "%s %s already exists", store_kind_name(kind), a->name);
	return 0;
}

static int build_secret(struct store_call *c, struct store_tx *tx, struct err *err)
{
	Pb__Secret *secret;
	int rc = taken(tx, STORE_SECRET, ((Pb__SecretSpec *)c->spec)->annotations, err);

	if (rc)
		return rc;
	secret = pb_new(pb__secret);
	pb_set_str(&secret->id, c->id);
	secret->spec = pb_clone(c->spec);
	return store_tx_create(tx, secret, err);
}

static int build_config(struct store_call *c, struct store_tx *tx, struct err *err)
{
	Pb__Config *config;
	int rc = taken(tx, STORE_CONFIG, ((Pb__ConfigSpec *)c->spec)->annotations, err);

	if (rc)
		return rc;
	config = pb_new(pb__config);
	pb_set_str(&config->id, c->id);
	config->spec = pb_clone(c->spec);
	return store_tx_create(tx, config, err);
}

static int check_templating(const Pb__Driver *t, struct err *err)
{
	if (t && strcmp(t->name, "golang"))
		return rpc_invalid(err, "unknown template driver: \"%s\"", t->name);
	return 0;
}

static int read_secret(json_t *body, Pb__SecretSpec **ret, struct err *err)
{
	Pb__SecretSpec *s;
	int rc = json_read(&json_secret_spec, "SecretSpec", body, ret, err);

	if (rc)
		return rc;
	s = *ret;
	rc = check_file_name(s->annotations, err);
	if (!rc && s->driver)
		rc = err_set(err, -EOPNOTSUPP,
			     "secret drivers are plugins, which are not supported");
	if (!rc)
		rc = check_templating(s->templating, err);
	if (!rc && (!s->data.len || s->data.len >= SECRET_MAX))
		rc = rpc_invalid(err, "secret data must be larger than 0 and less than %d bytes",
				 SECRET_MAX);
	return rc;
}

static int read_config(json_t *body, Pb__ConfigSpec **ret, struct err *err)
{
	Pb__ConfigSpec *s;
	int rc = json_read(&json_config_spec, "ConfigSpec", body, ret, err);

	if (rc)
		return rc;
	s = *ret;
	rc = check_file_name(s->annotations, err);
	if (!rc)
		rc = check_templating(s->templating, err);
	if (!rc && (!s->data.len || s->data.len >= CONFIG_MAX))
		rc = rpc_invalid(err, "config data must be larger than 0 and less than %d bytes",
				 CONFIG_MAX);
	return rc;
}

static void create(struct api_call *call, enum store_kind kind, json_t *body)
{
	struct store_call c = {
		.call = call,
		.build = kind == STORE_SECRET ? build_secret : build_config,
		.status = 201,
	};
	struct err err = ERR_INIT;
	int rc;

	if (!store_call_store(call))
		return;
	if (!body)
		rc = api_need_body(body, &err);
	else if (kind == STORE_SECRET)
		rc = read_secret(body, (Pb__SecretSpec **)&c.spec, &err);
	else
		rc = read_config(body, (Pb__ConfigSpec **)&c.spec, &err);
	if (rc) {
		pb_free(c.spec);
		api_reply_err(call, &err);
		return;
	}
	id_new(swarm_rng(call->engine->swarm), c.id);
	store_call_run(&c);
}

/* --- update: only labels may change --- */

static int replace_labels(struct store_call *c, const Pb__Annotations *old,
			  const Pb__Annotations *new, bool same_data, Pb__Annotations **ret,
			  const char *what, struct err *err)
{
	(void)c;
	if (!same_data || (new && !str_empty(new->name) && strcmp(new->name, old->name)))
		return rpc_invalid(err, "only updates to Labels are allowed for a %s", what);
	*ret = new ? pb_clone(new) : pb_new(pb__annotations);
	pb_set_str(&(*ret)->name, old->name);
	return 0;
}

static int build_secret_update(struct store_call *c, struct store_tx *tx, struct err *err)
{
	const Pb__Secret *old = store_secret(store_tx_store(tx), c->id);
	const Pb__SecretSpec *spec = c->spec;
	Pb__Annotations *labels;
	Pb__Secret *secret;
	bool same;
	int rc;

	if (!old)
		return err_set(err, -ENOENT, "secret %s not found", c->id);
	rc = store_call_check_version(c, old, err);
	if (rc)
		return rc;
	same = !spec->data.len || (spec->data.len == old->spec->data.len &&
				   !memcmp(spec->data.data, old->spec->data.data, spec->data.len));
	rc = replace_labels(c, old->spec->annotations, spec->annotations, same, &labels, "secret",
			    err);
	if (rc)
		return rc;
	secret = pb_clone(old);
	pb_free(secret->spec->annotations);
	secret->spec->annotations = labels;
	return store_tx_update(tx, secret, err);
}

static int build_config_update(struct store_call *c, struct store_tx *tx, struct err *err)
{
	const Pb__Config *old = store_config(store_tx_store(tx), c->id);
	const Pb__ConfigSpec *spec = c->spec;
	Pb__Annotations *labels;
	Pb__Config *config;
	bool same;
	int rc;

	if (!old)
		return err_set(err, -ENOENT, "config %s not found", c->id);
	rc = store_call_check_version(c, old, err);
	if (rc)
		return rc;
	same = !spec->data.len || (spec->data.len == old->spec->data.len &&
				   !memcmp(spec->data.data, old->spec->data.data, spec->data.len));
	rc = replace_labels(c, old->spec->annotations, spec->annotations, same, &labels, "config",
			    err);
	if (rc)
		return rc;
	config = pb_clone(old);
	pb_free(config->spec->annotations);
	config->spec->annotations = labels;
	return store_tx_update(tx, config, err);
}

static void update(struct api_call *call, enum store_kind kind, json_t *body)
{
	struct store_call c = {
		.call = call,
		.build = kind == STORE_SECRET ? build_secret_update : build_config_update,
	};
	struct err err = ERR_INIT;
	const void *obj = store_call_find(call, kind);
	int rc;

	if (!obj)
		return;
	strcpy(c.id, store_id(obj));
	rc = store_call_version(call, &c.version, &err);
	if (!rc)
		rc = api_need_body(body, &err);
	if (!rc)
		rc = json_read(kind == STORE_SECRET ? &json_secret_spec : &json_config_spec,
			       kind == STORE_SECRET ? "SecretSpec" : "ConfigSpec", body, &c.spec,
			       &err);
	if (rc)
		api_reply_err(call, &err);
	else
		store_call_run(&c);
}

/* --- remove --- */

static int build_secret_remove(struct store_call *c, struct store_tx *tx, struct err *err)
{
	struct store *s = store_tx_store(tx);
	const Pb__Service *user = check_secret_user(s, c->id);
	const Pb__Secret *secret = store_secret(s, c->id);

	if (!secret)
		return err_set(err, -ENOENT, "secret %s not found", c->id);
	if (user)
		return rpc_invalid(err, "secret '%s' is in use by the following service: %s",
				   store_name(secret), store_name(user));
	return store_tx_remove(tx, STORE_SECRET, c->id, err);
}

static int build_config_remove(struct store_call *c, struct store_tx *tx, struct err *err)
{
	struct store *s = store_tx_store(tx);
	const Pb__Service *user = check_config_user(s, c->id);
	const Pb__Config *config = store_config(s, c->id);

	if (!config)
		return err_set(err, -ENOENT, "config %s not found", c->id);
	if (user)
		return rpc_invalid(err, "config '%s' is in use by the following service: %s",
				   store_name(config), store_name(user));
	return store_tx_remove(tx, STORE_CONFIG, c->id, err);
}

static void remove_one(struct api_call *call, enum store_kind kind)
{
	struct store_call c = {
		.call = call,
		.build = kind == STORE_SECRET ? build_secret_remove : build_config_remove,
		.status = 204,
	};
	const void *obj = store_call_find(call, kind);

	if (!obj)
		return;
	strcpy(c.id, store_id(obj));
	store_call_run(&c);
}

/* --- the routes of each --- */

static void list_secrets(struct api_call *call)
{
	list(call, STORE_SECRET);
}

static void inspect_secret(struct api_call *call)
{
	inspect(call, STORE_SECRET);
}

static void create_secret_with(struct api_call *call, json_t *body)
{
	create(call, STORE_SECRET, body);
}

static void create_secret(struct api_call *call)
{
	store_call_body(call, create_secret_with);
}

static void update_secret_with(struct api_call *call, json_t *body)
{
	update(call, STORE_SECRET, body);
}

static void update_secret(struct api_call *call)
{
	store_call_body(call, update_secret_with);
}

static void remove_secret(struct api_call *call)
{
	remove_one(call, STORE_SECRET);
}

static void list_configs(struct api_call *call)
{
	list(call, STORE_CONFIG);
}

static void inspect_config(struct api_call *call)
{
	inspect(call, STORE_CONFIG);
}

static void create_config_with(struct api_call *call, json_t *body)
{
	create(call, STORE_CONFIG, body);
}

static void create_config(struct api_call *call)
{
	store_call_body(call, create_config_with);
}

static void update_config_with(struct api_call *call, json_t *body)
{
	update(call, STORE_CONFIG, body);
}

static void update_config(struct api_call *call)
{
	store_call_body(call, update_config_with);
}

static void remove_config(struct api_call *call)
{
	remove_one(call, STORE_CONFIG);
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
