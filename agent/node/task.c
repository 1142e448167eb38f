// SPDX-License-Identifier: Apache-2.0
/* One task: from what is desired and what its container does to the next step. */
#include <errno.h>
#include <stdio.h>

#include "core/log.h"
#include "node/container.h"
#include "node/worker_impl.h"

enum {
	RETRY_MS = 1000,
	/* what gossip takes: 0.8 s at five nodes, 2 s at a thousand */
	DRAIN_MIN_MS = 480,
	DRAIN_STEP_MS = 160, /* for each doubling of the members */
	DRAIN_MAX_MS = 2000,
};

static void run(void *arg);

/* The drain is over, or a second. */
static void timer_fired(void *arg)
{
	struct task *t = arg;

	t->step = STEP_NONE;
	task_kick(t);
}

struct task *task_new(struct worker *w, const Pb__Task *task, const Pb__TaskStatus *status)
{
	struct task *t = xcalloc(1, sizeof(*t));

	t->w = w;
	t->id = xstrdup(task->id);
	t->task = pb_clone(task);
	t->status = status ? pb_clone(status) : pb_new(pb__task_status);
	timer_init(&t->timer, w->opt.loop, timer_fired, t);
	timer_init(&t->kick, w->opt.loop, run, t);
	map_put(&w->tasks, t->id, t);
	return t;
}

void task_free(struct task *t)
{
	timer_done(&t->timer);
	timer_done(&t->kick);
	pb_free(t->task);
	pb_free(t->status);
	free(t->id);
	free(t);
}

void task_kick(struct task *t)
{
	if (!timer_pending(&t->kick))
		timer_set(&t->kick, 0);
}

/* --- status --- */

static bool has_container(const struct task *t)
{
	return t->task->spec && t->task->spec->runtime_case == PB__TASK_SPEC__RUNTIME_CONTAINER;
}

static void note_container(struct task *t)
{
	Pb__ContainerStatus *c;

	if (!t->ctr)
		return;
	c = pb_need(&t->status->container, pb__container_status);
	pb_set_str(&c->container_id, ctr_id(t->ctr));
	c->pid = ctr_pid(t->ctr);
	c->exit_code = ctr_running(t->ctr) ? 0 : ctr_exit_code(t->ctr);
}

/* message and error NULL: as they were. */
static void set_state(struct task *t, Pb__TaskState state, const char *message, const char *error)
{
	t->status->state = state;
	if (message)
		pb_set_str(&t->status->message, message);
	if (error)
		pb_set_str(&t->status->err, error);
	pb_set_timestamp(&t->status->timestamp, loop_wall_ns());
	note_container(t);
	taskdb_put_status(t->w->db, t->id, t->status);
	task_kick(t);
}

static bool is_temporary(int code)
{
	return code == -EAGAIN || code == -EINTR || code == -EINPROGRESS;
}

static void failed(struct task *t, const struct err *err)
{
	if (is_temporary(err->code)) {
		t->step = STEP_RETRY;
		timer_set(&t->timer, RETRY_MS);
		return;
	}
	log_warn("task %s: %s", t->id, err->msg);
	set_state(t,
		  t->status->state < PB__TASK_STATE__STARTING ? PB__TASK_STATE__REJECTED
							      : PB__TASK_STATE__FAILED,
		  NULL, err->msg);
}

/* --- secrets and configs --- */

static struct container_context context_of(const struct task *t)
{
	const Pb__NodeDescription *d = t->w->node ? t->w->node->description : NULL;

	return (struct container_context){
		.node_hostname = d ? d->hostname : "",
		.node_os = d && d->platform ? d->platform->os : "linux",
		.node_arch = d && d->platform ? d->platform->architecture : "",
	};
}

/* A secret of a driver is made for one task, under an ID of both. */
static const Pb__Secret *find_secret(struct task *t, const char *id)
{
	_cleanup_free_ char *own = xasprintf("%s.%s", id, t->id);
	const Pb__Secret *s = map_get(&t->w->secrets, own);

	return s ? s : map_get(&t->w->secrets, id);
}

struct payload {
	struct task *t;
	const struct template_context *tmpl;
};

/* The task's own variable of that name, "" without one. */
static int env_value(const struct payload *p, const char *name, struct buf *out, struct err *err)
{
	const Pb__ContainerSpec *spec = p->t->task->spec->container;
	size_t len = strlen(name);

	for (size_t i = 0; i < spec->n_env; i++)
		if (!strncmp(spec->env[i], name, len) && spec->env[i][len] == '=')
			return template_expand(p->tmpl, spec->env[i] + len + 1, out, err);
	return 0;
}

/* The functions of a file's template; names are the targets of the task's own files. */
static int payload_call(void *arg, const char *function, const char *name, struct buf *out,
			struct err *err)
{
	const struct payload *p = arg;
	const Pb__ContainerSpec *spec = p->t->task->spec->container;
	const ProtobufCBinaryData *data = NULL;

	if (!strcmp(function, "env"))
		return env_value(p, name, out, err);
	for (size_t i = 0; !strcmp(function, "secret") && i < spec->n_secrets; i++) {
		const Pb__SecretReference *ref = spec->secrets[i];
		const Pb__Secret *s = find_secret(p->t, ref->secret_id);

		if (ref->target_case == PB__SECRET_REFERENCE__TARGET_FILE &&
		    streq(ref->file->name, name) && s && s->spec)
			data = &s->spec->data;
	}
	for (size_t i = 0; !strcmp(function, "config") && i < spec->n_configs; i++) {
		const Pb__ConfigReference *ref = spec->configs[i];
		const Pb__Config *c = map_get(&p->t->w->configs, ref->config_id);

		if (ref->target_case == PB__CONFIG_REFERENCE__TARGET_FILE &&
		    streq(ref->file->name, name) && c && c->spec)
			data = &c->spec->data;
	}
	if (!data)
		return err_set(err, -ENOENT, "template {{%s \"%s\"}}: %s target %s not found",
			       function, name, function, name);
	buf_add(out, data->data, data->len);
	return 0;
}

static int expand_file(struct task *t, const void *data, size_t size, struct buf *ret,
		       struct err *err)
{
	_cleanup_free_ char *text = xstrndup(data, size);
	struct container_context ctx = context_of(t);
	struct container_names names;
	struct template_context tmpl;
	struct payload p = {t, &names.tmpl};
	int rc;

	container_names_init(&names, t->task, &ctx);
	tmpl = names.tmpl;
	tmpl.call = payload_call;
	tmpl.arg = &p;
	rc = template_expand(&tmpl, text, ret, err);
	container_names_done(&names);
	return rc;
}

static int add_file(struct task *t, const char *dir, const Pb__FileTarget *f,
		    const ProtobufCBinaryData *data, const Pb__Driver *templating, struct err *err)
{
	_cleanup_free_ char *target =
		f->name[0] == '/' ? xstrdup(f->name) : xasprintf("%s/%s", dir, f->name);
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint64_t uid = 0, gid = 0;
	int rc = 0;

	if ((!str_empty(f->uid) && parse_u64(f->uid, 0, UINT32_MAX, &uid)) ||
	    (!str_empty(f->gid) && parse_u64(f->gid, 0, UINT32_MAX, &gid)))
		return err_set(err, -EINVAL,
			       "the owner %s:%s of the file %s is not made of numbers", f->uid,
			       f->gid, target);
	if (templating && streq(templating->name, "golang"))
		rc = expand_file(t, data->data, data->len, &text, err);
	else
		buf_add(&text, data->data, data->len);
	if (rc)
		return rc;
	ctr_add_file(t->ctr, &(struct ctr_file){.target = target,
						.data = text.data,
						.size = text.len,
						.uid = uid,
						.gid = gid,
						.mode = f->mode});
	return 0;
}

static int add_files(struct task *t, struct err *err)
{
	const Pb__ContainerSpec *spec = t->task->spec->container;

	for (size_t i = 0; i < spec->n_secrets; i++) {
		const Pb__SecretReference *ref = spec->secrets[i];
		const Pb__Secret *s = find_secret(t, ref->secret_id);
		int rc;

		if (ref->target_case != PB__SECRET_REFERENCE__TARGET_FILE)
			return err_set(err, -EINVAL, "secret target type is not a file target");
		if (!s || !s->spec)
			return err_set(err, -ENOENT, "secret reference %s not found",
				       ref->secret_id);
		rc = add_file(t, "/run/secrets", ref->file, &s->spec->data, s->spec->templating,
			      err);
		if (rc)
			return rc;
	}
	for (size_t i = 0; i < spec->n_configs; i++) {
		const Pb__ConfigReference *ref = spec->configs[i];
		const Pb__Config *c = map_get(&t->w->configs, ref->config_id);
		int rc;

		if (ref->target_case != PB__CONFIG_REFERENCE__TARGET_FILE)
			continue; /* a credential's, which Linux has no use for */
		if (!c || !c->spec)
			return err_set(err, -ENOENT, "config reference %s not found",
				       ref->config_id);
		rc = add_file(t, "", ref->file, &c->spec->data, c->spec->templating, err);
		if (rc)
			return rc;
	}
	t->files = true;
	return 0;
}

/* --- steps forward --- */

static int create_of(struct task *t, json_t *body, struct err *err)
{
	_cleanup_free_ char *name = container_name(t->task);

	return ctr_create(t->w->opt.ctrs, name, body, &t->ctr, NULL, err);
}

/* The container, or STEP_VOLUMES on the way to it. */
static int create(struct task *t, struct err *err)
{
	struct container_context ctx = context_of(t);
	json_t *body = NULL;
	int rc = container_body(t->task, &ctx, &body, err);

	if (!rc && provide_start(t->w, t, body))
		t->step = STEP_VOLUMES;
	else if (!rc)
		rc = create_of(t, body, err);
	json_decref(body);
	return rc;
}

static void prepare(struct task *t)
{
	struct err err = ERR_INIT;
	int rc = task_networks(t->w, t->task, &err);

	if (!rc && has_container(t)) {
		if (!t->ctr && !t->pulled) {
			t->step = STEP_PULL;
			pull_start(t->w, t);
			return;
		}
		if (!t->ctr)
			rc = create(t, &err);
		if (t->step == STEP_VOLUMES)
			return;
		if (!rc && !t->files)
			rc = add_files(t, &err);
	} else if (!rc && t->task->spec->runtime_case != PB__TASK_SPEC__RUNTIME_ATTACHMENT) {
		rc = err_set(&err, -EINVAL, "this node runs containers only");
	}
	if (rc)
		failed(t, &err);
	else
		set_state(t, PB__TASK_STATE__READY, "prepared", NULL);
}

void task_provided(struct task *t, json_t *body, const struct err *why)
{
	struct err err = ERR_INIT;
	int rc;

	if (t->step != STEP_VOLUMES)
		return;
	t->step = STEP_NONE;
	if (t->gone || t->task->desired_state >= PB__TASK_STATE__SHUTDOWN) {
		task_kick(t);
		return;
	}
	rc = why ? err_set(&err, why->code, "%s", why->msg) : create_of(t, body, &err);
	if (rc)
		failed(t, &err);
	task_kick(t); /* goes on with the container that is there */
}

void task_pulled(struct task *t, const struct err *err)
{
	if (t->step != STEP_PULL)
		return;
	t->step = STEP_NONE;
	t->pulled = !err;
	if (err && !t->gone && t->task->desired_state < PB__TASK_STATE__SHUTDOWN)
		failed(t, err);
	task_kick(t);
}

static void running(struct task *t)
{
	t->step = STEP_NONE;
	pb_free(t->status->port_status);
	t->status->port_status = t->ctr ? task_ports(t->task, t->ctr) : NULL;
	if (t->ctr)
		ctr_service(t->ctr, true);
	set_state(t, PB__TASK_STATE__RUNNING, "started", NULL);
}

static struct task *task_by_ctr(struct ctr *c, struct worker *w)
{
	const char *id = ctr_label(c, LABEL_TASK_ID);
	struct task *t = id ? map_get(&w->tasks, id) : NULL;

	return t && t->ctr == c ? t : NULL;
}

/* The container's health decides when it has one. */
static void check_health(struct task *t)
{
	const char *health = ctr_health(t->ctr);

	t->step = STEP_HEALTH;
	if (streq(health, "starting"))
		return;
	if (streq(health, "unhealthy")) {
		t->step = STEP_NONE;
		t->unhealthy = true;
		task_kick(t);
		return;
	}
	running(t);
}

static void started(struct ctr *c, const struct err *err, void *arg)
{
	struct task *t = task_by_ctr(c, arg);

	if (!t || t->step != STEP_START)
		return;
	t->step = STEP_NONE;
	if (err && err->code != -EALREADY)
		failed(t, err);
	else if (ctr_running(c) && t->task->desired_state < PB__TASK_STATE__SHUTDOWN && !t->gone)
		check_health(t);
	task_kick(t);
}

static void start(struct task *t)
{
	struct err err = ERR_INIT;
	int rc = 0;

	if (!has_container(t)) {
		running(t);
		if (t->w->opt.on_attachment)
			t->w->opt.on_attachment(t->task, true, t->w->opt.arg);
		return;
	}
	if (!t->ctr) {
		t->pulled = false;
		prepare(t);
		return;
	}
	if (ctr_running(t->ctr)) {
		check_health(t);
		return;
	}
	if (!t->files)
		rc = add_files(t, &err);
	if (rc) {
		failed(t, &err);
		return;
	}
	t->step = STEP_START;
	ctr_start(t->ctr, started, t->w);
}

/* --- the end --- */

static bool alive(const struct task *t)
{
	return t->ctr && ctr_running(t->ctr);
}

/* Its container ended, or is not there. */
static void exited(struct task *t)
{
	char text[1200];
	int code;

	if (!t->ctr) {
		set_state(t, PB__TASK_STATE__FAILED, NULL, "No such container");
		return;
	}
	code = ctr_exit_code(t->ctr);
	if (!code && !t->unhealthy && str_empty(ctr_error(t->ctr))) {
		set_state(t, PB__TASK_STATE__COMPLETE, "finished", NULL);
		return;
	}
	if (t->unhealthy)
		snprintf(text, sizeof(text),
			 "task: non-zero exit (%d): dockerexec: unhealthy container", code);
	else if (!str_empty(ctr_error(t->ctr)))
		snprintf(text, sizeof(text), "task: non-zero exit (%d): %s", code,
			 ctr_error(t->ctr));
	else
		snprintf(text, sizeof(text), "task: non-zero exit (%d)%s", code,
			 ctr_oom_killed(t->ctr) ? ": OOM killed" : "");
	set_state(t, PB__TASK_STATE__FAILED, NULL, text);
}

static void stop_done(struct ctr *c, const struct err *err, void *arg)
{
	struct task *t = task_by_ctr(c, arg);

	if (!t || t->step != STEP_STOP)
		return;
	t->step = STEP_NONE;
	if (err && err->code != -EALREADY && ctr_running(c)) {
		log_warn("task %s does not stop: %s", t->id, err->msg);
		t->step = STEP_RETRY;
		timer_set(&t->timer, RETRY_MS);
		return;
	}
	task_kick(t);
}

static uint64_t drain_ms(const struct worker *w)
{
	uint64_t ms = DRAIN_MIN_MS;

	for (size_t n = 2; n < w->cluster_size; n *= 2)
		ms += DRAIN_STEP_MS;
	return min(ms, (uint64_t)DRAIN_MAX_MS);
}

/* End the container: first no new flows, then the signal, then SIGKILL after the grace period. */
static void stop(struct task *t)
{
	if (!t->stopped) {
		t->stopped = true;
		ctr_service(t->ctr, false);
		if (task_serves(t->task) && t->status->state == PB__TASK_STATE__RUNNING &&
		    !t->unhealthy) {
			t->step = STEP_DRAIN;
			timer_set(&t->timer, drain_ms(t->w));
			return;
		}
	}
	t->step = STEP_STOP;
	ctr_stop(t->ctr, NULL, container_stop_timeout(t->task), stop_done, t->w);
}

static void removed(struct ctr *c, const struct err *err, void *arg)
{
	struct task *t = task_by_ctr(c, arg);

	if (!t || t->step != STEP_REMOVE)
		return;
	t->step = STEP_NONE;
	if (err && err->code != -ENOENT) {
		log_warn("the container of task %s cannot be removed: %s", t->id, err->msg);
		t->step = STEP_RETRY;
		timer_set(&t->timer, RETRY_MS);
		return;
	}
	t->ctr = NULL;
	task_kick(t);
}

static void run_gone(struct task *t)
{
	if (t->step == STEP_PULL || t->step == STEP_VOLUMES || t->step == STEP_HEALTH)
		t->step = STEP_NONE;
	if (t->step != STEP_NONE)
		return;
	if (alive(t)) {
		stop(t);
	} else if (t->ctr) {
		t->step = STEP_REMOVE;
		ctr_remove(t->ctr, true, true, removed, t->w);
	} else {
		if (!has_container(t) && t->w->opt.on_attachment)
			t->w->opt.on_attachment(t->task, false, t->w->opt.arg);
		worker_task_ended(t->w, t);
	}
}

static void run_shutdown(struct task *t)
{
	if (t->step == STEP_PULL || t->step == STEP_VOLUMES || t->step == STEP_HEALTH)
		t->step = STEP_NONE;
	if (t->step != STEP_NONE)
		return;
	if (alive(t))
		stop(t);
	else if (t->status->state < PB__TASK_STATE__COMPLETE)
		set_state(t, PB__TASK_STATE__SHUTDOWN, "shutdown", NULL);
}

static void run(void *arg)
{
	struct task *t = arg;
	Pb__TaskState state = t->status->state, desired = t->task->desired_state;

	if (t->gone) {
		run_gone(t);
		return;
	}
	if (desired >= PB__TASK_STATE__SHUTDOWN) {
		run_shutdown(t);
		return;
	}
	if (t->step != STEP_NONE)
		return;
	if (t->unhealthy && alive(t)) {
		stop(t);
		return;
	}
	if (state >= PB__TASK_STATE__COMPLETE) {
		if (alive(t))
			stop(t); /* it failed, and may not stay */
		return;
	}
	if (state == PB__TASK_STATE__RUNNING) {
		if (has_container(t) && !alive(t))
			exited(t);
		return;
	}
	if (state == PB__TASK_STATE__STARTING && t->ctr && !alive(t) && ctr_finished_ns(t->ctr)) {
		exited(t);
		return;
	}
	if (state >= desired && state >= PB__TASK_STATE__READY)
		return;
	if (!t->w->synced && !alive(t))
		return; /* the managers may have moved it meanwhile */
	switch (state) {
	case PB__TASK_STATE__ACCEPTED:
		set_state(t, PB__TASK_STATE__PREPARING, "preparing", NULL);
		break;
	case PB__TASK_STATE__PREPARING:
		prepare(t);
		break;
	case PB__TASK_STATE__READY:
		set_state(t, PB__TASK_STATE__STARTING, "starting", NULL);
		break;
	case PB__TASK_STATE__STARTING:
		start(t);
		break;
	default:
		set_state(t, PB__TASK_STATE__ACCEPTED, "accepted", NULL);
	}
}

void task_ctr_event(struct task *t, enum ctr_event ev)
{
	if (ev == CTR_EV_REMOVED) {
		t->ctr = NULL;
		if (t->step != STEP_NONE && t->step != STEP_PULL && t->step != STEP_VOLUMES)
			t->step = STEP_NONE;
	} else if (ev == CTR_EV_HEALTH && t->step == STEP_HEALTH) {
		check_health(t);
	} else if (ev == CTR_EV_HEALTH && streq(ctr_health(t->ctr), "unhealthy")) {
		t->unhealthy = true;
	} else if (ev == CTR_EV_EXITED && (t->step == STEP_HEALTH || t->step == STEP_DRAIN)) {
		timer_cancel(&t->timer);
		t->step = STEP_NONE;
	}
	task_kick(t);
}
