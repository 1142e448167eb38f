/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raft as etcd speaks it: one member as a function of events. Pure: no clock, no I/O; time is
 * RAFT_TICK, chance is the caller's struct rng, so a run replays from its seed.
 *
 * Order contract. Each raft_step() returns an update, which the caller carries out like this:
 *   1. send ->msgs at once (they promise nothing that is not durable);
 *   2. if ->persist: write ->snapshot, ->entries (they replace everything from the first one's
 *      index on) and ->hard in one durable write, then give RAFT_PERSISTED. No second write is
 *      asked for before that; messages that promise durability come with the next update then;
 *   3. if ->restore: replace the state machine's state by it;
 *   4. apply ->apply in order. Only what is committed and durable here comes. Membership entries
 *      have taken effect within raft already;
 *   5. answer ->reads once the state machine has applied up to their index (4. did that or will).
 * Events may be given while a write is under way; what they add goes into the next write.
 *
 * What comes from a peer is checked: a message that breaks the protocol's rules is dropped.
 *
 * Sources: Ongaro, "Consensus: Bridging Theory and Practice" (cited as Raft §); etcd-io/raft
 * raft.go, log.go, tracker/ (the names of messages and states are its); SWARM-WIRE §3.
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"
#include "core/rng.h"

struct raft;

/* --- entries: immutable, counted, one thread --- */

enum raft_entry_type { RAFT_NORMAL, RAFT_CONF_CHANGE, RAFT_CONF_CHANGE_V2 };

struct raft_entry {
	uint64_t index, term;
	uint32_t refs;
	uint8_t type;
	size_t size;
	uint8_t data[];
};

/* A new entry with one reference. Index and term of a proposal are set by raft. */
struct raft_entry *raft_entry_new(enum raft_entry_type type, uint64_t term, uint64_t index,
				  const void *data, size_t size);
struct raft_entry *raft_entry_get(struct raft_entry *e);
/* NULL is fine. */
void raft_entry_put(struct raft_entry *e);

/* --- membership --- */

enum { RAFT_MEMBERS_MAX = 63 };

/* The members that vote, sorted. */
struct raft_conf {
	uint64_t voters[RAFT_MEMBERS_MAX];
	size_t n;
};

enum raft_change_type { RAFT_ADD, RAFT_REMOVE, RAFT_UPDATE, RAFT_ADD_LEARNER };

/* What an entry of type RAFT_CONF_CHANGE holds: raftpb.ConfChange. */
struct raft_change {
	enum raft_change_type type;
	uint64_t id; /* of the proposal */
	uint64_t member;
	const void *context; /* a RaftMember, marshalled */
	size_t context_size;
};

void raft_change_pack(const struct raft_change *c, struct buf *ret);
/* context points into data. Returns 0 or -EBADMSG. */
int raft_change_unpack(const void *data, size_t size, struct raft_change *ret);

bool raft_conf_has(const struct raft_conf *conf, uint64_t id);
/* False when there is no room. Adding a member that is there is fine. */
bool raft_conf_add(struct raft_conf *conf, uint64_t id);
void raft_conf_del(struct raft_conf *conf, uint64_t id);

/* --- snapshots: immutable, counted, one thread --- */

struct raft_snapshot {
	uint64_t index, term;
	struct raft_conf conf;
	uint32_t refs;
	uint8_t *data; /* owned; NULL in what raft sends: the caller adds the data */
	size_t size;
};

/* data is stolen (malloc'd, may be NULL). */
struct raft_snapshot *raft_snapshot_new(uint64_t index, uint64_t term, const struct raft_conf *conf,
					void *data, size_t size);
struct raft_snapshot *raft_snapshot_get(struct raft_snapshot *s);
void raft_snapshot_put(struct raft_snapshot *s);

/* --- messages --- */

enum raft_msg_type { /* raftpb.MessageType; the missing numbers never cross the wire */
		     RAFT_MSG_PROP = 2,
		     RAFT_MSG_APP = 3,
		     RAFT_MSG_APP_RESP = 4,
		     RAFT_MSG_VOTE = 5,
		     RAFT_MSG_VOTE_RESP = 6,
		     RAFT_MSG_SNAP = 7,
		     RAFT_MSG_HEARTBEAT = 8,
		     RAFT_MSG_HEARTBEAT_RESP = 9,
		     RAFT_MSG_TRANSFER_LEADER = 13,
		     RAFT_MSG_TIMEOUT_NOW = 14,
		     RAFT_MSG_READ_INDEX = 15,
		     RAFT_MSG_READ_INDEX_RESP = 16,
		     RAFT_MSG_PRE_VOTE = 17,
		     RAFT_MSG_PRE_VOTE_RESP = 18,
};

enum { RAFT_CONTEXT_MAX = 32 };

struct raft_msg {
	enum raft_msg_type type;
	bool reject;
	uint8_t context_size;
	uint8_t context[RAFT_CONTEXT_MAX]; /* "CampaignTransfer", or a read's name */
	uint64_t to, from, term, log_term, index, commit, vote, reject_hint;
	struct raft_snapshot *snapshot; /* owned reference, or NULL */
	size_t n_entries;
	struct raft_entry *entries[]; /* owned references */
};

struct raft_msg *raft_msg_new(enum raft_msg_type type, size_t n_entries);
/* NULL is fine. */
void raft_msg_free(struct raft_msg *m);
struct raft_msg *raft_msg_clone(const struct raft_msg *m);
const char *raft_msg_name(enum raft_msg_type type);

struct Raftpb__Message;
/*
 * As raftpb.Message, in one piece of memory (free()) that points into m: its entries' and its
 * snapshot's data.
 */
struct Raftpb__Message *raft_msg_to_pb(const struct raft_msg *m);
/*
 * NULL when it is no message raft takes from others: other types, entries that do not follow one
 * another, too many members, a context that is too long.
 */
struct raft_msg *raft_msg_from_pb(const struct Raftpb__Message *pm);
/* The same packed; pack appends. */
void raft_msg_pack(const struct raft_msg *m, struct buf *ret);
struct raft_msg *raft_msg_unpack(const void *data, size_t size);

/* --- a member --- */

struct raft_hard_state {
	uint64_t term, vote, commit;
};

struct raft_options {
	uint64_t id; /* not 0 */
	/* a follower waits this long to twice as long, and longer where beats come late */
	uint32_t election_ticks;
	uint32_t heartbeat_ticks;
	bool pre_vote, check_quorum;
	size_t max_msg_size; /* of the entries of one message; one entry always fits */
	uint32_t max_inflight; /* messages to one member that are not acknowledged */
	struct rng *rng; /* borrowed for the member's life */
};

/* What the disk holds. All borrowed during raft_new(). */
struct raft_stored {
	struct raft_hard_state hard;
	const struct raft_snapshot *snapshot; /* metadata counts only; NULL: none */
	/* follow one another; the first one's index is at most snapshot's + 1 */
	struct raft_entry *const *entries;
	size_t n_entries;
	uint64_t base_term; /* of the index before the first entry, when that is no snapshot's */
};

/*
 * A member as it was when its state was written. The state machine has the snapshot's state;
 * entries from there to the commit index come with the first update. -EBADMSG when the stored
 * state contradicts itself.
 */
int raft_new(const struct raft_options *opt, const struct raft_stored *stored, struct raft **ret,
	     struct err *err);
/* NULL is fine. */
void raft_free(struct raft *r);
/* From the next timeout on. */
void raft_set_timing(struct raft *r, uint32_t election_ticks, uint32_t heartbeat_ticks);

enum raft_event_type {
	RAFT_TICK, /* late: by how many ticks more than one it comes after the last one */
	RAFT_RECV, /* msg (borrowed) came from a peer */
	/*
	 * entries: their references are taken. -ENOTCONN when not leading; -EBUSY while the
	 * leadership is handed on, which ends within an election timeout.
	 */
	RAFT_PROPOSE,
	RAFT_PERSISTED, /* the write that the last ->persist asked for is durable */
	RAFT_READ, /* read: a name for ->reads; -ENOTCONN without a leader */
	RAFT_CAMPAIGN, /* do not wait for the timeout */
	RAFT_TRANSFER, /* hand the leadership to member */
	RAFT_UNREACHABLE, /* a message to member was lost */
	/* The connection from the leader, member, broke: campaign soon unless it is heard again. */
	RAFT_LOST,
	RAFT_SNAPSHOT_SENT, /* to member; failed: it did not arrive */
	RAFT_COMPACT, /* snapshot (borrowed) is durable here; keep entries before it stay */
	RAFT_EVENTS
};

struct raft_event {
	enum raft_event_type type;
	const struct raft_msg *msg;
	struct raft_entry *const *entries;
	size_t n_entries;
	uint64_t read;
	uint64_t member;
	bool failed;
	const struct raft_snapshot *snapshot;
	uint64_t keep;
	uint32_t late;
};

struct raft_read {
	uint64_t read; /* as given with RAFT_READ */
	uint64_t index; /* the state as of this index is current; 0: leadership went, ask again */
};

/* All arrays belong to raft and are valid until the next raft_step(). */
struct raft_update {
	struct raft_msg **msgs; /* to keep one, take it and leave NULL */
	size_t n_msgs;
	bool persist;
	struct raft_hard_state hard;
	struct raft_snapshot *snapshot; /* or NULL */
	struct raft_entry *const *entries;
	size_t n_entries;
	struct raft_snapshot *restore; /* or NULL */
	struct raft_entry *const *apply;
	size_t n_apply;
	const struct raft_read *reads;
	size_t n_reads;
};

/* Returns 0, or -ENOTCONN or -EBUSY where the event says so; ret is filled in any case. */
int raft_step(struct raft *r, const struct raft_event *ev, struct raft_update *ret);

enum raft_role { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };
enum raft_progress_state { RAFT_PROBE, RAFT_REPLICATE, RAFT_SNAPSHOT };

uint64_t raft_id(const struct raft *r);
enum raft_role raft_role(const struct raft *r);
uint64_t raft_term(const struct raft *r);
/* 0: unknown. */
uint64_t raft_leader(const struct raft *r);
uint64_t raft_commit(const struct raft *r);
uint64_t raft_applied(const struct raft *r);
uint64_t raft_first_index(const struct raft *r);
uint64_t raft_last_index(const struct raft *r);
/* The term of an entry; 0 when the log does not hold it. */
uint64_t raft_term_at(const struct raft *r, uint64_t index);
/* Borrowed; NULL when the log does not hold it. */
const struct raft_entry *raft_entry_at(const struct raft *r, uint64_t index);
/* Membership as of raft_applied(). */
const struct raft_conf *raft_conf(const struct raft *r);
/* A leader's membership change is not applied yet: another would be turned into an empty entry. */
bool raft_change_pending(const struct raft *r);
/* Leader: what is known of a member. False when it is none or this one does not lead. */
struct raft_peer_status {
	enum raft_progress_state state;
	uint64_t match, next;
	bool active; /* heard of within the last election timeout */
};
bool raft_peer(const struct raft *r, uint64_t id, struct raft_peer_status *ret);
