// SPDX-License-Identifier: Apache-2.0
/* The cgroups of containers, on the unified hierarchy (v2) and on those of v1. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>

#include "ctr/ctr_impl.h"
#include "disk/file.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

enum {
	CGROUP2_MAGIC = 0x63677270,
	/* for a hierarchy whose last user is just leaving */
	HOLD_TRIES = 50,
	HOLD_DELAY_NS = 10000000,
};

bool cgroup_is_v2(void)
{
	struct statfs st;

	return !statfs(CGROUP_ROOT, &st) && st.f_type == CGROUP2_MAGIC;
}

bool cgroup_v1_has(const char *controller, const char *file)
{
	_cleanup_free_ char *path = xasprintf(CGROUP_ROOT "/%s/%s", controller, file);

	return !cgroup_is_v2() && !access(path, F_OK);
}

bool cgroup_has_io_weight(void)
{
	return cgroup_is_v2() || cgroup_v1_has("blkio", "blkio.weight") ||
	       cgroup_v1_has("blkio", "blkio.bfq.weight");
}

/* A v1 hierarchy of one controller, held by a descriptor and mounted nowhere. */
static int hold_controller(const char *name)
{
	_cleanup_close_ int fs = syscall(SYS_fsopen, "cgroup", 1 /* FSOPEN_CLOEXEC */);

	if (fs < 0 || syscall(SYS_fsconfig, fs, 0 /* SET_FLAG */, name, NULL, 0) ||
	    syscall(SYS_fsconfig, fs, 6 /* CMD_CREATE */, NULL, NULL, 0))
		return -errno;
	return syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, 0);
}

/* Whether a controller sits on the unified hierarchy, or would as soon as another agent that
 * holds it ends: it has a v1 hierarchy that is mounted nowhere. */
static bool is_to_be_held(const char *name, unsigned int hierarchy, const char *unified)
{
	_cleanup_free_ char *path = xasprintf(CGROUP_ROOT "/%s", name);
	size_t len = strlen(name);

	for (const char *p = unified; (p = strstr(p, name)); p += len)
		if ((p == unified || p[-1] == ' ') && (!p[len] || strchr(" \n", p[len])))
			return true;
	return hierarchy && access(path, F_OK);
}

int cgroup_prepare(int held[CGROUP_HELD_MAX])
{
	_cleanup_buf_ struct buf unified = BUF_INIT, all = BUF_INIT;
	int n = 0;

	/*
	 * In this order: a hierarchy that another agent's end takes away in between is then still
	 * seen as one, or on the unified hierarchy already, and not as neither.
	 */
	if (cgroup_is_v2() || file_read("/proc/cgroups", 65536, &all, NULL) ||
	    file_read(CGROUP_ROOT "/unified/cgroup.controllers", 4096, &unified, NULL))
		return 0;
	for (char *save, *line = strtok_r(all.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		unsigned int hierarchy, n_cgroups, enabled;
		char name[64];
		int fd;

		if (sscanf(line, "%63s %u %u %u", name, &hierarchy, &n_cgroups, &enabled) != 4 ||
		    !enabled || n == CGROUP_HELD_MAX ||
		    !is_to_be_held(name, hierarchy, unified.data))
			continue;
		fd = hold_controller(name);
		for (int tries = 0; fd < 0 && tries < HOLD_TRIES; tries++) {
			nanosleep(&(struct timespec){.tv_nsec = HOLD_DELAY_NS}, NULL);
			fd = hold_controller(name);
		}
		if (fd >= 0)
			held[n++] = fd;
	}
	return n;
}

char *cgroup_file(const char *controller, const char *cgroup, const char *file)
{
	return cgroup_is_v2() ? xasprintf(CGROUP_ROOT "%s/%s", cgroup, file)
			      : xasprintf(CGROUP_ROOT "/%s%s/%s", controller, cgroup, file);
}

int cgroup_read(const char *controller, const char *cgroup, const char *file, struct buf *ret)
{
	_cleanup_free_ char *path = cgroup_file(controller, cgroup, file);

	return file_read(path, 1 << 20, ret, NULL);
}

uint64_t cgroup_value(const char *controller, const char *cgroup, const char *file, const char *key)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	size_t n = key ? strlen(key) : 0;

	if (cgroup_read(controller, cgroup, file, &text))
		return 0;
	if (!key)
		return strtoull(text.data, NULL, 10);
	for (const char *p = text.data; p && *p; p = strchr(p, '\n'), p += !!p)
		if (!strncmp(p, key, n) && p[n] == ' ')
			return strtoull(p + n + 1, NULL, 10);
	return 0;
}

int cgroup_write(const char *controller, const char *cgroup, const char *file, const char *value)
{
	_cleanup_free_ char *path = cgroup_file(controller, cgroup, file);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t n = strlen(value);

	if (fd < 0)
		return -errno;
	return write(fd, value, n) == (ssize_t)n ? 0 : -errno;
}

int cgroup_freeze(const char *cgroup, bool freeze)
{
	if (cgroup_is_v2())
		return cgroup_write("", cgroup, "cgroup.freeze", freeze ? "1" : "0");
	return cgroup_write("freezer", cgroup, "freezer.state", freeze ? "FROZEN" : "THAWED");
}

unsigned int cgroup_oom_kills(const char *cgroup)
{
	return cgroup_is_v2() ? cgroup_value("", cgroup, "memory.events", "oom_kill")
			      : cgroup_value("memory", cgroup, "memory.oom_control", "oom_kill");
}

size_t cgroup_pids(const char *cgroup, pid_t **ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	pid_t *pids = NULL;
	size_t n = 0;

	if (!cgroup_read("pids", cgroup, "cgroup.procs", &text) ||
	    !cgroup_read("systemd", cgroup, "cgroup.procs", &text))
		for (char *save, *s = strtok_r(text.data, "\n", &save); s;
		     s = strtok_r(NULL, "\n", &save)) {
			pids = xrealloc(pids, (n + 1) * sizeof(*pids));
			pids[n++] = atoi(s);
		}
	*ret = pids;
	return n;
}

static void kill_all(const char *dir)
{
	_cleanup_free_ char *path = xasprintf("%s/cgroup.procs", dir);
	_cleanup_buf_ struct buf text = BUF_INIT;

	if (file_read(path, 1 << 20, &text, NULL))
		return;
	for (char *save, *s = strtok_r(text.data, "\n", &save); s; s = strtok_r(NULL, "\n", &save))
		if (atoi(s) > 1)
			kill(atoi(s), SIGKILL);
}

/* Children first; what a container with its own cgroup namespace made is below. */
static int remove_dir(const char *dir)
{
	struct dirent *e;
	DIR *d;

	if (!rmdir(dir) || errno == ENOENT)
		return 0;
	d = opendir(dir);
	if (!d)
		return -errno;
	while ((e = readdir(d)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.') {
			_cleanup_free_ char *sub = xasprintf("%s/%s", dir, e->d_name);

			remove_dir(sub);
		}
	closedir(d);
	kill_all(dir);
	return rmdir(dir) && errno != ENOENT ? -errno : 0;
}

/* Processes that were killed leave their cgroup when they are done dying. */
static void remove_patiently(const char *dir)
{
	const struct timespec pause = {0, 2000000};

	for (int i = 0; i < 500 && remove_dir(dir) == -EBUSY; i++)
		nanosleep(&pause, NULL);
}

static void each_hierarchy(const char *cgroup, void (*fn)(const char *dir))
{
	struct dirent *e;
	DIR *d;

	if (cgroup_is_v2()) {
		_cleanup_free_ char *dir = xasprintf(CGROUP_ROOT "%s", cgroup);

		fn(dir);
		return;
	}
	d = opendir(CGROUP_ROOT);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && e->d_type == DT_DIR) {
			_cleanup_free_ char *dir =
				xasprintf(CGROUP_ROOT "/%s%s", e->d_name, cgroup);

			fn(dir);
		}
	if (d)
		closedir(d);
}

void cgroup_remove(const char *cgroup)
{
	if (str_empty(cgroup) || !strcmp(cgroup, "/"))
		return;
	cgroup_freeze(cgroup, false);
	each_hierarchy(cgroup, remove_patiently);
}

static void remove_if_empty(const char *dir)
{
	(void)rmdir(dir);
}

void cgroup_remove_parent(const char *cgroup)
{
	if (!str_empty(cgroup) && strcmp(cgroup, "/"))
		each_hierarchy(cgroup, remove_if_empty);
}
