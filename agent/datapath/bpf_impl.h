/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF back end's parts: dp_bpf.c has what is set, bpf_load.c programs and pinned maps,
 * bpf_attach.c where programs hang, bpf_host.c what else is changed on the node.
 *
 * Below <exec_root>/bpf, a bpffs of our own: a file for each map, "prog_NAME" for each program,
 * "link_IFINDEX" for each attachment (none where the kernel has no tcx: a filter of clsact stays
 * by itself).
 */
#pragma once

#include "datapath/dp_impl.h"
#include "swarm/lb.h"
#include "swarm/map.h"

enum bpf_map_index {
	MAP_SETTINGS,
	MAP_NETWORKS,
	MAP_ENDPOINTS,
	MAP_PEERS,
	MAP_PORTS,
	MAP_CHUNKS,
	MAP_BACKENDS,
	MAP_LINKS,
	MAP_FLOWS,
	MAP_FRAGMENTS,
	MAP_COUNTS,
	MAP_EVENTS,
	N_MAPS,
};

enum bpf_prog_index { PROG_CONTAINER, PROG_CLIENTS, PROG_LOOPBACK, PROG_TUNNEL, N_PROGS };

struct dp_bpf {
	struct dp dp;
	char *dir; /* <exec_root>/bpf */
	int maps[N_MAPS]; /* descriptors; -1: not open */
	int progs[N_PROGS];
	bool no_tcx;
	uint32_t next_gen, next_table;
	struct sw_lb retired; /* replaced last; packets may still be reading it */
	struct sw_settings settings;
};

/* bpf_load.c */

/* Mount the bpffs if need be. */
int bpf_fs_mount(struct dp_bpf *d, struct err *err);
bool bpf_fs_is_mounted(const struct dp_bpf *d);
void bpf_fs_unmount(struct dp_bpf *d);
/* Open pinned maps and programs, or load and pin them; d->settings is read or begun. */
int bpf_load(struct dp_bpf *d, const struct dp_options *opt, struct err *err);
/* Open what is pinned, as far as it is there. */
void bpf_open_pinned(struct dp_bpf *d);
void bpf_close_all(struct dp_bpf *d);

/* bpf_attach.c */

/* Idempotent; a program of an older load is replaced without a gap. */
int bpf_attach(struct dp_bpf *d, uint32_t ifindex, enum bpf_prog_index prog, struct err *err);
void bpf_detach(struct dp_bpf *d, uint32_t ifindex);
/* From every link, known or not. */
void bpf_detach_all(struct dp_bpf *d);

/* bpf_host.c */

/*
 * The idle vxlan device on the port: with it, the uplinks' GRO puts VXLAN packets together, and
 * fragments of outer packets are delivered. One of another port is replaced. Returns its index in
 * *ret_ifindex.
 */
int bpf_vxlan_device(uint16_t port, uint32_t *ret_ifindex, struct err *err);
void bpf_vxlan_device_remove(void);
/* Is it a bridge? */
bool bpf_link_is_bridge(uint32_t ifindex);
