/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raft as a service on the loop: ticks, durable log, transport, and committed entries in order.
 * The protocol itself is raft/; the log is disk/raftlog.h. All calls on the loop's thread;
 * callbacks come from the loop, on_commit and on_snapshot_restore also from raftd_open() and
 * raftd_force_new_cluster(). What is proposed while an fsync runs goes into the next one together
 * (group commit).
 *
 * Ticks are 50 ms. Where every member is one of ours a lost leader is replaced within about half a
 * second; with a SwarmKit member among them, which beats once a second, the timeouts are its.
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"
#include "wire/raft.pb-c.h"

struct loop;
struct raftd;
struct raft_msg;

enum { RAFTD_DEK_SIZE = 32 };

struct raftd_options {
	struct loop *loop;
	const char *dir; /* borrowed during raftd_open only */
	uint8_t dek[RAFTD_DEK_SIZE]; /* encrypts the log at rest */
	/* A normal entry is committed; data is borrowed. Called in order, once per index and run. */
	void (*on_commit)(uint64_t index, uint64_t term, const void *data, size_t len, void *arg);
	/* Append the state machine's state to *ret: a Snapshot message; raftd adds the membership. */
	void (*on_snapshot_save)(struct buf *ret, void *arg);
	/* Replace the state machine's state. Non-zero: the snapshot is unusable. */
	int (*on_snapshot_restore)(const void *data, size_t len, void *arg);
	/*
	 * This member has won or lost the leadership. It is won once all that earlier leaders
	 * committed is applied; before it is lost, what waits is told so.
	 */
	void (*on_leader)(bool leader, uint64_t term, void *arg);
	/* The leader, the members, their addresses or reachability changed. May be NULL. */
	void (*on_members)(void *arg);
	/* This member was removed from the swarm. Once; may be NULL. */
	void (*on_removed)(void *arg);
	void *arg;
};

/*
 * Open the log in dir, replay what is committed. A log with one member, this one, makes it leader
 * before long without waiting for an election. -ENOENT when the folder holds no log and
 * raftd_bootstrap() or raftd_joined() is to be called next (*ret is set all the same).
 * -EKEYREJECTED: the log is encrypted with another key.
 */
int raftd_open(const struct raftd_options *opt, struct raftd **ret, struct err *err);
/* Waits for the write under way. Proposals not decided get -ECANCELED. NULL is fine. */
void raftd_free(struct raftd *r);
/* Begin a log of one member. Durable on return. raft_id 0: choose one. */
int raftd_bootstrap(struct raftd *r, uint64_t raft_id, const char *node_id, const char *addr,
		    struct err *err);
/* Make this member the only one, whatever the log says; all that the log holds counts as
 * committed. Durable on return. */
int raftd_force_new_cluster(struct raftd *r, struct err *err);
/*
 * Propose an entry; data is copied. done is called after it is committed and on_commit returned
 * (rc 0); with -ENOTCONN when it is certain that it never will be committed: this member does not
 * lead, or what later leaders committed leaves no place for it; or with -ECANCELED when neither is
 * known 8 s after the leadership went. done may come after on_leader(false).
 */
void raftd_propose(struct raftd *r, const void *data, size_t len,
		   void (*done)(int rc, uint64_t index, void *arg), void *arg);
/* Leads, and on_leader(true) was called. */
bool raftd_is_leader(const struct raftd *r);
/* Raft IDs; 0 when unknown. */
uint64_t raftd_leader_id(const struct raftd *r);
uint64_t raftd_id(const struct raftd *r);
uint64_t raftd_term(const struct raftd *r);
uint64_t raftd_commit(const struct raftd *r);
uint64_t raftd_applied(const struct raftd *r);
/*
 * done(0) once the state machine here holds everything that was committed anywhere before the
 * call (ReadIndex, Raft §6.4): a read after it is linearizable, also on a follower. Otherwise
 * -ENOTCONN without a leader, -ETIMEDOUT when no quorum answers within 5 s.
 */
void raftd_barrier(struct raftd *r, void (*done)(int rc, void *arg), void *arg);
/* From RaftConfig; 0 leaves as is. Defaults: 10000 entries, 500 kept. */
void raftd_set_snapshots(struct raftd *r, uint64_t interval, uint64_t keep);
/*
 * Encrypt the log and everything in it with another key. done(0): durable, the old key is of no
 * use. After a crash in between either of them opens the log.
 */
void raftd_rekey(struct raftd *r, const uint8_t dek[RAFTD_DEK_SIZE],
		 void (*done)(const struct err *err, void *arg), void *arg);

/* --- members --- */

struct raftd_member {
	uint64_t raft_id;
	const char *node_id, *addr; /* borrowed; addr "10.0.0.1:2377" */
	bool reachable, leader, self;
	bool fine_ticks; /* one of ours */
};

/* A new array (free()) whose strings are borrowed until control returns to the loop; by ID. */
struct raftd_member *raftd_members(const struct raftd *r, size_t *ret_n);
/* Raft ID of a node; 0: no member. */
uint64_t raftd_member_of_node(const struct raftd *r, const char *node_id);
/* Address of a member, borrowed; NULL: unknown. */
const char *raftd_member_addr(const struct raftd *r, uint64_t raft_id);
/* Beats in fractions of a second: one of ours. */
bool raftd_member_fine(const struct raftd *r, uint64_t raft_id);
bool raftd_is_removed(const struct raftd *r, uint64_t raft_id);
/* A new array (free()) of the IDs that were removed. */
uint64_t *raftd_removed(const struct raftd *r, size_t *ret_n);

/* New: the answer to a Join; a member's log begins with it, too, as the record of who it is. */
Pb__JoinResponse *raftd_join_response(uint64_t raft_id, const struct raftd_member *members,
				      size_t n, const uint64_t *removed, size_t n_removed);

/*
 * Leader: make a node a member. A node that is one keeps its raft ID; its address is updated.
 * -ENOTCONN: this one does not lead.
 */
typedef void (*raftd_joined_fn)(const struct err *err /* NULL: well */, uint64_t raft_id,
				void *arg);
void raftd_join(struct raftd *r, const char *node_id, const char *addr, bool fine_ticks,
		raftd_joined_fn done, void *arg);
/*
 * Leader: remove a member. -EBUSY when the rest would have no quorum that answers. Asked to remove
 * itself, the leader hands the leadership on and fails with -EAGAIN: ask the next one.
 */
void raftd_remove(struct raftd *r, uint64_t raft_id, void (*done)(const struct err *err, void *arg),
		  void *arg);
/* Leader: hand the leadership to a member, or (0) to the one that is furthest. -EINVAL: no member
 * that answers. Returns before it has happened. */
int raftd_transfer(struct raftd *r, uint64_t raft_id, struct err *err);

/* New member: begin with an empty log as the leader's answer to Join says. Durable on return. */
int raftd_joined(struct raftd *r, uint64_t raft_id, const char *node_id, const char *addr,
		 const struct raftd_member *members, size_t n_members, const uint64_t *removed,
		 size_t n_removed, struct err *err);

/* --- transport (raft_rpc.h) --- */

struct raftd_transport {
	/* A member is there, at this address, or is gone (NULL). Never for this member itself. */
	void (*member)(uint64_t raft_id, const char *addr, void *arg);
	/* Send; the message is taken. Reports come later, never from inside. */
	void (*send)(struct raft_msg *msg, void *arg);
	void *arg;
};

/* Tells the members there are. NULL takes it away. The struct is copied. */
void raftd_set_transport(struct raftd *r, const struct raftd_transport *t);
/* A message came; borrowed. */
void raftd_receive(struct raftd *r, const struct raft_msg *msg);
/* A message to a member did not arrive. */
void raftd_unreachable(struct raftd *r, uint64_t raft_id);
/* The connection to a member was broken off by its end, or refused: it may have died. */
void raftd_lost(struct raftd *r, uint64_t raft_id);
/* A message to a member arrived. */
void raftd_reachable(struct raftd *r, uint64_t raft_id);
/* The outcome of sending a snapshot; owed for each MsgSnap. */
void raftd_snapshot_sent(struct raftd *r, uint64_t raft_id, bool failed);
/* A peer says that this member was removed. */
void raftd_told_removed(struct raftd *r);
