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

_Static_assert(SW_NETWORK_INGRESS == DP_NETWORK_INGRESS, "one flag, two names");
_Static_assert(SW_LINK_CONTAINER == (int)DP_LINK_CONTAINER &&
		       SW_LINK_CLIENTS == (int)DP_LINK_CLIENTS &&
		       SW_LINK_LOOPBACK == (int)DP_LINK_LOOPBACK,
	       "one role, two names");
_Static_assert(SW_VXLAN_PORT == 4789, "the default of dp.h");

static struct dp_bpf *bpf_of(struct dp *dp)
{
	return container_of(dp, struct dp_bpf, dp);
}

static struct sw_addr to_sw(const struct dp_addr *a)
{
	struct sw_addr r;

	memcpy(&r, a, sizeof(r));
	return r;
}

static struct dp_addr to_dp(const struct sw_addr *a)
{
	struct dp_addr r;

	memcpy(&r, a, sizeof(r));
	return r;
}

static const char *text_of(const struct dp_addr *a, char dst[INET6_ADDRSTRLEN])
{
	dp_addr_format(a, dst);
	return dst;
}

static int put(struct dp_bpf *d, enum bpf_map_index map, const void *key, const void *value)
{
	return bpf_map_update_elem(d->maps[map], key, value, BPF_ANY) ? -errno : 0;
}

static bool get(struct dp_bpf *d, enum bpf_map_index map, const void *key, void *value)
{
	return !bpf_map_lookup_elem(d->maps[map], key, value);
}

static void del(struct dp_bpf *d, enum bpf_map_index map, const void *key)
{
	bpf_map_delete_elem(d->maps[map], key);
}

/* for (each key of a map): key is a pointer to storage, changed only between rounds. */
#define for_each_key(d, map, key)                                                                  \
	for (int _more = bpf_map_get_next_key((d)->maps[map], NULL, key); !_more;                  \
	     _more = bpf_map_get_next_key((d)->maps[map], key, key))

static int settings_put(struct dp_bpf *d, struct err *err)
{
	uint32_t zero = 0;
	int rc = put(d, MAP_SETTINGS, &zero, &d->settings);

	return rc ? err_errno(err, rc, "the datapath's settings cannot be written") : 0;
}

/* Programs of a newer agent take the places of the old ones. */
static void replace_programs(struct dp_bpf *d)
{
	struct sw_link l;
	uint32_t ifindex;

	for_each_key(d, MAP_LINKS, &ifindex)
	{
		if (get(d, MAP_LINKS, &ifindex, &l))
			bpf_attach(d, ifindex,
				   l.role == DP_LINK_CONTAINER ? PROG_CONTAINER : PROG_CLIENTS,
				   NULL);
	}
}

/* Tables that no service uses: of updates that a former agent did not finish. */
static void tables_collect(struct dp_bpf *d)
{
	struct sw_endpoint_key ek;
	struct sw_chunk_key ck, doomed_chunk;
	struct sw_backend_key bk, doomed_backend;
	struct sw_port_key pk;
	struct sw_endpoint e;
	struct sw_port p;
	struct map used = MAP_INIT;
	char key[16];
	bool have = false;

	for_each_key(d, MAP_ENDPOINTS, &ek)
	{
		if (!get(d, MAP_ENDPOINTS, &ek, &e) || e.kind != SW_ENDPOINT_VIP)
			continue;
		snprintf(key, sizeof(key), "%u", e.lb.table);
		map_put(&used, key, d);
		d->next_table = max(d->next_table, e.lb.table);
	}
	for_each_key(d, MAP_PORTS, &pk)
	{
		if (!get(d, MAP_PORTS, &pk, &p))
			continue;
		snprintf(key, sizeof(key), "%u", p.lb.table);
		map_put(&used, key, d);
		d->next_table = max(d->next_table, p.lb.table);
	}
	/* a key is deleted after its successor is known */
	for_each_key(d, MAP_CHUNKS, &ck)
	{
		if (have)
			del(d, MAP_CHUNKS, &doomed_chunk);
		snprintf(key, sizeof(key), "%u", ck.table);
		have = !map_has(&used, key);
		doomed_chunk = ck;
	}
	if (have)
		del(d, MAP_CHUNKS, &doomed_chunk);
	have = false;
	for_each_key(d, MAP_BACKENDS, &bk)
	{
		if (have)
			del(d, MAP_BACKENDS, &doomed_backend);
		snprintf(key, sizeof(key), "%u", bk.table);
		have = !map_has(&used, key);
		doomed_backend = bk;
	}
	if (have)
		del(d, MAP_BACKENDS, &doomed_backend);
	map_done(&used);
}

static int tunnel_open(struct dp_bpf *d, struct err *err)
{
	uint32_t ifindex;
	int rc = bpf_vxlan_device(ntohs(d->settings.vxlan_port), &ifindex, err);

	return rc ? rc : bpf_attach(d, ifindex, PROG_TUNNEL, err);
}

static int vtep_set(struct dp *dp, const struct dp_addr *vtep, uint16_t port, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);
	int rc;

	d->settings.vtep = to_sw(vtep);
	d->settings.vxlan_port = htons(port);
	rc = settings_put(d, err);
	return rc ? rc : tunnel_open(d, err);
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
	tables_collect(d);
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

static int endpoint_put(struct dp_bpf *d, uint32_t vni, const struct sw_addr *addr,
			const struct sw_endpoint *e, struct err *err)
{
	struct sw_endpoint_key key = {.vni = vni, .addr = *addr};
	struct dp_addr a = to_dp(addr);
	char text[INET6_ADDRSTRLEN];
	int rc = put(d, MAP_ENDPOINTS, &key, e);

	return rc ? err_errno(err, rc, "%s of network %u cannot be set", text_of(&a, text), vni)
		  : 0;
}

/* Remove the address if it is of this kind. */
static void endpoint_remove(struct dp_bpf *d, uint32_t vni, const struct sw_addr *addr,
			    uint32_t kind)
{
	struct sw_endpoint_key key = {.vni = vni, .addr = *addr};
	struct sw_endpoint e;

	if (get(d, MAP_ENDPOINTS, &key, &e) && e.kind == kind)
		del(d, MAP_ENDPOINTS, &key);
}

static int self_put(struct dp_bpf *d, uint32_t vni, const struct sw_addr *addr, const uint8_t *mac,
		    struct err *err)
{
	struct sw_endpoint e = {.kind = SW_ENDPOINT_SELF};

	if (!sw_addr_is_set(addr))
		return 0;
	if (mac)
		memcpy(e.mac, mac, 6);
	else
		sw_mac4(e.mac, SW_MAC_ADDR, addr->w[3]);
	return endpoint_put(d, vni, addr, &e, err);
}

static int network_set(struct dp *dp, const struct dp_network *n, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);
	struct sw_network v = {.mtu = n->mtu, .flags = n->flags}, old;
	int rc;

	v.gateway = to_sw(&n->gateway);
	v.node_addr = to_sw(&n->node_addr);
	memcpy(v.gateway_mac, n->gateway_mac, 6);
	if (get(d, MAP_NETWORKS, &n->vni, &old)) {
		if (!memcmp(&old, &v, sizeof(v)))
			return 0;
		if (!sw_addr_eq(&old.gateway, &v.gateway))
			endpoint_remove(d, n->vni, &old.gateway, SW_ENDPOINT_SELF);
		if (!sw_addr_eq(&old.node_addr, &v.node_addr))
			endpoint_remove(d, n->vni, &old.node_addr, SW_ENDPOINT_SELF);
	}
	rc = put(d, MAP_NETWORKS, &n->vni, &v);
	if (rc)
		return err_errno(err, rc, "network %u cannot be set", n->vni);
	rc = self_put(d, n->vni, &v.node_addr, NULL, err);
	return rc ? rc : self_put(d, n->vni, &v.gateway, v.gateway_mac, err);
}

static int network_del(struct dp *dp, uint32_t vni, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);
	struct sw_network v;

	(void)err;
	if (!get(d, MAP_NETWORKS, &vni, &v))
		return 0;
	endpoint_remove(d, vni, &v.gateway, SW_ENDPOINT_SELF);
	endpoint_remove(d, vni, &v.node_addr, SW_ENDPOINT_SELF);
	del(d, MAP_NETWORKS, &vni);
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
	if (get(d, MAP_ENDPOINTS, &key, &old) && old.kind != SW_ENDPOINT_VIP) {
		if (old.kind == SW_ENDPOINT_SELF)
			return 0; /* our own address, told as another's */
		v.gen = old.gen;
		v.translated = old.translated;
		if (!memcmp(&old, &v, sizeof(v)))
			return 0;
	} else {
		v.gen = ++d->next_gen;
	}
	return endpoint_put(d, e->vni, &key.addr, &v, err);
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
	int rc = put(bpf_of(dp), MAP_PEERS, &key, &one);

	return rc ? err_errno(err, rc, "node %s cannot be set", text_of(vtep, text)) : 0;
}

static int peer_del(struct dp *dp, const struct dp_addr *vtep, struct err *err)
{
	struct sw_addr key = to_sw(vtep);

	(void)err;
	del(bpf_of(dp), MAP_PEERS, &key);
	return 0;
}

/* Services */

static void table_drop(struct dp_bpf *d, const struct sw_lb *lb)
{
	for (uint32_t i = 0; lb->table && i * SW_CHUNK < lb->size; i++) {
		struct sw_chunk_key key = {.table = lb->table, .chunk = i};

		del(d, MAP_CHUNKS, &key);
	}
	for (uint32_t i = 0; lb->table && i < lb->n_backends; i++) {
		struct sw_backend_key key = {.table = lb->table, .index = i};

		del(d, MAP_BACKENDS, &key);
	}
}

/* Packets may be looking at it right now: it goes when the next one is retired. */
static void table_retire(struct dp_bpf *d, const struct sw_lb *lb)
{
	table_drop(d, &d->retired);
	d->retired = *lb;
}

static int slots_put(struct dp_bpf *d, const struct dp_service *s, struct sw_lb *lb)
{
	_cleanup_free_ uint16_t *slots = NULL;
	int rc = 0;

	lb->size = dp_service_table(s, &slots);
	for (uint32_t i = 0; i * SW_CHUNK < lb->size && !rc; i++) {
		struct sw_chunk_key key = {.table = lb->table, .chunk = i};
		struct sw_chunk c;

		memset(&c, 0, sizeof(c));
		for (uint32_t k = 0; k < SW_CHUNK && i * SW_CHUNK + k < lb->size; k++)
			c.slot[k] = to_sw(&s->backends[slots[i * SW_CHUNK + k]].addr);
		rc = put(d, MAP_CHUNKS, &key, &c);
	}
	return rc;
}

static int table_make(struct dp_bpf *d, const struct dp_service *s, struct sw_lb *ret,
		      struct err *err)
{
	struct sw_lb lb = {.table = ++d->next_table};
	int rc = 0;

	for (size_t i = 0; i < s->n_backends && !rc; i++) {
		struct sw_backend_key key = {.table = lb.table, .index = i};
		struct sw_backend v = {.addr = to_sw(&s->backends[i].addr),
				       .weight = s->backends[i].weight,
				       .draining = s->backends[i].draining};

		rc = put(d, MAP_BACKENDS, &key, &v);
		lb.n_backends++;
	}
	rc = rc ? rc : slots_put(d, s, &lb);
	if (rc) {
		table_drop(d, &lb);
		return err_errno(err, rc, "no room for the backends of a service");
	}
	*ret = lb;
	return 0;
}

static bool backend_get(struct dp_bpf *d, const struct sw_lb *lb, uint32_t i,
			struct dp_backend *ret)
{
	struct sw_backend_key key = {.table = lb->table, .index = i};
	struct sw_backend v;

	if (!get(d, MAP_BACKENDS, &key, &v))
		return false;
	*ret = (struct dp_backend){
		.addr = to_dp(&v.addr), .weight = v.weight, .draining = v.draining};
	return true;
}

static bool same_backends(struct dp_bpf *d, const struct sw_lb *lb, const struct dp_service *s)
{
	struct dp_backend b;

	if (!lb->table || lb->n_backends != s->n_backends)
		return false;
	for (uint32_t i = 0; i < lb->n_backends; i++)
		if (!backend_get(d, lb, i, &b) ||
		    memcmp(&b.addr, &s->backends[i].addr, sizeof(b.addr)) ||
		    b.weight != s->backends[i].weight || b.draining != s->backends[i].draining)
			return false;
	return true;
}

static int vip_set(struct dp_bpf *d, const struct dp_service *s, struct err *err)
{
	struct sw_endpoint_key key = {.vni = s->vni, .addr = to_sw(&s->vip)};
	struct sw_endpoint v = {.kind = SW_ENDPOINT_VIP}, old = {0};
	int rc;

	if (get(d, MAP_ENDPOINTS, &key, &old) && old.kind == SW_ENDPOINT_VIP &&
	    same_backends(d, &old.lb, s))
		return 0;
	sw_mac4(v.mac, SW_MAC_ADDR, key.addr.w[3]);
	rc = table_make(d, s, &v.lb, err);
	rc = rc ? rc : endpoint_put(d, s->vni, &key.addr, &v, err);
	if (!rc && old.kind == SW_ENDPOINT_VIP)
		table_retire(d, &old.lb);
	return rc;
}

static int port_set(struct dp_bpf *d, const struct dp_service *s, struct err *err)
{
	struct sw_port_key key = {.port = htons(s->published), .proto = s->proto};
	struct sw_port v = {.vni = s->vni, .target = htons(s->target)}, old = {0};
	bool replaces = get(d, MAP_PORTS, &key, &old);
	int rc;

	if (replaces && old.vni == v.vni && old.target == v.target && same_backends(d, &old.lb, s))
		return 0;
	rc = table_make(d, s, &v.lb, err);
	if (rc)
		return rc;
	rc = put(d, MAP_PORTS, &key, &v);
	if (rc) {
		table_drop(d, &v.lb);
		return err_errno(err, rc, "port %u cannot be published", s->published);
	}
	if (replaces)
		table_retire(d, &old.lb);
	return 0;
}

/* The table of a service, if it is there. */
static bool table_of(struct dp_bpf *d, const struct dp_service *s, struct sw_lb *ret)
{
	struct sw_endpoint_key ek = {.vni = s->vni, .addr = to_sw(&s->vip)};
	struct sw_port_key pk = {.port = htons(s->published), .proto = s->proto};
	struct sw_endpoint e;
	struct sw_port p;

	if (s->kind == DP_VIP && get(d, MAP_ENDPOINTS, &ek, &e) && e.kind == SW_ENDPOINT_VIP)
		*ret = e.lb;
	else if (s->kind == DP_PUBLISHED && get(d, MAP_PORTS, &pk, &p))
		*ret = p.lb;
	else
		return false;
	return true;
}

static int compare_addr(const void *addr, const void *backend)
{
	return memcmp(addr, &((const struct dp_backend *)backend)->addr, sizeof(struct dp_addr));
}

static int shares(struct dp *dp, const struct dp_service *s, uint32_t *slots, uint32_t *ret_size)
{
	struct dp_bpf *d = bpf_of(dp);
	struct sw_chunk c;
	struct sw_lb lb;

	if (!table_of(d, s, &lb))
		return -ENOENT;
	memset(slots, 0, s->n_backends * sizeof(*slots));
	for (uint32_t i = 0; i * SW_CHUNK < lb.size; i++) {
		struct sw_chunk_key key = {.table = lb.table, .chunk = i};

		if (!get(d, MAP_CHUNKS, &key, &c))
			continue;
		for (uint32_t k = 0; k < SW_CHUNK && i * SW_CHUNK + k < lb.size; k++) {
			const struct dp_backend *b = bsearch(&c.slot[k], s->backends, s->n_backends,
							     sizeof(*b), compare_addr);

			if (b)
				slots[b - s->backends]++;
		}
	}
	*ret_size = lb.size;
	return 0;
}

static int service_set(struct dp *dp, const struct dp_service *s, struct err *err)
{
	return s->kind == DP_VIP ? vip_set(bpf_of(dp), s, err) : port_set(bpf_of(dp), s, err);
}

static int service_del(struct dp *dp, const struct dp_service *s, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);
	struct sw_endpoint_key ek = {.vni = s->vni, .addr = to_sw(&s->vip)};
	struct sw_port_key pk = {.port = htons(s->published), .proto = s->proto};
	struct sw_endpoint e;
	struct sw_port p;

	(void)err;
	if (s->kind == DP_VIP && get(d, MAP_ENDPOINTS, &ek, &e) && e.kind == SW_ENDPOINT_VIP) {
		del(d, MAP_ENDPOINTS, &ek);
		table_retire(d, &e.lb);
	} else if (s->kind == DP_PUBLISHED && get(d, MAP_PORTS, &pk, &p)) {
		del(d, MAP_PORTS, &pk);
		table_retire(d, &p.lb);
	}
	return 0;
}

/* Links */

static int link_set(struct dp *dp, const struct dp_link *l, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);
	struct sw_link v = {.role = l->role};
	struct sw_network n;
	int rc;

	if (l->role == DP_LINK_LOOPBACK)
		return 0;
	if (l->role == DP_LINK_CONTAINER) {
		v.vni = l->vni;
		v.addr = to_sw(&l->addr);
		if (get(d, MAP_NETWORKS, &l->vni, &n) && n.flags & SW_NETWORK_INGRESS)
			v.flags |= SW_LINK_INGRESS;
	} else if (bpf_link_is_bridge(l->ifindex)) {
		v.flags |= SW_LINK_BRIDGE;
	}
	rc = put(d, MAP_LINKS, &l->ifindex, &v);
	if (rc)
		return err_errno(err, rc, "link %u cannot be set", l->ifindex);
	rc = bpf_attach(d, l->ifindex, l->role == DP_LINK_CONTAINER ? PROG_CONTAINER : PROG_CLIENTS,
			err);
	if (rc)
		del(d, MAP_LINKS, &l->ifindex);
	return rc;
}

static int link_del(struct dp *dp, uint32_t ifindex, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);

	(void)err;
	bpf_detach(d, ifindex);
	del(d, MAP_LINKS, &ifindex);
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
		if (rc < 0 || !get(d, MAP_NETWORKS, &vni, &v))
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
		if (rc < 0 || !get(d, MAP_ENDPOINTS, &key, &v) || v.kind != SW_ENDPOINT)
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

static int visit_service(struct dp_bpf *d, struct dp_service *s, const struct sw_lb *lb,
			 dp_visit_fn visit, void *arg)
{
	_cleanup_free_ struct dp_backend *b = xcalloc(lb->n_backends + 1, sizeof(*b));
	struct dp_item item = {.kind = DP_ITEM_SERVICE, .service = s};

	for (uint32_t i = 0; i < lb->n_backends; i++)
		s->n_backends += backend_get(d, lb, i, &b[s->n_backends]);
	s->backends = b;
	return visit(&item, arg);
}

static int each_service(struct dp_bpf *d, dp_visit_fn visit, void *arg)
{
	struct sw_endpoint_key ek;
	struct sw_port_key pk;
	struct sw_endpoint e;
	struct sw_port p;
	int rc = 0;

	for_each_key(d, MAP_ENDPOINTS, &ek)
	{
		if (rc < 0 || !get(d, MAP_ENDPOINTS, &ek, &e) || e.kind != SW_ENDPOINT_VIP)
			continue;
		struct dp_service s = {.kind = DP_VIP, .vni = ek.vni, .vip = to_dp(&ek.addr)};

		rc = visit_service(d, &s, &e.lb, visit, arg);
	}
	for_each_key(d, MAP_PORTS, &pk)
	{
		if (rc < 0 || !get(d, MAP_PORTS, &pk, &p))
			continue;
		struct dp_service s = {.kind = DP_PUBLISHED,
				       .vni = p.vni,
				       .proto = pk.proto,
				       .published = ntohs(pk.port),
				       .target = ntohs(p.target)};

		rc = visit_service(d, &s, &p.lb, visit, arg);
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
		if (rc < 0 || !get(d, MAP_LINKS, &ifindex, &v))
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
		[DP_ITEM_PEER] = each_peer,	  [DP_ITEM_SERVICE] = each_service,
		[DP_ITEM_LINK] = each_link,
	};

	return visits[kind](bpf_of(dp), visit, arg);
}

static json_t *flows(struct dp *dp, size_t max)
{
	static const char *const kinds[] = {
		[SW_FLOW_VIP] = "vip",
		[SW_FLOW_PUBLISHED] = "published",
		[SW_FLOW_REPLY] = "reply",
		[SW_FLOW_REMAPPED] = "remapped",
	};
	struct dp_bpf *d = bpf_of(dp);
	json_t *all = json_array();
	struct sw_flow_key k;
	struct sw_flow v;

	for_each_key(d, MAP_FLOWS, &k)
	{
		if (json_array_size(all) >= max)
			break;
		if (!get(d, MAP_FLOWS, &k, &v) || k.dir >= ARRAY_SIZE(kinds) || !kinds[k.dir])
			continue;
		struct dp_flow f = {
			.kind = kinds[k.dir],
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
		if (!get(d, MAP_COUNTS, &reason, c))
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
	.service_set = service_set,
	.service_del = service_del,
	.link_set = link_set,
	.link_del = link_del,
	.each = each,
	.flows = flows,
	.stats = stats,
	.shares = shares,
};
