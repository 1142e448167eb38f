// SPDX-License-Identifier: Apache-2.0
/* What one asks of a container: start, stop, restart, remove, signals, pause, streams. */
#include <errno.h>
#include <event2/bufferevent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "ctr/ctr_impl.h"
#include "disk/file.h"
#include "disk/mount.h"
#include "loop/events.h"

enum { STOP_TIMEOUT_S = 10 };

struct op_end {
	struct ctr_op *op;
	struct err err;
};

static void op_free(struct ctr_op *op)
{
	free(op->signal);
	free(op);
}

static void end_deferred(void *arg)
{
	struct op_end *e = arg;

	e->op->done(e->op->c, e->err.code ? &e->err : NULL, e->op->arg);
	op_free(e->op);
	free(e);
}

void ctr_op_end(struct ctr_op *op, const struct err *err)
{
	struct op_end *e;

	if (!op->done) {
		op_free(op);
		return;
	}
	e = xcalloc(1, sizeof(*e));
	e->op = op;
	if (err)
		e->err = *err;
	loop_defer(op->c->ctrs->opt.loop, end_deferred, e);
}

__attribute__((__format__(printf, 3, 4))) static void refuse(struct ctr_op *op, int code,
							     const char *fmt, ...)
{
	struct err err = {.code = code};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err.msg, sizeof(err.msg), fmt, ap);
	va_end(ap);
	ctr_op_end(op, &err);
}

void ctr_ops_drop(struct ctr *c)
{
	struct list_head *lists[] = {&c->waiting, &c->ending};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		while (!list_empty(lists[i])) {
			struct ctr_op *op = list_first(lists[i], struct ctr_op, node);

			list_del(&op->node);
			op_free(op);
		}
	if (c->start_op)
		op_free(steal_ptr(c->start_op));
}

static void send_signal(struct ctr *c, int sig)
{
	json_t *extra = json_object();

	if (c->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, c->pidfd, sig, NULL, 0);
	else if (c->pid > 1)
		kill(c->pid, sig);
	json_object_set_new(extra, "signal", json_sprintf("%d", sig));
	ctr_emit(c, "kill", extra);
}

static void thaw(struct ctr *c)
{
	if (c->status == CTR_PAUSED && c->cgroup) {
		cgroup_freeze(c->cgroup, false);
		c->status = CTR_RUNNING;
		ctr_emit(c, "unpause", NULL);
	}
}

/* --- start --- */

static void do_start(struct ctr_op *op)
{
	struct ctr *c = op->c;

	if (c->removing) {
		refuse(op, -EBUSY, "container is marked for removal and cannot be started");
	} else if (c->status == CTR_PAUSED) {
		refuse(op, -EBUSY, "cannot start a paused container, try unpause instead");
	} else if (c->status == CTR_RUNNING) {
		refuse(op, -EALREADY, "container %s is running already", c->name);
	} else {
		timer_cancel(&c->restart_timer);
		c->backoff_ms = 0;
		c->restart_count = 0;
		c->stop_wanted = false;
		ctr_run_start(c, op);
	}
}

/* --- stop --- */

void ctr_kill_due(void *arg)
{
	struct ctr *c = arg;

	if (ctr_running(c) && !c->busy)
		send_signal(c, SIGKILL);
}

static int stop_signal(struct ctr *c, const char *given)
{
	int sig = signal_number(!str_empty(given)	       ? given
				: *js(c->config, "StopSignal") ? js(c->config, "StopSignal")
							       : "TERM");

	return sig > 0 ? sig : SIGTERM;
}

static void begin_stop(struct ctr_op *op)
{
	struct ctr *c = op->c;
	json_t *own = json_object_get(c->config, "StopTimeout");
	int timeout_s = op->timeout_s != -1    ? op->timeout_s
			: json_is_integer(own) ? json_integer_value(own)
					       : STOP_TIMEOUT_S;

	c->stop_wanted = true;
	list_add_tail(&op->node, &c->ending);
	send_signal(c, stop_signal(c, op->signal));
	thaw(c);
	if (timeout_s >= 0)
		timer_set(&c->stop_timer, timeout_s * 1000ull);
}

/* It waits to be restarted by its policy: then it just stays down. */
static void give_up_restart(struct ctr *c)
{
	timer_cancel(&c->restart_timer);
	c->stop_wanted = true;
	c->status = CTR_STATUS_EXITED;
	ctr_save_state(c);
}

static void do_stop(struct ctr_op *op)
{
	struct ctr *c = op->c;

	if (c->status == CTR_RESTARTING) {
		give_up_restart(c);
		ctr_emit(c, "stop", NULL);
		ctr_tell(c, CTR_EV_EXITED);
		ctr_op_end(op, NULL);
	} else if (!ctr_running(c)) {
		refuse(op, -EALREADY, "container %s is not running", c->name);
	} else {
		begin_stop(op);
	}
}

static void restarted(struct ctr *c, const struct err *err, void *arg)
{
	struct ctr_op *op = arg;

	if (!err)
		ctr_emit(c, "restart", NULL);
	ctr_op_end(op, err);
}

static void do_restart(struct ctr_op *op)
{
	struct ctr *c = op->c;

	if (ctr_running(c) && !op->again) {
		op->again = true;
		begin_stop(op);
	} else {
		ctr_start(c, restarted, op);
	}
}

/* --- remove --- */

struct removal {
	struct ctr *c;
	struct ctr_op *op;
	char *dir, *run_dir, *merged;
	struct err err;
};

static void removal_work(void *arg)
{
	struct removal *r = arg;

	mount_detach_tree(r->merged, NULL);
	dir_remove_tree(r->run_dir, NULL);
	dir_remove_tree(r->dir, &r->err);
}

static void remove_volumes(struct ctr *c)
{
	for (size_t i = 0; i < c->n_mounts; i++) {
		struct mount_point *m = &c->mounts[i];
		if (m->made && volume_find(c->ctrs->opt.volumes, m->name, NULL))
			volume_delete(c->ctrs->opt.volumes, m->name, false, NULL, NULL);
	}
}

static void removal_done(void *arg)
{
	struct removal *r = arg;
	struct ctr *c = r->c;
	struct ctr_op *op = r->op, *other, *tmp;

	free(r->dir);
	free(r->run_dir);
	free(r->merged);
	c->busy = false;
	if (r->err.code) {
		c->removing = false;
		c->status = CTR_DEAD;
		err_prefix(&r->err, "cannot remove container \"/%s\"", c->name);
		ctr_op_end(op, &r->err);
		free(r);
		ctr_idle(c);
		return;
	}
	free(r);
	list_del(&c->node);
	map_del(&c->ctrs->by_id, c->id);
	map_del(&c->ctrs->by_name, c->name);
	execs_drop(c);
	if (op->volumes)
		remove_volumes(c);
	ctr_emit(c, "destroy", NULL);
	ctr_tell(c, CTR_EV_REMOVED);
	if (op->done)
		op->done(c, NULL, op->arg);
	list_for_each_safe (other, tmp, &c->waiting, node) {
		struct err err = ERR_INIT;

		list_del(&other->node);
		err_set(&err, -ENOENT, "No such container: %s", c->id);
		if (other->done)
			other->done(c, other->kind == OP_REMOVE ? NULL : &err, other->arg);
		op_free(other);
	}
	op_free(op);
	ctr_free(c);
}

static void do_remove(struct ctr_op *op)
{
	struct ctr *c = op->c;
	struct removal *r;

	if (c->removing && !op->again) {
		refuse(op, -EBUSY, "removal of container %s is already in progress", c->name);
		return;
	}
	if (ctr_running(c) || c->status == CTR_RESTARTING) {
		if (!op->force) {
			refuse(op, -EBUSY, "cannot remove container \"/%s\": container is %s: %s",
			       c->name, ctr_status_name(c),
			       c->status == CTR_PAUSED
				       ? "unpause and stop the container before removing or force "
					 "remove"
				       : "stop the container before removing or force remove");
			return;
		}
		if (c->status == CTR_RESTARTING) {
			give_up_restart(c);
		} else {
			op->again = c->removing = c->stop_wanted = true;
			list_add_tail(&op->node, &c->ending);
			send_signal(c, SIGKILL);
			thaw(c);
			return;
		}
	}
	c->removing = c->busy = true;
	r = xcalloc(1, sizeof(*r));
	r->c = c;
	r->op = op;
	r->dir = xstrdup(c->dir);
	r->run_dir = xstrdup(c->run_dir);
	r->merged = xasprintf("%s/merged", c->dir);
	loop_work(c->ctrs->opt.loop, removal_work, removal_done, r);
}

/* --- the queue --- */

void ctr_op_run(struct ctr_op *op)
{
	struct ctr *c = op->c;

	if (c->busy) {
		/* a removal under way answers at once, as clients expect */
		if (c->removing && op->kind == OP_REMOVE && !op->again)
			do_remove(op);
		else
			list_add_tail(&op->node, &c->waiting);
		return;
	}
	switch (op->kind) {
	case OP_START:
		do_start(op);
		return;
	case OP_STOP:
		do_stop(op);
		return;
	case OP_RESTART:
		do_restart(op);
		return;
	case OP_REMOVE:
		do_remove(op);
		return;
	case OP_CALL:
		op->done(c, NULL, op->arg);
		op_free(op);
		return;
	}
}

void ctr_idle(struct ctr *c)
{
	struct list_head todo = LIST_HEAD_INIT(todo);
	struct ctr_op *op, *tmp;

	list_for_each_safe (op, tmp, &c->waiting, node) {
		list_del(&op->node);
		list_add_tail(&op->node, &todo);
	}
	list_for_each_safe (op, tmp, &todo, node) {
		list_del(&op->node);
		ctr_op_run(op);
	}
}

static struct ctr_op *op_new(struct ctr *c, enum ctr_op_kind kind, ctr_done done, void *arg)
{
	struct ctr_op *op = xcalloc(1, sizeof(*op));

	list_init(&op->node);
	op->kind = kind;
	op->c = c;
	op->done = done;
	op->arg = arg;
	return op;
}

void ctr_when_idle(struct ctr *c, ctr_done fn, void *arg)
{
	ctr_op_run(op_new(c, OP_CALL, fn, arg));
}

void ctr_start(struct ctr *c, ctr_done done, void *arg)
{
	ctr_op_run(op_new(c, OP_START, done, arg));
}

void ctr_stop(struct ctr *c, const char *signal, int timeout_s, ctr_done done, void *arg)
{
	struct ctr_op *op = op_new(c, OP_STOP, done, arg);

	op->signal = xstrdup(signal);
	op->timeout_s = timeout_s;
	ctr_op_run(op);
}

void ctr_restart(struct ctr *c, const char *signal, int timeout_s, ctr_done done, void *arg)
{
	struct ctr_op *op = op_new(c, OP_RESTART, done, arg);

	op->signal = xstrdup(signal);
	op->timeout_s = timeout_s;
	ctr_op_run(op);
}

void ctr_remove(struct ctr *c, bool force, bool volumes, ctr_done done, void *arg)
{
	struct ctr_op *op = op_new(c, OP_REMOVE, done, arg);

	op->force = force;
	op->volumes = volumes;
	ctr_op_run(op);
}

/* --- at once --- */

int ctr_kill(struct ctr *c, const char *signal, ctr_done done, void *arg, struct err *err)
{
	int sig = signal_number(signal);

	if (sig < 0)
		return err_set(err, -EINVAL, "Invalid signal: %s", signal);
	if (c->status == CTR_RESTARTING && !c->busy) {
		give_up_restart(c);
		ctr_op_end(op_new(c, OP_CALL, done, arg), NULL);
		return 0;
	}
	if (!ctr_running(c) || !c->pid)
		return err_set(err, -EBUSY,
			       "cannot kill container: %s: container %s is not running", c->name,
			       c->id);
	if (sig == SIGKILL || sig == stop_signal(c, NULL))
		c->stop_wanted = true;
	send_signal(c, sig);
	if (sig == SIGKILL) {
		thaw(c);
		list_add_tail(&op_new(c, OP_CALL, done, arg)->node, &c->ending);
	} else {
		ctr_op_end(op_new(c, OP_CALL, done, arg), NULL);
	}
	return 0;
}

int ctr_pause(struct ctr *c, struct err *err)
{
	int rc;

	if (c->status == CTR_PAUSED)
		return err_set(err, -EBUSY, "Container %s is already paused", c->id);
	if (c->status != CTR_RUNNING || !c->pid)
		return err_set(err, -EBUSY, "Container %s is not running", c->id);
	rc = cgroup_freeze(c->cgroup, true);
	if (rc)
		return err_errno(err, rc, "cannot pause container %s", c->id);
	c->status = CTR_PAUSED;
	ctr_save_state(c);
	ctr_emit(c, "pause", NULL);
	return 0;
}

int ctr_unpause(struct ctr *c, struct err *err)
{
	if (c->status != CTR_PAUSED)
		return err_set(err, -EBUSY, "Container %s is not paused", c->id);
	thaw(c);
	ctr_save_state(c);
	return 0;
}

static void detached(void *arg, const char *id)
{
	struct ctrs *ctrs = arg;
	struct ctr *c = map_get(&ctrs->by_id, id);

	if (c)
		ctr_emit(c, "detach", NULL);
}

void ctr_attach(struct ctr *c, struct bufferevent *client, const struct stream_options *opt)
{
	struct stream *s = stream_new(c->ctrs->opt.loop, client, opt);

	s->opt.detached = detached;
	s->opt.arg = c->ctrs;
	strcpy(s->opt.id, c->id);
	if (ctr_running(c) && c->pid)
		stream_connect(s, c->run_dir);
	else
		list_add_tail(&s->node, &c->streams);
	ctr_emit(c, "attach", NULL);
}

int ctr_resize(struct ctr *c, unsigned int rows, unsigned int cols, struct err *err)
{
	if (!c->shim || !ctr_running(c))
		return err_set(err, -EBUSY, "Container %s is not running", c->id);
	shim_resize(c->shim, rows, cols);
	ctr_emit(c, "resize",
		 json_pack("{s:o, s:o}", "height", json_sprintf("%u", rows), "width",
			   json_sprintf("%u", cols)));
	return 0;
}
