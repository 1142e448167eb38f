// SPDX-License-Identifier: Apache-2.0
/* /swarm: this node's part in a swarm, and the swarm itself. */
#include "manager/swarm.h"

#include <errno.h>

#include "api/conv.h"
#include "api/store_call.h"
#include "manager/ca.h"
#include "manager/check.h"

enum { POOLS_MAX = 64, REMOTES_MAX = 64 };

/* A string of the body; NULL when absent. */
static int str_of(json_t *body, const char *name, const char **ret, struct err *err)
{
	json_t *v = json_member(body, name);

	if (v && !json_is_string(v))
		return err_set(err, -EINVAL, "invalid JSON: the field %s is not a string", name);
	*ret = json_string_value(v);
	return 0;
}

static int bool_of(json_t *body, const char *name, bool *ret, struct err *err)
{
	json_t *v = json_member(body, name);

	if (v && !json_is_boolean(v))
		return err_set(err, -EINVAL, "invalid JSON: the field %s is not a bool", name);
	*ret = json_is_true(v);
	return 0;
}

static int u32_of(json_t *body, const char *name, uint32_t *ret, struct err *err)
{
	json_t *v = json_member(body, name);

	if (v && (!json_is_integer(v) || json_integer_value(v) < 0 ||
		  json_integer_value(v) > UINT32_MAX))
		return err_set(err, -EINVAL,
			       "invalid JSON: the field %s is not a number of type uint32", name);
	*ret = v ? json_integer_value(v) : 0;
	return 0;
}

/* A NULL-terminated list; NULL when absent or empty. */
static int strs_of(json_t *body, const char *name, const char **list, size_t max,
		   const char *const **ret, struct err *err)
{
	json_t *v = json_member(body, name), *item;
	size_t i;

	if (v && !json_is_array(v))
		return err_set(err, -EINVAL, "invalid JSON: the field %s is not a list of strings",
			       name);
	if (json_array_size(v) > max)
		return err_set(err, -EINVAL, "invalid JSON: the field %s has more than %zu items",
			       name, max);
	json_array_foreach (v, i, item) {
		if (!json_is_string(item))
			return err_set(err, -EINVAL,
				       "invalid JSON: the field %s is not a list of strings", name);
		list[i] = json_string_value(item);
	}
	list[json_array_size(v)] = NULL;
	*ret = json_array_size(v) ? list : NULL;
	return 0;
}

/* What the bodies of init and join say of the node. */
static int node_of(json_t *body, struct swarm_node_options *ret, struct err *err)
{
	int rc = api_need_body(body, err);

	if (!rc)
		rc = str_of(body, "ListenAddr", &ret->listen_addr, err);
	if (!rc)
		rc = str_of(body, "AdvertiseAddr", &ret->advertise_addr, err);
	if (!rc)
		rc = str_of(body, "DataPathAddr", &ret->data_path_addr, err);
	if (!rc)
		rc = str_of(body, "Availability", &ret->availability, err);
	return rc;
}

/* --- init --- */

static void on_init(const struct err *err, void *arg)
{
	struct api_call *call = arg;

	if (err)
		api_reply_err(call, err);
	else
		api_reply(call, 200, json_string(swarm_node_id(call->engine->swarm)));
}

static void init_with(struct api_call *call, json_t *body)
{
	const char *pools[POOLS_MAX + 1];
	struct swarm_init_options opt = {0};
	Pb__ClusterSpec *spec = NULL;
	struct err err = ERR_INIT;
	int rc = node_of(body, &opt.node, &err);

	if (!rc)
		rc = u32_of(body, "DataPathPort", &opt.data_path_port, &err);
	if (!rc)
		rc = strs_of(body, "DefaultAddrPool", pools, POOLS_MAX, &opt.default_addr_pool,
			     &err);
	if (!rc)
		rc = u32_of(body, "SubnetSize", &opt.subnet_size, &err);
	if (!rc)
		rc = bool_of(body, "ForceNewCluster", &opt.force_new_cluster, &err);
	if (!rc)
		rc = bool_of(body, "AutoLockManagers", &opt.autolock_managers, &err);
	if (!rc)
		rc = conv_cluster_spec(json_member(body, "Spec"), NULL, &spec, &err);
	if (!rc)
		rc = check_cluster_spec(spec, &err);
	if (rc) {
		pb_free(spec);
		api_reply_err(call, &err);
		return;
	}
	opt.autolock_managers |= spec->encryption_config->auto_lock_managers;
	opt.spec = spec;
	swarm_init(call->engine->swarm, &opt, on_init, call);
	pb_free(spec);
}

static void init(struct api_call *call)
{
	api_body(call, init_with);
}

/* --- join, leave, unlock --- */

static void on_done(const struct err *err, void *arg)
{
	api_done(arg, 200, err);
}

static void join_with(struct api_call *call, json_t *body)
{
	const char *remotes[REMOTES_MAX + 1];
	struct swarm_join_options opt = {0};
	struct err err = ERR_INIT;
	int rc = node_of(body, &opt.node, &err);

	if (!rc)
		rc = strs_of(body, "RemoteAddrs", remotes, REMOTES_MAX, &opt.remote_addrs, &err);
	if (!rc)
		rc = str_of(body, "JoinToken", &opt.token, &err);
	if (!rc && !opt.remote_addrs)
		rc = err_set(&err, -EINVAL, "at least 1 RemoteAddr is required to join");
	if (!rc && str_empty(opt.token))
		rc = err_set(&err, -EINVAL, "invalid join token");
	if (rc)
		api_reply_err(call, &err);
	else
		swarm_join(call->engine->swarm, &opt, on_done, call);
}

static void join(struct api_call *call)
{
	api_body(call, join_with);
}

static void leave(struct api_call *call)
{
	swarm_leave(call->engine->swarm, api_query_bool(call, "force", false), on_done, call);
}

static void unlock_with(struct api_call *call, json_t *body)
{
	const char *key = NULL;
	struct err err = ERR_INIT;
	int rc = str_of(body, "UnlockKey", &key, &err);

	if (!rc && str_empty(key))
		rc = err_set(&err, -EINVAL, "invalid unlock key: it is empty");
	if (rc)
		api_reply_err(call, &err);
	else
		swarm_unlock(call->engine->swarm, key, on_done, call);
}

static void unlock(struct api_call *call)
{
	api_body(call, unlock_with);
}

const struct api_route api_swarm_routes[] = {
	{"POST", "/swarm/init", init},
	{"POST", "/swarm/join", join},
	{"POST", "/swarm/leave", leave},
	{"POST", "/swarm/unlock", unlock},
	{0},
};

/* --- the cluster --- */

static const Pb__Cluster *cluster(struct api_call *call)
{
	struct store *s = store_call_store(call);
	const Pb__Cluster *c = s ? store_cluster(s) : NULL;
	struct err err = ERR_INIT;

	if (s && !c) {
		err_set(&err, -ENOENT, "no such cluster: the swarm has not begun");
		api_reply_err(call, &err);
	}
	return c;
}

static void inspect(struct api_call *call)
{
	const Pb__Cluster *c = cluster(call);

	if (c)
		api_reply(call, 200, conv_cluster(c, true));
}

static const Pb__EncryptionKey *manager_key(const Pb__Cluster *c)
{
	for (size_t i = 0; i < c->n_unlock_keys; i++)
		if (streq(c->unlock_keys[i]->subsystem, CA_MANAGER))
			return c->unlock_keys[i];
	return NULL;
}

static void unlock_key(struct api_call *call)
{
	const Pb__Cluster *c = cluster(call);
	const Pb__EncryptionKey *k;
	char text[64] = "";

	if (!c)
		return;
	k = manager_key(c);
	if (k && k->key.len == 32 && c->spec && c->spec->encryption_config &&
	    c->spec->encryption_config->auto_lock_managers)
		ca_unlock_key_text(k->key.data, text);
	api_reply(call, 200, json_pack("{s:s}", "UnlockKey", text));
}

static void update_with(struct api_call *call, json_t *body)
{
	const Pb__Cluster *old = cluster(call);
	Pb__UpdateClusterRequest *r;
	struct err err = ERR_INIT;
	int rc;

	if (!old)
		return;
	r = pb_new(pb__update_cluster_request);
	pb_set_str(&r->id, old->id);
	r->rotation = pb_new(pb__key_rotation);
	r->rotation->worker_join_token = api_query_bool(call, "rotateWorkerToken", false);
	r->rotation->manager_join_token = api_query_bool(call, "rotateManagerToken", false);
	r->rotation->manager_unlock_key = api_query_bool(call, "rotateManagerUnlockKey", false);
	rc = store_call_version(call, &r->version, &err);
	if (!rc)
		rc = api_need_body(body, &err);
	if (!rc)
		rc = conv_cluster_spec(body, old->spec, &r->spec, &err);
	if (rc) {
		pb_free(r);
		api_reply_err(call, &err);
		return;
	}
	store_call_run(call, "UpdateCluster", r, 200, NULL);
}

static void update(struct api_call *call)
{
	store_call_body(call, update_with);
}

const struct api_route api_cluster_routes[] = {
	{"GET", "/swarm", inspect},
	{"GET", "/swarm/unlockkey", unlock_key},
	{"POST", "/swarm/update", update},
	{0},
};
