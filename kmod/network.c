// SPDX-License-Identifier: GPL-2.0-only
/* Networks, and everything that has an address in one: containers, VIPs, the node itself. */
#include "state_impl.h"

#include <linux/rcupdate.h>

struct sw_endpoint_obj *sw_endpoint_obj_of(struct sw_net *sn, const struct sw_endpoint_key *key)
{
	lockdep_assert_held(&sn->lock);
	return rhashtable_lookup_fast(&sn->endpoints, key, sw_endpoint_params);
}

/* Dumps tell the kinds apart by marks. */
static void mark(struct sw_net *sn, const struct sw_endpoint_obj *e)
{
	xa_clear_mark(&sn->endpoint_ids, e->id, SW_IS_CONTAINER);
	xa_clear_mark(&sn->endpoint_ids, e->id, SW_IS_VIP);
	if (e->v.kind == SW_ENDPOINT)
		xa_set_mark(&sn->endpoint_ids, e->id, SW_IS_CONTAINER);
	else if (e->v.kind == SW_ENDPOINT_VIP)
		xa_set_mark(&sn->endpoint_ids, e->id, SW_IS_VIP);
}

/*
 * A packet that found the former object may have written to it until now; its successor has to
 * know that there are flows to translate.
 */
static void free_former(struct rcu_head *rcu)
{
	struct sw_endpoint_obj *old = container_of(rcu, struct sw_endpoint_obj, rcu);
	struct sw_endpoint *e;

	rcu_read_lock();
	e = old->v.translated ? sw_endpoint_find(old->sn, &old->key) : NULL;
	if (e && e->gen == old->v.gen)
		WRITE_ONCE(e->translated, 1);
	rcu_read_unlock();
	kfree(old);
}

static int insert(struct sw_net *sn, struct sw_endpoint_obj *e, struct netlink_ext_ack *extack)
{
	int rc;

	if (sn->usage.endpoints >= SW_ENDPOINTS_MAX) {
		NL_SET_ERR_MSG(extack,
			       "131072 addresses are set, which is the limit: delete unused ones");
		return -ENOSPC;
	}
	rc = xa_alloc(&sn->endpoint_ids, &e->id, e, xa_limit_31b, SW_GFP);
	if (rc)
		return rc;
	rc = rhashtable_insert_fast(&sn->endpoints, &e->node, sw_endpoint_params);
	if (rc) {
		xa_erase(&sn->endpoint_ids, e->id);
		return rc;
	}
	sn->usage.endpoints++;
	return 0;
}

static int replace(struct sw_net *sn, struct sw_endpoint_obj *old, struct sw_endpoint_obj *e)
{
	int rc;

	e->id = old->id;
	rc = rhashtable_replace_fast(&sn->endpoints, &old->node, &e->node, sw_endpoint_params);
	if (rc)
		return rc;
	xa_store(&sn->endpoint_ids, e->id, e, SW_GFP); /* in its place, which takes no memory */
	if (old->v.kind == SW_ENDPOINT_VIP)
		sw_table_retire(sn, &old->v.lb);
	if (READ_ONCE(old->v.translated) && e->v.gen == old->v.gen)
		WRITE_ONCE(e->v.translated, 1);
	call_rcu(&old->rcu, free_former);
	return 0;
}

int sw_endpoint_put(struct sw_net *sn, const struct sw_endpoint_key *key,
		    const struct sw_endpoint *v, struct netlink_ext_ack *extack)
{
	struct sw_endpoint_obj *old = sw_endpoint_obj_of(sn, key), *e;
	int rc;

	e = kzalloc(sizeof(*e), SW_GFP);
	if (!e)
		return -ENOMEM;
	e->sn = sn;
	e->key = *key;
	e->v = *v;
	rc = old ? replace(sn, old, e) : insert(sn, e, extack);
	if (rc) {
		kfree(e);
		return rc;
	}
	mark(sn, e);
	return 0;
}

static void remove(struct sw_net *sn, struct sw_endpoint_obj *e)
{
	rhashtable_remove_fast(&sn->endpoints, &e->node, sw_endpoint_params);
	xa_erase(&sn->endpoint_ids, e->id);
	sn->usage.endpoints--;
	if (e->v.kind == SW_ENDPOINT_VIP)
		sw_table_retire(sn, &e->v.lb);
	kfree_rcu(e, rcu);
}

bool sw_endpoint_remove(struct sw_net *sn, const struct sw_endpoint_key *key, __u32 kind)
{
	struct sw_endpoint_obj *e = sw_endpoint_obj_of(sn, key);

	if (!e || e->v.kind != kind)
		return false;
	remove(sn, e);
	return true;
}

void sw_endpoints_clear(struct sw_net *sn)
{
	struct sw_endpoint_obj *e;
	unsigned long id;

	xa_for_each(&sn->endpoint_ids, id, e)
		remove(sn, e);
}

static bool is_same_endpoint(const struct sw_endpoint *a, const struct sw_endpoint *b)
{
	return a->ifindex == b->ifindex && sw_addr_eq(&a->node, &b->node) &&
	       sw_addr_eq(&a->host_addr, &b->host_addr) && !memcmp(a->mac, b->mac, sizeof(a->mac));
}

static int endpoint_set(struct sw_net *sn, const struct sw_endpoint_key *key,
			const struct sw_endpoint *e, struct netlink_ext_ack *extack)
{
	struct sw_endpoint_obj *old = sw_endpoint_obj_of(sn, key);
	struct sw_endpoint v = {.kind = SW_ENDPOINT, .ifindex = e->ifindex};

	if (!e->ifindex)
		v.node = e->node;
	v.host_addr = e->host_addr;
	memcpy(v.mac, e->mac, sizeof(v.mac));
	if (old && old->v.kind == SW_ENDPOINT_SELF)
		return 0; /* our own address, told as another's */
	if (old && old->v.kind == SW_ENDPOINT) {
		if (is_same_endpoint(&old->v, &v))
			return 0;
		v.gen = old->v.gen;
		v.translated = READ_ONCE(old->v.translated);
	} else {
		v.gen = ++sn->next_gen;
	}
	return sw_endpoint_put(sn, key, &v, extack) ?: 1;
}

int sw_endpoint_set(struct sw_net *sn, const struct sw_endpoint_key *key,
		    const struct sw_endpoint *e, struct netlink_ext_ack *extack)
{
	int rc;

	mutex_lock(&sn->lock);
	rc = endpoint_set(sn, key, e, extack);
	if (rc > 0)
		sw_changed(sn);
	mutex_unlock(&sn->lock);
	return rc;
}

int sw_endpoint_del(struct sw_net *sn, const struct sw_endpoint_key *key,
		    struct netlink_ext_ack *extack)
{
	bool removed;

	mutex_lock(&sn->lock);
	removed = sw_endpoint_remove(sn, key, SW_ENDPOINT);
	if (removed)
		sw_changed(sn);
	mutex_unlock(&sn->lock);
	return removed;
}

/* Networks */

static int self_put(struct sw_net *sn, __u32 vni, const struct sw_addr *addr, const __u8 *mac,
		    struct netlink_ext_ack *extack)
{
	struct sw_endpoint_key key = {.vni = vni, .addr = *addr};
	struct sw_endpoint v = {.kind = SW_ENDPOINT_SELF};

	if (!sw_addr_is_set(addr))
		return 0;
	if (mac)
		memcpy(v.mac, mac, sizeof(v.mac));
	else
		sw_mac4(v.mac, SW_MAC_ADDR, addr->w[3]);
	return sw_endpoint_put(sn, &key, &v, extack);
}

/* Take away the own address unless it is one of keep, which may be NULL. */
static void self_remove(struct sw_net *sn, __u32 vni, const struct sw_addr *addr,
			const struct sw_network *keep)
{
	struct sw_endpoint_key key = {.vni = vni, .addr = *addr};

	if (keep && (sw_addr_eq(addr, &keep->gateway) || sw_addr_eq(addr, &keep->node_addr)))
		return;
	sw_endpoint_remove(sn, &key, SW_ENDPOINT_SELF);
}

static void selves_remove(struct sw_net *sn, __u32 vni, const struct sw_network *n,
			  const struct sw_network *keep)
{
	self_remove(sn, vni, &n->gateway, keep);
	self_remove(sn, vni, &n->node_addr, keep);
}

static int network_replace(struct sw_net *sn, __u32 vni, struct sw_network_obj *old,
			   struct sw_network_obj *n, struct netlink_ext_ack *extack)
{
	int rc;

	rc = self_put(sn, vni, &n->v.node_addr, NULL, extack);
	rc = rc ?: self_put(sn, vni, &n->v.gateway, n->v.gateway_mac, extack);
	rc = rc ?: xa_err(xa_store(&sn->networks, vni, n, SW_GFP));
	if (rc) {
		selves_remove(sn, vni, &n->v, old ? &old->v : NULL);
		return rc;
	}
	if (old) {
		selves_remove(sn, vni, &old->v, &n->v);
		kfree_rcu(old, rcu);
	} else {
		sn->usage.networks++;
	}
	return 1;
}

static int network_set(struct sw_net *sn, __u32 vni, const struct sw_network *n,
		       struct netlink_ext_ack *extack)
{
	struct sw_network_obj *old, *new;
	int rc;

	lockdep_assert_held(&sn->lock);
	old = xa_load(&sn->networks, vni);
	if (old && !memcmp(&old->v, n, sizeof(*n)))
		return 0;
	if (!old && sn->usage.networks >= SW_NETWORKS_MAX) {
		NL_SET_ERR_MSG(extack,
			       "4096 networks are set, which is the limit: delete unused ones");
		return -ENOSPC;
	}
	new = kzalloc(sizeof(*new), SW_GFP);
	if (!new)
		return -ENOMEM;
	new->v = *n;
	rc = network_replace(sn, vni, old, new, extack);
	if (rc < 0)
		kfree(new);
	return rc;
}

int sw_network_set(struct sw_net *sn, __u32 vni, const struct sw_network *n,
		   struct netlink_ext_ack *extack)
{
	int rc;

	mutex_lock(&sn->lock);
	rc = network_set(sn, vni, n, extack);
	if (rc > 0)
		sw_changed(sn);
	mutex_unlock(&sn->lock);
	return rc;
}

static void network_remove(struct sw_net *sn, __u32 vni, struct sw_network_obj *n)
{
	xa_erase(&sn->networks, vni);
	sn->usage.networks--;
	selves_remove(sn, vni, &n->v, NULL);
	kfree_rcu(n, rcu);
}

int sw_network_del(struct sw_net *sn, __u32 vni, struct netlink_ext_ack *extack)
{
	struct sw_network_obj *n;

	mutex_lock(&sn->lock);
	n = xa_load(&sn->networks, vni);
	if (n) {
		network_remove(sn, vni, n);
		sw_changed(sn);
	}
	mutex_unlock(&sn->lock);
	return n ? 1 : 0;
}

void sw_networks_clear(struct sw_net *sn)
{
	struct sw_network_obj *n;
	unsigned long vni;

	lockdep_assert_held(&sn->lock);
	xa_for_each(&sn->networks, vni, n)
		network_remove(sn, vni, n);
}
