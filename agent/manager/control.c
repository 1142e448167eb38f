// SPDX-License-Identifier: Apache-2.0
#include "manager/control.h"

#include <errno.h>

#include "loop/loop.h"
#include "manager/control_impl.h"
#include "manager/writer.h"

enum {
	TIMEOUT_MS = 20000, /* moby daemon/cluster: swarmRequestTimeout */
	NEXT_LEADER_MS = 3000,
	AGAIN_MS = 50,
};

static const struct control_method *const tables[] = {
	control_read_methods,	 control_service_methods, control_node_methods,
	control_network_methods, control_file_methods,	  control_cluster_methods,
	control_object_methods,
};

/* What a method's callback is given. */
struct control_bound {
	struct control *control;
	const struct control_method *method;
};

const struct control_method *control_method_next(const struct control_method *m)
{
	if (!m)
		return tables[0];
	if (m[1].path)
		return m + 1;
	for (size_t i = 0; i + 1 < ARRAY_SIZE(tables); i++)
		for (const struct control_method *k = tables[i]; k->path; k++)
			if (k == m)
				return tables[i + 1];
	return NULL;
}

static const struct control_method *find_method(const char *name)
{
	for (const struct control_method *m = NULL; (m = control_method_next(m));)
		if (!strcmp(control_method_name(m), name))
			return m;
	return NULL;
}

/* --- for the methods --- */

struct store *control_store(const struct control_job *job)
{
	return job->control->env.store;
}

int control_no_argument(struct err *err)
{
	return grpc_err(err, GRPC_INVALID_ARGUMENT, "invalid argument");
}

int control_find(const struct control_job *job, const char *id, const void **ret, struct err *err)
{
	enum store_kind kind = job->method->kind;
	const char *name = store_kind_name(kind);

	if (str_empty(id))
		return kind == STORE_SECRET || kind == STORE_CONFIG
			       ? grpc_err(err, GRPC_INVALID_ARGUMENT, "%s ID must be provided",
					  name)
			       : control_no_argument(err);
	*ret = store_get(control_store(job), kind, id);
	return *ret ? 0 : grpc_err(err, GRPC_NOT_FOUND, "%s %s not found", name, id);
}

int control_find_version(const struct control_job *job, const char *id, const Pb__Version *version,
			 const void **ret, struct err *err)
{
	int rc;

	if (!version)
		return control_no_argument(err);
	rc = control_find(job, id, ret, err);
	if (!rc && store_version(*ret) != version->index)
		rc = grpc_err(err, GRPC_UNKNOWN, "update out of sequence");
	return rc;
}

/* Every object begins as this one. */
int control_stage(struct control_job *job, struct store_tx *tx, void *obj, struct err *err)
{
	bool is_new = str_empty(store_id(obj));
	_cleanup_free_ char *id = NULL;
	char new_id[ID_SIZE];
	int rc;

	if (is_new) {
		id_new(job->control->env.rng, new_id);
		pb_set_str(&((Pb__Service *)obj)->id, new_id);
	}
	id = xstrdup(store_id(obj));
	rc = is_new ? store_tx_create(tx, obj, err) : store_tx_update(tx, obj, err);
	if (!rc)
		control_show(job, id);
	return rc;
}

int control_remove(struct control_job *job, struct store_tx *tx, struct err *err)
{
	const Pb__ObjectRequest *r = job->request;
	const void *obj;
	int rc = control_find(job, r->id, &obj, err);

	return rc ? rc : store_tx_remove(tx, job->method->kind, r->id, err);
}

/* --- performing them --- */

static void job_free(struct control_job *job)
{
	timer_done(&job->again);
	list_del(&job->node);
	pb_free(job->request);
	pb_free(job->reply);
	pb_free(job->asked);
	free(job);
}

static void finish(void *arg)
{
	struct control_job *job = arg;

	job->done(job->err.code ? &job->err : NULL, job->err.code ? NULL : job->reply, job->arg);
	job_free(job);
}

static int build(struct store_tx *tx, void *arg, struct err *err)
{
	struct control_job *job = arg;

	return job->method->write(job, tx, err);
}

static bool again(struct control_job *job);

static void on_written(const struct err *err, void *arg)
{
	struct control_job *job = arg;

	if (err)
		job->err = *err;
	if (!again(job))
		finish(job);
}

/* Whether it is over: finish() is due. */
static bool perform(struct control_job *job)
{
	const struct control_method *m = job->method;
	struct leader_env *env = &job->control->env;
	int rc = m->check ? m->check(job->request, &job->err) : 0;

	job->reply = pb_new_desc(m->reply);
	if (!rc && m->read)
		rc = m->read(job, &job->err);
	if (!rc && m->write)
		env->write_sure(env->writer, build, on_written, job);
	return rc || m->read;
}

static struct control_job *job_new(struct control *c, const struct control_method *m,
				   control_done done, void *arg)
{
	struct control_job *job = xcalloc(1, sizeof(*job));

	job->control = c;
	job->method = m;
	job->done = done;
	job->arg = arg;
	list_init(&job->node);
	return job;
}

/* --- at the leader --- */

/*
 * A leader that changes is not the client's affair: what has no leader to ask waits for the next
 * one, and what a former one surely did not do is asked of it (as SwarmKit's raftproxy does).
 */
static bool again(struct control_job *job)
{
	bool lost = job->err.code == -EAGAIN && streq(job->err.msg, writer_lost);
	bool leaderless = job->err.code == -EHOSTUNREACH && streq(job->err.msg, swarm_no_leader);

	if (lost)
		job->until_ms = loop_now_ms() + NEXT_LEADER_MS;
	if (!job->asked || !(lost || leaderless) || loop_now_ms() >= job->until_ms)
		return false;
	timer_set(&job->again, AGAIN_MS);
	return true;
}

static void on_reply(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	struct control_job *job = arg;

	if (status == GRPC_UNAVAILABLE && streq(text, writer_lost))
		err_set(&job->err, -EAGAIN, "%s", writer_lost);
	else if (starts_with(text, GRPC_SAYS_NOT_SENT) || streq(text, GRPC_SAYS_NO_LEADER))
		err_set(&job->err, -EHOSTUNREACH, "%s", swarm_no_leader);
	else if (status == GRPC_UNAVAILABLE || status == GRPC_CANCELLED || status == GRPC_ABORTED)
		err_set(&job->err, -EHOSTUNREACH, "the leader of the swarm does not answer: %s",
			str_empty(text) ? grpc_status_name(status) : text);
	else if (status != GRPC_OK)
		grpc_err(&job->err, status, "%s", text);
	if (again(job))
		return;
	job->done(status == GRPC_OK ? NULL : &job->err, reply, job->arg);
	job_free(job);
}

/* Ask whoever leads now. A method may change its request: each time it gets a new one. */
static void ask(void *arg)
{
	struct control_job *job = arg;
	struct control *c = job->control;
	struct grpc_channel *leader = NULL;

	job->err = (struct err)ERR_INIT;
	if (c->manager.leader(&leader, c->manager.arg)) {
		err_set(&job->err, -EHOSTUNREACH, "%s", swarm_no_leader);
		if (!again(job))
			loop_defer(c->env.loop, finish, job);
	} else if (leader) {
		grpc_unary(leader, job->method->path, job->asked, job->method->reply, TIMEOUT_MS,
			   on_reply, job);
	} else {
		pb_free(job->request);
		pb_free(steal_ptr(job->reply));
		job->request = pb_clone(job->asked);
		if (perform(job))
			loop_defer(c->env.loop, finish, job);
	}
}

void control_call(struct control *c, const char *method, void *request, control_done done,
		  void *arg)
{
	const struct control_method *m = find_method(method);
	struct control_job *job;

	assert(m && ((ProtobufCMessage *)request)->descriptor == m->request);
	job = job_new(c, m, done, arg);
	job->asked = request;
	job->until_ms = loop_now_ms() + NEXT_LEADER_MS;
	timer_init(&job->again, c->env.loop, ask, job);
	list_add_tail(&job->node, &c->asked);
	ask(job);
}

/* --- for other managers --- */

static void on_done(const struct err *err, const void *reply, void *arg)
{
	struct grpc_call *call = arg;

	if (err)
		grpc_fail(call, err);
	else
		grpc_reply(call, reply);
}

static void on_call(struct grpc_call *call, const void *request, void *arg)
{
	struct control_bound *b = arg;
	struct control_job *job = job_new(b->control, b->method, on_done, call);

	job->request = pb_clone(request);
	if (perform(job))
		finish(job);
}

struct control *control_new(const struct leader_env *env, const struct control_manager *manager)
{
	struct control *c = xcalloc(1, sizeof(*c));
	size_t n = 0;

	c->env = *env;
	c->manager = *manager;
	list_init(&c->asked);
	for (const struct control_method *m = NULL; (m = control_method_next(m));)
		n++;
	c->grpc = xcalloc(n, sizeof(*c->grpc));
	c->bound = xcalloc(n, sizeof(*c->bound));
	n = 0;
	for (const struct control_method *m = NULL; (m = control_method_next(m)); n++) {
		c->bound[n] = (struct control_bound){c, m};
		c->grpc[n] = (struct grpc_method){
			.path = m->path,
			.kind = GRPC_UNARY,
			.request = m->request,
			.roles = GRPC_MANAGER,
			.to_leader = m->write ? GRPC_OUTLIVES : true,
			.fn = on_call,
		};
		grpc_server_add(env->server, &c->grpc[n], 1, &c->bound[n]);
	}
	return c;
}

void control_free(struct control *c)
{
	struct control_job *job, *tmp;

	if (!c)
		return;
	/* those that wait for a leader; the others' end is on its way */
	list_for_each_safe (job, tmp, &c->asked, node) {
		list_del(&job->node);
		if (timer_pending(&job->again))
			finish(job);
	}
	free(c->grpc);
	free(c->bound);
	free(c);
}
