/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the leader's services: a loop, a bootstrapped store, a writer that agrees with
 * itself, and a gRPC server on a loopback port with a manager's certificate.
 */
#pragma once

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>

#include "core/rng.h"
#include "loop/loop.h"
#include "manager/bootstrap.h"
#include "manager/ca.h"
#include "manager/leader_env.h"
#include "rpc/grpc.h"
#include "rpc/tls.h"
#include "store/store.h"
#include "wire/pb.h"

struct test_env {
	struct loop *loop;
	struct rng rng;
	struct store *store;
	uint64_t version;
	char *root, *key;
	char worker_token[CA_TOKEN_SIZE], manager_token[CA_TOKEN_SIZE];
	struct tls *tls; /* the manager's */
	struct grpc_server *server;
	char addr[32];
	struct timer guard;
	bool timed_out;
	struct leader_env env;
};

struct test_write {
	struct test_env *e;
	swarm_build build;
	swarm_done done;
	void *arg;
};

static inline void test_write_now(void *arg)
{
	struct test_write *w = arg;
	struct err err = ERR_INIT;
	struct store_tx *tx = store_tx_begin(w->e->store, ++w->e->version, loop_wall_ns());
	int rc = w->build(tx, w->arg, &err);

	if (rc) {
		store_tx_abort(tx);
	} else {
		store_tx_seal(tx);
		store_tx_commit(tx);
	}
	if (w->done)
		w->done(rc ? &err : NULL, w->arg);
	free(w);
}

static inline void test_write(void *writer, swarm_build build, swarm_done done, void *arg)
{
	struct test_env *e = writer;
	struct test_write *w = xmalloc(sizeof(*w));

	*w = (struct test_write){e, build, done, arg};
	loop_defer(e->loop, test_write_now, w);
}

/* Stage changes by hand, at once. */
static inline void test_change(struct test_env *e, swarm_build build, void *arg)
{
	struct test_write *w = xmalloc(sizeof(*w));

	*w = (struct test_write){e, build, NULL, arg};
	test_write_now(w);
}

static inline void test_guard(void *arg)
{
	struct test_env *e = arg;

	e->timed_out = true;
	loop_stop(e->loop);
}

static inline void test_stop(void *arg)
{
	loop_stop(arg);
}

static inline void test_run_ms(struct test_env *e, uint64_t ms)
{
	struct timer t;

	timer_init(&t, e->loop, test_stop, e->loop);
	timer_set(&t, ms);
	loop_run(e->loop);
	timer_done(&t);
}

#define test_wait(e, condition)                                                                    \
	while (!(condition) && !(e)->timed_out)                                                    \
	test_run_ms(e, 5)

static inline struct tls *test_tls(struct test_env *e, const char *id, const char *role)
{
	struct ca_leaf leaf = {.node_id = id, .role = role, .cluster_id = "cluster"};
	_cleanup_free_ char *csr = NULL, *key = NULL, *cert = NULL;
	struct tls *tls = NULL;

	assert(!ca_csr_new(&csr, &key, NULL) &&
	       !ca_sign(e->root, e->key, NULL, csr, &leaf, &cert, NULL) &&
	       !tls_new(e->root, cert, key, &tls, NULL));
	return tls;
}

static inline void test_env_open(struct test_env *e)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct grpc_server_options opt = {.cluster_id = "cluster"};
	struct bootstrap b = {
		.rng = &e->rng, .cluster_id = "cluster", .root_digest = "", .node_id = "m1"};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	rng_seed(&e->rng, 1);
	assert(!loop_new(1, &e->loop, NULL) && !ca_root_new(&e->root, &e->key, NULL));
	assert(!ca_token_new(e->root, e->worker_token, NULL) &&
	       !ca_token_new(e->root, e->manager_token, NULL));
	timer_init(&e->guard, e->loop, test_guard, e);
	timer_set(&e->guard, 60000);
	e->store = store_new();
	b.root_cert = e->root;
	b.root_key = e->key;
	b.worker_token = e->worker_token;
	b.manager_token = e->manager_token;
	test_change(e, bootstrap_build, &b);
	assert(store_cluster(e->store));
	assert(!bind(fd, (void *)&sin, size) && !listen(fd, 64) &&
	       !getsockname(fd, (void *)&sin, &size));
	snprintf(e->addr, sizeof(e->addr), "127.0.0.1:%d", ntohs(sin.sin_port));
	opt.loop = e->loop;
	opt.tls = e->tls = test_tls(e, "m1", CA_MANAGER);
	e->server = grpc_server_new(&opt);
	assert(!grpc_server_listen(e->server, fd, NULL));
	e->env = (struct leader_env){
		.loop = e->loop,
		.rng = &e->rng,
		.store = e->store,
		.server = e->server,
		.node_id = "m1",
		.cluster_id = "cluster",
		.write = test_write,
		.write_sure = test_write,
		.writer = e,
	};
}

/* After the services were freed. */
static inline void test_env_close(struct test_env *e)
{
	test_run_ms(e, 20); /* what was deferred */
	grpc_server_free(e->server);
	tls_put(e->tls);
	store_free(e->store);
	timer_done(&e->guard);
	loop_free(e->loop);
	free(e->root);
	free(e->key);
}

static inline struct grpc_channel *test_channel(struct test_env *e, struct tls *tls)
{
	struct grpc_channel_options opt = {.loop = e->loop,
					   .tls = tls,
					   .addr = e->addr,
					   .server_name = CA_MANAGER,
					   .backoff_max_ms = 200};

	return grpc_channel_new(&opt);
}
