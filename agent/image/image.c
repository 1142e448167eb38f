// SPDX-License-Identifier: Apache-2.0
#include "image/image.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "core/arch.h"
#include "disk/file.h"
#include "disk/mount.h"
#include "image/image_impl.h"
#include "loop/events.h"
#include "loop/loop.h"

static void image_free(struct image *img)
{
	json_decref(img->config);
	json_decref(img->refs);
	json_decref(img->digests);
	free(img);
}

static int64_t parse_created(const char *s)
{
	struct tm tm = {0};

	return s && strptime(s, "%Y-%m-%dT%H:%M:%S", &tm) ? timegm(&tm) * 1000000000ll : 0;
}

/* An image whose configuration blob is on disk. */
static struct image *image_load(struct images *images, const char *id, int64_t size,
				struct err *err)
{
	_cleanup_free_ char *path = blob_path(images->root, id);
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct image *img;
	json_t *config;

	if (file_read(path, 4 << 20, &text, err))
		return NULL;
	config = json_loadb(text.data, text.len, 0, NULL);
	if (!json_is_object(config)) {
		json_decref(config);
		err_set(err, -EBADMSG, "the configuration of image %s is damaged", id);
		return NULL;
	}
	img = xcalloc(1, sizeof(*img));
	strcpy(img->id, id);
	img->config = config;
	img->refs = json_array();
	img->digests = json_array();
	img->size = size;
	img->created_ns = parse_created(json_string_value(json_object_get(config, "created")));
	map_put(&images->by_id, img->id, img);
	return img;
}

static int save(struct images *images, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/image/images.json", images->root), *text = NULL;
	json_t *list = json_array();
	struct image *img;
	const char *id;
	int rc;

	map_for_each (&images->by_id, id, img)
		json_array_append_new(list, json_pack("{s:s, s:I, s:O, s:O}", "id", id, "size",
						      (json_int_t)img->size, "refs", img->refs,
						      "digests", img->digests));
	text = json_dumps(list, JSON_INDENT(1));
	json_decref(list);
	rc = file_write_atomic(path, text, strlen(text), 0600, err);
	return rc;
}

static int load(struct images *images, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/image/images.json", images->root);
	_cleanup_buf_ struct buf text = BUF_INIT;
	int rc = file_read(path, 64 << 20, &text, err);
	json_t *list, *item, *ref;
	json_error_t jerr;
	size_t i, j;

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	list = json_loadb(text.data, text.len, 0, &jerr);
	if (!list)
		return err_set(err, -EBADMSG, "%s is damaged: %s", path, jerr.text);
	json_array_foreach (list, i, item) {
		const char *id = json_string_value(json_object_get(item, "id"));
		struct image *img =
			id && digest_valid(id)
				? image_load(images, id,
					     json_integer_value(json_object_get(item, "size")),
					     NULL)
				: NULL;

		if (!img)
			continue; /* its blob is gone: the image is not here */
		json_array_foreach (json_object_get(item, "refs"), j, ref) {
			json_array_append(img->refs, ref);
			map_put(&images->by_ref, json_string_value(ref), img);
		}
		json_array_extend(img->digests, json_object_get(item, "digests"));
	}
	json_decref(list);
	return 0;
}

/* buildah leaves its store mounted. */
static void detach_buildah(struct images *images)
{
	_cleanup_free_ char *path = xasprintf("%s/buildah", images->root);

	mount_detach_tree(path, NULL);
}

int images_open(const struct images_options *opt, struct images **ret, struct err *err)
{
	_cleanup_free_ char *tmp = xasprintf("%s/image/tmp", opt->data_root),
			    *blobs = xasprintf("%s/image/blobs/sha256", opt->data_root),
			    *overlay = xasprintf("%s/overlay", opt->data_root);
	struct images *images = xcalloc(1, sizeof(*images));
	int rc;

	images->loop = opt->loop;
	images->events = opt->events;
	images->root = xstrdup(opt->data_root);
	images->exec_root = xstrdup(opt->exec_root);
	images->insecure_registries = opt->insecure_registries;
	detach_buildah(images);
	rc = dir_remove_tree(tmp, err);
	if (!rc)
		rc = dir_make(tmp, 0700, err);
	if (!rc)
		rc = dir_make(blobs, 0700, err);
	if (!rc)
		rc = dir_make(overlay, 0711, err);
	if (!rc)
		rc = load(images, err);
	if (rc) {
		images_free(images);
		return rc;
	}
	*ret = images;
	return 0;
}

void images_free(struct images *images)
{
	struct image *img;
	const char *id;

	if (!images)
		return;
	detach_buildah(images);
	map_for_each (&images->by_id, id, img)
		image_free(img);
	map_done(&images->by_id);
	map_done(&images->by_ref);
	free(images->root);
	free(images->exec_root);
	free(images);
}

static void full_name(const struct reference *r, char *dst, size_t size)
{
	snprintf(dst, size, r->digest[0] ? "%s@%s" : "%s:%s", r->name,
		 r->digest[0] ? r->digest : r->tag);
}

static struct image *by_digest(struct images *images, const char *full)
{
	struct image *img;
	const char *id;
	json_t *d;
	size_t i;

	map_for_each (&images->by_id, id, img)
		json_array_foreach (img->digests, i, d)
			if (!strcmp(json_string_value(d), full))
				return img;
	return NULL;
}

/* The image whose ID starts with the hex digits; NULL for none or several. */
static struct image *by_prefix(struct images *images, const char *hex)
{
	struct image *img, *found = NULL;
	const char *id;

	if (starts_with(hex, "sha256:"))
		hex += 7;
	if (strlen(hex) < 4 || hex[strspn(hex, "0123456789abcdef")])
		return NULL;
	map_for_each (&images->by_id, id, img) {
		if (!starts_with(id + 7, hex))
			continue;
		if (found)
			return NULL;
		found = img;
	}
	return found;
}

struct image *images_find(struct images *images, const char *ref, struct err *err)
{
	struct image *img = map_get(&images->by_id, ref);
	struct reference r;
	char full[512];

	if (img)
		return img;
	if (!reference_parse(ref, &r, NULL)) {
		full_name(&r, full, sizeof(full));
		img = r.digest[0] ? by_digest(images, full) : map_get(&images->by_ref, full);
		if (!img)
			img = by_prefix(images, ref);
		if (!img)
			err_set(err, -ENOENT, "No such image: %s%s%s", ref,
				strchr(strrchr(ref, '/') ? strrchr(ref, '/') : ref, ':') ||
						r.digest[0]
					? ""
					: ":",
				strchr(strrchr(ref, '/') ? strrchr(ref, '/') : ref, ':') ||
						r.digest[0]
					? ""
					: r.tag);
		return img;
	}
	img = by_prefix(images, ref);
	if (!img)
		err_set(err, starts_with(ref, "sha256:") ? -ENOENT : -EINVAL,
			starts_with(ref, "sha256:") ? "No such image: %s"
						    : "invalid reference format: %s",
			ref);
	return img;
}

struct image *images_next(struct images *images, size_t *pos)
{
	const char *key;
	void *img;

	return map_next(&images->by_id, pos, &key, &img) ? img : NULL;
}

size_t images_count(struct images *images)
{
	return images->by_id.len;
}

const char *image_id(const struct image *img)
{
	return img->id;
}

json_t *image_config(const struct image *img)
{
	return img->config;
}

void image_get(struct image *img)
{
	img->users++;
}

void image_put(struct image *img)
{
	if (img)
		img->users--;
}

static json_t *diff_ids(json_t *config)
{
	return json_object_get(json_object_get(config, "rootfs"), "diff_ids");
}

void image_lowerdirs(struct images *images, const struct image *img, struct buf *ret)
{
	json_t *ids = diff_ids(img->config);

	for (size_t i = json_array_size(ids); i-- > 0;) {
		_cleanup_free_ char *path =
			layer_path(images->root, json_string_value(json_array_get(ids, i)));

		buf_printf(ret, "%s%s", ret->len ? ":" : "", path);
	}
}

static void drop_name(json_t *array, const char *name)
{
	for (size_t i = json_array_size(array); i-- > 0;)
		if (!strcmp(json_string_value(json_array_get(array, i)), name))
			json_array_remove(array, i);
}

static void give_name(struct images *images, struct image *img, const char *full)
{
	struct image *old = map_get(&images->by_ref, full);

	if (old == img)
		return;
	if (old)
		drop_name(old->refs, full);
	map_put(&images->by_ref, full, img);
	json_array_append_new(img->refs, json_string(full));
}

static void emit(struct images *images, const char *action, const char *id, const char *name)
{
	events_emit(images->events, "image", action, id, json_pack("{s:s}", "name", name));
}

int images_tag(struct images *images, struct image *img, const char *ref, struct err *err)
{
	struct reference r;
	char full[512];
	int rc = reference_parse(ref, &r, err);

	if (!rc && r.digest[0])
		rc = err_set(err, -EINVAL, "refusing to create a tag with a digest reference");
	if (rc)
		return rc;
	full_name(&r, full, sizeof(full));
	give_name(images, img, full);
	emit(images, "tag", img->id, ref);
	return save(images, err);
}

int images_know_digest(struct images *images, struct image *img, const char *ref, struct err *err)
{
	struct reference r;
	char full[512];
	int rc = reference_parse(ref, &r, err);

	if (!rc && !r.digest[0])
		rc = err_set(err, -EINVAL, "%s has no digest", ref);
	if (rc)
		return rc;
	full_name(&r, full, sizeof(full));
	drop_name(img->digests, full);
	json_array_append_new(img->digests, json_string(full));
	return save(images, err);
}

struct image *images_adopt(struct images *images, const struct imported *im, struct err *err)
{
	struct image *img = map_get(&images->by_id, im->id);
	json_t *ref;
	size_t i;

	if (!img)
		img = image_load(images, im->id, im->size, err);
	if (!img)
		return NULL;
	json_array_foreach (im->refs, i, ref)
		give_name(images, img, json_string_value(ref));
	if (im->repo_digest) {
		drop_name(img->digests, im->repo_digest);
		json_array_append_new(img->digests, json_string(im->repo_digest));
	}
	return save(images, err) ? NULL : img;
}

/* The short names of a list of full ones. */
static json_t *familiar(json_t *list)
{
	json_t *out = json_array(), *v;
	struct reference r;
	size_t i;

	json_array_foreach (list, i, v) {
		const char *full = json_string_value(v);

		if (!reference_parse(full, &r, NULL))
			json_array_append_new(out, json_sprintf("%s%s%s", reference_familiar(&r),
								r.digest[0] ? "@" : ":",
								r.digest[0] ? r.digest : r.tag));
	}
	return out;
}

static bool layer_in_use(struct images *images, const char *diff_id)
{
	struct image *img;
	const char *id;
	json_t *v;
	size_t i;

	map_for_each (&images->by_id, id, img)
		json_array_foreach (diff_ids(img->config), i, v)
			if (!strcmp(json_string_value(v), diff_id))
				return true;
	return false;
}

struct removal {
	char *paths[3];
};

static void remove_files(void *arg)
{
	struct removal *r = arg;

	for (size_t i = 0; i < ARRAY_SIZE(r->paths); i++) {
		if (r->paths[i])
			dir_remove_tree(r->paths[i], NULL);
		free(r->paths[i]);
	}
	free(r);
}

/* Forget the image, and remove what no other one uses. The names are gone already. */
static void delete_image(struct images *images, struct image *img, json_t *report)
{
	json_t *ids = json_incref(diff_ids(img->config)), *v;
	struct removal *r = xcalloc(1, sizeof(*r));
	size_t i;

	map_del(&images->by_id, img->id);
	r->paths[0] = blob_path(images->root, img->id);
	loop_work(images->loop, remove_files, NULL, r);
	json_array_append_new(report, json_pack("{s:s}", "Deleted", img->id));
	emit(images, "delete", img->id, img->id);
	json_array_foreach (ids, i, v) {
		const char *diff_id = json_string_value(v);

		if (layer_in_use(images, diff_id))
			continue;
		r = xcalloc(1, sizeof(*r));
		r->paths[0] = layer_path(images->root, diff_id);
		r->paths[1] = blob_path(images->root, diff_id);
		r->paths[2] = xasprintf("%s.size", r->paths[1]);
		loop_work(images->loop, remove_files, NULL, r);
		json_array_append_new(report, json_pack("{s:s}", "Deleted", diff_id));
	}
	json_decref(ids);
	image_free(img);
}

static void untag(struct images *images, struct image *img, const char *full, json_t *report)
{
	struct reference r;
	char *copy = xstrdup(full), *name;

	drop_name(img->refs, copy);
	map_del(&images->by_ref, copy);
	reference_parse(copy, &r, NULL);
	name = xasprintf("%s:%s", reference_familiar(&r), r.tag);
	json_array_append_new(report, json_pack("{s:s}", "Untagged", name));
	emit(images, "untag", img->id, name);
	free(name);
	free(copy);
}

int images_remove(struct images *images, const char *ref, bool force, json_t *report,
		  struct err *err)
{
	struct image *img = images_find(images, ref, err);
	size_t n_refs = img ? json_array_size(img->refs) : 0;
	struct reference r;
	bool by_name;
	char full[512];

	if (!img)
		return -ENOENT;
	by_name = !reference_parse(ref, &r, NULL);
	if (by_name) {
		full_name(&r, full, sizeof(full));
		by_name = map_get(&images->by_ref, full) == img;
	}
	if (!by_name && n_refs > 1 && !force)
		return err_set(err, -EBUSY,
			       "conflict: unable to delete %.12s (must be forced) - image is "
			       "referenced in multiple repositories",
			       img->id + 7);
	if (img->users && (by_name ? n_refs <= 1 : true) && !(force && by_name))
		return err_set(err, -EBUSY,
			       "conflict: unable to %s %s (%s) - container(s) use its image %.12s",
			       by_name ? "remove repository reference" : "delete",
			       by_name ? ref : img->id, by_name ? "must force" : "cannot be forced",
			       img->id + 7);
	if (by_name) {
		untag(images, img, full, report);
	} else {
		while (json_array_size(img->refs))
			untag(images, img, json_string_value(json_array_get(img->refs, 0)), report);
	}
	if (!json_array_size(img->refs) && !img->users)
		delete_image(images, img, report);
	return save(images, err);
}

static json_t *labels_of(const struct image *img)
{
	json_t *labels = json_object_get(json_object_get(img->config, "config"), "Labels");

	return json_is_object(labels) ? json_incref(labels) : json_null();
}

json_t *images_summary(struct images *images, const struct image *img)
{
	(void)images;
	return json_pack("{s:s, s:s, s:o, s:o, s:I, s:I, s:i, s:o, s:i}", "Id", img->id, "ParentId",
			 "", "RepoTags", familiar(img->refs), "RepoDigests", familiar(img->digests),
			 "Created", (json_int_t)(img->created_ns / 1000000000), "Size",
			 (json_int_t)img->size, "SharedSize", -1, "Labels", labels_of(img),
			 "Containers", -1);
}

/* What was said of the newest layer, or NULL. */
static const char *last_comment(json_t *config)
{
	json_t *history = json_object_get(config, "history");

	return json_string_value(
		json_object_get(json_array_get(history, json_array_size(history) - 1), "comment"));
}

json_t *images_inspect(struct images *images, const struct image *img)
{
	json_t *c = img->config, *inner = json_object_get(c, "config"), *out;
	const char *arch = json_string_value(json_object_get(c, "architecture")),
		   *created = json_string_value(json_object_get(c, "created")),
		   *author = json_string_value(json_object_get(c, "author")),
		   *comment = last_comment(c);
	_cleanup_buf_ struct buf lower = BUF_INIT;
	json_t *ids = diff_ids(c);

	image_lowerdirs(images, img, &lower);
	out = json_pack("{s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "Id", img->id,
			"RepoTags", familiar(img->refs), "RepoDigests", familiar(img->digests),
			"Parent", "", "Comment", comment ? comment : "", "Created",
			created ? created : "0001-01-01T00:00:00Z", "DockerVersion", "", "Author",
			author ? author : "", "Architecture", arch ? arch : ARCH_NAME, "Os",
			"linux", "Size", (json_int_t)img->size);
	json_object_set_new(out, "Config", inner ? json_deep_copy(inner) : json_object());
	json_object_set_new(
		out, "GraphDriver",
		json_pack("{s:s, s:{s:s}}", "Name", "overlay2", "Data", "LowerDir", lower.data));
	json_object_set_new(out, "RootFS",
			    json_pack("{s:s, s:o}", "Type", "layers", "Layers",
				      ids ? json_deep_copy(ids) : json_array()));
	json_object_set_new(out, "Metadata",
			    json_pack("{s:s}", "LastTagTime", "0001-01-01T00:00:00Z"));
	return out;
}

json_t *images_history(struct images *images, const struct image *img)
{
	json_t *history = json_object_get(img->config, "history"), *out = json_array(),
	       *ids = diff_ids(img->config);
	size_t n = json_array_size(history), layer = json_array_size(ids);

	for (size_t i = n; i-- > 0;) {
		json_t *h = json_array_get(history, i);
		bool empty = json_is_true(json_object_get(h, "empty_layer"));
		const char *by = json_string_value(json_object_get(h, "created_by")),
			   *comment = json_string_value(json_object_get(h, "comment"));
		int64_t size = 0;

		if (!empty && layer) {
			_cleanup_free_ char *blob = blob_path(
				images->root, json_string_value(json_array_get(ids, --layer)));
			_cleanup_free_ char *path = xasprintf("%s.size", blob);
			_cleanup_buf_ struct buf text = BUF_INIT;

			if (!file_read(path, 31, &text, NULL))
				size = atoll(text.data);
		}
		json_array_append_new(
			out, json_pack("{s:s, s:I, s:s, s:o, s:I, s:s}", "Id",
				       i == n - 1 ? img->id : "<missing>", "Created",
				       (json_int_t)(parse_created(json_string_value(
							    json_object_get(h, "created"))) /
						    1000000000),
				       "CreatedBy", by ? by : "", "Tags",
				       i == n - 1 ? familiar(img->refs) : json_null(), "Size",
				       (json_int_t)size, "Comment", comment ? comment : ""));
	}
	return out;
}

int64_t images_layers_size(struct images *images)
{
	struct map seen = MAP_INIT;
	struct image *img;
	int64_t sum = 0;
	const char *id;
	json_t *v;
	size_t i;

	map_for_each (&images->by_id, id, img) {
		json_array_foreach (diff_ids(img->config), i, v) {
			_cleanup_free_ char *blob = blob_path(images->root, json_string_value(v));
			_cleanup_free_ char *path = xasprintf("%s.size", blob);
			_cleanup_buf_ struct buf text = BUF_INIT;

			if (!map_put(&seen, json_string_value(v), img) &&
			    !file_read(path, 31, &text, NULL))
				sum += atoll(text.data);
		}
	}
	map_done(&seen);
	return sum;
}

/* --- jobs --- */

struct line {
	struct image_job *job;
	json_t *line;
};

static void on_line(void *arg)
{
	struct line *l = arg;

	if (l->job->progress)
		l->job->progress(l->line, l->job->arg);
	json_decref(l->line);
	free(l);
}

void image_job_line(struct image_job *job, json_t *line)
{
	struct line *l = xcalloc(1, sizeof(*l));

	*l = (struct line){job, line};
	loop_post(job->images->loop, on_line, l);
}

static void job_run(void *arg)
{
	struct image_job *job = arg;

	job->rc = job->run(job);
	if (job->rc && !job->err.code)
		err_errno(&job->err, job->rc, "the image could not be worked on");
	if (job->fd >= 0)
		close(job->fd);
}

static void job_done(void *arg)
{
	struct image_job *job = arg;
	struct image *img = NULL;

	for (size_t i = 0; !job->rc && i < job->n_found; i++) {
		img = images_adopt(job->images, &job->found[i], &job->err);
		if (!img)
			job->rc = job->err.code;
	}
	image_put(job->image);
	job->done(job->rc ? &job->err : NULL, job->rc ? NULL : img, job->arg);
	imported_done(job->found, job->n_found);
	json_decref(job->config);
	json_decref(job->build);
	free(job->ref);
	free(job->auth);
	free(job->text);
	free(job);
}

void image_job_start(struct image_job *job)
{
	job->root = job->images->root;
	loop_thread(job->images->loop, job_run, job_done, job);
}
