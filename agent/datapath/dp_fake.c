// SPDX-License-Identifier: Apache-2.0
/* The datapath in memory, for tests and simulation: it keeps what is set and carries nothing. */
#include "datapath/dp_impl.h"

#include <errno.h>
#include <sys/eventfd.h>

enum { FAKE_EVENTS = 4 }; /* few, so that tests see what is lost */

struct fake {
	struct dp dp;
	struct map items;
	int events_fd; /* -1: nobody listens */
	struct sw_event events[FAKE_EVENTS];
	size_t n_events;
	int64_t lost;
};

static int fake_open(const struct dp_options *opt, struct dp **ret, struct err *err)
{
	struct fake *f = xcalloc(1, sizeof(*f));

	(void)opt, (void)err;
	map_init(&f->items);
	f->events_fd = -1;
	*ret = &f->dp;
	return 0;
}

static void fake_close(struct dp *dp)
{
	struct fake *f = container_of(dp, struct fake, dp);

	dp_items_done(&f->items);
	util_closep(&f->events_fd);
	free(f);
}

static int fake_vtep_set(struct dp *dp, const struct dp_addr *vtep, uint16_t port, struct err *err)
{
	(void)dp, (void)vtep, (void)port, (void)err;
	return 0;
}

static int put(struct dp *dp, const struct dp_item *item)
{
	dp_items_put(&container_of(dp, struct fake, dp)->items, item);
	return 0;
}

static int del(struct dp *dp, const struct dp_item *item)
{
	free(dp_items_take(&container_of(dp, struct fake, dp)->items, item));
	return 0;
}

static int fake_network_set(struct dp *dp, const struct dp_network *n, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_NETWORK, .network = n};

	(void)err;
	return put(dp, &item);
}

static int fake_network_del(struct dp *dp, uint32_t vni, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_NETWORK,
			       .network = &(struct dp_network){.vni = vni}};

	(void)err;
	return del(dp, &item);
}

static int fake_endpoint_set(struct dp *dp, const struct dp_endpoint *e, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_ENDPOINT, .endpoint = e};

	(void)err;
	return put(dp, &item);
}

static int fake_endpoint_del(struct dp *dp, uint32_t vni, const struct dp_addr *addr,
			     struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_ENDPOINT,
			       .endpoint = &(struct dp_endpoint){.vni = vni, .addr = *addr}};

	(void)err;
	return del(dp, &item);
}

static int fake_peer_set(struct dp *dp, const struct dp_addr *vtep, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_PEER, .peer = vtep};

	(void)err;
	return put(dp, &item);
}

static int fake_peer_del(struct dp *dp, const struct dp_addr *vtep, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_PEER, .peer = vtep};

	(void)err;
	return del(dp, &item);
}

static int fake_service_set(struct dp *dp, const struct dp_service *s, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_SERVICE, .service = s};

	(void)err;
	return put(dp, &item);
}

static int fake_service_del(struct dp *dp, const struct dp_service *s, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_SERVICE, .service = s};

	(void)err;
	return del(dp, &item);
}

static int fake_link_set(struct dp *dp, const struct dp_link *l, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_LINK, .link = l};

	(void)err;
	return put(dp, &item);
}

static int fake_link_del(struct dp *dp, uint32_t ifindex, struct err *err)
{
	struct dp_item item = {.kind = DP_ITEM_LINK, .link = &(struct dp_link){.ifindex = ifindex}};

	(void)err;
	return del(dp, &item);
}

static int fake_each(struct dp *dp, enum dp_item_kind kind, dp_visit_fn visit, void *arg)
{
	struct fake *f = container_of(dp, struct fake, dp);
	struct dp_item *item;
	const char *key;
	int rc = 0;

	map_for_each (&f->items, key, item) {
		if (item->kind == kind && rc >= 0)
			rc = visit(item, arg);
	}
	return rc;
}

static json_t *fake_flows(struct dp *dp, size_t max)
{
	(void)dp, (void)max;
	return json_array();
}

static int fake_stats(struct dp *dp, struct dp_stats *ret)
{
	(void)dp;
	memset(ret, 0, sizeof(*ret));
	return 0;
}

static int fake_shares(struct dp *dp, const struct dp_service *s, uint32_t *slots,
		       uint32_t *ret_size)
{
	struct fake *f = container_of(dp, struct fake, dp);
	struct dp_item item = {.kind = DP_ITEM_SERVICE, .service = s};
	_cleanup_free_ uint16_t *table = NULL;
	const struct dp_item *have = dp_items_find(&f->items, &item);

	if (!have)
		return -ENOENT;
	memset(slots, 0, s->n_backends * sizeof(*slots));
	*ret_size = dp_service_table(have->service, &table);
	for (uint32_t i = 0; i < *ret_size; i++)
		slots[table[i]]++;
	return 0;
}

static int fake_events_open(struct dp *dp, int *ret_fd, struct err *err)
{
	struct fake *f = container_of(dp, struct fake, dp);

	f->events_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->events_fd < 0)
		return err_errno(err, -errno, "no descriptor for events");
	*ret_fd = f->events_fd;
	return 0;
}

static int64_t fake_events_read(struct dp *dp, dp_event_fn fn, void *arg)
{
	struct fake *f = container_of(dp, struct fake, dp);
	int64_t lost = f->lost;
	uint64_t n;

	if (read(f->events_fd, &n, sizeof(n)) < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (size_t i = 0; i < f->n_events; i++)
		fn(&f->events[i], arg);
	f->n_events = 0;
	f->lost = 0;
	return lost;
}

static void fake_events_close(struct dp *dp)
{
	struct fake *f = container_of(dp, struct fake, dp);

	util_closep(&f->events_fd);
	f->events_fd = -1;
	f->n_events = 0;
	f->lost = 0;
}

bool dp_fake_event(struct dp *dp, const struct sw_event *e)
{
	struct fake *f = container_of(dp, struct fake, dp);
	uint64_t one = 1;

	if (f->events_fd < 0)
		return false;
	if (f->n_events < FAKE_EVENTS)
		f->events[f->n_events++] = *e;
	else
		f->lost++;
	return write(f->events_fd, &one, sizeof(one)) == sizeof(one);
}

const struct dp_ops dp_fake_ops = {
	.kind = "fake",
	.open = fake_open,
	.close = fake_close,
	.destroy = fake_close,
	.vtep_set = fake_vtep_set,
	.network_set = fake_network_set,
	.network_del = fake_network_del,
	.endpoint_set = fake_endpoint_set,
	.endpoint_del = fake_endpoint_del,
	.peer_set = fake_peer_set,
	.peer_del = fake_peer_del,
	.service_set = fake_service_set,
	.service_del = fake_service_del,
	.link_set = fake_link_set,
	.link_del = fake_link_del,
	.each = fake_each,
	.flows = fake_flows,
	.stats = fake_stats,
	.shares = fake_shares,
	.events_open = fake_events_open,
	.events_read = fake_events_read,
	.events_close = fake_events_close,
};
