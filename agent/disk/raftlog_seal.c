// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "disk/raftlog_impl.h"

static void ctx_freep(EVP_CIPHER_CTX **p)
{
	EVP_CIPHER_CTX_free(*p);
}

int seal(const uint8_t key[32], const void *name, size_t name_size, const void *data, size_t size,
	 struct buf *ret)
{
	_cleanup_(ctx_freep) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t *p;
	int n;

	if (size > INT32_MAX)
		return -EIO;
	buf_grow(ret, size + SEAL_OVERHEAD);
	p = (uint8_t *)ret->data + ret->len;
	*p = SEAL_VERSION;
	if (!c || RAND_bytes(p + 1, SEAL_NONCE) != 1 ||
	    !EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, p + 1) ||
	    !EVP_EncryptUpdate(c, NULL, &n, name, name_size) ||
	    !EVP_EncryptUpdate(c, p + 1 + SEAL_NONCE, &n, data, size) ||
	    !EVP_EncryptFinal_ex(c, p + 1 + SEAL_NONCE + n, &n) ||
	    !EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, SEAL_TAG, p + 1 + SEAL_NONCE + size))
		return -EIO;
	ret->len += size + SEAL_OVERHEAD;
	ret->data[ret->len] = 0;
	return 0;
}

int unseal(const uint8_t key[32], const void *name, size_t name_size, const void *sealed,
	   size_t size, struct buf *ret)
{
	_cleanup_(ctx_freep) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	const uint8_t *p = sealed;
	size_t plain = size - SEAL_OVERHEAD;
	uint8_t *out;
	int n;

	if (size < SEAL_OVERHEAD || plain > INT32_MAX || *p != SEAL_VERSION)
		return -EBADMSG;
	buf_grow(ret, plain);
	out = (uint8_t *)ret->data + ret->len;
	if (!c || !EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, p + 1) ||
	    !EVP_DecryptUpdate(c, NULL, &n, name, name_size) ||
	    !EVP_DecryptUpdate(c, out, &n, p + 1 + SEAL_NONCE, plain) ||
	    !EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, SEAL_TAG,
				 (void *)(p + 1 + SEAL_NONCE + plain)) ||
	    EVP_DecryptFinal_ex(c, out + n, &n) <= 0) {
		if (ret->alloc)
			ret->data[ret->len] = 0;
		return -EBADMSG;
	}
	ret->len += plain;
	if (ret->alloc)
		ret->data[ret->len] = 0;
	return 0;
}
