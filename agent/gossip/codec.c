// SPDX-License-Identifier: Apache-2.0
#include "gossip/codec.h"

#include <errno.h>
#include <zlib.h>

#include "gossip/lzw.h"

enum kind { NUMBER, SIGNED, BOOL, BYTES, OPT_BYTES, OPT_NUMBER };

#define T(type) (1u << ML_##type)
#define F(name) offsetof(struct ml_msg, name)

/* Go's field names, in the order in which it writes them. */
static const struct field {
	const char *key;
	enum kind kind;
	size_t offset;
	uint32_t types;
} fields[] = {
	{"Addr", BYTES, F(addr), T(ALIVE) | T(NODE)},
	{"Algo", NUMBER, F(algo), T(COMPRESS)},
	{"Buf", BYTES, F(buf), T(COMPRESS)},
	{"Error", BYTES, F(error), T(ERR)},
	{"From", BYTES, F(from), T(SUSPECT) | T(DEAD)},
	{"Incarnation", NUMBER, F(incarnation), T(SUSPECT) | T(DEAD) | T(ALIVE) | T(NODE)},
	{"Join", BOOL, F(join), T(PUSH_PULL)},
	{"Meta", BYTES, F(meta), T(ALIVE) | T(NODE)},
	{"Nack", BOOL, F(nack), T(INDIRECT_PING)},
	{"Name", BYTES, F(name), T(NODE)},
	{"Node", BYTES, F(node), T(PING) | T(INDIRECT_PING) | T(SUSPECT) | T(DEAD) | T(ALIVE)},
	{"Nodes", SIGNED, F(nodes), T(PUSH_PULL)},
	{"Payload", BYTES, F(payload), T(ACK)},
	{"Port", NUMBER, F(port), T(INDIRECT_PING) | T(ALIVE) | T(NODE)},
	{"SeqNo", NUMBER, F(seq), T(PING) | T(INDIRECT_PING) | T(ACK) | T(NACK)},
	{"SourceAddr", OPT_BYTES, F(source_addr), T(PING) | T(INDIRECT_PING)},
	{"SourceNode", OPT_BYTES, F(source_node), T(PING) | T(INDIRECT_PING)},
	{"SourcePort", OPT_NUMBER, F(source_port), T(PING) | T(INDIRECT_PING)},
	{"State", SIGNED, F(state), T(NODE)},
	{"Target", BYTES, F(target), T(INDIRECT_PING)},
	{"UserMsgLen", SIGNED, F(user_msg_len), T(USER_HEADER)},
	{"UserStateLen", SIGNED, F(user_state_len), T(PUSH_PULL)},
	{"Vsn", BYTES, F(vsn), T(ALIVE) | T(NODE)},
};

static const struct slice *bytes_of(const struct ml_msg *m, const struct field *f)
{
	return (const struct slice *)((const char *)m + f->offset);
}

static uint32_t number_of(const struct ml_msg *m, const struct field *f)
{
	return *(const uint32_t *)((const char *)m + f->offset);
}

static bool present(const struct ml_msg *m, const struct field *f)
{
	if (!(f->types & (1u << m->type)))
		return false;
	if (f->kind == OPT_BYTES)
		return bytes_of(m, f)->len;
	return f->kind != OPT_NUMBER || number_of(m, f);
}

void ml_encode(const struct ml_msg *m, struct buf *ret)
{
	size_t n = 0;

	if (m->type < ML_NODE)
		buf_char(ret, m->type);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		n += present(m, &fields[i]);
	mp_put_map(ret, n);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct field *f = &fields[i];

		if (!present(m, f))
			continue;
		mp_put_raw(ret, f->key, strlen(f->key));
		if (f->kind == BYTES || f->kind == OPT_BYTES)
			mp_put_raw(ret, bytes_of(m, f)->p, bytes_of(m, f)->len);
		else if (f->kind == BOOL)
			mp_put_bool(ret, number_of(m, f));
		else if (f->kind == SIGNED)
			mp_put_int(ret, number_of(m, f));
		else
			mp_put_uint(ret, number_of(m, f));
	}
}

static const struct field *find_field(struct slice key, enum ml_type type)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].types & (1u << type) && slice_eq(key, fields[i].key))
			return &fields[i];
	return NULL;
}

static int read_field(struct mp_reader *r, const struct field *f, struct ml_msg *m)
{
	struct mp_item it;
	int rc = mp_next(r, &it);

	if (rc || it.kind == MP_NIL)
		return rc;
	if (f->kind == BYTES || f->kind == OPT_BYTES) {
		if (it.kind != MP_RAW)
			return -EBADMSG;
		*(struct slice *)((char *)m + f->offset) = it.raw;
		return 0;
	}
	if ((it.kind != MP_UINT && it.kind != MP_BOOL) || it.v > UINT32_MAX)
		return -EBADMSG;
	*(uint32_t *)((char *)m + f->offset) = it.v;
	return 0;
}

int ml_decode_map(struct mp_reader *r, enum ml_type type, struct ml_msg *ret)
{
	struct mp_item map, key;
	int rc = mp_next(r, &map);

	*ret = (struct ml_msg){.type = type};
	/* what is absent is empty, and still points somewhere */
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].kind == BYTES || fields[i].kind == OPT_BYTES)
			((struct slice *)((char *)ret + fields[i].offset))->p = (const uint8_t *)"";
	if (rc || map.kind != MP_MAP)
		return -EBADMSG;
	for (uint64_t i = 0; i < map.v; i++) {
		const struct field *f;

		rc = mp_next(r, &key);
		if (rc || key.kind != MP_RAW)
			return -EBADMSG;
		f = find_field(key.raw, type);
		rc = f ? read_field(r, f, ret) : mp_skip(r);
		if (rc)
			return rc;
	}
	if (ret->name.len > ML_MAX_NAME || ret->node.len > ML_MAX_NAME ||
	    ret->from.len > ML_MAX_NAME || ret->meta.len > ML_MAX_META || ret->port > UINT16_MAX ||
	    ret->source_port > UINT16_MAX)
		return -EBADMSG;
	return 0;
}

int ml_decode(const void *data, size_t size, struct ml_msg *ret)
{
	const uint8_t *p = data;
	struct mp_reader r = {p + 1, p + size};

	if (!size || p[0] >= ML_NODE)
		return -EBADMSG;
	return ml_decode_map(&r, p[0], ret);
}

void ml_compound(const struct slice *parts, size_t n, struct buf *ret)
{
	assert(n <= ML_COMPOUND_MAX);
	buf_char(ret, ML_COMPOUND);
	buf_char(ret, n);
	for (size_t i = 0; i < n; i++) {
		buf_char(ret, parts[i].len >> 8);
		buf_char(ret, parts[i].len);
	}
	for (size_t i = 0; i < n; i++)
		buf_add(ret, parts[i].p, parts[i].len);
}

bool ml_compound_next(const void *data, size_t size, size_t *pos, struct slice *ret)
{
	const uint8_t *p = data;
	size_t n = size ? p[0] : 0, at = 1 + 2 * n, len = 0;

	if (*pos >= n || at > size)
		return false;
	/* the lengths before this one: a packet is short */
	for (size_t i = 0; i <= *pos; i++) {
		at += len;
		len = p[1 + 2 * i] << 8 | p[2 + 2 * i];
	}
	if (at + len > size)
		return false;
	++*pos;
	*ret = (struct slice){p + at, len};
	return true;
}

static uint32_t crc_of(const void *data, size_t size)
{
	return crc32(0, data, size);
}

int ml_crc_open(const void *data, size_t size, struct slice *ret)
{
	const uint8_t *p = data;

	if (size < 5 ||
	    ((uint32_t)p[1] << 24 | p[2] << 16 | p[3] << 8 | p[4]) != crc_of(p + 5, size - 5))
		return -EBADMSG;
	*ret = (struct slice){p + 5, size - 5};
	return 0;
}

void ml_crc_seal(const void *data, size_t size, struct buf *ret)
{
	uint32_t crc = crc_of(data, size);

	buf_char(ret, ML_CRC);
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_char(ret, crc >> shift);
	buf_add(ret, data, size);
}

void ml_compress(const void *data, size_t size, struct buf *ret)
{
	_cleanup_buf_ struct buf packed = BUF_INIT;
	struct ml_msg m = {.type = ML_COMPRESS};

	lzw_compress(data, size, &packed);
	m.buf = (struct slice){(const uint8_t *)packed.data, packed.len};
	ml_encode(&m, ret);
}

int ml_decompress(const void *data, size_t size, size_t max, struct buf *ret)
{
	struct ml_msg m;
	int rc = ml_decode(data, size, &m);

	if (rc)
		return rc;
	return m.algo ? -EBADMSG : lzw_expand(m.buf.p, m.buf.len, max, ret);
}

void ml_push_pull(bool join, const struct ml_msg *nodes, size_t n, const void *user,
		  size_t user_size, struct buf *ret)
{
	struct ml_msg head = {
		.type = ML_PUSH_PULL, .join = join, .nodes = n, .user_state_len = user_size};

	ml_encode(&head, ret);
	for (size_t i = 0; i < n; i++)
		ml_encode(&nodes[i], ret);
	buf_add(ret, user, user_size);
}

int ml_push_pull_open(const void *data, size_t size, struct ml_push_pull *ret)
{
	const uint8_t *p = data;
	struct ml_msg head;
	int rc;

	if (!size || p[0] != ML_PUSH_PULL)
		return -EBADMSG;
	*ret = (struct ml_push_pull){.r = {p + 1, p + size}};
	rc = ml_decode_map(&ret->r, ML_PUSH_PULL, &head);
	ret->join = head.join;
	ret->nodes = head.nodes;
	ret->user_size = head.user_state_len;
	return rc;
}

int ml_push_pull_next(struct ml_push_pull *pp, struct ml_msg *ret, struct slice *ret_user)
{
	int rc;

	if (!pp->nodes) {
		if ((size_t)(pp->r.end - pp->r.p) < pp->user_size)
			return -EBADMSG;
		*ret_user = (struct slice){pp->r.p, pp->user_size};
		return 0;
	}
	rc = ml_decode_map(&pp->r, ML_NODE, ret);
	if (rc)
		return rc;
	pp->nodes--;
	return 1;
}

void ml_user_stream(const void *data, size_t size, struct buf *ret)
{
	struct ml_msg head = {.type = ML_USER_HEADER, .user_msg_len = size};

	buf_char(ret, ML_USER);
	ml_encode(&head, ret);
	buf_add(ret, data, size);
}

int ml_user_stream_open(const void *data, size_t size, struct slice *ret)
{
	const uint8_t *p = data;
	struct mp_reader r = {p + 1, p + size};
	struct ml_msg head;
	int rc;

	if (!size || p[0] != ML_USER)
		return -EBADMSG;
	rc = ml_decode_map(&r, ML_USER_HEADER, &head);
	if (rc)
		return rc;
	if ((size_t)(r.end - r.p) < head.user_msg_len)
		return -EBADMSG;
	*ret = (struct slice){r.p, head.user_msg_len};
	return 0;
}
