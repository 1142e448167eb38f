// SPDX-License-Identifier: Apache-2.0
/* The cluster object. Source: swarmkit manager/controlapi/cluster.go. */
#include "manager/ca.h"
#include "manager/ca_server.h"
#include "manager/control_impl.h"

static int check_update(void *request, struct err *err)
{
	Pb__UpdateClusterRequest *r = request;

	if (!r->spec)
		return control_no_argument(err);
	pb_need(&r->spec->annotations, pb__annotations);
	pb_need(&r->spec->raft, pb__raft_config);
	pb_need(&r->spec->orchestration, pb__orchestration_config);
	pb_need(&r->spec->dispatcher, pb__dispatcher_config);
	pb_need(&r->spec->ca_config, pb__caconfig);
	pb_need(&r->spec->encryption_config, pb__encryption_config);
	pb_need(&r->rotation, pb__key_rotation);
	return check_cluster_spec(r->spec, err);
}

/* A key when managers are to be locked, none when not, another one when asked for. */
static int update_unlock_key(Pb__Cluster *c, bool rotate, struct err *err)
{
	bool lock = c->spec->encryption_config->auto_lock_managers;
	Pb__EncryptionKey *have = NULL;
	uint8_t key[32];
	size_t kept = 0;

	for (size_t i = 0; i < c->n_unlock_keys; i++) {
		Pb__EncryptionKey *k = c->unlock_keys[i];

		if (streq(k->subsystem, CA_MANAGER)) {
			if (!lock) {
				pb_free(k);
				continue;
			}
			have = k;
		}
		c->unlock_keys[kept++] = k;
	}
	c->n_unlock_keys = kept;
	if (!lock || (have && !rotate))
		return 0;
	if (ca_unlock_key_new(key, err))
		return err->code;
	if (!have) {
		have = pb_new(pb__encryption_key);
		pb_set_str(&have->subsystem, CA_MANAGER);
		pb_append(&c->n_unlock_keys, &c->unlock_keys, have);
	}
	pb_set_bytes(&have->key, key, sizeof(key));
	return 0;
}

static int update(struct control_job *job, struct store_tx *tx, struct err *err)
{
	const Pb__UpdateClusterRequest *r = job->request;
	const Pb__KeyRotation *rotate = r->rotation;
	const Pb__Cluster *old;
	Pb__Cluster *new;
	int rc = control_find_version(job, r->id, r->version, (const void **)&old, err);

	if (rc)
		return rc;
	new = pb_clone(old);
	pb_free(new->spec);
	new->spec = pb_clone(r->spec);
	rc = update_unlock_key(new, rotate->manager_unlock_key, err);
	if (!rc && (rotate->worker_join_token || rotate->manager_join_token))
		rc = ca_rotate_tokens(new, rotate->worker_join_token, rotate->manager_join_token,
				      err);
	if (!rc)
		rc = ca_rotation_begin(new, err);
	if (rc) {
		pb_free(new);
		return rc;
	}
	return control_stage(job, tx, new, err);
}

const struct control_method control_cluster_methods[] = {
	{CONTROL_PATH("UpdateCluster"), &pb__update_cluster_request__descriptor,
	 &pb__cluster_reply__descriptor, STORE_CLUSTER, check_update, NULL, update},
	{0},
};
