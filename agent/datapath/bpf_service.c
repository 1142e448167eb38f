// SPDX-License-Identifier: Apache-2.0
/* Services and their balancing tables in the maps. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "datapath/bpf_impl.h"

/* Sizes come from the maps, where others may have written: they are bounded. */
static uint32_t slots_of(const struct sw_lb *lb)
{
	return min(lb->size, (uint32_t)SW_LB_SIZE_MAX);
}

static uint32_t backends_of(const struct sw_lb *lb)
{
	return min(lb->n_backends, (uint32_t)DP_BACKENDS_MAX);
}

static void table_drop(struct dp_bpf *d, const struct sw_lb *lb)
{
	for (uint32_t i = 0; lb->table && i * SW_CHUNK < slots_of(lb); i++) {
		struct sw_chunk_key key = {.table = lb->table, .chunk = i};

		bpf_del(d, MAP_CHUNKS, &key);
	}
	for (uint32_t i = 0; lb->table && i < backends_of(lb); i++) {
		struct sw_backend_key key = {.table = lb->table, .index = i};

		bpf_del(d, MAP_BACKENDS, &key);
	}
}

/* Packets may be looking at it right now: it goes when the next one is retired. */
static void table_retire(struct dp_bpf *d, const struct sw_lb *lb)
{
	table_drop(d, &d->retired);
	d->retired = *lb;
}

/* The i-th chunk of a table. */
static void chunk_fill(struct sw_chunk *c, const struct dp_service *s, const uint16_t *slots,
		       uint32_t size, uint32_t i)
{
	memset(c, 0, sizeof(*c));
	for (uint32_t k = 0; k < SW_CHUNK && i * SW_CHUNK + k < size; k++)
		c->slot[k] = to_sw(&s->backends[slots[i * SW_CHUNK + k]].addr);
}

static int slots_put(struct dp_bpf *d, const struct dp_service *s, struct sw_lb *lb)
{
	_cleanup_free_ uint16_t *slots = NULL;
	struct sw_chunk c;
	int rc = 0;

	lb->size = dp_service_table(s, &slots);
	for (uint32_t i = 0; i * SW_CHUNK < lb->size && !rc; i++) {
		struct sw_chunk_key key = {.table = lb->table, .chunk = i};

		chunk_fill(&c, s, slots, lb->size, i);
		rc = bpf_put(d, MAP_CHUNKS, &key, &c);
	}
	return rc;
}

static bool same_slots(struct dp_bpf *d, const struct sw_lb *lb, const struct dp_service *s)
{
	_cleanup_free_ uint16_t *slots = NULL;
	uint32_t size = dp_service_table(s, &slots);
	struct sw_chunk c, have;

	if (lb->size != size)
		return false;
	for (uint32_t i = 0; i * SW_CHUNK < size; i++) {
		struct sw_chunk_key key = {.table = lb->table, .chunk = i};

		chunk_fill(&c, s, slots, size, i);
		if (!bpf_get(d, MAP_CHUNKS, &key, &have) || memcmp(&c, &have, sizeof(c)))
			return false;
	}
	return true;
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

		rc = bpf_put(d, MAP_BACKENDS, &key, &v);
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

	if (!bpf_get(d, MAP_BACKENDS, &key, &v))
		return false;
	*ret = (struct dp_backend){
		.addr = to_dp(&v.addr), .weight = v.weight, .draining = v.draining};
	return true;
}

/* What is damaged is no more the same, and is made anew when the service is set again. */
static bool same_table(struct dp_bpf *d, const struct sw_lb *lb, const struct dp_service *s)
{
	struct dp_backend b;

	if (!lb->table || lb->n_backends != s->n_backends)
		return false;
	for (uint32_t i = 0; i < lb->n_backends; i++)
		if (!backend_get(d, lb, i, &b) ||
		    memcmp(&b.addr, &s->backends[i].addr, sizeof(b.addr)) ||
		    b.weight != s->backends[i].weight || b.draining != s->backends[i].draining)
			return false;
	return same_slots(d, lb, s);
}

static int vip_set(struct dp_bpf *d, const struct dp_service *s, struct err *err)
{
	struct sw_endpoint_key key = {.vni = s->vni, .addr = to_sw(&s->vip)};
	struct sw_endpoint v = {.kind = SW_ENDPOINT_VIP}, old = {0};
	int rc;

	if (bpf_get(d, MAP_ENDPOINTS, &key, &old) && old.kind == SW_ENDPOINT_VIP &&
	    same_table(d, &old.lb, s))
		return 0;
	sw_mac4(v.mac, SW_MAC_ADDR, key.addr.w[3]);
	rc = table_make(d, s, &v.lb, err);
	rc = rc ? rc : bpf_endpoint_put(d, s->vni, &key.addr, &v, err);
	if (!rc && old.kind == SW_ENDPOINT_VIP)
		table_retire(d, &old.lb);
	return rc;
}

static int port_set(struct dp_bpf *d, const struct dp_service *s, struct err *err)
{
	struct sw_port_key key = {.port = htons(s->published), .proto = s->proto};
	struct sw_port v = {.vni = s->vni, .target = htons(s->target)}, old = {0};
	bool replaces = bpf_get(d, MAP_PORTS, &key, &old);
	int rc;

	if (replaces && old.vni == v.vni && old.target == v.target && same_table(d, &old.lb, s))
		return 0;
	rc = table_make(d, s, &v.lb, err);
	if (rc)
		return rc;
	rc = bpf_put(d, MAP_PORTS, &key, &v);
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

	if (s->kind == DP_VIP && bpf_get(d, MAP_ENDPOINTS, &ek, &e) && e.kind == SW_ENDPOINT_VIP)
		*ret = e.lb;
	else if (s->kind == DP_PUBLISHED && bpf_get(d, MAP_PORTS, &pk, &p))
		*ret = p.lb;
	else
		return false;
	return true;
}

static int compare_addr(const void *addr, const void *backend)
{
	return memcmp(addr, &((const struct dp_backend *)backend)->addr, sizeof(struct dp_addr));
}

int bpf_shares(struct dp *dp, const struct dp_service *s, uint32_t *slots, uint32_t *ret_size)
{
	struct dp_bpf *d = bpf_of(dp);
	struct sw_chunk c;
	struct sw_lb lb;

	if (!table_of(d, s, &lb))
		return -ENOENT;
	memset(slots, 0, s->n_backends * sizeof(*slots));
	for (uint32_t i = 0; i * SW_CHUNK < slots_of(&lb); i++) {
		struct sw_chunk_key key = {.table = lb.table, .chunk = i};

		if (!bpf_get(d, MAP_CHUNKS, &key, &c))
			continue;
		for (uint32_t k = 0; k < SW_CHUNK && i * SW_CHUNK + k < slots_of(&lb); k++) {
			const struct dp_backend *b = bsearch(&c.slot[k], s->backends, s->n_backends,
							     sizeof(*b), compare_addr);

			if (b)
				slots[b - s->backends]++;
		}
	}
	*ret_size = lb.size;
	return 0;
}

bool bpf_service_is_whole(struct dp_bpf *d, const struct dp_service *s)
{
	struct sw_lb lb;

	return table_of(d, s, &lb) && same_table(d, &lb, s);
}

int bpf_service_set(struct dp *dp, const struct dp_service *s, struct err *err)
{
	return s->kind == DP_VIP ? vip_set(bpf_of(dp), s, err) : port_set(bpf_of(dp), s, err);
}

int bpf_service_del(struct dp *dp, const struct dp_service *s, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);
	struct sw_endpoint_key ek = {.vni = s->vni, .addr = to_sw(&s->vip)};
	struct sw_port_key pk = {.port = htons(s->published), .proto = s->proto};
	struct sw_endpoint e;
	struct sw_port p;

	(void)err;
	if (s->kind == DP_VIP && bpf_get(d, MAP_ENDPOINTS, &ek, &e) && e.kind == SW_ENDPOINT_VIP) {
		bpf_del(d, MAP_ENDPOINTS, &ek);
		table_retire(d, &e.lb);
	} else if (s->kind == DP_PUBLISHED && bpf_get(d, MAP_PORTS, &pk, &p)) {
		bpf_del(d, MAP_PORTS, &pk);
		table_retire(d, &p.lb);
	}
	return 0;
}

_Static_assert(sizeof(struct sw_chunk_key) == 8 && sizeof(struct sw_backend_key) == 8 &&
		       !offsetof(struct sw_chunk_key, table) &&
		       !offsetof(struct sw_backend_key, table),
	       "the keys of chunks and backends begin with their table");

/* Delete what is of no table that is used. A key is deleted after its successor is known. */
static void collect(struct dp_bpf *d, enum bpf_map_index map, const struct map *used)
{
	uint32_t key[2], doomed[2];
	bool have = false;
	char name[16];

	for_each_key(d, map, key)
	{
		if (have)
			bpf_del(d, map, doomed);
		snprintf(name, sizeof(name), "%u", key[0]);
		have = !map_has(used, name);
		memcpy(doomed, key, sizeof(doomed));
	}
	if (have)
		bpf_del(d, map, doomed);
}

static void use(struct dp_bpf *d, const struct sw_lb *lb, struct map *used)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", lb->table);
	map_put(used, name, d);
	d->next_table = max(d->next_table, lb->table);
}

void bpf_tables_collect(struct dp_bpf *d)
{
	struct sw_endpoint_key ek;
	struct sw_port_key pk;
	struct sw_endpoint e;
	struct sw_port p;
	struct map used = MAP_INIT;

	for_each_key(d, MAP_ENDPOINTS, &ek) if (bpf_get(d, MAP_ENDPOINTS, &ek, &e) &&
						e.kind == SW_ENDPOINT_VIP) use(d, &e.lb, &used);
	for_each_key(d, MAP_PORTS, &pk) if (bpf_get(d, MAP_PORTS, &pk, &p)) use(d, &p.lb, &used);
	collect(d, MAP_CHUNKS, &used);
	collect(d, MAP_BACKENDS, &used);
	map_done(&used);
}

static int visit_service(struct dp_bpf *d, struct dp_service *s, const struct sw_lb *lb,
			 dp_visit_fn visit, void *arg)
{
	_cleanup_free_ struct dp_backend *b = xcalloc(backends_of(lb) + 1, sizeof(*b));
	struct dp_item item = {.kind = DP_ITEM_SERVICE, .service = s};

	for (uint32_t i = 0; i < backends_of(lb); i++)
		s->n_backends += backend_get(d, lb, i, &b[s->n_backends]);
	s->backends = b;
	return visit(&item, arg);
}

int bpf_each_service(struct dp_bpf *d, dp_visit_fn visit, void *arg)
{
	struct sw_endpoint_key ek;
	struct sw_port_key pk;
	struct sw_endpoint e;
	struct sw_port p;
	int rc = 0;

	for_each_key(d, MAP_ENDPOINTS, &ek)
	{
		if (rc < 0 || !bpf_get(d, MAP_ENDPOINTS, &ek, &e) || e.kind != SW_ENDPOINT_VIP)
			continue;
		struct dp_service s = {.kind = DP_VIP, .vni = ek.vni, .vip = to_dp(&ek.addr)};

		rc = visit_service(d, &s, &e.lb, visit, arg);
	}
	for_each_key(d, MAP_PORTS, &pk)
	{
		if (rc < 0 || !bpf_get(d, MAP_PORTS, &pk, &p))
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
