// SPDX-License-Identifier: Apache-2.0
/* What happens in the datapath, told to those who listen. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>

#include "datapath/dp_impl.h"
#include "swarm/flow.h"

void dp_events_init(struct dp *dp)
{
	list_init(&dp->listeners);
	map_init(&dp->told);
	dp->events_fd = -1;
}

static void stop(struct dp *dp)
{
	if (dp->events_fd >= 0)
		dp->ops->events_close(dp);
	dp->events_fd = -1;
	dp_items_done(&dp->told);
}

void dp_events_done(struct dp *dp)
{
	if (list_empty(&dp->listeners))
		return;
	while (!list_empty(&dp->listeners)) {
		struct dp_listener *l = list_first(&dp->listeners, struct dp_listener, node);

		list_del(&l->node);
		l->fn(NULL, l->arg);
	}
	stop(dp);
}

int dp_listen(struct dp *dp, struct dp_listener *l, struct err *err)
{
	int rc = 0;

	if (list_empty(&dp->listeners)) {
		if (dp->ops->events_open)
			rc = dp->ops->events_open(dp, &dp->events_fd, err);
		if (rc)
			return rc;
		/* so that only changes are told */
		dp_items_read(dp, &dp->told);
	}
	list_add_tail(&l->node, &dp->listeners);
	return 0;
}

void dp_unlisten(struct dp *dp, struct dp_listener *l)
{
	if (list_empty(&l->node))
		return;
	list_del(&l->node);
	if (list_empty(&dp->listeners))
		stop(dp);
}

int dp_events_fd(struct dp *dp)
{
	return dp->events_fd;
}

/* event is stolen. */
static void tell(struct dp *dp, json_t *event)
{
	struct dp_listener *l, *tmp;

	list_for_each_safe (l, tmp, &dp->listeners, node)
		l->fn(event, l->arg);
	json_decref(event);
}

void dp_tell_set(struct dp *dp, const struct dp_item *item)
{
	_cleanup_free_ struct dp_item *was = NULL;
	char name[DP_ITEM_NAME_SIZE];
	json_t *event;

	if (list_empty(&dp->listeners))
		return;
	was = dp_items_take(&dp->told, item);
	dp_items_put(&dp->told, item);
	if (was && dp_item_same(was, item))
		return;
	dp_item_name(item, name);
	event = json_pack("{s:s, s:s+, s:o}", "event", "set", "text", name,
			  was ? " is changed" : " is set", "item", dp_item_json(item));
	if (was)
		json_object_set_new(event, "was", dp_item_json(was));
	tell(dp, event);
}

void dp_tell_del(struct dp *dp, const struct dp_item *item)
{
	_cleanup_free_ struct dp_item *was = NULL;
	char name[DP_ITEM_NAME_SIZE];

	if (list_empty(&dp->listeners))
		return;
	was = dp_items_take(&dp->told, item);
	if (!was)
		return;
	dp_item_name(was, name);
	tell(dp, json_pack("{s:s, s:s+, s:o}", "event", "del", "text", name, " is deleted", "was",
			   dp_item_json(was)));
}

void dp_tell_repair(struct dp *dp, const char *text)
{
	if (!list_empty(&dp->listeners))
		tell(dp, json_pack("{s:s, s:s+}", "event", "repair", "text", text, ": mended"));
}

/* "10.0.1.3:4000 to 10.0.1.2:80", without ports where the protocol has none. */
static void pair_text(char *dst, size_t size, uint8_t proto, const struct dp_addr *src,
		      uint16_t sport, const struct dp_addr *to, uint16_t dport)
{
	char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];

	dp_addr_format(src, a);
	dp_addr_format(to, b);
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP)
		snprintf(dst, size, "%s:%u to %s:%u", a, sport, b, dport);
	else
		snprintf(dst, size, "%s to %s", a, b);
}

/* "tcp 10.0.1.3:4000 to 10.0.1.2:80" */
static void packet_text(char *dst, size_t size, const struct dp_flow *f)
{
	char pair[128];

	pair_text(pair, sizeof(pair), f->proto, &f->src, f->sport, &f->dst, f->dport);
	if (f->proto == IPPROTO_TCP)
		snprintf(dst, size, "tcp %s", pair);
	else if (f->proto == IPPROTO_UDP)
		snprintf(dst, size, "udp %s", pair);
	else if (f->proto == IPPROTO_ICMP)
		snprintf(dst, size, "icmp %s", pair);
	else
		snprintf(dst, size, "protocol %u %s", f->proto, pair);
}

static struct dp_addr to_dp(const struct sw_addr *a)
{
	struct dp_addr r;

	memcpy(&r, a, sizeof(r));
	return r;
}

static struct dp_flow flow_of(const struct sw_event *e)
{
	const char *kind = dp_flow_kind(e->key.dir);

	return (struct dp_flow){
		.kind = kind ? kind : "none",
		.vni = e->key.vni,
		.proto = e->key.proto,
		.src = to_dp(&e->key.src),
		.dst = to_dp(&e->key.dst),
		.sport = sw_ntohs(e->key.sport),
		.dport = sw_ntohs(e->key.dport),
		.to_src = to_dp(&e->to_src),
		.to_dst = to_dp(&e->to_dst),
		.to_sport = sw_ntohs(e->to_sport),
		.to_dport = sw_ntohs(e->to_dport),
	};
}

static json_t *drop_json(const struct sw_event *e)
{
	const char *reason = dp_reason(e->reason);
	char packet[160] = "", link[IF_NAMESIZE + 16];
	struct dp_flow f = flow_of(e);
	json_t *event;

	snprintf(link, sizeof(link), "%u", e->ifindex);
	if_indextoname(e->ifindex, link);
	if (dp_addr_is_set(&f.src) || dp_addr_is_set(&f.dst))
		packet_text(packet, sizeof(packet), &f);
	if (starts_with(reason, "drop: "))
		reason += strlen("drop: ");
	event = json_pack("{s:s, s:s, s:i, s:i}", "event", "drop", "reason",
			  dp_reason_name(e->reason), "ifindex", (int)e->ifindex, "bytes",
			  (int)e->len);
	json_object_set_new(event, "text",
			    json_sprintf("%s, on link %s, %u bytes%s%s", reason, link, e->len,
					 *packet ? ": " : "", packet));
	if (*packet) {
		json_t *flow = dp_flow_json(&f);

		json_object_del(flow, "to"); /* it became nothing */
		json_object_del(flow, "kind");
		json_object_set_new(event, "packet", flow);
	}
	return event;
}

static json_t *flow_json(const struct sw_event *e)
{
	struct dp_flow f = flow_of(e);
	char from[160], to[160];

	packet_text(from, sizeof(from), &f);
	pair_text(to, sizeof(to), f.proto, &f.to_src, f.to_sport, &f.to_dst, f.to_dport);
	return json_pack("{s:s, s:o, s:o}", "event", "flow", "text",
			 json_sprintf("%s: %s becomes %s", f.kind, from, to), "flow",
			 dp_flow_json(&f));
}

static void on_event(const struct sw_event *e, void *arg)
{
	if (e->kind == SW_EVENT_DROP)
		tell(arg, drop_json(e));
	else if (e->kind == SW_EVENT_FLOW)
		tell(arg, flow_json(e));
}

void dp_events_read(struct dp *dp)
{
	int64_t lost;

	if (dp->events_fd < 0)
		return;
	lost = dp->ops->events_read(dp, on_event, dp);
	if (lost > 0)
		tell(dp, json_pack("{s:s, s:o, s:I}", "event", "lost", "text",
				   json_sprintf("%lld drops or flows were not told: there were too "
						"many at once",
						(long long)lost),
				   "count", (json_int_t)lost));
}
