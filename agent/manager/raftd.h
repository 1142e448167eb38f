/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raft as a service on the loop: ticks, durable log, transport, and committed entries in order.
 * The protocol itself is raft/; the log is disk/raftlog.h. All calls on the loop's thread;
 * callbacks come from the loop, on_commit and on_snapshot_restore also from raftd_open().
 * What is proposed while an fsync runs goes into the next one together (group commit).
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"

struct loop;
struct raftd;

enum { RAFTD_DEK_SIZE = 32 };

struct raftd_options {
	struct loop *loop;
	const char *dir;	/* borrowed during raftd_open only */
	uint8_t dek[RAFTD_DEK_SIZE];	/* encrypts the log at rest */
	/* A normal entry is committed; data is borrowed. Called in order, once per index and run. */
	void (*on_commit)(uint64_t index, uint64_t term, const void *data, size_t len, void *arg);
	/* Append the state machine's state to *ret. */
	void (*on_snapshot_save)(struct buf *ret, void *arg);
	/* Replace the state machine's state. Non-zero: the snapshot is unusable. */
	int (*on_snapshot_restore)(const void *data, size_t len, void *arg);
	/* This member has won or lost the leadership. */
	void (*on_leader)(bool leader, uint64_t term, void *arg);
	void *arg;
};

/*
 * Open the log in dir, replay what is committed. A log with one member, this one, makes it leader
 * before long without waiting for an election. -ENOENT when the folder holds no log and
 * raftd_bootstrap() is to be called next (*ret is set all the same).
 */
int raftd_open(const struct raftd_options *opt, struct raftd **ret, struct err *err);
/* Waits for the write under way. Proposals not committed get -ECANCELED. NULL is fine. */
void raftd_free(struct raftd *r);
/* Begin a log of one member. Durable on return. */
int raftd_bootstrap(struct raftd *r, uint64_t raft_id, const char *node_id, const char *addr,
		    struct err *err);
/* Make this member the only one, whatever the log says. Durable on return. */
int raftd_force_new_cluster(struct raftd *r, struct err *err);
/*
 * Propose an entry; data is copied. done is called after it is committed and on_commit returned
 * (rc 0), or with -ENOTCONN when this member does not lead, -ECANCELED when leadership went.
 */
void raftd_propose(struct raftd *r, const void *data, size_t len,
		   void (*done)(int rc, uint64_t index, void *arg), void *arg);
bool raftd_is_leader(const struct raftd *r);
/* Raft IDs; 0 when unknown. */
uint64_t raftd_leader_id(const struct raftd *r);
uint64_t raftd_id(const struct raftd *r);
uint64_t raftd_applied(const struct raftd *r);
