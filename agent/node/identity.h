/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's certificate from the swarm's CA: the first one by a join token, later ones by the one it
 * has. Requests end in one callback from the loop; a cancelled one never calls. Loop thread only.
 * Source: SWARM-WIRE §1 "Join sequence", "Renewal"; swarmkit ca/certificates.go.
 */
#pragma once

#include "core/err.h"

struct loop;
struct rng;
struct tls;
struct ca_files;
struct identity;

struct identity_join_options {
	struct loop *loop;
	struct rng *rng;
	const char *remote; /* "ip:port" of a manager; copied */
	const char *token; /* copied */
	const char *availability; /* "active", "pause", "drain"; copied */
	/* Told of each try that failed in passing (the manager does not answer); may be NULL. */
	void (*on_try)(const struct err *err, void *arg);
};

/*
 * err NULL: files are this node's, verified against each other; the callback may take their
 * strings. err: the swarm refuses this node for good (a bad token, another swarm's root:
 * -EACCES, -EINVAL), or -EHOSTUNREACH after 5 tries.
 */
typedef void (*identity_done)(const struct err *err, struct ca_files *files, void *arg);

struct identity *identity_join(const struct identity_join_options *opt, identity_done done,
			       void *arg);

struct identity_renew_options {
	struct loop *loop;
	struct rng *rng;
	const char *remote; /* of any manager; copied */
	struct tls *tls; /* with the present certificate; counted up */
	const char *roots; /* the trusted bundle, PEM; copied */
};

/* One try: a new key and certificate. A failure is worth another later. */
struct identity *identity_renew(const struct identity_renew_options *opt, identity_done done,
				void *arg);
/* NULL is fine; not after done was called. */
void identity_cancel(struct identity *id);

/*
 * When to renew a certificate: a random point of its life between 50 and 80 %, in ms from now; 0 when
 * it is past that.
 */
uint64_t identity_renew_delay_ms(int64_t not_before_ns, int64_t not_after_ns, int64_t now_ns,
				 struct rng *rng);
