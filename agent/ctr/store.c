// SPDX-License-Identifier: Apache-2.0
/*
 * A container on disk: config.v2.json is what it was asked to be, and is replaced durably; state.json
 * is what became of it, and need not survive a crash of the machine, which ends its run anyway.
 */
#include <errno.h>
#include <stdio.h>

#include "ctr/ctr_impl.h"
#include "disk/file.h"

static json_t *mounts_json(const struct ctr *c)
{
	json_t *out = json_array();

	for (size_t i = 0; i < c->n_mounts; i++) {
		const struct mount_point *m = &c->mounts[i];

		json_array_append_new(
			out, json_pack("{s:s, s:s?, s:s?, s:s, s:s?, s:s?, s:s?, s:b, s:b, s:b, "
				       "s:b, s:b, s:s?, s:I, s:i}",
				       "Type", m->type, "Name", m->name, "Source", m->source,
				       "Destination", m->target, "Mode", m->mode, "Propagation",
				       m->propagation, "Options", m->options, "RW", m->rw, "NoCopy",
				       m->no_copy, "Made", m->made, "NonRecursive", m->no_recursion,
				       "Shallow", m->shallow, "Subpath", m->subpath, "Size",
				       (json_int_t)m->size, "Perm", (int)m->perm));
	}
	return out;
}

static void load_mounts(struct ctr *c, json_t *list)
{
	json_t *v;
	size_t i;

	c->mounts = xcalloc(json_array_size(list) + 1, sizeof(*c->mounts));
	json_array_foreach (list, i, v) {
		struct mount_point *m = &c->mounts[c->n_mounts++];

		*m = (struct mount_point){
			.type = xstrdup(js(v, "Type")),
			.name = xstrdup(json_string_value(json_object_get(v, "Name"))),
			.source = xstrdup(json_string_value(json_object_get(v, "Source"))),
			.target = xstrdup(js(v, "Destination")),
			.mode = xstrdup(json_string_value(json_object_get(v, "Mode"))),
			.propagation =
				xstrdup(json_string_value(json_object_get(v, "Propagation"))),
			.options = xstrdup(json_string_value(json_object_get(v, "Options"))),
			.rw = jb(v, "RW"),
			.no_copy = jb(v, "NoCopy"),
			.made = jb(v, "Made"),
			.no_recursion = jb(v, "NonRecursive"),
			.shallow = jb(v, "Shallow"),
			.subpath = xstrdup(json_string_value(json_object_get(v, "Subpath"))),
			.size = ji(v, "Size"),
			.perm = ji(v, "Perm"),
		};
	}
}

static int write_doc(struct ctr *c, const char *name, json_t *doc, bool durable, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", c->dir, name),
			    *text = json_dumps(doc, JSON_COMPACT);

	json_decref(doc);
	if (durable && !c->ephemeral)
		return file_write_atomic(path, text, strlen(text), 0600, err);
	return file_write_volatile(path, text, strlen(text), 0600, err);
}

static json_t *config_doc(struct ctr *c)
{
	return json_pack("{s:s, s:s, s:I, s:O, s:O, s:O, s:O, s:s, s:s, s:O, s:o, s:b}", "ID",
			 c->id, "Name", c->name, "Created", (json_int_t)c->created_ns, "Config",
			 c->config, "HostConfig", c->host, "Networking", c->networking, "Links",
			 c->links, "Image", c->image_id, "ImageRef", c->image_ref, "Args",
			 c->path_args, "MountPoints", mounts_json(c), "Ephemeral", c->ephemeral);
}

static json_t *state_doc(struct ctr *c)
{
	return json_pack("{s:i, s:i, s:i, s:b, s:s, s:I, s:I, s:b, s:i, s:O?, s:s?, s:s}", "Status",
			 c->status, "Pid", c->pid, "ExitCode", c->exit_code, "OOMKilled",
			 c->oom_killed, "Error", c->error ? c->error : "", "Started",
			 (json_int_t)c->started_ns, "Finished", (json_int_t)c->finished_ns,
			 "HasBeenManuallyStopped", c->stop_wanted, "RestartCount",
			 (int)c->restart_count, "Sandbox", c->sandbox_saved, "Cgroup", c->cgroup,
			 "Health", c->health);
}

int ctr_save(struct ctr *c, struct err *err)
{
	int rc = write_doc(c, "config.v2.json", config_doc(c), true, err);

	return rc ? rc : write_doc(c, "state.json", state_doc(c), false, err);
}

void ctr_save_state(struct ctr *c)
{
	/* a full disk loses the state of a run, which its monitor's files tell again */
	write_doc(c, "state.json", state_doc(c), false, NULL);
}

static json_t *read_doc(const char *dir, const char *name, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_t *doc;

	if (file_read(path, 16 << 20, &text, err))
		return NULL;
	doc = json_loadb(text.data, text.len, 0, NULL);
	if (!json_is_object(doc)) {
		err_set(err, -EBADMSG, "%s is damaged", path);
		json_decref(doc);
		return NULL;
	}
	return doc;
}

static json_t *part(json_t *doc, const char *key, json_t *(*make)(void))
{
	json_t *v = json_object_get(doc, key);

	return v && !json_is_null(v) ? json_deep_copy(v) : make();
}

/* Without it (a crash of the machine) it is as if it never had run. */
static void load_state(struct ctr *c)
{
	static const char *const health_names[] = {"starting", "healthy", "unhealthy"};
	json_t *doc = read_doc(c->dir, "state.json", NULL),
	       *sandbox = json_object_get(doc, "Sandbox");

	c->status = min((json_int_t)CTR_DEAD, max((json_int_t)0, ji(doc, "Status")));
	c->pid = ji(doc, "Pid");
	c->exit_code = ji(doc, "ExitCode");
	c->oom_killed = jb(doc, "OOMKilled");
	c->error = xstrdup(js(doc, "Error"));
	c->started_ns = ji(doc, "Started");
	c->finished_ns = ji(doc, "Finished");
	c->stop_wanted = jb(doc, "HasBeenManuallyStopped");
	c->restart_count = ji(doc, "RestartCount");
	c->sandbox_saved = json_is_object(sandbox) ? json_deep_copy(sandbox) : NULL;
	c->cgroup = xstrdup(json_string_value(json_object_get(doc, "Cgroup")));
	for (size_t i = 0; i < ARRAY_SIZE(health_names); i++)
		if (!strcmp(js(doc, "Health"), health_names[i]))
			c->health = health_names[i];
	json_decref(doc);
}

int ctr_load(struct ctrs *ctrs, const char *id, struct ctr **ret, struct err *err)
{
	_cleanup_free_ char *dir = xasprintf("%s/containers/%s", ctrs->data_root, id);
	json_t *doc = read_doc(dir, "config.v2.json", err), *host;
	struct ctr *c;

	if (!doc)
		return err->code;
	host = json_object_get(doc, "HostConfig");
	if (!json_is_object(host) || strlen(js(doc, "Image")) >= sizeof(c->image_id) ||
	    !*js(doc, "Name")) {
		json_decref(doc);
		return err_set(err, -EBADMSG, "the description in %s is damaged", dir);
	}
	c = ctr_alloc(ctrs, id);
	c->host = json_deep_copy(host);
	c->name = xstrdup(js(doc, "Name"));
	c->created_ns = ji(doc, "Created");
	c->config = part(doc, "Config", json_object);
	c->networking = part(doc, "Networking", json_object);
	json_decref(c->links);
	c->links = part(doc, "Links", json_array);
	c->path_args = part(doc, "Args", json_array);
	strcpy(c->image_id, js(doc, "Image"));
	c->image_ref = xstrdup(js(doc, "ImageRef"));
	load_mounts(c, json_object_get(doc, "MountPoints"));
	c->ephemeral = jb(doc, "Ephemeral");
	json_decref(doc);
	load_state(c);
	*ret = c;
	return 0;
}
