/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The services LogBroker and Logs: logs of services travel from the nodes that run their tasks to who
 * asks at the leader. A node listens for subscriptions (ListenSubscriptions) and answers each with a
 * stream of records (PublishLogs). A manager that follows subscribes at the leader (SubscribeLogs).
 * Loop thread only.
 * Source: SWARM-WIRE §2 "Logs"; swarmkit manager/logbroker/{broker,subscription}.go.
 */
#pragma once

#include "manager/leader_env.h"
#include "wire/logbroker.pb-c.h"

struct grpc_channel;
struct logbroker;
struct log_subscription;

/* Adds the services to env->server. leader(…, arg): as grpc_server_options.leader. */
struct logbroker *logbroker_new(const struct leader_env *env,
				int (*leader)(struct grpc_channel **ret, void *arg), void *arg);
/* Before the grpc_server. Ends all subscriptions. NULL is fine. */
void logbroker_free(struct logbroker *b);
/* With the leadership: without it, subscriptions end with an error. */
void logbroker_lead(struct logbroker *b, bool leads);

struct log_subscriber {
	/* A record; borrowed. */
	void (*record)(const Pb__LogMessage *msg, void *arg);
	/*
	 * No more come: every node has sent what it has (not with follow), or the leadership is lost. err
	 * says what is missing, NULL when nothing is. The subscription is gone when it returns.
	 */
	void (*end)(const struct err *err, void *arg);
	void *arg;
};

/*
 * Ask for the logs of the selected services or tasks. selector and options are copied. Callbacks
 * come from the loop, never from inside of this call.
 */
struct log_subscription *logbroker_subscribe(struct logbroker *b, const Pb__LogSelector *selector,
					     const Pb__LogSubscriptionOptions *options,
					     const struct log_subscriber *subscriber);
/* The subscriber goes: no callback follows. Not from inside of record(). */
void logbroker_unsubscribe(struct log_subscription *s);
/* Back-pressure towards the nodes. May be called from record(). */
void logbroker_pause(struct log_subscription *s, bool pause);
