// SPDX-License-Identifier: Apache-2.0
/* Users and groups as the container's own files know them. Source: moby/sys user. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "ctr/ctr_impl.h"
#include "disk/file.h"

int root_open(const char *root, const char *path, int flags)
{
	_cleanup_close_ int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct open_how how = {.flags = flags | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	int fd;

	if (dir < 0)
		return -errno;
	fd = syscall(SYS_openat2, dir, *path ? path : "/", &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

int root_mkdir(const char *root, const char *path, uid_t uid, gid_t gid)
{
	_cleanup_free_ char *copy = xstrdup(path);
	int rc = 0;

	for (char *p = copy; !rc; p++) {
		_cleanup_close_ int fd = -1;
		char c = *p;

		if (c && c != '/')
			continue;
		*p = 0;
		fd = root_open(root, copy, O_PATH | O_DIRECTORY);
		if (fd == -ENOENT) {
			char *slash = strrchr(copy, '/');
			_cleanup_free_ char *parent =
				slash ? xstrndup(copy, slash - copy) : xstrdup("");
			_cleanup_close_ int at = root_open(root, parent, O_PATH | O_DIRECTORY);

			if (at < 0)
				rc = at;
			else if (mkdirat(at, slash ? slash + 1 : copy, 0755) && errno != EEXIST)
				rc = -errno;
			else if (fchownat(at, slash ? slash + 1 : copy, uid, gid,
					  AT_SYMLINK_NOFOLLOW))
				rc = -errno;
		} else if (fd < 0) {
			rc = fd;
		}
		*p = c;
		if (!c)
			break;
	}
	return rc;
}

/* A whole small file of the root; an absent one is empty. */
static void read_in_root(const char *root, const char *path, struct buf *ret)
{
	_cleanup_close_ int fd = root_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	char chunk[4096];
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return;
	while (ret->len < 8 << 20 && (n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(ret, chunk, n);
}

/* Split a line at its colons, in place; absent fields are "". */
static void split(char *line, char *field[], size_t n)
{
	static char none[1] = "";

	for (size_t i = 0; i < n; i++) {
		char *end = line ? strchr(line, ':') : NULL;

		field[i] = line ? line : none;
		if (end)
			*end++ = 0;
		line = end;
	}
}

static bool number(const char *s, uint32_t *ret)
{
	uint64_t v;

	if (parse_u64(s, 0, INT32_MAX, &v))
		return false;
	*ret = v;
	return true;
}

struct identity {
	uint32_t uid, gid;
	char *name, *home;
};

static int find_user(const char *root, const char *user, struct identity *id, struct err *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	bool numeric = number(user, &id->uid);

	read_in_root(root, "/etc/passwd", &text);
	for (char *save, *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *f[7];
		uint32_t uid, gid;

		split(line, f, 7);
		if (!number(f[2], &uid) || !number(f[3], &gid))
			continue;
		if (strcmp(f[0], user) && !(numeric && uid == id->uid))
			continue;
		id->uid = uid;
		id->gid = gid;
		id->name = xstrdup(f[0]);
		id->home = xstrdup(*f[5] ? f[5] : "/");
		return 0;
	}
	if (!numeric && strcmp(user, "root"))
		return err_set(err, -EINVAL,
			       "unable to find user %s: no matching entries in passwd file", user);
	return 0;
}

/* A group by name or number. */
static int find_group(const char *root, const char *group, uint32_t *ret, struct err *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	read_in_root(root, "/etc/group", &text);
	for (char *save, *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *f[4];

		split(line, f, 4);
		if (!strcmp(f[0], group) && number(f[2], ret))
			return 0;
	}
	if (number(group, ret))
		return 0;
	return err_set(err, -EINVAL, "unable to find group %s: no matching entries in group file",
		       group);
}

/* The groups that list the user as a member. */
static void member_groups(const char *root, const char *name, json_t *out)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	read_in_root(root, "/etc/group", &text);
	for (char *save, *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *f[4], *members;
		uint32_t gid;

		split(line, f, 4);
		for (char *m = strtok_r(f[3], ",", &members); m; m = strtok_r(NULL, ",", &members))
			if (!strcmp(m, name) && number(f[2], &gid))
				json_array_append_new(out, json_integer(gid));
	}
}

int spec_user(const char *root, const char *user, json_t *group_add, json_t **ret, char **ret_home,
	      struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(user);
	struct identity id = {0};
	char *group = strchr(copy, ':');
	json_t *gids = json_array(), *v;
	uint32_t gid;
	int64_t n;
	size_t i;
	int rc;

	if (group)
		*group++ = 0;
	if (!parse_i64(copy, INT64_MIN, INT64_MAX, &n) && (n < 0 || n > INT32_MAX)) {
		json_decref(gids);
		return err_set(err, -EINVAL, "uids and gids must be in range 0-2147483647");
	}
	rc = find_user(root, *copy ? copy : "0", &id, err);
	if (!rc && !str_empty(group))
		rc = find_group(root, group, &id.gid, err);
	else if (!rc && id.name)
		member_groups(root, id.name, gids);
	json_array_foreach (group_add, i, v)
		if (!rc && !(rc = find_group(root, json_string_value(v), &gid, err)))
			json_array_append_new(gids, json_integer(gid));
	if (rc) {
		json_decref(gids);
		free(id.home);
	} else {
		/* without it, a file's group could be asked for less than others may (CVE-2022-36109) */
		json_array_insert_new(gids, 0, json_integer(id.gid));
		*ret = json_pack("{s:I, s:I, s:o}", "uid", (json_int_t)id.uid, "gid",
				 (json_int_t)id.gid, "additionalGids", gids);
		*ret_home = id.home ? id.home : xstrdup("/");
	}
	free(id.name);
	return rc;
}
