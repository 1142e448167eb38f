// SPDX-License-Identifier: Apache-2.0
/* The files of a container: docker cp, export, diff, commit. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "api/api.h"
#include "ctr/archive.h"
#include "ctr/ctr.h"
#include "image/reference.h"

enum { CHANGES_MAX = 64 };

static void stat_header(struct api_call *call, json_t *stat)
{
	char *text = json_dumps(stat, JSON_COMPACT), *b64 = base64_encode(text, strlen(text));

	http_header_set(call->req, "X-Docker-Container-Path-Stat", b64);
	free(text);
	free(b64);
}

static const char *path_of(struct api_call *call)
{
	const char *path = api_query(call, "path");
	struct err err = ERR_INIT;

	if (!str_empty(path))
		return path;
	err_set(&err, -EINVAL, "bad parameter: path cannot be empty");
	api_reply_err(call, &err);
	return NULL;
}

static void on_stat(const struct err *err, json_t *stat, int fd, void *arg)
{
	struct api_call *call = arg;

	if (fd >= 0)
		close(fd);
	if (err) {
		api_reply_err(call, err);
		return;
	}
	stat_header(call, stat);
	api_reply(call, 200, NULL);
}

static void head(struct api_call *call)
{
	struct ctr *c = api_ctr(call);
	const char *path = c ? path_of(call) : NULL;

	if (path)
		archive_stat(c, path, on_stat, call);
}

static void on_tar(const struct err *err, json_t *stat, int fd, void *arg)
{
	struct api_call *call = arg;

	if (err) {
		api_reply_err(call, err);
		return;
	}
	if (stat)
		stat_header(call, stat);
	http_start(call->req, 200, stat ? "application/x-tar" : "application/octet-stream");
	http_fd_to_reply(call->req, fd, NULL, NULL);
	api_call_free(call);
}

static void get(struct api_call *call)
{
	struct ctr *c = api_ctr(call);
	const char *path = c ? path_of(call) : NULL;

	if (path)
		archive_get(c, path, on_tar, call);
}

static void export(struct api_call *call)
{
	struct ctr *c = api_ctr(call);

	if (c)
		archive_export(c, on_tar, call);
}

static void on_put(const struct err *err, void *arg)
{
	api_done(arg, 200, err);
}

static void put(struct api_call *call)
{
	struct ctr *c = api_ctr(call);
	const char *path = c ? path_of(call) : NULL;
	struct err err = ERR_INIT;
	int p[2];

	if (!path)
		return;
	if (pipe2(p, O_CLOEXEC)) {
		err_errno(&err, -errno, "cannot make a pipe");
		api_reply_err(call, &err);
		return;
	}
	http_body_to_fd(call->req, p[1], NULL, NULL);
	archive_put(c, path, p[0], api_query_bool(call, "noOverwriteDirNonDir", false),
		    api_query_bool(call, "copyUIDGID", false), on_put, call);
}

static void on_changes(const struct err *err, json_t *changes, void *arg)
{
	if (err)
		api_reply_err(arg, err);
	else
		api_reply(arg, 200, json_array_size(changes) ? json_incref(changes) : json_null());
}

static void changes(struct api_call *call)
{
	struct ctr *c = api_ctr(call);

	if (c)
		archive_changes(c, on_changes, call);
}

static void on_commit(const struct err *err, const char *id, void *arg)
{
	if (err)
		api_reply_err(arg, err);
	else
		api_reply(arg, 201, json_pack("{s:s}", "Id", id));
}

static void commit_now(struct api_call *call, json_t *body)
{
	const char *repo = api_query(call, "repo"), *tag = api_query(call, "tag"),
		   *name = api_query(call, "container");
	const char *lines[CHANGES_MAX + 1];
	_cleanup_free_ char *ref = NULL;
	struct commit c = {
		.comment = api_query(call, "comment"),
		.author = api_query(call, "author"),
		.config = body,
		.pause = api_query_bool(call, "pause", true),
	};
	struct reference r;
	struct err err = ERR_INIT;
	struct ctr *ctr = NULL;
	size_t n = 0;
	int rc = 0;

	while (n < CHANGES_MAX && (lines[n] = http_query_nth(call->req, "changes", n)))
		n++;
	lines[n] = NULL;
	c.changes = lines;
	if (!str_empty(repo)) {
		ref = xasprintf("%s%s%s", repo, str_empty(tag) ? "" : ":",
				str_empty(tag) ? "" : tag);
		rc = reference_parse(ref, &r, &err);
		c.ref = ref;
	}
	if (!rc && !(ctr = ctr_find(call->engine->ctrs, name ? name : "", &err)))
		rc = err.code;
	if (rc)
		api_reply_err(call, &err);
	else
		archive_commit(ctr, &c, on_commit, call);
}

/* A commit that waits for a start or an end that is under way. */
struct commit_wait {
	struct api_call *call;
	json_t *body;
};

static void on_idle(struct ctr *c, const struct err *err, void *arg)
{
	struct commit_wait *w = arg;

	(void)c;
	if (err)
		api_reply_err(w->call, err);
	else
		commit_now(w->call, w->body);
	json_decref(w->body);
	free(w);
}

static void commit_with(struct api_call *call, json_t *body)
{
	const char *name = api_query(call, "container");
	struct ctr *c = name ? ctr_find(call->engine->ctrs, name, NULL) : NULL;
	struct commit_wait *w;

	if (!c) {
		commit_now(call, body); /* says so */
		return;
	}
	w = xcalloc(1, sizeof(*w));
	*w = (struct commit_wait){call, json_incref(body)};
	ctr_when_idle(c, on_idle, w);
}

static void commit(struct api_call *call)
{
	api_body(call, commit_with);
}

const struct api_route api_archive_routes[] = {
	{"HEAD", "/containers/{name}/archive", head},
	{"GET", "/containers/{name}/archive", get},
	{"PUT", "/containers/{name}/archive", put},
	{"GET", "/containers/{name}/export", export},
	{"GET", "/containers/{name}/changes", changes},
	{"POST", "/commit", commit},
	{0},
};
