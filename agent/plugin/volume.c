// SPDX-License-Identifier: Apache-2.0
#include "plugin/volume.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "plugin/client.h"
#include "plugin/config.h"
#include "plugin/plugin_impl.h"

#define KIND "volumedriver"

static int lookup_error(struct err *err, int code, const char *name, const char *why)
{
	return err_set(err, code, "error looking up volume plugin %s: %s", name, why);
}

static struct volume_driver *managed(struct plugin *p)
{
	struct volume_driver *d = xcalloc(1, sizeof(*d));
	const char *prop = js(p->config, "PropagatedMount");

	d->name = xstrdup(p->name);
	d->address = plugin_address(p);
	d->root = xasprintf("%s/%s", p->dir, p->rootfs);
	if (*prop) {
		d->from = xstrdup(prop);
		while (strlen(d->from) > 1 && ends_with(d->from, "/"))
			d->from[strlen(d->from) - 1] = 0;
		d->to = xasprintf("%s/propagated-mount", p->dir);
	}
	d->cancel = &p->all->cancel;
	d->timeout_ms = min(p->timeout_s, 3600u) * 1000;
	return d;
}

static struct volume_driver *find(void *arg, const char *name, struct err *err)
{
	struct err why = ERR_INIT;
	struct plugin *p = plugin_find(arg, name, &why);
	struct volume_driver *d;
	char *address;

	if (p && !p->enabled) {
		_cleanup_free_ char *text = xasprintf("plugin %s found but disabled", name);

		lookup_error(err, -EBUSY, name, text);
		return NULL;
	}
	if (p && !plugin_capable(p, KIND)) {
		lookup_error(err, -EINVAL, name,
			     "plugin does not provide \"volumedriver\" capability");
		return NULL;
	}
	if (p)
		return managed(p);
	address = legacy_find(name);
	if (!address) {
		_cleanup_free_ char *text = xasprintf("plugin \"%s\" not found", name);

		lookup_error(err, -ENOENT, name, text);
		return NULL;
	}
	d = xcalloc(1, sizeof(*d));
	d->name = xstrdup(name);
	d->address = address;
	d->cancel = &((struct plugins *)arg)->cancel;
	d->legacy = true;
	return d;
}

static json_t *names(void *arg)
{
	struct plugins *all = arg;
	json_t *out = json_array(), *legacy = legacy_names();
	struct plugin *p;
	const char *id;

	map_for_each (&all->by_id, id, p)
		if (p->enabled && plugin_capable(p, KIND))
			json_array_append_new(out, json_string(p->name));
	json_array_extend(out, legacy);
	json_decref(legacy);
	return out;
}

/* Legacy plugins say what they are when they are asked. */
static int check_legacy(const struct volume_driver *d, unsigned int patience_ms, struct err *err)
{
	struct plugin_call call = {.address = d->address,
				   .method = "Plugin.Activate",
				   .patience_ms = patience_ms,
				   .timeout_ms = 10000,
				   .cancel = d->cancel};
	bool found = false;
	json_t *doc, *v;
	size_t i;
	int rc = plugin_call(&call, &doc, err);

	if (rc)
		return rc;
	json_array_foreach (json_member(doc, "Implements"), i, v)
		found |= json_is_string(v) && !strcasecmp(json_string_value(v), KIND);
	json_decref(doc);
	return found ? 0
		     : lookup_error(err, -EINVAL, d->name,
				    "Plugin does not implement the requested driver");
}

static int call(const struct volume_driver *d, const char *method, json_t *request,
		unsigned int patience_ms, unsigned int timeout_ms, json_t **ret, struct err *err)
{
	struct plugin_call c = {.address = d->address,
				.method = method,
				.request = request,
				.patience_ms = patience_ms,
				.timeout_ms = timeout_ms,
				.cancel = d->cancel};
	int rc = d->legacy ? check_legacy(d, patience_ms, err) : 0;

	return rc ? rc : plugin_call(&c, ret, err);
}

void plugin_drivers_init(struct plugins *all)
{
	all->drivers =
		(struct volume_drivers){.arg = all, .find = find, .names = names, .call = call};
}

const struct volume_drivers *plugins_volume_drivers(struct plugins *all)
{
	return &all->drivers;
}
