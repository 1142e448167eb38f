// SPDX-License-Identifier: Apache-2.0
/* What a rotation of the root does to the cluster object. Pure but for OpenSSL. */
#include <errno.h>
#include <stdio.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "manager/ca.h"
#include "manager/ca_server_impl.h"
#include "wire/pb.h"

char *ca_text(ProtobufCBinaryData b)
{
	return xstrndup((const char *)b.data, b.len);
}

static void set_text(ProtobufCBinaryData *field, const char *text)
{
	pb_set_bytes(field, text, strlen(text));
}

static void forget(char **text)
{
	if (*text)
		OPENSSL_cleanse(*text, strlen(*text));
	free(*text);
}
#define _cleanup_secret_ _cleanup_(forget)

int ca_rotate_tokens(Pb__Cluster *cluster, bool worker, bool manager, struct err *err)
{
	Pb__JoinTokens *tokens;
	_cleanup_free_ char *roots = NULL;
	char token[CA_TOKEN_SIZE];
	int rc = 0;

	roots = ca_text(pb_need(&cluster->root_ca, pb__root_ca)->ca_cert);
	tokens = pb_need(&cluster->root_ca->join_tokens, pb__join_tokens);
	if (worker) {
		rc = ca_token_new(roots, token, err);
		if (rc)
			return rc;
		pb_set_str(&tokens->worker, token);
	}
	if (manager) {
		rc = ca_token_new(roots, token, err);
		if (rc)
			return rc;
		pb_set_str(&tokens->manager, token);
	}
	return 0;
}

/* The root to change to: the one given in the spec, or a new one. */
static int new_root(const Pb__CAConfig *config, char **ret_cert, char **ret_key, struct err *err)
{
	_cleanup_free_ char *cert = NULL;
	_cleanup_secret_ char *key = NULL;
	int rc;

	if (!config->signing_ca_cert.len)
		return ca_root_new(ret_cert, ret_key, err);
	if (!config->signing_ca_key.len)
		return err_set(err, -EINVAL,
			       "a signing CA certificate needs its key: give --ca-key too");
	cert = ca_text(config->signing_ca_cert);
	key = ca_text(config->signing_ca_key);
	rc = ca_roots_check(cert, err);
	if (!rc)
		rc = ca_key_matches(cert, key, err);
	if (rc)
		return err_prefix(err, "the given signing CA");
	*ret_cert = steal_ptr(cert);
	*ret_key = steal_ptr(key);
	return 0;
}

/* The same PEM text but for white space around it. */
static bool same_pem(ProtobufCBinaryData a, ProtobufCBinaryData b)
{
	while (a.len && a.data[a.len - 1] <= ' ')
		a.len--;
	while (b.len && b.data[b.len - 1] <= ' ')
		b.len--;
	return a.len == b.len && !memcmp(a.data, b.data, a.len);
}

bool ca_rotation_wanted(const Pb__Cluster *cluster)
{
	const Pb__CAConfig *config = cluster && cluster->spec ? cluster->spec->ca_config : NULL;
	const Pb__RootCA *root = cluster ? cluster->root_ca : NULL;

	if (!config || !root)
		return false;
	if (!config->signing_ca_cert.len)
		return config->force_rotate != root->last_forced_rotation;
	if (root->root_rotation)
		return !same_pem(config->signing_ca_cert, root->root_rotation->ca_cert);
	return !same_pem(config->signing_ca_cert, root->ca_cert);
}

int ca_rotation_begin(Pb__Cluster *cluster, struct err *err)
{
	_cleanup_free_ char *cert = NULL, *old_cert = NULL, *cross = NULL;
	_cleanup_secret_ char *key = NULL, *old_key = NULL;
	Pb__RootCA *root = cluster->root_ca;
	Pb__RootRotation *rotation;
	Pb__CAConfig *config;
	int rc;

	if (!ca_rotation_wanted(cluster))
		return 0;
	config = cluster->spec->ca_config;
	if (config->signing_ca_cert.len && same_pem(config->signing_ca_cert, root->ca_cert)) {
		/* back to where we are: a rotation under way is given up */
		pb_free(steal_ptr(root->root_rotation));
		return 0;
	}
	if (!root->ca_key.len)
		return err_set(err, -EINVAL,
			       "the root certificate cannot be rotated: its key is not here");
	rc = new_root(config, &cert, &key, err);
	if (rc)
		return rc;
	old_cert = ca_text(root->ca_cert);
	old_key = ca_text(root->ca_key);
	rc = ca_cross_sign(old_cert, old_key, cert, &cross, err);
	if (rc)
		return rc;
	root->last_forced_rotation = config->force_rotate;
	pb_set_bytes(&config->signing_ca_key, NULL, 0); /* it is in the rotation now */
	pb_free(steal_ptr(root->root_rotation));
	rotation = root->root_rotation = pb_new(pb__root_rotation);
	set_text(&rotation->ca_cert, cert);
	set_text(&rotation->ca_key, key);
	set_text(&rotation->cross_signed_ca_cert, cross);
	return 0;
}

int ca_rotation_end(Pb__Cluster *cluster, struct err *err)
{
	Pb__RootCA *root = cluster->root_ca;
	Pb__RootRotation *rotation = root->root_rotation;
	uint8_t sum[SHA256_DIGEST_LENGTH];
	char hex[2 * sizeof(sum) + 1];
	_cleanup_free_ char *hash = NULL;

	pb_set_bytes(&root->ca_cert, rotation->ca_cert.data, rotation->ca_cert.len);
	pb_set_bytes(&root->ca_key, rotation->ca_key.data, rotation->ca_key.len);
	SHA256(root->ca_cert.data, root->ca_cert.len, sum);
	hex_encode(hex, sum, sizeof(sum));
	hash = xasprintf("sha256:%s", hex);
	pb_set_str(&root->ca_cert_hash, hash);
	pb_free(steal_ptr(root->root_rotation));
	return ca_rotate_tokens(cluster, true, true, err);
}

int ca_sign_node(const Pb__Cluster *cluster, Pb__Node *node, struct err *err)
{
	const Pb__RootCA *root = cluster->root_ca;
	const Pb__RootRotation *rotation = root ? root->root_rotation : NULL;
	Pb__Certificate *c = node->certificate;
	_cleanup_free_ char *root_cert = NULL, *cross = NULL, *csr = NULL, *cert = NULL;
	_cleanup_secret_ char *root_key = NULL;
	struct ca_leaf leaf = {
		.node_id = node->id,
		.role = c->role == PB__NODE_ROLE__MANAGER ? CA_MANAGER : CA_WORKER,
		.cluster_id = cluster->id,
	};
	int rc;

	if (!root || !(rotation ? rotation->ca_key.len : root->ca_key.len))
		return err_set(err, -EAGAIN, "no key to sign node certificates with");
	if (cluster->spec && cluster->spec->ca_config)
		leaf.expiry_ns = pb_duration_ns(cluster->spec->ca_config->node_cert_expiry);
	root_cert = ca_text(rotation ? rotation->ca_cert : root->ca_cert);
	root_key = ca_text(rotation ? rotation->ca_key : root->ca_key);
	if (rotation)
		cross = ca_text(rotation->cross_signed_ca_cert);
	csr = ca_text(c->csr);
	rc = ca_sign(root_cert, root_key, cross, csr, &leaf, &cert, err);
	if (rc)
		return rc;
	pb_set_bytes(&c->certificate, cert, strlen(cert));
	pb_need(&c->status, pb__issuance_status)->state = PB__ISSUANCE_STATUS__STATE__ISSUED;
	pb_set_str(&c->status->err, NULL);
	return 0;
}

bool ca_blacklisted(const struct store *store, const char *node_id)
{
	const Pb__Cluster *c = store_cluster(store);

	for (size_t i = 0; c && i < c->n_blacklisted_certificates; i++)
		if (streq(c->blacklisted_certificates[i]->key, node_id))
			return true;
	return false;
}
