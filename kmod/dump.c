// SPDX-License-Identifier: GPL-2.0-only
/* Reading back what is set. Cursors are numbers of the tables' elements. */
#include "state_impl.h"

/* xa_find() with a cursor of 64 bits. */
static void *find(struct xarray *xa, __u64 *cursor, xa_mark_t filter)
{
	unsigned long index = *cursor;
	void *found;

	if (*cursor > U32_MAX)
		return NULL;
	found = xa_find(xa, &index, U32_MAX, filter);
	if (found)
		*cursor = index;
	return found;
}

bool sw_network_next(struct sw_net *sn, __u64 *cursor, __u32 *vni, struct sw_network *ret)
{
	struct sw_network_obj *n;

	rcu_read_lock();
	n = find(&sn->networks, cursor, XA_PRESENT);
	if (n) {
		*vni = *cursor;
		*ret = n->v;
	}
	rcu_read_unlock();
	return n;
}

bool sw_endpoint_next(struct sw_net *sn, __u64 *cursor, struct sw_endpoint_key *key,
		      struct sw_endpoint *ret)
{
	struct sw_endpoint_obj *e;

	rcu_read_lock();
	e = find(&sn->endpoint_ids, cursor, SW_IS_CONTAINER);
	if (e) {
		*key = e->key;
		*ret = e->v;
	}
	rcu_read_unlock();
	return e;
}

bool sw_peer_next(struct sw_net *sn, __u64 *cursor, struct sw_addr *ret)
{
	struct sw_peer *p;

	rcu_read_lock();
	p = find(&sn->peer_ids, cursor, XA_PRESENT);
	if (p)
		*ret = p->vtep;
	rcu_read_unlock();
	return p;
}

static void with_backends(struct sw_net *sn, const struct sw_lb *lb, struct sw_service *ret)
{
	struct sw_table *t = sw_table_find(sn, lb);

	ret->n_backends = t ? t->n_backends : 0;
	ret->backends = t ? t->backends : NULL;
}

static void vip_fill(struct sw_net *sn, const struct sw_endpoint_obj *e, struct sw_service *ret)
{
	*ret = (struct sw_service){.vni = e->key.vni, .vip = e->key.addr};
	with_backends(sn, &e->v.lb, ret);
}

static void port_fill(struct sw_net *sn, unsigned long index, const struct sw_port_obj *p,
		      struct sw_service *ret)
{
	struct sw_port_key key = sw_port_key_of(index);

	*ret = (struct sw_service){
		.vni = p->v.vni,
		.published = key.port,
		.target = p->v.target,
		.proto = key.proto,
	};
	with_backends(sn, &p->v.lb, ret);
}

/* The cursor's upper half tells ports from VIPs. */
#define PORTS_CURSOR BIT_ULL(32)

bool sw_service_next(struct sw_net *sn, __u64 *cursor, struct sw_service *ret)
{
	struct sw_endpoint_obj *e;
	struct sw_port_obj *p;
	__u64 at;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "the backends are within RCU");
	e = find(&sn->endpoint_ids, cursor, SW_IS_VIP);
	if (e) {
		vip_fill(sn, e, ret);
		return true;
	}
	at = *cursor >= PORTS_CURSOR ? *cursor - PORTS_CURSOR : 0;
	p = find(&sn->ports, &at, XA_PRESENT);
	if (!p)
		return false;
	*cursor = PORTS_CURSOR + at;
	port_fill(sn, at, p, ret);
	return true;
}

bool sw_service_get(struct sw_net *sn, const struct sw_service *identity, struct sw_service *ret)
{
	struct sw_endpoint_key vip = {.vni = identity->vni, .addr = identity->vip};
	struct sw_port_key port = {.port = identity->published, .proto = identity->proto};
	struct sw_endpoint_obj *e;
	struct sw_port_obj *p;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "the backends are within RCU");
	if (identity->proto) {
		p = xa_load(&sn->ports, sw_port_index(&port));
		if (p)
			port_fill(sn, sw_port_index(&port), p, ret);
		return p;
	}
	e = rhashtable_lookup(&sn->endpoints, &vip, sw_endpoint_params);
	if (!e || e->v.kind != SW_ENDPOINT_VIP)
		return false;
	vip_fill(sn, e, ret);
	return true;
}

static bool loopback_get(struct sw_net *sn, __u32 *ifindex, struct sw_link *ret)
{
	struct sw_settings *s = rcu_dereference(sn->settings);

	if (!s)
		return false;
	*ifindex = s->lo_ifindex;
	*ret = (struct sw_link){.role = SW_LINK_LOOPBACK};
	return true;
}

bool sw_link_next(struct sw_net *sn, __u64 *cursor, __u32 *ifindex, struct sw_link *ret)
{
	struct sw_link_obj *l;
	bool found;

	/* no link has the index 0: that is the loopback's place */
	rcu_read_lock();
	found = !*cursor && loopback_get(sn, ifindex, ret);
	if (!found) {
		l = find(&sn->links, cursor, XA_PRESENT);
		found = l;
		if (l) {
			*ifindex = *cursor;
			*ret = l->v;
		}
	}
	rcu_read_unlock();
	return found;
}

bool sw_settings_get(struct sw_net *sn, struct sw_settings *ret, __u32 *flows_max, __u32 *ports_max)
{
	struct sw_settings *s;

	rcu_read_lock();
	s = rcu_dereference(sn->settings);
	if (s)
		*ret = *s;
	rcu_read_unlock();
	*flows_max = READ_ONCE(sn->flows_max);
	*ports_max = READ_ONCE(sn->ports_max);
	return s;
}
