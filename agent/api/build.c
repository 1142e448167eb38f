// SPDX-License-Identifier: Apache-2.0
/* POST /build: the classic builder's stream. */
#include <errno.h>
#include <fcntl.h>
#include <strings.h>

#include "api/api.h"
#include "api/build_net.h"
#include "core/arch.h"
#include "ctr/ctr.h"
#include "ctr/spec.h"
#include "image/image.h"
#include "image/reference.h"

enum { TAGS_MAX = 64, HOSTS_MAX = 256 };

/* One build on its way: the network first, then the work, then the network's end. */
struct build {
	struct api_call *call;
	struct build_net *net;
	char id[65];
	char *cgroup;
	const char *tags[TAGS_MAX + 1];
	struct image_build b;
	int fd; /* the context; -1: from an address */
	struct err err;
};

static void build_free(struct build *b)
{
	json_decref(b->b.build_args);
	json_decref(b->b.labels);
	json_decref(b->b.limits);
	json_decref(b->b.caps);
	if (b->fd >= 0)
		close(b->fd);
	free(b->cgroup);
	free(b);
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

/* What HostConfig would have of limits. */
static int read_limits(struct api_call *call, json_t **ret, struct err *err)
{
	static const struct {
		const char *param, *key;
	} numbers[] = {{"memory", "Memory"},	   {"memswap", "MemorySwap"},
		       {"cpushares", "CpuShares"}, {"cpuperiod", "CpuPeriod"},
		       {"cpuquota", "CpuQuota"},   {"shmsize", "ShmSize"}},
	  texts[] = {{"cpusetcpus", "CpusetCpus"}, {"cpusetmems", "CpusetMems"}};
	const char *ulimits = api_query(call, "ulimits");
	json_t *host = json_object(), *list;
	int64_t v;
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(numbers) && !rc; i++) {
		rc = api_query_i64(call, numbers[i].param, 0, &v, err);
		if (!rc && v)
			json_object_set_new(host, numbers[i].key, json_integer(v));
	}
	for (size_t i = 0; i < ARRAY_SIZE(texts) && !rc; i++)
		if (!str_empty(api_query(call, texts[i].param)))
			json_object_set_new(host, texts[i].key,
					    json_string(api_query(call, texts[i].param)));
	if (!rc && !str_empty(ulimits)) {
		list = json_loads(ulimits, 0, NULL);
		if (json_is_array(list) || json_is_null(list))
			json_object_set_new(host, "Ulimits", list);
		else
			rc = err_set(err, -EINVAL, "error reading ulimit settings: %s is no list",
				     ulimits);
		if (rc)
			json_decref(list);
	}
	if (!rc)
		rc = ctr_check_limits(host, err);
	if (rc)
		json_decref(host);
	else
		*ret = host;
	return rc;
}

/* Source: moby api/server/router/build/build_routes.go, builder/dockerfile/builder.go. */
static int check_params(struct api_call *call, struct err *err)
{
	const char *platform = api_query(call, "platform"),
		   *isolation = api_query(call, "isolation"),
		   *security = api_query(call, "securityopt");

	if (streq(api_query(call, "version"), "2"))
		return err_set(err, -EOPNOTSUPP, "BuildKit is not served: set DOCKER_BUILDKIT=0");
	if (api_query_bool(call, "squash", false))
		return err_set(err, -EINVAL, "squash is only supported with experimental mode");
	if (!str_empty(security) && strcmp(security, "null") && strcmp(security, "[]"))
		return err_set(err, -EINVAL,
			       "The daemon on this platform does not support setting security "
			       "options on build");
	if (!str_empty(isolation) && strcasecmp(isolation, "default"))
		return err_set(err, -EINVAL, "Unsupported isolation: \"%s\"", isolation);
	return str_empty(platform) ? 0 : arch_platform_check(platform, err);
}

static int read_params(struct build *b, struct err *err)
{
	struct api_call *call = b->call;
	const char *remote = api_query(call, "remote"), *file = api_query(call, "dockerfile"),
		   *platform = api_query(call, "platform");
	json_t *unlimited = json_object();
	struct reference r;
	int rc = check_params(call, err);

	for (size_t n = 0; n < TAGS_MAX && !rc; n++) {
		b->tags[n] = http_query_nth(call->req, "t", n);
		if (!b->tags[n])
			break;
		rc = reference_parse(b->tags[n], &r, err);
	}
	if (!rc)
		rc = json_param(call, "buildargs", &b->b.build_args, err);
	if (!rc)
		rc = json_param(call, "labels", &b->b.labels, err);
	if (!rc)
		rc = read_limits(call, &b->b.limits, err);
	if (!rc)
		rc = spec_caps(unlimited, &b->b.caps, err);
	json_decref(unlimited);
	b->cgroup = ctrs_cgroup(call->engine->ctrs, api_query(call, "cgroupparent"), b->id);
	b->b.tags = b->tags;
	b->b.remote = str_empty(remote) ? NULL : remote;
	b->b.dockerfile = str_empty(file) ? NULL : file;
	b->b.target = api_query(call, "target");
	b->b.platform = str_empty(platform) || arch_is_platform(platform) ? NULL : platform;
	b->b.quiet = api_query_bool(call, "q", false);
	b->b.no_cache = api_query_bool(call, "nocache", false);
	b->b.pull = api_query_bool(call, "pull", false);
	b->b.runtime = ctrs_runtime(call->engine->ctrs);
	b->b.cgroup = b->cgroup;
	return rc;
}

/* The command's own code, which the client ends with; 0: the build failed otherwise. */
static int exit_code(const char *why)
{
	static const char said[] = "returned a non-zero code: ";
	const char *at = starts_with(why, "The command '") ? strstr(why, said) : NULL, *next;

	while (at && (next = strstr(at + 1, said)))
		at = next;
	return at ? atoi(at + strlen(said)) : 0;
}

static void on_closed(void *arg)
{
	struct build *b = arg;
	int code = exit_code(b->err.msg);

	if (code) {
		api_line(b->call, json_pack("{s:{s:i, s:s}, s:s}", "errorDetail", "code", code,
					    "message", b->err.msg, "error", b->err.msg));
		api_end(b->call);
	} else {
		api_stream_done(b->err.code ? &b->err : NULL, b->call);
	}
	build_free(b);
}

static void on_done(const struct err *err, struct image *img, void *arg)
{
	struct build *b = arg;

	(void)img;
	if (err)
		b->err = *err;
	build_net_close(b->net, on_closed, b);
}

static void on_line(json_t *line, void *arg)
{
	struct build *b = arg;

	api_on_line(line, b->call);
}

static void on_network(const struct err *err, void *arg)
{
	struct build *b = arg;

	if (err) {
		on_done(err, NULL, b);
		return;
	}
	b->b.netns = build_net_ns(b->net);
	b->b.net_dir = build_net_dir(b->net);
	images_build(b->call->engine->images, &b->b, steal_fd(b->fd), on_line, on_done, b);
}

static int start(struct build *b, struct err *err)
{
	struct api_call *call = b->call;
	json_t *hosts = json_array();
	const char *host;
	int p[2] = {-1, -1}, rc;

	for (size_t i = 0; i < HOSTS_MAX && (host = http_query_nth(call->req, "extrahosts", i));
	     i++)
		json_array_append_new(hosts, json_string(host));
	rc = ctr_check_extra_hosts(hosts, err);
	if (!rc && !b->b.remote && pipe2(p, O_CLOEXEC))
		rc = err_errno(err, -errno, "cannot make a pipe");
	b->fd = p[0];
	if (!rc)
		rc = build_net_open(call->engine, b->id, api_query(call, "networkmode"), hosts,
				    on_network, b, &b->net, err);
	json_decref(hosts);
	if (rc && p[1] >= 0)
		close(p[1]);
	else if (!rc && !b->b.remote)
		http_body_to_fd(call->req, p[1], NULL, NULL);
	return rc;
}

static void build(struct api_call *call)
{
	struct build *b = xcalloc(1, sizeof(*b));
	struct err err = ERR_INIT;
	uint8_t raw[32];
	int rc;

	b->call = call;
	b->fd = -1;
	rng_bytes(&call->engine->rng, raw, sizeof(raw));
	hex_encode(b->id, raw, sizeof(raw));
	rc = read_params(b, &err);
	if (!rc)
		rc = start(b, &err);
	if (rc) {
		build_free(b);
		api_reply_err(call, &err);
	}
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
