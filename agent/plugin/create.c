// SPDX-License-Identifier: Apache-2.0
/*
 * docker plugin create: a tar with config.json and rootfs/ becomes a layer (compressed, the paths
 * below rootfs/), a configuration and a manifest, and the layer is unpacked as registries' are.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "disk/file.h"
#include "plugin/config.h"
#include "plugin/plugin_impl.h"

enum { CHUNK = 128 << 10 };

struct create {
	struct plugins *all;
	char *root;
	int fd;
	struct plugin_parts parts;
	plugin_done done;
	void *arg;
	struct err err;
	int rc;
	/* while it is read */
	struct archive *in, *out;
	struct buf config;
	bool has_rootfs;
};

/* --- on a thread --- */

/* A path of the archive without what leads to its root. */
static const char *clean(const char *path)
{
	while (*path == '/' || (path[0] == '.' && path[1] == '/'))
		path++;
	return path;
}

/* What is below rootfs/, "." for itself; NULL for what is elsewhere. */
static const char *below_rootfs(const char *path)
{
	path = clean(path);
	if (strncmp(path, "rootfs", 6) || (path[6] && path[6] != '/'))
		return NULL;
	path = clean(path + 6);
	return *path ? path : ".";
}

static int read_config(struct create *c)
{
	char chunk[8192];
	la_ssize_t n;

	buf_reset(&c->config);
	while ((n = archive_read_data(c->in, chunk, sizeof(chunk))) > 0) {
		if (c->config.len + n > PLUGIN_CONFIG_MAX)
			return err_set(
				&c->err, -EINVAL,
				"failed to parse config: config.json is longer than %d bytes",
				PLUGIN_CONFIG_MAX);
		buf_add(&c->config, chunk, n);
	}
	return n < 0 ? err_set(&c->err, -EINVAL, "failed to read config.json: %s",
			       archive_error_string(c->in))
		     : 0;
}

static int copy_entry(struct create *c, struct archive_entry *e, const char *path)
{
	const char *link = archive_entry_hardlink(e);
	_cleanup_free_ char *name = xstrdup(path), *target = NULL;
	const void *block;
	la_int64_t offset;
	size_t size;
	int rc;

	if (link && below_rootfs(link))
		target = xstrdup(below_rootfs(link));
	archive_entry_set_pathname(e, name);
	if (target)
		archive_entry_set_hardlink(e, target);
	c->has_rootfs = true;
	rc = archive_write_header(c->out, e);
	while (rc >= ARCHIVE_WARN && archive_entry_size(e) > 0) {
		int got = archive_read_data_block(c->in, &block, &size, &offset);

		if (got == ARCHIVE_EOF)
			break;
		if (got < ARCHIVE_WARN)
			return err_set(&c->err, -EINVAL, "failed to read from tar: %s",
				       archive_error_string(c->in));
		rc = archive_write_data(c->out, block, size) < 0 ? ARCHIVE_FATAL : ARCHIVE_OK;
	}
	return rc < ARCHIVE_WARN ? err_set(&c->err, -EIO, "cannot write the plugin's layer: %s",
					   archive_error_string(c->out))
				 : 0;
}

static int read_entries(struct create *c)
{
	struct archive_entry *e;
	int got, rc = 0;

	while (!rc &&
	       ((got = archive_read_next_header(c->in, &e)) == ARCHIVE_OK || got == ARCHIVE_WARN)) {
		const char *path = archive_entry_pathname(e);

		if (!path)
			continue;
		if (!strcmp(clean(path), "config.json"))
			rc = read_config(c);
		else if (below_rootfs(path))
			rc = copy_entry(c, e, below_rootfs(path));
	}
	if (!rc && got != ARCHIVE_EOF)
		rc = err_set(&c->err, -EINVAL, "failed to read from tar: %s",
			     archive_error_string(c->in));
	if (!rc && !c->has_rootfs)
		rc = err_set(&c->err, -EINVAL, "no rootfs found");
	if (!rc && !c->config.len)
		rc = err_set(&c->err, -EINVAL, "config not found");
	return rc;
}

/* The archive of the client as a layer at path. */
static int make_layer(struct create *c, const char *path)
{
	int rc;

	c->in = archive_read_new();
	c->out = archive_write_new();
	archive_read_support_filter_all(c->in);
	archive_read_support_format_tar(c->in);
	archive_write_add_filter_gzip(c->out);
	archive_write_set_format_pax_restricted(c->out);
	if (archive_read_open_fd(c->in, c->fd, CHUNK) != ARCHIVE_OK)
		rc = err_set(&c->err, -EINVAL, "failed to read from tar: %s",
			     archive_error_string(c->in));
	else if (archive_write_open_filename(c->out, path) != ARCHIVE_OK)
		rc = err_set(&c->err, -EIO, "cannot write %s: %s", path,
			     archive_error_string(c->out));
	else
		rc = read_entries(c);
	if (archive_write_close(c->out) < ARCHIVE_WARN && !rc)
		rc = err_set(&c->err, -EIO, "cannot write %s: %s", path,
			     archive_error_string(c->out));
	archive_read_free(c->in);
	archive_write_free(c->out);
	return rc;
}

static int store_layer(struct create *c, const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *blob = NULL;
	char digest[DIGEST_SIZE];
	int rc;

	if (fd < 0)
		return err_errno(&c->err, -errno, "cannot read %s", path);
	rc = tar_unpack(fd, c->parts.rootfs, false, NULL, &c->err);
	if (!rc && fsync(fd))
		rc = err_errno(&c->err, -errno, "cannot write %s", path);
	if (!rc)
		rc = blob_digest(path, digest, &c->err);
	if (rc)
		return rc;
	blob = plugin_blob_path(c->root, digest);
	if (rename(path, blob))
		return err_errno(&c->err, -errno, "cannot put the layer %s in place", blob);
	c->parts.blobs = json_pack("[s]", digest);
	return 0;
}

static int store_config(struct create *c)
{
	json_error_t why;
	json_t *in = json_loadb(c->config.data, c->config.len, 0, &why);
	_cleanup_free_ char *text = NULL;
	int rc;

	if (!in)
		return err_set(&c->err, -EINVAL, "failed to parse config: %s (line %d)", why.text,
			       why.line);
	rc = plugin_config_read(in, &c->parts.config, &c->err);
	json_decref(in);
	if (rc)
		return rc;
	json_object_set_new(c->parts.config, "rootfs",
			    json_pack("{s:s, s:O}", "type", "layers", "diff_ids", c->parts.blobs));
	json_object_set_new(c->parts.config, "DockerVersion", json_string(SWARM_VERSION));
	text = json_dumps(c->parts.config, JSON_COMPACT);
	return plugin_blob_write(c->root, text, strlen(text), c->parts.config_digest, &c->err);
}

static int make(struct create *c)
{
	_cleanup_free_ char *layer = NULL;
	int rc;

	c->parts.rootfs = plugin_tmp(c->root, "rootfs", &c->err);
	if (!c->parts.rootfs)
		return c->err.code;
	layer = xasprintf("%s.layer", c->parts.rootfs);
	rc = make_layer(c, layer);
	if (!rc)
		rc = chmod(c->parts.rootfs, 0755)
			     ? err_errno(&c->err, -errno, "cannot use %s", c->parts.rootfs)
			     : store_layer(c, layer);
	if (!rc)
		rc = store_config(c);
	if (!rc)
		rc = plugin_manifest_write(c->root, c->parts.config_digest, c->parts.blobs,
					   c->parts.manifest_digest, &c->err);
	unlink(layer);
	return rc;
}

static void create_work(void *arg)
{
	struct create *c = arg;

	c->rc = c->err.code ? c->err.code : make(c);
	close(c->fd);
}

/* --- on the loop --- */

static void created(void *arg)
{
	struct create *c = arg;
	struct plugin *p;

	c->all->jobs--;
	if (!c->rc)
		c->rc = plugin_install(c->all, &c->parts, &p, &c->err);
	if (!c->rc)
		plugin_emit(p, "create", p->name);
	plugins_sweep(c->all);
	c->done(c->rc ? &c->err : NULL, c->arg);
	plugin_parts_done(&c->parts);
	buf_done(&c->config);
	free(c->root);
	free(c);
}

void plugin_create(struct plugins *all, const char *name, int fd, plugin_done done, void *arg)
{
	struct create *c = xcalloc(1, sizeof(*c));

	c->all = all;
	c->root = xstrdup(all->root);
	c->fd = fd;
	c->done = done;
	c->arg = arg;
	buf_init(&c->config);
	if (!plugin_name_parse(name, &c->parts.name, &c->err))
		plugin_name_check(all, c->parts.name, &c->err);
	c->parts.reference = xstrdup(c->parts.name ? c->parts.name : "");
	all->jobs++;
	loop_thread(all->opt.loop, create_work, created, c);
}
