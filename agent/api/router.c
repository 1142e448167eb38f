// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>

#include "api/api.h"
#include "manager/swarm.h"

/* Each resource adds its table here; those of the swarm's objects want a current store. */
static const struct {
	const struct api_route *routes;
	bool current;
} tables[] = {
	{api_system_routes, false},	  {api_image_routes, false},  {api_build_routes, false},
	{api_container_routes, false},	  {api_log_routes, false},    {api_archive_routes, false},
	{api_exec_routes, false},	  {api_volume_routes, false}, {api_disk_routes, false},
	{api_distribution_routes, false}, {api_plugin_routes, false}, {api_network_routes, false},
	{api_swarm_routes, false},	  {api_agent_routes, false},  {api_datapath_routes, false},
	{api_cluster_routes, true},	  {api_node_routes, true},    {api_service_routes, true},
	{api_service_log_routes, true},	  {api_task_routes, true},    {api_secret_routes, true},
	{api_config_routes, true},
};

/* Whether path (which is cut up in place) is of the pattern's form; fills param. */
static bool match(const char *pattern, char *path, const char *param[API_PARAMS])
{
	size_t n = 0;

	while (*pattern) {
		if (*pattern != '{') {
			if (*pattern++ != *path++)
				return false;
			continue;
		}
		/* a part: up to the next slash, or for "..." up to the literal that ends the pattern */
		{
			const char *close = strchr(pattern, '}');
			bool rest = !memcmp(close - 3, "...", 3);
			size_t tail = strlen(close + 1), len = strlen(path);
			char *end = path + strcspn(path, "/");

			if (rest) {
				if (len <= tail || strcmp(path + len - tail, close + 1))
					return false;
				end = path + len - tail;
			}
			if (end == path)
				return false;
			pattern = close + 1;
			if (*pattern != *end)
				return false;
			param[n++] = path;
			if (*end) {
				*end = 0;
				path = end + 1;
				pattern++;
			} else {
				path = end;
			}
		}
	}
	return !*path;
}

/* "/v1.41/…": the version, 0 for an unversioned path, -1 for nonsense. Moves *path behind it. */
static int version_of(const char **path)
{
	unsigned int major, minor;
	int used = 0;

	if ((*path)[0] != '/' || (*path)[1] != 'v' || (*path)[2] < '0' || (*path)[2] > '9')
		return 0;
	if (sscanf(*path, "/v%3u.%3u%n", &major, &minor, &used) != 2 || (*path)[used] != '/')
		return -1;
	*path += used;
	return major * 100 + minor;
}

static void fail(struct api_call *call, int code, const char *fmt, ...) _printf_(3, 4);
static void fail(struct api_call *call, int code, const char *fmt, ...)
{
	struct err err = {.code = code};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err.msg, sizeof(err.msg), fmt, ap);
	va_end(ap);
	api_reply_err(call, &err);
}

static void common_headers(struct engine *engine, struct http_req *req)
{
	char version[16];

	(void)engine;
	snprintf(version, sizeof(version), "%d.%d", API_VERSION_MAX / 100, API_VERSION_MAX % 100);
	http_header_set(req, "Api-Version", version);
	http_header_set(req, "Docker-Experimental", "false");
	http_header_set(req, "Ostype", "linux");
	http_header_set(req, "Server", "swarm-agent/" SWARM_VERSION " (linux)");
}

void api_handle(struct http_req *req, void *arg)
{
	struct api_call *call = xcalloc(1, sizeof(*call));
	const char *path = http_path(req), *method = http_method(req);
	int version = version_of(&path);
	bool other_method = false;

	call->engine = arg;
	call->req = req;
	common_headers(arg, req);
	call->version = version > 0 ? version : API_VERSION_MAX;
	if (version < 0) {
		fail(call, -ENOENT, "page not found");
		return;
	}
	if (version > API_VERSION_MAX) {
		fail(call, -EINVAL,
		     "client version %d.%d is too new. Maximum supported API version is %d.%d",
		     version / 100, version % 100, API_VERSION_MAX / 100, API_VERSION_MAX % 100);
		return;
	}
	if (version && version < API_VERSION_MIN) {
		fail(call, -EINVAL,
		     "client version %d.%d is too old. Minimum supported API version is %d.%d, "
		     "please "
		     "upgrade your client to a newer version",
		     version / 100, version % 100, API_VERSION_MIN / 100, API_VERSION_MIN % 100);
		return;
	}
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (const struct api_route *r = tables[t].routes; r->fn; r++) {
			free(call->path);
			call->path = xstrdup(path);
			memset(call->param, 0, sizeof(call->param));
			if (!match(r->pattern, call->path, call->param))
				continue;
			if (strcmp(r->method, method)) {
				other_method = true;
				continue;
			}
			if (!tables[t].current)
				r->fn(call);
			else if (!strcmp(method, "GET") || !swarm_is_leader(call->engine->swarm))
				api_read_current(call, r->fn, true);
			else
				r->fn(call); /* a leader's change is refused when it leads no more */
			return;
		}
	}
	if (other_method)
		api_reply(call, 405, json_pack("{s:s}", "message", "method not allowed"));
	else
		fail(call, -ENOENT, "page not found");
}
