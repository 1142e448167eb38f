/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A seeded random generator (xoshiro256**, Blackman and Vigna 2018) for decisions that must
 * replay, and identifiers. Secrets (keys, tokens) come from OpenSSL, never from here.
 */
#pragma once

#include "core/util.h"

struct rng {
	uint64_t s[4];
};

/* The same seed gives the same sequence. */
void rng_seed(struct rng *r, uint64_t seed);
/* Seed from the kernel's getrandom(2). */
void rng_seed_os(struct rng *r);
uint64_t rng_u64(struct rng *r);
/* Uniform in [0, n); n > 0. */
uint64_t rng_below(struct rng *r, uint64_t n);
void rng_bytes(struct rng *r, void *p, size_t size);

#define ID_SIZE 26 /* a SwarmKit ID and its NUL */
#define HEX_ID_SIZE 65 /* a container, network or exec ID and its NUL */

/* A SwarmKit ID: 25 base36 digits: 17 random bytes, top bit set, in base36, first digit dropped
 * (swarmkit:identity/randomid.go). */
void id_new(struct rng *r, char dst[ID_SIZE]);
/* 64 lower-case hex digits. */
void id_new_hex(struct rng *r, char dst[HEX_ID_SIZE]);
/* Big-endian bytes as base36, left-padded with zeros to width digits; dst takes width + 1. */
void base36_encode(char *dst, size_t width, const uint8_t *src, size_t size);
