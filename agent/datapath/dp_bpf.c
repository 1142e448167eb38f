// SPDX-License-Identifier: Apache-2.0
/* The BPF back end: what is set lives in the maps, and is read back from there. */
#include "datapath/bpf_impl.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <time.h>

#include "core/rng.h"
#include "datapath/host_lo.h"
#include "swarm/vxlan.h"

_Static_assert(SW_NETWORK_INGRESS == (int)DP_NETWORK_INGRESS &&
		       SW_NETWORK_ENCRYPTED == (int)DP_NETWORK_ENCRYPTED,
	       "one flag, two names");
_Static_assert(SW_LINK_CONTAINER == (int)DP_LINK_CONTAINER &&
		       SW_LINK_CLIENTS == (int)DP_LINK_CLIENTS &&
		       SW_LINK_LOOPBACK == (int)DP_LINK_LOOPBACK,
	       "one role, two names");
_Static_assert(SW_VXLAN_PORT == 4789, "the default of dp.h");

static const char *addr_text(const struct dp_addr *a, char dst[INET6_ADDRSTRLEN])
{
	dp_addr_format(a, dst);
	return dst;
}

int bpf_settings_put(struct dp_bpf *d, struct err *err)
{
	uint32_t zero = 0;
	int rc = bpf_put(d, MAP_SETTINGS, &zero, &d->settings);

	return rc ? err_errno(err, rc, "the datapath's settings cannot be written") : 0;
}

/* Programs of a newer agent take the places of the old ones. */
static void replace_programs(struct dp_bpf *d)
{
	struct sw_link l;
	uint32_t ifindex;

	for_each_key(d, MAP_LINKS, &ifindex)
	{
		if (bpf_get(d, MAP_LINKS, &ifindex, &l))
			bpf_attach(d, ifindex, bpf_prog_of(l.role), NULL);
	}
}

int bpf_tunnel_open(struct dp_bpf *d, struct err *err)
{
	uint32_t ifindex;
	int rc = bpf_vxlan_device(ntohs(d->settings.vxlan_port), &ifindex, err);

	if (rc)
		return rc;
	d->settings.tunnel_ifindex = ifindex;
	rc = bpf_settings_put(d, err);
	return rc ? rc : bpf_attach(d, ifindex, PROG_TUNNEL, err);
}

static int vtep_set(struct dp *dp, const struct dp_addr *vtep, uint16_t port, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);

	d->settings.vtep = to_sw(vtep);
	d->settings.vxlan_port = htons(port);
	return bpf_tunnel_open(d, err);
}

static void bpf_free(struct dp_bpf *d)
{
	bpf_close_all(d);
	free(d->dir);
	free(d);
}

static struct dp_bpf *bpf_new(const char *exec_root)
{
	struct dp_bpf *d = xcalloc(1, sizeof(*d));
	struct rng rng;

	d->dir = xasprintf("%s/bpf", exec_root);
	memset(d->maps, 0xff, sizeof(d->maps));
	memset(d->progs, 0xff, sizeof(d->progs));
	rng_seed_os(&rng);
	d->next_gen = rng_u64(&rng);
	return d;
}

static int dp_bpf_open(const struct dp_options *opt, struct dp **ret, struct err *err)
{
	struct dp_bpf *d = bpf_new(opt->exec_root);
	uint32_t lo = if_nametoindex("lo");
	int rc = bpf_fs_mount(d, err);

	rc = rc ? rc : bpf_load(d, opt, err);
	if (!rc) {
		host_lo_open(&d->settings.lo_was);
		d->settings.lo_ifindex = lo;
		d->settings.flags = opt->return_direct ? SW_RETURN_DIRECT : 0;
		rc = vtep_set(&d->dp, &opt->vtep, opt->vxlan_port ? opt->vxlan_port : SW_VXLAN_PORT,
			      err);
	}
	rc = rc ? rc : bpf_attach(d, lo, PROG_LOOPBACK, err);
	if (rc) {
		bpf_free(d);
		return rc;
	}
	bpf_tables_collect(d);
	replace_programs(d);
	*ret = &d->dp;
	return 0;
}

static void dp_bpf_close(struct dp *dp)
{
	bpf_free(bpf_of(dp));
}

static void dp_bpf_destroy(struct dp *dp)
{
	struct dp_bpf *d = bpf_of(dp);

	bpf_detach_all(d);
	bpf_vxlan_device_remove();
	host_lo_restore(d->settings.lo_was);
	bpf_fs_unmount(d);
	bpf_free(d);
}

static bool dp_bpf_is_active(const char *exec_root)
{
	struct dp_bpf *d = bpf_new(exec_root);
	bool mounted = bpf_fs_is_mounted(d);

	bpf_free(d);
	return mounted;
}

static int dp_bpf_clean(const char *exec_root, struct err *err)
{
	struct dp_bpf *d = bpf_new(exec_root);

	(void)err;
	if (bpf_fs_is_mounted(d)) {
		bpf_open_pinned(d);
		dp_bpf_destroy(&d->dp);
		return 0;
	}
	rmdir(d->dir);
	bpf_free(d);
	return 0;
}

/* Networks and what has an address in them */

int bpf_endpoint_put(struct dp_bpf *d, uint32_t vni, const struct sw_addr *addr,
		     const struct sw_endpoint *e, struct err *err)
{
	struct sw_endpoint_key key = {.vni = vni, .addr = *addr};
	struct dp_addr a = to_dp(addr);
	char text[INET6_ADDRSTRLEN];
	int rc = bpf_put(d, MAP_ENDPOINTS, &key, e);

	return rc ? err_errno(err, rc, "%s of network %u cannot be set", addr_text(&a, text), vni)
		  : 0;
}

/* Remove the address if it is of this kind. */
static void endpoint_remove(struct dp_bpf *d, uint32_t vni, const struct sw_addr *addr,
			    uint32_t kind)
{
	struct sw_endpoint_key key = {.vni = vni, .addr = *addr};
	struct sw_endpoint e;

	if (bpf_get(d, MAP_ENDPOINTS, &key, &e) && e.kind == kind)
		bpf_del(d, MAP_ENDPOINTS, &key);
}

bool bpf_self_is(struct dp_bpf *d, uint32_t vni, const struct sw_addr *addr, const uint8_t mac[6])
{
	struct sw_endpoint_key key = {.vni = vni, .addr = *addr};
	struct sw_endpoint e;

	return bpf_get(d, MAP_ENDPOINTS, &key, &e) && e.kind == SW_ENDPOINT_SELF &&
	       !memcmp(e.mac, mac, 6);
}

static int self_put(struct dp_bpf *d, uint32_t vni, const struct sw_addr *addr, const uint8_t *mac,
		    struct err *err)
{
	struct sw_endpoint e = {.kind = SW_ENDPOINT_SELF};

	if (!sw_addr_is_set(addr) || bpf_self_is(d, vni, addr, mac))
		return 0;
	memcpy(e.mac, mac, 6);
	return bpf_endpoint_put(d, vni, addr, &e, err);
}

static int network_set(struct dp *dp, const struct dp_network *n, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);
	struct sw_network v = {.mtu = n->mtu, .flags = n->flags}, old;
	bool replaces = bpf_get(d, MAP_NETWORKS, &n->vni, &old);
	uint8_t mac[6];
	int rc = 0;

	v.gateway = to_sw(&n->gateway);
	v.node_addr = to_sw(&n->node_addr);
	memcpy(v.gateway_mac, n->gateway_mac, 6);
	if (replaces && !sw_addr_eq(&old.gateway, &v.gateway))
		endpoint_remove(d, n->vni, &old.gateway, SW_ENDPOINT_SELF);
	if (replaces && !sw_addr_eq(&old.node_addr, &v.node_addr))
		endpoint_remove(d, n->vni, &old.node_addr, SW_ENDPOINT_SELF);
	if (!replaces || memcmp(&old, &v, sizeof(v)))
		rc = bpf_put(d, MAP_NETWORKS, &n->vni, &v);
	if (rc)
		return err_errno(err, rc, "network %u cannot be set", n->vni);
	sw_mac4(mac, SW_MAC_ADDR, v.node_addr.w[3]);
	rc = self_put(d, n->vni, &v.node_addr, mac, err);
	return rc ? rc : self_put(d, n->vni, &v.gateway, v.gateway_mac, err);
}

static int network_del(struct dp *dp, uint32_t vni, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);
	struct sw_network v;

	(void)err;
	if (!bpf_get(d, MAP_NETWORKS, &vni, &v))
		return 0;
	endpoint_remove(d, vni, &v.gateway, SW_ENDPOINT_SELF);
	endpoint_remove(d, vni, &v.node_addr, SW_ENDPOINT_SELF);
	bpf_del(d, MAP_NETWORKS, &vni);
	return 0;
}

static int endpoint_set(struct dp *dp, const struct dp_endpoint *e, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);
	struct sw_endpoint v = {.kind = SW_ENDPOINT, .ifindex = e->ifindex}, old;
	struct sw_endpoint_key key = {.vni = e->vni, .addr = to_sw(&e->addr)};

	if (!e->ifindex)
		v.node = to_sw(&e->node);
	v.host_addr = to_sw(&e->host_addr);
	memcpy(v.mac, e->mac, 6);
	if (bpf_get(d, MAP_ENDPOINTS, &key, &old) && old.kind != SW_ENDPOINT_VIP) {
		if (old.kind == SW_ENDPOINT_SELF)
			return 0; /* our own address, told as another's */
		v.gen = old.gen;
		v.translated = old.translated;
		if (!memcmp(&old, &v, sizeof(v)))
			return 0;
	} else {
		v.gen = ++d->next_gen;
	}
	return bpf_endpoint_put(d, e->vni, &key.addr, &v, err);
}

static int endpoint_del(struct dp *dp, uint32_t vni, const struct dp_addr *addr, struct err *err)
{
	struct sw_addr a = to_sw(addr);

	(void)err;
	endpoint_remove(bpf_of(dp), vni, &a, SW_ENDPOINT);
	return 0;
}

static int peer_set(struct dp *dp, const struct dp_addr *vtep, struct err *err)
{
	struct sw_addr key = to_sw(vtep);
	uint32_t one = 1;
	char text[INET6_ADDRSTRLEN];
	int rc = bpf_put(bpf_of(dp), MAP_PEERS, &key, &one);

	return rc ? err_errno(err, rc, "node %s cannot be set", addr_text(vtep, text)) : 0;
}

static int peer_del(struct dp *dp, const struct dp_addr *vtep, struct err *err)
{
	struct sw_addr key = to_sw(vtep);

	(void)err;
	bpf_del(bpf_of(dp), MAP_PEERS, &key);
	return 0;
}

/* Links */

struct sw_link bpf_link_of(struct dp_bpf *d, const struct dp_link *l)
{
	struct sw_link v = {.role = l->role};
	struct sw_network n;

	if (l->role == DP_LINK_CONTAINER) {
		v.vni = l->vni;
		v.addr = to_sw(&l->addr);
		if (bpf_get(d, MAP_NETWORKS, &l->vni, &n) && n.flags & SW_NETWORK_INGRESS)
			v.flags |= SW_LINK_INGRESS;
	} else if (bpf_link_is_bridge(l->ifindex)) {
		v.flags |= SW_LINK_BRIDGE;
	}
	return v;
}

static int link_set(struct dp *dp, const struct dp_link *l, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);
	struct sw_link v;
	int rc;

	if (l->role == DP_LINK_LOOPBACK)
		return 0;
	v = bpf_link_of(d, l);
	rc = bpf_put(d, MAP_LINKS, &l->ifindex, &v);
	if (rc)
		return err_errno(err, rc, "link %u cannot be set", l->ifindex);
	rc = bpf_attach(d, l->ifindex, bpf_prog_of(l->role), err);
	if (rc)
		bpf_del(d, MAP_LINKS, &l->ifindex);
	return rc;
}

static int link_del(struct dp *dp, uint32_t ifindex, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);

	(void)err;
	bpf_detach(d, ifindex);
	bpf_del(d, MAP_LINKS, &ifindex);
	return 0;
}

/* Reading back */

static int each_network(struct dp_bpf *d, dp_visit_fn visit, void *arg)
{
	struct dp_network n = {0};
	struct dp_item item = {.kind = DP_ITEM_NETWORK, .network = &n};
	struct sw_network v;
	uint32_t vni;
	int rc = 0;

	for_each_key(d, MAP_NETWORKS, &vni)
	{
		if (rc < 0 || !bpf_get(d, MAP_NETWORKS, &vni, &v))
			continue;
		n = (struct dp_network){.vni = vni,
					.mtu = v.mtu,
					.flags = v.flags,
					.gateway = to_dp(&v.gateway),
					.node_addr = to_dp(&v.node_addr)};
		memcpy(n.gateway_mac, v.gateway_mac, 6);
		rc = visit(&item, arg);
	}
	return rc;
}

static int each_endpoint(struct dp_bpf *d, dp_visit_fn visit, void *arg)
{
	struct dp_endpoint e = {0};
	struct dp_item item = {.kind = DP_ITEM_ENDPOINT, .endpoint = &e};
	struct sw_endpoint_key key;
	struct sw_endpoint v;
	int rc = 0;

	for_each_key(d, MAP_ENDPOINTS, &key)
	{
		if (rc < 0 || !bpf_get(d, MAP_ENDPOINTS, &key, &v) || v.kind != SW_ENDPOINT)
			continue;
		e = (struct dp_endpoint){.vni = key.vni,
					 .addr = to_dp(&key.addr),
					 .ifindex = v.ifindex,
					 .node = to_dp(&v.node),
					 .host_addr = to_dp(&v.host_addr)};
		memcpy(e.mac, v.mac, 6);
		rc = visit(&item, arg);
	}
	return rc;
}

static int each_peer(struct dp_bpf *d, dp_visit_fn visit, void *arg)
{
	struct dp_addr a;
	struct dp_item item = {.kind = DP_ITEM_PEER, .peer = &a};
	struct sw_addr key;
	int rc = 0;

	for_each_key(d, MAP_PEERS, &key)
	{
		a = to_dp(&key);
		rc = rc < 0 ? rc : visit(&item, arg);
	}
	return rc;
}

static int each_link(struct dp_bpf *d, dp_visit_fn visit, void *arg)
{
	struct dp_link l = {.ifindex = d->settings.lo_ifindex, .role = DP_LINK_LOOPBACK};
	struct dp_item item = {.kind = DP_ITEM_LINK, .link = &l};
	struct sw_link v;
	uint32_t ifindex;
	int rc = visit(&item, arg);

	for_each_key(d, MAP_LINKS, &ifindex)
	{
		if (rc < 0 || !bpf_get(d, MAP_LINKS, &ifindex, &v))
			continue;
		l = (struct dp_link){
			.ifindex = ifindex, .role = v.role, .vni = v.vni, .addr = to_dp(&v.addr)};
		rc = visit(&item, arg);
	}
	return rc;
}

static int each(struct dp *dp, enum dp_item_kind kind, dp_visit_fn visit, void *arg)
{
	static int (*const visits[DP_ITEM_KINDS])(struct dp_bpf *, dp_visit_fn, void *) = {
		[DP_ITEM_NETWORK] = each_network, [DP_ITEM_ENDPOINT] = each_endpoint,
		[DP_ITEM_PEER] = each_peer,	  [DP_ITEM_SERVICE] = bpf_each_service,
		[DP_ITEM_LINK] = each_link,
	};

	return visits[kind](bpf_of(dp), visit, arg);
}

static json_t *flows(struct dp *dp, size_t max)
{
	struct dp_bpf *d = bpf_of(dp);
	json_t *all = json_array();
	struct sw_flow_key k;
	struct sw_flow v;

	for_each_key(d, MAP_FLOWS, &k)
	{
		if (json_array_size(all) >= max)
			break;
		if (!bpf_get(d, MAP_FLOWS, &k, &v) || !dp_flow_kind(k.dir))
			continue;
		struct dp_flow f = {
			.kind = dp_flow_kind(k.dir),
			.vni = k.vni,
			.proto = k.proto,
			.src = to_dp(&k.src),
			.dst = to_dp(&k.dst),
			.sport = ntohs(k.sport),
			.dport = ntohs(k.dport),
			.to_src = to_dp(&v.src),
			.to_dst = to_dp(&v.dst),
			.via = to_dp(&v.via),
			.to_sport = ntohs(v.sport),
			.to_dport = ntohs(v.dport),
		};

		json_array_append_new(all, dp_flow_json(&f));
	}
	return all;
}

static int stats(struct dp *dp, struct dp_stats *ret)
{
	struct dp_bpf *d = bpf_of(dp);
	int n = libbpf_num_possible_cpus();
	_cleanup_free_ struct sw_count *c = xcalloc(n > 0 ? n : 1, sizeof(*c));

	memset(ret, 0, sizeof(*ret));
	for (uint32_t reason = 0; reason < SW_REASON_COUNT; reason++) {
		if (!bpf_get(d, MAP_COUNTS, &reason, c))
			continue;
		for (int i = 0; i < n; i++) {
			ret->packets[reason] += c[i].packets;
			ret->bytes[reason] += c[i].bytes;
		}
	}
	return 0;
}

const struct dp_ops dp_bpf_ops = {
	.kind = "bpf",
	.open = dp_bpf_open,
	.close = dp_bpf_close,
	.destroy = dp_bpf_destroy,
	.is_active = dp_bpf_is_active,
	.clean = dp_bpf_clean,
	.vtep_set = vtep_set,
	.network_set = network_set,
	.network_del = network_del,
	.endpoint_set = endpoint_set,
	.endpoint_del = endpoint_del,
	.peer_set = peer_set,
	.peer_del = peer_del,
	.service_set = bpf_service_set,
	.service_del = bpf_service_del,
	.link_set = link_set,
	.link_del = link_del,
	.check = bpf_check,
	.mend = bpf_mend,
	.each = each,
	.flows = flows,
	.stats = stats,
	.shares = bpf_shares,
	.events_open = bpf_events_open,
	.events_read = bpf_events_read,
	.events_close = bpf_events_close,
};
