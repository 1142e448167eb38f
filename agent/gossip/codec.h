/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memberlist's messages as bytes. Pure; what is decoded points into the input.
 * Source: SWARM-WIRE §4; hashicorp/memberlist net.go, util.go.
 */
#pragma once

#include "gossip/msgpack.h"

enum ml_type {
	ML_PING = 0,
	ML_INDIRECT_PING = 1,
	ML_ACK = 2,
	ML_SUSPECT = 3,
	ML_ALIVE = 4,
	ML_DEAD = 5,
	ML_PUSH_PULL = 6,
	ML_COMPOUND = 7,
	ML_USER = 8,
	ML_COMPRESS = 9,
	ML_ENCRYPT = 10,
	ML_NACK = 11,
	ML_CRC = 12,
	ML_ERR = 13,
	/* maps without a type byte of their own */
	ML_NODE = 16, /* one node in a push-pull */
	ML_USER_HEADER = 17,
};

enum ml_state { ML_STATE_ALIVE, ML_STATE_SUSPECT, ML_STATE_DEAD, ML_STATE_LEFT };

enum {
	ML_MAX_PACKET = 64 << 10,
	ML_MAX_STREAM = 64 << 20,
	ML_MAX_NAME = 255,
	ML_MAX_META = 512,
	ML_COMPOUND_HEADER = 2, /* and two bytes for each part */
	ML_COMPOUND_MAX = 255,
};

/* Each type uses some of these (codec.c has the table); the others are zero. */
struct ml_msg {
	uint32_t type;
	struct slice addr, buf, error, from, meta, name, node, payload, source_addr, source_node,
		target, vsn;
	uint32_t algo, incarnation, join, nack, nodes, port, seq, source_port, state, user_msg_len,
		user_state_len;
};

static inline struct slice slice_str(const char *s)
{
	return (struct slice){(const uint8_t *)s, strlen(s)};
}

static inline bool slice_eq(struct slice a, const char *s)
{
	return a.len == strlen(s) && !memcmp(a.p, s, a.len);
}

/* Append the message with its type byte (those from 16 on have none). */
void ml_encode(const struct ml_msg *m, struct buf *ret);
/* A whole message with its type byte. -EBADMSG. Unknown fields are passed over. */
int ml_decode(const void *data, size_t size, struct ml_msg *ret);
/* The map of a message of this type, at *r, which moves behind it. */
int ml_decode_map(struct mp_reader *r, enum ml_type type, struct ml_msg *ret);

/* Compound: one packet of several messages, at most ML_COMPOUND_MAX, each under 64 KiB. */
void ml_compound(const struct slice *parts, size_t n, struct buf *ret);
/*
 * data is behind the type byte. Start with *pos 0: returns false at the end. Parts that are cut
 * off are left out, as memberlist does.
 */
bool ml_compound_next(const void *data, size_t size, size_t *pos, struct slice *ret);
/* The message inside a CRC envelope; data begins with the type byte. -EBADMSG. */
int ml_crc_open(const void *data, size_t size, struct slice *ret);
void ml_crc_seal(const void *data, size_t size, struct buf *ret);
/* A compress message around data, and back: at most max bytes. -EBADMSG, -EFBIG. */
void ml_compress(const void *data, size_t size, struct buf *ret);
int ml_decompress(const void *data, size_t size, size_t max, struct buf *ret);

/* A push-pull stream: header, nodes one by one, user state. */
void ml_push_pull(bool join, const struct ml_msg *nodes, size_t n, const void *user,
		  size_t user_size, struct buf *ret);
struct ml_push_pull {
	struct mp_reader r;
	uint32_t nodes; /* still to come */
	bool join;
	size_t user_size;
};
int ml_push_pull_open(const void *data, size_t size, struct ml_push_pull *ret);
/* 1: a node; 0: no more, and *ret_user is set; -EBADMSG. */
int ml_push_pull_next(struct ml_push_pull *pp, struct ml_msg *ret, struct slice *ret_user);
/* A stream of one user message. */
void ml_user_stream(const void *data, size_t size, struct buf *ret);
int ml_user_stream_open(const void *data, size_t size, struct slice *ret);
