// SPDX-License-Identifier: Apache-2.0
/* What nodes report of their tasks and volumes goes into the store, many at a time. */
#include <errno.h>

#include "core/log.h"
#include "manager/dispatcher_impl.h"
#include "wire/dispatcher.pb-c.h"
#include "wire/pb.h"

static void write_updates(struct dispatcher *d);

/* The statuses of one entry; they may be reported anew meanwhile. */
struct statuses {
	struct dispatcher *d;
	struct map of; /* task ID → Pb__TaskStatus */
};

static void clear(struct map *m)
{
	Pb__TaskStatus *status;
	const char *id;

	map_for_each (m, id, status)
		pb_free(status);
	map_done(m);
}

static int update_task(struct store_tx *tx, const struct dispatcher *d, const char *id,
		       const Pb__TaskStatus *status, struct err *err)
{
	const Pb__Task *old = store_task(store_tx_store(tx), id);
	Pb__Task *t;

	/* gone meanwhile, or told out of order */
	if (!old || (old->status && old->status->state > status->state))
		return 0;
	if (old->status) {
		Pb__TaskStatus a = *old->status, b = *status;

		a.applied_by = b.applied_by = (char *)protobuf_c_empty_string;
		a.applied_at = b.applied_at = NULL;
		if (pb_equal(&a, &b))
			return 0;
	}
	t = pb_clone(old);
	pb_free(t->status);
	t->status = pb_clone(status);
	pb_set_str(&t->status->applied_by, d->env.node_id);
	pb_set_timestamp(&t->status->applied_at, store_tx_now_ns(tx));
	return store_tx_update(tx, t, err);
}

static int build(struct store_tx *tx, void *arg, struct err *err)
{
	struct statuses *s = arg;
	Pb__TaskStatus *status;
	const char *id;
	int rc = 0;

	map_for_each (&s->of, id, status) {
		rc = update_task(tx, s->d, id, status, err);
		if (rc)
			break;
	}
	return rc;
}

static void on_written(const struct err *err, void *arg)
{
	struct statuses *s = arg;
	struct dispatcher *d = s->d;

	if (err && d->leads)
		log_warn("dispatcher: statuses of tasks were not written: %s", err->msg);
	clear(&s->of);
	free(s);
	d->updating = false;
	write_updates(d);
}

/* What is reported while an entry is being agreed on goes into the next one. */
static void write_updates(struct dispatcher *d)
{
	struct statuses *s;
	Pb__TaskStatus *status;
	const char *id;

	if (!d->leads || d->updating || !d->updates.len)
		return;
	s = xcalloc(1, sizeof(*s));
	s->d = d;
	map_for_each (&d->updates, id, status) {
		if (s->of.len == STORE_TX_MAX_CHANGES)
			break;
		map_put(&s->of, id, status);
		map_del(&d->updates, id);
	}
	d->updating = true;
	d->env.write(d->env.writer, build, on_written, s);
}

void status_clear(struct dispatcher *d)
{
	clear(&d->updates);
}

void status_update_tasks(struct grpc_call *call, const void *request, void *arg)
{
	Pb__UpdateTaskStatusResponse reply = PB__UPDATE_TASK_STATUS_RESPONSE__INIT;
	const Pb__UpdateTaskStatusRequest *req = request;
	struct dispatcher *d = arg;
	struct dnode *n = dispatcher_session(d, call, req->session_id);

	if (!n)
		return;
	for (size_t i = 0; i < req->n_updates; i++) {
		const Pb__Task *t = store_task(d->env.store, req->updates[i]->task_id);

		if (t && !streq(t->node_id, n->id)) {
			log_warn("dispatcher: node %s reports on task %s, which is not its own",
				 n->id, t->id);
			grpc_finish(call, GRPC_PERMISSION_DENIED,
				    "cannot update a task not assigned this node");
			return;
		}
	}
	for (size_t i = 0; i < req->n_updates; i++) {
		const Pb__TaskStatus *status = req->updates[i]->status;
		const Pb__TaskStatus *before;

		if (!status || !store_task(d->env.store, req->updates[i]->task_id))
			continue;
		before = map_get(&d->updates, req->updates[i]->task_id);
		if (before && before->state > status->state)
			continue;
		pb_free(map_put(&d->updates, req->updates[i]->task_id, pb_clone(status)));
	}
	grpc_reply(call, &reply);
	write_updates(d);
}

/* --- CSI volumes --- */

struct unpublished {
	struct grpc_call *call;
	char *node_id;
	size_t n;
	char **ids;
};

static int build_volumes(struct store_tx *tx, void *arg, struct err *err)
{
	struct unpublished *u = arg;
	int rc = 0;

	for (size_t i = 0; i < u->n && !rc; i++) {
		const Pb__Volume *old = store_volume(store_tx_store(tx), u->ids[i]);
		Pb__Volume *v;

		if (!old)
			continue;
		v = pb_clone(old);
		for (size_t j = 0; j < v->n_publish_status; j++)
			if (streq(v->publish_status[j]->node_id, u->node_id))
				v->publish_status[j]->state =
					PB__VOLUME_PUBLISH_STATUS__STATE__PENDING_UNPUBLISH;
		rc = store_tx_update(tx, v, err);
	}
	return rc;
}

static void on_volumes(const struct err *err, void *arg)
{
	Pb__UpdateVolumeStatusResponse reply = PB__UPDATE_VOLUME_STATUS_RESPONSE__INIT;
	struct unpublished *u = arg;

	if (err)
		grpc_fail(u->call, err);
	else
		grpc_reply(u->call, &reply);
	for (size_t i = 0; i < u->n; i++)
		free(u->ids[i]);
	free(u->ids);
	free(u->node_id);
	free(u);
}

void status_update_volumes(struct grpc_call *call, const void *request, void *arg)
{
	const Pb__UpdateVolumeStatusRequest *req = request;
	struct dispatcher *d = arg;
	struct dnode *n = dispatcher_session(d, call, req->session_id);
	struct unpublished *u;

	if (!n)
		return;
	u = xcalloc(1, sizeof(*u));
	u->call = call;
	u->node_id = xstrdup(n->id);
	for (size_t i = 0; i < req->n_updates; i++)
		if (req->updates[i]->unpublished)
			pb_append_str(&u->n, &u->ids, req->updates[i]->id);
	d->env.write(d->env.writer, build_volumes, on_volumes, u);
}
