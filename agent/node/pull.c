// SPDX-License-Identifier: Apache-2.0
/* Images of tasks: from here, the registry or the other nodes; one fetch for all tasks that wait. */
#include <errno.h>

#include "core/log.h"
#include "image/reference.h"
#include "node/image_share.h"
#include "node/worker_impl.h"

struct pull {
	struct worker *w; /* NULL: closed meanwhile */
	char *ref, *auth;
	char **waiters; /* task IDs */
	size_t n_waiters;
	bool asked_nodes, asked_registry;
	struct err err; /* of the registry */
};

static void next_source(struct pull *p);

static void pull_free(struct pull *p)
{
	for (size_t i = 0; i < p->n_waiters; i++)
		free(p->waiters[i]);
	free(p->waiters);
	free(p->ref);
	free(p->auth);
	free(p);
}

static void finish(struct pull *p)
{
	struct worker *w = p->w;
	struct err err = ERR_INIT;
	bool here = images_find(w->opt.images, p->ref, &err);

	map_del(&w->pulls, p->ref);
	if (!here && p->err.code)
		log_warn("image %s: %s", p->ref, p->err.msg);
	for (size_t i = 0; i < p->n_waiters; i++) {
		struct task *t = map_get(&w->tasks, p->waiters[i]);

		if (t)
			task_pulled(t, here ? NULL : &err);
	}
	pull_free(p);
}

static void pull_done(const struct err *err, struct image *img, void *arg)
{
	struct pull *p = arg;

	(void)img;
	if (!p->w)
		pull_free(p);
	else if (err)
		next_source(p);
	else
		finish(p);
}

static void registry_done(const struct err *err, struct image *img, void *arg)
{
	struct pull *p = arg;

	if (err)
		p->err = *err;
	pull_done(err, img, arg);
}

static void no_progress(json_t *line, void *arg)
{
	(void)line;
	(void)arg;
}

static bool by_digest(const char *ref)
{
	return strstr(ref, "@sha256:") || digest_valid(ref);
}

/*
 * The API gives names that a registry knows their digest: a name without one is first looked for
 * in the swarm, where it may have been built.
 */
static void next_source(struct pull *p)
{
	bool nodes_first = !by_digest(p->ref);

	if (p->w->share && !p->asked_nodes && (nodes_first || p->asked_registry)) {
		p->asked_nodes = true;
		image_share_fetch(p->w->share, p->ref, pull_done, p);
	} else if (!p->asked_registry && !digest_valid(p->ref)) {
		p->asked_registry = true;
		images_pull(p->w->opt.images, p->ref, p->auth, no_progress, registry_done, p);
	} else {
		finish(p);
	}
}

/* What is here is what the task means, without asking the registry. */
static bool here_for_good(struct worker *w, const char *ref)
{
	struct image *img = images_find(w->opt.images, ref, NULL);
	const char *offline = getenv("DOCKER_SERVICE_PREFER_OFFLINE_IMAGE");

	if (!img)
		return false;
	/* without digests it was built or loaded, here or on another node */
	return by_digest(ref) || streq(offline, "1") || !json_array_size(img->digests);
}

void pull_start(struct worker *w, struct task *t)
{
	const Pb__ContainerSpec *spec = t->task->spec->container;
	struct pull *p;

	if (here_for_good(w, spec->image)) {
		task_pulled(t, NULL);
		return;
	}
	p = map_get(&w->pulls, spec->image);
	if (p) {
		p->waiters = xrealloc(p->waiters, (p->n_waiters + 1) * sizeof(*p->waiters));
		p->waiters[p->n_waiters++] = xstrdup(t->id);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->w = w;
	p->ref = xstrdup(spec->image);
	if (spec->pull_options && !str_empty(spec->pull_options->registry_auth))
		p->auth = base64_decode(spec->pull_options->registry_auth, &(size_t){0});
	p->waiters = xcalloc(1, sizeof(*p->waiters));
	p->waiters[p->n_waiters++] = xstrdup(t->id);
	map_put(&w->pulls, p->ref, p);
	/* one that is here already may be newer at the registry, not at other nodes */
	p->asked_nodes = images_find(w->opt.images, p->ref, NULL);
	next_source(p);
}

void pulls_done(struct worker *w)
{
	const char *ref;
	struct pull *p;

	map_for_each (&w->pulls, ref, p)
		p->w = NULL;
	map_done(&w->pulls);
}
