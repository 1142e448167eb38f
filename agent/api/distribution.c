// SPDX-License-Identifier: Apache-2.0
/* GET /distribution/{name}/json: what a registry says of an image; and POST /auth. */
#include <errno.h>
#include <openssl/sha.h>

#include "api/api.h"
#include "core/buf.h"
#include "image/image.h"
#include "image/reference.h"
#include "loop/loop.h"

enum { TIMEOUT_S = 10 };

struct inquiry {
	struct api_call *call;
	char *ref, *creds;
	bool insecure;
	struct buf manifest, config, errors;
	int rc;
};

static int ask(struct inquiry *q, bool config, struct buf *ret)
{
	_cleanup_free_ char *url = xasprintf("docker://%s", q->ref),
			    *limit = xasprintf("--command-timeout=%ds", TIMEOUT_S);
	const char *argv[16];
	int n = 0;

	argv[n++] = "skopeo";
	argv[n++] = limit;
	argv[n++] = "--override-os=linux";
	argv[n++] = "inspect";
	argv[n++] = "--raw";
	if (config)
		argv[n++] = "--config";
	if (q->insecure)
		argv[n++] = "--tls-verify=false";
	if (q->creds) {
		argv[n++] = "--creds";
		argv[n++] = q->creds;
	}
	argv[n++] = url;
	argv[n] = NULL;
	buf_reset(&q->errors);
	return run_program(argv, NULL, ret, &q->errors);
}

static void work(void *arg)
{
	struct inquiry *q = arg;
	json_t *doc;

	q->rc = ask(q, false, &q->manifest);
	if (q->rc)
		return;
	doc = json_loadb(q->manifest.data, q->manifest.len, 0, NULL);
	if (doc && !json_object_get(doc, "manifests"))
		q->rc = ask(q, true, &q->config);
	json_decref(doc);
}

static json_t *platform(json_t *p)
{
	json_t *o = json_object();
	static const char *const names[] = {"architecture", "os", "os.version", "os.features",
					    "variant"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (json_object_get(p, names[i]))
			json_object_set(o, names[i], json_object_get(p, names[i]));
	return o;
}

static json_t *answer(struct inquiry *q)
{
	json_t *doc = json_loadb(q->manifest.data, q->manifest.len, 0, NULL), *m,
	       *platforms = json_array(), *out;
	const char *type = json_string_value(json_object_get(doc, "mediaType"));
	unsigned char sum[SHA256_DIGEST_LENGTH];
	char hex[2 * SHA256_DIGEST_LENGTH + 1];
	size_t i;

	SHA256((unsigned char *)q->manifest.data, q->manifest.len, sum);
	hex_encode(hex, sum, sizeof(sum));
	json_array_foreach (json_object_get(doc, "manifests"), i, m)
		json_array_append_new(platforms, platform(json_object_get(m, "platform")));
	if (q->config.len) {
		json_t *config = json_loadb(q->config.data, q->config.len, 0, NULL);

		json_array_append_new(platforms, platform(config));
		json_decref(config);
	}
	out = json_pack("{s:{s:s, s:o, s:I}, s:o}", "Descriptor", "mediaType",
			type ? type : "application/vnd.oci.image.manifest.v1+json", "digest",
			json_sprintf("sha256:%s", hex), "size", (json_int_t)q->manifest.len,
			"Platforms", platforms);
	json_decref(doc);
	return out;
}

static void done(void *arg)
{
	struct inquiry *q = arg;
	struct err err = ERR_INIT;
	const char *text = q->errors.data;

	if (!q->rc) {
		api_reply(q->call, 200, answer(q));
	} else {
		if (q->rc == -ENOENT)
			err_set(&err, -EIO, "skopeo, which asks registries, is not installed");
		else if (strstr(text, "manifest unknown") || strstr(text, "name unknown"))
			err_set(&err, -ENOENT, "manifest unknown: %s", q->ref);
		else if (strstr(text, "unauthorized") || strstr(text, "denied") ||
			 strstr(text, "authentication required"))
			err_set(&err, -EACCES,
				"pull access denied for %s, repository does not exist or may "
				"require 'docker login'",
				q->ref);
		else
			err_set(&err, -EIO, "the registry of %s cannot be asked", q->ref);
		api_reply_err(q->call, &err);
	}
	free(q->ref);
	free(q->creds);
	buf_done(&q->manifest);
	buf_done(&q->config);
	buf_done(&q->errors);
	free(q);
}

static void inspect(struct api_call *call)
{
	_cleanup_free_ char *auth = api_registry_auth(call);
	struct reference r;
	struct err err = ERR_INIT;
	struct inquiry *q;

	if (reference_parse(call->param[0], &r, &err)) {
		api_reply_err(call, &err);
		return;
	}
	q = xcalloc(1, sizeof(*q));
	q->call = call;
	q->ref = r.digest[0] ? xasprintf("%s@%s", r.name, r.digest)
			     : xasprintf("%s:%s", r.name, r.tag);
	q->creds = image_credentials(auth);
	q->insecure = images_insecure(call->engine->images, r.name);
	buf_init(&q->manifest);
	buf_init(&q->config);
	buf_init(&q->errors);
	loop_thread(call->engine->loop, work, done, q);
}

/* --- auth --- */

struct login {
	struct api_call *call;
	char *server, *user, *password;
	bool insecure;
	struct buf errors;
	int rc;
};

static void login_work(void *arg)
{
	struct login *l = arg;
	_cleanup_free_ char *authfile = NULL, *creds = NULL;
	_cleanup_buf_ struct buf in = BUF_INIT;
	char dir[] = "/tmp/swarm-login-XXXXXX";
	const char *argv[16];
	int n = 0;

	if (!mkdtemp(dir)) {
		l->rc = -errno;
		return;
	}
	authfile = xasprintf("--authfile=%s/auth.json", dir);
	buf_str(&in, l->password);
	argv[n++] = "skopeo";
	argv[n++] = "--command-timeout=10s";
	argv[n++] = "login";
	argv[n++] = authfile;
	if (l->insecure)
		argv[n++] = "--tls-verify=false";
	argv[n++] = "--username";
	argv[n++] = l->user;
	argv[n++] = "--password-stdin";
	argv[n++] = l->server;
	argv[n] = NULL;
	l->rc = run_program(argv, &in, NULL, &l->errors);
	creds = xasprintf("%s/auth.json", dir);
	unlink(creds);
	rmdir(dir);
}

static void login_done(void *arg)
{
	struct login *l = arg;
	struct err err = ERR_INIT;

	if (!l->rc) {
		api_reply(
			l->call, 200,
			json_pack("{s:s, s:s}", "Status", "Login Succeeded", "IdentityToken", ""));
	} else {
		if (strstr(l->errors.data, "unauthorized") ||
		    strstr(l->errors.data, "invalid username/password"))
			err_set(&err, -EKEYREJECTED,
				"unauthorized: incorrect username or password");
		else
			err_set(&err, -EIO, "the registry %s cannot be asked", l->server);
		api_reply_err(l->call, &err);
	}
	free(l->server);
	free(l->user);
	free(l->password);
	buf_done(&l->errors);
	free(l);
}

static void auth_with(struct api_call *call, json_t *body)
{
	const char *server = json_string_value(json_object_get(body, "serveraddress")),
		   *user = json_string_value(json_object_get(body, "username")),
		   *password = json_string_value(json_object_get(body, "password"));
	struct err err = ERR_INIT;
	struct login *l;
	char *slash;

	if (!body || str_empty(user) || str_empty(password)) {
		err_set(&err, -EINVAL, "bad parameter: username and password must be given");
		api_reply_err(call, &err);
		return;
	}
	if (str_empty(server) || strstr(server, "index.docker.io"))
		server = "docker.io";
	l = xcalloc(1, sizeof(*l));
	l->call = call;
	l->server = xstrdup(strstr(server, "://") ? strstr(server, "://") + 3 : server);
	slash = strchr(l->server, '/');
	if (slash)
		*slash = 0;
	l->user = xstrdup(user);
	l->password = xstrdup(password);
	l->insecure = images_insecure(call->engine->images, l->server);
	buf_init(&l->errors);
	if (l->server[0] == '-' || l->user[0] == '-') {
		l->rc = -EINVAL;
		login_done(l);
		return;
	}
	loop_thread(call->engine->loop, login_work, login_done, l);
}

static void auth(struct api_call *call)
{
	api_body(call, auth_with);
}

const struct api_route api_distribution_routes[] = {
	{"GET", "/distribution/{name...}/json", inspect},
	{"POST", "/auth", auth},
	{0},
};
