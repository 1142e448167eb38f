// SPDX-License-Identifier: Apache-2.0
/* A container's use of volumes that have drivers. */
#include <openssl/sha.h>
#include <stdio.h>

#include "ctr/ctr_impl.h"

struct uses {
	struct ctr *c;
	struct volume_use *v;
	size_t *at; /* which mount point each is of */
	size_t n;
	volume_done done;
};

/* One mount point's use, the same after a restart of the agent. */
static char *use_id(const struct ctr *c, const struct mount_point *m)
{
	_cleanup_free_ char *text = xasprintf("%s %s", c->id, m->target);
	unsigned char raw[SHA256_DIGEST_LENGTH];
	char *id = xmalloc(2 * sizeof(raw) + 1);

	SHA256((const unsigned char *)text, strlen(text), raw);
	hex_encode(id, raw, sizeof(raw));
	return id;
}

static struct uses *collect(struct ctr *c, bool mounted, volume_done done)
{
	struct uses *u = xcalloc(1, sizeof(*u));

	u->c = c;
	u->done = done;
	u->v = xcalloc(c->n_mounts + 1, sizeof(*u->v));
	u->at = xcalloc(c->n_mounts + 1, sizeof(*u->at));
	for (size_t i = 0; i < c->n_mounts; i++) {
		struct mount_point *m = &c->mounts[i];
		struct volume *v =
			m->name ? volume_find(c->ctrs->opt.volumes, m->name, NULL) : NULL;

		if (!v || volume_local(v) || mounted != (m->volume != NULL))
			continue;
		u->at[u->n] = i;
		u->v[u->n++] = (struct volume_use){.target = m->target,
						   .propagation = m->propagation,
						   .rw = m->rw,
						   .volume = xstrdup(m->name),
						   .id = use_id(c, m)};
	}
	return u;
}

static void uses_free(struct uses *u)
{
	for (size_t i = 0; i < u->n; i++) {
		free(u->v[i].volume);
		free(u->v[i].id);
		free(u->v[i].source);
	}
	free(u->v);
	free(u->at);
	free(u);
}

static void attached(const struct err *err, void *arg)
{
	struct uses *u = arg;
	struct ctr *c = u->c;
	volume_done done = u->done;

	for (size_t i = 0; i < u->n && !err; i++) {
		struct mount_point *m = &c->mounts[u->at[i]];

		m->volume = volume_find(c->ctrs->opt.volumes, m->name, NULL);
		free(m->source);
		m->source = steal_ptr(u->v[i].source);
	}
	uses_free(u);
	done(err, c);
}

void ctr_volumes_attach(struct ctr *c, volume_done done)
{
	struct uses *u = collect(c, false, done);

	volumes_attach(c->ctrs->opt.volumes, u->v, u->n, c->id, attached, u);
}

static void detached(const struct err *err, void *arg)
{
	struct uses *u = arg;
	struct ctr *c = u->c;
	volume_done done = u->done;

	for (size_t i = 0; i < u->n; i++)
		c->mounts[u->at[i]].volume = NULL;
	uses_free(u);
	done(err, c);
}

void ctr_volumes_detach(struct ctr *c, volume_done done)
{
	struct uses *u = collect(c, true, done);

	volumes_detach(c->ctrs->opt.volumes, u->v, u->n, c->id, detached, u);
}

bool ctr_provide_volumes(struct ctrs *ctrs, json_t *body,
			 void (*done)(const struct err *err, void *arg), void *arg)
{
	struct image *image = images_find(ctrs->opt.images, js(body, "Image"), NULL);
	json_t *config = image ? json_object_get(image_config(image), "config") : NULL;

	return volumes_provide(ctrs->opt.volumes, body, config, done, arg);
}
