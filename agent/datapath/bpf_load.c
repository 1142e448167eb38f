// SPDX-License-Identifier: Apache-2.0
#include "datapath/bpf_impl.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "datapath.skel.h"
#include "disk/file.h"

#define BPF_FS_MAGIC 0xcafe4a11

static const char *const map_names[N_MAPS] = {
	[MAP_SETTINGS] = "settings",
	[MAP_NETWORKS] = "networks",
	[MAP_ENDPOINTS] = "endpoints",
	[MAP_PEERS] = "peers",
	[MAP_PORTS] = "ports",
	[MAP_CHUNKS] = "chunks",
	[MAP_BACKENDS] = "backends",
	[MAP_LINKS] = "links",
	[MAP_FLOWS] = "flows",
	[MAP_FRAGMENTS] = "fragments",
	[MAP_COUNTS] = "counts",
	[MAP_EVENTS] = "events",
	[MAP_EVENTS_LOST] = "events_lost",
};

static const char *const prog_names[N_PROGS] = {
	[PROG_CONTAINER] = "sw_container",
	[PROG_CLIENTS] = "sw_clients",
	[PROG_LOOPBACK] = "sw_loopback",
	[PROG_TUNNEL] = "sw_tunnel",
};

bool bpf_fs_is_mounted(const struct dp_bpf *d)
{
	struct statfs fs;

	return !statfs(d->dir, &fs) && (uint32_t)fs.f_type == BPF_FS_MAGIC;
}

int bpf_fs_mount(struct dp_bpf *d, struct err *err)
{
	int rc;

	if (bpf_fs_is_mounted(d))
		return 0;
	rc = dir_make(d->dir, 0700, err);
	if (rc)
		return rc;
	if (mount("bpf", d->dir, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return err_errno(err, -errno, "cannot mount a BPF file system at %s", d->dir);
	return 0;
}

void bpf_fs_unmount(struct dp_bpf *d)
{
	if (bpf_fs_is_mounted(d))
		umount2(d->dir, MNT_DETACH);
	rmdir(d->dir);
}

static char *map_path(const struct dp_bpf *d, int i)
{
	return xasprintf("%s/%s", d->dir, map_names[i]);
}

static char *prog_path(const struct dp_bpf *d, int i)
{
	return xasprintf("%s/prog_%s", d->dir, prog_names[i]);
}

void bpf_open_pinned(struct dp_bpf *d)
{
	uint32_t zero = 0;

	for (int i = 0; i < N_MAPS; i++) {
		_cleanup_free_ char *path = map_path(d, i);
		int fd = bpf_obj_get(path);

		d->maps[i] = fd < 0 ? -1 : fd;
	}
	for (int i = 0; i < N_PROGS; i++) {
		_cleanup_free_ char *path = prog_path(d, i);
		int fd = bpf_obj_get(path);

		d->progs[i] = fd < 0 ? -1 : fd;
	}
	if (d->maps[MAP_SETTINGS] >= 0)
		bpf_map_lookup_elem(d->maps[MAP_SETTINGS], &zero, &d->settings);
}

static void close_all_of(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

void bpf_close_all(struct dp_bpf *d)
{
	close_all_of(d->maps, N_MAPS);
	close_all_of(d->progs, N_PROGS);
}

static bool all_open(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] < 0)
			return false;
	return true;
}

/* Can maps of a former agent be used by the new programs? */
static bool is_compatible(int fd, const struct bpf_map *map)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &size) && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) &&
	       info.map_flags == bpf_map__map_flags(map);
}

static bool all_compatible(struct dp_bpf *d, struct datapath *skel)
{
	if (d->settings.layout != SW_LAYOUT || !all_open(d->maps, N_MAPS))
		return false;
	for (int i = 0; i < N_MAPS; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, map_names[i]);

		if (!is_compatible(d->maps[i], map))
			return false;
	}
	return true;
}

static void forget_pins(struct dp_bpf *d)
{
	DIR *dir = opendir(d->dir);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
}

static int reuse_maps(struct dp_bpf *d, struct datapath *skel, struct err *err)
{
	for (int i = 0; i < N_MAPS; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, map_names[i]);
		int rc = bpf_map__reuse_fd(map, d->maps[i]);

		if (rc)
			return err_errno(err, rc, "cannot use the BPF map %s of a former agent",
					 map_names[i]);
	}
	return 0;
}

/* The handle keeps descriptors of its own: the skeleton's go with it. */
static int pin_all(struct dp_bpf *d, struct datapath *skel, bool fresh, struct err *err)
{
	for (int i = 0; i < N_MAPS; i++) {
		_cleanup_free_ char *path = map_path(d, i);

		if (!fresh)
			continue;
		d->maps[i] =
			dup(bpf_map__fd(bpf_object__find_map_by_name(skel->obj, map_names[i])));
		if (bpf_obj_pin(d->maps[i], path))
			return err_errno(err, -errno, "cannot pin %s", path);
	}
	for (int i = 0; i < N_PROGS; i++) {
		_cleanup_free_ char *path = prog_path(d, i);

		if (d->progs[i] >= 0)
			close(d->progs[i]);
		d->progs[i] = dup(bpf_program__fd(
			bpf_object__find_program_by_name(skel->obj, prog_names[i])));
		unlink(path);
		if (bpf_obj_pin(d->progs[i], path))
			return err_errno(err, -errno, "cannot pin %s", path);
	}
	return 0;
}

static int load_skeleton(struct dp_bpf *d, const struct dp_options *opt, struct err *err)
{
	struct datapath *skel = datapath__open();
	bool fresh;
	int rc;

	if (!skel)
		return err_errno(err, -errno, "the BPF objects cannot be opened");
	fresh = !all_compatible(d, skel);
	if (fresh) {
		bpf_detach_all(d);
		bpf_close_all(d);
		forget_pins(d);
		memset(&d->settings, 0, sizeof(d->settings));
		if (opt->flows_max)
			bpf_map__set_max_entries(skel->maps.flows, opt->flows_max);
		if (opt->services_max)
			bpf_map__set_max_entries(skel->maps.ports, opt->services_max);
		rc = 0;
	} else {
		rc = reuse_maps(d, skel, err);
	}
	if (!rc) {
		rc = datapath__load(skel);
		if (rc)
			err_errno(err, rc,
				  "the kernel does not load the BPF programs (CONFIG_BPF_SYSCALL, "
				  "CONFIG_NET_CLS_ACT and CAP_BPF are needed)");
	}
	rc = rc ? rc : pin_all(d, skel, fresh, err);
	datapath__destroy(skel);
	return rc;
}

static uint64_t hash_of_objects(void)
{
	uint64_t h = 0xcbf29ce484222325; /* FNV-1a */
	size_t size;
	const uint8_t *p = datapath__elf_bytes(&size);

	for (size_t i = 0; i < size; i++)
		h = (h ^ p[i]) * 0x100000001b3;
	return h;
}

static int silent(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level, (void)fmt, (void)ap;
	return 0;
}

int bpf_load(struct dp_bpf *d, const struct dp_options *opt, struct err *err)
{
	uint64_t program = hash_of_objects();
	int rc;

	libbpf_set_print(silent);
	bpf_open_pinned(d);
	if (d->settings.layout == SW_LAYOUT && d->settings.program == program &&
	    all_open(d->maps, N_MAPS) && all_open(d->progs, N_PROGS))
		return 0;
	rc = load_skeleton(d, opt, err);
	if (rc)
		return rc;
	d->settings.layout = SW_LAYOUT;
	d->settings.program = program;
	return 0;
}
