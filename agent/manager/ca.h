/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A swarm's certificate authority: root certificates, join tokens, node certificates. All
 * certificates and keys are PEM text; what is returned is malloc'd and the caller's. Keys are
 * P-256, PKCS#8. Secrets come from OpenSSL's generator. Blocking but short (well under a
 * millisecond each); callable from any thread.
 * Source: swarmkit ca/certificates.go, ca/config.go (ParseJoinToken, GenerateJoinToken).
 */
#pragma once

#include "core/err.h"

#define CA_WORKER "swarm-worker" /* OU of a leaf, and expected server names */
#define CA_MANAGER "swarm-manager"
#define CA_SERVER "swarm-ca" /* further DNS name of managers; CN of roots */

#define CA_TOKEN_SIZE 96 /* a token and its NUL, with room for the FIPS form */
#define CA_NODE_EXPIRY_NS (2160LL * 3600 * 1000000000)
#define CA_NODE_EXPIRY_MIN_NS (3600LL * 1000000000)

/* A self-signed root, valid 20 years. */
int ca_root_new(char **ret_cert, char **ret_key, struct err *err);
/* A key and the request that carries it, with an empty subject. */
int ca_csr_new(char **ret_csr, char **ret_key, struct err *err);

/* The new root's name and key in a certificate signed by the old one: the intermediate of a rotation. */
int ca_cross_sign(const char *old_cert, const char *old_key, const char *new_cert, char **ret_cert,
		  struct err *err);

struct ca_leaf {
	const char *node_id; /* CN */
	const char *role; /* CA_WORKER or CA_MANAGER: OU */
	const char *cluster_id; /* O */
	int64_t expiry_ns; /* lifetime; below CA_NODE_EXPIRY_MIN_NS: CA_NODE_EXPIRY_NS */
};

/*
 * Sign the key in a request; nothing else of it is used. intermediates (may be NULL or "") is
 * appended to the certificate: the cross-signed root of a rotation. -EINVAL for a bad request.
 */
int ca_sign(const char *root_cert, const char *root_key, const char *intermediates, const char *csr,
	    const struct ca_leaf *leaf, char **ret_cert, struct err *err);

/* What a certificate says. Owns its strings: ca_identity_done(). */
struct ca_identity {
	char *node_id;
	char *role;
	char *cluster_id;
	int64_t not_before_ns; /* wall clock */
	int64_t not_after_ns;
	uint8_t *issuer_subject; /* DER Name */
	size_t issuer_subject_size;
};

/* The first certificate of the text, without verifying it. */
int ca_identity(const char *cert, struct ca_identity *ret, struct err *err);
/* Verify the chain in cert (leaf first) against roots, now, and say who it is. -EACCES. */
int ca_verify(const char *roots, const char *cert, struct ca_identity *ret, struct err *err);
void ca_identity_done(struct ca_identity *id);
/* Whether the key belongs to the first certificate. */
int ca_key_matches(const char *cert, const char *key, struct err *err);
/* Each certificate of a bundle must be self-signed and valid now. -EINVAL. */
int ca_roots_check(const char *roots, struct err *err);
/* The subject (DER Name) and public key (DER SubjectPublicKeyInfo) of the first certificate;
 * malloc'd. For NodeTLSInfo and the API's TLSInfo. */
int ca_subject_and_key(const char *cert, void **ret_subject, size_t *ret_subject_size,
		       void **ret_key, size_t *ret_key_size, struct err *err);

/* "SWMTKN-1-…": the digest of the exact root bundle, and a new secret. */
int ca_token_new(const char *roots, char ret[CA_TOKEN_SIZE], struct err *err);
/* The digest part as a token holds it: 50 base36 digits and NUL. */
void ca_token_digest(const void *roots, size_t size, char ret[51]);
/* Well-formed (and ret_digest its 50 digits; may be NULL) or -EINVAL "invalid join token". */
int ca_token_check(const char *token, char ret_digest[51], struct err *err);
/* "SWMKEY-1-" and unpadded base64 of a new 32-byte key: what `docker swarm unlock` asks for. */
int ca_unlock_key_new(uint8_t ret_key[32], struct err *err);
void ca_unlock_key_text(const uint8_t key[32], char ret[64]);
/* The key of that text, or -EINVAL. */
int ca_unlock_key_parse(const char *text, uint8_t ret_key[32], struct err *err);

/*
 * A node's files in dir (…/swarm/certificates): swarm-root-ca.crt, swarm-node.crt and
 * swarm-node.key (mode 0600), replaced atomically, the certificate last so that an interrupted save
 * is noticed by ca_files_load() (-EINVAL: they do not fit). -ENOENT when there are none.
 */
struct ca_files {
	char *root_cert;
	char *cert;
	char *key;
};

int ca_files_load(const char *dir, struct ca_files *ret, struct err *err);
int ca_files_save(const char *dir, const struct ca_files *files, struct err *err);
void ca_files_done(struct ca_files *files);
