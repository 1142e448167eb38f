// SPDX-License-Identifier: Apache-2.0
/* Entries, snapshots and messages: their memory and their form on the wire. */
#include "raft/raft_impl.h"
#include "wire/pb.h"
#include "wire/raftpb.pb-c.h"

struct raft_entry *raft_entry_new(enum raft_entry_type type, uint64_t term, uint64_t index,
				  const void *data, size_t size)
{
	struct raft_entry *e = xmalloc(sizeof(*e) + size);

	*e = (struct raft_entry){
		.index = index, .term = term, .refs = 1, .type = type, .size = size};
	if (size)
		memcpy(e->data, data, size);
	return e;
}

struct raft_entry *raft_entry_get(struct raft_entry *e)
{
	e->refs++;
	return e;
}

void raft_entry_put(struct raft_entry *e)
{
	if (e && !--e->refs)
		free(e);
}

struct raft_snapshot *raft_snapshot_new(uint64_t index, uint64_t term, const struct raft_conf *conf,
					void *data, size_t size)
{
	struct raft_snapshot *s = xmalloc(sizeof(*s));

	*s = (struct raft_snapshot){
		.index = index, .term = term, .conf = *conf, .refs = 1, .data = data, .size = size};
	return s;
}

struct raft_snapshot *raft_snapshot_get(struct raft_snapshot *s)
{
	s->refs++;
	return s;
}

void raft_snapshot_put(struct raft_snapshot *s)
{
	if (!s || --s->refs)
		return;
	free(s->data);
	free(s);
}

struct raft_msg *raft_msg_new(enum raft_msg_type type, size_t n_entries)
{
	struct raft_msg *m = xcalloc(1, sizeof(*m) + n_entries * sizeof(m->entries[0]));

	m->type = type;
	m->n_entries = n_entries;
	return m;
}

void raft_msg_free(struct raft_msg *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_entries; i++)
		raft_entry_put(m->entries[i]);
	raft_snapshot_put(m->snapshot);
	free(m);
}

struct raft_msg *raft_msg_clone(const struct raft_msg *m)
{
	size_t size = sizeof(*m) + m->n_entries * sizeof(m->entries[0]);
	struct raft_msg *c = xmalloc(size);

	memcpy(c, m, size);
	for (size_t i = 0; i < c->n_entries; i++)
		raft_entry_get(c->entries[i]);
	if (c->snapshot)
		raft_snapshot_get(c->snapshot);
	return c;
}

const char *raft_msg_name(enum raft_msg_type type)
{
	static const char *const names[] = {
		[RAFT_MSG_PROP] = "Prop",
		[RAFT_MSG_APP] = "App",
		[RAFT_MSG_APP_RESP] = "AppResp",
		[RAFT_MSG_VOTE] = "Vote",
		[RAFT_MSG_VOTE_RESP] = "VoteResp",
		[RAFT_MSG_SNAP] = "Snap",
		[RAFT_MSG_HEARTBEAT] = "Heartbeat",
		[RAFT_MSG_HEARTBEAT_RESP] = "HeartbeatResp",
		[RAFT_MSG_TRANSFER_LEADER] = "TransferLeader",
		[RAFT_MSG_TIMEOUT_NOW] = "TimeoutNow",
		[RAFT_MSG_READ_INDEX] = "ReadIndex",
		[RAFT_MSG_READ_INDEX_RESP] = "ReadIndexResp",
		[RAFT_MSG_PRE_VOTE] = "PreVote",
		[RAFT_MSG_PRE_VOTE_RESP] = "PreVoteResp",
	};

	return (size_t)type < ARRAY_SIZE(names) && names[type] ? names[type] : NULL;
}

/* The message and everything it consists of. */
struct whole {
	Raftpb__Message msg;
	Raftpb__Snapshot snap;
	Raftpb__SnapshotMetadata meta;
	Raftpb__ConfState conf;
	Raftpb__Entry *ptrs[]; /* the entries behind them */
};

#define SET(msg, field, value)                                                                     \
	do {                                                                                       \
		(msg)->has_##field = true;                                                         \
		(msg)->field = (value);                                                            \
	} while (0)

static void set_snapshot(struct whole *w, const struct raft_snapshot *s)
{
	raftpb__snapshot__init(&w->snap);
	raftpb__snapshot_metadata__init(&w->meta);
	raftpb__conf_state__init(&w->conf);
	w->conf.voters = (uint64_t *)s->conf.voters;
	w->conf.n_voters = s->conf.n;
	SET(&w->conf, auto_leave, false);
	w->meta.conf_state = &w->conf;
	SET(&w->meta, index, s->index);
	SET(&w->meta, term, s->term);
	w->snap.metadata = &w->meta;
	if (s->size)
		SET(&w->snap, data, ((ProtobufCBinaryData){s->size, s->data}));
	w->msg.snapshot = &w->snap;
}

/* etcd writes every scalar of proto2, zero or not; presence means nothing to its readers. */
struct Raftpb__Message *raft_msg_to_pb(const struct raft_msg *m)
{
	size_t n = m->n_entries;
	struct whole *w = xcalloc(1, sizeof(*w) + n * (sizeof(w->ptrs[0]) + sizeof(Raftpb__Entry)));
	Raftpb__Entry *ents = (Raftpb__Entry *)(w->ptrs + n);
	Raftpb__Message *pm = &w->msg;

	raftpb__message__init(pm);
	SET(pm, type, (Raftpb__MessageType)m->type);
	SET(pm, to, m->to);
	SET(pm, from, m->from);
	SET(pm, term, m->term);
	SET(pm, log_term, m->log_term);
	SET(pm, index, m->index);
	SET(pm, commit, m->commit);
	SET(pm, reject, m->reject);
	SET(pm, reject_hint, m->reject_hint);
	if (m->vote)
		SET(pm, vote, m->vote);
	if (m->context_size)
		SET(pm, context, ((ProtobufCBinaryData){m->context_size, (uint8_t *)m->context}));
	for (size_t i = 0; i < n; i++) {
		struct raft_entry *e = m->entries[i];

		raftpb__entry__init(&ents[i]);
		SET(&ents[i], type, (Raftpb__EntryType)e->type);
		SET(&ents[i], term, e->term);
		SET(&ents[i], index, e->index);
		if (e->size)
			SET(&ents[i], data, ((ProtobufCBinaryData){e->size, e->data}));
		w->ptrs[i] = &ents[i];
	}
	pm->entries = w->ptrs;
	pm->n_entries = n;
	if (m->snapshot)
		set_snapshot(w, m->snapshot);
	return pm;
}
#undef SET

void raft_msg_pack(const struct raft_msg *m, struct buf *ret)
{
	_cleanup_free_ Raftpb__Message *pm = raft_msg_to_pb(m);

	pb_pack(pm, ret);
}

static struct raft_snapshot *unpack_snapshot(const Raftpb__Snapshot *ps)
{
	const Raftpb__SnapshotMetadata *meta = ps->metadata;
	struct raft_conf conf = {0};

	if (!meta || !meta->index || !meta->term)
		return NULL;
	if (meta->conf_state) {
		const Raftpb__ConfState *cs = meta->conf_state;

		/* members that only learn or a change in two steps: SwarmKit has neither */
		if (cs->n_learners || cs->n_voters_outgoing || cs->n_learners_next)
			return NULL;
		for (size_t i = 0; i < cs->n_voters; i++) {
			if (!cs->voters[i] || !raft_conf_add(&conf, cs->voters[i]))
				return NULL;
		}
	}
	return raft_snapshot_new(meta->index, meta->term, &conf,
				 ps->data.len ? xmemdup(ps->data.data, ps->data.len) : NULL,
				 ps->data.len);
}

static bool unpack_entries(const Raftpb__Message *pm, struct raft_msg *m)
{
	for (size_t i = 0; i < pm->n_entries; i++) {
		const Raftpb__Entry *pe = pm->entries[i];

		if (pe->has_type &&
		    (pe->type < 0 || pe->type > RAFTPB__ENTRY_TYPE__ENTRY_CONF_CHANGE_V2))
			return false;
		m->entries[i] = raft_entry_new((enum raft_entry_type)pe->type, pe->term, pe->index,
					       pe->data.data, pe->data.len);
		if (m->type != RAFT_MSG_APP)
			continue;
		if (pe->index != m->index + 1 + i || pe->index <= m->index || pe->term > m->term ||
		    pe->term < (i ? m->entries[i - 1]->term : m->log_term))
			return false;
	}
	return true;
}

struct raft_msg *raft_msg_from_pb(const struct Raftpb__Message *pm)
{
	struct raft_msg *m;

	if (!pm->has_type || pm->type < 0 || !raft_msg_name((enum raft_msg_type)pm->type) ||
	    pm->context.len > RAFT_CONTEXT_MAX)
		return NULL;
	m = raft_msg_new((enum raft_msg_type)pm->type, pm->n_entries);
	m->to = pm->to;
	m->from = pm->from;
	m->term = pm->term;
	m->log_term = pm->log_term;
	m->index = pm->index;
	m->commit = pm->commit;
	m->vote = pm->vote;
	m->reject = pm->reject;
	m->reject_hint = pm->reject_hint;
	m->context_size = pm->context.len;
	if (pm->context.len)
		memcpy(m->context, pm->context.data, pm->context.len);
	if (pm->snapshot && m->type == RAFT_MSG_SNAP)
		m->snapshot = unpack_snapshot(pm->snapshot);
	/* every message between members names its sender and, but for forwarded ones, its term */
	if (!m->from || (m->type == RAFT_MSG_SNAP && !m->snapshot) || !unpack_entries(pm, m)) {
		raft_msg_free(m);
		return NULL;
	}
	return m;
}

struct raft_msg *raft_msg_unpack(const void *data, size_t size)
{
	_cleanup_pb_ Raftpb__Message *pm = pb_unpack(raftpb__message, data, size);

	return pm ? raft_msg_from_pb(pm) : NULL;
}
