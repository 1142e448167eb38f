// SPDX-License-Identifier: Apache-2.0
/* /networks: those of this node and those of the swarm, as one list. */
#include <errno.h>
#include <strings.h>

#include "api/attach_swarm.h"
#include "api/conv.h"
#include "api/store_call.h"
#include "ctr/ctr.h"
#include "loop/events.h"
#include "loop/loop.h"
#include "manager/check.h"
#include "net/net.h"
#include "node/container.h"

static const char *const list_filters[] = {"dangling", "driver", "id",	 "label",
					   "name",     "scope",	 "type", NULL};

/* The store when this manager can read it; networks of the node are shown without it, too. */
static struct store *store_of(struct api_call *call)
{
	return call->engine->swarm && !call->no_quorum ? swarm_store(call->engine->swarm) : NULL;
}

/* What the node knows of it: {} when it has none of its tasks. */
static json_t *local_containers(struct api_call *call, const char *id)
{
	struct network *n = nets_find(call->engine->nets, id, NULL);
	json_t *o = n ? net_inspect(n) : NULL, *c = json_object_get(o, "Containers");

	c = json_is_object(c) ? json_incref(c) : json_object();
	json_decref(o);
	return c;
}

/* --- list and inspect --- */

static bool matches(const struct filters *f, json_t *n, bool builtin, bool dangling, bool used)
{
	const char *id = json_string_value(json_object_get(n, "Id")),
		   *name = json_string_value(json_object_get(n, "Name"));

	if (!filters_match_regex(f, "name", name) || !filters_match_prefix(f, "id", id) ||
	    !filters_match(f, "driver", json_string_value(json_object_get(n, "Driver"))) ||
	    !filters_match(f, "scope", json_string_value(json_object_get(n, "Scope"))) ||
	    !filters_match(f, "type", builtin ? "builtin" : "custom"))
		return false;
	if (filters_has(f, "dangling") && (builtin || dangling == used))
		return false;
	return filters_match_labels(f, "label", json_object_get(n, "Labels"));
}

static int check_list(const struct filters *f, bool *dangling, struct err *err)
{
	const char *v;

	for (size_t i = 0; (v = filters_value(f, "type", i)); i++)
		if (strcmp(v, "custom") && strcmp(v, "builtin"))
			return err_set(err, -EINVAL, "invalid filter: 'type'='%s'", v);
	for (size_t i = 0; (v = filters_value(f, "scope", i)); i++)
		if (strcmp(v, "swarm") && strcmp(v, "local") && strcmp(v, "global"))
			return err_set(err, -EINVAL, "invalid filter: 'scope'='%s'", v);
	return filters_bool(f, "dangling", false, dangling, err);
}

static void add(json_t *out, const struct filters *f, json_t *n, bool builtin, bool dangling,
		bool used)
{
	if (matches(f, n, builtin, dangling, used))
		json_array_append_new(out, n);
	else
		json_decref(n);
}

static void list_local(struct api_call *call, const struct filters *f, bool dangling, json_t *out)
{
	struct store *s = store_of(call);

	for (struct network *n = NULL; (n = nets_next(call->engine->nets, n));) {
		json_t *o;

		if (s && net_is_swarm(n) && store_network(s, net_id(n)))
			continue;
		o = net_inspect(n);
		if (call->version < 147)
			json_object_del(o, "EnableIPv4");
		json_object_del(o, "Peers");
		json_object_del(o, "Status");
		json_object_set_new(o, "Containers", json_object());
		add(out, f, o, net_predefined(n), dangling, net_endpoints(n) > 0);
	}
}

static void list_current(struct api_call *call)
{
	struct store *s = store_of(call);
	struct filters *f = NULL;
	struct err err = ERR_INIT;
	const Pb__Network *n;
	bool dangling = false;
	json_t *out;
	int rc = api_filters(call, list_filters, &f, &err);

	if (!rc)
		rc = check_list(f, &dangling, &err);
	if (rc) {
		filters_free(f);
		api_reply_err(call, &err);
		return;
	}
	out = json_array();
	list_local(call, f, dangling, out);
	for (struct store_iter i = s ? store_all(s, STORE_NETWORK) : (struct store_iter){0};
	     s && (n = store_next(&i));) {
		json_t *o;

		if (check_network_predefined(n))
			continue;
		o = conv_network(n, call->version);
		json_object_set_new(o, "Containers", json_null());
		add(out, f, o, false, dangling, check_network_user(s, n) != NULL);
	}
	filters_free(f);
	api_reply(call, 200, out);
}

static void list(struct api_call *call)
{
	api_read_current(call, list_current, false);
}

struct found {
	const Pb__Network *swarm;
	struct network *local;
};

/*
 * Whole IDs and names of either kind go before parts of IDs. scope: "", "local", "swarm". Only who
 * asks for the swarm's means its "host" and "bridge", which stand for those of the nodes: the CLI
 * does for services.
 */
static int find(struct api_call *call, const char *ref, const char *scope, struct found *ret,
		struct err *err)
{
	struct store *s = streq(scope, "local") ? NULL : store_of(call);
	struct network *l =
		streq(scope, "swarm") && s ? NULL : nets_find(call->engine->nets, ref, NULL);
	const Pb__Network *n = NULL;
	bool whole;

	if (s && store_find(s, STORE_NETWORK, ref, (const void **)&n, NULL))
		n = NULL;
	if (n && check_network_predefined(n) && !streq(scope, "swarm"))
		n = NULL;
	whole = l && (!strcmp(net_id(l), ref) || !strcmp(net_name(l), ref));
	if (n && (!l || net_is_swarm(l) || !whole || !strcmp(n->id, ref))) {
		ret->swarm = n;
		ret->local = NULL;
		return 0;
	}
	if (l && (str_empty(scope) || streq(scope, net_is_swarm(l) ? "swarm" : "local"))) {
		ret->swarm = NULL;
		ret->local = l;
		return 0;
	}
	return err_set(err, -ENOENT, "network %s not found", ref);
}

/* verbose: each service's VIP and tasks in the network. */
static json_t *services_json(struct store *s, const Pb__Network *n)
{
	json_t *out = json_object();
	const Pb__Service *svc;

	for (struct store_iter i = store_all(s, STORE_SERVICE); (svc = store_next(&i));) {
		json_t *tasks = json_array(), *ports = json_array();
		const char *vip = NULL;
		const Pb__Task *t;
		bool here = false;

		for (size_t k = 0; svc->endpoint && k < svc->endpoint->n_virtual_ips; k++)
			if (streq(svc->endpoint->virtual_ips[k]->network_id, n->id))
				vip = svc->endpoint->virtual_ips[k]->addr;
		for (struct store_iter it = store_tasks_of_service(s, svc->id);
		     (t = store_next(&it));) {
			const Pb__NetworkAttachment *a = NULL;
			const Pb__Node *node = store_node(s, t->node_id);
			char *ip, *name;

			for (size_t k = 0; k < t->n_networks; k++)
				if (t->networks[k]->network &&
				    streq(t->networks[k]->network->id, n->id))
					a = t->networks[k];
			if (!a || !a->n_addresses || !t->status ||
			    t->status->state != PB__TASK_STATE__RUNNING)
				continue;
			here = true;
			ip = xstrndup(a->addresses[0], strcspn(a->addresses[0], "/"));
			name = container_name(t);
			json_array_append_new(
				tasks,
				json_pack("{s:s, s:s, s:s, s:{s:s}}", "Name", name, "EndpointID",
					  "", "EndpointIP", ip, "Info", "Host IP",
					  node && node->status ? node->status->addr : ""));
			free(ip);
			free(name);
		}
		if (!here && !vip) {
			json_decref(tasks);
			json_decref(ports);
			continue;
		}
		json_object_set_new(
			out, store_name(svc),
			json_pack("{s:o, s:o, s:i, s:o}", "VIP",
				  vip ? json_stringn(vip, strcspn(vip, "/")) : json_string(""),
				  "Ports", ports, "LocalLBIndex", 0, "Tasks", tasks));
	}
	return out;
}

/* The nodes that have tasks in the network. */
static json_t *peers_json(struct store *s, const Pb__Network *n)
{
	json_t *out = json_array();
	const Pb__Node *node;

	for (struct store_iter i = store_all(s, STORE_NODE); (node = store_next(&i));) {
		for (size_t k = 0; k < node->n_attachments; k++) {
			const Pb__Network *there = node->attachments[k]->network;

			if (there && streq(there->id, n->id))
				json_array_append_new(
					out, json_pack("{s:s%, s:s}", "Name", node->id,
						       min(strlen(node->id), (size_t)12), "IP",
						       node->status ? node->status->addr : ""));
		}
	}
	return out;
}

static void inspect_current(struct api_call *call)
{
	const char *scope = api_query(call, "scope");
	struct found n = {0};
	struct err err = ERR_INIT;
	json_t *o;

	if (find(call, call->param[0], scope, &n, &err)) {
		api_reply_err(call, &err);
		return;
	}
	if (n.swarm) {
		json_t *peers = peers_json(store_of(call), n.swarm);

		o = conv_network(n.swarm, call->version);
		json_object_set_new(o, "Containers", local_containers(call, n.swarm->id));
		if (json_array_size(peers))
			json_object_set(o, "Peers", peers);
		json_decref(peers);
		if (api_query_bool(call, "verbose", false))
			json_object_set_new(o, "Services", services_json(store_of(call), n.swarm));
	} else {
		o = net_inspect(n.local);
		if (call->version < 147)
			json_object_del(o, "EnableIPv4");
	}
	api_reply(call, 200, o);
}

static void inspect(struct api_call *call)
{
	api_read_current(call, inspect_current, false);
}

/* --- create --- */

static json_t *created(const void *reply)
{
	return json_pack("{s:s, s:s}", "Id", store_id(store_call_object(reply)), "Warning", "");
}

static void create_swarm(struct api_call *call, json_t *body)
{
	Pb__CreateNetworkRequest *r;
	struct network *local;
	struct err err = ERR_INIT;
	const char *name;
	int rc;

	if (!store_call_store(call))
		return;
	r = pb_new(pb__create_network_request);
	rc = nets_config_check(call->engine->nets, body, &err);
	if (!rc)
		rc = conv_network_spec(body, &r->spec, &err);
	name = !rc && r->spec->annotations ? r->spec->annotations->name : "";
	if (!rc && (local = nets_find(call->engine->nets, name, NULL)) &&
	    !strcmp(net_name(local), name) && !net_is_swarm(local))
		rc = net_predefined(local)
			     ? err_set(&err, -EACCES,
				       "operation is not permitted on predefined %s network", name)
			     : err_set(&err, -EEXIST, "network with name %s already exists", name);
	if (rc) {
		pb_free(r);
		api_reply_err(call, &err);
		return;
	}
	store_call_run(call, "CreateNetwork", r, 201, created);
}

static void create_with(struct api_call *call, json_t *body)
{
	const char *driver = json_string_value(json_member(body, "Driver")),
		   *scope = json_string_value(json_member(body, "Scope"));
	struct store *s = store_of(call);
	const char *name = json_string_value(json_member(body, "Name"));
	struct network *n;
	struct err err = ERR_INIT;
	json_t *v;
	int rc = 0;

	if (!body)
		rc = api_need_body(body, &err);
	else if ((v = json_member(body, "Name")) && !json_is_string(v))
		rc = err_set(&err, -EINVAL, "invalid JSON: the field Name is not a string");
	else if ((v = json_member(body, "Driver")) && !json_is_string(v))
		rc = err_set(&err, -EINVAL, "invalid JSON: the field Driver is not a string");
	if (rc) {
		api_reply_err(call, &err);
		return;
	}
	if (json_is_true(json_member(body, "ConfigOnly"))) {
		driver = scope = NULL; /* the node's, whatever else is in it */
	}
	if (streq(driver, "overlay") && streq(scope, "local")) {
		err_set(&err, -EPERM, "cannot downgrade network scope for overlay networks");
		api_reply_err(call, &err);
		return;
	}
	if (streq(driver, "overlay") || streq(scope, "swarm")) {
		create_swarm(call, body);
		return;
	}
	if (s && name && store_find_name(s, STORE_NETWORK, name) &&
	    !check_network_predefined(store_find_name(s, STORE_NETWORK, name)))
		rc = err_set(&err, -EEXIST, "network with name %s already exists", name);
	if (!rc)
		rc = net_create(call->engine->nets, body, &n, &err);
	if (rc)
		api_reply_err(call, &err);
	else
		api_reply(call, 201, json_pack("{s:s, s:s}", "Id", net_id(n), "Warning", ""));
}

static void create(struct api_call *call)
{
	api_body(call, create_with);
}

/* --- remove --- */

static void remove_current(struct api_call *call)
{
	Pb__NetworkRequest *r;
	struct found n = {0};
	struct err err = ERR_INIT;
	int rc = find(call, call->param[0], NULL, &n, &err);

	if (!rc && n.local && net_is_swarm(n.local)) {
		/* this node's part of one that is removed, or of a swarm that others manage */
		if (!store_call_store(call))
			return;
		rc = err_set(&err, -ENOENT, "network %s not found", call->param[0]);
	}
	if (!rc && n.local)
		rc = net_remove(n.local, &err);
	if (rc || n.local) {
		api_done(call, 204, rc ? &err : NULL);
		return;
	}
	r = pb_new(pb__network_request);
	pb_set_str(&r->id, n.swarm->id);
	store_call_run(call, "RemoveNetwork", r, 204, NULL);
}

static void remove_network(struct api_call *call)
{
	api_read_current(call, remove_current, false);
}

/* --- connect and disconnect --- */

static void on_connected(struct ctr *c, const struct err *err, void *arg)
{
	(void)c;
	api_done(arg, 200, err);
}

static int container_of_body(struct api_call *call, json_t *body, struct ctr **ret, struct err *err)
{
	json_t *v = json_member(body, "Container");

	if (!body)
		return api_need_body(body, err);
	if (!json_is_string(v))
		return err_set(err, -EINVAL, "invalid JSON: the field Container is not a string");
	*ret = ctr_find(call->engine->ctrs, json_string_value(v), err);
	return *ret ? 0 : err->code;
}

/* A network of the swarm that a container may be connected to by hand. */
static int check_attachable(const struct found *n, struct err *err)
{
	if (!n->swarm)
		return 0;
	if (!n->swarm->spec->attachable)
		return err_set(err, -EPERM,
			       "Could not attach to network %s: rpc error: code = PermissionDenied "
			       "desc = network %s not "
			       "manually attachable",
			       store_name(n->swarm), store_name(n->swarm));
	return 0;
}

static void connect_with(struct api_call *call, json_t *body)
{
	json_t *endpoint = body ? json_member(body, "EndpointConfig") : NULL;
	struct found n = {0};
	struct err err = ERR_INIT;
	struct ctr *c = NULL;
	int rc = container_of_body(call, body, &c, &err);

	if (!rc && endpoint && !json_is_object(endpoint))
		rc = err_set(&err, -EINVAL,
			     "invalid JSON: the field EndpointConfig is not an object");
	if (!rc)
		rc = find(call, call->param[0], NULL, &n, &err);
	if (!rc)
		rc = check_attachable(&n, &err);
	if (rc) {
		api_reply_err(call, &err);
		return;
	}
	json_object_del(endpoint, "Swarm");
	if (n.swarm || net_is_swarm(n.local))
		api_attach_connect(call, c, n.swarm ? n.swarm->id : net_id(n.local), endpoint,
				   on_connected);
	else
		ctr_network_connect(c, n.local, endpoint, on_connected, call);
}

static void connect_ctr(struct api_call *call)
{
	api_body(call, connect_with);
}

static void on_disconnected(struct ctr *c, const struct err *err, void *arg)
{
	struct api_call *call = arg;
	struct network *net = nets_find(call->engine->nets, call->param[0], NULL);

	if (!err && net && net_is_swarm(net))
		swarm_detach(call->engine->swarm, ctr_id(c), net_id(net));
	api_done(call, 200, err);
}

static void disconnect_with(struct api_call *call, json_t *body)
{
	struct network *net;
	struct err err = ERR_INIT;
	struct ctr *c = NULL;
	int rc = container_of_body(call, body, &c, &err);

	if (!rc && !(net = nets_find(call->engine->nets, call->param[0], &err)))
		rc = err.code;
	if (rc)
		api_reply_err(call, &err);
	else
		ctr_network_disconnect(c, net, on_disconnected, call);
}

static void disconnect_ctr(struct api_call *call)
{
	api_body(call, disconnect_with);
}

/* --- prune --- */

struct prune {
	struct api_call *call;
	struct filters *f;
	int64_t until_ns;
	json_t *candidates; /* ID to name: networks of the swarm */
	json_t *deleted; /* names */
};

static bool prunable(const struct prune *p, json_t *n)
{
	json_t *labels = json_object_get(n, "Labels");
	int64_t created = 0;

	if (p->until_ns &&
	    (time_parse(json_string_value(json_object_get(n, "Created")), &created, NULL) ||
	     created > p->until_ns))
		return false;
	return filters_match_labels(p->f, "label", labels) &&
	       filters_exclude_labels(p->f, "label!", labels);
}

static void list_prunable(struct prune *p, struct store *s)
{
	const Pb__Network *n;

	for (struct store_iter i = store_all(s, STORE_NETWORK); (n = store_next(&i));) {
		json_t *o;

		if (check_network_predefined(n) || n->spec->ingress || check_network_user(s, n))
			continue;
		o = conv_network(n, p->call->version);
		if (prunable(p, o))
			json_object_set(p->candidates, n->id, json_object_get(o, "Name"));
		json_decref(o);
	}
}

static void on_removed(const struct err *err, const void *reply, void *arg);

/* Remove those of the swarm one after the other; one that is used by now stays. */
static void prune_next(struct prune *p)
{
	const char *id = json_object_iter_key(json_object_iter(p->candidates));

	if (id) {
		Pb__NetworkRequest *r = pb_new(pb__network_request);

		pb_set_str(&r->id, id);
		swarm_control(p->call->engine->swarm, "RemoveNetwork", r, on_removed, p);
		return;
	}
	events_emit(p->call->engine->events, "network", "prune", "", api_reclaimed(0));
	api_reply(p->call, 200, json_pack("{s:o}", "NetworksDeleted", p->deleted));
	json_decref(p->candidates);
	filters_free(p->f);
	free(p);
}

static void on_removed(const struct err *err, const void *reply, void *arg)
{
	struct prune *p = arg;
	void *i = json_object_iter(p->candidates);

	(void)reply;
	if (!err)
		json_array_append(p->deleted, json_object_iter_value(i));
	json_object_del(p->candidates, json_object_iter_key(i));
	prune_next(p);
}

static void prune_current(struct api_call *call)
{
	static const char *const allowed[] = {"label", "label!", "until", NULL};
	struct prune *p = xcalloc(1, sizeof(*p));
	struct err err = ERR_INIT;
	struct network *n, *next;
	int rc = api_filters(call, allowed, &p->f, &err);

	if (!rc)
		rc = filters_until(p->f, loop_wall_ns(), &p->until_ns, &err);
	if (rc) {
		filters_free(p->f);
		free(p);
		api_reply_err(call, &err);
		return;
	}
	p->call = call;
	p->candidates = json_object();
	p->deleted = json_array();
	for (n = nets_next(call->engine->nets, NULL); n; n = next) {
		json_t *o;

		next = nets_next(call->engine->nets, n);
		if (net_predefined(n) || net_is_swarm(n) || net_config_only(n) || net_endpoints(n))
			continue;
		o = net_inspect(n);
		if (prunable(p, o) && !net_remove(n, NULL))
			json_array_append(p->deleted, json_object_get(o, "Name"));
		json_decref(o);
	}
	if (store_of(call))
		list_prunable(p, store_of(call));
	prune_next(p);
}

static void prune(struct api_call *call)
{
	api_read_current(call, prune_current, false);
}

const struct api_route api_network_routes[] = {
	{"GET", "/networks", list},
	{"POST", "/networks/create", create},
	{"POST", "/networks/prune", prune},
	{"GET", "/networks/{id}", inspect},
	{"DELETE", "/networks/{id}", remove_network},
	{"POST", "/networks/{id}/connect", connect_ctr},
	{"POST", "/networks/{id}/disconnect", disconnect_ctr},
	{0},
};
