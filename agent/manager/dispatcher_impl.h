/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the dispatcher: nodes and sessions (dispatcher.c), what they are assigned
 * (dispatcher_assign.c), what their tasks came to (dispatcher_status.c), attachments of plain
 * containers (dispatcher_attach.c).
 */
#pragma once

#include "core/lag.h"
#include "core/map.h"
#include "core/rng.h"
#include "loop/loop.h"
#include "manager/dispatcher.h"
#include "rpc/grpc.h"
#include "store/store.h"

#define REGISTRATIONS_MAX 3
#define REGISTRATIONS_MS 8000

struct dispatcher {
	struct leader_env env;
	struct store_watch watch;
	struct map nodes; /* ID → struct dnode; empty while not leading */
	struct map suspects; /* IP addresses that gossip misses */
	Pb__WeightedPeer **managers;
	size_t n_managers;
	size_t n_sessions;
	bool leads;
	struct list_head untold; /* nodes whose session message is due */
	struct timer tell;
	struct lag lag; /* how late this manager's own timers come, in milliseconds */
	struct timer look; /* for that */
	struct lag_wait look_wait;
	struct map updates; /* task ID → struct Pb__TaskStatus, to be written */
	bool updating;
};

enum dnode_state {
	DNODE_AWAY, /* no session; the deadline, if set, makes it DOWN */
	DNODE_COMING, /* registers: its READY is being written */
	DNODE_HERE, /* has a session */
	DNODE_DOWN, /* the deadline orphans its tasks */
};

struct dnode {
	struct dispatcher *d;
	char *id, *ip;
	enum dnode_state state;
	char session_id[ID_SIZE]; /* "" without */
	struct grpc_call *session, *assignments;
	struct timer deadline;
	struct lag_wait wait; /* until the deadline */
	struct lag lag; /* how late its heartbeats come, in milliseconds */
	uint64_t beat_ms, beat_due_ms; /* of the last; when the next was asked for, or 0 */
	uint64_t registered_ms[REGISTRATIONS_MAX];
	struct list_head untold_node; /* in d->untold */

	/* assignments */
	struct map sent; /* task ID → struct sent */
	struct map changed; /* task ID → struct change bits (dispatcher_assign.c) */
	struct map uses[2]; /* secrets, configs: ID → number of tasks */
	uint64_t sequence;
	struct timer flush;
};

/* Its session is the caller's: the node, or NULL with the call finished. */
struct dnode *dispatcher_session(struct dispatcher *d, struct grpc_call *call,
				 const char *session_id);
/* Whether this manager leads; if not the call is finished. */
bool dispatcher_leads(struct dispatcher *d, struct grpc_call *call);
/* The other side hears the end, the handler is rid of the call. NULL is fine. */
void dispatcher_end_call(struct grpc_call **call, enum grpc_status status, const char *text);

void assign_init(struct dnode *n);
void assign_done(struct dnode *n);
void assign_open(struct grpc_call *call, const void *request, void *arg);
void assign_task_event(struct dispatcher *d, const struct store_event *ev);

void status_update_tasks(struct grpc_call *call, const void *request, void *arg);
void status_update_volumes(struct grpc_call *call, const void *request, void *arg);
void status_clear(struct dispatcher *d);

void attach_init(struct dispatcher *d);
