// SPDX-License-Identifier: Apache-2.0
/*
 * Linearizable reads without writing (Raft §6.4): the leader remembers its commit index, makes
 * sure by a round of heartbeats that it leads still, and the reader waits for that index.
 */
#include "raft/raft_impl.h"

enum { READS_MAX = 1024 };

static void put_u64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = v;
}

static uint64_t get_u64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

/* The name of a read among all members: who asks, and that member's name for it. */
static void name_read(uint8_t context[16], uint64_t id, uint64_t read)
{
	put_u64(context, id);
	put_u64(context + 8, read);
}

static void finish(struct raft *r, const struct raft_read_request *q, uint64_t index)
{
	struct raft_msg *m;

	if (q->from == r->opt.id) {
		raft_answer_read(r, get_u64(q->context + 8), index);
		return;
	}
	if (!index)
		return;
	m = raft_msg_new(RAFT_MSG_READ_INDEX_RESP, 1);
	m->to = q->from;
	m->index = index;
	m->entries[0] = raft_entry_new(RAFT_NORMAL, 0, 0, q->context, q->context_size);
	raft_send(r, m);
}

static void begin(struct raft *r, uint64_t from, const void *context, size_t size)
{
	struct raft_read_request q = {
		.from = from, .index = r->log.committed, .context_size = size};
	int self = raft_member_index(r, r->opt.id);

	memcpy(q.context, context, size);
	if (self >= 0)
		q.acks = 1ULL << self;
	if (raft_quorum(r) <= 1 && self >= 0) {
		finish(r, &q, q.index);
		return;
	}
	if (r->n_reads == READS_MAX) {
		finish(r, &q, 0);
		return;
	}
	r->reads = xrealloc(r->reads, (r->n_reads + 1) * sizeof(*r->reads));
	r->reads[r->n_reads++] = q;
	raft_broadcast_heartbeat(r, context, size);
}

void raft_recv_read(struct raft *r, const struct raft_msg *m)
{
	if (m->n_entries != 1 || !m->entries[0]->size || m->entries[0]->size > RAFT_CONTEXT_MAX)
		return;
	if (r->role != RAFT_LEADER) {
		struct raft_msg *f;

		if (!r->leader || m->from != r->opt.id)
			return;
		f = raft_msg_clone(m);
		f->to = r->leader;
		raft_send(r, f);
		return;
	}
	/* before it has committed in its term, a leader does not know what is committed */
	if (!raft_log_matches(&r->log, r->log.committed, r->term)) {
		if (r->n_early == READS_MAX)
			return;
		r->early_reads =
			xrealloc(r->early_reads, (r->n_early + 1) * sizeof(*r->early_reads));
		r->early_reads[r->n_early++] = raft_msg_clone(m);
		return;
	}
	begin(r, m->from, m->entries[0]->data, m->entries[0]->size);
}

int raft_read(struct raft *r, uint64_t read)
{
	uint8_t context[16];
	struct raft_msg *m;

	if (!r->leader)
		return -ENOTCONN;
	name_read(context, r->opt.id, read);
	m = raft_msg_new(RAFT_MSG_READ_INDEX, 1);
	m->from = r->opt.id;
	m->entries[0] = raft_entry_new(RAFT_NORMAL, 0, 0, context, sizeof(context));
	raft_recv_read(r, m);
	raft_msg_free(m);
	return 0;
}

void raft_recv_read_resp(struct raft *r, const struct raft_msg *m)
{
	if (m->n_entries != 1 || m->entries[0]->size != 16 ||
	    get_u64(m->entries[0]->data) != r->opt.id || !m->index)
		return;
	raft_answer_read(r, get_u64(m->entries[0]->data + 8), m->index);
}

void raft_read_ack(struct raft *r, const struct raft_msg *m)
{
	int who = raft_member_index(r, m->from);
	size_t i;

	for (i = 0; i < r->n_reads; i++) {
		if (r->reads[i].context_size == m->context_size &&
		    !memcmp(r->reads[i].context, m->context, m->context_size))
			break;
	}
	if (i == r->n_reads || who < 0)
		return;
	r->reads[i].acks |= 1ULL << who;
	if ((size_t)__builtin_popcountll(r->reads[i].acks) < raft_quorum(r))
		return;
	/* what was asked earlier is answered as well: it leads still */
	for (size_t j = 0; j <= i; j++)
		finish(r, &r->reads[j], r->reads[j].index);
	r->n_reads -= i + 1;
	memmove(r->reads, r->reads + i + 1, r->n_reads * sizeof(*r->reads));
}

void raft_read_release(struct raft *r)
{
	struct raft_msg **early = steal_ptr(r->early_reads);
	size_t n = r->n_early;

	r->n_early = 0;
	for (size_t i = 0; i < n; i++) {
		begin(r, early[i]->from, early[i]->entries[0]->data, early[i]->entries[0]->size);
		raft_msg_free(early[i]);
	}
	free(early);
}

void raft_read_reset(struct raft *r)
{
	size_t n = r->n_reads;

	r->n_reads = 0;
	for (size_t i = 0; i < n; i++) {
		if (r->reads[i].from == r->opt.id)
			finish(r, &r->reads[i], 0);
	}
	free(steal_ptr(r->reads));
	for (size_t i = 0; i < r->n_early; i++) {
		struct raft_msg *m = r->early_reads[i];

		if (m->from == r->opt.id)
			raft_answer_read(r, get_u64(m->entries[0]->data + 8), 0);
		raft_msg_free(m);
	}
	r->n_early = 0;
	free(steal_ptr(r->early_reads));
}
