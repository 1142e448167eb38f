// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "alloc/alloc_impl.h"
#include "wire/pb.h"

bool alloc_task_is_dead(const Pb__Task *t)
{
	return t->desired_state > PB__TASK_STATE__RUNNING && t->status &&
	       t->status->state > PB__TASK_STATE__RUNNING;
}

static Pb__NetworkAttachment *attachment(const Pb__Network *n,
					 const Pb__NetworkAttachmentConfig *conf)
{
	Pb__NetworkAttachment *at = pb_new(pb__network_attachment);

	at->network = pb_clone(n);
	for (size_t i = 0; conf && i < conf->n_aliases; i++)
		pb_append_str(&at->n_aliases, &at->aliases, conf->aliases[i]);
	for (size_t i = 0; conf && i < conf->n_driver_attachment_opts; i++)
		pb_append(&at->n_driver_attachment_opts, &at->driver_attachment_opts,
			  pb_clone(conf->driver_attachment_opts[i]));
	return at;
}

/* Join the task to a network. */
static int join(struct alloc *a, Pb__Task *t, const Pb__Network *n,
		const Pb__NetworkAttachmentConfig *conf, struct err *err)
{
	const struct anet *net = net_find(a, n->id);
	Pb__NetworkAttachment *at;
	char addr[20];
	int rc = 0;

	for (size_t i = 0; i < t->n_networks; i++)
		if (!strcmp(t->networks[i]->network->id, n->id))
			return 0;
	if (!net)
		return err_set(err, -EAGAIN, "network %s is not allocated yet", store_name(n));
	at = attachment(n, conf);
	pb_append(&t->n_networks, &t->networks, at);
	if (!net->overlay)
		return 0;
	if (!conf || !conf->n_addresses) {
		rc = net_take(a, n, NULL, addr, err);
		if (!rc)
			pb_append_str(&at->n_addresses, &at->addresses, addr);
		return rc;
	}
	for (size_t i = 0; i < conf->n_addresses && !rc; i++) {
		rc = net_take(a, n, conf->addresses[i], addr, err);
		if (!rc)
			pb_append_str(&at->n_addresses, &at->addresses, addr);
	}
	return rc;
}

static void release_all(struct alloc *a, const Pb__Task *t)
{
	for (size_t i = 0; i < t->n_networks; i++)
		for (size_t k = 0; k < t->networks[i]->n_addresses; k++)
			net_release(a, t->networks[i]->network->id, t->networks[i]->addresses[k]);
}

/* spec: of the stored task, so that *ret_blocker lives on. */
static int join_all(struct alloc *a, const struct store *s, const Pb__Service *svc,
		    const Pb__TaskSpec *spec, Pb__Task *t, const char **ret_blocker,
		    struct err *err)
{
	Pb__NetworkAttachmentConfig *const *nets = spec->networks;
	size_t n = spec->n_networks;
	int rc;

	if (svc && alloc_needs_ingress(svc->spec)) {
		const Pb__Network *ingress = alloc_ingress(s);

		*ret_blocker = ingress ? ingress->id : svc->id;
		if (!ingress)
			return err_set(err, -EAGAIN, "the ingress network is not there");
		rc = join(a, t, ingress, NULL, err);
		if (rc)
			return rc;
	}
	if (!n && svc) {
		nets = svc->spec->networks;
		n = svc->spec->n_networks;
	}
	for (size_t i = 0; i < n; i++) {
		const Pb__Network *net = store_network(s, nets[i]->target);

		*ret_blocker = nets[i]->target;
		if (!net)
			return err_set(err, -EAGAIN, "network %s not found", nets[i]->target);
		rc = join(a, t, net, nets[i], err);
		if (rc)
			return rc;
	}
	return 0;
}

int task_alloc(struct alloc *a, struct store_tx *tx, const Pb__Task *t, const char **ret_blocker,
	       struct err *err)
{
	const struct store *s = store_tx_store(tx);
	const Pb__Service *svc = store_service(s, t->service_id);
	_cleanup_pb_ Pb__Task *copy = NULL;
	int rc;

	if (!str_empty(t->service_id)) {
		*ret_blocker = t->service_id;
		if (!svc)
			return err_set(err, -EAGAIN, "service %s not found", t->service_id);
		if (!service_is_allocated(a, s, svc))
			return err_set(err, -EAGAIN, "service %s waits for its addresses and ports",
				       store_name(svc));
	}
	copy = pb_clone(t);
	if (svc) {
		pb_free(copy->endpoint);
		copy->endpoint = pb_clone(svc->endpoint);
	}
	if (!copy->n_networks) {
		rc = join_all(a, s, svc, t->spec, copy, ret_blocker, err);
		if (rc) {
			release_all(a, copy);
			return rc;
		}
	}
	pb_need(&copy->status, pb__task_status);
	copy->status->state = PB__TASK_STATE__PENDING;
	pb_set_str(&copy->status->message, "pending task scheduling");
	pb_set_str(&copy->status->err, NULL);
	pb_set_timestamp(&copy->status->timestamp, store_tx_now_ns(tx));
	*ret_blocker = NULL;
	return store_tx_update(tx, steal_ptr(copy), err);
}

static bool holds(const Pb__Task *t)
{
	return t && t->n_networks && !alloc_task_is_dead(t);
}

static bool has_address(const Pb__Task *t, const char *network_id, const char *addr)
{
	for (size_t i = 0; i < t->n_networks; i++)
		if (!strcmp(t->networks[i]->network->id, network_id))
			for (size_t k = 0; k < t->networks[i]->n_addresses; k++)
				if (!strcmp(t->networks[i]->addresses[k], addr))
					return true;
	return false;
}

static void note_presence(struct alloc *a, const Pb__Task *t, bool add)
{
	if (!holds(t) || str_empty(t->node_id) || !t->status ||
	    t->status->state < PB__TASK_STATE__ASSIGNED)
		return;
	for (size_t i = 0; i < t->n_networks; i++) {
		if (!t->networks[i]->network || !t->networks[i]->n_addresses)
			continue;
		(add ? presence_add : presence_sub)(a, t->node_id, t->networks[i]->network->id);
	}
}

void task_changed(struct alloc *a, const Pb__Task *old, const Pb__Task *new)
{
	bool held = holds(old), keeps = holds(new);

	if (held)
		for (size_t i = 0; i < old->n_networks; i++) {
			const Pb__NetworkAttachment *at = old->networks[i];

			for (size_t k = 0; at->network && k < at->n_addresses; k++)
				if (!keeps || !has_address(new, at->network->id, at->addresses[k]))
					net_release(a, at->network->id, at->addresses[k]);
		}
	if (keeps && !held)
		for (size_t i = 0; i < new->n_networks; i++) {
			const Pb__NetworkAttachment *at = new->networks[i];

			for (size_t k = 0; at->network && k < at->n_addresses; k++)
				net_hold(a, at->network->id, at->addresses[k]);
		}
	note_presence(a, new, true);
	note_presence(a, old, false);
}
