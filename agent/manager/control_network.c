// SPDX-License-Identifier: Apache-2.0
/* Networks. Source: swarmkit manager/controlapi/network.go. */
#include <errno.h>

#include "manager/control_impl.h"

static int check_create(void *request, struct err *err)
{
	Pb__CreateNetworkRequest *r = request;

	return r->spec ? check_network_spec(r->spec, err) : control_no_argument(err);
}

static int create(struct control_job *job, struct store_tx *tx, struct err *err)
{
	Pb__CreateNetworkRequest *r = job->request;
	struct store *s = store_tx_store(tx);
	const Pb__Network *other;
	Pb__Network *n;

	if (store_find_name(s, STORE_NETWORK, r->spec->annotations->name))
		return err_set(err, -EEXIST, "network with name %s already exists",
			       r->spec->annotations->name);
	for (struct store_iter i = store_all(s, STORE_NETWORK);
	     r->spec->ingress && (other = store_next(&i));)
		if (other->spec && other->spec->ingress)
			return grpc_err(err, GRPC_ALREADY_EXISTS,
					"ingress network (%s) is already present", other->id);
	n = pb_new(pb__network);
	n->spec = pb_clone(r->spec);
	if (str_empty(pb_need(&n->spec->driver_config, pb__driver)->name))
		pb_set_str(&n->spec->driver_config->name, "overlay");
	return control_stage(job, tx, n, err);
}

static int remove_network(struct control_job *job, struct store_tx *tx, struct err *err)
{
	const Pb__NetworkRequest *r = job->request;
	const Pb__Network *n;
	const void *user;
	int rc = control_find(job, r->id, (const void **)&n, err);

	if (rc)
		return rc;
	if (check_network_predefined(n))
		return grpc_err(err, GRPC_PERMISSION_DENIED,
				"%s is a pre-defined network and cannot be removed", r->id);
	user = check_network_user(store_tx_store(tx), n);
	if (user && n->spec->ingress)
		return grpc_err(err, GRPC_FAILED_PRECONDITION,
				"ingress network cannot be removed because service %s depends on "
				"it",
				store_id(user));
	if (user)
		return grpc_err(err, GRPC_FAILED_PRECONDITION, "network %s is in use by %s %s",
				r->id, store_kind_name(store_kind_of(user)), store_id(user));
	return store_tx_remove(tx, STORE_NETWORK, r->id, err);
}

const struct control_method control_network_methods[] = {
	{CONTROL_PATH("CreateNetwork"), &pb__create_network_request__descriptor,
	 &pb__network_reply__descriptor, STORE_NETWORK, check_create, NULL, create},
	{CONTROL_PATH("RemoveNetwork"), &pb__network_request__descriptor, &pb__nothing__descriptor,
	 STORE_NETWORK, NULL, NULL, remove_network},
	{0},
};
