// SPDX-License-Identifier: Apache-2.0
#include "manager/settings.h"

#include <errno.h>
#include <stdio.h>

#include "disk/file.h"

enum { STATE_MAX = 1 << 20 };

void swarm_settings_init(struct swarm_settings *s)
{
	memset(s, 0, sizeof(*s));
	s->managers = json_array();
}

void swarm_settings_done(struct swarm_settings *s)
{
	free(s->availability);
	free(s->token);
	json_decref(s->pools);
	json_decref(s->managers);
	memset(s, 0, sizeof(*s));
}

static int load_json(const char *dir, const char *name, json_t **ret, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	_cleanup_buf_ struct buf text = BUF_INIT;
	int rc = file_read(path, STATE_MAX, &text, err);

	if (rc)
		return rc;
	*ret = json_loadb(text.data, text.len, 0, NULL);
	return *ret ? 0 : err_set(err, -EINVAL, "%s is damaged: it holds no JSON", path);
}

static int save_json(const char *dir, const char *name, json_t *json, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	_cleanup_free_ char *text = json_dumps(json, JSON_COMPACT);

	return file_write_atomic(path, text, strlen(text), 0600, err);
}

static void take(char dst[ADDRESS_SIZE], json_t *o, const char *key)
{
	const char *v = json_string_value(json_object_get(o, key));

	snprintf(dst, ADDRESS_SIZE, "%s", v ? v : "");
}

int swarm_settings_load(struct swarm_settings *s, const char *dir, struct err *err)
{
	json_t *o, *managers;
	const char *v;
	int rc = load_json(dir, "docker-state.json", &o, err);

	if (rc)
		return rc;
	swarm_settings_init(s);
	take(s->addr.listen, o, "ListenAddr");
	take(s->addr.advertise, o, "AdvertiseAddr");
	take(s->addr.data_path, o, "DataPathAddr");
	take(s->remote, o, "RemoteAddr");
	v = json_string_value(json_object_get(o, "Availability"));
	s->availability = xstrdup(v ? v : "active");
	s->token = xstrdup(json_string_value(json_object_get(o, "JoinToken")));
	s->joining = json_is_true(json_object_get(o, "JoinInProgress"));
	s->autolock = json_is_true(json_object_get(o, "AutoLockManagers"));
	if (json_is_array(json_object_get(o, "DefaultAddressPool")))
		s->pools = json_incref(json_object_get(o, "DefaultAddressPool"));
	s->subnet_size = json_integer_value(json_object_get(o, "SubnetSize"));
	s->data_path_port = json_integer_value(json_object_get(o, "DataPathPort"));
	json_decref(o);
	if (!*s->addr.listen || !*s->addr.advertise) {
		swarm_settings_done(s);
		return err_set(err, -EINVAL, "%s/docker-state.json lacks the node's addresses",
			       dir);
	}
	if (!load_json(dir, "state.json", &managers, NULL)) {
		if (json_is_array(managers)) {
			json_decref(s->managers);
			s->managers = managers;
		} else {
			json_decref(managers);
		}
	}
	return 0;
}

int swarm_settings_save(const struct swarm_settings *s, const char *dir, struct err *err)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:i, s:i}", "ListenAddr",
			      s->addr.listen, "AdvertiseAddr", s->addr.advertise, "DataPathAddr",
			      s->addr.data_path, "RemoteAddr", s->remote, "Availability",
			      s->availability ? s->availability : "active", "JoinInProgress",
			      s->joining, "AutoLockManagers", s->autolock, "SubnetSize",
			      (int)s->subnet_size, "DataPathPort", (int)s->data_path_port);
	int rc;

	if (s->token)
		json_object_set_new(o, "JoinToken", json_string(s->token));
	if (s->pools)
		json_object_set(o, "DefaultAddressPool", s->pools);
	rc = save_json(dir, "docker-state.json", o, err);
	json_decref(o);
	return rc ? rc : save_json(dir, "state.json", s->managers, err);
}

int swarm_settings_managers(struct swarm_settings *s, const char *dir, json_t *managers,
			    struct err *err)
{
	if (json_equal(s->managers, managers)) {
		json_decref(managers);
		return 0;
	}
	json_decref(s->managers);
	s->managers = managers;
	return save_json(dir, "state.json", s->managers, err);
}
