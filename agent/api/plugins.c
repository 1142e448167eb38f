// SPDX-License-Identifier: Apache-2.0
/* /plugins: managed plugins; and what has no other place because it is not served. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "api/api.h"
#include "core/fields.h"
#include "plugin/plugin.h"

/* The plugin of the route, or NULL after answering 404 itself. */
static struct plugin *find(struct api_call *call)
{
	struct err err = ERR_INIT;
	struct plugin *p = plugin_find(call->engine->plugins, call->param[0], &err);

	if (!p)
		api_reply_err(call, &err);
	return p;
}

/* --- what is there --- */

/* "volumedriver" of every "docker.volumedriver/1.0" must fit. */
static bool types_fit(const struct filters *f, json_t *types)
{
	json_t *v;
	size_t i;

	json_array_foreach (types, i, v) {
		const char *s = json_string_value(v), *dot;
		_cleanup_free_ char *name = xstrndup(s, strcspn(s, "/"));

		dot = strrchr(name, '.');
		if (!filters_match(f, "capability", dot ? dot + 1 : name))
			return false;
	}
	return true;
}

static void list(struct api_call *call)
{
	static const char *const allowed[] = {"capability", "enabled", NULL};
	struct filters *f = NULL;
	struct err err = ERR_INIT;
	json_t *out = json_array();
	bool enabled = false;
	int rc = api_filters(call, allowed, &f, &err);

	if (!rc)
		rc = filters_bool(f, "enabled", false, &enabled, &err);
	for (struct plugin *p = NULL; !rc && (p = plugins_next(call->engine->plugins, p));)
		if ((!filters_has(f, "enabled") || enabled == plugin_enabled(p)) &&
		    types_fit(f, plugin_types(p)))
			json_array_append_new(out, plugin_inspect(p));
	filters_free(f);
	if (rc) {
		json_decref(out);
		api_reply_err(call, &err);
	} else {
		api_reply(call, 200, out);
	}
}

static void inspect(struct api_call *call)
{
	struct plugin *p = find(call);

	if (p)
		api_reply(call, 200, plugin_inspect(p));
}

/* --- life --- */

static void on_done_200(const struct err *err, void *arg)
{
	api_done(arg, 200, err);
}

static void on_done_204(const struct err *err, void *arg)
{
	api_done(arg, 204, err);
}

static void create(struct api_call *call)
{
	const char *name = api_query(call, "name");
	struct err err = ERR_INIT;
	int p[2];

	if (pipe2(p, O_CLOEXEC)) {
		err_errno(&err, -errno, "cannot make a pipe");
		api_reply_err(call, &err);
		return;
	}
	http_body_to_fd(call->req, p[1], NULL, NULL);
	plugin_create(call->engine->plugins, name ? name : "", p[0], on_done_204, call);
}

static void enable(struct api_call *call)
{
	struct plugin *p = find(call);
	struct err err = ERR_INIT;
	int64_t timeout_s;

	if (!p)
		return;
	if (!api_query_i64(call, "timeout", 0, &timeout_s, &err) &&
	    (timeout_s < 0 || timeout_s > 86400))
		err_set(&err, -EINVAL, "negative or too long timeout of the plugin %s: %lld s",
			call->param[0], (long long)timeout_s);
	if (err.code)
		api_reply_err(call, &err);
	else
		plugin_enable(p, call->param[0], timeout_s, on_done_200, call);
}

static void disable(struct api_call *call)
{
	struct plugin *p = find(call);

	if (p)
		plugin_disable(p, call->param[0], api_query_bool(call, "force", false), on_done_200,
			       call);
}

static void remove_plugin(struct api_call *call)
{
	struct plugin *p = find(call);

	if (p)
		plugin_remove(p, call->param[0], api_query_bool(call, "force", false), on_done_200,
			      call);
}

static void set_with(struct api_call *call, json_t *body)
{
	struct plugin *p = find(call);
	struct err err = ERR_INIT;

	if (!p)
		return;
	if (body)
		plugin_change(p, body, &err);
	api_done(call, 204, err.code ? &err : NULL);
}

static void set(struct api_call *call)
{
	api_body_list(call, set_with);
}

/* --- registries --- */

static void on_privileges(const struct err *err, json_t *privileges, void *arg)
{
	if (err)
		api_reply_err(arg, err);
	else
		api_reply(arg, 200, json_incref(privileges));
}

static void privileges(struct api_call *call)
{
	const char *remote = api_query(call, "remote");
	_cleanup_free_ char *auth = api_registry_auth(call);

	plugin_ask_privileges(call->engine->plugins, remote ? remote : "", auth, on_privileges,
			      call);
}

static void pull_with(struct api_call *call, json_t *granted)
{
	const char *remote = api_query(call, "remote"), *name = api_query(call, "name");
	_cleanup_free_ char *auth = api_registry_auth(call), *local = NULL;

	/* what it is called here: clients go on with it */
	if (!plugin_name_parse(!str_empty(name) ? name : remote ? remote : "", &local, NULL))
		http_header_set(call->req, "Docker-Plugin-Name", local);
	plugin_pull(call->engine->plugins, remote ? remote : "", name, auth, granted, api_on_line,
		    api_stream_done, call);
}

static void pull(struct api_call *call)
{
	api_body_list(call, pull_with);
}

static void upgrade_with(struct api_call *call, json_t *granted)
{
	const char *remote = api_query(call, "remote");
	_cleanup_free_ char *auth = api_registry_auth(call);
	struct plugin *p = find(call);

	if (p)
		plugin_upgrade(p, remote ? remote : "", auth, granted, api_on_line, api_stream_done,
			       call);
}

static void upgrade(struct api_call *call)
{
	api_body_list(call, upgrade_with);
}

static void push(struct api_call *call)
{
	_cleanup_free_ char *auth = api_registry_auth(call);
	struct plugin *p = find(call);

	if (p)
		plugin_push(p, auth, api_on_line, api_stream_done, call);
}

/* --- what is not served --- */

/* Of BuildKit: clients fall back when they get this. */
static void no_session(struct api_call *call)
{
	struct err err = ERR_INIT;

	err_set(&err, -EOPNOTSUPP, "BuildKit's sessions are not served: set DOCKER_BUILDKIT=0");
	api_reply_err(call, &err);
}

static void no_cluster_volumes(struct api_call *call)
{
	struct err err = ERR_INIT;

	err_set(&err, -EOPNOTSUPP,
		"volumes of the cluster need a CSI plugin, which is not supported");
	api_reply_err(call, &err);
}

const struct api_route api_plugin_routes[] = {
	{"GET", "/plugins", list},
	{"GET", "/plugins/privileges", privileges},
	{"POST", "/plugins/pull", pull},
	{"POST", "/plugins/create", create},
	{"GET", "/plugins/{name...}/json", inspect},
	{"POST", "/plugins/{name...}/enable", enable},
	{"POST", "/plugins/{name...}/disable", disable},
	{"POST", "/plugins/{name...}/upgrade", upgrade},
	{"POST", "/plugins/{name...}/push", push},
	{"POST", "/plugins/{name...}/set", set},
	{"DELETE", "/plugins/{name...}", remove_plugin},
	{"POST", "/session", no_session},
	{"PUT", "/volumes/{name}", no_cluster_volumes},
	{0},
};
