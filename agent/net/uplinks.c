// SPDX-License-Identifier: Apache-2.0
#include "net/uplinks.h"

#include <errno.h>
#include <event2/event.h>
#include <net/if_arp.h>

#include "core/log.h"
#include "net/net_impl.h"

struct uplinks {
	struct nets *nets;
	struct rt *events; /* subscribed */
	struct event *ev;
	uint8_t *set; /* by ifindex: told to the datapath */
	size_t n_set;
};

static bool listed(char *const *names, const char *name)
{
	if (!names || !names[0])
		return true;
	for (; *names; names++)
		if (streq(*names, name))
			return true;
	return false;
}

static bool wanted(struct uplinks *u, const struct rt_link *l)
{
	static const char *const kinds[] = {"",	    "veth",    "bridge", "bond", "team",
					    "vlan", "macvlan", "ipvlan", "hsr"};
	bool known = false;

	if (l->gone || l->type != ARPHRD_ETHER || l->master || l->group == RT_GROUP_CONTAINERS ||
	    !(l->flags & IFF_UP))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		known |= streq(l->kind, kinds[i]);
	/* containers are clients by the bridges, whatever the uplinks */
	return known && (streq(l->kind, "bridge") || listed(u->nets->opt.uplinks, l->name));
}

static void on_link(const struct rt_link *l, void *arg)
{
	struct uplinks *u = arg;
	bool want = wanted(u, l), have = (size_t)l->index < u->n_set && u->set[l->index];
	struct dp_link link = {.ifindex = l->index, .role = DP_LINK_CLIENTS};
	struct err err = ERR_INIT;

	if (l->index <= 0 || want == have)
		return;
	if (!want) {
		u->set[l->index] = 0;
		/* one that has become a port or is gone; a container's link has its own way down */
		dp_link_del(u->nets->opt.dp, l->index, &err);
		return;
	}
	if (dp_link_set(u->nets->opt.dp, &link, &err)) {
		log_warn("published ports do not answer on the link %s: %s", l->name, err.msg);
		return;
	}
	if ((size_t)l->index >= u->n_set) {
		size_t n = max((size_t)l->index + 1, u->n_set * 2);

		u->set = xrealloc(u->set, n);
		memset(u->set + u->n_set, 0, n - u->n_set);
		u->n_set = n;
	}
	u->set[l->index] = 1;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct uplinks *u = arg;

	(void)fd;
	(void)what;
	if (rt_link_events(u->events, on_link, u) == -ENOBUFS)
		rt_links(u->nets->rt, on_link, u);
}

void uplinks_resync(struct uplinks *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < u->n_set; i++) {
		struct dp_link link = {.ifindex = i, .role = DP_LINK_CLIENTS};

		if (u->set[i])
			dp_link_set(u->nets->opt.dp, &link, NULL);
	}
}

int uplinks_new(struct nets *nets, struct uplinks **ret, struct err *err)
{
	struct uplinks *u = xcalloc(1, sizeof(*u));
	int rc = rt_open(-1, &u->events, err), fd;

	u->nets = nets;
	fd = rc ? rc : rt_link_subscribe(u->events);
	if (fd >= 0) {
		u->ev = event_new(loop_base(nets->opt.loop), fd, EV_READ | EV_PERSIST, on_event, u);
		event_add(u->ev, NULL);
		rc = rt_links(nets->rt, on_link, u);
	} else if (!rc) {
		rc = err_errno(err, fd, "cannot follow the node's links");
	}
	if (rc) {
		uplinks_free(u);
		return rc;
	}
	*ret = u;
	return 0;
}

void uplinks_free(struct uplinks *u)
{
	if (!u)
		return;
	if (u->ev)
		event_free(u->ev);
	rt_close(u->events);
	free(u->set);
	free(u);
}
