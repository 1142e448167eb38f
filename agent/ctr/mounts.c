// SPDX-License-Identifier: Apache-2.0
/*
 * The mount points of a container: -v, --mount, --tmpfs, --volumes-from and the image's volumes.
 * Source: Engine API "Mount", "HostConfig"; moby volume/mounts/linux_parser.go.
 */
#include <errno.h>
#include <stdio.h>

#include "ctr/ctr_impl.h"
#include "disk/file.h"

static struct mount_point *find_mount(struct ctr *c, const char *target)
{
	for (size_t i = 0; i < c->n_mounts; i++)
		if (!strcmp(c->mounts[i].target, target))
			return &c->mounts[i];
	return NULL;
}

static struct mount_point *add_mount(struct ctr *c, const char *type, const char *target)
{
	struct mount_point *m;

	c->mounts = xrealloc(c->mounts, (c->n_mounts + 1) * sizeof(*c->mounts));
	m = &c->mounts[c->n_mounts++];
	memset(m, 0, sizeof(*m));
	m->type = xstrdup(type);
	m->target = xstrdup(target);
	m->rw = true;
	return m;
}

void ctr_free_mounts(struct ctr *c)
{
	for (size_t i = 0; i < c->n_mounts; i++) {
		struct mount_point *m = &c->mounts[i];

		free(m->type);
		free(m->name);
		free(m->source);
		free(m->target);
		free(m->mode);
		free(m->propagation);
		free(m->options);
		free(m->subpath);
		image_put(m->image);
	}
	free(c->mounts);
	c->mounts = NULL;
	c->n_mounts = 0;
}

void ctr_hold_images(struct ctr *c)
{
	for (size_t i = 0; i < c->n_mounts; i++) {
		struct mount_point *m = &c->mounts[i];

		if (strcmp(m->type, "image") || m->image)
			continue;
		m->image = images_find(c->ctrs->opt.images, m->source, NULL);
		if (m->image)
			image_get(m->image);
	}
}

/* -v makes a host folder that is missing. */
static int dir_exists_or_make(const char *path, struct err *err)
{
	return access(path, F_OK) ? dir_make(path, 0755, err) : 0;
}

static int use_volume(struct ctr *c, struct mount_point *m, const char *name, const char *driver,
		      json_t *opts, json_t *labels, struct err *err)
{
	struct volume *v;
	int rc = volume_create(c->ctrs->opt.volumes, name, driver, opts, labels, &v, err);

	if (rc)
		return rc;
	m->made = str_empty(name);
	m->name = xstrdup(volume_name(v));
	m->source = xstrdup(volume_path(v));
	return 0;
}

static const char *const propagations[] = {"private", "rprivate", "shared",
					   "rshared", "slave",	  "rslave"};

static bool is_propagation(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(propagations); i++)
		if (!strcmp(s, propagations[i]))
			return true;
	return false;
}

/* Absolute, not the root, and not yet taken. */
static int check_target(struct ctr *c, const char *target, struct err *err)
{
	if (target[0] != '/')
		return err_set(err, -EINVAL, "invalid mount path: '%s' mount path must be absolute",
			       target);
	if (!strcmp(target, "/"))
		return err_set(err, -EINVAL, "invalid specification: destination can't be '/'");
	if (find_mount(c, target))
		return err_set(err, -EINVAL, "Duplicate mount point: %s", target);
	return 0;
}

/* The options of -v: of each kind one at most. Source: moby volume/mounts/linux_parser.go. */
static int read_mode(struct mount_point *m, const char *spec, const char *mode, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(mode);
	enum { RW, LABEL, CONSISTENCY, PROPAGATION, COPY, KINDS };
	static const struct {
		const char *word;
		int kind;
	} words[] = {{"ro", RW},
		     {"rw", RW},
		     {"z", LABEL},
		     {"Z", LABEL},
		     {"delegated", CONSISTENCY},
		     {"cached", CONSISTENCY},
		     {"consistent", CONSISTENCY},
		     {"nocopy", COPY}};
	bool path = !strcmp(m->type, "bind");
	int seen[KINDS] = {0};

	for (char *save, *o = strtok_r(copy, ",", &save); o; o = strtok_r(NULL, ",", &save)) {
		int kind = is_propagation(o) ? PROPAGATION : -1;

		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			if (!strcmp(o, words[i].word))
				kind = words[i].kind;
		if (kind < 0 || seen[kind]++)
			return err_set(err, -EINVAL, "invalid mode: %s", mode);
		if (kind == PROPAGATION)
			m->propagation = xstrdup(o);
		m->rw &= strcmp(o, "ro") != 0;
		m->no_copy |= kind == COPY;
	}
	if (path ? m->no_copy : m->propagation != NULL)
		return err_set(err, -EINVAL,
			       "invalid volume specification: '%s': invalid mount config for type "
			       "\"%s\": field %sOptions must not be specified",
			       spec, m->type, path ? "Volume" : "Bind");
	return 0;
}

/* "source:target[:options]" of -v, or a lone target. */
static int add_bind(struct ctr *c, const char *spec, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(spec);
	char *target = strchr(copy, ':'), *mode = NULL;
	struct err why = ERR_INIT;
	struct mount_point *m;
	bool path;
	int rc;

	if (!target)
		return err_set(err, -EINVAL, "invalid volume specification: '%s'", spec);
	*target++ = 0;
	mode = strchr(target, ':');
	if (mode)
		*mode++ = 0;
	if (!*copy || !*target || (mode && strchr(mode, ':')))
		return err_set(err, -EINVAL, "invalid volume specification: '%s'", spec);
	path = copy[0] == '/';
	rc = check_target(c, target, &why);
	if (rc && find_mount(c, target))
		return err_set(err, rc, "%s", why.msg);
	if (rc)
		return err_set(err, rc,
			       "invalid volume specification: '%s': invalid mount config for type "
			       "\"%s\": %s",
			       spec, path ? "bind" : "volume", why.msg);
	m = add_mount(c, path ? "bind" : "volume", target);
	m->mode = xstrdup(mode ? mode : path ? "" : "z");
	rc = mode ? read_mode(m, spec, mode, err) : 0;
	if (rc)
		return rc;
	if (!path)
		return use_volume(c, m, copy, js(c->host, "VolumeDriver"), NULL, NULL, err);
	m->source = xstrdup(copy);
	return dir_exists_or_make(copy, err);
}

/* The part of the volume or image that is wanted; "": all. */
static const char *subpath_of(json_t *o)
{
	bool image = !strcmp(js(o, "Type"), "image");

	return js(json_object_get(o, image ? "ImageOptions" : "VolumeOptions"), "Subpath");
}

static int use_image(struct ctr *c, struct mount_point *m, const char *ref, struct err *err)
{
	m->image = images_find(c->ctrs->opt.images, ref, err);
	if (!m->image) { /* not found, to a client, would be the container's */
		if (err)
			err->code = -EINVAL;
		return -EINVAL;
	}
	image_get(m->image);
	m->source = xstrdup(image_id(m->image));
	return 0;
}

/* What is wrong in an object of Mounts by itself. Source: moby volume/mounts/validate.go. */
static int check_mount_object(struct ctr *c, json_t *o, struct err *err)
{
	const char *type = js(o, "Type"), *target = js(o, "Target"), *source = js(o, "Source"),
		   *propagation = js(json_object_get(o, "BindOptions"), "Propagation");
	bool bind = !strcmp(type, "bind"), volume = !strcmp(type, "volume"),
	     tmpfs = !strcmp(type, "tmpfs"), image = !strcmp(type, "image");
	json_t *bind_options = json_object_get(o, "BindOptions");
	int rc;

	if (!bind && !volume && !tmpfs && !image)
		return err_set(err, -EINVAL, "mount type unknown");
	if (!*target)
		return err_set(err, -EINVAL, "field Target must not be empty");
	rc = check_target(c, target, err);
	if (rc)
		return rc;
	if (tmpfs && *source)
		return err_set(err, -EINVAL, "field Source must not be specified");
	if (!bind && json_is_object(json_object_get(o, "BindOptions")))
		return err_set(err, -EINVAL, "field BindOptions must not be specified");
	if (!volume && json_is_object(json_object_get(o, "VolumeOptions")))
		return err_set(err, -EINVAL, "field VolumeOptions must not be specified");
	if (!tmpfs && json_is_object(json_object_get(o, "TmpfsOptions")))
		return err_set(err, -EINVAL, "field TmpfsOptions must not be specified");
	if (!image && json_is_object(json_object_get(o, "ImageOptions")))
		return err_set(err, -EINVAL, "field ImageOptions must not be specified");
	if (!part_path_valid(subpath_of(o)))
		return err_set(err, -EINVAL, "subpath must be a relative path within the %s", type);
	if (volume && !*source && *subpath_of(o))
		return err_set(err, -EINVAL, "must not set Subpath when using anonymous volumes");
	if (image && !*source)
		return err_set(err, -EINVAL, "field Source must not be empty");
	if (volume && !*source && jb(o, "ReadOnly"))
		return err_set(err, -EINVAL,
			       "must not set ReadOnly mode when using anonymous volumes");
	if (!bind)
		return 0;
	if (!*source)
		return err_set(err, -EINVAL, "field Source must not be empty");
	if (*propagation && !is_propagation(propagation))
		return err_set(err, -EINVAL, "invalid propagation mode: %s", propagation);
	if (jb(bind_options, "ReadOnlyForceRecursive") &&
	    (!jb(o, "ReadOnly") || jb(bind_options, "ReadOnlyNonRecursive") ||
	     jb(bind_options, "NonRecursive")))
		return err_set(err, -EINVAL,
			       "ReadOnlyForceRecursive is for read-only mounts, with the mounts "
			       "below them");
	if (*source != '/')
		return err_set(err, -EINVAL, "invalid mount path: '%s' mount path must be absolute",
			       source);
	if (access(source, F_OK) && !jb(json_object_get(o, "BindOptions"), "CreateMountpoint"))
		return err_set(err, -EINVAL, "bind source path does not exist: %s", source);
	return 0;
}

static int add_mount_object(struct ctr *c, json_t *o, struct err *err)
{
	const char *type = js(o, "Type"), *target = js(o, "Target"), *source = js(o, "Source");
	json_t *vol = json_object_get(o, "VolumeOptions"),
	       *drv = json_object_get(vol, "DriverConfig"),
	       *tmpfs = json_object_get(o, "TmpfsOptions"),
	       *bind = json_object_get(o, "BindOptions");
	struct err why = ERR_INIT;
	struct mount_point *m;
	int rc = check_mount_object(c, o, &why);

	if (rc)
		return err_set(err, rc, "invalid mount config for type \"%s\": %s", type, why.msg);
	m = add_mount(c, type, target);
	m->rw = !jb(o, "ReadOnly");
	m->subpath = xstrdup(subpath_of(o));
	if (!strcmp(type, "bind")) {
		m->source = xstrdup(source);
		m->propagation = xstrdup(js(bind, "Propagation"));
		m->no_recursion = jb(bind, "NonRecursive");
		m->shallow = jb(bind, "ReadOnlyNonRecursive");
		rc = dir_exists_or_make(source, err);
	} else if (!strcmp(type, "volume")) {
		m->no_copy = jb(vol, "NoCopy") || *m->subpath;
		m->mode = xstrdup("z");
		rc = use_volume(c, m, source, js(drv, "Name"), json_object_get(drv, "Options"),
				json_object_get(vol, "Labels"), err);
	} else if (!strcmp(type, "image")) {
		rc = use_image(c, m, source, err);
	} else {
		m->size = ji(tmpfs, "SizeBytes");
		m->perm = ji(tmpfs, "Mode");
	}
	return rc;
}

static struct mount_point *copy_mount(struct ctr *c, const struct mount_point *from)
{
	struct mount_point *m = add_mount(c, from->type, from->target);

	m->name = xstrdup(from->name);
	m->source = xstrdup(from->source);
	m->propagation = xstrdup(from->propagation);
	m->rw = from->rw;
	m->no_copy = true; /* its own container has filled it */
	m->no_recursion = from->no_recursion;
	m->shallow = from->shallow;
	m->subpath = xstrdup(from->subpath);
	m->image = from->image;
	if (m->image)
		image_get(m->image);
	return m;
}

/* "container[:ro|rw]": its binds and volumes, where there is nothing else yet. */
static int add_volumes_from(struct ctr *c, const char *spec, struct err *err)
{
	_cleanup_free_ char *name = xstrdup(spec);
	char *mode = strchr(name, ':');
	struct ctr *from;

	if (mode)
		*mode++ = 0;
	if (mode && strcmp(mode, "ro") && strcmp(mode, "rw") && strcmp(mode, "z") &&
	    strcmp(mode, "Z"))
		return err_set(err, -EINVAL, "invalid mode: %s", mode);
	from = ctr_find(c->ctrs, name, err);
	if (!from) /* not found, to a client, would be the image */
		return err ? (err->code = -EINVAL) : -EINVAL;
	for (size_t i = 0; i < from->n_mounts; i++) {
		if (!strcmp(from->mounts[i].type, "tmpfs") || find_mount(c, from->mounts[i].target))
			continue;
		if (!copy_mount(c, &from->mounts[i])->rw)
			continue;
		c->mounts[c->n_mounts - 1].rw = !mode || strcmp(mode, "ro");
	}
	return 0;
}

/* Flags that mount(8) knows, and NAME=VALUE. */
static int check_tmpfs(const char *options, struct err *err)
{
	static const char *const flags[] = {
		"async",      "atime",	      "bind",	"defaults", "dev",	   "diratime",
		"dirsync",    "exec",	      "mand",	"noatime",  "nodev",	   "nodiratime",
		"noexec",     "nomand",	      "nosuid", "private",  "rbind",	   "relatime",
		"norelatime", "remount",      "ro",	"rw",	    "strictatime", "suid",
		"sync",	      "nostrictatime"};
	_cleanup_free_ char *copy = xstrdup(options);

	for (char *save, *o = strtok_r(copy, ",", &save); o; o = strtok_r(NULL, ",", &save)) {
		bool known = strchr(o, '=') != NULL || is_propagation(o);

		for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
			known |= !strcmp(o, flags[i]);
		if (!known)
			return err_set(err, -EINVAL, "invalid tmpfs option [\"%s\"]", o);
	}
	return 0;
}

int ctr_make_mounts(struct ctr *c, struct err *err)
{
	json_t *v;
	const char *target;
	size_t i;
	int rc = 0;

	json_array_foreach (json_object_get(c->host, "Binds"), i, v)
		rc = rc ? rc : add_bind(c, json_string_value(v), err);
	json_array_foreach (json_object_get(c->host, "Mounts"), i, v)
		rc = rc ? rc : add_mount_object(c, v, err);
	json_object_foreach (json_object_get(c->host, "Tmpfs"), target, v) {
		if (rc)
			break;
		rc = check_target(c, target, err);
		if (!rc)
			rc = check_tmpfs(json_string_value(v), err);
		if (!rc)
			add_mount(c, "tmpfs", target)->options = xstrdup(json_string_value(v));
	}
	json_array_foreach (json_object_get(c->host, "VolumesFrom"), i, v)
		rc = rc ? rc : add_volumes_from(c, json_string_value(v), err);
	json_object_foreach (json_object_get(c->config, "Volumes"), target, v) {
		struct mount_point *m;

		if (rc)
			break;
		if (find_mount(c, target))
			continue;
		rc = check_target(c, target, err);
		if (rc)
			break;
		m = add_mount(c, "volume", target);
		rc = use_volume(c, m, NULL, js(c->host, "VolumeDriver"), NULL, NULL, err);
	}
	return rc;
}
