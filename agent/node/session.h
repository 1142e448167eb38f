/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node's session with the dispatcher: it registers, sends heartbeats, takes assignments,
 * reports statuses, and hears of its own node object, the managers, the keys and the root
 * certificate. Every node has one, managers too; it finds another manager when one is lost.
 * Loop thread only; callbacks come from the loop.
 * Source: SWARM-WIRE §2; swarmkit agent/session.go, agent/agent.go.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "wire/dispatcher.pb-c.h"

struct loop;
struct rng;
struct tls;
struct worker;
struct grpc_channel;
struct session;

struct session_options {
	struct loop *loop;
	struct rng *rng;
	struct tls *tls; /* counted up */
	struct worker *worker; /* borrowed for the session's life */
	/* What this node says of itself: stolen; sent at each registration. */
	Pb__NodeDescription *description;
	/* A manager to begin with, "ip:port"; more come with the session. */
	const char *remote;
	/* [{"node_id", "addr"}] known from before, borrowed for the call; may be NULL */
	const json_t *managers;

	/* Registered: the first message of a new session. */
	void (*on_registered)(void *arg);
	/* The connection is lost or refused; tries go on by themselves. */
	void (*on_lost)(const struct err *err, void *arg);
	/* Each session message, whole: node, managers, keys, root certificate. Borrowed. */
	void (*on_message)(const Pb__SessionMessage *msg, void *arg);
	/* Refused for good: this node was removed from the swarm. session_free() is due, later. */
	void (*on_removed)(const struct err *err, void *arg);
	void *arg;
};

struct session *session_new(const struct session_options *opt);
/* NULL is fine. */
void session_free(struct session *s);
/* A status of a task: sent in batches, until the leader has taken it. */
void session_status(struct session *s, const char *task_id, const Pb__TaskStatus *status);
/* A CSI volume is no longer in use here. */
void session_volume(struct session *s, const char *volume_id);
/* What this node says of itself has changed (stolen): the session is opened anew. */
void session_describe(struct session *s, Pb__NodeDescription *description);
/* The node's certificate or role has changed: reconnect with it. */
void session_refresh(struct session *s);
/* Gossip misses the node at this IP address: if it is the manager in use, it has to show itself. */
void session_suspect(struct session *s, const char *ip);
/* The connection to the manager in use, for further calls (logs, attachments); NULL while there is none. */
struct grpc_channel *session_channel(struct session *s);
/* "ip:port" of the manager in use, or of one that is known; NULL when none is. */
const char *session_manager(const struct session *s);
