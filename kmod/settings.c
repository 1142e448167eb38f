// SPDX-License-Identifier: GPL-2.0-only
/* The node's settings, the bounds of what packets remember, and the end of it all. */
#include <linux/rtnetlink.h>

#include "flows.h"
#include "hooks.h"
#include "state_impl.h"
#include "tunnel.h"

/* The tunnel's port that goes with settings; 0: none, before a swarm is joined. */
static __be16 tunnel_port(const struct sw_settings *s)
{
	return s && sw_addr_is_set(&s->vtep) ? s->vxlan_port : 0;
}

/* What a change of settings puts in place of what is there. NULL: nothing. */
struct change {
	struct sw_settings *settings;
	struct sw_flows *flows, *fragments;
};

static void change_free(struct change *c)
{
	sw_flows_free(c->flows);
	sw_flows_free(c->fragments);
	kfree(c->settings);
}

static int change_alloc(struct sw_net *sn, struct change *c, const struct sw_settings *v,
			__u32 flows_max, struct netlink_ext_ack *extack)
{
	bool is_first = !rcu_access_pointer(sn->settings);
	bool has_flows = is_first || flows_max != sn->flows_max;

	c->settings = kmemdup(v, sizeof(*v), SW_GFP);
	if (has_flows)
		c->flows = sw_flows_new(SW_FLOWS, flows_max);
	if (is_first)
		c->fragments = sw_flows_new(SW_FRAGMENTS, SW_FRAGMENTS_MAX);
	if (c->settings && (c->flows || !has_flows) && (c->fragments || !is_first))
		return 0;
	NL_SET_ERR_MSG(extack, "no memory for so many flows: lower flows-max");
	return -ENOMEM;
}

/* What was there before goes when no packet can see it. Nothing fails any more. */
static void change_apply(struct sw_net *sn, struct change *c)
{
	struct change old = {};
	bool moves = c->flows && rcu_access_pointer(sn->flows);

	if (moves) {
		old.flows = rcu_dereference_protected(sn->flows, lockdep_is_held(&sn->lock));
		sw_flows_copy(old.flows, c->flows);
	}
	if (c->flows)
		rcu_assign_pointer(sn->flows, c->flows);
	if (c->fragments)
		rcu_assign_pointer(sn->fragments, c->fragments);
	old.settings = rcu_replace_pointer(sn->settings, c->settings, lockdep_is_held(&sn->lock));
	if (!old.settings)
		return;
	synchronize_net();
	if (!sw_addr_eq(&old.settings->vtep, &c->settings->vtep))
		sw_peers_reroute(sn);
	if (moves) /* flows that were made since */
		sw_flows_copy(old.flows, c->flows);
	change_free(&old);
}

static int settings_set(struct sw_net *sn, const struct sw_settings *v, __u32 flows_max,
			__u32 ports_max, struct netlink_ext_ack *extack)
{
	struct sw_settings *old;
	struct change c = {};
	int rc;

	old = rcu_dereference_protected(sn->settings, lockdep_is_held(&sn->lock));
	if (old && !memcmp(old, v, sizeof(*v)) && flows_max == sn->flows_max &&
	    ports_max == sn->ports_max)
		return 0;
	rc = change_alloc(sn, &c, v, flows_max, extack);
	if (rc)
		goto free;
	if (!old)
		rc = sw_hook_set(sn, v->lo_ifindex, SW_LINK_LOOPBACK, extack);
	if (rc)
		goto free;
	if (tunnel_port(v) != tunnel_port(old))
		rc = sw_tunnel_set(sn, tunnel_port(v), extack);
	if (rc)
		goto unhook;
	change_apply(sn, &c);
	sn->flows_max = flows_max;
	sn->ports_max = ports_max;
	return 1;

unhook:
	if (!old)
		sw_hook_del(sn, v->lo_ifindex);
free:
	change_free(&c);
	return rc;
}

int sw_settings_set(struct sw_net *sn, const struct sw_settings *s, __u32 flows_max,
		    __u32 ports_max, struct netlink_ext_ack *extack)
{
	struct sw_settings v = {
		.layout = SW_LAYOUT,
		.flags = s->flags,
		.vtep = s->vtep,
		.vxlan_port = s->vxlan_port,
		.lo_was = s->lo_was,
		.lo_ifindex = sn->net->loopback_dev->ifindex,
	};
	int rc;

	if (flows_max > SW_FLOWS_MAX || ports_max > SW_PORTS_MAX) {
		NL_SET_ERR_MSG(extack,
			       "flows-max is at most 4194304, ports-max at most 65536: lower them");
		return -EINVAL;
	}
	rtnl_lock();
	mutex_lock(&sn->lock);
	flows_max = flows_max ? max_t(__u32, flows_max, SW_FLOWS_MIN) : sn->flows_max;
	rc = settings_set(sn, &v, flows_max, ports_max ?: sn->ports_max, extack);
	if (rc > 0)
		sw_changed(sn);
	mutex_unlock(&sn->lock);
	rtnl_unlock();
	return rc;
}

static void settings_clear(struct sw_net *sn)
{
	struct change old;

	old.settings = rcu_replace_pointer(sn->settings, NULL, lockdep_is_held(&sn->lock));
	old.flows = rcu_replace_pointer(sn->flows, NULL, lockdep_is_held(&sn->lock));
	old.fragments = rcu_replace_pointer(sn->fragments, NULL, lockdep_is_held(&sn->lock));
	if (!old.settings)
		return;
	sw_hook_del(sn, old.settings->lo_ifindex);
	sw_tunnel_set(sn, 0, NULL);
	synchronize_net();
	change_free(&old);
}

void sw_clear(struct sw_net *sn)
{
	rtnl_lock();
	mutex_lock(&sn->lock);
	sw_links_clear(sn);
	settings_clear(sn);
	sw_networks_clear(sn);
	sw_endpoints_clear(sn);
	sw_peers_clear(sn);
	sw_ports_clear(sn);
	sn->flows_max = SW_FLOWS_DEFAULT;
	sn->ports_max = SW_PORTS_DEFAULT;
	sw_changed(sn);
	mutex_unlock(&sn->lock);
	rtnl_unlock();
}
