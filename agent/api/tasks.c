// SPDX-License-Identifier: Apache-2.0
/* /tasks */
#include <errno.h>

#include "api/conv.h"
#include "api/store_call.h"
#include "node/container.h"
#include "orch/orch.h"

static const char *const list_filters[] = {
	"_up-to-date", "desired-state", "id", "label", "name", "node", "runtime", "service", NULL};

struct query {
	struct filters *f;
	json_t *services, *nodes; /* sets of IDs, or NULL */
	bool up_to_date, want_up_to_date;
};

/* The filter's names or IDs as a set of IDs; NULL without the filter. */
static int resolve(struct store *s, const struct filters *f, const char *name, enum store_kind kind,
		   json_t **ret, struct err *err)
{
	const char *v;

	if (!filters_has(f, name))
		return 0;
	*ret = json_object();
	for (size_t i = 0; (v = filters_value(f, name, i)); i++) {
		const void *obj;
		int rc = store_find(s, kind, v, &obj, err);

		if (rc)
			return rc;
		json_object_set_new(*ret, store_id(obj), json_true());
	}
	return 0;
}

static int read_query(struct api_call *call, struct store *s, struct query *q, struct err *err)
{
	static const char *const states[] = {"running", "shutdown", "accepted"};
	const char *v;
	int rc = api_filters(call, list_filters, &q->f, err);

	if (rc)
		return rc;
	for (size_t i = 0; (v = filters_value(q->f, "desired-state", i)); i++) {
		bool known = false;

		for (size_t k = 0; k < ARRAY_SIZE(states); k++)
			known |= !strcmp(v, states[k]);
		if (!known)
			return err_set(err, -EINVAL, "invalid filter 'desired-state=%s'", v);
	}
	q->want_up_to_date = filters_has(q->f, "_up-to-date");
	rc = filters_bool(q->f, "_up-to-date", false, &q->up_to_date, err);
	if (!rc)
		rc = resolve(s, q->f, "service", STORE_SERVICE, &q->services, err);
	if (!rc)
		rc = resolve(s, q->f, "node", STORE_NODE, &q->nodes, err);
	return rc;
}

static bool up_to_date(struct store *s, const Pb__Task *t)
{
	const Pb__Service *svc = store_service(s, t->service_id);

	return !svc || !task_is_dirty(svc, t, store_node(s, t->node_id));
}

static bool desired_matches(const struct filters *f, Pb__TaskState d)
{
	if (!filters_has(f, "desired-state"))
		return true;
	if (d <= PB__TASK_STATE__RUNNING && d != PB__TASK_STATE__ACCEPTED &&
	    filters_match(f, "desired-state", "running"))
		return d == PB__TASK_STATE__RUNNING || d == PB__TASK_STATE__READY;
	if (d == PB__TASK_STATE__ACCEPTED)
		return filters_match(f, "desired-state", "accepted");
	return d >= PB__TASK_STATE__COMPLETE && filters_match(f, "desired-state", "shutdown");
}

static bool matches(struct store *s, const struct query *q, const Pb__Task *t)
{
	json_t *labels;
	bool ok;

	if (q->services && !json_object_get(q->services, t->service_id))
		return false;
	if (q->nodes && !json_object_get(q->nodes, t->node_id))
		return false;
	if (!desired_matches(q->f, t->desired_state) || !filters_match_prefix(q->f, "id", t->id))
		return false;
	if (filters_has(q->f, "name")) {
		_cleanup_free_ char *name = container_name(t);

		if (!filters_match_prefix(q->f, "name", name))
			return false;
	}
	if (!filters_match(q->f, "runtime",
			   t->spec && t->spec->runtime_case == PB__TASK_SPEC__RUNTIME_ATTACHMENT
				   ? "attachment"
				   : "container"))
		return false;
	if (q->want_up_to_date && up_to_date(s, t) != q->up_to_date)
		return false;
	if (!filters_has(q->f, "label"))
		return true;
	labels = json_write(&json_annotations, t->service_annotations);
	ok = filters_match_labels(q->f, "label", json_object_get(labels, "Labels"));
	json_decref(labels);
	return ok;
}

static void add_all(struct store *s, const struct query *q, struct store_iter i,
		    struct store_list *out)
{
	const Pb__Task *t;

	while ((t = store_next(&i)))
		if (matches(s, q, t))
			store_list_add(out, t);
}

static json_t *write_task(struct api_call *call, const void *task)
{
	(void)call;
	return conv_task(task);
}

static void list(struct api_call *call)
{
	struct store *s = store_call_store(call);
	struct query q = {0};
	struct err err = ERR_INIT;
	struct store_list *out;
	const char *id;
	json_t *v;
	int rc;

	if (!s)
		return;
	rc = read_query(call, s, &q, &err);
	out = store_list_new(call, write_task);
	if (!rc && q.services) {
		json_object_foreach (q.services, id, v)
			add_all(s, &q, store_tasks_of_service(s, id), out);
	} else if (!rc && q.nodes) {
		json_object_foreach (q.nodes, id, v)
			add_all(s, &q, store_tasks_of_node(s, id), out);
	} else if (!rc) {
		add_all(s, &q, store_all(s, STORE_TASK), out);
	}
	filters_free(q.f);
	json_decref(q.services);
	json_decref(q.nodes);
	if (rc) {
		store_list_free(out);
		api_reply_err(call, &err);
		return;
	}
	store_list_reply(out);
}

static void inspect(struct api_call *call)
{
	const Pb__Task *t = store_call_find(call, STORE_TASK);

	if (t)
		api_reply(call, 200, conv_task(t));
}

const struct api_route api_task_routes[] = {
	{"GET", "/tasks", list},
	{"GET", "/tasks/{id}", inspect},
	{0},
};
