// SPDX-License-Identifier: Apache-2.0
/* Secrets and configs. Source: swarmkit manager/controlapi/{secret,config}.go. */
#include "manager/control_impl.h"

/* --- create --- */

static int check_secret(void *request, struct err *err)
{
	Pb__CreateSecretRequest *r = request;

	return r->spec ? check_secret_spec(r->spec, err) : control_no_argument(err);
}

static int check_config(void *request, struct err *err)
{
	Pb__CreateConfigRequest *r = request;

	return r->spec ? check_config_spec(r->spec, err) : control_no_argument(err);
}

/* Stage a new secret or config, which is stolen. */
static int create(struct control_job *job, struct store_tx *tx, void *obj, struct err *err)
{
	const char *name = store_name(obj);
	int rc;

	if (!store_find_name(store_tx_store(tx), job->method->kind, name))
		return control_stage(job, tx, obj, err);
	rc = grpc_err(err, GRPC_ALREADY_EXISTS, "%s %s already exists",
		      store_kind_name(job->method->kind), name);
	pb_free(obj);
	return rc;
}

static int create_secret(struct control_job *job, struct store_tx *tx, struct err *err)
{
	Pb__Secret *s = pb_new(pb__secret);

	s->spec = pb_clone(((Pb__CreateSecretRequest *)job->request)->spec);
	return create(job, tx, s, err);
}

static int create_config(struct control_job *job, struct store_tx *tx, struct err *err)
{
	Pb__Config *c = pb_new(pb__config);

	c->spec = pb_clone(((Pb__CreateConfigRequest *)job->request)->spec);
	return create(job, tx, c, err);
}

/* --- update: only labels may change --- */

/* One without data, as clients are shown it, is the same. */
static bool same(const ProtobufCBinaryData *new, const ProtobufCBinaryData *old)
{
	return !new->len || (new->len == old->len && !memcmp(new->data, old->data, new->len));
}

/* The parts of a secret's or config's spec that are told apart; a spec that is missing is made. */
static Pb__Annotations **parts_of(enum store_kind kind, void *obj,
				  const ProtobufCBinaryData **ret_data)
{
	if (kind == STORE_SECRET) {
		Pb__SecretSpec *spec = pb_need(&((Pb__Secret *)obj)->spec, pb__secret_spec);

		*ret_data = &spec->data;
		return &spec->annotations;
	}
	Pb__ConfigSpec *spec = pb_need(&((Pb__Config *)obj)->spec, pb__config_spec);

	*ret_data = &spec->data;
	return &spec->annotations;
}

static int update(struct control_job *job, struct store_tx *tx, const char *id,
		  const Pb__Version *version, const Pb__Annotations *new,
		  const ProtobufCBinaryData *data, struct err *err)
{
	const ProtobufCBinaryData *old_data;
	Pb__Annotations **field, *before;
	const void *old;
	void *obj;
	int rc = control_find_version(job, id, version, &old, err);

	if (rc)
		return rc;
	obj = pb_clone(old);
	field = parts_of(job->method->kind, obj, &old_data);
	before = pb_need(field, pb__annotations);
	if (!same(data, old_data) ||
	    (new && !str_empty(new->name) && strcmp(new->name, before->name))) {
		pb_free(obj);
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"only updates to Labels are allowed for a %s",
				store_kind_name(job->method->kind));
	}
	*field = new ? pb_clone(new) : pb_new(pb__annotations);
	pb_set_str(&(*field)->name, before->name);
	pb_free(before);
	return control_stage(job, tx, obj, err);
}

static int check_update_secret(void *request, struct err *err)
{
	return ((Pb__UpdateSecretRequest *)request)->spec ? 0 : control_no_argument(err);
}

static int check_update_config(void *request, struct err *err)
{
	return ((Pb__UpdateConfigRequest *)request)->spec ? 0 : control_no_argument(err);
}

static int update_secret(struct control_job *job, struct store_tx *tx, struct err *err)
{
	const Pb__UpdateSecretRequest *r = job->request;

	return update(job, tx, r->id, r->version, r->spec->annotations, &r->spec->data, err);
}

static int update_config(struct control_job *job, struct store_tx *tx, struct err *err)
{
	const Pb__UpdateConfigRequest *r = job->request;

	return update(job, tx, r->id, r->version, r->spec->annotations, &r->spec->data, err);
}

/* --- remove --- */

static int remove_file(struct control_job *job, struct store_tx *tx, struct err *err)
{
	const Pb__ObjectRequest *r = job->request;
	struct store *s = store_tx_store(tx);
	enum store_kind kind = job->method->kind;
	const Pb__Service *user;
	const void *obj;
	int rc = control_find(job, r->id, &obj, err);

	if (rc)
		return rc;
	user = kind == STORE_SECRET ? check_secret_user(s, r->id) : check_config_user(s, r->id);
	if (user)
		return grpc_err(err, GRPC_INVALID_ARGUMENT,
				"%s '%s' is in use by the following service: %s",
				store_kind_name(kind), store_name(obj), store_name(user));
	return store_tx_remove(tx, kind, r->id, err);
}

const struct control_method control_file_methods[] = {
	{CONTROL_PATH("CreateSecret"), &pb__create_secret_request__descriptor,
	 &pb__secret_reply__descriptor, STORE_SECRET, check_secret, NULL, create_secret},
	{CONTROL_PATH("UpdateSecret"), &pb__update_secret_request__descriptor,
	 &pb__secret_reply__descriptor, STORE_SECRET, check_update_secret, NULL, update_secret},
	{CONTROL_PATH("RemoveSecret"), &pb__object_request__descriptor, &pb__nothing__descriptor,
	 STORE_SECRET, NULL, NULL, remove_file},
	{CONTROL_PATH("CreateConfig"), &pb__create_config_request__descriptor,
	 &pb__config_reply__descriptor, STORE_CONFIG, check_config, NULL, create_config},
	{CONTROL_PATH("UpdateConfig"), &pb__update_config_request__descriptor,
	 &pb__config_reply__descriptor, STORE_CONFIG, check_update_config, NULL, update_config},
	{CONTROL_PATH("RemoveConfig"), &pb__object_request__descriptor, &pb__nothing__descriptor,
	 STORE_CONFIG, NULL, NULL, remove_file},
	{0},
};
