// SPDX-License-Identifier: GPL-2.0-only
#include "state.h"

#include <linux/random.h>
#include <linux/slab.h>
#include <net/netns/generic.h>

#include "flows.h"
#include "selftest/selftest.h"
#include "state_impl.h"

const struct rhashtable_params sw_endpoint_params = {
	.head_offset = offsetof(struct sw_endpoint_obj, node),
	.key_offset = offsetof(struct sw_endpoint_obj, key),
	.key_len = sizeof(struct sw_endpoint_key),
	.automatic_shrinking = true,
};

const struct rhashtable_params sw_peer_params = {
	.head_offset = offsetof(struct sw_peer, node),
	.key_offset = offsetof(struct sw_peer, vtep),
	.key_len = sizeof(struct sw_addr),
	.automatic_shrinking = true,
};

static unsigned int net_id;
static struct lock_class_key tables_lock;

#define SW_SEQ_UNUSED 1 /* sw_net.seq of a namespace in which nothing was ever set */

struct sw_net *sw_net_of(const struct net *net)
{
	return net_generic(net, net_id);
}

struct sw_network *sw_network_find(struct sw_net *sn, __u32 vni)
{
	struct sw_network_obj *n = xa_load(&sn->networks, vni);

	return n ? &n->v : NULL;
}

struct sw_endpoint *sw_endpoint_find(struct sw_net *sn, const struct sw_endpoint_key *key)
{
	struct sw_endpoint_obj *e = rhashtable_lookup(&sn->endpoints, key, sw_endpoint_params);

	return e ? &e->v : NULL;
}

struct sw_port *sw_port_find(struct sw_net *sn, const struct sw_port_key *key)
{
	struct sw_port_obj *p = xa_load(&sn->ports, sw_port_index(key));

	return p ? &p->v : NULL;
}

struct sw_link *sw_link_find(struct sw_net *sn, __u32 ifindex)
{
	struct sw_link_obj *l = xa_load(&sn->links, ifindex);

	return l ? &l->v : NULL;
}

struct sw_peer *sw_peer_find(struct sw_net *sn, const struct sw_addr *vtep)
{
	return rhashtable_lookup(&sn->peers, vtep, sw_peer_params);
}

struct sw_table *sw_table_find(struct sw_net *sn, const struct sw_lb *lb)
{
	return lb->table ? xa_load(&sn->tables, lb->table) : NULL;
}

int sw_table_slot(struct sw_net *sn, const struct sw_lb *lb, __u32 slot, struct sw_addr *ret)
{
	struct sw_table *t = sw_table_find(sn, lb);

	if (!t || slot >= t->size)
		return -ENOENT;
	*ret = t->backends[t->slots[slot]].addr;
	return 0;
}

void sw_counts_read(struct sw_net *sn, struct sw_count *ret)
{
	int cpu, i;

	memset(ret, 0, SW_REASON_COUNT * sizeof(*ret));
	for_each_possible_cpu(cpu) {
		const struct sw_counts *c = per_cpu_ptr(sn->counts, cpu);

		for (i = 0; i < SW_REASON_COUNT; i++) {
			ret[i].packets += READ_ONCE(c->of[i].packets);
			ret[i].bytes += READ_ONCE(c->of[i].bytes);
		}
	}
}

void sw_changed(struct sw_net *sn)
{
	lockdep_assert_held(&sn->lock);
	WRITE_ONCE(sn->seq, sn->seq == U32_MAX ? SW_SEQ_UNUSED + 1 : sn->seq + 1);
}

static int __net_init sw_net_init(struct net *net)
{
	struct sw_net *sn = sw_net_of(net);
	int rc;

	sn->net = net;
	mutex_init(&sn->lock);
	sn->flows_max = SW_FLOWS_DEFAULT;
	sn->ports_max = SW_PORTS_DEFAULT;
	sn->next_gen = get_random_u32();
	sn->seq = SW_SEQ_UNUSED;
	xa_init(&sn->networks);
	xa_init(&sn->links);
	xa_init(&sn->ports);
	/* tables are taken out by RCU's callbacks; lockdep knows all that are made here by one class */
	xa_init_flags(&sn->tables, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_BH);
	lockdep_set_class(&sn->tables.xa_lock, &tables_lock);
	xa_init_flags(&sn->endpoint_ids, XA_FLAGS_ALLOC);
	xa_init_flags(&sn->peer_ids, XA_FLAGS_ALLOC);
	sn->counts = alloc_percpu(struct sw_counts);
	if (!sn->counts)
		return -ENOMEM;
	rc = rhashtable_init(&sn->endpoints, &sw_endpoint_params);
	if (rc)
		goto free_counts;
	rc = rhashtable_init(&sn->peers, &sw_peer_params);
	if (rc)
		goto free_endpoints;
	return 0;

free_endpoints:
	rhashtable_destroy(&sn->endpoints);
free_counts:
	free_percpu(sn->counts);
	return rc;
}

/* Most namespaces never are, and clearing takes locks and time. */
static bool was_used(struct sw_net *sn)
{
	return READ_ONCE(sn->seq) != SW_SEQ_UNUSED;
}

/* No packets any more after the grace period that follows this. */
static void __net_exit sw_net_pre_exit(struct net *net)
{
	struct sw_net *sn = sw_net_of(net);

	if (was_used(sn))
		sw_clear(sn);
}

static void __net_exit sw_net_exit_batch(struct list_head *nets)
{
	bool used = false;
	struct sw_net *sn;
	struct net *net;

	list_for_each_entry(net, nets, exit_list)
		used |= was_used(sw_net_of(net));
	if (used)
		rcu_barrier(); /* what was replaced finds its table by sw_net */
	list_for_each_entry(net, nets, exit_list) {
		sn = sw_net_of(net);
		rhashtable_destroy(&sn->endpoints);
		rhashtable_destroy(&sn->peers);
		xa_destroy(&sn->endpoint_ids);
		xa_destroy(&sn->peer_ids);
		xa_destroy(&sn->networks);
		xa_destroy(&sn->links);
		xa_destroy(&sn->ports);
		WARN_ON(!xa_empty(&sn->tables));
		xa_destroy(&sn->tables);
		free_percpu(sn->counts);
		mutex_destroy(&sn->lock);
	}
}

/* A subsystem and not a device: it outlives the namespace's links. */
static struct pernet_operations net_ops = {
	.init = sw_net_init,
	.pre_exit = sw_net_pre_exit,
	.exit_batch = sw_net_exit_batch,
	.id = &net_id,
	.size = sizeof(struct sw_net),
};

int sw_state_init(void)
{
	int rc = sw_flows_cache_init();

	if (rc)
		return rc;
	rc = sw_selftest();
	if (rc)
		goto free_caches;
	rc = register_pernet_subsys(&net_ops);
	if (rc)
		goto free_caches;
	return 0;

free_caches:
	sw_flows_cache_exit();
	return rc;
}

void sw_state_exit(void)
{
	unregister_pernet_subsys(&net_ops);
	sw_flows_cache_exit(); /* with rcu_barrier() */
}
