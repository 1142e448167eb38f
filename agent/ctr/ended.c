// SPDX-License-Identifier: Apache-2.0
/* The way down of a container: its end, the clean-up, and whether it comes up again. */
#include <errno.h>
#include <sys/mount.h>

#include "ctr/ctr_impl.h"
#include "disk/file.h"
#include "disk/mount.h"

enum { BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 60000, STEADY_MS = 10000 };

/* --- undoing, on a worker --- */

struct clean {
	struct ctr *c;
	char *run_dir, *state_dir, *cgroup, *root, *shm, *files, *parts;
	int oom_kills;
	void (*done)(struct ctr *c, int oom_kills);
};

static void clean_work(void *arg)
{
	struct clean *j = arg;

	if (j->cgroup) {
		j->oom_kills = cgroup_oom_kills(j->cgroup);
		cgroup_remove(j->cgroup);
	}
	dir_remove_tree(j->state_dir, NULL);
	umount2(j->root, MNT_DETACH);
	umount2(j->shm, MNT_DETACH);
	umount2(j->files, MNT_DETACH);
	mount_detach_tree(j->parts, NULL);
	dir_remove_tree(j->run_dir, NULL);
}

static void clean_done(void *arg)
{
	struct clean *j = arg;
	struct ctr *c = j->c;

	free(c->cgroup);
	c->cgroup = NULL;
	j->done(c, j->oom_kills);
	free(j->run_dir);
	free(j->state_dir);
	free(j->cgroup);
	free(j->root);
	free(j->shm);
	free(j->files);
	free(j->parts);
	free(j);
}

char *ctrs_cgroup(const struct ctrs *ctrs, const char *parent, const char *id)
{
	if (str_empty(parent))
		parent = ctrs->cgroup_parent;
	return xasprintf("%s%s/%s", *parent == '/' ? "" : "/", parent, id);
}

char *ctr_cgroup_path(const struct ctr *c)
{
	return ctrs_cgroup(c->ctrs, js(c->host, "CgroupParent"), c->id);
}

void ctr_clean(struct ctr *c, void (*done)(struct ctr *c, int oom_kills))
{
	struct clean *j = xcalloc(1, sizeof(*j));

	*j = (struct clean){
		.c = c,
		.run_dir = xstrdup(c->run_dir),
		.state_dir = xasprintf("%s/%s", c->ctrs->rtroot, c->id),
		.cgroup = c->cgroup ? xstrdup(c->cgroup) : ctr_cgroup_path(c),
		.root = xasprintf("%s/merged", c->dir),
		.shm = xasprintf("%s/shm", c->dir),
		.files = xasprintf("%s/files", c->run_dir),
		.parts = xasprintf("%s/parts", c->run_dir),
		.done = done,
	};
	loop_work(c->ctrs->opt.loop, clean_work, clean_done, j);
}

static void all_released(const struct err *err, void *arg)
{
	struct ctr *c = arg;
	void (*done)(struct ctr *) = c->released;

	(void)err;
	c->released = NULL;
	done(c);
}

static void release_volumes(struct ctr *c)
{
	bool remote = false;

	for (size_t i = 0; i < c->n_mounts; i++) {
		if (!c->mounts[i].volume)
			continue;
		if (volume_local(c->mounts[i].volume))
			volume_unmount(steal_ptr(c->mounts[i].volume), c->id);
		else
			remote = true;
	}
	if (remote)
		ctr_volumes_detach(c, all_released);
	else
		all_released(NULL, c);
}

static void sandbox_gone(void *arg)
{
	struct ctr *c = arg;

	sandbox_free(steal_ptr(c->sandbox));
	c->sandbox_up = false;
	release_volumes(c);
}

void ctr_release(struct ctr *c, void (*done)(struct ctr *c))
{
	json_decref(c->sandbox_saved);
	c->sandbox_saved = NULL;
	c->released = done;
	if (c->sandbox && c->sandbox_up)
		sandbox_down(c->sandbox, sandbox_gone, c);
	else
		sandbox_gone(c);
}

/* --- the end --- */

void ctr_read_exit(struct ctr *c, int code)
{
	long long ns;

	c->exit_code = monitor_exit_code(c->run_dir, code, &ns);
	c->finished_ns = ns ? ns : loop_wall_ns();
}

static bool wants_restart(struct ctr *c)
{
	json_t *policy = json_object_get(c->host, "RestartPolicy");
	const char *name = js(policy, "Name");
	json_int_t most = ji(policy, "MaximumRetryCount");

	if (c->stop_wanted || c->removing || !list_empty(&c->ending))
		return false;
	if (!strcmp(name, "on-failure"))
		return c->exit_code && (!most || c->restart_count < most);
	return !strcmp(name, "always") || !strcmp(name, "unless-stopped");
}

static unsigned int next_backoff(struct ctr *c)
{
	int64_t ran_ms = (c->finished_ns - c->started_ns) / 1000000;

	if (!c->backoff_ms || ran_ms > STEADY_MS)
		c->backoff_ms = BACKOFF_MIN_MS;
	else
		c->backoff_ms = min(c->backoff_ms * 2, (unsigned int)BACKOFF_MAX_MS);
	return c->backoff_ms;
}

void ctr_restart_due(void *arg)
{
	struct ctr *c = arg;

	if (c->status != CTR_RESTARTING || c->busy)
		return;
	c->restart_count++;
	ctr_run_start(c, NULL);
}

static void released(struct ctr *c)
{
	struct list_head ops = LIST_HEAD_INIT(ops);
	bool restart = wants_restart(c), again = false;
	struct ctr_op *op, *tmp;
	json_t *extra;

	c->status = restart ? CTR_RESTARTING : CTR_STATUS_EXITED;
	c->pid = 0;
	c->busy = false;
	ctr_save_state(c);
	if (c->oom_killed)
		ctr_emit(c, "oom", NULL);
	extra = json_object();
	json_object_set_new(
		extra, "execDuration",
		json_sprintf("%lld", (long long)(c->finished_ns - c->started_ns) / 1000000000));
	json_object_set_new(extra, "exitCode", json_sprintf("%d", c->exit_code));
	ctr_emit(c, "die", extra);
	list_for_each_safe (op, tmp, &c->ending, node) {
		list_del(&op->node);
		list_add_tail(&op->node, &ops);
		again |= op->kind == OP_RESTART;
		if (op->kind == OP_STOP)
			ctr_emit(c, "stop", NULL);
	}
	ctr_tell(c, CTR_EV_EXITED);
	list_for_each_safe (op, tmp, &ops, node) {
		list_del(&op->node);
		if (op->kind == OP_STOP)
			ctr_op_end(op, NULL);
		else
			ctr_op_run(op);
	}
	if (restart && c->status == CTR_RESTARTING && !c->busy)
		timer_set(&c->restart_timer, next_backoff(c));
	else if (jb(c->host, "AutoRemove") && !again && !c->removing)
		ctr_remove(c, false, true, NULL, NULL);
	ctr_idle(c);
}

static void cleaned(struct ctr *c, int oom_kills)
{
	c->oom_killed = oom_kills > 0;
	ctr_release(c, released);
}

void ctr_ended(struct ctr *c, int code)
{
	shim_close(steal_ptr(c->shim));
	if (c->pidfd >= 0)
		close(steal_fd(c->pidfd));
	c->pid = 0;
	c->lost = false;
	c->busy = true;
	timer_cancel(&c->stop_timer);
	health_stop(c);
	ctr_read_exit(c, code);
	ctr_clean(c, cleaned);
}

void ctr_shim_exited(int code, void *arg)
{
	struct ctr *c = arg;

	/* while it starts, the answer on the pipe tells */
	if (ctr_running(c) && !c->busy)
		ctr_ended(c, code);
	else
		c->lost = true;
}
