// SPDX-License-Identifier: Apache-2.0
/*
 * The way up of a container: volumes and endpoints on the loop, then on a worker the root, the
 * specification and the monitor, whose answer comes back over a pipe. And how the agent takes up
 * again, after its own restart, what went on without it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "core/log.h"
#include "ctr/copy.h"
#include "ctr/ctr_impl.h"
#include "ctr/forward.h"
#include "ctr/overlay.h"
#include "disk/file.h"
#include "logger/logger.h"

struct copy_up {
	char *volume, *target;
};

struct start {
	struct ctr *c;
	struct ctr_op *op;
	struct bundle b;
	char *dir, *run_dir, *layers_dir, *rtroot, *runtime, *shim, *log, *log_size, *log_files,
		*log_attributes;
	struct buf lowerdirs;
	struct file *files; /* copies */
	size_t n_files;
	struct copy_up *copies;
	size_t n_copies;
	struct part *parts;
	size_t n_parts;
	bool no_sync, tty, stdin_open, once, hold;
	/* results */
	struct err err;
	int rc, fd;
	pid_t shim_pid;
};

static void start_free(struct start *s)
{
	struct bundle *b = &s->b;
	char *strings[] = {b->id,     b->root,	  b->net_dir,	   b->netns,	 b->pid_ns,
			   b->ipc_ns, b->shm,	  b->cgroups_path, b->init_path, b->filter,
			   s->dir,    s->run_dir, s->layers_dir,   s->rtroot,	 s->runtime,
			   s->shim,   s->log,	  s->log_size,	   s->log_files, s->log_attributes};

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		free(strings[i]);
	json_decref(b->config);
	json_decref(b->host);
	json_decref(b->args);
	json_decref(b->mounts);
	for (size_t i = 0; i < s->n_files; i++) {
		free(s->files[i].target);
		buf_done(&s->files[i].data);
	}
	free(s->files);
	for (size_t i = 0; i < s->n_copies; i++) {
		free(s->copies[i].volume);
		free(s->copies[i].target);
	}
	free(s->copies);
	for (size_t i = 0; i < s->n_parts; i++)
		part_done(&s->parts[i]);
	free(s->parts);
	buf_done(&s->lowerdirs);
	free(s);
}

/* --- on a worker --- */

static int mount_root(struct start *s)
{
	struct overlay o = {.lowerdirs = s->lowerdirs.data,
			    .layers_dir = s->layers_dir,
			    .dir = s->dir,
			    .no_sync = s->no_sync};

	return overlay_mount(&o, s->b.root, &s->err);
}

static int write_files(struct start *s)
{
	_cleanup_free_ char *dir = xasprintf("%s/files", s->run_dir);

	if (!s->n_files)
		return 0;
	if (mkdir(dir, 0700) ||
	    mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return err_errno(&s->err, -errno, "cannot make a place for secrets in %s", dir);
	for (size_t i = 0; i < s->n_files; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%zu", dir, i);
		const struct file *f = &s->files[i];
		_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		if (fd < 0 || write(fd, f->data.data, f->data.len) != (ssize_t)f->data.len ||
		    fchown(fd, f->uid, f->gid) || fchmod(fd, f->mode))
			return err_errno(&s->err, -errno, "cannot write the secret for %s",
					 f->target);
		json_array_append_new(s->b.mounts,
				      json_pack("{s:s, s:s, s:s, s:[s, s, s]}", "destination",
						f->target, "type", "bind", "source", path,
						"options", "bind", "ro", "rprivate"));
	}
	return 0;
}

static int make_shm(struct start *s)
{
	_cleanup_free_ char *opts = xasprintf("mode=1777,size=%lld", ji(s->b.host, "ShmSize"));

	if (!s->b.shm || s->b.ipc_ns) /* not ours */
		return 0;
	if ((mkdir(s->b.shm, 0700) && errno != EEXIST) ||
	    mount("shm", s->b.shm, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, opts))
		return err_errno(&s->err, -errno, "cannot mount %s", s->b.shm);
	return 0;
}

static int spawn(struct start *s)
{
	const char *opts[16];
	char *made[16];
	int n = 0, fd;

	made[n++] = xasprintf("dir=%s", s->run_dir);
	made[n++] = xasprintf("bundle=%s", s->run_dir);
	made[n++] = xasprintf("runtime=%s", s->runtime);
	made[n++] = xasprintf("rtroot=%s", s->rtroot);
	made[n++] = xasprintf("id=%s", s->b.id);
	if (*s->log) {
		made[n++] = xasprintf("log=%s", s->log);
		made[n++] = xasprintf("size=%s", s->log_size);
		made[n++] = xasprintf("files=%s", s->log_files);
		if (s->log_attributes)
			made[n++] = xasprintf("attrs=%s", s->log_attributes);
	}
	if (s->tty)
		made[n++] = xstrdup("tty=1");
	if (s->stdin_open)
		made[n++] = xstrdup("stdin=1");
	if (s->once)
		made[n++] = xstrdup("once=1");
	if (s->hold)
		made[n++] = xstrdup("hold=1");
	for (int i = 0; i < n; i++)
		opts[i] = made[i];
	opts[n] = NULL;
	fd = monitor_spawn(s->shim, opts, &s->shim_pid);
	while (n)
		free(made[--n]);
	return fd < 0 ? err_errno(&s->err, fd, "cannot start the monitor %s", s->shim) : fd;
}

static int prepare(struct start *s)
{
	_cleanup_free_ char *path = xasprintf("%s/config.json", s->run_dir), *text = NULL;
	json_t *spec;
	int rc;

	dir_remove_tree(s->run_dir, NULL);
	rc = dir_make(s->run_dir, 0700, &s->err);
	if (!rc)
		rc = mount_root(s);
	for (size_t i = 0; !rc && i < s->n_copies; i++)
		rc = copy_into_empty(s->b.root, s->copies[i].target, s->copies[i].volume, &s->err);
	for (size_t i = 0; !rc && i < s->n_parts; i++)
		rc = part_mount(&s->parts[i], s->layers_dir, &s->err);
	if (!rc)
		rc = write_files(s);
	if (!rc)
		rc = make_shm(s);
	if (!rc)
		rc = spec_make(&s->b, &spec, &s->err);
	if (rc)
		return rc;
	text = json_dumps(spec, JSON_COMPACT);
	json_decref(spec);
	rc = file_write_volatile(path, text, strlen(text), 0600, &s->err);
	if (rc)
		return rc;
	rc = spawn(s);
	if (rc < 0)
		return rc;
	s->fd = rc;
	return 0;
}

static void prepare_work(void *arg)
{
	struct start *s = arg;

	s->rc = prepare(s);
}

/* --- on the loop --- */

static void failed_released(struct ctr *c)
{
	struct ctr_op *op = c->start_op;
	struct stream *s, *tmp;
	struct err err = {.code = -EIO};

	c->start_op = NULL;
	if (c->status == CTR_RESTARTING) {
		c->status = CTR_STATUS_EXITED;
		c->finished_ns = loop_wall_ns();
	}
	snprintf(err.msg, sizeof(err.msg), "%s", ctr_error(c));
	err.code = c->exit_code == 128 ? c->start_errno : -EINVAL;
	list_for_each_safe (s, tmp, &c->streams, node)
		stream_end(s);
	c->busy = false;
	ctr_save_state(c);
	forward_restore(c);
	if (op)
		ctr_op_end(op, &err);
	ctr_tell(c, CTR_EV_EXITED);
	if (jb(c->host, "AutoRemove"))
		ctr_remove(c, false, true, NULL, NULL);
	ctr_idle(c);
}

static void failed_cleaned(struct ctr *c, int oom_kills)
{
	(void)oom_kills;
	ctr_release(c, failed_released);
}

/* What the client makes of the text: the exit code of docker run. */
static void fail(struct ctr *c, struct ctr_op *op, const struct err *err)
{
	forward_cancel(c);
	ctr_set_error(c, err->msg);
	c->start_op = op;
	c->start_errno = err->code;
	c->exit_code = strstr(err->msg, "executable file not found") ||
				       strstr(err->msg, "no such file or directory")
			       ? 127
		       : strstr(err->msg, "permission denied") || strstr(err->msg, "is a directory")
			       ? 126
			       : 128;
	ctr_clean(c, failed_cleaned);
}

void ctr_runtime_error(const char *intro, const char *cmd, const char *text, struct err *err)
{
	const char *why = NULL;

	if (str_empty(cmd) || (strstr(text, "executable file") && strstr(text, "not found")))
		why = "executable file not found in $PATH";
	else if (strstr(text, "exec") &&
		 (strstr(text, "ermission denied") ||
		  strstr(text, "open executable: Operation not permitted"))) /* a folder, say */
		why = "permission denied";
	else if (strstr(text, "executable") && strstr(text, "No such file"))
		why = "no such file or directory";
	if (why)
		err_set(err, -EINVAL, "%sexec: \"%s\": %s: unknown", intro, cmd ? cmd : "", why);
	else
		err_set(err, -EIO, "%s%s: unknown", intro, text);
}

static const char create_failed[] = "failed to create task for container: failed to create shim "
				    "task: OCI runtime create failed: ";

static void running(struct ctr *c, struct ctr_op *op, pid_t pid)
{
	struct stream *st, *tmp;

	c->pid = pid;
	c->pidfd = syscall(SYS_pidfd_open, pid, 0);
	c->status = CTR_RUNNING;
	c->busy = false;
	c->exit_code = 0;
	c->oom_killed = false;
	c->health = "";
	ctr_set_error(c, "");
	json_decref(c->sandbox_saved);
	c->sandbox_saved = sandbox_save(c->sandbox);
	list_for_each_safe (st, tmp, &c->streams, node)
		stream_connect(st, c->run_dir);
	if (!c->shim)
		c->shim = shim_connect(c->ctrs->opt.loop, c->run_dir, ctr_shim_exited, c);
	health_start(c);
	forward_run(c);
	ctr_save_state(c);
	ctr_emit(c, "start", NULL);
	ctr_tell(c, CTR_EV_STARTED);
	if (op)
		ctr_op_end(op, NULL);
	if (!c->shim || c->lost) /* it has ended already */
		ctr_ended(c, -1);
	else
		ctr_idle(c);
}

static void on_held(void *arg)
{
	struct start *s = arg;
	struct ctr *c = s->c;
	struct stream *st, *tmp;

	/* the streams first: the monitor takes connections in order, and what they sent before "go" */
	list_for_each_safe (st, tmp, &c->streams, node)
		stream_connect(st, c->run_dir);
	c->shim = shim_connect(c->ctrs->opt.loop, c->run_dir, ctr_shim_exited, c);
	if (c->shim)
		shim_go(c->shim);
}

static void on_answer(pid_t pid, const char *why, void *arg)
{
	struct start *s = arg;
	struct ctr *c = s->c;
	struct ctr_op *op = s->op;
	struct err err = ERR_INIT;

	start_free(s);
	if (pid) {
		running(c, op, pid);
		return;
	}
	ctr_runtime_error(create_failed, json_string_value(json_array_get(c->path_args, 0)), why,
			  &err);
	shim_close(steal_ptr(c->shim));
	fail(c, op, &err);
}

/* By capabilities: the profile depends on nothing else. malloc'd; NULL: no compiled filter is wanted. */
static char *filter_key(const struct ctr *c)
{
	json_t *caps;
	char *key;

	if (!c->ctrs->own_filters || !seccomp_is_default(c->host) ||
	    spec_caps(c->host, &caps, NULL))
		return NULL;
	key = json_dumps(caps, JSON_COMPACT);
	json_decref(caps);
	return key;
}

static void keep_filter(struct start *s)
{
	_cleanup_free_ char *key = s->b.want_filter ? filter_key(s->c) : NULL;

	if (key && s->b.filter && !map_has(&s->c->ctrs->filters, key))
		map_put(&s->c->ctrs->filters, key, xstrdup(s->b.filter));
}

static void prepared(void *arg)
{
	struct start *s = arg;
	struct err err = s->err;

	keep_filter(s);
	if (!s->rc) {
		s->c->started_ns = loop_wall_ns(); /* before it can end */
		monitor_watch(s->c->ctrs->opt.loop, s->fd, s->shim_pid, on_held, on_answer, s);
		return;
	}
	fail(s->c, s->op, &err);
	start_free(s);
}

static int log_options(struct start *s, struct err *err)
{
	struct log_file_limits limits;

	ctr_log_limits(s->c, &limits);
	s->log_size = xasprintf("%lld", (long long)limits.size);
	s->log_files = xasprintf("%d", limits.files);
	return ctr_log_attributes(s->c, &s->log_attributes, err);
}

/* Processes and memory shared with other containers. */
static int join_peers(struct start *s, struct err *err)
{
	struct ctr *c = s->c, *peer;
	const char *pid = js(c->host, "PidMode"), *ipc = js(c->host, "IpcMode");

	if (starts_with(pid, "container:")) {
		peer = ctr_mode_peer(c, pid);
		if (!peer || !peer->pid)
			return err_set(err, -EBUSY,
				       "cannot join PID namespace of a non running container: %s",
				       pid + 10);
		s->b.pid_ns = xasprintf("/proc/%d/ns/pid", peer->pid);
	}
	if (starts_with(ipc, "container:")) {
		peer = ctr_mode_peer(c, ipc);
		if (!peer || !peer->pid)
			return err_set(err, -EBUSY,
				       "cannot join IPC of a non running container: %s", ipc + 10);
		if (strcmp(js(peer->host, "IpcMode"), "shareable"))
			return err_set(
				err, -EINVAL,
				"cannot join IPC of container %s: non-shareable IPC (hint: use "
				"IpcMode:shareable for the donor container)",
				ipc + 10);
		s->b.ipc_ns = xasprintf("/proc/%d/ns/ipc", peer->pid);
		s->b.shm = xasprintf("%s/shm", peer->dir);
	} else if (!strcmp(ipc, "shareable")) {
		s->b.shm = xasprintf("%s/shm", c->dir);
	}
	return 0;
}

static struct start *make_start(struct ctr *c, struct ctr_op *op, struct err *err)
{
	struct start *s = xcalloc(1, sizeof(*s));
	_cleanup_free_ char *key = NULL;
	json_t *init = json_object_get(c->host, "Init");

	buf_init(&s->lowerdirs);
	s->c = c;
	s->op = op;
	image_lowerdirs(c->ctrs->opt.images, c->image, &s->lowerdirs);
	free(c->cgroup);
	c->cgroup = ctr_cgroup_path(c);
	s->b = (struct bundle){
		.id = xstrdup(c->id),
		.root = xasprintf("%s/merged", c->dir),
		.net_dir = xstrdup(ctr_net_dir(c)),
		.netns = xstrdup(sandbox_netns(c->sandbox)),
		.cgroups_path = xstrdup(c->cgroup),
		.init_path = xstrdup(c->ctrs->init_path),
		.config = ctr_config_linked(c),
		.host = json_deep_copy(c->host),
		.args = json_deep_copy(c->path_args),
		.mounts = json_array(),
		.no_new_privileges = c->ctrs->opt.no_new_privileges,
		.init = json_is_boolean(init) ? json_is_true(init) : c->ctrs->opt.init,
	};
	key = filter_key(c);
	s->b.filter = key ? xstrdup(map_get(&c->ctrs->filters, key)) : NULL;
	s->b.want_filter = key && !s->b.filter;
	s->dir = xstrdup(c->dir);
	s->run_dir = xstrdup(c->run_dir);
	s->layers_dir = xasprintf("%s/overlay", c->ctrs->data_root);
	s->rtroot = xstrdup(c->ctrs->rtroot);
	s->runtime = xstrdup(c->ctrs->runtime);
	s->shim = xstrdup(c->ctrs->shim);
	s->log = xstrdup(c->log_path);
	s->no_sync = c->ephemeral;
	s->tty = jb(c->config, "Tty");
	s->stdin_open = jb(c->config, "OpenStdin");
	s->once = s->stdin_open && jb(c->config, "StdinOnce");
	s->hold = !list_empty(&c->streams);
	s->parts = xcalloc(c->n_mounts + 1, sizeof(*s->parts));
	s->copies = xcalloc(c->n_mounts + 1, sizeof(*s->copies));
	for (size_t i = 0; i < c->n_mounts; i++) {
		const struct mount_point *m = &c->mounts[i];
		struct part *p = &s->parts[s->n_parts];
		bool part = ctr_mount_part(c, i, p);

		s->n_parts += part;
		json_array_append_new(s->b.mounts, ctr_mount_oci(c, i, part ? p->at : m->source));
		if (!strcmp(m->type, "volume") && !m->no_copy)
			s->copies[s->n_copies++] =
				(struct copy_up){xstrdup(m->source), xstrdup(m->target)};
	}
	s->files = xcalloc(c->n_files + 1, sizeof(*s->files));
	for (; s->n_files < c->n_files; s->n_files++) {
		const struct file *from = &c->files[s->n_files];

		s->files[s->n_files] = *from;
		s->files[s->n_files].target = xstrdup(from->target);
		buf_init(&s->files[s->n_files].data);
		buf_add(&s->files[s->n_files].data, from->data.data, from->data.len);
	}
	if (s->b.init && !s->b.init_path)
		err_set(err, -ENOENT,
			"no init for --init: install docker-init or tini, or give --init-path");
	else if (!log_options(s, err) && !join_peers(s, err))
		return s;
	start_free(s);
	return NULL;
}

static void on_receiver(const struct err *log_err, void *arg)
{
	struct ctr *c = arg;
	struct ctr_op *op = steal_ptr(c->start_op);
	struct err err = ERR_INIT;
	struct start *s;

	if (log_err) {
		err = *log_err;
		fail(c, op, &err);
		return;
	}
	s = make_start(c, op, &err);
	if (!s) {
		fail(c, op, &err);
		return;
	}
	loop_work(c->ctrs->opt.loop, prepare_work, prepared, s);
}

static void on_network(const struct err *net_err, void *arg)
{
	struct ctr *c = arg;

	if (net_err) {
		on_receiver(net_err, c);
		return;
	}
	c->sandbox_up = true;
	ctr_links_moved(c);
	if (ctr_log_remote(c))
		forward_prepare(c, on_receiver, c);
	else
		on_receiver(NULL, c);
}

/* Local volumes, at once; the drivers' are only looked for. */
static int use_volumes(struct ctr *c, bool *ret_remote, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < c->n_mounts; i++) {
		struct mount_point *m = &c->mounts[i];
		struct volume *v;

		if (!m->name)
			continue;
		v = volume_find(c->ctrs->opt.volumes, m->name, err);
		if (v && !volume_local(v)) {
			*ret_remote = true;
			continue;
		}
		rc = v ? volume_mount(v, c->id,
				      &(struct volume_use){.target = m->target,
							   .propagation = m->propagation,
							   .rw = m->rw},
				      err)
		       : -ENOENT;
		if (!rc)
			m->volume = v;
	}
	return rc;
}

static void join_networks(struct ctr *c, struct ctr_op *op)
{
	struct err err = ERR_INIT;

	if (ctr_network_plan(c, &err)) {
		fail(c, op, &err);
		return;
	}
	c->start_op = op;
	sandbox_up(c->sandbox, on_network, c);
}

static void on_volumes(const struct err *volume_err, void *arg)
{
	struct ctr *c = arg;
	struct ctr_op *op = steal_ptr(c->start_op);
	struct err err = ERR_INIT;

	if (volume_err) {
		err = *volume_err;
		fail(c, op, &err);
	} else {
		join_networks(c, op);
	}
}

void ctr_run_start(struct ctr *c, struct ctr_op *op)
{
	struct err err = ERR_INIT;
	bool remote = false;
	int rc = 0;

	c->busy = true;
	c->lost = false;
	if (!c->image) {
		c->image = images_find(c->ctrs->opt.images, c->image_id, &err);
		if (c->image)
			image_get(c->image);
		else
			rc = err.code ? err.code : -ENOENT;
	}
	if (!rc)
		rc = use_volumes(c, &remote, &err);
	if (rc) {
		fail(c, op, &err);
	} else if (remote) {
		c->start_op = op;
		ctr_volumes_attach(c, on_volumes);
	} else {
		join_networks(c, op);
	}
}

/* --- taking up what went on without us --- */

static void restored_released(struct ctr *c)
{
	const char *policy = js(json_object_get(c->host, "RestartPolicy"), "Name");

	c->busy = false;
	ctr_save_state(c);
	forward_restore(c);
	if (jb(c->host, "AutoRemove"))
		ctr_remove(c, false, true, NULL, NULL);
	else if (!strcmp(policy, "always") ||
		 (!strcmp(policy, "unless-stopped") && !c->stop_wanted) ||
		 (!strcmp(policy, "on-failure") && !c->stop_wanted && c->exit_code))
		ctr_start(c, NULL, NULL);
	ctr_idle(c);
}

static void restored_cleaned(struct ctr *c, int oom_kills)
{
	c->oom_killed |= oom_kills > 0;
	ctr_release(c, restored_released);
}

static void adopt(struct ctr *c, struct shim_conn *shim, pid_t pid)
{
	struct err err = ERR_INIT;

	c->shim = shim;
	c->pid = pid;
	c->pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (c->status != CTR_PAUSED)
		c->status = CTR_RUNNING;
	if (!c->started_ns)
		c->started_ns = loop_wall_ns();
	for (size_t i = 0; i < c->n_mounts; i++) {
		struct mount_point *m = &c->mounts[i];

		m->volume = m->name ? volume_find(c->ctrs->opt.volumes, m->name, NULL) : NULL;
		if (!m->volume)
			continue;
		volume_adopt(m->volume);
		free(m->source);
		m->source = xstrdup(volume_path(m->volume));
	}
	if (ctr_network_restore(c, &err))
		log_error("the endpoints of container %s are not taken up again: %s", c->name,
			  err.msg);
	ctr_save_state(c);
	health_start(c);
	forward_restore(c);
}

void ctr_run_restore(struct ctr *c)
{
	bool was_up = c->status == CTR_RUNNING || c->status == CTR_PAUSED;
	struct shim_conn *shim = NULL;
	pid_t pid;

	if (!access(c->run_dir, F_OK)) {
		shim = shim_connect(c->ctrs->opt.loop, c->run_dir, ctr_shim_exited, c);
		pid = monitor_pid(c->run_dir, "pid");
		if (shim && pid > 0 && !kill(pid, 0)) {
			adopt(c, shim, pid);
			return;
		}
		/* the agent was killed amid a start: the monitor waits for nobody */
		if (shim && (pid = monitor_pid(c->run_dir, "shim")) > 1)
			kill(pid, SIGKILL);
		shim_close(shim);
	}
	c->pid = 0;
	c->busy = true;
	if (was_up || !access(c->run_dir, F_OK)) {
		ctr_read_exit(c, was_up ? -1 : c->exit_code);
		if (was_up || c->status == CTR_RESTARTING)
			c->status = CTR_STATUS_EXITED;
		ctr_clean(c, restored_cleaned);
		return;
	}
	if (c->status == CTR_RESTARTING)
		c->status = CTR_STATUS_EXITED;
	if (c->status == CTR_CREATED) {
		c->busy = false;
		return;
	}
	restored_released(c);
}
