// SPDX-License-Identifier: Apache-2.0
#include "manager/bootstrap.h"

#include <errno.h>

#include "manager/keys.h"
#include "wire/pb.h"

enum { UNLOCK_KEY_SIZE = 32, VXLAN_PORT = 4789, SUBNET_BITS = 24 };

#define SECOND 1000000000LL
#define PREDEFINED_LABEL "com.docker.swarm.predefined"

void bootstrap_spec_defaults(Pb__ClusterSpec *spec)
{
	Pb__RaftConfig *raft;

	if (str_empty(pb_need(&spec->annotations, pb__annotations)->name))
		pb_set_str(&spec->annotations->name, "default");
	pb_need(&spec->acceptance_policy, pb__acceptance_policy);
	if (!spec->orchestration) {
		spec->orchestration = pb_new(pb__orchestration_config);
		spec->orchestration->task_history_retention_limit = 5;
	}
	raft = pb_need(&spec->raft, pb__raft_config);
	if (!raft->snapshot_interval)
		raft->snapshot_interval = 10000;
	if (!raft->log_entries_for_slow_followers)
		raft->log_entries_for_slow_followers = 500;
	if (!raft->heartbeat_tick)
		raft->heartbeat_tick = 1;
	if (!raft->election_tick)
		raft->election_tick = 10;
	if (!pb_duration_ns(pb_need(&spec->dispatcher, pb__dispatcher_config)->heartbeat_period))
		pb_set_duration(&spec->dispatcher->heartbeat_period, 5 * SECOND);
	if (!pb_duration_ns(pb_need(&spec->ca_config, pb__caconfig)->node_cert_expiry))
		pb_set_duration(&spec->ca_config->node_cert_expiry, 2160 * 3600 * SECOND);
	pb_need(&spec->task_defaults, pb__task_defaults);
	pb_need(&spec->encryption_config, pb__encryption_config);
}

static Pb__Cluster *new_cluster(const struct bootstrap *b)
{
	static const char *const default_pool[] = {"10.0.0.0/8", NULL};
	Pb__Cluster *c = pb_new(pb__cluster);
	const char *const *pool = b->address_pool ? b->address_pool : default_pool;

	pb_set_str(&c->id, b->cluster_id);
	c->spec = b->spec ? pb_clone(b->spec) : pb_new(pb__cluster_spec);
	bootstrap_spec_defaults(c->spec);
	c->root_ca = pb_new(pb__root_ca);
	if (b->root_key)
		pb_set_bytes(&c->root_ca->ca_key, b->root_key, strlen(b->root_key));
	if (b->root_cert)
		pb_set_bytes(&c->root_ca->ca_cert, b->root_cert, strlen(b->root_cert));
	pb_set_str(&c->root_ca->ca_cert_hash, b->root_digest);
	c->root_ca->join_tokens = pb_new(pb__join_tokens);
	pb_set_str(&c->root_ca->join_tokens->worker, b->worker_token);
	pb_set_str(&c->root_ca->join_tokens->manager, b->manager_token);
	while (*pool)
		pb_append_str(&c->n_default_address_pool, &c->default_address_pool, *pool++);
	c->subnet_size = b->subnet_size ? b->subnet_size : SUBNET_BITS;
	c->vxlan_udp_port = b->vxlan_port ? b->vxlan_port : VXLAN_PORT;
	if (b->unlock_key) {
		Pb__EncryptionKey *key = pb_new(pb__encryption_key);

		pb_set_str(&key->subsystem, "swarm-manager");
		pb_set_bytes(&key->key, b->unlock_key, UNLOCK_KEY_SIZE);
		pb_append(&c->n_unlock_keys, &c->unlock_keys, key);
		c->spec->encryption_config->auto_lock_managers = true;
	}
	keys_init(c);
	return c;
}

static Pb__Network *new_network(const struct bootstrap *b, const char *name)
{
	Pb__Network *n = pb_new(pb__network);
	char id[ID_SIZE];

	id_new(b->rng, id);
	pb_set_str(&n->id, id);
	n->spec = pb_new(pb__network_spec);
	n->spec->annotations = pb_new(pb__annotations);
	pb_set_str(&n->spec->annotations->name, name);
	n->spec->driver_config = pb_new(pb__driver);
	return n;
}

static int create_networks(struct store_tx *tx, const struct bootstrap *b, struct err *err)
{
	static const char *const predefined[] = {"bridge", "host"};
	Pb__Network *n = new_network(b, "ingress");
	int rc;

	n->spec->ingress = true;
	n->spec->ipam = pb_new(pb__ipamoptions);
	n->spec->ipam->driver = pb_new(pb__driver);
	rc = store_tx_create(tx, n, err);
	for (size_t i = 0; i < ARRAY_SIZE(predefined) && !rc; i++) {
		n = new_network(b, predefined[i]);
		pb_set_label(&n->spec->annotations->n_labels, &n->spec->annotations->labels,
			     PREDEFINED_LABEL, "true");
		pb_set_str(&n->spec->driver_config->name, predefined[i]);
		rc = store_tx_create(tx, n, err);
	}
	return rc;
}

static Pb__Node *new_node(const struct bootstrap *b)
{
	Pb__Node *n = pb_new(pb__node);
	Pb__Certificate *cert = n->certificate = pb_new(pb__certificate);

	pb_set_str(&n->id, b->node_id);
	n->spec = pb_new(pb__node_spec);
	n->spec->annotations = pb_new(pb__annotations);
	n->spec->desired_role = n->role = PB__NODE_ROLE__MANAGER;
	n->spec->membership = PB__NODE_SPEC__MEMBERSHIP__ACCEPTED;
	n->spec->availability = b->availability;
	n->status = pb_new(pb__node_status);
	cert->role = PB__NODE_ROLE__MANAGER;
	pb_set_str(&cert->cn, b->node_id);
	cert->status = pb_new(pb__issuance_status);
	cert->status->state = PB__ISSUANCE_STATUS__STATE__ISSUED;
	if (b->csr)
		pb_set_bytes(&cert->csr, b->csr, strlen(b->csr));
	if (b->cert)
		pb_set_bytes(&cert->certificate, b->cert, strlen(b->cert));
	n->vxlan_udp_port = b->vxlan_port ? b->vxlan_port : VXLAN_PORT;
	return n;
}

int bootstrap_build(struct store_tx *tx, void *arg, struct err *err)
{
	const struct bootstrap *b = arg;
	struct store *s = store_tx_store(tx);
	int rc = 0;

	/* The networks come with the cluster only: someone may have removed ingress since. */
	if (!store_cluster(s)) {
		rc = store_tx_create(tx, new_cluster(b), err);
		if (!rc)
			rc = create_networks(tx, b, err);
	}
	if (!rc && !store_node(s, b->node_id))
		rc = store_tx_create(tx, new_node(b), err);
	return rc;
}
