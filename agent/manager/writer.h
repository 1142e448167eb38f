/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one writer of a leader's store. Requests to change it wait here; when the log is free, as
 * many as fit run one after the other in one transaction, then the leader's components stage what
 * is due, and the whole goes into one raft entry: one fsync for all (group commit). The requests
 * are answered when the entry is committed and applied. Source: swarmkit manager/state/store.
 */
#pragma once

#include "manager/swarm.h"
#include "store/component.h"

struct raftd;
struct writer;

struct writer *writer_new(struct loop *loop, struct store *store, struct rng *rng);
/* Fails what waits. NULL is fine. */
void writer_free(struct writer *w);
/* Begin to lead: opens the components. raftd is borrowed until writer_stop(). */
void writer_start(struct writer *w, struct raftd *raftd, const struct component_ops *const ops[],
		  size_t n_ops);
/* Leadership is lost, or the swarm is left: requests fail, components close. */
void writer_stop(struct writer *w);
bool writer_leads(const struct writer *w);
/* Queue a change; see swarm_build. -EAGAIN: the leadership went meanwhile. */
void writer_write(struct writer *w, swarm_build build, swarm_done done, void *arg);
/*
 * The same for one who wants to know: of a change that was under way when the leadership went done
 * comes after writer_stop(), once what the next leader commits tells (8 s at most). -EAGAIN with
 * the text writer_lost: it has not come about and never will, so that it may be asked of the next
 * leader. -EHOSTUNREACH: not known.
 */
void writer_write_sure(struct writer *w, swarm_build build, swarm_done done, void *arg);
extern const char writer_lost[];
/*
 * A committed entry, from raftd. Returns true when it is the writer's own (it is in the store
 * then); false when the caller is to store_apply() it.
 */
bool writer_committed(struct writer *w, const void *data, size_t len);
