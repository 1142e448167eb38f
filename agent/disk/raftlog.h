/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The durable raft log: hard state, entries, the newest snapshot and the member's identity, in one
 * LMDB environment, every record sealed with AES-256-GCM. A record's key is authenticated along
 * with it, and the hard state's record says where the log begins and ends, so that a record that
 * was changed, moved or lost is noticed: reading refuses with a sentence, it never guesses.
 *
 * One write is one LMDB transaction: after a crash at any moment it is there whole or not at all.
 * Blocking. From any thread, but one call at a time. Errors: -EKEYREJECTED the key is another
 * one's, -EBADMSG damaged, else the system's. Sources: SWARM-WIRE §3 "At rest"; NIST SP 800-38D.
 */
#pragma once

#include "core/buf.h"
#include "raft/raft.h"

enum { RAFTLOG_KEY_SIZE = 32 };

struct raftlog;

/* Opens or makes the log in dir (made when missing). A new log is bound to the key. */
int raftlog_open(const char *dir, const uint8_t key[RAFTLOG_KEY_SIZE], struct raftlog **ret,
		 struct err *err);
/* NULL is fine. */
void raftlog_close(struct raftlog *l);

struct raftlog_write {
	const struct raft_hard_state *hard; /* NULL: as it was */
	/* a snapshot, with data, that takes the place of the one here */
	const struct raft_snapshot *snapshot;
	bool restart; /* the log begins anew behind the snapshot: drop all entries first */
	/* entries up to this one, of that term, go; 0: none */
	uint64_t compact_index, compact_term;
	/* take the place of everything from the first one's index on */
	struct raft_entry *const *entries;
	size_t n_entries;
	const struct buf *member; /* NULL: as it was */
};

/* Durable when it returns 0; nothing is changed otherwise. */
int raftlog_write(struct raftlog *l, const struct raftlog_write *w, struct err *err);

struct raftlog_state {
	struct raft_hard_state hard;
	struct raft_snapshot *snapshot; /* owned reference; with data; NULL: none */
	struct raft_entry **entries; /* owned, as are the references */
	size_t n_entries;
	uint64_t base_term;
	struct buf member; /* empty: raftlog_write() has never been given one */
};

/* On failure there is nothing to free. */
int raftlog_load(struct raftlog *l, struct raftlog_state *ret, struct err *err);
void raftlog_state_done(struct raftlog_state *s);
/* The newest snapshot with its data, or NULL in *ret when there is none. */
int raftlog_snapshot(struct raftlog *l, struct raft_snapshot **ret, struct err *err);
/* Seal everything anew with another key, in one durable transaction. */
int raftlog_rekey(struct raftlog *l, const uint8_t key[RAFTLOG_KEY_SIZE], struct err *err);
