// SPDX-License-Identifier: Apache-2.0
#include "datapath/dp_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "swarm/lb.h"

_Static_assert(sizeof(struct dp_addr) == sizeof(struct sw_addr), "the same 16 bytes");

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int dp_addr_parse(const char *s, struct dp_addr *ret)
{
	char text[INET6_ADDRSTRLEN];
	size_t len = s ? strcspn(s, "/") : 0;
	struct dp_addr a;

	if (!len || len >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, len);
	text[len] = 0;
	if (inet_pton(AF_INET, text, a.b + 12) == 1)
		memcpy(a.b, mapped_prefix, 12);
	else if (inet_pton(AF_INET6, text, a.b) != 1)
		return -EINVAL;
	*ret = a;
	return 0;
}

static bool is4(const struct dp_addr *a)
{
	return !memcmp(a->b, mapped_prefix, 12);
}

void dp_addr_format(const struct dp_addr *a, char dst[INET6_ADDRSTRLEN])
{
	if (is4(a))
		inet_ntop(AF_INET, a->b + 12, dst, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, a->b, dst, INET6_ADDRSTRLEN);
}

bool dp_addr_is_set(const struct dp_addr *a)
{
	static const struct dp_addr none;

	return memcmp(a, &none, sizeof(none));
}

const char *dp_reason(enum sw_reason reason)
{
	static const char *const texts[] = {
#define X(name, text) [SW_##name] = text,
		SW_REASONS(X)
#undef X
	};

	return (unsigned int)reason < ARRAY_SIZE(texts) ? texts[reason] : "unknown";
}

const char *dp_reason_name(enum sw_reason reason)
{
	static const char *const names[] = {
#define X(name, text) [SW_##name] = #name,
		SW_REASONS(X)
#undef X
	};

	return (unsigned int)reason < ARRAY_SIZE(names) ? names[reason] : "UNKNOWN";
}

/* In the order in which "auto" tries them; the last one is for tests only. */
static const struct dp_ops *const all_ops[] = {&dp_bpf_ops, &dp_kmod_ops, &dp_fake_ops};

/* What a former agent had with another back end goes: two would handle each packet. */
static int clean_others(const struct dp_ops *ops, const char *exec_root, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all_ops) && !rc; i++)
		if (all_ops[i] != ops && all_ops[i]->clean)
			rc = all_ops[i]->clean(exec_root, err);
	return rc;
}

static int open_kind(const struct dp_ops *ops, const struct dp_options *opt, struct dp **ret,
		     struct err *err)
{
	struct dp *dp;
	int rc = ops == &dp_fake_ops ? 0 : clean_others(ops, opt->exec_root, err);

	rc = rc ? rc : ops->open(opt, &dp, err);
	if (rc)
		return rc;
	dp->ops = ops;
	dp->syncing = false;
	map_init(&dp->marks);
	dp->verify = NULL;
	dp_events_init(dp);
	*ret = dp;
	return 0;
}

/*
 * The back end that a former agent left working, so that connections outlive this start; else the
 * first one that can be opened.
 */
static int open_auto(const struct dp_options *opt, struct dp **ret, struct err *err)
{
	_cleanup_free_ char *why = xstrdup("");
	struct err e = ERR_INIT;
	int rc = -ENOENT;

	for (int active = 1; active >= 0; active--) {
		for (size_t i = 0; i < ARRAY_SIZE(all_ops); i++) {
			const struct dp_ops *ops = all_ops[i];
			char *more;

			if (!ops->is_active || ops->is_active(opt->exec_root) != active)
				continue;
			rc = open_kind(ops, opt, ret, &e);
			if (!rc)
				return 0;
			more = xasprintf("%s%s%s: %s", why, *why ? "; " : "", ops->kind, e.msg);
			free(why);
			why = more;
		}
	}
	return err_set(err, rc, "no datapath can be opened: %s", why);
}

int dp_open(const struct dp_options *opt, struct dp **ret, struct err *err)
{
	if (str_empty(opt->kind) || streq(opt->kind, "auto"))
		return open_auto(opt, ret, err);
	for (size_t i = 0; i < ARRAY_SIZE(all_ops); i++)
		if (streq(opt->kind, all_ops[i]->kind))
			return open_kind(all_ops[i], opt, ret, err);
	return err_set(err, -EINVAL, "datapath \"%s\" is unknown: use auto, bpf or kmod",
		       opt->kind);
}

int dp_vtep_set(struct dp *dp, const struct dp_addr *vtep, uint16_t vxlan_port, struct err *err)
{
	if (dp_addr_is_set(vtep) && !is4(vtep))
		return err_set(err, -EAFNOSUPPORT,
			       "the data path address has to be an IPv4 address");
	return dp->ops->vtep_set(dp, vtep, vxlan_port ? vxlan_port : 4789, err);
}

void dp_close(struct dp *dp)
{
	if (!dp)
		return;
	dp_events_done(dp);
	map_done(&dp->marks);
	dp->ops->close(dp);
}

void dp_destroy(struct dp *dp)
{
	if (!dp)
		return;
	dp_events_done(dp);
	map_done(&dp->marks);
	dp->ops->destroy(dp);
}

int dp_clean(const char *exec_root, struct err *err)
{
	int rc, first = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all_ops); i++) {
		rc = all_ops[i]->clean ? all_ops[i]->clean(exec_root, err) : 0;
		if (rc && !first)
			first = rc;
	}
	return first;
}

int dp_item_set(struct dp *dp, const struct dp_item *item, struct err *err)
{
	switch (item->kind) {
	case DP_ITEM_NETWORK:
		return dp->ops->network_set(dp, item->network, err);
	case DP_ITEM_ENDPOINT:
		return dp->ops->endpoint_set(dp, item->endpoint, err);
	case DP_ITEM_PEER:
		return dp->ops->peer_set(dp, item->peer, err);
	case DP_ITEM_SERVICE:
		return dp->ops->service_set(dp, item->service, err);
	default:
		return dp->ops->link_set(dp, item->link, err);
	}
}

int dp_item_del(struct dp *dp, const struct dp_item *item, struct err *err)
{
	const struct dp_endpoint *e = item->endpoint;

	switch (item->kind) {
	case DP_ITEM_NETWORK:
		return dp->ops->network_del(dp, item->network->vni, err);
	case DP_ITEM_ENDPOINT:
		return dp->ops->endpoint_del(dp, e->vni, &e->addr, err);
	case DP_ITEM_PEER:
		return dp->ops->peer_del(dp, item->peer, err);
	case DP_ITEM_SERVICE:
		return dp->ops->service_del(dp, item->service, err);
	default:
		return dp->ops->link_del(dp, item->link->ifindex, err);
	}
}

/* What shall be was said: do it, or only compare. */
static int set(struct dp *dp, const struct dp_item *item, struct err *err)
{
	char key[DP_ITEM_KEY_SIZE];
	int rc = 0;

	if (dp->verify)
		dp_verify_item(dp, item);
	else
		rc = dp_item_set(dp, item, err);
	if (rc)
		return rc;
	if (dp->syncing) {
		dp_item_key(item, key);
		map_put(&dp->marks, key, dp);
	}
	dp_tell_set(dp, item);
	return 0;
}

static int del(struct dp *dp, const struct dp_item *item, struct err *err)
{
	int rc = dp_item_del(dp, item, err);

	if (!rc)
		dp_tell_del(dp, item);
	return rc;
}

static void default_mac(uint8_t mac[6], const struct dp_addr *a)
{
	static const uint8_t none[6];

	if (memcmp(mac, none, 6))
		return;
	mac[0] = 0x02;
	mac[1] = 0x42;
	memcpy(mac + 2, a->b + 12, 4);
}

static int check_addr(const struct dp_addr *a, const char *what, bool optional, struct err *err)
{
	char text[INET6_ADDRSTRLEN];

	if (is4(a) || (optional && !dp_addr_is_set(a)))
		return 0;
	dp_addr_format(a, text);
	return err_set(err, -EAFNOSUPPORT, "%s %s: only IPv4 addresses are supported", what, text);
}

static int check_vni(uint32_t vni, struct err *err)
{
	if (vni && vni < 1 << 24)
		return 0;
	return err_set(err, -EINVAL, "VXLAN network identifier %u is not within 1 to 16777215",
		       vni);
}

int dp_network_set(struct dp *dp, const struct dp_network *n, struct err *err)
{
	struct dp_network full = *n;
	struct dp_item item = {.kind = DP_ITEM_NETWORK, .network = &full};
	int rc = check_vni(n->vni, err);

	rc = rc ? rc : check_addr(&n->gateway, "gateway", true, err);
	rc = rc ? rc : check_addr(&n->node_addr, "node address", true, err);
	if (rc)
		return rc;
	if (!full.mtu)
		full.mtu = 1450;
	default_mac(full.gateway_mac, &full.gateway);
	return set(dp, &item, err);
}

int dp_endpoint_set(struct dp *dp, const struct dp_endpoint *e, struct err *err)
{
	struct dp_endpoint full = *e;
	struct dp_item item = {.kind = DP_ITEM_ENDPOINT, .endpoint = &full};
	int rc = check_vni(e->vni, err);

	rc = rc ? rc : check_addr(&e->addr, "endpoint", false, err);
	rc = rc ? rc : check_addr(&e->node, "node", e->ifindex != 0, err);
	rc = rc ? rc : check_addr(&e->host_addr, "host address", true, err);
	if (rc)
		return rc;
	default_mac(full.mac, &full.addr);
	return set(dp, &item, err);
}

int dp_endpoint_del(struct dp *dp, uint32_t vni, const struct dp_addr *addr, struct err *err)
{
	struct dp_endpoint e = {.vni = vni, .addr = *addr};
	struct dp_item item = {.kind = DP_ITEM_ENDPOINT, .endpoint = &e};

	return del(dp, &item, err);
}

int dp_peer_set(struct dp *dp, const struct dp_addr *vtep, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_PEER, .peer = vtep};
	int rc = check_addr(vtep, "node", false, err);

	return rc ? rc : set(dp, &item, err);
}

int dp_peer_del(struct dp *dp, const struct dp_addr *vtep, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_PEER, .peer = vtep};

	return del(dp, &item, err);
}

static int compare_backends(const void *a, const void *b)
{
	return memcmp(&((const struct dp_backend *)a)->addr, &((const struct dp_backend *)b)->addr,
		      sizeof(struct dp_addr));
}

/* Sorted by address (bytes in network order: as sw_lb_compare), the last of doubles wins. */
static size_t sort_backends(struct dp_backend *b, size_t n)
{
	size_t len = 0;

	if (n)
		qsort(b, n, sizeof(*b), compare_backends);
	for (size_t i = 0; i < n; i++) {
		if (!b[i].weight)
			b[i].weight = 1;
		if (len && !memcmp(&b[len - 1].addr, &b[i].addr, sizeof(b[i].addr)))
			b[len - 1] = b[i];
		else
			b[len++] = b[i];
	}
	return len;
}

static int check_service(const struct dp_service *s, struct err *err)
{
	int rc = check_vni(s->vni, err);

	if (rc)
		return rc;
	if (s->n_backends > DP_BACKENDS_MAX)
		return err_set(err, -E2BIG, "a service has at most %d backends here, not %zu",
			       DP_BACKENDS_MAX, s->n_backends);
	for (size_t i = 0; i < s->n_backends; i++) {
		rc = check_addr(&s->backends[i].addr, "backend", false, err);
		if (rc)
			return rc;
	}
	if (s->kind == DP_VIP)
		return check_addr(&s->vip, "virtual IP", false, err);
	if (s->proto != IPPROTO_TCP && s->proto != IPPROTO_UDP)
		return err_set(err, -EOPNOTSUPP, "port %u: only TCP and UDP ports can be published",
			       s->published);
	if (!s->published || !s->target)
		return err_set(err, -EINVAL,
			       "published and target port have to be within 1 to 65535");
	return 0;
}

int dp_service_set(struct dp *dp, const struct dp_service *s, struct err *err)
{
	struct dp_service full = *s;
	struct dp_item item = {.kind = DP_ITEM_SERVICE, .service = &full};
	_cleanup_free_ struct dp_backend *b = NULL;
	int rc = check_service(s, err);

	if (rc)
		return rc;
	b = xcalloc(s->n_backends + 1, sizeof(*b));
	if (s->n_backends)
		memcpy(b, s->backends, s->n_backends * sizeof(*b));
	full.n_backends = sort_backends(b, s->n_backends);
	full.backends = b;
	return set(dp, &item, err);
}

int dp_service_del(struct dp *dp, const struct dp_service *s, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_SERVICE, .service = s};

	return del(dp, &item, err);
}

int dp_link_set(struct dp *dp, const struct dp_link *l, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_LINK, .link = l};
	int rc = 0;

	if (!l->ifindex)
		return err_set(err, -EINVAL, "link without an index");
	if (l->role == DP_LINK_CONTAINER) {
		rc = check_vni(l->vni, err);
		rc = rc ? rc : check_addr(&l->addr, "container", false, err);
	}
	return rc ? rc : set(dp, &item, err);
}

int dp_link_del(struct dp *dp, uint32_t ifindex, struct err *err)
{
	struct dp_link l = {.ifindex = ifindex};
	struct dp_item item = {.kind = DP_ITEM_LINK, .link = &l};

	return del(dp, &item, err);
}

/* Items that are to be deleted, copied since visits may not change anything. */
struct doomed {
	struct dp *dp;
	bool marks; /* those without a mark, else those of the network vni */
	uint32_t vni;
	struct map items;
};

static bool is_doomed(const struct doomed *d, const struct dp_item *item)
{
	char key[DP_ITEM_KEY_SIZE];

	if (d->marks) {
		if (item->kind == DP_ITEM_LINK && item->link->role == DP_LINK_LOOPBACK)
			return false;
		dp_item_key(item, key);
		return !map_has(&d->dp->marks, key);
	}
	if (item->kind == DP_ITEM_ENDPOINT)
		return item->endpoint->vni == d->vni;
	return item->kind == DP_ITEM_SERVICE && item->service->vni == d->vni;
}

static int collect(const struct dp_item *item, void *arg)
{
	struct doomed *d = arg;

	if (is_doomed(d, item))
		dp_items_put(&d->items, item);
	return 0;
}

static int delete_items(struct doomed *d, struct err *err)
{
	const struct dp_item *item;
	const char *key;
	int rc, first = 0;

	map_for_each (&d->items, key, item) {
		rc = del(d->dp, item, err);
		if (rc && !first)
			first = rc;
	}
	dp_items_done(&d->items);
	return first;
}

int dp_network_del(struct dp *dp, uint32_t vni, struct err *err)
{
	struct dp_network n = {.vni = vni};
	struct dp_item item = {.kind = DP_ITEM_NETWORK, .network = &n};
	struct doomed d = {.dp = dp, .vni = vni};
	int rc;

	dp->ops->each(dp, DP_ITEM_SERVICE, collect, &d);
	dp->ops->each(dp, DP_ITEM_ENDPOINT, collect, &d);
	rc = delete_items(&d, err);
	return rc ? rc : del(dp, &item, err);
}

static int found_any(const struct dp_item *item, void *arg)
{
	bool *any = arg;

	*any |= item->kind != DP_ITEM_LINK || item->link->role != DP_LINK_LOOPBACK;
	return *any ? -EEXIST : 0;
}

bool dp_sync_begin(struct dp *dp)
{
	bool any = false;

	for (int kind = 0; kind < DP_ITEM_KINDS && !any; kind++)
		dp->ops->each(dp, kind, found_any, &any);
	map_done(&dp->marks);
	map_init(&dp->marks);
	dp->syncing = any;
	return any;
}

int dp_sync_end(struct dp *dp, struct err *err)
{
	static const enum dp_item_kind order[] = {DP_ITEM_LINK, DP_ITEM_SERVICE, DP_ITEM_ENDPOINT,
						  DP_ITEM_PEER, DP_ITEM_NETWORK};
	struct doomed d = {.dp = dp, .marks = true};
	int rc;

	if (!dp->syncing)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		dp->ops->each(dp, order[i], collect, &d);
	rc = delete_items(&d, err);
	dp->syncing = false;
	map_done(&dp->marks);
	map_init(&dp->marks);
	return rc;
}

static int dump_item(const struct dp_item *item, void *arg)
{
	json_array_append_new(arg, dp_item_json(item));
	return 0;
}

json_t *dp_dump(struct dp *dp)
{
	static const char *const names[DP_ITEM_KINDS] = {
		[DP_ITEM_NETWORK] = "networks", [DP_ITEM_ENDPOINT] = "endpoints",
		[DP_ITEM_PEER] = "peers",	[DP_ITEM_SERVICE] = "services",
		[DP_ITEM_LINK] = "links",
	};
	json_t *all = json_pack("{s:s}", "datapath", dp->ops->kind);

	for (int kind = 0; kind < DP_ITEM_KINDS; kind++) {
		json_t *list = json_array();

		dp->ops->each(dp, kind, dump_item, list);
		json_object_set_new(all, names[kind], list);
	}
	return all;
}

static void add_backends(struct dp *dp, const struct dp_service *s, json_t *all)
{
	_cleanup_free_ uint32_t *slots = xcalloc(s->n_backends + 1, sizeof(*slots));
	struct dp_item item = {.kind = DP_ITEM_SERVICE, .service = s};
	json_t *service, *backends, *b;
	uint32_t size = 0;
	size_t i;

	if (dp->ops->shares(dp, s, slots, &size))
		return;
	service = dp_item_json(&item);
	backends = json_incref(json_object_get(service, "backends"));
	json_object_del(service, "backends");
	json_array_foreach (backends, i, b) {
		json_object_update_missing(b, service);
		json_object_set_new(b, "slots", json_integer(slots[i]));
		json_object_set_new(b, "of", json_integer(size));
		json_array_append(all, b);
	}
	json_decref(backends);
	json_decref(service);
}

json_t *dp_dump_backends(struct dp *dp)
{
	json_t *all = json_array();
	struct map services = MAP_INIT;
	const struct dp_item *item;
	const char *key;

	/* a back end may be unable to answer in the midst of a visit */
	dp->ops->each(dp, DP_ITEM_SERVICE, dp_items_put_visited, &services);
	map_for_each (&services, key, item)
		add_backends(dp, item->service, all);
	dp_items_done(&services);
	return all;
}

json_t *dp_dump_flows(struct dp *dp, size_t max)
{
	return dp->ops->flows(dp, max);
}

int dp_stats(struct dp *dp, struct dp_stats *ret)
{
	return dp->ops->stats(dp, ret);
}
