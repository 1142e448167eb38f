// SPDX-License-Identifier: Apache-2.0
/*
 * Extensions and resources, which only programs that build on the swarm make and read.
 * Source: swarmkit manager/controlapi/{extension,resource}.go.
 */
#include "manager/control_impl.h"

static int need_name(const Pb__Annotations *a, const char *what, struct err *err)
{
	return a && !str_empty(a->name)
		       ? 0
		       : grpc_err(err, GRPC_INVALID_ARGUMENT, "%s name must be provided", what);
}

static int check_extension(void *request, struct err *err)
{
	return need_name(((Pb__CreateExtensionRequest *)request)->annotations, "extension", err);
}

static int create_extension(struct control_job *job, struct store_tx *tx, struct err *err)
{
	const Pb__CreateExtensionRequest *r = job->request;
	Pb__Extension *e;

	if (store_find_name(store_tx_store(tx), STORE_EXTENSION, r->annotations->name))
		return grpc_err(err, GRPC_ALREADY_EXISTS, "extension %s already exists",
				r->annotations->name);
	e = pb_new(pb__extension);
	e->annotations = pb_clone(r->annotations);
	pb_set_str(&e->description, r->description);
	return control_stage(job, tx, e, err);
}

static int remove_extension(struct control_job *job, struct store_tx *tx, struct err *err)
{
	const Pb__ObjectRequest *r = job->request;
	const Pb__Resource *user;
	const void *obj;
	int rc = control_find(job, r->id, &obj, err);

	if (rc)
		return rc;
	for (struct store_iter i = store_all(store_tx_store(tx), STORE_RESOURCE);
	     (user = store_next(&i));)
		if (streq(user->kind, store_name(obj)))
			return grpc_err(err, GRPC_INVALID_ARGUMENT,
					"extension '%s' is in use by the following resource: %s",
					store_name(obj), store_name(user));
	return store_tx_remove(tx, STORE_EXTENSION, r->id, err);
}

static int check_resource(void *request, struct err *err)
{
	return need_name(((Pb__CreateResourceRequest *)request)->annotations, "resource", err);
}

static int create_resource(struct control_job *job, struct store_tx *tx, struct err *err)
{
	const Pb__CreateResourceRequest *r = job->request;
	Pb__Resource *o;

	if (!store_find_name(store_tx_store(tx), STORE_EXTENSION, r->kind))
		return grpc_err(err, GRPC_INVALID_ARGUMENT, "Kind %s is not registered", r->kind);
	o = pb_new(pb__resource);
	o->annotations = pb_clone(r->annotations);
	pb_set_str(&o->kind, r->kind);
	o->payload = pb_clone(r->payload);
	return control_stage(job, tx, o, err);
}

static int update_resource(struct control_job *job, struct store_tx *tx, struct err *err)
{
	const Pb__UpdateResourceRequest *r = job->request;
	const Pb__Resource *old;
	Pb__Resource *o;
	int rc = control_find_version(job, r->id, r->version, (const void **)&old, err);

	if (!rc && r->annotations && strcmp(r->annotations->name, store_name(old)))
		rc = grpc_err(err, GRPC_INVALID_ARGUMENT, "resource name cannot be changed");
	if (rc)
		return rc;
	o = pb_clone(old);
	if (r->annotations) {
		pb_free(o->annotations);
		o->annotations = pb_clone(r->annotations);
	}
	if (r->payload) {
		pb_free(o->payload);
		o->payload = pb_clone(r->payload);
	}
	return control_stage(job, tx, o, err);
}

const struct control_method control_object_methods[] = {
	{CONTROL_PATH("CreateExtension"), &pb__create_extension_request__descriptor,
	 &pb__extension_reply__descriptor, STORE_EXTENSION, check_extension, NULL,
	 create_extension},
	{CONTROL_PATH("RemoveExtension"), &pb__object_request__descriptor, &pb__nothing__descriptor,
	 STORE_EXTENSION, NULL, NULL, remove_extension},
	{CONTROL_PATH("CreateResource"), &pb__create_resource_request__descriptor,
	 &pb__resource_reply__descriptor, STORE_RESOURCE, check_resource, NULL, create_resource},
	{CONTROL_PATH("UpdateResource"), &pb__update_resource_request__descriptor,
	 &pb__resource_reply__descriptor, STORE_RESOURCE, NULL, NULL, update_resource},
	{CONTROL_PATH("RemoveResource"), &pb__object_request__descriptor, &pb__nothing__descriptor,
	 STORE_RESOURCE, NULL, NULL, control_remove},
	{0},
};
