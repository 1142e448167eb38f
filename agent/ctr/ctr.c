// SPDX-License-Identifier: Apache-2.0
/* The set of containers: made, found, listed, watched, forgotten. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/log.h"
#include "core/rng.h"
#include "ctr/ctr_impl.h"
#include "ctr/forward.h"
#include "ctr/names.h"
#include "disk/file.h"
#include "disk/mount.h"
#include "logger/logger.h"
#include "loop/events.h"

struct ctr *ctr_alloc(struct ctrs *ctrs, const char *id)
{
	struct ctr *c = xcalloc(1, sizeof(*c));

	list_init(&c->node);
	c->ctrs = ctrs;
	snprintf(c->id, sizeof(c->id), "%s", id);
	c->dir = xasprintf("%s/containers/%s", ctrs->data_root, c->id);
	c->run_dir = xasprintf("%s/ctr/%.32s", ctrs->exec_root, c->id);
	c->pidfd = -1;
	c->health = "";
	c->links = json_array();
	list_init(&c->streams);
	list_init(&c->waiting);
	list_init(&c->ending);
	timer_init(&c->stop_timer, ctrs->opt.loop, ctr_kill_due, c);
	timer_init(&c->restart_timer, ctrs->opt.loop, ctr_restart_due, c);
	return c;
}

void ctr_log_setup(struct ctr *c)
{
	bool none = !strcmp(js(json_object_get(c->host, "LogConfig"), "Type"), "none");

	free(c->log_path);
	c->log_path = none ? xstrdup("") : xasprintf("%s/%s-json.log", c->dir, c->id);
}

void ctr_free(struct ctr *c)
{
	struct stream *s, *tmp;

	list_del(&c->node);
	ctr_ops_drop(c);
	forward_leave(c);
	timer_done(&c->stop_timer);
	timer_done(&c->restart_timer);
	health_stop(c);
	timer_done(&c->health_timer);
	list_for_each_safe (s, tmp, &c->streams, node) {
		list_del(&s->node);
		stream_end(s);
	}
	shim_close(c->shim);
	if (c->pidfd >= 0)
		close(c->pidfd);
	if (c->image)
		image_put(c->image);
	for (size_t i = 0; i < c->n_files; i++) {
		free(c->files[i].target);
		buf_done(&c->files[i].data);
	}
	free(c->files);
	ctr_free_mounts(c);
	json_decref(c->config);
	json_decref(c->host);
	json_decref(c->networking);
	json_decref(c->links);
	json_decref(c->path_args);
	json_decref(c->sandbox_saved);
	json_decref(c->health_log);
	buf_done(&c->health_output);
	free(c->name);
	free(c->dir);
	free(c->run_dir);
	free(c->log_path);
	free(c->image_ref);
	free(c->error);
	free(c->cgroup);
	free(c);
}

static void insert(struct ctr *c)
{
	list_add_tail(&c->node, &c->ctrs->all);
	map_put(&c->ctrs->by_id, c->id, c);
	map_put(&c->ctrs->by_name, c->name, c);
}

/* --- opening --- */

/* A program by path or in PATH; malloc'd, NULL when there is none. */
static char *find_program(const char *name)
{
	_cleanup_free_ char *dirs = NULL;
	const char *path = getenv("PATH");

	if (strchr(name, '/'))
		return xstrdup(name);
	dirs = xasprintf("%s:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", path ? path : "");
	for (char *save, *d = strtok_r(dirs, ":", &save); d; d = strtok_r(NULL, ":", &save)) {
		char *full = xasprintf("%s/%s", d, name);

		if (!access(full, X_OK))
			return full;
		free(full);
	}
	return NULL;
}

static char *find_init(const char *given)
{
	static const char *const names[] = {"docker-init", "tini", "catatonit"};
	char *found = NULL;

	if (!str_empty(given))
		return find_program(given);
	for (size_t i = 0; !found && i < ARRAY_SIZE(names); i++)
		found = find_program(names[i]);
	return found;
}

static void load_all(struct ctrs *ctrs)
{
	_cleanup_free_ char *root = xasprintf("%s/containers", ctrs->data_root);
	struct dirent **names;
	int n = scandir(root, &names, NULL, alphasort);
	struct ctr **found = xcalloc(max(n, 1), sizeof(*found));
	size_t n_found = 0;

	for (int i = 0; i < n; i++) {
		struct err err = ERR_INIT;

		if (strlen(names[i]->d_name) == 64 &&
		    !ctr_load(ctrs, names[i]->d_name, &found[n_found], &err)) {
			n_found++;
		} else if (err.code == -ENOENT) {
			/* a creation or a removal that a crash has cut */
			_cleanup_free_ char *dir = xasprintf("%s/%s", root, names[i]->d_name);

			mount_detach_tree(dir, NULL);
			dir_remove_tree(dir, NULL);
		} else if (err.code) {
			log_error("a container is left out: %s", err.msg);
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	/* in order of creation, as the tables keep it */
	for (size_t i = 0; i < n_found; i++) {
		size_t oldest = i;

		for (size_t k = i + 1; k < n_found; k++)
			if (found[k]->created_ns < found[oldest]->created_ns)
				oldest = k;
		if (oldest != i) {
			struct ctr *c = found[oldest];

			found[oldest] = found[i];
			found[i] = c;
		}
		ctr_log_setup(found[i]);
		insert(found[i]);
	}
	free(found);
}

/* Runs of containers that are no more. */
static void sweep_runs(struct ctrs *ctrs)
{
	_cleanup_free_ char *root = xasprintf("%s/ctr", ctrs->exec_root);
	DIR *d = opendir(root);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		_cleanup_free_ char *dir = xasprintf("%s/%s", root, e->d_name);
		struct ctr *c;
		const char *id;
		bool known = e->d_name[0] == '.';

		map_for_each (&ctrs->by_id, id, c)
			known |= !strncmp(c->id, e->d_name, 32);
		if (known)
			continue;
		mount_detach_tree(dir, NULL);
		dir_remove_tree(dir, NULL);
	}
	if (d)
		closedir(d);
}

int ctrs_open(const struct ctrs_options *opt, struct ctrs **ret, struct err *err)
{
	struct ctrs *ctrs = xcalloc(1, sizeof(*ctrs));
	_cleanup_free_ char *dir = NULL, *runs = NULL;
	const char *runtime = str_empty(opt->runtime) ? "crun" : opt->runtime, *base;
	struct ctr *c;
	const char *id;
	int rc;

	list_init(&ctrs->watches);
	list_init(&ctrs->forwards);
	list_init(&ctrs->all);
	ctrs->opt = *opt;
	ctrs->data_root = xstrdup(opt->data_root);
	ctrs->exec_root = xstrdup(opt->exec_root);
	ctrs->rtroot = xasprintf("%s/runtime", opt->exec_root);
	ctrs->shim = xstrdup(opt->shim);
	ctrs->init_path = find_init(opt->init_path);
	ctrs->cgroup_parent =
		xstrdup(str_empty(opt->cgroup_parent) ? "/docker" : opt->cgroup_parent);
	ctrs->log_opts = json_object_size(opt->log_opts) ? json_deep_copy(opt->log_opts) : NULL;
	ctrs->runtime = find_program(runtime);
	if (!ctrs->runtime && str_empty(opt->runtime))
		ctrs->runtime = find_program("runc");
	if (!ctrs->runtime) {
		log_warn("no OCI runtime %s: containers cannot be started", runtime);
		ctrs->runtime = xstrdup(runtime);
	}
	base = strrchr(ctrs->runtime, '/');
	ctrs->own_filters = !strcmp(base ? base + 1 : ctrs->runtime, "crun");
	dir = xasprintf("%s/containers", opt->data_root);
	runs = xasprintf("%s/ctr", opt->exec_root);
	rc = logger_check(str_empty(opt->log_driver) ? "json-file" : opt->log_driver,
			  ctrs->log_opts, err);
	if (rc)
		err_prefix(err, "failed to set log opts");
	if (!rc)
		rc = dir_make(dir, 0710, err);
	if (!rc)
		rc = dir_make(runs, 0700, err);
	if (rc) {
		ctrs_free(ctrs);
		return rc;
	}
	ctrs->n_held = cgroup_prepare(ctrs->held);
	load_all(ctrs);
	map_for_each (&ctrs->by_id, id, c) {
		c->image = images_find(opt->images, c->image_id, NULL);
		if (c->image)
			image_get(c->image);
		ctr_hold_images(c);
	}
	map_for_each (&ctrs->by_id, id, c)
		ctr_run_restore(c);
	sweep_runs(ctrs);
	*ret = ctrs;
	return 0;
}

void ctrs_free(struct ctrs *ctrs)
{
	_cleanup_free_ char *runs = NULL;
	struct ctr *c;
	const char *id;
	bool runs_some = false;
	char *filter;

	if (!ctrs)
		return;
	ctrs->closing = true;
	map_for_each (&ctrs->by_id, id, c) {
		runs_some |= c->pid != 0;
		health_stop(c); /* its probe is one of the execs */
		execs_drop(c);
		ctr_free(c); /* nets_free() takes care of the sandbox, which stays up */
	}
	forwards_free(ctrs);
	if (!runs_some) {
		runs = xasprintf("%s/ctr", ctrs->exec_root);
		rmdir(runs);
		dir_remove_tree(ctrs->rtroot, NULL);
		cgroup_remove_parent(ctrs->cgroup_parent);
	}
	for (int i = 0; i < ctrs->n_held; i++)
		close(ctrs->held[i]);
	map_done(&ctrs->by_id);
	map_done(&ctrs->by_name);
	map_done(&ctrs->execs);
	map_for_each (&ctrs->filters, id, filter)
		free(filter);
	map_done(&ctrs->filters);
	json_decref(ctrs->log_opts);
	free(ctrs->data_root);
	free(ctrs->exec_root);
	free(ctrs->rtroot);
	free(ctrs->shim);
	free(ctrs->init_path);
	free(ctrs->cgroup_parent);
	free(ctrs->runtime);
	free(ctrs);
}

const char *ctrs_runtime(const struct ctrs *ctrs)
{
	return ctrs->runtime;
}

/* --- making --- */

static int take_name(struct ctrs *ctrs, const char *name, char **ret, struct err *err)
{
	struct ctr *other;

	if (!name || !*name) {
		do {
			free(*ret);
			*ret = name_make(ctrs->opt.rng);
			if (map_has(&ctrs->by_name, *ret)) {
				char *longer =
					xasprintf("%s%u", *ret,
						  (unsigned int)rng_below(ctrs->opt.rng, 100000));

				free(*ret);
				*ret = longer;
			}
		} while (map_has(&ctrs->by_name, *ret));
		return 0;
	}
	if (*name == '/')
		name++;
	if (!ctr_name_valid(name))
		return err_set(
			err, -EINVAL,
			"Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
			name);
	other = map_get(&ctrs->by_name, name);
	if (other)
		return err_set(
			err, -EEXIST,
			"Conflict. The container name \"/%s\" is already in use by container "
			"\"%s\". You "
			"have to remove (or rename) that container to be able to reuse that name.",
			name, other->id);
	*ret = xstrdup(name);
	return 0;
}

/* Programs ask by this file whether they run in a container. */
static int make_mark(struct ctr *c, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/rw/.dockerenv", c->dir);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	return fd < 0 ? err_errno(err, -errno, "cannot make %s", path) : 0;
}

static int make_dirs(struct ctr *c, struct err *err)
{
	static const char *const names[] = {"rw", "work", "merged"};
	int rc = dir_make(c->dir, 0710, err);

	for (size_t i = 0; !rc && i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", c->dir, names[i]);

		rc = mkdir(path, 0755) && errno != EEXIST
			     ? err_errno(err, -errno, "cannot make %s", path)
			     : 0;
	}
	return rc ? rc : make_mark(c, err);
}

static void unmake(struct ctr *c)
{
	for (size_t i = 0; i < c->n_mounts; i++) {
		struct mount_point *m = &c->mounts[i];

		if (m->made && volume_find(c->ctrs->opt.volumes, m->name, NULL))
			volume_delete(c->ctrs->opt.volumes, m->name, false, NULL, NULL);
	}
	dir_remove_tree(c->dir, NULL);
	c->image = NULL; /* no use was counted yet */
	ctr_free(c);
}

int ctr_create(struct ctrs *ctrs, const char *name, json_t *body, struct ctr **ret,
	       json_t *warnings, struct err *err)
{
	char id[HEX_ID_SIZE];
	struct ctr *c;
	int rc;

	id_new_hex(ctrs->opt.rng, id);
	c = ctr_alloc(ctrs, id);
	c->created_ns = loop_wall_ns();
	rc = take_name(ctrs, name, &c->name, err);
	if (!rc)
		rc = ctr_normalise(c, body, warnings, err);
	if (!rc)
		rc = ctr_links_take(c, err);
	if (!rc)
		rc = make_dirs(c, err);
	if (!rc)
		rc = ctr_make_mounts(c, err);
	if (!rc)
		rc = ctr_save(c, err);
	if (rc) {
		unmake(c);
		return rc;
	}
	image_get(c->image);
	ctr_log_setup(c);
	insert(c);
	ctr_emit(c, "create", NULL);
	ctr_tell(c, CTR_EV_CREATED);
	*ret = c;
	return 0;
}

void ctr_add_file(struct ctr *c, const struct ctr_file *f)
{
	struct file *to;

	c->files = xrealloc(c->files, (c->n_files + 1) * sizeof(*c->files));
	to = &c->files[c->n_files++];
	*to = (struct file){
		.target = xstrdup(f->target), .uid = f->uid, .gid = f->gid, .mode = f->mode};
	buf_init(&to->data);
	buf_add(&to->data, f->data, f->size);
}

int ctr_rename(struct ctr *c, const char *name, struct err *err)
{
	_cleanup_free_ char *wanted = NULL, *old = NULL;
	int rc;

	if (str_empty(name) || !strcmp(name, "/"))
		return err_set(err, -EINVAL, "Neither old nor new names may be empty");
	if (!strcmp(name + (*name == '/'), c->name))
		return err_set(err, -EINVAL,
			       "Renaming a container with the same name as its current name");
	rc = take_name(c->ctrs, name, &wanted, err);
	if (rc)
		return rc;
	old = c->name;
	c->name = xstrdup(wanted);
	rc = ctr_save(c, err);
	if (rc) {
		free(c->name);
		c->name = steal_ptr(old);
		return rc;
	}
	map_del(&c->ctrs->by_name, old);
	map_put(&c->ctrs->by_name, c->name, c);
	ctr_emit(c, "rename", json_pack("{s:o}", "oldName", json_sprintf("/%s", old)));
	return 0;
}

/* --- finding --- */

struct ctr *ctr_find(struct ctrs *ctrs, const char *ref, struct err *err)
{
	struct ctr *c = map_get(&ctrs->by_id, ref), *found = NULL;
	const char *id, *name = ref + (*ref == '/');
	size_t n = strlen(ref);

	if (!c)
		c = map_get(&ctrs->by_name, name);
	if (!c)
		c = ctr_link_find(ctrs, name);
	if (c)
		return c;
	if (n)
		map_for_each (&ctrs->by_id, id, c) {
			if (strncmp(id, ref, n))
				continue;
			if (found) {
				err_set(err, -EINVAL, "multiple IDs found with provided prefix: %s",
					ref);
				return NULL;
			}
			found = c;
		}
	if (!found)
		err_set(err, -ENOENT, "No such container: %s", ref);
	return found;
}

struct ctr *ctrs_next(struct ctrs *ctrs, struct ctr *after)
{
	struct list_head *next = after ? after->node.next : ctrs->all.next;

	return next == &ctrs->all ? NULL : list_entry(next, struct ctr, node);
}

bool ctrs_volume_used(struct ctrs *ctrs, const char *volume)
{
	struct ctr *c;
	const char *id;

	map_for_each (&ctrs->by_id, id, c)
		for (size_t i = 0; i < c->n_mounts; i++)
			if (streq(c->mounts[i].name, volume))
				return true;
	return false;
}

void ctrs_count(struct ctrs *ctrs, unsigned int *ret_running, unsigned int *ret_paused,
		unsigned int *ret_stopped)
{
	struct ctr *c;
	const char *id;

	*ret_running = *ret_paused = *ret_stopped = 0;
	map_for_each (&ctrs->by_id, id, c) {
		if (c->status == CTR_RUNNING || c->status == CTR_RESTARTING)
			++*ret_running;
		else if (c->status == CTR_PAUSED)
			++*ret_paused;
		else
			++*ret_stopped;
	}
}

/* --- telling --- */

void ctrs_watch(struct ctrs *ctrs, struct ctr_watch *w)
{
	list_add_tail(&w->node, &ctrs->watches);
}

void ctrs_unwatch(struct ctr_watch *w)
{
	list_del(&w->node);
}

void ctr_tell(struct ctr *c, enum ctr_event ev)
{
	struct ctr_watch *w, *tmp;

	if (c->ctrs->closing)
		return;
	list_for_each_safe (w, tmp, &c->ctrs->watches, node)
		w->fn(c, ev, w->arg);
}

void ctr_emit(struct ctr *c, const char *action, json_t *extra)
{
	json_t *a = json_object(), *v;
	const char *key;

	json_object_foreach (json_object_get(c->config, "Labels"), key, v)
		json_object_set(a, key, v);
	json_object_set_new(a, "image", json_string(c->image_ref));
	json_object_set_new(a, "name", json_string(c->name));
	json_object_update(a, extra);
	json_decref(extra);
	events_emit(c->ctrs->opt.events, "container", action, c->id, a);
}

void ctr_set_error(struct ctr *c, const char *text)
{
	free(c->error);
	c->error = xstrdup(text);
}

/* --- what can be seen --- */

const char *ctr_id(const struct ctr *c)
{
	return c->id;
}

const char *ctr_name(const struct ctr *c)
{
	return c->name;
}

enum ctr_status ctr_status(const struct ctr *c)
{
	return c->removing ? CTR_REMOVING : c->status;
}

const char *ctr_status_name(const struct ctr *c)
{
	static const char *const names[] = {"created",	"running", "paused", "restarting",
					    "removing", "exited",  "dead"};

	return names[ctr_status(c)];
}

bool ctr_running(const struct ctr *c)
{
	return c->status == CTR_RUNNING || c->status == CTR_PAUSED;
}

pid_t ctr_pid(const struct ctr *c)
{
	return c->pid;
}

int ctr_exit_code(const struct ctr *c)
{
	return c->exit_code;
}

bool ctr_oom_killed(const struct ctr *c)
{
	return c->oom_killed;
}

const char *ctr_error(const struct ctr *c)
{
	return c->error ? c->error : "";
}

int64_t ctr_started_ns(const struct ctr *c)
{
	return c->started_ns;
}

int64_t ctr_finished_ns(const struct ctr *c)
{
	return c->finished_ns;
}

const char *ctr_health(const struct ctr *c)
{
	return c->health;
}

const char *ctr_health_output(const struct ctr *c)
{
	return c->health_output.data ? c->health_output.data : "";
}

const char *ctr_label(const struct ctr *c, const char *key)
{
	return json_string_value(json_object_get(json_object_get(c->config, "Labels"), key));
}

json_t *ctr_config(const struct ctr *c)
{
	return c->config;
}

json_t *ctr_host_config(const struct ctr *c)
{
	return c->host;
}

bool ctr_tty(const struct ctr *c)
{
	return jb(c->config, "Tty");
}

const char *ctr_log_path(const struct ctr *c)
{
	return c->log_path;
}

const char *ctr_image_id(const struct ctr *c)
{
	return c->image_id;
}
