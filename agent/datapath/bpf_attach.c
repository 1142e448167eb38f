// SPDX-License-Identifier: Apache-2.0
/*
 * Programs on the ingress side of links: by tcx (Linux 6.6) with a pinned link, else as a filter
 * of the clsact qdisc, found again by its handle and priority.
 */
#include "datapath/bpf_impl.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>

#define TCX_INGRESS 46 /* enum bpf_attach_type of Linux 6.6 */
#define FILTER_HANDLE 0x5357
#define FILTER_PRIORITY 0x5357

static char *link_path(const struct dp_bpf *d, uint32_t ifindex)
{
	return xasprintf("%s/link_%u", d->dir, ifindex);
}

static int filter_attach(uint32_t ifindex, int prog, struct err *err)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY,
			    .prog_fd = prog, .flags = BPF_TC_F_REPLACE);
	int rc = bpf_tc_hook_create(&hook);

	if (rc && rc != -EEXIST)
		return err_errno(err, rc, "link %u takes no clsact qdisc", ifindex);
	rc = bpf_tc_attach(&hook, &opts);
	return rc ? err_errno(err, rc, "link %u takes no BPF filter", ifindex) : 0;
}

static void filter_detach(uint32_t ifindex)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE,
			    .priority = FILTER_PRIORITY);

	bpf_tc_detach(&hook, &opts);
}

static uint32_t prog_id(int prog)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(prog, &info, &size) ? 0 : info.id;
}

static bool filter_is(uint32_t ifindex, int prog)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE,
			    .priority = FILTER_PRIORITY);

	return !bpf_tc_query(&hook, &opts) && opts.prog_id == prog_id(prog);
}

/* The program that a link of ours has on the interface; 0: there is none. */
static uint32_t linked_prog(int fd, uint32_t ifindex)
{
	struct bpf_link_info info = {0};
	uint32_t size = sizeof(info);

	/* the first member of its union is the interface, as for XDP; 0 when that is gone */
	if (bpf_obj_get_info_by_fd(fd, &info, &size) || info.xdp.ifindex != ifindex)
		return 0;
	return info.prog_id;
}

bool bpf_is_attached(struct dp_bpf *d, uint32_t ifindex, enum bpf_prog_index prog)
{
	_cleanup_free_ char *path = link_path(d, ifindex);
	_cleanup_close_ int fd = -1;

	if (d->no_tcx)
		return filter_is(ifindex, d->progs[prog]);
	fd = bpf_obj_get(path);
	return fd >= 0 && linked_prog(fd, ifindex) == prog_id(d->progs[prog]);
}

/* Update a link that is there. -ENOENT: there is none, or its device is gone. */
static int link_update(const char *path, uint32_t ifindex, int prog)
{
	_cleanup_close_ int fd = bpf_obj_get(path);
	uint32_t have;

	if (fd < 0)
		return -ENOENT;
	have = linked_prog(fd, ifindex);
	if (!have) {
		unlink(path);
		return -ENOENT;
	}
	if (have == prog_id(prog))
		return 0;
	return bpf_link_update(fd, prog, NULL) ? -errno : 0;
}

int bpf_attach(struct dp_bpf *d, uint32_t ifindex, enum bpf_prog_index prog, struct err *err)
{
	_cleanup_free_ char *path = link_path(d, ifindex);
	_cleanup_close_ int fd = -1;
	int rc;

	if (d->no_tcx)
		return filter_attach(ifindex, d->progs[prog], err);
	rc = link_update(path, ifindex, d->progs[prog]);
	if (rc != -ENOENT)
		return rc ? err_errno(err, rc, "the BPF program of link %u cannot be replaced",
				      ifindex)
			  : 0;
	fd = bpf_link_create(d->progs[prog], ifindex, TCX_INGRESS, NULL);
	if (fd == -EINVAL) {
		d->no_tcx = true;
		return filter_attach(ifindex, d->progs[prog], err);
	}
	if (fd < 0)
		return err_errno(err, fd, "link %u takes no BPF program", ifindex);
	if (bpf_obj_pin(fd, path))
		return err_errno(err, -errno, "cannot pin %s", path);
	return 0;
}

void bpf_detach(struct dp_bpf *d, uint32_t ifindex)
{
	_cleanup_free_ char *path = link_path(d, ifindex);

	/* the pin is the only reference: the link goes with it */
	if (unlink(path))
		filter_detach(ifindex);
}

void bpf_detach_all(struct dp_bpf *d)
{
	struct if_nameindex *all = if_nameindex();
	DIR *dir = opendir(d->dir);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (starts_with(e->d_name, "link_"))
			unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
	for (struct if_nameindex *i = all; i && i->if_index; i++)
		filter_detach(i->if_index);
	if (all)
		if_freenameindex(all);
}
