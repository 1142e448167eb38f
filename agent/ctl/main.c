// SPDX-License-Identifier: Apache-2.0
/*
 * swarmctl: shows of an agent what Docker has no words for (api/agent.c, api/datapath.c), as text or
 * JSON.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/buf.h"
#include "core/err.h"

enum { REPLY_MAX = 256 << 20, HEAD_MAX = 64 << 10 };

struct column {
	const char *key, *title;
};

struct command {
	const char *name, *path;
	const char *list; /* member of the reply that is the list; NULL: the reply itself */
	const char *help;
	struct column columns[10];
	bool (*wanted)(json_t *row);
	void (*print)(json_t *reply); /* instead of a table */
	int (*status)(json_t *reply); /* to exit with; NULL: 0 */
	bool stream; /* print() gets one line after the other until the agent ends */
};

static bool is_drop(json_t *row)
{
	const char *reason = json_string_value(json_object_get(row, "reason"));

	return reason && starts_with(reason, "DROP") &&
	       json_integer_value(json_object_get(row, "packets"));
}

static int differences_left(json_t *reply)
{
	json_t *d;
	size_t i;

	json_array_foreach (json_object_get(reply, "differences"), i, d)
		if (!json_is_true(json_object_get(d, "mended")))
			return 1;
	return 0;
}

/* Each in a sentence. */
static void print_differences(json_t *reply)
{
	json_t *list = json_object_get(reply, "differences"), *d;
	size_t i;

	json_array_foreach (list, i, d) {
		const char *error = json_string_value(json_object_get(d, "error"));
		const char *text = json_string_value(json_object_get(d, "text"));

		if (error)
			printf("%s: cannot be mended: %s\n", text, error);
		else if (json_is_true(json_object_get(d, "mended")))
			printf("%s: mended\n", text);
		else
			printf("%s\n", text);
	}
	if (json_is_true(json_object_get(reply, "syncing")))
		printf("what a former agent has left is judged within a minute of hearing from a "
		       "manager\n");
	if (!json_array_size(list))
		printf("the kernel has all %lld items as they shall be\n",
		       (long long)json_integer_value(json_object_get(reply, "checked")));
}

static void print_event(json_t *e)
{
	const char *time = json_string_value(json_object_get(e, "time"));
	/* of 2026-01-02T03:04:05.123456789Z */
	int from = time && strlen(time) > 23 ? 11 : 0;

	printf("%.12s %-6s %s\n", time ? time + from : "",
	       json_string_value(json_object_get(e, "event")),
	       json_string_value(json_object_get(e, "text")));
}

static const struct command commands[] = {
	{"datapath status",
	 "/agent/datapath",
	 NULL,
	 "the datapath and how much it holds",
	 {{NULL, NULL}},
	 NULL,
	 NULL,
	 NULL,
	 false},
	{"datapath networks",
	 "/agent/datapath",
	 "networks",
	 "overlay and ingress networks",
	 {{"vni", "VNI"},
	  {"mtu", "MTU"},
	  {"gateway", "GATEWAY"},
	  {"node_addr", "NODE"},
	  {"flags", "FLAGS"}},
	 NULL,
	 NULL,
	 NULL,
	 false},
	{"datapath peers",
	 "/agent/datapath",
	 "peers",
	 "other nodes that VXLAN is taken from",
	 {{"vtep", "VTEP"}},
	 NULL,
	 NULL,
	 NULL,
	 false},
	{"datapath endpoints",
	 "/agent/datapath",
	 "endpoints",
	 "containers, here and on other nodes",
	 {{"vni", "VNI"},
	  {"addr", "ADDRESS"},
	  {"mac", "MAC"},
	  {"ifindex", "IFINDEX"},
	  {"node", "NODE"}},
	 NULL,
	 NULL,
	 NULL,
	 false},
	{"datapath services",
	 "/agent/datapath",
	 "services",
	 "virtual addresses and published ports",
	 {{"kind", "KIND"},
	  {"vni", "VNI"},
	  {"vip", "VIP"},
	  {"proto", "PROTO"},
	  {"published", "PORT"},
	  {"target", "TARGET"},
	  {"backends", "BACKENDS"}},
	 NULL,
	 NULL,
	 NULL,
	 false},
	{"datapath backends",
	 "/agent/datapath/backends",
	 NULL,
	 "containers that services are balanced to, with their shares",
	 {{"kind", "KIND"},
	  {"vni", "VNI"},
	  {"vip", "VIP"},
	  {"proto", "PROTO"},
	  {"published", "PORT"},
	  {"addr", "BACKEND"},
	  {"weight", "WEIGHT"},
	  {"draining", "DRAINING"},
	  {"slots", "SLOTS"},
	  {"of", "OF"}},
	 NULL,
	 NULL,
	 NULL,
	 false},
	{"datapath flows",
	 "/agent/datapath/flows",
	 NULL,
	 "connections that are being balanced",
	 {{"kind", "KIND"},
	  {"vni", "VNI"},
	  {"proto", "PROTO"},
	  {"src", "SOURCE"},
	  {"sport", "PORT"},
	  {"dst", "DESTINATION"},
	  {"dport", "PORT"},
	  {"to", "TO"}},
	 NULL,
	 NULL,
	 NULL,
	 false},
	{"datapath stats",
	 "/agent/datapath/stats",
	 NULL,
	 "packets by what became of them",
	 {{"packets", "PACKETS"}, {"bytes", "BYTES"}, {"reason", "REASON"}, {"text", "MEANING"}},
	 NULL,
	 NULL,
	 NULL,
	 false},
	{"datapath drops",
	 "/agent/datapath/stats",
	 NULL,
	 "packets that were dropped, and why",
	 {{"packets", "PACKETS"}, {"bytes", "BYTES"}, {"reason", "REASON"}, {"text", "MEANING"}},
	 is_drop,
	 NULL,
	 NULL,
	 false},
	{"datapath events",
	 "/agent/datapath/events",
	 NULL,
	 "changes, drops and new flows as they happen, until Ctrl-C",
	 {{NULL, NULL}},
	 NULL,
	 print_event,
	 NULL,
	 true},
	{"datapath verify",
	 "/agent/datapath/verify",
	 NULL,
	 "compare the kernel with the agent; --repair mends it",
	 {{NULL, NULL}},
	 NULL,
	 print_differences,
	 differences_left,
	 false},
	{"raft status",
	 "/agent/raft",
	 NULL,
	 "term, indexes and leader of this member",
	 {{NULL, NULL}},
	 NULL,
	 NULL,
	 NULL,
	 false},
	{"raft members",
	 "/agent/raft",
	 "members",
	 "members of raft",
	 {{"raft_id", "ID"},
	  {"node_id", "NODE"},
	  {"addr", "ADDRESS"},
	  {"leader", "LEADER"},
	  {"reachable", "REACHABLE"}},
	 NULL,
	 NULL,
	 NULL,
	 false},
	{"pending",
	 "/agent/pending",
	 NULL,
	 "tasks that wait for a node, and why",
	 {{"service", "SERVICE"}, {"slot", "SLOT"}, {"task", "TASK"}, {"reason", "REASON"}},
	 NULL,
	 NULL,
	 NULL,
	 false},
};

static void usage(FILE *out)
{
	fprintf(out, "usage: swarmctl [-H unix://PATH] [--json] COMMAND [--repair]\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-20s %s\n", commands[i].name, commands[i].help);
}

/* Ask over HTTP/1.0, whose reply ends with the connection. Returns a descriptor to read it from. */
static int ask(const char *socket_path, const char *method, const char *path, struct err *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_free_ char *req = xasprintf("%s %s HTTP/1.0\r\nHost: agent\r\n\r\n", method, path);

	if (strlen(socket_path) >= sizeof(sa.sun_path))
		return err_set(err, -ENAMETOOLONG, "%s is too long for a socket's path",
			       socket_path);
	strcpy(sa.sun_path, socket_path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		return err_errno(err, -errno, "cannot reach the agent at %s; is it running?",
				 socket_path);
	if (write(fd, req, strlen(req)) != (ssize_t)strlen(req))
		return err_errno(err, -EIO, "cannot ask the agent at %s", socket_path);
	return steal_fd(fd);
}

/* The reply's head; what has come of its body is left in *ret_body. */
static int read_head(int fd, struct buf *ret_body, int *ret_status, struct err *err)
{
	_cleanup_buf_ struct buf reply = BUF_INIT;
	char chunk[4096], *body = NULL;
	ssize_t n;

	while (!body && reply.len < HEAD_MAX && (n = read(fd, chunk, sizeof(chunk))) > 0) {
		buf_add(&reply, chunk, n);
		body = strstr(reply.data, "\r\n\r\n");
	}
	if (!body || sscanf(reply.data, "HTTP/1.%*d %d", ret_status) != 1)
		return err_set(err, -EPROTO, "the agent gave no answer");
	body += 4;
	buf_add(ret_body, body, reply.data + reply.len - body);
	return 0;
}

static void read_all(int fd, struct buf *body)
{
	char chunk[65536];
	ssize_t n;

	while (body->len < REPLY_MAX && (n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(body, chunk, n);
}

/* Lines of JSON, each printed when it has come. */
static void follow(const struct command *c, int fd, struct buf *body, bool as_json)
{
	char chunk[65536], *end;
	ssize_t n;

	do {
		while (body->len && (end = memchr(body->data, '\n', body->len))) {
			size_t len = end - body->data;
			json_t *line = json_loadb(body->data, len, 0, NULL);

			if (as_json)
				printf("%.*s\n", (int)(end - body->data), body->data);
			else if (line)
				c->print(line);
			json_decref(line);
			buf_consume(body, len + 1);
		}
		fflush(stdout);
		n = read(fd, chunk, sizeof(chunk));
		if (n > 0)
			buf_add(body, chunk, n);
	} while (n > 0 && body->len < REPLY_MAX);
}

static char *text_of(json_t *v)
{
	if (json_is_string(v))
		return xstrdup(json_string_value(v));
	if (json_is_array(v) && json_array_size(v) == 0)
		return xstrdup("-");
	return v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : xstrdup("-");
}

/* Columns as wide as their widest cell. */
static void print_table(const struct command *c, json_t *rows)
{
	size_t width[ARRAY_SIZE(c->columns)] = {0}, n = 0, i;
	json_t *row;

	while (n < ARRAY_SIZE(c->columns) && c->columns[n].key)
		n++;
	for (size_t k = 0; k < n; k++)
		width[k] = strlen(c->columns[k].title);
	for (int pass = 0; pass < 2; pass++) {
		for (size_t k = 0; pass && k < n; k++)
			printf("%-*s%s", k + 1 < n ? (int)width[k] : 0, c->columns[k].title,
			       k + 1 < n ? "  " : "\n");
		json_array_foreach (rows, i, row) {
			if (c->wanted && !c->wanted(row))
				continue;
			for (size_t k = 0; k < n; k++) {
				_cleanup_free_ char *cell =
					text_of(json_object_get(row, c->columns[k].key));

				if (pass)
					printf("%-*s%s", k + 1 < n ? (int)width[k] : 0, cell,
					       k + 1 < n ? "  " : "\n");
				else
					width[k] = max(width[k], strlen(cell));
			}
		}
	}
}

/* A line a member; of lists their length. */
static void print_object(json_t *o)
{
	const char *key;
	json_t *v;

	json_object_foreach (o, key, v) {
		_cleanup_free_ char *text =
			json_is_array(v) ? xasprintf("%zu", json_array_size(v)) : text_of(v);

		printf("%-12s %s\n", key, text);
	}
}

static void show(const struct command *c, json_t *reply, bool as_json)
{
	json_t *what = c->list ? json_object_get(reply, c->list) : reply;

	if (as_json) {
		json_dumpf(what, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
		putchar('\n');
	} else if (c->print) {
		c->print(what);
	} else if (c->columns[0].key) {
		print_table(c, what);
	} else {
		print_object(what);
	}
}

/* What the agent refuses, or a reply that is none. */
static int refused(json_t *reply)
{
	const char *why = json_string_value(json_object_get(reply, "message"));

	fprintf(stderr, "swarmctl: %s\n", why ? why : "the agent's answer is no JSON");
	json_decref(reply);
	return 1;
}

/* Ask and show. Returns the exit status. */
static int run(const struct command *c, const char *socket_path, const char *method, bool as_json)
{
	_cleanup_buf_ struct buf body = BUF_INIT;
	struct err err = ERR_INIT;
	_cleanup_close_ int fd = ask(socket_path, method, c->path, &err);
	json_t *reply;
	int status, rc;

	if (fd < 0 || read_head(fd, &body, &status, &err)) {
		fprintf(stderr, "swarmctl: %s\n", err.msg);
		return 1;
	}
	if (c->stream && status == 200) {
		follow(c, fd, &body, as_json);
		return 0;
	}
	read_all(fd, &body);
	reply = json_loadb(body.data, body.len, JSON_DECODE_ANY, NULL);
	if (status != 200 || !reply)
		return refused(reply);
	show(c, reply, as_json);
	rc = c->status ? c->status(reply) : 0;
	json_decref(reply);
	return rc;
}

static const struct command *find(int argc, char **argv)
{
	_cleanup_free_ char *name = argc == 1	? xstrdup(argv[0])
				    : argc == 2 ? xasprintf("%s %s", argv[0], argv[1])
						: NULL;

	for (size_t i = 0; name && i < ARRAY_SIZE(commands); i++)
		if (streq(commands[i].name, name))
			return &commands[i];
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"host", required_argument, NULL, 'H'}, {"json", no_argument, NULL, 'j'},
		{"repair", no_argument, NULL, 'r'},	{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},	{NULL, 0, NULL, 0},
	};
	const char *host = getenv("DOCKER_HOST");
	const struct command *c;
	bool as_json = false, mend = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "H:jhv", options, NULL)) != -1) {
		switch (opt) {
		case 'H':
			host = optarg;
			break;
		case 'j':
			as_json = true;
			break;
		case 'r':
			mend = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'v':
			printf("swarmctl version %s\n", SWARM_VERSION);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	c = find(argc - optind, argv + optind);
	if (!c || (mend && !streq(c->name, "datapath verify"))) {
		usage(stderr);
		return 2;
	}
	if (str_empty(host))
		host = "unix:///var/run/docker.sock";
	if (!starts_with(host, "unix://")) {
		fprintf(stderr, "swarmctl: %s is no unix socket: use -H unix://PATH\n", host);
		return 2;
	}
	return run(c, host + 7, mend ? "POST" : "GET", as_json);
}
