// SPDX-License-Identifier: Apache-2.0
/* From what a job has put on disk to a plugin: blobs on any thread, plugins on the loop. */
#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/rng.h"
#include "disk/file.h"
#include "plugin/config.h"
#include "plugin/plugin_impl.h"

#define MANIFEST_TYPE "application/vnd.docker.distribution.manifest.v2+json"
#define CONFIG_TYPE "application/vnd.docker.plugin.v1+json"
#define LAYER_TYPE "application/vnd.docker.image.rootfs.diff.tar.gzip"

void plugin_parts_done(struct plugin_parts *parts)
{
	if (parts->rootfs)
		dir_remove_tree(parts->rootfs, NULL);
	free(parts->rootfs);
	free(parts->name);
	free(parts->reference);
	json_decref(parts->config);
	json_decref(parts->blobs);
}

char *plugin_tmp(const char *root, const char *what, struct err *err)
{
	char *dir = xasprintf("%s/tmp/%s.XXXXXX", root, what);

	if (mkdtemp(dir))
		return dir;
	err_errno(err, -errno, "cannot make a folder %s", dir);
	free(dir);
	return NULL;
}

int plugin_blob_write(const char *root, const void *data, size_t size, char ret[DIGEST_SIZE],
		      struct err *err)
{
	_cleanup_free_ char *path = NULL;
	unsigned char raw[SHA256_DIGEST_LENGTH];

	SHA256(data, size, raw);
	strcpy(ret, "sha256:");
	hex_encode(ret + 7, raw, sizeof(raw));
	path = plugin_blob_path(root, ret);
	return file_write_atomic(path, data, size, 0600, err);
}

static int blob_size(const char *root, const char *digest, json_int_t *ret, struct err *err)
{
	_cleanup_free_ char *path = plugin_blob_path(root, digest);
	struct stat st;

	if (stat(path, &st))
		return err_errno(err, -errno, "cannot read the plugin's blob %s", digest);
	*ret = st.st_size;
	return 0;
}

int plugin_manifest_write(const char *root, const char *config_digest, json_t *blobs,
			  char ret[DIGEST_SIZE], struct err *err)
{
	_cleanup_free_ char *text = NULL;
	json_t *layers = json_array(), *doc, *v;
	json_int_t size;
	size_t i;
	int rc = 0;

	json_array_foreach (blobs, i, v) {
		rc = blob_size(root, json_string_value(v), &size, err);
		if (rc)
			break;
		json_array_append_new(layers, json_pack("{s:s, s:I, s:O}", "mediaType", LAYER_TYPE,
							"size", size, "digest", v));
	}
	if (!rc)
		rc = blob_size(root, config_digest, &size, err);
	if (rc) {
		json_decref(layers);
		return rc;
	}
	doc = json_pack("{s:i, s:s, s:{s:s, s:I, s:s}, s:o}", "schemaVersion", 2, "mediaType",
			MANIFEST_TYPE, "config", "mediaType", CONFIG_TYPE, "size", size, "digest",
			config_digest, "layers", layers);
	text = json_dumps(doc, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(doc);
	return plugin_blob_write(root, text, strlen(text), ret, err);
}

/* --- on the loop --- */

static void take(struct plugin *p, struct plugin_parts *parts)
{
	json_decref(p->config);
	json_decref(p->settings);
	json_decref(p->blobs);
	free(p->reference);
	p->config = steal_ptr(parts->config);
	p->settings = plugin_settings(p->config);
	p->blobs = steal_ptr(parts->blobs);
	p->reference = steal_ptr(parts->reference);
	strcpy(p->config_digest, parts->config_digest);
	strcpy(p->manifest_digest, parts->manifest_digest);
}

static int move_root(struct plugin *p, struct plugin_parts *parts, const char *name,
		     struct err *err)
{
	_cleanup_free_ char *to = xasprintf("%s/%s", p->dir, name);

	if (rename(parts->rootfs, to))
		return err_errno(err, -errno, "cannot put the plugin's files into %s", to);
	free(steal_ptr(parts->rootfs));
	return 0;
}

int plugin_install(struct plugins *all, struct plugin_parts *parts, struct plugin **ret,
		   struct err *err)
{
	char id[HEX_ID_SIZE];
	struct plugin *p;
	int rc = plugin_name_check(all, parts->name, err);

	if (rc)
		return rc;
	id_new_hex(all->opt.rng, id);
	p = plugin_new(all, id);
	rc = dir_make(p->dir, 0700, err);
	if (!rc)
		rc = move_root(p, parts, "rootfs", err);
	if (!rc) {
		p->name = xstrdup(parts->name);
		p->rootfs = xstrdup("rootfs");
		take(p, parts);
		rc = plugin_save(p, err);
	}
	if (rc) {
		dir_remove_tree(p->dir, NULL);
		plugin_free(p);
		return rc;
	}
	map_put(&all->by_id, p->id, p);
	*ret = p;
	return 0;
}

int plugin_replace(struct plugin *p, struct plugin_parts *parts, struct err *err)
{
	_cleanup_free_ char *old = xasprintf("%s/%s", p->dir, p->rootfs),
			    *name = xasprintf("rootfs.%.12s", parts->manifest_digest + 7);
	int rc;

	/* the same again is put beside what is there */
	if (!strcmp(name, p->rootfs)) {
		free(name);
		name = xstrdup("rootfs");
	}
	rc = move_root(p, parts, name, err);
	if (rc)
		return rc;
	free(p->rootfs);
	p->rootfs = steal_ptr(name);
	take(p, parts);
	/* the description decides; a crash before it leaves the old plugin */
	rc = plugin_save(p, err);
	if (!rc)
		dir_remove_tree(old, NULL);
	return rc;
}
