// SPDX-License-Identifier: Apache-2.0
#include "manager/bootstrap.h"

#include "manager/keys.h"
#include "wire/pb.h"

#include <kselftest_harness.h>

FIXTURE(boot)
{
	struct store *s;
	struct rng rng;
	struct bootstrap b;
};

FIXTURE_SETUP(boot)
{
	self->s = store_new();
	rng_seed(&self->rng, 1);
	self->b = (struct bootstrap){
		.rng = &self->rng,
		.cluster_id = "cluster",
		.root_cert = "certificate",
		.root_digest = "sha256:x",
		.worker_token = "SWMTKN-1-w",
		.manager_token = "SWMTKN-1-m",
		.node_id = "node",
	};
}

FIXTURE_TEARDOWN(boot)
{
	store_free(self->s);
}

static int build(FIXTURE_DATA(boot) * f, uint64_t version)
{
	struct store_tx *tx = store_tx_begin(f->s, version, 1000000000);
	int rc = bootstrap_build(tx, &f->b, NULL);

	store_tx_seal(tx);
	store_tx_commit(tx);
	return rc;
}

TEST_F(boot, the_first_leader_makes_what_a_swarm_needs)
{
	const Pb__Cluster *c;
	const Pb__Network *n;

	ASSERT_EQ(0, build(self, 1));
	c = store_cluster(self->s);
	ASSERT_NE(NULL, c);
	EXPECT_STREQ("cluster", c->id);
	EXPECT_STREQ("default", store_name(c));
	EXPECT_STREQ("SWMTKN-1-w", c->root_ca->join_tokens->worker);
	EXPECT_STREQ("10.0.0.0/8", c->default_address_pool[0]);
	EXPECT_EQ(24, c->subnet_size);
	EXPECT_EQ(4789, c->vxlan_udp_port);
	EXPECT_EQ(5, c->spec->orchestration->task_history_retention_limit);
	EXPECT_EQ(5000000000, pb_duration_ns(c->spec->dispatcher->heartbeat_period));
	EXPECT_EQ(6, c->n_network_bootstrap_keys);
	EXPECT_EQ(3, store_count(self->s, STORE_NETWORK));
	n = store_find_name(self->s, STORE_NETWORK, "ingress");
	ASSERT_NE(NULL, n);
	EXPECT_TRUE(n->spec->ingress);
	n = store_find_name(self->s, STORE_NETWORK, "host");
	ASSERT_NE(NULL, n);
	EXPECT_STREQ("true", pb_label(n->spec->annotations->labels, n->spec->annotations->n_labels,
				      "com.docker.swarm.predefined"));
	EXPECT_EQ(PB__NODE_ROLE__MANAGER, store_node(self->s, "node")->role);
}

TEST_F(boot, later_leaders_change_nothing)
{
	const Pb__Network *n;
	struct store_tx *tx;

	ASSERT_EQ(0, build(self, 1));
	n = store_find_name(self->s, STORE_NETWORK, "ingress");
	tx = store_tx_begin(self->s, 2, 1000000000);
	store_tx_remove(tx, STORE_NETWORK, n->id, NULL);
	store_tx_seal(tx);
	store_tx_commit(tx);
	self->b.node_id = "second";
	ASSERT_EQ(0, build(self, 3));
	EXPECT_EQ(2, store_count(self->s, STORE_NETWORK));
	EXPECT_EQ(1, store_count(self->s, STORE_CLUSTER));
	EXPECT_EQ(2, store_count(self->s, STORE_NODE));
}

/* The key of a subsystem with the given rank by lamport time. */
static const Pb__EncryptionKey *key(const struct store *s, const char *subsystem, size_t rank)
{
	const Pb__Cluster *c = store_cluster(s);

	for (size_t i = 0; i < c->n_network_bootstrap_keys; i++) {
		const Pb__EncryptionKey *k = c->network_bootstrap_keys[i];
		size_t earlier = 0;

		for (size_t j = 0; j < c->n_network_bootstrap_keys; j++)
			earlier += !strcmp(c->network_bootstrap_keys[j]->subsystem, subsystem) &&
				   c->network_bootstrap_keys[j]->lamport_time < k->lamport_time;
		if (!strcmp(k->subsystem, subsystem) && earlier == rank)
			return k;
	}
	return NULL;
}

static uint64_t run_keys(FIXTURE_DATA(boot) * f, void *c, uint64_t version, uint64_t now_ms)
{
	struct store_tx *tx = store_tx_begin(f->s, version, 1000000000);
	uint64_t next = keys_component.run(c, tx, now_ms);

	if (store_tx_changes(tx)) {
		store_tx_seal(tx);
		store_tx_commit(tx);
	} else {
		store_tx_abort(tx);
	}
	return next;
}

TEST_F(boot, keys_rotate_one_at_a_time)
{
	uint64_t first, second, third, next;
	void *c;

	ASSERT_EQ(0, build(self, 1));
	c = keys_component.open(self->s, &self->rng);
	EXPECT_FALSE(keys_component.dirty(c));
	next = run_keys(self, c, 2, 500);
	EXPECT_EQ(500 + KEYS_ROTATION_MS, next);
	first = key(self->s, KEYS_GOSSIP, 0)->lamport_time;
	second = key(self->s, KEYS_GOSSIP, 1)->lamport_time;
	third = key(self->s, KEYS_GOSSIP, 2)->lamport_time;
	EXPECT_LT(first, second);
	run_keys(self, c, 3, next);
	EXPECT_EQ(6, store_cluster(self->s)->n_network_bootstrap_keys);
	EXPECT_EQ(second, key(self->s, KEYS_GOSSIP, 0)->lamport_time);
	EXPECT_EQ(third, key(self->s, KEYS_GOSSIP, 1)->lamport_time);
	EXPECT_LT(third, key(self->s, KEYS_GOSSIP, 2)->lamport_time);
	EXPECT_EQ(16, key(self->s, KEYS_IPSEC, 2)->key.len);
	EXPECT_EQ(NULL, key(self->s, KEYS_IPSEC, 3));
	keys_component.close(c);
}

TEST_HARNESS_MAIN
