// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <time.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "manager/ca.h"

#include <kselftest_harness.h>

FIXTURE(ca)
{
	char *root, *root_key, *csr, *key;
};

FIXTURE_SETUP(ca)
{
	ASSERT_EQ(0, ca_root_new(&self->root, &self->root_key, NULL));
	ASSERT_EQ(0, ca_csr_new(&self->csr, &self->key, NULL));
}

FIXTURE_TEARDOWN(ca)
{
	free(self->root);
	free(self->root_key);
	free(self->csr);
	free(self->key);
}

/* The vector of the protocol's description: SHA-256 of "test". */
TEST(token_digest)
{
	char digest[51];

	ca_token_digest("test", 4, digest);
	EXPECT_STREQ("3z4xlzwqzv7xv6t8ytwrg293d16fwub5atu4qcwqooidytq9zc", digest);
}

TEST_F(ca, tokens_name_the_root)
{
	char token[CA_TOKEN_SIZE], other[CA_TOKEN_SIZE], digest[51], want[51];

	ASSERT_EQ(0, ca_token_new(self->root, token, NULL));
	ASSERT_EQ(0, ca_token_new(self->root, other, NULL));
	EXPECT_EQ(85, strlen(token));
	EXPECT_STRNE(token, other);
	ASSERT_EQ(0, ca_token_check(token, digest, NULL));
	ca_token_digest(self->root, strlen(self->root), want);
	EXPECT_STREQ(want, digest);
	token[20] = 'A';
	EXPECT_EQ(-EINVAL, ca_token_check(token, NULL, NULL));
	EXPECT_EQ(-EINVAL, ca_token_check("SWMTKN-1-x-y", NULL, NULL));
	EXPECT_EQ(-EINVAL, ca_token_check("", NULL, NULL));
}

TEST_F(ca, signs_and_verifies_a_manager)
{
	struct ca_leaf leaf = {"node1", CA_MANAGER, "cluster1", 0};
	struct ca_identity id;
	struct err err = ERR_INIT;
	char *cert;

	ASSERT_EQ(0, ca_sign(self->root, self->root_key, NULL, self->csr, &leaf, &cert, &err));
	ASSERT_EQ(0, ca_verify(self->root, cert, &id, &err));
	EXPECT_STREQ("node1", id.node_id);
	EXPECT_STREQ(CA_MANAGER, id.role);
	EXPECT_STREQ("cluster1", id.cluster_id);
	EXPECT_LT(id.not_before_ns / 1000000000, time(NULL) - 3000);
	EXPECT_GT(id.not_after_ns / 1000000000, time(NULL) + 2159 * 3600);
	EXPECT_LT(id.not_after_ns / 1000000000, time(NULL) + 2161 * 3600);
	EXPECT_EQ(0, ca_key_matches(cert, self->key, &err));
	EXPECT_EQ(-EINVAL, ca_key_matches(cert, self->root_key, &err));
	EXPECT_EQ(0, ca_roots_check(self->root, &err));
	EXPECT_EQ(-EINVAL, ca_roots_check(cert, &err));
	ca_identity_done(&id);
	free(cert);
}

TEST_F(ca, a_foreign_root_is_not_trusted)
{
	struct ca_leaf leaf = {"node1", CA_WORKER, "cluster1", 0};
	struct ca_identity id;
	struct err err = ERR_INIT;
	char *cert, *other, *other_key;

	ASSERT_EQ(0, ca_root_new(&other, &other_key, NULL));
	ASSERT_EQ(0, ca_sign(other, other_key, NULL, self->csr, &leaf, &cert, &err));
	EXPECT_EQ(-EACCES, ca_verify(self->root, cert, &id, &err));
	EXPECT_EQ(-EINVAL, ca_sign(other, other_key, NULL, "junk", &leaf, &cert, &err));
	EXPECT_EQ(-EINVAL, ca_verify("junk", cert, &id, &err));
	EXPECT_EQ(-EINVAL, ca_verify(self->root, "junk", &id, &err));
	free(cert);
	free(other);
	free(other_key);
}

TEST(unlock_keys)
{
	uint8_t key[32], back[32];
	char text[64];

	ASSERT_EQ(0, ca_unlock_key_new(key, NULL));
	ca_unlock_key_text(key, text);
	EXPECT_EQ(9 + 43, strlen(text));
	ASSERT_EQ(0, ca_unlock_key_parse(text, back, NULL));
	EXPECT_EQ(0, memcmp(key, back, 32));
	EXPECT_EQ(-EINVAL, ca_unlock_key_parse("SWMKEY-1-abc", back, NULL));
}

TEST_F(ca, files)
{
	struct ca_leaf leaf = {"node1", CA_MANAGER, "cluster1", 0};
	struct ca_files files = {self->root, NULL, self->key}, got;
	char dir[] = "/tmp/ca_test.XXXXXX", path[64];
	char *key = self->key;

	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0,
		  ca_sign(self->root, self->root_key, NULL, self->csr, &leaf, &files.cert, NULL));
	EXPECT_EQ(-ENOENT, ca_files_load(dir, &got, NULL));
	ASSERT_EQ(0, ca_files_save(dir, &files, NULL));
	ASSERT_EQ(0, ca_files_load(dir, &got, NULL));
	EXPECT_STREQ(files.cert, got.cert);
	EXPECT_STREQ(files.key, got.key);
	EXPECT_STREQ(files.root_cert, got.root_cert);
	ca_files_done(&got);
	files.key = self->root_key;
	ASSERT_EQ(0, ca_files_save(dir, &files, NULL));
	EXPECT_EQ(-EINVAL, ca_files_load(dir, &got, NULL));
	for (const char *const *f = (const char *const[]){"swarm-root-ca.crt", "swarm-node.crt",
							  "swarm-node.key", NULL};
	     *f; f++) {
		snprintf(path, sizeof(path), "%s/%s", dir, *f);
		EXPECT_EQ(0, unlink(path));
	}
	EXPECT_EQ(0, rmdir(dir));
	self->key = key;
	free(files.cert);
}

/* Go's cross-signed roots: without the identifier of the key that signed. */
static char *without_key_id(const char *pem, const char *key_pem)
{
	BIO *in = BIO_new_mem_buf(pem, -1), *key_in = BIO_new_mem_buf(key_pem, -1);
	BIO *out = BIO_new(BIO_s_mem());
	X509 *cert = PEM_read_bio_X509(in, NULL, NULL, NULL);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(key_in, NULL, NULL, NULL);
	char *data, *text;
	long n;

	X509_EXTENSION_free(
		X509_delete_ext(cert, X509_get_ext_by_NID(cert, NID_authority_key_identifier, -1)));
	X509_sign(cert, key, EVP_sha256());
	PEM_write_bio_X509(out, cert);
	n = BIO_get_mem_data(out, &data);
	text = strndup(data, n);
	X509_free(cert);
	EVP_PKEY_free(key);
	BIO_free(in);
	BIO_free(key_in);
	BIO_free(out);
	return text;
}

TEST_F(ca, cross_signed_roots)
{
	struct ca_leaf leaf = {"node1", CA_WORKER, "cluster1", 0};
	struct ca_identity id;
	char *root2, *key2, *cross, *bare, *cert;

	ASSERT_EQ(0, ca_root_new(&root2, &key2, NULL));
	ASSERT_EQ(0, ca_cross_sign(self->root, self->root_key, root2, &cross, NULL));
	bare = without_key_id(cross, self->root_key);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, ca_sign(root2, key2, i ? bare : cross, self->csr, &leaf, &cert, NULL));
		EXPECT_EQ(0, ca_verify(self->root, cert, &id, NULL));
		EXPECT_STREQ("node1", id.node_id);
		ca_identity_done(&id);
		/* and later */
		EXPECT_EQ(0, ca_verify(root2, cert, &id, NULL));
		ca_identity_done(&id);
		free(cert);
	}
	/* a root of somebody else in the same place */
	ASSERT_EQ(0, ca_sign(root2, key2, root2, self->csr, &leaf, &cert, NULL));
	EXPECT_EQ(-EACCES, ca_verify(self->root, cert, &id, NULL));
	free(cert);
	free(bare);
	bare = without_key_id(cross, key2);
	ASSERT_EQ(0, ca_sign(root2, key2, bare, self->csr, &leaf, &cert, NULL));
	EXPECT_EQ(-EACCES, ca_verify(self->root, cert, &id, NULL));
	free(cert);
	free(bare);
	free(cross);
	free(root2);
	free(key2);
}

TEST_HARNESS_MAIN
