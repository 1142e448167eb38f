// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>

#include <openssl/rand.h>
#include <openssl/sha.h>

#include "core/rng.h"
#include "manager/ca.h"

#define DIGEST_DIGITS 50 /* SHA-256 in base36 */
#define SECRET_DIGITS 25 /* 16 bytes in base36 */
#define UNLOCK_PREFIX "SWMKEY-1-"

void ca_token_digest(const void *roots, size_t size, char ret[51])
{
	uint8_t sum[SHA256_DIGEST_LENGTH];

	SHA256(roots, size, sum);
	base36_encode(ret, DIGEST_DIGITS, sum, sizeof(sum));
}

int ca_token_new(const char *roots, char ret[CA_TOKEN_SIZE], struct err *err)
{
	char digest[DIGEST_DIGITS + 1], secret[SECRET_DIGITS + 1];
	uint8_t raw[16];

	if (RAND_bytes(raw, sizeof(raw)) != 1)
		return err_set(err, -EIO, "no randomness for a join token");
	ca_token_digest(roots, strlen(roots), digest);
	base36_encode(secret, SECRET_DIGITS, raw, sizeof(raw));
	snprintf(ret, CA_TOKEN_SIZE, "SWMTKN-1-%s-%s", digest, secret);
	return 0;
}

static bool base36_digits(const char *s, size_t n)
{
	return strspn(s, "0123456789abcdefghijklmnopqrstuvwxyz") >= n;
}

int ca_token_check(const char *token, char ret_digest[51], struct err *err)
{
	const char *p = token;

	if (starts_with(p, "SWMTKN-2-1-"))
		p += strlen("SWMTKN-2-1-");
	else if (starts_with(p, "SWMTKN-1-"))
		p += strlen("SWMTKN-1-");
	else
		return err_set(err, -EINVAL, "invalid join token");
	if (strlen(p) != DIGEST_DIGITS + 1 + SECRET_DIGITS || p[DIGEST_DIGITS] != '-' ||
	    !base36_digits(p, DIGEST_DIGITS) ||
	    !base36_digits(p + DIGEST_DIGITS + 1, SECRET_DIGITS))
		return err_set(err, -EINVAL, "invalid join token");
	if (ret_digest) {
		memcpy(ret_digest, p, DIGEST_DIGITS);
		ret_digest[DIGEST_DIGITS] = 0;
	}
	return 0;
}

int ca_unlock_key_new(uint8_t ret_key[32], struct err *err)
{
	if (RAND_bytes(ret_key, 32) != 1)
		return err_set(err, -EIO, "no randomness for an unlock key");
	return 0;
}

void ca_unlock_key_text(const uint8_t key[32], char ret[64])
{
	_cleanup_free_ char *b64 = base64_encode(key, 32);

	snprintf(ret, 64, UNLOCK_PREFIX "%.*s", (int)strcspn(b64, "="), b64);
}

int ca_unlock_key_parse(const char *text, uint8_t ret_key[32], struct err *err)
{
	_cleanup_free_ void *raw = NULL;
	size_t size;

	if (starts_with(text, UNLOCK_PREFIX))
		raw = base64_decode(text + strlen(UNLOCK_PREFIX), &size);
	if (!raw || size != 32)
		return err_set(err, -EINVAL, "invalid key string");
	memcpy(ret_key, raw, 32);
	return 0;
}
