// SPDX-License-Identifier: Apache-2.0
/* docker commit: the container's writable layer and configuration as an image. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "ctr/archive.h"
#include "ctr/ctr_impl.h"
#include "ctr/tar.h"

struct pack {
	char *dir;
	int fd;
};

struct job {
	struct ctrs *ctrs;
	char id[65];
	bool frozen;
	void (*done)(const struct err *err, const char *id, void *arg);
	void *arg;
	struct err err;
};

/* --- the configuration --- */

static json_t *make_config(struct ctr *c, const struct commit *cm, struct err *err)
{
	static const char *const kept[] = {"User",	 "ExposedPorts", "Env",	       "Entrypoint",
					   "Cmd",	 "Volumes",	 "WorkingDir", "Labels",
					   "StopSignal", "Healthcheck",	 "Shell",      "OnBuild"};
	json_t *config = json_object(), *v;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		json_t *own = json_object_get(cm->config, kept[i]);
		bool given = own && !json_is_null(own) &&
			     !(json_is_string(own) && !*json_string_value(own));

		v = given ? own : json_object_get(c->config, kept[i]);
		if (v && !json_is_null(v))
			json_object_set_new(config, kept[i], json_deep_copy(v));
	}
	for (const char *const *line = cm->changes; line && *line; line++) {
		if (image_change(config, *line, err)) {
			json_decref(config);
			return NULL;
		}
	}
	return config;
}

/* --- the work --- */

static void pack_work(void *arg)
{
	struct pack *p = arg;

	tar_write_layer(p->fd, p->dir, NULL);
	close(p->fd);
}

static void pack_done(void *arg)
{
	struct pack *p = arg;

	free(p->dir);
	free(p);
}

static void refused(void *arg)
{
	struct job *j = arg;

	j->done(&j->err, NULL, j->arg);
	free(j);
}

static void committed(const struct err *err, struct image *img, void *arg)
{
	struct job *j = arg;
	struct ctr *c = map_get(&j->ctrs->by_id, j->id);

	if (j->frozen && c && c->cgroup)
		cgroup_freeze(c->cgroup, false);
	if (c && !err)
		ctr_emit(c, "commit",
			 json_pack("{s:s, s:s}", "comment", "", "imageID", image_id(img)));
	j->done(err, img ? image_id(img) : NULL, j->arg);
	free(j);
}

void archive_commit(struct ctr *c, const struct commit *cm,
		    void (*done)(const struct err *err, const char *id, void *arg), void *arg)
{
	struct job *j = xcalloc(1, sizeof(*j));
	_cleanup_buf_ struct buf by = BUF_INIT;
	struct image_commit ic;
	json_t *config = NULL, *v;
	struct pack *p;
	int fds[2];
	size_t i;

	j->ctrs = c->ctrs;
	strcpy(j->id, c->id);
	j->done = done;
	j->arg = arg;
	if (c->busy)
		err_set(&j->err, -EBUSY,
			"container %s is being started, stopped or removed: try again", c->name);
	else if (!c->image)
		err_set(&j->err, -ENOENT, "the image of container %s is gone", c->name);
	else
		config = make_config(c, cm, &j->err);
	if (config && pipe2(fds, O_CLOEXEC)) {
		err_errno(&j->err, -errno, "no pipe for the layer");
		json_decref(config);
		config = NULL;
	}
	if (!config) {
		loop_defer(c->ctrs->opt.loop, refused, j);
		return;
	}
	if (cm->pause && c->status == CTR_RUNNING && c->cgroup)
		j->frozen = !cgroup_freeze(c->cgroup, true);
	p = xcalloc(1, sizeof(*p));
	p->dir = xasprintf("%s/rw", c->dir);
	p->fd = fds[1];
	loop_thread(c->ctrs->opt.loop, pack_work, pack_done, p);
	json_array_foreach (c->path_args, i, v)
		buf_printf(&by, "%s%s", i ? " " : "", json_string_value(v));
	ic = (struct image_commit){.config = config,
				   .ref = cm->ref,
				   .author = cm->author,
				   .comment = cm->comment,
				   .created_by = by.data};
	images_commit(c->ctrs->opt.images, c->image, fds[0], &ic, committed, j);
	json_decref(config);
}
