// SPDX-License-Identifier: Apache-2.0
/*
 * The service ResourceAllocator: a plain container on an attachable network of the swarm is a task
 * of the runtime "attachment" on its node. Source: swarmkit manager/resourceapi/allocator.go.
 */
#include <errno.h>

#include "core/rng.h"
#include "manager/dispatcher_impl.h"
#include "wire/pb.h"
#include "wire/resource.pb-c.h"

#define SERVICE "/docker.swarmkit.v1.ResourceAllocator/"

struct attach {
	struct dispatcher *d;
	struct grpc_call *call;
	char *node_id, *container_id;
	Pb__NetworkAttachmentConfig *config; /* NULL: detach */
	char *id; /* of the attachment */
};

static int build_attach(struct store_tx *tx, void *arg, struct err *err)
{
	struct attach *a = arg;
	struct store *s = store_tx_store(tx);
	const Pb__Network *net = store_network(s, a->config->target);
	Pb__NetworkAttachmentConfig *config;
	Pb__Task *t;
	char id[ID_SIZE];

	if (!net)
		net = store_find_name(s, STORE_NETWORK, a->config->target);
	if (!net)
		return err_set(err, -ENOENT, "network %s not found", a->config->target);
	if (!net->spec || !net->spec->attachable)
		return err_set(err, -EPERM, "network %s not manually attachable",
			       a->config->target);
	id_new(a->d->env.rng, id);
	free(a->id);
	a->id = xstrdup(id);
	t = pb_new(pb__task);
	pb_set_str(&t->id, id);
	pb_set_str(&t->node_id, a->node_id);
	t->annotations = pb_new(pb__annotations);
	t->service_annotations = pb_new(pb__annotations);
	t->spec = pb_new(pb__task_spec);
	t->spec->runtime_case = PB__TASK_SPEC__RUNTIME_ATTACHMENT;
	t->spec->attachment = pb_new(pb__network_attachment_spec);
	pb_set_str(&t->spec->attachment->container_id, a->container_id);
	config = pb_clone(a->config);
	pb_set_str(&config->target, net->id);
	pb_append(&t->spec->n_networks, &t->spec->networks, config);
	t->status = pb_new(pb__task_status);
	t->status->state = PB__TASK_STATE__NEW;
	pb_set_timestamp(&t->status->timestamp, store_tx_now_ns(tx));
	pb_set_str(&t->status->message, "created");
	t->desired_state = PB__TASK_STATE__RUNNING;
	return store_tx_create(tx, t, err);
}

static int build_detach(struct store_tx *tx, void *arg, struct err *err)
{
	struct attach *a = arg;
	const Pb__Task *t = store_task(store_tx_store(tx), a->id);

	if (!t || !t->spec || t->spec->runtime_case != PB__TASK_SPEC__RUNTIME_ATTACHMENT)
		return err_set(err, -ENOENT, "attachment %s not found", a->id);
	if (!streq(t->node_id, a->node_id))
		return err_set(err, -EPERM, "attachment %s doesn't belong to this node", a->id);
	return store_tx_remove(tx, STORE_TASK, a->id, err);
}

static void on_done(const struct err *err, void *arg)
{
	Pb__AttachNetworkResponse attached = PB__ATTACH_NETWORK_RESPONSE__INIT;
	Pb__DetachNetworkResponse detached = PB__DETACH_NETWORK_RESPONSE__INIT;
	struct attach *a = arg;

	attached.attachment_id = a->id;
	if (err)
		grpc_fail(a->call, err);
	else if (a->config)
		grpc_reply(a->call, &attached);
	else
		grpc_reply(a->call, &detached);
	pb_free(a->config);
	free(a->node_id);
	free(a->container_id);
	free(a->id);
	free(a);
}

static struct attach *attach_new(struct dispatcher *d, struct grpc_call *call)
{
	struct attach *a = xcalloc(1, sizeof(*a));

	a->d = d;
	a->call = call;
	a->node_id = xstrdup(grpc_call_peer(call)->node_id);
	return a;
}

static void attach(struct grpc_call *call, const void *request, void *arg)
{
	const Pb__AttachNetworkRequest *req = request;
	struct dispatcher *d = arg;
	struct attach *a;

	if (!dispatcher_leads(d, call))
		return;
	if (!req->config || str_empty(req->config->target)) {
		grpc_finish(call, GRPC_INVALID_ARGUMENT, "the network to attach to is missing");
		return;
	}
	a = attach_new(d, call);
	a->container_id = xstrdup(req->container_id);
	a->config = pb_clone(req->config);
	d->env.write(d->env.writer, build_attach, on_done, a);
}

static void detach(struct grpc_call *call, const void *request, void *arg)
{
	const Pb__DetachNetworkRequest *req = request;
	struct dispatcher *d = arg;
	struct attach *a;

	if (!dispatcher_leads(d, call))
		return;
	if (str_empty(req->attachment_id)) {
		grpc_finish(call, GRPC_INVALID_ARGUMENT, "the attachment's ID is missing");
		return;
	}
	a = attach_new(d, call);
	a->id = xstrdup(req->attachment_id);
	d->env.write(d->env.writer, build_detach, on_done, a);
}

static const struct grpc_method methods[] = {
	{
		.path = SERVICE "AttachNetwork",
		.request = &pb__attach_network_request__descriptor,
		.roles = GRPC_WORKER | GRPC_MANAGER,
		.to_leader = true,
		.fn = attach,
	},
	{
		.path = SERVICE "DetachNetwork",
		.request = &pb__detach_network_request__descriptor,
		.roles = GRPC_WORKER | GRPC_MANAGER,
		.to_leader = true,
		.fn = detach,
	},
};

void attach_init(struct dispatcher *d)
{
	grpc_server_add(d->env.server, methods, ARRAY_SIZE(methods), d);
}
