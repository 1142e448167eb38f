// SPDX-License-Identifier: Apache-2.0
/*
 * Legacy plugins: a socket below /run/docker/plugins, or a file below /etc/docker/plugins or
 * /usr/lib/docker/plugins with an address (NAME.spec) or a description (NAME.json).
 * Source: docs.docker.com/engine/extend/plugin_api "Plugin discovery"; moby pkg/plugins/discovery.go.
 */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "disk/file.h"
#include "plugin/plugin_impl.h"

enum { FILE_MAX = 64 << 10, NAMES_MAX = 100 };

#define SOCKETS "/run/docker/plugins"
static const char *const spec_dirs[] = {"/etc/docker/plugins", "/usr/lib/docker/plugins"};

static bool name_valid(const char *name)
{
	return *name && *name != '.' && strlen(name) < 200 && !strchr(name, '/') &&
	       !strchr(name, ':');
}

static bool is_socket(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISSOCK(st.st_mode);
}

/* DIR/NAME.EXT or DIR/NAME/NAME.EXT; malloc'd path of the one that is there. */
static char *find_file(const char *dir, const char *name, const char *ext)
{
	char *path = xasprintf("%s/%s%s", dir, name, ext);

	if (!access(path, F_OK))
		return path;
	free(path);
	path = xasprintf("%s/%s/%s%s", dir, name, name, ext);
	if (!access(path, F_OK))
		return path;
	free(path);
	return NULL;
}

static char *read_address(const char *path, bool json)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	char *address;
	json_t *doc;

	if (file_read(path, FILE_MAX, &text, NULL))
		return NULL;
	if (json) {
		doc = json_loadb(text.data, text.len, 0, NULL);
		address = xstrdup(json_string_value(json_member(doc, "Addr")));
		json_decref(doc);
	} else {
		size_t skip = strspn(text.data, " \t\r\n");

		address = xstrndup(text.data + skip, strcspn(text.data + skip, " \t\r\n"));
	}
	if (str_empty(address) || !strstr(address, "://")) {
		free(address);
		return NULL;
	}
	return address;
}

char *legacy_find(const char *name)
{
	char *path, *address = NULL;

	if (!name_valid(name))
		return NULL;
	path = find_file(SOCKETS, name, ".sock");
	if (path && is_socket(path))
		address = xasprintf("unix://%s", path);
	free(path);
	for (size_t i = 0; !address && i < 2 * ARRAY_SIZE(spec_dirs); i++) {
		path = find_file(spec_dirs[i / 2], name, i % 2 ? ".json" : ".spec");
		if (path)
			address = read_address(path, i % 2);
		free(path);
	}
	return address;
}

/* Names of the files in a folder and in folders of the same name. */
static void scan(json_t *out, const char *dir, const char *const ext[], bool sockets)
{
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d)) && json_array_size(out) < NAMES_MAX) {
		char *dot = strrchr(e->d_name, '.');
		_cleanup_free_ char *name = dot ? xstrndup(e->d_name, dot - e->d_name)
						: xstrdup(e->d_name),
				    *path = NULL;
		bool known = false;
		json_t *v;
		size_t i;

		if (!name_valid(name))
			continue;
		for (i = 0; !path && ext[i]; i++)
			if (!dot || !strcmp(dot, ext[i]))
				path = find_file(dir, name, ext[i]);
		json_array_foreach (out, i, v)
			known |= !strcmp(json_string_value(v), name);
		if (path && !known && (!sockets || is_socket(path)))
			json_array_append_new(out, json_string(name));
	}
	if (d)
		closedir(d);
}

json_t *legacy_names(void)
{
	static const char *const sock[] = {".sock", NULL}, *const specs[] = {".spec", ".json",
									     NULL};
	json_t *out = json_array();

	scan(out, SOCKETS, sock, true);
	for (size_t i = 0; i < ARRAY_SIZE(spec_dirs); i++)
		scan(out, spec_dirs[i], specs, false);
	return out;
}
