// SPDX-License-Identifier: Apache-2.0
/* GET /system/df: what takes the space. */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#include "api/api.h"
#include "ctr/ctr.h"
#include "ctr/volume.h"
#include "image/image.h"
#include "loop/loop.h"

static _Thread_local int64_t walked_size;

static int add_size(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)ftw;
	if (type != FTW_NS)
		walked_size += st->st_size;
	return 0;
}

int64_t api_folder_size(const char *path)
{
	walked_size = 0;
	nftw(path, add_size, 16, FTW_PHYS | FTW_MOUNT);
	return walked_size;
}

json_t *api_reclaimed(int64_t size)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)size);
	return json_pack("{s:s}", "reclaimed", text);
}

struct usage {
	struct api_call *call;
	json_t *doc, *volumes;
	char **paths;
	int64_t *sizes;
	size_t n;
	bool totals; /* the form since 1.52 */
	bool verbose; /* with the lists in the totals */
};

static bool wanted(struct api_call *call, const char *type)
{
	const char *v;

	if (!http_query_nth(call->req, "type", 0))
		return true;
	for (size_t i = 0; (v = http_query_nth(call->req, "type", i)); i++)
		if (!strcmp(v, type))
			return true;
	return false;
}

static json_t *images_json(struct engine *e)
{
	json_t *a = json_array();
	struct image *img;
	size_t pos = 0;

	while ((img = images_next(e->images, &pos))) {
		json_t *s = images_summary(e->images, img);

		json_object_set_new(s, "Containers", json_integer(img->users));
		json_object_set_new(s, "SharedSize", json_integer(0));
		json_array_append_new(a, s);
	}
	return a;
}

static json_t *containers_json(struct engine *e)
{
	json_t *a = json_array();

	for (struct ctr *c = NULL; (c = ctrs_next(e->ctrs, c));)
		json_array_append_new(a, ctr_summary(c, true));
	return a;
}

/* How many containers hold each volume: name → integer. */
static json_t *volume_users(struct engine *e)
{
	json_t *users = json_object(), *m;
	size_t i;

	for (struct ctr *c = NULL; (c = ctrs_next(e->ctrs, c));) {
		json_t *s = ctr_summary(c, false);

		json_array_foreach (json_object_get(s, "Mounts"), i, m) {
			const char *name = json_string_value(json_object_get(m, "Name"));

			if (!str_empty(name))
				json_object_set_new(users, name,
						    json_integer(json_integer_value(json_object_get(
									 users, name)) +
								 1));
		}
		json_decref(s);
	}
	return users;
}

static void measure(void *arg)
{
	struct usage *u = arg;

	for (size_t i = 0; i < u->n; i++)
		u->sizes[i] = api_folder_size(u->paths[i]);
}

static json_int_t sum(json_t *items, const char *a, const char *b)
{
	json_int_t total = 0;
	json_t *v;
	size_t i;

	json_array_foreach (items, i, v) {
		json_t *x = json_object_get(v, a);

		total += json_integer_value(b ? json_object_get(x, b) : x);
	}
	return total;
}

static void add_items(json_t *doc, const char *usage, const char *list)
{
	json_t *items = json_object_get(doc, list);

	if (json_array_size(items))
		json_object_set(json_object_get(doc, usage), "Items", items);
}

/* The totals of API 1.52, beside the lists. */
static void add_totals(json_t *doc, json_t *images, json_int_t layers)
{
	json_t *ctrs = json_object_get(doc, "Containers"), *vols = json_object_get(doc, "Volumes"),
	       *v;
	json_int_t running = 0, used_images = 0, used_vols = 0, free_vols = 0, free_ctrs = 0;
	size_t i;

	json_array_foreach (ctrs, i, v) {
		bool up = streq(json_string_value(json_object_get(v, "State")), "running");

		running += up;
		free_ctrs += up ? 0 : json_integer_value(json_object_get(v, "SizeRw"));
	}
	json_array_foreach (images, i, v)
		used_images += json_integer_value(json_object_get(v, "Containers")) > 0;
	json_array_foreach (vols, i, v) {
		json_t *d = json_object_get(v, "UsageData");
		bool used = json_integer_value(json_object_get(d, "RefCount")) > 0;

		used_vols += used;
		free_vols += used ? 0 : json_integer_value(json_object_get(d, "Size"));
	}
	json_object_set_new(doc, "ImageUsage",
			    json_pack("{s:I, s:I, s:I, s:I}", "ActiveCount", used_images,
				      "TotalCount", (json_int_t)json_array_size(images),
				      "TotalSize", layers, "Reclaimable", (json_int_t)0));
	json_object_set_new(doc, "ContainerUsage",
			    json_pack("{s:I, s:I, s:I, s:I}", "ActiveCount", running, "TotalCount",
				      (json_int_t)json_array_size(ctrs), "TotalSize",
				      sum(ctrs, "SizeRw", NULL), "Reclaimable", free_ctrs));
	json_object_set_new(doc, "VolumeUsage",
			    json_pack("{s:I, s:I, s:I, s:I}", "ActiveCount", used_vols,
				      "TotalCount", (json_int_t)json_array_size(vols), "TotalSize",
				      sum(vols, "UsageData", "Size"), "Reclaimable", free_vols));
	json_object_set_new(doc, "BuildCacheUsage",
			    json_pack("{s:i, s:i, s:i, s:i}", "ActiveCount", 0, "TotalCount", 0,
				      "TotalSize", 0, "Reclaimable", 0));
}

static void use_totals(struct usage *u)
{
	static const struct {
		const char *usage, *list;
	} parts[] = {{"ImageUsage", "Images"},
		     {"ContainerUsage", "Containers"},
		     {"VolumeUsage", "Volumes"},
		     {"BuildCacheUsage", "BuildCache"}};

	add_totals(u->doc, json_object_get(u->doc, "Images"),
		   json_integer_value(json_object_get(u->doc, "LayersSize")));
	for (size_t i = 0; u->verbose && i < ARRAY_SIZE(parts); i++)
		add_items(u->doc, parts[i].usage, parts[i].list);
	/*
	 * dockerd leaves the lists out from 1.53 on, always. docker-py takes the newest version that
	 * there is, and looks for them.
	 */
	if (!u->verbose)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		json_object_del(u->doc, parts[i].list);
	json_object_del(u->doc, "LayersSize");
}

static void measured(void *arg)
{
	struct usage *u = arg;
	json_t *v;
	size_t i;

	json_array_foreach (u->volumes, i, v)
		json_object_set_new(json_object_get(v, "UsageData"), "Size",
				    json_integer(u->sizes[i]));
	if (u->totals)
		use_totals(u);
	api_reply(u->call, 200, u->doc);
	for (size_t n = 0; n < u->n; n++)
		free(u->paths[n]);
	free(u->paths);
	free(u->sizes);
	free(u);
}

static void df(struct api_call *call)
{
	static const char *const types[] = {"container", "image", "volume", "build-cache"};
	struct usage *u;
	struct err err = ERR_INIT;
	json_t *counts;
	const char *v;

	for (size_t i = 0; (v = http_query_nth(call->req, "type", i)); i++) {
		bool known = false;

		for (size_t k = 0; k < ARRAY_SIZE(types); k++)
			known |= !strcmp(v, types[k]);
		if (!known) {
			err_set(&err, -EINVAL, "unknown object type: %s", v);
			api_reply_err(call, &err);
			return;
		}
	}
	u = xcalloc(1, sizeof(*u));
	u->call = call;
	u->doc = json_object();
	u->totals = call->version >= 152;
	u->verbose = api_query_bool(call, "verbose", false);
	json_object_set_new(
		u->doc, "LayersSize",
		json_integer(wanted(call, "image") ? images_layers_size(call->engine->images) : 0));
	json_object_set_new(u->doc, "Images",
			    wanted(call, "image") ? images_json(call->engine) : json_null());
	json_object_set_new(u->doc, "Containers",
			    wanted(call, "container") ? containers_json(call->engine)
						      : json_null());
	u->volumes = wanted(call, "volume") ? json_array() : json_null();
	json_object_set_new(u->doc, "Volumes", u->volumes);
	json_object_set_new(u->doc, "BuildCache",
			    wanted(call, "build-cache") ? json_array() : json_null());
	counts = volume_users(call->engine);
	for (struct volume *vol = NULL;
	     json_is_array(u->volumes) && (vol = volumes_next(call->engine->volumes, vol));) {
		json_t *item;

		if (!volume_local(vol)) /* dockerd counts its own only */
			continue;
		item = volume_inspect(vol);
		json_int_t refs = json_integer_value(json_object_get(counts, volume_name(vol)));

		json_object_set_new(item, "UsageData",
				    json_pack("{s:I, s:i}", "RefCount", refs, "Size", 0));
		json_array_append_new(u->volumes, item);
		u->paths = xrealloc(u->paths, (u->n + 1) * sizeof(*u->paths));
		u->paths[u->n++] = xstrdup(volume_path(vol));
	}
	json_decref(counts);
	u->sizes = xcalloc(u->n + 1, sizeof(*u->sizes));
	loop_work(call->engine->loop, measure, measured, u);
}

const struct api_route api_disk_routes[] = {
	{"GET", "/system/df", df},
	{0},
};
