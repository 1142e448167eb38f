// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>

#include "alloc/alloc_impl.h"
#include "wire/pb.h"

static const char *driver_of(const Pb__Network *n)
{
	const Pb__Driver *d = n->spec ? n->spec->driver_config : NULL;

	return d && !str_empty(d->name) ? d->name : "overlay";
}

bool alloc_is_overlay(const Pb__Network *n)
{
	return !strcmp(driver_of(n), "overlay");
}

bool net_is_allocated(const Pb__Network *n)
{
	if (!n->driver_state || str_empty(n->driver_state->name))
		return false;
	if (!alloc_is_overlay(n))
		return true;
	return n->ipam && n->ipam->n_configs && !str_empty(n->ipam->configs[0]->subnet);
}

struct anet *net_find(const struct alloc *a, const char *id)
{
	return map_get(&a->nets, id);
}

/* --- VNIs --- */

static int vni_claim(struct alloc *a, struct anet *net, uint32_t vni)
{
	if (vni > ALLOC_VNI_LAST)
		return -EINVAL;
	/* Those below the range may be asked for, but are not kept track of. */
	if (vni >= ALLOC_VNI_FIRST && bitmap_set(&a->vnis, vni - ALLOC_VNI_FIRST))
		return -EBUSY;
	net->vnis = xrealloc(net->vnis, (net->n_vnis + 1) * sizeof(*net->vnis));
	net->vnis[net->n_vnis++] = vni;
	return 0;
}

/* Claim those of a list "4097,4098". */
static int vni_claim_list(struct alloc *a, struct anet *net, const char *list, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(list);
	char *save = NULL;

	for (char *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		uint64_t vni;
		int rc = parse_u64(p, 1, ALLOC_VNI_LAST, &vni);

		if (!rc)
			rc = vni_claim(a, net, vni);
		if (rc == -EBUSY)
			return err_set(err, rc, "VNI %s is in use by another network", p);
		if (rc)
			return err_set(err, -EINVAL,
				       "VNI %s is invalid: it is a number from 1 to %d", p,
				       ALLOC_VNI_LAST);
	}
	return 0;
}

static int vni_take(struct alloc *a, struct anet *net, struct err *err)
{
	uint64_t i;

	if (!bitmap_take(&a->vnis, 0, ALLOC_VNI_LAST - ALLOC_VNI_FIRST, &i))
		return err_set(err, -ENOSPC, "no VNI is left");
	bitmap_clear(&a->vnis, i);
	return vni_claim(a, net, ALLOC_VNI_FIRST + i);
}

/* --- allocated networks --- */

static void anet_free(struct alloc *a, struct anet *net)
{
	for (size_t i = 0; i < net->n_subnets; i++) {
		pools_release(&a->pools, &net->subnets[i].net);
		subnet_done(&net->subnets[i]);
	}
	for (size_t i = 0; i < net->n_vnis; i++)
		if (net->vnis[i] >= ALLOC_VNI_FIRST)
			bitmap_clear(&a->vnis, net->vnis[i] - ALLOC_VNI_FIRST);
	free(net->subnets);
	free(net->vnis);
	free(net);
}

void net_forget(struct alloc *a, const char *id)
{
	struct anet *net = map_del(&a->nets, id);

	if (net)
		anet_free(a, net);
}

/* The subnet is in the pools already. */
static struct subnet *add_subnet(struct anet *net, const struct cidr *c, const Pb__IPAMConfig *conf)
{
	struct cidr range;
	bool ranged = !str_empty(conf->range) && !cidr_parse(conf->range, &range);
	struct subnet *s;

	net->subnets = xrealloc(net->subnets, (net->n_subnets + 1) * sizeof(*net->subnets));
	s = &net->subnets[net->n_subnets++];
	subnet_init(s, c, ranged ? &range : NULL);
	for (size_t i = 0; i < conf->n_reserved; i++) {
		struct cidr r;

		if (!cidr_parse(conf->reserved[i]->value, &r) && subnet_has(s, r.addr))
			subnet_set(s, r.addr);
	}
	s->used.next = 0; /* the gateway is the first address, whatever is reserved behind it */
	return s;
}

static bool is_ipv6(const Pb__IPAMConfig *conf)
{
	return conf->family == PB__IPAMCONFIG__ADDRESS_FAMILY__IPV6 || strchr(conf->subnet, ':');
}

/* One subnet: as asked for, or from the pools; its gateway is the first address taken. */
static int alloc_config(struct alloc *a, struct anet *net, Pb__IPAMConfig *conf, struct err *err)
{
	struct cidr c, gw;
	struct subnet *s;
	uint32_t addr;
	char text[20];
	int rc;

	if (is_ipv6(conf))
		return 0; /* passed on as it is: tasks get IPv4 addresses */
	if (str_empty(conf->subnet)) {
		rc = pools_take(&a->pools, &c, err);
	} else if (cidr_parse(conf->subnet, &c)) {
		rc = err_set(err, -EINVAL, "invalid CIDR %s", conf->subnet);
	} else {
		c.addr = cidr_first(&c);
		rc = pools_reserve(&a->pools, &c, true,
				   err); /* the user's choice: each network is alone on its VNI */
	}
	if (rc)
		return rc;
	s = add_subnet(net, &c, conf);
	conf->family = PB__IPAMCONFIG__ADDRESS_FAMILY__IPV4;
	pb_set_str(&conf->subnet, cidr_format(&c, text));
	if (!str_empty(conf->gateway)) {
		if (cidr_parse(conf->gateway, &gw) || !subnet_has(s, gw.addr))
			return err_set(err, -EINVAL, "gateway %s is not in subnet %s",
				       conf->gateway, conf->subnet);
		addr = gw.addr;
		subnet_set(s, addr);
		s->used.next = 0; /* a gateway at the end does not move the search there */
	} else if (subnet_take(s, &addr)) {
		return err_set(err, -ENOSPC, "subnet %s has no address for a gateway",
			       conf->subnet);
	}
	pb_set_str(&conf->gateway, addr_format(addr, text));
	return vni_take(a, net, err);
}

static void set_vnis(Pb__Driver *d, const struct anet *net)
{
	_cleanup_buf_ struct buf list = BUF_INIT;

	for (size_t i = 0; i < net->n_vnis; i++)
		buf_printf(&list, "%s%u", i ? "," : "", net->vnis[i]);
	pb_set_label(&d->n_options, &d->options, ALLOC_VNI_OPTION, list.data);
}

static int alloc_overlay(struct alloc *a, struct anet *net, Pb__Network *n, struct err *err)
{
	const char *wanted =
		pb_label(n->driver_state->options, n->driver_state->n_options, ALLOC_VNI_OPTION);
	Pb__IPAMOptions *ipam = n->spec->ipam ? pb_clone(n->spec->ipam) : pb_new(pb__ipamoptions);
	int rc = 0;

	pb_free(n->ipam);
	n->ipam = ipam;
	if (str_empty(pb_need(&ipam->driver, pb__driver)->name))
		pb_set_str(&ipam->driver->name, "default");
	if (!ipam->n_configs)
		pb_append(&ipam->n_configs, &ipam->configs, pb_new(pb__ipamconfig));
	for (size_t i = 0; i < ipam->n_configs && !rc; i++)
		rc = alloc_config(a, net, ipam->configs[i], err);
	if (!rc && !net->n_subnets)
		rc = err_set(err, -EOPNOTSUPP, "network %s has no IPv4 subnet", store_name(n));
	if (rc || !wanted)
		goto out;
	/* The VNIs that were asked for, in place of those just taken. */
	for (size_t i = 0; i < net->n_vnis; i++)
		bitmap_clear(&a->vnis, net->vnis[i] - ALLOC_VNI_FIRST);
	net->n_vnis = 0;
	rc = vni_claim_list(a, net, wanted, err);
	while (!rc && net->n_vnis < net->n_subnets)
		rc = vni_take(a, net, err);
out:
	if (!rc)
		set_vnis(n->driver_state, net);
	return rc;
}

int net_alloc(struct alloc *a, struct store_tx *tx, const Pb__Network *n, struct err *err)
{
	Pb__Network *copy = pb_clone(n);
	struct anet *net = xcalloc(1, sizeof(*net));
	Pb__Driver *d;
	int rc = 0;

	pb_free(copy->driver_state);
	pb_need(&copy->spec, pb__network_spec);
	d = copy->driver_state = copy->spec->driver_config ? pb_clone(copy->spec->driver_config)
							   : pb_new(pb__driver);
	pb_set_str(&d->name, driver_of(n));
	net->overlay = alloc_is_overlay(n);
	if (net->overlay) {
		rc = alloc_overlay(a, net, copy, err);
	} else {
		/* As SwarmKit's: readers of old expect ipam to be there. */
		pb_free(copy->ipam);
		copy->ipam = pb_new(pb__ipamoptions);
		copy->ipam->driver = pb_new(pb__driver);
	}
	if (rc) {
		anet_free(a, net);
		pb_free(copy);
		return err_prefix(err, "network %s", store_name(n));
	}
	map_put(&a->nets, n->id, net);
	rc = store_tx_update(tx, copy, err);
	if (rc)
		net_forget(a, n->id);
	return rc;
}

void net_note(struct alloc *a, const Pb__Network *n)
{
	const char *vnis =
		pb_label(n->driver_state->options, n->driver_state->n_options, ALLOC_VNI_OPTION);
	struct anet *net;

	if (net_find(a, n->id))
		return;
	net = xcalloc(1, sizeof(*net));
	net->overlay = alloc_is_overlay(n);
	map_put(&a->nets, n->id, net);
	if (!net->overlay)
		return;
	for (size_t i = 0; i < n->ipam->n_configs; i++) {
		const Pb__IPAMConfig *conf = n->ipam->configs[i];
		struct cidr c, gw;
		struct subnet *s;

		if (is_ipv6(conf) || cidr_parse(conf->subnet, &c))
			continue;
		c.addr = cidr_first(&c);
		pools_reserve(&a->pools, &c, true, NULL);
		s = add_subnet(net, &c, conf);
		if (!cidr_parse(conf->gateway, &gw) && subnet_has(s, gw.addr)) {
			subnet_set(s, gw.addr);
			s->used.next = 0;
		}
	}
	if (vnis)
		vni_claim_list(a, net, vnis, NULL);
}

/* --- addresses --- */

static struct subnet *subnet_of(const struct anet *net, uint32_t addr)
{
	for (size_t i = 0; i < net->n_subnets; i++)
		if (subnet_has(&net->subnets[i], addr))
			return &net->subnets[i];
	return NULL;
}

int net_take(struct alloc *a, const Pb__Network *n, const char *wanted, char ret[20],
	     struct err *err)
{
	struct anet *net = net_find(a, n->id);
	struct cidr c;

	if (!net)
		return err_set(err, -EAGAIN, "network %s is not allocated yet", store_name(n));
	if (!str_empty(wanted)) {
		struct subnet *s = cidr_parse(wanted, &c) ? NULL : subnet_of(net, c.addr);

		if (!s)
			return err_set(err, -EINVAL, "address %s is not in a subnet of network %s",
				       wanted, store_name(n));
		if (subnet_set(s, c.addr))
			return err_set(err, -EBUSY, "Address already in use: %s on network %s",
				       wanted, store_name(n));
		c.bits = s->net.bits;
		cidr_format(&c, ret);
		return 0;
	}
	for (size_t i = 0; i < net->n_subnets; i++)
		if (!subnet_take(&net->subnets[i], &c.addr)) {
			c.bits = net->subnets[i].net.bits;
			cidr_format(&c, ret);
			return 0;
		}
	return err_set(err, -ENOSPC, "no available IPv4 addresses on network %s", store_name(n));
}

void net_hold(struct alloc *a, const char *network_id, const char *addr)
{
	struct anet *net = net_find(a, network_id);
	struct subnet *s;
	struct cidr c;

	if (net && !cidr_parse(addr, &c) && (s = subnet_of(net, c.addr)))
		subnet_set(s, c.addr);
}

void net_release(struct alloc *a, const char *network_id, const char *addr)
{
	struct anet *net = net_find(a, network_id);
	struct subnet *s;
	struct cidr c;

	if (net && !cidr_parse(addr, &c) && (s = subnet_of(net, c.addr)) && subnet_clear(s, c.addr))
		alloc_unblock(a, network_id, 1);
}
