/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of raftd share. See raftd.h. */
#pragma once

#include <errno.h>
#include <pthread.h>

#include "core/list.h"
#include "core/rng.h"
#include "disk/raftlog.h"
#include "loop/loop.h"
#include "manager/raftd.h"
#include "raft/raft.h"
#include "wire/raft.pb-c.h"

enum {
	TICK_MS = 50,
	ELECTION_TICKS = 8,
	HEARTBEAT_TICKS = 1,
	/* among SwarmKit's managers: 10 s and 1 s */
	COARSE_ELECTION_TICKS = 200,
	COARSE_HEARTBEAT_TICKS = 20,
	MSG_MAX_SIZE = 65535,
	INFLIGHT_MAX = 256,
	SNAPSHOT_INTERVAL = 10000,
	SNAPSHOT_KEEP = 500,
	KNOCK_TICKS = 40,
	BARRIER_RETRY_TICKS = 10,
	BARRIER_MAX_TICKS = 100,
	DECIDE_MAX_TICKS = 160,
	DISK_RETRY_MS = 1000,
	DISK_STUCK_TICKS = 60,
	SNAPSHOT_RETRY_MS = 10000,
};

struct member {
	struct list_head node;
	uint64_t raft_id;
	char *node_id, *addr;
	bool fine_ticks;
	bool reachable;
};

/* An entry of this member's that is not committed yet. */
struct proposal {
	struct list_head node;
	struct raft_entry *entry;
	uint32_t ticks; /* undecided for so long */
	void (*done)(int rc, uint64_t index, void *arg);
	void *arg;
};

struct barrier {
	struct list_head node;
	uint64_t read; /* asked of raft under this name; 0: not yet */
	uint64_t index; /* wait until this is applied; 0: not answered yet */
	uint32_t ticks, asked_ticks;
	void (*done)(int rc, void *arg);
	void *arg;
};

/* A change of membership that waits for its turn or for being applied. */
struct change {
	struct list_head node;
	enum raft_change_type type;
	struct member member; /* its strings are owned */
	uint64_t entry_id; /* names the change in its entry */
	bool proposed;
	void (*done)(struct change *c, const struct err *err);
	union {
		raftd_joined_fn joined;
		void (*removed)(const struct err *err, void *arg);
	};
	void *arg;
};

/* Work for the thread that owns the disk, one at a time and in order. */
struct disk_job {
	struct list_head node;
	struct raftd *r; /* NULL: raftd_free() was called meanwhile */
	struct raftlog *log;
	/* a write; entries and snapshot are references of the job */
	struct raftlog_write write;
	struct raft_hard_state hard;
	struct raft_entry **entries;
	struct raft_snapshot *snapshot;
	bool persist; /* raft waits for it */
	bool own; /* the snapshot is one of our state */
	uint64_t keep;
	/* or a snapshot to be sent */
	struct raft_msg *send;
	/* or another key */
	bool rekey;
	uint8_t key[RAFTLOG_KEY_SIZE];
	void (*done)(const struct err *err, void *arg);
	void *arg;
	int rc;
	struct err err;
};

struct raftd {
	struct loop *loop;
	struct raftd_options opt;
	struct raftlog *log;
	struct raft *raft; /* NULL: no log yet */
	struct rng rng;
	struct timer tick, again;
	uint64_t tick_due_ms;
	bool pump_due, members_due;
	bool failed; /* the state machine cannot go on */
	/* leadership, as told */
	bool leading; /* raft's role */
	bool told_leader; /* on_leader(true) was called */
	uint64_t lead_term, lead_from;
	uint64_t told_leader_id;
	struct list_head queued, in_flight; /* struct proposal */
	/* in the log when the leadership went: what later leaders commit decides about them */
	struct list_head undecided;
	struct list_head barriers;
	uint64_t next_read;
	/* members */
	uint64_t id;
	struct list_head members;
	uint64_t *removed;
	size_t n_removed;
	bool told_removed, removed_due;
	struct list_head changes;
	struct raftd_transport transport;
	/* state */
	uint64_t applied;
	uint64_t snapshot_index, snapshot_interval, snapshot_keep;
	bool snapshotting, snapshot_wanted;
	uint64_t snapshot_after_ms; /* not before: the last attempt failed */
	uint32_t lonely_ticks;
	/* disk */
	struct list_head jobs;
	struct disk_job *job; /* under way */
	bool persisting; /* raft waits for a write, for so many ticks of the leader */
	uint32_t stuck_ticks;
	struct timer disk_retry;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	bool job_ended; /* under lock */
};

/* raftd.c */
int raftd_step(struct raftd *r, const struct raft_event *ev);
/* The log or the state cannot be gone on with: take no part any more, and tell who is led. */
void raftd_fail(struct raftd *r, const char *why);
void raftd_timers_init(struct raftd *r);
/* Soon, not from inside. */
void raftd_pump_later(struct raftd *r);
void raftd_members_changed(struct raftd *r);

/* raftd_disk.c */
void raftd_disk_init(struct raftd *r);
void raftd_disk_persist(struct raftd *r, const struct raft_update *u);
void raftd_disk_load_snapshot(struct raftd *r, struct raft_msg *msg);
void raftd_maybe_snapshot(struct raftd *r);
/* Of each tick: who cannot write does not lead for long. */
void raftd_disk_tick(struct raftd *r);
/* Waits for the job under way and forgets the rest. */
void raftd_disk_stop(struct raftd *r);

/* raftd_start.c */
void raftd_load_membership(struct raftd *r, const void *snapshot, size_t size);

/* raftd_members.c */
struct member *raftd_member(const struct raftd *r, uint64_t raft_id);
void raftd_member_put(struct raftd *r, uint64_t raft_id, const char *node_id, const char *addr,
		      bool fine_ticks);
void raftd_member_drop(struct raftd *r, uint64_t raft_id);
void raftd_removed_add(struct raftd *r, uint64_t raft_id);
void raftd_members_done(struct raftd *r);
void raftd_apply_change(struct raftd *r, const struct raft_entry *e);
void raftd_set_timing(struct raftd *r);
/* Propose the next change if none is under way. */
void raftd_run_changes(struct raftd *r);
void raftd_fail_changes(struct raftd *r, int rc);
/* A Snapshot message's membership alone. */
void raftd_membership_pack(const struct raftd *r, struct buf *ret);
void raftd_self_removed(struct raftd *r);
