// SPDX-License-Identifier: GPL-2.0-only
/* Services: a VIP or a published port, and the balancing table over their backends. */
#include "state_impl.h"

#include <linux/mm.h>
#include <linux/overflow.h>

#include "swarm/lb.h"

static void table_free(struct rcu_head *rcu)
{
	struct sw_table *t = container_of(rcu, struct sw_table, rcu);

	xa_erase_bh(&t->sn->tables, t->id);
	kvfree(t);
}

/* The table, or NULL; it counts no more. */
static struct sw_table *table_uncount(struct sw_net *sn, const struct sw_lb *lb)
{
	struct sw_table *t = sw_table_find(sn, lb);

	lockdep_assert_held(&sn->lock);
	if (!t)
		return NULL;
	sn->usage.backends -= t->n_backends;
	sn->usage.slots -= t->size;
	return t;
}

void sw_table_retire(struct sw_net *sn, const struct sw_lb *lb)
{
	struct sw_table *t = table_uncount(sn, lb);

	if (t)
		call_rcu(&t->rcu, table_free);
}

/* One that was made in vain: no packet knows of it. */
static void table_discard(struct sw_net *sn, const struct sw_lb *lb)
{
	struct sw_table *t = table_uncount(sn, lb);

	if (t)
		table_free(&t->rcu);
}

/* Backends that take new flows have the slots. */
static int fill(struct sw_table *t, __u32 n_active)
{
	struct sw_lb_backend *b;
	__u16 *index;
	__u32 i, n = 0;

	if (!n_active)
		return 0;
	b = kvcalloc(n_active, sizeof(*b), GFP_KERNEL | __GFP_NOWARN);
	index = kvcalloc(n_active, sizeof(*index), GFP_KERNEL | __GFP_NOWARN);
	if (!b || !index) {
		kvfree(b);
		kvfree(index);
		return -ENOMEM;
	}
	for (i = 0; i < t->n_backends; i++) {
		if (t->backends[i].draining)
			continue;
		b[n].addr = t->backends[i].addr;
		b[n].weight = t->backends[i].weight;
		index[n++] = i;
	}
	sw_lb_fill(b, n, t->slots, t->size);
	for (i = 0; i < t->size; i++)
		t->slots[i] = index[t->slots[i]];
	kvfree(b);
	kvfree(index);
	return 0;
}

static struct sw_table *table_new(const struct sw_service *s, __u32 size, __u32 n_active)
{
	size_t backends_at = ALIGN(struct_size((struct sw_table *)NULL, slots, size), 8);
	struct sw_table *t;

	t = kvzalloc(backends_at + s->n_backends * sizeof(*s->backends), SW_GFP);
	if (!t)
		return NULL;
	t->size = size;
	t->n_backends = s->n_backends;
	t->backends = (void *)t + backends_at;
	memcpy(t->backends, s->backends, s->n_backends * sizeof(*s->backends));
	if (fill(t, n_active)) {
		kvfree(t);
		return NULL;
	}
	return t;
}

static __u32 count_active(const struct sw_service *s)
{
	__u32 i, n = 0;

	for (i = 0; i < s->n_backends; i++)
		n += !s->backends[i].draining;
	return n;
}

/* A table that nothing refers to yet. old: the one that it will replace, or NULL. */
static int table_make(struct sw_net *sn, const struct sw_service *s, const struct sw_table *old,
		      struct sw_lb *ret, struct netlink_ext_ack *extack)
{
	__u32 n_active = count_active(s), size = n_active ? sw_lb_size(n_active) : 0;
	struct sw_table *t;
	int rc;

	if (sn->usage.backends + s->n_backends - (old ? old->n_backends : 0) > SW_BACKENDS_MAX ||
	    sn->usage.slots + size - (old ? old->size : 0) > SW_SLOTS_MAX) {
		NL_SET_ERR_MSG(extack,
			       "the balancing tables of all services are full: delete unused ones");
		return -ENOSPC;
	}
	t = table_new(s, size, n_active);
	if (!t)
		return -ENOMEM;
	t->sn = sn;
	rc = xa_alloc_bh(&sn->tables, &t->id, t, xa_limit_31b, SW_GFP);
	if (rc) {
		kvfree(t);
		return rc;
	}
	sn->usage.backends += t->n_backends;
	sn->usage.slots += size;
	*ret = (struct sw_lb){.table = t->id, .size = size, .n_backends = t->n_backends};
	return 0;
}

static bool has_backends(const struct sw_table *t, const struct sw_service *s)
{
	__u32 i;

	if (!t || t->n_backends != s->n_backends)
		return false;
	for (i = 0; i < t->n_backends; i++) {
		const struct sw_backend *a = &t->backends[i], *b = &s->backends[i];

		if (!sw_addr_eq(&a->addr, &b->addr) || a->weight != b->weight ||
		    a->draining != b->draining)
			return false;
	}
	return true;
}

static int check_backends(const struct sw_service *s, struct netlink_ext_ack *extack)
{
	__u32 i;

	if (s->n_backends > SW_SERVICE_BACKENDS_MAX) {
		NL_SET_ERR_MSG(extack,
			       "a service has at most 1024 backends: run fewer tasks of it");
		return -E2BIG;
	}
	for (i = 1; i < s->n_backends; i++) {
		if (sw_lb_compare(&s->backends[i - 1].addr, &s->backends[i].addr) >= 0) {
			NL_SET_ERR_MSG(extack,
				       "backends have to be sorted by address, without doubles");
			return -EINVAL;
		}
	}
	return 0;
}

static int vip_set(struct sw_net *sn, const struct sw_service *s, struct netlink_ext_ack *extack)
{
	struct sw_endpoint_key key = {.vni = s->vni, .addr = s->vip};
	struct sw_endpoint v = {.kind = SW_ENDPOINT_VIP};
	struct sw_endpoint_obj *old = sw_endpoint_obj_of(sn, &key);
	struct sw_table *old_table = NULL;
	int rc;

	if (old && old->v.kind == SW_ENDPOINT_VIP)
		old_table = sw_table_find(sn, &old->v.lb);
	if (has_backends(old_table, s))
		return 0;
	sw_mac4(v.mac, SW_MAC_ADDR, key.addr.w[3]);
	rc = table_make(sn, s, old_table, &v.lb, extack);
	if (rc)
		return rc;
	rc = sw_endpoint_put(sn, &key, &v, extack);
	if (rc)
		table_discard(sn, &v.lb);
	return rc ?: 1;
}

static struct sw_port_key port_key(const struct sw_service *s)
{
	return (struct sw_port_key){.port = s->published, .proto = s->proto};
}

static int port_store(struct sw_net *sn, const struct sw_service *s, struct sw_port_obj *old,
		      struct netlink_ext_ack *extack)
{
	struct sw_port_key key = port_key(s);
	struct sw_port_obj *p;
	int rc;

	p = kzalloc(sizeof(*p), SW_GFP);
	if (!p)
		return -ENOMEM;
	p->v.vni = s->vni;
	p->v.target = s->target;
	rc = table_make(sn, s, old ? sw_table_find(sn, &old->v.lb) : NULL, &p->v.lb, extack);
	if (rc)
		goto free;
	rc = xa_err(xa_store(&sn->ports, sw_port_index(&key), p, SW_GFP));
	if (rc)
		goto discard;
	if (old) {
		sw_table_retire(sn, &old->v.lb);
		kfree_rcu(old, rcu);
	} else {
		sn->usage.ports++;
	}
	return 1;

discard:
	table_discard(sn, &p->v.lb);
free:
	kfree(p);
	return rc;
}

static int port_set(struct sw_net *sn, const struct sw_service *s, struct netlink_ext_ack *extack)
{
	struct sw_port_key key = port_key(s);
	struct sw_port_obj *old = xa_load(&sn->ports, sw_port_index(&key));

	if (old && old->v.vni == s->vni && old->v.target == s->target &&
	    has_backends(sw_table_find(sn, &old->v.lb), s))
		return 0;
	if (!old && sn->usage.ports >= sn->ports_max) {
		NL_SET_ERR_MSG(extack,
			       "as many ports are published as is allowed: raise ports-max");
		return -ENOSPC;
	}
	return port_store(sn, s, old, extack);
}

int sw_service_set(struct sw_net *sn, const struct sw_service *s, struct netlink_ext_ack *extack)
{
	int rc = check_backends(s, extack);

	if (rc)
		return rc;
	mutex_lock(&sn->lock);
	rc = s->proto ? port_set(sn, s, extack) : vip_set(sn, s, extack);
	if (rc > 0)
		sw_changed(sn);
	mutex_unlock(&sn->lock);
	return rc;
}

static void port_remove(struct sw_net *sn, unsigned long index, struct sw_port_obj *p)
{
	lockdep_assert_held(&sn->lock);
	xa_erase(&sn->ports, index);
	sn->usage.ports--;
	sw_table_retire(sn, &p->v.lb);
	kfree_rcu(p, rcu);
}

static bool port_del(struct sw_net *sn, const struct sw_port_key *key)
{
	unsigned long index = sw_port_index(key);
	struct sw_port_obj *p = xa_load(&sn->ports, index);

	if (p)
		port_remove(sn, index, p);
	return p;
}

int sw_service_del(struct sw_net *sn, const struct sw_service *s, struct netlink_ext_ack *extack)
{
	struct sw_endpoint_key vip = {.vni = s->vni, .addr = s->vip};
	struct sw_port_key port = port_key(s);
	bool removed;

	mutex_lock(&sn->lock);
	removed = s->proto ? port_del(sn, &port) : sw_endpoint_remove(sn, &vip, SW_ENDPOINT_VIP);
	if (removed)
		sw_changed(sn);
	mutex_unlock(&sn->lock);
	return removed;
}

void sw_ports_clear(struct sw_net *sn)
{
	struct sw_port_obj *p;
	unsigned long index;

	xa_for_each(&sn->ports, index, p)
		port_remove(sn, index, p);
}
