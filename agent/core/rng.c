// SPDX-License-Identifier: Apache-2.0
#include "core/rng.h"

#include <sys/random.h>

static uint64_t rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

void rng_seed(struct rng *r, uint64_t seed)
{
	/* splitmix64, as the authors of xoshiro advise */
	for (int i = 0; i < 4; i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15ull;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ z >> 27) * 0x94d049bb133111ebull;
		r->s[i] = z ^ z >> 31;
	}
}

void rng_seed_os(struct rng *r)
{
	uint64_t seed;

	if (getrandom(r->s, sizeof(r->s), 0) == sizeof(r->s))
		return;
	seed = (uintptr_t)r ^ (uint64_t)getpid() << 32;
	rng_seed(r, seed);
}

uint64_t rng_u64(struct rng *r)
{
	uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
	uint64_t limit, v;

	assert(n);
	limit = UINT64_MAX - UINT64_MAX % n;
	do
		v = rng_u64(r);
	while (v >= limit);
	return v % n;
}

void rng_bytes(struct rng *r, void *p, size_t size)
{
	uint8_t *d = p;

	while (size) {
		uint64_t v = rng_u64(r);
		size_t n = min(size, sizeof(v));

		memcpy(d, &v, n);
		d += n;
		size -= n;
	}
}

void base36_encode(char *dst, size_t width, const uint8_t *src, size_t size)
{
	uint8_t num[64];

	assert(size <= sizeof(num));
	memcpy(num, src, size);
	for (size_t i = width; i-- > 0;) {
		unsigned int rem = 0;

		for (size_t j = 0; j < size; j++) {
			unsigned int v = rem << 8 | num[j];

			num[j] = v / 36;
			rem = v % 36;
		}
		dst[i] = rem < 10 ? '0' + rem : 'a' + rem - 10;
	}
	dst[width] = 0;
}

void id_new(struct rng *r, char dst[ID_SIZE])
{
	uint8_t raw[17];
	char digits[28];

	rng_bytes(r, raw, sizeof(raw));
	raw[0] |= 0x80;
	base36_encode(digits, 27, raw, sizeof(raw));
	memcpy(dst, digits + 1, ID_SIZE - 1);
	dst[ID_SIZE - 1] = 0;
}

void id_new_hex(struct rng *r, char dst[HEX_ID_SIZE])
{
	uint8_t raw[32];

	rng_bytes(r, raw, sizeof(raw));
	hex_encode(dst, raw, sizeof(raw));
}
