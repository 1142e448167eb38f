// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <event2/bufferevent.h>
#include <signal.h>
#include <stdio.h>

#include "core/rng.h"
#include "ctr/ctr_impl.h"
#include "disk/file.h"

enum { KEEP_ENDED_MS = 5 * 60 * 1000 };

struct exec {
	struct ctrs *ctrs;
	struct ctr *c; /* NULL once the container is gone */
	char id[HEX_ID_SIZE];
	char *dir, *command;
	json_t *body;
	enum { EXEC_NEW, EXEC_STARTING, EXEC_RUNNING, EXEC_ENDED } state;
	int exit_code;
	pid_t pid;
	uint64_t ended_ms;
	struct detach_keys keys;
	bool busy; /* its start is under way */
	bool dropped; /* to be freed when that is done */
	struct shim_conn *shim;
	struct stream *stream; /* held until the exit code is known */
	void (*started)(const struct err *err, void *arg);
	void *started_arg;
	void (*on_exit)(int code, void *arg);
	void *on_exit_arg;
};

static void exec_free(struct exec *e)
{
	if (e->stream)
		stream_release(e->stream);
	shim_close(e->shim);
	json_decref(e->body);
	free(e->dir);
	free(e->command);
	free(e);
}

static void drop(struct exec *e)
{
	map_del(&e->ctrs->execs, e->id);
	e->c = NULL;
	e->dropped = true;
	if (!e->busy)
		exec_free(e);
}

static void drop_old(struct ctrs *ctrs)
{
	uint64_t now = loop_now_ms();
	struct exec *e;
	const char *id;

	map_for_each (&ctrs->execs, id, e)
		if (e->state == EXEC_ENDED && now - e->ended_ms > KEEP_ENDED_MS)
			drop(e);
}

static void emit(struct exec *e, const char *what, json_t *extra)
{
	_cleanup_free_ char *action = e->command && strcmp(what, "exec_die")
					      ? xasprintf("%s: %s", what, e->command)
					      : xstrdup(what);

	json_object_set_new(extra, "execID", json_string(e->id));
	ctr_emit(e->c, action, extra);
}

static bool all_strings(json_t *list)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (!json_is_string(v))
			return false;
	return true;
}

int exec_create(struct ctr *c, json_t *body, struct exec **ret, struct err *err)
{
	json_t *cmd = json_object_get(body, "Cmd"), *env = json_object_get(body, "Env"), *v;
	struct buf command = BUF_INIT;
	struct detach_keys keys;
	struct exec *e;
	size_t i;

	if (c->status == CTR_PAUSED)
		return err_set(err, -EBUSY,
			       "Container %s is paused, unpause the container before exec",
			       c->name);
	if (!ctr_running(c) || !c->pid)
		return err_set(err, -EBUSY, "container %s is not running", c->id);
	if (!json_is_array(cmd) || !json_array_size(cmd))
		return err_set(err, -EINVAL, "no exec command specified");
	if (!all_strings(cmd) ||
	    (env && !json_is_null(env) && (!json_is_array(env) || !all_strings(env))))
		return err_set(err, -EINVAL, "invalid exec: Cmd and Env must be lists of strings");
	if (detach_keys_parse(json_string_value(json_member(body, "DetachKeys")), &keys, err))
		return -EINVAL;
	drop_old(c->ctrs);
	e = xcalloc(1, sizeof(*e));
	e->ctrs = c->ctrs;
	e->c = c;
	e->body = json_deep_copy(body);
	if (jb(body, "Tty"))
		e->keys = keys;
	id_new_hex(c->ctrs->opt.rng, e->id);
	e->dir = xasprintf("%s/exec/%.16s", c->run_dir, e->id);
	json_array_foreach (cmd, i, v)
		buf_printf(&command, "%s%s", i ? " " : "", json_string_value(v));
	e->command = buf_steal(&command, NULL);
	map_put(&c->ctrs->execs, e->id, e);
	emit(e, "exec_create", json_object());
	*ret = e;
	return 0;
}

struct exec *exec_find(struct ctrs *ctrs, const char *id, struct err *err)
{
	struct exec *e = map_get(&ctrs->execs, id);

	if (!e)
		err_set(err, -ENOENT, "No such exec instance: %s", id);
	return e;
}

const char *exec_id(const struct exec *e)
{
	return e->id;
}

static bool exec_tty(const struct exec *e)
{
	return jb(e->body, "Tty");
}

/* --- its end --- */

static void remove_dir(void *arg)
{
	dir_remove_tree(arg, NULL);
	free(arg);
}

static void ended(struct exec *e, int code)
{
	void (*fn)(int code, void *arg) = e->on_exit;
	json_t *extra = json_object();

	e->state = EXEC_ENDED;
	e->exit_code = code;
	e->ended_ms = loop_now_ms();
	e->on_exit = NULL;
	if (e->stream)
		stream_release(e->stream);
	shim_close(steal_ptr(e->shim));
	loop_work(e->ctrs->opt.loop, remove_dir, NULL, xstrdup(e->dir));
	json_object_set_new(extra, "exitCode", json_sprintf("%d", code));
	if (e->c)
		emit(e, "exec_die", extra);
	else
		json_decref(extra);
	if (fn)
		fn(code, e->on_exit_arg);
}

static void shim_exited(int code, void *arg)
{
	struct exec *e = arg;

	if (code < 0) {
		_cleanup_free_ char *path = xasprintf("%s/exit", e->dir);
		_cleanup_buf_ struct buf text = BUF_INIT;

		code = file_read(path, 80, &text, NULL) ? 137 : atoi(text.data);
	}
	if (e->state == EXEC_RUNNING)
		ended(e, code);
	else
		e->exit_code = code; /* before the answer that it runs */
}

/* --- its start --- */

struct exec_job {
	struct exec *e;
	char *root, *dir, *shim, *runtime, *rtroot, *id;
	json_t *config, *host, *body;
	bool nnp, hold;
	struct err err;
	int rc;
	pid_t shim_pid;
};

static void job_free(struct exec_job *j)
{
	json_decref(j->config);
	json_decref(j->host);
	json_decref(j->body);
	free(j->root);
	free(j->dir);
	free(j->shim);
	free(j->runtime);
	free(j->rtroot);
	free(j->id);
	free(j);
}

static int job_spawn(struct exec_job *j, const char *process)
{
	const char *opts[12];
	char *made[12];
	int n = 0, fd;

	made[n++] = xasprintf("dir=%s", j->dir);
	made[n++] = xasprintf("runtime=%s", j->runtime);
	made[n++] = xasprintf("rtroot=%s", j->rtroot);
	made[n++] = xasprintf("id=%s", j->id);
	made[n++] = xasprintf("exec=%s", process);
	if (jb(j->body, "Tty"))
		made[n++] = xstrdup("tty=1");
	if (jb(j->body, "AttachStdin") && j->hold) {
		made[n++] = xstrdup("stdin=1");
		made[n++] = xstrdup("once=1");
	}
	if (j->hold)
		made[n++] = xstrdup("hold=1");
	for (int i = 0; i < n; i++)
		opts[i] = made[i];
	opts[n] = NULL;
	fd = monitor_spawn(j->shim, opts, &j->shim_pid);
	while (n)
		free(made[--n]);
	return fd < 0 ? err_errno(&j->err, fd, "cannot start the monitor %s", j->shim) : fd;
}

static void job_work(void *arg)
{
	struct exec_job *j = arg;
	_cleanup_free_ char *path = xasprintf("%s/process.json", j->dir), *text = NULL;
	json_t *p;

	j->rc = dir_make(j->dir, 0700, &j->err);
	if (!j->rc)
		j->rc = spec_exec(j->root, j->config, j->host, j->nnp, j->body, &p, &j->err);
	if (j->rc)
		return;
	text = json_dumps(p, JSON_COMPACT);
	json_decref(p);
	j->rc = file_write_volatile(path, text, strlen(text), 0600, &j->err);
	if (!j->rc)
		j->rc = job_spawn(j, path);
}

static void start_over(struct exec *e, const struct err *err)
{
	void (*started)(const struct err *err, void *arg) = e->started;

	e->started = NULL;
	if (started)
		started(err, e->started_arg);
}

static void settled(struct exec *e)
{
	e->busy = false;
	if (e->dropped)
		exec_free(e);
}

static void start_failed(struct exec *e, const struct err *err)
{
	int code = strstr(err->msg, "executable file not found") || strstr(err->msg, "no such file")
			   ? 127
			   : 126;

	if (e->stream) {
		_cleanup_free_ char *text = xasprintf("%s\r\n", err->msg);

		stream_say(e->stream, 1, text);
		stream_end(e->stream);
	}
	start_over(e, err);
	ended(e, code);
	settled(e);
}

static void on_held(void *arg)
{
	struct exec *e = arg;

	if (e->stream)
		stream_connect(e->stream, e->dir);
	e->shim = shim_connect(e->ctrs->opt.loop, e->dir, shim_exited, e);
	if (e->shim)
		shim_go(e->shim);
}

static void on_answer(pid_t pid, const char *why, void *arg)
{
	struct exec *e = arg;
	struct err err = ERR_INIT;
	const char *cmd = json_string_value(json_array_get(json_object_get(e->body, "Cmd"), 0));

	if (!pid) {
		ctr_runtime_error("OCI runtime exec failed: exec failed: unable to start "
				  "container process: ",
				  cmd, why, &err);
		start_failed(e, &err);
		return;
	}
	e->state = EXEC_RUNNING;
	e->pid = pid;
	if (e->c)
		emit(e, "exec_start", json_object());
	start_over(e, NULL);
	if (!e->shim)
		e->shim = shim_connect(e->ctrs->opt.loop, e->dir, shim_exited, e);
	if (!e->shim)
		shim_exited(-1, e);
	else if (e->exit_code >= 0)
		ended(e, e->exit_code);
	settled(e);
}

static void job_done(void *arg)
{
	struct exec_job *j = arg;
	struct exec *e = j->e;
	struct err err = j->err;
	int fd = j->rc;
	pid_t pid = j->shim_pid;

	job_free(j);
	if (fd < 0)
		start_failed(e, &err);
	else
		monitor_watch(e->ctrs->opt.loop, fd, pid, on_held, on_answer, e);
}

static void detached(void *arg, const char *id)
{
	struct exec *e = exec_find(arg, id, NULL);

	if (e && e->c)
		emit(e, "exec_detach", json_object());
}

void exec_start(struct exec *e, struct bufferevent *client, bool tty,
		void (*done)(const struct err *err, void *arg), void *arg)
{
	struct ctr *c = e->c;
	struct stream_options opt = {
		.tty = tty,
		.in = jb(e->body, "AttachStdin"),
		.out = jb(e->body, "AttachStdout"),
		.err = jb(e->body, "AttachStderr"),
		.keys = e->keys,
		.detached = detached,
		.arg = e->ctrs,
	};
	struct exec_job *j;
	struct err err = ERR_INIT;

	strcpy(opt.id, e->id);
	if (e->state != EXEC_NEW)
		err_set(&err, -EBUSY, "Error: Exec command %s has already run", e->id);
	else if (!c || !ctr_running(c) || !c->pid)
		err_set(&err, -EBUSY, "container %s is not running", c ? c->id : "");
	if (err.code) {
		if (client)
			stream_end(stream_new(e->ctrs->opt.loop, client, &opt));
		if (done)
			done(&err, arg);
		return;
	}
	if (client)
		stream_hold(stream_new(e->ctrs->opt.loop, client, &opt), &e->stream);
	e->started = done;
	e->started_arg = arg;
	e->state = EXEC_STARTING;
	e->busy = true;
	e->exit_code = -1;
	j = xcalloc(1, sizeof(*j));
	*j = (struct exec_job){
		.e = e,
		.root = xasprintf("%s/merged", c->dir),
		.dir = xstrdup(e->dir),
		.shim = xstrdup(c->ctrs->shim),
		.runtime = xstrdup(c->ctrs->runtime),
		.rtroot = xstrdup(c->ctrs->rtroot),
		.id = xstrdup(c->id),
		.config = ctr_config_linked(c),
		.host = json_deep_copy(c->host),
		.body = json_deep_copy(e->body),
		.nnp = c->ctrs->opt.no_new_privileges,
		.hold = client != NULL,
	};
	loop_work(c->ctrs->opt.loop, job_work, job_done, j);
}

int exec_resize(struct exec *e, unsigned int rows, unsigned int cols, struct err *err)
{
	if (!e->shim)
		return err_set(err, -EBUSY, "exec process is not running: %s", e->id);
	shim_resize(e->shim, rows, cols);
	return 0;
}

void exec_kill(struct exec *e)
{
	if (e->state == EXEC_RUNNING && e->shim && e->pid > 1)
		kill(e->pid, SIGKILL);
}

json_t *exec_inspect(const struct exec *e)
{
	json_t *cmd = json_object_get(e->body, "Cmd"), *args = json_array(), *v, *process;
	bool over = e->state == EXEC_ENDED;
	size_t i;

	json_array_foreach (cmd, i, v)
		if (i)
			json_array_append(args, v);
	process = json_pack("{s:b, s:O, s:o, s:b, s:s}", "tty", exec_tty(e), "entrypoint",
			    json_array_get(cmd, 0), "arguments", args, "privileged",
			    jb(e->body, "Privileged"), "user", js(e->body, "User"));
	return json_pack("{s:s, s:b, s:o, s:o, s:b, s:b, s:b, s:b, s:s, s:s, s:i}", "ID", e->id,
			 "Running", e->state == EXEC_RUNNING || e->state == EXEC_STARTING,
			 "ExitCode", over ? json_integer(e->exit_code) : json_null(),
			 "ProcessConfig", process, "OpenStdin", jb(e->body, "AttachStdin"),
			 "OpenStderr", jb(e->body, "AttachStderr"), "OpenStdout",
			 jb(e->body, "AttachStdout"), "CanRemove", 0, "ContainerID",
			 e->c ? e->c->id : "", "DetachKeys", js(e->body, "DetachKeys"), "Pid",
			 over ? 0 : e->pid);
}

void exec_on_exit(struct exec *e, void (*fn)(int code, void *arg), void *arg)
{
	e->on_exit = fn;
	e->on_exit_arg = arg;
}

void exec_drop(struct exec *e)
{
	e->on_exit = NULL;
	e->started = NULL;
	drop(e);
}

json_t *execs_ids(const struct ctr *c)
{
	json_t *ids = NULL;
	struct exec *e;
	const char *id;

	map_for_each (&c->ctrs->execs, id, e)
		if (e->c == c && (e->state == EXEC_RUNNING || e->state == EXEC_STARTING)) {
			ids = ids ? ids : json_array();
			json_array_append_new(ids, json_string(id));
		}
	return ids ? ids : json_null();
}

void execs_drop(struct ctr *c)
{
	struct exec *e;
	const char *id;

	map_for_each (&c->ctrs->execs, id, e)
		if (e->c == c)
			exec_drop(e);
}
