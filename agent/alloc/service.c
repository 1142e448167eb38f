// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "alloc/alloc_impl.h"
#include "wire/pb.h"

bool alloc_needs_ingress(const Pb__ServiceSpec *spec)
{
	const Pb__EndpointSpec *ep = spec ? spec->endpoint : NULL;

	for (size_t i = 0; ep && i < ep->n_ports; i++)
		if (ep->ports[i]->publish_mode == PB__PORT_CONFIG__PUBLISH_MODE__INGRESS)
			return true;
	return false;
}

void service_networks(const Pb__ServiceSpec *spec, Pb__NetworkAttachmentConfig *const **ret,
		      size_t *ret_n)
{
	*ret = NULL;
	*ret_n = 0;
	if (!spec)
		return;
	if (spec->task && spec->task->n_networks) {
		*ret = spec->task->networks;
		*ret_n = spec->task->n_networks;
	} else {
		*ret = spec->networks;
		*ret_n = spec->n_networks;
	}
}

/* The networks on which the service has a virtual address. */
struct vip_nets {
	const Pb__Network **v;
	size_t n;
};

static void vip_net_add(struct vip_nets *v, const Pb__Network *n)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->v[i] == n)
			return;
	v->v[v->n++] = n;
}

/* -EAGAIN while one of them is not allocated. */
static int vip_nets(const struct alloc *a, const struct store *s, const Pb__ServiceSpec *spec,
		    struct vip_nets *ret, struct err *err)
{
	Pb__NetworkAttachmentConfig *const *nets;
	const Pb__Network *ingress = NULL;
	size_t n;

	service_networks(spec, &nets, &n);
	*ret = (struct vip_nets){xcalloc(n + 1, sizeof(*ret->v)), 0};
	if (alloc_needs_ingress(spec)) {
		ingress = alloc_ingress(s);
		if (!ingress || !net_find(a, ingress->id))
			return err_set(err, -EAGAIN,
				       "the ingress network is not there: create one with "
				       "docker network create --ingress");
	}
	if (spec->endpoint && spec->endpoint->mode == PB__ENDPOINT_SPEC__RESOLUTION_MODE__DNSRR)
		return 0;
	if (ingress)
		vip_net_add(ret, ingress);
	for (size_t i = 0; i < n; i++) {
		const Pb__Network *net = store_network(s, nets[i]->target);
		const struct anet *an = net ? net_find(a, net->id) : NULL;

		if (!net)
			return err_set(err, -EAGAIN, "network %s not found", nets[i]->target);
		if (!an)
			return err_set(err, -EAGAIN, "network %s is not allocated yet",
				       store_name(net));
		if (an->overlay)
			vip_net_add(ret, net);
	}
	return 0;
}

static const char *vip_on(const Pb__Endpoint *ep, const char *network_id)
{
	for (size_t i = 0; ep && i < ep->n_virtual_ips; i++)
		if (!strcmp(ep->virtual_ips[i]->network_id, network_id))
			return ep->virtual_ips[i]->addr;
	return NULL;
}

static bool same_port(const Pb__PortConfig *a, const Pb__PortConfig *b)
{
	return a->protocol == b->protocol && a->target_port == b->target_port &&
	       a->publish_mode == b->publish_mode && !strcmp(a->name, b->name);
}

static bool ports_are_there(const Pb__EndpointSpec *want, const Pb__Endpoint *ep)
{
	size_t n = want ? want->n_ports : 0;

	if (ep->n_ports != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		const Pb__PortConfig *w = want->ports[i], *h = ep->ports[i];

		if (!same_port(w, h))
			return false;
		if (w->published_port ? w->published_port != h->published_port
				      : w->publish_mode == PB__PORT_CONFIG__PUBLISH_MODE__INGRESS &&
						!h->published_port)
			return false;
	}
	return true;
}

bool service_is_allocated(const struct alloc *a, const struct store *s, const Pb__Service *svc)
{
	const Pb__Endpoint *ep = svc->endpoint;
	struct vip_nets nets;
	bool ok;

	if (!svc->spec)
		return true;
	ok = !vip_nets(a, s, svc->spec, &nets, NULL);
	if (ok && !ep)
		ok = !nets.n && (!svc->spec->endpoint || !svc->spec->endpoint->n_ports);
	else if (ok)
		ok = ep->n_virtual_ips == nets.n && pb_equal(ep->spec, svc->spec->endpoint) &&
		     ports_are_there(svc->spec->endpoint, ep);
	for (size_t i = 0; ok && i < nets.n; i++)
		ok = !str_empty(vip_on(ep, nets.v[i]->id));
	free(nets.v);
	return ok;
}

/* The dynamic port that an equal entry had before, unless it was handed on already. */
static uint32_t previous_port(const Pb__Endpoint *old, const Pb__PortConfig *p,
			      const Pb__Endpoint *new)
{
	for (size_t i = 0; old && i < old->n_ports; i++) {
		bool taken = false;

		if (!same_port(old->ports[i], p) || !old->ports[i]->published_port)
			continue;
		for (size_t k = 0; k < new->n_ports; k++)
			taken |= new->ports[k]->published_port ==
				 old->ports[i]->published_port &&new->ports[k]->protocol ==
				 p->protocol;
		if (!taken)
			return old->ports[i]->published_port;
	}
	return 0;
}

static int alloc_ports(struct alloc *a, const Pb__Service *svc, Pb__Endpoint *ep, struct err *err)
{
	const Pb__EndpointSpec *want = svc->spec->endpoint;
	int rc = 0;

	for (size_t i = 0; want && i < want->n_ports; i++)
		pb_append(&ep->n_ports, &ep->ports, pb_clone(want->ports[i]));
	/* Those that are named first, so that no dynamic one takes them. */
	for (size_t i = 0; i < ep->n_ports && !rc; i++)
		if (ep->ports[i]->published_port &&
		    ep->ports[i]->publish_mode == PB__PORT_CONFIG__PUBLISH_MODE__INGRESS)
			rc = ports_claim(&a->ports, ep->ports[i], svc->id, err);
	for (size_t i = 0; i < ep->n_ports && !rc; i++) {
		Pb__PortConfig *p = ep->ports[i];

		if (p->published_port || p->publish_mode != PB__PORT_CONFIG__PUBLISH_MODE__INGRESS)
			continue;
		p->published_port = previous_port(svc->endpoint, p, ep);
		if (p->published_port)
			rc = ports_claim(&a->ports, p, svc->id, err);
		else
			rc = ports_take(&a->ports, p->protocol, svc->id, &p->published_port, err);
	}
	return rc;
}

static int alloc_vips(struct alloc *a, const Pb__Service *svc, const struct vip_nets *nets,
		      Pb__Endpoint *ep, struct err *err)
{
	for (size_t i = 0; i < nets->n; i++) {
		const char *old = vip_on(svc->endpoint, nets->v[i]->id);
		Pb__Endpoint__VirtualIP *vip = pb_new(pb__endpoint__virtual_ip);
		char addr[20];
		int rc;

		pb_set_str(&vip->network_id, nets->v[i]->id);
		pb_append(&ep->n_virtual_ips, &ep->virtual_ips, vip);
		if (!str_empty(old)) {
			net_hold(a, nets->v[i]->id, old);
			pb_set_str(&vip->addr, old);
			continue;
		}
		rc = net_take(a, nets->v[i], NULL, addr, err);
		if (rc)
			return rc;
		pb_set_str(&vip->addr, addr);
	}
	return 0;
}

/* Give back what one has and the other (may be NULL) has not. */
static void release(struct alloc *a, const char *service_id, const Pb__Endpoint *from,
		    const Pb__Endpoint *keep)
{
	for (size_t i = 0; from && i < from->n_virtual_ips; i++) {
		const Pb__Endpoint__VirtualIP *vip = from->virtual_ips[i];
		const char *kept = vip_on(keep, vip->network_id);

		if (!kept || strcmp(kept, vip->addr))
			net_release(a, vip->network_id, vip->addr);
	}
	for (size_t i = 0; from && i < from->n_ports; i++) {
		const Pb__PortConfig *p = from->ports[i];
		bool kept = p->publish_mode != PB__PORT_CONFIG__PUBLISH_MODE__INGRESS;

		for (size_t k = 0; keep && k < keep->n_ports && !kept; k++)
			kept = keep->ports[k]->protocol == p->protocol &&
			       keep->ports[k]->published_port == p->published_port &&
			       keep->ports[k]->publish_mode == p->publish_mode;
		if (!kept)
			ports_release(&a->ports, p, service_id);
	}
}

int service_alloc(struct alloc *a, struct store_tx *tx, const Pb__Service *svc, struct err *err)
{
	Pb__Endpoint *ep = pb_new(pb__endpoint);
	struct vip_nets nets;
	Pb__Service *copy;
	int rc = vip_nets(a, store_tx_store(tx), svc->spec, &nets, err);

	ep->spec = pb_clone(svc->spec->endpoint);
	if (!rc)
		rc = alloc_ports(a, svc, ep, err);
	if (!rc)
		rc = alloc_vips(a, svc, &nets, ep, err);
	free(nets.v);
	if (!rc) {
		copy = pb_clone(svc);
		pb_free(copy->endpoint);
		copy->endpoint = pb_clone(ep);
		rc = store_tx_update(tx, copy, err);
	}
	if (rc)
		release(a, svc->id, ep, svc->endpoint);
	pb_free(ep);
	return rc;
}

void service_changed(struct alloc *a, const Pb__Service *old, const Pb__Service *new)
{
	const Pb__Endpoint *ep = new ? new->endpoint : NULL;

	if (old)
		release(a, old->id, old->endpoint, ep);
	for (size_t i = 0; ep && i < ep->n_virtual_ips; i++)
		net_hold(a, ep->virtual_ips[i]->network_id, ep->virtual_ips[i]->addr);
	for (size_t i = 0; ep && i < ep->n_ports; i++)
		if (ep->ports[i]->publish_mode == PB__PORT_CONFIG__PUBLISH_MODE__INGRESS &&
		    ep->ports[i]->published_port)
			ports_claim(&a->ports, ep->ports[i], new->id, NULL);
}
