// SPDX-License-Identifier: Apache-2.0
/* The cluster object: GET /swarm, and the SwarmSpec of init and update. */
#include "api/conv.h"

#include <errno.h>

#include "manager/bootstrap.h"
#include "manager/ca.h"

static const struct json_table orchestration = {
	&pb__orchestration_config__descriptor,
	(const struct json_field[]){
		J_FIELD("TaskHistoryRetentionLimit", J_I64, Pb__OrchestrationConfig,
			task_history_retention_limit, .flags = J_KEEP),
		{0},
	},
};

static const struct json_table raft = {
	&pb__raft_config__descriptor,
	(const struct json_field[]){
		J_FIELD("SnapshotInterval", J_U64, Pb__RaftConfig, snapshot_interval),
		J_FIELD("KeepOldSnapshots", J_U64, Pb__RaftConfig, keep_old_snapshots,
			.flags = J_KEEP),
		J_FIELD("LogEntriesForSlowFollowers", J_U64, Pb__RaftConfig,
			log_entries_for_slow_followers),
		J_FIELD("ElectionTick", J_U32, Pb__RaftConfig, election_tick, .flags = J_KEEP),
		J_FIELD("HeartbeatTick", J_U32, Pb__RaftConfig, heartbeat_tick, .flags = J_KEEP),
		{0},
	},
};

static const struct json_table dispatcher = {
	&pb__dispatcher_config__descriptor,
	(const struct json_field[]){
		J_FIELD("HeartbeatPeriod", J_DURATION, Pb__DispatcherConfig, heartbeat_period),
		{0},
	},
};

static const struct json_word protocols[] = {
	{"cfssl", PB__EXTERNAL_CA__CAPROTOCOL__CFSSL},
	{0},
};

static const struct json_table external_ca = {
	&pb__external_ca__descriptor,
	(const struct json_field[]){
		J_FIELD("Protocol", J_ENUM, Pb__ExternalCA, protocol, .words = protocols),
		J_FIELD("URL", J_STR, Pb__ExternalCA, url, .flags = J_KEEP),
		J_LIST("Options", J_LABELS, Pb__ExternalCA, options),
		J_FIELD("CACert", J_TEXT, Pb__ExternalCA, ca_cert, .flags = J_KEEP),
		{0},
	},
};

/* The signing key is never shown, and the certificate not either: sent back without its key it
 * would be refused. */
static int read_ca_text(struct json_in *in, json_t *v, ProtobufCBinaryData *ret)
{
	if (!json_is_string(v))
		return json_type_error(in, v, "string");
	pb_set_bytes(ret, json_string_value(v), json_string_length(v));
	return 0;
}

static int read_signing_cert(struct json_in *in, json_t *v, void *msg)
{
	return read_ca_text(in, v, &((Pb__CAConfig *)msg)->signing_ca_cert);
}

static int read_signing_key(struct json_in *in, json_t *v, void *msg)
{
	return read_ca_text(in, v, &((Pb__CAConfig *)msg)->signing_ca_key);
}

static const struct json_table ca_config = {
	&pb__caconfig__descriptor,
	(const struct json_field[]){
		J_FIELD("NodeCertExpiry", J_DURATION, Pb__CAConfig, node_cert_expiry),
		J_LIST("ExternalCAs", J_MSGS, Pb__CAConfig, external_cas, .table = &external_ca),
		{.name = "SigningCACert", .type = J_CUSTOM, .read = read_signing_cert},
		{.name = "SigningCAKey", .type = J_CUSTOM, .read = read_signing_key},
		J_FIELD("ForceRotate", J_U64, Pb__CAConfig, force_rotate),
		{0},
	},
};

static const struct json_table task_defaults = {
	&pb__task_defaults__descriptor,
	(const struct json_field[]){
		J_FIELD("LogDriver", J_MSG, Pb__TaskDefaults, log_driver, .table = &json_driver),
		{0},
	},
};

static const struct json_table encryption = {
	&pb__encryption_config__descriptor,
	(const struct json_field[]){
		J_FIELD("AutoLockManagers", J_BOOL, Pb__EncryptionConfig, auto_lock_managers,
			.flags = J_KEEP),
		{0},
	},
};

const struct json_table json_cluster_spec = {
	&pb__cluster_spec__descriptor,
	(const struct json_field[]){
		J_FIELD("", J_INLINE, Pb__ClusterSpec, annotations, .table = &json_annotations),
		J_FIELD("Orchestration", J_MSG, Pb__ClusterSpec, orchestration, .flags = J_KEEP,
			.table = &orchestration),
		J_FIELD("Raft", J_MSG, Pb__ClusterSpec, raft, .flags = J_KEEP, .table = &raft),
		J_FIELD("Dispatcher", J_MSG, Pb__ClusterSpec, dispatcher, .flags = J_KEEP,
			.table = &dispatcher),
		J_FIELD("CAConfig", J_MSG, Pb__ClusterSpec, ca_config, .flags = J_KEEP,
			.table = &ca_config),
		J_FIELD("TaskDefaults", J_MSG, Pb__ClusterSpec, task_defaults, .flags = J_KEEP,
			.table = &task_defaults),
		J_FIELD("EncryptionConfig", J_MSG, Pb__ClusterSpec, encryption_config,
			.flags = J_KEEP, .table = &encryption),
		{0},
	},
};

static Pb__ClusterSpec *new_spec(void)
{
	Pb__ClusterSpec *s = pb_new(pb__cluster_spec);

	bootstrap_spec_defaults(s);
	return s;
}

/* A zero in the request means "as it was" for these (moby convert.MergeSwarmSpecToGRPC). */
static void keep_old(Pb__ClusterSpec *s, const Pb__ClusterSpec *old)
{
	if (old->annotations && str_empty(s->annotations->name))
		pb_set_str(&s->annotations->name, old->annotations->name);
	if (old->raft) {
		if (!s->raft->snapshot_interval)
			s->raft->snapshot_interval = old->raft->snapshot_interval;
		if (!s->raft->log_entries_for_slow_followers)
			s->raft->log_entries_for_slow_followers =
				old->raft->log_entries_for_slow_followers;
		if (!s->raft->election_tick)
			s->raft->election_tick = old->raft->election_tick;
		if (!s->raft->heartbeat_tick)
			s->raft->heartbeat_tick = old->raft->heartbeat_tick;
	}
	if (old->dispatcher && !pb_duration_ns(s->dispatcher->heartbeat_period))
		pb_set_duration(&s->dispatcher->heartbeat_period,
				pb_duration_ns(old->dispatcher->heartbeat_period));
	if (old->ca_config && !pb_duration_ns(s->ca_config->node_cert_expiry))
		pb_set_duration(&s->ca_config->node_cert_expiry,
				pb_duration_ns(old->ca_config->node_cert_expiry));
}

int conv_cluster_spec(json_t *value, const Pb__ClusterSpec *old, Pb__ClusterSpec **ret,
		      struct err *err)
{
	Pb__ClusterSpec *s = old ? pb_clone(old) : new_spec();
	_cleanup_pb_ Pb__ClusterSpec *base = new_spec();
	struct json_in in = {.err = err, .path = "Spec", .len = 4};
	json_t *labels = value ? json_member(value, "Labels") : NULL, *cas;
	int rc;

	pb_need(&s->annotations, pb__annotations);
	pb_need(&s->raft, pb__raft_config);
	pb_need(&s->orchestration, pb__orchestration_config);
	pb_need(&s->dispatcher, pb__dispatcher_config);
	pb_need(&s->ca_config, pb__caconfig);
	pb_need(&s->encryption_config, pb__encryption_config);
	/* what is a list or set in the request replaces the old one */
	if (json_object_size(labels)) {
		for (size_t i = 0; i < s->annotations->n_labels; i++)
			pb_free(s->annotations->labels[i]);
		s->annotations->n_labels = 0;
	}
	cas = value ? json_member(json_member(value, "CAConfig"), "ExternalCAs") : NULL;
	if (cas) {
		for (size_t i = 0; i < s->ca_config->n_external_cas; i++)
			pb_free(s->ca_config->external_cas[i]);
		s->ca_config->n_external_cas = 0;
	}
	rc = json_read_into(&json_cluster_spec, &in, value, s);
	if (!rc)
		keep_old(s, old ? old : base);
	if (rc)
		pb_free(s);
	else
		*ret = s;
	return rc;
}

static json_t *tls_info(const Pb__RootCA *ca)
{
	_cleanup_pb_ Pb__NodeTLSInfo *info = pb_new(pb__node_tlsinfo);
	_cleanup_free_ char *pem = NULL;
	_cleanup_free_ void *subject = NULL, *key = NULL;
	size_t subject_size, key_size;

	if (ca && ca->ca_cert.len) {
		pb_set_bytes(&info->trust_root, ca->ca_cert.data, ca->ca_cert.len);
		pem = xstrndup((const char *)ca->ca_cert.data, ca->ca_cert.len);
		if (!ca_subject_and_key(pem, &subject, &subject_size, &key, &key_size, NULL)) {
			pb_set_bytes(&info->cert_issuer_subject, subject, subject_size);
			pb_set_bytes(&info->cert_issuer_public_key, key, key_size);
		}
	}
	return json_write(&json_tls_info, info);
}

json_t *conv_cluster(const Pb__Cluster *c, bool tokens)
{
	json_t *o = json_object(), *pool = json_array();
	_cleanup_pb_ Pb__Meta *no_meta = pb_new(pb__meta);
	json_t *spec = json_write(&json_cluster_spec, c->spec);

	json_object_set_new(o, "ID", json_string(c->id));
	{
		json_t *meta = json_write(&json_meta, c->meta ? c->meta : no_meta);

		json_object_update(o, meta);
		json_decref(meta);
	}
	json_object_set_new(o, "Spec", spec ? spec : json_object());
	json_object_set_new(o, "TLSInfo", tls_info(c->root_ca));
	json_object_set_new(o, "RootRotationInProgress",
			    json_boolean(c->root_ca && c->root_ca->root_rotation));
	for (size_t i = 0; i < c->n_default_address_pool; i++)
		json_array_append_new(pool, json_string(c->default_address_pool[i]));
	json_object_set_new(o, "DefaultAddrPool", pool);
	json_object_set_new(o, "SubnetSize", json_integer(c->subnet_size));
	json_object_set_new(o, "DataPathPort",
			    json_integer(c->vxlan_udp_port ? c->vxlan_udp_port : 4789));
	if (tokens) {
		const Pb__JoinTokens *t = c->root_ca ? c->root_ca->join_tokens : NULL;

		json_object_set_new(o, "JoinTokens",
				    json_pack("{s:s, s:s}", "Worker", t ? t->worker : "", "Manager",
					      t ? t->manager : ""));
	}
	return o;
}
