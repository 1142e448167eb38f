// SPDX-License-Identifier: Apache-2.0
/* Volumes of tasks that drivers have to make before the container is created. */
#include "node/worker_impl.h"

struct provision {
	struct worker *w; /* NULL: closed meanwhile */
	char *task_id;
	json_t *body;
};

static void provision_free(struct provision *p)
{
	json_decref(p->body);
	free(p->task_id);
	free(p);
}

static void provided(const struct err *err, void *arg)
{
	struct provision *p = arg;
	struct task *t;

	if (p->w) {
		map_del(&p->w->provisions, p->task_id);
		t = map_get(&p->w->tasks, p->task_id);
		if (t)
			task_provided(t, p->body, err);
	}
	provision_free(p);
}

bool provide_start(struct worker *w, struct task *t, json_t *body)
{
	struct provision *p;

	if (map_has(&w->provisions, t->id))
		return true; /* an earlier one is still under way */
	p = xcalloc(1, sizeof(*p));
	*p = (struct provision){w, xstrdup(t->id), json_incref(body)};
	if (ctr_provide_volumes(w->opt.ctrs, body, provided, p)) {
		map_put(&w->provisions, p->task_id, p);
		return true;
	}
	provision_free(p);
	return false;
}

void provisions_done(struct worker *w)
{
	struct provision *p;
	const char *id;

	map_for_each (&w->provisions, id, p)
		p->w = NULL;
	map_done(&w->provisions);
}
