// SPDX-License-Identifier: Apache-2.0
/*
 * A volume driver for tests: each volume is a folder below KEEPER_ROOT (default /mnt/keeper). Every
 * call is noted as a line "METHOD NAME ID" in the file calls there. One connection at a time; static,
 * so that it is a plugin's whole root file system.
 * usage: keeper SOCKET
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { REQUEST_MAX = 65536 };

static const char *root = "/mnt/keeper";

/* The string value of a key in flat JSON; "" when absent. Tests use no escapes. */
static void field(const char *json, const char *key, char *ret, size_t size)
{
	char quoted[64];
	const char *p;
	size_t n = 0;

	snprintf(quoted, sizeof(quoted), "\"%s\":\"", key);
	p = strstr(json, quoted);
	for (p = p ? p + strlen(quoted) : ""; *p && *p != '"' && n < size - 1; p++)
		ret[n++] = *p;
	ret[n] = 0;
}

static void note(const char *method, const char *name, const char *id)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/calls", root);
	f = fopen(path, "a");
	if (!f)
		return;
	fprintf(f, "%s %s %s\n", method, name, id);
	fclose(f);
}

static void list(char *out, size_t size)
{
	size_t n = snprintf(out, size, "{\"Volumes\":[");
	DIR *d = opendir(root);
	struct dirent *e;
	int more = 0;

	while (d && (e = readdir(d)) && n + 600 < size) {
		if (e->d_name[0] == '.' || e->d_type != DT_DIR)
			continue;
		n += snprintf(out + n, size - n,
			      "%s{\"Name\":\"%.100s\",\"Mountpoint\":\"%s/%.100s\"}",
			      more ? "," : "", e->d_name, root, e->d_name);
		more = 1;
	}
	if (d)
		closedir(d);
	snprintf(out + n, size - n, "]}");
}

/* One call; the status of the answer. */
static int answer(const char *method, const char *body, char *out, size_t size)
{
	char name[128], id[128], path[512];
	struct stat st;
	int is_there;

	field(body, "Name", name, sizeof(name));
	field(body, "ID", id, sizeof(id));
	snprintf(path, sizeof(path), "%s/%s", root, name);
	is_there = *name && !stat(path, &st);
	snprintf(out, size, "{}");
	if (!strcmp(method, "Plugin.Activate")) {
		snprintf(out, size, "{\"Implements\":[\"VolumeDriver\"]}");
		return 200;
	}
	note(method + strcspn(method, ".") + 1, name, id);
	if (!strcmp(method, "VolumeDriver.Capabilities"))
		snprintf(out, size, "{\"Capabilities\":{\"Scope\":\"global\"}}");
	else if (!strcmp(method, "VolumeDriver.List"))
		list(out, size);
	else if (!strcmp(method, "VolumeDriver.Create")) {
		if (!strcmp(name, "refused") || strstr(body, "\"size\":\"huge\"") ||
		    (mkdir(path, 0755) && errno != EEXIST))
			snprintf(out, size, "{\"Err\":\"no room for %s\"}", name);
	} else if (!is_there) {
		snprintf(out, size, "{\"Err\":\"keeper has no %s\"}", name);
		return 500;
	} else if (!strcmp(method, "VolumeDriver.Get")) {
		snprintf(out, size,
			 "{\"Volume\":{\"Name\":\"%s\",\"Mountpoint\":\"%s\",\"Status\":{\"kept\":"
			 "\"yes\"}}}",
			 name, path);
	} else if (!strcmp(method, "VolumeDriver.Remove")) {
		if (rmdir(path))
			snprintf(out, size, "{\"Err\":\"%s is not empty\"}", name);
	} else if (!strcmp(method, "VolumeDriver.Mount") && !strcmp(name, "away")) {
		snprintf(out, size, "{\"Mountpoint\":\"/mnt/keeper/../../../../etc\"}");
	} else if (strcmp(method, "VolumeDriver.Unmount")) { /* Mount and Path */
		snprintf(out, size, "{\"Mountpoint\":\"%s\"}", path);
	}
	return 200;
}

static void serve(int fd)
{
	static char in[REQUEST_MAX + 1], out[REQUEST_MAX], head[256];
	size_t have = 0, want = 0;
	char *body = NULL, method[128] = "";
	const char *length;
	int status;

	while (have < REQUEST_MAX) {
		ssize_t n = read(fd, in + have, REQUEST_MAX - have);

		if (n <= 0)
			return;
		have += n;
		in[have] = 0;
		body = strstr(in, "\r\n\r\n");
		if (!body)
			continue;
		length = strcasestr(in, "\r\nContent-Length:");
		want = length ? strtoul(length + 17, NULL, 10) : 0;
		body += 4;
		if (in + have >= body + want)
			break;
	}
	if (!body || sscanf(in, "POST /%127s", method) != 1)
		return;
	status = answer(method, body, out, sizeof(out));
	snprintf(head, sizeof(head),
		 "HTTP/1.1 %d x\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
		 "Connection: close\r\n\r\n",
		 status, strlen(out));
	(void)!write(fd, head, strlen(head));
	(void)!write(fd, out, strlen(out));
}

static void on_term(int sig)
{
	(void)sig;
	_exit(0);
}

int main(int argc, char **argv)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (argc < 2 || strlen(argv[1]) >= sizeof(addr.sun_path))
		return 2;
	if (getenv("KEEPER_ROOT"))
		root = getenv("KEEPER_ROOT");
	if (getenv("KEEPER_FAIL") && !strcmp(getenv("KEEPER_FAIL"), "1"))
		return 3;
	signal(SIGTERM, on_term);
	signal(SIGPIPE, SIG_IGN);
	mkdir(root, 0755);
	unlink(argv[1]);
	strcpy(addr.sun_path, argv[1]);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 16)) {
		perror(argv[1]);
		return 1;
	}
	printf("keeper: serving %s\n", root);
	fflush(stdout);
	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c < 0)
			continue;
		serve(c);
		close(c);
	}
}
