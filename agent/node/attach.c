// SPDX-License-Identifier: Apache-2.0
#include "node/attach.h"

#include <errno.h>
#include <stdio.h>

#include "core/list.h"
#include "core/log.h"
#include "ctr/ctr.h"
#include "loop/loop.h"
#include "rpc/grpc.h"
#include "wire/pb.h"
#include "wire/resource.pb-c.h"

#define SERVICE "/docker.swarmkit.v1.ResourceAllocator/"

enum { TIMEOUT_MS = 20000, DETACH_TIMEOUT_MS = 10000 };

struct attachments {
	struct attachments_options opt;
	struct list_head all;
	struct ctr_watch watch;
};

struct attachment {
	struct list_head node;
	struct attachments *owner;
	char *container_id, *network, *network_id, *id, *ip4;
	struct grpc_stream *asking;
	struct timer timer;
	attached_fn done; /* while somebody waits */
	void *arg;
	bool ready;
};

static void attachment_free(struct attachment *m)
{
	list_del(&m->node);
	if (m->asking)
		grpc_stream_cancel(m->asking);
	timer_done(&m->timer);
	free(m->container_id);
	free(m->network);
	free(m->network_id);
	free(m->id);
	free(m->ip4);
	free(m);
}

/* --- giving back --- */

static void on_detached(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	(void)reply;
	(void)arg;
	if (status != GRPC_OK && status != GRPC_NOT_FOUND)
		log_warn("an attachment to a network was not given back: %s", text);
}

static void detach(struct attachments *a, const char *id)
{
	Pb__DetachNetworkRequest req = PB__DETACH_NETWORK_REQUEST__INIT;
	struct grpc_channel *ch = a->opt.channel(a->opt.arg);

	if (!ch)
		return; /* attachments_registered() does it */
	req.attachment_id = (char *)id;
	grpc_unary(ch, SERVICE "DetachNetwork", &req, &pb__detach_network_response__descriptor,
		   DETACH_TIMEOUT_MS, on_detached, a);
}

/* Tell who waits, and keep the attachment when it is well. */
static void finish(struct attachment *m, const struct err *err)
{
	attached_fn done = m->done;
	void *arg = m->arg;
	_cleanup_free_ char *ip4 = xstrdup(m->ip4);

	m->done = NULL;
	timer_cancel(&m->timer);
	if (err) {
		if (m->id)
			detach(m->owner, m->id);
		attachment_free(m);
	}
	if (done)
		done(err, ip4, arg);
}

static void fail(struct attachment *m, int code, const char *text)
{
	struct err err = ERR_INIT;

	err_set(&err, code, "Could not attach to network %s: %s", m->network, text);
	finish(m, &err);
}

/* --- asking --- */

static void on_attached(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	const Pb__AttachNetworkResponse *r = reply;
	struct attachment *m = arg;
	struct err why = ERR_INIT;

	m->asking = NULL;
	if (status != GRPC_OK) {
		fail(m, grpc_err(&why, status, "%s", text), why.msg);
		return;
	}
	/* the task may have been here first */
	if (!m->id)
		m->id = xstrdup(r->attachment_id);
	if (m->ready)
		finish(m, NULL);
}

static void on_timeout(void *arg)
{
	struct err err = ERR_INIT;

	err_set(&err, -ETIME,
		"attaching to network failed, make sure your network options are correct and check "
		"manager logs: "
		"context deadline exceeded");
	finish(arg, &err);
}

static void on_ready(void *arg)
{
	finish(arg, NULL);
}

static struct attachment *find(struct attachments *a, const char *container_id, const char *network)
{
	struct attachment *m;

	list_for_each (m, &a->all, node)
		if (!strcmp(m->container_id, container_id) &&
		    (streq(m->network, network) || streq(m->network_id, network)))
			return m;
	return NULL;
}

static struct attachment *attachment_new(struct attachments *a, const char *container_id,
					 const char *network)
{
	struct attachment *m = xcalloc(1, sizeof(*m));

	m->owner = a;
	m->container_id = xstrdup(container_id);
	m->network = xstrdup(network);
	list_add_tail(&m->node, &a->all);
	return m;
}

void attachments_add(struct attachments *a, const char *container_id, const char *network,
		     const char *ip4, attached_fn done, void *arg)
{
	Pb__AttachNetworkRequest req = PB__ATTACH_NETWORK_REQUEST__INIT;
	Pb__NetworkAttachmentConfig config = PB__NETWORK_ATTACHMENT_CONFIG__INIT;
	struct grpc_channel *ch = a->opt.channel(a->opt.arg);
	struct attachment *m = find(a, container_id, network);
	char *addresses[1] = {(char *)ip4};

	if (m && m->done)
		m = NULL; /* somebody waits for it already: a second start will fail by itself */
	if (!m)
		m = attachment_new(a, container_id, network);
	m->done = done;
	m->arg = arg;
	if (m->ready) {
		timer_init(&m->timer, a->opt.loop, on_ready, m);
		timer_set(&m->timer, 0);
		return;
	}
	timer_init(&m->timer, a->opt.loop, on_timeout, m);
	timer_set(&m->timer, ch ? TIMEOUT_MS : 0);
	if (!ch)
		return;
	config.target = (char *)network;
	if (!str_empty(ip4)) {
		config.n_addresses = 1;
		config.addresses = addresses;
	}
	req.config = &config;
	req.container_id = (char *)container_id;
	m->asking =
		grpc_unary(ch, SERVICE "AttachNetwork", &req,
			   &pb__attach_network_response__descriptor, TIMEOUT_MS, on_attached, m);
}

static void drop(struct attachment *m)
{
	if (m->done)
		return; /* its own end comes */
	if (m->id)
		detach(m->owner, m->id);
	attachment_free(m);
}

void attachments_del(struct attachments *a, const char *container_id, const char *network)
{
	struct attachment *m = find(a, container_id, network);

	if (m)
		drop(m);
}

/* --- what the worker says --- */

void attachments_task(struct attachments *a, const Pb__Task *task, bool ready)
{
	const Pb__NetworkAttachment *net = task->n_networks ? task->networks[0] : NULL;
	const char *ctr =
		task->spec && task->spec->attachment ? task->spec->attachment->container_id : "";
	const char *name = net && net->network
				   ? (net->network->spec && net->network->spec->annotations
					      ? net->network->spec->annotations->name
					      : "")
				   : "";
	struct attachment *m, *found = NULL;

	list_for_each (m, &a->all, node)
		if (streq(m->id, task->id))
			found = m;
	if (!found && net && net->network) {
		found = find(a, ctr, net->network->id);
		if (!found)
			found = find(a, ctr, name);
	}
	if (!ready) {
		if (found && !found->done)
			attachment_free(found);
		return;
	}
	if (!net || !net->network)
		return;
	if (!found)
		found = attachment_new(a, ctr, name); /* of a former agent */
	if (!found->id)
		found->id = xstrdup(task->id);
	if (!found->network_id)
		found->network_id = xstrdup(net->network->id);
	free(found->ip4);
	found->ip4 = net->n_addresses ? xstrndup(net->addresses[0], strcspn(net->addresses[0], "/"))
				      : NULL;
	found->ready = true;
	if (found->done && !found->asking)
		finish(found, NULL);
}

static void on_ctr(struct ctr *c, enum ctr_event ev, void *arg)
{
	struct attachments *a = arg;
	struct attachment *m, *tmp;

	if (ev != CTR_EV_REMOVED &&
	    (ev != CTR_EV_EXITED || ctr_status(c) == CTR_RESTARTING || ctr_running(c)))
		return;
	list_for_each_safe (m, tmp, &a->all, node)
		if (!strcmp(m->container_id, ctr_id(c)))
			drop(m);
}

void attachments_registered(struct attachments *a)
{
	struct attachment *m, *tmp;

	list_for_each_safe (m, tmp, &a->all, node) {
		struct ctr *c = ctr_find(a->opt.ctrs, m->container_id, NULL);

		if (!c || (!ctr_running(c) && ctr_status(c) != CTR_RESTARTING))
			drop(m);
	}
}

struct attachments *attachments_new(const struct attachments_options *opt)
{
	struct attachments *a = xcalloc(1, sizeof(*a));

	a->opt = *opt;
	list_init(&a->all);
	a->watch.fn = on_ctr;
	a->watch.arg = a;
	ctrs_watch(opt->ctrs, &a->watch);
	return a;
}

void attachments_free(struct attachments *a)
{
	if (!a)
		return;
	ctrs_unwatch(&a->watch);
	while (!list_empty(&a->all)) {
		struct attachment *m = list_first(&a->all, struct attachment, node);
		struct err err = ERR_INIT;

		err_set(&err, -ECANCELED, "this node leaves the swarm");
		free(steal_ptr(m->id)); /* a container that runs keeps it */
		finish(m, &err);
	}
	free(a);
}
