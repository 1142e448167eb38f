// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "core/buf.h"
#include "disk/file.h"
#include "manager/ca.h"

#define PEM_MAX (1 << 20)

/* The certificate goes last: until then it does not fit the new key. */
static const struct {
	const char *name;
	size_t offset;
	mode_t mode;
} files_of_node[] = {
	{"swarm-root-ca.crt", offsetof(struct ca_files, root_cert), 0644},
	{"swarm-node.key", offsetof(struct ca_files, key), 0600},
	{"swarm-node.crt", offsetof(struct ca_files, cert), 0644},
};

static char **field(const struct ca_files *files, size_t i)
{
	return (char **)((char *)files + files_of_node[i].offset);
}

int ca_files_load(const char *dir, struct ca_files *ret, struct err *err)
{
	struct ca_files files = {NULL, NULL, NULL};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files_of_node) && !rc; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, files_of_node[i].name);
		struct buf text = BUF_INIT;

		rc = file_read(path, PEM_MAX, &text, err);
		*field(&files, i) = buf_steal(&text, NULL);
	}
	if (!rc) {
		rc = ca_key_matches(files.cert, files.key, err);
		if (rc)
			err_prefix(err, "%s", dir);
	}
	if (rc) {
		ca_files_done(&files);
		return rc;
	}
	*ret = files;
	return 0;
}

int ca_files_save(const char *dir, const struct ca_files *files, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(files_of_node); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, files_of_node[i].name);
		const char *text = *field(files, i);
		int rc = file_write_atomic(path, text, strlen(text), files_of_node[i].mode, err);

		if (rc)
			return rc;
	}
	return 0;
}

void ca_files_done(struct ca_files *files)
{
	for (size_t i = 0; i < ARRAY_SIZE(files_of_node); i++) {
		free(*field(files, i));
		*field(files, i) = NULL;
	}
}
