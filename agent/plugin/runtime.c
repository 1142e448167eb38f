// SPDX-License-Identifier: Apache-2.0
/*
 * A plugin's process. Up: on a worker the propagated mount, the specification and the monitor;
 * then looks at its socket until somebody listens, and Plugin.Activate. Down: SIGTERM, later
 * SIGKILL, and when the monitor says that it has ended, the undoing. Each step asks whether it is
 * still wanted.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "core/log.h"
#include "ctr/cgroup.h"
#include "ctr/monitor.h"
#include "ctr/stream.h"
#include "disk/file.h"
#include "disk/mount.h"
#include "plugin/client.h"
#include "plugin/plugin_impl.h"

enum {
	LOOK_MS = 20, /* between looks at the socket */
	LISTEN_MS = 12500, /* dockerd's patience: 500 ms and four tries three seconds apart */
	ACTIVATE_MS = 10000,
	KILL_MS = 10000, /* from SIGTERM to SIGKILL */
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 60000,
	STEADY_MS = 10000,
};
#define LOG_SIZE "1048576"

char *plugin_address(const struct plugin *p)
{
	return xasprintf("unix://%s/%s", p->sock_dir,
			 js(json_object_get(p->config, "Interface"), "Socket"));
}

static char *cgroup_of(const struct plugin *p)
{
	const char *parent = p->all->cgroup_parent;

	return xasprintf("%s%s/%s", *parent == '/' ? "" : "/", parent, p->id);
}

/* --- jobs: by ID, since a plugin may go meanwhile --- */

struct job {
	struct plugins *all;
	char id[65];
	struct plugin_bundle b;
	char *shim, *runtime, *rtroot, *address;
	bool http; /* speaks the protocol that Plugin.Activate is of */
	/* results */
	struct err err;
	int rc, fd;
	pid_t shim_pid;
};

static struct job *new_job(struct plugin *p)
{
	struct plugins *all = p->all;
	const char *scheme = js(json_object_get(p->config, "Interface"), "ProtocolScheme");
	struct job *j = xcalloc(1, sizeof(*j));

	j->all = all;
	j->fd = -1;
	strcpy(j->id, p->id);
	j->b = (struct plugin_bundle){
		.id = xstrdup(p->id),
		.dir = xstrdup(p->dir),
		.rootfs = xasprintf("%s/%s", p->dir, p->rootfs),
		.sock_dir = xstrdup(p->sock_dir),
		.run_dir = xstrdup(p->run_dir),
		.cgroup = cgroup_of(p),
		.config = json_deep_copy(p->config),
		.settings = json_deep_copy(p->settings),
	};
	j->shim = xstrdup(all->shim);
	j->runtime = xstrdup(all->runtime);
	j->rtroot = xstrdup(all->rtroot);
	j->address = plugin_address(p);
	j->http = !*scheme || !strcmp(scheme, "moby.plugins.http/v1");
	return j;
}

static void job_free(struct job *j)
{
	free(j->b.id);
	free(j->b.dir);
	free(j->b.rootfs);
	free(j->b.sock_dir);
	free(j->b.run_dir);
	free(j->b.cgroup);
	json_decref(j->b.config);
	json_decref(j->b.settings);
	free(j->shim);
	free(j->runtime);
	free(j->rtroot);
	free(j->address);
	free(j);
}

static struct plugin *job_plugin(struct job *j)
{
	return j->all->closing ? NULL : map_get(&j->all->by_id, j->id);
}

/* --- on a worker --- */

/* A place that shares its mounts with the node, so that containers see what the plugin mounts. */
static int make_shared(struct job *j)
{
	_cleanup_free_ char *dir = xasprintf("%s/propagated-mount", j->b.dir);
	int rc;

	if (!*js(j->b.config, "PropagatedMount"))
		return 0;
	rc = dir_make(dir, 0755, &j->err);
	if (rc)
		return rc;
	if (mount(dir, dir, NULL, MS_BIND | MS_REC, NULL) ||
	    mount(NULL, dir, NULL, MS_SHARED | MS_REC, NULL))
		return err_errno(&j->err, -errno, "error setting up propagated mount dir %s", dir);
	return 0;
}

static int spawn(struct job *j)
{
	_cleanup_free_ char *dir = xasprintf("dir=%s", j->b.run_dir),
			    *bundle = xasprintf("bundle=%s", j->b.run_dir),
			    *runtime = xasprintf("runtime=%s", j->runtime),
			    *rtroot = xasprintf("rtroot=%s", j->rtroot),
			    *id = xasprintf("id=%s", j->id),
			    *log = xasprintf("log=%s/plugin.log", j->b.dir);
	const char *options[] = {dir, bundle,		runtime,   rtroot, id,
				 log, "size=" LOG_SIZE, "files=2", NULL};

	j->fd = monitor_spawn(j->shim, options, &j->shim_pid);
	return j->fd < 0 ? err_errno(&j->err, j->fd, "cannot start the monitor %s", j->shim) : 0;
}

/* What a run has left, ended by itself or by a crash of the machine. */
static void undo(struct job *j)
{
	_cleanup_free_ char *state = xasprintf("%s/%s", j->rtroot, j->id);

	cgroup_remove(j->b.cgroup);
	dir_remove_tree(state, NULL);
	mount_detach_tree(j->b.dir, NULL);
	dir_remove_tree(j->b.run_dir, NULL);
	dir_remove_tree(j->b.sock_dir, NULL);
}

static void start_work(void *arg)
{
	struct job *j = arg;
	_cleanup_free_ char *path = xasprintf("%s/config.json", j->b.run_dir), *text = NULL;
	json_t *spec;

	undo(j);
	j->rc = dir_make(j->b.run_dir, 0700, &j->err);
	if (!j->rc)
		j->rc = dir_make(j->b.sock_dir, 0700, &j->err);
	if (!j->rc)
		j->rc = make_shared(j);
	if (!j->rc)
		j->rc = plugin_spec(&j->b, &spec, &j->err);
	if (j->rc)
		return;
	text = json_dumps(spec, JSON_COMPACT);
	json_decref(spec);
	j->rc = file_write_volatile(path, text, strlen(text), 0600, &j->err);
	if (!j->rc)
		j->rc = spawn(j);
}

static void look_work(void *arg)
{
	struct job *j = arg;

	j->rc = plugin_listens(j->address, &j->err);
}

/* Managed plugins need not know Activate: an answer is enough, whatever it says. */
static void activate_work(void *arg)
{
	struct job *j = arg;
	struct plugin_call call = {.address = j->address,
				   .method = "Plugin.Activate",
				   .timeout_ms = ACTIVATE_MS,
				   .cancel = &j->all->cancel};

	j->rc = j->http ? plugin_call(&call, NULL, &j->err) : 0;
	if (call.status)
		j->rc = 0;
}

static void undo_work(void *arg)
{
	undo(arg);
}

/* --- the end --- */

static void finish(struct plugin *p, const struct err *err)
{
	plugin_done done = p->done;
	void *arg = p->done_arg;

	p->done = NULL;
	if (done)
		done(err, arg);
}

static void undone(void *arg)
{
	struct job *j = arg;
	struct plugin *p = job_plugin(j);

	job_free(j);
	if (!p)
		return;
	p->state = PLUGIN_DOWN;
	if (p->stop) {
		p->stop = false;
		finish(p, NULL);
	} else if (p->enabled) {
		p->state = PLUGIN_PAUSED;
		if (loop_now_ms() - p->started_ms > STEADY_MS)
			p->backoff_ms = 0;
		p->backoff_ms = p->backoff_ms ? min(p->backoff_ms * 2, (unsigned)BACKOFF_MAX_MS)
					      : BACKOFF_MIN_MS;
		timer_set(&p->timer, p->backoff_ms);
	} else {
		finish(p, &p->err);
	}
}

static void ended(struct plugin *p)
{
	timer_cancel(&p->timer);
	shim_close(steal_ptr(p->shim));
	if (p->pidfd >= 0)
		close(steal_fd(p->pidfd));
	p->state = PLUGIN_ENDED;
	loop_work(p->all->opt.loop, undo_work, undone, new_job(p));
}

static void failed(struct plugin *p, const struct err *err)
{
	p->err = *err;
	if (p->enabled && !p->told)
		log_error("the plugin %s does not start, it will be tried again: %s", p->name,
			  err->msg);
	p->told = true;
	if (p->pidfd >= 0) {
		syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
		return; /* on_exit() goes on */
	}
	ended(p);
}

static void on_exit_of(int code, void *arg)
{
	struct plugin *p = arg;

	code = monitor_exit_code(p->run_dir, code, NULL);
	if (p->state == PLUGIN_WAITING && !p->err.code)
		err_set(&p->err, -EIO,
			"the plugin %s ended with exit code %d before it listened: see "
			"%s/plugin.log",
			p->name, code, p->dir);
	if (p->state == PLUGIN_UP && !p->stop)
		log_warn("the plugin %s ended with exit code %d and is started again", p->name,
			 code);
	ended(p);
}

static void stop(struct plugin *p)
{
	syscall(SYS_pidfd_send_signal, p->pidfd, SIGTERM, NULL, 0);
	timer_set(&p->timer, KILL_MS);
}

void plugin_down(struct plugin *p, plugin_done done, void *arg)
{
	p->done = done;
	p->done_arg = arg;
	p->stop = true;
	switch (p->state) {
	case PLUGIN_DOWN:
	case PLUGIN_PAUSED:
		ended(p); /* a crash may have left something */
		break;
	case PLUGIN_WAITING:
	case PLUGIN_UP:
		stop(p);
		break;
	default:
		break; /* the step under way sees that it is to stop */
	}
}

/* --- the way up --- */

static void activated(void *arg)
{
	struct job *j = arg;
	struct plugin *p = job_plugin(j);
	struct err err = j->err;
	int rc = j->rc;

	job_free(j);
	if (!p || p->state != PLUGIN_WAITING || p->stop)
		return;
	if (rc) {
		failed(p, &err);
		return;
	}
	p->state = PLUGIN_UP;
	p->told = false;
	finish(p, NULL);
}

static void looked(void *arg)
{
	struct job *j = arg;
	struct plugin *p = job_plugin(j);
	struct err err = j->err;

	if (!p || p->state != PLUGIN_WAITING || p->stop) {
		job_free(j);
		return;
	}
	if (!j->rc) {
		loop_thread(j->all->opt.loop, activate_work, activated, j);
		return;
	}
	job_free(j);
	if ((int64_t)loop_now_ms() < p->until_ms)
		timer_set(&p->timer, LOOK_MS);
	else
		failed(p, &err);
}

static void look(struct plugin *p)
{
	loop_work(p->all->opt.loop, look_work, looked, new_job(p));
}

static void run(struct plugin *p, pid_t pid)
{
	p->pidfd = syscall(SYS_pidfd_open, pid, 0);
	p->shim = shim_connect(p->all->opt.loop, p->run_dir, on_exit_of, p);
	p->started_ms = loop_now_ms();
	p->until_ms = p->started_ms + max(p->timeout_s * 1000, (unsigned int)LISTEN_MS);
	p->state = PLUGIN_WAITING;
	p->err = (struct err){0};
	if (!p->shim) { /* it has ended, and the monitor as well */
		on_exit_of(-1, p);
		return;
	}
	if (p->stop)
		stop(p);
	else
		look(p);
}

static void answered(pid_t pid, const char *why, void *arg)
{
	struct job *j = arg;
	struct plugin *p = job_plugin(j);
	struct err err = ERR_INIT;

	job_free(j);
	if (!p)
		return;
	if (pid) {
		run(p, pid);
		return;
	}
	err_set(&err, -EIO, "the plugin %s cannot be started: %s", p->name, why);
	failed(p, &err);
}

static void started(void *arg)
{
	struct job *j = arg;
	struct plugin *p = job_plugin(j);
	struct err err = j->err;

	if (p && !j->rc) {
		monitor_watch(j->all->opt.loop, j->fd, j->shim_pid, NULL, answered, j);
		return;
	}
	if (j->fd >= 0)
		close(j->fd);
	job_free(j);
	if (p)
		failed(p, &err);
}

void plugin_up(struct plugin *p)
{
	p->state = PLUGIN_STARTING;
	p->err = (struct err){0};
	loop_work(p->all->opt.loop, start_work, started, new_job(p));
}

/* The timer: what is next depends on where it stands. */
void plugin_next(void *arg)
{
	struct plugin *p = arg;

	if (p->stop && p->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
	else if (p->state == PLUGIN_WAITING)
		look(p);
	else if (p->state == PLUGIN_PAUSED)
		plugin_up(p);
}

/* --- after a restart of the agent --- */

void plugin_restore(struct plugin *p)
{
	struct shim_conn *shim = shim_connect(p->all->opt.loop, p->run_dir, on_exit_of, p);
	pid_t pid = monitor_pid(p->run_dir, "pid"), monitor;

	/* the agent was killed amid a start, before the plugin ran: the monitor is in the way */
	if (shim && pid <= 0) {
		monitor = monitor_pid(p->run_dir, "shim");
		if (monitor > 1)
			kill(monitor, SIGKILL);
		shim_close(steal_ptr(shim));
	}
	if (shim) {
		p->pidfd = syscall(SYS_pidfd_open, pid, 0);
		p->shim = shim;
		p->started_ms = loop_now_ms();
		p->until_ms = p->started_ms + LISTEN_MS;
		if (p->enabled) {
			p->state = PLUGIN_WAITING;
			look(p);
		} else {
			/* the agent was killed amid an enable or a disable */
			p->state = PLUGIN_UP;
			plugin_down(p, NULL, NULL);
		}
		return;
	}
	if (p->enabled)
		plugin_up(p);
	else if (!access(p->run_dir, F_OK))
		plugin_down(p, NULL, NULL);
}
