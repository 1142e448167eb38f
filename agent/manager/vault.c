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

int vault_choose_next(struct vault *v, struct err *err)
{
	if (v->has_next)
		return 0;
	if (RAND_bytes(v->next, sizeof(v->next)) != 1)
		return err_set(err, -EIO, "OpenSSL has no random bytes");
	v->has_next = true;
	return 0;
}

void vault_take_next(struct vault *v)
{
	memcpy(v->dek, v->next, sizeof(v->dek));
	OPENSSL_cleanse(v->next, sizeof(v->next));
	v->has_next = false;
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

static size_t stored_size(bool sealed)
{
	return sealed ? (size_t)SEALED_SIZE : (size_t)VAULT_KEY_SIZE;
}

/* A key as the file has it. False when it is none. */
static bool decode(json_t *value, bool sealed, uint8_t ret[SEALED_SIZE])
{
	const char *text = json_string_value(value);
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;

	data = text ? base64_decode(text, &size) : NULL;
	if (!data || size != stored_size(sealed))
		return false;
	memcpy(ret, data, size);
	return true;
}

struct stored {
	bool sealed, has_next;
	uint8_t dek[SEALED_SIZE], next[SEALED_SIZE];
};

static int load(const char *dir, struct stored *ret, struct err *err)
{
	_cleanup_free_ char *path = keys_path(dir);
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_t *o, *next;
	bool ok;
	int rc = file_read(path, 4096, &text, err);

	if (rc)
		return rc;
	o = json_loadb(text.data, text.len, 0, NULL);
	ret->sealed = json_is_true(json_object_get(o, "sealed"));
	next = json_object_get(o, "next");
	ret->has_next = next;
	ok = decode(json_object_get(o, "dek"), ret->sealed, ret->dek) &&
	     (!next || decode(next, ret->sealed, ret->next));
	json_decref(o);
	return ok ? 0 : err_set(err, -EINVAL, "%s is damaged", path);
}

bool vault_is_sealed(const char *dir)
{
	struct stored st;

	return !load(dir, &st, NULL) && st.sealed;
}

static int open_key(const uint8_t *kek, const uint8_t stored[SEALED_SIZE], uint8_t *key)
{
	if (kek)
		return unseal(kek, stored, key);
	memcpy(key, stored, VAULT_KEY_SIZE);
	return 0;
}

int vault_load(const char *dir, const uint8_t *kek, struct vault *ret, struct err *err)
{
	struct vault v = {0};
	struct stored st;
	int rc = load(dir, &st, err);

	if (rc)
		return rc;
	v.locked = st.sealed;
	v.has_next = st.has_next;
	if (v.locked && !kek)
		return err_set(err, -ENOKEY,
			       "the manager is locked: use \"docker swarm unlock\" to unlock it");
	if (open_key(v.locked ? kek : NULL, st.dek, v.dek) ||
	    (v.has_next && open_key(v.locked ? kek : NULL, st.next, v.next)))
		return err_set(err, -EACCES, "swarm could not be unlocked: invalid key provided");
	if (v.locked)
		memcpy(v.kek, kek, VAULT_KEY_SIZE);
	*ret = v;
	return 0;
}

/* The text of a key as the file has it, or NULL. */
static char *encode(const struct vault *v, const uint8_t *key)
{
	uint8_t sealed[SEALED_SIZE];

	if (!v->locked)
		return base64_encode(key, VAULT_KEY_SIZE);
	return seal(v->kek, key, sealed) ? NULL : base64_encode(sealed, sizeof(sealed));
}

int vault_save(const char *dir, const struct vault *v, struct err *err)
{
	_cleanup_free_ char *path = keys_path(dir), *dek = encode(v, v->dek), *next = NULL;
	_cleanup_free_ char *text = NULL;
	json_t *o;

	if (v->has_next)
		next = encode(v, v->next);
	if (!dek || (v->has_next && !next))
		return err_set(err, -EIO, "the raft log's key cannot be sealed");
	o = json_pack("{s:b, s:s, s:s*}", "sealed", v->locked, "dek", dek, "next", next);
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
