// SPDX-License-Identifier: Apache-2.0
#include "plugin/config.h"

#include <errno.h>
#include <strings.h>

#include "core/fields.h"

/* --- the form --- */

enum kind { STR, STR_OR_NULL, BOOL, NUM, STRS, OBJ, OBJS };

struct field {
	const char *name;
	enum kind kind;
	const struct field *sub; /* of OBJ and OBJS */
};

static const struct field mount_fields[] = {
	{"Name", STR, NULL},	    {"Description", STR, NULL},
	{"Settable", STRS, NULL},   {"Source", STR_OR_NULL, NULL},
	{"Destination", STR, NULL}, {"Type", STR, NULL},
	{"Options", STRS, NULL},    {0},
};
static const struct field device_fields[] = {
	{"Name", STR, NULL},
	{"Description", STR, NULL},
	{"Settable", STRS, NULL},
	{"Path", STR_OR_NULL, NULL},
	{0},
};
static const struct field env_fields[] = {
	{"Name", STR, NULL},
	{"Description", STR, NULL},
	{"Settable", STRS, NULL},
	{"Value", STR_OR_NULL, NULL},
	{0},
};
static const struct field args_fields[] = {
	{"Name", STR, NULL},
	{"Description", STR, NULL},
	{"Settable", STRS, NULL},
	{"Value", STRS, NULL},
	{0},
};
static const struct field interface_fields[] = {
	{"Types", STRS, NULL},
	{"Socket", STR, NULL},
	{"ProtocolScheme", STR, NULL},
	{0},
};
static const struct field user_fields[] = {{"UID", NUM, NULL}, {"GID", NUM, NULL}, {0}};
static const struct field network_fields[] = {{"Type", STR, NULL}, {0}};
static const struct field linux_fields[] = {
	{"Capabilities", STRS, NULL},
	{"AllowAllDevices", BOOL, NULL},
	{"Devices", OBJS, device_fields},
	{0},
};
static const struct field rootfs_fields[] = {{"type", STR, NULL}, {"diff_ids", STRS, NULL}, {0}};
static const struct field config_fields[] = {
	{"DockerVersion", STR, NULL},
	{"Description", STR, NULL},
	{"Documentation", STR, NULL},
	{"Interface", OBJ, interface_fields},
	{"Entrypoint", STRS, NULL},
	{"WorkDir", STR, NULL},
	{"User", OBJ, user_fields},
	{"Network", OBJ, network_fields},
	{"Linux", OBJ, linux_fields},
	{"PropagatedMount", STR, NULL},
	{"IpcHost", BOOL, NULL},
	{"PidHost", BOOL, NULL},
	{"Mounts", OBJS, mount_fields},
	{"Env", OBJS, env_fields},
	{"Args", OBJ, args_fields},
	{"rootfs", OBJ, rootfs_fields},
	{0},
};

static int wrong(const struct field *f, struct err *err)
{
	static const char *const types[] = {
		"a string",	     "a string",  "true or false",    "a number",
		"a list of strings", "an object", "a list of objects"};

	return err_set(
		err, -EINVAL,
		"failed to parse config: the field %s of the plugin's config.json must be %s",
		f->name, types[f->kind]);
}

static int too_long(const struct field *f, struct err *err)
{
	return err_set(err, -EINVAL,
		       "failed to parse config: the field %s of the plugin's config.json has more "
		       "than %d entries",
		       f->name, PLUGIN_LIST_MAX);
}

static int read_object(const struct field *fields, json_t *in, json_t **ret, struct err *err);

static int read_list(const struct field *f, json_t *in, json_t **ret, struct err *err)
{
	json_t *out, *v, *one;
	size_t i;
	int rc = 0;

	if (!json_is_array(in))
		return wrong(f, err);
	if (json_array_size(in) > PLUGIN_LIST_MAX)
		return too_long(f, err);
	out = json_array();
	json_array_foreach (in, i, v) {
		if (f->kind == OBJS) {
			rc = json_is_object(v) ? read_object(f->sub, v, &one, err) : wrong(f, err);
		} else {
			rc = json_is_string(v) ? 0 : wrong(f, err);
			one = json_incref(v);
		}
		if (rc)
			break;
		json_array_append_new(out, one);
	}
	if (rc)
		json_decref(out);
	else
		*ret = out;
	return rc;
}

static int read_field(const struct field *f, json_t *v, json_t **ret, struct err *err)
{
	switch (f->kind) {
	case STR:
		if (v && !json_is_string(v))
			return wrong(f, err);
		*ret = v ? json_incref(v) : json_string("");
		return 0;
	case STR_OR_NULL:
		if (v && !json_is_string(v))
			return wrong(f, err);
		*ret = v ? json_incref(v) : json_null();
		return 0;
	case BOOL:
		if (v && !json_is_boolean(v))
			return wrong(f, err);
		*ret = json_boolean(json_is_true(v));
		return 0;
	case NUM:
		if (v && (!json_is_integer(v) || json_integer_value(v) < 0 ||
			  json_integer_value(v) > UINT32_MAX))
			return wrong(f, err);
		*ret = json_integer(json_integer_value(v));
		return 0;
	case OBJ:
		if (v && !json_is_object(v))
			return wrong(f, err);
		return read_object(f->sub, v, ret, err);
	default:
		if (v)
			return read_list(f, v, ret, err);
		*ret = json_array();
		return 0;
	}
}

static int read_object(const struct field *fields, json_t *in, json_t **ret, struct err *err)
{
	json_t *out = json_object(), *v;

	for (const struct field *f = fields; f->name; f++) {
		int rc = read_field(f, in ? json_member(in, f->name) : NULL, &v, err);

		if (rc) {
			json_decref(out);
			return rc;
		}
		if (f->kind == NUM && !json_integer_value(v))
			json_decref(v); /* dockerd leaves it out */
		else
			json_object_set_new(out, f->name, v);
	}
	*ret = out;
	return 0;
}

/* --- what is said --- */

static int check_place(const char *what, const char *path, struct err *err)
{
	if (*path != '/' || path_climbs(path))
		return err_set(
			err, -EINVAL,
			"failed to parse config: the plugin's %s %s must be an absolute path "
			"without \"..\"",
			what, path);
	return 0;
}

static int check(json_t *config, struct err *err)
{
	const char *socket = js(json_object_get(config, "Interface"), "Socket"),
		   *prop = js(config, "PropagatedMount");
	json_t *v;
	size_t i;
	int rc = 0;

	if (path_climbs(socket) || strlen(socket) > 100)
		return err_set(
			err, -EINVAL,
			"failed to parse config: the plugin's socket %s must be a name below "
			"/run/docker/plugins of at most 100 bytes",
			socket);
	if (*prop)
		rc = check_place("PropagatedMount", prop, err);
	json_array_foreach (json_object_get(config, "Mounts"), i, v)
		if (!rc)
			rc = check_place("mount destination", js(v, "Destination"), err);
	return rc;
}

int plugin_config_read(json_t *in, json_t **ret, struct err *err)
{
	json_t *config;
	int rc;

	if (!json_is_object(in))
		return err_set(err, -EINVAL,
			       "failed to parse config: the plugin's config.json is no object");
	rc = read_object(config_fields, in, &config, err);
	if (rc)
		return rc;
	rc = check(config, err);
	if (rc)
		json_decref(config);
	else
		*ret = config;
	return rc;
}

bool plugin_has(json_t *config, const char *capability)
{
	_cleanup_free_ char *want = xasprintf("docker.%s/", capability);
	json_t *v;
	size_t i;

	json_array_foreach (json_object_get(json_object_get(config, "Interface"), "Types"), i, v)
		if (!strncasecmp(json_string_value(v), want, strlen(want)))
			return true;
	return false;
}

/* --- settings --- */

json_t *plugin_settings(json_t *config)
{
	json_t *env = json_array(), *v;
	size_t i;

	json_array_foreach (json_object_get(config, "Env"), i, v)
		if (json_is_string(json_object_get(v, "Value")))
			json_array_append_new(env,
					      json_sprintf("%s=%s", js(v, "Name"), js(v, "Value")));
	return json_pack(
		"{s:o, s:o, s:o, s:o}", "Mounts", json_deep_copy(json_object_get(config, "Mounts")),
		"Env", env, "Args",
		json_deep_copy(json_object_get(json_object_get(config, "Args"), "Value")),
		"Devices",
		json_deep_copy(json_object_get(json_object_get(config, "Linux"), "Devices")));
}

struct setting {
	char *name, *field; /* field: "" when not given */
	const char *value;
};

static int parse_setting(const char *arg, struct setting *ret, struct err *err)
{
	const char *eq = strchr(arg, '=');
	char *dot;

	if (eq == arg || !*arg)
		return err_set(err, -EINVAL, "invalid format, must be <name>[.<field>][=<value>]");
	ret->name = eq ? xstrndup(arg, eq - arg) : xstrdup(arg);
	ret->value = eq ? eq + 1 : "";
	dot = strrchr(ret->name, '.');
	if (dot && dot > ret->name) {
		*dot = 0;
		ret->field = xstrdup(dot + 1);
	} else {
		ret->field = xstrdup("");
	}
	return 0;
}

/* Whether the author lets the user set it; only one field of a kind can be set at all. */
static int check_settable(const struct setting *s, json_t *item, const char *only, struct err *err)
{
	json_t *list = json_object_get(item, "Settable"), *v;
	const char *field = s->field;
	size_t i;

	if (!*field && json_array_size(list) > 1)
		return err_set(err, -EINVAL, "multiple fields are settable, one must be specified");
	if (!*field && json_array_size(list) == 1)
		field = json_string_value(json_array_get(list, 0));
	if (!strcmp(field, only))
		json_array_foreach (list, i, v)
			if (!strcmp(json_string_value(v), field))
				return 0;
	return err_set(err, -EINVAL, "\"%s%s%s\" is not settable", s->name, *field ? "." : "",
		       field);
}

static json_t *by_name(json_t *list, const char *name)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (!strcmp(js(v, "Name"), name))
			return v;
	return NULL;
}

static void set_env(json_t *env, const struct setting *s)
{
	size_t n = strlen(s->name), i;
	json_t *v;

	json_array_foreach (env, i, v)
		if (!strncmp(json_string_value(v), s->name, n) && json_string_value(v)[n] == '=') {
			json_array_set_new(env, i, json_sprintf("%s=%s", s->name, s->value));
			return;
		}
	json_array_append_new(env, json_sprintf("%s=%s", s->name, s->value));
}

static json_t *split(const char *text)
{
	json_t *out = json_array();

	for (;;) {
		size_t n = strcspn(text, " ");

		json_array_append_new(out, json_stringn(text, n));
		if (!text[n])
			return out;
		text += n + 1;
	}
}

static int set_in(json_t *list, const struct setting *s, const char *key, const char *what,
		  struct err *err)
{
	json_t *item = by_name(list, s->name);

	if (!json_is_string(json_object_get(item, key)))
		return err_set(err, -EINVAL, "plugin config has no %s", what);
	json_object_set_new(item, key, json_string(s->value));
	return 0;
}

static int apply(json_t *config, json_t *settings, const struct setting *s, struct err *err)
{
	json_t *args = json_object_get(config, "Args"), *item;
	int rc;

	item = by_name(json_object_get(config, "Env"), s->name);
	if (item) {
		rc = check_settable(s, item, "value", err);
		if (!rc)
			set_env(json_object_get(settings, "Env"), s);
		return rc;
	}
	item = by_name(json_object_get(config, "Mounts"), s->name);
	if (item) {
		rc = check_settable(s, item, "source", err);
		return rc ? rc
			  : set_in(json_object_get(settings, "Mounts"), s, "Source", "mount source",
				   err);
	}
	item = by_name(json_object_get(json_object_get(config, "Linux"), "Devices"), s->name);
	if (item) {
		rc = check_settable(s, item, "path", err);
		return rc ? rc
			  : set_in(json_object_get(settings, "Devices"), s, "Path", "device path",
				   err);
	}
	if (!strcmp(js(args, "Name"), s->name)) {
		rc = check_settable(s, args, "value", err);
		if (!rc)
			json_object_set_new(settings, "Args", split(s->value));
		return rc;
	}
	return err_set(err, -EINVAL, "setting \"%s\" not found in the plugin configuration",
		       s->name);
}

int plugin_set(json_t *config, json_t *settings, json_t *args, struct err *err)
{
	json_t *next = json_deep_copy(settings), *v;
	size_t i;
	int rc = 0;

	json_array_foreach (args, i, v) {
		struct setting s = {0};

		rc = json_is_string(v) ? parse_setting(json_string_value(v), &s, err)
				       : err_set(err, -EINVAL, "a setting must be a string");
		if (!rc)
			rc = apply(config, next, &s, err);
		free(s.name);
		free(s.field);
		if (rc)
			break;
	}
	if (!rc)
		json_object_update(settings, next);
	json_decref(next);
	return rc;
}

/* --- privileges --- */

static void need(json_t *out, const char *name, const char *description, json_t *value)
{
	json_array_append_new(out, json_pack("{s:s, s:s, s:o}", "Name", name, "Description",
					     description, "Value", value));
}

json_t *plugin_privileges(json_t *config)
{
	const char *network = js(json_object_get(config, "Network"), "Type");
	json_t *lin = json_object_get(config, "Linux"), *out = json_array(), *v;
	size_t i;

	if (*network && strcmp(network, "null") && strcmp(network, "bridge"))
		need(out, "network", "permissions to access a network", json_pack("[s]", network));
	if (jb(config, "IpcHost"))
		need(out, "host ipc namespace", "allow access to host ipc namespace",
		     json_pack("[s]", "true"));
	if (jb(config, "PidHost"))
		need(out, "host pid namespace", "allow access to host pid namespace",
		     json_pack("[s]", "true"));
	json_array_foreach (json_object_get(config, "Mounts"), i, v)
		if (json_is_string(json_object_get(v, "Source")))
			need(out, "mount", "host path to mount", json_pack("[s]", js(v, "Source")));
	json_array_foreach (json_object_get(lin, "Devices"), i, v)
		if (json_is_string(json_object_get(v, "Path")))
			need(out, "device", "host device to access",
			     json_pack("[s]", js(v, "Path")));
	if (jb(lin, "AllowAllDevices"))
		need(out, "allow-all-devices", "allow 'rwm' access to all devices",
		     json_pack("[s]", "true"));
	if (json_array_size(json_object_get(lin, "Capabilities")))
		need(out, "capabilities", "list of additional capabilities required",
		     json_incref(json_object_get(lin, "Capabilities")));
	return out;
}

static bool has_privilege(json_t *list, json_t *want)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (json_equal(json_object_get(v, "Name"), json_object_get(want, "Name")) &&
		    json_equal(json_object_get(v, "Value"), json_object_get(want, "Value")))
			return true;
	return false;
}

int plugin_privileges_check(json_t *config, json_t *granted, struct err *err)
{
	json_t *needed = plugin_privileges(config), *v;
	bool same = json_array_size(needed) == json_array_size(granted);
	size_t i;

	json_array_foreach (needed, i, v)
		same = same && has_privilege(granted, v);
	json_decref(needed);
	return same ? 0 : err_set(err, -EIO, "incorrect privileges");
}
