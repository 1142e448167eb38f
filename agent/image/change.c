// SPDX-License-Identifier: Apache-2.0
/* Lines of a Dockerfile that change an image's configuration: --change of docker commit and import. */
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "image/image_impl.h"

static json_t *shell_or_list(const char *text)
{
	json_t *v = *text == '[' ? json_loads(text, 0, NULL) : NULL;

	return v ? v : json_pack("[s, s, s]", "/bin/sh", "-c", text);
}

static json_t *object(json_t *config, const char *key)
{
	json_t *o = json_object_get(config, key);

	if (!json_is_object(o))
		json_object_set_new(config, key, o = json_object());
	return o;
}

static void set_env(json_t *config, const char *text)
{
	_cleanup_free_ char *pair = xstrdup(text);
	json_t *env = json_object_get(config, "Env"), *v;
	char *eq = strchr(pair, '='), *space = strchr(pair, ' ');
	size_t i, n;

	if (!eq || (space && space < eq)) { /* "ENV name value" */
		if (!space)
			return;
		*space = '=';
		eq = space;
	}
	if (!json_is_array(env))
		json_object_set_new(config, "Env", env = json_array());
	n = eq - pair + 1;
	json_array_foreach (env, i, v)
		if (!strncmp(json_string_value(v), pair, n)) {
			json_array_set_new(env, i, json_string(pair));
			return;
		}
	json_array_append_new(env, json_string(pair));
}

static void set_label(json_t *config, const char *text)
{
	_cleanup_free_ char *copy = xstrdup(text);
	char *value = strchr(copy, '='), *end;

	if (!value)
		return;
	*value++ = 0;
	if (*value == '"' && (end = strrchr(value + 1, '"'))) {
		*end = 0;
		value++;
	}
	json_object_set_new(object(config, "Labels"), copy, json_string(value));
}

static void expose(json_t *config, const char *port)
{
	_cleanup_free_ char *full = strchr(port, '/') ? xstrdup(port) : xasprintf("%s/tcp", port);

	json_object_set_new(object(config, "ExposedPorts"), full, json_object());
}

static json_t *list(json_t *config, const char *key)
{
	json_t *v = json_object_get(config, key);

	if (!json_is_array(v))
		json_object_set_new(config, key, v = json_array());
	return v;
}

/* "NONE" or "CMD …"; the times are those that are usual. */
static int set_health(json_t *config, const char *text, struct err *err)
{
	json_t *test;

	if (!strcasecmp(text, "NONE")) {
		test = json_pack("[s]", "NONE");
	} else if (!strncasecmp(text, "CMD ", 4)) {
		text += 4 + strspn(text + 4, " ");
		test = *text == '[' ? json_loads(text, 0, NULL) : NULL;
		if (test)
			json_array_insert_new(test, 0, json_string("CMD"));
		else
			test = json_pack("[s, s]", "CMD-SHELL", text);
	} else {
		return err_set(err, -EINVAL,
			       "invalid HEALTHCHECK \"%s\": use NONE or CMD without options", text);
	}
	json_object_set_new(config, "Healthcheck", json_pack("{s:o}", "Test", test));
	return 0;
}

int image_change(json_t *config, const char *line, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(line);
	char *arg = strchr(copy, ' ');
	static const struct {
		const char *word, *field;
	} strings[] = {{"USER", "User"}, {"WORKDIR", "WorkingDir"}, {"STOPSIGNAL", "StopSignal"}};

	if (!arg)
		return err_set(err, -EINVAL, "invalid change \"%s\": it has no argument", line);
	for (*arg++ = 0; *arg == ' '; arg++)
		;
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		if (!strcasecmp(copy, strings[i].word)) {
			json_object_set_new(config, strings[i].field, json_string(arg));
			return 0;
		}
	if (!strcasecmp(copy, "CMD"))
		json_object_set_new(config, "Cmd", shell_or_list(arg));
	else if (!strcasecmp(copy, "ENTRYPOINT"))
		json_object_set_new(config, "Entrypoint", shell_or_list(arg));
	else if (!strcasecmp(copy, "ENV"))
		set_env(config, arg);
	else if (!strcasecmp(copy, "LABEL"))
		set_label(config, arg);
	else if (!strcasecmp(copy, "EXPOSE"))
		expose(config, arg);
	else if (!strcasecmp(copy, "ONBUILD"))
		json_array_append_new(list(config, "OnBuild"), json_string(arg));
	else if (!strcasecmp(copy, "HEALTHCHECK"))
		return set_health(config, arg, err);
	else if (!strcasecmp(copy, "VOLUME"))
		json_object_set_new(object(config, "Volumes"), arg, json_object());
	else
		return err_set(err, -EINVAL, "%s is not a valid change command", copy);
	return 0;
}
