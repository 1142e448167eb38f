// SPDX-License-Identifier: Apache-2.0
/* Assignments of this node, matched with the tasks and containers that are here. */
#include <errno.h>

#include "core/log.h"
#include "node/container.h"
#include "node/worker_impl.h"

static void on_stored(const char *task_id, const Pb__TaskStatus *status, void *arg)
{
	struct worker *w = arg;

	w->opt.on_status(task_id, status, w->opt.arg);
}

static void on_ctr(struct ctr *c, enum ctr_event ev, void *arg)
{
	struct worker *w = arg;
	const char *id = ctr_label(c, LABEL_TASK_ID);
	struct task *t = id ? map_get(&w->tasks, id) : NULL;

	if (t && t->ctr == c)
		task_ctr_event(t, ev);
}

static void restore_task(const Pb__Task *task, const Pb__TaskStatus *status, void *arg)
{
	struct worker *w = arg;

	task_new(w, task, status);
	if (w->opt.on_attachment && task->spec &&
	    task->spec->runtime_case == PB__TASK_SPEC__RUNTIME_ATTACHMENT && status &&
	    status->state == PB__TASK_STATE__RUNNING)
		w->opt.on_attachment(task, true, w->opt.arg);
}

static void adopt_containers(struct worker *w)
{
	for (struct ctr *c = ctrs_next(w->opt.ctrs, NULL); c; c = ctrs_next(w->opt.ctrs, c)) {
		const char *id = ctr_label(c, LABEL_TASK_ID);
		struct task *t = id ? map_get(&w->tasks, id) : NULL;

		if (t && !t->ctr)
			t->ctr = c;
	}
}

int worker_open(const struct worker_options *opt, struct worker **ret, struct err *err)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	const char *id;
	struct task *t;
	int rc;

	w->opt = *opt;
	w->exec_root = xstrdup(opt->exec_root);
	w->opt.exec_root = w->exec_root;
	w->cluster_size = 1;
	rc = taskdb_open(opt->loop, opt->dir, on_stored, w, &w->db, err);
	if (!rc)
		rc = taskdb_each(w->db, restore_task, w, err);
	if (rc) {
		worker_close(w);
		return rc;
	}
	adopt_containers(w);
	w->watch.fn = on_ctr;
	w->watch.arg = w;
	ctrs_watch(opt->ctrs, &w->watch);
	map_for_each (&w->tasks, id, t) {
		if (t->ctr && t->status->state == PB__TASK_STATE__RUNNING &&
		    t->task->desired_state < PB__TASK_STATE__SHUTDOWN) {
			task_networks(w, t->task, NULL);
			ctr_service(t->ctr, true);
		}
		task_kick(t);
	}
	*ret = w;
	return 0;
}

static void free_messages(struct map *m)
{
	const char *id;
	void *msg;

	map_for_each (m, id, msg)
		pb_free(msg);
	map_done(m);
}

void worker_close(struct worker *w)
{
	const char *id;
	struct task *t;

	if (!w)
		return;
	if (w->watch.fn)
		ctrs_unwatch(&w->watch);
	map_for_each (&w->tasks, id, t)
		task_free(t);
	map_done(&w->tasks);
	pulls_done(w);
	provisions_done(w);
	free_messages(&w->secrets);
	free_messages(&w->configs);
	taskdb_close(w->db);
	pb_free(w->node);
	free(w->node_id);
	free(w->exec_root);
	free(w->ingress_id);
	free(w);
}

void worker_set_node(struct worker *w, const char *node_id, const Pb__Node *node)
{
	free(w->node_id);
	w->node_id = xstrdup(node_id);
	if (!node)
		return;
	pb_free(w->node);
	w->node = pb_clone(node);
	worker_ingress(w);
}

void worker_set_cluster_size(struct worker *w, size_t nodes)
{
	w->cluster_size = nodes;
}

void worker_set_share(struct worker *w, struct image_share *share)
{
	w->share = share;
}

/* --- assignments --- */

static void put_message(struct map *m, const char *id, const void *msg)
{
	pb_free(map_put(m, id, pb_clone(msg)));
}

/* One that runs already, when the task's own record was lost. */
static struct ctr *find_container(struct worker *w, const Pb__Task *task)
{
	_cleanup_free_ char *name = container_name(task);
	struct ctr *c = ctr_find(w->opt.ctrs, name, NULL);

	return c && streq(ctr_label(c, LABEL_TASK_ID), task->id) ? c : NULL;
}

static void assign_task(struct worker *w, const Pb__Task *task)
{
	struct task *t = map_get(&w->tasks, task->id);
	Pb__TaskState desired = task->desired_state;

	if (!task->spec || !task->service_annotations) {
		log_warn("task %s came without a specification", task->id);
		return;
	}
	if (!t) {
		t = task_new(w, task, task->status);
		t->ctr = find_container(w, task);
	} else if (!t->gone) {
		/* it never goes back */
		desired = max(desired, t->task->desired_state);
		pb_free(t->task);
		t->task = pb_clone(task);
	} else {
		return;
	}
	t->task->desired_state = desired;
	taskdb_put_task(w->db, t->task);
	task_kick(t);
}

static void unassign_task(struct worker *w, const char *id)
{
	struct task *t = map_get(&w->tasks, id);

	if (!t || t->gone)
		return;
	t->gone = true;
	task_kick(t);
}

static void apply(struct worker *w, const Pb__AssignmentChange *ch, Pb__Assignment__ItemCase kind)
{
	const Pb__Assignment *a = ch->assignment;
	bool gone = ch->action == PB__ASSIGNMENT_CHANGE__ASSIGNMENT_ACTION__REMOVE;

	if (!a || a->item_case != kind)
		return;
	switch (kind) {
	case PB__ASSIGNMENT__ITEM_SECRET:
		if (gone)
			pb_free(map_del(&w->secrets, a->secret->id));
		else
			put_message(&w->secrets, a->secret->id, a->secret);
		break;
	case PB__ASSIGNMENT__ITEM_CONFIG:
		if (gone)
			pb_free(map_del(&w->configs, a->config->id));
		else
			put_message(&w->configs, a->config->id, a->config);
		break;
	case PB__ASSIGNMENT__ITEM_TASK:
		if (gone)
			unassign_task(w, a->task->id);
		else
			assign_task(w, a->task);
		break;
	case PB__ASSIGNMENT__ITEM_VOLUME:
		if (gone && w->opt.on_volume)
			w->opt.on_volume(a->volume->id, w->opt.arg);
		break;
	default:
		break;
	}
}

static void stray_removed(struct ctr *c, const struct err *err, void *arg)
{
	(void)c;
	(void)arg;
	if (err && err->code != -ENOENT)
		log_warn("a container of no known task stays: %s", err->msg);
}

/* Tasks that are not among those assigned go; containers of tasks that nobody knows, too. */
static void retain(struct worker *w, const Pb__AssignmentsMessage *msg)
{
	struct map keep = MAP_INIT;
	struct task *t;
	const char *id;

	for (size_t i = 0; i < msg->n_changes; i++) {
		const Pb__Assignment *a = msg->changes[i]->assignment;

		if (a && a->item_case == PB__ASSIGNMENT__ITEM_TASK)
			map_put(&keep, a->task->id, w);
	}
	map_for_each (&w->tasks, id, t)
		if (!map_has(&keep, id))
			unassign_task(w, id);
	for (struct ctr *next, *c = ctrs_next(w->opt.ctrs, NULL); c; c = next) {
		const char *task = ctr_label(c, LABEL_TASK_ID);

		next = ctrs_next(w->opt.ctrs, c);
		if (task && !map_has(&keep, task) && !map_has(&w->tasks, task))
			ctr_remove(c, true, true, stray_removed, NULL);
	}
	map_done(&keep);
}

void worker_assign(struct worker *w, const Pb__AssignmentsMessage *msg)
{
	static const Pb__Assignment__ItemCase order[] = {
		PB__ASSIGNMENT__ITEM_SECRET,
		PB__ASSIGNMENT__ITEM_CONFIG,
		PB__ASSIGNMENT__ITEM_TASK,
		PB__ASSIGNMENT__ITEM_VOLUME,
	};
	const char *id;
	struct task *t;

	if (w->leaving)
		return;
	if (msg->type == PB__ASSIGNMENTS_MESSAGE__TYPE__COMPLETE) {
		free_messages(&w->secrets);
		free_messages(&w->configs);
	}
	for (size_t o = 0; o < ARRAY_SIZE(order); o++)
		for (size_t i = 0; i < msg->n_changes; i++)
			apply(w, msg->changes[i], order[o]);
	if (msg->type != PB__ASSIGNMENTS_MESSAGE__TYPE__COMPLETE)
		return;
	retain(w, msg);
	if (w->synced)
		return;
	w->synced = true;
	map_for_each (&w->tasks, id, t)
		task_kick(t);
}

void worker_task_ended(struct worker *w, struct task *t)
{
	map_del(&w->tasks, t->id);
	taskdb_del(w->db, t->id);
	task_networks_drop(w, t);
	task_free(t);
	if (w->leaving && !w->tasks.len && w->left)
		loop_defer(w->opt.loop, steal_ptr(w->left), w->left_arg);
}

/* --- others ask --- */

void worker_report_all(struct worker *w)
{
	struct task *t;
	const char *id;

	/* the way through the store keeps the order, and the calls out of this one */
	map_for_each (&w->tasks, id, t)
		if (t->status->state > PB__TASK_STATE__ASSIGNED && !t->gone)
			taskdb_put_status(w->db, id, t->status);
}

void worker_leave(struct worker *w, void (*done)(void *arg), void *arg)
{
	struct task *t;
	const char *id;

	w->leaving = true;
	w->left = done;
	w->left_arg = arg;
	map_for_each (&w->tasks, id, t)
		unassign_task(w, id);
	if (!w->tasks.len)
		loop_defer(w->opt.loop, steal_ptr(w->left), arg);
}

const Pb__Task *worker_task_of(struct worker *w, const char *container_id)
{
	struct task *t;
	const char *id;

	map_for_each (&w->tasks, id, t)
		if (t->ctr && streq(ctr_id(t->ctr), container_id))
			return t->task;
	return NULL;
}

const Pb__Task *worker_next(struct worker *w, size_t *pos)
{
	struct task *t;
	const char *id;

	while (map_next(&w->tasks, pos, &id, (void **)&t))
		if (!t->gone)
			return t->task;
	return NULL;
}

const char *worker_container(struct worker *w, const char *task_id)
{
	struct task *t = map_get(&w->tasks, task_id);

	return t && t->ctr ? ctr_id(t->ctr) : "";
}
