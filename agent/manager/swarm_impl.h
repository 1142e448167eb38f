/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a node's part in a swarm share: swarm.c (what others ask), swarm_life.c
 * (join, unlock, leave, restart), swarm_init.c, swarm_node.c (what every node runs), swarm_cert.c (its certificate).
 */
#pragma once

#include <stdarg.h>
#include <stdio.h>

#include "loop/loop.h"
#include "manager/ca.h"
#include "manager/manager.h"
#include "manager/settings.h"
#include "manager/swarm.h"
#include "manager/vault.h"
#include "manager/writer.h"

struct worker;
struct session;
struct gossipd;
struct image_share;
struct identity;

struct swarm {
	struct swarm_options opt;
	char *dir; /* <data_root>/swarm */
	char *certs_dir;
	enum swarm_state status;
	char *error;
	char advertise_ip[ADDRESS_SIZE];
	char *node_id, *cluster_id;
	bool cert_manager; /* the certificate is a manager's */
	struct swarm_settings state;
	struct ca_files files; /* plain PEM, also when sealed at rest */
	struct tls *tls;
	struct vault vault;
	bool has_vault;

	struct manager *manager; /* NULL: a worker */
	struct worker *worker;
	struct session *session;
	struct node_logs *logs;
	struct attachments *attachments;
	struct gossipd *gossip;
	struct image_share *share;
	struct identity *renewal; /* a request for a certificate under way */
	struct timer renew_timer;
	uint64_t renew_backoff_ms;
	struct timer manager_timer; /* to try again to start as a manager */
	bool manager_failed; /* it could not join: close it before the next try */
	bool registered; /* with a dispatcher, since swarm_node_start() */
	uint32_t vxlan_port; /* 0: not told yet */

	/* an init, join or unlock that waits for this node to be ready */
	swarm_done waiting;
	void *waiting_arg;
	struct timer waiting_timer;
	struct identity *joining;
	bool leaving;
};

extern const char swarm_locked[];
extern const char swarm_exists[];

/* Call done(err) from the loop; code 0: well. done NULL: nothing. */
void swarm_answer_later(struct swarm *s, swarm_done done, void *arg, int code, const char *fmt, ...)
	_printf_(5, 6);

/* swarm_life.c */
/* done hears of swarm_ready(), or of the time-out. */
void swarm_wait_for_ready(struct swarm *s, swarm_done done, void *arg);
/* A start that cannot be: nothing is left of it, who waits is told. */
void swarm_give_up(struct swarm *s, const struct err *err);
/* Take the swarm up with what is on disk and was loaded; see manager_open() for only_member. */
int swarm_start(struct swarm *s, bool only_member, struct err *err);
/* Everything but the state on disk. */
void swarm_stop_all(struct swarm *s, bool leave);
void swarm_set_advertise_ip(struct swarm *s);
int swarm_check_availability(const char *a, struct err *err);
/* Load or make the keys at rest. */
int swarm_need_vault(struct swarm *s, struct err *err);
struct manager_options swarm_manager_options(struct swarm *s);
void swarm_set_status(struct swarm *s, enum swarm_state status, const char *error);
/* Answer what waits for this node to be ready, if it is: registered with a dispatcher and, where it
 * joins as a manager, one that knows the leader. Called when either comes about; more calls are
 * harmless. */
void swarm_ready(struct swarm *s);
/* The cluster removed this node, or its certificate is refused for good. */
void swarm_fatal(struct swarm *s, const char *why);
int swarm_start_manager(struct swarm *s, struct err *err);
/* Start it if the certificate is a manager's, and try again until that goes. */
void swarm_need_manager(struct swarm *s);
void swarm_stop_manager(struct swarm *s);

/* swarm_node.c: worker, session, gossip, image sharing, logs */
int swarm_node_start(struct swarm *s, struct err *err);
/* Stop and remove the tasks that run here; done from the loop. */
void swarm_node_leave(struct swarm *s, void (*done)(void *arg), void *arg);
void swarm_node_stop(struct swarm *s, bool leave);
/* The certificate is new, perhaps of another role: the session goes on with it. */
void swarm_node_role_changed(struct swarm *s);
/* "ip:port" of a manager, or NULL. */
const char *swarm_node_manager_addr(struct swarm *s);

/* swarm_cert.c */
/* Take files (whose strings are stolen) as this node's: identity, TLS, disk. */
int swarm_cert_set(struct swarm *s, struct ca_files *files, struct err *err);
/* Read them from disk, opened with the vault's key if sealed. */
int swarm_cert_load(struct swarm *s, struct err *err);
/* Write them as the vault says (sealed or plain). */
int swarm_cert_save(struct swarm *s, struct err *err);
/* Renew in time; soon: now. */
void swarm_cert_schedule(struct swarm *s);
void swarm_cert_renew(struct swarm *s);
void swarm_cert_stop(struct swarm *s);
void swarm_cert_init(struct swarm *s);
void swarm_cert_done(struct swarm *s);
