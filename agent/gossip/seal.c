// SPDX-License-Identifier: Apache-2.0
#include "gossip/seal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "gossip/codec.h"

enum { MAX_KEYS = 8, BLOCK = 16 };

struct keyring {
	struct {
		uint8_t key[32];
		size_t size;
	} keys[MAX_KEYS];
	size_t n;
	EVP_CIPHER_CTX *ctx;
};

struct keyring *keyring_new(void)
{
	struct keyring *k = xcalloc(1, sizeof(*k));

	k->ctx = EVP_CIPHER_CTX_new();
	return k;
}

void keyring_free(struct keyring *k)
{
	if (!k)
		return;
	OPENSSL_cleanse(k->keys, sizeof(k->keys));
	EVP_CIPHER_CTX_free(k->ctx);
	free(k);
}

static const EVP_CIPHER *cipher_of(size_t size)
{
	return size == 16   ? EVP_aes_128_gcm()
	       : size == 24 ? EVP_aes_192_gcm()
	       : size == 32 ? EVP_aes_256_gcm()
			    : NULL;
}

int keyring_set(struct keyring *k, const uint8_t *const *keys, const size_t *sizes, size_t n)
{
	if (n > MAX_KEYS)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!cipher_of(sizes[i]))
			return -EINVAL;
	OPENSSL_cleanse(k->keys, sizeof(k->keys));
	for (size_t i = 0; i < n; i++) {
		memcpy(k->keys[i].key, keys[i], sizes[i]);
		k->keys[i].size = sizes[i];
	}
	k->n = n;
	return 0;
}

bool keyring_empty(const struct keyring *k)
{
	return !k->n;
}

static int seal(const struct keyring *k, const uint8_t *nonce, const void *aad, size_t aad_size,
		const void *data, size_t size, struct buf *ret)
{
	uint8_t tag[SEAL_TAG], *out;
	int n = 0;

	if (!k->n)
		return -ENOKEY;
	buf_char(ret, 1);
	buf_add(ret, nonce, SEAL_NONCE);
	buf_grow(ret, size + SEAL_TAG);
	out = (uint8_t *)ret->data + ret->len;
	if (!EVP_EncryptInit_ex(k->ctx, cipher_of(k->keys[0].size), NULL, k->keys[0].key, nonce) ||
	    (aad_size && !EVP_EncryptUpdate(k->ctx, NULL, &n, aad, aad_size)) ||
	    !EVP_EncryptUpdate(k->ctx, out, &n, data, size) ||
	    !EVP_EncryptFinal_ex(k->ctx, out + n, &n) ||
	    !EVP_CIPHER_CTX_ctrl(k->ctx, EVP_CTRL_GCM_GET_TAG, SEAL_TAG, tag))
		return -EIO;
	ret->len += size;
	buf_add(ret, tag, SEAL_TAG);
	return 0;
}

/* One key's try; out takes size bytes. */
static bool opens(const struct keyring *k, size_t i, const uint8_t *nonce, const void *aad,
		  size_t aad_size, const uint8_t *ct, size_t size, uint8_t *out)
{
	uint8_t tag[SEAL_TAG];
	int n;

	memcpy(tag, ct + size, SEAL_TAG);
	return EVP_DecryptInit_ex(k->ctx, cipher_of(k->keys[i].size), NULL, k->keys[i].key,
				  nonce) &&
	       (!aad_size || EVP_DecryptUpdate(k->ctx, NULL, &n, aad, aad_size)) &&
	       EVP_DecryptUpdate(k->ctx, out, &n, ct, size) &&
	       EVP_CIPHER_CTX_ctrl(k->ctx, EVP_CTRL_GCM_SET_TAG, SEAL_TAG, tag) &&
	       EVP_DecryptFinal_ex(k->ctx, out + n, &n) > 0;
}

static int open_sealed(const struct keyring *k, const void *aad, size_t aad_size, const uint8_t *p,
		       size_t size, struct buf *ret)
{
	size_t text;

	if (size < SEAL_OVERHEAD || p[0] > 1)
		return -EBADMSG;
	text = size - SEAL_OVERHEAD;
	buf_grow(ret, text + 1);
	for (size_t i = 0; i < k->n; i++) {
		uint8_t *out = (uint8_t *)ret->data + ret->len, pad;

		if (!opens(k, i, p + 1, aad, aad_size, p + 1 + SEAL_NONCE, text, out))
			continue;
		if (p[0] == 0) { /* PKCS#7 */
			pad = text ? out[text - 1] : 0;
			if (!pad || pad > BLOCK || pad > text)
				return -EBADMSG;
			text -= pad;
		}
		ret->len += text;
		ret->data[ret->len] = 0;
		return 0;
	}
	ret->data[ret->len] = 0;
	return -EBADMSG;
}

int seal_packet(const struct keyring *k, const uint8_t nonce[SEAL_NONCE], const void *data,
		size_t size, struct buf *ret)
{
	return seal(k, nonce, NULL, 0, data, size, ret);
}

int open_packet(const struct keyring *k, const void *data, size_t size, struct buf *ret)
{
	return open_sealed(k, NULL, 0, data, size, ret);
}

int seal_stream(const struct keyring *k, const uint8_t nonce[SEAL_NONCE], const void *data,
		size_t size, struct buf *ret)
{
	size_t len = size + SEAL_OVERHEAD;
	uint8_t head[SEAL_STREAM_HEAD] = {ML_ENCRYPT, len >> 24, len >> 16, len >> 8, len};

	buf_add(ret, head, sizeof(head));
	return seal(k, nonce, head, sizeof(head), data, size, ret);
}

int64_t stream_size(const uint8_t head[SEAL_STREAM_HEAD], size_t max)
{
	uint32_t len = (uint32_t)head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4];

	if (head[0] != ML_ENCRYPT || len > max || len < SEAL_OVERHEAD)
		return -EBADMSG;
	return SEAL_STREAM_HEAD + (int64_t)len;
}

int open_stream(const struct keyring *k, const void *data, size_t size, struct buf *ret)
{
	const uint8_t *p = data;

	if (size < SEAL_STREAM_HEAD || stream_size(p, size) != (int64_t)size)
		return -EBADMSG;
	return open_sealed(k, p, SEAL_STREAM_HEAD, p + SEAL_STREAM_HEAD, size - SEAL_STREAM_HEAD,
			   ret);
}
