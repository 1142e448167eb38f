/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF back end's parts: dp_bpf.c has what is set, bpf_service.c services and their tables,
 * bpf_check.c what of it is not as it was set, bpf_load.c programs and pinned maps, bpf_attach.c
 * where programs hang, bpf_events.c what they tell, bpf_host.c what else is changed on the node.
 *
 * Below <exec_root>/bpf, a bpffs of our own: a file for each map, "prog_NAME" for each program,
 * "link_IFINDEX" for each attachment (none where the kernel has no tcx: a filter of clsact stays
 * by itself).
 */
#pragma once

#include <bpf/bpf.h>
#include <errno.h>

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
	MAP_EVENTS_LOST,
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
	struct ring_buffer *events; /* while someone listens */
	dp_event_fn event_fn; /* while events are read: to whom they go, and how many have gone */
	void *event_arg;
	int n_events;
	uint64_t lost; /* as they were told */
};

static inline struct dp_bpf *bpf_of(struct dp *dp)
{
	return container_of(dp, struct dp_bpf, dp);
}

static inline struct sw_addr to_sw(const struct dp_addr *a)
{
	struct sw_addr r;

	memcpy(&r, a, sizeof(r));
	return r;
}

static inline struct dp_addr to_dp(const struct sw_addr *a)
{
	struct dp_addr r;

	memcpy(&r, a, sizeof(r));
	return r;
}

static inline int bpf_put(struct dp_bpf *d, enum bpf_map_index map, const void *key,
			  const void *value)
{
	return bpf_map_update_elem(d->maps[map], key, value, BPF_ANY) ? -errno : 0;
}

static inline bool bpf_get(struct dp_bpf *d, enum bpf_map_index map, const void *key, void *value)
{
	return !bpf_map_lookup_elem(d->maps[map], key, value);
}

static inline void bpf_del(struct dp_bpf *d, enum bpf_map_index map, const void *key)
{
	bpf_map_delete_elem(d->maps[map], key);
}

/* for (each key of a map): key is a pointer to storage, changed only between rounds. */
#define for_each_key(d, map, key)                                                                  \
	for (int _more = bpf_map_get_next_key((d)->maps[map], NULL, key); !_more;                  \
	     _more = bpf_map_get_next_key((d)->maps[map], key, key))

/* dp_bpf.c */

int bpf_endpoint_put(struct dp_bpf *d, uint32_t vni, const struct sw_addr *addr,
		     const struct sw_endpoint *e, struct err *err);

/* Has the network this address for the node itself? */
bool bpf_self_is(struct dp_bpf *d, uint32_t vni, const struct sw_addr *addr, const uint8_t mac[6]);
/* Write the agent's settings. */
int bpf_settings_put(struct dp_bpf *d, struct err *err);
/* The vxlan device and the program on it. */
int bpf_tunnel_open(struct dp_bpf *d, struct err *err);
/* What the map shall have of a link. */
struct sw_link bpf_link_of(struct dp_bpf *d, const struct dp_link *l);

static inline enum bpf_prog_index bpf_prog_of(uint32_t role)
{
	return role == DP_LINK_CONTAINER ? PROG_CONTAINER : PROG_CLIENTS;
}

/* bpf_check.c: operations */

void bpf_check(struct dp *dp, const struct dp_item *item);
int bpf_mend(struct dp *dp, struct err *err);

/* bpf_events.c: operations */

int bpf_events_open(struct dp *dp, int *ret_fd, struct err *err);
int64_t bpf_events_read(struct dp *dp, dp_event_fn fn, void *arg);
void bpf_events_close(struct dp *dp);

/* bpf_service.c: operations, and */

int bpf_service_set(struct dp *dp, const struct dp_service *s, struct err *err);
int bpf_service_del(struct dp *dp, const struct dp_service *s, struct err *err);
int bpf_shares(struct dp *dp, const struct dp_service *s, uint32_t *slots, uint32_t *ret_size);
/* Its table is the one that its backends make. */
bool bpf_service_is_whole(struct dp_bpf *d, const struct dp_service *s);
int bpf_each_service(struct dp_bpf *d, dp_visit_fn visit, void *arg);
/* Forget tables that no service uses: of updates that a former agent did not finish. */
void bpf_tables_collect(struct dp_bpf *d);

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
bool bpf_is_attached(struct dp_bpf *d, uint32_t ifindex, enum bpf_prog_index prog);
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
/* Its index, 0 when there is none of this port. */
uint32_t bpf_vxlan_device_find(uint16_t port);
void bpf_vxlan_device_remove(void);
/* Is it a bridge? */
bool bpf_link_is_bridge(uint32_t ifindex);
