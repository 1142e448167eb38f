/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world for the real raft/: hosts with a fake clock, network and disk, all driven by one seed.
 * After each step of a host the invariants are checked (raft_check.c); a breach prints the seed,
 * the time and what happened last, and ends the process.
 * Source of the idea: TigerBeetle's vopr, cowsql/raft's test/lib/cluster.h.
 */
#pragma once

#include "core/heap.h"
#include "core/list.h"
#include "raft/raft.h"

enum {
	HOSTS_MAX = 9,
	TICK_US = 50000,
	CLIENTS = 4,
	TRACE_LINES = 60,
};

struct world;

/* What a host's disk holds durably. */
struct disk {
	struct raft_hard_state hard;
	struct raft_snapshot *snapshot; /* its data: struct state */
	struct raft_entry **entries;
	size_t n;
	uint64_t base, base_term;
	bool empty; /* never written: a host that is no member yet */
};

/* The state machine: a chain of hashes over everything applied. */
struct state {
	uint64_t applied, hash;
};

struct disk_job {
	struct list_head node;
	struct raft_hard_state hard;
	bool persist, own;
	struct raft_snapshot *snapshot;
	struct raft_entry **entries;
	size_t n;
};

struct host {
	struct world *w;
	uint64_t id;
	struct raft *raft; /* NULL: down */
	uint64_t epoch; /* counts its starts: events of an earlier life are void */
	struct rng rng;
	struct disk disk;
	struct list_head jobs; /* the first one is under way */
	struct state state;
	uint64_t snapshot_index;
	bool snapshotting;
	uint32_t disk_us; /* a write takes up to this long */
	uint32_t tick_us; /* its clock's idea of a tick */
	uint64_t stalled_until_us; /* its process does not run until then */
	/* for the checks */
	uint64_t seen_term, seen_commit, lead_term;
};

enum op_kind { OP_NONE, OP_WRITE, OP_READ };

/* One client with one operation at a time. */
struct client {
	enum op_kind kind;
	uint64_t id; /* of the operation, unique */
	struct host *host;
	uint64_t epoch, term;
	uint64_t floor; /* the newest version anybody had seen when it began */
	uint64_t read_index; /* 0: not answered yet */
	uint64_t begun_us;
};

struct acked {
	uint64_t op, index;
};

struct world {
	uint64_t seed, now_us, next_event, n_steps, n_ops_done, next_op;
	struct rng rng;
	struct heap events;
	size_t n_hosts;
	struct host hosts[HOSTS_MAX + 1]; /* by ID, from 1 */
	struct client clients[CLIENTS];
	bool pre_vote, check_quorum;
	/* network, in parts of a thousand and microseconds */
	unsigned int loss, duplicate;
	uint32_t delay_min_us, delay_max_us;
	bool cut[HOSTS_MAX + 1][HOSTS_MAX + 1]; /* from, to */
	uint64_t snapshot_interval, snapshot_keep;
	/* the checks' memory */
	struct raft_entry **committed; /* index i at i - 1; NULL for what a snapshot began with */
	uint64_t *hashes; /* the state after entry i, at i */
	uint64_t n_committed, committed_alloc;
	uint64_t *leaders; /* of a term */
	uint64_t n_leaders;
	struct entry_seen **seen; /* a hash table by index and term */
	size_t n_seen, seen_alloc;
	uint64_t max_version;
	struct acked *acked;
	size_t n_acked;
	/* what happened last */
	char trace[TRACE_LINES][160];
	size_t n_trace;
	bool verbose;
};

void world_init(struct world *w, uint64_t seed, size_t n_hosts, size_t n_members);
void world_done(struct world *w);
/* Carry out the next event; false when there is none before until_us. */
bool world_step(struct world *w, uint64_t until_us);
void world_run(struct world *w, uint64_t us);
void world_trace(struct world *w, const char *fmt, ...) _printf_(2, 3);
_Noreturn void world_fail(struct world *w, const char *fmt, ...) _printf_(2, 3);

/* Power fails: what was being written is there, or not, or torn (which its check finds out). */
void host_crash(struct host *h);
void host_start(struct host *h);
/* Its process is not run for so long; then it finds all that came meanwhile at once. */
void host_stall(struct host *h, uint64_t us);
int host_event(struct host *h, const struct raft_event *ev);
/* Propose a change of members on a leader. */
int host_change(struct host *h, enum raft_change_type type, uint64_t member);
/* Split into two: those whose bit is set, and the others. */
void world_partition(struct world *w, uint64_t side);
void world_heal(struct world *w);
/* NULL: none, or several of different terms and the newest one is down. */
struct host *world_leader(struct world *w);
/* There is a leader, and every voter has applied all that was committed, with the same result. */
bool world_converged(struct world *w);
int client_write(struct world *w, struct client *c, struct host *h);
int client_read(struct world *w, struct client *c, struct host *h);

/* raft_check.c */
void check_step(struct host *h);
void check_persist(struct host *h, const struct raft_update *u);
void check_apply(struct host *h, const struct raft_entry *e);
void check_restore(struct host *h);
void check_client_done(struct world *w, struct client *c, uint64_t version);
void check_done(struct world *w);
uint64_t hash_entry(uint64_t hash, const struct raft_entry *e);
