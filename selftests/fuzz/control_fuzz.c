// SPDX-License-Identifier: Apache-2.0
/*
 * Calls of the service Control by another manager, which may be anything: a byte for the method, two
 * for the request's size, the request; and so on. What comes of them goes through the leader's
 * components and is shown as the API shows it.
 */
#include "api/conv.h"
#include "manager/components.h"
#include "manager/control_impl.h"
#include "node/container.h"
#include "manager/test_env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CALLS_MAX = 16, REPLICAS_MAX = 20 };

static struct store *store;
static struct rng rng;
static struct loop *loop;
static uint64_t version, now_ms;
static void *components[16];

static const struct control_method *method_of(uint8_t n)
{
	const struct control_method *m = control_method_next(NULL);

	for (; n; n--) {
		m = control_method_next(m);
		if (!m)
			m = control_method_next(NULL);
	}
	return m;
}

static void on_event(const struct store_event *ev, void *arg)
{
	(void)arg;
	for (size_t i = 0; i < n_leader_components; i++)
		leader_components[i]->event(components[i], ev, now_ms);
}

/* As the writer does. */
static void write_now(void *writer, swarm_build build, swarm_done done, void *arg)
{
	struct store_tx *tx = store_tx_begin(store, ++version, 1700000000000000000 + now_ms);
	struct err err = ERR_INIT;
	size_t mark = store_tx_mark(tx);
	int rc = build ? build(tx, arg, &err) : 0;

	(void)writer;
	assert(!rc == !err.code);
	if (rc)
		store_tx_rollback(tx, mark);
	for (size_t i = 0; i < n_leader_components && !store_tx_full(tx); i++)
		leader_components[i]->run(components[i], tx, now_ms);
	store_tx_seal(tx);
	store_tx_commit(tx);
	if (done)
		done(rc ? &err : NULL, arg);
}

static int no_leader(struct grpc_channel **ret, void *arg)
{
	(void)arg;
	*ret = NULL;
	return 0;
}

static bool member(const char *node_id, struct swarm_member *ret, void *arg)
{
	(void)arg;
	*ret = (struct swarm_member){1, "10.0.0.1:2377", true, true};
	return streq(node_id, "m1");
}

static void show_all(void)
{
	const struct container_context ctx = {
		.node_hostname = "m1", .node_os = "linux", .node_arch = "x86_64"};
	const void *obj;

	for (struct store_iter i = store_all(store, STORE_SERVICE); (obj = store_next(&i));)
		json_decref(conv_service(obj, true));
	for (struct store_iter i = store_all(store, STORE_NODE); (obj = store_next(&i));)
		json_decref(conv_node(obj));
	for (struct store_iter i = store_all(store, STORE_NETWORK); (obj = store_next(&i));)
		json_decref(conv_network(obj, 156));
	for (struct store_iter i = store_all(store, STORE_SECRET); (obj = store_next(&i));)
		json_decref(conv_secret(obj));
	for (struct store_iter i = store_all(store, STORE_CONFIG); (obj = store_next(&i));)
		json_decref(conv_config(obj));
	json_decref(conv_cluster(store_cluster(store), true));
	for (struct store_iter i = store_all(store, STORE_TASK); (obj = store_next(&i));) {
		json_t *body = NULL;

		json_decref(conv_task(obj));
		if (!container_body(obj, &ctx, &body, NULL))
			json_decref(body);
	}
}

static void on_done(const struct err *err, const void *reply, void *arg)
{
	const char *text;

	assert(!err != !reply);
	if (err)
		assert(grpc_err_status(err, &text) != GRPC_OK && *text);
	*(bool *)arg = true;
	loop_stop(loop);
}

/* What is there to refer to: a swarm of one node, as IDs that a fuzzer can write. */
static int first_objects(struct store_tx *tx, void *arg, struct err *err)
{
	struct bootstrap *b = arg;
	Pb__Node *n;
	int rc = bootstrap_build(tx, b, err);

	assert(!rc);
	n = pb_clone(store_node(store, "m1"));
	pb_need(&n->status, pb__node_status)->state = PB__NODE_STATUS__STATE__READY;
	pb_need(&n->description, pb__node_description);
	pb_need(&n->description->resources, pb__resources)->nano_cpus = 4000000000;
	n->description->resources->memory_bytes = 1LL << 32;
	return store_tx_update(tx, n, err);
}

static void many_become_few(void *request)
{
	const ProtobufCMessage *m = request;
	Pb__ServiceSpec *s = NULL;

	if (m->descriptor == &pb__create_service_request__descriptor)
		s = ((Pb__CreateServiceRequest *)request)->spec;
	if (m->descriptor == &pb__update_service_request__descriptor)
		s = ((Pb__UpdateServiceRequest *)request)->spec;
	if (s && s->mode_case == PB__SERVICE_SPEC__MODE_REPLICATED)
		s->replicated->replicas %= REPLICAS_MAX;
	if (s && s->mode_case == PB__SERVICE_SPEC__MODE_REPLICATED_JOB) {
		s->replicated_job->max_concurrent %= REPLICAS_MAX;
		s->replicated_job->total_completions %= REPLICAS_MAX;
	}
}

/* The ID "ID" is that of the first object of the method's kind, the version 0 its version. */
static void find_object(const struct control_method *m, void *request)
{
	const ProtobufCFieldDescriptor *id = protobuf_c_message_descriptor_get_field_by_name(
					       m->request, "id"),
				       *v = protobuf_c_message_descriptor_get_field_by_name(
					       m->request, "version");
	struct store_iter i = store_all(store, m->kind);
	const void *obj = store_next(&i);
	Pb__Version **version_field;

	if (!id || !obj || strcmp(*(char **)((char *)request + id->offset), "ID"))
		return;
	pb_set_str((char **)((char *)request + id->offset), store_id(obj));
	version_field = v ? (void *)((char *)request + v->offset) : NULL;
	if (version_field && *version_field && !(*version_field)->index)
		(*version_field)->index = store_version(obj);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char *root, *key;
	struct bootstrap b = {.rng = &rng,
			      .cluster_id = "cluster",
			      .root_digest = "",
			      .node_id = "m1",
			      .worker_token = "SWMTKN-1-w",
			      .manager_token = "SWMTKN-1-m"};
	struct store_watch watch = {.fn = on_event};
	struct control_manager manager = {no_leader, member, NULL};
	struct control control = {.manager = manager};

	if (!loop)
		assert(!loop_new(1, &loop, NULL) && !ca_root_new(&root, &key, NULL));
	rng_seed(&rng, 1);
	version = now_ms = 0;
	store = store_new();
	b.root_cert = root;
	b.root_key = key;
	control.env = (struct leader_env){.loop = loop,
					  .rng = &rng,
					  .store = store,
					  .write = write_now,
					  .write_sure = write_now,
					  .node_id = "m1"};
	for (size_t i = 0; i < n_leader_components; i++)
		components[i] = leader_components[i]->open(store, &rng);
	list_init(&control.asked);
	list_init(&watch.node);
	store_watch(store, &watch);
	write_now(NULL, first_objects, NULL, &b);
	for (int i = 0; i < CALLS_MAX && size >= 3; i++) {
		const struct control_method *m = method_of(data[0]);
		size_t len = min((size_t)(data[1] | data[2] << 8), size - 3);
		void *request = pb_unpack_desc(m->request, data + 3, len);
		bool done = false;

		if (request) {
			many_become_few(request);
			find_object(m, request);
			control_call(&control, control_method_name(m), request, on_done, &done);
			if (!done)
				loop_run(loop); /* it was deferred */
			now_ms += 1000;
			write_now(NULL, NULL, NULL, NULL);
		}
		data += 3 + len;
		size -= 3 + len;
	}
	show_all();
	store_unwatch(&watch);
	for (size_t i = 0; i < n_leader_components; i++)
		leader_components[i]->close(components[i]);
	store_free(store);
	return 0;
}
