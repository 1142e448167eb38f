// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include <errno.h>

#include "manager/control_impl.h"
#include "manager/test_env.h"

/* The leader m1 with a server, and m2, which follows it. */
FIXTURE(global)
{
	struct test_env e;
	struct control *leader, *follower;
	struct grpc_server *follower_server;
	struct tls *tls; /* m2's */
	struct grpc_channel *channel; /* m2's to m1; NULL: it knows no leader */
};

static int leads(struct grpc_channel **ret, void *arg)
{
	*ret = NULL;
	return 0;
}

static int follows(struct grpc_channel **ret, void *arg)
{
	*ret = *(struct grpc_channel **)arg;
	return *ret ? 0 : -EHOSTUNREACH;
}

static bool member(const char *node_id, struct swarm_member *ret, void *arg)
{
	*ret = (struct swarm_member){7, "10.0.0.1:2377", true, true};
	return !strcmp(node_id, "m1");
}

FIXTURE_SETUP(global)
{
	struct grpc_server_options opt = {.cluster_id = "cluster"};
	struct leader_env env;

	test_env_open(&self->e);
	self->leader = control_new(&self->e.env, &(struct control_manager){leads, member, NULL});
	self->tls = test_tls(&self->e, "m2", CA_MANAGER);
	self->channel = test_channel(&self->e, self->tls);
	opt.loop = self->e.loop;
	opt.tls = self->tls;
	self->follower_server = grpc_server_new(&opt);
	env = self->e.env;
	env.server = self->follower_server;
	env.store = NULL;
	self->follower =
		control_new(&env, &(struct control_manager){follows, member, &self->channel});
}

FIXTURE_TEARDOWN(global)
{
	grpc_channel_free(self->channel);
	grpc_server_free(self->follower_server);
	tls_put(self->tls);
	test_env_close(&self->e);
	control_free(self->leader);
	control_free(self->follower);
}

struct answer {
	bool done;
	struct err err;
	void *reply;
};

static void on_done(const struct err *err, const void *reply, void *arg)
{
	struct answer *a = arg;

	a->done = true;
	a->err = err ? *err : (struct err)ERR_INIT;
	a->reply = pb_clone(reply);
}

/* The reply, to be freed; NULL and *err. */
static void *call(struct test_env *e, struct control *c, const char *method, void *request,
		  struct err *err)
{
	struct answer a = {0};

	control_call(c, method, request, on_done, &a);
	assert(!a.done || !e->timed_out);
	test_wait(e, a.done);
	*err = a.err;
	return a.reply;
}

#define CALL(c, method, request) call(&self->e, c, method, request, &err)

static Pb__CreateServiceRequest *service(const char *name, uint64_t replicas)
{
	Pb__CreateServiceRequest *r = pb_new(pb__create_service_request);
	Pb__ServiceSpec *s = r->spec = pb_new(pb__service_spec);

	s->annotations = pb_new(pb__annotations);
	pb_set_str(&s->annotations->name, name);
	pb_set_label(&s->annotations->n_labels, &s->annotations->labels, "for", name);
	s->task = pb_new(pb__task_spec);
	s->task->runtime_case = PB__TASK_SPEC__RUNTIME_CONTAINER;
	s->task->container = pb_new(pb__container_spec);
	pb_set_str(&s->task->container->image, "alpine");
	s->mode_case = PB__SERVICE_SPEC__MODE_REPLICATED;
	s->replicated = pb_new(pb__replicated_service);
	s->replicated->replicas = replicas;
	return r;
}

static Pb__ObjectRequest *by_id(const char *id)
{
	Pb__ObjectRequest *r = pb_new(pb__object_request);

	pb_set_str(&r->id, id);
	return r;
}

/* --- a change and what reads it, at the leader and through a follower --- */

static void services(struct __test_metadata *_metadata, FIXTURE_DATA(global) * self,
		     struct control *c)
{
	_cleanup_pb_ Pb__ServiceReply *made = NULL, *got = NULL, *changed = NULL;
	Pb__UpdateServiceRequest *up = pb_new(pb__update_service_request);
	Pb__CreateServiceRequest *spec = service("web", 5);
	_cleanup_pb_ void *nothing = NULL;
	struct err err;

	made = CALL(c, "CreateService", service("web", 3));
	ASSERT_NE(NULL, made) TH_LOG("%s", err.msg);
	EXPECT_NE(NULL, store_service(self->e.store, made->service->id));
	EXPECT_EQ(NULL, CALL(c, "CreateService", service("web", 3)));
	EXPECT_EQ(-EEXIST, err.code);
	EXPECT_STREQ("rpc error: code = AlreadyExists desc = name conflicts with an existing "
		     "object: service web already exists",
		     err.msg);
	EXPECT_EQ(NULL, CALL(c, "CreateService", service("not a name", 3)));
	EXPECT_EQ(-EINVAL, err.code);

	pb_set_str(&up->id, made->service->id);
	up->version = pb_clone(made->service->meta->version);
	up->spec = steal_ptr(spec->spec);
	pb_free(spec);
	changed = CALL(c, "UpdateService", pb_clone(up));
	ASSERT_NE(NULL, changed) TH_LOG("%s", err.msg);
	EXPECT_EQ(5, changed->service->spec->replicated->replicas);
	EXPECT_EQ(NULL, CALL(c, "UpdateService", up));
	EXPECT_STREQ("rpc error: code = Unknown desc = update out of sequence", err.msg);

	got = CALL(c, "GetService", by_id(made->service->id));
	ASSERT_NE(NULL, got);
	EXPECT_TRUE(pb_equal(changed->service, got->service));
	EXPECT_EQ(NULL, CALL(c, "GetService", by_id("none")));
	EXPECT_EQ(-ENOENT, err.code);
	EXPECT_EQ(NULL, CALL(c, "GetService", by_id("")));
	EXPECT_EQ(-EINVAL, err.code);
	nothing = CALL(c, "RemoveService", by_id(made->service->id));
	EXPECT_NE(NULL, nothing);
	EXPECT_EQ(NULL, store_service(self->e.store, made->service->id));
}

TEST_F(global, services_at_the_leader)
{
	services(_metadata, self, self->leader);
}

TEST_F(global, services_through_a_follower)
{
	services(_metadata, self, self->follower);
}

/* --- who may call, and when nobody can --- */

static void on_reply(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	*(int *)arg = status;
}

TEST_F(global, workers_may_not)
{
	struct tls *tls = test_tls(&self->e, "w1", CA_WORKER);
	struct grpc_channel *ch = test_channel(&self->e, tls);
	Pb__ListNodesRequest r = PB__LIST_NODES_REQUEST__INIT;
	int status = -1;

	grpc_unary(ch, CONTROL_PATH("ListNodes"), &r, &pb__nodes_reply__descriptor, 0, on_reply,
		   &status);
	test_wait(&self->e, status >= 0);
	EXPECT_EQ(GRPC_PERMISSION_DENIED, status);
	grpc_channel_free(ch);
	tls_put(tls);
}

TEST_F(global, no_leader)
{
	struct answer a = {0};
	struct err err;

	control_call(self->follower, "GetNode", by_id("m1"), on_done, &a);
	EXPECT_FALSE(a.done);
	grpc_channel_free(steal_ptr(self->channel)); /* it went, and no other comes */
	test_wait(&self->e, a.done);
	EXPECT_EQ(-EHOSTUNREACH, a.err.code);
	EXPECT_EQ(NULL, CALL(self->follower, "GetNode", by_id("m1")));
	EXPECT_EQ(-EHOSTUNREACH, err.code);
}

/* --- what is shown --- */

TEST_F(global, keys_stay)
{
	Pb__CreateSecretRequest *r = pb_new(pb__create_secret_request);
	_cleanup_pb_ Pb__ClusterReply *c = NULL;
	_cleanup_pb_ Pb__SecretReply *made = NULL;
	_cleanup_pb_ Pb__SecretsReply *all = NULL;
	struct err err;

	ASSERT_LT(0, store_cluster(self->e.store)->root_ca->ca_key.len);
	c = CALL(self->leader, "GetCluster", by_id("cluster"));
	ASSERT_NE(NULL, c);
	EXPECT_EQ(0, c->cluster->root_ca->ca_key.len);
	EXPECT_EQ(0, c->cluster->n_unlock_keys + c->cluster->n_network_bootstrap_keys);
	EXPECT_STREQ(self->e.worker_token, c->cluster->root_ca->join_tokens->worker);
	r->spec = pb_new(pb__secret_spec);
	r->spec->annotations = pb_new(pb__annotations);
	pb_set_str(&r->spec->annotations->name, "s");
	pb_set_bytes(&r->spec->data, "hidden", 6);
	made = CALL(self->leader, "CreateSecret", r);
	ASSERT_NE(NULL, made) TH_LOG("%s", err.msg);
	EXPECT_EQ(0, made->secret->spec->data.len);
	EXPECT_EQ(6, store_secret(self->e.store, made->secret->id)->spec->data.len);
	all = CALL(self->leader, "ListSecrets", pb_new(pb__list_request));
	ASSERT_NE(NULL, all);
	ASSERT_EQ(1, all->n_secrets);
	EXPECT_EQ(0, all->secrets[0]->spec->data.len);
}

TEST_F(global, managers_are_raft_s)
{
	_cleanup_pb_ Pb__NodeReply *n = NULL;
	struct err err;

	n = CALL(self->follower, "GetNode", by_id("m1"));
	ASSERT_NE(NULL, n);
	ASSERT_NE(NULL, n->node->manager_status);
	EXPECT_TRUE(n->node->manager_status->leader);
	EXPECT_EQ(7, n->node->manager_status->raft_id);
}

/* --- filters --- */

static Pb__ListRequest *filter(void)
{
	Pb__ListRequest *r = pb_new(pb__list_request);

	r->filters = pb_new(pb__list_request__filters);
	return r;
}

/* The names that a list has, as one word. */
static void lists(struct __test_metadata *_metadata, FIXTURE_DATA(global) * self, const char *want,
		  Pb__ListRequest *r)
{
	struct err err;
	_cleanup_pb_ Pb__ServicesReply *l = CALL(self->leader, "ListServices", r);
	_cleanup_buf_ struct buf have = BUF_INIT;

	for (size_t i = 0; l && i < l->n_services; i++)
		buf_str(&have, store_name(l->services[i]));
	EXPECT_STREQ(want, have.len ? have.data : "");
}

TEST_F(global, filters)
{
	static const char *const names[] = {"a", "ab", "b"};
	Pb__ListRequest *r;
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		pb_free(CALL(self->leader, "CreateService", service(names[i], 1)));
	lists(_metadata, self, "aabb", pb_new(pb__list_request));
	lists(_metadata, self, "aabb", filter());
	r = filter();
	pb_append_str(&r->filters->n_names, &r->filters->names, "a");
	pb_append_str(&r->filters->n_names, &r->filters->names, "b");
	lists(_metadata, self, "ab", r);
	r = filter();
	pb_append_str(&r->filters->n_name_prefixes, &r->filters->name_prefixes, "a");
	lists(_metadata, self, "aab", r);
	r = filter();
	pb_append_str(&r->filters->n_id_prefixes, &r->filters->id_prefixes, "!");
	lists(_metadata, self, "", r);
	r = filter();
	pb_set_label(&r->filters->n_labels, &r->filters->labels, "for", "b");
	lists(_metadata, self, "b", r);
	r = filter();
	pb_set_label(&r->filters->n_labels, &r->filters->labels, "for", "");
	lists(_metadata, self, "aabb", r);
	r = filter();
	pb_append_str(&r->filters->n_kinds, &r->filters->kinds, "plugin");
	lists(_metadata, self, "", r);
}

/* --- requests that lack something --- */

TEST_F(global, empty_requests)
{
	struct err err;

	for (const struct control_method *m = NULL; (m = control_method_next(m));) {
		const char *name = control_method_name(m);
		_cleanup_pb_ void *reply = CALL(self->follower, name, pb_new_desc(m->request));

		EXPECT_EQ(!strncmp(name, "List", 4), !!reply) TH_LOG("%s", name);
	}
}

TEST_HARNESS_MAIN
