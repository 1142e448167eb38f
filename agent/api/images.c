// SPDX-License-Identifier: Apache-2.0
/* /images, and what moves them: load, save, pull, push, import. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>

#include "api/api.h"
#include "core/fields.h"
#include "image/image.h"
#include "image/reference.h"
#include "loop/events.h"
#include "loop/loop.h"

/* as moby registry/search_session.go */
enum { SEARCH_DEFAULT = 25, SEARCH_MAX = 100 };

static const char *const list_filters[] = {"before", "dangling", "label", "reference",
					   "since",  "until",	 NULL};

static struct image *find(struct api_call *call, const char *name)
{
	struct err err = ERR_INIT;
	struct image *img = images_find(call->engine->images, name, &err);

	if (!img)
		api_reply_err(call, &err);
	return img;
}

/* "name", "name:tag" or a pattern with '*' against the short names. */
static bool reference_matches(const struct filters *f, json_t *tags)
{
	const char *pattern;
	json_t *v;
	size_t i;

	if (!filters_has(f, "reference"))
		return true;
	for (size_t n = 0; (pattern = filters_value(f, "reference", n)); n++) {
		json_array_foreach (tags, i, v) {
			const char *tag = json_string_value(v), *colon = strrchr(tag, ':');
			_cleanup_free_ char *name = xstrndup(tag, colon - tag);

			if (!fnmatch(pattern, tag, FNM_PATHNAME) ||
			    !fnmatch(pattern, name, FNM_PATHNAME))
				return true;
		}
	}
	return false;
}

/* Until 1.43 the size had a second name. */
static json_t *with_virtual_size(struct api_call *call, json_t *image)
{
	if (call->version < 144)
		json_object_set(image, "VirtualSize", json_object_get(image, "Size"));
	return image;
}

/* item is stolen. */
static void add_newest_first(json_t *list, json_t *item)
{
	size_t i = json_array_size(list);

	while (i && ji(json_array_get(list, i - 1), "Created") < ji(item, "Created"))
		i--;
	json_array_insert_new(list, i, item);
}

static void list(struct api_call *call)
{
	struct images *images = call->engine->images;
	struct image *img, *before = NULL, *since = NULL;
	struct filters *f = NULL;
	struct err err = ERR_INIT;
	json_t *out = json_array();
	bool dangling = false;
	int64_t until = 0;
	size_t pos = 0;
	int rc = api_filters(call, list_filters, &f, &err);

	if (!rc)
		rc = filters_bool(f, "dangling", false, &dangling, &err);
	if (!rc)
		rc = filters_until(f, loop_wall_ns(), &until, &err);
	if (!rc && filters_has(f, "before") &&
	    !(before = images_find(images, filters_value(f, "before", 0), &err)))
		rc = err.code;
	if (!rc && filters_has(f, "since") &&
	    !(since = images_find(images, filters_value(f, "since", 0), &err)))
		rc = err.code;
	while (!rc && (img = images_next(images, &pos))) {
		json_t *item,
			*labels = json_object_get(json_object_get(img->config, "config"), "Labels");

		if (filters_has(f, "dangling") && dangling != !json_array_size(img->refs))
			continue;
		if ((before && img->created_ns >= before->created_ns) ||
		    (since && img->created_ns <= since->created_ns) ||
		    (until && img->created_ns >= until))
			continue;
		item = with_virtual_size(call, images_summary(images, img));
		if (call->version >= 151)
			json_object_set_new(item, "Containers", json_integer(img->users));
		if (filters_match_labels(f, "label", labels) &&
		    reference_matches(f, json_object_get(item, "RepoTags")))
			add_newest_first(out, item);
		else
			json_decref(item);
	}
	filters_free(f);
	if (rc) {
		json_decref(out);
		api_reply_err(call, &err);
		return;
	}
	api_reply(call, 200, out);
}

/*
 * Until 1.44 the container that an image was made from was told. Compose 1 takes the newest version that
 * there is, and looks for volumes there.
 */
static json_t *with_container(struct api_call *call, json_t *image)
{
	if (call->version < 145)
		json_object_set_new(image, "Container", json_string(""));
	json_object_set_new(image, "ContainerConfig",
			    json_deep_copy(json_object_get(image, "Config")));
	return with_virtual_size(call, image);
}

static void inspect(struct api_call *call)
{
	struct image *img = find(call, call->param[0]);

	if (img)
		api_reply(call, 200,
			  with_container(call, images_inspect(call->engine->images, img)));
}

static void history(struct api_call *call)
{
	struct image *img = find(call, call->param[0]);

	if (img)
		api_reply(call, 200, images_history(call->engine->images, img));
}

/* They come in an index with the image, of which its manifest for this platform alone is kept. */
static void attestations(struct api_call *call)
{
	struct image *img = find(call, call->param[0]);
	struct err err = ERR_INIT;

	if (!img)
		return;
	err_set(&err, -EOPNOTSUPP,
		"attestations of images are not kept: ask the registry for them");
	api_reply_err(call, &err);
}

static void tag(struct api_call *call)
{
	const char *repo = api_query(call, "repo"), *tag = api_query(call, "tag");
	struct image *img = find(call, call->param[0]);
	_cleanup_free_ char *name = NULL;
	struct err err = ERR_INIT;

	if (!img)
		return;
	name = xasprintf("%s%s%s", repo ? repo : "", str_empty(tag) ? "" : ":", tag ? tag : "");
	if (images_tag(call->engine->images, img, name, &err))
		api_reply_err(call, &err);
	else
		api_reply(call, 201, NULL);
}

static void remove_image(struct api_call *call)
{
	json_t *report = json_array();
	struct err err = ERR_INIT;

	if (images_remove(call->engine->images, call->param[0],
			  api_query_bool(call, "force", false), report, &err)) {
		json_decref(report);
		api_reply_err(call, &err);
		return;
	}
	api_reply(call, 200, report);
}

static void prune(struct api_call *call)
{
	static const char *const allowed[] = {"dangling", "label", "label!", "until", NULL};
	struct images *images = call->engine->images;
	json_t *report = json_array();
	int64_t before = images_layers_size(images), until = 0;
	struct filters *f = NULL;
	struct err err = ERR_INIT;
	bool dangling = true;
	struct image *img;
	size_t pos = 0;
	int rc = api_filters(call, allowed, &f, &err);

	if (!rc)
		rc = filters_bool(f, "dangling", true, &dangling, &err);
	if (!rc)
		rc = filters_until(f, loop_wall_ns(), &until, &err);
	while (!rc && (img = images_next(images, &pos))) {
		json_t *labels = json_object_get(json_object_get(img->config, "config"), "Labels");
		char id[72];

		if (img->users || (dangling && json_array_size(img->refs)) ||
		    (until && img->created_ns >= until) ||
		    !filters_match_labels(f, "label", labels) ||
		    !filters_exclude_labels(f, "label!", labels))
			continue;
		strcpy(id, img->id);
		images_remove(images, id, true, report, NULL);
	}
	filters_free(f);
	if (rc) {
		json_decref(report);
		api_reply_err(call, &err);
		return;
	}
	api_reply(call, 200,
		  json_pack("{s:o, s:I}", "ImagesDeleted", report, "SpaceReclaimed",
			    (json_int_t)(before - images_layers_size(images))));
}

static void on_done(const struct err *err, struct image *img, void *arg)
{
	(void)img;
	api_stream_done(err, arg);
}

/* A pipe whose writing side takes the request's body. Returns the reading side. */
static int body_pipe(struct api_call *call)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC)) {
		struct err err = ERR_INIT;

		err_errno(&err, -errno, "cannot make a pipe");
		api_reply_err(call, &err);
		return -1;
	}
	http_body_to_fd(call->req, p[1], NULL, NULL);
	return p[0];
}

static void load(struct api_call *call)
{
	int fd = body_pipe(call);

	if (fd < 0)
		return;
	/* as dockerd: what is wrong with an archive is told in the stream */
	http_start(call->req, 200, "application/json");
	images_load(call->engine->images, fd, api_query_bool(call, "quiet", false), api_on_line,
		    on_done, call);
}

static void on_import(const struct err *err, struct image *img, void *arg)
{
	if (!err)
		api_line(arg, json_pack("{s:s}", "status", img->id));
	on_done(err, img, arg);
}

static void import(struct api_call *call)
{
	const char *repo = api_query(call, "repo"), *tag = api_query(call, "tag"), *line,
		   *from = api_query(call, "fromSrc");
	_cleanup_free_ char *ref = NULL;
	struct image_import im = {
		.url = strcmp(from, "-") ? from : NULL,
		.message = api_query(call, "message"),
		.config = json_object(),
	};
	struct reference r;
	struct err err = ERR_INIT;
	int rc = 0, fd = -1;

	if (!str_empty(repo)) {
		im.ref = ref = xasprintf("%s%s%s", repo, str_empty(tag) ? "" : ":", tag ? tag : "");
		rc = reference_parse(ref, &r, &err);
	}
	for (size_t i = 0; !rc && (line = http_query_nth(call->req, "changes", i)); i++)
		rc = image_change(im.config, line, &err);
	if (rc)
		api_reply_err(call, &err);
	else if (im.url || (fd = body_pipe(call)) >= 0)
		images_import(call->engine->images, &im, fd, api_on_line, on_import, call);
	json_decref(im.config);
}

static void create(struct api_call *call)
{
	const char *from = api_query(call, "fromImage"), *tag = api_query(call, "tag");
	_cleanup_free_ char *ref = NULL, *auth = NULL;
	struct reference r;
	struct err err = ERR_INIT;

	if (!str_empty(api_query(call, "fromSrc"))) {
		import(call);
		return;
	}
	ref = xasprintf("%s%s%s", from ? from : "",
			str_empty(tag)	    ? ""
			: digest_valid(tag) ? "@"
					    : ":",
			tag ? tag : "");
	if (reference_parse(ref, &r, &err)) {
		api_reply_err(call, &err);
		return;
	}
	auth = api_registry_auth(call);
	images_pull(call->engine->images, ref, auth, api_on_line, on_done, call);
}

static void push(struct api_call *call)
{
	const char *tag = api_query(call, "tag");
	_cleanup_free_ char *ref = xasprintf("%s%s%s", call->param[0], str_empty(tag) ? "" : ":",
					     tag ? tag : ""),
			    *auth = api_registry_auth(call);

	images_push(call->engine->images, ref, auth, api_on_line, on_done, call);
}

static void save_names(struct api_call *call, const char *const *names, size_t n)
{
	struct err err = ERR_INIT;
	int p[2];

	if (!n)
		err_set(&err, -EINVAL, "no image is named");
	else if (pipe2(p, O_CLOEXEC))
		err_errno(&err, -errno, "cannot make a pipe");
	else if (!images_save(call->engine->images, names, n, p[1], &err)) {
		http_start(call->req, 200, "application/x-tar");
		http_fd_to_reply(call->req, p[0], NULL, NULL);
		api_call_free(call);
		return;
	} else {
		close(p[0]);
	}
	api_reply_err(call, &err);
}

static void save(struct api_call *call)
{
	const char *names[256];
	size_t n = 0;

	while (n < ARRAY_SIZE(names) && (names[n] = http_query_nth(call->req, "names", n)))
		n++;
	save_names(call, names, n);
}

static void save_one(struct api_call *call)
{
	save_names(call, &call->param[0], 1);
}

/* --- search --- */

struct search {
	struct api_call *call;
	struct filters *f;
	bool official;
	int64_t stars;
};

static void search_end(struct search *s, const struct err *err, json_t *found)
{
	if (err)
		api_reply_err(s->call, err);
	else
		api_reply(s->call, 200, found);
	filters_free(s->f);
	free(s);
}

static void on_found(const struct err *err, json_t *results, void *arg)
{
	struct search *s = arg;
	json_t *out = NULL, *r;
	size_t i;

	if (!err)
		out = json_array();
	json_array_foreach (results, i, r) {
		bool official = jb(r, "is_official");
		json_int_t stars = ji(r, "star_count");

		if ((filters_has(s->f, "is-official") && official != s->official) ||
		    stars < s->stars)
			continue;
		/* no longer told by the Hub, and dockerd says so */
		json_array_append_new(out, json_pack("{s:I, s:b, s:s, s:b, s:s}", "star_count",
						     stars, "is_official", official, "name",
						     js(r, "name"), "is_automated", 0,
						     "description", js(r, "description")));
	}
	search_end(s, err, out);
}

/* At least as many as the greatest of them. */
static int read_stars(struct search *s, struct err *err)
{
	const char *v;
	int64_t n;

	for (size_t i = 0; (v = filters_value(s->f, "stars", i)); i++) {
		if (parse_i64(v, INT32_MIN, INT32_MAX, &n))
			return err_set(err, -EINVAL, "invalid filter 'stars=%s'", v);
		s->stars = max(s->stars, n);
	}
	return 0;
}

static void search(struct api_call *call)
{
	static const char *const allowed[] = {"is-automated", "is-official", "stars", NULL};
	const char *term = api_query(call, "term");
	_cleanup_free_ char *auth = api_registry_auth(call);
	struct search *s = xcalloc(1, sizeof(*s));
	struct err err = ERR_INIT;
	bool automated = false;
	int64_t limit = 0;
	int rc = api_filters(call, allowed, &s->f, &err);

	s->call = call;
	if (!rc && api_query_i64(call, "limit", 0, &limit, NULL))
		rc = err_set(&err, -EINVAL, "invalid limit specified");
	if (!rc)
		rc = filters_bool(s->f, "is-automated", false, &automated, &err);
	if (!rc)
		rc = filters_bool(s->f, "is-official", false, &s->official, &err);
	if (!rc)
		rc = read_stars(s, &err);
	if (!rc && !limit)
		limit = SEARCH_DEFAULT;
	if (!rc && (limit < 1 || limit > SEARCH_MAX))
		rc = err_set(&err, -EINVAL, "limit %lld is outside the range of [1, %d]",
			     (long long)limit, SEARCH_MAX);
	if (rc)
		search_end(s, &err, NULL);
	else if (automated)
		search_end(s, NULL, json_array());
	else
		images_search(call->engine->images, term ? term : "", limit, auth, on_found, s);
}

const struct api_route api_image_routes[] = {
	{"GET", "/images/json", list},
	{"GET", "/images/search", search},
	{"GET", "/images/get", save},
	{"POST", "/images/load", load},
	{"POST", "/images/create", create},
	{"POST", "/images/prune", prune},
	{"GET", "/images/{name...}/json", inspect},
	{"GET", "/images/{name...}/history", history},
	{"GET", "/images/{name...}/get", save_one},
	{"GET", "/images/{name...}/attestations", attestations},
	{"POST", "/images/{name...}/tag", tag},
	{"POST", "/images/{name...}/push", push},
	{"DELETE", "/images/{name...}", remove_image},
	{0},
};
