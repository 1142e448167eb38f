// SPDX-License-Identifier: Apache-2.0
#include "manager/vault.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "disk/file.h"

enum { NONCE_SIZE = 12, TAG_SIZE = 16, SEALED_SIZE = NONCE_SIZE + VAULT_KEY_SIZE + TAG_SIZE };

int vault_new(struct vault *ret, struct err *err)
{
	memset(ret, 0, sizeof(*ret));
	if (RAND_bytes(ret->dek, sizeof(ret->dek)) != 1)
		return err_set(err, -EIO, "OpenSSL has no random bytes");
	return 0;
}

static int seal(const uint8_t *kek, const uint8_t *key, uint8_t out[SEALED_SIZE])
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t *ct = out + NONCE_SIZE;
	int n;
	bool ok = c && RAND_bytes(out, NONCE_SIZE) == 1 &&
		  EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, kek, out) == 1 &&
		  EVP_EncryptUpdate(c, ct, &n, key, VAULT_KEY_SIZE) == 1 &&
		  EVP_EncryptFinal_ex(c, ct + VAULT_KEY_SIZE, &n) == 1 &&
		  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, ct + VAULT_KEY_SIZE) == 1;

	EVP_CIPHER_CTX_free(c);
	return ok ? 0 : -EIO;
}

static int unseal(const uint8_t *kek, const uint8_t in[SEALED_SIZE], uint8_t *key)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t tag[TAG_SIZE];
	int n;
	bool ok;

	memcpy(tag, in + SEALED_SIZE - TAG_SIZE, TAG_SIZE);
	ok = c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, kek, in) == 1 &&
	     EVP_DecryptUpdate(c, key, &n, in + NONCE_SIZE, VAULT_KEY_SIZE) == 1 &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1 &&
	     EVP_DecryptFinal_ex(c, key + VAULT_KEY_SIZE, &n) == 1;
	EVP_CIPHER_CTX_free(c);
	return ok ? 0 : -EACCES;
}

static char *keys_path(const char *dir)
{
	return xasprintf("%s/raft/keys.json", dir);
}

static int load(const char *dir, bool *ret_sealed, uint8_t **ret_data, size_t *ret_size,
		struct err *err)
{
	_cleanup_free_ char *path = keys_path(dir);
	_cleanup_buf_ struct buf text = BUF_INIT;
	const char *dek;
	json_t *o;
	int rc = file_read(path, 4096, &text, err);

	if (rc)
		return rc;
	o = json_loadb(text.data, text.len, 0, NULL);
	*ret_sealed = json_is_true(json_object_get(o, "sealed"));
	dek = json_string_value(json_object_get(o, "dek"));
	*ret_data = dek ? base64_decode(dek, ret_size) : NULL;
	json_decref(o);
	if (*ret_data && *ret_size == (*ret_sealed ? (size_t)SEALED_SIZE : (size_t)VAULT_KEY_SIZE))
		return 0;
	free(*ret_data);
	return err_set(err, -EINVAL, "%s is damaged", path);
}

bool vault_is_sealed(const char *dir)
{
	uint8_t *data;
	bool sealed;
	size_t size;

	if (load(dir, &sealed, &data, &size, NULL))
		return false;
	free(data);
	return sealed;
}

int vault_load(const char *dir, const uint8_t *kek, struct vault *ret, struct err *err)
{
	uint8_t *data;
	struct vault v = {0};
	size_t size;
	int rc = load(dir, &v.locked, &data, &size, err);

	if (rc)
		return rc;
	if (!v.locked)
		memcpy(v.dek, data, VAULT_KEY_SIZE);
	else if (!kek)
		rc = err_set(err, -ENOKEY,
			     "the manager is locked: use \"docker swarm unlock\" to unlock it");
	else if (unseal(kek, data, v.dek))
		rc = err_set(err, -EACCES, "swarm could not be unlocked: invalid key provided");
	else
		memcpy(v.kek, kek, VAULT_KEY_SIZE);
	free(data);
	if (!rc)
		*ret = v;
	return rc;
}

int vault_save(const char *dir, const struct vault *v, struct err *err)
{
	_cleanup_free_ char *path = keys_path(dir), *b64 = NULL, *text = NULL;
	uint8_t sealed[SEALED_SIZE];
	json_t *o;

	if (v->locked && seal(v->kek, v->dek, sealed))
		return err_set(err, -EIO, "the raft log's key cannot be sealed");
	b64 = v->locked ? base64_encode(sealed, sizeof(sealed))
			: base64_encode(v->dek, VAULT_KEY_SIZE);
	o = json_pack("{s:b, s:s}", "sealed", v->locked, "dek", b64);
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return file_write_atomic(path, text, strlen(text), 0600, err);
}

static EVP_PKEY *read_pem(const char *text, const char *pass)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)pass);

	BIO_free(bio);
	return key;
}

static char *write_pem(EVP_PKEY *key, const EVP_CIPHER *cipher, const char *pass)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *ret = NULL, *data;
	long size;

	if (PEM_write_bio_PKCS8PrivateKey(bio, key, cipher, pass, pass ? (int)strlen(pass) : 0,
					  NULL, NULL) == 1) {
		size = BIO_get_mem_data(bio, &data);
		ret = xstrndup(data, size);
	}
	BIO_free(bio);
	return ret;
}

static int recode(const char *from, const char *from_pass, const char *to_pass, char **ret)
{
	EVP_PKEY *key = read_pem(from, from_pass ? from_pass : "");

	if (!key)
		return -EACCES;
	*ret = write_pem(key, to_pass ? EVP_aes_256_cbc() : NULL, to_pass);
	EVP_PKEY_free(key);
	return *ret ? 0 : -EIO;
}

int vault_seal_pem(const struct vault *v, const char *pem, char **ret, struct err *err)
{
	char pass[2 * VAULT_KEY_SIZE + 1];

	if (!v->locked) {
		*ret = xstrdup(pem);
		return 0;
	}
	hex_encode(pass, v->kek, VAULT_KEY_SIZE);
	if (recode(pem, NULL, pass, ret))
		return err_set(err, -EIO, "the node's TLS key cannot be sealed");
	return 0;
}

int vault_open_pem(const uint8_t *kek, const char *text, char **ret, struct err *err)
{
	char pass[2 * VAULT_KEY_SIZE + 1];

	if (!strstr(text, "ENCRYPTED")) {
		*ret = xstrdup(text);
		return 0;
	}
	if (!kek)
		return err_set(err, -ENOKEY,
			       "the manager is locked: use \"docker swarm unlock\" to unlock it");
	hex_encode(pass, kek, VAULT_KEY_SIZE);
	if (recode(text, pass, NULL, ret))
		return err_set(err, -EACCES, "swarm could not be unlocked: invalid key provided");
	return 0;
}
