// SPDX-License-Identifier: Apache-2.0
/* The back end that is the kernel module swarm.ko: what is set lives there, and is read back. */
#include <errno.h>

#include "datapath/host_lo.h"
#include "datapath/kmod_impl.h"
#include "swarm/vxlan.h"

_Static_assert((int)SWARM_NETWORK_FLAGS_INTERNAL == DP_NETWORK_INTERNAL, "the same flags");
_Static_assert((int)SWARM_NETWORK_FLAGS_INGRESS == DP_NETWORK_INGRESS, "the same flags");
_Static_assert((int)SWARM_NETWORK_FLAGS_ENCRYPTED == DP_NETWORK_ENCRYPTED, "the same flags");
_Static_assert((int)SWARM_LINK_ROLE_CONTAINER == DP_LINK_CONTAINER, "the same roles");
_Static_assert((int)SWARM_LINK_ROLE_CLIENTS == DP_LINK_CLIENTS, "the same roles");
_Static_assert((int)SWARM_LINK_ROLE_LOOPBACK == DP_LINK_LOOPBACK, "the same roles");

/* How often a dump is begun anew when something changed meanwhile. */
#define DUMP_TRIES 10

struct dp_kmod {
	struct dp dp;
	struct kmod_sock sock;
	struct kmod_settings settings;
	struct kmod_events *events; /* NULL: nobody listens */
};

static struct dp_kmod *kmod_of(struct dp *dp)
{
	return container_of(dp, struct dp_kmod, dp);
}

static void kmod_free(struct dp_kmod *d)
{
	kmod_events_free(d->events);
	kmod_sock_done(&d->sock);
	free(d);
}

/* Settings */

static void on_settings(struct nlmsghdr *nlh, void *arg)
{
	kmod_settings_get(nlh, arg);
}

/* What a former agent set; -ENOENT: nothing. */
static int settings_get(struct dp_kmod *d, struct err *err)
{
	struct nl_msg *m = kmod_msg_new(&d->sock, SWARM_CMD_SETTINGS_GET, 0, 0);

	return kmod_request(&d->sock, m, on_settings, &d->settings,
			    "the datapath's settings cannot be read", err);
}

static int settings_set(struct dp_kmod *d, struct err *err)
{
	struct nl_msg *m = kmod_msg_new(&d->sock, SWARM_CMD_SETTINGS_SET, 0, 256);

	assert(!kmod_settings_put(m, &d->settings));
	return kmod_request(&d->sock, m, NULL, NULL, "the datapath cannot be set up", err);
}

static int vtep_set(struct dp *dp, const struct dp_addr *vtep, uint16_t port, struct err *err)
{
	struct dp_kmod *d = kmod_of(dp);

	d->settings.vtep = *vtep;
	d->settings.vxlan_port = port;
	return settings_set(d, err);
}

/* Connect, and read what a former agent set if it did. -ENOENT: no module. */
static int kmod_new(bool load, struct dp_kmod **ret, bool *ret_active, struct err *err)
{
	struct dp_kmod *d = xcalloc(1, sizeof(*d));
	int rc = kmod_sock_init(&d->sock, load, err);

	if (!rc) {
		rc = settings_get(d, err);
		*ret_active = !rc;
		rc = rc == -ENOENT ? 0 : rc;
	}
	if (rc) {
		kmod_free(d);
		return rc;
	}
	*ret = d;
	return 0;
}

static int dp_kmod_open(const struct dp_options *opt, struct dp **ret, struct err *err)
{
	struct dp_kmod *d;
	bool active;
	int rc = kmod_new(true, &d, &active, err);

	if (rc)
		return rc;
	host_lo_open(&d->settings.lo_was);
	d->settings.return_direct = opt->return_direct;
	d->settings.flows_max = opt->flows_max;
	d->settings.ports_max = opt->services_max;
	rc = vtep_set(&d->dp, &opt->vtep, opt->vxlan_port ? opt->vxlan_port : SW_VXLAN_PORT, err);
	if (rc) {
		if (!active)
			host_lo_restore(d->settings.lo_was);
		kmod_free(d);
		return rc;
	}
	*ret = &d->dp;
	return 0;
}

static void dp_kmod_close(struct dp *dp)
{
	kmod_free(kmod_of(dp));
}

static int clear(struct dp_kmod *d, struct err *err)
{
	struct nl_msg *m = kmod_msg_new(&d->sock, SWARM_CMD_CLEAR, 0, 0);
	int rc = kmod_request(&d->sock, m, NULL, NULL, "the datapath cannot be taken away", err);

	host_lo_restore(d->settings.lo_was);
	return rc;
}

static void dp_kmod_destroy(struct dp *dp)
{
	clear(kmod_of(dp), NULL);
	dp_kmod_close(dp);
}

static bool dp_kmod_is_active(const char *exec_root)
{
	struct dp_kmod *d;
	bool active;

	(void)exec_root;
	if (kmod_new(false, &d, &active, NULL))
		return false;
	kmod_free(d);
	return active;
}

static int dp_kmod_clean(const char *exec_root, struct err *err)
{
	struct dp_kmod *d;
	bool active;
	int rc = kmod_new(false, &d, &active, err);

	(void)exec_root;
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	rc = active ? clear(d, err) : 0;
	kmod_free(d);
	return rc;
}

/* Items */

static int item_request(struct dp *dp, const struct dp_item *item, bool set, struct err *err)
{
	const struct kmod_commands *c = &kmod_commands[item->kind];
	struct dp_kmod *d = kmod_of(dp);
	struct nl_msg *m = kmod_msg_new(&d->sock, set ? c->set : c->del, 0, kmod_item_size(item));
	char name[DP_ITEM_NAME_SIZE], what[DP_ITEM_NAME_SIZE + 32];

	dp_item_name(item, name);
	snprintf(what, sizeof(what), "%s cannot be %s", name, set ? "set" : "deleted");
	assert(!(set ? kmod_item_put(m, item) : kmod_id_put(m, item)));
	return kmod_request(&d->sock, m, NULL, NULL, what, err);
}

static int network_set(struct dp *dp, const struct dp_network *n, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_NETWORK, .network = n};

	return item_request(dp, &item, true, err);
}

static int network_del(struct dp *dp, uint32_t vni, struct err *err)
{
	struct dp_network n = {.vni = vni};
	struct dp_item item = {.kind = DP_ITEM_NETWORK, .network = &n};

	return item_request(dp, &item, false, err);
}

static int endpoint_set(struct dp *dp, const struct dp_endpoint *e, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_ENDPOINT, .endpoint = e};

	return item_request(dp, &item, true, err);
}

static int endpoint_del(struct dp *dp, uint32_t vni, const struct dp_addr *addr, struct err *err)
{
	struct dp_endpoint e = {.vni = vni, .addr = *addr};
	struct dp_item item = {.kind = DP_ITEM_ENDPOINT, .endpoint = &e};

	return item_request(dp, &item, false, err);
}

static int peer_set(struct dp *dp, const struct dp_addr *vtep, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_PEER, .peer = vtep};

	return item_request(dp, &item, true, err);
}

static int peer_del(struct dp *dp, const struct dp_addr *vtep, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_PEER, .peer = vtep};

	return item_request(dp, &item, false, err);
}

static int service_set(struct dp *dp, const struct dp_service *s, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_SERVICE, .service = s};

	return item_request(dp, &item, true, err);
}

static int service_del(struct dp *dp, const struct dp_service *s, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_SERVICE, .service = s};

	return item_request(dp, &item, false, err);
}

static int link_set(struct dp *dp, const struct dp_link *l, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_LINK, .link = l};

	return item_request(dp, &item, true, err);
}

static int link_del(struct dp *dp, uint32_t ifindex, struct err *err)
{
	struct dp_link l = {.ifindex = ifindex};
	struct dp_item item = {.kind = DP_ITEM_LINK, .link = &l};

	return item_request(dp, &item, false, err);
}

/* Reading back */

struct reading {
	enum dp_item_kind kind;
	struct kmod_items items;
};

static void on_item(struct nlmsghdr *nlh, void *arg)
{
	struct reading *r = arg;

	kmod_item_get(r->kind, nlh, &r->items);
}

static int each(struct dp *dp, enum dp_item_kind kind, dp_visit_fn visit, void *arg)
{
	struct dp_kmod *d = kmod_of(dp);
	struct reading r = {.kind = kind};
	int rc = -EAGAIN;

	for (int i = 0; i < DUMP_TRIES && rc == -EAGAIN; i++) {
		struct nl_msg *m = kmod_msg_new(&d->sock, kmod_commands[kind].get, NLM_F_DUMP, 0);

		kmod_items_done(&r.items);
		rc = kmod_request(&d->sock, m, on_item, &r, "the datapath cannot be read", NULL);
	}
	for (size_t i = 0; i < r.items.n && rc >= 0; i++) {
		struct dp_item item = kmod_item_view(&r.items.v[i]);

		rc = visit(&item, arg);
	}
	kmod_items_done(&r.items);
	return rc;
}

struct flow_list {
	json_t *list;
	size_t max;
};

static void on_flow(struct nlmsghdr *nlh, void *arg)
{
	struct flow_list *l = arg;
	struct dp_flow f;

	if (json_array_size(l->list) < l->max && kmod_flow_get(nlh, &f))
		json_array_append_new(l->list, dp_flow_json(&f));
}

static json_t *flows(struct dp *dp, size_t max)
{
	struct dp_kmod *d = kmod_of(dp);
	struct flow_list l = {.list = json_array(), .max = max};
	struct nl_msg *m = kmod_msg_new(&d->sock, SWARM_CMD_FLOW_GET, NLM_F_DUMP, 0);

	kmod_request(&d->sock, m, on_flow, &l, "flows cannot be read", NULL);
	return l.list;
}

static void on_stats(struct nlmsghdr *nlh, void *arg)
{
	kmod_stats_get(nlh, arg);
}

static int stats(struct dp *dp, struct dp_stats *ret)
{
	struct dp_kmod *d = kmod_of(dp);
	struct nl_msg *m = kmod_msg_new(&d->sock, SWARM_CMD_STATS_GET, 0, 0);

	memset(ret, 0, sizeof(*ret));
	return kmod_request(&d->sock, m, on_stats, ret, "counts cannot be read", NULL);
}

struct shares {
	size_t n; /* of slots */
	uint32_t *slots;
	uint32_t size;
};

static void on_table(struct nlmsghdr *nlh, void *arg)
{
	struct nlattr *a = nlmsg_find_attr(nlh, GENL_HDRLEN, SWARM_A_SERVICE_SLOTS);
	struct shares *s = arg;
	uint16_t slot;

	s->size = a ? nla_len(a) / sizeof(slot) : 0;
	for (uint32_t i = 0; i < s->size; i++) {
		memcpy(&slot, (char *)nla_data(a) + i * sizeof(slot), sizeof(slot));
		if (slot < s->n)
			s->slots[slot]++;
	}
}

static int shares(struct dp *dp, const struct dp_service *s, uint32_t *slots, uint32_t *ret_size)
{
	struct dp_kmod *d = kmod_of(dp);
	struct dp_item item = {.kind = DP_ITEM_SERVICE, .service = s};
	struct nl_msg *m = kmod_msg_new(&d->sock, SWARM_CMD_TABLE_GET, 0, 256);
	struct shares sh = {.n = s->n_backends, .slots = slots};
	int rc;

	assert(!kmod_id_put(m, &item));
	memset(slots, 0, s->n_backends * sizeof(*slots));
	rc = kmod_request(&d->sock, m, on_table, &sh, "a balancing table cannot be read", NULL);
	if (!rc)
		*ret_size = sh.size;
	return rc;
}

/* The module hooks links by itself, and its tables come with their services: only this is left. */
static void check(struct dp *dp, const struct dp_item *item)
{
	struct dp_kmod *d = kmod_of(dp);
	struct kmod_settings want = d->settings;

	if (item)
		return;
	if (settings_get(d, NULL) || memcmp(&d->settings.vtep, &want.vtep, sizeof(want.vtep)) ||
	    d->settings.vxlan_port != want.vxlan_port ||
	    d->settings.return_direct != want.return_direct)
		dp_differs(dp, NULL, "%s", DP_DIFFERS_SETTINGS);
	d->settings = want;
	if (!host_lo_is_open())
		dp_differs(dp, NULL, "%s", DP_DIFFERS_LOOPBACK);
}

static int mend(struct dp *dp, struct err *err)
{
	struct dp_kmod *d = kmod_of(dp);

	host_lo_open(&d->settings.lo_was);
	return settings_set(d, err);
}

/* Events */

static int events_open(struct dp *dp, int *ret_fd, struct err *err)
{
	struct dp_kmod *d = kmod_of(dp);

	return kmod_events_new(&d->events, ret_fd, err);
}

static int64_t events_read(struct dp *dp, dp_event_fn fn, void *arg)
{
	return kmod_events_read(kmod_of(dp)->events, fn, arg);
}

static void events_close(struct dp *dp)
{
	struct dp_kmod *d = kmod_of(dp);

	kmod_events_free(d->events);
	d->events = NULL;
}

const struct dp_ops dp_kmod_ops = {
	.kind = "kmod",
	.open = dp_kmod_open,
	.close = dp_kmod_close,
	.destroy = dp_kmod_destroy,
	.is_active = dp_kmod_is_active,
	.clean = dp_kmod_clean,
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
	.check = check,
	.mend = mend,
	.each = each,
	.flows = flows,
	.stats = stats,
	.shares = shares,
	.events_open = events_open,
	.events_read = events_read,
	.events_close = events_close,
};
