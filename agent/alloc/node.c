// SPDX-License-Identifier: Apache-2.0
#include "alloc/alloc_impl.h"
#include "wire/pb.h"

static char *key_of(const char *node_id, const char *network_id)
{
	return xasprintf("%s/%s", node_id, network_id);
}

static struct presence *presence_get(const struct alloc *a, const char *node_id,
				     const char *network_id)
{
	_cleanup_free_ char *key = key_of(node_id, network_id);

	return map_get(&a->presence, key);
}

static struct presence *presence_need(struct alloc *a, const char *node_id, const char *network_id)
{
	_cleanup_free_ char *key = key_of(node_id, network_id);
	struct presence *p = map_get(&a->presence, key);

	if (p)
		return p;
	p = xcalloc(1, sizeof(*p));
	list_init(&p->idle);
	p->node_id = xstrdup(node_id);
	p->network_id = xstrdup(network_id);
	map_put(&a->presence, key, p);
	return p;
}

static void presence_free(struct presence *p)
{
	list_del(&p->idle);
	free(p->node_id);
	free(p->network_id);
	free(p);
}

void presence_add(struct alloc *a, const char *node_id, const char *network_id)
{
	struct presence *p = presence_need(a, node_id, network_id);

	list_del(&p->idle);
	if (!p->n_tasks++)
		idq_add(&a->nodes, node_id);
}

void presence_sub(struct alloc *a, const char *node_id, const char *network_id)
{
	struct presence *p = presence_get(a, node_id, network_id);

	if (!p || !p->n_tasks || --p->n_tasks)
		return;
	p->until_ms = a->now_ms + ALLOC_LINGER_MS;
	list_add_tail(&p->idle, &a->idle);
}

uint64_t presence_expire(struct alloc *a, uint64_t now_ms)
{
	while (!list_empty(&a->idle)) {
		struct presence *p = list_first(&a->idle, struct presence, idle);
		_cleanup_free_ char *key = NULL;

		if (p->until_ms > now_ms)
			return p->until_ms;
		key = key_of(p->node_id, p->network_id);
		map_del(&a->presence, key);
		idq_add(&a->nodes, p->node_id);
		presence_free(p);
	}
	return COMPONENT_NEVER;
}

void presence_done(struct alloc *a)
{
	struct presence *p;
	const char *key;

	map_for_each (&a->presence, key, p)
		presence_free(p);
	map_done(&a->presence);
}

static bool wants(const struct alloc *a, const Pb__Node *n, const Pb__Network *net)
{
	return net->spec->ingress || presence_get(a, n->id, net->id);
}

static const Pb__NetworkAttachment *attached(const Pb__Node *n, const char *network_id)
{
	for (size_t i = 0; i < n->n_attachments; i++)
		if (n->attachments[i]->network &&
		    !strcmp(n->attachments[i]->network->id, network_id))
			return n->attachments[i];
	return NULL;
}

/* Drop what the node needs no more. Returns whether there was something. */
static bool drop_unused(const struct alloc *a, const struct store *s, Pb__Node *copy)
{
	size_t kept = 0;

	for (size_t i = 0; i < copy->n_attachments; i++) {
		Pb__NetworkAttachment *at = copy->attachments[i];
		const Pb__Network *net = at->network ? store_network(s, at->network->id) : NULL;

		if (net && at->n_addresses && wants(a, copy, net))
			copy->attachments[kept++] = at;
		else
			pb_free(at);
	}
	if (kept == copy->n_attachments)
		return false;
	copy->n_attachments = kept;
	return true;
}

static int attach(struct alloc *a, Pb__Node *copy, const Pb__Network *net, bool *changed,
		  struct err *err)
{
	Pb__NetworkAttachment *at;
	char addr[20];
	int rc;

	if (attached(copy, net->id))
		return 0;
	rc = net_take(a, net, NULL, addr, err);
	if (rc)
		return rc;
	at = pb_new(pb__network_attachment);
	at->network = pb_clone(net);
	pb_append_str(&at->n_addresses, &at->addresses, addr);
	pb_append(&copy->n_attachments, &copy->attachments, at);
	*changed = true;
	return 0;
}

static void release(struct alloc *a, const Pb__Node *from, const Pb__Node *keep)
{
	for (size_t i = 0; from && i < from->n_attachments; i++) {
		const Pb__NetworkAttachment *at = from->attachments[i], *kept;

		if (!at->network)
			continue;
		kept = keep ? attached(keep, at->network->id) : NULL;
		for (size_t k = 0; k < at->n_addresses; k++)
			if (!kept || !kept->n_addresses ||
			    strcmp(kept->addresses[0], at->addresses[k]))
				net_release(a, at->network->id, at->addresses[k]);
	}
}

int node_alloc(struct alloc *a, struct store_tx *tx, const Pb__Node *n, struct err *err)
{
	const struct store *s = store_tx_store(tx);
	const Pb__Network *ingress = alloc_ingress(s), *net;
	Pb__Node *copy = pb_clone(n);
	bool changed = drop_unused(a, s, copy);
	int rc = 0;

	if (copy->vxlan_udp_port != a->vxlan_port) {
		copy->vxlan_udp_port = a->vxlan_port;
		changed = true;
	}
	if (ingress && net_find(a, ingress->id))
		rc = attach(a, copy, ingress, &changed, err);
	for (struct store_iter it = store_all(s, STORE_NETWORK); !rc && (net = store_next(&it));) {
		const struct anet *an = net_find(a, net->id);

		if (an && an->overlay && net != ingress && presence_get(a, n->id, net->id))
			rc = attach(a, copy, net, &changed, err);
	}
	if (rc)
		release(a, copy, n);
	if (rc || !changed) {
		pb_free(copy);
		return rc;
	}
	return store_tx_update(tx, copy, err);
}

void node_changed(struct alloc *a, const Pb__Node *old, const Pb__Node *new)
{
	release(a, old, new);
	for (size_t i = 0; new &&i < new->n_attachments; i++)
		for (size_t k = 0;
		     new->attachments[i]->network &&k < new->attachments[i]->n_addresses; k++)
			net_hold(a, new->attachments[i]->network->id,
				 new->attachments[i]->addresses[k]);
}
