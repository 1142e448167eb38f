// SPDX-License-Identifier: Apache-2.0
/* POST /build: the classic builder's stream. */
#include <errno.h>
#include <fcntl.h>

#include "api/api.h"
#include "image/image.h"
#include "image/reference.h"

enum { TAGS_MAX = 64, HOSTS_MAX = 256 };

static void on_done(const struct err *err, struct image *img, void *arg)
{
	(void)img;
	api_stream_done(err, arg);
}

static int json_param(struct api_call *call, const char *name, json_t **ret, struct err *err)
{
	const char *text = api_query(call, name);

	*ret = str_empty(text) ? NULL : json_loads(text, 0, NULL);
	if (!str_empty(text) && !json_is_object(*ret)) {
		json_decref(*ret);
		*ret = NULL;
		return err_set(err, -EINVAL, "the parameter '%s' is not a JSON object", name);
	}
	return 0;
}

static void build(struct api_call *call)
{
	const char *tags[TAGS_MAX + 1], *hosts[HOSTS_MAX + 1],
		*remote = api_query(call, "remote"), *file = api_query(call, "dockerfile");
	struct image_build b = {0};
	struct err err = ERR_INIT;
	struct reference r;
	size_t n = 0, n_hosts = 0;
	int p[2] = {-1, -1}, rc = 0;

	while (n < TAGS_MAX && (tags[n] = http_query_nth(call->req, "t", n)))
		n++;
	tags[n] = NULL;
	while (n_hosts < HOSTS_MAX &&
	       (hosts[n_hosts] = http_query_nth(call->req, "extrahosts", n_hosts)))
		n_hosts++;
	hosts[n_hosts] = NULL;
	for (size_t i = 0; i < n && !rc; i++)
		rc = reference_parse(tags[i], &r, &err);
	if (!rc && streq(api_query(call, "version"), "2"))
		rc = err_set(&err, -EOPNOTSUPP, "BuildKit is not served: set DOCKER_BUILDKIT=0");
	if (!rc)
		rc = json_param(call, "buildargs", &b.build_args, &err);
	if (!rc)
		rc = json_param(call, "labels", &b.labels, &err);
	b.remote = str_empty(remote) ? NULL : remote;
	if (!rc && !b.remote && pipe2(p, O_CLOEXEC))
		rc = err_errno(&err, -errno, "cannot make a pipe");
	if (rc) {
		json_decref(b.build_args);
		json_decref(b.labels);
		api_reply_err(call, &err);
		return;
	}
	b.dockerfile = str_empty(file) ? NULL : file;
	b.tags = tags;
	b.hosts = hosts;
	b.target = api_query(call, "target");
	b.network = api_query(call, "networkmode");
	b.quiet = api_query_bool(call, "q", false);
	b.no_cache = api_query_bool(call, "nocache", false);
	if (!b.remote)
		http_body_to_fd(call->req, p[1], NULL, NULL);
	images_build(call->engine->images, &b, p[0], api_on_line, on_done, call);
	json_decref(b.build_args);
	json_decref(b.labels);
}

static void prune(struct api_call *call)
{
	api_reply(call, 200, json_pack("{s:[], s:i}", "CachesDeleted", "SpaceReclaimed", 0));
}

const struct api_route api_build_routes[] = {
	{"POST", "/build", build},
	{"POST", "/build/prune", prune},
	{0},
};
