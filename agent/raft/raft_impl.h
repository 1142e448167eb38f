/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of raft/ share among themselves. See raft.h. */
#pragma once

#include <errno.h>

#include "core/lag.h"
#include "raft/raft.h"

/* --- log.c --- */

/* The entries after base, in memory. The entry with index i is ents[i - base - 1]. */
struct raft_log {
	struct raft_entry **ents;
	size_t n, alloc;
	uint64_t base, base_term; /* the last entry that is compacted away */
	uint64_t stable; /* durable up to here */
	uint64_t committed, applied; /* base <= applied <= committed <= last, applied <= stable */
};

static inline uint64_t raft_log_last(const struct raft_log *l)
{
	return l->base + l->n;
}

void raft_log_done(struct raft_log *l);
/* False when the index is compacted or in the future; *ret is 0 then. */
bool raft_log_term(const struct raft_log *l, uint64_t index, uint64_t *ret);
uint64_t raft_log_last_term(const struct raft_log *l);
struct raft_entry *raft_log_at(const struct raft_log *l, uint64_t index);
bool raft_log_matches(const struct raft_log *l, uint64_t index, uint64_t term);
/* Is a log that ends so at least as complete as ours? Raft §3.6.1 */
bool raft_log_up_to_date(const struct raft_log *l, uint64_t index, uint64_t term);
/* Takes the reference. The entry's index is raft_log_last() + 1. */
void raft_log_push(struct raft_log *l, struct raft_entry *e);
/* Drop the entries from index on. */
void raft_log_truncate(struct raft_log *l, uint64_t index);
/* Drop the entries up to and including index. */
void raft_log_compact(struct raft_log *l, uint64_t index);
/* Begin again after a snapshot. */
void raft_log_restore(struct raft_log *l, uint64_t index, uint64_t term);
/* The largest index <= index whose term is <= term; its term, 0 when unknown, to *ret_term. */
uint64_t raft_log_conflict(const struct raft_log *l, uint64_t index, uint64_t term,
			   uint64_t *ret_term);
/* How many entries from index on make up to max_size bytes, at least one if there is one. */
size_t raft_log_fit(const struct raft_log *l, uint64_t index, size_t max_size);

/* --- progress.c: what a leader knows of a member. etcd tracker/progress.go --- */

struct raft_progress {
	uint64_t id;
	uint64_t match, next;
	uint64_t pending_snapshot;
	enum raft_progress_state state;
	bool heard; /* since this one leads */
	bool paused;
	uint32_t silent; /* ticks since then, or since this one leads */
	/* the last indexes of messages under way, a ring */
	uint64_t *inflight;
	uint32_t inflight_head, inflight_len, inflight_max;
};

void raft_progress_init(struct raft_progress *p, uint64_t id, uint64_t next, uint32_t inflight_max);
void raft_progress_done(struct raft_progress *p);
void raft_progress_probe(struct raft_progress *p);
void raft_progress_replicate(struct raft_progress *p);
void raft_progress_snapshot(struct raft_progress *p, uint64_t index);
bool raft_progress_paused(const struct raft_progress *p);
bool raft_progress_inflight_full(const struct raft_progress *p);
void raft_progress_sent(struct raft_progress *p, size_t n_entries);
/* An acknowledgement up to index; true when it is news. */
bool raft_progress_update(struct raft_progress *p, uint64_t index);
void raft_progress_free_inflight(struct raft_progress *p, uint64_t index);
/* A rejection; false when it is out of date. */
bool raft_progress_decrease(struct raft_progress *p, uint64_t rejected, uint64_t hint);

/* --- the member --- */

struct raft_read_request {
	uint64_t from; /* who asked: this member or a follower */
	uint64_t index;
	uint8_t context_size;
	uint8_t context[RAFT_CONTEXT_MAX];
	uint64_t acks; /* bit i: conf.voters[i]; begun anew when the members change */
};

struct raft_msgs {
	struct raft_msg **v;
	size_t n, alloc;
};

struct raft {
	struct raft_options opt;
	enum raft_role role;
	uint64_t term, vote, leader;
	struct raft_log log;
	struct raft_conf conf;
	struct raft_progress *progress; /* in the order of conf.voters */
	struct raft_snapshot *snap; /* metadata of the newest snapshot here, or NULL */
	uint32_t election_elapsed, heartbeat_elapsed, election_timeout;
	struct lag lag; /* in ticks; the usual wait is the election timeout */
	/* followers: the leader last heard, its term, and for how many ticks it has been silent */
	uint64_t heard, heard_term;
	uint32_t silent;
	/* candidates: who answered */
	uint64_t voted, granted; /* bit i: conf.voters[i] */
	/* leaders */
	uint64_t transferee;
	uint64_t pending_conf; /* no change before this index is applied */
	struct raft_read_request *reads; /* wait for a quorum's acknowledgement, in order */
	size_t n_reads;
	struct raft_msg **early_reads; /* came before the first commit of the term */
	size_t n_early;
	/* the write under way */
	bool writing;
	struct raft_hard_state saved; /* as last handed out to be written */
	uint64_t durable_commit; /* of the last write that is done */
	uint64_t conf_waits; /* index of a change that waits for its commit to be durable, or 0 */
	uint64_t write_last, write_last_term, write_term;
	struct raft_snapshot *write_snap;
	struct raft_msgs write_msgs; /* to be sent when it is done */
	struct raft_snapshot *new_snap; /* received, not handed out yet */
	struct raft_snapshot *restore; /* durable, not handed out yet */
	struct raft_snapshot *restored; /* handed out with the last update */
	/* outputs */
	struct raft_msgs out, after, given;
	struct raft_read *answers;
	size_t n_answers, n_given_answers;
};

void raft_msgs_add(struct raft_msgs *l, struct raft_msg *m);
void raft_msgs_clear(struct raft_msgs *l);
void raft_msgs_done(struct raft_msgs *l);

/* Queue a message from this member; term is filled in unless set. */
void raft_send(struct raft *r, struct raft_msg *m);
/* NULL when it is no member. */
struct raft_progress *raft_progress_of(struct raft *r, uint64_t id);
int raft_member_index(const struct raft *r, uint64_t id);
size_t raft_quorum(const struct raft *r);
/* This member may campaign. */
bool raft_promotable(const struct raft *r);
void raft_recv(struct raft *r, const struct raft_msg *m);
void raft_answer_read(struct raft *r, uint64_t read, uint64_t index);

/* election.c */
enum campaign { CAMPAIGN_PRE, CAMPAIGN_ELECTION, CAMPAIGN_TRANSFER };
void raft_become_follower(struct raft *r, uint64_t term, uint64_t leader);
void raft_hup(struct raft *r, enum campaign kind);
void raft_tick(struct raft *r, uint32_t late);
void raft_lost(struct raft *r, uint64_t member);
/* A leader is heard that was not known. */
void raft_new_timeout(struct raft *r);
void raft_recv_vote(struct raft *r, const struct raft_msg *m);
void raft_recv_vote_resp(struct raft *r, const struct raft_msg *m);
extern const char raft_campaign_transfer[];

/* append.c: the log's way from the leader to the others */
int raft_propose(struct raft *r, struct raft_entry *const *entries, size_t n);
bool raft_send_append(struct raft *r, struct raft_progress *p, bool if_empty);
void raft_broadcast_append(struct raft *r);
bool raft_maybe_commit(struct raft *r);
void raft_recv_append(struct raft *r, const struct raft_msg *m);
void raft_recv_append_resp(struct raft *r, const struct raft_msg *m);

/* heartbeat.c */
/* A member that should be heard of with every beat was, after so many ticks. */
void raft_lag_gap(struct raft *r, uint32_t ticks);
/* Heard of within the last election timeout. */
bool raft_active(const struct raft *r, const struct raft_progress *p);
/* A member answers its leader. */
void raft_heard_of(struct raft *r, struct raft_progress *p);
void raft_broadcast_heartbeat(struct raft *r, const void *context, size_t size);
void raft_recv_heartbeat(struct raft *r, const struct raft_msg *m);
void raft_recv_heartbeat_resp(struct raft *r, const struct raft_msg *m);
/* Of each tick: whether a quorum is still heard of. */
bool raft_check_quorum(struct raft *r);

/* snapshot.c */
bool raft_send_snapshot(struct raft *r, struct raft_progress *p);
void raft_recv_snapshot(struct raft *r, const struct raft_msg *m);
void raft_snapshot_status(struct raft *r, uint64_t member, bool failed);
void raft_compact(struct raft *r, const struct raft_snapshot *s, uint64_t keep);

/* conf.c */
void raft_apply_change(struct raft *r, const struct raft_entry *e);
void raft_set_conf(struct raft *r, const struct raft_conf *conf);

/* read.c */
int raft_read(struct raft *r, uint64_t read);
void raft_recv_read(struct raft *r, const struct raft_msg *m);
void raft_recv_read_resp(struct raft *r, const struct raft_msg *m);
void raft_read_ack(struct raft *r, const struct raft_msg *m);
/* The term's first entry is committed: begin the reads that wait for it. */
void raft_read_release(struct raft *r);
/* Reads under way cannot be answered any more. */
void raft_read_reset(struct raft *r);

/* transfer.c */
void raft_transfer(struct raft *r, uint64_t member);
void raft_transfer_ready(struct raft *r, struct raft_progress *p);
void raft_recv_timeout_now(struct raft *r, const struct raft_msg *m);
