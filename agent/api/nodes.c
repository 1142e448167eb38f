// SPDX-License-Identifier: Apache-2.0
/* /nodes */
#include <errno.h>

#include "api/conv.h"
#include "api/store_call.h"

static const char *const list_filters[] = {"id",	 "label", "membership", "name",
					   "node.label", "role",  NULL};

static int check_filters(const struct filters *f, struct err *err)
{
	const char *v;

	for (size_t i = 0; (v = filters_value(f, "role", i)); i++)
		if (strcmp(v, "manager") && strcmp(v, "worker"))
			return err_set(err, -EINVAL, "invalid role filter: '%s'", v);
	for (size_t i = 0; (v = filters_value(f, "membership", i)); i++)
		if (strcmp(v, "accepted") && strcmp(v, "pending"))
			return err_set(err, -EINVAL, "invalid membership filter: '%s'", v);
	return 0;
}

static bool labels_match(const struct filters *f, const char *name, Pb__Label *const *labels,
			 size_t n)
{
	json_t *o;
	bool ok;

	if (!filters_has(f, name))
		return true;
	o = json_object();
	for (size_t i = 0; i < n; i++)
		json_object_set_new(o, labels[i]->key, json_string(labels[i]->value));
	ok = filters_match_labels(f, name, o);
	json_decref(o);
	return ok;
}

static bool matches(const struct filters *f, const Pb__Node *n)
{
	const Pb__EngineDescription *engine = n->description ? n->description->engine : NULL;
	const Pb__Annotations *a = n->spec ? n->spec->annotations : NULL;
	const char *hostname = n->description ? n->description->hostname : "";
	bool manager = n->role == PB__NODE_ROLE__MANAGER;

	/* both filters of labels speak of either kind, as dockerd's documentation and its code do */
	return filters_match_prefix(f, "id", n->id) &&
	       (filters_match_prefix(f, "name", hostname) ||
		(a && !str_empty(a->name) && filters_match_prefix(f, "name", a->name))) &&
	       filters_match(f, "role", manager ? "manager" : "worker") &&
	       filters_match(f, "membership",
			     n->spec && n->spec->membership == PB__NODE_SPEC__MEMBERSHIP__PENDING
				     ? "pending"
				     : "accepted") &&
	       labels_match(f, "label", engine ? engine->labels : NULL,
			    engine ? engine->n_labels : 0) &&
	       labels_match(f, "node.label", a ? a->labels : NULL, a ? a->n_labels : 0);
}

/* Both ask the leader, who alone knows which managers are reachable. */
static void on_nodes(const struct err *err, const void *reply, void *arg)
{
	const Pb__NodesReply *r = reply;
	struct api_call *call = arg;
	struct filters *f = NULL;
	struct err bad = ERR_INIT;
	json_t *out;

	if (!err && (api_filters(call, list_filters, &f, &bad) || check_filters(f, &bad)))
		err = &bad;
	if (err) {
		filters_free(f);
		api_reply_err(call, err);
		return;
	}
	out = json_array();
	for (size_t i = 0; i < r->n_nodes; i++)
		if (matches(f, r->nodes[i]))
			json_array_append_new(out, conv_node(r->nodes[i]));
	filters_free(f);
	api_reply(call, 200, out);
}

static void list(struct api_call *call)
{
	if (store_call_store(call))
		swarm_control(call->engine->swarm, "ListNodes", pb_new(pb__list_nodes_request),
			      on_nodes, call);
}

static json_t *show(const void *reply)
{
	return conv_node(store_call_object(reply));
}

static void inspect(struct api_call *call)
{
	const Pb__Node *n = store_call_find(call, STORE_NODE);
	Pb__ObjectRequest *r;

	if (!n)
		return;
	r = pb_new(pb__object_request);
	pb_set_str(&r->id, n->id);
	store_call_run(call, "GetNode", r, 200, show);
}

/* --- change --- */

static void update_with(struct api_call *call, json_t *body)
{
	Pb__UpdateNodeRequest *r =
		store_call_update(call, STORE_NODE, &pb__update_node_request__descriptor);
	struct err err = ERR_INIT;
	int rc;

	if (!r)
		return;
	rc = api_need_body(body, &err);
	if (!rc && str_empty(json_string_value(json_member(body, "Role"))))
		rc = err_set(&err, -EINVAL, "invalid Role: \"\"");
	if (!rc && str_empty(json_string_value(json_member(body, "Availability"))))
		rc = err_set(&err, -EINVAL, "invalid Availability: \"\"");
	if (!rc)
		rc = json_read(&json_node_spec, "NodeSpec", body, &r->spec, &err);
	if (rc) {
		pb_free(r);
		api_reply_err(call, &err);
		return;
	}
	store_call_run(call, "UpdateNode", r, 200, NULL);
}

static void update(struct api_call *call)
{
	store_call_body(call, update_with);
}

static void remove_node(struct api_call *call)
{
	store_call_remove(call, STORE_NODE, "RemoveNode", api_query_bool(call, "force", false),
			  200);
}

const struct api_route api_node_routes[] = {
	{"GET", "/nodes", list},
	{"GET", "/nodes/{id}", inspect},
	{"POST", "/nodes/{id}/update", update},
	{"DELETE", "/nodes/{id}", remove_node},
	{0},
};
