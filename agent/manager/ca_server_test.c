// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include <errno.h>

#include "manager/ca_server.h"
#include "manager/test_env.h"
#include "node/identity.h"
#include "wire/ca.pb-c.h"

struct got {
	bool done;
	int code;
	char msg[200];
	struct ca_files files;
	enum grpc_status status;
};

FIXTURE(ca)
{
	struct test_env e;
	struct ca_server *ca;
};

FIXTURE_SETUP(ca)
{
	test_env_open(&self->e);
	self->ca = ca_server_new(&self->e.env);
	ca_server_lead(self->ca, true);
}

FIXTURE_TEARDOWN(ca)
{
	EXPECT_FALSE(self->e.timed_out);
	ca_server_free(self->ca);
	test_env_close(&self->e);
}

static void on_identity(const struct err *err, struct ca_files *files, void *arg)
{
	struct got *g = arg;

	g->done = true;
	if (err) {
		g->code = err->code;
		snprintf(g->msg, sizeof(g->msg), "%.199s", err->msg);
		return;
	}
	g->files = *files;
	memset(files, 0, sizeof(*files));
}

static struct got join(struct test_env *e, const char *token)
{
	struct got g = {0};
	struct identity_join_options opt = {.loop = e->loop,
					    .rng = &e->rng,
					    .remote = e->addr,
					    .token = token,
					    .availability = "pause"};

	identity_join(&opt, on_identity, &g);
	test_wait(e, g.done);
	return g;
}

static struct got renew(struct test_env *e, const struct ca_files *files)
{
	struct got g = {0};
	struct tls *tls;
	struct identity_renew_options opt = {
		.loop = e->loop, .rng = &e->rng, .remote = e->addr, .roots = files->root_cert};

	assert(!tls_new(files->root_cert, files->cert, files->key, &tls, NULL));
	opt.tls = tls;
	identity_renew(&opt, on_identity, &g);
	test_wait(e, g.done);
	tls_put(tls);
	return g;
}

static struct ca_identity who(const struct ca_files *files)
{
	struct ca_identity id = {0};

	ca_verify(files->root_cert, files->cert, &id, NULL);
	return id;
}

TEST_F(ca, tokens_admit)
{
	struct test_env *e = &self->e;
	const char *tokens[] = {e->worker_token, e->manager_token};
	const char *roles[] = {CA_WORKER, CA_MANAGER};
	char forged[CA_TOKEN_SIZE];
	struct got g;

	for (int i = 0; i < 2; i++) {
		struct ca_identity id;
		const Pb__Node *n;

		g = join(e, tokens[i]);
		ASSERT_EQ(0, g.code) TH_LOG("%s", g.msg);
		id = who(&g.files);
		EXPECT_STREQ(roles[i], id.role);
		EXPECT_STREQ("cluster", id.cluster_id);
		n = store_node(e->store, id.node_id);
		ASSERT_NE(NULL, n);
		EXPECT_EQ(i, n->role);
		EXPECT_EQ(i, n->spec->desired_role);
		EXPECT_EQ(PB__NODE_SPEC__AVAILABILITY__PAUSE, n->spec->availability);
		EXPECT_EQ(PB__NODE_SPEC__MEMBERSHIP__ACCEPTED, n->spec->membership);
		EXPECT_EQ(PB__ISSUANCE_STATUS__STATE__ISSUED, n->certificate->status->state);
		EXPECT_EQ(4789, n->vxlan_udp_port);
		ca_identity_done(&id);
		ca_files_done(&g.files);
	}
	/* the right root, the wrong secret */
	strcpy(forged, e->worker_token);
	forged[strlen(forged) - 1] = forged[strlen(forged) - 1] == '0' ? '1' : '0';
	g = join(e, forged);
	EXPECT_EQ(-EINVAL, g.code);
	EXPECT_STREQ("A valid join token is necessary to join this cluster", g.msg);
	/* another swarm's root */
	strcpy(forged, e->worker_token);
	forged[20] = forged[20] == '0' ? '1' : '0';
	g = join(e, forged);
	EXPECT_EQ(-EACCES, g.code) TH_LOG("%s", g.msg);
	EXPECT_EQ(3, store_count(e->store, STORE_NODE));
}

static int set_role(struct store_tx *tx, void *arg, struct err *err)
{
	Pb__Node *n = pb_clone(store_node(store_tx_store(tx), arg));

	n->role = n->spec->desired_role = PB__NODE_ROLE__MANAGER;
	return store_tx_update(tx, n, err);
}

TEST_F(ca, renewal_follows_the_role)
{
	struct test_env *e = &self->e;
	struct got g = join(e, e->worker_token), r;
	struct ca_identity id = who(&g.files), id2;

	test_change(e, set_role, id.node_id);
	r = renew(e, &g.files);
	ASSERT_EQ(0, r.code) TH_LOG("%s", r.msg);
	id2 = who(&r.files);
	EXPECT_STREQ(CA_MANAGER, id2.role);
	EXPECT_STREQ(id.node_id, id2.node_id);
	EXPECT_STRNE(g.files.key, r.files.key);
	EXPECT_EQ(2, store_count(e->store, STORE_NODE));
	ca_identity_done(&id);
	ca_identity_done(&id2);
	ca_files_done(&g.files);
	ca_files_done(&r.files);
}

static void on_status(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	struct got *g = arg;

	g->done = true;
	g->status = status;
	snprintf(g->msg, sizeof(g->msg), "%.199s", text);
}

TEST_F(ca, who_may_ask_what)
{
	struct test_env *e = &self->e;
	struct tls *worker = test_tls(e, "w9", CA_WORKER), *manager = test_tls(e, "m9", CA_MANAGER);
	struct grpc_channel *ch = test_channel(e, worker);
	Pb__GetUnlockKeyRequest req = PB__GET_UNLOCK_KEY_REQUEST__INIT;
	struct got g = {0};

	grpc_unary(ch, "/docker.swarmkit.v1.CA/GetUnlockKey", &req,
		   &pb__get_unlock_key_response__descriptor, 5000, on_status, &g);
	test_wait(e, g.done);
	EXPECT_EQ(GRPC_PERMISSION_DENIED, g.status);
	grpc_channel_free(ch);
	ch = test_channel(e, manager);
	g.done = false;
	grpc_unary(ch, "/docker.swarmkit.v1.CA/GetUnlockKey", &req,
		   &pb__get_unlock_key_response__descriptor, 5000, on_status, &g);
	test_wait(e, g.done);
	EXPECT_EQ(GRPC_OK, g.status) TH_LOG("%s", g.msg);
	ca_server_lead(self->ca, false);
	g.done = false;
	grpc_unary(ch, "/docker.swarmkit.v1.CA/GetUnlockKey", &req,
		   &pb__get_unlock_key_response__descriptor, 5000, on_status, &g);
	test_wait(e, g.done);
	EXPECT_EQ(GRPC_UNAVAILABLE, g.status);
	grpc_channel_free(ch);
	tls_put(worker);
	tls_put(manager);
}

static int ask_rotation(struct store_tx *tx, void *arg, struct err *err)
{
	Pb__Cluster *c = pb_clone(store_cluster(store_tx_store(tx)));

	c->spec->ca_config->force_rotate++;
	return store_tx_update(tx, c, err);
}

struct says {
	const char *node_id, *cert;
};

/* A node registers and says who has issued its certificate. */
static int say_issuer(struct store_tx *tx, void *arg, struct err *err)
{
	struct says *s = arg;
	Pb__Node *n = pb_clone(store_node(store_tx_store(tx), s->node_id));
	const char *last = s->cert, *p = s->cert;
	void *subject, *key;
	size_t subject_size, key_size;

	while ((p = strstr(p + 1, "-----BEGIN CERT")))
		last = p;
	if (ca_subject_and_key(last, &subject, &subject_size, &key, &key_size, err))
		return -EINVAL;
	pb_need(&n->description, pb__node_description);
	pb_need(&n->description->tls_info, pb__node_tlsinfo);
	pb_set_bytes(&n->description->tls_info->cert_issuer_subject, subject, subject_size);
	pb_set_bytes(&n->description->tls_info->cert_issuer_public_key, key, key_size);
	free(subject);
	free(key);
	return store_tx_update(tx, n, err);
}

static bool is_asked(struct test_env *e, const char *id)
{
	return store_node(e->store, id)->certificate->status->state ==
	       PB__ISSUANCE_STATUS__STATE__ROTATE;
}

TEST_F(ca, rotation)
{
	struct test_env *e = &self->e;
	struct got g = join(e, e->worker_token), r, late;
	struct ca_identity id = who(&g.files), id2, id3;
	_cleanup_free_ char *new_root = NULL, *old_token = xstrdup(e->worker_token);
	const Pb__Cluster *c;
	struct says says = {id.node_id, g.files.root_cert};

	test_change(e, say_issuer, &says);
	says.node_id = "m1";
	test_change(e, say_issuer, &says);
	test_change(e, ask_rotation, NULL);
	test_wait(e, store_cluster(e->store)->root_ca->root_rotation);
	test_wait(e, is_asked(e, id.node_id) && is_asked(e, "m1"));
	/* under way: the old root counts, new certificates come with the intermediate */
	r = renew(e, &g.files);
	ASSERT_EQ(0, r.code) TH_LOG("%s", r.msg);
	EXPECT_NE(NULL, strstr(strstr(r.files.cert, "-----END"), "-----BEGIN"));
	EXPECT_STREQ(e->root, r.files.root_cert);
	late = join(e, e->worker_token);
	EXPECT_EQ(0, late.code) TH_LOG("%s", late.msg);
	/* they say so */
	says = (struct says){id.node_id, r.files.cert};
	test_change(e, say_issuer, &says);
	id2 = who(&late.files);
	says = (struct says){id2.node_id, late.files.cert};
	test_change(e, say_issuer, &says);
	test_run_ms(e, 1200);
	ASSERT_NE(NULL, store_cluster(e->store)->root_ca->root_rotation); /* m1 is missing */
	says = (struct says){"m1", r.files.cert};
	test_change(e, say_issuer, &says);
	test_wait(e, !store_cluster(e->store)->root_ca->root_rotation);
	c = store_cluster(e->store);
	EXPECT_NE(c->root_ca->ca_cert.len, 0);
	EXPECT_NE(0, memcmp(c->root_ca->ca_cert.data, e->root,
			    min(c->root_ca->ca_cert.len, strlen(e->root))));
	EXPECT_STRNE(old_token, c->root_ca->join_tokens->worker);
	EXPECT_EQ(1, c->root_ca->last_forced_rotation);
	EXPECT_EQ(0, strncmp(c->root_ca->ca_cert_hash, "sha256:", 7));
	/* the node's certificate is good under the new root too */
	new_root = xstrndup((char *)c->root_ca->ca_cert.data, c->root_ca->ca_cert.len);
	EXPECT_EQ(0, ca_verify(new_root, r.files.cert, &id3, NULL));
	EXPECT_STREQ(id.node_id, id3.node_id);
	ca_identity_done(&id3);
	EXPECT_EQ(-EACCES, ca_verify(new_root, g.files.cert, &id3, NULL));
	ca_identity_done(&id);
	ca_identity_done(&id2);
	ca_files_done(&g.files);
	ca_files_done(&r.files);
	ca_files_done(&late.files);
}

TEST_HARNESS_MAIN
