// SPDX-License-Identifier: GPL-2.0-only
/* The other nodes, by their VTEP. */
#include "state_impl.h"

static int peer_set(struct sw_net *sn, const struct sw_addr *vtep, struct netlink_ext_ack *extack)
{
	struct sw_peer *p;
	int rc;

	lockdep_assert_held(&sn->lock);
	if (rhashtable_lookup_fast(&sn->peers, vtep, sw_peer_params))
		return 0;
	if (sn->usage.peers >= SW_PEERS_MAX) {
		NL_SET_ERR_MSG(extack,
			       "8192 nodes are set, which is the limit: delete unused ones");
		return -ENOSPC;
	}
	p = kzalloc(sizeof(*p), SW_GFP);
	if (!p)
		return -ENOMEM;
	p->vtep = *vtep;
	rc = dst_cache_init(&p->route, SW_GFP);
	if (rc)
		goto free;
	rc = xa_alloc(&sn->peer_ids, &p->id, p, xa_limit_31b, SW_GFP);
	if (rc)
		goto destroy;
	rc = rhashtable_insert_fast(&sn->peers, &p->node, sw_peer_params);
	if (rc)
		goto erase;
	sn->usage.peers++;
	return 1;

erase:
	xa_erase(&sn->peer_ids, p->id);
destroy:
	dst_cache_destroy(&p->route);
free:
	kfree(p);
	return rc;
}

int sw_peer_set(struct sw_net *sn, const struct sw_addr *vtep, struct netlink_ext_ack *extack)
{
	int rc;

	mutex_lock(&sn->lock);
	rc = peer_set(sn, vtep, extack);
	if (rc > 0)
		sw_changed(sn);
	mutex_unlock(&sn->lock);
	return rc;
}

static void peer_free(struct rcu_head *rcu)
{
	struct sw_peer *p = container_of(rcu, struct sw_peer, rcu);

	dst_cache_destroy(&p->route);
	kfree(p);
}

static void peer_remove(struct sw_net *sn, struct sw_peer *p)
{
	lockdep_assert_held(&sn->lock);
	rhashtable_remove_fast(&sn->peers, &p->node, sw_peer_params);
	xa_erase(&sn->peer_ids, p->id);
	sn->usage.peers--;
	call_rcu(&p->rcu, peer_free);
}

int sw_peer_del(struct sw_net *sn, const struct sw_addr *vtep, struct netlink_ext_ack *extack)
{
	struct sw_peer *p;

	mutex_lock(&sn->lock);
	p = rhashtable_lookup_fast(&sn->peers, vtep, sw_peer_params);
	if (p) {
		peer_remove(sn, p);
		sw_changed(sn);
	}
	mutex_unlock(&sn->lock);
	return p ? 1 : 0;
}

void sw_peers_clear(struct sw_net *sn)
{
	struct sw_peer *p;
	unsigned long id;

	xa_for_each(&sn->peer_ids, id, p)
		peer_remove(sn, p);
}

void sw_peers_reroute(struct sw_net *sn)
{
	struct sw_peer *p;
	unsigned long id;

	lockdep_assert_held(&sn->lock);
	xa_for_each(&sn->peer_ids, id, p)
		dst_cache_reset(&p->route);
}
