// SPDX-License-Identifier: Apache-2.0
/* Image archives: docker load and save; OCI layouts on disk. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "core/arch.h"
#include "disk/file.h"
#include "image/image_impl.h"
#include "loop/loop.h"

char *tmp_dir(const char *root, const char *what, struct err *err)
{
	/* lower case: buildah makes a name of it */
	for (;;) {
		uint8_t raw[8];
		char hex[17], *path;

		if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
			continue;
		hex_encode(hex, raw, sizeof(raw));
		path = xasprintf("%s/image/tmp/%s.%s", root, what, hex);
		if (!mkdir(path, 0700))
			return path;
		free(path);
		if (errno != EEXIST)
			break;
	}
	err_errno(err, -errno, "cannot make a folder for the %s", what);
	return NULL;
}

void imported_done(struct imported *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		json_decref(v[i].refs);
		free(v[i].repo_digest);
	}
	free(v);
}

static json_t *read_json(const char *dir, const char *name, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_error_t jerr;
	json_t *doc;

	if (file_read(path, 4 << 20, &text, err))
		return NULL;
	doc = json_loadb(text.data, text.len, 0, &jerr);
	if (!doc)
		err_set(err, -EINVAL, "%s of the archive is no JSON: %s", name, jerr.text);
	return doc;
}

/* A name from the archive that stays inside of it, and is a regular file. */
static bool inside(const char *dir, const char *name)
{
	_cleanup_free_ char *path = NULL;
	struct stat st;

	if (!name || name[0] == '/' || strstr(name, ".."))
		return false;
	path = xasprintf("%s/%s", dir, name);
	return !lstat(path, &st) && S_ISREG(st.st_mode);
}

/* Take one image: its configuration file and its layers' files, bottom first. */
static int import_image(const char *root, const char *dir, const char *config_name, json_t *layers,
			json_t *refs, struct imported **ret, size_t *n, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, config_name);
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct imported im = {0};
	json_t *config, *ids;
	int rc;

	if (!inside(dir, config_name))
		return err_set(err, -EINVAL,
			       "the archive names the configuration %s, which it does not hold",
			       config_name);
	rc = file_read(path, 4 << 20, &text, err);
	if (rc)
		return rc;
	config = json_loadb(text.data, text.len, 0, NULL);
	ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids");
	if (!json_is_object(config) || json_array_size(ids) != json_array_size(layers))
		rc = err_set(err, -EINVAL,
			     "invalid image: the configuration has %zu layers, the manifest %zu",
			     json_array_size(ids), json_array_size(layers));
	for (size_t i = 0; !rc && i < json_array_size(layers); i++) {
		const char *name = json_string_value(json_array_get(layers, i)),
			   *want = json_string_value(json_array_get(ids, i));
		_cleanup_free_ char *file = xasprintf("%s/%s", dir, name ? name : "");
		char diff_id[DIGEST_SIZE];
		int64_t size;

		if (!want || !digest_valid(want) || !inside(dir, name))
			rc = err_set(err, -EINVAL, "invalid image: layer %zu is missing", i);
		else
			rc = layer_import(root, file, want, diff_id, &size, err);
		im.size += rc ? 0 : size;
	}
	if (!rc)
		rc = blob_write(root, text.data, text.len, im.id, err);
	json_decref(config);
	if (rc)
		return rc;
	im.refs = json_incref(refs);
	*ret = xrealloc(*ret, (*n + 1) * sizeof(**ret));
	(*ret)[(*n)++] = im;
	return 0;
}

static json_t *full_refs(json_t *tags)
{
	json_t *out = json_array(), *v;
	struct reference r;
	size_t i;

	json_array_foreach (tags, i, v)
		if (json_is_string(v) && !reference_parse(json_string_value(v), &r, NULL) &&
		    r.tag[0])
			json_array_append_new(out, json_sprintf("%s:%s", r.name, r.tag));
	return out;
}

static int import_docker(const char *root, const char *dir, json_t *manifest, struct imported **ret,
			 size_t *n, struct err *err)
{
	json_t *item;
	size_t i;
	int rc = 0;

	json_array_foreach (manifest, i, item) {
		const char *config = json_string_value(json_object_get(item, "Config"));
		json_t *refs = full_refs(json_object_get(item, "RepoTags"));

		rc = config ? import_image(root, dir, config, json_object_get(item, "Layers"), refs,
					   ret, n, err)
			    : err_set(err, -EINVAL,
				      "invalid manifest.json: image %zu has no configuration", i);
		json_decref(refs);
		if (rc)
			break;
	}
	return rc;
}

/* In an OCI layout blobs are in a folder of their own, in a folder of skopeo's beside the manifest. */
static const char oci_blobs[] = "blobs/sha256/", flat_blobs[] = "";

static char *blob_name(json_t *descriptor, const char *blobs)
{
	const char *d = json_string_value(json_object_get(descriptor, "digest"));

	return d && digest_valid(d) ? xasprintf("%s%s", blobs, d + 7) : NULL;
}

static int import_manifest(const char *root, const char *dir, json_t *manifest, const char *blobs,
			   json_t *refs, struct imported **ret, size_t *n, struct err *err)
{
	_cleanup_free_ char *config = blob_name(json_object_get(manifest, "config"), blobs);
	json_t *layers = json_array(), *item;
	size_t i;
	int rc;

	json_array_foreach (json_object_get(manifest, "layers"), i, item) {
		char *layer = blob_name(item, blobs);

		json_array_append_new(layers, layer ? json_string(layer) : json_null());
		free(layer);
	}
	rc = config ? import_image(root, dir, config, layers, refs, ret, n, err)
		    : err_set(err, -EINVAL, "the archive holds a manifest without configuration");
	json_decref(layers);
	return rc;
}

static bool other_platform(json_t *descriptor)
{
	json_t *p = json_object_get(descriptor, "platform");
	const char *arch = json_string_value(json_object_get(p, "architecture")),
		   *os = json_string_value(json_object_get(p, "os"));

	return p && !(streq(arch, ARCH_NAME) && streq(os, "linux"));
}

/* A descriptor of a manifest, or of an index of manifests for several platforms. */
static int import_descriptor(const char *root, const char *dir, json_t *descriptor, json_t *refs,
			     int depth, struct imported **ret, size_t *n, struct err *err)
{
	_cleanup_free_ char *name = blob_name(descriptor, oci_blobs);
	json_t *doc, *list, *item;
	int rc = 0;
	size_t i;

	if (!name || !inside(dir, name) || depth > 3)
		return err_set(err, -EINVAL,
			       "the archive's index names a manifest that it does not hold");
	doc = read_json(dir, name, err);
	if (!doc)
		return err ? err->code : -EINVAL;
	list = json_object_get(doc, "manifests");
	if (list) {
		json_array_foreach (list, i, item)
			if (!rc && !other_platform(item))
				rc = import_descriptor(root, dir, item, refs, depth + 1, ret, n,
						       err);
		json_decref(doc);
		return rc;
	}
	rc = import_manifest(root, dir, doc, oci_blobs, refs, ret, n, err);
	json_decref(doc);
	return rc;
}

static int import_oci(const char *root, const char *dir, json_t *index, struct imported **ret,
		      size_t *n, struct err *err)
{
	json_t *item;
	size_t i;
	int rc = 0;

	json_array_foreach (json_object_get(index, "manifests"), i, item) {
		json_t *notes = json_object_get(item, "annotations");
		json_t *name = json_object_get(notes, "io.containerd.image.name");
		json_t *tags = json_array(), *refs;

		if (other_platform(item)) {
			json_decref(tags);
			continue;
		}
		if (!name)
			name = json_object_get(notes, "org.opencontainers.image.ref.name");
		/* a bare tag is no name */
		if (name &&
		    (strchr(json_string_value(name), '/') || strchr(json_string_value(name), ':')))
			json_array_append(tags, name);
		refs = full_refs(tags);
		rc = import_descriptor(root, dir, item, refs, 0, ret, n, err);
		json_decref(tags);
		json_decref(refs);
		if (rc)
			break;
	}
	return rc;
}

int import_dir(const char *root, const char *dir, struct imported **ret, size_t *n, struct err *err)
{
	json_t *doc = read_json(dir, "manifest.json", err);
	int rc;

	if (json_is_array(doc)) {
		rc = import_docker(root, dir, doc, ret, n, err);
	} else if (json_object_get(doc, "config")) {
		json_t *refs = json_array();

		rc = import_manifest(root, dir, doc, flat_blobs, refs, ret, n, err);
		json_decref(refs);
	} else {
		json_decref(doc);
		doc = read_json(dir, "index.json", err);
		rc = doc ? import_oci(root, dir, doc, ret, n, err)
			 : err_set(err, -EINVAL,
				   "invalid archive: it holds neither manifest.json nor "
				   "index.json");
	}
	json_decref(doc);
	if (!rc && !*n)
		rc = err_set(err, -EINVAL, "the archive holds no image for linux/" ARCH_NAME);
	return rc;
}

static int run_load(struct image_job *job)
{
	char *dir = tmp_dir(job->root, "load", &job->err);
	int rc;

	if (!dir)
		return job->err.code;
	rc = tar_unpack(job->fd, dir, false, NULL, &job->err);
	if (!rc)
		rc = import_dir(job->root, dir, &job->found, &job->n_found, &job->err);
	for (size_t i = 0; !rc && i < job->n_found; i++) {
		json_t *refs = job->found[i].refs, *v;
		struct reference r;
		size_t k;

		json_array_foreach (refs, k, v) {
			reference_parse(json_string_value(v), &r, NULL);
			image_job_line(job, json_pack("{s:o}", "stream",
						      json_sprintf("Loaded image: %s:%s\n",
								   reference_familiar(&r), r.tag)));
		}
		if (!json_array_size(refs))
			image_job_line(job, json_pack("{s:o}", "stream",
						      json_sprintf("Loaded image ID: %s\n",
								   job->found[i].id)));
	}
	dir_remove_tree(dir, NULL);
	free(dir);
	return rc;
}

void images_load(struct images *images, int fd, bool quiet, image_progress progress,
		 image_done done, void *arg)
{
	struct image_job *job = xcalloc(1, sizeof(*job));

	(void)quiet; /* the lines of a quiet load are the same: it has no progress bars */
	*job = (struct image_job){.images = images,
				  .fd = fd,
				  .progress = progress,
				  .done = done,
				  .arg = arg,
				  .run = run_load};
	image_job_start(job);
}

static int64_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_size;
}

struct media {
	const char *manifest, *config, *layer;
};
static const struct media oci_media = {"application/vnd.oci.image.manifest.v1+json",
				       "application/vnd.oci.image.config.v1+json",
				       "application/vnd.oci.image.layer.v1.tar"},
			  docker_media = {"application/vnd.docker.distribution.manifest.v2+json",
					  "application/vnd.docker.container.image.v1+json",
					  "application/vnd.docker.image.rootfs.diff.tar"};

/* The manifest of an image; malloc'd. */
static char *image_manifest(const char *root, const char *id, json_t *config,
			    const struct media *media)
{
	json_t *ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids"),
	       *layers = json_array(), *v, *doc;
	_cleanup_free_ char *cfg = blob_path(root, id);
	char *text;
	size_t i;

	json_array_foreach (ids, i, v) {
		_cleanup_free_ char *blob = blob_path(root, json_string_value(v));

		json_array_append_new(layers,
				      json_pack("{s:s, s:O, s:I}", "mediaType", media->layer,
						"digest", v, "size", (json_int_t)file_size(blob)));
	}
	doc = json_pack("{s:i, s:s, s:{s:s, s:s, s:I}, s:o}", "schemaVersion", 2, "mediaType",
			media->manifest, "config", "mediaType", media->config, "digest", id, "size",
			(json_int_t)file_size(cfg), "layers", layers);
	text = json_dumps(doc, JSON_COMPACT);
	json_decref(doc);
	return text;
}

static int link_blob(const char *root, const char *digest, const char *dir, struct err *err)
{
	_cleanup_free_ char *from = blob_path(root, digest),
			    *to = xasprintf("%s/%s", dir, digest + 7);

	return link(from, to) && errno != EEXIST
		       ? err_errno(err, -errno, "cannot link the blob %s", digest)
		       : 0;
}

static json_t *manifest_descriptor(const char *digest, size_t size, const char *name)
{
	json_t *d = json_pack("{s:s, s:s, s:I}", "mediaType", oci_media.manifest, "digest", digest,
			      "size", (json_int_t)size);

	if (name)
		json_object_set_new(d, "annotations",
				    json_pack("{s:s, s:s}", "io.containerd.image.name", name,
					      "org.opencontainers.image.ref.name",
					      strrchr(name, ':') ? strrchr(name, ':') + 1 : name));
	return d;
}

int export_dir(const char *root, const char *id, json_t *config, const char *dir, struct err *err)
{
	_cleanup_free_ char *manifest = image_manifest(root, id, config, &docker_media),
			    *manifest_path = xasprintf("%s/manifest.json", dir),
			    *version_path = xasprintf("%s/version", dir);
	static const char version[] = "Directory Transport Version: 1.1\n";
	json_t *ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids"), *v;
	int rc = link_blob(root, id, dir, err);
	size_t i;

	json_array_foreach (ids, i, v)
		rc = rc ? rc : link_blob(root, json_string_value(v), dir, err);
	if (!rc)
		rc = file_write_volatile(version_path, version, sizeof(version) - 1, 0600, err);
	return rc ? rc : file_write_volatile(manifest_path, manifest, strlen(manifest), 0600, err);
}

/* --- save --- */

static void add_bytes(struct archive *a, const char *name, const void *data, size_t size)
{
	struct archive_entry *e = archive_entry_new();

	archive_entry_set_pathname(e, name);
	archive_entry_set_size(e, size);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0644);
	archive_write_header(a, e);
	archive_write_data(a, data, size);
	archive_entry_free(e);
}

static int add_blob(struct archive *a, const char *root, const char *digest, struct map *seen)
{
	_cleanup_free_ char *path = blob_path(root, digest),
			    *name = xasprintf("blobs/sha256/%s", digest + 7);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct archive_entry *e;
	char chunk[65536];
	struct stat st;
	ssize_t n;

	if (map_put(seen, digest, seen))
		return 0;
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	e = archive_entry_new();
	archive_entry_set_pathname(e, name);
	archive_entry_set_size(e, st.st_size);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0644);
	n = archive_write_header(a, e);
	archive_entry_free(e);
	while (n >= ARCHIVE_WARN && (n = read(fd, chunk, sizeof(chunk))) > 0)
		if (archive_write_data(a, chunk, n) < 0)
			return -EPIPE;
	return n < 0 ? -EIO : 0;
}

struct save_job {
	char *root;
	json_t *items; /* {"id", "config", "names": [short]} */
	int fd;
};

static void run_save(void *arg)
{
	struct save_job *s = arg;
	struct archive *a = archive_write_new();
	json_t *manifest = json_array(), *index = json_array(), *repos = json_object(), *item, *v,
	       *doc;
	struct map seen = MAP_INIT;
	size_t i, k;
	int rc = 0;
	char *text;

	archive_write_set_format_pax_restricted(a);
	archive_write_set_bytes_per_block(a, 65536);
	archive_write_open_fd(a, s->fd);
	json_array_foreach (s->items, i, item) {
		const char *id = json_string_value(json_object_get(item, "id"));
		json_t *config = json_object_get(item, "config"),
		       *names = json_object_get(item, "names"), *layers = json_array();
		_cleanup_free_ char *body = image_manifest(s->root, id, config, &oci_media),
				    *name = NULL;
		char digest[DIGEST_SIZE];

		rc = rc ? rc : add_blob(a, s->root, id, &seen);
		json_array_foreach (json_object_get(json_object_get(config, "rootfs"), "diff_ids"),
				    k, v) {
			rc = rc ? rc : add_blob(a, s->root, json_string_value(v), &seen);
			json_array_append_new(
				layers, json_sprintf("blobs/sha256/%s", json_string_value(v) + 7));
		}
		rc = rc ? rc : blob_write(s->root, body, strlen(body), digest, NULL);
		name = xasprintf("blobs/sha256/%s", digest + 7);
		add_bytes(a, name, body, strlen(body));
		json_array_append_new(manifest, json_pack("{s:o, s:O, s:o}", "Config",
							  json_sprintf("blobs/sha256/%s", id + 7),
							  "RepoTags", names, "Layers", layers));
		json_array_foreach (names, k, v) {
			struct reference r;

			_cleanup_free_ char *full = NULL;

			reference_parse(json_string_value(v), &r, NULL);
			full = xasprintf("%s:%s", r.name, r.tag);
			json_array_append_new(index,
					      manifest_descriptor(digest, strlen(body), full));
			if (!json_object_get(repos, reference_familiar(&r)))
				json_object_set_new(repos, reference_familiar(&r), json_object());
			json_object_set_new(json_object_get(repos, reference_familiar(&r)), r.tag,
					    json_string(id + 7));
		}
		if (!json_array_size(names))
			json_array_append_new(index,
					      manifest_descriptor(digest, strlen(body), NULL));
	}
	doc = json_pack("{s:i, s:o}", "schemaVersion", 2, "manifests", index);
	text = json_dumps(doc, JSON_COMPACT);
	add_bytes(a, "index.json", text, strlen(text));
	free(text);
	text = json_dumps(manifest, JSON_COMPACT);
	add_bytes(a, "manifest.json", text, strlen(text));
	free(text);
	text = json_dumps(repos, JSON_COMPACT);
	add_bytes(a, "repositories", text, strlen(text));
	free(text);
	add_bytes(a, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", 30);
	if (!rc)
		archive_write_close(a);
	archive_write_free(a);
	close(s->fd);
	map_done(&seen);
	json_decref(manifest);
	json_decref(repos);
	json_decref(doc);
	json_decref(s->items);
	free(s->root);
	free(s);
}

int images_save(struct images *images, const char *const *names, size_t n, int fd, struct err *err)
{
	struct save_job *s = xcalloc(1, sizeof(*s));

	s->items = json_array();
	s->root = xstrdup(images->root);
	s->fd = fd;
	for (size_t i = 0; i < n; i++) {
		struct image *img = images_find(images, names[i], err);
		json_t *short_names = json_array();
		struct reference r;
		char full[512];

		if (!img) {
			json_decref(short_names);
			json_decref(s->items);
			free(s->root);
			free(s);
			close(fd);
			return -ENOENT;
		}
		if (!reference_parse(names[i], &r, NULL)) {
			snprintf(full, sizeof(full), "%s:%s", r.name, r.tag);
			if (map_get(&images->by_ref, full) == img)
				json_array_append_new(
					short_names,
					json_sprintf("%s:%s", reference_familiar(&r), r.tag));
		}
		json_array_append_new(s->items,
				      json_pack("{s:s, s:o, s:o}", "id", img->id, "config",
						json_deep_copy(img->config), "names", short_names));
	}
	loop_thread(images->loop, run_save, NULL, s);
	return 0;
}
