// SPDX-License-Identifier: Apache-2.0
/*
 * hosts, resolv.conf and hostname of a container. They are written in place, since a running
 * container has them mounted. Source: moby libnetwork sandbox_dns_unix.go, resolvconf.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "disk/file.h"
#include "net/sandbox_impl.h"

enum { NODE_FILE_MAX_SIZE = 1 << 20 };

static void add_file(struct netns_job *job, const struct sandbox *sb, const char *name,
		     struct buf *text)
{
	struct netns_file *f;

	job->files = xrealloc(job->files, (job->n_files + 1) * sizeof(*f));
	f = &job->files[job->n_files++];
	f->path = xasprintf("%s/%s", sb->dir, name);
	f->text = buf_steal(text, NULL);
}

static void add_extra_hosts(const struct sandbox *sb, struct buf *b)
{
	json_t *v;
	size_t i;

	json_array_foreach (sb->extra_hosts, i, v) {
		const char *s = json_string_value(v), *colon = strchr(s ? s : "", ':');
		struct network *docker0;
		char gw[16];

		if (!colon)
			continue;
		if (!streq(colon + 1, "host-gateway")) {
			buf_printf(b, "%s\t%.*s\n", colon + 1, (int)(colon - s), s);
			continue;
		}
		docker0 = nets_find(sb->nets, "bridge", NULL);
		if (docker0)
			buf_printf(b, "%s\t%.*s\n", ip_format(docker0->gateway, gw),
				   (int)(colon - s), s);
	}
}

/* The container's own names, one line for each address. */
static void add_own_hosts(const struct sandbox *sb, struct buf *b)
{
	_cleanup_free_ char *full =
		xasprintf("%s%s%s", sb->hostname, *sb->domainname ? "." : "", sb->domainname);
	const char *dot = strchr(full, '.');
	const struct endpoint *e;
	char ip[INET6_ADDRSTRLEN];

	list_for_each (e, &sb->endpoints, in_sandbox) {
		struct in6_addr ips[] = {inaddr_of_u32(e->ip), e->ip6};

		if (!e->ip || e->hidden || e->network->ingress || !*sb->hostname)
			continue;
		for (int i = 0; i < 2 && !inaddr_is_zero(&ips[i]); i++) {
			buf_printf(b, "%s\t%s", inaddr_format(&ips[i], ip), full);
			if (dot)
				buf_printf(b, " %.*s", (int)(dot - full), full);
			buf_char(b, '\n');
		}
	}
}

/* Is it a line as add_own_hosts() makes them? */
static bool own_line(const struct sandbox *sb, const char *line, size_t len)
{
	size_t n = strlen(sb->hostname);
	const char *tab = memchr(line, '\t', len);

	if (!n || !tab || (size_t)(line + len - tab) < n + 1)
		return false;
	return !strncmp(tab + 1, sb->hostname, n) &&
	       (tab[1 + n] == '.' || tab[1 + n] == ' ' || tab + 1 + n == line + len);
}

/* Calls fn for each line of the hosts file there is, without its end. False: there is none. */
static bool each_host(const struct sandbox *sb, void (*fn)(const char *line, size_t len, void *arg),
		      void *arg)
{
	_cleanup_free_ char *path = xasprintf("%s/hosts", sb->dir);
	_cleanup_buf_ struct buf old = BUF_INIT;

	if (file_read(path, NODE_FILE_MAX_SIZE, &old, NULL))
		return false;
	for (const char *line = old.data; *line;) {
		size_t len = strcspn(line, "\n");

		fn(line, len, arg);
		line += len + (line[len] == '\n');
	}
	return true;
}

struct hosts {
	const struct sandbox *sb;
	struct buf *out;
	const char *names, *ip; /* of the line to change */
};

static void keep_host(const char *line, size_t len, void *arg)
{
	struct hosts *h = arg;

	if (own_line(h->sb, line, len))
		return;
	buf_add(h->out, line, len);
	buf_char(h->out, '\n');
}

/* A running container may have added lines of its own, which stay. */
static bool kept_hosts(const struct sandbox *sb, struct buf *b)
{
	struct hosts h = {.sb = sb, .out = b};

	return each_host(sb, keep_host, &h);
}

static void change_host(const char *line, size_t len, void *arg)
{
	struct hosts *h = arg;
	const char *tab = memchr(line, '\t', len);

	if (!tab || (size_t)(line + len - tab - 1) != strlen(h->names) ||
	    strncmp(tab + 1, h->names, strlen(h->names)))
		buf_add(h->out, line, len);
	else if (h->ip)
		buf_printf(h->out, "%s\t%s", h->ip, h->names);
	else
		return;
	buf_char(h->out, '\n');
}

void sandbox_hosts_line(const struct sandbox *sb, struct netns_job *job, const char *names,
			const char *ip)
{
	struct buf b = BUF_INIT;
	struct hosts h = {sb, &b, names, ip};

	if (!str_empty(sb->dir) && each_host(sb, change_host, &h))
		add_file(job, sb, "hosts", &b);
	else
		buf_done(&b);
}

static void hosts_file(const struct sandbox *sb, bool live, struct buf *b)
{
	if (sb->host) {
		file_read("/etc/hosts", NODE_FILE_MAX_SIZE, b, NULL);
		add_extra_hosts(sb, b);
		return;
	}
	if (!live || !kept_hosts(sb, b)) {
		buf_str(b, "127.0.0.1\tlocalhost\n"
			   "::1\tlocalhost ip6-localhost ip6-loopback\n"
			   "fe00::\tip6-localnet\n"
			   "ff00::\tip6-mcastprefix\n"
			   "ff02::1\tip6-allnodes\n"
			   "ff02::2\tip6-allrouters\n");
		add_extra_hosts(sb, b);
	}
	add_own_hosts(sb, b);
}

/* What the node's resolv.conf says; with systemd-resolved's stub alone, what stands behind it. */
static void node_resolv_conf(struct buf *b)
{
	if (file_read("/etc/resolv.conf", NODE_FILE_MAX_SIZE, b, NULL))
		buf_reset(b);
	if (strstr(b->data, "nameserver 127.0.0.53")) {
		struct buf real = BUF_INIT;

		if (!file_read("/run/systemd/resolve/resolv.conf", NODE_FILE_MAX_SIZE, &real,
			       NULL)) {
			buf_done(b);
			*b = real;
		}
	}
}

/* The words behind a keyword at the beginning of lines, appended to an array of strings. */
static void words_of(const char *text, const char *keyword, json_t *out)
{
	size_t n = strlen(keyword);

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *p = line, *end = line + strcspn(line, "\n#;");

		if (strncmp(p, keyword, n) || (p[n] != ' ' && p[n] != '\t'))
			continue;
		for (p += n; p < end;) {
			size_t skip = strspn(p, " \t\r"), len;

			p += skip;
			len = strcspn(p, " \t\r\n#;");
			if (p + len > end || !len)
				break;
			json_array_append_new(out, json_stringn(p, len));
			p += len;
		}
	}
}

json_t *node_resolvers(bool loopback_too, bool six_too)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_t *all = json_array(), *out = json_array(), *v;
	size_t i;

	if (loopback_too)
		file_read("/etc/resolv.conf", NODE_FILE_MAX_SIZE, &text, NULL);
	else
		node_resolv_conf(&text);
	words_of(text.data, "nameserver", all);
	json_array_foreach (all, i, v) {
		const char *s = json_string_value(v);
		struct in6_addr a;

		if (!inaddr_parse(s ? s : "", &a) && (loopback_too || !inaddr_is_loopback(&a)) &&
		    (six_too || inaddr_is4(&a)))
			json_array_append(out, v);
	}
	json_decref(all);
	return out;
}

static json_t *list_of(char *const *list)
{
	json_t *a = json_array();

	for (; list && *list; list++)
		json_array_append_new(a, json_string(*list));
	return a;
}

/* The container's own, else the daemon's, else the node's. */
static json_t *setting(json_t *own, char *const *daemons, const char *text, const char *keyword)
{
	json_t *a;

	if (json_array_size(own))
		return json_incref(own);
	if (daemons && daemons[0])
		return list_of(daemons);
	a = json_array();
	words_of(text, keyword, a);
	return a;
}

static void line(struct buf *b, const char *keyword, json_t *words)
{
	json_t *v;
	size_t i;

	if (!json_array_size(words))
		return;
	buf_str(b, keyword);
	json_array_foreach (words, i, v)
		buf_printf(b, " %s", json_string_value(v) ? json_string_value(v) : "");
	buf_char(b, '\n');
}

static void resolv_file(const struct sandbox *sb, struct buf *b)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const struct nets_options *o = &sb->nets->opt;
	json_t *search, *opts, *options, *servers = NULL, *v;
	size_t i;

	node_resolv_conf(&text);
	search = setting(sb->dns_search, o->dns_search, text.data, "search");
	opts = setting(sb->dns_options, o->dns_opts, text.data, "options");
	options = json_copy(opts);
	json_decref(opts);
	if (sandbox_has_dns(sb)) {
		servers = json_pack("[s]", "127.0.0.11");
		/* a bare name is asked for as it is first: it is one of ours more often than not */
		json_array_append_new(options, json_string("ndots:0"));
	} else if (json_array_size(sb->dns)) {
		servers = json_incref(sb->dns);
	} else if (o->dns && o->dns[0]) {
		servers = list_of(o->dns);
	} else {
		servers = node_resolvers(sb->host, sb->host || sandbox_gateway6(sb));
		if (!json_array_size(servers) && !sb->host) {
			json_array_append_new(servers, json_string("8.8.8.8"));
			json_array_append_new(servers, json_string("8.8.4.4"));
		}
	}
	json_array_foreach (servers, i, v)
		buf_printf(b, "nameserver %s\n", json_string_value(v));
	if (!(json_array_size(search) == 1 &&
	      streq(json_string_value(json_array_get(search, 0)), ".")))
		line(b, "search", search);
	line(b, "options", options);
	json_decref(search);
	json_decref(options);
	json_decref(servers);
}

void sandbox_files(struct sandbox *sb, struct netns_job *job, bool live)
{
	struct buf b = BUF_INIT;

	if (str_empty(sb->dir))
		return;
	hosts_file(sb, live, &b);
	add_file(job, sb, "hosts", &b);
	buf_init(&b);
	resolv_file(sb, &b);
	add_file(job, sb, "resolv.conf", &b);
	if (live)
		return;
	buf_init(&b);
	buf_printf(&b, "%s\n", sb->hostname);
	add_file(job, sb, "hostname", &b);
}
