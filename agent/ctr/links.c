// SPDX-License-Identifier: Apache-2.0
/*
 * docker run --link of old: names that a container on the default bridge has for others there. They
 * are lines of its hosts file and variables of its environment; "/<container>/<alias>" is another
 * name of the one that is meant. Links in other networks are its endpoints' (net/dns.c).
 * Source: moby daemon/links.go, daemon/links/links.go, daemon/container_operations_unix.go.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "ctr/ctr_impl.h"

int ctr_link_parse(const char *link, char **ret_name, char **ret_alias, struct err *err)
{
	const char *colon = strchr(link, ':'), *alias = colon ? colon + 1 : link, *slash;

	if (!*link)
		return err_set(err, -EINVAL, "empty string specified for links");
	if (colon && strchr(colon + 1, ':'))
		return err_set(err, -EINVAL, "bad format for links: %s", link);
	/* "/db:/web/alias", as an inspection shows it */
	slash = strrchr(alias, '/');
	*ret_name = xasprintf("%.*s", colon ? (int)(colon - link) : (int)strlen(link), link);
	*ret_alias = xstrdup(slash ? slash + 1 : alias);
	return 0;
}

static bool user_defined(const char *mode)
{
	return strcmp(mode, "bridge") && strcmp(mode, "default") && strcmp(mode, "host") &&
	       strcmp(mode, "none") && !starts_with(mode, "container:");
}

static json_t *entry_of(const struct ctr *c, const char *alias)
{
	json_t *l;
	size_t i;

	json_array_foreach (c->links, i, l)
		if (!strcmp(js(l, "Alias"), alias))
			return l;
	return NULL;
}

static int add(struct ctr *c, const char *link, struct err *err)
{
	_cleanup_free_ char *name = NULL, *alias = NULL;
	struct err why = ERR_INIT;
	struct ctr *to;
	int rc = ctr_link_parse(link, &name, &alias, err);

	if (rc)
		return rc;
	/* not 404: a client would take the image for missing */
	to = ctr_find(c->ctrs, name, &why);
	if (!to)
		return err_set(err, -EINVAL, "could not get container for %s: %s", name, why.msg);
	while (to && starts_with(js(to->host, "NetworkMode"), "container:"))
		to = ctr_mode_peer(to, js(to->host, "NetworkMode"));
	if (!to)
		return err_set(err, -EINVAL,
			       "could not get container for %s: the one whose network it shares is "
			       "gone",
			       name);
	if (!strcmp(js(to->host, "NetworkMode"), "host"))
		return err_set(err, -EINVAL,
			       "conflicting options: host type networking can't be used with "
			       "links. This would result in undefined behavior");
	if (!entry_of(c, alias))
		json_array_append_new(c->links, json_pack("{s:s, s:s, s:s}", "Id", to->id, "Name",
							  to->name, "Alias", alias));
	return 0;
}

int ctr_links_take(struct ctr *c, struct err *err)
{
	json_t *links = json_object_get(c->host, "Links"), *v;
	const char *mode = js(c->host, "NetworkMode");
	bool shares = starts_with(mode, "container:");
	size_t i;
	int rc = 0;

	if (json_array_size(links) && (shares || !strcmp(mode, "host")))
		return err_set(err, -EINVAL,
			       "conflicting options: %s can't be used with links. This would "
			       "result in undefined behavior",
			       shares ? "container type network" : "host type networking");
	if (!user_defined(mode))
		json_array_foreach (links, i, v)
			rc = rc ? rc : add(c, json_string_value(v), err);
	json_object_set_new(c->host, "Links", json_null());
	return rc;
}

/* The container that is meant, or NULL when it is gone. */
static struct ctr *target(const struct ctr *c, json_t *l)
{
	return map_get(&c->ctrs->by_id, js(l, "Id"));
}

static const char *target_name(const struct ctr *c, json_t *l)
{
	struct ctr *to = target(c, l);

	return to ? to->name : js(l, "Name");
}

json_t *ctr_links_json(const struct ctr *c)
{
	json_t *out, *l;
	size_t i;

	if (!json_array_size(c->links))
		return json_null();
	out = json_array();
	json_array_foreach (c->links, i, l)
		json_array_append_new(out, json_sprintf("/%s:/%s/%s", target_name(c, l), c->name,
							js(l, "Alias")));
	return out;
}

json_t *ctr_names_json(const struct ctr *c)
{
	json_t *out = json_pack("[o]", json_sprintf("/%s", c->name)), *l;
	struct ctr *from = NULL;
	size_t i;

	while ((from = ctrs_next(c->ctrs, from)))
		json_array_foreach (from->links, i, l)
			if (target(from, l) == c)
				json_array_append_new(
					out, json_sprintf("/%s/%s", from->name, js(l, "Alias")));
	return out;
}

/* The two sides of "[/]container/alias"; NULL when there is no such link. */
static struct ctr *find(struct ctrs *ctrs, const char *path, json_t **ret_link)
{
	_cleanup_free_ char *from = xstrdup(path + (*path == '/'));
	char *slash = strrchr(from, '/');
	struct ctr *c;

	if (!slash)
		return NULL;
	*slash = 0;
	c = map_get(&ctrs->by_name, from);
	*ret_link = c ? entry_of(c, slash + 1) : NULL;
	return *ret_link ? c : NULL;
}

struct ctr *ctr_link_find(struct ctrs *ctrs, const char *path)
{
	json_t *l;
	struct ctr *from = find(ctrs, path, &l);

	return from ? target(from, l) : NULL;
}

/* "alias hostname name", as a line of hosts has them. */
static char *host_names(struct ctr *to, const char *alias)
{
	bool same = !strcmp(alias, to->name);

	return xasprintf("%s %s%s%s", alias, js(to->config, "Hostname"), same ? "" : " ",
			 same ? "" : to->name);
}

static json_t *bridge_of(json_t *settings)
{
	return json_object_get(json_object_get(settings, "Networks"), "bridge");
}

/* Its address in the default bridge, or "". */
static void address(struct ctr *c, char dst[16])
{
	json_t *settings = ctr_network_settings(c);

	snprintf(dst, 16, "%s", js(bridge_of(settings), "IPAddress"));
	json_decref(settings);
}

static bool in_bridge(struct ctr *c)
{
	json_t *settings = ctr_network_settings(c);
	bool in = bridge_of(settings);

	json_decref(settings);
	return in;
}

int ctr_links_hosts(struct ctr *c, json_t *hosts, struct err *err)
{
	char ip[16];
	json_t *l;
	size_t i;

	if (!in_bridge(c))
		return 0;
	json_array_foreach (c->links, i, l) {
		_cleanup_free_ char *names = NULL;
		struct ctr *to = target(c, l);

		if (!to || !ctr_running(to))
			return err_set(err, -EINVAL,
				       "Cannot link to a non running container: /%s AS /%s/%s",
				       target_name(c, l), c->name, js(l, "Alias"));
		if (!in_bridge(to))
			return err_set(err, -EINVAL,
				       "Cannot link to /%s, as it does not belong to the default "
				       "network",
				       to->name);
		names = host_names(to, js(l, "Alias"));
		address(to, ip);
		if (*ip)
			json_array_append_new(hosts, json_sprintf("%s:%s", names, ip));
	}
	return 0;
}

static void change(struct ctr *from, struct ctr *to, json_t *l, const char *ip)
{
	_cleanup_free_ char *names = host_names(to, js(l, "Alias"));

	if (from->sandbox && from->sandbox_up)
		sandbox_hosts_change(from->sandbox, names, ip);
}

void ctr_links_moved(struct ctr *c)
{
	struct ctr *from = NULL;
	char ip[16] = "";
	json_t *l;
	size_t i;

	while ((from = ctrs_next(c->ctrs, from)))
		json_array_foreach (from->links, i, l) {
			if (target(from, l) != c)
				continue;
			if (!*ip)
				address(c, ip);
			if (*ip)
				change(from, c, l, ip);
		}
}

int ctr_link_remove(struct ctrs *ctrs, const char *path, struct err *err)
{
	json_t *l, *kept, *other;
	struct ctr *from, *to;
	size_t i;

	if (!strchr(path + 1, '/')) {
		if (!ctr_find(ctrs, path, err))
			return -ENOENT;
		return err_set(err, -EINVAL,
			       "Conflict, cannot remove the default link name of the container");
	}
	from = find(ctrs, path, &l);
	if (!from)
		return err_set(err, -ENOENT, "No such container: %s", path);
	to = target(from, l);
	if (to)
		change(from, to, l, NULL);
	kept = json_array();
	json_array_foreach (from->links, i, other)
		if (other != l)
			json_array_append(kept, other);
	json_decref(from->links);
	from->links = kept;
	return ctr_save(from, err);
}

/* --- environment --- */

struct port {
	int number;
	const char *proto; /* in the key that it was read from */
};

static int by_number(const void *a, const void *b)
{
	const struct port *p = a, *q = b;

	return p->number != q->number ? p->number - q->number : strcmp(p->proto, q->proto);
}

/* "80/tcp" …, in order; the caller's. */
static struct port *ports_of(struct ctr *to, size_t *ret_n)
{
	json_t *exposed = json_object_get(to->config, "ExposedPorts"), *v;
	struct port *p = xcalloc(json_object_size(exposed) + 1, sizeof(*p));
	const char *key;
	size_t n = 0;

	json_object_foreach (exposed, key, v) {
		const char *slash = strchr(key, '/');

		p[n++] = (struct port){atoi(key), slash ? slash + 1 : "tcp"};
	}
	qsort(p, n, sizeof(*p), by_number);
	*ret_n = n;
	return p;
}

static void upper(char *s)
{
	for (; *s; s++)
		*s = *s == '-' ? '_' : toupper((unsigned char)*s);
}

/* The index of the last port of those that follow p[i] without a gap. */
static size_t run_end(const struct port *p, size_t n, size_t i)
{
	while (i + 1 < n && p[i + 1].number <= p[i].number + 1)
		i++;
	return i;
}

static void port_vars(json_t *env, const char *alias, const char *ip, const struct port *p,
		      size_t n)
{
	if (n)
		json_array_append_new(env, json_sprintf("%s_PORT=%s://%s:%d", alias, p[0].proto, ip,
							p[0].number));
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *name =
			xasprintf("%s_PORT_%d_%s", alias, p[i].number, p[i].proto);
		size_t last = run_end(p, n, i);
		bool first = !i || run_end(p, n, i - 1) == i - 1;

		upper(name);
		if (first && last > i + 1) {
			_cleanup_free_ char *end =
				xasprintf("%s_PORT_%d_%s", alias, p[last].number, p[last].proto);

			upper(end);
			json_array_append_new(env, json_sprintf("%s_START=%s://%s:%d", name,
								p[i].proto, ip, p[i].number));
			json_array_append_new(env,
					      json_sprintf("%s_PORT_START=%d", name, p[i].number));
			json_array_append_new(env, json_sprintf("%s_END=%s://%s:%d", end,
								p[last].proto, ip, p[last].number));
			json_array_append_new(env,
					      json_sprintf("%s_PORT_END=%d", end, p[last].number));
		}
		json_array_append_new(
			env, json_sprintf("%s=%s://%s:%d", name, p[i].proto, ip, p[i].number));
		json_array_append_new(env, json_sprintf("%s_ADDR=%s", name, ip));
		json_array_append_new(env, json_sprintf("%s_PORT=%d", name, p[i].number));
		json_array_append_new(env, json_sprintf("%s_PROTO=%s", name, p[i].proto));
	}
}

static void link_vars(json_t *env, struct ctr *c, struct ctr *to, const char *link)
{
	_cleanup_free_ char *alias = xstrdup(link);
	_cleanup_free_ struct port *ports = NULL;
	char ip[16];
	json_t *v;
	size_t n, i;

	upper(alias);
	address(to, ip);
	ports = ports_of(to, &n);
	port_vars(env, alias, ip, ports, n);
	json_array_append_new(env, json_sprintf("%s_NAME=/%s/%s", alias, c->name, link));
	json_array_foreach (json_object_get(to->config, "Env"), i, v) {
		const char *s = json_string_value(v);

		if (strchr(s, '=') && !starts_with(s, "HOME=") && !starts_with(s, "PATH="))
			json_array_append_new(env, json_sprintf("%s_ENV_%s", alias, s));
	}
}

json_t *ctr_config_linked(struct ctr *c)
{
	json_t *config = json_deep_copy(c->config), *own = json_object_get(config, "Env"), *env, *l;
	size_t i;

	if (!json_array_size(c->links) || !in_bridge(c))
		return config;
	env = json_array();
	json_array_foreach (c->links, i, l)
		if (target(c, l) && ctr_running(target(c, l)))
			link_vars(env, c, target(c, l), js(l, "Alias"));
	/* its own go over these */
	for (i = json_array_size(env); i--;)
		if (ctr_env_has(own, json_string_value(json_array_get(env, i))))
			json_array_remove(env, i);
	if (json_is_array(own))
		json_array_extend(env, own);
	json_object_set_new(config, "Env", env);
	return config;
}
